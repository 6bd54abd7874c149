//! The workflows that a workflow calls, from its repository and from others.
//!
//! Workflows of other repositories come from the same sources as actions: the cache, a folder or server of `[actions]`,
//! or github.com, with the user's credentials for git.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use indexmap::IndexMap;

use crate::config::Config;
use crate::engine::actions::reference::{Reference, Remote};
use crate::engine::actions::store::Store;
use crate::repo::git::Access;
use crate::repo::workflows;
use crate::worker::caches;
use crate::workflow::plan::{Callee, MAX_CALLED};
use crate::workflow::source::Source;
use crate::workflow::syntax::{JobBody, JobDefinition, Workflow, callee_name};

/// Where the workflows of other repositories come from.
pub(super) enum Others {
    /// Workflows of other repositories are not read, so they are left out.
    Unread,
    /// From the cache. Workflows that are not there, and those with a source in `hidden`, are left out.
    Kept {
        /// The cache.
        store: Store,
        /// Sources that the settings of an untrusted repository name. They are not read, because an error could show
        /// any file of the user.
        hidden: Box<Store>,
    },
    /// From their repositories. A workflow that cannot be fetched is reported as an error of the call.
    Fetched(Store),
}

impl Others {
    /// Returns the source that reads the cache and the folders of the configuration, for a repository at `root`.
    pub(super) fn kept(config: &Config, root: &Path, trust: Access) -> Self {
        let hidden = if trust == Access::Trusted { IndexMap::new() } else { config.actions_of_repository() };
        let stores = store(&config.actions, root, true).zip(store(&hidden, root, true));
        stores.map_or(Self::Unread, |(store, hidden)| Self::Kept { store, hidden: Box::new(hidden) })
    }

    /// Returns the source that fetches from repositories, or with `offline` only reads the cache.
    pub(super) fn fetched(actions: &IndexMap<String, String>, root: &Path, offline: bool) -> Self {
        store(actions, root, offline).map_or(Self::Unread, Self::Fetched)
    }

    /// Returns the workflow with a name, and the commit of its repository, which is `None` for a mapped folder.
    fn read(&self, name: &str, remote: Remote) -> Option<(Callee, Option<String>)> {
        let parsed = |(text, commit)| (Callee::parse(Source::new(name, text)), commit);
        match self {
            Self::Unread => None,
            Self::Kept { hidden, .. } if hidden.is_mapped(&remote) => None,
            Self::Kept { store, .. } => read(store, remote).ok().map(parsed),
            Self::Fetched(store) => Some(match read(store, remote) {
                Ok(found) => parsed(found),
                Err(reason) => (Callee::absent(name, reason), None),
            }),
        }
    }
}

fn store(actions: &IndexMap<String, String>, root: &Path, offline: bool) -> Option<Store> {
    Some(Store::new(caches::shared(caches::ACTIONS)?, actions.clone(), root.to_owned(), offline))
}

/// Reads a file of another repository. Returns its text, and the commit of the repository.
///
/// # Errors
/// A message: the repository cannot be fetched, or has no such file.
fn read(store: &Store, remote: Remote) -> Result<(String, Option<String>), String> {
    let name = remote.to_string();
    let path = remote.path.clone();
    let repository = Remote { path: String::new(), ..remote };
    let fetched = wait(store.folder(&repository)).map_err(|error| error.to_string())?;
    let fetched = fetched.map_err(|error| error.to_string())?;
    match workflows::read_called(&fetched.root, &path) {
        Ok(text) => Ok((text, fetched.commit)),
        Err(error) => Err(format!("workflow `{name}` cannot be read ({}): {error}", fetched.origin)),
    }
}

/// Runs a future to completion on another thread, because this thread may already be inside a runtime.
fn wait<T: Send>(future: impl Future<Output = T> + Send) -> io::Result<T> {
    let run = || Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future));
    let ended = thread::scope(|scope| scope.spawn(run).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The workflows that another one calls, directly or indirectly, by [`callee_name`].
pub struct Called {
    all: IndexMap<String, Callee>,
    /// Commits of the workflows of other repositories, by name.
    commits: IndexMap<String, String>,
    /// Whether a workflow of another repository was left out.
    is_incomplete: bool,
}

impl Called {
    /// Returns the workflow with a name. `None` if it was not found or left out.
    #[must_use]
    pub fn callee(&self, name: &str) -> Option<Callee> {
        self.all.get(name).cloned()
    }

    /// Returns the workflow with a name. `None` if it was not found, was left out, or has errors.
    pub(super) fn get(&self, name: &str) -> Option<&Workflow> {
        self.all.get(name)?.workflow.as_deref()
    }

    /// Whether a needed workflow of another repository was left out.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Returns the texts of the workflows that were found, by name.
    pub(super) fn texts(&self) -> IndexMap<String, String> {
        let present = self.all.iter().filter(|(_, callee)| callee.absent.is_none());
        present.map(|(name, callee)| (name.clone(), callee.source.text.clone())).collect()
    }

    /// Returns the commits from which the workflows of other repositories were read, by name. A workflow in a folder of
    /// the configuration has none.
    pub(super) fn commits(&self) -> IndexMap<String, String> {
        self.commits.clone()
    }
}

/// Reads the workflows that a workflow of the repository at `root` calls. Workflows of other repositories come from the
/// cache or from sources of the configuration. The sources that an untrusted repository configures are left out.
#[must_use]
pub fn known(workflow: &Arc<Workflow>, root: &Path, config: &Config, trust: Access) -> Called {
    called(workflow, root, &Others::kept(config, root, trust), &[])
}

/// Reads the workflows that a workflow of the repository at `root` calls. If `jobs` is not empty, this leaves out
/// workflows of other repositories that are called neither by these jobs nor by the jobs that they need.
pub(super) fn called(workflow: &Arc<Workflow>, root: &Path, others: &Others, jobs: &[String]) -> Called {
    let wanted = wanted(workflow, jobs);
    let (mut found, mut commits, mut is_incomplete) = (IndexMap::new(), IndexMap::new(), false);
    let mut todo = vec![Arc::clone(workflow)];
    while let Some(caller) = todo.pop() {
        for job in &caller.jobs {
            let is_unwanted = Arc::ptr_eq(&caller, workflow) && !wanted.contains(job.id.value.as_str());
            let Some(uses) = call(job) else { continue };
            let name = callee_name(uses, &caller.source.name);
            if found.contains_key(&name) {
                continue;
            }
            let callee = match Reference::parse(&name) {
                Ok(Reference::Remote(_)) if is_unwanted => None,
                Ok(Reference::Remote(remote)) => {
                    let read = others.read(&name, remote);
                    is_incomplete |= read.is_none();
                    read.map(|(callee, commit)| {
                        commits.extend(commit.map(|commit| (name.clone(), commit)));
                        callee
                    })
                }
                _ => workflows::read_called(root, &name).ok().map(|text| Callee::parse(Source::new(&*name, text))),
            };
            let Some(callee) = callee else { continue };
            // One workflow more than a plan may have is kept, so that planning reports the error.
            if found.len() > MAX_CALLED {
                break;
            }
            todo.extend(callee.workflow.clone());
            found.insert(name, callee);
        }
    }
    Called { all: found, commits, is_incomplete }
}

/// Returns the keys of the named jobs and of the jobs that they need. Returns the keys of all jobs if `names` is empty
/// or contains an unknown key.
fn wanted<'w>(workflow: &'w Workflow, names: &[String]) -> HashSet<&'w str> {
    let job = |key: &str| workflow.jobs.iter().find(|job| job.id.value == key);
    let named: Option<Vec<_>> = names.iter().map(|name| job(name)).collect();
    let mut todo = named.filter(|jobs| !jobs.is_empty()).unwrap_or_else(|| workflow.jobs.iter().collect());
    let mut wanted = HashSet::new();
    while let Some(next) = todo.pop() {
        if wanted.insert(next.id.value.as_str()) {
            todo.extend(next.needs.iter().filter_map(|need| job(&need.value)));
        }
    }
    wanted
}

/// Returns the reference of the workflow that a job calls. `None` for a job with steps.
pub(super) fn call(job: &JobDefinition) -> Option<&str> {
    match &job.body {
        JobBody::Call { uses, .. } => Some(&uses.value),
        JobBody::Steps(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::worker::prepare;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn workflows_of_other_repositories_call_others_beside_them() {
        let home = tempfile::tempdir().expect("a folder");
        let (root, other) = (home.path().join("own"), home.path().join("other"));
        write(&root.join("own.yml"), "on: workflow_call\njobs: {a: {runs-on: x, steps: [{run: own}]}}\n");
        let above = other.join(".github/workflows");
        write(
            &above.join("a.yml"),
            "on: workflow_call\njobs: {b: {uses: ./.github/workflows/b.yml}, c: {uses: ./.github/workflows/none.yml}}\n",
        );
        write(&above.join("b.yml"), "on: workflow_call\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n");
        std::os::unix::fs::symlink(root.join("own.yml"), above.join("link.yml")).expect("linked");
        let text = "on: push\njobs:\n  one: {uses: o/r/.github/workflows/a.yml@v1}\n  two: {uses: ./own.yml}\n  \
                    three: {uses: o/none/.github/workflows/a.yml@v1}\n  four: {uses: o/r/.github/workflows/link.yml@v1}\n";
        let workflow = prepare::parse("ci.yml", text).unwrap_or_else(|error| panic!("{error}"));
        let mapped: IndexMap<_, _> = [("o/r".to_owned(), other.to_string_lossy().into_owned())].into();
        let store = || Store::new(home.path().join("cache"), mapped.clone(), root.clone(), true);
        let none = || Store::new(home.path().join("cache"), IndexMap::new(), root.clone(), true);
        let all = called(&workflow, &root, &Others::Fetched(store()), &[]);
        let mut texts: Vec<_> = all.texts().into_keys().collect();
        texts.sort();
        assert_eq!(texts, ["o/r/.github/workflows/a.yml@v1", "o/r/.github/workflows/b.yml@v1", "own.yml"]);
        let reason = |name: &str| all.callee(name).and_then(|callee| callee.absent).unwrap_or_default();
        let missing = reason("o/r/.github/workflows/none.yml@v1");
        assert!(
            missing.starts_with("workflow `o/r/.github/workflows/none.yml@v1` cannot be read (mapped to "),
            "{missing}"
        );
        assert!(reason("o/r/.github/workflows/link.yml@v1").contains("cannot be read"), "a link that leads out");
        assert!(reason("o/none/.github/workflows/a.yml@v1").contains("is not in the cache, and --offline is set"));
        let kept = called(&workflow, &root, &Others::Kept { store: store(), hidden: Box::new(none()) }, &[]);
        assert!(kept.callee("o/none/.github/workflows/a.yml@v1").is_none() && kept.callee("own.yml").is_some());
        let hidden = called(&workflow, &root, &Others::Kept { store: store(), hidden: Box::new(store()) }, &[]);
        assert_eq!(hidden.texts().into_keys().collect::<Vec<_>>(), ["own.yml"]);
        let one = called(&workflow, &root, &Others::Fetched(store()), &["two".to_owned()]);
        assert_eq!(one.texts().into_keys().collect::<Vec<_>>(), ["own.yml"]);
    }
}
