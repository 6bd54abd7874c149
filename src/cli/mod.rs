//! The command line: one file per family of subcommands, headless printers, exit codes.

mod clean;
mod completions;
mod demo;
mod doctor;
mod eval;
mod exit;
mod lint;
mod orders;
mod plan;
mod printer;
mod run;
mod runs;
mod screen;
mod style;
mod trust;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::Exit;

use crate::store::StoreError;
use crate::store::folder::RunsDir;

/// Runs GitHub Actions workflows on this machine, and watches and controls them from the terminal.
#[derive(Parser)]
#[command(version, about, disable_help_subcommand = true, after_long_help = exit::HELP.as_str())]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Open the screen on this run: its id, its beginning or end, or `latest`
    run: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a workflow of this repository
    Run(run::Args),
    /// Unpack a small project and run its pipeline for real: needs git and a POSIX shell, nothing else
    Demo(demo::Args),
    /// Follow a run until it ends
    Attach(orders::AttachArgs),
    /// List runs, newest first
    Runs(runs::ListArgs),
    /// Show a run: its jobs and steps and how they ended
    Show(runs::ShowArgs),
    /// Print the logs of a run
    Logs(runs::LogsArgs),
    /// Ask a run to end; asked again with --force it ends at once
    Cancel(orders::CancelArgs),
    /// Run a run again: all of it, what failed, or one job and what needs it
    Rerun(orders::RerunArgs),
    /// Go on with a run whose worker was lost, from the first step that had not completed
    Resume(orders::ResumeArgs),
    /// Check workflow files and action manifests
    Lint(lint::Args),
    /// Show what a workflow would run
    Plan(plan::Args),
    /// Evaluate expressions: a JSON request a line in, an answer a line out
    Eval,
    /// Let this repository's workflows run on this machine
    Trust(trust::Args),
    /// Check what runs need: git, shells, folders, leftovers
    Doctor,
    /// Remove old runs
    Clean(clean::Args),
    /// Print the settings that there are, explained
    Config,
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Carry out a run (started by `run` and `rerun`)
    #[command(hide = true)]
    Worker(worker::Args),
}

/// What a command that could not do its work says, and how the program ends.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::NoSuchRun { .. } => Exit::NotFound,
            StoreError::Ambiguous { .. } => Exit::Usage,
            StoreError::Io { .. } | StoreError::Damaged { .. } | StoreError::NoHome => Exit::Unavailable,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

/// The screen, or the list of runs where there is no terminal for one.
fn without_command(run: Option<&str>) -> Outcome {
    let showing = match run {
        Some(wanted) => Some(RunsDir::locate()?.find(wanted)?.id().clone()),
        None => None,
    };
    if screen::is_possible() { screen::open(showing) } else { runs::list(&runs::ListArgs::default()) }
}

type Outcome = Result<Exit, Failure>;

/// Parses the command line, carries it out, and turns what came of it into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = color_eyre::install() {
        style::complain(&format!("reports of crashes will be plain: {error}"));
    }
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Attach(args)) => orders::attach(&args),
        Some(Command::Runs(args)) => runs::list(&args),
        Some(Command::Show(args)) => runs::show(&args),
        Some(Command::Logs(args)) => runs::logs(&args),
        Some(Command::Cancel(args)) => orders::cancel(&args),
        Some(Command::Rerun(args)) => orders::rerun(&args),
        Some(Command::Resume(args)) => orders::resume(&args),
        Some(Command::Lint(args)) => lint::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Eval) => eval::run(),
        Some(Command::Trust(args)) => trust::run(&args),
        Some(Command::Doctor) => doctor::run(),
        Some(Command::Clean(args)) => clean::run(&args),
        Some(Command::Config) => style::print(&crate::config::example()).map(|()| Exit::Success).map_err(Failure::from),
        Some(Command::Completions(args)) => completions::run(&args, &mut Cli::command()),
        Some(Command::Worker(args)) => worker::run(&args),
        None => without_command(cli.run.as_deref()),
    };
    match outcome {
        Ok(exit) => exit.into(),
        // Whoever reads us has seen enough: that is no failure.
        Err(failure) if failure.message.contains("Broken pipe") => Exit::Success.into(),
        Err(failure) => {
            style::complain(&failure.message);
            failure.exit.into()
        }
    }
}
