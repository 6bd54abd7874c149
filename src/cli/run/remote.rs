//! `run --remote`: runs a workflow with the files of the working tree on a server.

use tokio::signal::unix::{SignalKind, signal};

use crate::backend::remote_run::{RemoteRequest, RemoteRun};
use crate::backend::runs::Runs;
use crate::launch::branches::remove_leftovers;
use crate::report::style;
use crate::store::folder::RunsDir;
use crate::ui::terminal_text::text;
use crate::ui::text::counted;

use crate::cli::{Exit, Failure, Outcome, block_on};

use super::{Args, Watch, pairs, printer};

pub(super) fn run(runs: &RunsDir, args: &Args, workflow: &str) -> Outcome {
    for leftover in remove_leftovers(runs) {
        style::notice(&text!("note: {}", leftover.to_string()));
    }
    let request = RemoteRequest {
        folder: std::env::current_dir()?,
        workflow: workflow.to_owned(),
        inputs: pairs(&args.choice.inputs, "--input")?,
        trust: args.trust,
    };
    let sources = Runs::new(runs.clone());
    let RemoteRun { folder, repository, branch, changed } = block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            started = sources.run_remote(&request) => Ok(started?),
            // Dropping the future undoes the steps that were already taken.
            _ = interrupted.recv() => Err(Failure::note(Exit::Cancelled, "cancelled before the run started".to_owned())),
        }
    })??;
    let name = branch.branch().name.clone();
    let files = counted(changed as u64, "changed file");
    style::notice(&text!("Started {} on {} with {}: {}", workflow, name, files, repository.to_string()));
    let watch = Watch::of(&folder).attempt(1).own();
    let watch = if args.fail_fast { watch.fail_fast() } else { watch };
    let followed = watch.print(&mut *printer(args.json));
    if let Some(left) = branch.remove() {
        style::notice(&text!("note: {}; the next `cuelight run --remote` removes it", left.to_string()));
    }
    followed
}
