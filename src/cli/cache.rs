//! `cache`: what steps saved with `actions/cache`.

use serde::Serialize;

use crate::launch;
use crate::launch::caches;
use crate::report::lists;
use crate::report::style;
use crate::store::cache::CacheEntry;

use super::{Exit, Failure, Outcome, runs_dir};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only of this repository [default: that of the current folder]
    #[arg(long, short = 'R', value_name = "OWNER/NAME", global = true)]
    repository: Option<String>,
    /// Of all repositories
    #[arg(long, conflicts_with = "repository", global = true)]
    all: bool,
    /// Print one JSON object per line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the entries, newest first
    List,
    /// Delete the entries of a key, in every version and of every branch
    Delete {
        /// The whole key
        key: String,
    },
}

/// An entry in JSON.
#[derive(Serialize)]
struct Document<'e> {
    #[serde(flatten)]
    entry: &'e CacheEntry,
    used: u64,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = runs_dir()?;
    let here = std::env::current_dir().ok().filter(|_| !args.all);
    let repository = args.repository.clone().or_else(|| Some(launch::home(&here?)?.name));
    let entries = match &args.command {
        None | Some(Command::List) => caches::list(&runs, repository.as_deref())?,
        Some(Command::Delete { key }) => {
            let deleted = caches::delete(&runs, repository.as_deref(), key)?;
            if deleted.is_empty() {
                return Err(Failure::new(
                    Exit::NotFound,
                    format!("no cache entry `{key}`; `cuelight cache` lists them"),
                ));
            }
            deleted
        }
    };
    if args.json {
        for entry in &entries {
            style::json(&Document { entry, used: entry.used.0 })?;
        }
    } else if entries.is_empty() {
        style::notice("the cache is empty");
    } else {
        style::print(&lists::caches(
            &entries,
            matches!(args.command, Some(Command::Delete { .. })),
            repository.is_none(),
        ))?;
    }
    Ok(Exit::Success)
}
