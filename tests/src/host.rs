//! `microhost run` in a process of its own.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;

use crate::log::{Log, message};
use crate::network::Machine;
use crate::{guests, program, soon};

/// A host about to be started.
pub struct Start {
    command: &'static str,
    path: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    listen: Option<String>,
    log: &'static str,
    /// None keeps no compiled components.
    cache: Option<PathBuf>,
    /// The cluster that it belongs to; without, it neither looks for other hosts nor tells them of itself.
    cluster: Option<String>,
    /// What has it begin on a machine of its own.
    entrance: Option<Entrance>,
    folder: TempDir,
}

type Entrance = Box<dyn FnMut() -> std::io::Result<()> + Send + Sync>;

impl Start {
    /// A host for a component, a folder or a settings file.
    pub fn path(path: impl Into<PathBuf>) -> Start {
        let folder = TempDir::new().expect("a temporary folder");
        Start {
            command: "run",
            path: path.into(),
            args: Vec::new(),
            environment: Vec::new(),
            listen: Some("127.0.0.1:0".to_owned()),
            log: "json",
            cache: Some(program::shared_cache().to_owned()),
            cluster: None,
            entrance: None,
            folder,
        }
    }

    /// A host for a component of `guests/`.
    pub fn guest(name: &str) -> Start {
        Start::path(guests::guest(name))
    }

    /// A host for a settings file with this text, in a folder of its own.
    ///
    /// The file says where to listen; without, it is a free port.
    pub fn settings(text: &str) -> Start {
        let mut start = Start::path("");
        start.path = start.folder.path().join("microhost.toml");
        if text.contains("address = ") {
            start.listen = None;
        }
        std::fs::write(&start.path, text).expect("a temporary folder can be written to");
        start
    }

    /// Runs what is at another path.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<PathBuf>) -> Start {
        self.path = path.into();
        self
    }

    /// Runs `microhost dev` instead of `microhost run`.
    #[must_use]
    pub fn dev(mut self) -> Start {
        self.command = "dev";
        self
    }

    /// A folder of this host alone, gone with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Start {
        self.args.push(arg.into());
        self
    }

    /// Sets an environment variable of the host.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Start {
        self.environment.push((name, value.into()));
        self
    }

    /// Moves a limit: `cpu=500ms`.
    #[must_use]
    pub fn limit(self, limit: &str) -> Start {
        self.arg("--limit").arg(limit)
    }

    /// Listens at this address instead of a free port.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Start {
        self.listen = Some(address.to_string());
        self
    }

    /// Keeps the compile cache elsewhere.
    #[must_use]
    pub fn cache(mut self, cache: impl Into<PathBuf>) -> Start {
        self.cache = Some(cache.into());
        self
    }

    /// Keeps the compile cache in the host's own folder, so that it begins empty.
    #[must_use]
    pub fn own_cache(self) -> Start {
        let cache = self.folder.path().join("cache");
        self.cache(cache)
    }

    /// Compiles without a cache.
    #[must_use]
    pub fn no_cache(mut self) -> Start {
        self.cache = None;
        self
    }

    /// One of the hosts of this cluster. The name is the test's own: hosts of others are not seen.
    #[must_use]
    pub fn among(mut self, cluster: &str) -> Start {
        self.cluster = Some(cluster.to_owned());
        self
    }

    /// Runs on this machine, with no settings that say how other hosts are found, and listens there for all.
    #[must_use]
    pub fn on(mut self, machine: &Machine, port: u16) -> Start {
        self.listen = Some(format!("[::]:{port}"));
        self.entrance = Some(Box::new(machine.entrance()));
        self
    }

    /// Logs for people instead of machines.
    #[must_use]
    pub fn text_log(mut self) -> Start {
        self.log = "text";
        self
    }

    /// Starts the program without waiting for it.
    pub fn spawn(self) -> Starting {
        let mut command = Command::new(program::microhost());
        command.arg(self.command).arg(&self.path).args(["--log-format", self.log]);
        match &self.cache {
            Some(cache) => command.arg("--cache-dir").arg(cache),
            None => command.arg("--no-cache"),
        };
        if let Some(listen) = &self.listen {
            command.args(["--listen", listen]);
        }
        command.args(&self.args);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("MICROHOST_")) {
                command.env_remove(name);
            }
        }
        // A folder of its own for the admin socket: hosts of other tests, and of whoever runs them, are none
        // of this one's affair.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        match (self.cluster, &self.entrance) {
            (Some(name), _) => drop(command.env("MICROHOST_CLUSTER_NAME", name)),
            // Nobody else is in its network.
            (None, Some(_)) => {}
            (None, None) => drop(command.env("MICROHOST_ALONE", "true")),
        }
        command.envs(self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // SAFETY: `prctl` with plain numbers is safe to call between fork and exec. A host does not
        // outlive a test that is killed.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        if let Some(entrance) = self.entrance {
            // SAFETY: one system call, which is safe between fork and exec.
            unsafe { command.pre_exec(entrance) };
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Log::of(child.stderr.take().expect("stderr is piped"));
        Starting { process: Process { child: Mutex::new(child), log, folder: self.folder } }
    }

    /// Starts the program and waits until it is ready.
    pub async fn ready(self) -> Host {
        self.spawn().ready().await
    }

    /// Starts the program, which has to refuse; returns the exit code and what it said.
    pub async fn refused(self) -> (i32, String) {
        let process = self.spawn().process;
        let status = process.exited().await;
        let code = status.code().unwrap_or_else(|| panic!("ended by {status}:\n{}", process.log));
        assert!(code != 0 && code != 101, "refusing is neither success nor a crash, got {code}:\n{}", process.log);
        (code, process.log.lines().join("\n"))
    }
}

/// A process of the program. Dropping it kills it; a failed test shows its log.
struct Process {
    child: Mutex<Child>,
    log: Log,
    folder: TempDir,
}

impl Process {
    fn id(&self) -> u32 {
        self.child.lock().expect("no holder panics").id()
    }

    fn signal(&self, signal: i32) {
        let id = i32::try_from(self.id()).expect("Linux's process ids fit");
        // SAFETY: `kill` takes plain numbers; the id is that of a child not waited for yet, so it
        // can be nobody else's.
        let sent = unsafe { libc::kill(id, signal) };
        assert_eq!(sent, 0, "cannot signal the host: {}", std::io::Error::last_os_error());
    }

    async fn exited(&self) -> ExitStatus {
        soon("the host's end", self.log.ended()).await;
        self.child.lock().expect("no holder panics").wait().expect("a child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().expect("no holder panics");
        // Both fail where it has ended already.
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("the host's log, {} lines, the last:", self.log.lines().len());
            let lines = self.log.lines();
            for line in &lines[lines.len().saturating_sub(60)..] {
                eprintln!("  | {line}");
            }
        }
    }
}

/// A host that has been started and may not be ready yet.
pub struct Starting {
    process: Process,
}

impl Starting {
    /// Waits until it serves.
    ///
    /// # Panics
    /// If it ends before, or does not get ready in time.
    pub async fn ready(self) -> Host {
        let address = self.process.log.find("ready line with an address", address).await;
        Host { address, process: self.process }
    }
}

/// The address that a ready line tells, in either form of the log.
fn address(line: &str) -> Option<SocketAddr> {
    match serde_json::from_str::<Value>(line) {
        Ok(record) if message(&record) == "ready" => record["fields"]["address"].as_str()?.parse().ok(),
        Ok(_) => None,
        Err(_) => line.split_once("serves at http://")?.1.trim().parse().ok(),
    }
}

/// A host that serves.
pub struct Host {
    /// Where it listens.
    pub address: SocketAddr,
    process: Process,
}

impl Host {
    /// A host for a component of `guests/`, with nothing set.
    pub async fn of(guest: &str) -> Host {
        Start::guest(guest).ready().await
    }

    /// What it has logged.
    pub fn log(&self) -> &Log {
        &self.process.log
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A folder of this host alone, gone with it.
    pub fn folder(&self) -> &Path {
        self.process.folder.path()
    }

    /// Its admin socket, where nothing else was asked for.
    pub fn socket(&self) -> PathBuf {
        self.folder().join("microhost").join(format!("{}.sock", self.id()))
    }

    /// Runs `microhost` with arguments about this host: `--host` is added.
    pub fn admin<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> crate::command::Command {
        crate::command::Command::microhost(args).args(["--host".as_ref(), self.socket().as_os_str()])
    }

    /// Its address as a URL: `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks it to end, and does not wait.
    pub fn terminate(&self) {
        self.process.signal(libc::SIGTERM);
    }

    /// Asks it to end as Ctrl-C does, and does not wait.
    pub fn interrupt(&self) {
        self.process.signal(libc::SIGINT);
    }

    /// Kills it without warning and waits until it is gone.
    pub async fn kill(&self) {
        self.process.signal(libc::SIGKILL);
        self.process.exited().await;
    }

    /// Has it stand still: what listens and what is connected stays, and nothing is answered.
    pub fn pause(&self) {
        self.process.signal(libc::SIGSTOP);
    }

    /// Ends [`Host::pause`].
    pub fn resume(&self) {
        self.process.signal(libc::SIGCONT);
    }

    /// Waits until it has ended.
    pub async fn exited(&self) -> ExitStatus {
        self.process.exited().await
    }

    /// Asks it to end, and waits: it has to end well.
    pub async fn stop(self) {
        self.terminate();
        let status = self.exited().await;
        assert!(status.success(), "stopped by SIGTERM with nothing to do, ended with {status}");
    }

    /// The log record with this message, waited for.
    pub async fn logged(&self, text: &str) -> Value {
        self.log().record(&format!("{text:?}"), |record| message(record).contains(text)).await
    }

    /// Runs `microhost` with arguments against this host: `--at` is added.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> crate::command::Command {
        crate::command::Command::microhost(args).args(["--at", &self.url()])
    }
}
