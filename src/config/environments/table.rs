//! A TOML table that is read key by key. Keys that were never read are reported as errors at the end.

use std::time::Duration;

use indexmap::IndexSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::ConfigError;
use super::super::file::position;
use super::super::value::{to_toml, type_of};
use crate::model::nearest;

/// The file that a table is in.
#[derive(Clone, Copy)]
pub(super) struct FileText<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

/// Keys whose values may be secrets, which errors therefore do not repeat.
const SECRET_KEYS: [&str; 4] = ["notify", "slack", "webhook", "webhook_key"];

/// A table, and the keys that were read.
pub(super) struct Table<'t> {
    file: FileText<'t>,
    /// Full name.
    name: String,
    /// Position of the table's name in the file, in bytes.
    start: usize,
    entries: &'t DeTable<'t>,
    /// Keys that were looked up, each once.
    known: IndexSet<&'static str>,
}

impl<'t> Table<'t> {
    pub(super) fn new(file: FileText<'t>, name: String, start: usize, table: &'t DeTable<'t>) -> Self {
        Self { file, name, start, entries: table, known: IndexSet::new() }
    }

    /// Returns the keys of the table in the order of the file, each with its position and value.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t str, usize, &'t DeValue<'t>)> + use<'t> {
        let mut entries: Vec<_> =
            self.entries.iter().map(|(key, value)| (&**key.get_ref(), key.span().start, value.get_ref())).collect();
        // Restores the order of the file, because the parser sorts keys by name.
        entries.sort_by_key(|(_, start, _)| *start);
        entries.into_iter()
    }

    /// Returns the whole table.
    pub(super) fn all(&self) -> &'t DeTable<'t> {
        self.entries
    }

    fn value(&mut self, key: &'static str) -> Option<&'t DeValue<'t>> {
        self.known.insert(key);
        self.entries.get(key).map(Spanned::get_ref)
    }

    fn position(&self, start: usize) -> String {
        position(self.file.name, self.file.text, start)
    }

    /// Returns an error about the table itself. `reason` continues a message that starts with the table's name.
    pub(super) fn lacks(&self, reason: &str) -> ConfigError {
        ConfigError::Invalid { origin: self.position(self.start), reason: format!("`{}` {reason}", self.name) }
    }

    /// Returns an error about a key. `reason` continues a message that starts with the key's name.
    pub(super) fn wrong(&self, key: &str, reason: &str) -> ConfigError {
        let found = self.entries.iter().find(|(name, _)| *name.get_ref() == key);
        let start = found.map_or(self.start, |(name, _)| name.span().start);
        ConfigError::Invalid { origin: self.position(start), reason: format!("`{}.{key}` {reason}", self.name) }
    }

    fn is_not(&self, key: &str, wanted: &str, value: &DeValue<'_>) -> ConfigError {
        let given = match value {
            DeValue::Array(_) | DeValue::Table(_) => type_of(value).to_owned(),
            _ if SECRET_KEYS.contains(&key) => type_of(value).to_owned(),
            DeValue::String(text) => format!("`{text}`"),
            other => format!("`{}`", to_toml(other)),
        };
        self.wrong(key, &format!("must be {wanted}, not {given}"))
    }

    /// Whether the table has a key. This does not count as reading it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether a key is set to `false` in place of a table. This counts as reading the key.
    pub(super) fn is_off(&mut self, key: &'static str) -> bool {
        matches!(self.value(key), Some(DeValue::Boolean(false)))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<&'t str>, ConfigError> {
        match self.value(key) {
            None => Ok(None),
            Some(DeValue::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            Some(DeValue::String(_)) => Err(self.wrong(key, "is empty")),
            Some(other) => Err(self.is_not(key, "a string", other)),
        }
    }

    /// Returns the strings of a list; empty if the key is missing. A single string counts as a list of one.
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<&'t str>, ConfigError> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(DeValue::String(text)) => Ok(vec![text]),
            Some(DeValue::Array(items)) => {
                let texts: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                texts.ok_or_else(|| self.wrong(key, "must be a string or a list of strings"))
            }
            Some(other) => Err(self.is_not(key, "a string or a list of strings", other)),
        }
    }

    /// Returns the value of a key if it is a string. This does not count as reading it.
    pub(super) fn lone_text(&self, key: &str) -> Option<&'t str> {
        self.entries.get(key).and_then(|value| value.get_ref().as_str())
    }

    /// Returns the same strings as [`Self::texts`], owned.
    pub(super) fn owned_texts(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        Ok(self.texts(key)?.into_iter().map(str::to_owned).collect())
    }

    pub(super) fn number(&mut self, key: &'static str, least: u32) -> Result<Option<u32>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = match value {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let wanted = || self.is_not(key, &format!("a number of at least {least}"), value);
        number.filter(|number| *number >= least).map(Some).ok_or_else(wanted)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        match self.value(key) {
            None => Ok(None),
            Some(DeValue::Boolean(yes)) => Ok(Some(*yes)),
            Some(other) => Err(self.is_not(key, "true or false", other)),
        }
    }

    pub(super) fn length(&mut self, key: &'static str) -> Result<Option<Duration>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let length = value.as_str().and_then(length);
        length.map(Some).ok_or_else(|| self.is_not(key, "a length of time such as `90s`, `10m` or `1h30m`", value))
    }

    /// Returns a duration, or `default` if the key is missing.
    pub(super) fn length_or(&mut self, key: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        Ok(self.length(key)?.unwrap_or(default))
    }

    /// Reads a table if it exists.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Table<'t>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.table(key)?.map(read).transpose()
    }

    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Table<'t>>, ConfigError> {
        match self.value(key) {
            None => Ok(None),
            Some(DeValue::Table(table)) => {
                let start = self.entries.iter().find(|(name, _)| *name.get_ref() == key);
                let start = start.map_or(self.start, |(name, _)| name.span().start);
                Ok(Some(Self::new(self.file, format!("{}.{key}", self.name), start, table)))
            }
            Some(other) => Err(self.is_not(key, "a table", other)),
        }
    }

    /// Returns the error about a key that was not read and resembles this one, which is missing.
    pub(super) fn misspelled(&self, missing: &str) -> Option<ConfigError> {
        let mut unread = self.entries().filter(|(key, ..)| !self.known.contains(key));
        let (key, ..) = unread.find(|(key, ..)| nearest(key, [missing]).is_some())?;
        Some(self.wrong(key, &format!("is unknown; did you mean `{missing}`?")))
    }

    /// Checks that every key of the table was read.
    pub(super) fn finish(&self) -> Result<(), ConfigError> {
        let mut entries = self.entries();
        let Some((key, _, value)) = entries.find(|(key, ..)| !self.known.contains(key)) else { return Ok(()) };
        let known: Vec<_> = self.known.iter().copied().collect();
        let belongs_here = match value {
            DeValue::Table(inner) => inner.keys().any(|inner| self.known.contains(&**inner.get_ref())),
            _ => false,
        };
        let hint = match nearest(key, known.iter().copied()) {
            _ if belongs_here => format!("write its keys in [{}]", self.name),
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        Err(self.wrong(key, &format!("is unknown; {hint}")))
    }
}

/// Parses a duration such as `1h30m`, or `0`. `None` if the text is not a duration or is negative.
pub(super) fn length(text: &str) -> Option<Duration> {
    let text = if text.trim() == "0" { "0s" } else { text };
    crate::model::deployment::parsed(text)
}
