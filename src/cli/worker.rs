//! `worker`: the process that carries out one run. `run`, `rerun` and `resume` start it, not the user.

use std::io::{Read, Write};
use std::panic;
use std::path::PathBuf;

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};
use tracing_subscriber::EnvFilter;

use crate::backend::github::recording;
use crate::model::{JobId, RerunScope, StepNumber};
use crate::store::folder::RunFolder;
use crate::worker;
use crate::worker::Mode;
use crate::worker::launch::WorkerInput;

use super::{Exit, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    folder: PathBuf,
    #[arg(long)]
    resume: bool,
    #[arg(long)]
    abort: bool,
    #[arg(long)]
    rerun: bool,
    #[arg(long)]
    rerun_failed: bool,
    #[arg(long)]
    rerun_job: Option<String>,
    #[arg(long)]
    from_step: Option<u32>,
}

/// Excludes the memory of this process, which contains secrets, from core dumps, and protects it from other processes
/// of the user.
fn keep_memory() {
    let limit = getrlimit(Resource::Core);
    // Steps that want core dumps can raise the limit again.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..limit });
    #[cfg(target_os = "linux")]
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

pub(super) fn run(args: &Args) -> Outcome {
    // Detaches from the terminal, so that closing it does not end the worker. Fails only if the process already leads a
    // session.
    let _ = setsid();
    keep_memory();
    let mut filter = EnvFilter::try_from_env("CUELIGHT_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // These crates log their requests, which contain the environments of containers, with secrets.
    for talkative in ["bollard=warn", "hyper=warn", "hyper_util=warn", "h2=warn"] {
        filter = filter.add_directive(talkative.parse().expect("a directive"));
    }
    // The worker's log may be on a full disk, in which case only log lines are lost.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    log.log_internal_errors(false).init();
    panic::set_hook(Box::new(|panic| drop(writeln!(std::io::stderr(), "{panic}"))));
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let WorkerInput { secrets, reason } = serde_json::from_str(&input)
        .map_err(|error| Failure::new(Exit::Usage, format!("expected secrets on standard input: {error}")))?;
    let mode = match args {
        Args { resume: true, .. } => Mode::Resume,
        Args { abort: true, .. } => Mode::Abort { reason },
        Args { rerun: true, .. } => Mode::Rerun(RerunScope::All),
        Args { rerun_failed: true, .. } => Mode::Rerun(RerunScope::Failed),
        Args { rerun_job: Some(job), from_step: Some(step), .. } => {
            Mode::Rerun(RerunScope::Step { job: JobId::new(job), step: StepNumber(*step) })
        }
        Args { rerun_job: Some(job), .. } => Mode::Rerun(RerunScope::Job(JobId::new(job))),
        _ => Mode::Start,
    };
    let folder = RunFolder::at(&args.folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let conclusion = runtime.block_on(async {
        let environment = std::env::vars_os().collect();
        Ok::<_, Failure>(worker::carry_out(&folder, mode, secrets, environment, recording::connect).await?)
    })?;
    // A blocked thread of a step must not delay the exit.
    runtime.shutdown_background();
    Ok(Exit::of(conclusion))
}
