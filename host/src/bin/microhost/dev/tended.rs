//! One service that is watched: what it was last built from, and what of that runs.

use std::fs;
use std::path::Path;

use microhost::app::Load;
use microhost::project::{Cancel, ProjectError};

use super::sources::{Snapshot, Sources};
use crate::paint::visible;
use crate::run::Wanted;

/// How many of the files that changed are told.
const MAX_NAMED: usize = 3;

/// A service that is watched.
pub struct Tended {
    /// What the settings say of it.
    pub wanted: Wanted,
    sources: Sources,
    /// The sources that the last build was made from, whether it succeeded or not.
    built_from: Snapshot,
    /// The sources as they were when they were last looked at.
    seen: Snapshot,
    /// The settings have changed since the last build.
    stale: bool,
    /// What was built last, and the digest of its component.
    built: Option<(Load, [u8; 32])>,
    /// What was last given to the host.
    offered: Option<(Load, [u8; 32])>,
}

impl Tended {
    /// A service as its sources are now.
    pub fn new(wanted: Wanted) -> Tended {
        let sources = Sources::of(&wanted.load().component);
        let seen = sources.look(&Snapshot::default());
        Tended { wanted, sources, built_from: Snapshot::default(), seen, stale: true, built: None, offered: None }
    }

    /// Takes settings over that have changed.
    pub fn set(&mut self, wanted: Wanted) {
        if wanted.load().component != self.wanted.load().component {
            self.sources = Sources::of(&wanted.load().component);
        }
        self.stale |= wanted.load() != self.wanted.load();
        self.wanted = wanted;
    }

    /// Looks at the sources; what has changed since the last build, once that has been the same for one
    /// look and the next: whoever writes several files, or one in pieces, is let finish.
    pub fn changed(&mut self) -> Option<String> {
        let now = self.sources.look(&self.seen);
        let is_quiet = now.is(&self.seen);
        self.seen = now;
        let differs = self.stale || !self.seen.is(&self.built_from);
        if !(is_quiet && differs) {
            return None;
        }
        let root = self.sources.place().canonicalize().unwrap_or_default();
        let mut names: Vec<String> = self.seen.changed(&self.built_from).take(MAX_NAMED + 1).map(|path| shown(path, &root)).collect();
        if names.len() > MAX_NAMED {
            names[MAX_NAMED] = "more".to_owned();
        }
        Some(if names.is_empty() { "its settings".to_owned() } else { names.join(", ") })
    }

    /// Builds it as its sources are.
    pub fn build(&mut self, cancel: &Cancel) -> Result<(), ProjectError> {
        self.stale = false;
        self.built_from = self.seen.clone();
        let load = self.wanted.built(Some(cancel))?;
        self.sources.learn(&load.component);
        // Files elsewhere that are known from now on were what was built from.
        self.seen = self.sources.look(&self.seen);
        self.built_from.adopt(&self.seen, self.sources.elsewhere());
        // What cannot be read is refused by the host, with why.
        let digest = fs::read(&load.component).map(|bytes| *blake3::hash(&bytes).as_bytes()).unwrap_or_default();
        self.built = Some((load, digest));
        Ok(())
    }

    /// What was built and has not been given to the host, which notes that it has it now.
    pub fn offer(&mut self) -> Option<Load> {
        let built = self.built.as_ref().filter(|built| self.offered.as_ref() != Some(built))?;
        self.offered = Some(built.clone());
        Some(built.0.clone())
    }

    /// What was last given to the host.
    pub fn offered(&self) -> Option<&Load> {
        self.offered.as_ref().map(|(load, _)| load)
    }

    /// Whether there are more sources than are watched.
    pub fn is_cut(&self) -> bool {
        self.seen.is_cut
    }
}

fn shown(path: &Path, root: &Path) -> String {
    visible(&path.strip_prefix(root).unwrap_or(path).display().to_string())
}
