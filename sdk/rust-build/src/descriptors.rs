//! The descriptors that travel inside a component: those of a file and of what it imports, with the
//! comments and without the places in the text that nobody has there.

use std::collections::HashSet;

use prost::Message as _;
use prost_types::source_code_info::Location;
use prost_types::{FileDescriptorProto, FileDescriptorSet, SourceCodeInfo};

/// The encoded set of a file and all that it imports, dependencies first.
pub fn of(file: &FileDescriptorProto, all: &FileDescriptorSet) -> Vec<u8> {
    let mut set = FileDescriptorSet::default();
    let mut seen = HashSet::new();
    add(file, all, &mut seen, &mut set);
    set.encode_to_vec()
}

fn add<'f>(file: &'f FileDescriptorProto, all: &'f FileDescriptorSet, seen: &mut HashSet<&'f str>, set: &mut FileDescriptorSet) {
    if !seen.insert(file.name()) {
        return;
    }
    for name in &file.dependency {
        if let Some(other) = all.file.iter().find(|other| other.name() == name) {
            add(other, all, seen, set);
        }
    }
    set.file.push(without_places(file));
}

/// The file with its comments as its only source information; protobuf's own files without any.
fn without_places(file: &FileDescriptorProto) -> FileDescriptorProto {
    let bare = |location: &Location| Location {
        path: location.path.clone(),
        // A span is required; a reader of comments does not look at it.
        span: vec![0, 0, 0],
        leading_comments: location.leading_comments.clone(),
        ..Location::default()
    };
    let own = !file.name().starts_with("google/protobuf/");
    let locations = file.source_code_info.iter().filter(|_| own).flat_map(|info| &info.location);
    let location: Vec<Location> = locations.filter(|location| location.leading_comments.is_some()).map(bare).collect();
    let source_code_info = (!location.is_empty()).then_some(SourceCodeInfo { location });
    FileDescriptorProto { source_code_info, ..file.clone() }
}

/// A number that tells sets apart (FNV-1a).
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
