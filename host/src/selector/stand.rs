//! Where a caller stands among others, so that each calls another part of very many targets.

use super::mix::place;

/// Where a caller stands among those who call the same, as a part of all numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stand(u64);

impl Stand {
    /// At a place of so many that are known.
    ///
    /// # Panics
    /// If the place is not below `count`.
    pub fn of(place: usize, count: usize) -> Stand {
        assert!(place < count, "place {place} of {count}");
        Stand(((place as u128) << 64).div_euclid(count as u128) as u64)
    }

    /// The same place for one of a caller's lanes: they are spread evenly, too.
    pub(super) fn of_lane(self, lane: usize, lanes: usize) -> u64 {
        self.0.wrapping_add((u64::MAX / lanes as u64).wrapping_mul(lane as u64))
    }

    /// Of one who is not among those that are known: anywhere, and always there.
    pub fn named(name: &str) -> Stand {
        Stand(place(&[name]))
    }
}
