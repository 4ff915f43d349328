//! The functions that count of WASI 0.3 alone. They do what those of 0.2 do, beside one another.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use wasmtime::component::{ComponentNamedList, FutureReader, Lift, LinkerInstance, Source, StreamConsumer, StreamReader, StreamResult};
use wasmtime::{AsContextMut, Result, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::filesystem::types as p2;
use wasmtime_wasi::p2::{DynOutputStream, FsResult, StreamError};
use wasmtime_wasi::p3::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use super::Disk;
use super::alike::{Begin, Fd, Row, Version, get, method};
use super::files::to_the_end;
use crate::wasm::state::State;

/// Bytes that are copied out of a guest at once.
const CHUNK: usize = 64 << 10;

/// WASI 0.3.
pub enum Third {}

impl Version for Third {
    const TYPES: &'static str = "wasi:filesystem/types@0.3.0";

    const OWN: &'static [Row] = OWN;

    fn waiting<P, F>(link: &mut LinkerInstance<'_, State>, disk: &Arc<Disk>, name: &str, begin: Begin<P, F>) -> Result<()>
    where
        P: ComponentNamedList + Lift + Send + Sync + 'static,
        F: Future<Output = FsResult<()>> + Send + 'static,
    {
        let disk = Arc::clone(disk);
        link.func_wrap_concurrent(&method(name), move |accessor, params: P| {
            let disk = Arc::clone(&disk);
            Box::pin(async move {
                let begun = accessor.with(|mut access| begin(disk, access.as_context_mut().data_mut().ctx().table, params))?;
                told(to_the_end(begun).await)
            })
        })
    }
}

const OWN: &[Row] = &[
    |link, disk| {
        Third::waiting(link, disk, "link-at", |disk, table, (from, follow, old, to, new): (Fd, PathFlags, String, Fd, String)| {
            Ok(disk.link_at(get(table, &from)?, following(follow), old, get(table, &to)?, new))
        })
    },
    open_at,
    |link, disk| {
        let disk = Arc::clone(disk);
        link.func_wrap(&method("write-via-stream"), move |store, (at, data, offset): (Fd, StreamReader<u8>, u64)| {
            stream(store, &disk, &at, data, Some(offset))
        })
    },
    |link, disk| {
        let disk = Arc::clone(disk);
        link.func_wrap(&method("append-via-stream"), move |store, (at, data): (Fd, StreamReader<u8>)| stream(store, &disk, &at, data, None))
    },
];

fn open_at(link: &mut LinkerInstance<'_, State>, disk: &Arc<Disk>) -> Result<()> {
    let disk = Arc::clone(disk);
    type Params = (Fd, PathFlags, String, OpenFlags, DescriptorFlags);
    link.func_wrap_concurrent(&method("open-at"), move |accessor, (at, follow, path, how, flags): Params| {
        let disk = Arc::clone(&disk);
        Box::pin(async move {
            let at = accessor.with(|mut access| get(access.as_context_mut().data_mut().ctx().table, &at))?;
            let opened = to_the_end(disk.open_at(at, following(follow), path, opening(how), described(flags))).await;
            told(opened.and_then(|opened| accessor.with(|mut access| Ok(access.as_context_mut().data_mut().ctx().table.push(opened)?))))
        })
    })
}

type Written = FutureReader<Result<(), ErrorCode>>;

fn stream(
    mut store: StoreContextMut<'_, State>,
    disk: &Arc<Disk>,
    at: &Fd,
    mut data: StreamReader<u8>,
    offset: Option<u64>,
) -> Result<(Written,)> {
    let at = get(store.data_mut().ctx().table, at)?;
    let (result, written) = oneshot::channel();
    match told(disk.stream(at, offset))?.0 {
        Ok(stream) => data.pipe(&mut store, Sink { write: Write::Idle(stream), result: Some(result) })?,
        Err(error) => {
            data.close(&mut store)?;
            // Its receiver is below.
            let _ = result.send(Err(error));
        }
    }
    Ok((FutureReader::new(&mut store, written)?,))
}

/// Takes what a guest writes to a stream, and writes it to a file.
struct Sink {
    write: Write,
    /// Where the guest is told how it ended.
    result: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

enum Write {
    Idle(DynOutputStream),
    UnderWay(usize, BoxFuture<'static, (DynOutputStream, Result<(), StreamError>)>),
    Ended,
}

impl Sink {
    fn end(&mut self, result: Result<(), ErrorCode>) {
        self.write = Write::Ended;
        if let Some(told) = self.result.take() {
            // The guest may not want to know.
            let _ = told.send(result);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl StreamConsumer<State> for Sink {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<Result<StreamResult>> {
        let me = self.get_mut();
        let mut source = source.as_direct(store);
        if let Write::Idle(_) = &me.write {
            let waiting = source.remaining();
            if waiting.is_empty() {
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            let bytes = Bytes::copy_from_slice(&waiting[..waiting.len().min(CHUNK)]);
            let len = bytes.len();
            if let Write::Idle(mut stream) = std::mem::replace(&mut me.write, Write::Ended) {
                let writing = async move {
                    let written = stream.blocking_write_and_flush(bytes).await;
                    (stream, written)
                };
                me.write = Write::UnderWay(len, Box::pin(writing));
            }
        }
        // What has begun cannot be taken back, also where the guest would like to.
        let Write::UnderWay(len, writing) = &mut me.write else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        let (stream, written) = ready!(writing.as_mut().poll(cx));
        match written {
            Ok(()) => {
                source.mark_read(*len);
                me.write = Write::Idle(stream);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(StreamError::Trap(trap)) => Poll::Ready(Err(trap)),
            Err(error) => {
                me.end(Err(failed(&error)));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

/// What the guest is told of a write that failed.
fn failed(error: &StreamError) -> ErrorCode {
    match error {
        StreamError::LastOperationFailed(error) => error.downcast_ref::<std::io::Error>().map_or(ErrorCode::Io, ErrorCode::from),
        StreamError::Closed | StreamError::Trap(_) => ErrorCode::Io,
    }
}

/// What the guest is told; a trap where it did what it must not.
fn told<T>(result: FsResult<T>) -> Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(code(error.downcast()?)),)),
    }
}

fn following(flags: PathFlags) -> p2::PathFlags {
    if flags.contains(PathFlags::SYMLINK_FOLLOW) { p2::PathFlags::SYMLINK_FOLLOW } else { p2::PathFlags::empty() }
}

fn opening(flags: OpenFlags) -> p2::OpenFlags {
    let all = [
        (OpenFlags::CREATE, p2::OpenFlags::CREATE),
        (OpenFlags::DIRECTORY, p2::OpenFlags::DIRECTORY),
        (OpenFlags::EXCLUSIVE, p2::OpenFlags::EXCLUSIVE),
        (OpenFlags::TRUNCATE, p2::OpenFlags::TRUNCATE),
    ];
    all.into_iter().filter(|(flag, _)| flags.contains(*flag)).fold(p2::OpenFlags::empty(), |so_far, (_, flag)| so_far | flag)
}

fn described(flags: DescriptorFlags) -> p2::DescriptorFlags {
    let all = [
        (DescriptorFlags::READ, p2::DescriptorFlags::READ),
        (DescriptorFlags::WRITE, p2::DescriptorFlags::WRITE),
        (DescriptorFlags::FILE_INTEGRITY_SYNC, p2::DescriptorFlags::FILE_INTEGRITY_SYNC),
        (DescriptorFlags::DATA_INTEGRITY_SYNC, p2::DescriptorFlags::DATA_INTEGRITY_SYNC),
        (DescriptorFlags::REQUESTED_WRITE_SYNC, p2::DescriptorFlags::REQUESTED_WRITE_SYNC),
        (DescriptorFlags::MUTATE_DIRECTORY, p2::DescriptorFlags::MUTATE_DIRECTORY),
    ];
    all.into_iter().filter(|(flag, _)| flags.contains(*flag)).fold(p2::DescriptorFlags::empty(), |so_far, (_, flag)| so_far | flag)
}

/// The code of 0.2 as 0.3 has it.
fn code(code: p2::ErrorCode) -> ErrorCode {
    match code {
        p2::ErrorCode::Access => ErrorCode::Access,
        // 0.3 has none for it, and no function here that would say it.
        p2::ErrorCode::WouldBlock => ErrorCode::Other(Some("would block".into())),
        p2::ErrorCode::Already => ErrorCode::Already,
        p2::ErrorCode::BadDescriptor => ErrorCode::BadDescriptor,
        p2::ErrorCode::Busy => ErrorCode::Busy,
        p2::ErrorCode::Deadlock => ErrorCode::Deadlock,
        p2::ErrorCode::Quota => ErrorCode::Quota,
        p2::ErrorCode::Exist => ErrorCode::Exist,
        p2::ErrorCode::FileTooLarge => ErrorCode::FileTooLarge,
        p2::ErrorCode::IllegalByteSequence => ErrorCode::IllegalByteSequence,
        p2::ErrorCode::InProgress => ErrorCode::InProgress,
        p2::ErrorCode::Interrupted => ErrorCode::Interrupted,
        p2::ErrorCode::Invalid => ErrorCode::Invalid,
        p2::ErrorCode::Io => ErrorCode::Io,
        p2::ErrorCode::IsDirectory => ErrorCode::IsDirectory,
        p2::ErrorCode::Loop => ErrorCode::Loop,
        p2::ErrorCode::TooManyLinks => ErrorCode::TooManyLinks,
        p2::ErrorCode::MessageSize => ErrorCode::MessageSize,
        p2::ErrorCode::NameTooLong => ErrorCode::NameTooLong,
        p2::ErrorCode::NoDevice => ErrorCode::NoDevice,
        p2::ErrorCode::NoEntry => ErrorCode::NoEntry,
        p2::ErrorCode::NoLock => ErrorCode::NoLock,
        p2::ErrorCode::InsufficientMemory => ErrorCode::InsufficientMemory,
        p2::ErrorCode::InsufficientSpace => ErrorCode::InsufficientSpace,
        p2::ErrorCode::NotDirectory => ErrorCode::NotDirectory,
        p2::ErrorCode::NotEmpty => ErrorCode::NotEmpty,
        p2::ErrorCode::NotRecoverable => ErrorCode::NotRecoverable,
        p2::ErrorCode::Unsupported => ErrorCode::Unsupported,
        p2::ErrorCode::NoTty => ErrorCode::NoTty,
        p2::ErrorCode::NoSuchDevice => ErrorCode::NoSuchDevice,
        p2::ErrorCode::Overflow => ErrorCode::Overflow,
        p2::ErrorCode::NotPermitted => ErrorCode::NotPermitted,
        p2::ErrorCode::Pipe => ErrorCode::Pipe,
        p2::ErrorCode::ReadOnly => ErrorCode::ReadOnly,
        p2::ErrorCode::InvalidSeek => ErrorCode::InvalidSeek,
        p2::ErrorCode::TextFileBusy => ErrorCode::TextFileBusy,
        p2::ErrorCode::CrossDevice => ErrorCode::CrossDevice,
    }
}
