//! The guest floor: components are loaded, linked, given instances, and called. The only floor that
//! names wasmtime.
//!
//! `load` → `start` (link) → `service` (endpoints) → `function` (messages to values) → `pool` (queues and instances on lanes) → `keeper` (one
//! instance, from outside) → `instance` (calls at once in one store) → `abi` (values to memory and
//! back). What a guest may ask of the host is in `imports`; what it may use of it is bounded in
//! `limiter`, `log`, `disk`, `state` and by the clock of `engine`.

mod abi;
mod bell;
pub mod cache;
mod call;
pub mod difference;
pub mod directory;
mod disk;
pub mod engine;
mod function;
mod handler;
mod health;
mod hold;
mod http;
mod imports;
mod inbox;
mod instance;
mod keeper;
mod limiter;
pub mod load;
mod log;
mod outgoing;
mod peers;
mod pool;
mod queue;
mod quota;
pub mod service;
pub mod start;
mod state;
mod strain;
mod streams;
pub mod tally;
mod voices;
mod wire;
