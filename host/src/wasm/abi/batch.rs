//! Elements on their way into a guest. Bytes stay in the memory in which they came, which all elements
//! out of it share: to own it by themselves, each would have to be counted.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use wasmtime::component::WriteBuffer;

use super::Item;
use crate::schema::Value;

/// Elements in the order in which they came.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    /// How many were passed on already.
    passed: usize,
    /// What the next part is of, where the one before it is of something else.
    of: Option<Bytes>,
}

impl Batch {
    /// A batch with room for so many elements.
    pub fn with_capacity(count: usize) -> Batch {
        Batch { items: Vec::with_capacity(count), passed: 0, of: None }
    }

    /// Adds an element.
    pub fn push(&mut self, value: Value) {
        self.items.push(Item::Value(Ok(value)));
    }

    /// Says what the following parts are parts of.
    pub fn begin(&mut self, of: Bytes) {
        self.of = Some(of);
    }

    /// Adds a `list<u8>`: a part of the bytes that were named last.
    pub fn push_part(&mut self, part: Range<usize>) {
        self.items.push(Item::Part { of: self.of.take(), start: part.start, length: part.len() });
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.items.len() - self.passed
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// SAFETY: `take` hands over items that it made itself, all of them initialised, and drops none of them.
unsafe impl WriteBuffer<Item> for Batch {
    fn remaining(&self) -> &[Item] {
        &self.items[self.passed..]
    }

    fn skip(&mut self, count: usize) {
        assert!(count <= self.items.len() - self.passed, "no more than there are");
        let end = self.passed + count;
        if end == self.items.len() {
            *self = Batch::default();
            return;
        }
        // The first part that is left must name what it is of.
        let named = self.items[self.passed..end].iter_mut().rev().find_map(|item| match item {
            Item::Part { of, .. } => of.take(),
            Item::Value(_) | Item::Large(_) => None,
        });
        let next = self.items[end..].iter_mut().find_map(|item| match item {
            Item::Part { of, .. } => Some(of),
            Item::Value(_) | Item::Large(_) => None,
        });
        if let (Some(named), Some(of @ None)) = (named, next) {
            *of = Some(named);
        }
        self.passed = end;
    }

    fn take(&mut self, count: usize, fun: &mut dyn FnMut(&[MaybeUninit<Item>])) {
        let mut of = Bytes::new();
        let taken: Vec<MaybeUninit<Item>> = self.items[self.passed..][..count]
            .iter_mut()
            .map(|item| {
                // Whoever takes items may know nothing of those before them.
                let alone = match item {
                    Item::Part { of: named, start, length } => {
                        if let Some(named) = named {
                            of.clone_from(named);
                        }
                        Item::Value(Ok(Value::Bytes(of[*start..*start + *length].to_vec())))
                    }
                    other => std::mem::replace(other, Item::Part { of: None, start: 0, length: 0 }),
                };
                MaybeUninit::new(alone)
            })
            .collect();
        self.skip(count);
        fun(&taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(batch: &mut Batch, count: usize) -> Vec<Value> {
        let mut values = Vec::new();
        batch.take(count, &mut |items| {
            for item in items {
                // SAFETY: whoever takes items owns them, and all of them are there.
                match unsafe { item.assume_init_read() } {
                    Item::Value(Ok(value)) => values.push(value),
                    other => panic!("{other:?}"),
                }
            }
        });
        values
    }

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.into())
    }

    /// Parts of two pieces of memory, with a value among them.
    fn mixed() -> (Batch, [Value; 5]) {
        let mut batch = Batch::default();
        batch.begin(Bytes::from_static(b"abc"));
        batch.push_part(0..1);
        batch.push_part(1..3);
        batch.push(Value::U8(7));
        batch.push_part(0..0);
        batch.begin(Bytes::from_static(b"xyz"));
        batch.push_part(2..3);
        (batch, [bytes("a"), bytes("bc"), Value::U8(7), bytes(""), bytes("z")])
    }

    #[test]
    fn elements_for_others_than_guests_are_values_of_their_own() {
        let (mut batch, expected) = mixed();
        assert_eq!(values(&mut batch, 5), expected);
        assert!(batch.is_empty());
    }

    #[test]
    fn what_is_left_still_names_what_it_is_a_part_of() {
        for passed in 0..5 {
            for skips in [true, false] {
                let (mut batch, expected) = mixed();
                match skips {
                    true => batch.skip(passed),
                    false => assert_eq!(values(&mut batch, passed), expected[..passed]),
                }
                let first = batch.remaining().iter().find(|item| matches!(item, Item::Part { .. }));
                assert!(matches!(first, Some(Item::Part { of: Some(_), .. })), "{passed}");
                assert_eq!(values(&mut batch, 5 - passed), expected[passed..], "{passed}");
            }
        }
    }
}
