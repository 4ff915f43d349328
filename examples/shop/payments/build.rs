//! Makes Rust of the service's `.proto` files. Nothing has to be installed for it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    microhost_sdk_build::compile(&["proto/shop/payments/v1/payments.proto", "proto/shop/health/v1/health.proto"], &["proto"])?;
    Ok(())
}
