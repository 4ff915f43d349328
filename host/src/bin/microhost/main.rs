//! The program `microhost`. Each command has a file of its own; here they only meet.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod build;
mod call;
mod completions;
mod exit;
mod failure;
mod generate;
mod inspect;
mod logging;
mod new;
mod output;
mod run;
mod source;

use exit::Exit;
use output::Paint;

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
    Run(run::Run),
    Call(call::Call),
    Inspect(inspect::Inspect),
    #[command(name = "gen")]
    Generate(generate::Generate),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::New(command) => command.execute(),
        Command::Build(command) => command.execute(),
        Command::Run(command) => command.execute(),
        Command::Call(command) => command.execute(),
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
