//! Makes Rust of the files of the services that are called.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    microhost_sdk_build::compile(
        &["../../examples/shop/payments/proto/shop/payments/v1/payments.proto"],
        &["../../examples/shop/payments/proto"],
    )?;
    Ok(())
}
