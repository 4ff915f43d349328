//! Calls with streams over HTTP/2: as many at once on a connection as are wanted, each of many
//! messages, one call after the other. Messages are told apart by their envelopes and compared as
//! bytes: decoding them would take from the servers what is to be measured.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::frames::{
    ACK, DATA, END_STREAM, FIRST_WINDOW, Frame, HEADERS, MAX_FRAME, PING, PREFACE, SETTINGS, WINDOW_UPDATE, call_head, envelope, frame,
};
use super::hpack::Decoder;
use super::{Client, Tally};
use crate::items::{CONSUME, Consumed, ECHO, Item, PRODUCE, ProduceRequest};

/// The windows that this client gives: those of tonic's own client.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;
/// What is said before it is written: some frames, so that a system call carries many.
const PIECE: usize = 64 << 10;
/// Messages of one call: so many that how a call begins and ends is no matter, and in bytes so few that
/// calls end within every measurement.
const MESSAGES: usize = 10_000;
const BYTES: usize = 64 << 20;
/// What fills the messages.
const FILLING: u8 = b'm';

/// Who sends the many messages of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The server.
    Produce,
    /// The client.
    Consume,
    /// Both, the same ones.
    Echo,
}

impl Direction {
    fn path(self) -> &'static str {
        match self {
            Direction::Produce => PRODUCE,
            Direction::Consume => CONSUME,
            Direction::Echo => ECHO,
        }
    }
}

/// One connection.
pub struct Streams {
    address: SocketAddr,
    direction: Direction,
    streams: usize,
    size: usize,
    /// The bytes of a message in its envelope, again and again, for so long that a frame from any place
    /// in the first is one slice.
    pattern: Vec<u8>,
    /// The bytes of one.
    length: usize,
    decoder: Decoder,
    calls: Vec<Call>,
    /// The stream of the next call.
    next: u32,
    /// The one of `calls` whose turn it is to send.
    turn: usize,
    send_window: i64,
    /// The window that a stream has at first.
    first_window: i64,
    /// Bytes received since the server was last given window.
    received: u32,
}

/// One call.
struct Call {
    stream: u32,
    opened: bool,
    began: Instant,
    /// Bytes of the client's messages that are still to be sent, and those that were.
    left: usize,
    sent: usize,
    window: i64,
    /// Messages of the reply that have to come, and what came of them.
    due: usize,
    reply: Reply,
    /// The only message of a reply that has one.
    only: Option<Vec<u8>>,
    /// Bytes received since the server was last given window for this call.
    received: u32,
}

/// What came of a reply's messages.
#[derive(Default)]
struct Reply {
    /// Whole ones.
    came: usize,
    /// Bytes that came of the next one.
    at: usize,
}

impl Reply {
    /// Takes bytes of messages that begin as `start` says and have `length` bytes.
    fn take(&mut self, start: &[u8], length: usize, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let piece = match start.get(self.at..).filter(|rest| !rest.is_empty()) {
                Some(rest) => {
                    let piece = rest.len().min(bytes.len());
                    if rest[..piece] != bytes[..piece] {
                        let (wanted, came) = (&rest[..piece.min(16)], &bytes[..piece.min(16)]);
                        bail!("message {} of a reply is not right: at byte {} it has {came:?} for {wanted:?}", self.came + 1, self.at);
                    }
                    piece
                }
                None => (length - self.at).min(bytes.len()),
            };
            bytes = &bytes[piece..];
            self.at += piece;
            if self.at == length {
                self.at = 0;
                self.came += 1;
            }
        }
        Ok(())
    }
}

impl Streams {
    /// A connection that keeps `streams` calls going to the server at `address`, with messages of `size`
    /// bytes.
    pub fn new(address: SocketAddr, direction: Direction, streams: usize, size: usize) -> Streams {
        let message = envelope(&Item { value: vec![FILLING; size] });
        let length = message.len();
        let pattern = message.iter().copied().cycle().take(length + MAX_FRAME).collect();
        Streams {
            address,
            direction,
            streams,
            size,
            pattern,
            length,
            decoder: Decoder::new(),
            calls: Vec::with_capacity(streams),
            next: 1,
            turn: 0,
            send_window: FIRST_WINDOW,
            first_window: FIRST_WINDOW,
            received: 0,
        }
    }

    /// Begins a call.
    fn call(&mut self, messages: usize, now: Instant, out: &mut Vec<u8>) -> Call {
        let stream = self.next;
        self.next += 2;
        call_head(out, stream, self.address, self.direction.path());
        let mut call = Call {
            stream,
            opened: false,
            began: now,
            left: 0,
            sent: 0,
            window: self.first_window,
            due: messages,
            reply: Reply::default(),
            only: None,
            received: 0,
        };
        match self.direction {
            Direction::Produce => {
                let request = envelope(&ProduceRequest { count: messages as u32, size: self.size as u32 });
                // Small, and the server gives window for what it has read: there is always room.
                self.send_window -= request.len() as i64;
                frame(out, DATA, END_STREAM, stream, &request);
            }
            Direction::Consume => {
                call.left = messages * self.length;
                call.only = Some(envelope(&Consumed { value: messages as u64 }));
                call.due = 1;
            }
            Direction::Echo => call.left = messages * self.length,
        }
        call
    }

    fn data(&mut self, came: Frame, out: &mut Vec<u8>, tally: &mut Tally) -> Result<()> {
        let stream = came.stream;
        let call = self.calls.iter_mut().find(|call| call.stream == stream);
        let call = call.with_context(|| format!("the server answers stream {stream}, which is not open"))?;
        let (start, length) = match (&call.only, self.direction) {
            (Some(only), _) => (&only[..], only.len()),
            // What the server fills its items with is its own affair: their number and length have to be right.
            (None, Direction::Produce) => (&self.pattern[..self.length - self.size], self.length),
            (None, _) => (&self.pattern[..self.length], self.length),
        };
        call.reply.take(start, length, came.payload)?;
        if self.direction != Direction::Consume {
            tally.messages += came.payload.len() as f64 / length as f64;
        }
        if came.has(END_STREAM) {
            bail!("a call ended without a gRPC status");
        }
        let bytes = came.payload.len() as u32;
        (call.received, self.received) = (call.received + bytes, self.received + bytes);
        for (received, stream, window) in [(&mut call.received, stream, STREAM_WINDOW), (&mut self.received, 0, CONNECTION_WINDOW)] {
            if *received > window / 2 {
                frame(out, WINDOW_UPDATE, 0, stream, &received.to_be_bytes());
                *received = 0;
            }
        }
        Ok(())
    }

    fn headers(&mut self, came: Frame, now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<()> {
        let place = self.calls.iter().position(|call| call.stream == came.stream);
        let place = place.with_context(|| format!("the server answers stream {}, which is not open", came.stream))?;
        let call = &mut self.calls[place];
        let ended = came.reply(&mut self.decoder, call.opened)?;
        call.opened = true;
        if !ended {
            return Ok(());
        }
        let Reply { came, at } = call.reply;
        if came != call.due || at != 0 || call.left != 0 {
            let (due, left) = (call.due, call.left);
            bail!("a call ended well after {came} messages and {at} bytes, but {due} were due, and {left} bytes still to be sent");
        }
        tally.calls.record(now - call.began);
        let messages = self.messages();
        self.calls[place] = self.call(messages, now, out);
        Ok(())
    }

    /// The messages of a call.
    fn messages(&self) -> usize {
        (BYTES / self.size.max(1)).clamp(1, MESSAGES)
    }
}

impl Client for Streams {
    fn open(&mut self, now: Instant, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFACE);
        // No push, and the windows.
        let [a, b, c, d] = STREAM_WINDOW.to_be_bytes();
        frame(out, SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0, 0, 4, a, b, c, d]);
        frame(out, WINDOW_UPDATE, 0, 0, &(CONNECTION_WINDOW - FIRST_WINDOW as u32).to_be_bytes());
        let messages = self.messages();
        for stream in 1..=self.streams {
            // The first ones end one after the other, and so do those that follow them.
            let call = self.call((messages * stream / self.streams).max(1), now, out);
            self.calls.push(call);
        }
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<usize> {
        let Some(came) = Frame::first(input)? else { return Ok(0) };
        match came.kind {
            DATA => self.data(came, out, tally)?,
            HEADERS => self.headers(came, now, out, tally)?,
            SETTINGS if !came.has(ACK) => {
                let mut window = self.first_window;
                came.settings(self.streams, |name, value| {
                    if name == 4 {
                        window = i64::from(value);
                    }
                    Ok(())
                })?;
                self.calls.iter_mut().for_each(|call| call.window += window - self.first_window);
                self.first_window = window;
                frame(out, SETTINGS, ACK, 0, &[]);
            }
            PING if !came.has(ACK) => frame(out, PING, ACK, 0, came.payload),
            WINDOW_UPDATE if came.stream == 0 => self.send_window += came.increment()?,
            WINDOW_UPDATE => {
                // One of a call that has ended changes nothing.
                if let Some(call) = self.calls.iter_mut().find(|call| call.stream == came.stream) {
                    call.window += came.increment()?;
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

    fn say(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        // A frame of each in turn, until all windows are full or have nothing to fill them.
        let mut passed = 0;
        while out.len() < PIECE && self.send_window > 0 && passed < self.calls.len() {
            let call = &mut self.calls[self.turn];
            self.turn = (self.turn + 1) % self.streams;
            let piece = (call.left as i64).min(call.window).min(self.send_window).min(MAX_FRAME as i64);
            if piece <= 0 {
                passed += 1;
                continue;
            }
            passed = 0;
            let at = call.sent % self.length;
            call.sent += piece as usize;
            call.left -= piece as usize;
            call.window -= piece;
            self.send_window -= piece;
            let last = if call.left == 0 { END_STREAM } else { 0 };
            frame(out, DATA, last, call.stream, &self.pattern[at..at + piece as usize]);
            if self.direction == Direction::Consume {
                tally.messages += piece as f64 / self.length as f64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::END_HEADERS;
    use super::*;

    const SIZE: usize = 16;

    /// What a client with one call of the kind makes of `input`.
    fn receive(direction: Direction, input: &[u8]) -> Result<(u64, u64)> {
        let mut client = Streams::new(SocketAddr::from(([127, 0, 0, 1], 1)), direction, 1, SIZE);
        let (mut out, mut tally, now) = (Vec::new(), Tally::new(), Instant::now());
        client.open(now, &mut out);
        // All that it has to send, for which the server gives room.
        client.calls[0].window = i64::MAX;
        client.send_window = i64::MAX;
        loop {
            out.clear();
            client.say(&mut out, &mut tally);
            if out.is_empty() {
                break;
            }
        }
        let mut taken = 0;
        loop {
            match client.receive(&input[taken..], now, &mut out, &mut tally)? {
                0 => return Ok((tally.messages.round() as u64, tally.calls.total())),
                more => taken += more,
            }
        }
    }

    /// A reply of these bytes.
    fn reply(messages: &[u8], status: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, HEADERS, END_HEADERS, 1, &[0x88]);
        // Cut where no message is.
        messages.chunks(1000).for_each(|piece| frame(&mut out, DATA, 0, 1, piece));
        frame(&mut out, HEADERS, END_HEADERS | END_STREAM, 1, &[b"\x00\x0bgrpc-status\x01", status].concat());
        out
    }

    fn items(count: usize, filling: u8) -> Vec<u8> {
        envelope(&Item { value: vec![filling; SIZE] }).repeat(count)
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let count = MESSAGES as u64;
        for (direction, right) in [
            (Direction::Produce, items(MESSAGES, b'x')),
            (Direction::Echo, items(MESSAGES, FILLING)),
            (Direction::Consume, envelope(&Consumed { value: count })),
        ] {
            let counted = receive(direction, &reply(&right, b"0"));
            assert_eq!(counted.unwrap_or_else(|error| panic!("{direction:?}: {error}")), (count, 1), "{direction:?}");
        }
    }

    #[test]
    fn a_wrong_reply_is_an_error() {
        let other = envelope(&Item { value: vec![FILLING; SIZE + 1] });
        for (direction, messages, status, why) in [
            (Direction::Produce, items(MESSAGES - 1, FILLING), b"0", "were due"),
            (Direction::Produce, items(MESSAGES + 1, FILLING), b"0", "were due"),
            (Direction::Produce, other, b"0", "not right"),
            (Direction::Echo, items(1, b'x'), b"0", "not right"),
            (Direction::Echo, items(1, FILLING), b"8", "a call failed"),
            (Direction::Consume, envelope(&Consumed { value: 1 }), b"0", "not right"),
        ] {
            let error = receive(direction, &reply(&messages, status)).expect_err(why).to_string();
            assert!(error.contains(why), "{direction:?}: {error}");
        }
    }
}
