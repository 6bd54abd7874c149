//! The table of settings.

use super::{ColourChoice, Config, GlyphChoice, QuietHours};

/// A key of the configuration.
pub struct Setting {
    /// Its name, with the name of its table. `<…>` stands for any name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// A line of a file that sets it, below the heading of its table.
    pub example: &'static str,
    /// The last file that may set it.
    pub layer: Layer,
    /// Sets it, for the name that `<…>` stands for; else says what it takes and what was given.
    pub(super) set: fn(&mut Config, &str, &SettingValue) -> Result<(), String>,
    /// Its values in force as TOML, each with the name that `<…>` stands for.
    pub(super) show: fn(&Config) -> Vec<(String, String)>,
}

/// The files that settings come from, in the order in which they are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// `config.toml` of the user.
    User,
    /// `.cuelight.toml` of the repository.
    Repository,
}

/// A value as a file or a variable gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Bool(bool),
    /// Text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// What no setting takes, in words.
    Other(String),
}

/// All keys. Those without a table come first, as a TOML file wants it.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "max_parallel",
        doc: "How many jobs may run at once on this machine. Default: the number of processors, at least 2.\n\
              The flag --max-parallel comes before it.",
        example: "max_parallel = 4",
        layer: Layer::Repository,
        set: |config, _, value| value.number(1).map(|number| config.max_parallel = number),
        show: |config| one(config.max_parallel.to_string()),
    },
    Setting {
        name: "keep_runs",
        doc: "How many runs `cuelight clean` keeps. Default: 50.",
        example: "keep_runs = 50",
        layer: Layer::User,
        set: |config, _, value| value.number(0).map(|number| config.keep_runs = number),
        show: |config| one(config.keep_runs.to_string()),
    },
    Setting {
        name: "offline",
        doc: "Take actions of other repositories only from what is kept here, and ask no server. Default: false.\n\
              The flag --offline says the same.",
        example: "offline = true",
        layer: Layer::Repository,
        set: |config, _, value| value.boolean().map(|yes| config.offline = yes),
        show: |config| one(config.offline.to_string()),
    },
    Setting {
        name: "runs-on.<label>",
        doc: "Where jobs with this `runs-on` label run. Linux labels of GitHub (`ubuntu-…`), `self-hosted`, the name of\n\
              this system and of its processor run on the host by themselves; any other label runs nowhere until it is\n\
              mapped here. Places are \"host\", \"docker\" and \"docker:IMAGE\". The flag --sandbox comes before it.",
        example: "my-label = \"docker:python:3.12\"",
        layer: Layer::Repository,
        set: |config, label, value| match value {
            SettingValue::Text(place) if super::is_sandbox(place) => {
                config.runs_on.insert(label.to_ascii_lowercase(), place.clone());
                Ok(())
            }
            other => Err(format!("takes `host`, `docker` or `docker:IMAGE`, not `{}`", other.written())),
        },
        show: |config| config.runs_on.iter().map(|(label, place)| (label.clone(), quoted(place))).collect(),
    },
    Setting {
        name: "docker.image",
        doc: "The image of jobs that run in Docker (`--sandbox docker`, or a label mapped to \"docker\") and name none.\n\
              Default: \"node:20-bookworm\", which has git, node and python.",
        example: "image = \"ubuntu:24.04\"",
        layer: Layer::Repository,
        set: |config, _, value| match value {
            SettingValue::Text(image) if !image.is_empty() => {
                config.image.clone_from(image);
                Ok(())
            }
            other => Err(format!("takes the name of an image, not `{}`", other.written())),
        },
        show: |config| one(quoted(&config.image)),
    },
    Setting {
        name: "docker.supervisor",
        doc: "Whether steps in a container are started by a shell that stays in it, in about a millisecond, and not each by\n\
              the engine, in about sixty. Where it cannot be, the engine does it by itself. Default: true.",
        example: "supervisor = false",
        layer: Layer::User,
        set: |config, _, value| value.boolean().map(|yes| config.supervisor = yes),
        show: |config| one(config.supervisor.to_string()),
    },
    Setting {
        name: "docker.keep_failed",
        doc: "What a failed job in Docker leaves is kept for `cuelight shell`, as an image, for a day: of so many jobs,\n\
              the newest. Default: 5.",
        example: "keep_failed = 2",
        layer: Layer::User,
        set: |config, _, value| value.number(0).map(|number| config.keep_failed = number),
        show: |config| one(config.keep_failed.to_string()),
    },
    Setting {
        name: "actions.<name>",
        doc: "Where an action comes from instead of its repository on github.com, by `owner/name`, also with `/path` and\n\
              `@ref`: a folder (from the repository's top), or the address of another server.",
        example: "\"actions/setup-python\" = \"../my-actions/setup-python\"",
        layer: Layer::Repository,
        set: |config, name, value| match value {
            SettingValue::Text(place) if !place.is_empty() => {
                config.actions.insert(name.to_owned(), place.clone());
                Ok(())
            }
            other => Err(format!("takes a folder or the address of a server, not `{}`", other.written())),
        },
        show: |config| config.actions.iter().map(|(name, place)| (name.clone(), quoted(place))).collect(),
    },
    Setting {
        name: "screen.glyphs",
        doc: "The signs that the screen is drawn with: \"unicode\", \"ascii\", or \"auto\" for those that the locale has.\n\
              Default: \"auto\".",
        example: "glyphs = \"ascii\"",
        layer: Layer::User,
        set: |config, _, value| value.word(GlyphChoice::WORDS).map(|glyphs| config.screen.glyphs = glyphs),
        show: |config| one(word(GlyphChoice::WORDS, config.screen.glyphs)),
    },
    Setting {
        name: "screen.colours",
        doc: "The colours that the screen is drawn with: \"terminal\" for the terminal's own sixteen, \"colour-blind\" for blue\n\
              and orange in place of green and red, \"none\", or \"auto\": the terminal's, and none where NO_COLOR is set.\n\
              Default: \"auto\".",
        example: "colours = \"colour-blind\"",
        layer: Layer::User,
        set: |config, _, value| value.word(ColourChoice::WORDS).map(|colours| config.screen.colours = colours),
        show: |config| one(word(ColourChoice::WORDS, config.screen.colours)),
    },
    Setting {
        name: "screen.bell",
        doc: "Whether a run that fails, and one that begins to wait, ring the terminal's bell and are told by the terminal\n\
              (OSC 9 and 777). Default: true.",
        example: "bell = false",
        layer: Layer::User,
        set: |config, _, value| value.boolean().map(|yes| config.screen.bell = yes),
        show: |config| one(config.screen.bell.to_string()),
    },
    Setting {
        name: "screen.on_failure",
        doc: "A command for the shell when a run fails while the screen is open: CUELIGHT_RUN is its id and CUELIGHT_MESSAGE\n\
              says what happened. Default: none.",
        example: "on_failure = \"notify-send \\\"$CUELIGHT_MESSAGE\\\"\"",
        layer: Layer::User,
        set: |config, _, value| value.command().map(|command| config.screen.on_failure = command),
        show: |config| one(quoted(config.screen.on_failure.as_deref().unwrap_or_default())),
    },
    Setting {
        name: "screen.on_wait",
        doc: "The same when a run or one of its jobs begins to wait: for a person, or for its turn in a concurrency group.\n\
              Default: none.",
        example: "on_wait = \"notify-send \\\"$CUELIGHT_MESSAGE\\\"\"",
        layer: Layer::User,
        set: |config, _, value| value.command().map(|command| config.screen.on_wait = command),
        show: |config| one(quoted(config.screen.on_wait.as_deref().unwrap_or_default())),
    },
    Setting {
        name: "screen.quiet",
        doc: "Hours of the day, by this machine's clock, in which nobody is called: no bell, nothing from the terminal, no\n\
              command. The screen and the window's title tell as ever. Default: none.",
        example: "quiet = \"22:00-07:00\"",
        layer: Layer::User,
        set: |config, _, value| match value {
            SettingValue::Text(text) if text.is_empty() => {
                config.screen.quiet = None;
                Ok(())
            }
            SettingValue::Text(text) if QuietHours::parse(text).is_some() => {
                config.screen.quiet = QuietHours::parse(text);
                Ok(())
            }
            other => Err(format!("takes two times of the day, as `22:00-07:00`, not `{}`", other.written())),
        },
        show: |config| one(quoted(&config.screen.quiet.map(QuietHours::written).unwrap_or_default())),
    },
    Setting {
        name: "screen.scroll_region",
        doc: "Whether the terminal is asked to move the rows of a followed log by itself, which costs a tenth of the bytes of\n\
              drawing them anew. False is for a terminal that then shows torn logs. Default: true.",
        example: "scroll_region = false",
        layer: Layer::User,
        set: |config, _, value| value.boolean().map(|yes| config.screen.scroll_region = yes),
        show: |config| one(config.screen.scroll_region.to_string()),
    },
    Setting {
        name: "screen.motion",
        doc: "Whether the signs of what runs move. Default: true.",
        example: "motion = false",
        layer: Layer::User,
        set: |config, _, value| value.boolean().map(|yes| config.screen.motion = yes),
        show: |config| one(config.screen.motion.to_string()),
    },
    Setting {
        name: "keys.<action>",
        doc: "The keys of an action of the screen, in place of its own: `x`, `X`, `ctrl-x`, `alt-x`, `enter`, `f5`.\n\
              The README lists the actions; an empty list takes an action's keys away.",
        example: "half-down = [\"ctrl-d\", \"J\"]",
        layer: Layer::User,
        set: |config, action, value| {
            let keys = match value {
                SettingValue::Text(key) => vec![key.clone()],
                SettingValue::List(keys) => keys.clone(),
                other => return Err(format!("takes a key or a list of keys, not `{}`", other.written())),
            };
            config.keys.insert(action.to_owned(), keys);
            Ok(())
        },
        show: |config| {
            let list = |keys: &[String]| keys.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(", ");
            config.keys.iter().map(|(action, keys)| (action.clone(), format!("[{}]", list(keys)))).collect()
        },
    },
];

impl Setting {
    /// The variable of the environment that sets it; a key with `<…>` has none.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let name = self.name.to_ascii_uppercase().replace(['.', '-'], "_");
        (!name.contains('<')).then(|| format!("CUELIGHT_{name}"))
    }

    /// What stands for `<…>` when this key has the full name; empty where nothing does.
    fn fits<'n>(&self, name: &'n str) -> Option<&'n str> {
        match self.name.split_once('<') {
            Some((table, _)) => name.strip_prefix(table).filter(|label| !label.is_empty()),
            None => (name == self.name).then_some(""),
        }
    }
}

/// The key of this full name and what stands for its `<…>`; else what to say about it.
pub(super) fn find(name: &str) -> Result<(&'static Setting, &str), String> {
    if let Some(found) = SETTINGS.iter().find_map(|key| Some((key, key.fits(name)?))) {
        return Ok(found);
    }
    // A typing error rarely comes in the first letters.
    let alike = |key: &&Setting| key.name.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let near = SETTINGS.iter().max_by_key(alike).filter(|key| alike(key) >= 4 && alike(key) * 2 > name.len());
    Err(match near {
        Some(near) => format!("there is no setting `{name}`; did you mean `{}`?", near.name),
        None => format!("there is no setting `{name}`; `cuelight config --example` lists them"),
    })
}

impl SettingValue {
    /// The value that a variable's text stands for.
    pub(super) fn of_text(text: &str) -> Self {
        match (text.parse(), text.parse()) {
            (Ok(number), _) => Self::Number(number),
            (_, Ok(yes)) => Self::Bool(yes),
            _ => Self::Text(text.to_owned()),
        }
    }

    fn number(&self, least: usize) -> Result<usize, String> {
        let number = if let Self::Number(number) = self { usize::try_from(*number).ok() } else { None };
        let wrong = || format!("takes a number from {least} up, not `{}`", self.written());
        number.filter(|number| *number >= least).ok_or_else(wrong)
    }

    fn boolean(&self) -> Result<bool, String> {
        let Self::Bool(yes) = self else { return Err(format!("takes true or false, not `{}`", self.written())) };
        Ok(*yes)
    }

    /// A command; empty text stands for none.
    fn command(&self) -> Result<Option<String>, String> {
        let Self::Text(command) = self else { return Err(format!("takes a command, not `{}`", self.written())) };
        Ok(Some(command.clone()).filter(|command| !command.trim().is_empty()))
    }

    /// What one of these words stands for.
    fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, String> {
        let found = words.iter().find(|(word, _)| matches!(self, Self::Text(text) if text == word));
        let names: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let wrong = |(last, first): (&String, &[String])| {
            format!("takes {} or {last}, not `{}`", first.join(", "), self.written())
        };
        found.map(|(_, meant)| *meant).ok_or_else(|| names.split_last().map(wrong).unwrap_or_default())
    }

    fn written(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Bool(yes) => yes.to_string(),
            Self::Text(text) | Self::Other(text) => text.clone(),
            Self::List(items) => items.join(", "),
        }
    }
}

/// The word that stands for this, as TOML.
fn word<T: Copy + PartialEq>(words: &[(&str, T)], meant: T) -> String {
    words.iter().find(|(_, one)| *one == meant).map(|(word, _)| quoted(word)).unwrap_or_default()
}

fn one(value: String) -> Vec<(String, String)> {
    vec![(String::new(), value)]
}

/// Text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name as a TOML key: quoted only where it must be.
pub(super) fn bare(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if plain { name.to_owned() } else { quoted(name) }
}
