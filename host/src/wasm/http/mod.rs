//! Incoming `wasi:http`: components that answer requests, in WASI 0.2 and 0.3, unchanged.
//!
//! A request is a job like any other call, so that queue, lanes, instances, limits and clock are the
//! pool's. What is its own: the response begins before the call is over, and the call is over when
//! the response's body is.
//!
//! [`gate`] waits for the response, `door` is the export and calls it, `answer` is the response's body.

mod answer;
mod door;
mod gate;
mod outcome;
mod waiting;

pub use door::{Door, Exchange, Exported};
pub use gate::{Entry, Gate};
