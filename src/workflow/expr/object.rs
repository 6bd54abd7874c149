//! Objects of the expression language.

use indexmap::IndexMap;

use super::text;
use super::value::Value;

/// Names and values in insertion order. Look-ups ignore case, as in GitHub's contexts, unless the object was created
/// with [`Object::case_sensitive`] (the `env` context on Linux).
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Names as given and their values, by look-up key.
    entries: IndexMap<String, (String, Value)>,
    case_sensitive: bool,
}

impl Object {
    /// Creates an empty object with case-insensitive names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty object with case-sensitive names.
    #[must_use]
    pub fn case_sensitive() -> Self {
        Self { entries: IndexMap::new(), case_sensitive: true }
    }

    /// Sets a value. An existing name keeps its position and its spelling.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) {
        let name = name.into();
        let key = if self.case_sensitive { name.clone() } else { text::fold(&name).into_owned() };
        self.entries.entry(key).or_insert_with(|| (name, Value::Null)).1 = value;
    }

    /// Returns the value under a name; `None` if the object lacks the name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let entry =
            if self.case_sensitive { self.entries.get(name) } else { self.entries.get(text::fold(name).as_ref()) };
        entry.map(|(_, value)| value)
    }

    /// Returns the names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.values().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the object has no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Two objects are equal if they have the same names, compared by their rule for case, with equal values in any order.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl<N: Into<String>> FromIterator<(N, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(entries: I) -> Self {
        let mut object = Self::new();
        object.extend(entries);
        object
    }
}

impl<N: Into<String>> Extend<(N, Value)> for Object {
    fn extend<I: IntoIterator<Item = (N, Value)>>(&mut self, entries: I) {
        for (name, value) in entries {
            self.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_insensitive_and_keep_their_position() {
        let mut object: Object = [("Path", Value::Bool(true)), ("os", Value::Null)].into_iter().collect();
        object.insert("PATH", Value::Bool(false));
        assert_eq!(object.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["Path", "os"]);
        assert_eq!(object.get("path"), Some(&Value::Bool(false)));
        assert_eq!(object.get("home"), None);
        assert_eq!((object.len(), object.is_empty()), (2, false));
    }

    #[test]
    fn a_case_sensitive_object_distinguishes_spellings() {
        let mut object = Object::case_sensitive();
        object.insert("Path", Value::Bool(true));
        object.insert("PATH", Value::Bool(false));
        assert_eq!(object.get("Path"), Some(&Value::Bool(true)));
        assert_eq!(object.get("PATH"), Some(&Value::Bool(false)));
        assert_eq!(object.get("path"), None);
    }

    #[test]
    fn equality_ignores_order() {
        let left: Object = [("a", Value::Null), ("b", Value::Bool(true))].into_iter().collect();
        let right: Object = [("B", Value::Bool(true)), ("a", Value::Null)].into_iter().collect();
        assert_eq!(left, right);
        assert_ne!(left, Object::new());
    }
}
