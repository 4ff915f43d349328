//! gRPC calls over HTTP/2: as many at once on a connection as there are streams. Only what such calls
//! need, by hand, because a general client would take as much of the machine as the servers do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use prost::Message as _;

use super::hpack::Decoder;
use super::{Client, Tally};
use crate::message::{Message, PATH};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
/// The longest frame that a server may send unasked.
const MAX_FRAME: usize = 16 << 10;
/// The window that the protocol gives a connection and a stream at first.
const FIRST_WINDOW: i64 = 65_535;
/// The window that this client gives: the most there is, so that no server waits for it.
const WINDOW: u32 = (1 << 31) - 1;
/// The header table that a server must allow for this client's four entries.
const MIN_TABLE: u32 = 512;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

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
        let message = Message::sample().encode_to_vec();
        let mut body = vec![0];
        body.extend_from_slice(&(message.len() as u32).to_be_bytes());
        body.extend_from_slice(&message);
        Http2 {
            address,
            streams,
            body,
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
        let mut block = Vec::new();
        let block: &[u8] = if self.next == 1 {
            self.first_block(&mut block);
            &block
        } else {
            // POST, http, and the four entries that the first call put into the server's table.
            &[0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe]
        };
        frame(out, HEADERS, END_HEADERS, self.next, block);
        frame(out, DATA, END_STREAM, self.next, &self.body);
        self.calls.push_back(Some(Call { sent: now, body: self.spare.pop().unwrap_or_default(), opened: false }));
        self.next += 2;
    }

    fn first_block(&self, block: &mut Vec<u8>) {
        block.extend_from_slice(&[0x83, 0x86]);
        // The names by their index in the static table; `te` is not in it.
        for (index, value) in [(4, PATH), (1, &self.address.to_string()), (31, "application/grpc"), (0, "trailers")] {
            block.push(0x40 | index);
            if index == 0 {
                block.extend_from_slice(b"\x02te");
            }
            block.push(value.len() as u8);
            block.extend_from_slice(value.as_bytes());
        }
    }

    fn settings(&mut self, payload: &[u8]) -> Result<()> {
        for setting in payload.chunks_exact(6) {
            let value = number(&setting[2..]);
            match u16::from_be_bytes([setting[0], setting[1]]) {
                1 if value < MIN_TABLE => bail!("the server allows a header table of {value} bytes, {MIN_TABLE} are needed"),
                3 if (value as usize) < self.streams => {
                    bail!("the server allows {value} streams on a connection, {} are wanted: use more connections", self.streams)
                }
                4 if (value as usize) < self.body.len() => {
                    bail!("the server gives a stream a window of {value} bytes, {} are needed", self.body.len())
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn slot(&mut self, stream: u32) -> Result<&mut Option<Call>> {
        let index = stream.checked_sub(self.oldest).map(|distance| distance as usize / 2);
        let slot = index.and_then(|index| self.calls.get_mut(index)).filter(|slot| slot.is_some());
        slot.with_context(|| format!("the server answers stream {stream}, which is not open"))
    }

    fn headers(&mut self, stream: u32, flags: u8, block: &[u8]) -> Result<bool> {
        if flags & END_HEADERS == 0 || flags & (PADDED | PRIORITY) != 0 {
            bail!("the server sends headers that are split, padded or with priorities, which this client does not read");
        }
        let (mut status, mut code, mut reason) = (false, None, Vec::new());
        self.decoder.decode(block, |name, value| match name {
            b":status" => status = value == b"200",
            b"grpc-status" => code = Some(value == b"0"),
            b"grpc-message" => reason = value.to_vec(),
            _ => {}
        })?;
        let ended = flags & END_STREAM != 0;
        let call = self.slot(stream)?.as_mut().context("the stream is open")?;
        if code == Some(false) || (!call.opened && !status) || (ended && code.is_none()) {
            bail!(
                "a call failed: HTTP {}, gRPC status {code:?}, {}",
                if status { "200" } else { "not 200" },
                String::from_utf8_lossy(&reason)
            );
        }
        call.opened = true;
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
        let [a, b, c, d] = WINDOW.to_be_bytes();
        frame(out, SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0, 0, 4, a, b, c, d]);
        frame(out, WINDOW_UPDATE, 0, 0, &(WINDOW - FIRST_WINDOW as u32).to_be_bytes());
        (0..self.streams).for_each(|_| self.call(now, out));
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<usize> {
        let Some(head) = input.get(..FRAME_HEAD) else { return Ok(0) };
        let length = number(&[0, head[0], head[1], head[2]]) as usize;
        if length > MAX_FRAME {
            bail!("the server sends a frame of {length} bytes, over the limit of {MAX_FRAME}: it may not speak HTTP/2");
        }
        let end = FRAME_HEAD + length;
        let Some(payload) = input.get(FRAME_HEAD..end) else { return Ok(0) };
        let (kind, flags, stream) = (head[3], head[4], number(&head[5..]) & WINDOW);
        match kind {
            DATA => {
                if flags & PADDED != 0 {
                    bail!("the server pads its data, which this client does not read");
                }
                self.slot(stream)?.as_mut().context("the stream is open")?.body.extend_from_slice(payload);
                self.received += length as u32;
                if self.received > WINDOW / 2 {
                    frame(out, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
                    self.received = 0;
                }
                if flags & END_STREAM != 0 {
                    bail!("a call ended without a gRPC status");
                }
            }
            HEADERS => {
                let ended = self.headers(stream, flags, payload)?;
                if ended {
                    self.finish(stream, now, out, tally)?;
                }
            }
            SETTINGS if flags & ACK == 0 => {
                self.settings(payload)?;
                frame(out, SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => frame(out, PING, ACK, 0, payload),
            WINDOW_UPDATE if stream == 0 => {
                self.send_window += i64::from(number(payload.get(..4).context("a frame is too short")?) & WINDOW);
                for _ in 0..std::mem::take(&mut self.held) {
                    self.call(now, out);
                }
            }
            RST_STREAM => bail!("the server reset stream {stream} with code {}", payload.get(..4).map_or(0, number)),
            GOAWAY => bail!("the server closes the connection with code {}", payload.get(4..8).map_or(0, number)),
            _ => {}
        }
        Ok(end)
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
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
    use super::super::histogram::Histogram;
    use super::*;

    /// What a client with one call makes of `input`.
    fn receive(input: &[u8]) -> Result<(usize, u64)> {
        let mut client = Http2::new(SocketAddr::from(([127, 0, 0, 1], 1)), 1);
        let (mut out, mut tally, now) = (Vec::new(), Tally(Histogram::new()), Instant::now());
        client.open(now, &mut out);
        let mut taken = 0;
        loop {
            match client.receive(&input[taken..], now, &mut out, &mut tally)? {
                0 => return Ok((taken, tally.0.total())),
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
