//! The one engine of a host: how guests are compiled, where their memory comes from, and the clock
//! that interrupts them.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often running guest code is interrupted, so that others on its core get their turn.
pub const TICK: Duration = Duration::from_millis(5);

/// Address space reserved for each linear memory, so that its bounds need no checks.
const MEMORY_RESERVATION: usize = 4 << 30;

/// The most linear memories of a host; each takes 4 GiB of addresses, and nothing until it is used.
const MOST_MEMORIES: u32 = 4096;

/// The most guests that may wait in the middle of a plain function, or compute, at once. Each stack has
/// a guard page that takes a system call at start, so that more would be felt there.
const MOST_STACKS: u32 = 1024;

/// The fewest that are worth a pool.
const FEWEST_MEMORIES: u32 = 64;

/// What of an ended instance's memory is cleared by writing rather than given back to the kernel.
const KEEP_RESIDENT: usize = 256 << 10;

/// The elements that a table of the pool has room for; limits are lower and per service.
const POOLED_TABLE_ELEMENTS: usize = 1 << 20;

/// An engine and the thread that drives its clock. Clones share them.
#[derive(Clone)]
pub struct GuestEngine(Arc<Inner>);

struct Inner {
    engine: Engine,
    pooled: bool,
    stop: Arc<AtomicBool>,
}

/// The machine cannot run guests.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the WebAssembly engine: {0:#}")]
pub struct EngineError(pub(super) wasmtime::Error);

impl GuestEngine {
    /// Sets up the engine. Memory comes from a pool sized for this machine, or, where its address
    /// space cannot be had, on demand and with a warning.
    pub fn new() -> Result<GuestEngine, EngineError> {
        let mut memories = pool_size();
        loop {
            match Engine::new(&config(Some(memories))) {
                Ok(engine) => return GuestEngine::start(engine, true),
                Err(_) if memories > FEWEST_MEMORIES => memories = (memories / 4).max(FEWEST_MEMORIES),
                Err(error) => {
                    tracing::warn!(%error, "no address space for a memory pool: instances will start more slowly. Is `ulimit -v` set?");
                    let engine = Engine::new(&config(None)).map_err(EngineError)?;
                    return GuestEngine::start(engine, false);
                }
            }
        }
    }

    fn start(engine: Engine, pooled: bool) -> Result<GuestEngine, EngineError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (weak, stopped) = (engine.weak(), Arc::downgrade(&stop));
        std::thread::Builder::new().name("epoch".into()).spawn(move || tick(&weak, &stopped)).map_err(|error| EngineError(error.into()))?;
        Ok(GuestEngine(Arc::new(Inner { engine, pooled, stop })))
    }

    /// wasmtime's engine.
    pub fn get(&self) -> &Engine {
        &self.0.engine
    }

    /// Whether memory comes from the pool.
    pub fn is_pooled(&self) -> bool {
        self.0.pooled
    }

    /// Names all that compiled code depends on: the compiler's version, its settings, the processor.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Blake(blake3::Hasher::new());
        self.0.engine.precompile_compatibility_hash().hash(&mut hasher);
        *hasher.0.finalize().as_bytes()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// `std`'s hasher interface over blake3, whose result is the same in every process.
struct Blake(blake3::Hasher);

impl Hasher for Blake {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }
}

fn tick(engine: &EngineWeak, stop: &Weak<AtomicBool>) {
    // The engine's clock ends with it.
    while stop.upgrade().is_some_and(|stop| !stop.load(Relaxed)) {
        std::thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}

/// One memory for every 8 MiB of the machine's: more could not be in use at once.
fn pool_size() -> u32 {
    // SAFETY: `sysconf` takes a plain number and touches no memory of ours.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let bytes = u64::try_from(pages).unwrap_or(0) * u64::try_from(page).unwrap_or(0);
    u32::try_from(bytes >> 23).unwrap_or(MOST_MEMORIES).clamp(FEWEST_MEMORIES, MOST_MEMORIES)
}

fn config(pool: Option<u32>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    // Built by toolchains already, and part of the async proposal that is being finished.
    config.wasm_component_model_more_async_builtins(true);
    config.wasm_component_model_async_stackful(true);
    config.wasm_component_model_map(true);
    config.wasm_component_model_fixed_length_lists(true);
    config.epoch_interruption(true);
    config.memory_init_cow(true);
    config.memory_reservation(MEMORY_RESERVATION as u64);
    if let Some(memories) = pool {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_memories(memories);
        pool.total_component_instances(memories);
        pool.total_core_instances(memories * 4);
        pool.total_tables(memories * 4);
        pool.total_stacks(memories.min(MOST_STACKS));
        pool.total_gc_heaps(memories.min(256));
        pool.max_memory_size(MEMORY_RESERVATION);
        pool.table_elements(POOLED_TABLE_ELEMENTS);
        // Components of large runtimes have dozens of modules and wide tables of exports.
        pool.max_core_instances_per_component(200);
        pool.max_memories_per_component(16);
        pool.max_tables_per_component(64);
        pool.max_tables_per_module(16);
        pool.max_memories_per_module(8);
        pool.max_component_instance_size(4 << 20);
        pool.max_core_instance_size(4 << 20);
        pool.linear_memory_keep_resident(KEEP_RESIDENT);
        pool.table_keep_resident(64 << 10);
        pool.async_stack_keep_resident(16 << 10);
        pool.pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}
