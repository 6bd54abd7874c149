//! Checks workflow files, with the local actions and workflows that they use, and action manifests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::files;
use crate::files::FileError;
use crate::workflow;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::lint;
use crate::workflow::source::{Source, decode};
use crate::workflow::syntax::Workflow;

use super::workflows;

/// Minimum number of files per thread: starting a thread takes as long as checking this many files of the usual size.
const FILES_PER_THREAD: usize = 8;

/// Folders in which the actions and workflows that checked files use are looked up, and the default permissions.
#[derive(Debug, Default)]
pub struct Below {
    /// Root of the repository: local actions and workflows are looked up below it.
    pub root: Option<PathBuf>,
    /// Folder with called workflows of other repositories, each at `owner/repo/path@ref`.
    pub refs: Option<PathBuf>,
    /// Default permissions of `GITHUB_TOKEN`.
    pub policy: Option<lint::Policy>,
}

impl lint::Files for Below {
    fn read(&self, path: &str) -> Option<String> {
        workflows::read_called(self.root.as_ref()?, path).ok()
    }

    fn is_complete(&self) -> bool {
        self.root.is_some()
    }

    fn called(&self, uses: &str) -> Option<String> {
        files::read_text(&self.refs.as_ref()?.join(uses)).ok()
    }

    fn policy(&self) -> Option<lint::Policy> {
        self.policy
    }
}

/// Reads a file and checks it. Diagnostics call the file `name`. If the file is not UTF-8, that is the only diagnostic.
///
/// # Errors
/// The file cannot be read.
pub fn file(file: &Path, name: &str, below: Option<&Below>) -> Result<(Arc<Source>, Checked), FileError> {
    let bytes = files::read_repository(file)?;
    let source = Source::new(name, String::from_utf8_lossy(&bytes));
    let checked = match decode(&bytes) {
        Ok(_) => check(file, &source, below.map(|below| below as &dyn lint::Files)),
        Err(wrong) => {
            let found = vec![Diagnostic::not_utf8(wrong, &source)];
            Checked { found, is_complete: false, workflow: None }
        }
    };
    Ok((source, checked))
}

/// A file that was read and checked, or why it cannot be read.
pub type CheckedFile = Result<(Arc<Source>, Checked), FileError>;

/// Checks files in parallel, like [`file`](fn@file) with their paths as names. Returns the results in the order of the
/// files, without their workflows.
pub fn files(files: &[PathBuf], below: Option<&Below>) -> Vec<CheckedFile> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len().div_ceil(FILES_PER_THREAD));
    let next = AtomicUsize::new(0);
    let work = || {
        let places = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = places.map_while(|place| {
            let path = files.get(place)?;
            let checked = file(path, &path.to_string_lossy(), below);
            // The workflows of all files together would take much memory.
            Some((place, checked.map(|(source, checked)| (source, Checked { workflow: None, ..checked }))))
        });
        mine.collect::<Vec<_>>()
    };
    let mut checked = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut checked = work();
        for other in others {
            match other.join() {
                Ok(theirs) => checked.extend(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        checked
    });
    checked.sort_unstable_by_key(|(place, _)| *place);
    checked.into_iter().map(|(_, checked)| checked).collect()
}

/// Result of checking a file.
#[derive(Debug)]
pub struct Checked {
    /// Diagnostics in the order of the file.
    pub found: Vec<Diagnostic>,
    /// Whether all rules were applied: syntax errors prevent that.
    pub is_complete: bool,
    /// The workflow, if the file is one without syntax errors.
    pub workflow: Option<Workflow>,
}

/// Checks the text of a workflow, or of an action manifest if the file has the name of one.
#[must_use]
pub fn check(file: &Path, source: &Arc<Source>, files: Option<&dyn lint::Files>) -> Checked {
    let (mut found, advice, workflow) = if is_manifest(file) {
        (workflow::parse_action(source).diagnostics, Some(lint::check_action(source)), None)
    } else {
        let parsed = workflow::parse(source);
        let advice = parsed.value.as_ref().map(|workflow| lint::check(workflow, files));
        (parsed.diagnostics, advice, parsed.value)
    };
    let is_complete = advice.is_some();
    found.extend(advice.into_iter().flatten());
    found.sort_by_key(|found| (found.span.line, found.span.column));
    Checked { found, is_complete, workflow }
}

/// Returns the root of the repository whose workflow folder contains all files. `None` if no single repository's does.
#[must_use]
pub fn repository_of(files: &[PathBuf]) -> Option<PathBuf> {
    let root = |file: &PathBuf| {
        let file = std::path::absolute(file).ok()?;
        let folder = file.parent().filter(|folder| folder.ends_with(workflows::FOLDER))?;
        folder.ancestors().nth(2).map(Path::to_owned)
    };
    let first = root(files.first()?)?;
    (first.join(".git").exists() && files.iter().all(|file| root(file).as_ref() == Some(&first))).then_some(first)
}

/// Whether a file is an action manifest. In the folder of workflows, every file is a workflow.
fn is_manifest(file: &Path) -> bool {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let named = file.file_name().is_some_and(|name| name == "action.yml" || name == "action.yaml");
    named && !file.parent().is_some_and(|folder| folder.ends_with(workflows::FOLDER))
}
