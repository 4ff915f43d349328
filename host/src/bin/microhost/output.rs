//! What is printed: data to standard output, all else to standard error, colour only for people.

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

/// Text in which control characters are shown, not obeyed.
pub fn visible(text: &str) -> String {
    if !text.chars().any(|c| c.is_control() && c != '\t') {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() && c != '\t' { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Colour, or none.
#[derive(Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// Colour where standard error is a terminal that knows it and nobody forbids it
    /// (<https://no-color.org>).
    pub fn for_stderr() -> Paint {
        Paint::on(&io::stderr())
    }

    /// The same for standard output.
    pub fn for_stdout() -> Paint {
        Paint::on(&io::stdout())
    }

    fn on(stream: &impl IsTerminal) -> Paint {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint(stream.is_terminal() && !forbidden && !dumb)
    }

    /// No colour.
    pub fn none() -> Paint {
        Paint(false)
    }

    /// Whether there is colour at all.
    pub fn is_on(self) -> bool {
        self.0
    }

    /// Text that tells of an error.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// Text that the eye should find.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Text that tells that all is well.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Text that tells of something to look at.
    pub fn odd(self, text: &str) -> String {
        self.with("33", text)
    }

    /// Text that the eye may pass over.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
