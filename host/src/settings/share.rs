//! A share of a whole, as the user writes it: `10%`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// From 0% to 100%, in hundredths of a per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

/// The whole in hundredths of a per cent.
const WHOLE: u16 = 10_000;

impl Share {
    /// Nothing.
    pub const NONE: Share = Share(0);
    /// Everything.
    pub const ALL: Share = Share(WHOLE);

    /// So many of a hundred; all, of more than that.
    pub const fn percent(percent: u8) -> Share {
        if percent > 100 { Share::ALL } else { Share(percent as u16 * (WHOLE / 100)) }
    }

    /// This share of a number, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        u64::try_from(u128::from(whole) * u128::from(self.0) / u128::from(WHOLE)).unwrap_or(u64::MAX)
    }

    /// Whether the turn with this number, from 0, is one of the share's. Of any 10,000 turns in a row it
    /// takes exactly its share, evenly spread.
    pub fn takes(self, turn: u64) -> bool {
        turn % u64::from(WHOLE) * u64::from(self.0) % u64::from(WHOLE) < u64::from(self.0)
    }

    /// Whether `part` of `whole` is more than this.
    pub fn is_exceeded(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(WHOLE) > u128::from(whole) * u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let wrong = || format!("expected a share such as 10% or 0.5%, from 0% to 100%, got {text:?}");
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 2 || number.ends_with('.') {
            return Err(wrong());
        }
        let hundredths = format!("{whole}{part:0<2}").parse::<u32>().map_err(|_| wrong())?;
        u16::try_from(hundredths).ok().filter(|share| *share <= WHOLE).map(Share).ok_or_else(wrong)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> Share {
        text.parse().expect(text)
    }

    #[test]
    fn a_share_is_read_and_written_alike() {
        for text in ["0%", "0.05%", "0.5%", "10%", "33.33%", "100%"] {
            assert_eq!(share(text).to_string(), text);
        }
        for text in ["", "%", "10", "10 %", "-1%", "101%", "1.%", ".5%", "1.234%", "1e1%", "99999999999%"] {
            assert!(text.parse::<Share>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn of_many_turns_a_share_takes_exactly_its_part_evenly_spread() {
        for (text, of_10_000) in [("0%", 0), ("0.01%", 1), ("10%", 1000), ("33.33%", 3333), ("50%", 5000), ("100%", 10_000)] {
            let start = 12_345;
            assert_eq!((start..start + 10_000).filter(|turn| share(text).takes(*turn)).count(), of_10_000, "{text}");
        }
        for first in 0..50 {
            assert_eq!((first..first + 10).filter(|turn| share("10%").takes(*turn)).count(), 1);
        }
    }

    #[test]
    fn a_rate_is_over_only_when_it_is_more() {
        assert!(!share("5%").is_exceeded(5, 100) && share("5%").is_exceeded(6, 100) && share("0%").is_exceeded(1, u64::MAX));
        assert!(!share("0%").is_exceeded(0, 0));
    }
}
