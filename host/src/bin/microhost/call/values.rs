//! JSON values one after the other in what is still being written: each is told as soon as its last
//! byte is there, so that a message is sent when it is typed and not when the input ends.

use serde::de::IgnoredAny;

/// What is read of the input, up to the value that is not complete yet.
pub struct Values {
    buffer: Vec<u8>,
    /// Where the value under way begins in the buffer.
    begin: usize,
    /// How far the buffer has been looked at.
    seen: usize,
    /// Where in the input the buffer's `begin` stands.
    place: Place,
    /// The most bytes of one value.
    limit: usize,
    under_way: UnderWay,
}

/// A place in the input; both count from one, columns in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// A value and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub json: String,
    pub place: Place,
}

/// Why the input is no sequence of JSON values, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub place: Place,
    pub why: String,
}

/// What is known of the value under way.
enum UnderWay {
    /// It has not begun.
    Nothing,
    /// An object, a list or a string: the brackets that are to close it, and whether a string is open.
    Nested { close: Vec<u8>, string: Option<Escape> },
    /// A number or a word, which ends before what cannot be part of it.
    Word,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    No,
    Next,
}

impl Values {
    /// Reads values of at most `limit` bytes each.
    pub fn new(limit: usize) -> Values {
        Values { buffer: Vec::new(), begin: 0, seen: 0, place: Place { line: 1, column: 1 }, limit, under_way: UnderWay::Nothing }
    }

    /// Takes what was read next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.begin);
        self.seen -= self.begin;
        self.begin = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete value; `None` where more has to be read for it.
    pub fn next(&mut self) -> Result<Option<Found>, Wrong> {
        while let Some(&byte) = self.buffer.get(self.seen) {
            let complete = match &mut self.under_way {
                UnderWay::Nothing => {
                    self.start(byte)?;
                    false
                }
                UnderWay::Word if is_of_word(byte) => false,
                // The byte after a word is looked at again as the next value's.
                UnderWay::Word => return self.take(self.seen).map(Some),
                UnderWay::Nested { close, string: Some(escape) } => {
                    let ends = *escape == Escape::No && byte == b'"';
                    *escape = if *escape == Escape::No && byte == b'\\' { Escape::Next } else { Escape::No };
                    if ends {
                        self.under_way = UnderWay::Nested { close: std::mem::take(close), string: None };
                    }
                    ends && self.is_closed()
                }
                UnderWay::Nested { close, string } => {
                    match byte {
                        b'"' => *string = Some(Escape::No),
                        b'{' => close.push(b'}'),
                        b'[' => close.push(b']'),
                        b'}' | b']' if close.last() != Some(&byte) => {
                            let expected = close.last().map_or(' ', |byte| char::from(*byte));
                            return Err(self.wrong(self.seen, format!("found {:?} where {expected:?} would fit", char::from(byte))));
                        }
                        b'}' | b']' => {
                            close.pop();
                        }
                        _ => {}
                    }
                    self.is_closed()
                }
            };
            self.seen += 1;
            if complete {
                return self.take(self.seen).map(Some);
            }
            if self.seen - self.begin > self.limit {
                return Err(self.too_long());
            }
        }
        Ok(None)
    }

    /// The last value, once the input has ended.
    pub fn end(&mut self) -> Result<Option<Found>, Wrong> {
        match self.under_way {
            UnderWay::Nothing => Ok(None),
            UnderWay::Word => self.take(self.buffer.len()).map(Some),
            UnderWay::Nested { .. } => Err(Wrong { place: self.place, why: "the message that begins here has no end".to_owned() }),
        }
    }

    /// Begins a value, or passes over the space before it.
    fn start(&mut self, byte: u8) -> Result<(), Wrong> {
        self.under_way = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                self.begin = self.seen + 1;
                self.place = if byte == b'\n' {
                    Place { line: self.place.line + 1, column: 1 }
                } else {
                    Place { column: self.place.column + 1, ..self.place }
                };
                UnderWay::Nothing
            }
            b'{' => UnderWay::Nested { close: vec![b'}'], string: None },
            b'[' => UnderWay::Nested { close: vec![b']'], string: None },
            b'"' => UnderWay::Nested { close: Vec::new(), string: Some(Escape::No) },
            byte if is_of_word(byte) => UnderWay::Word,
            byte => {
                let shown = if byte.is_ascii() { format!("{:?}", char::from(byte)) } else { format!("byte {byte:#04x}") };
                return Err(self.wrong(self.seen, format!("found {shown} where a message would begin")));
            }
        };
        Ok(())
    }

    fn is_closed(&self) -> bool {
        matches!(&self.under_way, UnderWay::Nested { close, string: None } if close.is_empty())
    }

    /// Takes the value that ends before `end`.
    fn take(&mut self, end: usize) -> Result<Found, Wrong> {
        if end - self.begin > self.limit {
            return Err(self.too_long());
        }
        let bytes = &self.buffer[self.begin..end];
        let json = match std::str::from_utf8(bytes) {
            Ok(json) => json.to_owned(),
            Err(error) => return Err(self.wrong(self.begin + error.valid_up_to(), "this is no UTF-8".to_owned())),
        };
        if let Err(error) = serde_json::from_str::<IgnoredAny>(&json) {
            return Err(Wrong { place: self.place.within(error.line(), error.column()), why: reason(&error) });
        }
        let found = Found { json, place: self.place };
        self.place = self.place_of(end);
        self.begin = end;
        self.seen = end;
        self.under_way = UnderWay::Nothing;
        Ok(found)
    }

    fn too_long(&self) -> Wrong {
        Wrong { place: self.place, why: format!("the message that begins here is over {} bytes", self.limit) }
    }

    fn wrong(&self, at: usize, why: String) -> Wrong {
        Wrong { place: self.place_of(at), why }
    }

    /// Where in the input a byte of the value under way stands.
    fn place_of(&self, at: usize) -> Place {
        let before = &self.buffer[self.begin..at];
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        self.place.within(lines + 1, column)
    }
}

impl Place {
    /// A place told from here on, as a place in the whole.
    pub fn within(self, line: usize, column: usize) -> Place {
        // serde_json tells of column 0 where nothing of a line was read.
        let column = column.max(1);
        if line <= 1 { Place { line: self.line, column: self.column + column - 1 } } else { Place { line: self.line + line - 1, column } }
    }
}

/// An error of serde_json without the place, which counts from the value's begin there.
pub fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or_else(|| text.clone(), str::to_owned)
}

/// Whether a byte can be part of a number, `true`, `false` or `null`, or of what is meant as one.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value, or what is wrong, with line and column.
    type Told = (String, usize, usize);

    /// All that is found, and what is wrong after it, where the input comes in pieces of `size` bytes.
    fn read(input: &[u8], size: usize) -> (Vec<Told>, Option<Told>) {
        let mut values = Values::new(64);
        let mut found = Vec::new();
        let told = |wrong: Wrong| Some((wrong.why, wrong.place.line, wrong.place.column));
        for piece in input.chunks(size) {
            values.push(piece);
            loop {
                match values.next() {
                    Ok(Some(one)) => found.push((one.json, one.place.line, one.place.column)),
                    Ok(None) => break,
                    Err(wrong) => return (found, told(wrong)),
                }
            }
        }
        match values.end() {
            Ok(last) => found.extend(last.map(|one| (one.json, one.place.line, one.place.column))),
            Err(wrong) => return (found, told(wrong)),
        }
        (found, None)
    }

    #[test]
    fn values_are_found_however_the_input_is_cut() {
        let input = b" {\"a\":\"}\\\"\"}{}\n[1,\n2] 1.5e3\n\"x\\\\\" true\r\nnull";
        let expected = [
            (r#"{"a":"}\""}"#, 1, 2),
            ("{}", 1, 13),
            ("[1,\n2]", 2, 1),
            ("1.5e3", 3, 4),
            (r#""x\\""#, 4, 1),
            ("true", 4, 7),
            ("null", 5, 1),
        ];
        for size in 1..=input.len() {
            let (found, wrong) = read(input, size);
            assert_eq!(wrong, None);
            assert_eq!(found.iter().map(|(json, line, column)| (json.as_str(), *line, *column)).collect::<Vec<_>>(), expected, "{size}");
        }
    }

    #[test]
    fn a_value_is_told_with_its_last_byte() {
        let mut values = Values::new(64);
        values.push(b"{\"a\":1");
        assert_eq!(values.next(), Ok(None));
        values.push(b"}");
        assert_eq!(values.next().map(|found| found.map(|found| found.json)), Ok(Some("{\"a\":1}".to_owned())));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for (input, line, column, why) in [
            (&b"{}\n{\"a\": oops}"[..], 2, 7, "expected value"),
            (b"{}\n\n  name=Ada\n", 3, 4, "expected ident"),
            (b"{},{}", 1, 3, "where a message would begin"),
            (b"{\"a\":\n[}", 2, 2, "would fit"),
            (b"{}\n {\"a\"", 2, 2, "has no end"),
            (b"{} \"\xff\"", 1, 5, "no UTF-8"),
            (b"\xef\xbb\xbf{}", 1, 1, "byte 0xef"),
        ] {
            for size in [1, 4, 100] {
                let (_, wrong) = read(input, size);
                let wrong = wrong.unwrap_or_else(|| panic!("{input:?} is wrong"));
                assert_eq!((wrong.1, wrong.2), (line, column), "{input:?}: {wrong:?}");
                assert!(wrong.0.contains(why), "{wrong:?}");
            }
        }
    }

    #[test]
    fn a_value_over_the_limit_is_refused_before_all_of_it_is_read() {
        let (found, wrong) = read(&[b"{}\n[", &[b'1'; 100][..]].concat(), 8);
        assert_eq!(found.len(), 1);
        let wrong = wrong.expect("too long");
        assert_eq!((wrong.1, wrong.2), (2, 1), "{wrong:?}");
        assert!(wrong.0.contains("over 64 bytes"), "{wrong:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_in_values_or_an_error(input: Vec<u8>, size in 1usize..9) {
            read(&input, size);
        }
    }
}
