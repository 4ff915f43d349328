//! Proto3 JSON, driven by the messages of the schema.
//!
//! Written by hand where serde_json would do less: its floats lose their last bit without a feature
//! that all of its users would have to share, and neither an error's path nor what was found is
//! within reach of a visitor.
//!
//! Source: protobuf.dev, "ProtoJSON Format".

mod decode;
mod encode;
mod number;
mod read;

pub(super) use decode::decode;
pub(super) use encode::encode;
