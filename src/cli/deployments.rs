//! Deployments by this machine: lists them, steers those that go on, locks environments, and prints the ledger.

use std::time::Duration;

use serde_json::json;

use crate::launch::commands;
use crate::launch::commands::TrustedBy;
use crate::model::deployment::{DeploymentRecord, Outcome as DeploymentOutcome};
use crate::model::{Command, DeploymentOrder, Timestamp};
use crate::report::deployments::{self as report, Row};
use crate::report::style;
use crate::report::style::Style;
use crate::store::clock::now;
use crate::ui::terminal_text::{TerminalText, text};

use super::deploy::local;
use super::review::confirm;
use super::run::Watch;
use super::{Exit, Outcome, block_on, run, servers, trust};

#[derive(clap::Args)]
pub(super) struct ListArgs {
    /// Only those to this environment
    #[arg(value_name = "ENV")]
    environment: Option<String>,
    /// Maximum number of deployments to an environment
    #[arg(long, short = 'n', default_value_t = 10)]
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
pub(super) struct PromoteArgs {
    #[command(flatten)]
    of: PauseArgs,
    /// Past all later pauses, too
    #[arg(long)]
    full: bool,
}

#[derive(clap::Args)]
pub(super) struct AbortArgs {
    #[command(flatten)]
    of: PauseArgs,
    /// Reason, for the ledger
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Skip the question for this production environment
    #[arg(long, value_name = "ENV")]
    yes: Vec<String>,
    /// Do not follow a deployment whose worker was lost on its way back
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
    /// Why, for people who want to deploy
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How long, such as `90m` or `2h` [default: until it is unlocked]
    #[arg(long, value_name = "TIME", value_parser = super::watch::length)]
    until: Option<Duration>,
}

#[derive(clap::Args)]
pub(super) struct UnlockArgs {
    #[command(flatten)]
    of: PauseArgs,
    /// Why, for the ledger
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
    let deployments = local()?;
    let ledger = deployments.ledger()?;
    let names: Vec<String> = match &args.environment {
        Some(name) => vec![deployments.settings(name)?.name.clone()],
        None => deployments.names().map(str::to_owned).collect(),
    };
    let mut records: Vec<DeploymentRecord> =
        names.iter().flat_map(|name| ledger.deployments(name).into_iter().take(args.limit)).collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.created));
    let rows = records.iter().map(|record| {
        let is_live = ledger.serving(&record.environment).is_some_and(|live| live.run == record.run);
        let goes_on = matches!(record.outcome, None | Some(DeploymentOutcome::Interrupted));
        Row { record, is_live, position: goes_on.then(|| deployments.position(&record.run)).flatten() }
    });
    let rows: Vec<Row<'_>> = rows.collect();
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
    Ok(Exit::Success)
}

pub(super) fn promote(args: &PromoteArgs) -> Outcome {
    order(&args.of, DeploymentOrder::Promote { full: args.full }, "goes on")
}

pub(super) fn pause(args: &PauseArgs) -> Outcome {
    order(args, DeploymentOrder::Pause, "pauses before its next step")
}

/// Gives an order to the deployment that goes on.
fn order(args: &PauseArgs, order: DeploymentOrder, done: &str) -> Outcome {
    let deployments = local()?;
    let open = deployments.open(&args.environment)?;
    servers::submit(&open.folder, &Command::Deployment { order, by: Some(deployments.actor()) })?;
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
            "bring the former release back to",
            &args.yes,
        )?;
    }
    if open.is_running {
        let order = DeploymentOrder::Abort { reason: args.reason.clone() };
        servers::submit(&open.folder, &Command::Deployment { order, by: Some(deployments.actor()) })?;
        return accepted(&args.of, &open.record, "goes back to the former release");
    }
    trust::ask_again(&open.folder)?;
    let again = commands::abort_interrupted(&open.folder, args.reason.clone(), TrustedBy::Record);
    let commands::NewAttempt::Started(attempt) = block_on(again)?? else { return Ok(Exit::Success) };
    if args.detach || args.of.json {
        return accepted(&args.of, &open.record, "goes back to the former release");
    }
    Watch::of(&open.folder).attempt(attempt).print(&mut *run::lines())?;
    let ended = deployments.ledger()?.deployment(&args.of.environment, open.folder.id());
    let is_back = |outcome| matches!(outcome, DeploymentOutcome::RolledBack | DeploymentOutcome::Cancelled);
    Ok(if ended.and_then(|record| record.outcome).is_some_and(is_back) { Exit::Success } else { Exit::Failed })
}

pub(super) fn lock(args: &LockArgs) -> Outcome {
    let until = args.until.map(|length| {
        let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Timestamp(now().0.saturating_add(length))
    });
    local()?.lock(&args.of.environment, &args.reason, until)?;
    locked(&args.of, true)
}

pub(super) fn unlock(args: &UnlockArgs) -> Outcome {
    local()?.unlock(&args.of.environment, &args.reason)?;
    locked(&args.of, false)
}

fn locked(args: &PauseArgs, locked: bool) -> Outcome {
    let document = json!({"environment": args.environment, "locked": locked});
    let state = if locked { "locked" } else { "unlocked" };
    style::answer(args.json, &document, &text!("{} is {}", args.environment, state))?;
    Ok(Exit::Success)
}

pub(super) fn audit(args: &AuditArgs) -> Outcome {
    let deployments = local()?;
    if let Some(name) = &args.environment {
        deployments.settings(name)?;
    }
    let ledger = deployments.ledger()?;
    let is_wanted = |environment: &str| args.environment.as_ref().is_none_or(|wanted| wanted == environment);
    let mut entries = ledger.entries().iter().filter(|entry| is_wanted(&entry.environment));
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
