//! From [`Value`] to a guest's memory and back, by the canonical ABI.
//!
//! wasmtime's own untyped values carry the name of every field and copy all arguments once more;
//! its typed ones want a Rust type for each signature. A type whose shape is read at run time from
//! the component's own type tables has neither cost: wasmtime asks it to lower and lift itself,
//! as it asks a type made by `bindgen!`.
//!
//! The traits are wasmtime's, public but outside its promise of stability; the version is pinned to
//! the LTS line. Every access to guest memory here goes through bounds-checked slices, so a fault
//! in this code can garble a guest's view of a value, never the host's memory.

use std::mem::MaybeUninit;

use futures::future::BoxFuture;
use wasmtime::component::__internal::{CanonicalAbiInfo, ComponentTypes, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{Accessor, ComponentNamedList, ComponentType, Func, GuestTaskId, Lift, Lower, Type, TypedFunc};
use wasmtime::{ValRaw, bail};

use crate::schema::Value;

mod batch;
mod imported;
mod item;
mod lift;
mod lower;

pub use batch::Batch;
pub use imported::{Params, Return, widths};
pub use item::{Element, Item, Lifted, read};

/// What the component model passes directly; more goes through memory ("Canonical ABI", flattening).
const MAX_FLAT: usize = 16;

/// The arguments of one call, in order.
pub struct Args(Vec<Value>);

/// The results of one call: none or one, `N` core values wide.
pub struct Results<const N: usize>(Result<Option<Value>, TooLarge>);

/// The results would take more of the host's memory than the store allows. The guest has done nothing
/// that would end it, so this is no trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// How many core values a function's result takes: known at load, the same for every instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(usize);

impl Width {
    /// The width of the result type of `func`.
    pub fn of(func: &wasmtime::component::types::ComponentFunc) -> Width {
        let flat = sum(func.results()).unwrap_or(MAX_FLAT + 1);
        let most = if func.async_() { MAX_FLAT } else { 1 };
        // What does not fit comes as one pointer.
        Width(if flat > most { 1 } else { flat })
    }
}

/// How many core values a type takes; `None` over [`MAX_FLAT`].
fn flat(ty: &Type) -> Option<usize> {
    use wasmtime::component::Type::*;
    let count = match ty {
        Bool | S8 | U8 | S16 | U16 | S32 | U32 | S64 | U64 | Float32 | Float64 | Char | Enum(_) | Own(_) | Borrow(_) | Future(_)
        | Stream(_) | ErrorContext => 1,
        String | List(_) | Map(_) => 2,
        Record(record) => sum(record.fields().map(|field| field.ty))?,
        Tuple(tuple) => sum(tuple.types())?,
        Variant(variant) => 1 + most(variant.cases().filter_map(|case| case.ty))?,
        Option(option) => 1 + flat(&option.ty())?,
        Result(result) => 1 + most(result.ok().into_iter().chain(result.err()))?,
        Flags(flags) => flags.names().len().div_ceil(32),
        FixedLengthList(list) => usize::try_from(list.len()).ok()?.checked_mul(flat(&list.ty())?)?,
    };
    (count <= MAX_FLAT).then_some(count)
}

fn sum(mut types: impl Iterator<Item = Type>) -> Option<usize> {
    types.try_fold(0, |sum, ty| flat(&ty).map(|n| sum + n))
}

fn most(mut types: impl Iterator<Item = Type>) -> Option<usize> {
    types.try_fold(0, |most: usize, ty| flat(&ty).map(|n| most.max(n)))
}

/// A call that has been queued in its instance.
///
/// It must be run to its end or go with its store: wasmtime 48 knows no way to take back one call.
pub struct Call<'a> {
    /// What `StoreContextMut::async_call_stack` names as the root of all that the call does.
    pub task: GuestTaskId,
    /// Resolves to what the function returned, or to the trap that ended it.
    pub done: BoxFuture<'a, wasmtime::Result<Result<Option<Value>, TooLarge>>>,
}

/// Queues a call of `func` in its instance.
///
/// # Safety
/// `args` must hold one value for each parameter of `func`, of that parameter's type, and `width`
/// must be that of its result.
pub unsafe fn start<'a, T: Send + 'static>(
    accessor: &'a Accessor<T>,
    func: Func,
    args: Vec<Value>,
    width: Width,
) -> wasmtime::Result<Call<'a>> {
    // A row for each width, since wasmtime wants the width to be part of a type.
    macro_rules! widths {
        ($($n:literal)*) => {
            match width.0 {
                // SAFETY: the caller promises the types.
                $($n => unsafe { start_wide::<T, $n>(accessor, func, args) },)*
                n => bail!("a result {n} core values wide"),
            }
        };
    }
    widths!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

unsafe fn start_wide<'a, T: Send + 'static, const N: usize>(
    accessor: &'a Accessor<T>,
    func: Func,
    args: Vec<Value>,
) -> wasmtime::Result<Call<'a>> {
    // SAFETY: the caller promises the types; `Args` and `Results` read every shape from the component's own tables.
    let func: TypedFunc<Args, Results<N>> = unsafe { TypedFunc::new_unchecked(func) };
    let call = accessor.with(|store| func.start_call_concurrent(store, Args(args)))?;
    let task = call.task();
    let done = Box::pin(async move { func.finish_call_concurrent(accessor, call).await.map(|results| results.0) });
    Ok(Call { task, done })
}

// SAFETY: `Lower` is a sequence of `ValRaw`. What a function takes beyond its parameters' flat form is never read.
unsafe impl ComponentType for Args {
    type Lower = [ValRaw; MAX_FLAT];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> wasmtime::Result<()> {
        bail!("values of run-time shape are checked against the schema")
    }
}

// SAFETY: what Args promises of its types.
unsafe impl ComponentNamedList for Args {}

// SAFETY: every `ValRaw` is initialised, first with zeros and then by the values.
unsafe impl Lower for Args {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        let flat = dst.write([ValRaw::u64(0); MAX_FLAT]);
        lower::params(cx, ty, &self.0, flat)
    }

    fn linear_lower_to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> wasmtime::Result<()> {
        bail!("parameters are lowered whole")
    }
}

// SAFETY: `Lower` is a sequence of `ValRaw`.
unsafe impl<const N: usize> ComponentType for Results<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> wasmtime::Result<()> {
        bail!("values of run-time shape are checked against the schema")
    }
}

// SAFETY: what Results promises of its types.
unsafe impl<const N: usize> ComponentNamedList for Results<N> {}

// SAFETY: reads only what it is given and, through slices, guest memory.
unsafe impl<const N: usize> Lift for Results<N> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> wasmtime::Result<Self> {
        match lift::results(cx, ty, src) {
            Ok(value) => Ok(Results(Ok(value))),
            Err(lift::Fault::TooLarge) => Ok(Results(Err(TooLarge))),
            Err(lift::Fault::Guest(error)) => Err(error),
        }
    }

    fn linear_lift_from_memory(_: &mut LiftContext<'_>, _: InterfaceType, _: &[u8]) -> wasmtime::Result<Self> {
        bail!("results are lifted whole")
    }
}

/// The payload type of a case of a variant, enum, option or result; `None` where there is no such
/// case.
fn case_type(types: &ComponentTypes, ty: InterfaceType, case: u32) -> Option<Option<InterfaceType>> {
    match (ty, case) {
        (InterfaceType::Variant(index), case) => types[index].cases.get_index(case as usize).map(|(_, ty)| *ty),
        (InterfaceType::Enum(index), case) => ((case as usize) < types[index].names.len()).then_some(None),
        (InterfaceType::Option(_), 0) => Some(None),
        (InterfaceType::Option(index), 1) => Some(Some(types[index].ty)),
        (InterfaceType::Result(index), 0) => Some(types[index].ok),
        (InterfaceType::Result(index), 1) => Some(types[index].err),
        _ => None,
    }
}
