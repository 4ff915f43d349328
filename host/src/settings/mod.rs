//! What the user sets: the file `microhost.toml`, read strictly, and the pieces of it that the
//! command line sets too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

mod address;
mod admin;
mod balance;
mod calls;
mod cluster;
mod cores;
mod failing;
mod grant;
mod granted;
mod health;
mod limits;
mod listen;
mod route;
mod share;
mod stray;
mod value;

pub use address::{Address, AddressError, Subject};
pub use admin::{Admin, HostName};
pub use balance::{Balance, BreakerSettings, OutlierSettings, Policy};
pub use calls::CallGrant;
pub use cluster::{Backend, Cluster, LEASE, Weight};
pub use cores::CpuShare;
pub use failing::{Calls, Failing, MAX_RETRIES_PER_SECOND, MAX_TRIES, Retrying};
pub use grant::{GrantedHost, HttpGrant};
pub use health::HealthCheck;
pub use limits::{Limits, parse_bytes, parse_duration};
pub use listen::{Place, Places};
pub use route::HttpRoute;
pub use share::Share;

/// How long calls that run may take to end once the host is told to stop, unless the settings say otherwise.
pub const GRACE: Duration = Duration::from_secs(30);

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not valid TOML, or has an unknown key or a wrong type.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What and where: toml's own message with line and column.
        why: String,
    },
    /// No such name.
    #[error("unknown {kind} {name:?}{hint}, expected one of {known}")]
    Unknown {
        /// What kind of name.
        kind: &'static str,
        /// The name given.
        name: String,
        /// `, did you mean …?`, or nothing.
        hint: String,
        /// The names there are.
        known: String,
    },
    /// A value that does not fit.
    #[error("{what}: {why}")]
    Value {
        /// Which setting.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl SettingsError {
    /// The error for a name that is none of `known`.
    pub fn unknown<'a>(kind: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> SettingsError {
        let known: Vec<_> = known.collect();
        let hint = nearest(name, known.iter().copied()).map_or(String::new(), |near| format!(", did you mean {near}?"));
        SettingsError::Unknown { kind, name: name.to_owned(), hint, known: known.join(", ") }
    }
}

/// The known name that `name` most likely meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How calls share instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Instances are reused and take several calls at once.
    #[default]
    Shared,
    /// Every call has an instance of its own, made for it and dropped after it.
    Request,
}

/// What a service is allowed beyond computing. Nothing, unless named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { environment = { LANG = \"de\" } }")]
pub struct Grants {
    /// Environment variables that the guest sees.
    pub environment: BTreeMap<String, String>,
    /// Folders of this machine that the guest sees, by the path it sees them at.
    pub folders: BTreeMap<String, Folder>,
    /// Hosts that the guest may call by `wasi:http`: `api.example.com`, `127.0.0.1:9000`.
    pub http: Vec<HttpGrant>,
    /// Whether the guest may open sockets and look up names.
    pub sockets: bool,
    /// Whether the guest may see which services there are, and where.
    pub registry: bool,
    /// What the guest may call of other services: `shop.payments.Payment`, `shop.payments.Payment/Charge`, `*`.
    pub calls: Vec<CallGrant>,
    /// Services that the guest imports and that may come later: without, it starts only beside them. Until
    /// they come, its calls fail with `unavailable`.
    #[serde(deserialize_with = "CallGrant::services")]
    pub late: Vec<CallGrant>,
}

/// A folder that a guest is granted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { path = \"data\", write = true }")]
pub struct Folder {
    /// The folder on this machine.
    pub path: PathBuf,
    /// Whether the guest may write there.
    #[serde(default)]
    pub write: bool,
}

/// One service: its component and what holds for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table of a service, such as { component = \"greeter.wasm\" }"
)]
pub struct Service {
    /// The component: a `.wasm` file or a folder with a built project. Relative to the settings file.
    pub component: Option<PathBuf>,
    /// Its version, as logs and figures tell it; that of the package that it exports unless set.
    #[serde(deserialize_with = "value::text")]
    pub version: Option<String>,
    /// How calls share instances.
    pub isolation: Isolation,
    /// Endpoints free of side effects, which may be called by GET: `example.greeter.Greet/Hello`.
    pub safe: Vec<String>,
    /// The services that a gateway takes the calls of: `shop.cart.Cart`; without, all that nothing
    /// else serves.
    pub handles: Vec<String>,
    /// Where it answers plain HTTP, if its component does: the beginning of the paths. `/` unless set.
    pub http: Option<HttpRoute>,
    /// How many calls it gets beside the same service of other hosts, 100 being usual; none for 0.
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

/// Where and how the host listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { address = \"127.0.0.1:8080\" }")]
pub struct Listen {
    /// The address and port, and the sockets.
    pub address: Places,
    /// The certificate and key for TLS; without, none.
    pub tls: Option<Tls>,
    /// The token that `/_microhost/metrics` and the like want from others than this machine.
    #[serde(deserialize_with = "value::text")]
    pub admin_token: Option<String>,
    /// Connections at once.
    #[serde(deserialize_with = "value::some")]
    pub connections: usize,
    /// Calls at once on one HTTP/2 connection.
    #[serde(deserialize_with = "value::some")]
    pub streams: u32,
    /// All headers of one request, in bytes.
    #[serde(deserialize_with = "value::some")]
    pub header_bytes: u32,
    /// Headers of one request.
    #[serde(deserialize_with = "value::some")]
    pub headers: usize,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)).into(),
            tls: None,
            admin_token: None,
            connections: 10_000,
            streams: 256,
            header_bytes: 32 << 10,
            headers: 100,
        }
    }
}

/// PEM files for TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { certificate = \"chain.pem\", key = \"key.pem\" }")]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How a project that cargo does not build becomes a component.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { command = \"make\", component = \"app.wasm\" }")]
pub struct Build {
    /// A line for the shell, run in the folder of the settings file.
    pub command: String,
    /// The component that the command makes. Relative to the settings file.
    pub component: PathBuf,
}

/// The whole of `microhost.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where and how the host listens; as [`Listen::default`] says where the file does not.
    pub listen: Option<Listen>,
    /// How commands reach the host; as [`Admin::default`] says where the file does not.
    pub admin: Option<Admin>,
    /// How the host finds others, and they it; as [`Cluster::default`] says where the file does not.
    pub cluster: Option<Cluster>,
    /// Whether one service that cannot start ends the run.
    pub strict: bool,
    /// How long calls that run may take to end once the host is told to stop; [`GRACE`] unless set.
    #[serde(deserialize_with = "value::given_duration")]
    pub grace: Option<Duration>,
    /// How the project around the settings file is built, where it is not by cargo.
    pub build: Option<Build>,
    /// How calls of services fail well.
    pub calls: Calls,
    /// The services by name.
    pub service: BTreeMap<String, Service>,
}

impl Settings {
    /// Reads a settings file.
    pub fn read(path: &Path) -> Result<Settings, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        Settings::parse(&text).map_err(|why| SettingsError::File { path: path.to_owned(), why })
    }

    fn parse(text: &str) -> Result<Settings, String> {
        toml::from_str(text).map_err(|error| stray::hinted(&error))
    }
}

/// Reads another file as strictly as the settings are: what is wrong is told with line and column, and of
/// an unknown key what may have been meant.
pub fn strictly<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| stray::hinted_alone(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_read() {
        let settings = Settings::parse(
            "[listen]\naddress = \"127.0.0.1:0\"\n[service.greeter]\ncomponent = \"greeter.wasm\"\nisolation = \"request\"\nlimits = { memory = \"64MiB\", timeout = \"5s\" }\n[service.greeter.grants]\nenvironment = { A = \"b\" }\n",
        )
        .expect("valid settings");
        let greeter = &settings.service["greeter"];
        assert_eq!(greeter.limits.memory, 64 << 20);
        assert_eq!(greeter.isolation, Isolation::Request);
        assert_eq!(greeter.grants.environment["A"], "b");
    }

    #[test]
    fn a_limit_of_nothing_is_refused_with_its_line() {
        for (key, value) in
            [("instances", "0"), ("concurrency", "0"), ("calls-per-instance", "0"), ("timeout", "\"0s\""), ("cpu", "\"0ms\"")]
        {
            let error = Settings::parse(&format!("[service.a.limits]\n{key} = {value}\n")).expect_err("nothing could be done");
            assert!(error.contains("more than zero") && error.contains("line 2"), "{key}: {error}");
        }
    }

    /// A line that is wrong, and what has to be said of it.
    const WRONG: &[(&str, &str, &str)] = &[
        ("service.a.grants", "calls = [\"shop.stock.Stock\", \"shop:x/y\"]", "write \"shop.x.Y\""),
        ("service.a.grants", "calls = [3]", "expected a string"),
        ("service.a.grants", "calls = \"shop.stock.Stock\"", "write a list"),
        ("service.a.grants", "late = [\"shop.stock.Stock/Take\"]", "write \"shop.stock.Stock\""),
        ("service.a.grants", "http = [\"https://a.example\"]", "is a URL"),
        ("service.a.grants", "sockets = \"yes\"", "expected a boolean"),
        ("service.a.grants", "environment = { A = 1 }", "expected a string"),
        ("service.a.grants", "folders = { \"/data\" = \"data\" }", "{ path = \"data\", write = true }"),
        ("service.a.grants.folders.\"/data\"", "path = \"data\"\nrw = true", "unknown field `rw`"),
        ("service.a.limits", "memory = true", "a size such as 65536"),
        ("service.a.limits", "memory = -1", "a size such as 65536"),
        ("service.a.limits", "timeout = 5", "a time with its unit"),
        ("service.a.limits", "cpu-share = true", "a number of cores such as 1.5"),
        ("admin", "enabled = 1", "expected a boolean"),
        ("service.a.limits", "queue = \"many\"", "invalid type"),
        ("service.a.health", "interval = \"1ms\"", "to ask never"),
        ("service.a.health", "timeout = \"0s\"", "more than zero"),
        ("service.a.health", "failure-threshold = 0", "more than zero"),
        ("service.a.health", "success-treshold = 1", "did you mean `success-threshold`?"),
        ("service.a", "isolation = \"requests\"", "did you mean `request`?"),
        ("service.a", "http = \"api\"", "begins with a slash"),
        ("service.a", "safe = \"a.B/C\"", "write a list"),
        ("service.a", "version = \"\"", "is empty"),
        ("service.a", "version = 1.0", "expected a string"),
        ("service.a", "memory = \"64MiB\"", "`memory` belongs under [service.NAME.limits]"),
        ("service.a", "enviroment = {}", "did you mean `environment` under [service.NAME.grants]?"),
        ("service", "a = \"a.wasm\"", "{ component = \"greeter.wasm\" }"),
        ("listen", "connections = 0", "more than zero"),
        ("listen", "admin-token = \"\"", "is empty"),
        ("listen", "tls = { certificate = \"c.pem\", keys = \"k.pem\" }", "did you mean `key`?"),
        ("build", "comand = \"make\"", "did you mean `command`?"),
        ("calls", "trie = 3", "did you mean `tries`?"),
        ("calls", "tries = 0", "from 1"),
        ("calls", "try-timeout = \"0s\"", "more than zero"),
        ("calls", "retry-share = 20", "expected a string"),
        ("calls", "\"shop:stock/stock\" = { tries = 1 }", "write \"shop.stock.Stock\""),
        ("calls", "\"a.B\" = 3", "{ tries = 3, try-timeout"),
        ("calls.\"a.B\"", "try-timout = \"1s\"", "did you mean `try-timeout`?"),
        ("calls.\"a.B\"", "\"a.B/C\" = {}", "unknown field `a.B/C`"),
        ("calls.\"a.B/C\"", "retry-share = \"5%\"", "`retry-share` belongs under [calls]"),
    ];

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_column_in_every_table() {
        for (table, line, words) in WRONG {
            let error = Settings::parse(&format!("[{table}]\n{line}\n")).expect_err(line);
            let place = if line.contains('\n') { "line 3, column" } else { "line 2, column" };
            assert!(error.contains(words) && error.contains(place), "[{table}] {line}: {error}");
        }
        for (said, why) in [("grace = 5", "a time with its unit"), ("grace = \"soon\"", "a time such as 500ms or 5s")] {
            let error = Settings::parse(said).expect_err(said);
            assert!(error.contains("line 1, column") && error.contains(why), "{said}: {error}");
        }
        let error = Settings::parse("strict = \"yes\"").expect_err("a text");
        assert!(error.contains("line 1, column") && error.contains("expected a boolean"), "{error}");
    }
}
