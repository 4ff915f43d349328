//! JSON laid out for reading, token by token: numbers keep their digits and fields their order,
//! which a parsed tree would lose.

/// Lays out valid JSON over lines; any control characters in strings are written as escapes.
pub fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
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
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
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
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(pretty("\"a\u{9b}2J\""), "\"a\\u009b2J\"");
    }
}
