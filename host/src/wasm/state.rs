//! What belongs to one instance: its sandbox, its bounds, and the calls that run in it.

use std::sync::Arc;

use tracing::Level;
use wasmtime::StoreContextMut;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::call::Call;
use super::imports::Watches;
use super::inbox::Inbox;
use super::limiter::Limiter;
use super::log::{Output, ServiceLog};
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::voices::Voice;

/// The most random bytes that a guest may ask for at once.
const MAX_RANDOM: u64 = 1 << 20;

/// One in so many of an instance's handles may be of the host's resources: these hold more than others.
const HOSTS_PART: usize = 6;

/// The data of one store.
pub struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    table: ResourceTable,
    stderr: Output,
    stdout: Output,
    /// Counts memory and tables.
    pub limiter: Limiter,
    /// The service's log.
    pub log: Arc<ServiceLog>,
    /// The calls that run in the instance.
    pub inbox: Arc<Inbox>,
    /// The instances of the service, of which this is one.
    pub pool: Arc<Pool>,
    /// What it says of its service.
    pub voice: Voice,
    /// Watches of which services there are.
    pub watches: Watches,
}

/// A granted folder cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the granted folder {path}: {source}")]
pub struct FolderError {
    path: std::path::PathBuf,
    source: wasmtime::Error,
}

impl State {
    /// The state of a new instance: closed stdin, output to the log, and of this machine only what
    /// is granted.
    pub fn new(pool: &Arc<Pool>, limiter: Limiter, inbox: Arc<Inbox>) -> Result<State, FolderError> {
        let (grants, log) = (pool.grants(), Arc::clone(pool.log()));
        let stdout = Output::new(Arc::clone(&log), Level::INFO);
        let stderr = Output::new(Arc::clone(&log), Level::WARN);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).max_random_size(MAX_RANDOM);
        // Without a grant: no address may be used and no name looked up.
        if grants.sockets {
            wasi.inherit_network().allow_tcp(true).allow_udp(true).allow_ip_name_lookup(true);
        } else {
            wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        }
        for (name, value) in &grants.environment {
            wasi.env(name, value);
        }
        for (guest, folder) in &grants.folders {
            let perms = if folder.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&folder.path, guest, perms).map_err(|source| FolderError { path: folder.path.clone(), source })?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(pool.limits().handles / HOSTS_PART);
        Ok(State {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outgoing: Outgoing::new(pool.client()),
            table,
            stderr,
            stdout,
            limiter,
            log,
            inbox,
            pool: Arc::clone(pool),
            voice: pool.voices().join(),
            watches: Watches::default(),
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.stdout.finish();
        self.stderr.finish();
    }
}

/// The call that the running guest code serves; `None` outside of any.
///
/// wasmtime names the task from which all the running code comes, and the guest cannot change that
/// (`async_call_stack`).
pub fn current_call(store: &mut StoreContextMut<'_, State>) -> Option<Arc<Call>> {
    let root = store.async_call_stack().ok()?.last()?;
    store.data().inbox.call(root)
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}
