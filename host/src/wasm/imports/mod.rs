//! What guests import from the host. Each function is linked by the type that the component has for
//! it, plain or `async`, since the two do not match each other.

use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Lift, Linker, LinkerInstance, Lower, types};
use wasmtime::{AsContextMut, Result, StoreContextMut};

use super::inbox::Occupied;
use super::state::State;

mod context;
mod log;
mod metadata;
mod registry;
mod rpc;

pub use metadata::entries;
pub use registry::Watches;

/// The package of the host's own interfaces.
const PACKAGE: &str = "microhost:service/";

/// A function of an interface: its name, and how it is put into a linker.
type Row = (&'static str, fn(&mut LinkerInstance<'_, State>, &str, Kind) -> Result<()>);

/// An interface of the host.
struct Interface {
    name: &'static str,
    functions: &'static [Row],
}

const INTERFACES: &[Interface] = &[
    Interface { name: "types", functions: &[] },
    Interface { name: "log", functions: log::FUNCTIONS },
    Interface { name: "context", functions: context::FUNCTIONS },
    Interface { name: "registry", functions: registry::FUNCTIONS },
    Interface { name: "rpc", functions: rpc::FUNCTIONS },
];

/// The type that a component has for an import.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Async,
}

/// WASI 0.2 and 0.3, in one linker.
pub fn wasi(engine: &wasmtime::Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Adds what the component imports of the host's own interfaces. A function that the host does not
/// have is left out, and so named as missing when the component is linked.
pub fn host(linker: &mut Linker<State>, component: &types::Component, engine: &wasmtime::Engine) -> Result<()> {
    for (name, item) in component.imports(engine) {
        let types::ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let Some(interface) = find(name) else { continue };
        let mut link = linker.instance(name)?;
        for (function, item) in instance.exports(engine) {
            let types::ComponentItem::ComponentFunc(ty) = item.ty else { continue };
            let kind = if ty.async_() { Kind::Async } else { Kind::Plain };
            if let Some((_, define)) = interface.functions.iter().find(|(known, _)| *known == function) {
                define(&mut link, function, kind)?;
            }
        }
    }
    Ok(())
}

/// Whether the host has an interface of this name, in this version.
pub fn is_known(import: &str) -> bool {
    find(import).is_some()
}

/// The host's interface behind an import such as `microhost:service/log@0.1.0`.
fn find(import: &str) -> Option<&'static Interface> {
    let name = import.strip_prefix(PACKAGE)?;
    let name = name.strip_suffix(concat!("@", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"), ".0")).unwrap_or(name);
    INTERFACES.iter().find(|interface| interface.name == name)
}

/// Links a function that never waits, as the kind that the component wants.
fn define<P, R>(
    link: &mut LinkerInstance<'_, State>,
    name: &str,
    kind: Kind,
    function: fn(StoreContextMut<'_, State>, P) -> Result<R>,
) -> Result<()>
where
    P: ComponentNamedList + Lift + Send + Sync + 'static,
    R: ComponentNamedList + Lower + Send + Sync + 'static,
{
    match kind {
        Kind::Plain => link.func_wrap(name, function),
        Kind::Async => link.func_wrap_concurrent(name, move |accessor, params: P| {
            Box::pin(async move { accessor.with(|mut access| function(access.as_context_mut(), params)) })
        }),
    }
}

/// Links a function that waits for something outside of the store, as the kind that the component
/// wants. A plain one holds its whole instance until then.
fn define_waiting<P, R, F>(
    link: &mut LinkerInstance<'_, State>,
    name: &str,
    kind: Kind,
    begin: fn(StoreContextMut<'_, State>, P) -> Result<F>,
) -> Result<()>
where
    P: ComponentNamedList + Lift + Send + Sync + 'static,
    R: ComponentNamedList + Lower + Send + Sync + 'static,
    F: Future<Output = R> + Send + 'static,
{
    match kind {
        Kind::Plain => link.func_wrap_async(name, move |store, params: P| {
            Box::new(async move {
                let (inbox, pool) = (Arc::clone(&store.data().inbox), Arc::clone(&store.data().pool));
                let waiting = begin(store, params)?;
                let _occupied = Occupied::new(&inbox);
                pool.look_for_more_everywhere();
                Ok(waiting.await)
            })
        }),
        Kind::Async => link.func_wrap_concurrent(name, move |accessor, params: P| {
            Box::pin(async move {
                let waiting = accessor.with(|mut access| begin(access.as_context_mut(), params))?;
                Ok(waiting.await)
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_known_in_the_version_of_the_host() {
        assert!(is_known("microhost:service/log@0.1.0"));
        assert!(!is_known("microhost:service/log@9.0.0"));
        assert!(!is_known("microhost:service/nothing@0.1.0"));
        assert!(!is_known("wasi:cli/environment@0.2.0"));
    }
}
