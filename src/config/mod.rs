//! Settings: defaults, then the user's file, then the repository's, then the environment. Flags come on top, in `cli`.
//!
//! Every key is declared once, in [`SETTINGS`]: its name, what it does, who may set it, how it is read and how it is written.
//! Files, variables, `config.example.toml` and `cuelight config` all follow that table, and a test compares the example.

mod file;
mod screen;
mod settings;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

pub use screen::{ColourChoice, GlyphChoice, QuietHours, ScreenConfig};
pub use settings::{Layer, SETTINGS, Setting, SettingValue};

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many jobs may run at once on this machine, at least 1.
    pub max_parallel: usize,
    /// How many runs `clean` keeps.
    pub keep_runs: usize,
    /// Where jobs with a label run, by label in lower case: `host`, `docker` or `docker:IMAGE`.
    pub runs_on: IndexMap<String, String>,
    /// The image of jobs that run in Docker without naming one.
    pub image: String,
    /// Where actions come from, by `owner/name[/path][@ref]`: a folder or a server.
    pub actions: IndexMap<String, String>,
    /// Whether actions are taken only from what is kept here.
    pub offline: bool,
    /// Whether steps in Docker are started by a supervisor inside their container.
    pub supervisor: bool,
    /// What failed jobs in Docker left is kept of so many of them.
    pub keep_failed: usize,
    /// How the screen looks, and whom it calls.
    pub screen: ScreenConfig,
    /// The keys of actions that have others than their own, by the action's name. Whether an action has that name, and
    /// whether that is a key, is for the keymap to say.
    pub keys: IndexMap<String, Vec<String>>,
    /// Where each setting that is no default comes from, by its name.
    origins: IndexMap<String, String>,
}

/// An official image with git, node, python and a compiler, as the machines of GitHub have them.
const IMAGE: &str = "node:20-bookworm";

/// Whether a text names a place for jobs: `host`, `docker`, `docker:IMAGE`.
#[must_use]
pub fn is_sandbox(text: &str) -> bool {
    matches!(text, "host" | "docker") || text.strip_prefix("docker:").is_some_and(|image| !image.is_empty())
}

impl Default for Config {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            max_parallel: processors.max(2),
            keep_runs: 50,
            runs_on: IndexMap::new(),
            image: IMAGE.to_owned(),
            actions: IndexMap::new(),
            offline: false,
            supervisor: true,
            keep_failed: 5,
            screen: ScreenConfig::default(),
            keys: IndexMap::new(),
            origins: IndexMap::new(),
        }
    }
}

/// Why the settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or a variable says something that is no setting.
    #[error("{place}: {reason}")]
    Invalid {
        /// `file:line:column`, or the name of the variable.
        place: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

impl Config {
    /// The settings of this user in this repository.
    ///
    /// # Errors
    /// A file that is there cannot be read or understood, or a variable holds no fitting value.
    pub fn load(repository: Option<&Path>) -> Result<Self, ConfigError> {
        let user = directories::ProjectDirs::from("", "", "cuelight").map(|home| home.config_dir().join("config.toml"));
        let own = repository.map(|root| root.join(".cuelight.toml"));
        let mut config = Self::default();
        for (path, layer) in [(user, Layer::User), (own, Layer::Repository)] {
            let Some(path) = path else { continue };
            match fs::read_to_string(&path) {
                Ok(text) => config.read(&path.display().to_string(), &text, layer)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ConfigError::Unreadable { path, source }),
            }
        }
        config.read_environment(|name| env::var(name).ok())?;
        Ok(config)
    }

    /// Lays a file's settings over these.
    fn read(&mut self, name: &str, text: &str, layer: Layer) -> Result<(), ConfigError> {
        for entry in file::entries(name, text)? {
            let wrong = |reason| ConfigError::Invalid { place: entry.place.clone(), reason };
            let (key, label) = settings::find(&entry.name).map_err(wrong)?;
            if layer == Layer::Repository && key.layer == Layer::User {
                let reason = format!("`{}` is yours alone to set: a repository's file cannot", entry.name);
                return Err(wrong(reason));
            }
            (key.set)(self, label, &entry.value).map_err(|reason| wrong(format!("`{}` {reason}", entry.name)))?;
            self.origins.insert(entry.name, entry.place);
        }
        Ok(())
    }

    /// Lays the variables of the environment over these.
    fn read_environment(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        for key in SETTINGS {
            let Some(name) = key.variable() else { continue };
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            (key.set)(self, "", &SettingValue::of_text(&text))
                .map_err(|reason| ConfigError::Invalid { place: name.clone(), reason })?;
            self.origins.insert(key.name.to_owned(), name);
        }
        Ok(())
    }

    /// Where a setting comes from, by its full name: `file:line:column` or a variable. Defaults come from nowhere.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&str> {
        self.origins.get(name).map(String::as_str)
    }

    /// The settings in force as a file would say them, each with the place it comes from.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut table = "";
        let mut text = String::new();
        for key in SETTINGS {
            for (label, value) in (key.show)(self) {
                let (of, name) = match key.name.split_once('.') {
                    Some((of, rest)) => (of, if label.is_empty() { rest.to_owned() } else { settings::bare(&label) }),
                    None => ("", key.name.to_owned()),
                };
                if of != table {
                    text.push_str(&format!("\n[{of}]\n"));
                    table = of;
                }
                let full = if label.is_empty() { key.name.to_owned() } else { format!("{of}.{label}") };
                text.push_str(&format!("{name} = {value}  # {}\n", self.origin(&full).unwrap_or("default")));
            }
        }
        text
    }
}

/// `config.example.toml`: every key, explained and commented out.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of cuelight. Put them into config.toml in the configuration folder of cuelight\n\
         # ($XDG_CONFIG_HOME/cuelight, mostly ~/.config/cuelight), or into .cuelight.toml of a repository.\n\
         # `cuelight config` prints what is in force and where it comes from.\n",
    );
    let mut table = "";
    for key in SETTINGS {
        text.push('\n');
        for line in key.doc.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        match (key.layer, key.variable()) {
            (Layer::User, Some(variable)) => {
                text.push_str(&format!("# Only in your own file, or as the variable {variable}.\n"));
            }
            (Layer::User, None) => text.push_str("# Only in your own file.\n"),
            (Layer::Repository, Some(variable)) => {
                text.push_str(&format!("# The variable {variable} comes before it.\n"));
            }
            (Layer::Repository, None) => {}
        }
        if let Some((of, _)) = key.name.split_once('.')
            && of != table
        {
            text.push_str(&format!("# [{of}]\n"));
            table = of;
        }
        text.push_str(&format!("# {}\n", key.example));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(texts: &[(&str, Layer)]) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        texts.iter().try_for_each(|(text, layer)| config.read("c", text, *layer)).map(|()| config)
    }

    /// The settings that the example shows, without their explanations.
    fn shown_by_the_example() -> String {
        let lines = example().lines().filter_map(|line| line.strip_prefix("# ").map(str::to_owned)).collect::<Vec<_>>();
        let is_setting =
            |line: &&String| line.starts_with('[') || SETTINGS.iter().any(|key| key.example == line.as_str());
        lines.iter().filter(is_setting).fold(String::new(), |text, line| text + line + "\n")
    }

    #[test]
    fn the_example_is_what_the_table_says_and_every_line_of_it_is_a_setting() {
        assert_eq!(include_str!("../../config.example.toml"), example());
        let config = given(&[(&shown_by_the_example(), Layer::User)]).expect("every key is known");
        assert_eq!(config.origins.len(), SETTINGS.len());
    }

    #[test]
    fn what_is_in_force_can_be_read_again() {
        let config = given(&[(&shown_by_the_example(), Layer::User)]).expect("settings");
        let again = given(&[(&config.describe(), Layer::User)]).expect("a file");
        assert_eq!(Config { origins: IndexMap::new(), ..config }, Config { origins: IndexMap::new(), ..again });
        assert!(Config::default().describe().contains("keep_runs = 50  # default\n"));
    }

    #[test]
    fn later_layers_lie_over_earlier_ones() {
        let mut config = given(&[
            ("max_parallel = 3\nkeep_runs = 7\n", Layer::User),
            ("max_parallel = 5\n[runs-on]\nGPU = 'host'\n", Layer::Repository),
        ])
        .expect("settings");
        assert_eq!((config.max_parallel, config.keep_runs), (5, 7));
        assert_eq!(config.runs_on.get("gpu").map(String::as_str), Some("host"));
        assert_eq!(config.origin("max_parallel"), Some("c:1:1"));
        let variables = |name: &str| match name {
            "CUELIGHT_MAX_PARALLEL" => Some("9".to_owned()),
            "CUELIGHT_SCREEN_GLYPHS" => Some("ascii".to_owned()),
            _ => None,
        };
        config.read_environment(variables).expect("settings");
        assert_eq!((config.max_parallel, config.screen.glyphs), (9, GlyphChoice::Ascii));
        assert_eq!(config.origin("max_parallel"), Some("CUELIGHT_MAX_PARALLEL"));
        let wrong = config.read_environment(|name| (name == "CUELIGHT_KEEP_RUNS").then(|| "many".to_owned()));
        assert_eq!(
            wrong.expect_err("no number").to_string(),
            "CUELIGHT_KEEP_RUNS: takes a number from 0 up, not `many`"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_to_write() {
        for (text, message) in [
            ("max_paralel = 3", "c:1:1: there is no setting `max_paralel`; did you mean `max_parallel`?"),
            ("x = 3", "c:1:1: there is no setting `x`; `cuelight config --example` lists them"),
            ("\nmax_parallel = 'x'", "c:2:1: `max_parallel` takes a number from 1 up, not `x`"),
            ("max_parallel = 0", "c:1:1: `max_parallel` takes a number from 1 up, not `0`"),
            ("keep_runs = -1", "c:1:1: `keep_runs` takes a number from 0 up, not `-1`"),
            (
                "[runs-on]\na = 'host'\ngpu = 'moon'",
                "c:3:1: `runs-on.gpu` takes `host`, `docker` or `docker:IMAGE`, not `moon`",
            ),
            ("[actions]\n'a/b@v1' = 3", "c:2:1: `actions.a/b@v1` takes a folder or the address of a server, not `3`"),
            ("[screen]\nglyphs = 'nerd'", "c:2:1: `screen.glyphs` takes `auto`, `unicode` or `ascii`, not `nerd`"),
            (
                "[screen]\ncolours = 'red'",
                "c:2:1: `screen.colours` takes `auto`, `terminal`, `colour-blind` or `none`, not `red`",
            ),
            (
                "[screen]\nquiet = 'at night'",
                "c:2:1: `screen.quiet` takes two times of the day, as `22:00-07:00`, not `at night`",
            ),
            ("[screen]\nmotion = 1", "c:2:1: `screen.motion` takes true or false, not `1`"),
            ("[keys]\nquit = 3", "c:2:1: `keys.quit` takes a key or a list of keys, not `3`"),
            ("screen = 3", "c:1:1: there is no setting `screen`; did you mean `screen.motion`?"),
        ] {
            let error = given(&[(text, Layer::User)]).expect_err(text).to_string();
            assert_eq!(error, message, "{text}");
        }
        let error = given(&[("keep_runs = ", Layer::User)]).expect_err("no value").to_string();
        assert!(error.starts_with("c:1:"), "{error}");
    }

    #[test]
    fn a_repository_cannot_set_what_is_its_users() {
        let error = given(&[("[keys]\nquit = 'x'", Layer::Repository)]).expect_err("not its").to_string();
        assert_eq!(error, "c:2:1: `keys.quit` is yours alone to set: a repository's file cannot");
    }
}
