//! Versions of tools, and requested versions that can be matched without knowing the rules of every action.

use std::fmt;
use std::str::FromStr;

/// A released version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

/// A text that is not a release version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the version of a release")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    /// Parses `3.12.1`, `v20.1.0` or `1.26`. Missing numbers are 0, and further numbers are ignored.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let mut version = [0; 3];
        let text = text.strip_prefix('v').unwrap_or(text);
        for (at, part) in text.split('.').enumerate() {
            let number = part.parse().map_err(|_| NotAVersion)?;
            if let Some(place) = version.get_mut(at) {
                *place = number;
            }
        }
        Ok(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// A requested version prefix: `3`, `3.12`, `3.12.x`, `20.1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix(Vec<u32>);

impl Prefix {
    /// Parses a requested version. `None` if it is not a version prefix: a range, `lts/*`, several lines.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches(['v', '=']);
        let mut numbers = Vec::new();
        let mut parts = text.split('.').peekable();
        while let Some(part) = parts.next() {
            match part.parse() {
                Ok(number) => numbers.push(number),
                Err(_) if ["x", "X", "*"].contains(&part) && !numbers.is_empty() && parts.peek().is_none() => {}
                Err(_) => return None,
            }
        }
        (numbers.len() <= 3).then_some(Self(numbers))
    }

    /// Whether the version starts with this prefix.
    pub(super) fn matches(&self, version: Version) -> bool {
        version.0.starts_with(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn versions_have_three_numbers_and_an_order() {
        for (text, expected) in
            [("3.12.1", "3.12.1"), ("v20.1.0", "20.1.0"), ("1.26", "1.26.0"), ("17.0.8.1", "17.0.8")]
        {
            assert_eq!(version(text).to_string(), expected);
        }
        assert!(version("3.9.18") < version("3.10.0"));
        for wrong in ["", "3.13.0rc1", "system", "3..1", "3.x"] {
            assert_eq!(wrong.parse::<Version>(), Err(NotAVersion), "{wrong}");
        }
    }

    #[test]
    fn requests_match_by_whole_numbers() {
        let matches = |request: &str, of: &str| Prefix::parse(request).map(|prefix| prefix.matches(version(of)));
        for (request, of, expected) in [
            ("3.1", "3.11.7", Some(false)),
            ("3.11", "3.11.7", Some(true)),
            (" v20 ", "20.1.0", Some(true)),
            ("20.x", "20.1.0", Some(true)),
            ("3.11.6", "3.11.7", Some(false)),
            (">=3.10", "3.11.7", None),
            ("lts/*", "20.1.0", None),
            ("3.11\n3.12", "3.11.7", None),
            ("3.x.1", "3.11.1", None),
            ("", "3.11.1", None),
            ("1.2.3.4", "1.2.3", None),
        ] {
            assert_eq!(matches(request, of), expected, "{request}");
        }
    }
}
