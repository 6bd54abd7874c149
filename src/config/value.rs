//! Values of settings: parses the text of variables, converts values to types, and formats them as TOML.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeValue;

/// Why a value is not valid for a setting. The message continues a text that starts with the setting's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The value has another type or form.
    #[error("must be {wanted}, not `{given}`")]
    Other {
        /// Description of the values that the setting takes.
        wanted: String,
        /// The value, as it was written.
        given: String,
    },
    /// A repository's file places jobs on the host, which only the user's file may do.
    #[error("cannot be `host` in a repository, only in the user's config.toml")]
    HostInRepository,
}

/// A value from a file or an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// An integer.
    Number(i64),
    /// A boolean.
    Bool(bool),
    /// A string.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
    /// A value that no setting accepts, described for an error message.
    Other(String),
}

impl SettingValue {
    /// Parses the text of an environment variable.
    pub(super) fn of_text(text: &str) -> Self {
        match (text.parse(), text.parse()) {
            (Ok(number), _) => Self::Number(number),
            (_, Ok(yes)) => Self::Bool(yes),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// Returns the text of a string; empty for any other kind of value.
    pub(super) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// Returns the error for a setting that takes other values.
    pub(super) fn is_not(&self, wanted: impl Into<String>) -> ValueError {
        ValueError::Other { wanted: wanted.into(), given: self.written() }
    }

    pub(super) fn number(&self, least: usize) -> Result<usize, ValueError> {
        let number = if let Self::Number(number) = self { usize::try_from(*number).ok() } else { None };
        let wrong = || self.is_not(format!("a number of at least {least}"));
        number.filter(|number| *number >= least).ok_or_else(wrong)
    }

    pub(super) fn boolean(&self) -> Result<bool, ValueError> {
        let Self::Bool(yes) = self else { return Err(self.is_not("true or false")) };
        Ok(*yes)
    }

    /// Returns a text without surrounding spaces; `None` if it is empty.
    pub(super) fn name(&self) -> Result<Option<String>, ValueError> {
        let Self::Text(text) = self else { return Err(self.is_not("a string")) };
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Returns a command; `None` if it is empty.
    pub(super) fn command(&self) -> Result<Option<String>, ValueError> {
        let Self::Text(command) = self else { return Err(self.is_not("a command")) };
        Ok(Some(command.clone()).filter(|command| !command.trim().is_empty()))
    }

    /// Returns the choice that the value names. The error lists the names of all choices.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ValueError> {
        let found = words.iter().find(|(word, _)| matches!(self, Self::Text(text) if text == word));
        let names: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let wanted = |(last, first): (&String, &[String])| format!("{} or {last}", first.join(", "));
        found.map(|(_, meant)| *meant).ok_or_else(|| self.is_not(names.split_last().map(wanted).unwrap_or_default()))
    }

    pub(super) fn written(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Bool(yes) => yes.to_string(),
            Self::Text(text) | Self::Other(text) => text.clone(),
            Self::List(items) => items.join(", "),
        }
    }
}

/// Returns the name of a choice as a TOML string.
pub(super) fn word<T: Copy + PartialEq>(words: &[(&str, T)], meant: T) -> String {
    words.iter().find(|(_, one)| *one == meant).map(|(word, _)| quoted(word)).unwrap_or_default()
}

/// Formats texts as a TOML array.
pub(super) fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// Formats a value as TOML in one line.
pub(super) fn to_toml(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| to_toml(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) if table.is_empty() => "{}".to_owned(),
        DeValue::Table(table) => {
            let entry = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                format!("{} = {}", bare(key.get_ref()), to_toml(value.get_ref()))
            };
            format!("{{ {} }}", table.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Returns the type of a value, with its article, for error messages.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Formats text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    if !text.contains(char::is_control) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    // `toml` would write a newline as it is, which is not allowed in a key, and the text after it could look like
    // another setting.
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// Formats a name as a TOML key, quoted only if necessary.
pub(super) fn bare(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if plain { name.to_owned() } else { quoted(name) }
}
