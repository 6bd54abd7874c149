//! `run`: turns the command line into a request, starts the run and follows it.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::config;
use crate::launch;
use crate::launch::event::Assignment;
use crate::launch::triggers::{TriggerDecision, TriggerError};
use crate::launch::{LaunchRequest, Payload, Planned, SecretSource, triggers};
use crate::repo::git::Repository;
use crate::report::style;
use crate::report::{Printer, Protocol};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::spec::{Breakpoints, DEFAULT_HOLD_MINUTES};
use crate::ui::terminal_text::text;

use super::{Exit, Failure, Outcome, trust};

mod follow;
mod remote;
mod watch;

use follow::start_and_follow;
pub(super) use follow::{Watch, lines, printer, unless};

/// The event of a workflow.
#[derive(clap::Args)]
pub(super) struct EventArgs {
    /// The event that starts the workflow [default: push, or the likeliest event of a workflow without it]
    #[arg(id = "event", long = "event", short = 'e', value_name = "EVENT")]
    pub(super) name: Option<String>,
    /// A file with the event's payload, as JSON
    #[arg(id = "event_path", long = "event-path", value_name = "FILE")]
    file: Option<PathBuf>,
    /// A value of the event's payload, such as `pull_request.number=12` (may be given more than once)
    #[arg(id = "event_values", long = "event-set", value_name = "KEY=VALUE")]
    values: Vec<Assignment>,
}

impl EventArgs {
    /// Whether a part of the event's payload is given.
    pub(super) fn has_payload(&self) -> bool {
        self.file.is_some() || !self.values.is_empty()
    }

    /// Returns the given parts of the event's payload.
    pub(super) fn payload(&self) -> Payload {
        Payload { file: self.file.clone(), values: self.values.clone(), ..Payload::default() }
    }
}

/// What decides which jobs of a workflow run, besides its event, and with which values.
#[derive(clap::Args)]
pub(super) struct PlanArgs {
    /// Only this job, by id or name, and the jobs that it needs (may be given more than once)
    #[arg(long = "job", short, value_name = "JOB")]
    jobs: Vec<String>,
    /// Only legs with this value in their matrix (may be given more than once)
    #[arg(long, value_name = "KEY=VALUE")]
    matrix: Vec<String>,
    /// A variable for all steps; overrides the `env` of the workflow and its jobs (may be given more than once)
    #[arg(long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// An input of the workflow (may be given more than once)
    #[arg(long = "input", short, value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// A configuration variable, `vars.NAME` in the workflow (may be given more than once)
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
}

impl PlanArgs {
    /// Whether any of them is given.
    pub(super) fn is_given(&self) -> bool {
        [&self.jobs, &self.matrix, &self.env, &self.inputs, &self.vars].iter().any(|given| !given.is_empty())
    }

    /// Returns the request for a run of a workflow on an event in the current folder.
    pub(super) fn request(&self, workflow: Option<&str>, event: &EventArgs) -> Result<LaunchRequest, Failure> {
        Ok(LaunchRequest {
            folder: std::env::current_dir()?,
            workflow: workflow.map(str::to_owned),
            event: event.name.clone(),
            payload: event.payload(),
            inputs: pairs(&self.inputs, "--input")?,
            vars: pairs(&self.vars, "--var")?,
            jobs: self.jobs.clone(),
            matrix: pairs(&self.matrix, "--matrix")?,
            env: pairs(&self.env, "--env")?,
            ..LaunchRequest::default()
        })
    }
}

/// Runs a workflow of this repository on this machine, or on its server.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight run                          the workflows that a push of this branch runs, one after another
  cuelight run ci --event pull_request
  cuelight run deploy.yml --event workflow_dispatch --input target=dev --secret TOKEN
  cuelight run ci --remote              on the server of this checkout, with the uncommitted changes

Ctrl-C cancels the run, a second one kills it. Ctrl-\\ leaves it in progress, as --detach does from the start;
`cuelight attach` follows it again, and there Ctrl-C only stops following.")]
pub(super) struct Args {
    /// A workflow file, or the name of one in .github/workflows [default: those that the event runs]
    workflow: Option<String>,
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    choice: PlanArgs,
    /// A secret; without a value it is taken from the environment (may be given more than once)
    #[arg(long = "secret", short, value_name = "NAME[=VALUE]")]
    secrets: Vec<String>,
    /// A file with secrets in the form of `.env`
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Run the files of this repository, as they are, on its server: they are pushed to a temporary branch, and the
    /// workflow is started there
    #[arg(long, requires = "workflow", conflicts_with_all = LOCAL)]
    remote: bool,
    /// With --remote, cancel the run when the first job has failed
    #[arg(long, requires = "remote")]
    fail_fast: bool,
    /// Maximum number of jobs at once [default: `max_parallel` of the configuration, or the number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_parallel: Option<usize>,
    /// Run in the repository's folder itself instead of a private copy per job
    #[arg(long)]
    in_place: bool,
    /// Where jobs without a `container:` run: host, docker, or docker:IMAGE [default: what `runs_on` of
    /// the configuration gives their label]
    #[arg(long, value_name = "PLACE", value_parser = sandbox)]
    sandbox: Option<String>,
    /// Let the run succeed without the jobs whose `runs-on` needs another machine
    #[arg(long)]
    skip_unrunnable: bool,
    /// Use actions of other repositories only from the cache
    #[arg(long)]
    offline: bool,
    /// Start without `node_modules` and other dependency folders of earlier runs
    #[arg(long = "no-warm-start")]
    cold: bool,
    /// What happens when a step fails: its job ends, or is held until you continue it with `cuelight held`
    #[arg(long, value_name = "WHAT", default_value = "end")]
    on_failure: OnFailure,
    /// Stop before this step, until you continue its job with `cuelight held` (may be given more than once)
    #[arg(id = "breakpoints", long = "break", value_name = "JOB/STEP")]
    breakpoints: Vec<String>,
    /// With --on-failure hold or --break: how long a step is held at most, in minutes [default: 30]
    #[arg(
        long,
        value_name = "MINUTES",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..=1440)
    )]
    hold_minutes: Option<u64>,
    /// Keep debug lines and set `RUNNER_DEBUG`
    #[arg(long)]
    debug: bool,
    /// Trust this repository for this run
    #[arg(long)]
    trust: bool,
    /// Run again whenever files change, until Ctrl-C; a change during a run replaces it
    #[arg(long, short, conflicts_with_all = ["detach", "in_place", "format"])]
    watch: bool,
    /// Print the run's id and leave it running
    #[arg(long, short)]
    detach: bool,
    /// Print the records, one JSON object per line
    #[arg(long, conflicts_with = "detach")]
    json: bool,
    /// `json`: log lines and the result as JSON lines
    #[arg(long, hide = true)]
    format: Option<String>,
    /// `host`: every job on this machine and in place, for any `runs-on`
    #[arg(long, hide = true)]
    runner: Option<String>,
    /// The repository's owner/name
    #[arg(long, hide = true)]
    repository: Option<String>,
}

/// Ids of the arguments about runs on this machine, which conflict with `--remote`.
const LOCAL: [&str; 24] = [
    "event",
    "event_path",
    "event_values",
    "jobs",
    "matrix",
    "env",
    "secrets",
    "secret_file",
    "vars",
    "max_parallel",
    "in_place",
    "sandbox",
    "skip_unrunnable",
    "offline",
    "cold",
    "on_failure",
    "breakpoints",
    "hold_minutes",
    "debug",
    "watch",
    "detach",
    "format",
    "runner",
    "repository",
];

/// What happens to a job when one of its steps fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum OnFailure {
    /// The steps after it are skipped, and the job ends.
    End,
    /// The job waits, with its machine, services and files.
    Hold,
}

/// Error for a text that does not name a sandbox.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("write {}", config::sandbox_forms())]
struct NotASandbox;

/// Parses `--sandbox`.
fn sandbox(text: &str) -> Result<String, NotASandbox> {
    if config::is_sandbox(text) { Ok(text.to_owned()) } else { Err(NotASandbox) }
}

impl Args {
    fn request(&self) -> Result<LaunchRequest, Failure> {
        let file = self.secret_file.iter().cloned().map(SecretSource::File);
        let steps = self.breakpoints.clone();
        let holds = self.on_failure == OnFailure::Hold;
        if self.hold_minutes.is_some() && !holds && steps.is_empty() {
            let message = "--hold-minutes is only for steps that are held: add --on-failure hold or --break";
            return Err(Failure::new(Exit::Usage, message));
        }
        let minutes = self.hold_minutes.unwrap_or(DEFAULT_HOLD_MINUTES);
        Ok(LaunchRequest {
            secrets: file.chain(self.secrets.iter().map(|text| text.as_str().into())).collect(),
            max_parallel: self.max_parallel,
            sandbox: self.sandbox.clone(),
            in_place: self.in_place,
            skip_unrunnable: self.skip_unrunnable,
            offline: self.offline,
            cold: self.cold,
            debug: self.debug,
            hold_minutes: holds.then_some(minutes),
            breakpoints: (!steps.is_empty()).then_some(Breakpoints { steps, minutes }),
            trust: self.trust,
            any_runner: self.runner.is_some(),
            slug: self.repository.clone(),
            ..self.choice.request(self.workflow.as_deref(), &self.event)?
        })
    }
}

/// Parses `NAME=VALUE` arguments.
pub(super) fn pairs(given: &[String], flag: &str) -> Result<IndexMap<String, String>, Failure> {
    let pairs = given.iter().map(|pair| match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::new(Exit::Usage, format!("{flag} takes NAME=VALUE, not `{pair}`"))),
    });
    pairs.collect()
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = super::runs_dir()?;
    if let Some(workflow) = args.workflow.as_ref().filter(|_| args.remote) {
        return remote::run(&runs, args, workflow);
    }
    let request = args.request()?;
    if args.watch {
        return watch::run(&runs, args, request);
    }
    if request.workflow.is_some() {
        return run_one(&runs, args, &request);
    }
    let event = request.event.clone().unwrap_or_else(|| launch::PUSH.to_owned());
    let repository = request.repository()?;
    let payload = request.payload.read()?;
    let decisions = on_event(&runs, &request, &repository, &payload).map_err(|error| skipped(error, &request))?;
    let several = decisions.len() > 1;
    let mut exit = Exit::Success;
    for decision in decisions {
        // The errors of a broken workflow are printed when it does not start.
        if several && !decision.is_broken() {
            style::notice(&format!("{}: {}", decision.name, decision.reason()));
        }
        let workflow = Some(decision.path.to_string_lossy().into_owned());
        // Each of several runs starts after the previous one has ended, and the repository may have changed by then.
        let known = Some(repository.clone()).filter(|_| !several);
        match run_one(&runs, args, &LaunchRequest { workflow, known, event: Some(event.clone()), ..request.clone() }) {
            Ok(Exit::Success) => {}
            Ok(stop @ (Exit::Cancelled | Exit::Held)) => return Ok(stop),
            Ok(other) => exit = other,
            // An error in one workflow does not stop the others; a run that is left in progress does.
            Err(failure) if several && failure.exit != Exit::Cancelled => {
                style::complain(&failure.text());
                exit = failure.exit;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(exit)
}

/// Returns the workflows that the event of a request runs with this payload.
fn on_event(
    runs: &RunsDir,
    request: &LaunchRequest,
    repository: &Repository,
    payload: &Map<String, Value>,
) -> Result<Vec<TriggerDecision>, TriggerError> {
    let access = launch::trust::access(runs, repository);
    let event = request.event.as_deref().unwrap_or(launch::PUSH);
    triggers::running(repository, access, event, payload)
}

/// Returns the failure of an event that runs no workflow. Without `--event`, its message names the way to run one
/// nevertheless.
fn skipped(error: TriggerError, request: &LaunchRequest) -> Failure {
    let first = match &error {
        TriggerError::AllSkipped { skipped, .. } if request.event.is_none() => skipped.first(),
        _ => None,
    };
    let name = first.and_then(|one| one.path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
    let mut failure = Failure::from(error);
    if let Some(name) = name {
        failure.message.push_str(&format!("\nname one to run it on its own event: cuelight run {name}"));
    }
    failure
}

fn run_one(runs: &RunsDir, args: &Args, request: &LaunchRequest) -> Outcome {
    if args.detach {
        style::line(start(runs, request)?.id().as_str())?;
        return Ok(Exit::Success);
    }
    let mut printer: Box<dyn Printer> = match args.format.as_deref() {
        Some("json") => Box::new(Protocol),
        Some(other) => {
            return Err(Failure::new(Exit::Usage, format!("unknown format `{other}`: write --format json")));
        }
        None => printer(args.json),
    };
    let planned = plan(runs, request)?;
    start_and_follow(|| Ok(launch::start(runs, planned)?.folder), &mut *printer)
}

/// Starts a run. If the repository is not trusted, asks the user at a terminal.
pub(super) fn start(runs: &RunsDir, request: &LaunchRequest) -> Result<RunFolder, Failure> {
    Ok(launch::start(runs, plan(runs, request)?)?.folder)
}

fn plan(runs: &RunsDir, request: &LaunchRequest) -> Result<Planned, Failure> {
    let mut planned = launch::plan(runs, request)?;
    let info = planned.info();
    if request.event.is_none() && info.event != launch::PUSH {
        style::notice(&super::other_event(&info.workflow, &info.event));
    }
    trust::ask(runs, planned.consent_mut())?;
    if let Some(unknown) = planned.unknown() {
        style::notice(&text!("note: {}", unknown));
    }
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_argument_is_about_this_machine_or_has_a_meaning_on_a_server() {
        let both = ["workflow", "inputs", "remote", "fail_fast", "trust", "json"];
        let command = <Args as clap::Args>::augment_args(clap::Command::new("run"));
        let unknown: Vec<_> = command
            .get_arguments()
            .map(|argument| argument.get_id().as_str())
            .filter(|id| !LOCAL.contains(id) && !both.contains(id))
            .collect();
        assert_eq!(unknown, [""; 0]);
    }
}
