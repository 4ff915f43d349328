//! From the start of a process to its first right answer, and what the process then holds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::load::http1;
use crate::process::Server;
use crate::program::{Isolation, Programs};
use crate::serve::Native;
use crate::statistics::Spread;
use crate::usage::Usage;

/// A start is short: several of each kind in a round, except with compiling.
const STARTS: usize = 4;
/// How long the first answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// A reply longer than this is not the echo.
const MAX_REPLY: usize = 64 << 10;

/// The starts of one kind.
#[derive(Debug, Serialize)]
pub struct Starts {
    /// Milliseconds from the start of the process to the first right answer.
    pub millis: Spread,
    /// Resident memory after the first answer, in bytes.
    pub resident: Spread,
    /// The part of it that is not pages of files.
    pub anonymous: Spread,
}

/// All starts.
#[derive(Debug, Serialize)]
pub struct Start {
    /// Bare hyper.
    pub hyper: Starts,
    /// microhost with a component that it has to compile.
    pub cold: Starts,
    /// microhost with a component that is in its cache.
    pub cached: Starts,
    /// A cached start's time as a multiple of bare hyper's, by pairs.
    pub ratio: Spread,
    /// The multiple not to exceed.
    pub goal: f64,
}

/// One start.
struct Sample {
    millis: f64,
    usage: Usage,
}

/// Starts servers, in turn.
pub fn run(programs: &Programs, rounds: usize) -> Result<Start> {
    let (mut hyper, mut cold, mut cached) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let cache = programs.empty_cache()?;
        let microhost = || programs.microhost_with_cache(Isolation::Shared, cache.path());
        cold.push(sample(microhost()).context("microhost, with nothing in its compile cache")?);
        if is_empty(cache.path())? {
            bail!("microhost left nothing in its compile cache: a cached start cannot be measured");
        }
        for _ in 0..STARTS {
            hyper.push(sample(programs.native(Native::Hyper)).context("bare hyper")?);
            cached.push(sample(microhost()).context("microhost")?);
        }
        eprintln!("start round {}/{rounds}", round + 1);
    }
    let ratio = Spread::of(hyper.iter().zip(&cached).map(|(hyper, cached)| cached.millis / hyper.millis));
    Ok(Start { hyper: starts(&hyper), cold: starts(&cold), cached: starts(&cached), ratio, goal: 5.0 })
}

fn starts(samples: &[Sample]) -> Starts {
    Starts {
        millis: Spread::of(samples.iter().map(|sample| sample.millis)),
        resident: Spread::of(samples.iter().map(|sample| sample.usage.resident as f64)),
        anonymous: Spread::of(samples.iter().map(|sample| sample.usage.anonymous as f64)),
    }
}

fn is_empty(folder: &Path) -> Result<bool> {
    Ok(folder.read_dir().context("cannot read the compile cache's folder")?.next().is_none())
}

fn sample(command: Command) -> Result<Sample> {
    let server = Server::start(command)?;
    first_answer(&server)?;
    let millis = server.started.elapsed().as_secs_f64() * 1e3;
    let usage = Usage::of(server.pid())?;
    server.stop()?;
    Ok(Sample { millis, usage })
}

fn first_answer(server: &Server) -> Result<()> {
    let mut stream = TcpStream::connect(server.address).with_context(|| format!("cannot connect to {}", server.address))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(&http1::request(server.address)).context("cannot write to the server")?;
    let mut input = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some((body, _)) = http1::reply(&input)? {
            return http1::check(&body);
        }
        match stream.read(&mut piece).context("no first answer")? {
            0 => bail!("the server closed the connection before its first answer"),
            read => input.extend_from_slice(&piece[..read]),
        }
        if input.len() > MAX_REPLY {
            bail!("the first answer is longer than {MAX_REPLY} bytes");
        }
    }
}
