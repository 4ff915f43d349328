//! What a service says of itself while it runs, beside what its settings say.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// What a service says of itself at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Labels of its own; one that its settings give too has the settings' value.
    pub labels: BTreeMap<String, String>,
    /// Why it is not to be called, if it says so.
    pub unwell: Option<String>,
}

/// What a version of a service says of itself, shared and watched: the guest's side writes it, and what
/// is told of the service is made of it.
#[derive(Clone, Debug)]
pub struct Entry(watch::Sender<Arc<Said>>);

impl Default for Entry {
    fn default() -> Entry {
        Entry(watch::Sender::new(Arc::default()))
    }
}

impl Entry {
    /// What it says now, and from now on.
    pub fn watch(&self) -> watch::Receiver<Arc<Said>> {
        self.0.subscribe()
    }

    /// What it says now.
    pub fn now(&self) -> Arc<Said> {
        self.0.borrow().clone()
    }

    /// Changes what it says. Who watches hears of it only if something is another.
    pub fn change(&self, change: impl FnOnce(&mut Said)) {
        self.0.send_if_modified(|said| {
            let mut new = (**said).clone();
            change(&mut new);
            let changed = **said != new;
            if changed {
                *said = Arc::new(new);
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_another_is_heard() {
        let entry = Entry::default();
        let mut heard = entry.watch();
        entry.change(|said| said.unwell = None);
        assert!(!heard.has_changed().expect("the entry is there"));
        entry.change(|said| said.unwell = Some("no disk".to_owned()));
        assert!(heard.has_changed().expect("the entry is there"));
        assert_eq!(heard.borrow_and_update().unwell.as_deref(), Some("no disk"));
        assert_eq!(entry.now(), entry.watch().borrow().clone());
    }
}
