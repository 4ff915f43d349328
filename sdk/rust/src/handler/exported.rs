//! Between the exported functions of `microhost:service/handler` and a [`Handler`].

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wit_bindgen::rt::async_support::{FutureReader, StreamReader, StreamWriter, spawn_local};

use super::outbox::Outbox;
use super::{Failure, Handler, Head, Replies, Requests};
use crate::bindings::microhost::service::types as host;
use bindings::exports::microhost::service::handler as wit;

/// What wit-bindgen makes of the interface, and the macro that exports it.
pub mod bindings {
    wit_bindgen::generate!({
        inline: "
            package microhost:sdk-handler;

            world handler {
                export microhost:service/handler@0.1.0;
            }
        ",
        path: ["wit"],
        with: {
            "microhost:service/types@0.1.0": crate::bindings::microhost::service::types,
            "microhost:service/context@0.1.0": crate::bindings::microhost::service::context,
        },
        pub_export_macro: true,
        export_macro_name: "__export_handler",
    });
}

/// A [`Handler`] as the component's export.
pub struct Exported<H>(PhantomData<H>);

impl<H: Handler + 'static> wit::Guest for Exported<H> {
    async fn call(head: wit::Head, message: Vec<u8>) -> Result<Vec<u8>, host::Failure> {
        Ok(H::call(head.into(), message).await?)
    }

    async fn open(head: wit::Head, messages: StreamReader<Vec<u8>>) -> Result<(StreamReader<Vec<u8>>, Ending), host::Failure> {
        let outbox = Rc::new(Outbox::default());
        let mut work = Box::pin(H::open(head.into(), Requests::new(messages), Replies::new(Rc::clone(&outbox))));
        // Headers can be set until this returns, so it returns when the reply begins and not before.
        let outcome = poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => outbox.poll_begun(cx).map(|()| None),
        });
        let outcome = match outcome.await {
            Some(Err(failure)) if !outbox.has_begun() => return Err(failure.into()),
            outcome => outcome,
        };
        let (writer, replies) = bindings::wit_stream::new();
        let (end, ending) = bindings::wit_future::new(|| Err(Failure::internal("the handler did not end its reply").into()));
        spawn_local(async move {
            let outcome = reply(writer, &outbox, work, outcome).await;
            // Fails where nobody asks how it ended: the caller has gone.
            let _ = end.write(outcome.map_err(Into::into)).await;
        });
        Ok((replies, ending))
    }
}

/// How a reply ended.
type Ending = FutureReader<Result<(), host::Failure>>;

/// Writes what the work sends while it goes on, unless it has its outcome already, and what is left
/// after it.
async fn reply(
    writer: StreamWriter<Vec<u8>>,
    outbox: &Outbox,
    mut work: Pin<Box<impl Future<Output = Result<(), Failure>>>>,
    mut outcome: Option<Result<(), Failure>>,
) -> Result<(), Failure> {
    if outcome.is_some() {
        outbox.finish();
    }
    let mut writing = pin!(write(writer, outbox));
    let mut written = false;
    poll_fn(|cx| {
        // First, so that what it sends now is written now.
        if outcome.is_none()
            && let Poll::Ready(result) = work.as_mut().poll(cx)
        {
            outcome = Some(result);
            outbox.finish();
        }
        written = written || writing.as_mut().poll(cx).is_ready();
        match written {
            true => outcome.take().map_or(Poll::Pending, Poll::Ready),
            false => Poll::Pending,
        }
    })
    .await
}

/// Writes until the outbox is finished and empty, or the caller has gone.
async fn write(mut writer: StreamWriter<Vec<u8>>, outbox: &Outbox) {
    while let Some(batch) = poll_fn(|cx| outbox.poll_take(cx)).await {
        if !writer.write_all(batch).await.is_empty() {
            return outbox.close();
        }
    }
}

impl From<wit::Head> for Head {
    fn from(head: wit::Head) -> Head {
        Head {
            service: head.service,
            method: head.method,
            codec: head.codec.into(),
            metadata: head.metadata.into(),
            time_left: head.time_left.map(Duration::from_nanos),
            caller: head.caller.into(),
        }
    }
}

impl From<Failure> for host::Failure {
    fn from(failure: Failure) -> host::Failure {
        let details = failure.details.into_iter();
        host::Failure {
            code: failure.status.code,
            message: failure.status.message,
            details: details.map(|detail| host::Detail { type_name: detail.type_name, value: detail.value }).collect(),
        }
    }
}
