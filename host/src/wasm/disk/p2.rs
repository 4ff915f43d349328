//! The functions of WASI 0.2 that count.

use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Lift, LinkerInstance, Lower, Resource, ResourceTable};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use super::Disk;
use super::files::to_the_end;
use crate::wasm::state::State;

/// The interface, in the version that wasmtime has; it stands for all others of 0.2.
pub const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// A function, put into a linker.
pub type Row = fn(&mut LinkerInstance<'_, State>, &Arc<Disk>) -> Result<()>;

type Fd = Resource<Descriptor>;

pub const ROWS: &[Row] = &[
    |link, disk| waiting(link, disk, "set-size", |disk, table, (at, size): (Fd, u64)| Ok(disk.set_size(get(table, &at)?, size))),
    |link, disk| {
        waiting(link, disk, "write", |disk, table, (at, bytes, offset): (Fd, Vec<u8>, u64)| Ok(disk.write(get(table, &at)?, bytes, offset)))
    },
    |link, disk| {
        waiting(link, disk, "create-directory-at", |disk, table, (at, path): (Fd, String)| {
            Ok(disk.create_directory_at(get(table, &at)?, path))
        })
    },
    |link, disk| {
        waiting(link, disk, "remove-directory-at", |disk, table, (at, path): (Fd, String)| {
            Ok(disk.remove_directory_at(get(table, &at)?, path))
        })
    },
    |link, disk| {
        waiting(link, disk, "unlink-file-at", |disk, table, (at, path): (Fd, String)| Ok(disk.unlink_file_at(get(table, &at)?, path)))
    },
    |link, disk| {
        waiting(link, disk, "symlink-at", |disk, table, (at, old, new): (Fd, String, String)| {
            Ok(disk.symlink_at(get(table, &at)?, old, new))
        })
    },
    |link, disk| {
        waiting(link, disk, "rename-at", |disk, table, (from, old, to, new): (Fd, String, Fd, String)| {
            Ok(disk.rename_at(get(table, &from)?, old, get(table, &to)?, new))
        })
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

/// A method's name in a component.
pub fn method(name: &str) -> String {
    format!("[method]descriptor.{name}")
}

/// What a handle of the guest's stands for.
pub fn get(table: &ResourceTable, handle: &Fd) -> Result<Descriptor> {
    Ok(table.get(handle)?.clone())
}

/// What the guest is told; a trap where it did what it must not.
fn told<T>(result: FsResult<T>) -> Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn waiting<P, R, F>(
    link: &mut LinkerInstance<'_, State>,
    disk: &Arc<Disk>,
    name: &str,
    begin: fn(Arc<Disk>, &ResourceTable, P) -> Result<F>,
) -> Result<()>
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
