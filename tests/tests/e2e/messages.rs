//! Messages of the guests' services, written by hand as a client's generated code would have them.

/// `test.echo.Message`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub text: String,
    #[prost(string, repeated, tag = "3")]
    pub tags: Vec<String>,
}

/// A message with one unsigned field, such as `test.sleeper.SleeperSleepRequest`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Number {
    #[prost(uint64, tag = "1")]
    pub value: u64,
}

/// A message with one string, such as `test.plain.PlainGreetRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Text {
    #[prost(string, tag = "1")]
    pub value: String,
}

/// What the echo is asked to say.
pub fn hello() -> Message {
    Message { id: 7, text: "hello".into(), tags: vec!["a".into(), "b".into()] }
}

/// The same as JSON.
pub fn hello_json() -> serde_json::Value {
    serde_json::json!({ "id": "7", "text": "hello", "tags": ["a", "b"] })
}
