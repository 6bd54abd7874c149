//! The environments that a repository is deployed to: `[environments.NAME]` in its `.cuelight.toml`.

use std::time::Duration;

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

use super::file::position;
use super::value::{bare, list, quoted};
use super::{ConfigError, Layer};
use crate::model::deployment::{
    Analysis, CanaryStep, Check, EnvironmentSettings, Freeze, Notify, NotifyEvent, Pause, Probe, RefRule,
    ScriptCommand, ScriptSettings, Strategy, Timing, written,
};
use crate::model::nearest;

mod table;
#[cfg(test)]
mod tests;

use table::{FileText, Table, length};

/// Name of the table.
pub(super) const TABLE: &str = "environments";

/// Tables of an environment whose values run or reach something: they are part of what a person trusts.
const TRUSTED: [&str; 5] = ["target", "health", "smoke", "analysis", "notify"];

/// Environments of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environments {
    /// Settings by name, in the order of the file.
    pub(super) all: IndexMap<String, EnvironmentSettings>,
    /// What is written, as full name, TOML value and position.
    pub(super) lines: Vec<Line>,
}

/// A value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Name below the table of all environments: `production.strategy`.
    pub(super) name: String,
    /// The value as TOML.
    pub(super) value: String,
    /// `file:line:column`.
    pub(super) origin: String,
    /// Whether it runs or reaches something.
    pub(super) is_trusted: bool,
}

/// Reads the environments of a file.
pub(super) fn read(name: &str, text: &str, document: &DeTable<'_>, layer: Layer) -> Result<Environments, ConfigError> {
    let file = FileText { name, text };
    let Some((key, value)) = document.iter().find(|(key, _)| *key.get_ref() == TABLE) else {
        return Ok(Environments::default());
    };
    let start = key.span().start;
    let invalid =
        |reason: &str| ConfigError::Invalid { origin: position(name, text, start), reason: reason.to_owned() };
    if layer == Layer::User {
        return Err(invalid("environments belong to a repository: write them in its .cuelight.toml"));
    }
    let DeValue::Table(all) = value.get_ref() else {
        return Err(invalid("`environments` must be a table: write [environments.NAME]"));
    };
    let whole = Table::new(file, TABLE.to_owned(), start, all);
    let mut found = Environments::default();
    let mut after = Vec::new();
    for (name, start, value) in whole.entries() {
        let DeValue::Table(inner) = value else {
            return Err(whole.wrong(name, "must be a table: write [environments.NAME]"));
        };
        if name.starts_with('.') || !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
            return Err(whole.wrong(name, "must be a name of letters, digits, `-`, `_` and `.`"));
        }
        flatten(file, &bare(name), inner, false, &mut found.lines);
        let table = Table::new(file, format!("{TABLE}.{name}"), start, inner);
        let (settings, table) = environment(name, table)?;
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

/// Adds what is written in a table.
fn flatten(file: FileText<'_>, name: &str, table: &DeTable<'_>, is_trusted: bool, lines: &mut Vec<Line>) {
    for (key, start, value) in Table::new(file, String::new(), 0, table).entries() {
        let full = format!("{name}.{}", bare(key));
        if let DeValue::Table(inner) = value {
            flatten(file, &full, inner, is_trusted || TRUSTED.contains(&key), lines);
            continue;
        }
        let value = match value {
            DeValue::String(text) => quoted(text),
            DeValue::Array(items) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().unwrap_or_default().to_owned());
                list(&texts.collect::<Vec<_>>())
            }
            DeValue::Integer(number) => number.to_string(),
            DeValue::Boolean(yes) => yes.to_string(),
            other => other.type_str().to_owned(),
        };
        let origin = position(file.name, file.text, start);
        lines.push(Line { name: full, value, origin, is_trusted });
    }
}

/// Reads an environment. Returns the table, too, for errors about several environments.
fn environment<'t>(name: &str, mut table: Table<'t>) -> Result<(EnvironmentSettings, Table<'t>), ConfigError> {
    let texts = |table: &mut Table<'t>, key| -> Result<Vec<String>, ConfigError> {
        Ok(table.texts(key)?.into_iter().map(str::to_owned).collect())
    };
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
    let reviewers = texts(&mut table, "reviewers")?;
    if let Some(team) = reviewers.iter().find(|name| name.starts_with("team:")) {
        return Err(table.wrong("reviewers", &format!("cannot have `{team}`: only a server knows teams; name people")));
    }
    let prevent_self_review = table.boolean("prevent_self_review")?.unwrap_or_default();
    if prevent_self_review && reviewers.is_empty() {
        return Err(table.wrong("prevent_self_review", "has no effect without `reviewers`"));
    }
    let strategy = strategy(&mut table)?;
    let Some(inner) = table.table("target")? else {
        return Err(table.lacks(&format!("has no target: write [environments.{name}.target] with start and stop")));
    };
    let target = target(inner)?;
    let moves = target.command(ScriptCommand::Weight).is_some();
    if !moves && matches!(strategy, Strategy::BlueGreen { .. } | Strategy::Canary { .. }) {
        let reason = format!("cannot be `{}`: the target has no `weight` command that moves traffic", strategy.name());
        return Err(table.wrong("strategy", &reason));
    }
    let keep_old = table.length("keep_old")?.unwrap_or_default();
    let has_slots = moves && matches!(strategy, Strategy::BlueGreen { .. } | Strategy::Canary { .. });
    if !keep_old.is_zero() && !has_slots {
        return Err(table.wrong("keep_old", "is for the strategies `blue-green` and `canary`, which have two slots"));
    }
    let (health_check, health) = table.optional("health", health)?.unwrap_or_default();
    if health_check.is_none() && target.command(ScriptCommand::Healthy).is_none() {
        let what = format!("write [environments.{name}.health] with http, tcp or exec, or target.healthy");
        return Err(table.lacks(&format!("has no health check: {what}")));
    }
    let smoke = table.optional("smoke", smoke)?;
    let analysis = table.optional("analysis", analysis)?;
    let notify = table.optional("notify", notify)?;
    let settings = EnvironmentSettings {
        name: name.to_owned(),
        on,
        after: texts(&mut table, "after")?,
        reviewers,
        prevent_self_review,
        wait: table.length("wait")?.unwrap_or_default(),
        freeze,
        strategy,
        keep_old,
        url: table.text("url")?.map(str::to_owned),
        target,
        health,
        health_check,
        smoke,
        analysis,
        notify,
        secrets: texts(&mut table, "secrets")?,
        variables: texts(&mut table, "variables")?,
    };
    Ok((settings, table))
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

/// Reads the strategy and its own keys. Those of another strategy are errors.
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
    if !steps.iter().any(|step| matches!(step, CanaryStep::Weight(_))) {
        return Err(table.wrong("steps", "must have a share, such as [\"10%\", \"pause 5m\"]"));
    }
    Ok(steps)
}

fn target(mut table: Table<'_>) -> Result<ScriptSettings, ConfigError> {
    match table.text("kind")? {
        None | Some("script") => {}
        Some(other) => return Err(table.wrong("kind", &format!("must be `script`, not `{other}`"))),
    }
    let mut commands = IndexMap::new();
    for command in ScriptCommand::ALL {
        if let Some(text) = table.text(command.name())? {
            commands.insert(command, text.to_owned());
        }
    }
    for needed in [ScriptCommand::Start, ScriptCommand::Stop] {
        if !commands.contains_key(&needed) {
            return Err(table.lacks(&format!("has no `{}` command", needed.name())));
        }
    }
    let replicas = table.number("replicas", 1)?.unwrap_or(1);
    let timeout = table.length_or("timeout", Duration::from_mins(10))?;
    table.finish()?;
    Ok(ScriptSettings { commands, replicas, timeout })
}

/// Reads the probe of a table: one of `http`, `tcp` and `exec`.
fn probe(table: &mut Table<'_>) -> Result<Option<Probe>, ConfigError> {
    let http = table.text("http")?.map(str::to_owned);
    if let Some(url) = http.as_ref().filter(|url| !url.starts_with("http://")) {
        return Err(table.wrong("http", &format!("must be an address with http://, not `{url}`")));
    }
    let tcp = table.text("tcp")?.map(str::to_owned);
    let is_port = |address: &String| address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if let Some(address) = tcp.as_ref().filter(|address| !is_port(address) && !address.contains('{')) {
        return Err(table.wrong("tcp", &format!("must be HOST:PORT, not `{address}`")));
    }
    let exec = table.text("exec")?.map(str::to_owned);
    let mut all = [http.map(Probe::Http), tcp.map(Probe::Tcp), exec.map(Probe::Exec)].into_iter().flatten();
    let first = all.next();
    if all.next().is_some() {
        return Err(table.lacks("has more than one of http, tcp and exec"));
    }
    Ok(first)
}

/// Reads the probe of a table that has no other purpose.
fn needed_probe(table: &mut Table<'_>) -> Result<Probe, ConfigError> {
    probe(table)?.ok_or_else(|| table.lacks("has none of http, tcp and exec"))
}

fn health(mut table: Table<'_>) -> Result<(Option<Probe>, Timing), ConfigError> {
    let probe = probe(&mut table)?;
    let default = Timing::default();
    let timing = Timing {
        interval: table.length_or("interval", default.interval)?,
        timeout: table.length_or("timeout", default.timeout)?,
        retries: table.number("retries", 0)?.unwrap_or(default.retries),
        start_period: table.length_or("start_period", default.start_period)?,
        healthy_for: table.length_or("healthy_for", default.healthy_for)?,
        ..default
    };
    // By default there is time for every retry, however long it takes.
    let patient = timing.needed() + (timing.interval + timing.timeout) * (timing.retries + 1);
    let deadline = table.length("deadline")?;
    if let Some(deadline) = deadline.filter(|deadline| *deadline <= timing.needed()) {
        let reason = format!(
            "of {} is not longer than the start that it must wait for: start_period and healthy_for are {} together",
            written(deadline),
            written(timing.needed())
        );
        return Err(table.wrong("deadline", &reason));
    }
    table.finish()?;
    Ok((probe, Timing { deadline: deadline.unwrap_or_else(|| patient.max(default.deadline)), ..timing }))
}

fn smoke(mut table: Table<'_>) -> Result<Check, ConfigError> {
    let probe = needed_probe(&mut table)?;
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

fn analysis(mut table: Table<'_>) -> Result<Analysis, ConfigError> {
    let probe = needed_probe(&mut table)?;
    let analysis = Analysis {
        probe,
        every: table.length_or("every", Duration::from_secs(15))?,
        timeout: table.length_or("timeout", Duration::from_secs(10))?,
        failures: table.number("failures", 1)?.unwrap_or(3),
    };
    if analysis.every.is_zero() {
        return Err(table.wrong("every", "must be longer than 0s"));
    }
    table.finish()?;
    Ok(analysis)
}

fn notify(mut table: Table<'_>) -> Result<Notify, ConfigError> {
    let command = table.text("command")?.ok_or_else(|| table.lacks("has no `command`"))?.to_owned();
    let mut on = Vec::new();
    for name in table.texts("on")? {
        let names = || NotifyEvent::ALL.map(NotifyEvent::name).join(", ");
        let event = NotifyEvent::ALL.into_iter().find(|event| event.name() == name);
        on.push(event.ok_or_else(|| table.wrong("on", &format!("has `{name}`: there are {}", names())))?);
    }
    if on.is_empty() {
        on.extend(NotifyEvent::ALL);
    }
    table.finish()?;
    Ok(Notify { command, on })
}

/// Text of the environments in `config.example.toml`.
pub(super) const EXAMPLE: &str = r#"
# Environments that `cuelight deploy` puts releases of the repository into. Only in .cuelight.toml; the target, the
# checks and the analysis are part of what is trusted. Commands run with `sh` in the root of the repository, with
# DEPLOY_ENVIRONMENT, DEPLOY_ACTION, DEPLOY_ID, DEPLOY_SLOT (blue or green), DEPLOY_RELEASE, DEPLOY_SHA, DEPLOY_REF,
# DEPLOY_TAG, DEPLOY_REPLICAS, DEPLOY_KEEP and DEPLOY_WEIGHT. A command that is repeated must have the same effect.
# A job of a run on this machine with such an `environment` waits for its rules, too, and is recorded as a deployment.
# [environments.production]
# Releases that may be deployed: "push:BRANCH", "tag:PATTERN" or "pull_request". Default: all.
# on = "tag:v*"
# The same commit must have succeeded there. Default: none.
# after = ["staging"]
# One of them must approve: user, user@host or mail address. Default: none. It is a habit, not a protection: who can
# start the program can change this file.
# reviewers = ["alice", "olu@example.com"]
# prevent_self_review = true
# How long a deployment waits before it begins. Default: "0s".
# wait = "10m"
# Weekly times without deployments, in local time. Default: none.
# freeze = ["Fri 16:00 - Mon 08:00"]
# How the old release is replaced: "recreate" (with a gap), "rolling" (max_surge, default 1, and max_unavailable,
# default 0), "blue-green" (pause before the switch: "person" or a length of time) or "canary" (canary.steps).
# strategy = "canary"
# canary.steps = ["5%", "pause 5m", "25%", "pause"]
# How long the old release runs on after blue-green and canary, so that a rollback is instant. Default: "0s".
# keep_old = "30m"
# url = "https://app.example.com"
# Environment variables that the commands need: `cuelight env production --check` says which are missing. Values of
# secrets, and of variables whose names say so, such as DEPLOY_TOKEN, are masked in logs and messages. Default: none.
# secrets = ["SLACK_WEBHOOK_URL"]
# variables = ["SERVICE"]
# The target: commands. start and stop are needed, weight for blue-green and canary. healthy succeeds when all replicas
# of DEPLOY_SLOT are. status prints a line for each slot that has replicas: SLOT COMMIT REPLICAS HEALTHY WEIGHT.
# assets/deploy/docker in cuelight's repository is such a command for Docker, with HAProxy as the router.
# [environments.production.target]
# start = "./deploy/start"
# stop = "./deploy/stop"
# weight = "./deploy/weight"
# drain = "./deploy/drain"
# replicas = 2
# timeout = "10m"
# When a release counts as healthy: http (an address with http://; {slot} stands for the slot), tcp or exec.
# [environments.production.health]
# http = "http://{slot}.internal:8080/health"
# interval = "10s"
# timeout = "5s"
# retries = 30
# start_period = "30s"
# healthy_for = "10s"
# deadline = "6m"
# A test before the new release gets traffic.
# [environments.production.smoke]
# exec = "./deploy/smoke-test"
# What watches the new release while a canary pauses. Exit code 75 means unknown. Default: the health check.
# [environments.production.analysis]
# exec = "./deploy/error-rate --below 1%"
# every = "15s"
# failures = 3
# A command that notifies people, with DEPLOY_EVENT, DEPLOY_MESSAGE, and DEPLOY_SLACK: the message as the body of a Slack
# webhook. It is tried three times and never holds a deployment back. Default of on: all of these.
# [environments.production.notify]
# command = "curl -sf -H 'Content-Type: application/json' -d \"$DEPLOY_SLACK\" $SLACK_WEBHOOK_URL"
# on = ["approval", "paused", "succeeded", "rolled_back", "failed"]
"#;
