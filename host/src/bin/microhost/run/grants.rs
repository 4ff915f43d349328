//! What the command line allows a service, as the user writes it.

use std::path::PathBuf;
use std::str::FromStr;

use microhost::settings::Folder;

/// `HOST::GUEST[:rw]`: a folder of this machine, and where the service sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The path that the service sees.
    pub guest: String,
    /// What is there.
    pub folder: Folder,
}

impl FromStr for Mount {
    type Err = String;

    fn from_str(text: &str) -> Result<Mount, String> {
        let (host, guest) = text.split_once("::").ok_or("expected HOST::GUEST, such as ./data::/data")?;
        let (guest, write) = match guest.strip_suffix(":rw") {
            Some(guest) => (guest, true),
            None => (guest, false),
        };
        if host.is_empty() || !guest.starts_with('/') {
            return Err("expected HOST::GUEST with a GUEST that begins with /, such as ./data::/data".to_owned());
        }
        Ok(Mount { guest: guest.to_owned(), folder: Folder { path: PathBuf::from(host), write } })
    }
}

/// `K=V`: an environment variable.
pub fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_granted_for_reading_unless_writing_is_named() {
        let read: Mount = "./data::/data".parse().expect("a mount");
        let write: Mount = "/srv/a:b::/data:rw".parse().expect("a mount");
        assert_eq!(read, Mount { guest: "/data".into(), folder: Folder { path: "./data".into(), write: false } });
        assert_eq!(write, Mount { guest: "/data".into(), folder: Folder { path: "/srv/a:b".into(), write: true } });
    }

    #[test]
    fn half_a_grant_is_refused() {
        for text in ["/data", "::/data", "/data::", "/data::data", "/data:/data"] {
            assert!(text.parse::<Mount>().is_err(), "{text}");
        }
        assert!(variable("=1").is_err() && variable("A").is_err());
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
    }
}
