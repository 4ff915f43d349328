//! Numbers as JSON writes them, read exactly: `1e3` and `1.0` are integers too.

/// More digits than any integer of 64 bits has.
const MAX_DIGITS: usize = 20;

/// The length of the number at the start of `text`, by JSON's grammar.
pub(super) fn length(text: &[u8]) -> Option<usize> {
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

/// Whether the whole text is one number.
pub(super) fn is_number(text: &str) -> bool {
    length(text.as_bytes()) == Some(text.len())
}

/// The integer that the number is, if it is one: its sign and its magnitude.
pub(super) fn integer(number: &str) -> Option<(bool, u64)> {
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

/// The integer as a signed number.
pub(super) fn signed(number: &str) -> Option<i64> {
    match integer(number)? {
        (false, magnitude) => i64::try_from(magnitude).ok(),
        (true, magnitude) => 0i64.checked_sub_unsigned(magnitude),
    }
}

/// The integer as a number that is not negative.
pub(super) fn unsigned(number: &str) -> Option<u64> {
    match integer(number)? {
        (true, 1..) => None,
        (_, magnitude) => Some(magnitude),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_of_json_are_numbers() {
        for number in ["0", "-0", "10", "1.5", "1e3", "1E+3", "-2.50e-10"] {
            assert!(is_number(number), "{number}");
        }
        for text in ["", "-", "01", "1.", ".5", "+1", "1e", "0x1", "1 ", "NaN"] {
            assert!(!is_number(text), "{text}");
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
        assert_eq!(signed("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed("9223372036854775808"), None);
        assert_eq!(unsigned("-0"), Some(0));
        assert_eq!(unsigned("-1"), None);
    }
}
