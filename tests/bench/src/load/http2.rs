//! Unary gRPC calls over HTTP/2: as many at once on a connection as there are streams.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use prost::Message as _;

use super::frames::{
    ACK, DATA, END_STREAM, FIRST_WINDOW, Frame, HEADERS, PING, PREFACE, SETTINGS, WIDEST_WINDOW, WINDOW_UPDATE, call_head, envelope, frame,
    number,
};
use super::hpack::Decoder;
use super::{Client, Tally};
use crate::message::{Message, PATH};

/// One call that waits for its reply.
struct Call {
    sent: Instant,
    body: Vec<u8>,
    opened: bool,
}

/// One connection.
pub struct Http2 {
    address: SocketAddr,
    streams: usize,
    body: Vec<u8>,
    decoder: Decoder,
    /// The calls from the oldest on, by stream: `None` once one is answered.
    calls: VecDeque<Option<Call>>,
    /// Buffers of answered calls, to be used again.
    spare: Vec<Vec<u8>>,
    /// The stream of the first in `calls`, and of the next call.
    oldest: u32,
    next: u32,
    /// Calls that wait for room in the server's window.
    held: usize,
    send_window: i64,
    /// Bytes received since the server was last given window.
    received: u32,
    right: Option<Vec<u8>>,
}

impl Http2 {
    /// A connection that keeps `streams` calls going to the server at `address`.
    pub fn new(address: SocketAddr, streams: usize) -> Http2 {
        Http2 {
            address,
            streams,
            body: envelope(&Message::sample()),
            decoder: Decoder::new(),
            calls: VecDeque::with_capacity(streams * 2),
            spare: Vec::new(),
            oldest: 1,
            next: 1,
            held: 0,
            send_window: FIRST_WINDOW,
            received: 0,
            right: None,
        }
    }

    /// Sends one call, or holds it until the server gives room.
    fn call(&mut self, now: Instant, out: &mut Vec<u8>) {
        if self.send_window < self.body.len() as i64 {
            self.held += 1;
            return;
        }
        self.send_window -= self.body.len() as i64;
        call_head(out, self.next, self.address, PATH);
        frame(out, DATA, END_STREAM, self.next, &self.body);
        self.calls.push_back(Some(Call { sent: now, body: self.spare.pop().unwrap_or_default(), opened: false }));
        self.next += 2;
    }

    fn slot(&mut self, stream: u32) -> Result<&mut Option<Call>> {
        let index = stream.checked_sub(self.oldest).map(|distance| distance as usize / 2);
        let slot = index.and_then(|index| self.calls.get_mut(index)).filter(|slot| slot.is_some());
        slot.with_context(|| format!("the server answers stream {stream}, which is not open"))
    }

    fn headers(&mut self, frame: Frame) -> Result<bool> {
        let opened = self.slot(frame.stream)?.as_ref().is_some_and(|call| call.opened);
        let ended = frame.reply(&mut self.decoder, opened)?;
        self.slot(frame.stream)?.as_mut().context("the stream is open")?.opened = true;
        Ok(ended)
    }

    fn finish(&mut self, stream: u32, now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<()> {
        let mut call = self.slot(stream)?.take().context("the stream is open")?;
        while let Some(None) = self.calls.front() {
            self.calls.pop_front();
            self.oldest += 2;
        }
        match &self.right {
            Some(right) if *right == call.body => {}
            Some(_) => bail!("a reply differs from the first: {:?}", call.body),
            None => {
                check(&call.body)?;
                self.right = Some(call.body.clone());
            }
        }
        tally.record(now - call.sent);
        call.body.clear();
        self.spare.push(call.body);
        self.call(now, out);
        Ok(())
    }
}

impl Client for Http2 {
    fn open(&mut self, now: Instant, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFACE);
        // No push, and the widest window for each stream and for the connection.
        let [a, b, c, d] = WIDEST_WINDOW.to_be_bytes();
        frame(out, SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0, 0, 4, a, b, c, d]);
        frame(out, WINDOW_UPDATE, 0, 0, &(WIDEST_WINDOW - FIRST_WINDOW as u32).to_be_bytes());
        (0..self.streams).for_each(|_| self.call(now, out));
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<usize> {
        let Some(came) = Frame::first(input)? else { return Ok(0) };
        match came.kind {
            DATA => {
                self.slot(came.stream)?.as_mut().context("the stream is open")?.body.extend_from_slice(came.payload);
                self.received += came.payload.len() as u32;
                if self.received > WIDEST_WINDOW / 2 {
                    frame(out, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
                    self.received = 0;
                }
                if came.has(END_STREAM) {
                    bail!("a call ended without a gRPC status");
                }
            }
            HEADERS => {
                if self.headers(came)? {
                    self.finish(came.stream, now, out, tally)?;
                }
            }
            SETTINGS if !came.has(ACK) => {
                let body = self.body.len();
                came.settings(self.streams, |name, value| match name {
                    4 if (value as usize) < body => bail!("the server gives a stream a window of {value} bytes, {body} are needed"),
                    _ => Ok(()),
                })?;
                frame(out, SETTINGS, ACK, 0, &[]);
            }
            PING if !came.has(ACK) => frame(out, PING, ACK, 0, came.payload),
            WINDOW_UPDATE if came.stream == 0 => {
                self.send_window += came.increment()?;
                for _ in 0..std::mem::take(&mut self.held) {
                    self.call(now, out);
                }
            }
            _ => {
                if let Some(error) = came.broken_off() {
                    return Err(error);
                }
            }
        }
        Ok(came.size)
    }
}

/// Refuses a body that is not the message that was sent, in gRPC's frame.
fn check(body: &[u8]) -> Result<()> {
    let (head, message) = body.split_at_checked(5).context("a reply has no message")?;
    if head[0] != 0 || number(&head[1..]) as usize != message.len() {
        bail!("a reply is not one message without compression: {body:?}");
    }
    let message = Message::decode(message).context("a reply is not the record")?;
    if message != Message::sample() {
        bail!("the reply is not what was sent: {message:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::frames::END_HEADERS;
    use super::*;

    /// What a client with one call makes of `input`.
    fn receive(input: &[u8]) -> Result<(usize, u64)> {
        let mut client = Http2::new(SocketAddr::from(([127, 0, 0, 1], 1)), 1);
        let (mut out, mut tally, now) = (Vec::new(), Tally::new(), Instant::now());
        client.open(now, &mut out);
        let mut taken = 0;
        loop {
            match client.receive(&input[taken..], now, &mut out, &mut tally)? {
                0 => return Ok((taken, tally.calls.total())),
                more => taken += more,
            }
        }
    }

    fn reply(status: &[u8], message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, HEADERS, END_HEADERS, 1, &[0x88]);
        let message = message.encode_to_vec();
        frame(&mut out, DATA, 0, 1, &[&[0, 0, 0, 0, message.len() as u8], &message[..]].concat());
        frame(&mut out, HEADERS, END_HEADERS | END_STREAM, 1, &[b"\x00\x0bgrpc-status\x01", status].concat());
        out
    }

    #[test]
    fn a_right_reply_is_counted_once_it_is_whole() {
        let whole = reply(b"0", &Message::sample());
        assert_eq!(receive(&whole).expect("a right reply"), (whole.len(), 1));
        assert_eq!(receive(&whole[..whole.len() - 1]).expect("a good start").1, 0);
    }

    #[test]
    fn a_wrong_reply_is_an_error() {
        let other = Message { id: 2, ..Message::sample() };
        let unasked = reply(b"0", &Message::sample()).iter().enumerate().map(|(at, byte)| if at == 8 { 3 } else { *byte }).collect();
        for (input, why) in
            [(reply(b"8", &Message::sample()), "a call failed"), (reply(b"0", &other), "not what was sent"), (unasked, "not open")]
        {
            let error = receive(&input).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
