//! Keys and key sequences, as terminals report them and as they are written in texts.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers, normalized so that key events and parsed texts compare equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    code: KeyCode,
    control: bool,
    alt: bool,
}

/// Keys that are pressed one after the other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sequence(Vec<Key>);

/// A text that is not the name of a key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown key `{0}`; write `x`, `<enter>`, `<ctrl-d>`")]
pub struct UnknownKey(String);

/// Names of the keys that are not characters.
const NAMES: &[(&str, KeyCode)] = &[
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

impl Key {
    /// Parses `x`, `X`, `ctrl-x`, `alt-x`, `enter`, `f5`. `None` if the text is not a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut rest, mut control, mut alt) = (text, false, false);
        loop {
            if let Some(after) = rest.strip_prefix("ctrl-").filter(|after| !after.is_empty()) {
                (rest, control) = (after, true);
            } else if let Some(after) = rest.strip_prefix("alt-").filter(|after| !after.is_empty()) {
                (rest, alt) = (after, true);
            } else {
                break;
            }
        }
        let mut characters = rest.chars();
        let code = match (characters.next()?, characters.as_str()) {
            (c, "") if !c.is_control() => KeyCode::Char(c),
            ('f', number) if matches!(number.parse(), Ok(1..=24_u8)) => KeyCode::F(number.parse().ok()?),
            _ => NAMES.iter().find(|(name, _)| *name == rest)?.1,
        };
        Some(Self { code, control, alt })
    }
}

impl Sequence {
    /// Parses keys with a space between them: `g g`, `ctrl-w v`. `None` if the text is empty or one of its words is not
    /// a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let keys: Vec<Key> = text.split_whitespace().map(Key::parse).collect::<Option<_>>()?;
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Returns the keys in order.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0
    }
}

/// Parses typed keys: characters as they are, other keys by name in angle brackets (`j<enter><ctrl-d>`).
///
/// # Errors
/// The text in the brackets, or a character outside of brackets, is not a key.
pub fn typed(text: &str) -> Result<Vec<KeyEvent>, UnknownKey> {
    let mut events = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|named| named.split_once('>'));
        let (name, length) = match named {
            Some((name, _)) => (name, name.len() + 2),
            None => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        let key = Key::parse(name).ok_or_else(|| UnknownKey(name.to_owned()))?;
        let control = if key.control { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        let alt = if key.alt { KeyModifiers::ALT } else { KeyModifiers::NONE };
        events.push(KeyEvent::new(key.code, control | alt));
        rest = &rest[length..];
    }
    Ok(events)
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        let code = match event.code {
            KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            KeyCode::Char(c) if control => KeyCode::Char(c.to_ascii_lowercase()),
            code => code,
        };
        Self { code, control, alt }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.control { "ctrl-" } else { "" })?;
        f.write_str(if self.alt { "alt-" } else { "" })?;
        match (self.code, NAMES.iter().find(|(_, code)| *code == self.code)) {
            (_, Some((name, _))) => f.write_str(name),
            (KeyCode::Char(c), _) => write!(f, "{c}"),
            (KeyCode::F(number), _) => write!(f, "f{number}"),
            (other, _) => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { " " })?;
            key.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_texts_name_the_same_keys() {
        let event = |code, modifiers| Key::from(KeyEvent::new(code, modifiers));
        for (key, text) in [
            (event(KeyCode::Char('G'), KeyModifiers::SHIFT), "G"),
            (event(KeyCode::Char('C'), KeyModifiers::CONTROL | KeyModifiers::SHIFT), "ctrl-c"),
            (event(KeyCode::Tab, KeyModifiers::SHIFT), "backtab"),
            (event(KeyCode::BackTab, KeyModifiers::SHIFT), "backtab"),
            (event(KeyCode::Char('-'), KeyModifiers::CONTROL), "ctrl--"),
            (event(KeyCode::F(5), KeyModifiers::NONE), "f5"),
        ] {
            assert_eq!(Some(key), Key::parse(text), "{text}");
        }
    }

    #[test]
    fn sequences_are_words_that_name_keys() {
        for text in ["g g", "ctrl-w v", "space space enter", "x"] {
            assert_eq!(Sequence::parse(text).map(|sequence| sequence.to_string()).as_deref(), Some(text));
        }
        for text in ["", " ", "g hyper-x", "gg"] {
            assert_eq!(Sequence::parse(text), None, "{text:?}");
        }
    }
}
