//! One connection that calls with JSON and waits for each answer: for calls that are timed one by one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::http1;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// No answer of these calls is longer.
const MAX_REPLY: usize = 64 << 10;

/// A connection to a server.
pub struct Caller {
    stream: TcpStream,
    address: SocketAddr,
    input: Vec<u8>,
}

impl Caller {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Result<Caller> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Caller { stream, address, input: Vec::new() })
    }

    /// Calls, and returns how long the answer took, and what it was.
    pub fn call(&mut self, path: &str, body: &str) -> Result<(Duration, Vec<u8>)> {
        let (address, length) = (self.address, body.len());
        let request =
            format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        let began = Instant::now();
        self.stream.write_all(request.as_bytes()).context("cannot write to the server")?;
        self.input.clear();
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece).with_context(|| format!("no answer from {path}"))? {
                0 => bail!("the server closed the connection before it answered {path}"),
                read => self.input.extend_from_slice(&piece[..read]),
            }
            let took = began.elapsed();
            if let Some((body, _)) = http1::reply(&self.input).with_context(|| path.to_owned())? {
                return Ok((took, body.into_owned()));
            }
            if self.input.len() > MAX_REPLY {
                bail!("the answer of {path} is longer than {MAX_REPLY} bytes");
            }
        }
    }
}
