//! A bare call into a guest: wasmtime's own typed functions, and nothing of a host around them. One
//! instance on one thread, by the engine that the host has too.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::channel::oneshot;
use futures::future::try_join_all;
use microhost::wasm::engine::GuestEngine;
use wasmtime::component::{
    Accessor, Component, ComponentType, Destination, Instance, Lift, Linker, Lower, ResourceTable, Source, StreamConsumer, StreamProducer,
    StreamReader, StreamResult, TypedFunc, VecBuffer,
};
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::Work;
use crate::message::Message;

/// Messages that are passed on at once.
const BATCH: usize = 64;

/// The record of `test:echo/echo`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Record {
    id: u64,
    text: String,
    tags: Vec<String>,
}

/// What a store holds of WASI, which Rust's standard library imports.
pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Does some work with the component at `guest` to warm up, and then what is measured; how long that took.
pub fn run(guest: &Path, warm: Work, work: Work) -> Result<Duration> {
    let engine = GuestEngine::new().context("cannot set up the engine")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the tokio runtime")?;
    runtime.block_on(in_instance(engine.get(), guest, [warm, work])).map_err(told)
}

fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

async fn in_instance(engine: &Engine, guest: &Path, works: [Work; 2]) -> wasmtime::Result<Duration> {
    let component = Component::from_file(engine, guest)?;
    let mut linker = linker(engine)?;
    // The host's own interfaces, which the guest imports for logs, are not called here.
    linker.define_unknown_imports_as_traps(&component)?;
    let mut store = store(engine);
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let mut took = Duration::ZERO;
    for work in works {
        took = once(&mut store, &instance, work).await?;
    }
    Ok(took)
}

/// A linker with WASI.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A store that is interrupted as often as the host's are.
pub fn store(engine: &Engine) -> Store<State> {
    let mut store = Store::new(engine, State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() });
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
    store
}

async fn once(store: &mut Store<State>, instance: &Instance, work: Work) -> wasmtime::Result<Duration> {
    match work {
        Work::Calls { count, width } => {
            let echo = function::<(Record,), (Record,)>(store, instance, "test:echo/echo@0.1.0", "echo")?;
            store.run_concurrent(async |accessor| calls(accessor, echo, count, width).await).await?
        }
        Work::Produce { count, size } => {
            let produce = function::<(u32, u32), (StreamReader<Vec<u8>>,)>(store, instance, STREAMS, "produce")?;
            store.run_concurrent(async |accessor| read(accessor, produce, count, size).await).await?
        }
        Work::Consume { count, size } => {
            let consume = function::<(StreamReader<Vec<u8>>,), (u64,)>(store, instance, STREAMS, "consume")?;
            store.run_concurrent(async |accessor| write(accessor, consume, count, size).await).await?
        }
        Work::Echo { count, size } => {
            let echo = function::<(StreamReader<Vec<u8>>,), (StreamReader<Vec<u8>>,)>(store, instance, STREAMS, "echo")?;
            store.run_concurrent(async |accessor| there_and_back(accessor, echo, count, size).await).await?
        }
    }
}

/// A stream of messages.
type Items = StreamReader<Vec<u8>>;

/// The interface of `guests/streams`.
const STREAMS: &str = "example:streams/streams@0.1.0";

/// A function of an instance.
pub fn function<P, R>(store: &mut Store<State>, instance: &Instance, interface: &str, name: &str) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: wasmtime::component::ComponentNamedList + Lower,
    R: wasmtime::component::ComponentNamedList + Lift,
{
    let missing = || wasmtime::format_err!("the component has no {interface}#{name}");
    let outer = instance.get_export_index(&mut *store, None, interface).ok_or_else(missing)?;
    let export = instance.get_export_index(&mut *store, Some(&outer), name).ok_or_else(missing)?;
    instance.get_typed_func(store, export)
}

async fn calls(accessor: &Accessor<State>, echo: TypedFunc<(Record,), (Record,)>, count: u32, width: u32) -> wasmtime::Result<Duration> {
    let Message { id, text, tags } = Message::sample();
    let record = Record { id, text, tags };
    let began = Instant::now();
    let several = (0..width).map(|place| {
        let record = &record;
        async move {
            for _ in 0..super::share(count, width, place) {
                let (answer,) = echo.call_concurrent(accessor, (record.clone(),)).await?;
                wasmtime::ensure!(answer == *record, "the answer is not what was sent");
            }
            Ok(())
        }
    });
    try_join_all(several).await?;
    Ok(began.elapsed())
}

async fn read(accessor: &Accessor<State>, produce: TypedFunc<(u32, u32), (Items,)>, count: u32, size: u32) -> wasmtime::Result<Duration> {
    let began = Instant::now();
    let (items,) = produce.call_concurrent(accessor, (count, size)).await?;
    came_all(count, drained(accessor, items).await?)?;
    Ok(began.elapsed())
}

async fn write(accessor: &Accessor<State>, consume: TypedFunc<(Items,), (u64,)>, count: u32, size: u32) -> wasmtime::Result<Duration> {
    let began = Instant::now();
    let items = accessor.with(|access| StreamReader::new(access, Made { left: count, size }))?;
    let (came,) = consume.call_concurrent(accessor, (items,)).await?;
    came_all(count, came)?;
    Ok(began.elapsed())
}

async fn there_and_back(
    accessor: &Accessor<State>,
    echo: TypedFunc<(Items,), (Items,)>,
    count: u32,
    size: u32,
) -> wasmtime::Result<Duration> {
    let began = Instant::now();
    let items = accessor.with(|access| StreamReader::new(access, Made { left: count, size }))?;
    let (back,) = echo.call_concurrent(accessor, (items,)).await?;
    came_all(count, drained(accessor, back).await?)?;
    Ok(began.elapsed())
}

fn came_all(count: u32, came: u64) -> wasmtime::Result<()> {
    wasmtime::ensure!(came == u64::from(count), "{came} of {count} messages came");
    Ok(())
}

/// Reads a stream to its end; how many there were.
async fn drained(accessor: &Accessor<State>, items: Items) -> wasmtime::Result<u64> {
    let (over, ended) = oneshot::channel();
    accessor.with(|access| items.pipe(access, Counted { came: 0, over: Some(over) }))?;
    Ok(ended.await?)
}

/// The host's end of a stream that it reads.
struct Counted {
    came: u64,
    over: Option<oneshot::Sender<u64>>,
}

impl StreamConsumer<State> for Counted {
    type Item = Vec<u8>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        mut store: StoreContextMut<State>,
        mut source: Source<'_, Vec<u8>>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut items = Vec::with_capacity(source.remaining(&mut store));
        source.read(&mut store, &mut items)?;
        self.came += items.len() as u64;
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(over) = self.over.take() {
            // Nobody waits where the run has failed.
            let _ = over.send(self.came);
        }
    }
}

/// The host's end of a stream that it writes.
struct Made {
    left: u32,
    size: u32,
}

impl StreamProducer<State> for Made {
    type Item = Vec<u8>;
    type Buffer = VecBuffer<Vec<u8>>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, Vec<u8>, VecBuffer<Vec<u8>>>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let room = destination.remaining(store).unwrap_or(BATCH).min(BATCH).min(self.left as usize);
        destination.set_buffer(VecBuffer::from(vec![vec![7; self.size as usize]; room]));
        self.left -= u32::try_from(room).unwrap_or(u32::MAX);
        Poll::Ready(Ok(if self.left == 0 { StreamResult::Dropped } else { StreamResult::Completed }))
    }
}
