//! microhost runs microservices that are WebAssembly components.
//!
//! The modules stand on floors; each uses its own floor or lower ones, and `tests/floors.rs` holds
//! the sources to it. ARCHITECTURE.md draws the house.
//!
//! | floor | modules |
//! | --- | --- |
//! | 5 assembly | [`app`] and the program in `bin/microhost` |
//! | 4 surfaces | [`edge`], [`admin`] |
//! | 3 guests | [`wasm`], the only one that names wasmtime |
//! | 2 traffic | [`rpc`], [`selector`], [`middleware`], [`remote`] |
//! | 1 schema | [`schema`]: WIT, descriptors, the codecs, and the values between them |
//! | 1 capabilities | [`registry`]: which hosts there are, and what they serve |
//! | 1 project | [`project`]: a service's folder, made, found and built |
//! | 0 base | [`settings`], [`status`], [`lanes`], [`stats`], [`trust`], [`connections`]: one client a server, shared, [`sockets`]: of this machine, [`tunnel`]: connections by NATS |

pub mod admin;
pub mod app;
pub mod connections;
pub mod edge;
pub mod lanes;
pub mod middleware;
pub mod project;
pub mod registry;
pub mod remote;
pub mod rpc;
pub mod schema;
pub mod selector;
pub mod settings;
pub mod sockets;
pub mod stats;
pub mod status;
pub mod trust;
pub mod tunnel;
pub mod wasm;
