//! Key bindings in each context: the defaults of the table, changed by the configuration.

mod key;

use crate::model::nearest;

use super::action::{ACTIONS, Action, Context};

pub use key::{Key, Sequence, UnknownKey, typed};

/// Why the configuration's `[keys]` cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeymapError {
    /// No action has this name.
    #[error("`keys.{name}`: unknown action{}", nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    UnknownAction {
        /// Name in the configuration.
        name: String,
        /// The action with the most similar name; `None` if no name is similar.
        nearest: Option<&'static str>,
    },
    /// A text is not a key.
    #[error(
        "`keys.{name}`: unknown key `{key}`; write `x`, `X`, `ctrl-x`, `alt-x`, `enter`, `f5`, or a sequence: `g x`"
    )]
    UnknownKey {
        /// Name of the action.
        name: String,
        /// Text in the configuration.
        key: String,
    },
    /// A key would be bound to two actions in one context.
    #[error("`{key}` means both `{first}` and `{second}` ({place}): give one of them another key under `[keys]`")]
    Conflict {
        /// The key or sequence.
        key: String,
        /// Name of one action.
        first: &'static str,
        /// Name of the other action.
        second: &'static str,
        /// Name of the context.
        place: &'static str,
    },
    /// A key would be bound to an action and also start a longer sequence in one context.
    #[error(
        "`{key}` means `{first}` and also starts `{sequence}` (`{second}`, {place}): give one of them another key under `[keys]`"
    )]
    Prefix {
        /// The shorter sequence.
        key: String,
        /// The longer sequence.
        sequence: String,
        /// Name of the action of the shorter sequence.
        first: &'static str,
        /// Name of the action of the longer sequence.
        second: &'static str,
        /// Name of the context.
        place: &'static str,
    },
    /// An action that must have a key would have no key.
    #[error("`keys.{name}` is empty: this action must keep a key")]
    Unreachable {
        /// Name of the action.
        name: &'static str,
    },
}

/// The action of a sequence in a context.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Binding {
    context: Context,
    keys: Sequence,
    action: Action,
}

/// Result of looking up the keys pressed so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// The keys of an action.
    Action(Action),
    /// The start of longer sequences, with these continuations.
    Prefix(Vec<Continuation>),
    /// Not bound.
    Unbound,
}

/// The rest of a sequence after a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Continuation {
    /// The keys that are still to be pressed.
    pub rest: String,
    /// The action of the whole sequence.
    pub action: Action,
}

/// The key bindings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keymap {
    /// Bindings in the order of the table of actions.
    bindings: Vec<Binding>,
    /// Keys of each action, in the same order.
    keys: Vec<Vec<Sequence>>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new([]).expect("a test builds the defaults")
    }
}

/// Actions that must keep a key.
const ESSENTIAL: [Action; 3] = [Action::Quit, Action::Open, Action::Back];

impl Keymap {
    /// Returns the default bindings, except that each action named in `changes` has the keys given there instead.
    ///
    /// # Errors
    /// A name is not an action, a text is not a key, a key would be bound twice or be a prefix of another sequence in
    /// one context, or an action that must have a key would have no key.
    pub fn new<'c>(changes: impl IntoIterator<Item = (&'c str, Vec<String>)>) -> Result<Self, KeymapError> {
        let mut keys: Vec<Vec<Sequence>> = Vec::with_capacity(ACTIONS.len());
        for entry in ACTIONS.iter() {
            let defaults = entry.keys.iter().map(|key| Sequence::parse(key).expect("a test parses every default"));
            keys.push(defaults.collect());
        }
        for (name, changed) in changes {
            let Some(at) = ACTIONS.iter().position(|entry| entry.name == name) else {
                let nearest = nearest(name, ACTIONS.iter().map(|entry| entry.name));
                return Err(KeymapError::UnknownAction { name: name.to_owned(), nearest });
            };
            if changed.is_empty() && ESSENTIAL.contains(&ACTIONS[at].action) {
                return Err(KeymapError::Unreachable { name: ACTIONS[at].name });
            }
            let parse = |key: &String| {
                Sequence::parse(key).ok_or_else(|| KeymapError::UnknownKey { name: name.to_owned(), key: key.clone() })
            };
            keys[at] = changed.iter().map(parse).collect::<Result<_, _>>()?;
        }
        let mut bindings: Vec<Binding> = Vec::new();
        for (entry, keys) in ACTIONS.iter().zip(&keys) {
            for keys in keys {
                for context in entry.contexts {
                    let binding = Binding { context: *context, keys: keys.clone(), action: entry.action };
                    if let Some(error) = bindings.iter().find_map(|other| conflict(other, &binding)) {
                        return Err(error);
                    }
                    bindings.push(binding);
                }
            }
        }
        Ok(Self { bindings, keys })
    }

    /// Looks up keys, pressed one after the other, in a context.
    #[must_use]
    pub fn lookup(&self, context: Context, pressed: &[Key]) -> Lookup {
        let here = || {
            self.bindings
                .iter()
                .filter(move |binding| is_heard(binding.context, context))
                .filter_map(move |binding| Some((binding.keys.keys().strip_prefix(pressed)?, binding)))
        };
        if let Some((_, binding)) = here().find(|(rest, _)| rest.is_empty()) {
            return Lookup::Action(binding.action);
        }
        let rest: Vec<Continuation> = here()
            .map(|(rest, binding)| {
                let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
                Continuation { rest: rest.join(" "), action: binding.action }
            })
            .collect();
        if rest.is_empty() { Lookup::Unbound } else { Lookup::Prefix(rest) }
    }

    /// Returns the action of a single key in a context; `None` if the key has none by itself.
    #[must_use]
    pub fn action(&self, context: Context, key: Key) -> Option<Action> {
        match self.lookup(context, &[key]) {
            Lookup::Action(action) => Some(action),
            Lookup::Prefix(_) | Lookup::Unbound => None,
        }
    }

    /// Returns the keys and sequences of an action.
    #[must_use]
    pub fn keys(&self, action: Action) -> &[Sequence] {
        let at = ACTIONS.iter().position(|entry| entry.action == action);
        at.map_or(&[], |at| &self.keys[at])
    }
}

/// Whether a binding is active in a context. In a panel, the bindings of `Context::Everywhere` are active, too.
fn is_heard(binding: Context, context: Context) -> bool {
    binding == context || (binding == Context::Everywhere && matches!(context, Context::Panel(_)))
}

/// Returns why two bindings cannot both exist; `None` if they can.
fn conflict(one: &Binding, other: &Binding) -> Option<KeymapError> {
    if one.action == other.action && one.keys == other.keys {
        return None;
    }
    if !is_heard(one.context, other.context) && !is_heard(other.context, one.context) {
        return None;
    }
    let (short, long) = if one.keys.keys().len() <= other.keys.keys().len() { (one, other) } else { (other, one) };
    if !long.keys.keys().starts_with(short.keys.keys()) {
        return None;
    }
    let context = if one.context == Context::Everywhere { other.context } else { one.context };
    let (key, place) = (short.keys.to_string(), context.name());
    let (first, second) = (short.action.entry().name, long.action.entry().name);
    Some(if short.keys == long.keys {
        KeymapError::Conflict { key, first, second, place }
    } else {
        KeymapError::Prefix { key, sequence: long.keys.to_string(), first, second, place }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ui::layout::PANELS;

    fn keys(text: &str) -> Vec<Key> {
        Sequence::parse(text).expect(text).keys().to_vec()
    }

    /// Actions with the keys that they get.
    type Changes<'c> = &'c [(&'c str, &'c [&'c str])];

    fn refused(changes: Changes) -> KeymapError {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        Keymap::new(changes.iter().map(|(name, keys)| (*name, owned(keys)))).expect_err("refused")
    }

    #[test]
    fn every_action_has_one_row_and_can_be_reached() {
        let map = Keymap::default();
        let names: HashSet<_> = ACTIONS.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), ACTIONS.len());
        for entry in ACTIONS.iter() {
            assert!(std::ptr::eq(entry.action.entry(), entry), "{} is listed twice", entry.name);
            assert!(!entry.doc.is_empty() && !entry.keys.is_empty() && !entry.contexts.is_empty());
            for key in entry.keys {
                assert_eq!(Sequence::parse(key).expect(key).to_string(), *key);
                for context in entry.contexts {
                    assert_eq!(map.lookup(*context, &keys(key)), Lookup::Action(entry.action));
                }
            }
        }
        for panel in PANELS.map(|info| info.panel) {
            assert!(ACTIONS.iter().any(|entry| entry.action == Action::Go(panel)), "{panel:?} cannot be reached");
        }
    }

    #[test]
    fn the_configuration_changes_keys() {
        let changes = [("stop", vec!["X".to_owned(), "ctrl-k".to_owned()]), ("wrap", vec![])];
        let map = Keymap::new(changes).expect("no conflict");
        let stop = |text| map.action(Context::Everywhere, keys(text)[0]);
        assert_eq!((stop("X"), stop("ctrl-k"), stop("s")), (Some(Action::Stop), Some(Action::Stop), None));
        assert!(map.keys(Action::Wrap).is_empty());
    }

    #[test]
    fn the_configuration_binds_sequences() {
        let map = Keymap::new([("stop", vec!["ctrl-w s t".to_owned()])]).expect("no conflict");
        let panel = Context::Panel(crate::ui::layout::Panel::Jobs);
        let rest = |pressed: &str| match map.lookup(panel, &keys(pressed)) {
            Lookup::Prefix(rest) => rest.into_iter().map(|one| (one.rest, one.action)).collect(),
            _ => Vec::new(),
        };
        assert_eq!(rest("ctrl-w"), [("s t".to_owned(), Action::Stop)]);
        assert_eq!(rest("ctrl-w s"), [("t".to_owned(), Action::Stop)]);
        assert_eq!(map.lookup(panel, &keys("ctrl-w s t")), Lookup::Action(Action::Stop));
        assert_eq!(map.lookup(panel, &keys("ctrl-w x")), Lookup::Unbound);
        assert_eq!(map.lookup(Context::Overlay, &keys("ctrl-w")), Lookup::Unbound, "it is not a key of overlays");
    }

    #[test]
    fn continuations_have_the_order_of_the_table() {
        let map = Keymap::default();
        let Lookup::Prefix(rest) = map.lookup(Context::Panel(PANELS[0].panel), &keys("g")) else {
            panic!("g starts sequences")
        };
        let rest: Vec<_> = rest.iter().map(|one| (one.rest.as_str(), one.action.entry().name)).collect();
        let programs = [("r", "replay"), ("x", "explain"), ("l", "lint"), ("q", "detach")];
        let moves = [("f", "first-error"), ("n", "newest-run"), ("g", "top"), ("e", "bottom")];
        assert_eq!(rest, [moves, programs].concat());
    }

    #[test]
    fn wrong_changes_are_refused() {
        let cases: [(Changes, &str); 9] = [
            (&[("stopp", &["x"])], "`keys.stopp`: unknown action; did you mean `stop`?"),
            (
                &[("stop", &["hyper-x"])],
                "`keys.stop`: unknown key `hyper-x`; write `x`, `X`, `ctrl-x`, `alt-x`, `enter`, `f5`, or a sequence: `g x`",
            ),
            (
                &[("stop", &["q"])],
                "`q` means both `stop` and `quit` (Everywhere): give one of them another key under `[keys]`",
            ),
            (
                &[("wrap", &["q"])],
                "`q` means both `wrap` and `quit` (Log): give one of them another key under `[keys]`",
            ),
            (&[("quit", &[])], "`keys.quit` is empty: this action must keep a key"),
            (
                &[("stop", &["g"])],
                "`g` means `stop` and also starts `g f` (`first-error`, Everywhere): give one of them another key under `[keys]`",
            ),
            (
                &[("wrap", &["g"])],
                "`g` means `wrap` and also starts `g f` (`first-error`, Log): give one of them another key under `[keys]`",
            ),
            (
                &[("wrap", &["s x"])],
                "`s` means `stop` and also starts `s x` (`wrap`, Log): give one of them another key under `[keys]`",
            ),
            (
                &[("wrap", &["z z", "z z z"]), ("zoom", &["Z"])],
                "`z z` means `wrap` and also starts `z z z` (`wrap`, Log): give one of them another key under `[keys]`",
            ),
        ];
        for (changes, message) in cases {
            assert_eq!(refused(changes).to_string(), message);
        }
    }
}
