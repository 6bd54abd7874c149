//! The git folder of a copy, written directly: `git clone` would take longer than the rest of the checkout.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::error::CheckoutError;
use super::files::{Target, copy_if_there};
use super::{Request, objects};
use crate::files::{Links, read_own_text};
use crate::repo::address::without_credentials;
use crate::repo::git::Abort;

/// Keys of the repository's git configuration that are copied: how objects are stored, how files are compared, and the
/// URL of `origin`.
const KEPT: &str = r"^(core\.(autocrlf|eol|filemode|symlinks|ignorecase)|extensions\.(objectformat|partialclone)|remote\.origin\.(url|promisor|partialclonefilter))$";

/// Maximum size in bytes of the configuration of a copy.
const MAX_CONFIG: u64 = 16 * 1024 * 1024;

/// Maximum size in bytes of the file that names the commits whose parents are missing.
const MAX_SHALLOW: u64 = 64 * 1024 * 1024;

/// How the copy gets the repository's objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) enum Objects {
    /// In the git folder of the copy, as hard links, or as separate files where links are not possible.
    #[default]
    Linked,
    /// In the git folder of the copy, as separate files.
    Copied,
    /// In the repository: the copy refers to them by their path.
    Borrowed,
}

/// Part of the history to include in the copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) struct Depth {
    /// Number of commits on each path back from the checked-out commit, at least 1.
    pub(in crate::engine) commits: usize,
    /// Whether to include all tags.
    pub(in crate::engine) tags: bool,
}

/// A commit to check out.
pub(super) struct Wanted {
    /// Id of the commit.
    pub(super) commit: String,
    /// The ref as given by the step.
    pub(super) name: String,
}

/// Source of the copy's git folder.
pub(super) struct Origin {
    /// Objects folder of the repository.
    objects: PathBuf,
    index: PathBuf,
    /// `shallow` file of a shallow repository: the commits whose parents are missing.
    shallow: PathBuf,
    /// Commit that is checked out; `None` if the repository has no commits.
    commit: Option<String>,
    /// Full name of the branch that is checked out; empty for a detached commit.
    branch: String,
    /// The repository's branches and tags, one per line: id and full name.
    refs: String,
    /// Content of the `config` file.
    config: String,
}

impl Origin {
    pub(super) fn of(repository: &Path, request: &Request) -> Result<Self, CheckoutError> {
        thread::scope(|scope| {
            let config =
                scope.spawn(|| request.git(repository, ["config", "-z", "--get-regexp", KEPT]).unwrap_or_default());
            let refs = ["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"];
            let refs = scope.spawn(move || request.git(repository, refs));
            let places = ["--git-common-dir", "--git-path", "index", "--git-path", "shallow"];
            let places = request.git(repository, ["rev-parse", "--path-format=absolute"].iter().chain(&places))?;
            let mut places = places.lines().map(PathBuf::from);
            let mut place = || places.next().unwrap_or_default();
            let (objects, index, shallow) = (place().join("objects"), place(), place());
            // Fails for a detached HEAD.
            let branch = request.git(repository, ["symbolic-ref", "--quiet", "HEAD"]).unwrap_or_default();
            let branch = branch.trim().to_owned();
            let detached = if branch.is_empty() { Some(request.git(repository, ["rev-parse", "HEAD"])?) } else { None };
            let refs = refs.join().expect("listing does not panic")?;
            let config = config.join().expect("reading a configuration does not panic");
            let on_branch = refs.lines().filter_map(|line| line.split_once(' ')).find(|(_, name)| *name == branch);
            let commit = detached.or_else(|| on_branch.map(|(id, _)| id.to_owned()));
            Ok(Self {
                objects,
                index,
                shallow,
                commit: commit.map(|commit| commit.trim().to_owned()),
                branch,
                refs,
                config: configuration(&config, repository),
            })
        })
    }

    /// Returns the commit that is checked out in the repository; `None` if it has no commits.
    pub(super) fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// Whether the repository has only a part of the history.
    pub(super) fn is_shallow(&self) -> bool {
        self.shallow.exists()
    }

    /// Writes the git folder, without an index and without the objects.
    pub(super) fn write(
        &self,
        repository: &Path,
        target: &Target,
        wanted: Option<&Wanted>,
        request: &Request,
    ) -> Result<(), CheckoutError> {
        let depth = request.depth;
        let start = wanted.map(|wanted| wanted.commit.as_str()).or(self.commit());
        let cut = match (depth, start) {
            (Some(depth), Some(start)) => boundary(repository, start, depth.commits, request)?,
            _ => Vec::new(),
        };
        let head = match (&self.commit, self.branch.as_str()) {
            (Some(commit), "") => commit.clone(),
            (_, branch) => format!("ref: {branch}"),
        };
        let written = || {
            let folder = target.git_folder()?;
            folder.make_folders(Path::new("refs"))?;
            let info = folder.make_folders(Path::new("objects/info"))?;
            if request.objects == Objects::Borrowed {
                let mut alternates = self.objects.clone().into_os_string().into_encoded_bytes();
                alternates.push(b'\n');
                info.write(Path::new("alternates"), &alternates)?;
            }
            folder.write(Path::new("HEAD"), format!("{head}\n").as_bytes())?;
            folder.write(Path::new("config"), self.config.as_bytes())?;
            folder.write(Path::new("packed-refs"), self.packed_refs(wanted, depth).as_bytes())?;
            copy_if_there(&self.shallow, &folder, Path::new("shallow"), &request.abort)?;
            if !cut.is_empty() {
                let known = read_own_text(&self.shallow, MAX_SHALLOW).unwrap_or_default();
                folder.write(Path::new("shallow"), (known + &cut.join("\n") + "\n").as_bytes())?;
            }
            Ok(())
        };
        written().map_err(|source| CheckoutError::Write { path: target.path().join(".git"), source })
    }

    /// Brings the objects into the git folder, unless it borrows them. Either way, the folders that the repository
    /// names must contain nothing but objects, because containers can read them.
    pub(super) fn bring_objects(&self, target: &Target, request: &Request) -> Result<(), CheckoutError> {
        let folders = objects::folders(&self.objects)?;
        if request.objects == Objects::Borrowed {
            let git_folder = self.objects.parent().unwrap_or(&self.objects);
            let refused = objects::of_others(&folders, git_folder, &request.git_objects);
            return refused.map_or(Ok(()), |folder| Err(CheckoutError::OfOthers(folder.to_owned())));
        }
        objects::bring(&folders, target, request)
    }

    /// Returns the content of `packed-refs` with the refs that a clone would have: all tags, all branches as branches
    /// of `origin`, and the checked-out branch. With a depth, returns only the ref that is checked out, and the tags if
    /// they are requested.
    fn packed_refs(&self, wanted: Option<&Wanted>, depth: Option<Depth>) -> String {
        let fetched = |name: &str| match depth {
            None => true,
            Some(depth) if name.starts_with("refs/tags/") => depth.tags || wanted.is_some_and(|it| it.is_called(name)),
            Some(_) => wanted.map_or(name == self.branch, |wanted| wanted.is_called(name)),
        };
        let mut packed = String::new();
        for line in self.refs.lines() {
            let Some((id, name)) = line.split_once(' ').filter(|(_, name)| fetched(name)) else { continue };
            let theirs = name.strip_prefix("refs/heads/").map(|name| format!("refs/remotes/origin/{name}"));
            let own = (name == self.branch || theirs.is_none()).then(|| name.to_owned());
            for name in own.into_iter().chain(theirs) {
                packed.push_str(&format!("{id} {name}\n"));
            }
        }
        packed
    }

    /// Copies the index. It may be split over several files.
    pub(super) fn copy_index(&self, target: &Target, abort: &Abort) -> Result<(), CheckoutError> {
        let copied = || {
            let folder = target.git_folder()?;
            copy_if_there(&self.index, &folder, Path::new("index"), abort)?;
            for entry in self.index.parent().map(fs::read_dir).transpose()?.into_iter().flatten() {
                let name = entry?.file_name();
                if name.to_string_lossy().starts_with("sharedindex.") {
                    copy_if_there(&self.index.with_file_name(&name), &folder, Path::new(&name), abort)?;
                }
            }
            Ok(())
        };
        copied().map_err(|source| CheckoutError::Copy { path: self.index.clone(), source })
    }
}

impl Wanted {
    /// Whether the step named the ref `full`, with or without `refs/heads/` or `refs/tags/`.
    fn is_called(&self, full: &str) -> bool {
        let short = full.strip_prefix("refs/heads/").or_else(|| full.strip_prefix("refs/tags/"));
        self.name == full || short == Some(self.name.as_str())
    }
}

/// Returns the commits that are `depth` commits away from the start, counting the start: the oldest commits of a
/// history of that depth. Empty if the whole history is shorter.
fn boundary(repository: &Path, start: &str, depth: usize, request: &Request) -> Result<Vec<String>, CheckoutError> {
    let read = |args: &[&str], commits: &[String]| -> Result<HashMap<String, Vec<String>>, CheckoutError> {
        let args = ["log", "--format=%H %P"].iter().chain(args).copied().chain(commits.iter().map(String::as_str));
        let lines = request.git(repository, args)?;
        let commits = lines.lines().filter_map(|line| {
            let mut ids = line.split(' ').filter(|id| !id.is_empty()).map(str::to_owned);
            Some((ids.next()?, ids.collect()))
        });
        Ok(commits.collect())
    };
    let mut level = vec![start.to_owned()];
    let mut seen: HashSet<String> = level.iter().cloned().collect();
    // One call reads the newest commits, which are most of the needed ones, or all of them if there are no merges.
    let mut parents = if depth > 1 { read(&[&format!("--max-count={depth}")], &level)? } else { HashMap::new() };
    for _ in 1..depth {
        let missing: Vec<String> = level.iter().filter(|commit| !parents.contains_key(*commit)).cloned().collect();
        if !missing.is_empty() {
            parents.extend(read(&["--no-walk=unsorted"], &missing)?);
        }
        let next = level.iter().filter_map(|commit| parents.get(commit)).flatten();
        level = next.filter(|parent| seen.insert((*parent).clone())).cloned().collect();
        if level.is_empty() {
            break;
        }
    }
    Ok(level)
}

/// Converts the output of `git config` for the repository to the configuration of the copy.
fn configuration(kept: &str, repository: &Path) -> String {
    let entries: Vec<(&str, &str)> = kept.split('\0').filter_map(|entry| entry.split_once('\n')).collect();
    let version = u8::from(entries.iter().any(|(name, _)| name.starts_with("extensions.")));
    let mut config =
        format!("[core]\n\trepositoryformatversion = {version}\n\tbare = false\n\tlogallrefupdates = true\n");
    for (name, value) in entries {
        let (section, key) = match name.strip_prefix("remote.origin.") {
            Some(key) => (r#"remote "origin""#, key),
            None => name.split_once('.').unwrap_or((name, "")),
        };
        // A relative URL is relative to the repository.
        let near = key == "url" && (value.starts_with("./") || value.starts_with("../"));
        let value = match key {
            _ if near => repository.join(value).to_string_lossy().into_owned(),
            "url" => without_credentials(value),
            _ => value.to_owned(),
        };
        config.push_str(&format!("[{section}]\n\t{key} = {}\n", quoted(&value)));
    }
    if config.contains("[remote") {
        config.push_str("[remote \"origin\"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n");
    }
    config
}

/// Adds a checked-out submodule to the configuration of a copy.
pub(super) fn add_submodule(target: &Target, name: &str, url: &str) -> Result<(), CheckoutError> {
    let path = Path::new("config");
    let entry =
        format!("[submodule {}]\n\tactive = true\n\turl = {}\n", quoted(name), quoted(&without_credentials(url)));
    let added = || {
        let folder = target.git_folder()?;
        let known = folder.read(path, Links::Refuse, MAX_CONFIG)?;
        folder.write(path, &[&known[..], entry.as_bytes()].concat())
    };
    added().map_err(|source| CheckoutError::Write { path: target.path().join(".git/config"), source })
}

/// Quotes a value of a git configuration.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n"))
}
