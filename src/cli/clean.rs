//! `clean`: removes old runs.

use std::fs;
use std::path::Path;

use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::engine::sandbox::docker::owned::{Kind, Resource};
use crate::model::RunId;
use crate::store::folder::RunsDir;
use crate::store::{StoreError, history, lock};

use super::{Exit, Failure, Outcome, config, run, style};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Keep this many of the newest runs [default: `keep_runs` of the configuration, 50]
    #[arg(long)]
    keep: Option<usize>,
    /// Remove all runs that are not in progress
    #[arg(long, conflicts_with = "keep")]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = RunsDir::locate()?;
    run::close_lost(&runs)?;
    let keep = match args.keep {
        Some(keep) => keep,
        None if args.all => 0,
        None => config::load(None)?.keep_runs,
    };
    let (mut count, mut bytes) = (0, 0);
    let mut exit = Exit::Success;
    for id in runs.list()?.into_iter().skip(keep) {
        let folder = runs.folder(id);
        // The lock is held until the folder is gone, so that no worker starts in it meanwhile.
        let held = if args.dry_run { None } else { lock::take(&folder.lock())? };
        if held.is_none() && (!args.dry_run || lock::is_held(&folder.lock())) {
            continue;
        }
        count += 1;
        bytes += size(folder.path());
        if !args.dry_run
            && let Err(error) = fs::remove_dir_all(folder.path())
        {
            // The others can go all the same.
            style::complain(&StoreError::io("remove", folder.path())(error).to_string());
            exit = Exit::Unavailable;
        }
    }
    let left = containers(&runs, args)?;
    if count > 0 && !args.dry_run {
        // What is listed is what is there: the index is made again from the folders.
        history::forget(&runs)?;
    }
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let runs = if count == 1 { "run" } else { "runs" };
    style::line(&format!("{count} {runs} {verb}, {:.1} MB", bytes as f64 / 1e6))?;
    for thing in left {
        style::line(&format!("the {} {} {verb}", thing.kind.word(), thing.name))?;
    }
    Ok(exit)
}

/// Removes what is left in a container engine, where there is one.
fn containers(runs: &RunsDir, args: &Args) -> Result<Vec<Resource>, Failure> {
    let keep_failed = config::load(None)?.keep_failed;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Without an engine nothing is left in one that could be removed.
        let Ok(engine) = DockerClient::find().await else { return Ok(Vec::new()) };
        let failed = |error: DockerError| Failure::new(Exit::Unavailable, error.to_string());
        let mut left = left_over(&engine, runs).await.map_err(failed)?;
        if args.all {
            // Images that actions were built into: the next run builds them again.
            let all = engine.owned(runs.state(), None, None).await.map_err(failed)?;
            left.extend(
                all.into_iter().filter(|thing| thing.run.is_empty() && !left.contains(thing)).collect::<Vec<_>>(),
            );
        }
        if !args.dry_run {
            engine.remove_found(&left).await.map_err(failed)?;
            engine.prune_kept(runs.state(), keep_failed).await.map_err(failed)?;
        }
        Ok(left)
    })
}

/// What an engine holds of runs that are no more: everything of a run that has no worker, but for what is kept of a failed
/// job as long as the run itself is kept.
pub(super) async fn left_over(engine: &DockerClient, runs: &RunsDir) -> Result<Vec<Resource>, DockerError> {
    let mut found = engine.owned(runs.state(), None, None).await?;
    found.retain(|thing| {
        let folder = runs.folder(RunId::new(&thing.run));
        let kept = thing.kind == Kind::Image && (thing.run.is_empty() || folder.path().exists());
        !kept && (thing.run.is_empty() || !lock::is_held(&folder.lock()))
    });
    Ok(found)
}

/// The bytes below a folder, links not followed.
fn size(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|data| data.len()).sum()
}
