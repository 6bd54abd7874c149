//! Commands for a run: attach, rerun, resume.

use crate::launch::SecretSource;
use crate::launch::commands;
use crate::launch::commands::{CommandError, NewAttempt, TrustedBy};
use crate::launch::held;
use crate::launch::shell;
use crate::model::capabilities::Unavailable;
use crate::model::rights::MAX_RERUNS;
use crate::model::{Command, RerunScope, ServerKind, first_names};
use crate::report::style;
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::ui::terminal_text::text;
use crate::ui::text::counted;

use super::review::confirm;
use super::run::Watch;
use super::several::RunsArg;
use super::{Exit, Failure, Outcome, RunArg, block_on, run, servers, several, trust};

#[derive(clap::Args)]
#[command(
    after_help = "Without a terminal, the command ends with exit code 77 as soon as a step is held, as `cuelight \
run` does. After `cuelight held retry` it waits for the result."
)]
pub(super) struct AttachArgs {
    #[command(flatten)]
    run: RunArg,
    /// Print the records, one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct RerunArgs {
    #[command(flatten)]
    runs: RunsArg,
    /// Only the failed jobs, and the jobs that need them
    #[arg(long)]
    failed: bool,
    /// Only this job, and the jobs that need it; JOB/STEP is the job from this step on
    #[arg(long, short, conflicts_with = "failed")]
    job: Option<String>,
    /// Re-run the job from this step (number or name) on, with the files that its last attempt left: the job given with
    /// --job, or else the only one that failed
    #[arg(long, alias = "step", conflicts_with = "failed", value_name = "STEP")]
    from_step: Option<String>,
    /// Enable debug logging (only for a run on a server)
    #[arg(long)]
    debug: bool,
    /// Re-run one job with GitHub's debugger, a preview: the job given with --job, or else the first that failed.
    /// `cuelight shell` connects to it
    #[arg(long, conflicts_with_all = ["failed", "from_step", "debug"])]
    debugger: bool,
    #[command(flatten)]
    attempt: AttemptArgs,
}

#[derive(clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    run: RunArg,
    /// Skip the question for this production environment (for a deployment)
    #[arg(long, value_name = "ENV")]
    yes: Vec<String>,
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
    let folder = args.run.locate()?;
    let watch = Watch::of(&folder);
    // JSON output has the records of all attempts, other output only those of the current attempt.
    let watch = if args.json { watch.attempt(1) } else { watch };
    watch.print(&mut *run::printer(args.json))
}

pub(super) fn rerun(args: &RerunArgs) -> Outcome {
    if args.runs.runs.len() > 1 {
        return rerun_several(args);
    }
    // The run is updated, because the names of its jobs and the number of its attempt must be current.
    let folder = args.runs.find()?;
    if args.debugger {
        let job = shell::job(&history::read(&folder)?, args.job.as_deref())?.id.clone();
        return rerun_at_server(&folder, Command::RerunWithDebugger { job }, args);
    }
    let scope = match (args.job.as_deref(), args.failed) {
        (name @ Some(job), _) => {
            let run = history::read(&folder)?;
            let (found, step) = run.job_and_step(name, args.from_step.as_deref());
            run.rerun_of(found.unwrap_or(job), step)?
        }
        (None, false) if args.from_step.is_some() => {
            let run = history::read(&folder)?;
            run.rerun_of(run.job_to_repeat()?.id.as_str(), args.from_step.as_deref())?
        }
        (None, true) => RerunScope::Failed,
        (None, false) => RerunScope::All,
    };
    if history::is_mirror(&folder) {
        return rerun_at_server(&folder, Command::Rerun { what: scope, debug: args.debug }, args);
    }
    if args.debug {
        let reason = Unavailable::KeepsDebug;
        return Err(CommandError::Unavailable { run: folder.id().clone(), reason }.into());
    }
    let left_out = held::left_out(&folder, &scope).unwrap_or_else(|error| {
        // It is only a hint.
        tracing::warn!(%error, "the files that changed since the earlier attempt are not known");
        Vec::new()
    });
    let attempt = block_on(commands::rerun(&folder, scope, &args.attempt.secrets(), args.attempt.trusted(&folder)?))??;
    if !left_out.is_empty() {
        let files = counted(left_out.len() as u64, "file");
        let names = first_names(left_out.iter().map(String::as_str), MAX_NAMES);
        let hint = text!(
            "not used: {} that changed since ({}); `cuelight rerun {} --failed` uses the current files",
            files,
            names,
            folder.id()
        );
        style::notice(&hint);
    }
    follow(&folder, attempt, &args.attempt)
}

/// Maximum number of files that are named in a hint.
const MAX_NAMES: usize = 3;

/// Starts another attempt of several runs on their servers.
fn rerun_several(args: &RerunArgs) -> Outcome {
    if args.job.is_some() || args.from_step.is_some() || args.debugger || !args.attempt.secrets.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "--job, --from-step, --debugger and --secret cannot be used with several runs",
        ));
    }
    let what = if args.failed { RerunScope::Failed } else { RerunScope::All };
    several::each(&args.runs, "run again", args.attempt.json, |folder| {
        servers::refresh(folder)?;
        let run = history::read(folder)?;
        servers::submit(folder, &Command::Rerun { what: what.clone(), debug: args.debug })?;
        Ok(format!("Re-running {}, attempt {}: {}", folder.id(), run.attempt + 1, run.info.origin()))
    })
}

/// Starts another attempt of a run on its server, and follows it. Ctrl-C only stops following.
fn rerun_at_server(folder: &RunFolder, command: Command, args: &RerunArgs) -> Outcome {
    if !args.attempt.secrets.is_empty() {
        let message = format!("--secret cannot be used: {} runs on a server, which has its own secrets", folder.id());
        return Err(Failure::new(Exit::Usage, message));
    }
    let run = history::read(folder)?;
    servers::submit(folder, &command)?;
    let (id, attempt) = (folder.id(), run.attempt.saturating_add(1));
    let is_limited = run.info.remote.as_ref().is_some_and(|remote| remote.kind == ServerKind::GitHub);
    let limit = is_limited.then(|| format!(" (re-run {} of {MAX_RERUNS})", attempt - 1));
    style::notice(&format!("Re-running {id}, attempt {attempt}{}: {}", limit.unwrap_or_default(), run.info.origin()));
    if let Command::RerunWithDebugger { job } = &command {
        style::notice(&text!("Its runner waits 15 minutes for a debugger: `cuelight shell {} --job {}`", id, job));
    }
    if args.attempt.detach {
        style::line(id.as_str())?;
        return Ok(Exit::Success);
    }
    Watch::of(folder).attempt(attempt).print(&mut *run::printer(args.attempt.json))
}

pub(super) fn resume(args: &ResumeArgs) -> Outcome {
    let folder = args.run.find()?;
    if let Some(environment) = commands::production_of(&folder)? {
        confirm(&environment, "a production environment by its name", "continue the deployment to it", &args.yes)?;
    }
    let attempt = block_on(commands::resume(&folder, &args.attempt.secrets(), args.attempt.trusted(&folder)?))??;
    follow(&folder, attempt, &args.attempt)
}

fn follow(folder: &RunFolder, attempt: NewAttempt, args: &AttemptArgs) -> Outcome {
    let (id, origin) = (folder.id(), history::info(folder)?.origin());
    let NewAttempt::Started(attempt) = attempt else {
        style::line(&format!("Re-running {id} after the current attempt: {origin}"))?;
        return Ok(Exit::Success);
    };
    style::notice(&format!("Re-running {id}, attempt {attempt}: {origin}"));
    if args.detach {
        style::line(id.as_str())?;
        return Ok(Exit::Success);
    }
    Watch::of(folder).attempt(attempt).own().print(&mut *run::printer(args.json))
}

impl AttemptArgs {
    /// Returns who trusts the run's repository: the user of this command with `--trust`, otherwise the record of
    /// trusted repositories. If it has no entry, asks the user at a terminal first.
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
