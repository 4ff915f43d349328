//! Bytes on their way into a file: each write is charged, then done by wasmtime's own stream.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::ledger::{Charge, End};
use super::{Disk, Full};

impl From<Full> for StreamError {
    fn from(_: Full) -> StreamError {
        // What a full file system says: WASI makes `insufficient-space` of it, and so each language its own.
        StreamError::LastOperationFailed(io::Error::from_raw_os_error(libc::ENOSPC).into())
    }
}

/// A stream that counts.
pub struct Counted {
    inner: DynOutputStream,
    disk: Arc<Disk>,
    file: Arc<File>,
    /// Where the next bytes go; without, behind all others.
    offset: Option<u64>,
    /// For the write that is under way.
    charge: Option<Charge>,
    /// A write was refused, which ends a stream.
    closed: bool,
}

impl Counted {
    pub fn new(inner: DynOutputStream, disk: Arc<Disk>, file: Arc<File>, offset: Option<u64>) -> Counted {
        Counted { inner, disk, file, offset, charge: None, closed: false }
    }

    /// Where the file ends when so many bytes more are written.
    fn end(&self, more: usize) -> End {
        match self.offset {
            Some(offset) => End::At(offset.saturating_add(more as u64)),
            None => End::Behind(more as u64),
        }
    }

    fn advance(&mut self, by: usize) {
        self.offset = self.offset.map(|offset| offset.saturating_add(by as u64));
    }

    fn open(&self) -> StreamResult<()> {
        if self.closed { Err(StreamError::Closed) } else { Ok(()) }
    }

    /// Notes how the write went that was under way.
    fn note<T>(&mut self, result: &StreamResult<T>) {
        let Some(charge) = self.charge.take() else { return };
        match result {
            Ok(_) => charge.done(),
            // Nobody waits for it: it is put right when it is known.
            Err(_) => drop(charge.settle()),
        }
    }
}

#[async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for Counted {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.open()?;
        if self.charge.is_some() {
            // What wasmtime's own stream says of it.
            return Err(StreamError::trap("write not permitted: check_write not called first"));
        }
        let len = bytes.len();
        let charge = self.disk.charge_now(&self.file, self.end(len)).inspect_err(|_| self.closed = true)?;
        self.charge = Some(charge);
        let written = self.inner.write(bytes);
        match &written {
            Ok(()) => self.advance(len),
            Err(_) => self.note(&written),
        }
        written
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.open()?;
        let flushed = self.inner.flush();
        if flushed.is_err() {
            self.note(&flushed);
        }
        flushed
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.open()?;
        let ready = self.inner.check_write();
        // Zero as long as the write is under way.
        if matches!(ready, Ok(0)) {
            return ready;
        }
        self.note(&ready);
        // As much as there is room for. Where there is none it is the next write that is refused: an error
        // here would be taken for one of the last.
        let room = usize::try_from(self.disk.room(&self.file, self.offset)).unwrap_or(usize::MAX);
        ready.map(|permit| if room == 0 { permit } else { permit.min(room) })
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.open()?;
        // Before the next, it is known how the last one went.
        self.inner.ready().await;
        let last = self.inner.check_write();
        self.note(&last);
        last?;
        let (disk, len) = (Arc::clone(&self.disk), bytes.len());
        let charge = disk.charge(&self.file, self.end(len)).await.inspect_err(|_| self.closed = true)?;
        let written = self.inner.blocking_write_and_flush(bytes).await;
        match &written {
            Ok(()) => {
                charge.done();
                self.advance(len);
            }
            Err(_) => charge.settled().await,
        }
        written
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
        // By now it has been written, or will not be.
        if let Some(charge) = self.charge.take() {
            charge.settled().await;
        }
    }
}
