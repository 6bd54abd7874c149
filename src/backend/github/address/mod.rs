//! Addresses: hosts, repositories on them, and runs in these, from what a person types, a git remote or a URL.
//!
//! All of it is pure: the environment and the remotes are arguments.

mod host;
mod repository;
mod run;

pub(in crate::backend::github) use host::is_safe;
pub use host::{GITHUB, Host};
pub use repository::{Repository, of_remotes};
pub use run::{RunAddress, Target};

/// Why a text is not an address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Not the name of a host.
    #[error("not the name of a host: `{0}`")]
    Host(String),
    /// Not the name of a repository.
    #[error("not a repository: `{0}`; it is named OWNER/REPO, HOST/OWNER/REPO or by its address")]
    Repository(String),
    /// Not the name of a run.
    #[error("not a run: `{0}`; it is named by its number, OWNER/REPO/NUMBER or the address of its page")]
    Run(String),
    /// Not the base address of an API.
    #[error("not the address of an API: `{0}`; it starts with https://, or http:// on this machine")]
    Api(String),
}
