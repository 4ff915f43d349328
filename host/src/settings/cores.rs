//! How many cores a service may keep busy.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most that can be named: more cores than any machine has.
const MAX_CORES: f64 = 4096.0;

/// Cores that a service may keep busy, in thousandths; or as many as there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuShare(Option<u32>);

impl CpuShare {
    /// As many cores as there are.
    pub const UNLIMITED: CpuShare = CpuShare(None);

    /// Thousandths of a core; `None` for as many cores as there are.
    pub fn millicores(self) -> Option<u32> {
        self.0
    }

    fn of(cores: f64) -> Option<CpuShare> {
        let millicores = (cores * 1000.0).round();
        // The bounds hold for what the number becomes, so the conversion loses nothing.
        (1.0..=MAX_CORES * 1000.0).contains(&millicores).then_some(CpuShare(Some(millicores as u32)))
    }
}

impl FromStr for CpuShare {
    type Err = String;

    fn from_str(text: &str) -> Result<CpuShare, String> {
        if text == "unlimited" {
            return Ok(CpuShare::UNLIMITED);
        }
        let share = text.parse().ok().and_then(CpuShare::of);
        share.ok_or_else(|| format!("expected a number of cores from 0.001 such as 1.5, or \"unlimited\", got {text:?}"))
    }
}

impl fmt::Display for CpuShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(millicores) => write!(f, "{}", f64::from(millicores) / 1000.0),
            None => f.write_str("unlimited"),
        }
    }
}

impl Serialize for CpuShare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct Cores;

impl Visitor<'_> for Cores {
    type Value = CpuShare;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number of cores such as 1.5, or \"unlimited\"")
    }

    fn visit_i64<E: Error>(self, cores: i64) -> Result<CpuShare, E> {
        self.visit_str(&cores.to_string())
    }

    fn visit_f64<E: Error>(self, cores: f64) -> Result<CpuShare, E> {
        self.visit_str(&cores.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CpuShare, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for CpuShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CpuShare, D::Error> {
        deserializer.deserialize_any(Cores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_of_cores_or_unlimited() {
        for (text, millicores) in [("1.5", Some(1500)), ("2", Some(2000)), ("0.001", Some(1)), ("unlimited", None)] {
            let share: CpuShare = text.parse().expect(text);
            assert_eq!((share.millicores(), share.to_string().as_str()), (millicores, text));
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["0", "-1", "NaN", "inf", "1e9", "", "many"] {
            assert!(text.parse::<CpuShare>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_settings_file_may_write_the_number_as_it_is() {
        let share = |text: &str| toml::from_str::<std::collections::BTreeMap<String, CpuShare>>(text).map(|all| all["s"]);
        assert_eq!(share("s = 1.5"), share("s = \"1.5\""));
        assert_eq!(share("s = 2").map(CpuShare::millicores), Ok(Some(2000)));
        assert!(share("s = 0").is_err());
    }
}
