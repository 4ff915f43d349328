//! A NATS server with JetStream, on a port and with data of its own, which can be killed, stopped and
//! started again.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::network::Machine;
use crate::{free_port, soon, tools};

/// What it says when it takes connections.
const READY: &str = "Server is ready";

/// A server; killed when dropped.
pub struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    /// Removed with everything in it at the end.
    folder: TempDir,
    port: u16,
    /// Where it runs, if not on this machine.
    machine: Option<Machine>,
    child: Child,
}

impl Server {
    /// A server at a free port of loopback; `None` where there is no `nats-server`.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start() -> Option<Server> {
        Server::with(&[]).await
    }

    /// A server without JetStream.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn plain() -> Option<Server> {
        Server::given(&[]).await
    }

    /// A server that is given these arguments too.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn with(arguments: &[&str]) -> Option<Server> {
        Server::given(&[&["--jetstream"], arguments].concat()).await
    }

    /// A server with JetStream on a machine of a network, for all who reach that.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn on(machine: &Machine) -> Option<Server> {
        Server::started(&["--jetstream"], Some(machine)).await
    }

    /// Servers with JetStream that are one cluster.
    ///
    /// # Panics
    /// If they do not start.
    pub async fn cluster<const COUNT: usize>() -> Option<[Server; COUNT]> {
        let routes: [String; COUNT] = std::array::from_fn(|_| format!("nats://127.0.0.1:{}", free_port()));
        let all = routes.join(",");
        let mut servers = Vec::with_capacity(COUNT);
        for (number, route) in routes.iter().enumerate() {
            let name = format!("server-{number}");
            let own = ["--name", &name, "--cluster_name", "e2e", "--cluster", route, "--routes", &all];
            servers.push(Server::with(&own).await?);
        }
        servers.try_into().ok()
    }

    async fn given(arguments: &[&str]) -> Option<Server> {
        Server::started(arguments, None).await
    }

    async fn started(arguments: &[&str], machine: Option<&Machine>) -> Option<Server> {
        let program = tools::nats_server()?;
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let folder = tempfile::tempdir().expect("a folder for its data");
        // Between here and its start somebody else may take the port.
        for _ in 0..5 {
            let port = free_port();
            let mut command = command(&program, &arguments, &folder, port, machine);
            if let Some(child) = run(&mut command).await {
                return Some(Server { program, arguments, folder, port, machine: machine.cloned(), child });
            }
        }
        panic!("{} does not start: {arguments:?}", program.display());
    }

    /// Where it is: `127.0.0.1:4222`.
    pub fn address(&self) -> String {
        format!("{}:{}", at(self.machine.as_ref()), self.port)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Kills it as a crash does.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill(&mut self) {
        soon("its death", self.child.kill()).await.expect("a child can be killed");
    }

    /// Starts it again at the same port, after it was killed.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        let mut command = command(&self.program, &self.arguments, &self.folder, self.port, self.machine.as_ref());
        self.child = run(&mut command).await.expect("nobody has taken its port");
    }

    /// Removes all that it has stored, while it does not run.
    ///
    /// # Panics
    /// If that cannot be removed.
    pub fn forget(&self) {
        std::fs::remove_dir_all(self.folder.path()).expect("its data can be removed");
    }

    /// Lets it hang: it keeps its connections and does nothing.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn hang(&self) {
        self.signal(libc::SIGSTOP);
        soon("a server that stands still", async {
            while !self.stands_still() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Whether each of its threads has stopped: a signal is only the beginning of that.
    fn stands_still(&self) -> bool {
        let threads = format!("/proc/{}/task", self.child.id().expect("it runs"));
        let stopped = |thread: std::io::Result<std::fs::DirEntry>| {
            let told = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
            // The state follows the name, which stands in brackets and may contain anything.
            told.rsplit_once(") ").map(|(_, rest)| rest.starts_with('T'))
        };
        std::fs::read_dir(threads).expect("it runs").all(|thread| stopped(thread).unwrap_or(true))
    }

    /// Lets it go on after it hung.
    ///
    /// # Panics
    /// If it does not run.
    pub fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: libc::c_int) {
        let id = i32::try_from(self.child.id().expect("it runs")).expect("Linux's process ids fit");
        // SAFETY: `kill` takes plain numbers; the id is that of a child not waited for yet, so it can
        // be nobody else's.
        let sent = unsafe { libc::kill(id, signal) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }
}

fn command(program: &PathBuf, arguments: &[String], folder: &TempDir, port: u16, machine: Option<&Machine>) -> Command {
    let mut command = Command::new(program);
    command.args(["--addr", at(machine), "--port", &port.to_string(), "--store_dir"]).arg(folder.path());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(machine) = machine {
        // SAFETY: one system call, which is safe between fork and exec.
        unsafe { command.pre_exec(machine.entrance()) };
    }
    command
}

/// The address of a machine.
fn at(machine: Option<&Machine>) -> &str {
    machine.map_or("127.0.0.1", Machine::address)
}

/// Starts a server and waits until it takes connections; `None` if it ends before.
async fn run(command: &mut Command) -> Option<Child> {
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    loop {
        let line = soon("a server that is ready", lines.next_line()).await.expect("its log is text")?;
        if line.contains(READY) {
            break;
        }
    }
    // Read on, or it stands still when the pipe is full.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some(child)
}
