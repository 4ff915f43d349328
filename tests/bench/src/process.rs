//! Server processes: started, waited for, and gone with the benchmark whatever ends it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// How long a server may take until it is ready: compiling the component included.
const START: Duration = Duration::from_secs(60);
/// Last lines of a server's log that are kept to explain its failure.
const LOG_LINES: usize = 20;
/// The longest line of a server's log that is read whole.
const LOG_LINE: u64 = 64 << 10;

/// The line by which a server tells that it is ready, as microhost writes it.
pub fn ready_line(address: SocketAddr) -> String {
    json!({ "level": "INFO", "fields": { "message": "ready", "address": address.to_string() } }).to_string()
}

/// The address in a ready line, of microhost or of `wasmtime serve`; `None` for every other line.
fn ready_address(line: &str) -> Option<SocketAddr> {
    if let Some((_, address)) = line.split_once("Serving HTTP on http://") {
        return address.trim_end().trim_end_matches('/').parse().ok();
    }
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    if fields.get("message")? != "ready" {
        return None;
    }
    fields.get("address")?.as_str()?.parse().ok()
}

/// Makes a child end when the thread that starts it ends, however that ends.
pub fn tie(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only async-signal-safe functions may run; prctl is one, and
    // nothing here allocates.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    }
}

/// A running server; stopped when dropped.
pub struct Server {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it was started.
    pub started: Instant,
    /// How long it took until it was ready.
    pub ready: Duration,
}

impl Server {
    /// Starts a server and waits for its ready line.
    pub fn start(command: Command) -> Result<Server> {
        Server::start_within(command, START)
    }

    /// Starts a server and waits so long for its ready line.
    pub fn start_within(mut command: Command, limit: Duration) -> Result<Server> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = tie(&mut command).spawn().with_context(|| format!("cannot start {program}"))?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, receiver) = mpsc::sync_channel(1);
        let log = thread::spawn(move || follow(stderr, sender));
        let mut process = Process { child, log: Some(log) };
        match receiver.recv_timeout(limit) {
            Ok(address) => Ok(Server { process, address, started, ready: started.elapsed() }),
            Err(RecvTimeoutError::Timeout) => Err(process.failed(&format!("{program} was not ready within {} s", limit.as_secs()))),
            Err(RecvTimeoutError::Disconnected) => Err(process.failed(&format!("{program} ended before it was ready"))),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Stops it. A server that has ended already has failed, and its last words are the error.
    pub fn stop(mut self) -> Result<()> {
        match self.process.child.try_wait().context("cannot wait for a server")? {
            None => Ok(()),
            Some(status) => Err(self.process.failed(&format!("a server ended during its measurement ({status})"))),
        }
    }
}

/// A child and the thread that reads its log.
struct Process {
    child: Child,
    log: Option<JoinHandle<VecDeque<String>>>,
}

impl Process {
    /// Ends the child, and makes its last words part of an error.
    fn failed(&mut self, what: &str) -> anyhow::Error {
        self.end();
        let lines = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        let lines = lines.into_iter().collect::<Vec<_>>().join("\n");
        anyhow!("{what}; its log ends with:\n{lines}")
    }

    fn end(&mut self) {
        // Both fail only for a child that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads a server's log to its end, so that it never waits for a reader; keeps the last lines.
fn follow(stderr: ChildStderr, ready: SyncSender<SocketAddr>) -> VecDeque<String> {
    let mut reader = BufReader::new(stderr);
    let mut lines = VecDeque::with_capacity(LOG_LINES);
    // Taken once used: later lines are not read as JSON.
    let mut ready = Some(ready);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LOG_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return lines,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(address) = ready.as_ref().and_then(|_| ready_address(&text))
            && let Some(ready) = ready.take()
        {
            // Fails when nobody waits any more.
            let _ = ready.send(address);
        }
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

/// Runs a child to its end and returns what it wrote to stdout; its stderr is ours.
pub fn output(mut command: Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = tie(&mut command).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} failed ({})", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_gives_its_address() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4000));
        assert_eq!(ready_address(&ready_line(address)), Some(address));
        assert_eq!(ready_address(r#"{"level":"INFO","fields":{"message":"other","address":"127.0.0.1:1"}}"#), None);
        assert_eq!(ready_address("Serving HTTP on http://127.0.0.1:4000/"), Some(address));
        assert_eq!(ready_address("not JSON"), None);
    }

    #[test]
    fn a_server_that_ends_early_is_an_error_with_its_last_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such component >&2; exit 3"]);
        let error = Server::start(command).err().expect("it ended").to_string();
        assert!(error.contains("ended before it was ready") && error.contains("no such component"), "{error}");
    }
}
