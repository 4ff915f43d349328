//! What a host is asked to run: everything decided, nothing left to look up. The command line, the
//! settings file and their defaults have met before this is made.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Failed, Host};
use crate::admin::Journal;
use crate::schema::{MethodKind, Refused};
use crate::settings::{Calls, Cluster, Grants, HealthCheck, HostName, HttpRoute, Isolation, Limits, Listen, Weight};

/// What a host is asked to run.
pub struct Options {
    /// Where and how to listen.
    pub listen: Listen,
    /// How commands reach the host.
    pub door: Entrance,
    /// How it finds other hosts.
    pub cluster: Cluster,
    /// How calls of services fail well.
    pub calls: Calls,
    /// How long calls that run may take to end once the host is told to stop; those that do not fail then.
    pub grace: Duration,
    /// What commands call the host; its process id where it has no name.
    pub name: Option<HostName>,
    /// The log, as the door shows it. Whoever sets up the program's log has it listen there.
    pub journal: Arc<Journal>,
    /// The services to load; at least one, here or in `failed`.
    pub services: Vec<Load>,
    /// Services that were asked for and have nothing to load, as their project did not build.
    pub failed: Vec<Failed>,
    /// Which services have to start, or the run ends.
    pub must_start: MustStart,
    /// Where compiled components are kept.
    pub cache: Cache,
    /// Called once, when all services that can start have started and the address is bound.
    pub on_ready: OnReady,
}

/// Which services of a run have to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MustStart {
    /// None: what cannot start now may be mended while the host runs.
    None,
    /// At least one: a host that serves nothing is of no use.
    One,
    /// All.
    All,
}

/// How commands reach a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Not at all.
    Shut,
    /// By a socket in the folder that the user's hosts share. Where the folder cannot be used, the host
    /// runs without, and says so: nobody asked for it.
    Usual,
    /// By a socket at this path.
    At(PathBuf),
}

/// What is called once the host serves.
pub type OnReady = Box<dyn FnOnce(&Ready, &Arc<Host>) + Send>;

/// One service to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// What logs and figures call it, and what owns its endpoints.
    pub name: String,
    /// Its component: a `.wasm` file.
    pub component: PathBuf,
    /// Its version, for people; that of the package that it exports unless set.
    pub version: Option<String>,
    /// How calls share instances.
    pub isolation: Isolation,
    /// Endpoints free of side effects: `example.greeter.Greet/Hello`.
    pub safe: Vec<String>,
    /// The services that a gateway takes the calls of; none stands for all that nothing else serves.
    pub handles: Vec<String>,
    /// Where it answers plain HTTP, if its component does; `/` unless set.
    pub http: Option<HttpRoute>,
    /// How many calls it gets beside the same service of other hosts.
    pub weight: Weight,
    /// What it says of itself to those who choose among hosts.
    pub labels: BTreeMap<String, String>,
    /// How it is asked whether it is well.
    pub health: HealthCheck,
    /// What it may use.
    pub limits: Limits,
    /// What it is allowed.
    pub grants: Grants,
}

/// Where compiled components are kept, so that the next start need not compile them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Nowhere: every start compiles.
    Off,
    /// In this folder, which other hosts may use at the same time.
    Folder(PathBuf),
}

impl Cache {
    /// The folder that is used unless another is named: `microhost` in the user's folder for
    /// caches. `Off` where the user has none.
    pub fn usual() -> Cache {
        dirs::cache_dir().map_or(Cache::Off, |folder| Cache::Folder(folder.join("microhost")))
    }
}

/// What a host tells once it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The address that was bound, if any, with the port that the system chose where 0 was asked for.
    pub address: Option<SocketAddr>,
    /// The sockets of this machine that it listens at.
    pub sockets: Vec<PathBuf>,
    /// Whether the listener speaks TLS; sockets do not.
    pub tls: bool,
    /// The socket by which commands reach the host, if there is one.
    pub door: Option<PathBuf>,
    /// The services that run, by name.
    pub services: Vec<ReadyService>,
    /// The services that could not be started, by name.
    pub failed: Vec<NotRunning>,
}

/// A service that was asked for and does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRunning {
    /// What was asked for.
    pub load: Load,
    /// Why, and what to do.
    pub why: String,
}

/// A loaded service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyService {
    /// Its name, as in [`Load::name`].
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// What callers can call, by name.
    pub endpoints: Vec<ReadyEndpoint>,
    /// Whether it takes calls of services beside these.
    pub gateway: bool,
    /// Where it answers plain HTTP, if it does.
    pub http: Option<HttpRoute>,
    /// Exported functions that cannot be served.
    pub refused: Vec<Refused>,
}

/// An endpoint of a loaded service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyEndpoint {
    /// The service's full name: `example.greeter.Greet`.
    pub service: String,
    /// The method: `Hello`.
    pub method: String,
    /// Which side sends more than one message.
    pub kind: MethodKind,
    /// A message in JSON that the method accepts: `{"name":"text"}`.
    pub example: String,
}
