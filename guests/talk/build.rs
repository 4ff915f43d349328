//! Makes Rust of the service's `.proto` file.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    microhost_sdk_build::compile(&["proto/test/talk/v1/talk.proto"], &["proto"])?;
    Ok(())
}
