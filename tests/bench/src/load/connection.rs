//! A socket of the load generator: read and written for as long as there is something, in turns.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use super::{Client, Tally};

/// Bytes read from a socket at once.
const READ: usize = 64 << 10;
/// Reads before the others have their turn.
const READS: usize = 8;

/// A socket with what was read and is not understood yet, and what is to be written.
pub struct Connection<C> {
    stream: TcpStream,
    client: C,
    /// The start of a message that is not whole.
    rest: Vec<u8>,
    out: Vec<u8>,
    /// Bytes of `out` that are written.
    written: usize,
}

impl<C: Client> Connection<C> {
    /// Connects, and says what opens the connection.
    pub fn open(address: SocketAddr, client: C, poll: &Poll, token: Token, tally: &mut Tally) -> Result<Connection<C>> {
        let stream = StdStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut connection = Connection { stream: TcpStream::from_std(stream), client, rest: Vec::new(), out: Vec::new(), written: 0 };
        poll.registry().register(&mut connection.stream, token, Interest::READABLE | Interest::WRITABLE)?;
        connection.client.open(Instant::now(), &mut connection.out);
        connection.write(tally)?;
        Ok(connection)
    }

    /// Reads what there is and writes what follows from it. Returns whether more is there to read:
    /// the socket is told of once.
    pub fn ready(&mut self, scratch: &mut Vec<u8>, tally: &mut Tally) -> Result<bool> {
        for _ in 0..READS {
            // What was left goes before what is read, so that most messages are understood where they
            // were read to.
            let start = self.rest.len();
            if scratch.len() < start + READ {
                scratch.resize(start + READ, 0);
            }
            scratch[..start].copy_from_slice(&self.rest);
            let read = match self.stream.read(&mut scratch[start..]) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.write(tally)?;
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read from the server"),
            };
            // Less than there was room for: the socket is empty, and the next bytes are told of.
            let empty = start + read < scratch.len();
            let bytes = &scratch[..start + read];
            let taken = self.take(bytes, tally)?;
            self.rest.clear();
            self.rest.extend_from_slice(&bytes[taken..]);
            self.write(tally)?;
            if empty {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<usize> {
        let now = Instant::now();
        let mut taken = 0;
        while taken < bytes.len() {
            match self.client.receive(&bytes[taken..], now, &mut self.out, tally)? {
                0 => break,
                more => taken += more,
            }
        }
        Ok(taken)
    }

    fn write(&mut self, tally: &mut Tally) -> Result<()> {
        loop {
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
                self.client.say(&mut self.out, tally);
                if self.out.is_empty() {
                    return Ok(());
                }
            }
            match self.stream.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot write to the server"),
            }
        }
    }
}
