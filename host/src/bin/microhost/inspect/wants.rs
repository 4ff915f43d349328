//! What a component's imports ask of the host, and which of them have to be granted.

use microhost::schema::{Import, Origin};

/// What an import needs before the component can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the host has it for everyone.
    Nothing,
    /// A grant; without it, its functions refuse.
    Grant {
        /// What the service could do with it.
        what: &'static str,
        /// How to grant it.
        how: &'static str,
    },
    /// Somebody who provides it, and this host does not.
    Nobody,
}

/// WASI's interfaces that reach out of the sandbox, by the beginning of their names.
const GRANTS: &[(&str, &str, &str)] = &[
    ("wasi:cli/environment", "environment variables", "--env K=V"),
    ("wasi:filesystem/", "files", "--dir HOST::GUEST[:rw]"),
    ("wasi:http/outgoing-handler", "outgoing HTTP", "--allow-http HOST"),
    ("wasi:http/client", "outgoing HTTP", "--allow-http HOST"),
    ("wasi:http/handler", "outgoing HTTP", "--allow-http HOST"),
    ("wasi:sockets/", "sockets", "sockets = true in the settings, under [service.NAME.grants]"),
];

/// WASI's packages that the host has.
const PACKAGES: &[&str] = &["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];

/// What an import needs.
pub fn need(import: &Import) -> Need {
    match import.origin {
        Origin::Host => Need::Nothing,
        Origin::Wasi => wasi(&import.name),
        // Types alone are no more than names.
        Origin::Service | Origin::World if import.functions.is_empty() => Need::Nothing,
        Origin::Service | Origin::World => Need::Nobody,
    }
}

fn wasi(name: &str) -> Need {
    let package = name.strip_prefix("wasi:").and_then(|rest| rest.split('/').next());
    if !package.is_some_and(|package| PACKAGES.contains(&package)) {
        return Need::Nobody;
    }
    match GRANTS.iter().find(|(beginning, ..)| name.starts_with(beginning)) {
        Some((_, what, how)) => Need::Grant { what, how },
        None => Need::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(name: &str, origin: Origin, functions: &[&str]) -> Import {
        Import { name: name.into(), origin, functions: functions.iter().map(|function| (*function).into()).collect() }
    }

    #[test]
    fn what_reaches_out_of_the_sandbox_needs_a_grant() {
        for (name, how) in [
            ("wasi:filesystem/preopens@0.2.6", "--dir HOST::GUEST[:rw]"),
            ("wasi:cli/environment@0.3.0", "--env K=V"),
            ("wasi:http/outgoing-handler@0.2.6", "--allow-http HOST"),
        ] {
            assert!(matches!(need(&import(name, Origin::Wasi, &["f"])), Need::Grant { how: found, .. } if found == how), "{name}");
        }
        assert_eq!(need(&import("wasi:clocks/monotonic-clock@0.2.6", Origin::Wasi, &["now"])), Need::Nothing);
    }

    #[test]
    fn what_nobody_here_provides_is_told() {
        assert_eq!(need(&import("acme:missing/thing", Origin::Service, &["f"])), Need::Nobody);
        assert_eq!(need(&import("wasi:keyvalue/store@0.2.0-draft", Origin::Wasi, &["open"])), Need::Nobody);
        assert_eq!(need(&import("acme:shared/types", Origin::Service, &[])), Need::Nothing);
    }
}
