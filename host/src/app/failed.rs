//! Services that cannot start: reported beside those that run, or the end of the run.

use std::fmt::Write;

use super::Load;

/// A service that could not be started, and why.
pub type Failed = (Load, anyhow::Error);

/// A run that does not go on without the services that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{} of {all} services cannot start", failed.len())]
pub struct NotStarted {
    /// The services, in the order in which they failed.
    pub failed: Vec<Failed>,
    /// How many services were asked for.
    pub all: usize,
}

impl NotStarted {
    /// The error of a run of which so many services would have run: of a single one its own error.
    pub(super) fn of(mut failed: Vec<Failed>, running: usize) -> anyhow::Error {
        let all = failed.len() + running;
        match failed.pop() {
            Some((_, error)) if all == 1 => error,
            last => {
                failed.extend(last);
                NotStarted { failed, all }.into()
            }
        }
    }
}

/// An error and what caused it, without telling twice what an error repeats of its cause.
pub(super) fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(name: &str) -> Failed {
        (Load { name: name.to_owned(), ..Load::default() }, anyhow::anyhow!("{name} is broken"))
    }

    #[test]
    fn a_run_of_one_fails_with_its_own_error() {
        assert_eq!(NotStarted::of(vec![failed("a")], 0).to_string(), "a is broken");
        let error = NotStarted::of(vec![failed("a"), failed("b")], 1);
        assert_eq!(error.to_string(), "2 of 3 services cannot start");
        let NotStarted { failed, .. } = error.downcast().expect("of several");
        assert_eq!(failed.iter().map(|(load, _)| load.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_cause_told_already_is_not_told_again() {
        let error = anyhow::anyhow!("disk full").context("cannot write x: disk full").context("cannot start");
        assert_eq!(told(&error), "cannot start: cannot write x: disk full");
    }
}
