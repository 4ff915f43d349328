//! The benchmark: microhost against the bare libraries, in turn and in pairs within one run, because
//! only ratios within one run mean anything.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod caller;
mod choose;
mod density;
mod hop;
mod hosts;
mod items;
mod load;
mod machine;
mod message;
mod page;
mod pairs;
mod process;
mod program;
mod serve;
mod site;
mod statistics;
mod streams;
mod swap;
mod table;
mod unary;
mod usage;

#[derive(Parser)]
#[command(name = "bench", about = "Measures microhost against bare hyper, bare tonic and wasmtime serve", version)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// One small call, as JSON over HTTP/1.1 and as gRPC, and how a service starts.
    Unary(unary::Options),
    /// Streams of messages over gRPC: from the server, to the server, and back again.
    Streams(streams::Options),
    /// A page from a component of `wasi:http`, against `wasmtime serve` too where that is installed.
    Http(site::Options),
    /// A thousand services in one host: their start, their memory while idle, their first calls.
    Density(density::Options),
    /// A service that calls another one in the same host, against a bare call and against tonic.
    Hop(hop::Options),
    /// Services that are swapped under load: calls that fail, how long calls take, memory.
    Swap(swap::Options),
    /// One host chosen of ten, of a thousand and of ten thousand, with each policy.
    Choose(choose::Options),
    /// A hop between hosts, against tonic's client at one address.
    Hosts(hosts::Options),
    /// Be a client that calls: what `hosts` starts.
    Ask(hosts::ask::Ask),
    /// Be a bare wasmtime that calls a guest: what `hop` starts.
    Bare(hop::Bare),
    /// Be a native server: what the others start; also for a look with other load generators.
    Serve(serve::Serve),
    /// Be the load generator: what the others start; also for a look at any server of the same calls.
    Load(load::Load),
}

fn main() -> ExitCode {
    match run(&Cli::parse().bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line: who runs a benchmark needs no backtrace of it.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Unary(options) => unary::run(options),
        Bench::Streams(options) => streams::run(options),
        Bench::Http(options) => site::run(options),
        Bench::Density(options) => density::run(options),
        Bench::Hop(options) => hop::run(options),
        Bench::Swap(options) => swap::run(options),
        Bench::Choose(options) => choose::run(options),
        Bench::Hosts(options) => hosts::run(options),
        Bench::Ask(ask) => hosts::ask::run(ask),
        Bench::Bare(bare) => hop::run_bare(bare),
        Bench::Serve(serve) => serve::run(serve),
        Bench::Load(load) => load::run(load),
    }
}
