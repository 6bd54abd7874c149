//! The values of the expression language and their conversions and comparisons.

use std::cmp::Ordering;
use std::sync::Arc;

use super::object::Object;
use super::{json, number, text};

/// A value. Cloning is cheap: strings, arrays and objects are shared.
///
/// Rust's `==` compares content, for tests and caches; the comparisons of the language are [`Value::loosely_equals`]
/// and [`Value::loosely_compares`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A number; the language has only doubles.
    Number(f64),
    /// A string.
    String(Arc<str>),
    /// An array.
    Array(Arc<Vec<Value>>),
    /// An object.
    Object(Arc<Object>),
}

impl Value {
    /// Creates a string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(Arc::from(text.into()))
    }

    /// Creates an array.
    #[must_use]
    pub fn array(items: Vec<Self>) -> Self {
        Self::Array(Arc::new(items))
    }

    /// Creates an object.
    #[must_use]
    pub fn object(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }

    /// Returns GitHub's name of the kind: `Null`, `Boolean`, `Number`, `String`, `Array` or `Object`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Bool(_) => "Boolean",
            Self::Number(_) => "Number",
            Self::String(_) => "String",
            Self::Array(_) => "Array",
            Self::Object(_) => "Object",
        }
    }

    /// Whether this is neither an array nor an object.
    #[must_use]
    pub fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// Whether a condition with this value holds. Null, false, 0, NaN and the empty string are falsy.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0 && !value.is_nan(),
            Self::String(value) => !value.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// Returns the names of an object and its values as text, as in `env`; empty for other values.
    #[must_use]
    pub fn texts(&self) -> Vec<(String, String)> {
        match self {
            Self::Object(object) => object.iter().map(|(name, value)| (name.to_owned(), value.to_text())).collect(),
            _ => Vec::new(),
        }
    }

    /// Converts to text as GitHub does: empty for null, at most 15 significant digits for a number, and the words
    /// `Array` and `Object` for arrays and objects.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => number::format(*value),
            Self::String(value) => value.to_string(),
            Self::Array(_) | Self::Object(_) => self.kind().to_owned(),
        }
    }

    /// Converts to a number as GitHub does: 0 for null and the empty string, NaN for strings that are not numbers and
    /// for arrays and objects.
    #[must_use]
    pub fn to_number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number(value) => *value,
            Self::String(value) => number::parse(value),
            Self::Array(_) | Self::Object(_) => f64::NAN,
        }
    }

    /// Returns the property of an object; `None` for other values.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(name),
            _ => None,
        }
    }

    /// Compares like the language's `==`: strings without regard to case, arrays and objects by identity, and
    /// everything else as numbers.
    #[must_use]
    pub fn loosely_equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(left), Self::String(right)) => text::equal(left, right),
            (Self::Array(left), Self::Array(right)) => Arc::ptr_eq(left, right),
            (Self::Object(left), Self::Object(right)) => Arc::ptr_eq(left, right),
            // An array or object converts to NaN, which equals nothing.
            _ => self.to_number().partial_cmp(&other.to_number()) == Some(Ordering::Equal),
        }
    }

    /// Compares like the language's `<` and `>`: strings without regard to case, and everything else as numbers. `None`
    /// for two nulls, and if a number is NaN.
    #[must_use]
    pub fn loosely_compares(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => None,
            (Self::String(left), Self::String(right)) => Some(text::compare(left, right)),
            _ => self.to_number().partial_cmp(&other.to_number()),
        }
    }

    /// Returns the value as a literal of the language: strings in quotes, other primitives plain, and the words `Array`
    /// and `Object` for arrays and objects.
    #[must_use]
    pub fn to_literal(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::String(value) => format!("'{}'", value.replace('\'', "''")),
            _ => self.to_text(),
        }
    }

    /// Converts to JSON. Numbers that JSON cannot represent become null; integers have no fraction.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json::to_serde(self)
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(value) => Self::Number(value.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(value) => Self::string(value),
            serde_json::Value::Array(items) => Self::array(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => {
                Self::object(entries.into_iter().map(|(name, value)| (name, Self::from(value))).collect())
            }
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(Arc::from(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(json: serde_json::Value) -> Value {
        Value::from(json)
    }

    #[test]
    fn values_coerce_as_on_github() {
        for (json, kind, truthy, text, number) in [
            (json!(null), "Null", false, "", 0.0),
            (json!(false), "Boolean", false, "false", 0.0),
            (json!(true), "Boolean", true, "true", 1.0),
            (json!(0), "Number", false, "0", 0.0),
            (json!(-1.5), "Number", true, "-1.5", -1.5),
            (json!(""), "String", false, "", 0.0),
            (json!("false"), "String", true, "false", f64::NAN),
            (json!(" 0x10 "), "String", true, " 0x10 ", 16.0),
            (json!([]), "Array", true, "Array", f64::NAN),
            (json!({}), "Object", true, "Object", f64::NAN),
        ] {
            let value = value(json.clone());
            assert_eq!(value.kind(), kind);
            assert_eq!(value.is_truthy(), truthy, "{json}");
            assert_eq!(value.to_text(), text, "{json}");
            assert_eq!(number::format(value.to_number()), number::format(number), "{json}");
        }
        assert!(!Value::Number(f64::NAN).is_truthy());
    }

    #[test]
    fn equality_is_loose() {
        for (left, right, equal) in [
            (json!(null), json!(null), true),
            (json!(null), json!(false), true),
            (json!(null), json!(""), true),
            (json!(null), json!(0), true),
            (json!(null), json!("null"), false),
            (json!(true), json!("1"), true),
            (json!(true), json!("true"), false),
            (json!(1), json!(" 1.0 "), true),
            (json!("Main"), json!("mAIN"), true),
            (json!("1"), json!("1.0"), false),
            (json!([]), json!([]), false),
            (json!([]), json!("Array"), false),
            (json!({}), json!(null), false),
        ] {
            assert_eq!(value(left.clone()).loosely_equals(&value(right.clone())), equal, "{left} == {right}");
            assert_eq!(value(right.clone()).loosely_equals(&value(left.clone())), equal, "{right} == {left}");
        }
        let array = value(json!([]));
        assert!(array.loosely_equals(&array.clone()));
        assert!(!Value::Number(f64::NAN).loosely_equals(&Value::Number(f64::NAN)));
    }

    #[test]
    fn order_is_loose() {
        for (left, right, order) in [
            (json!(1), json!("2"), Some(Ordering::Less)),
            (json!(null), json!(null), None),
            (json!(null), json!(false), Some(Ordering::Equal)),
            (json!(false), json!(true), Some(Ordering::Less)),
            (json!("b"), json!("A"), Some(Ordering::Greater)),
            (json!("10"), json!("9"), Some(Ordering::Less)),
            (json!("10"), json!(9), Some(Ordering::Greater)),
            (json!("a"), json!(1), None),
            (json!([]), json!([]), None),
        ] {
            assert_eq!(value(left.clone()).loosely_compares(&value(right.clone())), order, "{left} {right}");
        }
    }

    #[test]
    fn values_are_written_as_literals() {
        for (json, literal) in [
            (json!(null), "null"),
            (json!(true), "true"),
            (json!(1.5), "1.5"),
            (json!("it's"), "'it''s'"),
            (json!([1]), "Array"),
            (json!({}), "Object"),
        ] {
            assert_eq!(value(json).to_literal(), literal);
        }
    }

    proptest! {
        #[test]
        fn equality_is_symmetric(left in any_value(), right in any_value()) {
            prop_assert_eq!(left.loosely_equals(&right), right.loosely_equals(&left));
            prop_assert_eq!(left.loosely_compares(&right), right.loosely_compares(&left).map(Ordering::reverse));
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<f64>().prop_map(Value::Number),
            "[a-c0-2. ]{0,3}".prop_map(Value::string),
            Just(Value::array(Vec::new())),
            Just(Value::object(Object::default())),
        ]
    }
}
