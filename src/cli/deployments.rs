//! Deployments by this machine: lists them, controls the active ones, locks environments, and prints the ledger.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::model::DeploymentOrder;
use crate::model::deployment::{DeploymentRecord, EnvironmentState, Outcome as DeploymentOutcome, written};
use crate::model::environment::Environment;
use crate::report::deployments::{self as report, Row};
use crate::report::style;
use crate::report::style::Style;
use crate::store::clock::now;
use crate::ui::terminal_text::{TerminalText, text};

use super::deploy::{go_back, local, unreadable};
use super::review::confirm;
use super::{Exit, Outcome, block_on, demo};

#[derive(clap::Args)]
pub(super) struct ListArgs {
    /// Only deployments to this environment
    #[arg(value_name = "ENV")]
    environment: Option<String>,
    /// Maximum number of deployments to an environment
    #[arg(long, short = 'n', default_value_t = 10, allow_negative_numbers = true)]
    limit: usize,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct PauseArgs {
    /// Name of the environment
    #[arg(value_name = "ENV")]
    environment: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(
    after_help = "After a blue-green or canary deployment, the former release keeps running for `keep_old`, so that
a rollback is instant. Only `promote --stop-kept` stops it earlier; a rollback then has to start it again."
)]
pub(super) struct PromoteArgs {
    #[command(flatten)]
    of: PauseArgs,
    /// Continue past all later pauses, too
    #[arg(long)]
    full: bool,
    /// After the success: stop the former release now, so that a rollback is no longer instant
    #[arg(long, conflicts_with = "full")]
    stop_kept: bool,
}

#[derive(clap::Args)]
pub(super) struct AbortArgs {
    #[command(flatten)]
    of: PauseArgs,
    /// Reason, which `cuelight audit` shows
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Skip the question for this production environment
    #[arg(long, value_name = "ENV")]
    yes: Vec<String>,
    /// Do not follow the rollback of a deployment whose worker was lost
    #[arg(long, short)]
    detach: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight lock production --reason 'database migration' --until 2h
  cuelight unlock production")]
pub(super) struct LockArgs {
    #[command(flatten)]
    of: PauseArgs,
    /// Reason, for people who want to deploy
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How long the lock lasts, such as `90m` or `2h`; it then ends by itself [default: until it is unlocked]
    #[arg(long, value_name = "LENGTH", value_parser = super::watch::length)]
    until: Option<Duration>,
}

#[derive(clap::Args)]
pub(super) struct UnlockArgs {
    #[command(flatten)]
    of: PauseArgs,
    /// Reason, which `cuelight audit` shows
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(clap::Args)]
pub(super) struct AuditArgs {
    /// Only entries of this environment
    #[arg(value_name = "ENV")]
    environment: Option<String>,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let deployments = Arc::new(local()?);
    let ledger = deployments.ledger()?;
    let names: Vec<&str> = match &args.environment {
        Some(name) => {
            deployments.require_known(name, &ledger)?;
            vec![name]
        }
        None => deployments.all_settings()?.keys().map(String::as_str).collect(),
    };
    unreadable(ledger.unreadable());
    // Programs get the record alone, without waiting for the targets.
    let asked = if args.json { Ok(Vec::new()) } else { block_on(deployments.observed(args.environment.as_deref()))? };
    let environments = asked.unwrap_or_else(|error| {
        style::notice(&text!("note: the targets were not asked what they run: {}", error.to_string()));
        Vec::new()
    });
    let states: Vec<EnvironmentState> = names.into_iter().map(|name| ledger.of(name)).collect();
    let rows = states.iter().flat_map(|state| state.deployments().take(args.limit).map(move |record| (state, record)));
    let rows = rows.map(|(state, record)| {
        let is_live = state.is_live(record);
        let was_last = state.unknown().is_some() && state.last_success().is_some_and(|last| last.run == record.run);
        let goes_on = matches!(record.outcome, None | Some(DeploymentOutcome::Interrupted));
        let is_of = |one: &&Environment| one.live().is_some_and(|live| live.local.as_ref() == Some(&record.run));
        let environment = environments.iter().filter(|_| is_live).find(is_of);
        Row {
            record,
            is_live,
            was_last,
            position: goes_on.then(|| deployments.position(record)).flatten(),
            environment,
        }
    });
    let mut rows: Vec<Row<'_>> = rows.collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.record.created));
    if args.json {
        rows.iter()
            .try_for_each(|row| style::json(&report::document(row.record, row.is_live, row.position.as_deref())))?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        style::notice("no deployments yet: `cuelight deploy ENV RELEASE` makes one");
        return Ok(Exit::Success);
    }
    let style = Style::of_output();
    style::print(&style.spelled(report::table(&rows, style, now())))?;
    demo::note_leftovers(&deployments.repository().root);
    Ok(Exit::Success)
}

pub(super) fn promote(args: &PromoteArgs) -> Outcome {
    if args.stop_kept {
        let stopped = "is live: the former release is stopped, a rollback is no longer instant";
        return order(&args.of, DeploymentOrder::StopKept, stopped);
    }
    order(&args.of, DeploymentOrder::Promote { full: args.full }, "goes on")
}

pub(super) fn pause(args: &PauseArgs) -> Outcome {
    order(args, DeploymentOrder::Pause, "pauses before its next step")
}

/// Sends a command to the active deployment. `done` is what the deployment then does, for the message.
fn order(args: &PauseArgs, order: DeploymentOrder, done: &str) -> Outcome {
    let deployments = local()?;
    let open = deployments.open(&args.environment)?;
    block_on(deployments.order(&open, order))??;
    accepted(args, &open.record, done)
}

fn accepted(args: &PauseArgs, record: &DeploymentRecord, done: &str) -> Outcome {
    let document = json!({"run": record.run, "environment": args.environment, "accepted": true});
    style::answer(args.json, &document, &text!("{} to {} {}", record.release.title(), args.environment, done))?;
    Ok(Exit::Success)
}

pub(super) fn abort(args: &AbortArgs) -> Outcome {
    let deployments = local()?;
    let open = deployments.open(&args.of.environment)?;
    if crate::model::is_production(&args.of.environment) {
        confirm(
            &args.of.environment,
            "a production environment by its name",
            "bring the former release back to it",
            &args.yes,
        )?;
    }
    // A running deployment is usually followed by another process, which then shows the rollback.
    let detach = args.detach || args.of.json || open.is_running;
    go_back(&deployments, &open, &args.reason, (detach, args.of.json))
}

pub(super) fn lock(args: &LockArgs) -> Outcome {
    let until = args.until.map(|length| now().after(length));
    local()?.lock(&args.of.environment, &args.reason, until)?;
    let name = &args.of.environment;
    let end = match args.until.zip(until) {
        Some((length, until)) => {
            format!("for {}, until {}: then deployments may begin", written(length), until.clock())
        }
        None => format!("until `cuelight unlock {name}`"),
    };
    let document = json!({"environment": name, "locked": true, "until": until});
    style::answer(args.of.json, &document, &text!("{} is locked {}", name, end))?;
    Ok(Exit::Success)
}

pub(super) fn unlock(args: &UnlockArgs) -> Outcome {
    let name = &args.of.environment;
    local()?.unlock(name, &args.reason)?;
    let document = json!({"environment": name, "locked": false});
    style::answer(args.of.json, &document, &text!("{} is unlocked", name))?;
    Ok(Exit::Success)
}

pub(super) fn audit(args: &AuditArgs) -> Outcome {
    let deployments = local()?;
    let ledger = deployments.ledger()?;
    if let Some(name) = &args.environment {
        deployments.require_known(name, &ledger)?;
    }
    unreadable(ledger.unreadable());
    let is_wanted = |environment: &str| args.environment.as_ref().is_none_or(|wanted| wanted == environment);
    let mut entries = ledger.entries().iter().filter(|entry| is_wanted(&entry.environment)).peekable();
    if entries.peek().is_none() {
        let of = args.environment.as_ref().map(|name| format!(" about {name}")).unwrap_or_default();
        style::notice(&text!("nothing is recorded{} yet: deployments, locks and reviews are, once there are any", of));
    }
    if args.json {
        entries.try_for_each(style::json)?;
    } else if args.csv {
        let mut all = format!("{}\n", report::CSV_HEADING);
        entries.for_each(|entry| all.push_str(&format!("{}\n", report::csv(entry))));
        style::print(&TerminalText::lines(&all))?;
    } else {
        style::print(&report::audit(entries, Style::of_output()))?;
    }
    Ok(Exit::Success)
}
