//! `held`: lists held steps, and decides how their jobs continue.

use serde_json::json;

use crate::launch;
use crate::launch::LATEST;
use crate::launch::held;
use crate::launch::held::HeldError;
use crate::model::{Command, HeldOrder, Job, Run, Step};
use crate::report::held as report;
use crate::report::style;
use crate::report::style::Style;
use crate::store::folder::RunFolder;
use crate::store::history;

use super::{Exit, Failure, Outcome, RunArg, block_on, runs_dir, servers};

#[derive(clap::Args)]
#[command(
    after_help = "A run with `--on-failure hold` keeps the job of a failed step as it is: its machine, services and \
files; one with `--break JOB/STEP` stops before that step. Look around with `cuelight shell`. Fix the problem there, \
or fix it in your files and copy them with `cuelight held sync`. Then decide how the job continues: `retry`, `skip` or \
`continue`. These do not wait; `cuelight attach` follows the run to its end, or without a terminal to the next hold (exit \
code 77).

Without a command, `cuelight held` lists what is held in all runs of this repository. A command without a run is about \
the only run with a held step.",
    args_conflicts_with_subcommands = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Subcommand>,
    /// List the held steps of the runs of all repositories
    #[arg(long, short)]
    all: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// List the steps that are held
    List(Of),
    /// Run the step again, or an earlier step and those after it
    Retry(RetryArgs),
    /// Count a failed step as a success, skip one that has not run, and run the steps after it
    Skip(Of),
    /// Go on as without the hold: a failed step fails, and one that has not run runs
    Continue(Of),
    /// Bring the files that you added, changed or deleted since the checkout into the job's workspace
    Sync(SyncArgs),
    /// Hold steps of the run that fail from now on
    On(RunArg),
    /// Let steps of the run fail from now on; those that are held stay held
    Off(RunArg),
}

#[derive(clap::Args)]
struct Of {
    #[command(flatten)]
    run: RunArg,
    /// The job: its id, key or name [default: all jobs with a held step]
    #[arg(long, short)]
    job: Option<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct SyncArgs {
    #[command(flatten)]
    of: Of,
    /// Overwrite files that the job changed as well
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
#[command(
    after_help = "Without RUN, the command is about the only run with a held step. It does not wait for the result; `cuelight \
attach` does."
)]
struct RetryArgs {
    #[command(flatten)]
    of: Of,
    /// Go back to this earlier step of the job, by name or number, with the variables and outputs as they were before
    /// it and the files as they are, and run again from there
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// First bring the files that you changed, as `cuelight held sync` does
    #[arg(long)]
    sync: bool,
    /// With --sync, overwrite files that the job changed as well
    #[arg(long, requires = "sync")]
    force: bool,
}

/// Sets whether failing steps of a run are held from now on.
fn turn(run: &RunArg, on: bool) -> Outcome {
    let folder = run.find()?;
    servers::submit(&folder, &Command::Hold { on })?;
    style::line(&report::turned(folder.id(), on))?;
    Ok(Exit::Success)
}

pub(super) fn run(args: &Args) -> Outcome {
    let Some(command) = &args.command else { return overview(args) };
    match command {
        Subcommand::List(of) => each(of, None, None, None),
        Subcommand::Retry(RetryArgs { of, from, sync, force }) => {
            each(of, sync.then_some(*force), Some(HeldOrder::Retry), from.as_deref())
        }
        Subcommand::Skip(of) => each(of, None, Some(HeldOrder::Skip), None),
        Subcommand::Continue(of) => each(of, None, Some(HeldOrder::Continue), None),
        Subcommand::Sync(sync) => each(&sync.of, Some(sync.force), None, None),
        Subcommand::On(run) => turn(run, true),
        Subcommand::Off(run) => turn(run, false),
    }
}

/// Returns the runs of this repository that have a held step, or of all repositories, newest first.
fn held_runs(all: bool) -> Result<Vec<Run>, Failure> {
    let here = std::env::current_dir().ok().filter(|_| !all);
    Ok(history::held(&runs_dir()?, here.and_then(|folder| launch::home(&folder)).as_ref())?)
}

/// Finds the run that a command is about. Without a name it is the only run with a held step, else the newest run.
fn find(wanted: &RunArg) -> Result<RunFolder, Failure> {
    if wanted.run != LATEST || wanted.repository.is_some() {
        return wanted.find();
    }
    match held_runs(wanted.all)?.as_slice() {
        [] => wanted.find(),
        [only] => Ok(runs_dir()?.folder(only.info.id.clone())),
        several => {
            let ids = several.iter().map(|run| run.info.id.to_string()).collect::<Vec<_>>().join(", ");
            Err(Failure::new(Exit::Usage, format!("several runs have held steps: name one of {ids}")))
        }
    }
}

/// Lists what is held in all runs of this repository, or of all repositories.
fn overview(args: &Args) -> Outcome {
    let held = held_runs(args.all)?;
    for run in &held {
        for (job, step) in run.jobs.values().flat_map(|job| job.held().map(move |step| (job, step))) {
            let line = report::listed(&run.info.id, job, step, Style::of_output());
            style::answer(args.json, &document(run, job, step, None), &line)?;
        }
    }
    if held.is_empty() && !args.json {
        style::line("Nothing is held. `cuelight run --on-failure hold` holds a step that fails.")?;
        let newest = RunArg { run: LATEST.to_owned(), all: args.all, repository: None }.locate();
        let lost = newest.ok().and_then(|folder| report::lost(&history::read(&folder).ok()?));
        if let Some(lost) = lost {
            style::line(lost.as_str())?;
        }
    }
    Ok(Exit::Success)
}

/// Returns the JSON object about a held step, with the order that was given for it.
fn document(run: &Run, job: &Job, step: &Step, order: Option<HeldOrder>) -> serde_json::Value {
    let reason = report::reason(step);
    json!({
        "run": run.info.id, "job": job.id, "step": step.number, "name": step.name, "order": order,
        "reason": reason, "before": reason.is_none(),
    })
}

/// Copies the user's changed files into the jobs with held steps if `sync` is set, and then sends `order` for each held
/// step. The value of `sync` is whether files that the job changed are overwritten. A job whose files cannot be synced,
/// or that keeps one of its own, gets no order. With `from`, the order is to go back to the step with this name or
/// number. Without `sync` and `order`, lists the held steps.
fn each(of: &Of, sync: Option<bool>, order: Option<HeldOrder>, from: Option<&str>) -> Outcome {
    let folder = find(&of.run)?;
    let run = history::read(&folder)?;
    let wanted = of.job.as_deref().map(|job| run.job_named(job)).transpose()?;
    let is_wanted = |job: &&Job| wanted.is_none_or(|wanted| wanted.id == job.id);
    let jobs: Vec<&Job> = run.jobs.values().filter(is_wanted).filter(|job| job.held().next().is_some()).collect();
    if jobs.is_empty() {
        let which = wanted.map_or_else(|| run.info.id.to_string(), |job| job.name.clone());
        let lost = report::lost(&run).map(|lost| format!("; {lost}")).unwrap_or_default();
        return Err(Failure::new(Exit::NotFound, format!("no step of {which} is held{lost}")));
    }
    let mut held = Vec::new();
    for job in &jobs {
        let order = match from {
            Some(wanted) => {
                Some(HeldOrder::RetryFrom(job.step_named(wanted).ok_or_else(|| run.no_step(wanted))?.number))
            }
            None => order,
        };
        held.push((*job, order));
    }
    let mut failures = Vec::new();
    for (job, order) in held {
        if let Err(failure) = each_step(&folder, &run, (job, order), sync, of.json) {
            failures.push(failure);
        }
    }
    // All jobs have their turn before the command fails.
    let last = failures.pop();
    for failure in &failures {
        style::complain(&failure.text());
    }
    last.map_or(Ok(Exit::Success), Err)
}

/// Syncs the files of one job if `sync` is set, and sends the order for each of its held steps.
fn each_step(
    folder: &RunFolder,
    run: &Run,
    (job, order): (&Job, Option<HeldOrder>),
    sync: Option<bool>,
    json: bool,
) -> Result<(), Failure> {
    let synced = sync.map(|force| block_on(held::sync(folder, &job.id, force))).transpose()?;
    // A job in the user's own folder has every change: its step can run again.
    let is_needed = |result: &Result<_, HeldError>| order.is_none() || !matches!(result, Err(HeldError::InPlace));
    if let Some(changes) = synced.filter(is_needed).transpose()? {
        if json {
            style::json(&json!({ "run": run.info.id, "job": job.id, "sync": changes }))?;
        } else {
            report::changes(job, &changes, Style::of_output()).iter().try_for_each(style::line)?;
        }
        if !changes.kept.is_empty() {
            let hint = if order.is_some() { "no step runs again: " } else { "" };
            let message = format!("{}: {hint}the job changed these files as well; --force overwrites them", job.name);
            return Err(Failure::new(Exit::Rejected, message));
        }
        if order.is_none() {
            return Ok(());
        }
    }
    for step in job.held() {
        if let Some(order) = order {
            servers::submit(folder, &Command::Held { job: job.id.clone(), step: step.number, order })?;
        }
        style::answer(json, &document(run, job, step, order), &report::line(job, step, order, Style::of_output()))?;
    }
    Ok(())
}

impl From<HeldError> for Failure {
    fn from(error: HeldError) -> Self {
        match error {
            HeldError::Store(error) => error.into(),
            error => Self::new(Exit::Rejected, error.to_string()),
        }
    }
}
