//! A host as the server under test of Connect's conformance suite. The suite's runner starts this
//! program for each configuration, says on standard input what it wants, and is told on standard output
//! where the host is; it ends it by SIGTERM, and does not look at how it ended. So each run of this
//! program has a file in a folder for as long as it may still fail, and `tests/conformance`, which
//! calls all of them, looks there: `conformance PATH FOLDER` runs what is at PATH, and keeps these files
//! in FOLDER/running and what is compiled in FOLDER/cache.

use std::future::Future;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::host::Start;
use prost::Message;
use tokio::signal::unix::{SignalKind, signal};

/// What the runner wants, of the suite's `ServerCompatRequest`. Protocol and version of HTTP are left
/// out: a host speaks all of them at its one port.
#[derive(Clone, PartialEq, Message)]
struct Wanted {
    #[prost(bool, tag = "4")]
    use_tls: bool,
    /// PEM: clients have to show a certificate that this one has signed.
    #[prost(bytes = "vec", tag = "5")]
    client_tls_cert: Vec<u8>,
    /// In bytes; zero leaves it to the host.
    #[prost(uint32, tag = "6")]
    message_receive_limit: u32,
    #[prost(message, optional, tag = "7")]
    server_creds: Option<Credentials>,
}

/// The suite's `TLSCreds`, both PEM.
#[derive(Clone, PartialEq, Message)]
struct Credentials {
    #[prost(bytes = "vec", tag = "1")]
    cert: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
}

/// Where the host is: the suite's `ServerCompatResponse`.
#[derive(Clone, PartialEq, Message)]
struct There {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(uint32, tag = "2")]
    port: u32,
    /// The certificate that clients trust.
    #[prost(bytes = "vec", tag = "3")]
    pem_cert: Vec<u8>,
}

/// The longest message that a runner may send: certificates are a few kilobytes.
const MAX_WANTED: u32 = 1 << 20;

/// On one thread: a host that has been started dies with the thread that did it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [path, folder] = <[PathBuf; 2]>::try_from(arguments).ok().context("usage: conformance PATH FOLDER")?;
    let running = folder.join("running");
    fs::create_dir_all(&running).with_context(|| format!("cannot make the folder {}", running.display()))?;
    let unfinished = write_to(&running, &std::process::id().to_string(), b"")?;
    // From here on: the runner may end this program before the host is ready.
    let told_to_end = end_of_run()?;
    let wanted = read(io::stdin().lock())?;
    ensure!(wanted.client_tls_cert.is_empty(), "the host does not ask clients for certificates: leave these cases out");

    let mut start = Start::path(path).cache(folder.join("cache"));
    if wanted.message_receive_limit > 0 {
        start = start.limit(&format!("request={}", wanted.message_receive_limit));
    }
    let mut pem_cert = Vec::new();
    if wanted.use_tls {
        let Some(credentials) = wanted.server_creds else { bail!("TLS is wanted, and no certificate came with the request") };
        let file = |name, content: &[u8]| write_to(start.folder(), name, content);
        let (certificate, key) = (file("certificate.pem", &credentials.cert)?, file("key.pem", &credentials.key)?);
        start = start.arg("--tls-certificate").arg(certificate).arg("--tls-key").arg(key);
        pem_cert = credentials.cert;
    }

    let host = start.ready().await;
    let there = There { host: host.address.ip().to_string(), port: host.address.port().into(), pem_cert };
    write(io::stdout().lock(), &there)?;
    told_to_end.await;
    // The host finishes what is under way, and has to end well.
    host.stop().await;
    fs::remove_file(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))
}

/// Resolves when the runner wants an end.
fn end_of_run() -> Result<impl Future<Output = ()>> {
    let mut told = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        told.recv().await;
    })
}

fn write_to(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Reads a message after its length.
fn read(mut from: impl Read) -> Result<Wanted> {
    let mut length = [0; 4];
    from.read_exact(&mut length).context("no request on standard input")?;
    let length = u32::from_be_bytes(length);
    ensure!(length <= MAX_WANTED, "a request of {length} bytes on standard input; at most {MAX_WANTED} are taken");
    let mut message = Vec::new();
    from.take(length.into()).read_to_end(&mut message).context("the request cannot be read")?;
    ensure!(message.len() == usize::try_from(length)?, "the request on standard input is cut off");
    Wanted::decode(message.as_slice()).context("the request is no ServerCompatRequest")
}

/// Writes a message after its length.
fn write(mut to: impl Write, message: &There) -> Result<()> {
    let message = message.encode_to_vec();
    to.write_all(&u32::try_from(message.len())?.to_be_bytes())?;
    to.write_all(&message)?;
    to.flush().context("the runner does not read what it asked for")
}
