//! Settings of an environment that this machine deploys to, as in the `.cuelight.toml` of a repository.

use std::ffi::OsString;
use std::time::Duration;

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

use super::{Notify, Pause, RecordOn, TargetSettings, written};
use crate::model::is_within;

/// Settings of an environment: its rules, and where its releases go. The `run.json` of every deployment contains a
/// copy, so that the deployment ends under the rules that it began with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnvironmentSettings {
    /// Name of the environment.
    pub name: String,
    /// Rules for releases, one of which must match. Empty if all releases may be deployed.
    pub on: Vec<RefRule>,
    /// Environments in which the same commit must have succeeded.
    pub after: Vec<String>,
    /// Reviewers, one of whom must approve: user, `user@host` or mail address.
    pub reviewers: Vec<String>,
    /// Whether the person who deploys may not approve.
    pub prevent_self_review: bool,
    /// How long a deployment waits before it begins.
    pub wait: Duration,
    /// Weekly times without deployments.
    pub freeze: Vec<Freeze>,
    /// How the old release is replaced.
    pub strategy: Strategy,
    /// How long the old release keeps running, so that a rollback is instant.
    pub keep_old: Duration,
    /// How long after its deployment the environment is stopped; `None` if it runs until the next deployment.
    #[serde(default)]
    pub auto_stop: Option<Duration>,
    /// URL of the deployed application; `None` if it is not configured.
    pub url: Option<String>,
    /// Where replicas run, and how.
    pub target: TargetSettings,
    /// Timing of the health check, which decides when a replica counts as healthy.
    pub health: Timing,
    /// Health check; `None` if the target itself decides.
    pub health_check: Option<Probe>,
    /// The smoke test before the new release gets traffic; `None` to skip it.
    pub smoke: Option<Check>,
    /// How the new release is watched during pauses; `None` to repeat the health check.
    pub analysis: Option<Analysis>,
    /// Who is notified of deployments, and how; `None` for no notifications.
    #[serde(default)]
    pub notify: Option<Notify>,
    /// The server that also records the deployments; `None` if only this machine does.
    #[serde(default)]
    pub record: Option<RecordOn>,
    /// Names of secret environment variables that the commands of the environment need.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Names of other environment variables that the commands of the environment need.
    #[serde(default)]
    pub variables: Vec<String>,
}

/// Words in the names of environment variables that mark their values as secret, even if no setting names them.
const SECRET_WORDS: [&str; 9] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "APIKEY", "KEY", "WEBHOOK"];

/// Minimum length in bytes of a value that is masked only because of its variable's name. Shorter values are often
/// ordinary words.
const MIN_GUESSED_SECRET: usize = 8;

/// An environment variable that the commands of an environment need.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Needed {
    /// Name.
    pub name: String,
    /// Whether the value of the variable is secret.
    pub is_secret: bool,
    /// Whether the variable has a value.
    pub is_set: bool,
}

impl Needed {
    /// Returns the word for its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.is_secret { "secret" } else { "variable" }
    }
}

impl EnvironmentSettings {
    /// Returns the environment variables that the settings name, secrets first. `is_set` returns whether a variable has
    /// a value.
    pub fn needed(&self, is_set: impl Fn(&str) -> bool) -> Vec<Needed> {
        let secrets = self.secret_names().into_iter().map(|name| (name, true));
        let all = secrets.chain(self.variables.iter().map(|name| (name.as_str(), false)));
        all.map(|(name, is_secret)| Needed { name: name.to_owned(), is_secret, is_set: is_set(name) }).collect()
    }

    /// Returns the names of the variables that the settings mark as secret, including the variables of notifications.
    fn secret_names(&self) -> IndexSet<&str> {
        self.secrets.iter().chain(self.notify.iter().flat_map(Notify::variables)).map(String::as_str).collect()
    }

    /// Returns the values of environment variables that must not be shown.
    pub fn secrets<'v>(&self, variables: &'v [(OsString, OsString)]) -> impl Iterator<Item = &'v str> {
        let variables = variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        variables.filter(|(name, value)| self.is_secret(name, value)).map(|(_, value)| value)
    }

    /// Whether the value of an environment variable must not be shown: the settings name the variable as a secret, or
    /// its name contains a word such as `TOKEN` and the value has at least eight bytes.
    #[must_use]
    pub fn is_secret(&self, name: &str, value: &str) -> bool {
        let has_word = || name.split('_').any(|word| SECRET_WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)));
        self.secret_names().contains(name) || (value.len() >= MIN_GUESSED_SECRET && has_word())
    }
}

/// A rule about the releases that may be deployed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefRule {
    /// A commit of a branch that matches the pattern.
    Push(String),
    /// A tag that matches the pattern.
    Tag(String),
    /// Any commit.
    PullRequest,
}

impl RefRule {
    /// Returns the rule as written in settings.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::Push(pattern) => format!("push:{pattern}"),
            Self::Tag(pattern) => format!("tag:{pattern}"),
            Self::PullRequest => "pull_request".to_owned(),
        }
    }
}

/// A weekly time without deployments, in minutes after Monday 00:00. A window whose end is before its start spans the
/// end of the week.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Freeze {
    /// First minute of the window.
    pub from: u16,
    /// First minute after the window.
    pub to: u16,
}

/// Names of the days in freeze windows.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

impl Freeze {
    /// Parses `Fri 16:00 - Mon 08:00`. Returns `None` if the text is not two different times of the week.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = |text: &str| {
            let (day, clock) = text.trim().split_once(' ')?;
            let (hour, minute) = clock.trim().split_once(':')?;
            let day = DAYS.iter().position(|name| name.eq_ignore_ascii_case(day))?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then(|| u16::try_from(day).ok().map(|day| day * DAY + hour * 60 + minute))?
        };
        let (from, to) = text.split_once('-')?;
        let freeze = Self { from: time(from)?, to: time(to)? };
        (freeze.from != freeze.to).then_some(freeze)
    }

    /// Whether the window contains a minute of the week.
    #[must_use]
    pub fn contains(self, minute: u16) -> bool {
        is_within(self.from, self.to, minute)
    }

    /// Returns the window as written in settings.
    #[must_use]
    pub fn written(self) -> String {
        let time =
            |minute: u16| format!("{} {:02}:{:02}", DAYS[usize::from(minute / DAY % 7)], minute / 60 % 24, minute % 60);
        format!("{} - {}", time(self.from), time(self.to))
    }
}

/// How the old release is replaced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The old release stops, then the new one starts: a gap without service.
    Recreate,
    /// Replicas are replaced in batches.
    Rolling {
        /// Maximum number of replicas beyond the configured number.
        max_surge: u32,
        /// Maximum number of replicas below the configured number.
        max_unavailable: u32,
    },
    /// The new release starts beside the old one, then all traffic moves at once.
    BlueGreen {
        /// The wait before the switch; `None` to switch at once.
        pause: Option<Pause>,
    },
    /// The new release gets growing shares of the traffic.
    Canary {
        /// The shares, and the waits between them.
        steps: Vec<CanaryStep>,
    },
}

impl Strategy {
    /// Returns the name in settings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Recreate => "recreate",
            Self::Rolling { .. } => "rolling",
            Self::BlueGreen { .. } => "blue-green",
            Self::Canary { .. } => "canary",
        }
    }
}

/// A step of a canary.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryStep {
    /// The new release gets this share of the traffic in percent, 1 to 99.
    Weight(u8),
    /// The deployment waits.
    Pause(Pause),
}

impl CanaryStep {
    /// Returns the share of the traffic in percent that the new release gets. `None` for a pause.
    #[must_use]
    pub fn share(self) -> Option<u8> {
        match self {
            Self::Weight(percent) => Some(percent),
            Self::Pause(_) => None,
        }
    }
}

/// A check whose result is good, bad or unknown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A `GET` request to this address, which must be answered with a status below 400. `{slot}` stands for the slot, and
    /// `{host}` for the address of the host.
    Http(String),
    /// A `GET` request for this path to each replica, through the network of the target.
    Path(String),
    /// A connection to this `host:port`, with the same placeholders.
    Tcp(String),
    /// A command for `sh`: exit code 0 is good, 75 is unknown, others are bad.
    Exec(String),
    /// Requests to the slot, as the router counted them.
    Router(RouterLimits),
}

/// Limits for the requests to a release, which the router counts from the first request on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouterLimits {
    /// Maximum share of failed requests, in hundredths of a percent.
    pub errors: u32,
    /// Maximum mean response time; `None` if there is no limit.
    pub latency: Option<Duration>,
    /// Minimum number of requests for a good result. With fewer, the result is unknown unless there are already too
    /// many errors.
    pub min_requests: u32,
}

/// Placeholder for the address of the host in the address of a probe.
pub const HOST_PLACE: &str = "{host}";

impl Probe {
    /// Returns the probe of a host, whose address replaces [`HOST_PLACE`].
    #[must_use]
    pub fn on_host(&self, host: &str) -> Self {
        match self {
            Self::Http(url) => Self::Http(url.replace(HOST_PLACE, host)),
            Self::Tcp(address) => Self::Tcp(address.replace(HOST_PLACE, host)),
            Self::Path(_) | Self::Exec(_) | Self::Router(_) => self.clone(),
        }
    }

    /// Returns the probe in words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Http(url) => format!("GET {url}"),
            Self::Tcp(address) => format!("connect to {address}"),
            Self::Path(path) => format!("GET {path} of each replica"),
            Self::Exec(command) => format!("`{}`", command.lines().next().unwrap_or_default()),
            Self::Router(limits) => {
                let latency = limits.latency.map(|most| format!(" and {}", written(most))).unwrap_or_default();
                format!("at most {} % errors{latency} at the router", f64::from(limits.errors) / 100.0)
            }
        }
    }
}

/// When and how often a probe is repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// Time between two probes.
    pub interval: Duration,
    /// Time limit of one probe.
    pub timeout: Duration,
    /// Number of bad answers in a row after which the check fails.
    pub retries: u32,
    /// Time after the start during which bad answers do not count.
    pub start_period: Duration,
    /// How long answers must stay good.
    pub healthy_for: Duration,
    /// Time limit of the whole check.
    pub deadline: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            retries: 30,
            start_period: Duration::ZERO,
            healthy_for: Duration::ZERO,
            deadline: Duration::from_mins(5),
        }
    }
}

impl Timing {
    /// Returns the time that a healthy start may need.
    #[must_use]
    pub fn needed(&self) -> Duration {
        self.start_period + self.healthy_for
    }

    /// Returns the timing in words.
    #[must_use]
    pub fn text(&self) -> String {
        let every = format!("every {}, at most {} failures in a row", written(self.interval), self.retries);
        let stays = if self.healthy_for.is_zero() {
            String::new()
        } else {
            format!(", healthy for {}", written(self.healthy_for))
        };
        format!("{every}{stays}, within {}", written(self.deadline))
    }
}

/// A probe with its timing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Check {
    /// The probe.
    pub probe: Probe,
    /// Timing of the probe.
    pub timing: Timing,
}

/// How the new release is watched during pauses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Analysis {
    /// The probe.
    pub probe: Probe,
    /// Time between two probes.
    pub every: Duration,
    /// Time limit of one probe.
    pub timeout: Duration,
    /// Number of bad answers in one pause that abort the deployment.
    pub failures: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freeze_windows_may_span_the_end_of_the_week() {
        let weekend = Freeze::parse("Fri 16:00 - Mon 08:00").expect("a window");
        assert_eq!(weekend.written(), "Fri 16:00 - Mon 08:00");
        let minute = |day: u16, hour: u16| day * DAY + hour * 60;
        for (at, frozen) in [
            (minute(4, 15), false),
            (minute(4, 16), true),
            (minute(6, 23), true),
            (minute(0, 7), true),
            (minute(0, 8), false),
        ] {
            assert_eq!(weekend.contains(at), frozen, "{at}");
        }
        for wrong in ["", "Fri 16:00", "Fri 16:00 - Fri 16:00", "Fri 24:00 - Mon 08:00", "Day 1:00 - Mon 08:00"] {
            assert_eq!(Freeze::parse(wrong), None, "{wrong}");
        }
    }
}
