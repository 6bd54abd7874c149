//! `clean`: removes old runs, and what is left over of runs at the providers of their machines.

use std::fs;
use std::io;
use std::path::Path;

use crate::engine::sandbox::provider::{Holding, ProviderError};
use crate::engine::sandbox::providers::{Providers, left_over, of_runs};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::{StoreError, lock};

use super::{Exit, Failure, Outcome, config, runs_dir, style};

/// Number of runs that are removed at a time. The lock of each is an open file, and a process may have about a thousand.
const BATCH: usize = 100;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Keep this many of the newest runs [default: `keep_runs` of the configuration, 50]
    #[arg(long)]
    keep: Option<usize>,
    /// Remove all runs that are not in progress
    #[arg(long, conflicts_with = "keep")]
    all: bool,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = runs_dir()?;
    let settings = config::load(None)?;
    let keep = args.keep.unwrap_or(if args.all { 0 } else { settings.keep_runs });
    let old: Vec<_> = runs.list()?.into_iter().skip(keep).map(|id| runs.folder(id)).collect();
    let providers = Providers::of_this_process();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let removed = if args.dry_run {
        runtime.block_on(would_remove(&providers, &runs, old, args.all))?
    } else {
        let mut removed = runtime.block_on(remove(&providers, &old))?;
        let left = runtime.block_on(remove_left_over(&providers, &runs, args.all, settings.keep_failed));
        removed.holdings.extend(left.map_err(unavailable)?);
        removed
    };
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let runs = if removed.count == 1 { "run" } else { "runs" };
    style::line(&format!("{} {runs} {verb}, {:.1} MB", removed.count, removed.bytes as f64 / 1e6))?;
    for one in &removed.holdings {
        style::line(&format!("the {} {} {verb}", one.kind.word(), one.name))?;
    }
    Ok(removed.exit)
}

/// What was removed, or would be.
struct Removed {
    count: usize,
    bytes: u64,
    holdings: Vec<Holding>,
    exit: Exit,
}

impl Default for Removed {
    fn default() -> Self {
        Self { count: 0, bytes: 0, holdings: Vec::new(), exit: Exit::Success }
    }
}

/// Removes runs that are not in progress, with what providers hold for them.
async fn remove(providers: &Providers, old: &[RunFolder]) -> Result<Removed, Failure> {
    let mut removed = Removed::default();
    for batch in old.chunks(BATCH) {
        // The locks are held until the folders are gone, so that no worker starts in one of them meanwhile.
        let mut locked = Vec::new();
        for folder in batch {
            // Another process may have removed it meanwhile.
            if folder.path().exists()
                && let Some(held) = lock::take(&folder.lock())?
            {
                locked.push((folder.clone(), held));
            }
        }
        let folders: Vec<_> = locked.iter().map(|(folder, _)| folder.clone()).collect();
        match providers.forget(&folders).await {
            Ok(holdings) => removed.holdings.extend(holdings),
            // What stays is left over, and the next `clean` removes it.
            Err(ProviderError::Unavailable(_)) => {}
            Err(error) => {
                style::complain(&error.to_string());
                removed.exit = Exit::Unavailable;
            }
        }
        for folder in &folders {
            removed.count += 1;
            removed.bytes += size(folder.path());
            if let Err(error) = remove_folder(folder.path()) {
                // The other runs can be removed all the same.
                style::complain(&StoreError::io("remove", folder.path())(error).to_string());
                removed.exit = Exit::Unavailable;
            }
        }
    }
    Ok(removed)
}

/// Removes a folder with everything in it. Another process may remove it too, and make its lock again meanwhile.
fn remove_folder(path: &Path) -> io::Result<()> {
    const ATTEMPTS: usize = 20;
    let mut removed = Ok(());
    for _ in 0..ATTEMPTS {
        removed = match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Err(error),
            removed => return removed,
        };
    }
    removed
}

/// Removes what providers hold for no run, and snapshots that are too many or too old. With `all`, images that serve
/// later runs too.
async fn remove_left_over(
    providers: &Providers,
    runs: &RunsDir,
    all: bool,
    keep_failed: usize,
) -> Result<Vec<Holding>, ProviderError> {
    let holdings = providers.holdings(runs.state()).await?;
    let shared: Vec<_> = holdings.iter().filter(|one| all && one.run.is_empty()).cloned().collect();
    let mut left = left_over(holdings, runs);
    left.extend(shared.into_iter().filter(|one| !left.contains(one)).collect::<Vec<_>>());
    providers.remove(&left).await?;
    providers.prune_snapshots(runs.state(), keep_failed).await?;
    Ok(left)
}

/// Returns what would be removed.
async fn would_remove(
    providers: &Providers,
    runs: &RunsDir,
    mut old: Vec<RunFolder>,
    all: bool,
) -> Result<Removed, Failure> {
    old.retain(|folder| !lock::is_held(&folder.lock()));
    let bytes = old.iter().map(|folder| size(folder.path())).sum();
    let holdings = providers.holdings(runs.state()).await.map_err(unavailable)?;
    let mut gone = of_runs(&holdings, &old);
    let shared: Vec<_> = holdings.iter().filter(|one| all && one.run.is_empty()).cloned().collect();
    for one in shared.into_iter().chain(left_over(holdings, runs)) {
        if !gone.contains(&one) {
            gone.push(one);
        }
    }
    Ok(Removed { count: old.len(), bytes, holdings: gone, exit: Exit::Success })
}

fn unavailable(error: ProviderError) -> Failure {
    Failure::new(Exit::Unavailable, error.to_string())
}

/// Returns the number of bytes below a folder. Links are not followed.
fn size(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|data| data.len()).sum()
}
