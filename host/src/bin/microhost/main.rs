//! The program `microhost`. Each command has a file of its own; here they only meet.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use microhost::settings::nearest;

/// A call makes some dozens of small allocations, in hyper, tokio and wasmtime above all, and all of
/// them on the lane that frees them: what this allocator is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod build;
mod call;
mod completions;
mod describe;
mod dev;
mod discover;
mod door;
mod exit;
mod failure;
mod generate;
mod health;
mod inspect;
mod logging;
mod logs;
mod look;
mod new;
mod output;
mod paint;
mod place;
mod rollback;
mod run;
mod services;
mod shown;
mod source;
mod stats;
mod swap;
mod table;

use exit::Exit;
use paint::Paint;

/// Run microservices that are WebAssembly components.
#[derive(Parser)]
#[command(name = "microhost", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  microhost new greeter                          make a service's folder
  microhost run greeter                          build it and serve it
  microhost call greeter hello '{\"name\":\"Ada\"}'  call it

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 input refused, 4 unreachable, 5 no build,
64 + N: the call ended with gRPC status N. docs/cli.md has them all.";

#[derive(Subcommand)]
enum Command {
    New(new::New),
    Build(build::Build),
    Run(Box<run::Run>),
    Dev(Box<dev::Dev>),
    Call(Box<call::Call>),
    Services(services::Services),
    Describe(describe::Describe),
    Health(health::Health),
    Stats(stats::Stats),
    Logs(logs::Logs),
    Swap(swap::Swap),
    Rollback(rollback::Rollback),
    Inspect(inspect::Inspect),
    #[command(name = "gen")]
    Generate(generate::Generate),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| hinted(error).exit());
    let outcome = match cli.command {
        Command::New(command) => command.execute(),
        Command::Build(command) => command.execute(),
        Command::Run(command) => command.execute(),
        Command::Dev(command) => command.execute(),
        Command::Call(command) => command.execute(),
        Command::Services(command) => command.execute(),
        Command::Describe(command) => command.execute(),
        Command::Health(command) => command.execute(),
        Command::Stats(command) => command.execute(),
        Command::Logs(command) => command.execute(),
        Command::Swap(command) => command.execute(),
        Command::Rollback(command) => command.execute(),
        Command::Inspect(command) => command.execute(),
        Command::Generate(command) => command.execute(),
        Command::Completions(command) => command.execute(),
    };
    match outcome {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            output::tell(failure.text(Paint::for_stderr()).trim_end());
            failure.exit().into()
        }
    }
}

/// Adds the nearest command to clap's error on one that there is not: its own measure finds none
/// near to words as short as `rnu`.
fn hinted(mut error: clap::Error) -> clap::Error {
    let given = match (error.get(ContextKind::SuggestedSubcommand), error.get(ContextKind::InvalidSubcommand)) {
        (None, Some(ContextValue::String(given))) => given.clone(),
        _ => return error,
    };
    let commands = Cli::command();
    // A command's own subcommands are not among these names.
    let is_first = std::env::args().nth(1).is_some_and(|first| first == given);
    if let Some(near) = nearest(&given, commands.get_subcommands().map(clap::Command::get_name)).filter(|_| is_first) {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![near.to_owned()]));
    }
    error
}
