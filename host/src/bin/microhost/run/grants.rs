//! What the command line allows a service, as the user writes it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use microhost::settings::{CallGrant, Folder, Grants, HttpGrant};

/// What the command line allows every service of a run. inspect and the errors at start name the same
/// flags.
#[derive(Args, Clone, Default)]
pub struct GrantFlags {
    /// Give the service an environment variable; may be given several times
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub env: Vec<(String, String)>,

    /// Grant a folder: /data::/data, or /data::/data:rw to write too; may be given several times
    #[arg(long, value_name = "HOST::GUEST[:rw]")]
    pub dir: Vec<Mount>,

    /// Let the service call this host by wasi:http: api.example.com; may be given several times
    #[arg(long, value_name = "HOST")]
    pub allow_http: Vec<HttpGrant>,

    /// Let the service open sockets and look up names
    #[arg(long)]
    pub allow_sockets: bool,

    /// Let the service see which services there are, in this host and in others, and where
    #[arg(long)]
    pub allow_registry: bool,

    /// Let the service call another one: shop.stock.Stock, shop.stock.Stock/Take, or * for all; may be
    /// given several times
    #[arg(long, value_name = "SERVICE[/METHOD]")]
    pub allow_call: Vec<CallGrant>,

    /// Start although this service, which is imported, is not there yet, or * for any; may be given
    /// several times
    #[arg(long, value_name = "SERVICE", value_parser = CallGrant::parse_late)]
    pub late: Vec<CallGrant>,
}

impl GrantFlags {
    /// Adds them to what the settings grant.
    pub fn add_to(&self, grants: &mut Grants) {
        grants.environment.extend(self.env.iter().cloned());
        grants.folders.extend(self.dir.iter().cloned().map(|mount| (mount.guest, mount.folder)));
        grants.http.extend(self.allow_http.iter().cloned());
        grants.sockets |= self.allow_sockets;
        grants.registry |= self.allow_registry;
        grants.calls.extend(self.allow_call.iter().cloned());
        grants.late.extend(self.late.iter().cloned());
    }
}

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
