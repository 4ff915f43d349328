//! The whole program from outside: each test starts `microhost` in a process of its own and talks
//! to it over sockets.

mod cache;
mod call;
mod call_peer;
mod call_streams;
mod cancel;
mod clients;
mod codecs;
mod commands;
mod compression;
mod errors;
mod grants;
mod health;
mod limits;
mod load;
mod logs;
mod messages;
mod peers;
mod pool;
mod proto_first;
mod protocols;
mod rpc;
mod rude;
mod settings;
mod stop;
mod streams;
mod streams_bounds;
mod streams_foreign;
mod swap;
mod tls;
mod tour;
mod traps;
mod types;
mod wasi_http;
mod wasi_http_out;
mod whose_call;
