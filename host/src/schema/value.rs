//! A value of any WIT type, without names: the schema says what each place means.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A value between a wire format and a guest's memory.
///
/// Fields, cases and flags are known by their position in the type, so that a value holds nothing
/// that its type says already.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `s8`
    S8(i8),
    /// `u8`
    U8(u8),
    /// `s16`
    S16(i16),
    /// `u16`
    U16(u16),
    /// `s32`
    S32(i32),
    /// `u32`
    U32(u32),
    /// `s64`
    S64(i64),
    /// `u64`
    U64(u64),
    /// `f32`
    F32(f32),
    /// `f64`
    F64(f64),
    /// `char`
    Char(char),
    /// `string`
    String(String),
    /// `list<u8>`
    Bytes(Vec<u8>),
    /// `list<t>` of anything but `u8`, and fixed-length lists, those of `u8` too
    List(Vec<Value>),
    /// `map<k, v>`; where a key comes twice, the last one counts
    Map(Vec<(Value, Value)>),
    /// `record` and `tuple`: the fields in order
    Record(Vec<Value>),
    /// `variant`, `enum`, `option` (0 none, 1 some) and `result` (0 ok, 1 error): the case's index, and its payload if it has one
    Variant(u32, Option<Box<Value>>),
    /// `flags`: flag `i` is bit `i % 32` of word `i / 32`; as many words as the type needs
    Flags(Vec<u32>),
    /// `stream<t>` and `future<t>`
    Handle(Handle),
}

impl Value {
    /// About how much memory the value takes, in bytes.
    pub fn size(&self) -> usize {
        let own = size_of::<Value>();
        own + match self {
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(values) | Value::Record(values) => values.iter().map(Value::size).sum(),
            Value::Map(entries) => entries.iter().map(|(key, value)| key.size() + value.size()).sum(),
            Value::Variant(_, Some(payload)) => payload.size(),
            Value::Flags(words) => size_of_val(words.as_slice()),
            _ => 0,
        }
    }
}

/// The end of a stream or future, which only the floor that runs guests knows how to use.
#[derive(Clone)]
pub struct Handle(Arc<dyn Any + Send + Sync>);

impl Handle {
    /// Keeps an end.
    pub fn new<T: Any + Send + Sync>(end: T) -> Handle {
        Handle(Arc::new(end))
    }

    /// The end, if it is of this type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// The end itself; `None` where it is of another type or was cloned.
    pub fn take<T: Any + Send + Sync>(self) -> Option<T> {
        Arc::into_inner(self.0.downcast().ok()?)
    }
}

impl PartialEq for Handle {
    fn eq(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}
