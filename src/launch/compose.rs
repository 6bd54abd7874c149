//! Starts and stops the services of a repository's Compose file. The file decides which programs run, so the repository
//! must be trusted.

use std::path::Path;

use tokio::task::spawn_blocking;

use crate::engine::sandbox::compose::Compose;
use crate::repo::git::{GitError, Repository};
use crate::store::folder::RunsDir;

use super::LaunchError;
use super::trust;
use super::trust::{Trust, Untrusted};
use super::{FollowedLine, ProviderError};

pub use crate::engine::sandbox::compose::ComposeError;

/// Why an order for a service was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The folder is not in a repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// It cannot be determined whether the repository is trusted.
    #[error(transparent)]
    Trust(#[from] LaunchError),
    /// The repository is not trusted.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The repository has no Compose file any more.
    #[error("the repository has no Compose file any more")]
    NoFile,
    /// Compose is not installed, or fails.
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

/// Returns the services of the Compose file in the root of the repository around a folder; `None` if there is none.
#[must_use]
pub fn of(folder: &Path) -> Option<Compose> {
    Compose::find(&Repository::discover(folder).ok()?.root)
}

/// Starts or stops a service of the Compose file in the root of the repository around a folder.
///
/// # Errors
/// The repository is not trusted, has no Compose file, or Compose fails.
pub async fn order(runs: &RunsDir, folder: &Path, service: &str, starts: bool) -> Result<(), OrderError> {
    let (runs, folder) = (runs.clone(), folder.to_owned());
    let compose = spawn_blocking(move || trusted(&runs, &folder)).await.expect("reading files does not panic")?;
    Ok(compose.order(service, starts).await?)
}

/// Follows the log of a service of the Compose file in the root of the repository around a folder, until its container
/// ends, or `line` breaks. `line` gets each line, beginning with the last ones. The log is only read, so this needs no
/// trust.
///
/// # Errors
/// There is no Compose file, the service has no container, or the engine does not answer.
pub async fn follow_log(folder: &Path, service: &str, line: &mut FollowedLine<'_>) -> Result<(), ProviderError> {
    let missing = || ProviderError::NotFound("there is no Compose file in the root of this repository".to_owned());
    of(folder).ok_or_else(missing)?.follow_log(service, line).await
}

/// Returns the services of the Compose file of a trusted repository.
fn trusted(runs: &RunsDir, folder: &Path) -> Result<Compose, OrderError> {
    let repository = Repository::discover(folder)?;
    if let Trust::Missing(reason) = trust::current(runs, &repository)? {
        return Err(Untrusted { root: repository.root, reason }.into());
    }
    Compose::find(&repository.root).ok_or(OrderError::NoFile)
}
