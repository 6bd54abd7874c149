//! Conversion between numbers and text.
//!
//! GitHub has only doubles. Parsing follows JavaScript's `Number()`; formatting follows .NET's `G15`: at most 15
//! significant digits, and an exponent of at least two digits for magnitudes from 1e15 on and below 1e-4.

/// Parses a number. Whitespace around it is ignored; empty text is 0; text that is not a number is NaN.
///
/// Numbers with the prefix `0x` or `0o` accept no sign and have at most 32 bits; longer ones are NaN. They are two's
/// complement (`0xFFFFFFFF` is -1), because GitHub parses them as `Int32`.
pub(super) fn parse(text: &str) -> f64 {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x") {
        return integer(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return integer(digits, 8);
    }
    match text {
        "" => 0.0,
        "Infinity" | "+Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust would also parse `inf` and `nan`, so other letters are excluded here.
        _ if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E')) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

fn integer(digits: &str, radix: u32) -> f64 {
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return f64::NAN;
    }
    u32::from_str_radix(digits, radix).map_or(f64::NAN, |bits| f64::from(bits.cast_signed()))
}

/// Formats a number.
pub(super) fn format(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned(); // also for -0
    }
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{number:.14e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the `e` format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent of a double is a small integer");
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    match exponent {
        -4..=-1 => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        0..=14 => {
            let whole = exponent as usize + 1;
            if digits.len() <= whole {
                format!("{sign}{digits:0<whole$}")
            } else {
                format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
            }
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let exponent_sign = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{first}{point}{rest}E{exponent_sign}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_parsed_like_javascripts_number() {
        for (text, number) in [
            ("", 0.0),
            (" \t\n ", 0.0),
            ("1", 1.0),
            (" -1.5 ", -1.5),
            ("+1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E+1", 10.0),
            ("2e-2", 0.02),
            ("1e400", f64::INFINITY),
            ("0x1F", 31.0),
            ("0xffffffff", -1.0),
            ("0o17", 15.0),
            ("010", 10.0),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse(text).to_bits(), number.to_bits(), "{text}");
        }
        for text in [
            "a",
            "1a",
            "12px",
            "--1",
            "+-1",
            ".",
            "1..2",
            "1e",
            "e1",
            "1_000",
            "0x",
            "0o",
            "0o8",
            "0xG",
            "-0xFF",
            "0x1FFFFFFFF",
            "0x+1",
            "0X1F",
            "inf",
            "nan",
            "infinity",
            "NaN",
            "1 2",
        ] {
            assert!(parse(text).is_nan(), "{text}");
        }
    }

    #[test]
    fn numbers_are_formatted_with_fifteen_digits() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (10.0, "10"),
            (0.5, "0.5"),
            (-0.5, "-0.5"),
            (1234.56, "1234.56"),
            (0.1 + 0.2, "0.3"),
            (0.845_512_408_225_570_1, "0.84551240822557"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.00001, "1E-05"),
            (0.000_001_5, "1.5E-06"),
            (123_456_789_012_345.0, "123456789012345"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1E+15"),
            (12_345_678_901_234_567_890.0, "1.23456789012346E+19"),
            (1e100, "1E+100"),
            (5e-324, "4.94065645841247E-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(format(number), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_round_trip_to_fifteen_digits(number: f64) {
            // The largest doubles round up to infinity.
            prop_assume!(number.abs() < 1e308);
            let back = parse(&format(number));
            prop_assert!((number - back).abs() <= number.abs() * 1e-14);
            prop_assert_eq!(format(back), format(number));
        }

        #[test]
        fn integers_of_fifteen_digits_are_plain(number in -999_999_999_999_999_i64..=999_999_999_999_999) {
            prop_assert_eq!(format(number as f64), number.to_string());
        }

        #[test]
        fn any_text_can_be_parsed(text: String) {
            parse(&text);
        }
    }
}
