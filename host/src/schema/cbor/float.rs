//! Floats of 16 bits, which CBOR has for numbers that fit into them.
//!
//! Source: IEEE 754, binary16.

/// The bits of a fraction that a float of 32 bits has more than one of 16.
const MORE: u32 = 23 - 10;

/// The number as a float of 32 bits, which holds it exactly.
pub(super) fn from_half(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10 & 0x1f);
    let fraction = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // Multiples of 2⁻²⁴.
        0 => (fraction as f32 / (1 << 24) as f32).to_bits(),
        // Infinity, and what is no number.
        0x1f => 0xff << 23 | fraction << MORE,
        exponent => (exponent + 127 - 15) << 23 | fraction << MORE,
    };
    f32::from_bits(sign | magnitude)
}

/// The number in 16 bits, if they hold it exactly. All that is no number is one.
pub(super) fn to_half(number: f32) -> Option<u16> {
    if number.is_nan() {
        return Some(0x7e00);
    }
    let bits = number.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = f32::from_bits(bits & 0x7fff_ffff);
    let half = match magnitude {
        f32::INFINITY => 0x7c00,
        // The smallest of them with all bits of its fraction.
        magnitude if magnitude < f32::from_bits((127 - 14) << 23) => (magnitude * (1 << 24) as f32) as u16,
        magnitude if magnitude < 65536.0 => ((magnitude.to_bits() >> MORE) - ((127 - 15) << 10)) as u16,
        _ => return None,
    };
    (from_half(half).to_bits() == magnitude.to_bits()).then_some(sign | half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_comes_back_as_it_went() {
        for half in 0..=u16::MAX {
            let number = from_half(half);
            match number.is_nan() {
                true => assert_eq!(to_half(number), Some(0x7e00), "{half:#06x}"),
                false => assert_eq!(to_half(number), Some(half), "{half:#06x}"),
            }
        }
    }

    #[test]
    fn halves_are_the_numbers_of_the_standards_examples() {
        // RFC 8949, appendix A.
        let rows = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0x3e00, 1.5),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0xc400, -4.0),
            (0x7c00, f32::INFINITY),
        ];
        for (half, number) in rows {
            assert_eq!((from_half(half), to_half(number)), (number, Some(half)));
        }
    }

    #[test]
    fn what_needs_more_bits_is_no_half() {
        for number in [0.1, 65536.0, 65505.0, 1.0e-8, 3.0e-8, f32::MAX, f32::MIN_POSITIVE, 5.960_465e-8, 6.0e-5] {
            assert_eq!(to_half(number), None, "{number}");
            assert_eq!(to_half(-number), None, "{number}");
        }
    }
}
