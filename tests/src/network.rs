//! Networks of machines that exist for one test: network namespaces behind a bridge, each with addresses,
//! multicast and a link of its own that can be cut.

use std::fs::File;
use std::net::{Ipv6Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::http::{Connection, Version};

/// How the namespaces of tests are called, before the id of their process.
const PREFIX: &str = "microhost-";

/// A network, gone with its machines when it is dropped.
pub struct Network {
    /// The namespace that has the bridge; those of the machines begin alike.
    hub: String,
    machines: AtomicU32,
}

/// Which addresses the machines of a network have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// Of versions 4 and 6.
    Both,
    /// Of version 6 alone.
    Six,
}

impl Network {
    /// A network that nobody else is in. In CI it has to be; elsewhere `None` says that its test cannot
    /// run, and has said why.
    pub fn new() -> Option<Network> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let hub = format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        if let Err(why) = ip(&["netns", "add", &hub]) {
            let missing = format!("no network namespaces, which take root and the program ip (tests/run installs it): {why}");
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("not tested: {missing}");
            return None;
        }
        let network = Network { hub, machines: AtomicU32::new(0) };
        // Without snooping it needs nobody who asks for the members of groups.
        network.hub(&["link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"]);
        network.hub(&["link", "set", "bridge", "up"]);
        Some(network)
    }

    /// One more machine: the first has 10.77.0.1 and fd77::1.
    pub fn machine(&self) -> Machine {
        self.machine_with(Addresses::Both)
    }

    /// One more machine, with these addresses.
    pub fn machine_with(&self, addresses: Addresses) -> Machine {
        let number = self.machines.fetch_add(1, Relaxed) + 1;
        let (name, port) = (format!("{}-{number}", self.hub), format!("port{number}"));
        must(&["netns", "add", &name]);
        self.hub(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name]);
        self.hub(&["link", "set", &port, "master", "bridge", "up"]);
        let within = |args: &[&str]| must(&[&["-n", name.as_str()], args].concat());
        within(&["link", "set", "lo", "up"]);
        let (four, six) = (format!("10.77.0.{number}"), format!("fd77::{number}"));
        let mut urls = vec![format!("http://[{six}]")];
        if addresses == Addresses::Both {
            within(&["addr", "add", &format!("{four}/16"), "dev", "eth0"]);
            urls.push(format!("http://{four}"));
        }
        // At once, and not after a while in which somebody else could claim it.
        within(&["addr", "add", &format!("{six}/64"), "dev", "eth0", "nodad"]);
        within(&["link", "set", "eth0", "up"]);
        let namespace = format!("/run/netns/{name}");
        let namespace = File::open(&namespace).unwrap_or_else(|error| panic!("cannot open {namespace}: {error}"));
        Machine { urls, name, number, hub: self.hub.clone(), port, namespace: Arc::new(namespace) }
    }

    fn hub(&self, args: &[&str]) {
        must(&[&["-n", self.hub.as_str()], args].concat());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for number in 1..=*self.machines.get_mut() {
            remove(&format!("{}-{number}", self.hub));
        }
        remove(&self.hub);
    }
}

/// A machine of a network.
#[derive(Clone)]
pub struct Machine {
    /// Its addresses as URLs, without a port.
    urls: Vec<String>,
    name: String,
    number: u32,
    hub: String,
    port: String,
    namespace: Arc<File>,
}

impl Machine {
    /// Has all that it sends and is sent get lost on the way. Nobody is told.
    pub fn cut(&self) {
        must(&["-n", &self.hub, "link", "set", &self.port, "nomaster"]);
    }

    /// Ends [`Machine::cut`].
    pub fn heal(&self) {
        must(&["-n", &self.hub, "link", "set", &self.port, "master", "bridge"]);
    }

    /// Leaves it no way to other machines of which the same is said, and they have none to it: what either
    /// sends to the other gets lost. Those of which it is not said reach all, and all reach them.
    pub fn isolate(&self) {
        must(&["-n", &self.hub, "link", "set", "dev", &self.port, "type", "bridge_slave", "isolated", "on"]);
    }

    /// Its address of version 4, or of version 6 where it has no other.
    pub fn address(&self) -> &str {
        self.urls.last().and_then(|url| url.strip_prefix("http://")).expect("it has one")
    }

    /// Gives it other addresses in place of those that it has.
    pub fn moves(&mut self) {
        let (four, six) = (format!("10.77.1.{}", self.number), format!("fd77::1:{}", self.number));
        let within = |args: &[&str]| must(&[&["-n", self.name.as_str()], args].concat());
        within(&["addr", "flush", "dev", "eth0"]);
        within(&["addr", "add", &format!("{four}/16"), "dev", "eth0"]);
        within(&["addr", "add", &format!("{six}/64"), "dev", "eth0", "nodad"]);
        self.urls = vec![format!("http://[{six}]"), format!("http://{four}")];
    }

    /// Takes its interface away: only itself is left.
    pub fn unplug(&self) {
        must(&["-n", &self.hub, "link", "del", &self.port]);
    }

    /// Whether a URL is that of a port of the machine, at any of its addresses.
    pub fn is_at(&self, url: &str, port: u16) -> bool {
        self.urls.iter().any(|own| url == format!("{own}:{port}"))
    }

    /// Connects to a host that runs on it, as from the machine itself: also while it is cut off.
    ///
    /// # Panics
    /// If nobody listens there.
    pub async fn open(&self, port: u16, version: Version) -> Connection {
        let mut enter = self.entrance();
        // A thread of its own has a network of its own, and its sockets stay in that.
        let connecting = move || enter().and_then(|()| TcpStream::connect((Ipv6Addr::LOCALHOST, port)));
        let socket = std::thread::spawn(connecting).join().expect("it does not panic");
        let socket = socket.unwrap_or_else(|error| panic!("nobody listens at port {port} of a machine: {error}"));
        let stream = socket.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(socket));
        Connection::over(stream.expect("a socket can join a runtime"), version).await.expect("HTTP is spoken")
    }

    /// What has a process begin on the machine: to be called in it before it runs its program.
    pub(crate) fn entrance(&self) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
        let namespace = Arc::clone(&self.namespace);
        move || {
            // SAFETY: `setns` takes plain numbers, of a file that is open as long as this closure lives.
            match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        }
    }
}

/// Runs `ip`.
fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

fn must(args: &[&str]) {
    ip(args).unwrap_or_else(|why| panic!("ip {}: {why}", args.join(" ")));
}

fn remove(name: &str) {
    // After a panic there may be less to remove.
    if let Err(why) = ip(&["netns", "del", name]) {
        eprintln!("the namespace {name} is left: {why}");
    }
}

/// Removes what was left by tests that were killed.
fn sweep() {
    static SWEPT: std::sync::Once = std::sync::Once::new();
    SWEPT.call_once(|| {
        let Ok(names) = std::fs::read_dir("/run/netns") else { return };
        for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let Some(process) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
            if !std::path::Path::new("/proc").join(process).exists() {
                remove(&name);
            }
        }
    });
}
