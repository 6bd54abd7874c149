//! `config`: the current settings, or all settings with explanations.

use std::path::PathBuf;

use crate::app::keymap::{Keymap, KeymapError};
use crate::config;
use crate::config::Config;
use crate::repo::git::Repository;
use crate::report::{lists, style};
use crate::ui::terminal_text::TerminalText;

use super::{Exit, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print all settings with explanations, as a configuration file
    #[arg(long)]
    example: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.example {
        style::print(&TerminalText::lines(&config::example()))?;
        return Ok(Exit::Success);
    }
    let config = load(repository().as_deref())?;
    keymap(&config)?;
    style::print(&if style::is_linear() { lists::settings(&config) } else { TerminalText::lines(&config.describe()) })?;
    Ok(Exit::Success)
}

/// Returns the root of the repository around the current folder, if any.
pub(super) fn repository() -> Option<PathBuf> {
    let folder = std::env::current_dir().ok()?;
    Repository::discover(&folder).ok().map(|repository| repository.root)
}

/// Loads the current settings.
pub(super) fn load(repository: Option<&std::path::Path>) -> Result<Config, Failure> {
    Ok(Config::load(repository)?)
}

/// Returns the key bindings of the screen.
pub(super) fn keymap(config: &Config) -> Result<Keymap, Failure> {
    let changes = config.keys.iter().map(|(action, keys)| (action.as_str(), keys.clone()));
    Keymap::new(changes).map_err(|error| {
        let action = match &error {
            KeymapError::UnknownAction { name, .. } | KeymapError::UnknownKey { name, .. } => name.as_str(),
            KeymapError::Unreachable { name } => name,
            KeymapError::Conflict { first, second, .. } | KeymapError::Prefix { first, second, .. } => {
                if config.keys.contains_key(*first) { first } else { second }
            }
        };
        let place = config.origin(&format!("keys.{action}")).map(|place| format!("{place}: ")).unwrap_or_default();
        Failure::new(Exit::Usage, format!("{place}{error}"))
    })
}
