//! Orders to a run: follow it, end it, run it again, go on with it.

use indexmap::IndexMap;

use crate::model::{Command, Conclusion, EndReason, JobId, Reply, RerunScope, Step};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::spec::RunSpec;
use crate::store::{history, lock};
use crate::worker::launch::launch;
use crate::worker::{Mode, control, recovery, rerun};

use super::printer::Json;
use super::{Exit, Failure, Outcome, run, runs, style};

#[derive(clap::Args)]
pub(super) struct AttachArgs {
    /// The run's id, its beginning or end, or `latest`
    #[arg(default_value = "latest")]
    run: String,
    /// Print the records, a JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct CancelArgs {
    /// The run's id, its beginning or end, or `latest`
    #[arg(default_value = "latest")]
    run: String,
    /// End it at once: no further step starts, not even with `always()`
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
pub(super) struct RerunArgs {
    /// The run's id, its beginning or end, or `latest`
    #[arg(default_value = "latest")]
    run: String,
    /// Only the jobs that did not succeed, and those that need them
    #[arg(long)]
    failed: bool,
    /// Only this job, and those that need it
    #[arg(long, conflicts_with = "failed")]
    job: Option<String>,
    /// That job from this step on (its number or name), in the files that its last attempt left
    #[arg(long, requires = "job", value_name = "STEP")]
    from_step: Option<String>,
    #[command(flatten)]
    again: AgainArgs,
}

#[derive(clap::Args)]
pub(super) struct ResumeArgs {
    /// The run's id, its beginning or end, or `latest`
    #[arg(default_value = "latest")]
    run: String,
    #[command(flatten)]
    again: AgainArgs,
}

#[derive(clap::Args)]
struct AgainArgs {
    /// A secret that the run had; without a value it is taken from the environment
    #[arg(long = "secret", short, value_name = "NAME[=VALUE]")]
    secrets: Vec<String>,
    /// Print the run's id and leave it running
    #[arg(long, short)]
    detach: bool,
    /// Print the records of the new attempt, a JSON object a line
    #[arg(long, conflicts_with = "detach")]
    json: bool,
}

fn find(wanted: &str) -> Result<RunFolder, Failure> {
    Ok(RunsDir::locate()?.find(wanted)?)
}

pub(super) fn attach(args: &AttachArgs) -> Outcome {
    let folder = find(&args.run)?;
    if args.json {
        return run::follow(&folder, 1, &mut Json);
    }
    let attempt = history::read(&folder)?.attempt;
    run::follow_as_lines(&folder, attempt)
}

pub(super) fn cancel(args: &CancelArgs) -> Outcome {
    let folder = find(&args.run)?;
    let order = if args.force { Command::ForceCancel } else { Command::Cancel };
    let reply = ask(&folder, &order)?;
    told(&folder, reply, "is being cancelled")
}

fn ask(folder: &RunFolder, order: &Command) -> Result<Reply, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match control::order(&folder.socket(), order).await {
            Ok(reply) => Ok(reply),
            Err(error) => {
                if recovery::close(folder).await? {
                    return Err(Failure::new(Exit::Rejected, "its worker is gone; the run is closed now".to_owned()));
                }
                if let Some(conclusion) = history::read(folder)?.phase.conclusion() {
                    let message = format!("{} has ended: {}", folder.id(), conclusion.word());
                    return Err(Failure::new(Exit::Rejected, message));
                }
                Err(Failure::new(Exit::Unavailable, format!("the worker of {} does not answer: {error}", folder.id())))
            }
        }
    })
}

fn told(folder: &RunFolder, reply: Reply, what: &str) -> Outcome {
    match reply {
        Reply::Accepted => {
            style::line(&format!("{} {what}.", folder.id()))?;
            Ok(Exit::Success)
        }
        Reply::Rejected { reason } => Err(Failure::new(Exit::Rejected, reason)),
    }
}

pub(super) fn rerun(args: &RerunArgs) -> Outcome {
    let folder = find(&args.run)?;
    let what = match (&args.job, &args.from_step, args.failed) {
        (Some(job), Some(step), _) => from_step(&folder, job, step)?,
        (Some(job), None, _) => RerunScope::Job(known_job(&folder, job)?),
        (None, _, true) => RerunScope::Failed,
        (None, _, false) => RerunScope::All,
    };
    if lock::is_held(&folder.lock()) {
        let reply = ask(&folder, &Command::Rerun { what })?;
        return told(&folder, reply, "runs again once its attempt has ended");
    }
    run::close_lost(&RunsDir::locate()?)?;
    let failed = what == RerunScope::Failed;
    if failed && run::conclusion(&folder)? == Some(Conclusion::Success) {
        return Err(Failure::new(
            Exit::Rejected,
            format!("{} succeeded: there is nothing failed to run again", folder.id()),
        ));
    }
    again(&folder, &Mode::Rerun(what), &args.again)
}

fn known_job(folder: &RunFolder, wanted: &str) -> Result<JobId, Failure> {
    let run = history::read(folder)?;
    let job = runs::job(&run, wanted)?;
    Ok(JobId::new(if job.id.as_str() == wanted { wanted } else { &job.key }))
}

/// The order to run a job again from a step on, once it is known that it can.
fn from_step(folder: &RunFolder, job: &str, step: &str) -> Result<RerunScope, Failure> {
    if lock::is_held(&folder.lock()) {
        let message = format!("{} is in progress: a job can run again from a step on once it has ended", folder.id());
        return Err(Failure::new(Exit::Rejected, message));
    }
    let run = history::read(folder)?;
    let job = match runs::jobs(&run, job)?.as_slice() {
        [only] => *only,
        several => {
            let ids: Vec<_> = several.iter().map(|job| job.id.as_str()).collect();
            let message = format!("`{job}` is several jobs: name one of {}", ids.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let is_it = |one: &&Step| one.number.to_string() == step || one.name == step;
    let step = job.steps.iter().find(is_it).ok_or_else(|| runs::no_step(&run, step))?.number;
    Ok(RerunScope::Step { job: job.id.clone(), step })
}

pub(super) fn resume(args: &ResumeArgs) -> Outcome {
    let folder = find(&args.run)?;
    run::close_lost(&RunsDir::locate()?)?;
    let state = history::read(&folder)?;
    if state.reason != Some(EndReason::WorkerLost) {
        let message =
            format!("{} did not lose its worker ({}): `cuelight rerun` runs it again", folder.id(), state.phase.word());
        return Err(Failure::new(Exit::Rejected, message));
    }
    again(&folder, &Mode::Resume, &args.again)
}

fn again(folder: &RunFolder, mode: &Mode, args: &AgainArgs) -> Outcome {
    let secrets = secrets(folder, &args.secrets)?;
    let run = history::read(folder)?;
    let attempt = run.attempt + 1;
    rerun::resumed(mode, folder, &run, &secrets).map_err(|reason| Failure::new(Exit::Rejected, reason))?;
    launch(folder, mode, &secrets)?;
    if args.detach {
        style::line(folder.id().as_str())?;
        return Ok(Exit::Success);
    }
    if args.json { run::follow(folder, attempt, &mut Json) } else { run::follow_as_lines(folder, attempt) }
}

/// The run's secrets by the names it had: from the arguments, else from the environment.
pub(super) fn secrets(folder: &RunFolder, given: &[String]) -> Result<IndexMap<String, String>, Failure> {
    let mut secrets: IndexMap<String, String> = given
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let names = RunSpec::read(folder)?.secrets;
    for name in names.iter().chain(given.iter().filter(|pair| !pair.contains('='))) {
        if secrets.contains_key(name) {
            continue;
        }
        if let Ok(value) = std::env::var(name) {
            secrets.insert(name.clone(), value);
        } else {
            let message =
                format!("the run needs the secret {name}: give --secret {name}=VALUE, or set it in the environment");
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(secrets)
}
