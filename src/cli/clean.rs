//! `clean`: removes old runs.

use std::fs;
use std::path::Path;

use crate::store::folder::RunsDir;
use crate::store::{StoreError, history, lock};

use super::{Exit, Outcome, config, run, style};

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
    for id in runs.list()?.into_iter().skip(keep) {
        let folder = runs.folder(id);
        // The lock is held until the folder is gone, so that no worker starts in it meanwhile.
        let held = if args.dry_run { None } else { lock::take(&folder.lock())? };
        if held.is_none() && (!args.dry_run || lock::is_held(&folder.lock())) {
            continue;
        }
        count += 1;
        bytes += size(folder.path());
        if !args.dry_run {
            fs::remove_dir_all(folder.path()).map_err(StoreError::io("remove", folder.path()))?;
        }
    }
    if count > 0 && !args.dry_run {
        // What is listed is what is there: the index is made again from the folders.
        history::forget(&runs)?;
    }
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let runs = if count == 1 { "run" } else { "runs" };
    style::line(&format!("{count} {runs} {verb}, {:.1} MB", bytes as f64 / 1e6))?;
    Ok(Exit::Success)
}

/// The bytes below a folder, links not followed.
fn size(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|data| data.len()).sum()
}
