//! What a component's imports ask of the host: which of them have to be granted, and by what words.

use microhost::schema::{Import, Origin, Schema};
use serde::Serialize;

/// What an import needs before the component can use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the host has it for everyone.
    Nothing,
    /// A grant; without it, its functions refuse.
    Grant {
        /// What the service could do with it.
        what: &'static str,
        /// How to grant it.
        how: Grant,
    },
    /// Another service that exports it.
    Service,
    /// Somebody who provides it, and this host does not.
    Nobody,
}

/// The words that grant something, in the settings and on the command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Grant {
    /// What stands under `[service.NAME.grants]`: `sockets = true`.
    pub setting: String,
    /// What `microhost run` takes: `--allow-sockets`.
    pub flag: String,
}

/// What reaches out of the sandbox, by the beginning of the interface's name.
const GRANTS: &[(&str, &str, &str, &str)] = &[
    ("wasi:cli/environment", "environment variables", "environment = { K = \"V\" }", "--env K=V"),
    ("wasi:filesystem/", "files", "folders = { \"/GUEST\" = { path = \"HOST\", write = false } }", "--dir HOST::/GUEST[:rw]"),
    ("wasi:http/outgoing-handler", "outgoing HTTP", "http = [\"HOST\"]", "--allow-http HOST"),
    ("wasi:http/client", "outgoing HTTP", "http = [\"HOST\"]", "--allow-http HOST"),
    ("wasi:http/handler", "outgoing HTTP", "http = [\"HOST\"]", "--allow-http HOST"),
    ("wasi:sockets/", "sockets", "sockets = true", "--allow-sockets"),
    ("microhost:service/registry", "which services there are", "registry = true", "--allow-registry"),
    ("microhost:service/rpc", "calls by name", "calls = [\"SERVICE\"]", "--allow-call SERVICE[/METHOD]"),
];

/// WASI's packages that the host has.
const PACKAGES: &[&str] = &["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];

/// What an import of a component needs.
pub fn need(import: &Import, schema: &Schema) -> Need {
    match import.origin {
        Origin::Host => granted(&import.name),
        Origin::Wasi if has_wasi(&import.name) => granted(&import.name),
        Origin::Wasi => Need::Nobody,
        // Types alone are no more than names.
        Origin::Service | Origin::World if import.functions.is_empty() => Need::Nothing,
        Origin::Service if schema.needs.iter().any(|need| need.interface == import.name) => Need::Service,
        Origin::Service | Origin::World => Need::Nobody,
    }
}

/// What lets a component call a service that it imports.
pub fn calls(service: &str) -> Grant {
    Grant { setting: format!("calls = [\"{service}\"]"), flag: format!("--allow-call {service}") }
}

/// What lets a component start before a service that it imports.
pub fn late(service: &str) -> Grant {
    Grant { setting: format!("late = [\"{service}\"]"), flag: format!("--late {service}") }
}

fn has_wasi(name: &str) -> bool {
    let package = name.strip_prefix("wasi:").and_then(|rest| rest.split('/').next());
    package.is_some_and(|package| PACKAGES.contains(&package))
}

fn granted(name: &str) -> Need {
    match GRANTS.iter().find(|(beginning, ..)| name.starts_with(beginning)) {
        Some((_, what, setting, flag)) => Need::Grant { what, how: Grant { setting: (*setting).into(), flag: (*flag).into() } },
        None => Need::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use microhost::settings::Settings;

    use super::*;

    #[test]
    fn what_reaches_out_of_the_sandbox_needs_a_grant() {
        for (name, with) in [
            ("wasi:filesystem/preopens@0.2.6", "--dir HOST::/GUEST[:rw]"),
            ("wasi:cli/environment@0.3.0", "--env K=V"),
            ("wasi:http/outgoing-handler@0.2.6", "--allow-http HOST"),
            ("wasi:sockets/tcp@0.2.6", "--allow-sockets"),
            ("microhost:service/rpc@0.1.0", "--allow-call SERVICE[/METHOD]"),
        ] {
            assert!(matches!(granted(name), Need::Grant { how, .. } if how.flag == with), "{name}");
        }
        assert_eq!(granted("wasi:clocks/monotonic-clock@0.2.6"), Need::Nothing);
        assert!(has_wasi("wasi:clocks/monotonic-clock@0.2.6") && !has_wasi("wasi:keyvalue/store@0.2.0-draft"));
    }

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        grants: crate::run::GrantFlags,
    }

    #[test]
    fn the_words_that_are_told_grant_it_as_they_stand() {
        let of_table = GRANTS.iter().map(|(.., setting, flag)| Grant { setting: (*setting).into(), flag: (*flag).into() });
        for grant in of_table.chain([calls("shop.stock.Stock"), late("shop.stock.Stock")]) {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("microhost.toml");
            std::fs::write(&file, format!("[service.a.grants]\n{}\n", grant.setting)).expect("a file");
            let in_file = Settings::read(&file).unwrap_or_else(|error| panic!("{}: {error}", grant.setting));
            let optional = grant.flag.replace("[:rw]", "").replace("[/METHOD]", "");
            let flags = Flags::try_parse_from(["run"].into_iter().chain(optional.split(' '))).expect(&optional);
            let mut on_line = microhost::settings::Grants::default();
            flags.grants.add_to(&mut on_line);
            assert_eq!(in_file.service["a"].grants, on_line, "{}", grant.setting);
        }
    }
}
