//! The answers of a server as types.
//!
//! Every field is optional, and a field with a value of another type counts as missing, so that a server can add, drop or
//! change one without harm to the rest. Unknown words survive (see [`words`]). One odd element of a list is left out and
//! counted, see [`List`].
//!
//! - [`words`]: the words of states, and the table that maps them to the model
//! - [`runs`]: runs, jobs and steps
//! - [`checks`]: annotations and check runs
//! - [`deployments`]: environments, deployments and reviews
//! - [`repository`]: workflows, runners, artifacts, caches, commits, concurrency groups, the user and its limits
//! - [`gitea`]: what Gitea answers differently, rewritten before it is parsed

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::Timestamp;

pub mod checks;
pub mod deployments;
pub mod gitea;
pub mod repository;
pub mod runs;
pub mod words;

/// Defines types of answers, see the module's documentation.
macro_rules! answers {
    ($($(#[$about:meta])* pub struct $name:ident { $($(#[$of_field:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {$(
            $(#[$of_field])*
            #[serde(deserialize_with = "super::lenient")]
            pub $field: Option<$type>,
        )*}
    )*};
}
use answers;

/// Parses a value; one of another type counts as missing.
fn lenient<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(if value.is_null() { None } else { serde_json::from_value(value).ok() })
}

/// A list of objects of which single elements may be unreadable.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T> {
    /// The readable elements, in order.
    pub items: Vec<T>,
    /// Number of the others.
    pub unreadable: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), unreadable: 0 }
    }
}

impl<T: DeserializeOwned> List<T> {
    /// Parses the elements of an array.
    #[must_use]
    pub fn of(values: Vec<Value>) -> Self {
        let count = values.len();
        let objects = values.into_iter().filter(Value::is_object);
        let parsed = objects.filter_map(|value| serde_json::from_value(value).ok());
        let items: Vec<T> = parsed.collect();
        Self { unreadable: count - items.len(), items }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(Vec::deserialize(deserializer)?))
    }
}

/// A page of a list, as servers send it: an array, or an object with the total number and the array under a name that
/// depends on the kind of the elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The elements.
    pub list: List<T>,
    /// Number of elements on all pages, where the server names it.
    pub total: Option<u64>,
}

impl<T: DeserializeOwned> Page<T> {
    /// Parses the body of an answer. `None` if it is not JSON, or not a page.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().and_then(Self::of)
    }

    /// Parses a page. `None` if it is neither an array nor an object with one.
    #[must_use]
    pub fn of(body: Value) -> Option<Self> {
        match body {
            Value::Array(values) => Some(Self { list: List::of(values), total: None }),
            Value::Object(mut fields) => {
                let total = fields.get("total_count").and_then(Value::as_u64);
                let values = fields.values_mut().find_map(Value::as_array_mut).map(std::mem::take);
                match (values, total) {
                    (Some(values), total) => Some(Self { list: List::of(values), total }),
                    // Gitea sends null for an empty list.
                    (None, Some(0)) => Some(Self { list: List::default(), total }),
                    (None, _) => None,
                }
            }
            _ => None,
        }
    }
}

/// A time as `2026-01-15T09:00:03Z`, with any number of digits and any zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        time(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not a time"))
    }
}

/// Parses a time. `None` for one before 1970, too.
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::repository::User;
    use super::runs::Job;
    use super::*;

    #[test]
    fn one_odd_element_does_not_fail_its_page() {
        let page = Page::<Job>::of(json!({"total_count": 4, "jobs": [{"id": 1}, "odd", {"id": 2, "name": 7}, [1]]}));
        let page = page.expect("a page");
        assert_eq!((page.list.items.len(), page.list.unreadable, page.total), (2, 2, Some(4)));
        assert_eq!((page.list.items[1].id, page.list.items[1].name.as_ref()), (Some(2), None), "one odd field");
        assert_eq!(Page::<Job>::of(json!([{"id": 1}])).expect("an array").list.items.len(), 1);
        assert_eq!(Page::<Job>::of(json!({"total_count": 0, "jobs": null})).expect("none").list.items, []);
        assert_eq!((Page::<Job>::of(json!({"message": "Not Found"})), Page::<Job>::of(json!("x"))), (None, None));
    }

    #[test]
    fn times_are_those_of_any_zone_and_precision() {
        assert_eq!(time("1970-01-01T00:00:01Z"), Some(Timestamp(1000)));
        assert_eq!(time("2026-01-15T10:00:03.1234567+01:00"), time("2026-01-15T09:00:03.123Z"));
        for odd in ["0001-01-01T00:00:00Z", "yesterday", ""] {
            assert_eq!(time(odd), None, "{odd}");
        }
    }

    #[test]
    fn ids_are_those_of_64_bits() {
        let user: User = serde_json::from_value(json!({"id": u64::MAX, "login": null, "more": [1]})).expect("parsed");
        assert_eq!((user.id, user.login), (Some(u64::MAX), None));
    }
}
