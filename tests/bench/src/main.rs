//! The benchmark: microhost against the bare libraries, in turn and in pairs within one run, because
//! only ratios within one run mean anything.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod load;
mod message;
mod process;
mod program;
mod serve;
mod statistics;
mod table;
mod unary;
mod usage;

#[derive(Parser)]
#[command(name = "bench", about = "Measures microhost against bare hyper and bare tonic", version)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// One small call, as JSON over HTTP/1.1 and as gRPC, and how a service starts.
    Unary(unary::Options),
    /// Be a native server: what `unary` starts; also for a look with other load generators.
    Serve(serve::Serve),
    /// Be the load generator: what `unary` starts; also for a look at any server of the same call.
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
        Bench::Serve(serve) => serve::run(serve),
        Bench::Load(load) => load::run(load),
    }
}
