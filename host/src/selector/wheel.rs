//! Equal keys go to the same target, on every host that knows the same targets; one more target takes
//! about its share of the keys, from all others alike.
//!
//! Source: Maglev hashing, D. Eisenbud et al., "Maglev: a fast and reliable software network load
//! balancer" (NSDI 2016), section 3.4. Each target has an order of its own in which it wants the places of
//! a table, and they take turns, by weight as in Envoy. So the shares are those of the weights to within a
//! place, which a ring has only with thousands of points each.

use super::mix::{mix, part_of};

/// Places of the table, each a prime, for lists up to so long. The paper's sizes, and one between them.
const PLACES: [(usize, u64); 3] = [(5_000, 65_537), (20_000, 262_147), (usize::MAX, 655_373)];

/// How many times as many places the heaviest may have as the lightest.
const MOST: u64 = 1_000;

/// A place of nobody yet.
const FREE: u32 = u32::MAX;

/// Whose each key is.
#[derive(Debug)]
pub(super) struct Wheel {
    /// What it was made of: who, and with which weight.
    made_of: Vec<(u64, u32)>,
    places: Vec<u32>,
}

/// Where a target wants to be next.
struct Wish {
    member: u32,
    place: u64,
    step: u64,
    weight: u64,
    /// How much of a turn is due to it.
    due: u64,
}

impl Wheel {
    /// Of targets by identity and weight, in any order, one at least.
    pub(super) fn new(made_of: Vec<(u64, u32)>) -> Wheel {
        let (_, size) = PLACES.into_iter().find(|(most, _)| made_of.len() <= *most).expect("the last one is for any length");
        let most = made_of.iter().map(|(_, weight)| u64::from(*weight)).max().unwrap_or(1);
        let wish = |(member, (identity, weight)): (usize, &(u64, u32))| Wish {
            member: member as u32,
            place: part_of(size, mix(*identity)),
            step: 1 + part_of(size - 1, mix(!*identity)),
            weight: (u64::from(*weight) * MOST / most).max(1),
            due: 0,
        };
        let mut wishes: Vec<Wish> = made_of.iter().enumerate().map(wish).collect();
        // Not by the order of the list: other hosts may have another one.
        wishes.sort_unstable_by_key(|wish| made_of[wish.member as usize].0);
        let mut places = vec![FREE; size as usize];
        let mut left = size;
        while left > 0 {
            for wish in &mut wishes {
                // The heaviest has each turn, others as often as they are heavy beside it.
                wish.due += wish.weight;
                if wish.due < MOST {
                    continue;
                }
                wish.due -= MOST;
                while places[wish.place as usize] != FREE {
                    wish.place = (wish.place + wish.step) % size;
                }
                places[wish.place as usize] = wish.member;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        Wheel { made_of, places }
    }

    /// Whether it is made of these.
    pub(super) fn is_of(&self, made_of: &[(u64, u32)]) -> bool {
        self.made_of == made_of
    }

    /// Whose a key is; at another try whose it is if that one cannot take it.
    pub(super) fn at(&self, key: u64, attempt: u64) -> usize {
        let point = if attempt == 0 { key } else { mix(key ^ attempt) };
        self.places[part_of(self.places.len() as u64, point) as usize] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::mix::place;

    fn wheel(nodes: std::ops::Range<u32>) -> Wheel {
        Wheel::new(nodes.map(|node| (place(&[&format!("node-{node}")]), 100)).collect())
    }

    /// The part of places that a change gives to another one than before, in which nobody new takes part.
    fn moved(nodes: u32) -> (f64, f64) {
        let (before, after) = (wheel(0..nodes), wheel(0..nodes + 1));
        let pairs = || before.places.iter().zip(&after.places);
        let all = before.places.len() as f64;
        let to_new = pairs().filter(|(_, after)| **after == nodes).count() as f64 / all;
        (to_new, pairs().filter(|(before, after)| **after != nodes && before != after).count() as f64 / all)
    }

    #[test]
    fn one_more_takes_its_share_and_leaves_the_others_what_they_had() {
        for nodes in [2_u32, 3, 10, 50, 200] {
            let (to_new, between_others) = moved(nodes);
            let share = 1.0 / f64::from(nodes + 1);
            assert!((to_new - share).abs() < 0.001, "{nodes}: {to_new}");
            assert!(between_others < 0.02, "{nodes}: {between_others}");
        }
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        let made_of: Vec<(u64, u32)> = [(1, 100), (2, 300), (3, 50), (4, 1)].map(|(node, weight)| (mix(node), weight)).into();
        let wheel = Wheel::new(made_of.clone());
        for (member, (_, weight)) in made_of.iter().enumerate() {
            let places = wheel.places.iter().filter(|place| **place == member as u32).count() as f64;
            let (share, wanted) = (places / wheel.places.len() as f64, f64::from(*weight) / 451.0);
            assert!((share - wanted).abs() < 0.002, "{weight}: {share} for {wanted}");
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let (one, mut turned) = (wheel(0..20), wheel(0..20).made_of);
        turned.reverse();
        let other = Wheel::new(turned);
        assert!(one.places.iter().zip(&other.places).all(|(one, other)| *one == 19 - *other));
    }

    #[test]
    fn tries_of_one_key_come_to_everyone() {
        let wheel = wheel(0..10);
        let tries: std::collections::BTreeSet<_> = (0..300).map(|attempt| wheel.at(12_345, attempt)).collect();
        assert_eq!(tries.len(), 10);
    }
}
