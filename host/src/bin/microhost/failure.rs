//! A command that failed: what the user reads of it, and what the shell is told.

use std::fmt;

use microhost::admin::door::DoorError;
use microhost::app::NotStarted;
use microhost::edge::EdgeError;
use microhost::project::ProjectError;
use microhost::rpc::RouterError;
use microhost::schema::SchemaError;
use microhost::settings::SettingsError;
use microhost::sockets::SocketError;
use microhost::wasm::cache::CacheError;
use microhost::wasm::load::LoadError;
use microhost::wasm::start::StartError;

use crate::exit::Exit;
use crate::paint::{Paint, visible};

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

/// An error for the user: what failed, where and why, and what to do next.
pub struct Failure {
    exit: Exit,
    what: String,
    /// Where it failed and why, one thought a line, the nearest cause first.
    notes: Vec<String>,
    advice: Option<String>,
}

impl Failure {
    /// A failure that is told as `what`.
    pub fn new(exit: Exit, what: impl Into<String>) -> Failure {
        Failure { exit, what: what.into(), notes: Vec::new(), advice: None }
    }

    /// Adds where it failed, or why.
    #[must_use]
    pub fn note(mut self, note: impl fmt::Display) -> Failure {
        self.notes.push(note.to_string());
        self
    }

    /// Adds an error and what caused it, without telling twice what an error repeats of its cause.
    #[must_use]
    pub fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let told = self.what.contains(&text) || self.notes.iter().any(|note| note.contains(&text));
            if !told {
                self.notes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what another failure says of where and why.
    #[must_use]
    pub fn told(mut self, other: Failure) -> Failure {
        self.notes.push(other.what);
        self.notes.extend(other.notes);
        self
    }

    /// A run that ended as several services were asked for and some could not start. The first of them
    /// decides the exit code, as it would have alone.
    fn of_several(several: NotStarted) -> Failure {
        let mut failure = Failure::new(Exit::Failed, several.to_string());
        for (at, (load, error)) in several.failed.into_iter().enumerate() {
            let one = Failure::from(error);
            if at == 0 {
                failure.exit = one.exit;
            }
            failure.notes.push(format!("{}: {}", load.name, one.what));
            failure.notes.extend(one.notes);
        }
        failure
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Failure {
        self.advice = Some(advice.into());
        self
    }

    /// What the shell is told.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The text for the user.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} {}\n", paint.bad("error:"), indented(&self.what));
        for note in &self.notes {
            text.push_str(&format!("  {}\n", indented(note)));
        }
        if let Some(advice) = &self.advice {
            text.push_str(&format!("  {} {}\n", paint.strong("try:"), indented(advice)));
        }
        text
    }
}

/// All lines but the first moved in, and nothing in them that a terminal would obey: parts of the
/// text come from files and from other machines.
fn indented(text: &str) -> String {
    text.trim_end().lines().map(visible).collect::<Vec<_>>().join("\n    ")
}

/// The library's errors: which of them blames the input, which the network. They say themselves what
/// to do next.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let error = match error.downcast::<NotStarted>() {
            Ok(several) => return Failure::of_several(several),
            Err(error) => error,
        };
        Failure::new(exit_of(&error), error.to_string()).because(error.as_ref())
    }
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Failure {
        Failure::from(anyhow::Error::from(error))
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Failure {
        Failure::from(anyhow::Error::from(error))
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(blame).unwrap_or(Exit::Failed)
}

/// What one error of a chain says about the exit code, if it says anything.
fn blame(error: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = error.downcast_ref::<ProjectError>() {
        return Some(match error {
            ProjectError::NoTool { .. } | ProjectError::Failed { .. } => Exit::Build,
            ProjectError::Name { .. } => Exit::Usage,
            _ => Exit::Refused,
        });
    }
    if let Some(error) = error.downcast_ref::<EdgeError>() {
        return Some(match error {
            EdgeError::InUse { .. } | EdgeError::Listen { .. } => Exit::Unreachable,
            EdgeError::Socket(SocketError::Taken { .. } | SocketError::Listen { .. }) => Exit::Unreachable,
            EdgeError::Socket(_) | EdgeError::Tls { .. } | EdgeError::Pair { .. } => Exit::Refused,
        });
    }
    if let Some(error) = error.downcast_ref::<DoorError>() {
        return Some(match error {
            DoorError::Taken { .. } | DoorError::Listen { .. } => Exit::Unreachable,
            _ => Exit::Refused,
        });
    }
    let refused = error.is::<SettingsError>()
        || error.is::<LoadError>()
        || error.is::<StartError>()
        || error.is::<CacheError>()
        || error.is::<SchemaError>()
        || error.is::<RouterError>();
    refused.then_some(Exit::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_where_why_and_what_to_do() {
        let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let failure = Failure::new(Exit::Refused, "cannot read the component").note("a.wasm").because(&cause).advise("microhost build");
        assert_eq!(failure.text(Paint::none()), "error: cannot read the component\n  a.wasm\n  no such file\n  try: microhost build\n");
    }

    #[test]
    fn a_cause_told_already_is_not_told_again() {
        let error = anyhow::anyhow!("disk full").context("cannot write x: disk full");
        assert_eq!(Failure::from(error).text(Paint::none()), "error: cannot write x: disk full\n");
    }

    #[test]
    fn services_that_failed_together_are_told_one_by_one() {
        let of = |name: &str| microhost::app::Load { name: name.to_owned(), ..Default::default() };
        let failed = vec![
            (of("a"), LoadError::NotWasm { path: "LICENSE".into() }.into()),
            (of("b"), anyhow::anyhow!("no luck").context("cannot serve b")),
        ];
        let failure = Failure::from(anyhow::Error::from(NotStarted { failed, all: 3 }));
        let text = failure.text(Paint::none());
        assert!(text.starts_with("error: 2 of 3 services cannot start\n  a: LICENSE is no WebAssembly"), "{text}");
        assert!(text.ends_with("\n  b: cannot serve b\n  no luck\n"), "{text}");
        assert_eq!(failure.exit(), Exit::Refused);
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        let failure = Failure::new(Exit::Failed, "a\u{1b}[2Jb\nsecond \u{9b}line");
        assert_eq!(failure.text(Paint::none()), "error: a\\u{1b}[2Jb\n    second \\u{9b}line\n");
    }

    #[test]
    fn a_taken_port_is_told_from_a_file_that_is_no_component() {
        let taken = anyhow::Error::from(EdgeError::InUse { address: "127.0.0.1:1".parse().expect("an address") }).context("cannot serve");
        let wrong = anyhow::Error::from(LoadError::NotWasm { path: "LICENSE".into() });
        let build = anyhow::Error::from(ProjectError::NoTool { tool: "cargo".into(), advice: "install Rust" });
        assert_eq!([taken, wrong, build].map(|error| exit_of(&error)), [Exit::Unreachable, Exit::Refused, Exit::Build]);
    }
}
