//! `microhost run`: loads services and serves them until it is told to stop.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use microhost::admin::Journal;
use microhost::app::{self, Cache, Failed, Load, MustStart, OnReady, Options};
use microhost::settings::{HostName, Isolation, Limits, Place, Places, Tls, parse_duration};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::logging::LogArgs;

mod cluster;
mod grants;
mod plan;
pub mod ready;

pub use cluster::ClusterArgs;
pub use grants::GrantFlags;
pub use plan::{Plan, Wanted};

/// Load services and serve them
///
/// PATH is a component (.wasm), the folder of a project, which is built first, or a microhost.toml.
/// All that the paths stand for runs in one host, and each service may call the others that it is
/// granted. One that cannot start takes no other down.
#[derive(Args)]
#[command(after_help = after_help())]
pub struct Run {
    #[command(flatten)]
    asked: Asked,

    /// End the run if one of the services cannot start
    #[arg(long)]
    strict: bool,
}

/// What `run` and `dev` are asked for alike.
#[derive(Args)]
pub struct Asked {
    /// What to run
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,

    /// Where to listen: an address, whose port 0 takes a free one, or a socket such as
    /// unix:/run/shop.sock; may be given several times, with one address at most
    /// [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "MICROHOST_LISTEN", value_delimiter = ',')]
    listen: Vec<Place>,

    /// Speak TLS with this certificate and those that sign it, in a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,

    /// The private key of the certificate, in a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// What logs and figures call the service, of a run of one [default: from the settings or the
    /// file's name]
    #[arg(long)]
    name: Option<String>,

    /// How long calls that run may take to end once the host is told to stop; 0s ends them at once
    /// [default: 30s]
    #[arg(long, value_name = "TIME", env = "MICROHOST_GRACE", value_parser = parse_duration)]
    grace: Option<Duration>,

    /// Keep compiled components here [default: microhost in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "MICROHOST_CACHE_DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,

    /// Keep no compiled components
    #[arg(long)]
    no_cache: bool,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    admin: AdminArgs,

    #[command(flatten)]
    overrides: Overrides,

    #[command(flatten)]
    pub log: LogArgs,
}

/// How commands such as `microhost services` reach the host.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Administration")]
pub struct AdminArgs {
    /// What commands call this host [default: its process id]
    #[arg(long, value_name = "NAME", env = "MICROHOST_ADMIN_NAME")]
    pub admin_name: Option<HostName>,

    /// Have the socket for commands here [default: in a folder that the user's hosts share]
    #[arg(long, value_name = "PATH", env = "MICROHOST_ADMIN_SOCKET", conflicts_with = "no_admin")]
    pub admin_socket: Option<PathBuf>,

    /// Have no socket for commands
    #[arg(long)]
    pub no_admin: bool,
}

/// What the command line sets for every service of a run.
#[derive(Args, Default)]
#[command(next_help_heading = "For every service")]
pub struct Overrides {
    #[command(flatten)]
    pub grants: GrantFlags,

    /// Move a limit, see below; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = limit)]
    pub limit: Vec<String>,

    /// Instances alive at once, as --limit instances=N
    #[arg(long, value_name = "N")]
    pub instances: Option<NonZeroUsize>,

    /// How calls share instances
    #[arg(long)]
    pub isolation: Option<Sharing>,
}

/// `--isolation`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sharing {
    /// Instances are reused and take several calls at once
    Shared,
    /// Every call has an instance of its own
    Request,
}

impl From<Sharing> for Isolation {
    fn from(sharing: Sharing) -> Isolation {
        match sharing {
            Sharing::Shared => Isolation::Shared,
            Sharing::Request => Isolation::Request,
        }
    }
}

fn after_help() -> String {
    let mut help = "\
Examples:
  microhost run                                    build and run the project in this folder
  microhost run service.wasm --listen 127.0.0.1:0  run a component at a free port
  microhost run shop/microhost.toml                run what a settings file names
  microhost run orders stock.wasm --allow-call shop.stock.Stock
  microhost run --env LANG=de --limit memory=64MiB --limit timeout=5s
  microhost run --dir ./data::/data:rw --allow-http api.example.com

Limits, with their defaults:
"
    .to_owned();
    for (name, about) in Limits::help() {
        help.push_str(&format!("  {name:<20} {about}\n"));
    }
    help
}

/// Tries a limit at once, so that a wrong one is told with the command line's other mistakes.
fn limit(text: &str) -> Result<String, String> {
    let mut limits = Limits::default();
    limits.set(text).and_then(|()| limits.check()).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

impl Run {
    /// Serves until the program is told to stop.
    pub fn execute(self) -> Outcome {
        let journal = self.asked.log.start()?;
        let plan = self.asked.plan()?;
        let (mut services, mut failed): (Vec<_>, Vec<Failed>) = (Vec::new(), Vec::new());
        for wanted in &plan.services {
            wanted.announce(plan.services.iter());
            match wanted.built(None) {
                Ok(load) => services.push(load),
                Err(error) => failed.push((wanted.load().clone(), error.into())),
            }
        }
        let must_start = if self.strict || plan.strict { MustStart::All } else { MustStart::One };
        let people = self.asked.log.for_people();
        let on_ready: OnReady = Box::new(move |ready, _| ready::announce(ready, people));
        self.asked.serve(plan, journal, Begin { services, failed, must_start, on_ready })
    }
}

/// How a host begins.
pub struct Begin {
    /// What is loaded.
    pub services: Vec<Load>,
    /// What could not be built.
    pub failed: Vec<Failed>,
    /// What has to start.
    pub must_start: MustStart,
    /// Called once it serves.
    pub on_ready: OnReady,
}

impl Asked {
    /// What is to run, and where, by the command line and the settings as they are now.
    pub fn plan(&self) -> Outcome<Plan> {
        let tls = self.tls_certificate.clone().zip(self.tls_key.clone()).map(|(certificate, key)| Tls { certificate, key });
        let listen = match self.listen.as_slice() {
            [] => None,
            places => Some(Places::of(places.iter().cloned()).map_err(|why| Failure::new(Exit::Usage, format!("--listen: {why}")))?),
        };
        let place = plan::Place { listen, tls, admin: self.admin.clone(), cluster: self.cluster.clone(), grace: self.grace };
        plan::make(&self.paths, &place, self.name.clone(), &self.overrides)
    }

    /// Serves until the program is told to stop.
    pub fn serve(&self, plan: Plan, journal: Arc<Journal>, begin: Begin) -> Outcome {
        let cache = match &self.cache_dir {
            _ if self.no_cache => Cache::Off,
            Some(folder) => Cache::Folder(folder.clone()),
            None => Cache::usual(),
        };
        let Plan { listen, cluster, calls, door, grace, host: name, .. } = plan;
        let Begin { services, failed, must_start, on_ready } = begin;
        Ok(app::run(Options { listen, cluster, calls, door, grace, name, journal, services, failed, must_start, cache, on_ready })?)
    }
}
