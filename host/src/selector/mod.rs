//! Who of several gets a call: by weight, latency and load, and not those that fail.
//!
//! A list of targets becomes [`Candidates`], once and for all who call, and again when it changes.
//! [`Candidates::choose`] chooses one, and the [`Call`] that is begun with it tells how it ended. Nothing
//! here waits, locks, opens a connection or knows what a target is; a choice costs the same whether there
//! are ten targets or ten thousand, unless nearly all of them are left alone.
//!
//! ```
//! use microhost::selector::{Candidates, Facts, Listed, Outcome, Rules, Tried};
//!
//! struct Host(&'static str);
//!
//! impl Listed for Host {
//!     fn facts(&self) -> Facts<'_> {
//!         Facts { node: self.0, service: "payments", ..Facts::default() }
//!     }
//! }
//!
//! let candidates = Candidates::build([Host("a"), Host("b")], &Rules::default(), None);
//! let mut tried = Tried::default();
//! let first = candidates.choose(None, &tried).expect("two are ready");
//! tried.add(&first);
//! first.begin().finish(Outcome::Failure);
//! let second = candidates.choose(None, &tried).expect("another one is ready");
//! assert!(!tried.has(&second));
//! ```
//!
//! - Two choices, the default: M. Mitzenmacher, "The power of two choices in randomized load balancing"
//!   (1996), by peak EWMA × (calls in flight + 1) as in Finagle and Linkerd. The two are of the same
//!   weight, and the first is drawn by weight, so that the shares of the weights hold whatever is faster.
//!   One that is alone with its weight gives way only where it is slower by far.
//! - Of more than 64 a lane calls only as many as its calls have work for; see [`Stand`].
//! - A target that fails is left alone by its breaker, one that fails far more often than the others as
//!   an outlier. If all are, all are used.

mod aperture;
mod breaker;
mod candidates;
mod facts;
mod gauge;
mod group;
mod latency;
mod mix;
mod moment;
mod outcome;
mod outliers;
mod rules;
mod shares;
mod stand;
mod target;
#[cfg(test)]
mod tests;
mod tried;
mod turns;
mod wheel;
mod window;

pub use breaker::Switched;
pub use candidates::{Candidates, Choice, Summary};
pub use facts::{Facts, Listed};
pub use gauge::{Call, Figures, Standing};
pub use moment::Moment;
pub use outcome::Outcome;
pub use rules::Rules;
pub use stand::Stand;
pub use target::Target;
pub use tried::Tried;
