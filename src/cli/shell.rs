//! `shell`: a shell in the environment of a running or failed job, with the variables of its step; or a conversation
//! with the debugger of a job on GitHub.

use crate::launch::shell;
use crate::launch::shell::{JobShell, ShellError};
use crate::report::failed_script;
use crate::report::style;
use crate::store::history;
use crate::tui::shell_terminal::Console;

use super::{Exit, Failure, Outcome, RunArg, debugger};

#[derive(clap::Args)]
#[command(after_help = "The files of a failed job in a container are kept for a day; `docker.keep_failed` in the \
configuration sets for how many jobs. Its services are not kept. Input from a pipe is run as a script.

For a run on GitHub, the command connects to a job that was started by `cuelight rerun RUN --debugger`, a preview of \
GitHub's that `github.debugger` in the configuration allows. The job stops before each step. Each line of input is a \
separate command in the job; `:help` lists the commands for the debugger, such as `:vars github`, `:eval EXPRESSION`, \
`:next` and `:continue`. At the end of the input the job stays stopped. The exit code is 0 if the last line succeeded, 1 \
if it or the job failed, 4 if the server or the tunnel refuses, 5 if the connection cannot be made or breaks, or if the \
debugger ends without the result of the job, 130 after Ctrl-C. Empty lines, comments and `:help` do not change it.")]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArg,
    /// The job, without `--job`
    #[arg(value_name = "JOB", hide = true)]
    of_job: Option<String>,
    /// The job: its id, key or name [default: the one that runs or failed]
    #[arg(long, short, conflicts_with = "of_job")]
    job: Option<String>,
    /// Open the shell in the container of this service of a running job
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// A secret that the run had, for the environment of a step that is not held; without a value it is taken from the
    /// environment
    #[arg(long = "secret", short, value_name = "NAME[=VALUE]")]
    secrets: Vec<String>,
    /// Print one JSON object per line (for a run on GitHub)
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let folder = args.run.locate()?;
    let job = args.job.as_deref().or(args.of_job.as_deref());
    if history::is_mirror(&folder) {
        if args.service.is_some() || !args.secrets.is_empty() {
            return Err(Failure::new(Exit::Usage, "--service and --secret cannot be used for a run on a server"));
        }
        return debugger::run(&folder, job, args.json);
    }
    if args.json {
        return Err(Failure::new(Exit::Usage, "--json is only for a run on GitHub"));
    }
    let run = history::read(&folder)?;
    let job = shell::job(&run, job)?;
    let origin = run.info.origin();
    let secrets: Vec<_> = args.secrets.iter().map(|text| text.as_str().into()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let done = runtime.block_on(async {
        let JobShell { shell, script } = shell::open(&folder, job, args.service.as_deref(), &secrets).await?;
        style::notice(&format!("A shell for {} ({origin}) in {}; leave it with exit.", job.name, shell.place()));
        if let Some(script) = script {
            style::notice(&failed_script(&script));
        }
        Ok::<_, ShellError>(shell.run(&mut Console::default()).await?)
    });
    // The thread that reads standard input may wait forever for a key.
    runtime.shutdown_background();
    // From the exit code, scripts learn that a command in the shell failed. This is not an error of cuelight.
    Ok(if done? == 0 { Exit::Success } else { Exit::Failed })
}

impl From<ShellError> for Failure {
    fn from(error: ShellError) -> Self {
        let exit = match error {
            ShellError::Secret(error) => return error.into(),
            ShellError::Lookup(error) => return error.into(),
            ShellError::Store(error) => return error.into(),
            ShellError::NotStarted { .. }
            | ShellError::NoJob { .. }
            | ShellError::UnknownMachine { .. }
            | ShellError::Foreign(_) => Exit::Rejected,
            ShellError::OfStep { .. } => Exit::Usage,
            ShellError::Provider(error) => return error.into(),
        };
        Self::new(exit, error.to_string())
    }
}
