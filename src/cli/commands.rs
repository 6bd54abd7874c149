//! Commands for a run: attach, cancel, rerun, resume.

use crate::launch::SecretSource;
use crate::launch::commands;
use crate::launch::commands::{NewAttempt, TrustedBy};
use crate::model::{JobId, RerunScope, Step};
use crate::store::folder::RunFolder;
use crate::store::history;

use super::printer::Json;
use super::{Exit, Failure, Outcome, RunArg, block_on, run, runs, style, trust};

#[derive(clap::Args)]
pub(super) struct AttachArgs {
    #[command(flatten)]
    run: RunArg,
    /// Print the records, one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    run: RunArg,
    /// Cancel at once: no further step starts, not even with `always()`
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
pub(super) struct RerunArgs {
    #[command(flatten)]
    run: RunArg,
    /// Only the failed jobs, and the jobs that need them
    #[arg(long)]
    failed: bool,
    /// Only this job, and the jobs that need it
    #[arg(long, conflicts_with = "failed")]
    job: Option<String>,
    /// Rerun the job from this step (number or name) on, with the files that its last attempt left
    #[arg(long, requires = "job", value_name = "STEP")]
    from_step: Option<String>,
    #[command(flatten)]
    attempt: AttemptArgs,
}

#[derive(clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    run: RunArg,
    #[command(flatten)]
    attempt: AttemptArgs,
}

#[derive(clap::Args)]
struct AttemptArgs {
    /// Trust the run's repository for this attempt
    #[arg(long)]
    trust: bool,
    /// A secret that the run had; without a value it is taken from the environment
    #[arg(long = "secret", short, value_name = "NAME[=VALUE]")]
    secrets: Vec<String>,
    /// Print the run's id and leave it running
    #[arg(long, short)]
    detach: bool,
    /// Print the records of the new attempt, one JSON object per line
    #[arg(long, conflicts_with = "detach")]
    json: bool,
}

pub(super) fn attach(args: &AttachArgs) -> Outcome {
    let folder = args.run.find()?;
    if args.json {
        return run::follow(&folder, 1, &mut Json);
    }
    let attempt = history::read(&folder)?.attempt;
    run::follow_as_lines(&folder, attempt)
}

pub(super) fn cancel(args: &CancelArgs) -> Outcome {
    let folder = args.run.find()?;
    block_on(commands::cancel(&folder, args.force))??;
    style::line(&format!("{} is being cancelled.", folder.id()))?;
    Ok(Exit::Success)
}

pub(super) fn rerun(args: &RerunArgs) -> Outcome {
    let folder = args.run.find()?;
    let scope = match (&args.job, &args.from_step, args.failed) {
        (Some(job), Some(step), _) => from_step(&folder, job, step)?,
        (Some(job), None, _) => RerunScope::Job(known_job(&folder, job)?),
        (None, _, true) => RerunScope::Failed,
        (None, _, false) => RerunScope::All,
    };
    let attempt = block_on(commands::rerun(&folder, scope, &args.attempt.secrets(), args.attempt.trusted(&folder)?))??;
    follow(&folder, attempt, &args.attempt)
}

pub(super) fn resume(args: &ResumeArgs) -> Outcome {
    let folder = args.run.find()?;
    let attempt = block_on(commands::resume(&folder, &args.attempt.secrets(), args.attempt.trusted(&folder)?))??;
    follow(&folder, attempt, &args.attempt)
}

fn known_job(folder: &RunFolder, wanted: &str) -> Result<JobId, Failure> {
    let run = history::read(folder)?;
    let job = runs::job(&run, wanted)?;
    Ok(JobId::new(if job.id.as_str() == wanted { wanted } else { &job.key }))
}

/// Returns the scope of a rerun of one job from a step on.
fn from_step(folder: &RunFolder, job: &str, step: &str) -> Result<RerunScope, Failure> {
    let run = history::read(folder)?;
    let job = match runs::jobs(&run, job)?.as_slice() {
        [only] => *only,
        several => {
            let ids: Vec<_> = several.iter().map(|job| job.id.as_str()).collect();
            let message = format!("`{job}` matches several jobs: name one of {}", ids.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let is_it = |one: &&Step| one.number.to_string() == step || one.name == step;
    let step = job.steps.iter().find(is_it).ok_or_else(|| runs::no_step(&run, step))?.number;
    Ok(RerunScope::Step { job: job.id.clone(), step })
}

fn follow(folder: &RunFolder, attempt: NewAttempt, args: &AttemptArgs) -> Outcome {
    match attempt {
        NewAttempt::Queued => style::line(&format!("{} will run again after the current attempt.", folder.id()))?,
        NewAttempt::Started(_) if args.detach => style::line(folder.id().as_str())?,
        NewAttempt::Started(attempt) if args.json => return run::follow(folder, attempt, &mut Json),
        NewAttempt::Started(attempt) => return run::follow_as_lines(folder, attempt),
    }
    Ok(Exit::Success)
}

impl AttemptArgs {
    /// Whose word counts. A person at a terminal is asked if there is no answer on record.
    fn trusted(&self, folder: &RunFolder) -> Result<TrustedBy, Failure> {
        if self.trust {
            return Ok(TrustedBy::Person);
        }
        trust::ask_again(folder)?;
        Ok(TrustedBy::Record)
    }

    fn secrets(&self) -> Vec<SecretSource> {
        self.secrets.iter().map(|text| text.as_str().into()).collect()
    }
}
