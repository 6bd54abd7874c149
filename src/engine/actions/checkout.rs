//! `actions/checkout` of the run's repository, built in: copies the working tree in its current state, or checks out
//! the `ref` that the step names.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use indexmap::IndexMap;
use tokio::task::spawn_blocking;

use crate::engine::RunContext;
use crate::engine::outlet::StepLog;
use crate::engine::panics::Panic;
use crate::engine::workspace::checkout;
use crate::engine::workspace::checkout::error::CheckoutError;
use crate::engine::workspace::checkout::git_folder::{Depth, Objects};
use crate::engine::workspace::checkout::sparse::Sparse;
use crate::engine::workspace::checkout::{Request, Submodules};
use crate::engine::workspace::sync::{Begun, Filled, Source, changed_since};
use crate::model::{in_one_line, short_sha};
use crate::repo::git::{Abort, NO_COMMIT};

/// The inputs of actions/checkout.
const INPUTS: &[&str] = &[
    "repository",
    "ref",
    "token",
    "ssh-key",
    "ssh-known-hosts",
    "ssh-strict",
    "ssh-user",
    "persist-credentials",
    "path",
    "clean",
    "filter",
    "sparse-checkout",
    "sparse-checkout-cone-mode",
    "fetch-depth",
    "fetch-tags",
    "show-progress",
    "lfs",
    "submodules",
    "set-safe-directory",
    "github-server-url",
    "allow-unsafe-pr-checkout",
];

/// Inputs that decide which files and which history the step gets.
const OF_FILES: &[&str] =
    &["ref", "path", "clean", "sparse-checkout", "fetch-depth", "fetch-tags", "lfs", "submodules"];

/// Why the checkout failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutFailure {
    /// `path` leads out of the workspace.
    #[error("the `path` of a checkout must be inside the workspace: its folder is emptied first")]
    Outside,
    /// The ref is unknown, a file could not be copied, or the checkout was interrupted.
    #[error(transparent)]
    Copy(#[from] CheckoutError),
    /// The job's container is on another machine, and the files cannot be sent to it.
    #[error("the files cannot be brought to the job's container: {0}")]
    Unsent(io::Error),
    /// The copying task panicked.
    #[error("the checkout {0}")]
    Panicked(Panic),
}

/// Result of a checkout.
pub(in crate::engine) struct Done {
    /// The folder that was filled.
    pub(in crate::engine) filled: Filled,
    /// When the copy was complete.
    pub(in crate::engine) copied: SystemTime,
    /// Outputs of the action.
    pub(in crate::engine) outputs: IndexMap<String, String>,
}

/// `with` of a checkout.
struct Given<'g>(&'g IndexMap<String, String>);

impl<'g> Given<'g> {
    fn text(&self, name: &str) -> Option<&'g str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns the value of a boolean input; `None` if it is not given or empty. As in the action, any text but `true`
    /// means false.
    fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value.eq_ignore_ascii_case("true"))
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.text(name).into_iter().flat_map(str::lines).map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Returns the depth of the history; `None` for all of it, which is the default here. As in the action, a value
    /// that is not a number, or is less than 1, means all of it.
    fn depth(&self) -> Option<Depth> {
        let commits = self.text("fetch-depth")?.parse::<f64>().ok().filter(|depth| *depth >= 1.0)? as usize;
        Some(Depth { commits, tags: self.flag("fetch-tags") == Some(true) })
    }

    fn request(&self, objects: Objects) -> Request {
        let patterns = self.lines("sparse-checkout");
        let cone = self.flag("sparse-checkout-cone-mode") != Some(false);
        Request {
            wanted: self.text("ref").map(str::to_owned),
            keep_files: self.flag("clean") == Some(false),
            depth: self.depth(),
            sparse: (!patterns.is_empty()).then_some(Sparse { patterns, cone }),
            submodules: match self.text("submodules") {
                Some(text) if text.eq_ignore_ascii_case("recursive") => Submodules::Recursive,
                Some(text) if text.eq_ignore_ascii_case("true") => Submodules::Direct,
                _ => Submodules::None,
            },
            lfs: self.flag("lfs") == Some(true),
            objects,
            git_objects: Vec::new(),
            abort: Abort::default(),
        }
    }

    /// Returns warnings about inputs that have no effect.
    fn warnings(&self, in_container: bool) -> Vec<String> {
        let quoted = |names: &[&str]| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let unknown: Vec<_> = self.0.keys().map(String::as_str).filter(|name| !INPUTS.contains(name)).collect();
        let mut warnings = Vec::new();
        if !unknown.is_empty() {
            warnings.push(format!("Unexpected input(s) {}, valid inputs are [{}]", quoted(&unknown), quoted(INPUTS)));
        }
        if self.flag("persist-credentials") == Some(true) {
            warnings.push(
                "`persist-credentials: true` has no effect: the copy has no credentials, and git uses those of this machine".to_owned(),
            );
        }
        if in_container && self.flag("set-safe-directory") == Some(false) {
            warnings.push(
                "`set-safe-directory: false` has no effect: every folder is safe in the job's container".to_owned(),
            );
        }
        warnings
    }
}

/// Checks out the repository's files in the folder that the action would use, and logs what it did, including warnings
/// about inputs that have no effect. If the job runs in the repository itself, copies nothing and returns `None`.
/// Setting `abort` stops the copy within a fraction of a second.
///
/// # Errors
/// `path` leads out of the workspace, the ref is unknown, a file could not be copied, the copying task panicked, or the
/// checkout was interrupted.
pub(in crate::engine) async fn run(
    run: &RunContext,
    workspace: &Path,
    in_container: bool,
    given: &IndexMap<String, String>,
    abort: Abort,
    log: &mut dyn StepLog,
) -> Result<Option<Done>, CheckoutFailure> {
    let given = Given(given);
    // Control characters in the name of a file could rewrite the line when the log is shown in a terminal.
    let note = |log: &mut dyn StepLog, text: &str| log.write(format!("{}\n", in_one_line(text)).as_bytes());
    let warn = |log: &mut dyn StepLog, text: &str| note(log, &format!("##[warning]{text}"));
    for warning in given.warnings(in_container) {
        warn(log, &warning);
    }
    if run.options.in_place {
        log.write(b"The job runs in the repository's own folder: its files are used as they are.\n");
        for ignored in OF_FILES.iter().filter(|name| given.text(name).is_some()) {
            warn(log, &format!("`{ignored}` has no effect in the repository's own folder"));
        }
        return Ok(None);
    }
    let folder = checkout::inside(workspace, given.text("path").unwrap_or(".")).ok_or(CheckoutFailure::Outside)?;
    let objects = if in_container { Objects::Borrowed } else { Objects::Linked };
    let git_objects = run.options.git_objects.clone();
    let request = Request { git_objects, abort, ..given.request(objects) };
    let source = match (&request.wanted, &request.sparse) {
        (Some(wanted), _) => Source::Commit(wanted.clone()),
        (None, Some(_)) => Source::Sparse,
        (None, None) => Source::WorkingTree,
    };
    let (repository, workspace, into) = (run.repository.clone(), workspace.to_owned(), folder.clone());
    // Processes of a container see the job's folder, and may change it while it is filled. The copy is therefore made
    // outside that folder and then moved into it.
    let apart = in_container.then(|| run.work.join(format!(".checkout-{:016x}", getrandom::u64().unwrap_or_default())));
    let (begun, of_attempt) = (Begun::now(), run.begun);
    let done = spawn_blocking(move || {
        let done = match apart {
            Some(apart) => checkout::check_out_apart(&repository, &workspace, &into, &apart, &request),
            None => checkout::check_out(&repository, &into, &request),
        }?;
        let copied = SystemTime::now();
        let changed = changed_since(&repository, &done.files, of_attempt);
        Ok::<_, CheckoutError>((done, copied, changed))
    })
    .await;
    let (done, copied, changed) = done.map_err(|error| CheckoutFailure::Panicked(Panic::of(error)))??;
    for line in &done.lines {
        note(log, line);
    }
    for warning in &done.warnings {
        warn(log, warning);
    }
    if changed > 0 {
        let count = checkout::file_count(changed);
        warn(log, &format!("{count} changed since the run began: earlier jobs may have had other content"));
    }
    if let Some(warning) = another_commit(&run.facts.sha, &done.commit).filter(|_| source.is_of_user()) {
        warn(log, &warning);
    }
    let git_ref = match given.text("ref") {
        // As in the action, the output `ref` is empty if the step names a commit.
        Some(wanted) if wanted == done.commit => String::new(),
        wanted => wanted.unwrap_or(&run.facts.git_ref).to_owned(),
    };
    let outputs = [("ref".to_owned(), git_ref), ("commit".to_owned(), done.commit)];
    let filled = Filled { begun, folder, source, files: done.files };
    Ok(Some(Done { filled, copied, outputs: outputs.into() }))
}

/// Returns a warning if the user's files are those of another commit than the attempt: it was checked out after the
/// attempt began, or before an attempt that continues with the files of an earlier one.
fn another_commit(of_attempt: &str, copied: &str) -> Option<String> {
    let is_known = [of_attempt, copied].iter().all(|sha| !sha.is_empty() && *sha != NO_COMMIT);
    (is_known && of_attempt != copied).then(|| {
        format!(
            "the files are those of commit {}, which is checked out now, but GITHUB_SHA is {}, the commit of this \
             attempt: start a new run for both to be the same",
            short_sha(copied),
            short_sha(of_attempt)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_another_commit_than_the_attempt_are_warned_of() {
        let (one, other) = ("1".repeat(40), "2".repeat(40));
        let warning = another_commit(&one, &other).expect("another");
        assert!(warning.contains("commit 2222222") && warning.contains("GITHUB_SHA is 1111111"), "{warning}");
        for (attempt, copied) in [(&*one, &*one), ("", &*one), (&*one, ""), (NO_COMMIT, &*one)] {
            assert_eq!(another_commit(attempt, copied), None, "{attempt} {copied}");
        }
    }

    fn given(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn inputs_mean_what_they_mean_in_the_action() {
        let request = |pairs: &[(&str, &str)]| Given(&given(pairs)).request(Objects::Linked);
        let none =
            request(&[("ref", " "), ("clean", "true"), ("sparse-checkout", "\n"), ("lfs", "yes"), ("fetch-depth", "")]);
        assert_eq!((none.wanted, none.keep_files, none.sparse, none.lfs, none.depth), (None, false, None, false, None));
        assert_eq!(none.submodules, Submodules::None);
        let all = request(&[
            ("ref", "v1"),
            ("clean", "False"),
            ("sparse-checkout", "a\n  b c \n\n"),
            ("lfs", "TRUE"),
            ("fetch-depth", "2"),
            ("fetch-tags", "true"),
            ("submodules", "Recursive"),
        ]);
        assert_eq!((all.wanted.as_deref(), all.keep_files, all.lfs), (Some("v1"), true, true));
        assert_eq!(all.sparse, Some(Sparse { patterns: vec!["a".to_owned(), "b c".to_owned()], cone: true }));
        assert_eq!((all.depth, all.submodules), (Some(Depth { commits: 2, tags: true }), Submodules::Recursive));
        let flat =
            request(&[("sparse-checkout", "*.c"), ("sparse-checkout-cone-mode", "false"), ("submodules", "true")]);
        assert_eq!((flat.sparse.map(|sparse| sparse.cone), flat.submodules), (Some(false), Submodules::Direct));
        for (text, commits) in [("1.9", Some(1)), ("0", None), ("-3", None), ("all", None)] {
            assert_eq!(request(&[("fetch-depth", text)]).depth.map(|depth| depth.commits), commits, "{text}");
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let warnings = |pairs: &[(&str, &str)], in_container| Given(&given(pairs)).warnings(in_container);
        let fine = [("persist-credentials", "false"), ("token", "x"), ("set-safe-directory", "true"), ("path", "a")];
        assert_eq!(warnings(&fine, true), Vec::<String>::new());
        let unknown = warnings(&[("depth", "1"), ("submodule", "true"), ("ref", "x")], false);
        assert!(
            unknown[0].starts_with("Unexpected input(s) 'depth', 'submodule', valid inputs are ['repository', 'ref', ")
        );
        assert!(
            warnings(&[("persist-credentials", "true")], false)[0].starts_with("`persist-credentials: true` has no")
        );
        let unsafe_folder = [("set-safe-directory", "false")];
        assert_eq!((warnings(&unsafe_folder, false).len(), warnings(&unsafe_folder, true).len()), (0, 1));
    }
}
