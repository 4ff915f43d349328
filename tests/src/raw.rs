//! Bytes over TCP, for clients that no library would let be so rude.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::soon;

/// A connection that sends what it is told.
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Raw {
        Raw { stream: soon("a TCP connection", TcpStream::connect(address)).await.expect("the host listens") }
    }

    /// Sends bytes; returns whether the host still took them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon("the host to take bytes", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// All that the host sends until it closes the connection.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        // A connection reset is an end like any other here.
        let _ = soon("the host to close the connection", self.stream.read_to_end(&mut all)).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    /// What the host sends up to this text, which is waited for.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        while !all.ends_with(text.as_bytes()) {
            let byte = soon(text, self.stream.read_u8()).await;
            all.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&all))));
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// What the host sends up to the end of the next response's head.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = soon("a response's head", self.stream.read_u8()).await;
            head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head))));
        }
        String::from_utf8_lossy(&head).into_owned()
    }
}

/// The status of a response's text.
pub fn status(response: &str) -> Option<u16> {
    response.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}
