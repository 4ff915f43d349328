//! `bench hop`: a service that calls another one in the same host, as its own function; against a bare
//! call into a guest, and against tonic over loopback.
//!
//! The calls are made by the guest, one after the other or several at a time, and it says how long they
//! took: what brought the order to make them is not measured.

use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::caller::Caller;
use crate::process::{Server, output};
use crate::program::{Programs, toml_string};
use crate::serve::Native;
use crate::statistics::Spread;
use report::Report;

mod bare;
mod native;
mod pair;
mod report;

/// The caller and those whom it calls, packages of `guests/`.
const CALLER: &str = "hop";
const ECHO: &str = "echo";
const STREAMS: &str = "streams";
/// The part of the work that is done before it is measured.
const WARM_UP: u32 = 10;
/// Calls that the caller makes for one call of its own. One that made all of them would compute for so
/// long that the host moves it to the threads for those that do, away from the service that it calls.
const PORTION: u32 = 200;

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Rounds of measurements
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Calls, or messages of a stream, of each measurement
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    count: u32,
    /// Calls at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32], value_parser = clap::value_parser!(u32).range(1..=1000))]
    calls: Vec<u32>,
    /// Bytes of each message of a stream
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024, 65536], value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    sizes: Vec<u32>,
    /// The microhost program; without, it is built
    #[arg(long)]
    microhost: Option<PathBuf>,
    /// A folder with hop.wasm, echo.wasm and streams.wasm; without, they are built
    #[arg(long)]
    guests: Option<PathBuf>,
}

/// Something to be done by one side with the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Work {
    /// So many calls, so many at once
    Calls { count: u32, width: u32 },
    /// A stream of so many messages from the one that is called
    Produce { count: u32, size: u32 },
    /// A stream to it
    Consume { count: u32, size: u32 },
    /// A stream to it and back
    Echo { count: u32, size: u32 },
}

/// Bytes that a stream of large messages passes, however many messages that is.
const MOST_BYTES: u32 = 256 << 20;

impl Work {
    /// Calls or messages.
    fn count(self) -> u32 {
        match self {
            Work::Calls { count, .. } | Work::Produce { count, .. } | Work::Consume { count, .. } | Work::Echo { count, .. } => count,
        }
    }

    /// How much of it one call of the caller does.
    fn portion(self) -> u32 {
        match self {
            Work::Calls { .. } => PORTION,
            stream => stream.count().max(1),
        }
    }

    /// The same with another number of calls or messages.
    fn of(self, count: u32) -> Work {
        match self {
            Work::Calls { width, .. } => Work::Calls { count, width },
            Work::Produce { size, .. } => Work::Produce { count, size },
            Work::Consume { size, .. } => Work::Consume { count, size },
            Work::Echo { size, .. } => Work::Echo { count, size },
        }
    }

    /// Callers that work at the same time: a guest computes on one core, and tonic has all of them.
    fn callers(self) -> u32 {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        match self {
            Work::Calls { width, .. } => width.min(u32::try_from(cores).unwrap_or(u32::MAX)),
            _ => 1,
        }
    }

    /// What one of several callers does: `count` of it, and its part of what is done at once.
    fn part(self, count: u32, callers: u32, place: u32) -> Work {
        match self {
            Work::Calls { width, .. } => Work::Calls { count, width: share(width, callers, place) },
            stream => stream.of(count),
        }
    }

    /// The component that is called.
    fn callee(self) -> &'static str {
        match self {
            Work::Calls { .. } => ECHO,
            _ => STREAMS,
        }
    }

    /// The method of the caller, and its request.
    fn request(self) -> (&'static str, String) {
        match self {
            Work::Calls { count, width } => ("/test.hop.Hop/Calls", format!(r#"{{"count":{count},"width":{width}}}"#)),
            Work::Produce { count, size } => ("/test.hop.Hop/Produce", format!(r#"{{"count":{count},"size":{size}}}"#)),
            Work::Consume { count, size } => ("/test.hop.Hop/Consume", format!(r#"{{"count":{count},"size":{size}}}"#)),
            Work::Echo { count, size } => ("/test.hop.Hop/Echo", format!(r#"{{"count":{count},"size":{size}}}"#)),
        }
    }

    /// As arguments of `bench bare`.
    fn arguments(self) -> [String; 3] {
        let (kind, count, other) = match self {
            Work::Calls { count, width } => ("calls", count, width),
            Work::Produce { count, size } => ("produce", count, size),
            Work::Consume { count, size } => ("consume", count, size),
            Work::Echo { count, size } => ("echo", count, size),
        };
        [kind.to_owned(), count.to_string(), other.to_string()]
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Work::Calls { width: 1, .. } => f.write_str("calls, one after the other"),
            Work::Calls { width, .. } => write!(f, "calls, {width} at once"),
            Work::Produce { size, .. } => write!(f, "stream to the caller, of {size} bytes"),
            Work::Consume { size, .. } => write!(f, "stream from the caller, of {size} bytes"),
            Work::Echo { size, .. } => write!(f, "stream there and back, of {size} bytes"),
        }
    }
}

/// How many of `count` calls the task at `place` of `width` makes.
fn share(count: u32, width: u32, place: u32) -> u32 {
    count / width + u32::from(place < count % width)
}

/// Some work with a component, by bare wasmtime.
#[derive(Args)]
pub struct Bare {
    /// The component
    #[arg(long)]
    guest: PathBuf,
    /// The component that calls it; without, the program itself does
    #[arg(long)]
    caller: Option<PathBuf>,
    #[command(subcommand)]
    work: Work,
}

/// Nanoseconds of a call or message, in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    /// A bare call into a guest.
    pub bare: f64,
    /// From one guest to another in bare wasmtime; nothing of streams.
    pub pair: Option<f64>,
    /// From a service to another one in the same host.
    pub hop: f64,
    /// tonic's client and server over loopback.
    pub tonic: f64,
}

/// All rounds of some work.
#[derive(Debug, Serialize)]
pub struct Rounds {
    /// What was done.
    pub work: Work,
    /// The rounds.
    pub rounds: Vec<Round>,
}

/// What is run, and where it stands.
struct Guests {
    programs: Programs,
    echo: PathBuf,
    streams: PathBuf,
    settings: PathBuf,
}

/// Does the work by one caller, portion after portion; how long it says that took.
fn asked(caller: &mut Caller, work: Work) -> Result<Duration> {
    let (count, portion) = (work.count(), work.portion());
    let portions = (0..count.div_ceil(portion)).map(|done| portion.min(count - done * portion));
    portions
        .map(|count| {
            let (path, body) = work.of(count).request();
            let (_, answer) = caller.call(path, &body)?;
            let answer: serde_json::Value = serde_json::from_slice(&answer).context("the answer is no JSON")?;
            let nanoseconds = answer["value"].as_str().and_then(|value| value.parse().ok());
            Ok(Duration::from_nanos(nanoseconds.with_context(|| format!("the answer is {answer}"))?))
        })
        .sum()
}

/// Does parts of some work at the same time; how long the longest took.
pub fn together<W: FnOnce() -> Result<Duration> + Send>(parts: impl Iterator<Item = W>) -> Result<Duration> {
    thread::scope(|scope| {
        let parts: Vec<_> = parts.map(|part| scope.spawn(part)).collect();
        let took = parts.into_iter().map(|part| part.join().unwrap_or_else(|_| bail!("a part of the work panicked")));
        took.collect::<Result<Vec<_>>>().map(|took| took.into_iter().max().unwrap_or_default())
    })
}

impl Guests {
    fn new(options: &Options) -> Result<Guests> {
        let named = |package: &str| options.guests.as_ref().map(|folder| folder.join(format!("{package}.wasm")));
        let component = |package: &str| crate::program::component(named(package).as_deref(), package);
        let programs = Programs::new(options.microhost.as_deref(), named(CALLER).as_deref(), CALLER)?;
        let (echo, streams) = (component(ECHO)?, component(STREAMS)?);
        let settings = programs.write_settings(
            "hop.toml",
            &format!(
                "[service.hop]\ncomponent = {}\ngrants.calls = [\"test.echo.Echo\", \"example.streams.Streams\"]\n\
                 [service.echo]\ncomponent = {}\n[service.streams]\ncomponent = {}\n",
                toml_string(programs.guest())?,
                toml_string(&echo)?,
                toml_string(&streams)?
            ),
        )?;
        Ok(Guests { programs, echo, streams, settings })
    }

    fn callee(&self, work: Work) -> &Path {
        if work.callee() == ECHO { &self.echo } else { &self.streams }
    }

    /// Each side, one right after the other; who is first changes.
    fn round(&self, work: Work, number: usize) -> Result<Round> {
        let per = |took: Duration| took.as_nanos() as f64 / f64::from(work.count());
        let pair = match work {
            Work::Calls { .. } => Some(per(self.bare(work, Some(self.programs.guest())).context("two guests in bare wasmtime")?)),
            _ => None,
        };
        let bare = || self.bare(work, None).context("a bare call");
        let hop = || self.hop(work).context("microhost");
        let tonic = || self.tonic(work).context("tonic");
        let (bare, hop, tonic) = if number.is_multiple_of(2) {
            let (bare, hop) = (bare()?, hop()?);
            (bare, hop, tonic()?)
        } else {
            let (tonic, hop) = (tonic()?, hop()?);
            (bare()?, hop, tonic)
        };
        Ok(Round { bare: per(bare), pair, hop: per(hop), tonic: per(tonic) })
    }

    fn bare(&self, work: Work, caller: Option<&Path>) -> Result<Duration> {
        let mut command = self.programs.bench();
        command.arg("bare").arg("--guest").arg(self.callee(work));
        if let Some(caller) = caller {
            command.arg("--caller").arg(caller);
        }
        command.args(work.arguments());
        let nanoseconds: u64 = serde_json::from_slice(&output(command)?).context("its report is not understood")?;
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn hop(&self, work: Work) -> Result<Duration> {
        let server = Server::start(self.programs.settings(&self.settings, &self.programs.cache()))?;
        let callers = work.callers();
        let mut connections = Vec::new();
        for _ in 0..callers {
            // In turn, so that the host gives each of them another lane.
            connections.push(Caller::connect(server.address)?);
        }
        let mut all = |count: u32| -> Result<Duration> {
            together(connections.iter_mut().enumerate().map(|(place, caller)| {
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                move || asked(caller, work.part(share(count, callers, place), callers, place))
            }))
        };
        all(work.count() / WARM_UP)?;
        let took = all(work.count())?;
        server.stop()?;
        Ok(took)
    }

    fn tonic(&self, work: Work) -> Result<Duration> {
        let server = Server::start(self.programs.native(Native::Tonic))?;
        native::run(server.address, work.of(work.count() / WARM_UP))?;
        let took = native::run(server.address, work)?;
        server.stop()?;
        Ok(took)
    }
}

/// Does the work by bare wasmtime, and writes how many nanoseconds it took to stdout.
pub fn run_bare(bare: &Bare) -> Result<()> {
    let warm = bare.work.of(bare.work.count() / WARM_UP);
    let callers = bare.work.callers();
    let took = together((0..callers).map(|place| {
        let part = |work: Work| work.part(share(work.count(), callers, place), callers, place);
        let (guest, warm, work) = (&bare.guest, part(warm), part(bare.work));
        move || match &bare.caller {
            Some(caller) => pair::run(caller, guest, warm, work),
            None => bare::run(guest, warm, work),
        }
    }))?;
    println!("{}", took.as_nanos());
    Ok(())
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    ensure!((1..=100).contains(&options.rounds), "--rounds must be 1 to 100");
    if options.calls.is_empty() && options.sizes.is_empty() {
        bail!("nothing is to be measured: --calls and --sizes are empty");
    }
    let guests = Guests::new(options)?;
    let mut works: Vec<Work> = options.calls.iter().map(|&width| Work::Calls { count: options.count, width }).collect();
    for make in
        [|count, size| Work::Produce { count, size }, |count, size| Work::Consume { count, size }, |count, size| Work::Echo { count, size }]
    {
        works.extend(options.sizes.iter().map(|&size| make(options.count.min(MOST_BYTES / size), size)));
    }
    let mut report = Report::new(options.rounds);
    for work in works {
        let mut rounds = Vec::with_capacity(options.rounds);
        for number in 0..options.rounds {
            rounds.push(guests.round(work, number).with_context(|| work.to_string())?);
        }
        let median = |of: fn(&Round) -> f64| Spread::of(rounds.iter().map(of)).median / 1e3;
        eprintln!("{work}: bare {:.2}, hop {:.2}, tonic {:.2} µs", median(|r| r.bare), median(|r| r.hop), median(|r| r.tonic));
        report.works.push(Rounds { work, rounds });
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_calls_are_somebodys() {
        for (count, width) in [(7, 3), (3, 7), (32, 32), (100, 1)] {
            assert_eq!((0..width).map(|place| share(count, width, place)).sum::<u32>(), count);
        }
    }
}
