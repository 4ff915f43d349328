//! What of a folder is no source: what git ignores, as far as `.gitignore` files of the folder and above
//! it say so, and what builds and editors leave behind.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what was made, or what others wrote.
const FOLDERS: &[&str] = &["target", "node_modules", "__pycache__"];

/// The name of the files with rules.
const RULES: &str = ".gitignore";

/// The most that is read of a file with rules, in bytes.
const MAX_RULES: u64 = 64 << 10;

/// The rules that hold in a folder, those of the folders above it first.
#[derive(Clone, Default)]
pub struct Ignored(Vec<Rule>);

#[derive(Clone)]
struct Rule {
    /// The folder of the file that has the rule.
    base: PathBuf,
    /// Begins with `!`: what matches is no longer ignored.
    brings_back: bool,
    /// Ends with a slash.
    of_folders: bool,
    /// Has a slash elsewhere, so that it speaks of the path below its folder, and not of a name.
    of_paths: bool,
    pattern: String,
}

impl Ignored {
    /// The rules of the folders above `root`, up to the one that git keeps.
    pub fn above(root: &Path) -> Ignored {
        let mut folders = Vec::new();
        for folder in root.ancestors().skip(1) {
            if folders.last().copied().unwrap_or(root).join(".git").exists() {
                break;
            }
            folders.push(folder);
        }
        // Without a repository around it, nothing above the folder speaks for it.
        if !folders.last().is_some_and(|top| top.join(".git").exists()) {
            return Ignored::default();
        }
        folders.iter().rev().fold(Ignored::default(), |rules, folder| rules.and_of(folder))
    }

    /// These rules and those of a folder below.
    pub fn and_of(mut self, folder: &Path) -> Ignored {
        let file = folder.join(RULES);
        let small = file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_RULES);
        let text = if small { fs::read_to_string(file).unwrap_or_default() } else { String::new() };
        self.0.extend(text.lines().filter_map(|line| Rule::of(folder, line)));
        self
    }

    /// Whether a file or folder is no source.
    pub fn covers(&self, path: &Path, is_folder: bool) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return true };
        let left_behind = if is_folder {
            FOLDERS.contains(&name) || (name.starts_with('.') && name != ".cargo")
        } else {
            name.ends_with(['~', '#']) || name.starts_with(".#") || [".swp", ".swx", ".tmp", ".wasm"].iter().any(|end| name.ends_with(end))
        };
        // The last rule that matches decides.
        left_behind || self.0.iter().rev().find(|rule| rule.matches(path, name, is_folder)).is_some_and(|rule| !rule.brings_back)
    }
}

impl Rule {
    fn of(base: &Path, line: &str) -> Option<Rule> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (brings_back, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (of_folders, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
        let of_paths = line.contains('/');
        let pattern = line.strip_prefix('/').unwrap_or(line).to_owned();
        Some(Rule { base: base.to_owned(), brings_back, of_folders, of_paths, pattern })
    }

    fn matches(&self, path: &Path, name: &str, is_folder: bool) -> bool {
        if self.of_folders && !is_folder {
            return false;
        }
        if !self.of_paths {
            return fits(&self.pattern, name);
        }
        let Some(below) = path.strip_prefix(&self.base).ok().and_then(Path::to_str) else { return false };
        leads(&self.pattern.split('/').collect::<Vec<_>>(), &below.split('/').collect::<Vec<_>>())
    }
}

/// Whether the parts of a pattern are those of a path; `**` stands for any number of them.
fn leads(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|skipped| leads(rest, &path[skipped..])),
        (Some((part, rest)), Some((name, below))) => fits(part, name) && leads(rest, below),
        _ => false,
    }
}

/// Whether a name fits a pattern, in which `*` stands for any text and `?` for one letter.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut of) = (0, 0);
    // Where the last `*` is, and how much of the name it stands for.
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[of] => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    (at, of) = (place + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> (tempfile::TempDir, Ignored) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(RULES), text).expect("a file");
        let rules = Ignored::default().and_of(folder.path());
        (folder, rules)
    }

    #[test]
    fn what_git_ignores_is_no_source() {
        let (folder, rules) = rules("# made\n/dist\n*.log\nout/\ndocs/**/*.pdf\n!keep.log\n");
        let ignored = |path: &str, is_folder| rules.covers(&folder.path().join(path), is_folder);
        for (path, is_folder) in [("dist", true), ("a/b.log", false), ("a/out", true), ("docs/x/y/z.pdf", false), ("docs/z.pdf", false)] {
            assert!(ignored(path, is_folder), "{path}");
        }
        for (path, is_folder) in [("src/dist", true), ("keep.log", false), ("out", false), ("z.pdf", false), ("src/lib.rs", false)] {
            assert!(!ignored(path, is_folder), "{path}");
        }
    }

    #[test]
    fn what_builds_and_editors_leave_is_no_source() {
        let rules = Ignored::default();
        for (path, is_folder) in [("a/target", true), ("node_modules", true), (".git", true), ("lib.rs~", false), (".lib.rs.swp", false)] {
            assert!(rules.covers(Path::new(path), is_folder), "{path}");
        }
        for (path, is_folder) in [("src", true), (".cargo", true), ("src/target.rs", false), (".env", false)] {
            assert!(!rules.covers(Path::new(path), is_folder), "{path}");
        }
    }

    #[test]
    fn rules_above_hold_up_to_the_repository_and_only_there() {
        let (top, _) = rules("*.gen\n");
        let below = top.path().join("a/b");
        fs::create_dir_all(&below).expect("folders");
        assert!(!Ignored::above(&below).covers(&below.join("x.gen"), false));
        fs::create_dir(top.path().join(".git")).expect("a folder");
        assert!(Ignored::above(&below).covers(&below.join("x.gen"), false));
    }

    #[test]
    fn stars_cost_no_more_than_their_text() {
        assert!(fits("*a*b*", "xxaxxbxx") && fits("?.rs", "a.rs") && !fits("*.rs", "a.rsx"));
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)));
    }
}
