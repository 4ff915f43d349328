//! Log lines with fields. The host adds the service and the call that a line belongs to.

#[cfg(feature = "log")]
pub(crate) mod facade;
#[cfg(feature = "tracing")]
pub(crate) mod spans;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Each step, for whoever looks for a fault.
    Trace,
    /// What helps to understand one call.
    Debug,
    /// What happens in the normal course of things.
    Info,
    /// What should not be, and was coped with.
    Warn,
    /// What failed.
    Error,
}

/// Whether a line of this level would be kept; ask before building a costly one.
pub fn enabled(level: Level) -> bool {
    host::enabled(level)
}

/// Writes one line with named values.
///
/// Control characters are made visible, a long line is cut, and a service that writes too many
/// loses some: the host says so by a line of its own.
///
/// ```
/// use microhost_sdk::log::{Level, write};
///
/// write(Level::Info, "paid", &[("cart", "42"), ("sum", "9.90")]);
/// ```
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    if enabled(level) {
        host::write(level, message, fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
    }
}

#[cfg(target_family = "wasm")]
mod host {
    use super::Level;
    use crate::bindings::microhost::service::log::{self, Field};

    fn level_of(level: Level) -> log::Level {
        match level {
            Level::Trace => log::Level::Trace,
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        }
    }

    pub fn enabled(level: Level) -> bool {
        log::enabled(level_of(level))
    }

    pub fn write(level: Level, message: &str, fields: Vec<(String, String)>) {
        let fields: Vec<Field> = fields.into_iter().map(|(name, value)| Field { name, value }).collect();
        log::write(level_of(level), message, &fields);
    }
}

/// A service's own tests run without a host: their lines go to stderr.
#[cfg(not(target_family = "wasm"))]
mod host {
    use super::Level;

    pub fn enabled(_: Level) -> bool {
        true
    }

    pub fn write(level: Level, message: &str, fields: Vec<(String, String)>) {
        eprintln!("{}", line(level, message, &fields));
    }

    pub(super) fn line(level: Level, message: &str, fields: &[(String, String)]) -> String {
        let mut line = format!("{level:?} {message}");
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value:?}"));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_host_shows_its_fields() {
        let fields = [("cart".to_owned(), "4 2".to_owned())];
        assert_eq!(host::line(Level::Warn, "late", &fields), "Warn late cart=\"4 2\"");
    }

    #[test]
    fn levels_are_ordered_by_weight() {
        assert!(Level::Trace < Level::Debug && Level::Warn < Level::Error);
    }
}
