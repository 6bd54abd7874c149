//! Errors of operations on runs.

use crate::backend::github::address::{AddressError, Repository};
use crate::backend::github::checkout::NoCheckout;
use crate::backend::github::poller::{PollError, SubmitError};
use crate::config::ConfigError;
use crate::launch::artifacts::{DeleteError, DownloadError};
use crate::model::{LookupError, RunId};
use crate::repo::git::GitError;
use crate::store::StoreError;

/// Why an operation on runs fails.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// No folder matches, or it cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The text looks like the name of a run on a server, but is invalid.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The server refuses, or does not respond and no state is known.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// A command was refused, or did not reach the run.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// An artifact is not downloaded.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// An artifact is not deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The run has no such job.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Only the id of a run on a server was given, outside of a checkout of a known server.
    #[error("{0}; a run on a server is named OWNER/REPO/NUMBER outside of its checkout")]
    NoCheckout(StoreError),
    /// No repository is named, and the folder is not a checkout of a repository on a known server.
    #[error("{0}; or name a repository on a server with -R OWNER/NAME")]
    NoRepository(NoCheckout),
    /// The name is that of a workflow, not of a run.
    #[error(
        "`{wanted}` is a workflow, not a run: its newest run is {newest} (`cuelight show {newest}`); \
         `cuelight runs --workflow {wanted}` lists them"
    )]
    Workflow {
        /// The name as given.
        wanted: String,
        /// The newest run of the workflow.
        newest: RunId,
    },
    /// The name is that of a workflow that has never run.
    #[error("`{0}` is a workflow that has not run yet: `cuelight run {0}` starts it")]
    NeverRun(String),
    /// The repository has no runs.
    #[error("{0} has no runs")]
    NoRun(Repository),
    /// The checkout has no such commit.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The name is the address of a pull request, not of a run.
    #[error("{repository}#{number} is a pull request: name one of its runs")]
    PullRequest {
        /// The repository.
        repository: Repository,
        /// Number of the pull request.
        number: u64,
    },
}
