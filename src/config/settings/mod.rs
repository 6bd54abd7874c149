//! The type of a setting, and the lookup of settings by name. [`SETTINGS`] is the table of all settings.

use super::Config;
use super::value::{SettingValue, ValueError};

mod table;

pub use table::SETTINGS;

/// A setting of the configuration.
pub struct Setting {
    /// Full name, including its table. `<…>` is a placeholder for any name.
    pub name: &'static str,
    /// Description.
    pub doc: &'static str,
    /// Line of a file that sets the setting, below the heading of its table.
    pub example: &'static str,
    /// What a repository's file may do with the setting.
    pub repository: InRepository,
    /// Sets the value. The name in place of `<…>` is an argument.
    pub(super) set: fn(&mut Config, &str, &SettingValue) -> Result<(), ValueError>,
    /// Current values as TOML, each with the name in place of `<…>`.
    pub(super) show: fn(&Config) -> Vec<(String, String)>,
}

/// An unknown name of a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown setting `{name}`; {}", match near {
    Some(near) => format!("did you mean `{near}`?"),
    None => "`cuelight config --example` lists all settings".to_owned(),
})]
pub(super) struct UnknownSetting {
    name: String,
    /// A setting with a similar name.
    near: Option<&'static str>,
}

/// A configuration file. The user's file is read first; [`InRepository`] limits what the repository's file may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// The user's `config.toml`.
    User,
    /// The repository's `.cuelight.toml`.
    Repository,
}

/// What the file of a repository, which a stranger may have written, may do with a setting.
#[derive(Clone, Copy)]
pub enum InRepository {
    /// Nothing: it is an error there.
    Refused,
    /// Make it stricter. The function compares the configuration before and after, and returns whether the value is
    /// accepted.
    Tightens(fn(&Config, &Config) -> bool),
    /// Set names that the user's own settings leave open. The values become part of what the user trusts. The function
    /// validates the value and returns whether the user's settings leave it open.
    Names(fn(&Config, &str, &SettingValue) -> Result<bool, ValueError>),
}

impl Setting {
    /// Returns the name of the environment variable of this setting. `None` if the name of the setting has a `<…>`.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let name = self.name.to_ascii_uppercase().replace(['.', '-'], "_");
        (!name.contains('<')).then(|| format!("CUELIGHT_{name}"))
    }

    /// Matches a full name. Returns the part in place of `<…>`, or empty text if there is no `<…>`. `None` if the name
    /// does not match.
    fn fits<'n>(&self, name: &'n str) -> Option<&'n str> {
        match placeholder(self.name) {
            Some((before, after)) => name.strip_prefix(before)?.strip_suffix(after).filter(|label| !label.is_empty()),
            None => (name == self.name).then_some(""),
        }
    }
}

/// Returns the parts of a name before and after `<…>`; `None` if it has no `<…>`.
fn placeholder(name: &str) -> Option<(&str, &str)> {
    let (before, rest) = name.split_once('<')?;
    Some((before, rest.split_once('>').map_or("", |(_, after)| after)))
}

/// Returns a name in which `<…>` is replaced by a label.
pub(super) fn filled(name: &str, label: &str) -> String {
    placeholder(name).map_or_else(|| name.to_owned(), |(before, after)| format!("{before}{label}{after}"))
}

/// Whether a name, given in parts, is the name of a table that contains settings.
pub(super) fn is_table(name: &[&str]) -> bool {
    let is_above = |key: &Setting| {
        let parts: Vec<&str> = key.name.split('.').collect();
        let fits = |(part, name): (&&str, &&str)| part == name || part.starts_with('<');
        parts.len() > name.len() && parts.iter().zip(name).all(fits)
    };
    SETTINGS.iter().any(is_above)
}

/// Looks up a setting by its full name. Returns the setting and the part in place of `<…>`.
///
/// # Errors
/// The setting does not exist.
pub(super) fn find(name: &str) -> Result<(&'static Setting, &str), UnknownSetting> {
    if let Some(found) = SETTINGS.iter().find_map(|key| Some((key, key.fits(name)?))) {
        return Ok(found);
    }
    // Compares beginnings, because typos in the first letters are rare.
    let alike = |key: &&Setting| key.name.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let near = SETTINGS.iter().max_by_key(alike).filter(|key| alike(key) >= 4 && alike(key) * 2 > name.len());
    Err(UnknownSetting { name: name.to_owned(), near: near.map(|near| near.name) })
}
