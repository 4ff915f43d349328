//! Reading a request's body: within its bound, within its time, and without a copy where it comes
//! in one piece.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Version;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::sleep;

use super::{Edge, envelope};
use crate::rpc::envelope::HEAD;
use crate::status::{Code, Status};

/// What is reserved at most for a body that only announces its length.
const RESERVE: usize = 64 << 10;

/// What is taken in at most of a body that is refused, and for how long.
pub(super) const SKIPPED: u64 = 1 << 20;
pub(super) const SKIP_TIME: Duration = Duration::from_secs(1);

/// How a body is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// The body is the message.
    Bare,
    /// The body is one message in an envelope.
    Enveloped,
    /// The same in base64.
    EnvelopedText,
}

impl Layout {
    /// The bound of a body whose message is bounded by `limit`.
    fn bound(self, limit: usize) -> usize {
        match self {
            Layout::Bare => limit,
            Layout::Enveloped => limit.saturating_add(HEAD),
            // Four characters for three bytes; the padding of a part fits into the spare ones.
            Layout::EnvelopedText => limit.saturating_add(HEAD).saturating_mul(4) / 3 + 8,
        }
    }
}

/// A request over its bound.
pub(super) fn too_long(limit: usize) -> Status {
    Status::new(Code::ResourceExhausted, format!("the request is longer than the service's limit of {limit} bytes"))
}

/// How long a body is waited for: for some time, and not beyond the end of the host.
pub(super) struct Wait<'a> {
    time: Duration,
    edge: &'a Edge,
}

impl<'a> Wait<'a> {
    /// For as long as clients are waited for, where the call has no deadline that is sooner.
    pub(super) fn of(edge: &'a Edge, deadline: Option<Instant>) -> Wait<'a> {
        let patience = edge.patience.body;
        let time = deadline.map_or(patience, |deadline| deadline.saturating_duration_since(Instant::now()).min(patience));
        Wait { time, edge }
    }

    /// Ready when it is over, with why.
    fn end(&self) -> Pin<Box<dyn Future<Output = Status> + Send>> {
        let (time, mut over) = (self.time, self.edge.over.subscribe());
        Box::pin(async move {
            tokio::select! {
                () = sleep(time) => Status::new(Code::DeadlineExceeded, format!("the request's body did not come within {time:?}")),
                // An error means that the edge is gone, and the host with it.
                _ = over.wait_for(|over| *over) => {
                    Status::new(Code::Unavailable, "the host stops, and the request's body has not come whole").unseen()
                }
            }
        })
    }
}

/// Reads a whole body whose message may have `limit` bytes.
pub(super) async fn read(
    head: &http::request::Parts,
    body: &mut Incoming,
    layout: Layout,
    limit: usize,
    wait: Wait<'_>,
) -> Result<Bytes, Status> {
    let result = read_within(head.version, body, layout, limit, wait).await;
    if let Err(status) = &result
        && matches!(status.code(), Code::ResourceExhausted | Code::Unimplemented)
    {
        Box::pin(skip(head, body)).await;
    }
    result
}

async fn read_within(version: Version, body: &mut Incoming, layout: Layout, limit: usize, wait: Wait<'_>) -> Result<Bytes, Status> {
    let bound = layout.bound(limit);
    if body.size_hint().lower() > bound as u64 {
        return Err(too_long(limit));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // In HTTP/1 a body is first asked for by the first poll, and is mostly there at the second.
    // Should no second one come, the connection's tick makes one: it polls its call again.
    let mut timer = Timer { waited: version == Version::HTTP_2, wait, end: None };
    let Some(first) = poll_fn(|cx| timer.poll_data(body, cx)).await? else { return Ok(Bytes::new()) };
    check(&first, layout, bound, limit)?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut all = BytesMut::new();
    let mut first = Some(first);
    loop {
        let Some(next) = poll_fn(|cx| timer.poll_data(body, cx)).await? else { break };
        // Only now, as a body that ends with its first piece is not copied.
        if let Some(first) = first.take() {
            let announced = usize::try_from(body.size_hint().lower()).unwrap_or(bound);
            all.reserve((first.len() + next.len()).saturating_add(announced).min(bound).min(RESERVE));
            all.extend_from_slice(&first);
        }
        if all.len() + next.len() > bound {
            return Err(over(layout, limit));
        }
        all.extend_from_slice(&next);
        check(&all, layout, bound, limit)?;
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// Takes in a body that is refused, so that an HTTP/1 client which still writes gets to read the
/// answer: closing before would reset its connection.
///
/// Not for a client that waits to be told to go on, nor for one that announces too much.
pub(super) async fn skip(head: &http::request::Parts, body: &mut Incoming) {
    if head.version == Version::HTTP_2 || head.headers.contains_key(http::header::EXPECT) || body.size_hint().lower() > SKIPPED {
        return;
    }
    let mut skipped = 0;
    let all = async {
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            skipped += frame.data_ref().map_or(0, |data| data.len() as u64);
            if skipped > SKIPPED {
                return;
            }
        }
    };
    // However it ends, the answer is the same.
    let _ = tokio::time::timeout(SKIP_TIME, all).await;
}

fn check(read: &[u8], layout: Layout, bound: usize, limit: usize) -> Result<(), Status> {
    // The envelope tells before the message comes.
    if layout == Layout::Enveloped && envelope::announced(read).is_some_and(|length| length > limit) {
        return Err(too_long(limit));
    }
    if read.len() > bound { Err(over(layout, limit)) } else { Ok(()) }
}

/// A body over its bound, whose message may yet be within it.
fn over(layout: Layout, limit: usize) -> Status {
    match layout {
        Layout::Bare | Layout::EnvelopedText => too_long(limit),
        // The first envelope was within the limit, so something follows it.
        Layout::Enveloped => envelope::more_than_one(),
    }
}

/// The time left for a body. Most bodies come at once: no timer is made for them.
struct Timer<'a> {
    waited: bool,
    wait: Wait<'a>,
    end: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
}

impl Timer<'_> {
    fn poll_data(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            return match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Poll::Ready(Ok(Some(data))),
                    // Trailers of a request carry nothing that we use.
                    Err(_) => continue,
                },
                Poll::Ready(None) => Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Status::new(
                    Code::InvalidArgument,
                    "the request breaks off within its body, or its body is not valid HTTP",
                )
                .because(error))),
                Poll::Pending => {
                    if !std::mem::replace(&mut self.waited, true) {
                        return Poll::Pending;
                    }
                    let end = self.end.get_or_insert_with(|| self.wait.end());
                    Poll::Ready(Err(ready!(end.as_mut().poll(cx))))
                }
            };
        }
    }
}
