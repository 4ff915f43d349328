//! JSON laid out for reading, token by token: numbers keep their digits and fields their order,
//! which a parsed tree would lose.

/// Lays out valid JSON over lines; any control characters in strings are written as escapes.
pub fn pretty(json: &str) -> String {
    laid_out(json, Layout::Lines)
}

/// Writes valid JSON in one line, with the same escapes.
pub fn compact(json: &str) -> String {
    laid_out(json, Layout::Compact)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Lines,
    Compact,
}

fn laid_out(json: &str, layout: Layout) -> String {
    let mut out = String::with_capacity(if layout == Layout::Lines { json.len() * 2 } else { json.len() });
    let line = |out: &mut String, depth: usize| {
        if layout == Layout::Lines {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    let mut depth = 0;
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push('"');
                let mut escaped = false;
                for c in chars.by_ref() {
                    // Valid JSON has escaped the first 32 already; DEL and the C1 set it lets pass.
                    if c.is_control() {
                        out.push_str(&format!("\\u{:04x}", u32::from(c)));
                    } else {
                        out.push(c);
                    }
                    if !escaped && c == '"' {
                        break;
                    }
                    escaped = !escaped && c == '\\';
                }
            }
            '{' | '[' => {
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                out.push(c);
                if let Some(close) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(if layout == Layout::Lines { ": " } else { ":" }),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_digits_are_kept() {
        let json = r#"{"z":1.50,"a":[ ],"list":[1e400,{"k":"a\"{,"}], "o":{}}"#;
        let expected =
            "{\n  \"z\": 1.50,\n  \"a\": [],\n  \"list\": [\n    1e400,\n    {\n      \"k\": \"a\\\"{,\"\n    }\n  ],\n  \"o\": {}\n}";
        assert_eq!(pretty(json), expected);
        assert_eq!(compact(expected), r#"{"z":1.50,"a":[],"list":[1e400,{"k":"a\"{,"}],"o":{}}"#);
    }

    #[test]
    fn control_characters_are_escaped() {
        for written in [pretty("\"a\u{9b}2J\""), compact("\"a\u{9b}2J\"")] {
            assert_eq!(written, "\"a\\u009b2J\"");
        }
    }
}
