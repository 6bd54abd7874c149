//! Reads a TOML file as a flat list of settings with their positions.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{to_toml, type_of};
use super::{ConfigError, SettingValue, environments, settings};

/// A setting in a file.
pub(super) struct FileSetting {
    /// Full name, including its table.
    pub(super) name: String,
    /// `file:line:column` of the name.
    pub(super) origin: String,
    pub(super) value: SettingValue,
}

/// Parses a file.
pub(super) fn parse<'t>(file: &str, text: &'t str) -> Result<Spanned<DeTable<'t>>, ConfigError> {
    DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        ConfigError::Invalid { origin: position(file, text, start), reason: error.message().to_owned() }
    })
}

/// Returns the settings of a file in the order of the file, without the tables of environments and notifications.
pub(super) fn entries(file: &str, text: &str, document: &DeTable<'_>) -> Vec<FileSetting> {
    let mut entries: Vec<(usize, FileSetting)> = Vec::new();
    let is_own = |key: &str| key != environments::TABLE && key != environments::NOTIFY;
    for (key, value) in document.iter().filter(|(key, _)| is_own(key.get_ref())) {
        let mut add = |name: &[&str], start: usize, value: &DeValue<'_>| {
            let setting = FileSetting { name: name.join("."), origin: position(file, text, start), value: read(value) };
            entries.push((start, setting));
        };
        match value.get_ref() {
            DeValue::Table(table) => flatten(&[key.get_ref()], table, &mut add),
            other => add(&[key.get_ref()], key.span().start, other),
        }
    }
    // Restores the order of the file, because the parser sorts keys by name.
    entries.sort_by_key(|(start, _)| *start);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// Adds the settings of a table and of its nested tables. A nested table without known settings is added as one value.
fn flatten(name: &[&str], table: &DeTable<'_>, add: &mut impl FnMut(&[&str], usize, &DeValue<'_>)) {
    for (key, value) in table {
        let name = [name, &[key.get_ref()]].concat();
        match value.get_ref() {
            DeValue::Table(inner) if settings::is_table(&name) => flatten(&name, inner, add),
            other => add(&name, key.span().start, other),
        }
    }
}

/// Returns `file:line:column` of a position in bytes.
pub(super) fn position(file: &str, text: &str, start: usize) -> String {
    let before = &text[..text.floor_char_boundary(start)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{file}:{line}:{column}")
}

fn read(value: &DeValue<'_>) -> SettingValue {
    match value {
        DeValue::String(text) => SettingValue::Text(text.to_string()),
        DeValue::Boolean(yes) => SettingValue::Bool(*yes),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => SettingValue::Number(number),
            Err(_) => SettingValue::Other(number.to_string()),
        },
        DeValue::Array(items) => {
            let texts: Option<Vec<_>> =
                items.iter().map(Spanned::get_ref).map(|item| item.as_str().map(str::to_owned)).collect();
            texts.map_or_else(|| SettingValue::Other(type_of(value).to_owned()), SettingValue::List)
        }
        DeValue::Table(_) => SettingValue::Other(type_of(value).to_owned()),
        DeValue::Float(_) | DeValue::Datetime(_) => SettingValue::Other(to_toml(value)),
    }
}
