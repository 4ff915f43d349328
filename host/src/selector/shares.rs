//! Who gets a number that is drawn, so that each gets as many as its weight says; the time that takes does
//! not grow with the list.

use super::mix::GOLDEN;

/// Weights as lengths on one line, in the order of the list.
#[derive(Debug)]
pub(super) struct Shares {
    /// Where each ends. Empty where all are alike, and each is one long.
    ends: Vec<u64>,
    /// For each of as many equal parts of the line as there are lengths: who is at its beginning. Source:
    /// H.-C. Chen and Y. Asau, "On generating random variates from an empirical distribution" (1974).
    guide: Vec<u32>,
    total: u64,
    /// How far apart on the line two turns are that follow each other.
    stride: u64,
}

impl Shares {
    /// Of weights that are more than zero, one at least.
    pub(super) fn new(weights: &[u32]) -> Shares {
        let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, u64::from(*weight)));
        let mut total = 0;
        let ends: Vec<u64> = weights
            .iter()
            .map(|weight| {
                total += u64::from(*weight) / divisor;
                total
            })
            .collect();
        let count = weights.len() as u64;
        if total == count {
            return Shares { ends: Vec::new(), guide: Vec::new(), total, stride: 1 };
        }
        let beginning = |part: u64| (u128::from(part) * u128::from(total) / u128::from(count)) as u64;
        let guide = (0..=count).map(|part| ends.partition_point(|end| *end <= beginning(part)).min(weights.len() - 1) as u32).collect();
        Shares { ends, guide, total, stride: stride(total) }
    }

    /// How long the line is.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whose a point of the line is.
    pub(super) fn at(&self, point: u64) -> usize {
        if self.ends.is_empty() {
            return point as usize;
        }
        let count = self.ends.len() as u128;
        let part = (u128::from(point) * count / u128::from(self.total)) as usize;
        let (from, to) = (self.guide[part] as usize, self.guide[part + 1] as usize);
        from + self.ends[from..to].partition_point(|end| *end <= point)
    }

    /// Whose a turn is. Of as many turns in a row as the line is long each gets exactly its length, and
    /// they are spread: turns go over the line in steps near to the golden section.
    pub(super) fn turn(&self, turn: u64) -> usize {
        self.at((u128::from(turn % self.total) * u128::from(self.stride) % u128::from(self.total)) as u64)
    }
}

/// A step near to the golden section that meets every point of the line once.
fn stride(total: u64) -> u64 {
    let golden = ((u128::from(total) * u128::from(GOLDEN)) >> 64) as u64;
    (golden.max(1)..).find(|step| gcd(*step, total) == 1).expect("a number shares no divisor with the next one")
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(shares: &Shares, count: usize, turns: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut counts = vec![0; count];
        turns.for_each(|turn| counts[shares.turn(turn)] += 1);
        counts
    }

    #[test]
    fn equal_weights_take_turns_in_the_order_of_the_list() {
        let shares = Shares::new(&[100; 5]);
        assert_eq!((0..7).map(|turn| shares.turn(turn)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 0, 1]);
    }

    #[test]
    fn turns_of_one_are_spread() {
        let shares = Shares::new(&[100, 900]);
        let turns: Vec<u64> = (0..100).filter(|turn| shares.turn(*turn) == 0).collect();
        assert!(turns.windows(2).all(|pair| pair[1] - pair[0] == 10), "{turns:?}");
        let shares = Shares::new(&[5, 3, 2]);
        let longest = (0..100).map(|turn| shares.turn(turn)).collect::<Vec<_>>().chunk_by(|a, b| a == b).map(<[_]>::len).max();
        assert!(longest <= Some(2), "{longest:?}");
    }

    proptest! {
        #[test]
        fn over_a_cycle_each_gets_exactly_its_weight(weights in prop::collection::vec(1_u32..300, 1..40), start in any::<u32>()) {
            let shares = Shares::new(&weights);
            let start = u64::from(start);
            let counts = counted(&shares, weights.len(), start..start + shares.total());
            let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert_eq!(count * sum, u64::from(*weight) * shares.total());
            }
        }

        #[test]
        fn every_point_is_found_as_by_looking_at_all(weights in prop::collection::vec(prop_oneof![1_u32..4, 1_u32..10_000], 1..60), points in prop::collection::vec(any::<u64>(), 20)) {
            let shares = Shares::new(&weights);
            for point in points.into_iter().map(|point| point % shares.total()).chain([0, shares.total() - 1]) {
                let mut end = 0;
                let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, u64::from(*weight)));
                let wanted = weights.iter().position(|weight| { end += u64::from(*weight) / divisor; point < end });
                prop_assert_eq!(Some(shares.at(point)), wanted);
            }
        }
    }
}
