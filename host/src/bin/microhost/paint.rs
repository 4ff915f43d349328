//! How text looks to people: colour where it is wanted, and control characters shown, not obeyed.

use std::io::{self, IsTerminal};

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
