//! (being written)
pub mod abi;
pub mod cache;
pub mod engine;
