//! The page that every server of plain HTTP answers, which a component of `wasi:http` does in microhost
//! and in `wasmtime serve`.

/// Where it is.
pub const PATH: &str = "/";
/// What it says, as `text/plain` with its length.
pub const TEXT: &str = "Hello from a component.\n";
