//! Calls by name from a component whose imports are plain functions.

use exports::test::caller_plain::plain::Guest;
use microhost::service::rpc::{self, Target};

wit_bindgen::generate!({ world: "guest", generate_all });

struct Plain;

impl Guest for Plain {
    async fn call(service: String, method: String, message: String) -> Result<String, String> {
        let target = Target { service, method, codec: "json".to_owned(), metadata: Vec::new(), timeout: None, idempotent: false };
        let told = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|error| error.to_string());
        match rpc::call(&target, message.as_bytes()) {
            Ok(reply) => told(reply.message),
            Err(error) => Err(format!("{:?}: {}", error.failure.code, error.failure.message)),
        }
    }
}

export!(Plain);
