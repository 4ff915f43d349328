//! `bench swap`: calls over many connections, with streams open, while their services are swapped again
//! and again; against the same calls while nothing is swapped. One call that fails fails the benchmark.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::load::{Measured, Plan, Protocol};
use crate::pairs::check_rounds;
use crate::process::{Server, output};
use crate::program::{Programs, component, toml_string};
use crate::statistics::Spread;
use crate::table::Table;
use crate::usage::Usage;

/// The services, packages of `guests/`: one for calls, one for streams.
const CALLED: &str = "echo";
const STREAMED: &str = "streams";
/// What lets the benchmark swap over the listener.
const TOKEN: &str = "bench";
/// How long old versions may take to end their calls, and an answer of the admin API to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured, and how long.
#[derive(Args)]
pub struct Options {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Connections, with one call each
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Streams that are open beside them
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    streams: u32,
    /// Swaps of each service in a round
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    swaps: u32,
    /// Rounds: a measurement without swaps, and one with them
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// The microhost program; without, it is built
    #[arg(long)]
    microhost: Option<PathBuf>,
}

/// One round.
#[derive(Debug, Serialize)]
struct Round {
    /// Without swaps.
    quiet: Measured,
    /// With them.
    swapping: Measured,
    /// Streams that ended well in the meantime.
    streams: u64,
    /// The times of the swaps, in milliseconds.
    swaps: Vec<f64>,
    /// Resident memory before the swaps, and once all old versions are gone, in bytes.
    before: u64,
    after: u64,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    check_rounds(options.rounds, options.seconds)?;
    let programs = Programs::new(options.microhost.as_deref(), None, CALLED)?;
    let streamed = component(None, STREAMED)?;
    let services = [(CALLED, programs.guest().to_owned()), (STREAMED, streamed)];
    let mut text = format!("[listen]\nadmin-token = \"{TOKEN}\"\n");
    for (name, component) in &services {
        text += &format!("[service.{name}]\ncomponent = {}\n", toml_string(component)?);
    }
    let settings = programs.write_settings("swap.toml", &text)?;
    let server = Server::start(programs.settings(&settings, &programs.cache()))?;
    let mut rounds = Vec::with_capacity(options.rounds);
    for number in 1..=options.rounds {
        let round = round(options, &programs, &server, &services)?;
        eprintln!(
            "round {number}/{}: p99 {:.0} and {:.0} us, {} swaps, {} calls, none failed",
            options.rounds,
            round.quiet.p99,
            round.swapping.p99,
            round.swaps.len(),
            round.swapping.calls
        );
        rounds.push(round);
    }
    server.stop()?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&rounds)?);
    } else {
        print(options, &rounds);
    }
    Ok(())
}

fn round(options: &Options, programs: &Programs, server: &Server, services: &[(&str, PathBuf)]) -> Result<Round> {
    let (quiet, _) = measured(options, programs, server).context("without swaps")?;
    let before = Usage::of(server.pid())?.resident;
    let over = AtomicBool::new(false);
    let (measured, swaps) = thread::scope(|scope| {
        let swaps = scope.spawn(|| swap_on(options, server.address, services, &over));
        let measured = measured(options, programs, server);
        over.store(true, Relaxed);
        (measured, swaps.join().expect("the thread of the swaps does not panic"))
    });
    let (swapping, streams) = measured.context("while services were swapped")?;
    drained(server.address, services)?;
    let after = Usage::of(server.pid())?.resident;
    Ok(Round { quiet, swapping, streams, swaps: swaps?, before, after })
}

/// Calls, and streams beside them; what came of the calls, and how many streams ended.
fn measured(options: &Options, programs: &Programs, server: &Server) -> Result<(Measured, u64)> {
    let load = |protocol, connections, size| -> Command {
        let plan = Plan { protocol, connections, streams: 1, size, seconds: options.seconds };
        let mut command = programs.bench();
        command.arg("load").args(plan.arguments()).args(["--at", &server.address.to_string(), "--pid", &server.pid().to_string()]);
        command
    };
    let (calls, streams) = (load(Protocol::Json, options.connections as usize, 1), load(Protocol::Echo, options.streams as usize, 1024));
    let (calls, streams) = thread::scope(|scope| {
        let streams = scope.spawn(|| output(streams));
        (output(calls), streams.join().expect("the thread of the streams does not panic"))
    });
    let calls: Measured = serde_json::from_slice(&calls.context("calls")?)?;
    let streams: Measured = serde_json::from_slice(&streams.context("streams")?)?;
    Ok((calls, streams.calls))
}

/// Swaps each service so often, evenly over the time of a measurement, or for as long as that lasts.
fn swap_on(options: &Options, at: SocketAddr, services: &[(&str, PathBuf)], over: &AtomicBool) -> Result<Vec<f64>> {
    let pause = Duration::from_secs_f64(options.seconds / f64::from(options.swaps));
    let mut times = Vec::new();
    for turn in 0..options.swaps {
        let began = Instant::now();
        for (name, component) in services {
            let began = Instant::now();
            admin(at, "POST", &format!("{name}/swap"), &json!({ "component": component }).to_string())?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        if over.load(Relaxed) {
            bail!(
                "only {turn} of {} swaps were made in time: give them longer with --seconds, or ask for fewer with --swaps",
                options.swaps
            );
        }
        thread::sleep(pause.saturating_sub(began.elapsed()));
    }
    Ok(times)
}

/// Waits until every old version has ended its calls and is gone.
fn drained(at: SocketAddr, services: &[(&str, PathBuf)]) -> Result<()> {
    let began = Instant::now();
    for (name, _) in services {
        while admin(at, "GET", name, "")?["versions"]["draining"].as_array().is_none_or(|draining| !draining.is_empty()) {
            ensure!(began.elapsed() < PATIENCE, "old versions of {name} are not gone after {} s", PATIENCE.as_secs());
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Asks the admin API about a service.
fn admin(at: SocketAddr, method: &str, path: &str, body: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} /_microhost/admin/services/{path} HTTP/1.1\r\nhost: {at}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the admin API answered without a body")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{method} of {path} was refused: {body}");
    serde_json::from_str(body).with_context(|| format!("the admin API answered {body:?}"))
}

fn print(options: &Options, rounds: &[Round]) {
    let title = format!(
        "JSON over {} connections, {} streams beside them, {} swaps of each service in {} s; medians of {} rounds; no call failed",
        options.connections, options.streams, options.swaps, options.seconds, options.rounds
    );
    let mut table = Table::new(title, &["", "", "quiet", "swapping", "ratio"]);
    let figures: [(&str, fn(&Measured) -> f64); 4] =
        [("calls a second", |of| of.rate), ("p50, us", |of| of.p50), ("p99, us", |of| of.p99), ("longest, us", |of| of.longest)];
    for (name, figure) in figures {
        let middle = |of: fn(&Round) -> &Measured| Spread::of(rounds.iter().map(|round| figure(of(round)))).median;
        let ratio = Spread::of(rounds.iter().map(|round| figure(&round.swapping) / figure(&round.quiet)));
        let (quiet, swapping) = (middle(|round| &round.quiet), middle(|round| &round.swapping));
        let cells = [format!("{quiet:.0}"), format!("{swapping:.0}"), format!("{:.2}", ratio.median)];
        table.row([name.to_owned(), String::new()].into_iter().chain(cells).collect());
    }
    print!("{table}");
    let swaps = Spread::of(rounds.iter().flat_map(|round| round.swaps.iter().copied()));
    println!("\n  a swap took {:.1} ms, at most {:.1} ms", swaps.median, swaps.max);
    for round in rounds {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "  resident {:.0} MiB before the swaps, {:.0} MiB after; {} streams ended well",
            mib(round.before),
            mib(round.after),
            round.streams
        );
    }
}
