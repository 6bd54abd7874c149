//! Environments of a repository: their rules, what is live in them, and their deployments.
//!
//! - [`Environments`]: what a server records
//! - `history`: the deployments that the server records, and their states
//! - [`rollback`]: how an earlier release is restored
//! - `rules`: which environments a workflow deploys to, and which rules block it
//! - `in_runs`: deployments that are found in runs, where the server records none
//!
//! A release counts as live only if its success was observed. All requests go through the client of the server's
//! poller, so that screens and commands share one queue, one cache and one rate limit.

mod history;
mod in_runs;
pub mod rollback;
mod rules;

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde::de::DeserializeOwned;

use crate::config::GithubConfig;
use crate::model::environment::{BranchRule, Drift, Environment, Protection};
use crate::model::nearest;

use super::address::{Repository, escaped, segment};
use super::client::{ApiError, Client, Freshness, Priority};
use super::poller::{PollError, Poller};
use super::wire;
use super::wire::deployments::{BranchPattern, ProtectionRule, Reviewer};
use super::wire::repository::{Branch, Comparison};
use super::wire::words::RuleKind;
use super::wire::{Field, Page};

/// Maximum number of environments that are read: there may be hundreds of preview environments for pull requests.
const MAX_ENVIRONMENTS: usize = 50;

/// Number of environments that are read in parallel: the client has at most two requests in flight.
const AT_ONCE: usize = 2;

/// Number of deployments of each environment in a list of all environments.
const LISTED: usize = 8;

/// Maximum age of cached names and rules, which rarely change.
const RARELY: Freshness = Freshness(Duration::from_mins(5));

/// Maximum age of cached tags and comparisons.
const SOON: Freshness = Freshness(Duration::from_secs(20));

/// Why environments cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The server gives no answer that can be read, or refuses.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// The repository has no environment with this name.
    #[error("{repository} has no environment `{wanted}`{}", hint(nearest.as_deref(), known))]
    Unknown {
        /// Name of the repository.
        repository: String,
        /// The name as given.
        wanted: String,
        /// Names of the repository's environments.
        known: Vec<String>,
        /// The most similar of these names.
        nearest: Option<String>,
    },
}

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match (nearest, known) {
        (Some(near), _) => format!("; did you mean `{near}`?"),
        (None, []) => String::new(),
        (None, known) => format!("; it has {}", known.join(", ")),
    }
}

impl From<ApiError> for EnvironmentError {
    fn from(error: ApiError) -> Self {
        Self::Poll(error.into())
    }
}

/// The environments of one repository.
pub struct Environments {
    client: Client,
    repository: Repository,
    config: GithubConfig,
    priority: Priority,
}

/// Data that is fetched once for all environments of a repository.
struct Common {
    default_branch: Option<String>,
    /// Tags by commit.
    tags: HashMap<String, Vec<String>>,
}

impl Environments {
    /// Returns the environments of a repository. No request is sent.
    ///
    /// # Errors
    /// The host's name or settings are invalid, or its client cannot be made.
    pub async fn of(poller: &Poller, repository: Repository, priority: Priority) -> Result<Self, EnvironmentError> {
        let client = poller.client(&repository.host).await?;
        Ok(Self { client, repository, config: poller.config().clone(), priority })
    }

    /// Returns the repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Reads the environments, at most 50, each with its deployments down to the live one; if `whole`, with at least
    /// its newest eight. Empty if the repository has none.
    ///
    /// # Errors
    /// The server gives no answer, or does not show the repository.
    pub async fn all(&self, whole: bool) -> Result<Vec<Environment>, EnvironmentError> {
        let common = self.common().await?;
        let named = self.named().await?;
        let read = stream::iter(named.into_iter().take(MAX_ENVIRONMENTS));
        let read = read.map(|environment| self.fill(environment, &common, LISTED, whole)).buffered(AT_ONCE);
        let read: Vec<Result<Environment, EnvironmentError>> = read.collect().await;
        let read: Result<Vec<_>, _> = read.into_iter().collect();
        // An environment that only the settings name belongs to another repository if this one lacks its workflow.
        let is_here =
            |one: &Environment| one.protection.is_some() || one.unknown.is_some() || !one.deployments.is_empty();
        Ok(read?.into_iter().filter(is_here).collect())
    }

    /// Reads one environment with all of its rules, and its deployments: at least the newest `limit`, and all down to
    /// the live one.
    ///
    /// # Errors
    /// The server gives no answer, or the repository has no such environment.
    pub async fn one(&self, name: &str, limit: usize) -> Result<Environment, EnvironmentError> {
        let common = self.common().await?;
        let named = self.named().await?;
        let known: Vec<String> = named.iter().map(|environment| environment.name.clone()).collect();
        let found = named.into_iter().find(|environment| environment.name.eq_ignore_ascii_case(name));
        let unknown = || EnvironmentError::Unknown {
            repository: self.repository.full_name(),
            wanted: name.to_owned(),
            nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            known: known.clone(),
        };
        self.fill(found.ok_or_else(unknown)?, &common, limit, true).await
    }

    async fn common(&self) -> Result<Common, EnvironmentError> {
        let repository: wire::repository::Repository = self.get(&self.repository.path(), RARELY).await?;
        let tags: Vec<Branch> = self.optional_list("tags", "/tags?per_page=100", SOON).await?;
        let mut by_commit: HashMap<String, Vec<String>> = HashMap::new();
        for tag in tags {
            if let (Some(name), Some(sha)) = (tag.name, tag.commit.and_then(|commit| commit.sha)) {
                by_commit.entry(sha).or_default().push(name);
            }
        }
        Ok(Common { default_branch: repository.default_branch, tags: by_commit })
    }

    /// Fetches the environments, with the rules that the list includes, and adds environments that only the settings
    /// name. If the list is not accessible, the names come from the deployments.
    async fn named(&self) -> Result<Vec<Environment>, EnvironmentError> {
        let mut named = Vec::new();
        let listed = self.list("environments", "/environments?per_page=100", SOON).await;
        match listed {
            Ok(listed) => named.extend(listed.iter().filter_map(environment)),
            // The token may still be allowed to read deployments, which contain the names.
            Err(error) if is_missing(&error) => {
                let deployments: Vec<wire::deployments::Deployment> =
                    self.optional_list("deployments", "/deployments?per_page=100", SOON).await?;
                for name in deployments.into_iter().filter_map(|deployment| deployment.environment) {
                    if named.iter().all(|known: &Environment| known.name != name) {
                        named.push(Environment::named(&name));
                    }
                }
            }
            Err(error) => return Err(error),
        }
        for name in self.config.environments.keys() {
            if named.iter().all(|known| !known.name.eq_ignore_ascii_case(name)) {
                named.push(Environment::named(name));
            }
        }
        Ok(named)
    }

    /// Fetches the details that the list of environments does not include: rules, deployments, and the drift.
    async fn fill(
        &self,
        mut environment: Environment,
        common: &Common,
        limit: usize,
        whole: bool,
    ) -> Result<Environment, EnvironmentError> {
        self.add_rules(&mut environment).await?;
        match self.deployments(&environment.name, common, limit, whole).await {
            Ok(deployments) => environment.deployments = deployments,
            Err(EnvironmentError::Poll(PollError::Api(error))) if is_refusal(&error) => {
                environment.unknown = Some(format!("the deployments are not shown: {error}"));
            }
            Err(error) => return Err(error),
        }
        if environment.deployments.is_empty()
            && let Some(settings) = self.config.environment(&environment.name)
        {
            self.add_from_runs(&mut environment, settings, common, limit).await?;
        }
        if let (Some(live), Some(branch)) = (environment.live(), &common.default_branch) {
            environment.drift = self.drift(&live.release.sha, branch).await?;
        }
        Ok(environment)
    }

    /// Fetches the branch patterns and apps of an environment, which the list of environments does not include.
    async fn add_rules(&self, environment: &mut Environment) -> Result<(), EnvironmentError> {
        let Some(protection) = &mut environment.protection else { return Ok(()) };
        let path = format!("/environments/{}", segment(&environment.name));
        if protection.branches == BranchRule::Patterns(Vec::new()) {
            let patterns: Vec<BranchPattern> = self
                .optional_list("branch_policies", &format!("{path}/deployment-branch-policies?per_page=100"), RARELY)
                .await?;
            protection.branches = BranchRule::Patterns(patterns.into_iter().filter_map(|one| one.name).collect());
        }
        let rules: Vec<ProtectionRule> = self
            .optional_list("custom_deployment_protection_rules", &format!("{path}/deployment_protection_rules"), RARELY)
            .await?;
        let apps = rules.into_iter().filter(|rule| rule.enabled != Some(false)).filter_map(|rule| rule.app?.slug);
        protection.apps.extend(apps);
        Ok(())
    }

    /// Compares the live commit with the default branch. `None` if the server does not know the commit or cannot
    /// compare.
    async fn drift(&self, sha: &str, branch: &str) -> Result<Option<Drift>, EnvironmentError> {
        let Some(compared) = self.compare(sha, branch, 1).await? else { return Ok(None) };
        let (Some(behind), ahead) = (compared.ahead_by, compared.behind_by.unwrap_or_default()) else {
            return Ok(None);
        };
        Ok(Some(Drift { branch: branch.to_owned(), behind, ahead }))
    }

    /// Compares two commits. `None` if the server does not know one, or does not compare.
    async fn compare(&self, base: &str, head: &str, commits: usize) -> Result<Option<Comparison>, EnvironmentError> {
        let path = format!("/compare/{}...{}?per_page={commits}", escaped(base), escaped(head));
        match self.get(&format!("{}{path}", self.repository.path()), SOON).await {
            Ok(compared) => Ok(Some(compared)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, freshness: Freshness) -> Result<T, EnvironmentError> {
        let answer = self.client.get(path, freshness, self.priority).await?;
        serde_json::from_slice(&answer.body).map_err(|_| self.malformed("the requested data"))
    }

    /// Fetches the first page of a list whose array has this name.
    async fn list<T: Field>(&self, name: &str, path: &str, freshness: Freshness) -> Result<Vec<T>, EnvironmentError> {
        let path = format!("{}{path}", self.repository.path());
        let answer = self.client.get(&path, freshness, self.priority).await?;
        Ok(Page::read(&answer.body, name).ok_or_else(|| self.malformed("a list"))?.list.items)
    }

    /// Fetches the first page of a list; empty if the server does not have it, or the token may not read it.
    async fn optional_list<T: Field>(
        &self,
        name: &str,
        path: &str,
        freshness: Freshness,
    ) -> Result<Vec<T>, EnvironmentError> {
        match self.list(name, path, freshness).await {
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            listed => listed,
        }
    }

    fn malformed(&self, what: &'static str) -> EnvironmentError {
        PollError::Malformed { host: self.repository.host.clone(), what }.into()
    }
}

/// Whether the server does not have a resource, or the token may not read it.
fn is_missing(error: &EnvironmentError) -> bool {
    matches!(error, EnvironmentError::Poll(PollError::Api(error)) if is_refusal(error))
}

fn is_refusal(error: &ApiError) -> bool {
    matches!(error.status(), Some(403 | 404 | 409 | 422))
}

/// Converts a listed environment; `None` if it has no name.
fn environment(listed: &wire::deployments::Environment) -> Option<Environment> {
    let branches = match &listed.deployment_branch_policy {
        Some(policy) if policy.protected_branches == Some(true) => BranchRule::Protected,
        Some(policy) if policy.custom_branch_policies == Some(true) => BranchRule::Patterns(Vec::new()),
        _ => BranchRule::All,
    };
    let mut protection = Protection { branches, admins_bypass: listed.can_admins_bypass, ..Protection::default() };
    for rule in listed.protection_rules.iter().flat_map(|rules| &rules.items) {
        match rule.r#type {
            Some(RuleKind::WaitTimer) => protection.wait_minutes = rule.wait_timer.unwrap_or_default(),
            Some(RuleKind::RequiredReviewers) => {
                let reviewers = rule.reviewers.iter().flat_map(|reviewers| &reviewers.items);
                protection.reviewers.extend(reviewers.filter_map(Reviewer::name));
                protection.prevents_self_review |= rule.prevent_self_review == Some(true);
            }
            Some(RuleKind::BranchPolicy | RuleKind::Other(_)) | None => {}
        }
    }
    Some(Environment { protection: Some(protection), ..Environment::named(listed.name.as_deref()?) })
}
