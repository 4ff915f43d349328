//! Calls other services by name. What comes with the metadata `x-to` is passed on; the rest are calls of
//! its own, as a client makes them.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use microhost_sdk::context::{self, Metadata};
use microhost_sdk::handler::{Failure, Handler, Head, Replies, Requests};
use microhost_sdk::{rpc, spawn, time};
use serde::{Deserialize, Serialize};

mod client;

mod proto {
    microhost_sdk::include_proto!();
}

struct Caller;

/// The call that one is passed on as. `x-to` names the method, and those that it is to be passed on to
/// after it: `a.B/C d.E/F`.
fn onward(head: &Head, to: &str) -> Result<rpc::Call, Failure> {
    let (first, rest) = to.split_once(' ').unwrap_or((to, ""));
    let (service, method) = first.split_once('/').ok_or_else(|| Failure::invalid_argument("x-to: expected SERVICE/METHOD"))?;
    let mut call = rpc::call(service, method);
    for (name, value) in head.metadata.iter().filter(|(name, _)| !matches!(*name, "x-to" | "x-timeout-ms")) {
        call = call.metadata(name, value);
    }
    if !rest.is_empty() {
        call = call.metadata("x-to", rest);
    }
    if let Some(timeout) = head.metadata.get("x-timeout-ms") {
        call = call.timeout(Duration::from_millis(timeout.parse()?));
    }
    Ok(call)
}

fn headers(metadata: &Metadata) -> Result<(), Failure> {
    for (name, value) in metadata.iter() {
        context::add_header(name, value)?;
    }
    Ok(())
}

fn trailers(metadata: &Metadata) -> Result<(), Failure> {
    for (name, value) in metadata.iter() {
        context::add_trailer(name, value)?;
    }
    Ok(())
}

/// Passes a failure on with what came with it.
fn failed(error: rpc::Error) -> Failure {
    match trailers(&error.metadata) {
        Ok(()) => error.into(),
        Err(failure) => failure,
    }
}

impl Handler for Caller {
    async fn call(head: Head, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let Some(to) = head.metadata.get("x-to") else { return own(&head.method, &message).await };
        let reply = onward(&head, to)?.bytes(head.codec.clone(), message).reply().await.map_err(failed)?;
        headers(&reply.headers)?;
        trailers(&reply.trailers)?;
        Ok(reply.message)
    }

    async fn open(head: Head, mut requests: Requests, replies: Replies) -> Result<(), Failure> {
        let Some(to) = head.metadata.get("x-to") else {
            return replies.send(own(&head.method, &requests.only().await?).await?).await;
        };
        let (mut sender, mut receiver) = onward(&head, to)?.bytes_streams(head.codec.clone());
        spawn(async move {
            while let Some(message) = requests.next().await {
                if sender.send(&message).await.is_err() {
                    return;
                }
            }
        });
        headers(receiver.headers().await)?;
        replies.begin();
        while let Some(message) = receiver.next().await.map_err(failed)? {
            replies.send(message).await?;
        }
        trailers(receiver.trailers())
    }
}

/// `test.talk.v1.Line`
#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
}

/// What a call knows of itself.
#[derive(Serialize)]
struct Look {
    service: Option<String>,
    peer: bool,
    left: Option<u128>,
}

async fn own(method: &str, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let answer = match method {
        "Say" => {
            let line: Line = serde_json::from_slice(message)?;
            let reply: Line = rpc::call("test.talk.v1.Talk", "Say").json(&line).await?;
            serde_json::to_vec(&reply)?
        }
        "Look" => {
            let caller = context::caller();
            let left = context::time_left().map(|left| left.as_millis());
            serde_json::to_vec(&Look { service: caller.service, peer: caller.peer.is_some(), left })?
        }
        "Leave" => {
            leave().await;
            b"{}".to_vec()
        }
        "Shop" => serde_json::to_vec(&client::shop().await?)?,
        "Codec" => rpc::call("a.B", "C").bytes(rpc::Codec::Other("xml".to_owned()), "").await?,
        "Reserved" => rpc::call("a.B", "C").metadata("grpc-timeout", "1H").bytes(rpc::Codec::Json, "{}").await?,
        "Trap" => {
            // One that is answered, and then no more of anything.
            let (mut sender, mut receiver) = rpc::call("test.talk.v1.Talk", "Chat").json_streams::<Line, Line>();
            sender.send(&Line { text: "one".to_owned() }).await?;
            receiver.next().await?;
            panic!("before the second line");
        }
        _ => return Err(Failure::unimplemented(format!("there is no method {method}"))),
    };
    Ok(answer)
}

/// Makes a call, waits a little, and drops it.
async fn leave() {
    let mut call = pin!(rpc::call("test.sleeper.Sleeper", "Hang").bytes(rpc::Codec::Json, "{}").reply());
    let mut enough = pin!(time::sleep(Duration::from_millis(100)));
    poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => enough.as_mut().poll(cx),
    })
    .await;
}

microhost_sdk::handler!(Caller);
