//! The server's answers as types.
//!
//! Every field is optional, and a value of an unexpected type counts as missing, so the server can add, drop or change
//! a field without affecting the others. Unknown words are kept (see [`words`]). Unreadable elements of a list are
//! dropped and counted, see [`List`]. Texts are cut to [`LONGEST_NAME`] or [`LONGEST_MESSAGE`] characters.
//!
//! - [`lenient`]: the parsing of a field, and its limits
//! - [`words`]: the words of states, and the table that maps them to the model
//! - [`runs`]: runs, jobs and steps
//! - [`checks`]: annotations and check runs
//! - [`deployments`]: environments, deployments and reviews
//! - [`repository`]: workflows, runners, artifacts, caches, commits, concurrency groups, users and rate limits
//! - [`gitea`]: rewrites Gitea's answers before they are parsed

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Timestamp;

pub mod checks;
pub mod deployments;
pub mod gitea;
mod lenient;
pub mod repository;
pub mod runs;
pub mod words;

use lenient::Lenient;
pub use lenient::{Field, LONGEST_MESSAGE, LONGEST_NAME, Message};

/// Maximum number of elements of one list in an answer: servers send at most 100 per page. Further elements are counted
/// and dropped.
pub const MAX_ELEMENTS: usize = 1_000;

/// Defines types of answers; see the documentation of this module.
macro_rules! answers {
    ($($(#[$about:meta])* pub struct $name:ident { $($(#[$of_field:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {$(
            $(#[$of_field])*
            pub $field: Option<$type>,
        )*}

        impl super::Field for $name {}

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        to.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut fields: A) -> Result<$name, A::Error> {
                        let mut answer = $name::default();
                        while let Some(field) = fields.next_key::<String>()? {
                            $(if field == stringify!($field).trim_start_matches("r#") {
                                answer.$field = fields.next_value_seed(super::lenient::Lenient::new())?;
                                continue;
                            })*
                            fields.next_value::<serde::de::IgnoredAny>()?;
                        }
                        Ok(answer)
                    }
                }

                deserializer.deserialize_map(Fields)
            }
        }
    )*};
}
use answers;

/// A list in which single elements may be unreadable.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T> {
    /// The readable elements, in order: the first [`MAX_ELEMENTS`].
    pub items: Vec<T>,
    /// Number of unreadable elements.
    pub unreadable: usize,
    /// Number of elements above the limit.
    pub cut: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), unreadable: 0, cut: 0 }
    }
}

impl<'de, T: Field> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

/// Reads a list.
struct Elements<T>(PhantomData<T>);

impl<'de, T: Field> Visitor<'de> for Elements<T> {
    type Value = List<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List<T>, A::Error> {
        let mut list = List::default();
        while list.items.len() < MAX_ELEMENTS {
            match elements.next_element_seed(Lenient::new())? {
                Some(Some(item)) => list.items.push(item),
                Some(None) => list.unreadable += 1,
                None => return Ok(list),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {
            list.cut += 1;
        }
        Ok(list)
    }
}

/// A page of a list, as servers send it: an array, or an object with the total number and the array.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The elements.
    pub list: List<T>,
    /// Number of elements on all pages, if the server reports it.
    pub total: Option<u64>,
}

impl<T: Field> Page<T> {
    /// Parses a page. `name` is the key of the array if the page is an object. `None` if the page is neither an array
    /// nor an object with this key.
    #[must_use]
    pub fn read(body: &[u8], name: &str) -> Option<Self> {
        let reader = PageReader { name, of: PhantomData };
        reader.deserialize(&mut serde_json::Deserializer::from_slice(body)).ok().flatten()
    }
}

/// Reads a page.
struct PageReader<'n, T> {
    name: &'n str,
    of: PhantomData<T>,
}

impl<'de, T: Field> DeserializeSeed<'de> for PageReader<'_, T> {
    type Value = Option<Page<T>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Field> Visitor<'de> for PageReader<'_, T> {
    type Value = Option<Page<T>>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a page of a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        Ok(Some(Page { list: Elements(PhantomData).visit_seq(elements)?, total: None }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut list, mut total) = (None, None);
        while let Some(field) = fields.next_key::<String>()? {
            if field == self.name {
                list = fields.next_value_seed(Lenient::new())?;
            } else if field == "total_count" {
                total = fields.next_value_seed(Lenient::new())?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        // Gitea sends null for an empty list.
        let list = list.or((total == Some(0)).then(List::default));
        Ok(list.map(|list| Page { list, total }))
    }
}

/// A time such as `2026-01-15T09:00:03Z`, with any number of fractional digits and any time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        time(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not a time"))
    }
}

/// Parses a time. `None` if it is before 1970 or invalid.
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::checks::Annotation;
    use super::repository::User;
    use super::runs::Job;
    use super::*;

    fn jobs(body: &serde_json::Value) -> Option<Page<Job>> {
        Page::read(body.to_string().as_bytes(), "jobs")
    }

    #[test]
    fn one_odd_element_does_not_fail_its_page() {
        let odd = json!({"total_count": 4, "jobs": [{"id": 1}, "odd", {"id": 2, "name": 7}, [1]]});
        let page = jobs(&odd).expect("a page");
        assert_eq!((page.list.items.len(), page.list.unreadable, page.total), (2, 2, Some(4)));
        assert_eq!((page.list.items[1].id, page.list.items[1].name.as_ref()), (Some(2), None), "one odd field");
        assert_eq!(jobs(&json!([{"id": 1}])).expect("an array").list.items.len(), 1);
        assert_eq!(jobs(&json!({"total_count": 0, "jobs": null})).expect("none").list.items, []);
        assert_eq!((jobs(&json!({"message": "Not Found"})), jobs(&json!("x"))), (None, None));
    }

    #[test]
    fn an_array_of_another_name_is_not_the_list() {
        let page = jobs(&json!({"aaa": [], "jobs": [{"id": 1}], "zzz": [{"id": 2}]})).expect("a page");
        assert_eq!(page.list.items.iter().map(|job| job.id).collect::<Vec<_>>(), [Some(1)]);
    }

    #[test]
    fn a_field_of_another_type_leaves_the_rest_of_the_page_readable() {
        for odd in [json!([[1], {"a": {}}]), json!({"a": [1, {"b": null}]}), json!(-1), json!(1.5), json!(true)] {
            let fields = ["id", "name", "status", "created_at", "steps", "labels"];
            let mut job = json!({"run_id": 7, "z": odd});
            for field in fields {
                job[field] = odd.clone();
            }
            let page = jobs(&json!({"jobs": [job, {"id": 2}]})).unwrap_or_else(|| panic!("{odd}"));
            let ids: Vec<_> = page.list.items.iter().map(|job| (job.id, job.run_id)).collect();
            assert_eq!(ids, [(None, Some(7)), (Some(2), None)], "{odd}");
        }
        let twice: Job = serde_json::from_str(r#"{"id": 1, "id": 2, "name": "a"}"#).expect("parsed");
        assert_eq!((twice.id, twice.name.as_deref()), (Some(2), Some("a")), "a field that comes twice");
    }

    #[test]
    fn long_texts_and_lists_are_cut() {
        let long = "ü".repeat(LONGEST_NAME + 1);
        let job: Job = serde_json::from_value(json!({"name": long, "labels": [long, 1, "b"]})).expect("parsed");
        let cut = format!("{}…", "ü".repeat(LONGEST_NAME));
        let labels = List { items: vec![cut.clone(), "b".to_owned()], unreadable: 1, cut: 0 };
        assert_eq!((job.name, job.labels), (Some(cut), Some(labels)));
        let whole = "ü".repeat(LONGEST_NAME);
        let job: Job = serde_json::from_value(json!({"name": whole})).expect("parsed");
        assert_eq!(job.name, Some(whole));
        let note: Annotation = serde_json::from_value(json!({"title": long, "message": long})).expect("parsed");
        assert_eq!((note.title.expect("a title").len(), note.message.expect("a message").len()), (2003, 2002));
        let page = jobs(&json!({"jobs": vec![json!({}); MAX_ELEMENTS + 5]})).expect("a page");
        assert_eq!((page.list.items.len(), page.list.cut), (MAX_ELEMENTS, 5));
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
