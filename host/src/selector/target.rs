//! One of those that a call may go to.

use std::sync::Arc;

use super::facts::Listed;
use super::gauge::{Figures, Gauge};
use super::mix::place;
use super::moment::Moment;

/// The weight above which more makes no difference: a hundred times the usual one. Bounds what lists of
/// any length add up to.
const MAX_WEIGHT: u32 = 10_000;

/// One of those that a call may go to, and what has been seen of it.
#[derive(Debug)]
pub struct Target<T> {
    /// What it is.
    pub value: T,
    pub(super) gauge: Arc<Gauge>,
    pub(super) weight: u32,
    identity: u64,
}

impl<T: Listed> Target<T> {
    pub(super) fn new(value: T, gauge: Arc<Gauge>) -> Target<T> {
        let facts = value.facts();
        let (weight, identity) = (facts.weight.min(MAX_WEIGHT), place(&[facts.node, facts.service]));
        Target { value, gauge, weight, identity }
    }

    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    /// How it is.
    pub fn figures(&self) -> Figures {
        self.gauge.figures(Moment::now())
    }
}
