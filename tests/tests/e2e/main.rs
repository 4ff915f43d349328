//! The whole program from outside: each test starts `microhost` in a process of its own and talks
//! to it over sockets.

mod cancel;
mod limits;
mod logs;
mod messages;
mod pool;
mod protocols;
mod traps;
mod whose_call;
