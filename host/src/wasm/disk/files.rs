//! WASI's functions that change what is in a folder, with the count added. What they do to files is
//! wasmtime's own, in its form for WASI 0.2: it works on handles of a table, so each call gets a small
//! table of its own, and no call holds the guest's. What has begun is seen to its end, also where the
//! guest is gone by then: else it would be done and not be counted.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, FsError, FsResult};

use super::ledger::{End, Inode};
use super::stream::Counted;
use super::{Disk, Full};

impl From<Full> for FsError {
    fn from(_: Full) -> FsError {
        ErrorCode::InsufficientSpace.into()
    }
}

/// wasmtime's own functions for one or two descriptors.
#[derive(Default)]
struct Own {
    context: WasiFilesystemCtx,
    table: ResourceTable,
}

impl Own {
    /// Its functions for one descriptor, and what they know it by.
    fn of(descriptor: Descriptor) -> FsResult<(Own, Handle)> {
        let mut own = Own::default();
        let handle = own.put(descriptor)?;
        Ok((own, handle))
    }

    fn put(&mut self, descriptor: Descriptor) -> FsResult<Handle> {
        Ok(Handle(self.table.push(descriptor)?.rep()))
    }

    fn view(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView { ctx: &mut self.context, table: &mut self.table }
    }

    async fn stat_at(&mut self, folder: Handle, follow: PathFlags, path: &str) -> FsResult<DescriptorStat> {
        self.view().stat_at(folder.get(), follow, path.to_owned()).await
    }

    async fn inode_at(&mut self, folder: Handle, path: &str) -> FsResult<Inode> {
        let hash = self.view().metadata_hash_at(folder.get(), PathFlags::empty(), path.to_owned()).await?;
        Ok((hash.lower, hash.upper))
    }

    /// The file that this is the last name of, and its length. Names must not change meanwhile.
    async fn last_name(&mut self, folder: Handle, path: &str, stat: &DescriptorStat) -> Option<(Inode, u64)> {
        if stat.type_ != DescriptorType::RegularFile || stat.link_count > 1 {
            return None;
        }
        Some((self.inode_at(folder, path).await.ok()?, stat.size))
    }
}

/// A descriptor's place in the table of [`Own`].
#[derive(Clone, Copy)]
struct Handle(u32);

impl Handle {
    fn get(self) -> Resource<Descriptor> {
        Resource::new_borrow(self.0)
    }
}

/// The file behind a descriptor, if its growth is to be counted; wasmtime refuses the others itself.
fn file(descriptor: &Descriptor) -> Option<&Arc<std::fs::File>> {
    match descriptor {
        Descriptor::File(file) if !file.perms.write_not_permitted() => Some(&file.file),
        _ => None,
    }
}

/// Whether names may be made and removed in what is behind a descriptor; wasmtime refuses it elsewhere.
fn is_writable(descriptor: &Descriptor) -> bool {
    matches!(descriptor, Descriptor::Dir(folder) if !folder.perms.write_not_permitted())
}

/// Does what was begun, to the end, whoever waits for it.
pub async fn to_the_end<T: Send + 'static>(begun: impl Future<Output = FsResult<T>> + Send + 'static) -> FsResult<T> {
    tokio::spawn(begun).await.unwrap_or_else(|ended| Err(FsError::trap(ended)))
}

impl Disk {
    pub(super) async fn set_size(self: Arc<Disk>, at: Descriptor, size: u64) -> FsResult<()> {
        let charge = match file(&at) {
            Some(file) => Some(self.charge(file, End::At(size)).await?),
            None => None,
        };
        let (mut own, handle) = Own::of(at)?;
        let result = own.view().set_size(handle.get(), size).await;
        match charge {
            Some(charge) if charge.grows() && result.is_ok() => charge.done(),
            Some(charge) => charge.settled().await,
            None => {}
        }
        result
    }

    pub(super) async fn write(self: Arc<Disk>, at: Descriptor, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let wanted = bytes.len() as u64;
        let charge = match file(&at) {
            Some(file) => Some(self.charge(file, End::At(offset.saturating_add(wanted))).await?),
            None => None,
        };
        let (mut own, handle) = Own::of(at)?;
        let result = own.view().write(handle.get(), bytes, offset).await;
        match charge {
            Some(charge) if result.as_ref().is_ok_and(|written| *written == wanted) => charge.done(),
            Some(charge) => charge.settled().await,
            None => {}
        }
        result
    }

    /// Looks whether there is room for what a stream into a file would bring. WASI 0.2 tells the reason
    /// only where it is found here: what libraries make of the error of a stream is an `EIO`.
    pub(super) async fn has_room(&self, at: &Descriptor, offset: Option<u64>) -> FsResult<()> {
        match file(at) {
            Some(file) => Ok(self.some_room(file, offset).await?),
            None => Ok(()),
        }
    }

    /// A stream of bytes into a file: from an offset on, or behind what it has.
    pub(super) fn stream(self: &Arc<Disk>, at: Descriptor, offset: Option<u64>) -> FsResult<DynOutputStream> {
        let counted = file(&at).cloned();
        let (mut own, handle) = Own::of(at)?;
        let stream = match offset {
            Some(offset) => own.view().write_via_stream(handle.get(), offset)?,
            None => own.view().append_via_stream(handle.get())?,
        };
        let stream = own.table.delete(stream)?;
        Ok(match counted {
            Some(file) => Box::new(Counted::new(stream, Arc::clone(self), file, offset)),
            None => stream,
        })
    }

    pub(super) async fn open_at(
        self: Arc<Disk>,
        at: Descriptor,
        follow: PathFlags,
        path: String,
        mut how: OpenFlags,
        mut flags: DescriptorFlags,
    ) -> FsResult<Descriptor> {
        let counts = is_writable(&at);
        let (mut own, folder) = Own::of(at)?;
        if !counts || how.contains(OpenFlags::DIRECTORY) {
            return own.open(folder, follow, path, how, flags).await;
        }
        let truncates = how.contains(OpenFlags::TRUNCATE);
        if truncates {
            // It is opened as it would be, and truncated when it is known which file it is.
            how &= !OpenFlags::TRUNCATE;
            if !flags.contains(DescriptorFlags::WRITE) {
                flags |= DescriptorFlags::READ | DescriptorFlags::WRITE;
            }
        }
        let (opened, is_new) = if how.contains(OpenFlags::CREATE) {
            let (_names, is_new) = loop {
                let names = self.ledger.names.write().await;
                let is_new = own.stat_at(folder, follow, &path).await.is_err();
                if !is_new || self.charge_name() {
                    break (names, is_new);
                }
                drop(names);
                self.room_for_name().await?;
            };
            let opened = own.open(folder, follow, path, how, flags).await;
            if is_new && opened.is_err() {
                self.ledger.return_name();
            }
            let opened = opened?;
            self.opened(&opened).await?;
            (opened, is_new)
        } else {
            let _names = self.ledger.names.read().await;
            let opened = own.open(folder, follow, path, how, flags).await?;
            self.opened(&opened).await?;
            (opened, false)
        };
        if truncates && !is_new && file(&opened).is_some() {
            self.set_size(opened.clone(), 0).await?;
        }
        Ok(opened)
    }

    /// Takes down a file that was opened. Names must not change meanwhile.
    async fn opened(&self, opened: &Descriptor) -> FsResult<()> {
        let Some(file) = file(opened) else { return Ok(()) };
        let (mut own, handle) = Own::of(opened.clone())?;
        let hash = own.view().metadata_hash(handle.get()).await?;
        loop {
            let closings = self.ledger.closings();
            let len = own.view().stat(handle.get()).await?.size;
            if self.ledger.opened(file, (hash.lower, hash.upper), len, closings) {
                return Ok(());
            }
        }
    }

    pub(super) async fn unlink_file_at(self: Arc<Disk>, at: Descriptor, path: String) -> FsResult<()> {
        let counts = is_writable(&at);
        let (mut own, folder) = Own::of(at)?;
        if !counts {
            return own.view().unlink_file_at(folder.get(), path).await;
        }
        let _names = self.ledger.names.write().await;
        let last = match own.stat_at(folder, PathFlags::empty(), &path).await {
            Ok(stat) => own.last_name(folder, &path, &stat).await,
            Err(_) => None,
        };
        own.view().unlink_file_at(folder.get(), path).await?;
        self.ledger.return_name();
        if let Some((inode, len)) = last {
            self.ledger.unnamed(inode, len);
        }
        Ok(())
    }

    pub(super) async fn rename_at(self: Arc<Disk>, from: Descriptor, old: String, to: Descriptor, new: String) -> FsResult<()> {
        let counts = is_writable(&from) && is_writable(&to);
        let (mut own, from) = Own::of(from)?;
        let to = own.put(to)?;
        if !counts {
            return own.view().rename_at(from.get(), old, to.get(), new).await;
        }
        let _names = self.ledger.names.write().await;
        let replaced = own.stat_at(to, PathFlags::empty(), &new).await.ok();
        let last = match &replaced {
            Some(stat) => own.last_name(to, &new, stat).await,
            None => None,
        };
        // Two names of one file stay both as they are.
        let is_same =
            replaced.is_some() && matches!((own.inode_at(from, &old).await, own.inode_at(to, &new).await), (Ok(a), Ok(b)) if a == b);
        own.view().rename_at(from.get(), old, to.get(), new).await?;
        if replaced.is_some() && !is_same {
            self.ledger.return_name();
            if let Some((inode, len)) = last {
                self.ledger.unnamed(inode, len);
            }
        }
        Ok(())
    }

    pub(super) async fn remove_directory_at(self: Arc<Disk>, at: Descriptor, path: String) -> FsResult<()> {
        let counts = is_writable(&at);
        let (mut own, folder) = Own::of(at)?;
        let _names = self.ledger.names.read().await;
        own.view().remove_directory_at(folder.get(), path).await?;
        if counts {
            self.ledger.return_name();
        }
        Ok(())
    }

    pub(super) async fn create_directory_at(self: Arc<Disk>, at: Descriptor, path: String) -> FsResult<()> {
        let (counts, (mut own, folder)) = (is_writable(&at), Own::of(at)?);
        self.name(counts, Box::pin(own.view().create_directory_at(folder.get(), path))).await
    }

    pub(super) async fn symlink_at(self: Arc<Disk>, at: Descriptor, old: String, new: String) -> FsResult<()> {
        let (counts, (mut own, folder)) = (is_writable(&at), Own::of(at)?);
        self.name(counts, Box::pin(own.view().symlink_at(folder.get(), old, new))).await
    }

    pub(super) async fn link_at(
        self: Arc<Disk>,
        from: Descriptor,
        follow: PathFlags,
        old: String,
        to: Descriptor,
        new: String,
    ) -> FsResult<()> {
        let counts = is_writable(&from) && is_writable(&to);
        let (mut own, from) = Own::of(from)?;
        let to = own.put(to)?;
        self.name(counts, Box::pin(own.view().link_at(from.get(), follow, old, to.get(), new))).await
    }

    /// Makes one more name, where it counts.
    async fn name(&self, counts: bool, made: BoxFuture<'_, FsResult<()>>) -> FsResult<()> {
        if !counts {
            return made.await;
        }
        let _names = loop {
            let names = self.ledger.names.read().await;
            if self.charge_name() {
                break names;
            }
            drop(names);
            self.room_for_name().await?;
        };
        let made = made.await;
        if made.is_err() {
            self.ledger.return_name();
        }
        made
    }
}

impl Own {
    async fn open(
        &mut self,
        folder: Handle,
        follow: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Descriptor> {
        let opened = self.view().open_at(folder.get(), follow, path, how, flags).await?;
        Ok(self.table.delete(opened)?)
    }
}
