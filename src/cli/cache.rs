//! `cache`: lists, downloads, adds and deletes entries that steps saved with `actions/cache`.

use std::path::PathBuf;

use crate::launch;
use crate::launch::cache_download::{self, CacheDownload, CacheDownloadError};
use crate::launch::caches;
use crate::launch::upload::cache::{CacheUpload, CacheUploadError, Compression};
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;
use crate::store::cache::CacheEntry;
use crate::ui::terminal_text::{reveal, text};

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
    /// Write the files of the newest entry of a key into a new folder with the name of the key
    #[command(
        after_help = "The entry is on this machine. Files outside of the workspace of the step that saved it come to be
below the new folder, too: without the first slash, or the leading `..`, of their paths."
    )]
    Download {
        /// The whole key
        key: String,
        /// Branch, or full ref, of the entry [default: the newest entry of any]
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
        /// Folder in which the new folder or file appears
        #[arg(long, alias = "output", default_value = ".")]
        dir: PathBuf,
        /// Write the archive itself, instead of its files
        #[arg(long)]
        archive: bool,
    },
    /// Delete the entries of a key, in every version and of every branch
    Delete {
        /// The whole key
        key: String,
    },
    /// Add an entry, which a step of `actions/cache` with the same paths and the key restores
    #[command(
        after_help = "Write the paths as in the step: its lines are part of the entry's version. They are read from
the root of the repository. A job in a container without zstd needs --compression gzip."
    )]
    Upload {
        /// The key
        key: String,
        /// The paths of the step, in its order
        #[arg(required = true)]
        paths: Vec<String>,
        /// Branch, or full ref, whose runs restore the entry [default: the default branch, so that all runs do]
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
        /// Version of the entry [default: that of the paths and the compression]
        #[arg(long, value_name = "DIGEST")]
        version: Option<String>,
        /// Compression [default: zstd if it is installed]
        #[arg(long, value_parser = ["zstd", "gzip"])]
        compression: Option<String>,
    },
}

pub(super) fn run(args: &Args) -> Outcome {
    let key = match &args.command {
        Some(Command::Upload { key, paths, reference, version, compression }) => {
            let compression = compression.as_ref().map(|name| match name.as_str() {
                "gzip" => Compression::Gzip,
                _ => Compression::Zstd,
            });
            let (reference, version) = (reference.as_deref(), version.as_deref());
            return upload(args, &CacheUpload { key, paths, reference, version, compression });
        }
        Some(Command::Download { key, reference, dir, archive }) => {
            let reference = reference.as_deref();
            return download(args, &CacheDownload { key, reference, into: dir, is_archive: *archive });
        }
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
        style::print(&lists::caches(&entries, key.is_some(), !has_one_repository, Style::of_output()))?;
    }
    Ok(Exit::Success)
}

/// Adds an entry to the cache of the repository of the current folder.
fn upload(args: &Args, upload: &CacheUpload<'_>) -> Outcome {
    if args.remote || args.all || args.repository.is_some() {
        let message = "entries can be added only to the cache of the current folder's repository on this machine";
        return Err(Failure::new(Exit::Usage, message.to_owned()));
    }
    let added = launch::upload::cache::add(&runs_dir()?, &std::env::current_dir()?, upload)?;
    for path in &added.missing {
        style::notice(&text!("note: {} does not exist", path));
    }
    if args.json {
        lists::caches_json(&[added.entry])?;
    } else {
        style::print(&lists::caches(&[added.entry], false, false, Style::of_output()))?;
    }
    Ok(Exit::Success)
}

/// Writes the files of an entry on this machine, or its archive.
fn download(args: &Args, wanted: &CacheDownload<'_>) -> Outcome {
    if args.remote {
        let message = "entries on a server cannot be downloaded: its API has no request for it";
        return Err(Failure::new(Exit::Usage, message.to_owned()));
    }
    let done = cache_download::download(&runs_dir()?, repository(args).as_deref(), wanted)?;
    if done.older > 0 {
        style::notice(&text!("note: the newest of {} entries, of {}", done.older + 1, done.entry.scope));
    }
    if args.json {
        lists::caches_json(&[done.entry])?;
    } else {
        style::line(&reveal(&done.path.display().to_string()))?;
    }
    Ok(Exit::Success)
}

impl From<CacheDownloadError> for Failure {
    fn from(error: CacheDownloadError) -> Self {
        let exit = match error {
            CacheDownloadError::Store(error) => return error.into(),
            CacheDownloadError::Unknown(_) => Exit::NotFound,
            CacheDownloadError::Exists(_) => Exit::Usage,
            CacheDownloadError::NotAnArchive(_) | CacheDownloadError::Outside(_) => Exit::Rejected,
            CacheDownloadError::Damaged | CacheDownloadError::Program { .. } | CacheDownloadError::Unpack(_) => {
                Exit::Unavailable
            }
        };
        Self::new(exit, error.to_string())
    }
}

impl From<CacheUploadError> for Failure {
    fn from(error: CacheUploadError) -> Self {
        let exit = match error {
            CacheUploadError::Repository(error) => return error.into(),
            CacheUploadError::Config(error) => return error.into(),
            CacheUploadError::Store(error) => return error.into(),
            CacheUploadError::Busy => Exit::Rejected,
            CacheUploadError::Tar(_) | CacheUploadError::Failed(_) => Exit::Unavailable,
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
    }
}

/// Returns the repository whose entries are meant; `None` for all repositories.
fn repository(args: &Args) -> Option<String> {
    let here = std::env::current_dir().ok().filter(|_| !args.all);
    args.repository.clone().or_else(|| Some(launch::home(&here?)?.name))
}

/// Lists the entries on this machine, or deletes the entries of a key. Returns the entries, and whether they are
/// limited to one repository.
fn here(args: &Args, key: Option<&str>) -> Result<(Vec<CacheEntry>, bool), Failure> {
    let (runs, repository) = (runs_dir()?, repository(args));
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
