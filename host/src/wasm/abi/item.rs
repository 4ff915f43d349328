//! The elements of a stream whose type is read at run time.
//!
//! wasmtime wants to know the size of an element when the host is compiled. [`Item`] says that it is
//! zero: then wasmtime's own arithmetic on the address of a buffer leaves it as it is, and the places
//! of the elements in it are worked out here, by the type that wasmtime hands over with them.

use std::cell::Cell;
use std::mem::MaybeUninit;

use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{ComponentType, Lift, Lower, Source};
use wasmtime::{AsContextMut, ValRaw, bail};

use super::{TooLarge, lift, lower};
use crate::schema::Value;

/// One element of a stream, or the value of a future.
#[derive(Debug)]
pub struct Item(pub Result<Value, TooLarge>);

thread_local! {
    /// The place in the guest's buffer of the element that is lifted next: wasmtime tells where the
    /// buffer is, and lifts one element after the other.
    static NEXT: Cell<usize> = const { Cell::new(0) };
}

/// Reads elements that the guest writes, as many as `into` has capacity for. `already` are those that
/// were read of the same write before.
pub fn read(source: &mut Source<'_, Item>, store: impl AsContextMut, already: usize, into: &mut Vec<Item>) -> wasmtime::Result<()> {
    NEXT.set(already);
    source.read(store, into)
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
        lower::buffer(cx, ty, address, items.iter().map(|item| item.0.as_ref()))
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
        let place = NEXT.get();
        NEXT.set(place + 1);
        match lift::element(cx, ty, address, place) {
            Ok(value) => Ok(Item(Ok(value))),
            Err(lift::Fault::TooLarge) => Ok(Item(Err(TooLarge))),
            Err(lift::Fault::Guest(error)) => Err(error),
        }
    }
}
