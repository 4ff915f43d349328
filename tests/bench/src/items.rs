//! The calls with streams that every server answers, which the component `guests/streams` does in
//! microhost: chunks of bytes from the server, to the server, and back again.

/// The service.
pub const SERVICE: &str = "example.streams.Streams";
/// The server sends so many items of such a size.
pub const PRODUCE: &str = "/example.streams.Streams/Produce";
/// The server counts the client's items.
pub const CONSUME: &str = "/example.streams.Streams/Consume";
/// The server sends the client's items back, each as it comes.
pub const ECHO: &str = "/example.streams.Streams/Echo";

/// The request of [`PRODUCE`].
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ProduceRequest {
    /// How many items.
    #[prost(uint32, tag = "1")]
    pub count: u32,
    /// Bytes of each.
    #[prost(uint32, tag = "2")]
    pub size: u32,
}

/// One item of a stream, either way. Its bytes are copied out of what came, as prost's generated code
/// does where nothing is set.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Item {
    #[prost(bytes = "vec", tag = "1")]
    pub value: Vec<u8>,
}

/// The reply of [`CONSUME`].
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Consumed {
    /// Items that came.
    #[prost(uint64, tag = "1")]
    pub value: u64,
}
