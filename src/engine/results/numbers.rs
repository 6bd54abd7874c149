//! Values in the JSON form of Protocol Buffers, some of which have two representations.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::Timestamp;

/// A 64-bit number. The specification writes it as a string, but some clients send a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl Visitor<'_> for Form {
            type Value = Number;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a number, or a number in a string")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                u64::try_from(number).map(Number).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Form)
    }
}

/// Parses a time such as `2026-11-29T12:00:00Z`. `None` if the text is not a time, or the time is before 1970.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

/// Formats a time with three fractional digits, because clients accept only three, six or nine.
pub(super) fn written(time: Timestamp) -> String {
    time.instant().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_number_are_read() {
        for (text, expected) in
            [("\"12\"", Some(12)), ("12", Some(12)), ("-1", None), ("\"x\"", None), ("null", None), ("1.5", None)]
        {
            let read = serde_json::from_str::<Number>(text).ok().map(|number| number.0);
            assert_eq!(read, expected, "{text}");
        }
        assert_eq!(timestamp("1970-01-01T00:00:01.5Z"), Some(Timestamp(1500)));
        assert_eq!(timestamp("tomorrow"), None);
        assert_eq!(written(Timestamp(1500)), "1970-01-01T00:00:01.500Z");
        assert_eq!(written(Timestamp(2000)), "1970-01-01T00:00:02.000Z");
    }
}
