//! `rollback`: restores an earlier release of an environment.

use std::io;
use std::io::IsTerminal;

use serde_json::json;

use crate::backend::github::client::Priority;
use crate::backend::github::environments::Environments;
use crate::model::environment::Environment;
use crate::model::rollback::{Rollback, RollbackBy, RollbackRequest};
use crate::report::environments;
use crate::report::environments::LISTED;
use crate::report::style;
use crate::report::style::Style;
use crate::ui::terminal_text::text;

use super::deploy;
use super::dispatch::RepositoryArg;
use super::review::confirm;
use super::run::Watch;
use super::{Exit, Failure, Outcome, run, servers};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight rollback staging                             to the last other release that succeeded there
  cuelight rollback production --to v1.4.1 --from v1.4.2 --reason 'errors at checkout'
  cuelight rollback production --yes=production --json  without a question

An environment of .cuelight.toml is rolled back by this machine. On a server, the workflow that deployed the release is
dispatched again, unless rules of one of its environments block it; else its job is re-run, which is possible for 30
days.

Exit codes: 0 the release is live, as observed; 1 its run failed, or it is not live; 2 not confirmed
by --yes, without a terminal; 3 no such environment or release; 4 not confirmed, another release is live, or a rollback is
not possible; 5 the server does not respond; 130 no longer followed.")]
pub(super) struct Args {
    /// Name of the environment
    #[arg(value_name = "ENV")]
    environment: String,
    /// The release: its tag, its commit, or the number of the run that deployed it [default: the last other release
    /// that succeeded]
    #[arg(long, value_name = "SHA|TAG|RUN")]
    to: Option<String>,
    /// Roll back only if this release is live now
    #[arg(long, value_name = "SHA|TAG")]
    from: Option<String>,
    /// Reason, which `cuelight audit` shows; on a server, for a workflow that takes one
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// How to roll back: `dispatch` the workflow again, or `rerun` the job [default: the first that is possible]
    #[arg(long, value_name = "dispatch|rerun", value_parser = method)]
    by: Option<RollbackBy>,
    /// Skip the question for this environment
    #[arg(long, value_name = "ENV")]
    yes: Vec<String>,
    #[command(flatten)]
    repository: RepositoryArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the run's id and leave it running
    #[arg(long, short)]
    detach: bool,
}

/// Error for a word that is not a rollback method.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("must be `dispatch` or `rerun`")]
struct NotAWay;

fn method(text: &str) -> Result<RollbackBy, NotAWay> {
    match text {
        "dispatch" => Ok(RollbackBy::Dispatch),
        "rerun" => Ok(RollbackBy::Rerun),
        _ => Err(NotAWay),
    }
}

/// Rolls an environment back, and follows the run.
pub(super) fn run(args: &Args) -> Outcome {
    let named = args.repository.name.as_deref();
    let request = RollbackRequest {
        environment: args.environment.clone(),
        to: args.to.clone(),
        from: args.from.clone(),
        reason: args.reason.clone(),
        by: args.by,
    };
    if named.is_none()
        && args.by.is_none()
        && let Some(deployments) = deploy::local_with(&args.environment)?
    {
        return deploy::roll_back(&deployments, &request, &args.yes, (args.detach, args.json));
    }
    let (_, rollback) = servers::ask(named, async |poller, repository| {
        Environments::of(poller, repository.clone(), Priority::User).await?.rollback(&request).await
    })
    .map_err(|failure| if named.is_none() { deploy::unknown_here(&args.environment, failure) } else { failure })?;
    let style = Style::of_errors();
    style::notice(&style.spelled(environments::rollback(&rollback, style)));
    confirmed(&rollback, &args.yes)?;
    let (_, started) = servers::ask(named, async |poller, repository| {
        Environments::of(poller, repository.clone(), Priority::User).await?.roll_back(poller, &rollback).await
    })?;
    let id = started.folder.id().clone();
    style::notice(&text!("Rolling back {} in run {}", rollback.environment, id));
    if args.detach {
        style::answer(args.json, &json!({"run": id, "rollback": rollback.document()}), id.as_str())?;
        return Ok(Exit::Success);
    }
    let watch = Watch::of(&started.folder).attempt(started.attempt);
    let ended = watch.print(&mut *run::unless(args.json))?;
    let live = observed(named, &rollback)?;
    let is_live =
        live.live().is_some_and(|live| live.release.sha == rollback.to.release.sha) && live.current() == live.live();
    if args.json {
        style::json(&json!({
            "run": id, "rollback": rollback.document(), "live": live.live(), "pending": live.pending(),
            "rolled_back": is_live,
        }))?;
    } else {
        style::line(&environments::rolled_back(&live, is_live))?;
    }
    Ok(match ended {
        Exit::Success if !is_live => Exit::Failed,
        ended => ended,
    })
}

/// Reads which release is live now.
fn observed(named: Option<&str>, rollback: &Rollback) -> Result<Environment, Failure> {
    let (_, environment) = servers::ask(named, async |poller, repository| {
        Environments::of(poller, repository.clone(), Priority::User).await?.one(&rollback.environment, LISTED).await
    })?;
    Ok(environment)
}

/// Asks the user to confirm the rollback: by typing the name of a guarded environment, or `yes` for any other.
fn confirmed(rollback: &Rollback, yes: &[String]) -> Result<(), Failure> {
    let name = &rollback.environment;
    if rollback.is_guarded || yes.contains(name) {
        return confirm(name, "protected", "roll it back", yes);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new(Exit::Usage, format!("not a terminal: confirm the rollback with --yes={name}")));
    }
    style::notice("Roll it back? Type `yes`:");
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    match typed.trim() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Rejected, "not confirmed: nothing was sent")),
    }
}
