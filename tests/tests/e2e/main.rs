//! The whole program from outside: each test starts `microhost` in a process of its own and talks
//! to it over sockets.

mod cancel;
mod compression;
mod errors;
mod grants;
mod health;
mod limits;
mod logs;
mod messages;
mod pool;
mod protocols;
mod stop;
mod traps;
mod types;
mod whose_call;
