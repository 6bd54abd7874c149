//! The deployments that a server records, and their states.

use std::time::Duration;

use crate::backend::github::address::segment;
use crate::backend::github::client::Freshness;
use crate::backend::github::wire;
use crate::backend::github::wire::deployments::DeploymentStatus;
use crate::backend::github::wire::words;
use crate::model::Timestamp;
use crate::model::environment::{DeploymentState, EnvironmentDeployment, Origin, Release};

use super::{Common, EnvironmentError, Environments};

/// Minimum number of deployments that are searched for the live one.
const SEARCHED: usize = 30;

/// Maximum age of cached states of a deployment that is neither the newest nor older than the live one.
const NOT_NEWEST: Freshness = Freshness(Duration::from_secs(15));

/// Maximum age of cached states of a deployment that is older than the live one.
const SUPERSEDED: Freshness = Freshness(Duration::from_hours(1));

impl Environments {
    /// Fetches the newest deployments to an environment, down to the live one, at most 100. With `whole`, also fetches
    /// older ones until there are `limit`.
    pub(super) async fn deployments(
        &self,
        environment: &str,
        common: &Common,
        limit: usize,
        whole: bool,
    ) -> Result<Vec<EnvironmentDeployment>, EnvironmentError> {
        let most = limit.clamp(SEARCHED, 100);
        let path = format!("/deployments?environment={}&per_page={most}", segment(environment));
        let listed: Vec<wire::deployments::Deployment> = self.list("deployments", &path, Freshness::NOW).await?;
        let mut deployments = Vec::new();
        let mut is_live_known = false;
        for listed in listed {
            let is_enough = is_live_known && (!whole || deployments.len() >= limit);
            let Some(id) = listed.id.filter(|_| !is_enough) else { break };
            let freshness = match (deployments.is_empty(), is_live_known) {
                (true, _) => Freshness::NOW,
                (false, false) => NOT_NEWEST,
                (false, true) => SUPERSEDED,
            };
            let states = format!("/deployments/{id}/statuses?per_page=30");
            let states: Vec<DeploymentStatus> = self.optional_list("statuses", &states, freshness).await?;
            let deployment = deployment(listed, &states, common);
            is_live_known |= deployment.state == DeploymentState::Success;
            deployments.push(deployment);
        }
        Ok(deployments)
    }
}

impl Common {
    /// Returns a tag at a commit: the one that the deployment names, else the first that the server lists.
    pub(super) fn tag(&self, sha: &str, reference: &str) -> Option<String> {
        let tags = self.tags.get(sha)?;
        tags.iter().find(|tag| *tag == reference).or_else(|| tags.first()).cloned()
    }
}

/// Combines a deployment that the server lists with its states, newest first.
fn deployment(
    listed: wire::deployments::Deployment,
    states: &[DeploymentStatus],
    common: &Common,
) -> EnvironmentDeployment {
    let state_of = |status: &DeploymentStatus| status.state.as_ref().map_or(DeploymentState::Pending, state);
    let time = |time: Option<wire::Time>| time.map_or(Timestamp(0), |time| time.0);
    let newest = states.first();
    let was = |wanted: DeploymentState| states.iter().any(|status| state_of(status) == wanted);
    let end = states.iter().find(|status| {
        matches!(state_of(status), DeploymentState::Success | DeploymentState::Failure | DeploymentState::Error)
    });
    let page = states.iter().find_map(|status| {
        let pages = [&status.log_url, &status.target_url];
        pages.into_iter().flatten().find(|page| number_after(page, "/actions/runs/").is_some())
    });
    let sha = listed.sha.unwrap_or_default();
    let reference = listed.r#ref.unwrap_or_default();
    let succeeded = was(DeploymentState::Success);
    EnvironmentDeployment {
        release: Release { tag: common.tag(&sha, &reference), sha, reference },
        state: newest.map_or(DeploymentState::Pending, state_of),
        succeeded,
        began: succeeded || was(DeploymentState::InProgress),
        creator: listed.creator.and_then(|user| user.login).unwrap_or_default(),
        created: time(listed.created_at),
        ended: end.and_then(|status| status.created_at).map(|time| time.0),
        description: newest.and_then(|status| status.description.clone()).unwrap_or_default().0,
        origin: Origin::default(),
        outcome: None,
        run: page.and_then(|page| number_after(page, "/actions/runs/")),
        local: None,
        job: page.and_then(|page| number_after(page, "/job/")),
        url: states.iter().find_map(|status| status.environment_url.clone()).filter(|url| !url.is_empty()),
    }
}

fn state(word: &words::DeploymentState) -> DeploymentState {
    match word {
        words::DeploymentState::Pending => DeploymentState::Pending,
        words::DeploymentState::Waiting => DeploymentState::Waiting,
        words::DeploymentState::Queued => DeploymentState::Queued,
        words::DeploymentState::InProgress => DeploymentState::InProgress,
        words::DeploymentState::Success => DeploymentState::Success,
        words::DeploymentState::Failure => DeploymentState::Failure,
        words::DeploymentState::Error => DeploymentState::Error,
        words::DeploymentState::Inactive => DeploymentState::Inactive,
        other => DeploymentState::Other(other.as_str().to_owned()),
    }
}

/// Returns the number that follows `part` in an address.
fn number_after(address: &str, part: &str) -> Option<u64> {
    let (_, rest) = address.split_once(part)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::{Value, json};

    use super::*;

    fn folded(states: &[(&str, &str)]) -> EnvironmentDeployment {
        let status = |(state, time): &(&str, &str)| {
            let log = "https://github.com/o/r/actions/runs/17000000051/job/48000000197";
            json!({"state": state, "created_at": time, "log_url": log, "environment_url": ""})
        };
        let states: Vec<Value> = states.iter().map(status).collect();
        let states: Vec<DeploymentStatus> = serde_json::from_value(Value::Array(states)).expect("states");
        let listed = json!({"id": 1, "sha": "abcdef0123", "ref": "v2", "created_at": "2026-01-15T09:00:00Z"});
        let tags = HashMap::from([("abcdef0123".to_owned(), vec!["nightly".to_owned(), "v2".to_owned()])]);
        let common = Common { default_branch: None, tags };
        deployment(serde_json::from_value(listed).expect("a deployment"), &states, &common)
    }

    #[test]
    fn a_deployment_is_what_its_states_are_observed_to_be() {
        let (begun, over) = ("2026-01-15T09:00:10Z", "2026-01-15T09:01:00Z");
        let later = "2026-01-16T09:00:00Z";
        let live = folded(&[("success", over), ("in_progress", begun)]);
        assert_eq!((&live.state, live.succeeded, live.began), (&DeploymentState::Success, true, true));
        assert_eq!(live.took(), Some(Duration::from_mins(1)));
        assert_eq!((live.run, live.job, live.url.as_deref()), (Some(17_000_000_051), Some(48_000_000_197), None));
        assert_eq!((live.release.title().as_str(), live.release.tag.as_deref()), ("v2 abcdef0", Some("v2")));
        let superseded = folded(&[("inactive", later), ("success", over)]);
        assert_eq!((&superseded.state, superseded.succeeded), (&DeploymentState::Inactive, true));
        assert_eq!(superseded.took(), Some(Duration::from_mins(1)), "it ended with its success");
        // Rejected in its review, so it never started.
        let rejected = folded(&[("failure", over), ("waiting", begun)]);
        assert_eq!((&rejected.state, rejected.succeeded, rejected.began), (&DeploymentState::Failure, false, false));
        let removed = folded(&[("inactive", later)]);
        assert_eq!((removed.succeeded, removed.ended), (false, None));
        assert_eq!(folded(&[]).state, DeploymentState::Pending);
        assert_eq!(folded(&[("melting", over)]).state, DeploymentState::Other("melting".to_owned()));
    }
}
