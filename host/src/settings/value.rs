//! How single values of the file are read. An error here gets the line and column of the value from
//! TOML, so what has to hold of a value is asked here and not once the file has been read.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::{parse_bytes, parse_duration};

/// A size, as a number of bytes or as a text.
struct Size;

impl Visitor<'_> for Size {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a size such as 65536 or \"64KiB\"")
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<usize, E> {
        usize::try_from(bytes).map_err(|_| E::custom(format!("expected a size such as 65536 or \"64KiB\", got {bytes}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
        parse_bytes(text).map_err(E::custom)
    }
}

/// A time, as a text.
struct Time;

impl Visitor<'_> for Time {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a time with its unit, such as \"500ms\" or \"5s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse_duration(text).map_err(E::custom)
    }
}

/// A size: `65536`, `"64KiB"`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    deserializer.deserialize_any(Size)
}

/// A time: `"500ms"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Time)
}

/// A time, where one is given.
pub(super) fn given_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// A time that is longer than none.
pub(super) fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let time = duration(deserializer)?;
    if time.is_zero() { Err(D::Error::custom("must be more than zero")) } else { Ok(time) }
}

/// A number that is more than zero.
pub(super) fn some<'de, D: Deserializer<'de>, N: Deserialize<'de> + Default + PartialEq>(deserializer: D) -> Result<N, D::Error> {
    let number = N::deserialize(deserializer)?;
    if number == N::default() { Err(D::Error::custom("must be more than zero")) } else { Ok(number) }
}

/// A text that says something, where one is given.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Err(D::Error::custom("is empty: leave it out, or say something")) } else { Ok(Some(text)) }
}
