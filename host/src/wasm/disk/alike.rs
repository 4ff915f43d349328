//! The functions that count and are the same in WASI 0.2 and 0.3: they wait, and end with nothing or an
//! error. What the versions have each for itself stands in a file of theirs.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{ComponentNamedList, Lift, LinkerInstance, Resource, ResourceTable};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::FsResult;

use super::Disk;
use crate::wasm::state::State;

/// A function, put into a linker.
pub type Row = fn(&mut LinkerInstance<'_, State>, &Arc<Disk>) -> Result<()>;

/// What a function does first, with the guest's handles and its parameters; then it is waited for.
pub type Begin<P, F> = fn(Arc<Disk>, &ResourceTable, P) -> Result<F>;

/// A handle of the guest's.
pub type Fd = Resource<Descriptor>;

/// A version of WASI.
pub trait Version {
    /// The interface, in the version that wasmtime has; it stands for all others of its line.
    const TYPES: &'static str;

    /// The functions that the other version has not, or has in another shape.
    const OWN: &'static [Row];

    /// Puts a function into a linker that waits, as this version has such functions.
    fn waiting<P, F>(link: &mut LinkerInstance<'_, State>, disk: &Arc<Disk>, name: &str, begin: Begin<P, F>) -> Result<()>
    where
        P: ComponentNamedList + Lift + Send + Sync + 'static,
        F: Future<Output = FsResult<()>> + Send + 'static;
}

/// An interface, and all functions of it that count.
pub fn all<V: Version>() -> (&'static str, Vec<Row>) {
    (V::TYPES, alike::<V>().iter().chain(V::OWN).copied().collect())
}

fn alike<V: Version>() -> [Row; 6] {
    [
        |link, disk| V::waiting(link, disk, "set-size", |disk, table, (at, size): (Fd, u64)| Ok(disk.set_size(get(table, &at)?, size))),
        |link, disk| {
            V::waiting(link, disk, "create-directory-at", |disk, table, (at, path): (Fd, String)| {
                Ok(disk.create_directory_at(get(table, &at)?, path))
            })
        },
        |link, disk| {
            V::waiting(link, disk, "remove-directory-at", |disk, table, (at, path): (Fd, String)| {
                Ok(disk.remove_directory_at(get(table, &at)?, path))
            })
        },
        |link, disk| {
            V::waiting(
                link,
                disk,
                "unlink-file-at",
                |disk, table, (at, path): (Fd, String)| Ok(disk.unlink_file_at(get(table, &at)?, path)),
            )
        },
        |link, disk| {
            V::waiting(link, disk, "symlink-at", |disk, table, (at, old, new): (Fd, String, String)| {
                Ok(disk.symlink_at(get(table, &at)?, old, new))
            })
        },
        |link, disk| {
            V::waiting(link, disk, "rename-at", |disk, table, (from, old, to, new): (Fd, String, Fd, String)| {
                Ok(disk.rename_at(get(table, &from)?, old, get(table, &to)?, new))
            })
        },
    ]
}

/// A method's name in a component.
pub fn method(name: &str) -> String {
    format!("[method]descriptor.{name}")
}

/// What a handle of the guest's stands for.
pub fn get(table: &ResourceTable, handle: &Fd) -> Result<Descriptor> {
    Ok(table.get(handle)?.clone())
}
