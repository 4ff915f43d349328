//! A whole host, put together from its parts: the only module that knows them all.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::runtime::Runtime;

use crate::admin::door::Door;
use crate::admin::{Api, Control, Overview, Phase, Vitals};
use crate::edge;
use crate::lanes::Lanes;
use crate::middleware::cluster as callees;
use crate::registry::Outlook;
use crate::remote::{Bounds, Remote};
use crate::rpc::Router;
use crate::settings::{Address, Backend};
use crate::stats::CacheStats;
use crate::wasm::cache::{self, DEFAULT_CAPACITY};
use crate::wasm::directory::Directory;
use crate::wasm::engine::GuestEngine;
use crate::wasm::load::Loader;
use crate::wasm::start::Starter;

mod addresses;
mod change;
mod checks;
mod control;
mod disks;
mod entrance;
mod failed;
mod files;
mod host;
mod members;
mod node;
mod onlooker;
mod options;
mod reach;
mod registries;
mod standing;
mod steps;
mod stop;
mod swap;
mod versions;
mod vitals;
mod watch;

pub use change::{SwapError, Why};
pub use failed::{Failed, NotStarted};
pub use host::{Host, Running};
pub use onlooker::Onlooker;
pub use options::{Cache, Entrance, Load, MustStart, NotRunning, OnReady, Options, Ready, ReadyEndpoint, ReadyService};
pub use swap::{DEFAULT_GRACE, Swap};
pub use watch::Watch;

use addresses::Listening;
use members::Telling;
use reach::Reach;
use registries::Registries;
use vitals::Signs;

/// How long connections may take to write what became of calls that took longer than the grace.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the lanes may take to end when all calls have.
const LANES_GRACE: Duration = Duration::from_secs(2);

/// Loads the services, serves them, and returns when the host was asked to stop and has drained.
///
/// A service that cannot start takes no other down: it is logged and told with what is ready. Fails,
/// and serves nothing, where services cannot start that must ([`Options::must_start`]), or where the
/// address or the door cannot be had.
pub fn run(options: Options) -> anyhow::Result<()> {
    let Options { listen, cluster, calls, grace, door, name, journal, services: loads, failed, must_start, cache, on_ready } = options;
    let by_nats = cluster.advertise.iter().any(|address| matches!(address, Address::Nats(_)));
    if by_nats && !cluster.is_alone() && !cluster.registry.iter().any(|backend| matches!(backend, Backend::Nats(_))) {
        bail!("others are to reach this host by `nats:`, and it has no NATS server: give it one with --cluster nats://HOST");
    }
    if let Err(error) = files::open_as_many_as_allowed() {
        tracing::warn!(%error, "cannot raise the limit of open files: with many services or connections it may be reached");
    }
    let lanes = Lanes::start(available_parallelism().unwrap_or(NonZeroUsize::MIN)).context("cannot start the lanes")?;
    let cache_stats = Arc::new(CacheStats::default());
    let cached_in = match &cache {
        Cache::Off => None,
        Cache::Folder(folder) => Some(folder.clone()),
    };
    let cache = match cache {
        Cache::Off => None,
        Cache::Folder(folder) => Some(cache::Cache::open(&folder, DEFAULT_CAPACITY, Arc::clone(&cache_stats))?),
    };
    let engine = GuestEngine::new()?;
    let overview = Arc::new(Overview::new(Arc::new(Router::default()), cache_stats, journal));
    let view = &overview.view;
    let id = node::id();
    let runtime = own_runtime().context("cannot start the host's own runtime")?;
    let Registries { all: registries, peers, tunnels } = runtime.block_on(async {
        let registries = registries::open(&cluster);
        members::hear(view, &registries.all);
        registries
    });
    let directory = Arc::new(Directory::new(Arc::clone(view)));
    let outlook = Arc::new(Outlook::new(Arc::clone(view)));
    let channel = Arc::new(callees::Cluster::new(callees::Parts {
        router: Arc::clone(&overview.router),
        own: id.as_str().into(),
        zone: cluster.zone.clone(),
        view: Arc::clone(view),
        reach: Arc::new(Remote::new(&lanes, Bounds::default(), tunnels.clone())),
        settings: calls,
        stats: Arc::clone(&overview.callees),
    }));
    let starter = Starter::new(&engine, &lanes, channel, Arc::clone(&directory), Arc::clone(&outlook))?;
    let host = Arc::new(Host::new(Loader::new(engine, cache), starter, directory, Arc::clone(&overview), runtime.handle().clone()));
    let signs: Arc<dyn Vitals> = Arc::new(Signs::new(&lanes, runtime.handle(), &host, cached_in));
    overview.look_after(Arc::clone(&signs));
    // Every service before the address: what cannot be loaded must not be called.
    let failed: Vec<Failed> = failed
        .into_iter()
        .chain(host.start(loads, |lacking| {
            if !registries.is_empty() {
                runtime.block_on(members::until(view, members::DISCOVERY, || !lacking()));
            }
        }))
        .collect();
    let running = host.running().len();
    let goes_on = match must_start {
        MustStart::None => true,
        MustStart::One => running > 0,
        MustStart::All => failed.is_empty(),
    };
    if !goes_on {
        host.close();
        return Err(NotStarted::of(failed, running));
    }
    host.miss(&failed);
    runtime.block_on(async {
        let mut stop = stop::Stop::listen().context("cannot listen for signals")?;
        let socket = entrance::socket(&door, name.as_ref())?;
        let control: Arc<dyn Control> = Arc::clone(&host) as _;
        let api = Arc::new(Api::new(name.as_ref().map(ToString::to_string), control, Arc::clone(&overview)));
        let mut serving = edge::serve(&listen, Arc::clone(&overview), Some(Arc::clone(&api)), &lanes)?;
        let (address, sockets, tls) = (serving.address(), serving.sockets(), listen.tls.is_some());
        let url = address.map(|address| format!("{}://{address}", if tls { "https" } else { "http" }));
        let url = url.or_else(|| sockets.first().map(|path| format!("unix:{}", path.display())));
        if let Some(url) = url {
            api.serves_at(url);
        }
        let door = socket.map(|socket| Door::open(socket, api)).transpose()?;
        overview.health.enter(Phase::Ready);
        let subject = tunnels.as_ref().map(|tunnels| tunnels.subject(&id));
        let listening = Listening::new(&cluster, address, tls, sockets.clone(), subject);
        if let Some(tunnels) = tunnels.filter(|_| listening.is_reached_by_nats()) {
            serving.also(tunnels.listen(&id));
        }
        let reach = Reach::new(listening, &id);
        let node = members::node(&id, &host, &overview, &cluster, name.as_ref(), reach.watch());
        tokio::spawn(outlook.follow(node.clone()));
        if let Some(peers) = peers {
            overview.meet(peers);
            overview.tell(node.clone());
            overview.locate(reach.watch());
            tokio::spawn(reach.follow(reach::ask));
        }
        let telling = Telling::begin(&registries, &node, cluster.lease, &signs);
        let ready = Ready {
            address,
            sockets,
            tls,
            door: door.as_ref().map(|door| door.path().to_owned()),
            services: host.running().iter().map(|running| running.ready()).collect(),
            failed: host.missing(),
        };
        on_ready(&ready, &host);
        let signal = stop.next().await;
        tracing::info!(signal, "stopping: calls that run may end, a second signal stops at once");
        overview.health.enter(Phase::Draining);
        // First, so that others turn to other hosts while this one still takes what is on its way.
        telling.end().await;
        let began = Instant::now();
        tokio::select! {
            () = stopped(&serving, &host, grace) => tracing::info!(seconds = began.elapsed().as_secs_f64(), "stopped"),
            signal = stop.next() => tracing::warn!(signal, "stopped at once; calls that ran were cut off"),
        }
        overview.journal.end();
        if let Some(door) = door {
            door.close().await;
        }
        anyhow::Ok(())
    })?;
    // What hears of other hosts runs as long as it does, and may be waiting for one.
    runtime.shutdown_background();
    host.close();
    lanes.stop(LANES_GRACE);
    Ok(())
}

/// Lets the calls that run end within `grace`, and ends those that do not.
async fn stopped(serving: &edge::Serving, host: &Host, grace: Duration) {
    if !serving.drain(grace).await {
        let calls = host.cut();
        let connections = serving.end(FAREWELL).await;
        tracing::warn!(calls, connections_cut = connections, "calls that took longer than the grace were ended");
    }
}

/// What the host does beside serving runs on one thread of its own, also while services start.
fn own_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("host").enable_all().build()
}
