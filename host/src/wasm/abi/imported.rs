//! The other way round: what a guest passes to a function that the host provides, and what it gets
//! back, for functions whose types are read at run time.

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower, types};
use wasmtime::{Result, ValRaw, bail};

use super::{MAX_FLAT, TooLarge, lift, lower, sum};
use crate::schema::Value;

/// The arguments of a call: `N` core values wide, or in memory where they are wider than is passed
/// directly.
pub struct Params<const N: usize>(pub std::result::Result<Vec<Value>, TooLarge>);

/// The result of a call, if it has one: `M` core values wide, or in memory.
pub struct Return<const M: usize>(pub Option<Value>);

/// How many core values the parameters and the result of an import take where they are passed directly.
pub fn widths(ty: &types::ComponentFunc) -> (usize, usize) {
    let params = sum(ty.params().map(|(_, ty)| ty)).filter(|width| *width <= MAX_FLAT).unwrap_or(0);
    let result = sum(ty.results()).filter(|width| *width <= 1).unwrap_or(0);
    (params, result)
}

fn lifted(result: std::result::Result<Vec<Value>, lift::Fault>) -> Result<std::result::Result<Vec<Value>, TooLarge>> {
    match result {
        Ok(values) => Ok(Ok(values)),
        Err(lift::Fault::TooLarge) => Ok(Err(TooLarge)),
        Err(lift::Fault::Guest(error)) => Err(error),
    }
}

// SAFETY: `Lower` is a sequence of `ValRaw`, as many as the parameters take where they are passed directly. That it
// takes no memory leaves the address of parameters in memory as it is.
unsafe impl<const N: usize> ComponentType for Params<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        // Checked against the schema when the import was defined.
        Ok(())
    }
}

// SAFETY: what Params promises of its types.
unsafe impl<const N: usize> ComponentNamedList for Params<N> {}

// SAFETY: reads only what it is given and, through slices, guest memory.
unsafe impl<const N: usize> Lift for Params<N> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> Result<Self> {
        lifted(lift::params_from_flat(cx, ty, src)).map(Params)
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        // No byte long, and so at the place where the parameters are.
        let address = (bytes.as_ptr() as usize).wrapping_sub(cx.memory().as_ptr() as usize);
        lifted(lift::params_from_memory(cx, ty, address)).map(Params)
    }
}

// SAFETY: `Lower` is a sequence of `ValRaw`.
unsafe impl<const M: usize> ComponentType for Return<M> {
    type Lower = [ValRaw; M];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: what Return promises of its types.
unsafe impl<const M: usize> ComponentNamedList for Return<M> {}

// SAFETY: every `ValRaw` is initialised; memory is written only through bounds-checked slices.
unsafe impl<const M: usize> Lower for Return<M> {
    fn linear_lower_to_flat<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, dst: &mut MaybeUninit<Self::Lower>) -> Result<()> {
        let flat = dst.write([ValRaw::u64(0); M]);
        lower::result_to_flat(cx, ty, self.0.as_ref(), flat)
    }

    fn linear_lower_to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, address: usize) -> Result<()> {
        lower::result_to_memory(cx, ty, self.0.as_ref(), address)
    }

    fn linear_store_list_to_memory<T>(_: &mut LowerContext<'_, T>, _: InterfaceType, _: usize, _: &[Self]) -> Result<()> {
        bail!("results are no elements")
    }
}
