//! From a file to a component that can be linked: what is not one is told from what is a broken one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use wasmtime::component::Component;

use super::cache::{Cache, Entry};
use super::engine::GuestEngine;
use crate::schema::Schema;
use crate::settings::Limits;

/// The first bytes of any WebAssembly file.
const WASM_MAGIC: &[u8; 4] = b"\0asm";

/// How a component is brought in.
pub struct Loader {
    engine: GuestEngine,
    cache: Option<Cache>,
}

/// A component, compiled, with what it exports. Clones share it.
#[derive(Clone)]
pub struct Loaded {
    /// The compiled component.
    pub component: Component,
    /// Its services and imports.
    pub schema: Arc<Schema>,
    /// Whether it was compiled for this; else it came from the cache.
    pub compiled: bool,
    /// Names its content, for this engine.
    pub key: [u8; 32],
}

/// A component that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is over the limit.
    #[error("{path} is over the limit `component`, {}", bytesize::ByteSize(*.limit))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// There is nothing in the file.
    #[error("{path} is empty: was the build interrupted?")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is something else altogether.
    #[error("{path} is no WebAssembly at all: it does not begin with \\0asm; name a component, or a project's folder")]
    NotWasm {
        /// The file.
        path: PathBuf,
    },
    /// It is a core module.
    #[error(
        "{path} is a core WebAssembly module, not a component; build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule {
        /// The file.
        path: PathBuf,
    },
    /// It begins like a component, and is cut short or damaged.
    #[error("{path} is a damaged or truncated component: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first fault.
        why: String,
    },
    /// It is whole, and uses what this host cannot compile.
    #[error("{path} cannot be compiled: {why}")]
    Unbuildable {
        /// The file.
        path: PathBuf,
        /// The compiler's reason.
        why: String,
    },
    /// Compiling took too long.
    #[error("{path} was not compiled within the limit `compile`, {limit:?}")]
    TooSlow {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: Duration,
    },
}

impl Loader {
    /// Loads through this cache, or, without one, compiles every time.
    pub fn new(engine: GuestEngine, cache: Option<Cache>) -> Loader {
        Loader { engine, cache }
    }

    /// The engine that components are compiled for.
    pub fn engine(&self) -> &GuestEngine {
        &self.engine
    }

    /// Loads the component in this file, within the limits `component` and `compile`. Blocks for as
    /// long as compiling takes.
    pub fn load(&self, path: &Path, limits: &Limits) -> Result<Loaded, LoadError> {
        let bytes = read(path, limits.component as u64)?;
        let key = Cache::key(&bytes, &self.engine.fingerprint());
        if let Some(loaded) = self.cached(&key) {
            return Ok(loaded);
        }
        let schema = Schema::of(&bytes).map_err(|error| LoadError::Damaged { path: path.to_owned(), why: error.to_string() })?;
        let mut component = self.compile(path, bytes, limits.compile)?;
        if let Some(cache) = &self.cache {
            let code = component.serialize().map_err(|error| io::Error::other(error.to_string()));
            match code.and_then(|code| cache.put(&key, schema.package(), &code)) {
                // From its file the code is mapped: what was compiled would stay in memory of our own.
                Ok(entry) => component = self.map(&entry).unwrap_or(component),
                Err(error) => tracing::warn!(%error, "the compiled component could not be cached; the next start compiles it again"),
            }
        }
        Ok(Loaded { component, schema: Arc::new(schema), compiled: true, key })
    }

    /// Whether what is in this file now is this component.
    pub fn is_in(&self, path: &Path, limits: &Limits, loaded: &Loaded) -> bool {
        read(path, limits.component as u64).is_ok_and(|bytes| Cache::key(&bytes, &self.engine.fingerprint()) == loaded.key)
    }

    fn cached(&self, key: &[u8; 32]) -> Option<Loaded> {
        let entry = self.cache.as_ref()?.get(key)?;
        let schema = Schema::of(&entry.schema).ok()?;
        match self.map(&entry) {
            Ok(component) => Some(Loaded { component, schema: Arc::new(schema), compiled: false, key: *key }),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a compile cache entry does not fit this engine; compiling anew");
                None
            }
        }
    }

    fn map(&self, entry: &Entry) -> wasmtime::Result<Component> {
        // SAFETY: the cache hands out only what it wrote itself, from this engine's own `serialize`, and verified against its key.
        unsafe { Component::deserialize_file(self.engine.get(), entry.path()) }
    }

    fn compile(&self, path: &Path, bytes: Vec<u8>, limit: Duration) -> Result<Component, LoadError> {
        let engine = self.engine.get().clone();
        let (done, compiled) = mpsc::channel();
        let thread = std::thread::Builder::new().name("compile".into()).spawn(move || {
            // Nobody listens any more when it took too long.
            let _ = done.send(Component::new(&engine, bytes));
        });
        thread.map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        match compiled.recv_timeout(limit) {
            Ok(Ok(component)) => Ok(component),
            Ok(Err(error)) => Err(LoadError::Unbuildable { path: path.to_owned(), why: format!("{error:#}") }),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(LoadError::TooSlow { path: path.to_owned(), limit }),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(LoadError::Unbuildable { path: path.to_owned(), why: "the compiler failed".to_owned() })
            }
        }
    }
}

/// Reads a component's bytes, and refuses at once what is none.
pub fn read(path: &Path, max_size: u64) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let too_large = || LoadError::TooLarge { path: path.to_owned(), limit: max_size };
    if size > max_size {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // One byte more than allowed: a file may grow, and a device has no size.
    file.take(max_size + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max_size {
        return Err(too_large());
    }
    let path = path.to_owned();
    match (bytes.first_chunk::<4>(), bytes.get(4..8)) {
        _ if bytes.is_empty() => Err(LoadError::Empty { path }),
        (Some(magic), _) if magic != WASM_MAGIC => Err(LoadError::NotWasm { path }),
        (None, _) if !WASM_MAGIC.starts_with(&bytes) => Err(LoadError::NotWasm { path }),
        // The version is 16 bits, the layer the other 16: 0 for a core module, 1 for a component.
        (Some(_), Some([1, 0, 0, 0])) => Err(LoadError::CoreModule { path }),
        (Some(_), Some([_, _, 1, 0])) => Ok(bytes),
        (Some(_), Some(version)) => {
            Err(LoadError::Damaged { path, why: format!("it says that it is of version {version:02x?}, which is unknown") })
        }
        _ => Err(LoadError::Damaged { path, why: "it ends within its first eight bytes".to_owned() }),
    }
}
