//! Settings of servers that speak GitHub's API.

use std::path::PathBuf;

use indexmap::IndexMap;

use crate::model::ServerKind;

/// The settings of servers and of the repositories on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GithubConfig {
    /// Repositories whose runs are shown: `[HOST/]OWNER/REPO`.
    pub repositories: Vec<String>,
    /// Address of the API of github.com, if it is not the usual one.
    pub api_url: Option<String>,
    /// Which server answers the requests that actions of a local run send to GitHub's API.
    pub api: ApiChoice,
    /// Whether jobs may run with GitHub's debugger, a preview.
    pub debugger: bool,
    /// Folders of self-hosted runners on this machine, besides those that this user runs.
    pub runners: Vec<PathBuf>,
    /// Settings of hosts, by name in lower case.
    pub hosts: IndexMap<String, HostConfig>,
    /// How to find deployments among the runs, by the name of their environment in lower case.
    pub environments: IndexMap<String, EnvironmentConfig>,
}

/// Which server answers the requests that actions of a local run send to GitHub's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiChoice {
    /// GitHub if the run has the secret `GITHUB_TOKEN`, otherwise this machine.
    #[default]
    ByToken,
    /// This machine, which answers only about the repository and the run.
    Local,
    /// GitHub.
    GitHub,
}

/// Values of the setting `api`, with the choices that they mean.
pub(super) const API_CHOICES: &[(&str, ApiChoice)] =
    &[("by-token", ApiChoice::ByToken), ("local", ApiChoice::Local), ("github", ApiChoice::GitHub)];

/// How to find the deployments to an environment among the runs of repositories whose server does not record them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentConfig {
    /// File of the workflow that deploys.
    pub workflow: Option<String>,
    /// Patterns of the branches and tags that are deployed, with `|` between them; `None` for all.
    pub reference: Option<String>,
    /// Id or name of the job that deploys; `None` for the run as a whole.
    pub job: Option<String>,
}

/// The settings of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// Address of the API, if it is not the usual one.
    pub api_url: Option<String>,
    /// Kind of the server.
    pub kind: ServerKind,
    /// File with the token.
    pub token_file: Option<String>,
    /// Shell command that prints the token.
    pub token_command: Option<String>,
    /// Id of the OAuth app for `cuelight auth login`.
    pub client_id: Option<String>,
}

/// Values of the setting `kind`, with the kinds of servers that they mean.
pub(super) const SERVER_KINDS: &[(&str, ServerKind)] = &[("github", ServerKind::GitHub), ("gitea", ServerKind::Gitea)];

impl GithubConfig {
    /// Returns the settings of a host; empty settings if the host is not configured.
    #[must_use]
    pub fn host(&self, name: &str) -> HostConfig {
        self.hosts.get(&name.to_ascii_lowercase()).cloned().unwrap_or_default()
    }

    /// Returns how to find the deployments to an environment among the runs; `None` if it is not configured.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&EnvironmentConfig> {
        self.environments.get(&name.to_ascii_lowercase())
    }

    /// Returns the settings of an environment for modification.
    pub(super) fn environment_mut(&mut self, name: &str) -> &mut EnvironmentConfig {
        self.environments.entry(name.to_ascii_lowercase()).or_default()
    }

    /// Returns the settings of a host for modification.
    pub(super) fn host_mut(&mut self, name: &str) -> &mut HostConfig {
        self.hosts.entry(name.to_ascii_lowercase()).or_default()
    }
}

/// Whether a text has the form `[HOST/]OWNER/REPO`.
pub(super) fn is_repository(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let is_part = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    matches!(parts.len(), 2 | 3) && parts.iter().all(is_part)
}
