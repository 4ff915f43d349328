//! Makes Rust of the service's `.proto` file. Nothing has to be installed for it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    microhost_sdk_build::compile(&["proto/connectrpc/conformance/v1/service.proto"], &["proto"])?;
    Ok(())
}
