//! Parses one field of an answer. Only the parts of a value that the field uses are kept, so a malformed answer needs
//! no more memory than its own size.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::value::{Error as ValueError, MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::{List, Time};

/// Maximum number of characters of a name, title, label or address. Longer ones end in `…`.
pub const LONGEST_NAME: usize = 1_000;

/// Maximum number of characters of a [`Message`]. Longer ones end in `…`.
pub const LONGEST_MESSAGE: usize = 20_000;

/// A type that a field of an answer can have.
///
/// Parsing must consume a list or an object either completely or not at all, so that the rest of the answer can be
/// parsed.
pub trait Field: DeserializeOwned {
    /// Maximum number of characters, for texts.
    const LONGEST: usize = LONGEST_NAME;
}

impl Field for bool {}
impl Field for u32 {}
impl Field for u64 {}
impl Field for String {}
impl Field for Time {}
impl<T: Field> Field for List<T> {}

/// A multi-line text: the message of a commit or an annotation, a comment, a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Message(pub String);

impl Field for Message {
    const LONGEST: usize = LONGEST_MESSAGE;
}

impl Deref for Message {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Parses a value; one of another type counts as missing.
pub(super) struct Lenient<T>(PhantomData<T>);

impl<T> Lenient<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Field> DeserializeSeed<'de> for Lenient<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn scalar<'de, T: Field>(value: impl IntoDeserializer<'de, ValueError>) -> Option<T> {
    T::deserialize(value.into_deserializer()).ok()
}

impl<'de, T: Field> Visitor<'de> for Lenient<T> {
    type Value = Option<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<T>, E> {
        Ok(scalar(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<T>, E> {
        Ok(scalar(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<T>, E> {
        Ok(scalar(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<T>, E> {
        Ok(scalar(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        Ok(match text.char_indices().nth(T::LONGEST) {
            Some((end, _)) => scalar(format!("{}…", &text[..end])),
            None => scalar(text),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Option<T>, A::Error> {
        let value = T::deserialize(SeqAccessDeserializer::new(&mut elements)).ok();
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<T>, A::Error> {
        let value = T::deserialize(MapAccessDeserializer::new(&mut fields)).ok();
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}
