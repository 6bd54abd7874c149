//! `worker`: the process that carries out one run. People do not call it; `run`, `rerun` and `resume` do.

use std::io::Read;
use std::path::PathBuf;

use indexmap::IndexMap;
use tracing_subscriber::EnvFilter;

use crate::model::{JobId, RerunScope, StepNumber};
use crate::store::folder::RunFolder;
use crate::worker;
use crate::worker::Mode;

use super::{Exit, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    folder: PathBuf,
    #[arg(long)]
    resume: bool,
    #[arg(long)]
    rerun: bool,
    #[arg(long)]
    rerun_failed: bool,
    #[arg(long)]
    rerun_job: Option<String>,
    #[arg(long)]
    from_step: Option<u32>,
}

pub(super) fn run(args: &Args) -> Outcome {
    // Away from the terminal: closing it must not reach us. It fails only where we lead a session already.
    let _ = rustix::process::setsid();
    let filter = EnvFilter::try_from_env("CUELIGHT_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let mode = match args {
        Args { resume: true, .. } => Mode::Resume,
        Args { rerun: true, .. } => Mode::Rerun(RerunScope::All),
        Args { rerun_failed: true, .. } => Mode::Rerun(RerunScope::Failed),
        Args { rerun_job: Some(job), from_step: Some(step), .. } => {
            Mode::Rerun(RerunScope::Step { job: JobId::new(job), step: StepNumber(*step) })
        }
        Args { rerun_job: Some(job), .. } => Mode::Rerun(RerunScope::Job(JobId::new(job))),
        _ => Mode::Start,
    };
    let mut secrets = String::new();
    std::io::stdin().read_to_string(&mut secrets)?;
    let secrets: IndexMap<String, String> = serde_json::from_str(&secrets)
        .map_err(|error| Failure::new(Exit::Usage, format!("secrets are expected on standard input: {error}")))?;
    let folder = RunFolder::at(&args.folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let conclusion = runtime.block_on(worker::carry_out(&folder, mode, secrets, std::env::vars_os().collect()))?;
    // What a step left running on a thread of ours must not hold the process back.
    runtime.shutdown_background();
    Ok(Exit::of(conclusion))
}
