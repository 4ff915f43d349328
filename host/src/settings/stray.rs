//! What the user most likely meant by a key that is not there: the nearest one of its table, or one of
//! another table.

use super::nearest;

/// Tables with their keys.
type Tables = [(&'static str, &'static [&'static str])];

/// The tables of the file.
const TABLES: &Tables = &[
    ("the top of the file", &["listen", "admin", "cluster", "strict", "grace", "build", "calls", "service"]),
    ("[listen]", &["address", "tls", "admin-token", "connections", "streams", "header-bytes", "headers"]),
    ("[admin]", &["name", "socket", "enabled"]),
    ("[cluster]", &["registry", "peers", "advertise", "interfaces", "name", "zone", "labels", "lease"]),
    ("[build]", &["command", "component"]),
    ("[calls.balance.outliers]", &["most", "calls", "worse-by", "pause", "longest-pause"]),
    ("[calls.balance.breaker]", &["failures", "share", "calls", "pause", "longest-pause", "probes"]),
    ("[calls.balance]", &["policy", "hash-by", "prefer-zone", "version", "labels", "subset", "breaker", "outliers"]),
    ("[service.NAME]", &["component", "version", "isolation", "safe", "handles", "http", "weight", "labels", "health", "limits", "grants"]),
    ("[service.NAME.health]", &["interval", "timeout", "failure-threshold", "success-threshold"]),
    (
        "[service.NAME.limits]",
        &[
            "component",
            "compile",
            "memory",
            "total-memory",
            "table-elements",
            "handles",
            "instances",
            "concurrency",
            "queue",
            "calls",
            "outgoing-calls",
            "connections",
            "timeout",
            "streams",
            "stream-timeout",
            "stream-buffer",
            "cpu",
            "cpu-share",
            "start",
            "request",
            "reply",
            "host-call",
            "host-memory",
            "disk",
            "files",
            "log-lines",
            "log-bytes",
            "log-line",
            "calls-per-instance",
            "instance-age",
            "idle",
        ],
    ),
    ("[service.NAME.grants]", &["environment", "folders", "http", "sockets", "registry", "calls", "late"]),
    ("[calls.\"SERVICE/METHOD\"]", &["tries", "try-timeout", "hedge-after", "idempotent", "backoff", "max-backoff", "balance"]),
    (
        "[calls]",
        &[
            "tries",
            "try-timeout",
            "hedge-after",
            "idempotent",
            "backoff",
            "max-backoff",
            "retry-share",
            "retries-per-second",
            "local-first",
            "balance",
        ],
    ),
];

/// Whole numbers, as serde names them and as people do: what is the most.
const WHOLE: [(&str, u64); 4] = [("u16", u16::MAX as u64), ("u32", u32::MAX as u64), ("u64", i64::MAX as u64), ("usize", i64::MAX as u64)];

/// TOML's message with line and column, and what may have been meant.
///
/// serde tells of an unknown key, and of the ones that it knows, in no other way than by the text of
/// its message; where that text changes, the hint is lost and a test fails.
pub(super) fn hinted(error: &toml::de::Error) -> String {
    with_hint(error, TABLES)
}

/// The same of a file that has nothing of the settings: what may have been meant is of the same table.
pub(super) fn hinted_alone(error: &toml::de::Error) -> String {
    with_hint(error, &[])
}

fn with_hint(error: &toml::de::Error, tables: &Tables) -> String {
    let message = error.message();
    let hint = hint(message, tables);
    let mut text = error.to_string();
    text.truncate(text.trim_end().len());
    if let Some((type_name, most)) = WHOLE.iter().find(|(type_name, _)| text.ends_with(&format!(", expected {type_name}"))) {
        text.truncate(text.len() - type_name.len());
        text += &format!("a whole number from 0 to {most}");
    }
    text + &hint.map_or(String::new(), |hint| format!("\n{hint}"))
}

fn hint(message: &str, tables: &Tables) -> Option<String> {
    if message.contains("expected a sequence") {
        return Some("write a list, in brackets: [\"…\"]".to_owned());
    }
    let is_key = message.contains("unknown field");
    if !is_key && !message.contains("unknown variant") {
        return None;
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (name, known) = quoted.split_first()?;
    let elsewhere = || tables.iter().rev().filter(|_| is_key);
    if let Some((table, _)) = elsewhere().find(|(_, keys)| keys.contains(name)) {
        return Some(format!("`{name}` belongs under {table}"));
    }
    if let Some(near) = nearest(name, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    elsewhere()
        .find_map(|(table, keys)| Some((table, nearest(name, keys.iter().copied())?)))
        .map(|(table, near)| format!("did you mean `{near}` under {table}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn error(text: &str) -> toml::de::Error {
        toml::from_str::<Settings>(text).expect_err(text)
    }

    #[test]
    fn an_unknown_key_is_answered_with_line_and_nearest_name() {
        let told = hinted(&error("[service.a]\nlimits = { memroy = 3 } # `x`\n"));
        assert!(told.contains("line 2") && told.ends_with("did you mean `memory`?"), "{told}");
        let told = hinted(&error("[listen]\ninstances = 3\n"));
        assert!(told.ends_with("`instances` belongs under [service.NAME.limits]"), "{told}");
        let told = hinted(&error("[listen]\nzzz = 3\n"));
        assert!(told.contains("expected one of") && !told.contains("did you mean"), "{told}");
    }

    #[test]
    fn a_number_that_does_not_fit_is_answered_in_words() {
        for said in ["\"all\"", "-3", "5000000000"] {
            let told = hinted(&error(&format!("[calls.balance]\nsubset = {said}\n")));
            assert!(told.contains("line 2, column") && told.ends_with("expected a whole number from 0 to 4294967295"), "{told}");
        }
    }

    #[test]
    fn the_tables_have_the_keys_that_are_read() {
        for (table, keys) in TABLES {
            let header = if table.starts_with('[') { *table } else { "" };
            let said = error(&format!("{header}\nzzz = 0\n"));
            let mut known: Vec<&str> = said.message().split('`').skip(1).step_by(2).skip(1).collect();
            let mut listed = keys.to_vec();
            known.sort_unstable();
            listed.sort_unstable();
            assert_eq!(listed, known, "{table}");
        }
    }
}
