//! Which key means what where: the table's defaults with the configuration's changes over them.

use std::collections::HashMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::model::nearest;

use super::action::{ACTIONS, Action, Context};

/// A key with its modifiers, in the one form that both terminals and texts are brought to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    code: KeyCode,
    control: bool,
    alt: bool,
}

/// Names of keys that are not a character.
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
    /// Reads `x`, `X`, `ctrl-x`, `alt-x`, `enter`, `f5`.
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

/// Keys that are typed: characters as they are, others by name in angle brackets (`j<enter><ctrl-d>`).
///
/// # Errors
/// What is in brackets is no key.
pub fn typed(text: &str) -> Result<Vec<KeyEvent>, String> {
    let mut events = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|named| named.split_once('>'));
        let (name, length) = match named {
            Some((name, _)) => (name, name.len() + 2),
            None => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        let key = Key::parse(name).ok_or_else(|| name.to_owned())?;
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

/// Why the configuration's `[keys]` cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeymapError {
    /// No action has this name.
    #[error("`keys.{name}`: there is no such action{}", nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    UnknownAction {
        /// What was written.
        name: String,
        /// The action that looks most like it.
        nearest: Option<&'static str>,
    },
    /// This names no key.
    #[error("`keys.{name}`: `{key}` is no key; write `x`, `X`, `ctrl-x`, `alt-x`, `enter`, `f5`")]
    UnknownKey {
        /// The action.
        name: String,
        /// What was written.
        key: String,
    },
    /// A key would mean two things at one place.
    #[error("`{key}` means both `{first}` and `{second}` ({place}): give one of them another key under `[keys]`")]
    Conflict {
        /// The key.
        key: String,
        /// One action.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Where.
        place: &'static str,
    },
    /// Nothing would be left to leave by.
    #[error("`keys.{name}` is empty: this action must keep a key")]
    Unreachable {
        /// The action.
        name: &'static str,
    },
}

/// Which key means what where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keymap {
    keys: HashMap<(Context, Key), Action>,
    of: HashMap<Action, Vec<Key>>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new([]).expect("a test proves that the defaults agree")
    }
}

/// Actions that cannot be left without a key.
const ESSENTIAL: [Action; 3] = [Action::Quit, Action::Open, Action::Back];

impl Keymap {
    /// The defaults, where `changes` gives an action other keys: its name, then all of its keys.
    ///
    /// # Errors
    /// A name is no action's, a text is no key, a key would have two meanings at one place, or there would be no way
    /// to leave, to agree or to go back.
    pub fn new<'c>(changes: impl IntoIterator<Item = (&'c str, Vec<String>)>) -> Result<Self, KeymapError> {
        let mut of: HashMap<Action, Vec<Key>> = HashMap::new();
        for entry in ACTIONS.iter() {
            let keys = entry.keys.iter().map(|key| Key::parse(key).expect("a test reads every default"));
            of.insert(entry.action, keys.collect());
        }
        for (name, keys) in changes {
            let Some(entry) = ACTIONS.iter().find(|entry| entry.name == name) else {
                return Err(KeymapError::UnknownAction {
                    name: name.to_owned(),
                    nearest: nearest(name, ACTIONS.iter().map(|entry| entry.name)),
                });
            };
            if keys.is_empty() && ESSENTIAL.contains(&entry.action) {
                return Err(KeymapError::Unreachable { name: entry.name });
            }
            let parse = |key: &String| {
                Key::parse(key).ok_or_else(|| KeymapError::UnknownKey { name: name.to_owned(), key: key.clone() })
            };
            of.insert(entry.action, keys.iter().map(parse).collect::<Result<_, _>>()?);
        }
        let mut keys: HashMap<(Context, Key), Action> = HashMap::new();
        for entry in ACTIONS.iter() {
            for key in &of[&entry.action] {
                for context in entry.contexts {
                    let other = keys.insert((*context, *key), entry.action).or_else(|| match context {
                        // What a panel has of its own must not hide what every panel has.
                        Context::Panel(_) => keys.get(&(Context::Everywhere, *key)).copied(),
                        _ => None,
                    });
                    if let Some(other) = other.filter(|other| *other != entry.action) {
                        return Err(conflict(*key, other, entry.action, *context));
                    }
                }
            }
        }
        for ((context, key), action) in &keys {
            if let (Context::Panel(_), Some(other)) = (context, keys.get(&(Context::Everywhere, *key))) {
                return Err(conflict(*key, *action, *other, *context));
            }
        }
        Ok(Self { keys, of })
    }

    /// What a key means at a place.
    #[must_use]
    pub fn action(&self, context: Context, key: Key) -> Option<Action> {
        let find = |context| self.keys.get(&(context, key)).copied();
        match context {
            Context::Panel(_) => find(context).or_else(|| find(Context::Everywhere)),
            _ => find(context),
        }
    }

    /// The keys of an action.
    #[must_use]
    pub fn keys(&self, action: Action) -> &[Key] {
        self.of.get(&action).map_or(&[], Vec::as_slice)
    }
}

fn conflict(key: Key, first: Action, second: Action, place: Context) -> KeymapError {
    KeymapError::Conflict {
        key: key.to_string(),
        first: first.entry().name,
        second: second.entry().name,
        place: place.name(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ui::layout::PANELS;

    #[test]
    fn every_action_has_one_row_and_is_reachable() {
        let map = Keymap::default();
        let names: HashSet<_> = ACTIONS.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), ACTIONS.len());
        for entry in ACTIONS.iter() {
            assert!(std::ptr::eq(entry.action.entry(), entry), "{} is listed twice", entry.name);
            assert!(!entry.doc.is_empty() && !entry.keys.is_empty() && !entry.contexts.is_empty());
            for key in entry.keys {
                let parsed = Key::parse(key).expect(key);
                assert_eq!(parsed.to_string(), *key);
                for context in entry.contexts {
                    assert_eq!(map.action(*context, parsed), Some(entry.action));
                }
            }
        }
        for panel in PANELS.map(|info| info.panel) {
            assert!(ACTIONS.iter().any(|entry| entry.action == Action::Go(panel)), "{panel:?} cannot be reached");
        }
    }

    #[test]
    fn keys_can_be_given_to_other_actions() {
        let changes = [("stop", vec!["X".to_owned(), "ctrl-k".to_owned()]), ("wrap", vec![])];
        let map = Keymap::new(changes).expect("they agree");
        let stop = |text| map.action(Context::Everywhere, Key::parse(text).expect("a key"));
        assert_eq!((stop("X"), stop("ctrl-k"), stop("s")), (Some(Action::Stop), Some(Action::Stop), None));
        assert!(map.keys(Action::Wrap).is_empty());
    }

    #[test]
    fn changes_that_cannot_be_are_told() {
        let error = |name, key: &[&str]| {
            let keys = key.iter().map(|key| (*key).to_owned()).collect();
            Keymap::new([(name, keys)]).expect_err("refused").to_string()
        };
        let found = [
            error("stopp", &["x"]),
            error("stop", &["hyper-x"]),
            error("stop", &["q"]),
            error("wrap", &["q"]),
            error("quit", &[]),
        ];
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn terminals_and_texts_agree() {
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
}
