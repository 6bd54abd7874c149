//! A token of a server.

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::store::digest;

/// A token of a server. It can neither be printed nor compared, and its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Token(SecretString);

/// Maximum length of a token in bytes.
const MAX_LENGTH: usize = 4096;

impl Token {
    /// Returns the token in a text, without spaces around it. `None` if the text cannot be a token.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_token = !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(SecretString::from(text)))
    }

    /// Returns the value of the `Authorization` header, marked as sensitive.
    pub(in crate::backend::github) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Returns the token itself, for the file that keeps it.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns a digest that identifies the token without revealing it.
    pub(in crate::backend::github) fn fingerprint(&self) -> String {
        digest::sha256(self.0.expose_secret(), 12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_its_header_is_sensitive() {
        for text in ["", "  ", "a b", "a\nb", "tök", "a\0", &"x".repeat(5000)] {
            assert!(Token::new(text).is_none(), "{text:?}");
        }
        let token = Token::new(" ghp_secret\n").expect("a token");
        let header = token.header().expect("a header");
        assert_eq!((header.as_bytes(), header.is_sensitive()), (b"Bearer ghp_secret".as_slice(), true));
        assert!(!format!("{header:?}").contains("secret"));
        assert_eq!(token.fingerprint().len(), 24);
    }
}
