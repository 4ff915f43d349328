//! Numbers that look like chance: for draws, jitter and the places of keys.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 2⁶⁴ divided by the golden ratio: its multiples spread over all numbers more evenly than any other's.
pub(super) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bytes of a key that are looked at.
const MAX_KEY: usize = 1024;

/// A number that has nothing to do with `number`, and is always the same for it.
///
/// Source: SplitMix64, G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators".
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The place of a key. The same on every host, of whatever version: FNV-1a, then mixed.
pub(super) fn place(parts: &[&str]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01B3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let part = |hash, part: &&str| step(part.as_bytes().iter().take(MAX_KEY).fold(hash, step), &0xFF);
    mix(parts.iter().fold(0xCBF2_9CE4_8422_2325, part))
}

/// The part of `whole` that `number` is of all numbers.
pub(super) fn part_of(whole: u64, number: u64) -> u64 {
    // The product's upper half is below `whole`.
    ((u128::from(number) * u128::from(whole)) >> 64) as u64
}

/// A number that nobody could know beforehand, so that hosts that start together do not march in step.
pub(super) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
