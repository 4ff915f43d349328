//! What is written with the crate `log` goes to the host.

use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

use super::{Level, enabled, host};

struct Facade;

/// Makes the host the logger, unless the service has set one.
pub(crate) fn install() {
    // Whether a level is kept is asked of the host for each line: it may change while an instance
    // lives, and the host cannot be asked while one starts.
    if log::set_logger(&Facade).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        enabled(level_of(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        let level = level_of(record.level());
        if !enabled(level) {
            return;
        }
        let mut fields = Fields(vec![("target".to_owned(), record.target().to_owned())]);
        // Fails only where the visitor does, and this one does not.
        let _ = record.key_values().visit(&mut fields);
        match record.args().as_str() {
            Some(text) => host::write(level, text, fields.0),
            None => host::write(level, &record.args().to_string(), fields.0),
        }
    }

    fn flush(&self) {}
}

fn level_of(level: log::Level) -> Level {
    match level {
        log::Level::Trace => Level::Trace,
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_values_become_fields() {
        let mut fields = Fields(Vec::new());
        let source: &[(&str, u32)] = &[("cart", 42), ("items", 3)];
        log::kv::Source::visit(&source, &mut fields).expect("the visitor takes everything");
        assert_eq!(fields.0, [("cart".to_owned(), "42".to_owned()), ("items".to_owned(), "3".to_owned())]);
    }
}
