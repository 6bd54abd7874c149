//! Links in a text (OSC 8, as terminals agreed on it): a cell carries a number that stands for the address, and whoever
//! sends cells to a terminal spells the address out.
//!
//! The number is kept where a cell has the colour of its underline, which nothing here uses for anything else. So a cell
//! whose link changes is another cell, and is drawn anew.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use ratatui::style::Color;

/// Terminals take addresses of up to so many bytes.
const LONGEST: usize = 2083;

/// A link: what stands for it in a cell, and where it leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// What stands for it in a cell.
    pub mark: Color,
    /// Its address.
    pub address: Arc<str>,
}

impl Link {
    /// A link to the web. Of other kinds of addresses a log must not make anything that can be clicked.
    #[must_use]
    pub fn new(address: &str) -> Option<Self> {
        let is_web = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_web || !is_plain || address.len() > LONGEST {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        address.hash(&mut hasher);
        let [red, green, blue, ..] = hasher.finish().to_le_bytes();
        Some(Self { mark: Color::Rgb(red, green, blue), address: address.into() })
    }
}

/// What begins a link in a terminal, or ends the one that was begun.
#[must_use]
pub fn sequence(address: Option<&str>) -> String {
    format!("\x1b]8;;{}\x1b\\", address.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_web_can_be_linked_to() {
        let link = Link::new("https://example.com/a?b=c#d").expect("a link");
        assert_eq!(Link::new("https://example.com/a?b=c#d"), Some(link.clone()));
        assert_ne!(Link::new("https://example.com/e").expect("a link").mark, link.mark);
        for other in ["", "file:///etc/passwd", "javascript:x", "https://a\u{7}b", "https://a b", "HTTPS://a"] {
            assert_eq!(Link::new(other), None, "{other}");
        }
        assert_eq!(Link::new(&format!("https://{}", "a".repeat(3000))), None);
    }
}
