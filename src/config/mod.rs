//! Settings: defaults, then the user's file, then the repository's, then the environment. Flags come on top, in `cli`.
//!
//! Every key is declared once, in [`KEYS`]; `config.example.toml` is what [`example`] writes, and a test compares them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many jobs may run at once on this machine.
    pub max_parallel: usize,
    /// How many runs `clean` keeps.
    pub keep_runs: usize,
    /// Where jobs with a label run, by label in lower case. `host` is the only place of this version.
    pub runs_on: IndexMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self { max_parallel: processors.max(2), keep_runs: 50, runs_on: IndexMap::new() }
    }
}

/// A key of the configuration file.
#[derive(Debug)]
pub struct Key {
    /// Its name, with the name of its table.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// An example of its value, as TOML.
    pub example: &'static str,
}

/// All keys.
pub const KEYS: &[Key] = &[
    Key {
        name: "max_parallel",
        doc: "How many jobs may run at once on this machine. Default: the number of processors, at least 2.\n\
              The environment variable CUELIGHT_MAX_PARALLEL and the flag --max-parallel come before it.",
        example: "4",
    },
    Key { name: "keep_runs", doc: "How many runs `cuelight clean` keeps. Default: 50.", example: "50" },
    Key {
        name: "runs-on.<label>",
        doc: "Where jobs with this `runs-on` label run. Linux labels of GitHub (`ubuntu-…`), `self-hosted`, the name of\n\
              this system and of its processor run on the host by themselves; any other label runs nowhere until it is\n\
              mapped here. `host` is the only place of this version.",
        example: "\"host\"",
    },
];

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
    Wrong {
        /// `file:line:column`, or the name of the variable.
        place: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

/// A file as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Document {
    max_parallel: Option<usize>,
    keep_runs: Option<usize>,
    #[serde(default, rename = "runs-on")]
    runs_on: IndexMap<String, String>,
}

impl Config {
    /// The settings of this user in this repository.
    ///
    /// # Errors
    /// A file that is there cannot be read or understood, or a variable holds no number.
    pub fn load(repository: Option<&Path>) -> Result<Self, ConfigError> {
        let user = directories::ProjectDirs::from("", "", "cuelight").map(|home| home.config_dir().join("config.toml"));
        let own = repository.map(|root| root.join(".cuelight.toml"));
        let mut config = Self::default();
        for path in [user, own].into_iter().flatten() {
            match fs::read_to_string(&path) {
                Ok(text) => config.read(&path.display().to_string(), &text)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ConfigError::Unreadable { path, source }),
            }
        }
        if let Ok(text) = std::env::var("CUELIGHT_MAX_PARALLEL") {
            let place = "CUELIGHT_MAX_PARALLEL".to_owned();
            let wrong = |_| ConfigError::Wrong { place, reason: format!("`{text}` is no number of jobs") };
            config.max_parallel = text.parse::<usize>().map_err(wrong)?.max(1);
        }
        Ok(config)
    }

    /// Lays a file's settings over these.
    fn read(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let before = &text[..start];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            ConfigError::Wrong { place: format!("{name}:{line}:{column}"), reason: error.message().to_owned() }
        })?;
        for (label, place) in document.runs_on {
            if place != "host" {
                let at = text.find(&place).unwrap_or_default();
                let line = text[..at].matches('\n').count() + 1;
                let reason = format!("`runs-on.{label}` is `{place}`; this version knows only `host`");
                return Err(ConfigError::Wrong { place: format!("{name}:{line}:1"), reason });
            }
            self.runs_on.insert(label.to_ascii_lowercase(), place);
        }
        self.max_parallel = document.max_parallel.unwrap_or(self.max_parallel).max(1);
        self.keep_runs = document.keep_runs.unwrap_or(self.keep_runs);
        Ok(())
    }
}

/// `config.example.toml`: every key, explained and commented out.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of cuelight. Put them into config.toml in the configuration folder of cuelight\n\
         # ($XDG_CONFIG_HOME/cuelight, mostly ~/.config/cuelight), or into .cuelight.toml of a repository.\n",
    );
    for key in KEYS {
        text.push('\n');
        for line in key.doc.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = match key.name.split_once('.') {
            Some((table, _)) => writeln!(text, "# [{table}]\n# my-label = {}", key.example),
            None => writeln!(text, "# {} = {}", key.name, key.example),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_what_the_table_says_and_every_line_of_it_is_a_setting() {
        assert_eq!(include_str!("../../config.example.toml"), example());
        let settings: String = example()
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.starts_with('[') || line.contains(" = "))
            .fold(String::new(), |text, line| text + line + "\n");
        Config::default().read("example", &settings).expect("every key is known");
    }

    #[test]
    fn later_files_lie_over_earlier_ones() {
        let mut config = Config::default();
        config.read("a", "max_parallel = 3\nkeep_runs = 7\n").expect("settings");
        config.read("b", "max_parallel = 5\n[runs-on]\nGPU = 'host'\n").expect("settings");
        assert_eq!((config.max_parallel, config.keep_runs), (5, 7));
        assert_eq!(config.runs_on.get("gpu").map(String::as_str), Some("host"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, place, word) in [
            ("max_paralel = 3", "c:1:1", "max_paralel"),
            ("\nmax_parallel = 'x'", "c:2:16", "usize"),
            ("keep_runs = ", "c:1:", "value"),
            ("[runs-on]\ngpu = 'moon'", "c:2:1", "moon"),
        ] {
            let error = Config::default().read("c", text).expect_err(text).to_string();
            assert!(error.starts_with(place) && error.contains(word), "{text}: {error}");
        }
    }
}
