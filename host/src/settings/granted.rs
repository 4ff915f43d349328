//! Grants as they are added one by one, for what comes while a host runs.

use std::path::PathBuf;

use super::{CallGrant, Folder, Grants};

/// What a grant is written as, for help and for errors.
const FORMS: &str = "calls=SERVICE[/METHOD], late=SERVICE, http=HOST, env=NAME=VALUE, dir=FOLDER::GUEST[:rw], registry or sockets";

impl Grants {
    /// Adds one grant: `calls=shop.payments.Payment`, `late=shop.payments.Payment`,
    /// `http=api.example.com`, `env=NAME=VALUE`, `dir=FOLDER::GUEST[:rw]`, `sockets`, `registry`.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let (kind, value) = text.split_once('=').unwrap_or((text, ""));
        match kind {
            "calls" => self.calls.push(value.parse()?),
            "late" => self.late.push(CallGrant::parse_late(value)?),
            "http" => self.http.push(value.parse()?),
            "sockets" if !text.contains('=') => self.sockets = true,
            "registry" if !text.contains('=') => self.registry = true,
            "env" => {
                let (name, value) = value.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected env=NAME=VALUE")?;
                self.environment.insert(name.to_owned(), value.to_owned());
            }
            "dir" => {
                let wrong = "expected dir=FOLDER::GUEST with a GUEST that begins with /, such as dir=./data::/data, or /data:rw to write";
                let (folder, guest) = value.split_once("::").ok_or(wrong)?;
                let (guest, write) = guest.strip_suffix(":rw").map_or((guest, false), |guest| (guest, true));
                if folder.is_empty() || !guest.starts_with('/') {
                    return Err(wrong.to_owned());
                }
                self.folders.insert(guest.to_owned(), Folder { path: PathBuf::from(folder), write });
            }
            _ => return Err(format!("expected one of {FORMS}, got {text:?}")),
        }
        Ok(())
    }

    /// Allows what `more` allows, too.
    pub fn extend(&mut self, more: Grants) {
        let Grants { environment, folders, http, sockets, registry, calls, late } = more;
        self.environment.extend(environment);
        self.folders.extend(folders);
        self.http.extend(http);
        self.sockets |= sockets;
        self.registry |= registry;
        self.calls.extend(calls);
        self.late.extend(late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_grant_can_be_added() {
        let mut grants = Grants::default();
        for text in
            ["calls=a.B/C", "late=a.B", "http=127.0.0.1:80", "env=A=b=c", "dir=./data::/data:rw", "dir=/x::/y", "sockets", "registry"]
        {
            let mut more = Grants::default();
            more.add(text).expect(text);
            grants.extend(more);
        }
        assert!(
            grants.calls[0].covers("a.B", "C") && grants.late.len() == 1 && grants.http.len() == 1 && grants.sockets && grants.registry
        );
        assert_eq!(grants.environment["A"], "b=c");
        assert_eq!(grants.folders["/data"], Folder { path: "./data".into(), write: true });
        assert!(!grants.folders["/y"].write);
    }

    #[test]
    fn what_is_no_grant_is_refused() {
        for text in ["", "calls", "calls=", "files=/", "env=A", "env==b", "dir=x", "dir=x::y", "sockets=yes"] {
            assert!(Grants::default().add(text).is_err(), "{text:?}");
        }
    }
}
