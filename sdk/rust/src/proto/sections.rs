//! What [`serve!`](crate::serve!) puts into the component, joined while it is compiled: a linker joins
//! custom sections of one name, but takes only arrays for them.

/// The descriptors of a service: an encoded `FileDescriptorSet` of its file and what that imports.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors {
    /// Tells sets apart: services of one file share theirs.
    pub digest: u64,
    /// The encoded set.
    pub bytes: &'static [u8],
}

/// How long several sets are, joined.
#[doc(hidden)]
pub const fn descriptors_length(all: &[Descriptors]) -> usize {
    let mut length = 0;
    let mut index = 0;
    while index < all.len() {
        if is_first(all, index) {
            length += all[index].bytes.len();
        }
        index += 1;
    }
    length
}

/// Several sets as one: the encodings of protobuf messages, joined, are that of all in one.
#[doc(hidden)]
pub const fn descriptors<const LENGTH: usize>(all: &[Descriptors]) -> [u8; LENGTH] {
    let mut joined = [0; LENGTH];
    let mut at = 0;
    let mut index = 0;
    while index < all.len() {
        if is_first(all, index) {
            at = put(&mut joined, at, all[index].bytes);
        }
        index += 1;
    }
    joined
}

/// Whether no set before this one is the same.
const fn is_first(all: &[Descriptors], index: usize) -> bool {
    let mut before = 0;
    while before < index {
        if all[before].digest == all[index].digest {
            return false;
        }
        before += 1;
    }
    true
}

/// How long several names are, a line each.
#[doc(hidden)]
pub const fn names_length(all: &[&str]) -> usize {
    let mut length = 0;
    let mut index = 0;
    while index < all.len() {
        length += all[index].len() + 1;
        index += 1;
    }
    length
}

/// Several names, a line each.
#[doc(hidden)]
pub const fn names<const LENGTH: usize>(all: &[&str]) -> [u8; LENGTH] {
    let mut joined = [0; LENGTH];
    let mut at = 0;
    let mut index = 0;
    while index < all.len() {
        at = put(&mut joined, at, all[index].as_bytes());
        at = put(&mut joined, at, b"\n");
        index += 1;
    }
    joined
}

const fn put(joined: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let (_, rest) = joined.split_at_mut(at);
    let (place, _) = rest.split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    at + bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_one_file_bring_its_descriptors_once() {
        const ONE: Descriptors = Descriptors { digest: 1, bytes: b"one" };
        const TWO: Descriptors = Descriptors { digest: 2, bytes: b"two" };
        const ALL: &[Descriptors] = &[ONE, TWO, ONE];
        const JOINED: [u8; descriptors_length(ALL)] = descriptors(ALL);
        assert_eq!(&JOINED, b"onetwo");
    }

    #[test]
    fn services_are_named_a_line_each() {
        const ALL: &[&str] = &["a.A", "b.B"];
        const JOINED: [u8; names_length(ALL)] = names(ALL);
        assert_eq!(&JOINED, b"a.A\nb.B\n");
    }
}
