//! The elements of a stream whose type is read at run time.
//!
//! wasmtime wants to know the size of an element when the host is compiled. [`Item`] says that it is
//! zero: then wasmtime's own arithmetic on the address of a buffer leaves it as it is, and the places
//! of the elements in it are worked out here, by the type that wasmtime hands over with them.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use bytes::Bytes;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{ComponentType, Lift, Lower, Source};
use wasmtime::{AsContextMut, ValRaw, bail};

use super::{TooLarge, lift, lower};
use crate::schema::{Head, Value};

/// A `list<u8>` of at most so many bytes is lifted to where others of its batch are: to copy it once
/// more costs less than memory of its own.
const SMALL: usize = 4 << 10;

/// One element of a stream, or the value of a future.
#[derive(Debug)]
pub enum Item {
    /// An element of any type.
    Value(Result<Value, TooLarge>),
    /// A `list<u8>`: so many bytes of what the last item before it names that names any, itself among
    /// them; or of what was lifted.
    Part { of: Option<Bytes>, start: usize, length: usize },
    /// A large `list<u8>` that was lifted.
    Large(Large),
}

/// A `list<u8>` with room before it, so that a message's head needs no copy of the bytes.
#[derive(Debug)]
pub struct Large(Vec<u8>);

impl Large {
    fn copy(bytes: &[u8]) -> Large {
        let mut with_room = Vec::with_capacity(Head::MAX + bytes.len());
        with_room.resize(Head::MAX, 0);
        with_room.extend_from_slice(bytes);
        Large(with_room)
    }

    /// How many bytes the list has.
    pub fn len(&self) -> usize {
        self.0.len() - Head::MAX
    }

    /// The bytes behind a head.
    pub fn behind(mut self, head: &Head) -> Bytes {
        let start = Head::MAX - head.bytes().len();
        self.0[start..Head::MAX].copy_from_slice(head.bytes());
        Bytes::from(self.0).slice(start..)
    }

    /// The bytes alone.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.0.drain(..Head::MAX);
        self.0
    }
}

/// What is lifted at the moment: wasmtime tells where the guest's buffer is, and lifts one element after
/// the other.
#[derive(Default)]
struct Lifting {
    /// The place in the buffer of the next element.
    next: usize,
    /// What parts are parts of.
    small: Vec<u8>,
}

thread_local! {
    static LIFTING: RefCell<Lifting> = RefCell::default();
}

/// Elements that a guest wrote.
#[derive(Debug)]
pub struct Lifted {
    items: Vec<Item>,
    small: Vec<u8>,
}

/// An element that a guest wrote.
pub enum Element<'l> {
    /// Of any type.
    Value(Result<Value, TooLarge>),
    /// A small `list<u8>`.
    Bytes(&'l [u8]),
    /// A large one.
    Large(Large),
}

impl Element<'_> {
    /// The element as a value.
    pub fn into_value(self) -> Result<Value, TooLarge> {
        match self {
            Element::Value(value) => value,
            Element::Bytes(bytes) => Ok(Value::Bytes(bytes.to_vec())),
            Element::Large(large) => Ok(Value::Bytes(large.into_vec())),
        }
    }
}

impl Lifted {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// How many bytes the small lists have, all together.
    pub fn small(&self) -> usize {
        self.small.len()
    }

    /// Hands out the elements in their order, as long as `take` wants more.
    pub fn each(self, mut take: impl FnMut(Element<'_>) -> bool) {
        for item in self.items {
            let element = match item {
                Item::Value(value) => Element::Value(value),
                // What is lifted or passed from stream to stream is of nothing else.
                Item::Part { start, length, .. } => Element::Bytes(&self.small[start..start + length]),
                Item::Large(large) => Element::Large(large),
            };
            if !take(element) {
                return;
            }
        }
    }
}

/// Reads elements that the guest writes, at most `most`. `already` are those that were read of the same
/// write before.
pub fn read(source: &mut Source<'_, Item>, store: impl AsContextMut, already: usize, most: usize) -> wasmtime::Result<Lifted> {
    LIFTING.set(Lifting { next: already, small: Vec::new() });
    let mut items = Vec::with_capacity(most);
    source.read(store, &mut items)?;
    Ok(Lifted { items, small: LIFTING.take().small })
}

// SAFETY: `Lower` is a `ValRaw`, which no function with an `Item` in its signature ever uses.
unsafe impl ComponentType for Item {
    type Lower = [ValRaw; 0];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> wasmtime::Result<()> {
        // Streams are made for the element type of the function that they are passed to.
        Ok(())
    }
}

// SAFETY: writes to guest memory only, through bounds-checked slices.
unsafe impl Lower for Item {
    fn linear_lower_to_flat<T>(
        &self,
        _: &mut LowerContext<'_, T>,
        _: InterfaceType,
        _: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        bail!("elements of streams are lowered into buffers")
    }

    fn linear_lower_to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> wasmtime::Result<()> {
        bail!("elements of streams are lowered into buffers")
    }

    fn linear_store_list_to_memory<T>(
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        address: usize,
        items: &[Item],
    ) -> wasmtime::Result<()> {
        lower::buffer(cx, ty, address, items)
    }
}

// SAFETY: reads guest memory only, through bounds-checked slices.
unsafe impl Lift for Item {
    fn linear_lift_from_flat(_: &mut LiftContext<'_>, _: InterfaceType, _: &Self::Lower) -> wasmtime::Result<Item> {
        bail!("elements of streams are lifted from buffers")
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> wasmtime::Result<Item> {
        // No byte long, and so at the place where the buffer begins.
        let address = (bytes.as_ptr() as usize).wrapping_sub(cx.memory().as_ptr() as usize);
        LIFTING.with_borrow_mut(|lifting| {
            let place = lifting.next;
            lifting.next += 1;
            let lifted = match lift::bytes_element(cx, ty, address, place) {
                Some(Ok(bytes)) if bytes.len() <= SMALL => {
                    let start = lifting.small.len();
                    lifting.small.extend_from_slice(bytes);
                    Ok(Item::Part { of: None, start, length: bytes.len() })
                }
                Some(bytes) => bytes.map(|bytes| Item::Large(Large::copy(bytes))),
                None => lift::element(cx, ty, address, place).map(|value| Item::Value(Ok(value))),
            };
            match lifted {
                Ok(item) => Ok(item),
                Err(lift::Fault::TooLarge) => Ok(Item::Value(Err(TooLarge))),
                Err(lift::Fault::Guest(error)) => Err(error),
            }
        })
    }
}
