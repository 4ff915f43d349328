//! The page that every server of plain HTTP answers, which `guests/hello` (WASI 0.3) and `guests/page`
//! (WASI 0.2) do in microhost and in `wasmtime serve`.

/// Where it is.
pub const PATH: &str = "/";
/// What it says.
pub const TEXT: &str = "Hello, WASI!";
