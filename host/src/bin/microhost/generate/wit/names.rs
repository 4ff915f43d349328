//! Names from protobuf's spellings to WIT's.

/// The words of WIT, which a name is told from by a `%` before it.
const KEYWORDS: &[&str] = &[
    "as",
    "async",
    "bool",
    "borrow",
    "char",
    "constructor",
    "enum",
    "error-context",
    "export",
    "f32",
    "f64",
    "flags",
    "from",
    "func",
    "future",
    "import",
    "include",
    "interface",
    "list",
    "map",
    "option",
    "own",
    "package",
    "record",
    "resource",
    "result",
    "s16",
    "s32",
    "s64",
    "s8",
    "static",
    "stream",
    "string",
    "tuple",
    "type",
    "u16",
    "u32",
    "u64",
    "u8",
    "use",
    "variant",
    "with",
    "world",
];

/// `unit_price`, `UnitPrice`, `UNIT_PRICE` or `Outer.UnitPrice` → `unit-price`.
pub(super) fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (place, &letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            hyphen(&mut out);
            continue;
        }
        let before = place.checked_sub(1).map(|place| letters[place]);
        let after = letters.get(place + 1);
        // `UnitPrice`, and the last of `HTTPServer`'s capitals, which begins the next word.
        let begins = letter.is_ascii_uppercase()
            && (before.is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit())
                || (before.is_some_and(|before| before.is_ascii_uppercase()) && after.is_some_and(char::is_ascii_lowercase)));
        if begins {
            hyphen(&mut out);
        }
        // A word of WIT begins with a letter: `line_2` is `line2`.
        if letter.is_ascii_digit() && out.ends_with('-') {
            out.pop();
        }
        out.push(letter.to_ascii_lowercase());
    }
    let out = out.trim_matches('-');
    if out.starts_with(|first: char| first.is_ascii_lowercase()) { out.to_owned() } else { format!("x{out}") }
}

fn hyphen(out: &mut String) {
    if !out.is_empty() && !out.ends_with('-') {
        out.push('-');
    }
}

/// A name as WIT's text writes it.
pub(super) fn written(kebab: &str) -> String {
    if KEYWORDS.binary_search(&kebab).is_ok() { format!("%{kebab}") } else { kebab.to_owned() }
}

/// The cases of an enum without the enum's own name before them, which protobuf's style asks for.
pub(super) fn case(cases: &str, value: &str) -> String {
    let (prefix, value) = (kebab(cases), kebab(value));
    match value.strip_prefix(&prefix).and_then(|rest| rest.strip_prefix('-')) {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase()) => rest.to_owned(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_kebab_case() {
        for (name, expected) in [
            ("unit_price", "unit-price"),
            ("UnitPrice", "unit-price"),
            ("UNIT_PRICE", "unit-price"),
            ("HTTPServer2", "http-server2"),
            ("Outer.InnerOne", "outer-inner-one"),
            ("line_2", "line2"),
            ("_x__y_", "x-y"),
            ("_1", "x1"),
        ] {
            assert_eq!(kebab(name), expected, "{name}");
        }
    }

    #[test]
    fn an_enums_own_name_is_not_said_again() {
        assert_eq!(case("State", "STATE_CHARGED"), "charged");
        assert_eq!(case("State", "OTHER"), "other");
        assert_eq!(case("State", "STATE_2X"), "state2-x");
    }

    #[test]
    fn words_of_wit_are_marked() {
        assert!(KEYWORDS.is_sorted());
        assert_eq!((written("list"), written("lists")), ("%list".to_owned(), "lists".to_owned()));
    }
}
