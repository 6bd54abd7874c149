//! `clean`: removes old runs, outdated caches, and leftovers of runs such as containers and incomplete copies of
//! actions.

use crate::launch::clean;
use crate::launch::clean::{CleanError, Keep};
use crate::launch::request::cache_limits;

use crate::report::style;
use crate::ui::text::counted;

use super::{Exit, Failure, Outcome, block_on, config, runs_dir};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Keep this many of the newest runs [default: `keep_runs` of the configuration, 50]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    keep: Option<usize>,
    /// Remove all runs that are not in progress
    #[arg(long, conflicts_with = "keep")]
    all: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = runs_dir()?;
    let settings = config::load(None)?;
    let keep = Keep {
        runs: args.keep.unwrap_or(if args.all { 0 } else { settings.keep_runs }),
        deployments: !args.all,
        snapshots: settings.keep_failed,
        shared_images: !args.all,
        cache: cache_limits(&settings),
    };
    let (cleaned, verb) = if args.dry_run {
        (block_on(clean::preview(&runs, keep))??, "would be removed")
    } else {
        (block_on(clean::clean(&runs, keep))??, "removed")
    };
    let noun = if cleaned.runs == 1 { "run" } else { "runs" };
    style::line(&format!("{} {noun} {verb}, {:.1} MB", cleaned.runs, cleaned.bytes as f64 / 1e6))?;
    if cleaned.outdated > 0 {
        style::line(&format!("{} of caches and artifacts {verb}", counted(cleaned.outdated as u64, "outdated file")))?;
    }
    if cleaned.copies > 0 {
        let noun = if cleaned.copies == 1 { "copy" } else { "copies" };
        style::line(&format!("{} incomplete {noun} of actions {verb}", cleaned.copies))?;
    }
    if cleaned.uploads > 0 {
        style::line(&format!("{} {verb}", counted(cleaned.uploads as u64, "interrupted upload")))?;
    }
    for one in &cleaned.holdings {
        style::line(&format!("the {} {} {verb}", one.kind.word(), one.name))?;
    }
    for error in &cleaned.errors {
        style::complain(&error.to_string());
    }
    Ok(if cleaned.errors.is_empty() { Exit::Success } else { Exit::Unavailable })
}

impl From<CleanError> for Failure {
    fn from(error: CleanError) -> Self {
        match error {
            CleanError::Store(error) => error.into(),
            CleanError::Provider(error) => Self::new(Exit::Unavailable, error.to_string()),
        }
    }
}
