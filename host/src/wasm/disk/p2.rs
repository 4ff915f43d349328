//! The functions that count of WASI 0.2 alone.

use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Lift, LinkerInstance, Lower};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use super::Disk;
use super::alike::{Begin, Fd, Row, Version, get, method};
use super::files::to_the_end;
use crate::wasm::state::State;

/// WASI 0.2.
pub enum Second {}

impl Version for Second {
    const TYPES: &'static str = "wasi:filesystem/types@0.2.12";

    const OWN: &'static [Row] = OWN;

    fn waiting<P, F>(link: &mut LinkerInstance<'_, State>, disk: &Arc<Disk>, name: &str, begin: Begin<P, F>) -> Result<()>
    where
        P: ComponentNamedList + Lift + Send + Sync + 'static,
        F: Future<Output = FsResult<()>> + Send + 'static,
    {
        waiting(link, disk, name, begin)
    }
}

const OWN: &[Row] = &[
    |link, disk| {
        waiting(link, disk, "write", |disk, table, (at, bytes, offset): (Fd, Vec<u8>, u64)| Ok(disk.write(get(table, &at)?, bytes, offset)))
    },
    |link, disk| {
        waiting(link, disk, "link-at", |disk, table, (from, follow, old, to, new): (Fd, PathFlags, String, Fd, String)| {
            Ok(disk.link_at(get(table, &from)?, follow, old, get(table, &to)?, new))
        })
    },
    open_at,
    |link, disk| stream(link, disk, "write-via-stream", |(at, offset): (Fd, u64)| (at, Some(offset))),
    |link, disk| stream(link, disk, "append-via-stream", |(at,): (Fd,)| (at, None)),
];

/// What the guest is told; a trap where it did what it must not.
fn told<T>(result: FsResult<T>) -> Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn waiting<P, R, F>(link: &mut LinkerInstance<'_, State>, disk: &Arc<Disk>, name: &str, begin: Begin<P, F>) -> Result<()>
where
    P: ComponentNamedList + Lift + Send + Sync + 'static,
    R: Send + Sync + 'static,
    (Result<R, ErrorCode>,): ComponentNamedList + Lower,
    F: Future<Output = FsResult<R>> + Send + 'static,
{
    let disk = Arc::clone(disk);
    link.func_wrap_async(&method(name), move |mut store: StoreContextMut<'_, State>, params: P| {
        let begun = begin(Arc::clone(&disk), store.data_mut().ctx().table, params);
        Box::new(async move { told(to_the_end(begun?).await) })
    })
}

fn open_at(link: &mut LinkerInstance<'_, State>, disk: &Arc<Disk>) -> Result<()> {
    let disk = Arc::clone(disk);
    type Params = (Fd, PathFlags, String, OpenFlags, DescriptorFlags);
    link.func_wrap_async(&method("open-at"), move |mut store: StoreContextMut<'_, State>, (at, follow, path, how, flags): Params| {
        let disk = Arc::clone(&disk);
        Box::new(async move {
            let at = get(store.data_mut().ctx().table, &at)?;
            let opened = to_the_end(disk.open_at(at, follow, path, how, flags)).await;
            told(opened.and_then(|opened| Ok(store.data_mut().ctx().table.push(opened)?)))
        })
    })
}

/// A stream of bytes into a file, from an offset on or behind what it has.
fn stream<P>(link: &mut LinkerInstance<'_, State>, disk: &Arc<Disk>, name: &str, to: fn(P) -> (Fd, Option<u64>)) -> Result<()>
where
    P: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let disk = Arc::clone(disk);
    link.func_wrap_async(&method(name), move |mut store: StoreContextMut<'_, State>, params: P| {
        let (disk, (at, offset)) = (Arc::clone(&disk), to(params));
        Box::new(async move {
            let at = get(store.data_mut().ctx().table, &at)?;
            let room = disk.has_room(&at, offset).await;
            let stream = room.and_then(|()| disk.stream(at, offset));
            told(stream.and_then(|stream| Ok(store.data_mut().ctx().table.push(stream)?)))
        })
    })
}
