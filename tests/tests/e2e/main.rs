//! The whole program from outside: each test starts `microhost` in a process of its own and talks
//! to it over sockets.

mod messages;
mod protocols;
