//! Components whose `.proto` file says something else than it did when they were built, so that a test of
//! a changed file needs no guest of its own.

use std::path::Path;

use prost::Message;
use prost_types::FileDescriptorSet;

/// What a component and a core module begin with, before the version.
const MAGIC: &[u8] = b"\0asm";

/// The custom section that has the descriptors.
const NAME: &[u8] = b"microhost:descriptors";

/// Sections that hold others: a custom one does not, a core module and a component do. In a core module
/// the same numbers stand for other sections, which do not begin with [`MAGIC`].
const CUSTOM: u8 = 0;
const HOLDERS: [u8; 2] = [1, 4];

/// The component at a path with its descriptors changed, and nothing else.
///
/// # Panics
/// If it has none, or is no component.
pub fn changed(component: &Path, change: impl FnOnce(&mut FileDescriptorSet)) -> Vec<u8> {
    let bytes = std::fs::read(component).unwrap_or_else(|error| panic!("{}: {error}", component.display()));
    let mut change = Some(change);
    let changed = rewritten(&bytes, &mut |descriptors| {
        let mut files = FileDescriptorSet::decode(descriptors).expect("the section has descriptors");
        change.take().expect("the component has one such section")(&mut files);
        files.encode_to_vec()
    });
    assert!(change.is_none(), "{} has no descriptors", component.display());
    changed
}

fn rewritten(bytes: &[u8], change: &mut impl FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(8);
    let mut out = head.to_vec();
    while let Some((id, behind)) = rest.split_first() {
        let (content, next) = sized(behind);
        let content = match *id {
            CUSTOM => match sized(content) {
                (name, descriptors) if name == NAME => [with_size(NAME), change(descriptors)].concat(),
                _ => content.to_vec(),
            },
            id if HOLDERS.contains(&id) && content.starts_with(MAGIC) => rewritten(content, change),
            _ => content.to_vec(),
        };
        out.push(*id);
        out.extend(with_size(&content));
        rest = next;
    }
    out
}

/// Bytes that have their number before them, and what is behind them.
fn sized(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (mut size, mut at) = (0, 0);
    loop {
        let byte = bytes[at];
        size |= usize::from(byte & 0x7f) << (7 * at);
        at += 1;
        if byte < 0x80 {
            return bytes[at..].split_at(size);
        }
    }
}

fn with_size(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 5);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}
