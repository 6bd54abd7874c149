//! Configuration in layers: defaults, the user's file, the repository's file, environment variables. A later layer
//! overrides an earlier one, but [`InRepository`] limits what the repository's file may change. Command-line flags,
//! which `cli` handles, override all layers.
//!
//! Every setting is declared once, in [`SETTINGS`]: name, description, what a repository may do with it, parser and
//! printer. Files, variables, `config.example.toml` and `cuelight config` all use this table; a test compares the
//! example with it.

mod environments;
mod file;
mod github;
mod screen;
mod settings;
mod value;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::files;
use crate::files::FileError;
use crate::model::deployment::EnvironmentSettings;
use crate::model::in_one_line;

pub use github::{ApiChoice, EnvironmentConfig, GithubConfig, HostConfig};
pub use screen::{BackgroundChoice, ColourChoice, GlyphChoice, QuietHours, ScreenConfig};
pub use settings::{InRepository, Layer, SETTINGS, Setting};
pub use value::{SettingValue, ValueError};

/// Name of the file with the settings of a repository, in its root.
pub const OF_REPOSITORY: &str = ".cuelight.toml";

/// The configuration in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Maximum number of jobs that run at the same time on this machine, at least 1.
    pub max_parallel: usize,
    /// Number of runs that `clean` keeps.
    pub keep_runs: usize,
    /// Whether a run can succeed without the jobs that need another machine.
    pub skip_unrunnable: bool,
    /// Sandboxes by `runs-on` label in lower case: `host`, `docker` or `docker:IMAGE`.
    pub runs_on: IndexMap<String, String>,
    /// Default image of jobs that run in Docker.
    pub image: String,
    /// Sources of actions by `owner/name[/path][@ref]`: a folder or the URL of a server.
    pub actions: IndexMap<String, String>,
    /// Whether actions are used only from the local cache.
    pub offline: bool,
    /// Whether a supervisor process in the container starts the steps of a job in Docker.
    pub supervisor: bool,
    /// Whether containers of jobs and actions get Docker's socket.
    pub docker_socket: bool,
    /// Folders of other repositories whose git objects containers may read.
    pub git_objects: Vec<PathBuf>,
    /// Number of failed jobs in Docker whose containers are kept for `cuelight shell`, and of the runs of a workflow that
    /// succeeded and keep the files of allowed failures.
    pub keep_failed: usize,
    /// Maximum size of the cache of a repository, and of an artifact, in GB.
    pub cache_max_gb: usize,
    /// Number of days after which an unused entry of a cache is removed.
    pub cache_max_days: usize,
    /// Whether jobs start with dependency folders of earlier runs.
    pub warm_start: bool,
    /// Dependency folders by path, each with the names of its lock files, separated by `|`; empty to leave it out.
    pub warm_folders: IndexMap<String, String>,
    /// Settings of servers that speak GitHub's API.
    pub github: GithubConfig,
    /// Settings of the screen.
    pub screen: ScreenConfig,
    /// Keys that replace the default keys of actions, by action name. The keymap checks both names and keys.
    pub keys: IndexMap<String, Vec<String>>,
    /// Environments that the repository is deployed to.
    environments: environments::Environments,
    /// Origins of all settings that are not defaults, by full name.
    origins: IndexMap<String, String>,
    /// Values of the repository that are part of what the user trusts, as lines of TOML with full names.
    named_by_repository: Vec<String>,
    /// Names of the actions for which the repository names the source.
    actions_of_repository: Vec<String>,
    /// Settings of the repository that have no effect, each with its origin and the reason.
    ignored: Vec<String>,
}

/// Default image of jobs in Docker: an official image with git, node, python and a compiler, as on GitHub's runners.
const IMAGE: &str = "node:20-bookworm";

/// Dependency folders with which jobs start by default, and the lock files of the tools that fill them.
/// `requirements.txt` is not a lock file: it may leave versions open, and include other files.
const WARM_FOLDERS: &[(&str, &str)] = &[
    ("node_modules", "package-lock.json|npm-shrinkwrap.json|yarn.lock|pnpm-lock.yaml|bun.lock|bun.lockb"),
    (".venv", "poetry.lock|uv.lock|pdm.lock|Pipfile.lock"),
    ("target", "Cargo.lock"),
];

/// Sandboxes that jobs can run in: the names of the engine's providers, and whether an image may follow (`NAME:IMAGE`).
pub const SANDBOXES: &[(&str, bool)] = &[("host", false), ("docker", true)];

/// Whether a text names a sandbox: `host`, `docker` or `docker:IMAGE`.
#[must_use]
pub fn is_sandbox(text: &str) -> bool {
    let (name, image) = text.split_once(':').map_or((text, None), |(name, image)| (name, Some(image)));
    let takes_image = SANDBOXES.iter().find(|(known, _)| *known == name).map(|(_, takes_image)| *takes_image);
    takes_image.is_some_and(|takes_image| image.is_none_or(|image| takes_image && !image.is_empty()))
}

/// Returns the ways to name a sandbox, for messages: "`host`, `docker` or `docker:IMAGE`".
#[must_use]
pub fn sandbox_forms() -> String {
    let forms = SANDBOXES.iter().flat_map(|(name, takes_image)| {
        [Some(format!("`{name}`")), takes_image.then(|| format!("`{name}:IMAGE`"))].into_iter().flatten()
    });
    let forms: Vec<_> = forms.collect();
    forms.split_last().map(|(last, others)| format!("{} or {last}", others.join(", "))).unwrap_or_default()
}

impl Default for Config {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let text = |text: &&str| (*text).to_owned();
        Self {
            max_parallel: processors.max(2),
            keep_runs: 50,
            skip_unrunnable: false,
            runs_on: IndexMap::new(),
            image: IMAGE.to_owned(),
            actions: IndexMap::new(),
            offline: false,
            supervisor: true,
            docker_socket: false,
            git_objects: Vec::new(),
            keep_failed: 5,
            cache_max_gb: 10,
            cache_max_days: 7,
            warm_start: true,
            warm_folders: WARM_FOLDERS.iter().map(|(folder, locks)| (text(folder), text(locks))).collect(),
            github: GithubConfig::default(),
            screen: ScreenConfig::default(),
            keys: IndexMap::new(),
            environments: environments::Environments::default(),
            origins: IndexMap::new(),
            named_by_repository: Vec::new(),
            actions_of_repository: Vec::new(),
            ignored: Vec::new(),
        }
    }
}

/// An error while reading the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
    /// A file or an environment variable has an unknown setting or an invalid value.
    #[error("{origin}: {reason}")]
    Invalid {
        /// `file:line:column`, or the name of the variable.
        origin: String,
        /// The problem and how to fix it.
        reason: String,
    },
}

/// A setting in effect.
pub struct EffectiveSetting {
    /// Name of the outermost table; empty for a setting in none.
    pub table: &'static str,
    /// Name below that table.
    pub name: String,
    /// The value as TOML.
    pub value: String,
    /// `file:line:column`, a variable, or `default`.
    pub origin: String,
}

impl Config {
    /// Loads the configuration from the user's file, the file of the repository if one is given, and the environment
    /// variables.
    ///
    /// # Errors
    /// An existing file cannot be read or is invalid, or an environment variable has an invalid value.
    pub fn load(repository: Option<&Path>) -> Result<Self, ConfigError> {
        let user = directories::ProjectDirs::from("", "", "cuelight").map(|home| home.config_dir().join("config.toml"));
        let own = repository.map(|root| root.join(OF_REPOSITORY));
        let mut config = Self::default();
        for (path, layer) in [(user, Layer::User), (own, Layer::Repository)] {
            let Some(path) = path else { continue };
            let text = match layer {
                Layer::User => fs::read_to_string(&path).map_err(FileError::from),
                Layer::Repository => files::read_repository_text(&path),
            };
            match text {
                Ok(text) => config.read(&path.display().to_string(), &text, layer)?,
                Err(error) if error.is_missing() => {}
                Err(source) => return Err(ConfigError::Unreadable { path, source }),
            }
        }
        config.read_environment(|name| env::var(name).ok())?;
        Ok(config)
    }

    /// Applies the settings of a file.
    fn read(&mut self, name: &str, text: &str, layer: Layer) -> Result<(), ConfigError> {
        let document = file::parse(name, text)?;
        let environments = environments::read(name, text, document.get_ref(), layer)?;
        let trusted = environments.lines.iter().filter(|line| line.is_trusted);
        self.named_by_repository.extend(trusted.map(|line| format!("{}.{} = {}", line.table, line.name, line.value)));
        if !environments.lines.is_empty() {
            self.environments = environments;
        }
        for entry in file::entries(name, text, document.get_ref()) {
            let wrong = |reason| ConfigError::Invalid { origin: entry.origin.clone(), reason };
            let (key, label) = settings::find(&entry.name).map_err(|error| wrong(error.to_string()))?;
            let invalid = |reason: &dyn std::fmt::Display| wrong(format!("`{}` {reason}", entry.name));
            let misfit = |error: ValueError| invalid(&error);
            let before = (layer == Layer::Repository).then(|| self.clone());
            let is_free = match key.repository {
                InRepository::Refused if before.is_some() => {
                    return Err(invalid(&"cannot be set in a repository, only in the user's config.toml"));
                }
                InRepository::Names(check) if before.is_some() => check(self, label, &entry.value).map_err(misfit)?,
                _ => true,
            };
            (key.set)(self, label, &entry.value).map_err(misfit)?;
            if let Some(before) = before {
                let reason = match key.repository {
                    InRepository::Tightens(is_tighter) if !is_tighter(&before, self) => {
                        Some("a repository can only make it stricter")
                    }
                    InRepository::Names(_) if !is_free => Some("the user's own settings come first"),
                    _ => None,
                };
                if let Some(reason) = reason {
                    *self = before;
                    self.ignored.push(format!("{}: `{}` has no effect: {reason}", entry.origin, entry.name));
                    continue;
                }
                if matches!(key.repository, InRepository::Names(_)) {
                    let value = value::quoted(entry.value.text());
                    self.named_by_repository.push(format!("{} = {value}", entry.name));
                    self.actions_of_repository.extend((key.name == "actions.<name>").then(|| label.to_owned()));
                }
            }
            self.origins.insert(entry.name, entry.origin);
        }
        Ok(())
    }

    /// Applies the environment variables.
    fn read_environment(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        for key in SETTINGS {
            let Some(name) = key.variable() else { continue };
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            (key.set)(self, "", &SettingValue::of_text(&text))
                .map_err(|error| ConfigError::Invalid { origin: name.clone(), reason: error.to_string() })?;
            self.origins.insert(key.name.to_owned(), name);
        }
        Ok(())
    }

    /// Returns the origin of a setting by its full name: `file:line:column` or a variable. `None` for a default.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&str> {
        self.origins.get(name).map(String::as_str)
    }

    /// Returns the values of the repository that are part of what the user trusts, as lines of TOML: images, sandboxes
    /// and sources of actions that the user does not set, and values of environments.
    #[must_use]
    pub fn named_by_repository(&self) -> &[String] {
        &self.named_by_repository
    }

    /// Returns the sources that the repository's file sets for actions, by action. Without the user's trust they must
    /// not be read, because a source can be any folder of the user.
    #[must_use]
    pub fn actions_of_repository(&self) -> IndexMap<String, String> {
        let is_theirs = |name: &&String| self.actions_of_repository.contains(name);
        self.actions
            .iter()
            .filter(|(name, _)| is_theirs(name))
            .map(|(name, source)| (name.clone(), source.clone()))
            .collect()
    }

    /// Returns the dependency folders with which jobs start, each with the names of its lock files; none if jobs start
    /// without them.
    #[must_use]
    pub fn warm_start(&self) -> IndexMap<String, Vec<String>> {
        let folders = self.warm_folders.iter().filter(|(_, locks)| self.warm_start && !locks.is_empty());
        folders.map(|(folder, locks)| (folder.clone(), locks.split('|').map(str::to_owned).collect())).collect()
    }

    /// Returns the environments that the repository is deployed to, by name.
    #[must_use]
    pub fn environments(&self) -> &IndexMap<String, EnvironmentSettings> {
        &self.environments.all
    }

    /// Returns where a value of an environment is written, as `file:line:column`; `None` if it is not.
    #[must_use]
    pub fn origin_in_environment(&self, environment: &str, key: &str) -> Option<&str> {
        let name = format!("{}.{key}", value::bare(environment));
        self.environments.lines.iter().find(|line| line.name == name).map(|line| line.origin.as_str())
    }

    /// Returns the environment that a job names. As on GitHub, the case of a name does not matter: another spelling must
    /// not bypass the rules.
    #[must_use]
    pub fn environment_of_job(&self, name: &str) -> Option<&EnvironmentSettings> {
        let wanted = name.trim().to_lowercase();
        self.environments().values().find(|settings| settings.name.to_lowercase() == wanted)
    }

    /// Returns all settings in effect.
    #[must_use]
    pub fn effective(&self) -> Vec<EffectiveSetting> {
        let mut values = Vec::new();
        for key in SETTINGS {
            for (label, value) in (key.show)(self) {
                let (table, rest) = key.name.split_once('.').unwrap_or(("", key.name));
                let name = settings::filled(rest, &value::bare(&label));
                let full = settings::filled(key.name, &label);
                let origin = in_one_line(self.origin(&full).unwrap_or("default"));
                values.push(EffectiveSetting { table, name, value, origin });
            }
        }
        values.extend(self.environments.lines.iter().map(|line| {
            let (name, value) = (line.name.clone(), line.value.clone());
            EffectiveSetting { table: line.table, name, value, origin: in_one_line(&line.origin) }
        }));
        values
    }

    /// Returns the settings of the repository that have no effect, each with its origin and the reason, in one line.
    pub fn without_effect(&self) -> impl Iterator<Item = String> {
        self.ignored.iter().map(|ignored| in_one_line(ignored))
    }

    /// Returns the configuration in effect as TOML, with the origin of each setting in a comment. Comments at the end
    /// name the repository's settings without effect.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut table = "";
        let mut text = String::new();
        for value in self.effective() {
            if value.table != table {
                text.push_str(&format!("\n[{}]\n", value.table));
                table = value.table;
            }
            text.push_str(&format!("{} = {}  # {}\n", value.name, value.value, value.origin));
        }
        if !self.ignored.is_empty() {
            text.push('\n');
        }
        for ignored in self.without_effect() {
            text.push_str(&format!("# {ignored}\n"));
        }
        text
    }
}

/// Returns the text of `config.example.toml`: all settings, documented and commented out.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of cuelight, for config.toml in $XDG_CONFIG_HOME/cuelight (by default ~/.config/cuelight), or for\n\
         # .cuelight.toml in the root of a repository. `cuelight config` prints the current values and their origins.\n",
    );
    let mut table = "";
    for key in SETTINGS {
        text.push('\n');
        for line in key.doc.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        match (key.repository, key.variable()) {
            (InRepository::Refused, Some(variable)) => {
                text.push_str(&format!("# Only in config.toml, or as the environment variable {variable}.\n"));
            }
            (InRepository::Refused, None) => text.push_str("# Only in config.toml.\n"),
            (_, Some(variable)) => {
                text.push_str(&format!("# The environment variable {variable} takes precedence.\n"));
            }
            (_, None) => {}
        }
        text.push_str(match key.repository {
            InRepository::Refused => "",
            InRepository::Tightens(_) => "# A repository can only make it stricter.\n",
            InRepository::Names(_) => "# A repository can set what the user does not, as part of what is trusted.\n",
        });
        if let Some((of, _)) = key.name.split_once('.')
            && of != table
        {
            text.push_str(&format!("# [{of}]\n"));
            table = of;
        }
        text.push_str(&format!("# {}\n", key.example));
    }
    text + environments::EXAMPLE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(texts: &[(&str, Layer)]) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        texts.iter().try_for_each(|(text, layer)| config.read("c", text, *layer)).map(|()| config)
    }

    /// Returns the settings of the example, uncommented, without environments and notifications.
    fn example_settings() -> String {
        let lines = example().lines().filter_map(|line| line.strip_prefix("# ").map(str::to_owned)).collect::<Vec<_>>();
        let is_heading =
            |line: &str| line.starts_with('[') && !["[environments", "[notify]"].iter().any(|of| line.starts_with(of));
        let is_setting = |line: &&String| is_heading(line) || SETTINGS.iter().any(|key| key.example == line.as_str());
        lines.iter().filter(is_setting).fold(String::new(), |text, line| text + line + "\n")
    }

    #[test]
    fn the_example_file_matches_the_table_and_is_valid() {
        assert_eq!(include_str!("../../config.example.toml"), example());
        let config = given(&[(&example_settings(), Layer::User)]).expect("every key is known");
        assert_eq!(config.origins.len(), SETTINGS.len());
    }

    #[test]
    fn a_described_configuration_can_be_read_back() {
        let config = given(&[(&example_settings(), Layer::User)]).expect("settings");
        let again = given(&[(&config.describe(), Layer::User)]).expect("a file");
        assert_eq!(Config { origins: IndexMap::new(), ..config }, Config { origins: IndexMap::new(), ..again });
        assert!(Config::default().describe().contains("keep_runs = 50  # default\n"));
    }

    #[test]
    fn a_dependency_folder_has_a_name_of_its_own() {
        for folder in ["", "/", ".git", "web/.GIT", "../up", "/etc"] {
            let text = format!("[warm_start]\nfolders.\"{folder}\" = \"Gemfile.lock\"\n");
            assert!(given(&[(&text, Layer::User)]).is_err(), "{folder:?}");
        }
        let text = "[warm_start]\nfolders.\"vendor/bundle/\" = \"Gemfile.lock\"\n";
        let config = given(&[(text, Layer::User)]).expect("a folder");
        assert_eq!(config.warm_folders["vendor/bundle"], "Gemfile.lock");
        // A lock file pins every version.
        assert!(config.warm_folders.values().all(|locks| !locks.contains("requirements.txt")));
    }

    #[test]
    fn later_layers_override_earlier_ones() {
        let mut config = given(&[
            ("max_parallel = 7\nkeep_runs = 7\n", Layer::User),
            ("max_parallel = 5\n[runs-on]\nGPU = 'docker'\n", Layer::Repository),
        ])
        .expect("settings");
        assert_eq!((config.max_parallel, config.keep_runs), (5, 7));
        assert_eq!(config.runs_on.get("gpu").map(String::as_str), Some("docker"));
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
            wrong.expect_err("not a number").to_string(),
            "CUELIGHT_KEEP_RUNS: must be a number of at least 0, not `many`"
        );
    }

    #[test]
    fn errors_name_the_position_and_the_allowed_values() {
        for (text, message) in [
            ("max_paralel = 3", "c:1:1: unknown setting `max_paralel`; did you mean `max_parallel`?"),
            ("x = 3", "c:1:1: unknown setting `x`; `cuelight config --example` lists all settings"),
            ("\nmax_parallel = 'x'", "c:2:1: `max_parallel` must be a number of at least 1, not `x`"),
            ("max_parallel = 0", "c:1:1: `max_parallel` must be a number of at least 1, not `0`"),
            ("keep_runs = -1", "c:1:1: `keep_runs` must be a number of at least 0, not `-1`"),
            (
                "[runs-on]\na = 'host'\ngpu = 'moon'",
                "c:3:1: `runs-on.gpu` must be `host`, `docker` or `docker:IMAGE`, not `moon`",
            ),
            ("[actions]\n'a/b@v1' = 3", "c:2:1: `actions.a/b@v1` must be a folder or the URL of a server, not `3`"),
            ("[screen]\nglyphs = 'nerd'", "c:2:1: `screen.glyphs` must be `auto`, `unicode` or `ascii`, not `nerd`"),
            (
                "[screen]\ncolours = 'red'",
                "c:2:1: `screen.colours` must be `auto`, `terminal`, `colour-blind` or `none`, not `red`",
            ),
            (
                "[screen]\nquiet = 'at night'",
                "c:2:1: `screen.quiet` must be two times of the day, such as `22:00-07:00`, not `at night`",
            ),
            ("[screen]\nmotion = 1", "c:2:1: `screen.motion` must be true or false, not `1`"),
            ("[keys]\nquit = 3", "c:2:1: `keys.quit` must be a key or a list of keys, not `3`"),
            ("screen = 3", "c:1:1: unknown setting `screen`; did you mean `screen.motion`?"),
        ] {
            let error = given(&[(text, Layer::User)]).expect_err(text).to_string();
            assert_eq!(error, message, "{text}");
        }
        let error = given(&[("keep_runs = ", Layer::User)]).expect_err("no value").to_string();
        assert!(error.starts_with("c:1:"), "{error}");
    }

    #[test]
    fn a_repository_cannot_set_user_settings() {
        let error = given(&[("[keys]\nquit = 'x'", Layer::Repository)]).expect_err("a user setting").to_string();
        assert_eq!(error, "c:2:1: `keys.quit` cannot be set in a repository, only in the user's config.toml");
    }
    #[test]
    fn a_repository_only_tightens_what_the_user_set() {
        let user = "max_parallel = 2\noffline = true\n[runs-on]\nGPU = 'docker'\n[docker]\nimage = 'mine'\n[actions]\n\
                    'a/b' = 'here'\n";
        let repository = "max_parallel = 8\noffline = false\n[runs-on]\ngpu = 'docker:evil'\nmoon = 'docker:sun'\n[docker]\n\
                          image = 'evil'\n[actions]\n'A/B/c@v1' = 'evil'\n'a/other' = 'theirs'\n";
        let config = given(&[(user, Layer::User), (repository, Layer::Repository)]).expect("settings");
        assert_eq!((config.max_parallel, config.offline, config.image.as_str()), (2, true, "mine"));
        assert_eq!((config.runs_on["gpu"].as_str(), config.actions.get("A/B/c@v1")), ("docker", None));
        let named = ["runs-on.moon = \"docker:sun\"", "actions.a/other = \"theirs\""];
        assert_eq!(config.named_by_repository(), named);
        let described = config.describe();
        for ignored in [
            "# c:1:1: `max_parallel` has no effect: a repository can only make it stricter\n",
            "# c:2:1: `offline` has no effect: a repository can only make it stricter\n",
            "# c:4:1: `runs-on.gpu` has no effect: the user's own settings come first\n",
            "`docker.image` has no effect",
            "`actions.A/B/c@v1` has no effect",
        ] {
            assert!(described.contains(ignored), "{ignored} is not in {described}");
        }
        let tighter = given(&[("max_parallel = 1\noffline = true\n[docker]\nimage = 'x'\n", Layer::Repository)]);
        let tighter = tighter.expect("settings");
        assert_eq!((tighter.max_parallel, tighter.offline, tighter.image.as_str()), (1, true, "x"));
        assert_eq!(tighter.named_by_repository(), ["docker.image = \"x\""]);
        for label in ["moon", "ubuntu-latest"] {
            let text = format!("[runs-on]\n{label} = 'host'\n");
            let error = given(&[(&text, Layer::Repository)]).expect_err("looser").to_string();
            let reason = "cannot be `host` in a repository, only in the user's config.toml";
            assert_eq!(error, format!("c:2:1: `runs-on.{label}` {reason}"));
        }
    }
}
