//! The values of the expression language.

use std::sync::Arc;

use indexmap::IndexMap;

/// A value. Cloning is cheap: everything larger than a number is shared.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Truth.
    Bool(bool),
    /// The only numbers there are: doubles.
    Number(f64),
    /// Text.
    String(Arc<str>),
    /// A sequence.
    Array(Arc<Vec<Value>>),
    /// Names and values.
    Object(Arc<Object>),
}

/// Names and values in insertion order. Names are found without regard to case, as in GitHub's contexts, unless the
/// object was made [`Object::case_sensitive`] (the `env` context on Linux).
#[derive(Clone, Debug, Default)]
pub struct Object {
    entries: IndexMap<String, (String, Value)>,
    case_sensitive: bool,
}
