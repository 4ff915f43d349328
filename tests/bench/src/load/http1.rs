//! Calls over HTTP/1.1, JSON or a page: one at a time on each connection.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use super::{Client, Tally};
use crate::message::{Message, PATH};
use crate::page;

/// Headers of one reply.
const MAX_HEADERS: usize = 32;
/// The longest head of a reply.
const MAX_HEAD: usize = 32 << 10;
/// The longest body of a reply.
const MAX_BODY: usize = 1 << 20;

/// The request of the JSON call, as it goes over the wire.
pub fn request(address: SocketAddr) -> Vec<u8> {
    let body = serde_json::to_string(&Message::sample()).expect("a message has no key that is not a string");
    let length = body.len();
    format!("POST {PATH} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The request of the page, as it goes over the wire.
pub fn page(address: SocketAddr) -> Vec<u8> {
    format!("GET {} HTTP/1.1\r\nhost: {address}\r\n\r\n", page::PATH).into_bytes()
}

/// Refuses a body that is not the page.
pub fn check_page(body: &[u8]) -> Result<()> {
    if body != page::TEXT.as_bytes() {
        bail!("the reply is not the page: {}", String::from_utf8_lossy(body));
    }
    Ok(())
}

/// The first reply in `input`, once it is whole: its body, and where it ends.
pub fn reply(input: &[u8]) -> Result<Option<(Cow<'_, [u8]>, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = head.parse(input).context("the reply is not HTTP/1.1")? else {
        if input.len() > MAX_HEAD {
            bail!("the reply's head is longer than {MAX_HEAD} bytes");
        }
        return Ok(None);
    };
    let header = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
    let whole = if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        chunks(&input[start..])?.map(|(body, length)| (Cow::Owned(body), start + length))
    } else {
        let length = header("content-length").context("the reply has no content-length, and is not chunked")?;
        let length: usize = str::from_utf8(length)?.parse().context("the reply's content-length is no number")?;
        if length > MAX_BODY {
            bail!("the reply has {length} bytes, over the limit of {MAX_BODY}");
        }
        input.get(start..start + length).map(|body| (Cow::Borrowed(body), start + length))
    };
    match (head.code, whole) {
        (_, None) => Ok(None),
        (Some(200), whole) => Ok(whole),
        (code, Some((body, _))) => bail!("the reply has status {}: {}", code.unwrap_or_default(), String::from_utf8_lossy(&body)),
    }
}

/// A chunked body, once it is whole, and where it ends.
fn chunks(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let size = httparse::parse_chunk_size(&input[at..]).map_err(|_| anyhow!("the reply has a chunk without a size"))?;
        let httparse::Status::Complete((head, size)) = size else { return Ok(None) };
        at += head;
        if size as usize > MAX_BODY - body.len() {
            bail!("the reply has more than {MAX_BODY} bytes");
        }
        let size = size as usize;
        // The end of a chunk, and that of a body without trailers.
        let Some(chunk) = input.get(at..at + size + 2) else { return Ok(None) };
        if chunk[size..] != *b"\r\n" {
            bail!("the reply has a chunk that is longer than it says, or trailers, which this client does not read");
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// Refuses a body that is not the message that was sent.
pub fn check(body: &[u8]) -> Result<()> {
    let message: Message =
        serde_json::from_slice(body).with_context(|| format!("the reply is not the record: {}", String::from_utf8_lossy(body)))?;
    if message != Message::sample() {
        bail!("the reply is not what was sent: {message:?}");
    }
    Ok(())
}

/// One connection.
pub struct Http1 {
    request: Vec<u8>,
    check: fn(&[u8]) -> Result<()>,
    sent: Instant,
    /// The first reply's body, which was checked field by field: the others are compared with it.
    right: Option<Vec<u8>>,
}

impl Http1 {
    /// A connection that sends this request again and again, and refuses what `check` refuses.
    pub fn new(request: Vec<u8>, check: fn(&[u8]) -> Result<()>) -> Http1 {
        Http1 { request, check, sent: Instant::now(), right: None }
    }
}

impl Client for Http1 {
    fn open(&mut self, now: Instant, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
        self.sent = now;
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<usize> {
        let Some((body, end)) = reply(input)? else { return Ok(0) };
        match &self.right {
            Some(right) if *right == *body => {}
            Some(_) => bail!("a reply differs from the first: {}", String::from_utf8_lossy(&body)),
            None => {
                (self.check)(&body)?;
                self.right = Some(body.into_owned());
            }
        }
        tally.record(now - self.sent);
        self.open(now, out);
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_taken_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
        assert!(reply(&whole[..whole.len() - 9]).expect("a good start").is_none());
        assert_eq!(reply(whole).expect("a good reply"), Some((Cow::Borrowed(&b"ok"[..]), whole.len() - 8)));
    }

    #[test]
    fn a_chunked_reply_is_taken_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n1;a=b\r\n!\r\n0\r\n\r\n";
        for length in 0..whole.len() {
            assert!(reply(&whole[..length]).expect("a good start").is_none());
        }
        let (body, end) = reply(whole).expect("a good reply").expect("a whole one");
        assert_eq!((&*body, end), (&b"ok!"[..], whole.len()));
        let wrong = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nlong\r\n0\r\n\r\n";
        assert!(reply(wrong).is_err());
    }

    #[test]
    fn a_wrong_reply_is_an_error_that_says_so() {
        let failed = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
        assert_eq!(reply(failed).expect_err("not 200").to_string(), "the reply has status 503: busy");
        assert!(check(br#"{"id":"2","text":"","tags":[]}"#).is_err());
    }
}
