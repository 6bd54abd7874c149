//! `run`: from the command line to a run folder, a worker, and lines that follow it.

use std::path::PathBuf;

use indexmap::IndexMap;

use crate::model::{Command, Conclusion};
use crate::repo::git::Repository;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history;
use crate::store::spec::RunSpec;
use crate::worker::attach::Follower;
use crate::worker::launch::{LaunchError, launch};
use crate::worker::prepare::{Refusal, prepare};
use crate::worker::{Mode, control, recovery};
use crate::workflow::plan::Plan;

use super::printer::{GitHub, Json, Lines, Printer, Printing, Protocol};
use super::style;
use super::style::Style;
use super::{Exit, Failure, Outcome, triggers, trust};

mod request;

pub(super) use request::{WORKFLOWS, find_workflow, read, workflows};

/// Runs a workflow of this repository on this machine.
#[derive(clap::Args, Default, Clone)]
#[command(after_help = "Examples:
  cuelight run                          those that a push of this branch would fire, one after another
  cuelight run ci --event pull_request
  cuelight run deploy.yml --event workflow_dispatch --input target=dev --secret TOKEN")]
pub(super) struct Args {
    /// A workflow file, or the name of one in .github/workflows [default: those that the event fires]
    pub(super) workflow: Option<String>,
    /// The event that starts it
    #[arg(long, short, default_value = "push")]
    pub(super) event: String,
    /// A file with the event's payload, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) event_path: Option<PathBuf>,
    /// Only this job and what it needs (may be given more than once)
    #[arg(long = "job", short, value_name = "JOB")]
    pub(super) jobs: Vec<String>,
    /// An input of the workflow
    #[arg(long = "input", short, value_name = "NAME=VALUE")]
    pub(super) inputs: Vec<String>,
    /// A secret; without a value it is taken from the environment
    #[arg(long = "secret", short, value_name = "NAME[=VALUE]")]
    pub(super) secrets: Vec<String>,
    /// A file with a secret a line, NAME=VALUE
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// A configuration variable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub(super) vars: Vec<String>,
    /// How many jobs may run at once [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub(super) max_parallel: Option<usize>,
    /// Run in the repository's own folder instead of a private copy per job
    #[arg(long)]
    pub(super) in_place: bool,
    /// Where jobs without a `container:` run: host, docker, or docker:IMAGE
    #[arg(long, value_name = "PLACE", value_parser = sandbox)]
    pub(super) sandbox: Option<String>,
    /// Take actions of other repositories only from what is kept here
    #[arg(long)]
    pub(super) offline: bool,
    /// Keep debug lines and set `RUNNER_DEBUG`
    #[arg(long)]
    pub(super) debug: bool,
    /// Trust this repository for this run
    #[arg(long)]
    pub(super) trust: bool,
    /// Print the run's id and leave it running
    #[arg(long, short)]
    pub(super) detach: bool,
    /// Print the records, a JSON object a line
    #[arg(long, conflicts_with = "detach")]
    pub(super) json: bool,
    /// `json`: log lines and the result as JSON lines
    #[arg(long, hide = true)]
    pub(super) format: Option<String>,
    /// `host`: every job here and in place, whatever its runs-on says
    #[arg(long, hide = true)]
    pub(super) runner: Option<String>,
    /// The repository's owner/name
    #[arg(long, hide = true)]
    pub(super) repository: Option<String>,
}

/// Reads `--sandbox`.
fn sandbox(text: &str) -> Result<String, String> {
    if crate::config::is_sandbox(text) {
        Ok(text.to_owned())
    } else {
        Err("write host, docker or docker:IMAGE".to_owned())
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = RunsDir::locate()?;
    if args.workflow.is_some() {
        return run_one(&runs, args);
    }
    let repository = request::repository(args, &std::env::current_dir()?)?;
    let payload = args.event_path.as_deref().map(triggers::payload).transpose()?.unwrap_or_default();
    let mut exit = Exit::Success;
    let firing = triggers::firing(&repository, &args.event, &payload)?;
    let several = firing.len() > 1;
    for decided in firing {
        if several {
            style::notice(&format!("{}: {}", decided.name, decided.reason()));
        }
        let workflow = Some(decided.path.to_string_lossy().into_owned());
        match run_one(&runs, &Args { workflow, ..args.clone() }) {
            Ok(Exit::Success) => {}
            Ok(Exit::Cancelled) => return Ok(Exit::Cancelled),
            Ok(other) => exit = other,
            // The others can run whatever is wrong with this one.
            Err(failure) if several => {
                style::complain(&failure.message);
                exit = failure.exit;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(exit)
}

fn run_one(runs: &RunsDir, args: &Args) -> Outcome {
    let run = begin(runs, args)?;
    if args.detach {
        style::line(run.id().as_str())?;
        return Ok(Exit::Success);
    }
    match args.format.as_deref() {
        Some("json") => follow(&run, 1, &mut Protocol),
        Some(other) => Err(Failure::new(Exit::Usage, format!("there is no format `{other}`: write --format json"))),
        None if args.json => follow(&run, 1, &mut Json),
        None => follow_as_lines(&run, 1),
    }
}

/// What would run, and in which repository.
pub(super) fn planned(args: &Args) -> Result<(Repository, Plan), Failure> {
    let request = request::build(args, &std::env::current_dir()?)?;
    let plan = check(&request.spec, &request.secrets)?;
    Ok((request.repository, plan))
}

/// Makes the run's folder and starts its worker, once it is known that the run can start and may.
pub(super) fn begin(runs: &RunsDir, args: &Args) -> Result<RunFolder, Failure> {
    let folder = std::env::current_dir()?;
    let request = request::build(args, &folder)?;
    let plan = check(&request.spec, &request.secrets)?;
    // Whoever names the runner has decided where the jobs run.
    if !args.trust && args.runner.is_none() {
        trust::require(&request.repository, &plan)?;
    }
    let folder = runs.create(request.spec.created)?;
    request.spec.write(&folder)?;
    launch(&folder, &Mode::Start, &request.secrets)?;
    Ok(folder)
}

/// Plans before anything is written: what cannot start says so at once.
fn check(spec: &RunSpec, secrets: &IndexMap<String, String>) -> Result<Plan, Failure> {
    match prepare(spec, secrets.clone(), 1) {
        Ok(prepared) => Ok(prepared.plan),
        Err(refusal) => {
            let exit = match refusal {
                Refusal::Faults(_) => Exit::Failed,
                Refusal::Request(_) => Exit::Usage,
            };
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            Err(Failure::new(exit, refusal.render(colour)))
        }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let exit = match error {
            LaunchError::Busy => Exit::Rejected,
            LaunchError::Store(_) | LaunchError::Process { .. } => Exit::Unavailable,
        };
        Self::new(exit, error.to_string())
    }
}

/// Follows a run for people, from this attempt on; inside GitHub Actions in GitHub's form.
pub(super) fn follow_as_lines(run: &RunFolder, attempt: u32) -> Outcome {
    let style = Style::of_output();
    if std::env::var("GITHUB_ACTIONS").is_ok_and(|inside| inside == "true") {
        follow(run, attempt, &mut GitHub::new(style))
    } else {
        follow(run, attempt, &mut Lines::new(style))
    }
}

/// Follows a run until it has ended. Ctrl-C asks it to end, a second one ends it at once, and a third leaves it.
pub(super) fn follow(run: &RunFolder, attempt: u32, printer: &mut dyn Printer) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let header = history::info(run)?;
    let mut printing = Printing::new(run, header, attempt, printer);
    runtime.block_on(async {
        let mut follower = Follower::new(run.clone());
        let mut interrupts = 0;
        loop {
            tokio::select! {
                records = follower.next() => match records? {
                    Some(records) => printing.records(&records)?,
                    None => break,
                },
                _ = tokio::signal::ctrl_c() => {
                    interrupts += 1;
                    let order = match interrupts {
                        1 => Command::Cancel,
                        2 => Command::ForceCancel,
                        _ => return Err(Failure::new(Exit::Cancelled, format!("left the run going: cuelight attach {}", run.id()))),
                    };
                    // A worker that is gone needs no order: the end is on its way.
                    let _ = control::order(&run.socket(), &order).await;
                }
            }
        }
        Ok::<_, Failure>(())
    })?;
    match printing.end()? {
        Some(conclusion) => Ok(Exit::of(conclusion)),
        None => Err(Failure::new(
            Exit::Unavailable,
            format!("the run's end is not written in {}; its worker said: {}", run.path().display(), last_words(run)),
        )),
    }
}

/// The last line of the worker's own log.
fn last_words(run: &RunFolder) -> String {
    let log = std::fs::read_to_string(run.worker_log()).unwrap_or_default();
    log.lines().last().unwrap_or("nothing").to_owned()
}

/// Closes what lost its worker, so that every command sees the truth.
pub(super) fn close_lost(runs: &RunsDir) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(recovery::close_all(runs))?;
    Ok(())
}

/// How a run ended, as its journal tells it.
pub(super) fn conclusion(run: &RunFolder) -> Result<Option<Conclusion>, Failure> {
    Ok(history::read(run)?.phase.conclusion())
}
