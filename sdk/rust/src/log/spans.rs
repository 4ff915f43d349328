//! What is written with the crate `tracing` goes to the host, each event with the fields of the
//! spans around it.

use std::fmt::Debug;

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Metadata, Subscriber, dispatcher};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::{Level, enabled, host};

/// Makes the host the subscriber, unless the service has set one.
pub(crate) fn install() {
    // The error says that there is one already, and that one was chosen by the service.
    let _ = dispatcher::set_global_default(Dispatch::new(Registry::default().with(Host)));
}

struct Host;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Host {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    // Not `enabled`: that would ask the host for each span too, and a level that is switched on
    // later would miss the spans that are open.
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        enabled(level_of(event.metadata()))
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let line = line(event, &context);
        host::write(level_of(event.metadata()), &line.message, line.named);
    }
}

/// An event as a line: its target, the fields of the spans around it from the outermost on, its own.
fn line<S: Subscriber + for<'a> LookupSpan<'a>>(event: &Event<'_>, context: &Context<'_, S>) -> Fields {
    let mut line = Fields { message: String::new(), named: vec![("target".to_owned(), event.metadata().target().to_owned())] };
    for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
        if let Some(known) = span.extensions().get::<Fields>() {
            line.named.extend(known.named.iter().cloned());
        }
    }
    // Where a span has a field of the same name, the event's own counts.
    event.record(&mut line);
    line
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing_core::Level::TRACE => Level::Trace,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::ERROR => Level::Error,
    }
}

/// The message of an event, and the named values of an event or a span.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fields {
    message: String,
    named: Vec<(String, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else if let Some(known) = self.named.iter_mut().find(|(name, _)| name == field.name()) {
            known.1 = value;
        } else {
            self.named.push((field.name().to_owned(), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps the lines that [`Host`] writes.
    struct Kept(Arc<Mutex<Vec<Fields>>>);

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
            self.0.lock().expect("no test panics while it holds the lines").push(line(event, &context));
        }
    }

    #[test]
    fn an_event_has_its_own_fields_and_those_of_its_span() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let dispatch = Dispatch::new(Registry::default().with(Host).with(Kept(Arc::clone(&lines))));
        dispatcher::with_default(&dispatch, || {
            let span = tracing::info_span!("pay", cart = 42, sum = tracing::field::Empty);
            span.record("sum", "9.90");
            let _inside = span.enter();
            tracing::info!(target: "till", items = 3, cart = 43, "paid");
        });
        let named = [("target", "till"), ("cart", "43"), ("sum", "9.90"), ("items", "3")];
        let named = named.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let lines = std::mem::take(&mut *lines.lock().expect("no test panics while it holds the lines"));
        assert_eq!(lines, [Fields { message: "paid".to_owned(), named }]);
    }
}
