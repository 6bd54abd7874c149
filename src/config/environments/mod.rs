//! The environments that a repository is deployed to: `[environments.NAME]` in its `.cuelight.toml`.

use std::time::Duration;

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

use super::file::position;
use super::value::{bare, to_toml};
use super::{ConfigError, Layer};
use crate::model::deployment::{
    Analysis, CanaryStep, Check, EnvironmentSettings, Freeze, KubernetesSettings, Notify, Pause, Probe, RecordOn,
    RefRule, RouterLimits, Strategy, TargetSettings, Timing, Workload, written,
};
use crate::model::nearest;

mod example;
mod kubernetes;
mod notification;
mod table;
mod target;
#[cfg(test)]
mod tests;

pub(super) use example::EXAMPLE;
use notification::notify;
use table::{FileText, Table, length};
use target::{probe, target};

/// Name of the table with the environments of a repository.
pub(super) const TABLE: &str = "environments";

/// Name of the table whose notifications apply to all environments without a `notify` key.
pub(super) const NOTIFY: &str = "notify";

/// Tables and values of an environment that start programs, contact hosts or name what is masked, and are therefore
/// part of what the user trusts.
const TRUSTED: [&str; 7] = ["target", "health", "smoke", "analysis", "notify", "record", "secrets"];

/// Environments of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environments {
    /// Settings by name, in the order of the file.
    pub(super) all: IndexMap<String, EnvironmentSettings>,
    /// Values as written, each with full name, TOML value and position.
    pub(super) lines: Vec<Line>,
}

/// A value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Name of the outermost table.
    pub(super) table: &'static str,
    /// Name below that table, such as `production.strategy`.
    pub(super) name: String,
    /// The value as TOML.
    pub(super) value: String,
    /// `file:line:column`.
    pub(super) origin: String,
    /// Whether the value starts a program, contacts a host or names what is masked.
    pub(super) is_trusted: bool,
}

/// Reads the environments and the `[notify]` table of a file. Both are errors in the user's file, because they belong
/// to a repository.
pub(super) fn read(name: &str, text: &str, document: &DeTable<'_>, layer: Layer) -> Result<Environments, ConfigError> {
    let file = FileText { name, text };
    let mut found = Environments::default();
    let for_all = match outermost(file, document, NOTIFY, layer)? {
        Some(table) => {
            flatten(file, (NOTIFY, ""), table.all(), true, &mut found.lines);
            Some(notify(table)?)
        }
        None => None,
    };
    let Some(whole) = outermost(file, document, TABLE, layer)? else { return Ok(found) };
    let mut after = Vec::new();
    for (name, start, value) in whole.entries() {
        let DeValue::Table(inner) = value else {
            return Err(whole.wrong(name, "must be a table: write [environments.NAME]"));
        };
        if name.starts_with('.') || !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
            return Err(whole.wrong(name, "must be a name of letters, digits, `-`, `_` and `.`"));
        }
        flatten(file, (TABLE, &bare(name)), inner, false, &mut found.lines);
        let table = Table::new(file, format!("{TABLE}.{name}"), start, inner);
        let (settings, table) = environment(name, table, for_all.as_ref())?;
        after.extend(settings.after.iter().map(|after| (after.clone(), table.wrong("after", ""), name.to_owned())));
        table.finish()?;
        found.all.insert(name.to_owned(), settings);
    }
    for (after, place, of) in after {
        if found.all.contains_key(&after) && after != of {
            continue;
        }
        let near = nearest(&after, found.all.keys().map(String::as_str).filter(|name| *name != of));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let ConfigError::Invalid { origin, reason } = place else { continue };
        return Err(ConfigError::Invalid {
            origin,
            reason: format!("{reason}names no other environment: `{after}`{hint}"),
        });
    }
    Ok(found)
}

/// Returns a top-level table of a file; `None` if it is missing. In the user's file, the table is an error.
fn outermost<'t>(
    file: FileText<'t>,
    document: &'t DeTable<'t>,
    name: &'static str,
    layer: Layer,
) -> Result<Option<Table<'t>>, ConfigError> {
    let Some((key, value)) = document.iter().find(|(key, _)| *key.get_ref() == name) else { return Ok(None) };
    let start = key.span().start;
    let invalid = |reason: String| ConfigError::Invalid { origin: position(file.name, file.text, start), reason };
    if layer == Layer::User {
        return Err(invalid(format!("`{name}` belongs to a repository: write it in its .cuelight.toml")));
    }
    match value.get_ref() {
        DeValue::Table(table) => Ok(Some(Table::new(file, name.to_owned(), start, table))),
        _ if name == TABLE => Err(invalid("`environments` must be a table: write [environments.NAME]".to_owned())),
        _ => Err(invalid(format!("`{name}` must be a table: write [{name}]"))),
    }
}

/// Adds the values of `table` and of its nested tables to `lines`. `outer` is the top-level table, and `name` the name
/// below it.
fn flatten(
    file: FileText<'_>,
    (outer, name): (&'static str, &str),
    table: &DeTable<'_>,
    is_trusted: bool,
    lines: &mut Vec<Line>,
) {
    for (key, start, value) in Table::new(file, String::new(), 0, table).entries() {
        let full = if name.is_empty() { bare(key) } else { format!("{name}.{}", bare(key)) };
        let is_trusted = is_trusted || TRUSTED.contains(&key);
        if let DeValue::Table(inner) = value {
            flatten(file, (outer, &full), inner, is_trusted, lines);
            continue;
        }
        let origin = position(file.name, file.text, start);
        lines.push(Line { table: outer, name: full, value: to_toml(value), origin, is_trusted });
    }
}

/// Reads an environment. `for_all` are the notifications for environments without a `notify` key. Also returns the
/// table, for errors that involve several environments.
fn environment<'t>(
    name: &str,
    mut table: Table<'t>,
    for_all: Option<&Notify>,
) -> Result<(EnvironmentSettings, Table<'t>), ConfigError> {
    let mut on = Vec::new();
    for rule in table.texts("on")? {
        on.push(ref_rule(rule).ok_or_else(|| {
            table.wrong("on", &format!("must be `push:BRANCH`, `tag:PATTERN` or `pull_request`, not `{rule}`"))
        })?);
    }
    let mut freeze = Vec::new();
    for window in table.texts("freeze")? {
        freeze.push(Freeze::parse(window).ok_or_else(|| {
            table.wrong(
                "freeze",
                &format!("must be two times of the week, such as `Fri 16:00 - Mon 08:00`, not `{window}`"),
            )
        })?);
    }
    let reviewers = table.owned_texts("reviewers")?;
    if let Some(team) = reviewers.iter().find(|name| name.starts_with("team:")) {
        return Err(table.wrong("reviewers", &format!("cannot have `{team}`: only a server knows teams; name people")));
    }
    let prevent_self_review = table.boolean("prevent_self_review")?.unwrap_or_default();
    if prevent_self_review && reviewers.is_empty() {
        return Err(table.wrong("prevent_self_review", "has no effect without `reviewers`"));
    }
    let strategy = strategy(&mut table)?;
    let Some(inner) = table.table("target")? else {
        let what = format!(
            "write [environments.{name}.target] with kind = \"docker\", \"compose\" or \"kubernetes\", or with start and stop"
        );
        let lacks = || table.lacks(&format!("has no target: {what}"));
        return Err(table.misspelled("target").unwrap_or_else(lacks));
    };
    let target = target(inner)?;
    let moves = target.moves_traffic();
    if !moves && matches!(strategy, Strategy::BlueGreen { .. } | Strategy::Canary { .. }) {
        let why = match target {
            TargetSettings::Kubernetes(_) => {
                "a Deployment gives each ready pod the same share of the traffic: use `rolling`, or a Rollout of Argo"
            }
            TargetSettings::Compose(_) => {
                "Compose cannot move traffic: use `recreate` or, for a service that publishes no port, `rolling`"
            }
            TargetSettings::Docker(_) | TargetSettings::Script(_) => {
                "the target has no `weight` command that moves traffic"
            }
        };
        return Err(table.wrong("strategy", &format!("cannot be `{}`: {why}", strategy.name())));
    }
    if let TargetSettings::Kubernetes(KubernetesSettings { workload: Workload::Rollout(_), .. }) = &target
        && strategy == Strategy::Recreate
    {
        let what =
            "`recreate`, which a Rollout does not have: write `rolling`, `blue-green` or `canary`, as in its manifest";
        return Err(table.lacks(&format!("has the strategy {what}")));
    }
    let keep_old = table.length("keep_old")?.unwrap_or_default();
    let has_slots = moves && matches!(strategy, Strategy::BlueGreen { .. } | Strategy::Canary { .. });
    if !keep_old.is_zero() && !has_slots {
        return Err(table.wrong("keep_old", "is for the strategies `blue-green` and `canary`, which have two slots"));
    }
    let auto_stop = auto_stop(&mut table, &target, keep_old)?;
    let read = table.optional("health", |inner| health(inner, &target))?;
    let (health_check, health) =
        read.unwrap_or_else(|| (None, Timing { deadline: default_deadline(&target), ..Timing::default() }));
    if health_check.is_none() && !target.knows_health() {
        let what = format!("write [environments.{name}.health] with http, tcp or exec, or target.healthy");
        let lacks = || table.lacks(&format!("has no health check: {what}"));
        return Err(table.misspelled("health").unwrap_or_else(lacks));
    }
    let smoke = table.optional("smoke", |inner| smoke(inner, &target))?;
    let analysis = table.optional("analysis", |inner| analysis(inner, &target))?;
    let notify = if table.is_off("notify") { None } else { table.optional("notify", notify)?.or(for_all.cloned()) };
    let settings = EnvironmentSettings {
        name: name.to_owned(),
        on,
        after: table.owned_texts("after")?,
        reviewers,
        prevent_self_review,
        wait: table.length("wait")?.unwrap_or_default(),
        freeze,
        strategy,
        keep_old,
        auto_stop,
        url: table.text("url")?.map(str::to_owned),
        target,
        health,
        health_check,
        smoke,
        analysis,
        notify,
        record: record(&mut table)?,
        secrets: table.owned_texts("secrets")?,
        variables: table.owned_texts("variables")?,
    };
    Ok((settings, table))
}

/// Reads which server also records the deployments.
fn record(table: &mut Table<'_>) -> Result<Option<RecordOn>, ConfigError> {
    match table.text("record")? {
        None => Ok(None),
        Some(RecordOn::GITHUB) => Ok(Some(RecordOn::GitHub)),
        Some(other) => Err(table.wrong("record", &format!("must be `{}`, not `{other}`", RecordOn::GITHUB))),
    }
}

/// Reads after which time the environment is stopped.
fn auto_stop(
    table: &mut Table<'_>,
    target: &TargetSettings,
    keep_old: Duration,
) -> Result<Option<Duration>, ConfigError> {
    let Some(after) = table.length("auto_stop")? else { return Ok(None) };
    if matches!(target, TargetSettings::Kubernetes(_)) {
        return Err(table.wrong("auto_stop", "cannot be set: the pods of a Deployment are replaced, but never removed"));
    }
    if after <= keep_old {
        let least = if keep_old.is_zero() { "0s".to_owned() } else { format!("keep_old, {}", written(keep_old)) };
        return Err(table.wrong("auto_stop", &format!("of {} must be longer than {least}", written(after))));
    }
    Ok(Some(after))
}

fn ref_rule(text: &str) -> Option<RefRule> {
    let pattern = |pattern: &str| Some(pattern.trim().to_owned()).filter(|pattern| !pattern.is_empty());
    match text.split_once(':') {
        Some(("push", branch)) => pattern(branch).map(RefRule::Push),
        Some(("tag", tag)) => pattern(tag).map(RefRule::Tag),
        None if text == "pull_request" => Some(RefRule::PullRequest),
        _ => None,
    }
}

/// Reads the strategy and its keys. Keys of another strategy are errors.
fn strategy(table: &mut Table<'_>) -> Result<Strategy, ConfigError> {
    let name = table.text("strategy")?.unwrap_or("recreate");
    let (max_surge, max_unavailable) = (table.number("max_surge", 0)?, table.number("max_unavailable", 0)?);
    let strategy = match name {
        "recreate" => Strategy::Recreate,
        "rolling" => {
            let strategy = (max_surge.unwrap_or(1), max_unavailable.unwrap_or(0));
            if strategy == (0, 0) {
                let reason = "and `max_surge` are both 0: no replica could be replaced; set one of them to 1";
                return Err(table.wrong("max_unavailable", reason));
            }
            Strategy::Rolling { max_surge: strategy.0, max_unavailable: strategy.1 }
        }
        "blue-green" => {
            let pause = match table.text("pause")? {
                None => None,
                Some("person") => Some(Pause::Person),
                Some(text) => Some(Pause::For(length(text).ok_or_else(|| {
                    table.wrong("pause", &format!("must be `person` or a length of time such as `5m`, not `{text}`"))
                })?)),
            };
            Strategy::BlueGreen { pause }
        }
        "canary" => {
            let Some(mut canary) = table.table("canary")? else {
                let what = "write canary.steps, such as [\"10%\", \"pause 5m\", \"50%\", \"pause\"]";
                return Err(table.wrong("strategy", &format!("is `canary` without steps: {what}")));
            };
            let steps = canary_steps(&mut canary)?;
            canary.finish()?;
            Strategy::Canary { steps }
        }
        other => {
            let known = "`recreate`, `rolling`, `blue-green` or `canary`";
            return Err(table.wrong("strategy", &format!("must be {known}, not `{other}`")));
        }
    };
    let of = [("max_surge", "rolling"), ("max_unavailable", "rolling"), ("pause", "blue-green"), ("canary", "canary")];
    match of.into_iter().find(|(key, of)| table.has(key) && *of != strategy.name()) {
        Some((key, of)) => Err(table.wrong(key, &format!("is for the strategy `{of}`, and this one is `{name}`"))),
        None => Ok(strategy),
    }
}

fn canary_steps(table: &mut Table<'_>) -> Result<Vec<CanaryStep>, ConfigError> {
    let mut steps = Vec::new();
    let mut last = 0;
    for text in table.texts("steps")? {
        let wrong = |reason: &str| table.wrong("steps", &format!("has `{text}`: {reason}"));
        if let Some(share) = text.strip_suffix('%') {
            let percent = share.trim().parse().ok().filter(|percent| (1..=99).contains(percent));
            let percent: u8 = percent.ok_or_else(|| wrong("a share is a whole number from 1% to 99%"))?;
            if percent <= last {
                return Err(wrong("shares must grow"));
            }
            last = percent;
            steps.push(CanaryStep::Weight(percent));
        } else if text == "pause" {
            steps.push(CanaryStep::Pause(Pause::Person));
        } else if let Some(time) = text.strip_prefix("pause ").and_then(length) {
            steps.push(CanaryStep::Pause(Pause::For(time)));
        } else {
            return Err(wrong("write a share such as `10%`, `pause 5m`, or `pause` to wait for a person"));
        }
    }
    if steps.iter().all(|step| step.share().is_none()) {
        return Err(table.wrong("steps", "must have a share, such as [\"10%\", \"pause 5m\"]"));
    }
    Ok(steps)
}

fn health(mut table: Table<'_>, target: &TargetSettings) -> Result<(Option<Probe>, Timing), ConfigError> {
    let probe = probe(&mut table, target)?;
    if matches!((&probe, target), (Some(Probe::Http(_) | Probe::Tcp(_)), TargetSettings::Docker(_))) {
        let what = "write a path in http, such as `/health`, or exec; without them, the router connects to target.port";
        return Err(table.lacks(&format!("cannot reach the replicas, which publish no port: {what}")));
    }
    let default = Timing::default();
    let timing = Timing {
        interval: table.length_or("interval", default.interval)?,
        timeout: table.length_or("timeout", default.timeout)?,
        retries: table.number("retries", 0)?.unwrap_or(default.retries),
        start_period: table.length_or("start_period", default.start_period)?,
        healthy_for: table.length_or("healthy_for", default.healthy_for)?,
        ..default
    };
    // The default deadline leaves enough time for every retry.
    let patient = timing.needed() + (timing.interval + timing.timeout) * (timing.retries + 1);
    let deadline = table.length("deadline")?;
    if let Some(deadline) = deadline.filter(|deadline| *deadline <= timing.needed()) {
        let reason = format!(
            "of {} is too short: start_period and healthy_for together already take {}",
            written(deadline),
            written(timing.needed())
        );
        return Err(table.wrong("deadline", &reason));
    }
    table.finish()?;
    Ok((probe, Timing { deadline: deadline.unwrap_or_else(|| patient.max(default_deadline(target))), ..timing }))
}

/// Returns the deadline of a health check that has none in the settings. In Kubernetes one check covers all batches,
/// and the Deployment has its own deadline for a rollout without progress, `progressDeadlineSeconds`.
fn default_deadline(target: &TargetSettings) -> Duration {
    match target {
        TargetSettings::Kubernetes(_) => Duration::from_hours(1),
        TargetSettings::Docker(_) | TargetSettings::Compose(_) | TargetSettings::Script(_) => {
            Timing::default().deadline
        }
    }
}

fn smoke(mut table: Table<'_>, target: &TargetSettings) -> Result<Check, ConfigError> {
    let probe = probe(&mut table, target)?.ok_or_else(|| table.lacks("needs one of http, tcp and exec"))?;
    let timing = Timing {
        interval: table.length_or("interval", Duration::from_secs(1))?,
        timeout: table.length_or("timeout", Duration::from_secs(30))?,
        retries: table.number("retries", 0)?.unwrap_or(2),
        ..Timing::default()
    };
    table.finish()?;
    let deadline = (timing.interval + timing.timeout) * (timing.retries + 1);
    Ok(Check { probe, timing: Timing { deadline, ..timing } })
}

fn analysis(mut table: Table<'_>, target: &TargetSettings) -> Result<Analysis, ConfigError> {
    let limits = router_limits(&mut table, target)?;
    let asked = probe(&mut table, target)?;
    if limits.is_some() && asked.is_some() {
        return Err(table.wrong("errors", "is a limit for the router, which cannot be combined with http, tcp or exec"));
    }
    let needed = || match target {
        TargetSettings::Docker(_) => table.lacks("needs one of errors, http, tcp and exec"),
        TargetSettings::Compose(_) | TargetSettings::Kubernetes(_) | TargetSettings::Script(_) => {
            table.lacks("needs one of http, tcp and exec")
        }
    };
    // The router answers in almost no time, so it is asked often. Its counters cover all requests since the start of
    // the release, so one bad answer is enough.
    let (every, failures) =
        if limits.is_some() { (Duration::from_millis(100), 1) } else { (Duration::from_secs(15), 3) };
    let analysis = Analysis {
        probe: limits.or(asked).ok_or_else(needed)?,
        every: table.length_or("every", every)?,
        timeout: table.length_or("timeout", Duration::from_secs(10))?,
        failures: table.number("failures", 1)?.unwrap_or(failures),
    };
    if analysis.every.is_zero() {
        return Err(table.wrong("every", "must be longer than 0s"));
    }
    table.finish()?;
    Ok(analysis)
}

/// Reads the limits for requests that the router counts. `None` if no limit is set, or if the target has no router:
/// only Docker has one.
fn router_limits(table: &mut Table<'_>, target: &TargetSettings) -> Result<Option<Probe>, ConfigError> {
    if !matches!(target, TargetSettings::Docker(_)) {
        return Ok(None);
    }
    let (latency, min_requests) = (table.length("latency")?, table.number("min_requests", 1)?);
    let Some(text) = table.text("errors")? else {
        let of_errors = [("latency", latency.is_some()), ("min_requests", min_requests.is_some())];
        return match of_errors.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => Err(table.wrong(key, "needs `errors`, such as errors = \"1%\"")),
            None => Ok(None),
        };
    };
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    let wrong = || table.wrong("errors", &format!("must be a share such as `1%` or `0.5%`, not `{text}`"));
    let errors = (percent.ok_or_else(wrong)? * 100.0).round() as u32;
    Ok(Some(Probe::Router(RouterLimits { errors, latency, min_requests: min_requests.unwrap_or(50) })))
}
