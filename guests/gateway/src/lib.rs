//! Takes any call, of any kind, in any codec.

use microhost_sdk::context;
use microhost_sdk::handler::{Detail, Failure, Handler, Head, Replies, Requests};

struct Gateway;

/// What a call says about itself, for the test to read.
fn tell(head: &Head) -> Result<(), Failure> {
    context::add_header("x-service", head.service.as_str())?;
    context::add_header("x-method", head.method.as_str())?;
    context::add_header("x-codec", head.codec.name())?;
    if let Some(tag) = head.metadata.get("x-tag") {
        context::add_trailer("x-tag", tag)?;
    }
    Ok(())
}

fn outcome(head: &Head) -> Result<(), Failure> {
    match head.method.as_str() {
        "Fail" => Err(Failure::not_found(format!("{} is not here", head.service))
            .with(Detail { type_name: "google.protobuf.Empty".to_owned(), value: Vec::new() })),
        _ => Ok(()),
    }
}

impl Handler for Gateway {
    async fn call(head: Head, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        tell(&head)?;
        outcome(&head)?;
        Ok(message)
    }

    async fn open(head: Head, mut requests: Requests, replies: Replies) -> Result<(), Failure> {
        tell(&head)?;
        while let Some(message) = requests.next().await {
            replies.send(message).await?;
        }
        outcome(&head)
    }
}

microhost_sdk::handler!(Gateway);
