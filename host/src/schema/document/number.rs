//! Numbers, read exactly: `1e3` and `1.0` are integers too.

use std::fmt;

/// More digits than any integer of 64 bits has.
const MAX_DIGITS: usize = 20;

/// An error message shows no more of a number than this.
const MAX_SHOWN: usize = 40;

/// A number of a document, before its type is known.
pub(in crate::schema) trait Numeral: fmt::Display {
    /// The number, if it is an integer from 0 to 2⁶⁴ − 1.
    fn unsigned(&self) -> Option<u64>;

    /// The number, if it is an integer from −2⁶³ to 2⁶³ − 1.
    fn signed(&self) -> Option<i64>;

    /// The number that is nearest, unless it is out of the type's range.
    fn f32(&self) -> Option<f32>;

    /// The number that is nearest, unless it is out of the type's range.
    fn f64(&self) -> Option<f64>;
}

/// A number of a binary format.
#[derive(Clone, Copy, Debug)]
pub(in crate::schema) enum Number {
    /// Of 65 bits at most.
    Integer(i128),
    Float(f64),
}

impl Number {
    fn integer(self) -> Option<i128> {
        match self {
            Number::Integer(number) => Some(number),
            // Clients whose language has no integers send `1.0`. What is out of range stays so.
            Number::Float(number) => (number.fract() == 0.0).then_some(number as i128),
        }
    }
}

impl Numeral for Number {
    fn unsigned(&self) -> Option<u64> {
        u64::try_from(self.integer()?).ok()
    }

    fn signed(&self) -> Option<i64> {
        i64::try_from(self.integer()?).ok()
    }

    fn f32(&self) -> Option<f32> {
        match *self {
            Number::Integer(number) => Some(number as f32),
            Number::Float(number) => Some(number as f32).filter(|rounded| rounded.is_finite() || !number.is_finite()),
        }
    }

    fn f64(&self) -> Option<f64> {
        match *self {
            Number::Integer(number) => Some(number as f64),
            Number::Float(number) => Some(number),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Integer(number) => number.fmt(f),
            // With an exponent where it would be long.
            Number::Float(number) => fmt::Debug::fmt(number, f),
        }
    }
}

/// A number in decimal, by JSON's grammar.
#[derive(Clone, Copy, Debug)]
pub(in crate::schema) struct Decimal<'b>(pub(in crate::schema) &'b str);

impl Decimal<'_> {
    /// The number that the whole text is.
    pub(in crate::schema) fn of(text: &str) -> Option<Decimal<'_>> {
        (decimal_length(text.as_bytes()) == Some(text.len())).then_some(Decimal(text))
    }
}

impl Numeral for Decimal<'_> {
    fn unsigned(&self) -> Option<u64> {
        match integer(self.0)? {
            (true, 1..) => None,
            (_, magnitude) => Some(magnitude),
        }
    }

    fn signed(&self) -> Option<i64> {
        match integer(self.0)? {
            (false, magnitude) => i64::try_from(magnitude).ok(),
            (true, magnitude) => 0i64.checked_sub_unsigned(magnitude),
        }
    }

    fn f32(&self) -> Option<f32> {
        self.0.parse().ok().filter(|number: &f32| number.is_finite())
    }

    fn f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..MAX_SHOWN) {
            Some(start) if start.len() < self.0.len() => write!(f, "{start}…"),
            _ => f.write_str(self.0),
        }
    }
}

/// The length of the number at the start of `text`, by JSON's grammar.
pub(in crate::schema) fn decimal_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && text[at] == b'0') {
        return None;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// The integer that the number is, if it is one: its sign and its magnitude.
fn integer(number: &str) -> Option<(bool, u64)> {
    let (negative, rest) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    if let Ok(magnitude) = rest.parse() {
        return Some((negative, magnitude));
    }
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some((negative, 0));
    }
    // Zeros behind the last digit that counts, before the point is put in its place.
    let trailing = (digits.len() - digits.trim_end_matches('0').len()) as i64;
    let zeros = exponent.parse::<i64>().ok()?.checked_sub(fraction.len() as i64)?.checked_add(trailing)?;
    let zeros = usize::try_from(zeros).ok()?;
    if significant.len().checked_add(zeros)? > MAX_DIGITS {
        return None;
    }
    let mut magnitude: u64 = significant.parse().ok()?;
    for _ in 0..zeros {
        magnitude = magnitude.checked_mul(10)?;
    }
    Some((negative, magnitude))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_of_json_are_numbers() {
        for number in ["0", "-0", "10", "1.5", "1e3", "1E+3", "-2.50e-10"] {
            assert!(Decimal::of(number).is_some(), "{number}");
        }
        for text in ["", "-", "01", "1.", ".5", "+1", "1e", "0x1", "1 ", "NaN"] {
            assert!(Decimal::of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn integers_are_read_exactly_in_every_form() {
        assert_eq!(integer("18446744073709551615"), Some((false, u64::MAX)));
        assert_eq!(integer("1.8446744073709551615e19"), Some((false, u64::MAX)));
        assert_eq!(integer("18446744073709551616"), None);
        assert_eq!(integer("1.0"), Some((false, 1)));
        assert_eq!(integer("1200e-2"), Some((false, 12)));
        assert_eq!(integer("0.05e2"), Some((false, 5)));
        assert_eq!(integer("1.5"), None);
        assert_eq!(integer("1e-1"), None);
        assert_eq!(integer("1e99999999999999999999"), None);
        assert_eq!(integer("0e99"), Some((false, 0)));
        assert_eq!(Decimal("-9223372036854775808").signed(), Some(i64::MIN));
        assert_eq!(Decimal("9223372036854775808").signed(), None);
        assert_eq!(Decimal("-0").unsigned(), Some(0));
        assert_eq!(Decimal("-1").unsigned(), None);
    }

    #[test]
    fn floats_are_the_integers_that_they_equal() {
        assert_eq!(Number::Float(-2.0).signed(), Some(-2));
        assert_eq!(Number::Float(18446744073709549568.0).unsigned(), Some(18446744073709549568));
        for float in [1.5, f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(Number::Float(float).unsigned(), None, "{float}");
        }
    }

    #[test]
    fn a_float_that_would_become_infinite_is_out_of_range() {
        assert_eq!(Number::Float(1e60).f32(), None);
        assert_eq!(Number::Float(f64::INFINITY).f32(), Some(f32::INFINITY));
        assert_eq!(Number::Float(0.1).f32(), Some(0.1));
        assert!(Number::Float(f64::NAN).f32().is_some_and(f32::is_nan));
    }
}
