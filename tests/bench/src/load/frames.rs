//! What gRPC's calls need of HTTP/2, by hand, because a general client would take as much of the
//! machine as the servers do: frames, the head of a call, the head and the end of a reply.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use super::hpack::Decoder;

/// What opens a connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
/// The longest frame that either side may send unasked.
pub const MAX_FRAME: usize = 16 << 10;
/// The window that the protocol gives a connection and a stream at first.
pub const FIRST_WINDOW: i64 = 65_535;
/// The widest window there is.
pub const WIDEST_WINDOW: u32 = (1 << 31) - 1;
/// The header table that a server must allow for this client's four entries.
const MIN_TABLE: u32 = 512;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// A frame that came.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: &'a [u8],
    /// Its bytes, head included.
    pub size: usize,
}

impl<'a> Frame<'a> {
    /// The first frame in `input`, once it is whole.
    pub fn first(input: &'a [u8]) -> Result<Option<Frame<'a>>> {
        let Some(head) = input.get(..FRAME_HEAD) else { return Ok(None) };
        let length = number(&[0, head[0], head[1], head[2]]) as usize;
        if length > MAX_FRAME {
            bail!("the server sends a frame of {length} bytes, over the limit of {MAX_FRAME}: it may not speak HTTP/2");
        }
        let size = FRAME_HEAD + length;
        let Some(payload) = input.get(FRAME_HEAD..size) else { return Ok(None) };
        let (kind, flags, stream) = (head[3], head[4], number(&head[5..]) & WIDEST_WINDOW);
        if kind == DATA && flags & PADDED != 0 {
            bail!("the server pads its data, which this client does not read");
        }
        Ok(Some(Frame { kind, flags, stream, payload, size }))
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The bytes of window that a WINDOW_UPDATE gives.
    pub fn increment(&self) -> Result<i64> {
        Ok(i64::from(number(self.payload.get(..4).context("a frame is too short")?) & WIDEST_WINDOW))
    }

    /// Settings of a server that are no obstacle to a client of so many streams.
    ///
    /// Fails on those that are. The rest are shown to `see`, by number and value.
    pub fn settings(&self, streams: usize, mut see: impl FnMut(u16, u32) -> Result<()>) -> Result<()> {
        for setting in self.payload.chunks_exact(6) {
            let value = number(&setting[2..]);
            match u16::from_be_bytes([setting[0], setting[1]]) {
                1 if value < MIN_TABLE => bail!("the server allows a header table of {value} bytes, {MIN_TABLE} are needed"),
                3 if (value as usize) < streams => {
                    bail!("the server allows {value} streams on a connection, {streams} are wanted: use more connections")
                }
                name => see(name, value)?,
            }
        }
        Ok(())
    }

    /// The error of a frame by which a server breaks off; `None` for every other frame.
    pub fn broken_off(&self) -> Option<anyhow::Error> {
        let code = |at: usize| self.payload.get(at..at + 4).map_or(0, number);
        match self.kind {
            RST_STREAM => Some(anyhow::anyhow!("the server reset stream {} with code {}", self.stream, code(0))),
            GOAWAY => Some(anyhow::anyhow!("the server closes the connection with code {}", code(4))),
            _ => None,
        }
    }

    /// Decodes headers or trailers of a reply; `opened` tells that the headers came before.
    ///
    /// Fails when the call failed. Returns whether the reply has ended.
    pub fn reply(&self, decoder: &mut Decoder, opened: bool) -> Result<bool> {
        if !self.has(END_HEADERS) || self.has(PADDED | PRIORITY) {
            bail!("the server sends headers that are split, padded or with priorities, which this client does not read");
        }
        let (mut status, mut code, mut reason) = (false, None, Vec::new());
        decoder.decode(self.payload, |name, value| match name {
            b":status" => status = value == b"200",
            b"grpc-status" => code = Some(String::from_utf8_lossy(value).into_owned()),
            b"grpc-message" => reason = value.to_vec(),
            _ => {}
        })?;
        let ended = self.has(END_STREAM);
        if code.as_ref().is_some_and(|code| code != "0") || (!opened && !status) || (ended && code.is_none()) {
            bail!(
                "a call failed: HTTP {}, gRPC status {}, {}",
                if opened || status { "200" } else { "not 200" },
                code.as_deref().unwrap_or("missing"),
                String::from_utf8_lossy(&reason)
            );
        }
        Ok(ended)
    }
}

/// Says a frame.
pub fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Says the head of a call. The first on a connection puts four entries into the server's table, which
/// the later ones name.
pub fn call_head(out: &mut Vec<u8>, stream: u32, address: SocketAddr, path: &str) {
    if stream > 1 {
        // POST, http, and the four entries.
        return frame(out, HEADERS, END_HEADERS, stream, &[0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe]);
    }
    let mut block = vec![0x83, 0x86];
    // The names by their index in the static table; `te` is not in it.
    for (index, value) in [(4, path), (1, &address.to_string()), (31, "application/grpc"), (0, "trailers")] {
        block.push(0x40 | index);
        if index == 0 {
            block.extend_from_slice(b"\x02te");
        }
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    frame(out, HEADERS, END_HEADERS, stream, &block);
}

/// A message in gRPC's envelope.
pub fn envelope(message: &impl prost::Message) -> Vec<u8> {
    let mut body = vec![0];
    body.extend_from_slice(&(message.encoded_len() as u32).to_be_bytes());
    body.extend_from_slice(&message.encode_to_vec());
    body
}

/// The first four bytes, as a number.
pub fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}
