//! The sources of a project as they are at one moment. They are looked at again and again: that costs
//! little for the few files that somebody writes by hand, and works in containers and on shares, where
//! nobody tells of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ignored::Ignored;

/// The most files that are watched for one service.
const MAX_FILES: usize = 20_000;

/// How deep folders of sources lie, at most; a link that leads into itself ends here.
const MAX_DEPTH: usize = 64;

/// The largest file whose contents are compared; of a larger one, its time and size are.
const MAX_COMPARED: u64 = 4 << 20;

/// What a service is made of: a component, or a project with what it takes from elsewhere.
pub struct Sources {
    place: PathBuf,
    /// Files outside of the project's folder.
    elsewhere: BTreeSet<PathBuf>,
}

/// The sources at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, Stamp>,
    /// There are more than are watched.
    pub is_cut: bool,
}

#[derive(Clone, Debug)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    contents: [u8; 32],
}

impl Snapshot {
    /// The files that are not the same in another snapshot.
    pub fn changed<'a>(&'a self, since: &'a Snapshot) -> impl Iterator<Item = &'a Path> {
        let differs = |(path, stamp): &(&PathBuf, &Stamp)| since.files.get(*path).is_none_or(|before| before.contents != stamp.contents);
        let gone = since.files.keys().filter(|path| !self.files.contains_key(*path));
        self.files.iter().filter(differs).map(|(path, _)| path).chain(gone).map(PathBuf::as_path)
    }

    /// Takes files of another snapshot over that this one does not know.
    pub fn adopt(&mut self, other: &Snapshot, files: &BTreeSet<PathBuf>) {
        for (path, stamp) in other.files.iter().filter(|(path, _)| files.contains(*path)) {
            self.files.entry(path.clone()).or_insert_with(|| stamp.clone());
        }
    }

    /// Whether all files are the same.
    pub fn is(&self, other: &Snapshot) -> bool {
        self.changed(other).next().is_none()
    }

    fn add(&mut self, path: PathBuf, metadata: &Metadata, before: &Snapshot) {
        if self.files.len() >= MAX_FILES {
            self.is_cut = true;
            return;
        }
        let (modified, size) = (metadata.modified().ok(), metadata.len());
        let same = before.files.get(&path).filter(|stamp| stamp.modified == modified && stamp.size == size);
        let contents = match same {
            Some(stamp) => stamp.contents,
            None if size > MAX_COMPARED => *blake3::hash(format!("{modified:?} {size}").as_bytes()).as_bytes(),
            // Gone since it was listed, or not to be read: as if it were not there.
            None => match fs::read(&path) {
                Ok(bytes) => *blake3::hash(&bytes).as_bytes(),
                Err(_) => return,
            },
        };
        self.files.insert(path, Stamp { modified, size, contents });
    }
}

impl Sources {
    /// Those of what is at a place: a component, or the folder of a project.
    pub fn of(place: &Path) -> Sources {
        Sources { place: place.to_owned(), elsewhere: BTreeSet::new() }
    }

    /// The project's folder, for showing paths in it.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Looks at them. What did not change since `before` is not read again.
    pub fn look(&self, before: &Snapshot) -> Snapshot {
        let mut now = Snapshot::default();
        if self.place.is_dir() {
            let root = self.place.canonicalize().unwrap_or_else(|_| self.place.clone());
            walk(&root, Ignored::above(&root), 0, &mut now, before);
        }
        let alone = (!self.place.is_dir()).then_some(&self.place);
        for path in self.elsewhere.iter().chain(alone) {
            if let Ok(metadata) = path.metadata() {
                now.add(path.clone(), &metadata, before);
            }
        }
        now
    }

    /// The files that it takes from elsewhere.
    pub fn elsewhere(&self) -> &BTreeSet<PathBuf> {
        &self.elsewhere
    }

    /// Learns from what cargo left beside the component which files outside of the project it is made of.
    pub fn learn(&mut self, component: &Path) {
        let Ok(text) = fs::read_to_string(component.with_extension("d")) else { return };
        let root = self.place.canonicalize().unwrap_or_else(|_| self.place.clone());
        let files = parts(&text).into_iter().filter(|path| path.is_absolute() && !path.starts_with(&root));
        self.elsewhere = files.take(MAX_FILES).collect();
    }
}

fn walk(folder: &Path, above: Ignored, depth: usize, now: &mut Snapshot, before: &Snapshot) {
    let rules = above.and_of(folder);
    // What cannot be read is no source: a build that needs it says so.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Ok(metadata) = path.metadata() else { continue };
        if rules.covers(&path, metadata.is_dir()) {
            continue;
        }
        if metadata.is_file() {
            now.add(path, &metadata, before);
        } else if metadata.is_dir() && depth < MAX_DEPTH && !now.is_cut {
            walk(&path, rules.clone(), depth + 1, now, before);
        }
    }
}

/// What a file of dependencies names, as `make` reads it: `a.wasm: b.rs c\\ d.rs`.
fn parts(text: &str) -> Vec<PathBuf> {
    let (_, names) = text.split_once(": ").unwrap_or_default();
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut letters = names.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => part.extend(letters.next()),
            letter if letter.is_whitespace() => parts.push(std::mem::take(&mut part)),
            letter => part.push(letter),
        }
    }
    parts.push(part);
    parts.into_iter().filter(|part| !part.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("src")).expect("a folder");
        fs::write(folder.path().join("src/lib.rs"), "one").expect("a file");
        folder
    }

    fn changed(sources: &Sources, before: &Snapshot) -> Vec<String> {
        let now = sources.look(before);
        now.changed(before).map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_change_is_one_of_contents() {
        let folder = project();
        let lib = folder.path().join("src/lib.rs");
        let sources = Sources::of(folder.path());
        let before = sources.look(&Snapshot::default());
        fs::File::open(&lib).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("its time can be set");
        assert!(changed(&sources, &before).is_empty(), "touched, and the same");
        fs::write(&lib, "two!").expect("a file");
        fs::write(folder.path().join("src/new.rs"), "").expect("a file");
        assert_eq!(changed(&sources, &before), ["lib.rs", "new.rs"]);
        fs::remove_file(&lib).expect("it is there");
        assert_eq!(changed(&sources, &before), ["new.rs", "lib.rs"]);
    }

    #[test]
    fn what_a_build_makes_is_no_change() {
        let folder = project();
        let sources = Sources::of(folder.path());
        let before = sources.look(&Snapshot::default());
        fs::create_dir(folder.path().join("target")).expect("a folder");
        fs::write(folder.path().join("target/a"), "").expect("a file");
        fs::write(folder.path().join("app.wasm"), "").expect("a file");
        assert!(changed(&sources, &before).is_empty());
    }

    #[test]
    fn a_component_is_its_own_source() {
        let folder = project();
        let file = folder.path().join("a.wasm");
        fs::write(&file, "1").expect("a file");
        let sources = Sources::of(&file);
        let before = sources.look(&Snapshot::default());
        fs::write(&file, "22").expect("a file");
        assert_eq!(changed(&sources, &before), ["a.wasm"]);
    }

    #[test]
    fn what_lies_elsewhere_is_learnt_from_cargo() {
        let (folder, other) = (project(), project());
        let lib = other.path().join("src/lib.rs");
        let text = format!("/x/a.wasm: {} {}/src/lib.rs /no\\ such.rs\n", lib.display(), folder.path().display());
        fs::write(folder.path().join("a.d"), text).expect("a file");
        let mut sources = Sources::of(folder.path());
        sources.learn(&folder.path().join("a.wasm"));
        assert_eq!(sources.elsewhere, BTreeSet::from([lib.clone(), PathBuf::from("/no such.rs")]));
        let before = sources.look(&Snapshot::default());
        fs::write(&lib, "two!").expect("a file");
        assert_eq!(sources.look(&before).changed(&before).collect::<Vec<_>>(), [lib]);
    }
}
