//! Makes Rust of the `.proto` files of its services.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    microhost_sdk_build::compile(&["proto/test/pulse/v1/pulse.proto", "proto/grpc/health/v1/health.proto"], &["proto"])?;
    Ok(())
}
