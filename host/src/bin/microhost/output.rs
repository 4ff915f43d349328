//! What is printed: data to standard output, all else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// Prints data and a line's end.
///
/// A reader that has seen enough (`| head`) ends the program quietly, as it does every other filter.
pub fn print(text: impl Display) -> Outcome {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(Exit::Done.number().into()),
        result => result.map_err(|error| Failure::new(Exit::Failed, "cannot write to standard output").because(&error)),
    }
}

/// Prints data as JSON: readable on a terminal, one line otherwise.
pub fn print_json(data: &impl Serialize) -> Outcome {
    let text = if io::stdout().is_terminal() { serde_json::to_string_pretty(data) } else { serde_json::to_string(data) };
    print(text.map_err(|error| Failure::new(Exit::Failed, "cannot write the result as JSON").because(&error))?)
}

/// Prints data as one line of JSON, of many.
pub fn print_json_line(data: &impl Serialize) -> Outcome {
    print(serde_json::to_string(data).map_err(|error| Failure::new(Exit::Failed, "cannot write the result as JSON").because(&error))?)
}

/// Tells the user something that is not data. Nobody may be listening, and that harms nothing.
pub fn tell(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
