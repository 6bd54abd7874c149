//! `cache`: lists and deletes entries that steps saved with `actions/cache`.

use crate::launch;
use crate::launch::caches;
use crate::report::lists;
use crate::report::style;
use crate::store::cache::CacheEntry;

use super::{Exit, Failure, Outcome, runs_dir, servers};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only entries of this repository [default: the repository of the current folder]
    #[arg(long, short = 'R', value_name = "OWNER/NAME", global = true)]
    repository: Option<String>,
    /// Entries of all repositories
    #[arg(long, conflicts_with = "repository", global = true)]
    all: bool,
    /// Entries on the server of the repository, instead of entries on this machine
    #[arg(long, conflicts_with = "all", global = true)]
    remote: bool,
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

pub(super) fn run(args: &Args) -> Outcome {
    let key = match &args.command {
        None | Some(Command::List) => None,
        Some(Command::Delete { key }) => Some(key.as_str()),
    };
    let (entries, has_one_repository) = if args.remote { (at_server(args, key)?, true) } else { here(args, key)? };
    if let Some(key) = key.filter(|_| entries.is_empty()) {
        let list = if args.remote { "cuelight cache --remote" } else { "cuelight cache" };
        return Err(Failure::new(Exit::NotFound, format!("no cache entry `{key}`; `{list}` lists them")));
    }
    if args.json {
        lists::caches_json(&entries)?;
    } else if entries.is_empty() {
        style::notice("the cache is empty");
    } else {
        style::print(&lists::caches(&entries, key.is_some(), !has_one_repository))?;
    }
    Ok(Exit::Success)
}

/// Lists the entries on this machine, or deletes the entries of a key. Returns the entries, and whether they are
/// limited to one repository.
fn here(args: &Args, key: Option<&str>) -> Result<(Vec<CacheEntry>, bool), Failure> {
    let runs = runs_dir()?;
    let here = std::env::current_dir().ok().filter(|_| !args.all);
    let repository = args.repository.clone().or_else(|| Some(launch::home(&here?)?.name));
    let entries = match key {
        None => caches::list(&runs, repository.as_deref())?,
        Some(key) => caches::delete(&runs, repository.as_deref(), key)?,
    };
    Ok((entries, repository.is_some()))
}

/// Lists the entries on a server, or deletes the entries of a key.
fn at_server(args: &Args, key: Option<&str>) -> Result<Vec<CacheEntry>, Failure> {
    let asked = servers::ask(args.repository.as_deref(), async |poller, repository| match key {
        None => poller.caches(repository).await,
        Some(key) => poller.delete_caches(repository, key).await,
    });
    Ok(asked?.1)
}
