//! Hyperlinks in text (OSC 8). A cell stores a number in place of the address, and the address is written when the cell
//! is sent to a terminal.
//!
//! The number is stored as the underline colour of a cell, whose only other use is to mark the caret
//! ([`caret`](super::caret)). A cell whose link changes is therefore a different cell and is redrawn.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use ratatui::style::Color;

/// Maximum length of an address in bytes, as supported by terminals.
const LONGEST: usize = 2083;

/// A link: its number in cells, and its address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Number of the link, stored as the underline colour of its cells.
    pub mark: Color,
    /// Its address.
    pub address: Arc<str>,
}

impl Link {
    /// Creates a link to an `http` or `https` address. `None` for other schemes, which must not become clickable in a
    /// log, and for an address that is too long or has characters that are not printable ASCII.
    #[must_use]
    pub fn new(address: &str) -> Option<Self> {
        let is_web = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_web || !is_plain || address.len() > LONGEST {
            return None;
        }
        Some(Self::of(address))
    }

    /// Creates a link to a file of this machine, by its absolute path. `None` if the address would be too long.
    #[must_use]
    pub fn to_file(path: &Path) -> Option<Self> {
        let mut address = "file://".to_owned();
        for byte in path.as_os_str().as_encoded_bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                    address.push(*byte as char);
                }
                other => address.push_str(&format!("%{other:02X}")),
            }
        }
        (path.is_absolute() && address.len() <= LONGEST).then(|| Self::of(&address))
    }

    fn of(address: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        address.hash(&mut hasher);
        let [red, green, blue, ..] = hasher.finish().to_le_bytes();
        Self { mark: Color::Rgb(red, green, blue), address: address.into() }
    }
}

/// Returns the sequence that starts a link, or ends the current one.
#[must_use]
pub fn sequence(address: Option<&str>) -> String {
    format!("\x1b]8;;{}\x1b\\", address.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        let link = Link::new("https://example.com/a?b=c#d").expect("a link");
        assert_eq!(Link::new("https://example.com/a?b=c#d"), Some(link.clone()));
        assert_ne!(Link::new("https://example.com/e").expect("a link").mark, link.mark);
        for other in ["", "file:///etc/passwd", "javascript:x", "https://a\u{7}b", "https://a b", "HTTPS://a"] {
            assert_eq!(Link::new(other), None, "{other}");
        }
        assert_eq!(Link::new(&format!("https://{}", "a".repeat(3000))), None);
    }

    #[test]
    fn the_address_of_a_file_has_only_plain_characters() {
        let address = |path: &str| Link::to_file(Path::new(path)).map(|link| link.address.to_string());
        assert_eq!(address("/a b/c\u{1b}ü.rs").as_deref(), Some("file:///a%20b/c%1B%C3%BC.rs"));
        assert_eq!((address("src/a.rs"), address(&format!("/{}", "a".repeat(3000)))), (None, None));
    }
}
