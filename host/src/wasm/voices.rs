//! What the instances of a service say of it while it runs, as one: any of them labels it, and it is to be
//! called only if all of them agree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::registry::Entry;

/// Labels that a service may give itself: others hear of each, and keep it.
pub const MAX_LABELS: usize = 32;

/// Bytes of a label's name.
pub const MAX_LABEL_NAME: usize = 63;

/// Bytes of a label's value.
pub const MAX_LABEL_VALUE: usize = 256;

/// Bytes of the reason why a service is not to be called; more is cut.
pub const MAX_REASON: usize = 256;

/// Why a label cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// What it is called.
    #[error("{0:?} cannot be the name of a label: up to {MAX_LABEL_NAME} letters, digits and -_./ can")]
    Name(String),
    /// What stands under this name.
    #[error("the label {0} has a value of more than {MAX_LABEL_VALUE} bytes or with control characters")]
    Value(String),
    /// There are [`MAX_LABELS`].
    #[error("the service has {MAX_LABELS} labels, and may have no more")]
    TooMany,
}

/// What the instances of one version of a service say of it.
#[derive(Debug, Default)]
pub struct Voices {
    entry: Entry,
    /// Which instances say that the service is not to be called, and why. Held while the entry is made of
    /// it, so that the last word is the newest.
    unwell: Mutex<Unwell>,
}

#[derive(Debug, Default)]
struct Unwell {
    /// By the number of the instance, so that the first one is heard.
    reasons: BTreeMap<u64, String>,
    instances: u64,
}

impl Voices {
    /// The voice of one more instance.
    pub fn join(self: &Arc<Voices>) -> Voice {
        let mut unwell = self.unwell();
        unwell.instances += 1;
        Voice { voices: Arc::clone(self), instance: unwell.instances }
    }

    /// What all of them say.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    fn unwell(&self) -> MutexGuard<'_, Unwell> {
        self.unwell.lock().expect("no holder panics")
    }

    fn say(&self, instance: u64, unwell: Option<String>) {
        let mut words = self.unwell();
        let before = match unwell {
            Some(why) => words.reasons.insert(instance, why),
            None => words.reasons.remove(&instance),
        };
        if before.is_some() || !words.reasons.is_empty() {
            let first = words.reasons.values().next().cloned();
            self.entry.change(|said| said.unwell = first);
        }
    }
}

/// What one instance says of its service. Its word on whether the service is to be called ends with it;
/// the labels stay, as the next instance need not know of them.
#[derive(Debug)]
pub struct Voice {
    voices: Arc<Voices>,
    instance: u64,
}

impl Voice {
    /// The labels that the service has given itself.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.voices.entry.now().labels.clone()
    }

    /// Gives the service a label, in place of the one of the same name.
    pub fn label(&self, name: String, value: String) -> Result<(), LabelError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if name.is_empty() || name.len() > MAX_LABEL_NAME || !name.bytes().all(plain) {
            return Err(LabelError::Name(name));
        }
        if value.len() > MAX_LABEL_VALUE || value.chars().any(char::is_control) {
            return Err(LabelError::Value(name));
        }
        let mut full = false;
        self.voices.entry.change(|said| {
            full = said.labels.len() >= MAX_LABELS && !said.labels.contains_key(&name);
            if !full {
                said.labels.insert(name, value);
            }
        });
        if full { Err(LabelError::TooMany) } else { Ok(()) }
    }

    /// Takes a label back.
    pub fn unlabel(&self, name: &str) {
        self.voices.entry.change(|said| drop(said.labels.remove(name)));
    }

    /// Says that the service is to be called, or why it is not.
    pub fn report(&self, unwell: Option<String>) {
        // It stands in logs and tables, on a line with more.
        let visible = |why: String| why.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        let cut = |mut why: String| {
            why.truncate(why.floor_char_boundary(MAX_REASON));
            why
        };
        self.voices.say(self.instance, unwell.map(cut).map(visible));
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.voices.say(self.instance, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwell(voices: &Voices) -> Option<String> {
        voices.entry().now().unwell.clone()
    }

    #[test]
    fn a_service_is_unwell_while_any_instance_says_so() {
        let voices = Arc::new(Voices::default());
        let (a, b) = (voices.join(), voices.join());
        b.report(Some("no disk".into()));
        a.report(None);
        assert_eq!(unwell(&voices).as_deref(), Some("no disk"));
        a.report(Some("no memory".into()));
        b.report(None);
        assert_eq!(unwell(&voices).as_deref(), Some("no memory"));
        a.report(None);
        assert_eq!(unwell(&voices), None);
    }

    #[test]
    fn the_word_of_an_instance_ends_with_it_and_its_labels_stay() {
        let voices = Arc::new(Voices::default());
        let voice = voices.join();
        voice.report(Some("no disk".into()));
        voice.label("track".into(), "canary".into()).expect("valid");
        drop(voice);
        assert_eq!((unwell(&voices), voices.entry().now().labels["track"].as_str()), (None, "canary"));
        voices.join().unlabel("track");
        assert!(voices.entry().now().labels.is_empty());
    }

    #[test]
    fn labels_are_bounded_in_number_and_length() {
        let voice = Arc::new(Voices::default()).join();
        let label = |name: &str, value: &str| voice.label(name.to_owned(), value.to_owned());
        for name in ["", "a b", "a\n", "ü", &"x".repeat(MAX_LABEL_NAME + 1)] {
            assert_eq!(label(name, "x"), Err(LabelError::Name(name.to_owned())));
        }
        for value in ["a\nb", &"x".repeat(MAX_LABEL_VALUE + 1)] {
            assert_eq!(label("a", value), Err(LabelError::Value("a".to_owned())));
        }
        for count in 0..MAX_LABELS {
            label(&format!("a-{count}"), "ü").expect("there is room");
        }
        assert_eq!(label("one-more", "x"), Err(LabelError::TooMany));
        label("a-1", "another").expect("it takes the place of one that is there");
        assert_eq!(voice.labels().len(), MAX_LABELS);
    }

    #[test]
    fn a_reason_is_one_line_and_not_too_long() {
        let voices = Arc::new(Voices::default());
        let voice = voices.join();
        voice.report(Some(format!("a\nb{}", "ü".repeat(MAX_REASON))));
        let why = unwell(&voices).expect("it is unwell");
        assert!(why.starts_with("a b") && why.len() <= MAX_REASON, "{why}");
    }
}
