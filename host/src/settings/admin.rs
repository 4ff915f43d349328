//! The host's door for its own user, as the settings have it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// The longest name of a host: it is a part of a socket's path, and those are short.
const MAX_NAME: usize = 40;

/// How commands reach the host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { name = \"shop\" }")]
pub struct Admin {
    /// What commands call the host; its process id unless set.
    pub name: Option<HostName>,
    /// Where the socket is, relative to the settings file; in the folder that the user's hosts share
    /// unless set.
    pub socket: Option<PathBuf>,
    /// Whether there is a socket at all.
    pub enabled: bool,
}

impl Default for Admin {
    fn default() -> Admin {
        Admin { name: None, socket: None, enabled: true }
    }
}

impl Admin {
    /// The same, with its paths relative to this folder.
    #[must_use]
    pub fn at(self, base: &Path) -> Admin {
        Admin { socket: self.socket.map(|socket| base.join(socket)), ..self }
    }
}

/// A name of a host: a word that is no number, as that would be a process id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// The name where none is given: `default`.
    pub(super) fn usual() -> HostName {
        HostName("default".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<HostName, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(plain) || text.starts_with('-') {
            return Err(format!("a host's name has 1 to {MAX_NAME} letters, digits, hyphens and underscores, got {text:?}"));
        }
        if text.chars().all(|c| c.is_ascii_digit()) {
            return Err(format!("{text:?} would read as a process id: a host's name needs a letter"));
        }
        Ok(HostName(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostName, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_and_no_number_and_leads_nowhere() {
        for name in ["shop", "shop-2", "a_b", "7up"] {
            assert_eq!(name.parse::<HostName>().expect(name).as_str(), name);
        }
        for name in ["", "..", "a/b", "../x", "a.sock", "12345", "-a", "a b", &"x".repeat(MAX_NAME + 1)] {
            assert!(name.parse::<HostName>().is_err(), "{name:?}");
        }
    }
}
