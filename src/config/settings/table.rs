//! Table of all settings.

use std::path::{Component, Path, PathBuf};

use super::{InRepository, Setting};
use crate::config::github::{API_CHOICES, SERVER_KINDS, is_repository};
use crate::config::value::{SettingValue, ValueError, list, quoted, word};
use crate::config::{
    BackgroundChoice, ColourChoice, Config, EnvironmentConfig, GlyphChoice, HostConfig, QuietHours, is_sandbox,
    sandbox_forms,
};
use crate::model::ServerKind;

/// All settings. Those without a table come first, as TOML requires.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "max_parallel",
        doc: "Maximum number of jobs that run at the same time on this machine. Default: the number of processors, at\n\
              least 2. The flag --max-parallel takes precedence.",
        example: "max_parallel = 4",
        repository: InRepository::Tightens(|before, after| after.max_parallel < before.max_parallel),
        set: |config, _, value| value.number(1).map(|number| config.max_parallel = number),
        show: |config| one(config.max_parallel.to_string()),
    },
    Setting {
        name: "keep_runs",
        doc: "Number of runs that `cuelight clean` keeps. Default: 50.",
        example: "keep_runs = 50",
        repository: InRepository::Refused,
        set: |config, _, value| value.number(0).map(|number| config.keep_runs = number),
        show: |config| one(config.keep_runs.to_string()),
    },
    Setting {
        name: "skip_unrunnable",
        doc: "Let a run succeed without the jobs whose `runs-on` label needs another machine. The end of the run names them.\n\
              Default: false, such a run fails. Same as the flag --skip-unrunnable.",
        example: "skip_unrunnable = true",
        repository: InRepository::Refused,
        set: |config, _, value| value.boolean().map(|yes| config.skip_unrunnable = yes),
        show: |config| one(config.skip_unrunnable.to_string()),
    },
    Setting {
        name: "offline",
        doc: "Use actions of other repositories only from the local cache, without network access. Default: false.\n\
              Same as the flag --offline.",
        example: "offline = true",
        repository: InRepository::Tightens(|before, after| after.offline && !before.offline),
        set: |config, _, value| value.boolean().map(|yes| config.offline = yes),
        show: |config| one(config.offline.to_string()),
    },
    Setting {
        name: "runs-on.<label>",
        doc: "Sandbox of jobs with this `runs-on` label: \"host\", \"docker\" or \"docker:IMAGE\". By default, GitHub's Linux\n\
              labels (`ubuntu-…`), `self-hosted`, and the names of this operating system and processor run on the\n\
              host; jobs with any other label are skipped until it is mapped here. The flag --sandbox takes precedence.",
        example: "my-label = \"docker:python:3.12\"",
        repository: InRepository::Names(free_label),
        set: |config, label, value| match value {
            SettingValue::Text(sandbox) if is_sandbox(sandbox) => {
                config.runs_on.insert(label.to_ascii_lowercase(), sandbox.clone());
                Ok(())
            }
            other => Err(other.is_not(sandbox_forms())),
        },
        show: |config| config.runs_on.iter().map(|(label, sandbox)| (label.clone(), quoted(sandbox))).collect(),
    },
    Setting {
        name: "docker.image",
        doc: "Image of jobs that run in Docker (`--sandbox docker`, or a label mapped to \"docker\") and name no image.\n\
              Default: \"node:20-bookworm\", which has git, node and python.",
        example: "image = \"ubuntu:24.04\"",
        repository: InRepository::Names(|config, _, _| Ok(config.origin("docker.image").is_none())),
        set: |config, _, value| match value {
            SettingValue::Text(image) if !image.is_empty() => {
                config.image.clone_from(image);
                Ok(())
            }
            other => Err(other.is_not("the name of an image")),
        },
        show: |config| one(quoted(&config.image)),
    },
    Setting {
        name: "docker.supervisor",
        doc: "Start the steps of a container with a shell that keeps running in it. This takes about 1 ms a step, while\n\
              `docker exec`, which is used if the shell cannot run, takes about 60 ms. Default: true.",
        example: "supervisor = false",
        repository: InRepository::Refused,
        set: |config, _, value| value.boolean().map(|yes| config.supervisor = yes),
        show: |config| one(config.supervisor.to_string()),
    },
    Setting {
        name: "docker.socket",
        doc: "Give Docker's socket to the containers of jobs and actions. Steps can then use Docker, and with it everything\n\
              on this machine. Default: false.",
        example: "socket = true",
        repository: InRepository::Refused,
        set: |config, _, value| value.boolean().map(|yes| config.docker_socket = yes),
        show: |config| one(config.docker_socket.to_string()),
    },
    Setting {
        name: "docker.git_objects",
        doc: "Folders of other repositories on this machine whose objects the containers of jobs may read, if a repository\n\
              borrows them (`git clone --shared` or `--reference`). Default: none.",
        example: "git_objects = [\"/srv/mirrors\"]",
        repository: InRepository::Refused,
        set: |config, _, value| absolute(value).map(|folders| config.git_objects = folders),
        show: |config| one(paths(&config.git_objects)),
    },
    Setting {
        name: "docker.keep_failed",
        doc: "Number of failed jobs in Docker whose containers are kept for `cuelight shell`, as images, for a day; and of\n\
              the runs of each workflow that succeeded and keep the files of jobs whose failure is allowed. The newest are\n\
              kept. Default: 5.",
        example: "keep_failed = 2",
        repository: InRepository::Refused,
        set: |config, _, value| value.number(0).map(|number| config.keep_failed = number),
        show: |config| one(config.keep_failed.to_string()),
    },
    Setting {
        name: "cache.max_gb",
        doc: "Maximum size of what `actions/cache` saved for a repository, in GB. Beyond it, what was not used for longest\n\
              is removed. It is also the maximum size of an artifact. Default: 10, as on GitHub.",
        example: "max_gb = 20",
        repository: InRepository::Refused,
        set: |config, _, value| value.number(1).map(|number| config.cache_max_gb = number),
        show: |config| one(config.cache_max_gb.to_string()),
    },
    Setting {
        name: "cache.max_days",
        doc: "Number of days after which an entry of a cache that was not used is removed. Default: 7, as on GitHub.",
        example: "max_days = 30",
        repository: InRepository::Refused,
        set: |config, _, value| value.number(1).map(|number| config.cache_max_days = number),
        show: |config| one(config.cache_max_days.to_string()),
    },
    Setting {
        name: "warm_start.enabled",
        doc: "Start jobs with the dependency folders of the newest successful run of the same job whose lock files had the\n\
              same content. Needs a file system that can clone files, such as Btrfs or XFS. The limits of `[cache]`\n\
              apply to these folders, too. Default: true.",
        example: "enabled = false",
        repository: InRepository::Tightens(|before, after| before.warm_start && !after.warm_start),
        set: |config, _, value| value.boolean().map(|yes| config.warm_start = yes),
        show: |config| one(config.warm_start.to_string()),
    },
    Setting {
        name: "warm_start.folders.<folder>",
        doc: "Lock files of a dependency folder, beside the folder, with | between them. Empty to start without the folder.\n\
              Default: those of `node_modules`, `.venv` and `target`.",
        example: "folders.\"vendor/bundle\" = \"Gemfile.lock\"",
        repository: InRepository::Names(|config, folder, _| {
            Ok(config.origin(&format!("warm_start.folders.{folder}")).is_none())
        }),
        set: |config, folder, value| {
            let is_plain = |name: &str| {
                let mut parts = Path::new(name).components();
                let is_name = |part| matches!(part, Component::Normal(name) if !name.eq_ignore_ascii_case(".git"));
                !name.is_empty() && parts.all(is_name)
            };
            let locks = match value {
                SettingValue::Text(locks) if is_plain(folder) && locks.split('|').all(|name| !name.contains('/')) => {
                    locks
                }
                other => return Err(other.is_not("names of files, for a path without `..` and `.git`")),
            };
            config.warm_folders.insert(folder.trim_end_matches('/').to_owned(), locks.clone());
            Ok(())
        },
        show: |config| config.warm_folders.iter().map(|(folder, locks)| (folder.clone(), quoted(locks))).collect(),
    },
    Setting {
        name: "actions.<name>",
        doc: "Source of an action instead of its repository on github.com: a folder (relative to the root of the\n\
              repository) or the URL of another server. The name is `owner/name`, optionally with `/path` and `@ref`.",
        example: "\"actions/setup-python\" = \"../my-actions/setup-python\"",
        repository: InRepository::Names(|config, name, _| Ok(is_free_action(config, name))),
        set: |config, name, value| match value {
            SettingValue::Text(source) if !source.is_empty() => {
                config.actions.insert(name.to_owned(), source.clone());
                Ok(())
            }
            other => Err(other.is_not("a folder or the URL of a server")),
        },
        show: |config| config.actions.iter().map(|(name, source)| (name.clone(), quoted(source))).collect(),
    },
    Setting {
        name: "github.repositories",
        doc: "Repositories on GitHub or other servers whose runs are shown, each as OWNER/REPO or HOST/OWNER/REPO.\n\
              Default: none.",
        example: "repositories = [\"rust-lang/cargo\", \"git.example.com/team/app\"]",
        repository: InRepository::Refused,
        set: |config, _, value| {
            let names = match value {
                SettingValue::Text(names) => {
                    names.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
                }
                SettingValue::List(names) => names.clone(),
                other => return Err(other.is_not("a list of repositories")),
            };
            if let Some(wrong) = names.iter().find(|name| !is_repository(name)) {
                return Err(SettingValue::Text(wrong.clone()).is_not("OWNER/REPO or HOST/OWNER/REPO"));
            }
            config.github.repositories = names;
            Ok(())
        },
        show: |config| one(list(&config.github.repositories)),
    },
    Setting {
        name: "github.api_url",
        doc: "Address of the API of github.com, for a proxy of it or a test. http:// is only for servers on this machine.\n\
              Default: \"https://api.github.com\".",
        example: "api_url = \"https://github-proxy.example.com\"",
        repository: InRepository::Refused,
        set: |config, _, value| value.name().map(|url| config.github.api_url = url),
        show: |config| one(quoted(config.github.api_url.as_deref().unwrap_or_default())),
    },
    Setting {
        name: "github.api",
        doc: "Which server answers requests of actions to GitHub's API: \"local\" for this machine, which knows the repository\n\
              and the run, and records releases in the run; \"github\", which needs the secret GITHUB_TOKEN; or\n\
              \"by-token\" for GitHub if the run has that secret, otherwise this machine. Default: \"by-token\".",
        example: "api = \"local\"",
        repository: InRepository::Refused,
        set: |config, _, value| value.word(API_CHOICES).map(|choice| config.github.api = choice),
        show: |config| one(word(API_CHOICES, config.github.api)),
    },
    Setting {
        name: "github.debugger",
        doc: "Allow GitHub's debugger, a preview: `cuelight rerun RUN --debugger` re-runs a job whose runner stops before\n\
              each step, and `cuelight shell RUN JOB` connects to it. The token of the host is then also sent to the\n\
              tunnel of the job at *.devtunnels.ms. Default: false.",
        example: "debugger = true",
        repository: InRepository::Refused,
        set: |config, _, value| value.boolean().map(|yes| config.github.debugger = yes),
        show: |config| one(config.github.debugger.to_string()),
    },
    Setting {
        name: "github.runners",
        doc: "Folders of self-hosted runners on this machine. While such a runner carries out a job, the log of the job is\n\
              followed in its files, `_diag/pages`. Runners that you run yourself are found without this setting.\n\
              Default: none.",
        example: "runners = [\"/home/ci/actions-runner\"]",
        repository: InRepository::Refused,
        set: |config, _, value| absolute(value).map(|folders| config.github.runners = folders),
        show: |config| one(paths(&config.github.runners)),
    },
    Setting {
        name: "github.hosts.<host>.api_url",
        doc: "Address of the API of a host. Default: https://HOST/api/v3, and /api/v1 on a Gitea.",
        example: "hosts.\"git.example.com\".api_url = \"https://git.example.com/api/v1\"",
        repository: InRepository::Refused,
        set: |config, host, value| value.name().map(|url| config.github.host_mut(host).api_url = url),
        show: |config| of_hosts(config, |host| host.api_url.as_deref()),
    },
    Setting {
        name: "github.hosts.<host>.kind",
        doc: "What a host is: \"github\", or \"gitea\" for Gitea and Forgejo. Default: \"github\".",
        example: "hosts.\"git.example.com\".kind = \"gitea\"",
        repository: InRepository::Refused,
        set: |config, host, value| value.word(SERVER_KINDS).map(|kind| config.github.host_mut(host).kind = kind),
        show: |config| of_hosts(config, |host| Some("gitea").filter(|_| host.kind == ServerKind::Gitea)),
    },
    Setting {
        name: "github.hosts.<host>.token_file",
        doc: "File with the token of a host. It comes before GH_TOKEN and the tokens of gh. Default: none.",
        example: "hosts.\"git.example.com\".token_file = \"/run/secrets/git-token\"",
        repository: InRepository::Refused,
        set: |config, host, value| value.name().map(|path| config.github.host_mut(host).token_file = path),
        show: |config| of_hosts(config, |host| host.token_file.as_deref()),
    },
    Setting {
        name: "github.hosts.<host>.token_command",
        doc: "Shell command that prints the token of a host. It comes before GH_TOKEN and the tokens of gh.\n\
              Default: none.",
        example: "hosts.\"github.com\".token_command = \"pass show github\"",
        repository: InRepository::Refused,
        set: |config, host, value| value.name().map(|command| config.github.host_mut(host).token_command = command),
        show: |config| of_hosts(config, |host| host.token_command.as_deref()),
    },
    Setting {
        name: "github.hosts.<host>.client_id",
        doc: "Id of the OAuth app on a host that `cuelight auth login` uses. Default: none.",
        example: "hosts.\"github.com\".client_id = \"Iv1.0123456789abcdef\"",
        repository: InRepository::Refused,
        set: |config, host, value| value.name().map(|id| config.github.host_mut(host).client_id = id),
        show: |config| of_hosts(config, |host| host.client_id.as_deref()),
    },
    Setting {
        name: "github.environments.<environment>.workflow",
        doc: "File of the workflow that deploys to an environment, where the server does not record deployments: its jobs\n\
              name no `environment`, or set `deployment: false`. Default: none.",
        example: "environments.\"production\".workflow = \"deploy.yml\"",
        repository: InRepository::Refused,
        set: |config, name, value| value.name().map(|file| config.github.environment_mut(name).workflow = file),
        show: |config| of_environments(config, |environment| environment.workflow.as_deref()),
    },
    Setting {
        name: "github.environments.<environment>.ref",
        doc: "Patterns of the branches and tags that this workflow deploys to an environment, with | between them.\n\
              Default: all.",
        example: "environments.\"production\".ref = \"main|v*\"",
        repository: InRepository::Refused,
        set: |config, name, value| {
            value.name().map(|patterns| config.github.environment_mut(name).reference = patterns)
        },
        show: |config| of_environments(config, |environment| environment.reference.as_deref()),
    },
    Setting {
        name: "github.environments.<environment>.job",
        doc: "Id or name of the job of this workflow that deploys to an environment. Default: the run as a whole.",
        example: "environments.\"production\".job = \"deploy\"",
        repository: InRepository::Refused,
        set: |config, name, value| value.name().map(|job| config.github.environment_mut(name).job = job),
        show: |config| of_environments(config, |environment| environment.job.as_deref()),
    },
    Setting {
        name: "screen.glyphs",
        doc: "Glyphs of the screen: \"unicode\", \"ascii\", or \"auto\" for Unicode if the locale supports it.\n\
              Default: \"auto\".",
        example: "glyphs = \"ascii\"",
        repository: InRepository::Refused,
        set: |config, _, value| value.word(GlyphChoice::WORDS).map(|glyphs| config.screen.glyphs = glyphs),
        show: |config| one(word(GlyphChoice::WORDS, config.screen.glyphs)),
    },
    Setting {
        name: "screen.colours",
        doc: "Colours of the screen: \"terminal\" for the terminal's sixteen colours, \"colour-blind\" for blue and orange\n\
              instead of green and red, \"none\", or \"auto\" for \"terminal\", and \"none\" if NO_COLOR is set.\n\
              Default: \"auto\".",
        example: "colours = \"colour-blind\"",
        repository: InRepository::Refused,
        set: |config, _, value| value.word(ColourChoice::WORDS).map(|colours| config.screen.colours = colours),
        show: |config| one(word(ColourChoice::WORDS, config.screen.colours)),
    },
    Setting {
        name: "screen.background",
        doc: "Background of the terminal: \"dark\", \"light\" for darker colours, or \"auto\" for the one that the terminal\n\
              names in COLORFGBG, and dark if it names none. Default: \"auto\".",
        example: "background = \"light\"",
        repository: InRepository::Refused,
        set: |config, _, value| value.word(BackgroundChoice::WORDS).map(|choice| config.screen.background = choice),
        show: |config| one(word(BackgroundChoice::WORDS, config.screen.background)),
    },
    Setting {
        name: "screen.bell",
        doc: "Ring the terminal's bell and send a terminal notification (OSC 9 and 777) when a run fails or starts to\n\
              wait. Default: true.",
        example: "bell = false",
        repository: InRepository::Refused,
        set: |config, _, value| value.boolean().map(|yes| config.screen.bell = yes),
        show: |config| one(config.screen.bell.to_string()),
    },
    Setting {
        name: "screen.on_failure",
        doc: "Shell command when a run fails while the screen is open. The environment has the run id in CUELIGHT_RUN and\n\
              a message in CUELIGHT_MESSAGE. Default: none.",
        example: "on_failure = \"notify-send \\\"$CUELIGHT_MESSAGE\\\"\"",
        repository: InRepository::Refused,
        set: |config, _, value| value.command().map(|command| config.screen.on_failure = command),
        show: |config| one(quoted(config.screen.on_failure.as_deref().unwrap_or_default())),
    },
    Setting {
        name: "screen.on_wait",
        doc: "Shell command when a run or job starts to wait, for an approval or for a concurrency group, while the\n\
              screen is open. The environment is that of screen.on_failure. Default: none.",
        example: "on_wait = \"notify-send \\\"$CUELIGHT_MESSAGE\\\"\"",
        repository: InRepository::Refused,
        set: |config, _, value| value.command().map(|command| config.screen.on_wait = command),
        show: |config| one(quoted(config.screen.on_wait.as_deref().unwrap_or_default())),
    },
    Setting {
        name: "screen.quiet",
        doc: "Hours of the day, in local time, without bell, terminal notifications and commands. The screen and the\n\
              window title still show alerts. Default: none.",
        example: "quiet = \"22:00-07:00\"",
        repository: InRepository::Refused,
        set: |config, _, value| match value {
            SettingValue::Text(text) if text.is_empty() => {
                config.screen.quiet = None;
                Ok(())
            }
            SettingValue::Text(text) if QuietHours::parse(text).is_some() => {
                config.screen.quiet = QuietHours::parse(text);
                Ok(())
            }
            other => Err(other.is_not("two times of the day, such as `22:00-07:00`")),
        },
        show: |config| one(quoted(&config.screen.quiet.map(QuietHours::written).unwrap_or_default())),
    },
    Setting {
        name: "screen.scroll_region",
        doc: "Scroll a followed log with the terminal's scroll region, which needs a tenth of the bytes of a redraw. Set\n\
              it to false if the terminal garbles followed logs. Default: true.",
        example: "scroll_region = false",
        repository: InRepository::Refused,
        set: |config, _, value| value.boolean().map(|yes| config.screen.scroll_region = yes),
        show: |config| one(config.screen.scroll_region.to_string()),
    },
    Setting {
        name: "screen.motion",
        doc: "Animate the icons of running jobs. Default: true.",
        example: "motion = false",
        repository: InRepository::Refused,
        set: |config, _, value| value.boolean().map(|yes| config.screen.motion = yes),
        show: |config| one(config.screen.motion.to_string()),
    },
    Setting {
        name: "keys.<action>",
        doc: "Keys of an action of the screen instead of its default keys: `x`, `X`, `ctrl-x`, `alt-x`, `enter`, `f5`.\n\
              Keys with spaces between them are a sequence: `g x`. `cuelight keys` lists the actions.\n\
              An empty list removes all keys of an action.",
        example: "half-down = [\"ctrl-d\", \"J\"]",
        repository: InRepository::Refused,
        set: |config, action, value| {
            let keys = match value {
                SettingValue::Text(key) => vec![key.clone()],
                SettingValue::List(keys) => keys.clone(),
                other => return Err(other.is_not("a key or a list of keys")),
            };
            config.keys.insert(action.to_owned(), keys);
            Ok(())
        },
        show: |config| config.keys.iter().map(|(action, keys)| (action.clone(), list(keys))).collect(),
    },
];

/// Whether the user's settings do not map this label. Returns an error for `host`: a repository cannot place jobs on
/// the host, because there nothing isolates them.
fn free_label(config: &Config, label: &str, value: &SettingValue) -> Result<bool, ValueError> {
    if matches!(value, SettingValue::Text(sandbox) if sandbox == "host") {
        return Err(ValueError::HostInRepository);
    }
    Ok(!config.runs_on.contains_key(&label.to_ascii_lowercase()))
}

/// Whether the user maps no action of the same repository. A mapping of one version or folder would take precedence
/// over the user's mapping of the whole repository.
fn is_free_action(config: &Config, name: &str) -> bool {
    let repository = |name: &str| {
        let whole = name.split('@').next().unwrap_or_default();
        whole.splitn(3, '/').take(2).collect::<Vec<_>>().join("/").to_ascii_lowercase()
    };
    !config.actions.keys().any(|known| repository(known) == repository(name))
}

/// Returns the folders in a list of absolute paths.
fn absolute(value: &SettingValue) -> Result<Vec<PathBuf>, ValueError> {
    match value {
        SettingValue::List(folders) if folders.iter().all(|folder| Path::new(folder).is_absolute()) => {
            Ok(folders.iter().map(PathBuf::from).collect())
        }
        other => Err(other.is_not("a list of absolute paths")),
    }
}

/// Returns folders as a list in TOML.
fn paths(folders: &[PathBuf]) -> String {
    list(&folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>())
}

/// Returns a value of each host that has one.
fn of_hosts(config: &Config, value: fn(&HostConfig) -> Option<&str>) -> Vec<(String, String)> {
    let hosts = config.github.hosts.iter();
    hosts.filter_map(|(name, host)| Some((name.clone(), quoted(value(host)?)))).collect()
}

/// Returns a value of each environment that has one.
fn of_environments(config: &Config, value: fn(&EnvironmentConfig) -> Option<&str>) -> Vec<(String, String)> {
    let environments = config.github.environments.iter();
    environments.filter_map(|(name, environment)| Some((name.clone(), quoted(value(environment)?)))).collect()
}

fn one(value: String) -> Vec<(String, String)> {
    vec![(String::new(), value)]
}
