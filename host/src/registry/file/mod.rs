//! Hosts that somebody has written down: for networks where hosts cannot find one another, and for hosts
//! that know nothing of this one.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{Stream, stream};

use super::{Address, Change, Changes, Node, Registry, RegistryError};

mod contents;
mod reader;

use contents::Contents;
use reader::Reader;

/// The addresses of hosts that can be asked, each time that they change.
pub type Addresses = Pin<Box<dyn Stream<Item = Vec<Address>> + Send>>;

/// A file that lists hosts; read again when it changes. Nobody registers in it: what a host tells of
/// itself is not written.
#[derive(Clone, Debug)]
pub struct File {
    name: String,
    path: PathBuf,
}

impl File {
    /// The hosts of this file, which need not be there yet.
    pub fn new(path: &Path) -> File {
        File { name: format!("file:{}", path.display()), path: path.to_owned() }
    }

    /// The hosts of the file that can be asked for what they serve: at first, and whenever there are
    /// others. While the file cannot be read, those that it told last stay.
    pub fn peers(&self) -> Addresses {
        let state = (Reader::new(self.path.clone()), None);
        Box::pin(stream::unfold(state, |(mut reader, mut told)| async move {
            loop {
                // Why a file cannot be used is told by whoever watches its nodes.
                let Ok(contents) = reader.next().await.and_then(|text| Contents::read(&text)) else { continue };
                if told.as_ref() != Some(&contents.peers) {
                    told = Some(contents.peers.clone());
                    return Some((contents.peers, (reader, told)));
                }
            }
        }))
    }
}

impl Registry for File {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&self, _: Arc<Node>, _: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn deregister(&self, _: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn watch(&self) -> Changes {
        let state = (Reader::new(self.path.clone()), Told { path: self.path.clone(), ..Told::default() }, VecDeque::new());
        Box::pin(stream::unfold(state, |(mut reader, mut told, mut changes)| async move {
            loop {
                if let Some(change) = changes.pop_front() {
                    return Some((change, (reader, told, changes)));
                }
                changes.extend(told.take(reader.next().await));
            }
        }))
    }
}

/// What a file has told of its nodes.
#[derive(Debug, Default)]
struct Told {
    path: PathBuf,
    nodes: BTreeMap<String, Arc<Node>>,
    /// Rises with each change of the file.
    revision: u64,
    /// All that there is has been told, since the beginning or since the file could not be used.
    complete: bool,
}

impl Told {
    /// What changes by what the file says now.
    fn take(&mut self, text: Result<String, String>) -> Vec<Change> {
        let read = text.and_then(|text| Contents::read(&text).map_err(|why| format!("{}: {why}", self.path.display())));
        let contents = match read {
            Ok(contents) => contents,
            Err(why) => {
                self.complete = false;
                return vec![Change::Lost(why)];
            }
        };
        self.revision += 1;
        let before = std::mem::take(&mut self.nodes);
        let mut changes = Vec::new();
        for mut node in contents.nodes {
            node.revision = before.get(&node.id).map_or(self.revision, |old| old.revision);
            let node = match before.get(&node.id) {
                Some(old) if **old == node => Arc::clone(old),
                _ => Arc::new(Node { revision: self.revision, ..node }),
            };
            if !self.complete || before.get(&node.id) != Some(&node) {
                changes.push(Change::Put(Arc::clone(&node)));
            }
            self.nodes.insert(node.id.clone(), node);
        }
        changes.extend(before.into_keys().filter(|id| !self.nodes.contains_key(id)).map(Change::Gone));
        if !std::mem::replace(&mut self.complete, true) {
            changes.push(Change::Complete);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    const ONE: &str = "[[node]]\naddresses = [\"http://a:1\"]\n";
    const OTHER: &str = "[[node]]\naddresses = [\"http://b:1\"]\n";

    /// A change as the id of its node, or as one word.
    async fn heard(changes: &mut Changes) -> String {
        let change = tokio::time::timeout(Duration::from_secs(30), changes.next()).await.expect("a change in time");
        match change.expect("a watch does not end") {
            Change::Put(node) => format!("{} {}", node.id, node.revision),
            Change::Gone(id) => format!("gone {id}"),
            Change::Complete => "complete".to_owned(),
            Change::Lost(why) => format!("lost: {why}"),
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hosts.toml");
        let write = |text: &str| std::fs::write(&path, text).expect("it can be written");
        let file = File::new(&path);
        let (mut changes, mut peers) = (file.watch(), file.peers());
        let missing = heard(&mut changes).await;
        assert!(missing.starts_with("lost: cannot read"), "{missing}");
        write(ONE);
        assert_eq!((heard(&mut changes).await, heard(&mut changes).await), ("file:http://a:1 1".into(), "complete".into()));
        write(&format!("peers = [\"http://p\"]\n{ONE}{OTHER}"));
        assert_eq!(heard(&mut changes).await, "file:http://b:1 2", "what has stayed is not told again");
        write(&format!("{ONE}wieght = 1"));
        let broken = heard(&mut changes).await;
        assert!(broken.contains("hosts.toml") && broken.contains("line 3, column 1") && broken.contains("unknown field"), "{broken}");
        // As careful editors write: another file in its place, whatever the times on them are.
        let other = folder.path().join("other");
        std::fs::write(&other, format!("peers = [\"http://p\"]\n{OTHER}zone = \"z\"\n")).expect("it can be written");
        std::fs::rename(&other, &path).expect("it can be renamed");
        let after = [heard(&mut changes).await, heard(&mut changes).await, heard(&mut changes).await];
        assert_eq!(after, ["file:http://b:1 3", "gone file:http://a:1", "complete"]);
        let peer = |name: &str| -> Vec<Address> { vec![name.parse().expect("an address")] };
        assert_eq!(peers.next().await.expect("a list"), peer("http://p"));
    }

    #[test]
    fn what_a_broken_file_told_before_is_told_again_when_it_is_good() {
        let mut told = Told::default();
        let ids = |changes: Vec<Change>| changes.len();
        assert_eq!(ids(told.take(Ok(ONE.into()))), 2, "a node, and that this is all");
        assert_eq!(ids(told.take(Ok(ONE.into()))), 0);
        assert!(matches!(&told.take(Ok("x".into()))[..], [Change::Lost(_)]));
        assert_eq!(told.nodes.len(), 1, "what it told last stays");
        assert!(matches!(&told.take(Ok(ONE.into()))[..], [Change::Put(node), Change::Complete] if node.revision == 1));
    }
}
