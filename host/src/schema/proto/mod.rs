//! Protobuf's binary encoding, driven by the messages of the schema.
//!
//! Source: protobuf.dev, "Encoding" and "Proto3 language guide".

mod decode;
mod encode;
mod opaque;

pub(super) use decode::decode;
pub(super) use encode::encode;
pub use opaque::Head;
pub(super) use opaque::{find, head};
