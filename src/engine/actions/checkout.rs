//! `actions/checkout` of the run's repository, built in: copies the working tree in its current state.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use tokio::task::spawn_blocking;

use crate::engine::RunContext;
use crate::engine::outlet::StepLog;
use crate::engine::panics::Panic;
use crate::engine::workspace::checkout;
use crate::engine::workspace::checkout::CheckoutError;

/// Why the checkout failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutFailure {
    /// `path` leads out of the workspace.
    #[error("the `path` of a checkout must be inside the workspace: its folder is emptied first")]
    Outside,
    /// A file could not be copied.
    #[error(transparent)]
    Copy(#[from] CheckoutError),
    /// The copying task panicked.
    #[error("the checkout {0}")]
    Panicked(Panic),
}

/// Copies the repository's files to the folder that the action would use. Returns that folder, or `None` if the job
/// runs in the repository itself.
///
/// # Errors
/// `path` leads out of the workspace, the ref is unknown, or a file could not be copied.
pub(crate) async fn run(
    run: &RunContext,
    workspace: &Path,
    given: &IndexMap<String, String>,
    log: &mut dyn StepLog,
) -> Result<Option<PathBuf>, CheckoutFailure> {
    let input = |name: &str| given.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if run.options.in_place {
        log.write(b"The job runs in the repository's own folder: its files are used as they are.\n");
        for ignored in ["ref", "path"].into_iter().filter(|name| input(name).is_some()) {
            log.write(format!("##[warning]`{ignored}` has no effect in the repository's own folder\n").as_bytes());
        }
        return Ok(None);
    }
    let target = checkout::inside(workspace, input("path").unwrap_or(".")).ok_or(CheckoutFailure::Outside)?;
    let (repository, wanted) = (run.repository.clone(), input("ref").map(str::to_owned));
    let into = target.clone();
    let filled = spawn_blocking(move || checkout::check_out(&repository, &into, wanted.as_deref())).await;
    let filled = filled.map_err(|error| CheckoutFailure::Panicked(Panic::of(error)))??;
    log.write(format!("{filled}\n").as_bytes());
    Ok(Some(target))
}

/// Returns variables that make the real `actions/checkout` fetch the run's repository from this machine instead of its
/// server, as the commit of a run may not have been pushed.
pub(super) fn fetch_locally(run: &RunContext) -> IndexMap<String, String> {
    let pairs = [
        (
            format!("url.file://{}.insteadOf", run.repository.display()),
            format!("https://github.com/{}", run.facts.repository),
        ),
        ("safe.directory".to_owned(), "*".to_owned()),
        ("uploadpack.allowAnySHA1InWant".to_owned(), "true".to_owned()),
    ];
    let mut variables = IndexMap::from([("GIT_CONFIG_COUNT".to_owned(), pairs.len().to_string())]);
    for (number, (key, value)) in pairs.into_iter().enumerate() {
        variables.insert(format!("GIT_CONFIG_KEY_{number}"), key);
        variables.insert(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    variables
}
