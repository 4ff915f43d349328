//! Whom a call has been sent to already, so that another try goes to another one.

use super::facts::Listed;
use super::target::Target;

/// Targets that are remembered; of more the first ones are forgotten.
const MOST: usize = 16;

/// Whom a call has been sent to already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    identities: [u64; MOST],
    count: usize,
}

impl Tried {
    /// Notes one. It is remembered over changes of the list.
    pub fn add<T: Listed>(&mut self, target: &Target<T>) {
        self.identities[self.count % MOST] = target.identity();
        self.count += 1;
    }

    /// Whether there was one.
    pub fn has<T: Listed>(&self, target: &Target<T>) -> bool {
        self.identities[..self.count.min(MOST)].contains(&target.identity())
    }

    /// How many there were, the same one more than once among them.
    pub fn count(&self) -> usize {
        self.count
    }
}
