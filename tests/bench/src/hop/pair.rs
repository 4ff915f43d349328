//! What a hop costs before a host does anything for it: two guests in bare wasmtime, the one calling the
//! other through an import, on one thread. Nothing is checked, counted, bounded or looked up.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::stream::FuturesUnordered;
use microhost::wasm::engine::GuestEngine;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, TypedFunc};

use super::Work;
use super::bare::{Record, State, function, linker, store};

/// A call on its way from the one guest to the other.
type Passed = (Record, oneshot::Sender<Record>);

/// The interface of `guests/echo`, and that of `guests/hop`.
const ECHO: &str = "test:echo/echo@0.1.0";
const HOP: &str = "test:hop/hop@0.1.0";

/// Does some work with the components to warm up, and then what is measured; how long the caller says
/// that took. Only of calls.
pub fn run(caller: &Path, callee: &Path, warm: Work, work: Work) -> Result<Duration> {
    let engine = GuestEngine::new().context("cannot set up the engine")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the tokio runtime")?;
    runtime.block_on(between(engine.get(), caller, callee, [warm, work])).map_err(|error| anyhow!("{error:#}"))
}

async fn between(engine: &Engine, caller: &Path, callee: &Path, works: [Work; 2]) -> wasmtime::Result<Duration> {
    let (calls, passed) = mpsc::unbounded::<Passed>();
    let answering = tokio::spawn(answer(engine.clone(), Component::from_file(engine, callee)?, passed));
    let component = Component::from_file(engine, caller)?;
    let mut linker = linker(engine)?;
    linker.instance(ECHO)?.func_wrap_concurrent("echo", move |_, (record,): (Record,)| {
        let calls = calls.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            calls.unbounded_send((record, reply))?;
            Ok((answer.await?,))
        })
    })?;
    rest(&mut linker, engine, &component)?;
    let mut store = store(engine);
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let call: TypedFunc<(u32, u32), (u64,)> = function(&mut store, &instance, HOP, "calls")?;
    let mut took = 0;
    for work in works {
        let Work::Calls { count, width } = work else { wasmtime::bail!("only calls go between two guests") };
        (took,) = store.run_concurrent(async |accessor| call.call_concurrent(accessor, (count, width)).await).await??;
    }
    drop((store, linker));
    answering.await??;
    Ok(Duration::from_nanos(took))
}

/// Defines what the caller imports for its other works as what fails. Not all that is unknown: WASI is
/// known by another version than the one that the guest names.
fn rest(linker: &mut Linker<State>, engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
        if name.starts_with("wasi:") || name == ECHO {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (function, item) in interface.exports(engine) {
            if let ComponentItem::ComponentFunc(_) = item.ty {
                instance.func_new_concurrent(function, |_, _, _, _| Box::pin(async { wasmtime::bail!("it is not called") }))?;
            }
        }
    }
    Ok(())
}

/// The guest that is called, until nobody calls any more.
async fn answer(engine: Engine, component: Component, mut passed: mpsc::UnboundedReceiver<Passed>) -> wasmtime::Result<()> {
    let mut linker = linker(&engine)?;
    linker.define_unknown_imports_as_traps(&component)?;
    let mut store = store(&engine);
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let echo: TypedFunc<(Record,), (Record,)> = function(&mut store, &instance, ECHO, "echo")?;
    store
        .run_concurrent(async |accessor| {
            let mut running = FuturesUnordered::new();
            loop {
                tokio::select! {
                    biased;
                    Some(done) = running.next(), if !running.is_empty() => done?,
                    call = passed.next() => {
                        let Some((record, reply)) = call else { return Ok(()) };
                        running.push(async move {
                            let (record,) = echo.call_concurrent(accessor, (record,)).await?;
                            // Who called waits for it.
                            let _ = reply.send(record);
                            Ok::<(), wasmtime::Error>(())
                        });
                    }
                }
            }
        })
        .await?
}
