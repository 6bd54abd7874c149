//! Environments of repositories on servers, as last reported.

use std::collections::BTreeMap;

use crate::model::Summary;
use crate::model::environment::Environment;

/// Environments by repository.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerEnvironments(BTreeMap<String, Vec<Environment>>);

impl ServerEnvironments {
    /// Replaces the environments of a repository.
    pub(super) fn set(&mut self, repository: String, environments: Vec<Environment>) {
        self.0.insert(repository, environments);
    }

    /// Returns the environments of a repository; empty if none were reported.
    pub(super) fn of(&self, repository: &str) -> &[Environment] {
        self.0.get(repository).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Returns the repository of a run on a server, as requests name it: `HOST/OWNER/REPO`; `None` for a run on this
/// machine.
pub(super) fn repository(run: &Summary) -> Option<String> {
    let remote = run.info.remote.as_ref()?;
    Some(format!("{}/{}", remote.host, run.info.repository))
}
