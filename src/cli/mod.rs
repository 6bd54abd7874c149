//! The command line: one file per family of subcommands, and exit codes. [`crate::report`] formats their output.

mod artifacts;
mod auth;
mod cache;
mod clean;
mod commands;
mod complete;
mod completions;
mod config;
mod debugger;
mod demo;
mod deploy;
mod deployments;
mod dispatch;
mod doctor;
mod environments;
mod eval;
mod explain;
mod forward;
mod held;
mod help;
#[cfg(test)]
mod hostile;
mod keys;
mod linear;
mod lint;
mod mistakes;
mod plan;
mod review;
mod rollback;
mod run;
mod runs;
mod screen;
mod screenshot;
mod servers;
mod services;
mod several;
mod shell;
mod tools;
mod trust;
mod watch;
mod worker;

use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

pub use crate::report::exit::Exit;

use crate::launch;
use crate::launch::LATEST;
use crate::report::failure::Failure;
use crate::report::{exit, style};
use crate::store::folder::{RunFolder, RunsDir};
use crate::ui::terminal_text::text;

/// Runs GitHub Actions workflows, watches and controls them from the terminal, deploys releases and rolls them back.
#[derive(Parser)]
#[command(version, about, after_long_help = exit::HELP.as_str())]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Open the screen on this run: its id, its beginning or end, `latest` of this repository, or the URL of a run on a
    /// server
    run: Option<String>,
    /// Open the screen without commands: nothing can be started or changed
    #[arg(long)]
    read_only: bool,
    /// Print sentences for a screen reader, one for each item or change, instead of tables, signs and the screen; also with
    /// `CUELIGHT_LINEAR=1`
    #[arg(long, global = true)]
    linear: bool,
    /// List or follow the runs of all repositories, and let `latest` be the newest of them
    #[arg(long, short)]
    all: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a workflow of this repository
    Run(Box<run::Args>),
    /// Unpack a small project and run its pipeline: needs only git and a POSIX shell
    Demo(demo::Args),
    /// Follow a run until it ends
    Attach(commands::AttachArgs),
    /// Follow all runs of a commit on a server, from the first after a push until the last has ended
    Watch(watch::Args),
    /// List runs, newest first
    Runs(runs::ListArgs),
    /// Show a run: its jobs and steps and their results
    Show(runs::ShowArgs),
    /// Print the logs of a run
    Logs(runs::LogsArgs),
    /// List the artifacts of a run, download them, or add one
    Artifacts(artifacts::Args),
    /// List, download, add or delete what steps saved with actions/cache
    Cache(cache::Args),
    /// List the languages on this machine that setup actions find, or add installations
    Tools(tools::Args),
    /// Explain why conditions were true or false, which reviews hold back jobs, and why a deployment failed
    Explain(explain::Args),
    /// Cancel runs; with --force they end at once
    Cancel(several::CancelArgs),
    /// Delete runs, on this machine or at their servers; with --logs only the logs at the servers
    Delete(several::DeleteArgs),
    /// Run again: all of a run, what failed, or one job and the jobs that need it
    Rerun(commands::RerunArgs),
    /// Start a workflow on a server, and follow its run
    Dispatch(dispatch::Args),
    /// List, enable or disable workflows on a server
    Workflow(dispatch::WorkflowArgs),
    /// Continue a run whose worker was lost, from the first step that had not completed
    Resume(commands::ResumeArgs),
    /// Approve deployments that wait for a review, or the run of a fork
    Approve(review::Args),
    /// Reject deployments that wait for a review: their jobs fail
    Reject(review::Args),
    /// Show the environments of a repository: the live releases, the rules, the history of one
    Env(environments::Args),
    /// Deploy a release to an environment of this repository, and follow it
    Deploy(deploy::Args),
    /// List the deployments by this machine, newest first
    Deploys(deployments::ListArgs),
    /// Continue a paused deployment
    Promote(deployments::PromoteArgs),
    /// Pause a deployment before its next step
    Pause(deployments::PauseArgs),
    /// Stop a deployment and bring the former release back
    Abort(deployments::AbortArgs),
    /// Bring an earlier release back to an environment, and follow it
    Rollback(rollback::Args),
    /// Lock an environment: nothing is deployed to it
    Lock(deployments::LockArgs),
    /// Unlock an environment
    Unlock(deployments::UnlockArgs),
    /// Print the audit log: who did what in the environments
    Audit(deployments::AuditArgs),
    /// List, retry, skip or continue failed steps that are held (`run --on-failure hold`)
    Held(held::Args),
    /// Open a shell in the environment of a running or failed job, or the debugger of a job on GitHub
    Shell(shell::Args),
    /// Play a past run again on the screen, forward and back, at any speed
    Replay(RunArg),
    /// Draw the screen at a moment of a run, as text or as a picture
    Screenshot(screenshot::Args),
    /// Check workflow files and action manifests
    Lint(lint::Args),
    /// Show what a workflow would run
    Plan(plan::Args),
    /// Evaluate expressions: one JSON request per line in, one answer per line out
    Eval,
    /// Trust this repository: allow its workflows to run on this machine
    Trust(trust::Args),
    /// Check what runs need: git, shells, folders, leftovers
    Doctor,
    /// Show, get or remove the accounts at GitHub and other servers
    Auth(auth::Args),
    /// Remove old runs
    Clean(clean::Args),
    /// List the keys of the screen
    Keys(keys::Args),
    /// Print the settings in force and where each comes from
    Config(config::Args),
    /// Print a script with completions for a shell
    Completions(completions::Args),
    /// Write the manual pages into a folder
    Man(completions::ManArgs),
    /// Forward ports of `localhost` to services (started in a job's helper container)
    #[command(hide = true)]
    Forward(forward::Args),
    /// Carry out a run (started by `run` and `rerun`)
    #[command(hide = true)]
    Worker(worker::Args),
}

/// The run that a command is about.
#[derive(clap::Args)]
struct RunArg {
    /// The run's id, its beginning or end, `latest`: the newest run of this repository; or a run on a server: its
    /// number, OWNER/REPO/NUMBER or its URL
    #[arg(default_value = LATEST)]
    run: String,
    /// Let `latest` be the newest run of all repositories
    #[arg(long, short)]
    all: bool,
    /// The repository on a server, for `latest` or the number of a run
    #[arg(long, short = 'R', value_name = "[HOST/]OWNER/NAME", conflicts_with = "all")]
    repository: Option<String>,
}

impl RunArg {
    /// Finds the run's folder. A run on a server is updated.
    fn find(&self) -> Result<RunFolder, Failure> {
        let folder = self.locate()?;
        servers::refresh(&folder)?;
        Ok(folder)
    }

    /// Finds the run's folder, for commands that update a run on a server themselves.
    fn locate(&self) -> Result<RunFolder, Failure> {
        if let Some(repository) = &self.repository {
            return servers::locate_in(&runs_dir()?, &self.run, repository);
        }
        let here = std::env::current_dir().ok().filter(|_| !self.all);
        servers::locate(&runs_dir()?, &self.run, here.as_deref())
    }
}

/// Returns the state folder after closing every run that lost its worker. Every command that reads runs calls this
/// first.
fn runs_dir() -> Result<RunsDir, Failure> {
    Ok(block_on(launch::open())??)
}

/// Runs a future to its end on this thread.
fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

/// Opens the screen, or lists the runs if there is no terminal. For a screen reader, follows the runs instead; without a
/// terminal only if the arguments ask for it, because that has no end.
fn without_command(Cli { run, read_only, linear, all, .. }: &Cli) -> Outcome {
    let showing = match run.as_deref() {
        Some(wanted) => {
            let here = std::env::current_dir().ok().filter(|_| !all);
            Some(servers::find_word(&runs_dir()?, wanted, here.as_deref())?)
        }
        None => None,
    };
    match &showing {
        Some(folder) if style::is_linear() => return run::Watch::of(folder).print(&mut *run::lines()),
        None if *linear || (style::is_linear() && io::stdout().is_terminal()) => return linear::follow(*all),
        _ => {}
    }
    if !screen::is_possible() {
        return runs::list(&runs::ListArgs::of(*all));
    }
    let run = showing.map(|folder| folder.id().clone());
    screen::open(screen::Opening { all: *all && run.is_none(), run, read_only: *read_only })
}

/// Replays a past run on the screen.
fn replay(run: &RunArg) -> Outcome {
    let folder = run.find()?;
    if screen::is_possible() {
        return screen::replay(folder);
    }
    Err(Failure::new(Exit::Usage, style::no_replay()))
}

/// Returns the notice for a workflow without `push` that is run without `--event`. It names the event that is used.
fn other_event(workflow: &str, event: &str) -> String {
    format!("{workflow} does not run on `push`: using its event `{event}`; --event chooses another")
}

type Outcome = Result<Exit, Failure>;

/// Returns the definition of the command line, with the groups of commands in its help.
fn command() -> clap::Command {
    help::unwrapped(help::grouped(Cli::command()))
}

/// Parses the command line, runs the command, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(answered) = complete::answered(command) {
        return answered;
    }
    if let Err(error) = color_eyre::install() {
        style::complain(&text!("crash reports will be plain: {}", error));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return mistakes::misread(error),
    };
    survive_file_limit();
    if cli.linear {
        style::make_linear();
    }
    match guarded(|| carry_out(&cli)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.is_error() {
                style::notice(&failure.text());
            } else if !failure.message.is_empty() {
                style::complain(&failure.text());
            }
            failure.exit.into()
        }
    }
}

/// Turns the signal for exceeding the file size limit (`ulimit -f`) into an error of the write, which can be reported.
/// Without a handler, the signal ends the process. Child processes do not inherit the handler.
fn survive_file_limit() {
    let limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays installed after the runtime has ended.
    let _ = block_on(async move { signal(limit).map(drop) });
}

/// Runs a command. Turns a panic, which is a bug, into an exit code; the panic hook has already printed it.
fn guarded(act: impl FnOnce() -> Outcome) -> Outcome {
    panic::catch_unwind(AssertUnwindSafe(act)).unwrap_or(Ok(Exit::Internal))
}

/// Returns why a command was not carried out because of what stands before it; `None` if nothing does.
fn misplaced(cli: &Cli) -> Option<&'static str> {
    cli.command.as_ref()?;
    if cli.run.is_some() {
        return Some(
            "nothing was done: the run stands behind the command that it is for, as in `cuelight show latest`",
        );
    }
    if cli.read_only {
        return Some(
            "nothing was done: --read-only only opens the screen, where nothing can be changed; leave it out to carry out \
             the command, or leave out the command to open the screen",
        );
    }
    cli.all.then_some("nothing was done: --all stands behind the command that it is for, as in `cuelight runs --all`")
}

fn carry_out(cli: &Cli) -> Outcome {
    style::asks_for_sentences().map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    if let Some(message) = misplaced(cli) {
        return Err(Failure::note(Exit::Usage, message.to_owned()));
    }
    match &cli.command {
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::Attach(args)) => commands::attach(args),
        Some(Command::Watch(args)) => watch::run(args),
        Some(Command::Runs(args)) => runs::list(args),
        Some(Command::Show(args)) => runs::show(args),
        Some(Command::Logs(args)) => runs::logs(args),
        Some(Command::Artifacts(args)) => artifacts::run(args),
        Some(Command::Cache(args)) => cache::run(args),
        Some(Command::Tools(args)) => tools::run(args),
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::Cancel(args)) => several::cancel(args),
        Some(Command::Delete(args)) => several::delete(args),
        Some(Command::Rerun(args)) => commands::rerun(args),
        Some(Command::Dispatch(args)) => dispatch::dispatch(args),
        Some(Command::Workflow(args)) => dispatch::workflow(args),
        Some(Command::Resume(args)) => commands::resume(args),
        Some(Command::Approve(args)) => review::run(args, true),
        Some(Command::Reject(args)) => review::run(args, false),
        Some(Command::Env(args)) => environments::run(args),
        Some(Command::Deploy(args)) => deploy::run(args),
        Some(Command::Deploys(args)) => deployments::list(args),
        Some(Command::Promote(args)) => deployments::promote(args),
        Some(Command::Pause(args)) => deployments::pause(args),
        Some(Command::Abort(args)) => deployments::abort(args),
        Some(Command::Rollback(args)) => rollback::run(args),
        Some(Command::Lock(args)) => deployments::lock(args),
        Some(Command::Unlock(args)) => deployments::unlock(args),
        Some(Command::Audit(args)) => deployments::audit(args),
        Some(Command::Held(args)) => held::run(args),
        Some(Command::Shell(args)) => shell::run(args),
        Some(Command::Replay(run)) => replay(run),
        Some(Command::Screenshot(args)) => screenshot::run(args),
        Some(Command::Lint(args)) => lint::run(args),
        Some(Command::Plan(args)) => plan::run(args),
        Some(Command::Eval) => eval::run(),
        Some(Command::Trust(args)) => trust::run(args),
        Some(Command::Doctor) => doctor::run(),
        Some(Command::Auth(args)) => auth::run(args),
        Some(Command::Clean(args)) => clean::run(args),
        Some(Command::Keys(args)) => keys::run(args),
        Some(Command::Config(args)) => config::run(args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man(args)) => completions::man(args, command()),
        Some(Command::Forward(args)) => forward::run(args),
        Some(Command::Worker(args)) => worker::run(args),
        None => without_command(cli),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn what_is_for_the_screen_is_refused_before_a_command_without_an_error() {
        for (line, part) in [
            ("--read-only run", "leave out the command to open the screen"),
            ("-a runs", "runs --all"),
            ("latest cancel", "behind the command"),
            ("nosuch show", "cuelight show latest"),
        ] {
            let words = std::iter::once("cuelight").chain(line.split(' '));
            let failure = carry_out(&Cli::try_parse_from(words).expect("parsed")).expect_err("refused");
            assert!(failure.exit == Exit::Usage && !failure.is_error(), "{}", failure.message);
            assert!(failure.message.starts_with("nothing was done: ") && failure.message.contains(part), "{line}");
        }
        assert!(misplaced(&Cli::parse_from(["cuelight", "--read-only"])).is_none());
    }

    #[test]
    fn a_bug_has_an_exit_code_of_its_own() {
        assert!(matches!(guarded(|| panic!("on purpose")), Ok(Exit::Internal)));
    }
}
