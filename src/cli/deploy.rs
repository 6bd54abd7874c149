//! `deploy`: deploys a release to an environment of this machine, and follows the deployment. Also rolls such an
//! environment back.

use std::cell::RefCell;

use serde_json::json;

use crate::backend::github::recording;
use crate::launch;
use crate::launch::commands;
use crate::launch::commands::TrustedBy;
use crate::launch::deploy::{DeployError, DeployRequest, Deployments, OpenDeployment, PreparedDeployment, WayBack};
use crate::model::deployment::{Cause, DeploymentPlan, EnvironmentSettings, Outcome as DeploymentOutcome};
use crate::model::rollback::RollbackRequest;
use crate::model::{RunId, is_production};
use crate::report::deployments::{Preview, document, way_back};
use crate::report::style;
use crate::report::style::Style;
use crate::ui::terminal_text::text;

use super::review::confirm;
use super::run::Watch;
use super::{Exit, Failure, Outcome, block_on, run, runs_dir, servers, trust};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight deploy staging                        what is checked out
  cuelight deploy production v1.4.2 --plan       what would be done, step by step
  cuelight deploy production v1.4.2 --yes=production --detach

The environments are those of the repository's .cuelight.toml; `cuelight config --example` shows how to write them. When a
step fails, the previous release is restored. Ctrl-C only stops following: `cuelight abort ENV` rolls back.

Exit codes: 0 the release is live; 1 it is not: it failed or was rolled back; 2 not confirmed by --yes, without a terminal;
3 no such environment or release; 4 refused by a rule of the environment, or not trusted; 130 no longer followed, or
cancelled.")]
pub(super) struct Args {
    /// Name of the environment
    #[arg(value_name = "ENV")]
    environment: String,
    /// The release: a tag, a branch or a commit [default: what is checked out]
    #[arg(value_name = "RELEASE")]
    release: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,
    /// Reason, which `cuelight audit` shows
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Override the rules of the environment; needs --reason, and is recorded
    #[arg(long = "override", requires = "reason")]
    overrides: bool,
    /// Skip the question for this production environment
    #[arg(long, value_name = "ENV")]
    yes: Vec<String>,
    /// Trust this repository for this deployment
    #[arg(long)]
    trust: bool,
    /// Print the run's id and leave it running
    #[arg(long, short)]
    detach: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Deploys a release, or prints the plan.
pub(super) fn run(args: &Args) -> Outcome {
    let deployments = local()?;
    let request = DeployRequest {
        environment: args.environment.clone(),
        release: args.release.clone(),
        cause: Cause::Manual,
        reason: args.reason.clone(),
        overrides: args.overrides,
        trust: args.trust,
    };
    let mut prepared = deployments.prepare(request)?;
    if !args.plan {
        prepared.require_open()?;
    }
    let asks = prepared.settings().target.asks();
    if let (true, Some(asks), false) = (args.plan, asks, args.trust || deployments.is_trusted()?) {
        style::notice(&text!("The plan {} to see what runs there, so the repository must be trusted.", asks));
    }
    if !args.plan || asks.is_some() {
        trust::ask(deployments.runs(), prepared.consent_mut())?;
    }
    let mut notes = unrecorded(&deployments, prepared.settings(), true)?;
    let waits = deployments.waits_behind(&args.environment)?;
    let is_planned = waits.is_none();
    notes.extend(waits);
    if args.plan {
        let plan = if is_planned { Some(block_on(deployments.plan(&prepared))??) } else { None };
        notes.extend(plan.as_ref().and_then(|plan| prepared.plain_start(plan)));
        notes.extend(plan.as_ref().and_then(|plan| prepared.contradicted(plan)));
        let style = Style::of_output();
        if args.json {
            style::json(&preview(&prepared, notes).document(plan.as_ref()))?;
        } else {
            style::print(&preview(&prepared, notes).plan(plan.as_ref(), style))?;
        }
        return Ok(Exit::Success);
    }
    let found = if is_planned { block_on(deployments.foresee(&mut prepared))?? } else { None };
    notes.extend(prepared.notes_of_target(found.as_ref()));
    show(&prepared, found.as_ref(), notes);
    if is_production(&args.environment) {
        confirm(&args.environment, "a production environment by its name", "deploy to it", &args.yes)?;
    }
    start(&deployments, prepared, args.detach, args.json)
}

/// Rolls an environment of this machine back.
pub(super) fn roll_back(
    deployments: &Deployments,
    wanted: &RollbackRequest,
    yes: &[String],
    (detach, json): (bool, bool),
) -> Outcome {
    let request = match block_on(deployments.find_way_back(wanted))?? {
        WayBack::Deploy(request) => request,
        WayBack::Abort(open) => return abort(deployments, &open, wanted, yes, (detach, json)),
    };
    let mut prepared = deployments.prepare(request)?;
    prepared.require_open()?;
    trust::ask(deployments.runs(), prepared.consent_mut())?;
    let plan = block_on(deployments.plan(&prepared))??;
    prepared.check_rollback(&plan, wanted.from.as_deref())?;
    let notes = prepared.contradicted(&plan).into_iter();
    show(&prepared, Some(&plan), notes.chain(unrecorded(deployments, prepared.settings(), false)?).collect());
    let replaced = prepared.replaced(Some(&plan)).0.or(prepared.live()).cloned();
    let undone = replaced.as_ref().map(|live| deployments.changes(prepared.release(), live)).unwrap_or_default();
    style::notice(&way_back(&plan, &undone, Style::of_errors()));
    confirm(&wanted.environment, "to be rolled back", "roll it back", yes)?;
    if !yes.contains(&wanted.environment) {
        // A person has read the plan.
        block_on(deployments.check_replaced(&prepared, replaced.as_ref()))??;
    }
    start(deployments, prepared, detach, json)
}

/// Rolls an environment back by aborting the deployment in progress.
fn abort(
    deployments: &Deployments,
    open: &OpenDeployment,
    wanted: &RollbackRequest,
    yes: &[String],
    form: (bool, bool),
) -> Outcome {
    let (environment, record) = (&wanted.environment, &open.record);
    let from = record.former();
    let title = text!("{}: {} → {}", environment, record.release.title(), from);
    let state = if open.is_running { "is in progress" } else { "stopped halfway" };
    style::notice(&Style::of_errors().spelled(text!("{}, by aborting {}, which {}", title, record.run, state)));
    confirm(environment, "to be rolled back", "roll it back", yes)?;
    go_back(deployments, open, &wanted.reason, form)
}

/// Restores the release that was live before a deployment. Follows the rollback unless `detach` is set, and succeeds
/// once the release is live again.
pub(super) fn go_back(
    deployments: &Deployments,
    open: &OpenDeployment,
    reason: &str,
    (detach, json): (bool, bool),
) -> Outcome {
    let (environment, run) = (&open.record.environment, open.folder.id());
    let is_asked = block_on(deployments.ask_to_abort(open, reason))??;
    let attempt = if is_asked {
        None
    } else {
        trust::ask_again(&open.folder)?;
        let again = commands::abort_interrupted(&open.folder, reason.to_owned(), TrustedBy::Record);
        let commands::NewAttempt::Started(attempt) = block_on(again)?? else { return Ok(Exit::Success) };
        Some(attempt)
    };
    if detach {
        let document = json!({"run": run, "environment": environment, "accepted": true});
        let title = open.record.release.title();
        let goes_back = || format!("{title} to {environment} goes back to the former release");
        style::answer(json, &document, &text!("{}", deployments.withdrawn(open)?.unwrap_or_else(goes_back)))?;
        return Ok(Exit::Success);
    }
    let watch = attempt.into_iter().fold(Watch::of(&open.folder), Watch::attempt);
    let ended = watch.print(&mut *run::unless(json))?;
    let outcome = report_end(deployments, environment, run, json)?;
    let is_back = outcome.is_some_and(DeploymentOutcome::is_undone);
    Ok(match ended {
        _ if is_back => Exit::Success,
        Exit::Success => Exit::Failed,
        ended => ended,
    })
}

/// Reads the environments of the repository around the current folder.
pub(super) fn local() -> Result<Deployments, Failure> {
    Ok(Deployments::of(&runs_dir()?, &std::env::current_dir()?)?)
}

/// Reads the environments of the repository around the current folder. `None` outside of repositories, or if this
/// machine does not roll back an environment of this name.
pub(super) fn local_with(name: &str) -> Result<Option<Deployments>, Failure> {
    let Some(deployments) = local_if_any()? else { return Ok(None) };
    Ok(deployments.rolls_back(name)?.then_some(deployments))
}

/// Returns the error for an environment that neither this machine nor a server rolls back: if the repository has
/// environments of this machine, it names these. `failure` is the error about the server, which is left out for a
/// repository that is on none.
pub(super) fn unknown_here(name: &str, mut failure: Failure) -> Failure {
    let deployments = local_if_any().ok().flatten();
    let unknown = deployments.and_then(|deployments| deployments.settings(name).err());
    if let Some(unknown @ DeployError::UnknownEnvironment { .. }) = unknown {
        if servers::lacks_repository(None) {
            return unknown.into();
        }
        failure.message = format!("{unknown} (on its server: {})", failure.message);
        failure.exit = if failure.exit == Exit::Usage { Exit::NotFound } else { failure.exit };
    }
    failure
}

/// Reads the environments of the repository around the current folder; `None` outside of repositories.
pub(super) fn local_if_any() -> Result<Option<Deployments>, Failure> {
    match Deployments::of(&runs_dir()?, &std::env::current_dir()?) {
        Ok(deployments) => Ok(Some(deployments)),
        Err(error) if error.is_outside() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns why the deployment cannot be recorded on its server, as a note. If `strict`, settings that ask for what no
/// deployment can have are an error.
pub(super) fn unrecorded(
    deployments: &Deployments,
    settings: &EnvironmentSettings,
    strict: bool,
) -> Result<Vec<String>, Failure> {
    let obstacle = block_on(recording::obstacle(deployments, settings, strict))?;
    let obstacle = obstacle.map_err(|mistake| Failure::new(Exit::Usage, mistake.to_string()))?;
    Ok(obstacle.into_iter().collect())
}

fn preview(prepared: &PreparedDeployment, notes: Vec<String>) -> Preview<'_> {
    let gates = prepared.closed().iter().map(|closed| closed.sentence.as_str()).collect();
    let notes = prepared.left().iter().cloned().chain(notes).collect();
    let (live, is_live_known) = prepared.replaced(None);
    Preview { settings: prepared.settings(), release: prepared.release(), live, is_live_known, gates, notes }
}

/// Warns about unreadable lines of the ledger.
pub(super) fn unreadable<L: ToString>(lines: &[L]) {
    for line in lines {
        style::notice(&text!("warning: {}", line.to_string()));
    }
}

/// Prints to standard error what the deployment is about to do, its closed gates, and warnings about missing values.
fn show(prepared: &PreparedDeployment, plan: Option<&DeploymentPlan>, notes: Vec<String>) {
    let style = Style::of_errors();
    let preview = preview(prepared, notes);
    style::notice(&preview.title(plan, style));
    for note in &preview.notes {
        style::notice(&text!("note: {}", note));
    }
    for closed in prepared.closed() {
        style::notice(&text!("note: {}", closed.sentence));
    }
    unreadable(prepared.unreadable());
    for one in prepared.missing() {
        style::notice(&text!("warning: the {} {} of {} is not set", one.kind(), one.name, prepared.settings().name));
    }
}

/// Starts a deployment. Follows it, unless `detach` is set, until its release is live or it has failed.
pub(super) fn start(deployments: &Deployments, prepared: PreparedDeployment, detach: bool, json: bool) -> Outcome {
    let environment = prepared.settings().name.clone();
    let folder = deployments.start(prepared)?;
    if detach {
        launch::deploy::settle(&folder);
        style::answer(json, &json!({"run": folder.id(), "environment": environment}), folder.id().as_str())?;
        return Ok(Exit::Success);
    }
    style::notice(&text!("{}: `cuelight abort {}` goes back; Ctrl-C only stops following", folder.id(), environment));
    let (name, run) = (environment.clone(), folder.id().clone());
    // Most records add no entry to the ledger.
    let outcome = RefCell::new(deployments.latest(move |ledger| ledger.of(&name).deployment(&run)?.outcome));
    let is_live = || matches!(outcome.borrow_mut().state(), Ok(Some(DeploymentOutcome::Succeeded)));
    let watch = Watch::of(&folder).attempt(1).until(&is_live);
    let ended = watch.print(&mut *run::unless(json))?;
    report_end(deployments, &environment, folder.id(), json)?;
    Ok(ended)
}

/// Prints which release is live after a deployment, or with `json` the record of the deployment. Returns how the
/// deployment ended; `None` if it has not ended.
fn report_end(
    deployments: &Deployments,
    environment: &str,
    run: &RunId,
    json: bool,
) -> Result<Option<DeploymentOutcome>, Failure> {
    let state = deployments.ledger()?.of(environment);
    let record = state.deployment(run);
    if json {
        style::json(&record.map(|record| document(record, state.is_live(record), None)))?;
    } else {
        let title = match (state.unknown(), state.live()) {
            (Some(unknown), _) => format!("{unknown}; `cuelight deploy {environment} RELEASE` puts a release there"),
            (None, Some(live)) if record.is_some_and(|record| state.is_live(record)) => {
                format!("{} is live", live.release.title())
            }
            (None, _) => block_on(deployments.live_after_failure(environment))??,
        };
        style::line(&text!("{}: {}", environment, title))?;
    }
    Ok(record.and_then(|record| record.outcome))
}
