//! Labels and names of all Docker resources of a run, used to find them again.

use std::collections::HashMap;
use std::path::Path;

use crate::store::digest;

/// Label with the digest of the state folder. By this label, state folders that share a Docker engine never remove each
/// other's resources.
pub(super) const STATE: &str = "dev.cuelight.state";
/// Label with the id of the run.
pub(super) const RUN: &str = "dev.cuelight.run";
/// Label with the id of the job.
pub(super) const JOB: &str = "dev.cuelight.job";
/// Label with the purpose of a container.
const ROLE: &str = "dev.cuelight.role";
/// Label with the folders that a container shares with this machine, as JSON.
pub(super) const SHARED: &str = "dev.cuelight.shared";

/// Owner of a container, network, volume or image, as labels and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Digest of the path of the state folder.
    state: String,
    /// Id of the run; empty for a resource that serves all runs.
    run: String,
    /// Id of the job; empty for a resource that serves all runs.
    job: String,
    /// Purpose of the resource, such as `job` for the job's container; empty for the job's network, and for resources
    /// that serve all runs.
    role: String,
}

impl Labels {
    /// Returns the labels of a job.
    #[must_use]
    pub fn new(state: &Path, run: &str, job: &str) -> Self {
        Self { state: state_digest(state), run: run.to_owned(), job: job.to_owned(), role: String::new() }
    }

    /// Returns the labels of a resource that serves later runs too, such as the image of an action.
    #[must_use]
    pub fn kept(state: &Path) -> Self {
        Self::new(state, "", "")
    }

    /// Returns these labels with a purpose, such as `job`, `action`, or one of [`service_role`].
    #[must_use]
    pub fn of(&self, role: &str) -> Self {
        Self { role: role.to_owned(), ..self.clone() }
    }

    /// Returns the name of the resource. It contains the id of the run; characters that Docker does not allow in names
    /// become dashes.
    #[must_use]
    pub fn name(&self) -> String {
        let of = if self.role.is_empty() { String::new() } else { format!(".{}", self.role) };
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
        format!("cuelight-{}-{}{of}", self.run, self.job).chars().map(plain).collect()
    }

    /// Returns the labels in the form of Docker's API.
    #[must_use]
    pub fn all(&self) -> HashMap<String, String> {
        let pairs = [(STATE, &self.state), (RUN, &self.run), (JOB, &self.job), (ROLE, &self.role)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }
}

/// Returns the role of a service's container, which no other container of the job has.
pub(super) fn service_role(name: &str) -> String {
    format!("service.{name}")
}

/// Returns a short name for a state folder, because its path may be long and private.
pub(super) fn state_digest(state: &Path) -> String {
    let path = state.canonicalize().unwrap_or_else(|_| state.to_owned());
    digest::sha256(path.as_os_str().as_encoded_bytes(), 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_contain_the_run_and_are_valid_in_docker() {
        let labels = Labels::new(Path::new("/nowhere"), "20261126-120000-abcd", "test.2");
        assert_eq!(labels.name(), "cuelight-20261126-120000-abcd-test.2");
        assert_eq!(labels.of("my db").name(), "cuelight-20261126-120000-abcd-test.2.my-db");
        assert_eq!(labels.of("redis").all()[ROLE], "redis");
        assert_ne!(Labels::new(Path::new("/elsewhere"), "r", "j").all()[STATE], labels.all()[STATE]);
    }
}
