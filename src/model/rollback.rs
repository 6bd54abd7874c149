//! Rollbacks: replacing the release in an environment by an earlier one that succeeded there.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::environment::{DeploymentState, Environment, EnvironmentDeployment, FOUND, Origin, Release};
use super::rights::{MAX_RERUN_AGE, MAX_RERUNS};
use super::short_sha;

/// A rollback that is possible, as it is shown before it is confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rollback {
    /// Name of the environment.
    pub environment: String,
    /// Whether the name of the environment must be typed first.
    pub is_guarded: bool,
    /// The current deployment: the one that is live, or a later one that began and failed.
    pub from: EnvironmentDeployment,
    /// The deployment whose release is restored.
    pub to: EnvironmentDeployment,
    /// The commits that are undone.
    pub changes: Changes,
    /// How the rollback is done.
    pub method: RollbackMethod,
    /// Why the preferred methods are not possible, and what holds back the chosen one.
    pub passed_over: Vec<NoMethod>,
}

/// The commits between two releases.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Changes {
    /// Number of all commits; `None` if the server does not compare the releases.
    pub count: Option<u64>,
    /// The newest of these commits, newest first.
    pub commits: Vec<ChangedCommit>,
}

impl Changes {
    /// Returns the newest commits, at most `most`, and the number of the others.
    #[must_use]
    pub fn newest(&self, most: usize) -> (&[ChangedCommit], u64) {
        let shown = &self.commits[..self.commits.len().min(most)];
        (shown, self.count.unwrap_or_default().saturating_sub(most as u64))
    }

    /// Describes the number of commits, which are new or, in a rollback, undone: `3 commits are new`. `None` if the
    /// releases were not compared.
    #[must_use]
    pub fn counted(&self, is_rollback: bool) -> Option<String> {
        let what = if is_rollback { "undone" } else { "new" };
        Some(match self.count? {
            0 => format!("no commits are {what}"),
            1 => format!("1 commit is {what}"),
            count => format!("{count} commits are {what}"),
        })
    }

    /// Returns [`Self::counted`] as a heading, and [`Self::lines`] below it. Empty if the releases were not compared.
    #[must_use]
    pub fn described(&self, is_rollback: bool, most: usize) -> Vec<String> {
        let Some(head) = self.counted(is_rollback) else { return Vec::new() };
        let head = if self.count == Some(0) { head } else { format!("{head}:") };
        [head].into_iter().chain(self.lines(most)).collect()
    }

    /// Returns a line for each of the newest commits, at most `most`, and one that counts the others.
    #[must_use]
    pub fn lines(&self, most: usize) -> Vec<String> {
        let (commits, more) = self.newest(most);
        let line =
            |commit: &ChangedCommit| format!("  {} {} ({})", short_sha(&commit.sha), commit.subject, commit.author);
        commits.iter().map(line).chain((more > 0).then(|| format!("  and {more} more"))).collect()
    }
}

/// A commit between two releases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ChangedCommit {
    /// The commit.
    pub sha: String,
    /// First line of its message.
    pub subject: String,
    /// Name of its author.
    pub author: String,
}

/// How a rollback is done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackMethod {
    /// The workflow that deploys is started again.
    Dispatch {
        /// Path of its file.
        workflow: String,
        /// Branch or tag.
        #[serde(rename = "ref")]
        git_ref: String,
        /// Inputs of the workflow.
        inputs: IndexMap<String, String>,
    },
    /// The run that deployed the release runs again.
    Rerun {
        /// Id of the run on the server.
        run: u64,
        /// Name of the job that runs again, with the jobs that need it; `None` for the whole run.
        job: Option<String>,
    },
}

/// Kinds of [`RollbackMethod`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RollbackBy {
    /// [`RollbackMethod::Dispatch`].
    Dispatch,
    /// [`RollbackMethod::Rerun`].
    Rerun,
}

/// Why a method is not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoMethod {
    /// No run is known to have deployed the release.
    #[error("no run is known that deployed it")]
    NoRun,
    /// The run was removed, or the token may not see it.
    #[error("run {0}, which deployed it, is no longer there")]
    RunGone(u64),
    /// The workflow cannot be read at the ref.
    #[error("{file} is not on {git_ref}")]
    NoFile {
        /// Name of the file.
        file: String,
        /// Branch or tag.
        git_ref: String,
    },
    /// The workflow cannot be started by hand.
    #[error("{0} has no `workflow_dispatch`")]
    NotByHand(String),
    /// The workflow has no input for the environment, and its jobs may also deploy to others.
    #[error("{file} has no input for the environment, and deploys to others than {environment}")]
    NoEnvironment {
        /// Name of the file.
        file: String,
        /// The environment.
        environment: String,
    },
    /// The workflow has no input for the environment, and its jobs name none.
    #[error("{file} has no input for the environment, and none of its jobs names {environment}")]
    NotNamed {
        /// Name of the file.
        file: String,
        /// The environment.
        environment: String,
    },
    /// The release has no tag, and the workflow has no input for the version.
    #[error("the release has no tag, and {0} takes no version")]
    NoVersion(String),
    /// The workflow needs an input whose value is not known.
    #[error("{file} needs the input `{input}`")]
    NeedsInput {
        /// Name of the file.
        file: String,
        /// Name of the input.
        input: String,
    },
    /// The rules of an environment that the workflow deploys to do not accept the ref.
    #[error("{file} on {git_ref} is refused by {environment}, which takes {takes}")]
    Refused {
        /// Name of the file.
        file: String,
        /// Branch or tag.
        git_ref: String,
        /// The environment.
        environment: String,
        /// The branches and tags that it accepts.
        takes: String,
    },
    /// The workflow also deploys to another environment, which holds it back.
    #[error("{file} is held back by {environment}: {rules}")]
    Held {
        /// Name of the file.
        file: String,
        /// The environment.
        environment: String,
        /// What the workflow waits for.
        rules: String,
    },
    /// The run is too old to be run again.
    #[error("run {0} is older than {MAX_RERUN_AGE} days, so it is not run again")]
    TooOld(u64),
    /// The run was run again too often.
    #[error("run {0} was run again {MAX_RERUNS} times")]
    TooOften(u64),
    /// The run is in progress.
    #[error("run {0} has not ended")]
    NotEnded(u64),
}

/// Request for a rollback.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RollbackRequest {
    /// Name of the environment.
    pub environment: String,
    /// Tag, beginning of a commit, or id of a run; `None` for the last release that succeeded before.
    pub to: Option<String>,
    /// Tag or beginning of the commit that must be live now; `None` for any.
    pub from: Option<String>,
    /// Reason for the record; may be empty.
    pub reason: String,
    /// The only method to use; `None` for the first that is possible.
    pub by: Option<RollbackBy>,
}

/// Why a rollback has no target.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// No deployment to the environment is known to have begun.
    #[error("no deployment is live in {0}: there is nothing to roll back")]
    NothingLive(String),
    /// A deployment is in progress.
    #[error("{release} is being deployed to {environment}: wait for its end, or cancel its run")]
    InProgress {
        /// Name of the environment.
        environment: String,
        /// The release that is being deployed.
        release: String,
    },
    /// The current release is not the one that was named.
    #[error(
        "`{wanted}` is not in {environment}: {actual}; see what was deployed since with `cuelight env {environment}`"
    )]
    Moved {
        /// Name of the environment.
        environment: String,
        /// The release as given.
        wanted: String,
        /// The current release, in words.
        actual: String,
    },
    /// No release succeeded before the live one did so for the first time.
    #[error("no earlier release is known to have succeeded in {environment}{}", choices(.live, .replaced))]
    NoEarlier {
        /// Name of the environment.
        environment: String,
        /// The live release.
        live: String,
        /// Names of releases that succeeded and that the live one has replaced, the newest first.
        replaced: Vec<String>,
    },
    /// The release never succeeded in the environment.
    #[error("`{wanted}` is not known to have succeeded in {environment}{}", releases(.known))]
    Unknown {
        /// Name of the environment.
        environment: String,
        /// The release as given.
        wanted: String,
        /// The releases that succeeded.
        known: Vec<String>,
    },
    /// The release is there already.
    #[error("{release} is already live in {environment}")]
    Same {
        /// Name of the environment.
        environment: String,
        /// The release.
        release: String,
    },
}

fn releases(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(": the releases are {}", known.join(", ")) }
}

/// Returns how a release that the live one has replaced is chosen nevertheless.
fn choices(live: &str, replaced: &[String]) -> String {
    if replaced.is_empty() {
        return ": deploy the release to go back to".to_owned();
    }
    let options: Vec<String> = replaced.iter().map(|name| format!("`--to {name}`")).collect();
    format!("; one that {live} has replaced must be named: {}", options.join(" or "))
}

/// Maximum number of releases in a message.
const NAMED: usize = 5;

impl Environment {
    /// Returns the current deployment of the environment: the newest that began and is not inactive. If it failed, the
    /// state of the environment is unknown. `None` if there is no such deployment.
    #[must_use]
    pub fn current(&self) -> Option<&EnvironmentDeployment> {
        self.deployments.iter().find(|deployment| deployment.began && deployment.state != DeploymentState::Inactive)
    }

    /// Whether enough is known to roll back: which release is live, or that the last deployment failed halfway, after
    /// which the last release that succeeded is restored.
    #[must_use]
    pub fn is_known_to_roll_back(&self) -> bool {
        let has_failed =
            |one: &EnvironmentDeployment| matches!(one.state, DeploymentState::Failure | DeploymentState::Error);
        self.unknown.is_none() || self.current().is_some_and(has_failed)
    }

    /// Returns the environment with another release as the live one than the recorded one: it serves there, and was deployed from
    /// elsewhere. A rollback then leaves that release, and the recorded one is among those to go back to.
    #[must_use]
    pub fn with_serving(&self, release: &Release) -> Self {
        let serving = EnvironmentDeployment {
            release: release.clone(),
            state: DeploymentState::Success,
            succeeded: true,
            began: true,
            creator: String::new(),
            created: self.deployments.first().map(EnvironmentDeployment::at).unwrap_or_default(),
            ended: None,
            description: FOUND.to_owned(),
            origin: Origin { is_found: true, ..Origin::default() },
            outcome: None,
            run: None,
            local: None,
            job: None,
            url: None,
        };
        let deployments = [serving].into_iter().chain(self.deployments.iter().cloned()).collect();
        Self { deployments, unknown: None, live_unknown: false, ..self.clone() }
    }

    /// Returns the current deployment, and the one to roll back to. Without a release in the request, that is the last
    /// one that succeeded before the live release did so for the first time: after a rollback, the release that was
    /// left because it was bad is not offered as the way back.
    ///
    /// # Errors
    /// Nothing is deployed, a deployment is in progress, the current release is not the one requested, or there is no
    /// deployment to roll back to.
    pub fn rollback(
        &self,
        request: &RollbackRequest,
    ) -> Result<(&EnvironmentDeployment, &EnvironmentDeployment), TargetError> {
        let environment = || self.name.clone();
        let from = self.current().ok_or_else(|| TargetError::NothingLive(environment()))?;
        if from.state.is_open() {
            return Err(TargetError::InProgress { environment: environment(), release: from.release.title() });
        }
        if let Some(wanted) = request.from.as_ref().filter(|wanted| !from.release.is(wanted)) {
            let actual = match from.state {
                DeploymentState::Success => format!("{} is live", from.release.title()),
                _ => format!("{} was deployed, and it failed", from.release.title()),
            };
            return Err(TargetError::Moved { environment: environment(), wanted: wanted.clone(), actual });
        }
        let good = || self.deployments.iter().filter(|deployment| deployment.succeeded);
        let is_other = |one: &&EnvironmentDeployment| one.release.sha != from.release.sha;
        let to = if let Some(wanted) = &request.to {
            let found =
                good().find(|one| one.release.is(wanted) || one.run.is_some_and(|run| run.to_string() == *wanted));
            let known = || {
                let mut known: Vec<String> = good().filter(is_other).map(|one| one.release.title()).collect();
                known.dedup();
                known.truncate(NAMED);
                known
            };
            let unknown =
                || TargetError::Unknown { environment: environment(), wanted: wanted.clone(), known: known() };
            let found = found.ok_or_else(unknown)?;
            if !is_other(&found) {
                return Err(TargetError::Same { environment: environment(), release: found.release.title() });
            }
            found
        } else {
            let before: Vec<_> = self.deployments.iter().skip_while(|one| *one != from).collect();
            let is_first = |one: &&EnvironmentDeployment| one.succeeded && !is_other(one);
            let first = before.iter().rposition(is_first).filter(|_| from.state == DeploymentState::Success);
            let to = before.into_iter().skip(first.unwrap_or_default()).find(|one| one.succeeded && is_other(one));
            to.ok_or_else(|| TargetError::NoEarlier {
                environment: environment(),
                live: from.release.title(),
                replaced: self.others().map(|one| one.name().to_owned()).take(NAMED).collect(),
            })?
        };
        Ok((from, to))
    }

    /// Returns the releases besides the current one that are known to have succeeded, each once and the newest first: a
    /// rollback can go to each, if it is named.
    pub fn others(&self) -> impl Iterator<Item = &Release> {
        let current = self.current().map(|current| current.release.sha.as_str());
        let good = self.deployments.iter().filter(|one| one.succeeded).map(|one| &one.release);
        let mut known = HashSet::new();
        good.filter(move |one| current != Some(one.sha.as_str()) && known.insert(one.sha.as_str()))
    }
}

impl RollbackMethod {
    /// Describes the method in words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Dispatch { workflow, git_ref, inputs } => {
                let file = workflow.rsplit('/').next().unwrap_or(workflow);
                let inputs: Vec<String> = inputs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let with = if inputs.is_empty() { String::new() } else { format!(" with {}", inputs.join(", ")) };
                format!("starts {file} on {git_ref}{with}")
            }
            Self::Rerun { run, job: Some(job) } => format!("runs job {job} of run {run} again"),
            Self::Rerun { run, job: None } => format!("runs run {run} again"),
        }
    }
}

impl Rollback {
    /// Returns both releases in words: `production: from v1.4.2 d92af2e (failed) to v1.4.1 9093b37`.
    #[must_use]
    pub fn title(&self) -> String {
        let failed = if self.from.state == DeploymentState::Success { "" } else { " (failed)" };
        format!("{}: from {}{failed} to {}", self.environment, self.from.release.title(), self.to.release.title())
    }

    /// Returns the number of commits in words, and what happens to them.
    #[must_use]
    pub fn summary(&self) -> String {
        self.changes.counted(true).unwrap_or_else(|| "the server does not compare these releases".to_owned())
    }

    /// Returns why other methods are not used, and what holds back this one. `None` for a preferred or requested method
    /// that nothing holds back.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let reasons: Vec<String> = self.passed_over.iter().map(ToString::to_string).collect();
        let word = match self.method {
            RollbackMethod::Rerun { .. } => "because",
            RollbackMethod::Dispatch { .. } => "although",
        };
        (!reasons.is_empty()).then(|| format!("{word} {}", reasons.join("; ")))
    }

    /// Returns the rollback as a JSON document for programs.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "environment": self.environment, "from": self.from, "to": self.to, "changes": self.changes,
            "method": self.method, "why": self.why(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::model::testing::deployment_of;

    /// Returns an environment with deployments of these tags, newest first.
    fn environment(deployments: &[(&str, DeploymentState)]) -> Environment {
        let deployments = (1..).zip(deployments);
        let deployments = deployments.map(|(at, (tag, state))| deployment_of(tag, state.clone(), Timestamp(100 - at)));
        Environment { deployments: deployments.collect(), ..Environment::named("production") }
    }

    fn rollback(environment: &Environment, to: Option<&str>, from: Option<&str>) -> Result<String, String> {
        let request = RollbackRequest {
            environment: environment.name.clone(),
            to: to.map(str::to_owned),
            from: from.map(str::to_owned),
            ..RollbackRequest::default()
        };
        let tag = |one: &EnvironmentDeployment| one.release.tag.clone().unwrap_or_default();
        let found = environment.rollback(&request).map_err(|error| error.to_string());
        found.map(|(from, to)| format!("{} to {}", tag(from), tag(to)))
    }

    #[test]
    fn a_rollback_leaves_the_release_that_serves_although_another_one_is_recorded() {
        use DeploymentState::{Inactive, Success};
        let recorded = environment(&[("v2", Success), ("v1", Inactive)]);
        let with = |tag: &str| recorded.with_serving(&deployment_of(tag, Success, Timestamp(0)).release);
        let elsewhere = with("v3");
        assert_eq!(rollback(&elsewhere, None, Some("v3")), Ok("v3 to v2".to_owned()));
        assert_eq!(
            rollback(&elsewhere, Some("v2"), None),
            Ok("v3 to v2".to_owned()),
            "what is recorded does not serve"
        );
        assert_eq!(rollback(&elsewhere, Some("v1"), None), Ok("v3 to v1".to_owned()));
        let error = rollback(&elsewhere, None, Some("v2")).expect_err("it does not serve");
        assert!(error.contains("v3 ") && error.contains(" is live"), "{error}");
        // Another machine went back from v2 already: it was left there because it was bad.
        let error = rollback(&with("v1"), None, None).expect_err("nothing is before v1");
        assert!(error.contains("no earlier release"), "{error}");
    }

    #[test]
    fn a_rollback_goes_to_the_last_other_release_that_succeeded() {
        use DeploymentState::{Failure, InProgress, Inactive, Success, Waiting};
        let quiet = environment(&[("v3", Success), ("v3", Inactive), ("v2", Failure), ("v1", Inactive)]);
        assert_eq!(rollback(&quiet, None, None), Ok("v3 to v1".to_owned()), "not the same release, not a failed one");
        assert_eq!(rollback(&quiet, Some("v1"), Some("v3")), Ok("v3 to v1".to_owned()));
        assert_eq!(rollback(&quiet, Some("96"), None), Ok("v3 to v1".to_owned()), "by the run");
        let failed = environment(&[("v4", Waiting), ("v3", Failure), ("v2", Success), ("v1", Inactive)]);
        assert_eq!(rollback(&failed, None, None), Ok("v3 to v2".to_owned()), "a failed deployment is undone");
        assert_eq!(rollback(&failed, Some("v1"), Some("v3")), Ok("v3 to v1".to_owned()));
        let back = environment(&[("v2", Success), ("v3", Inactive), ("v2", Inactive), ("v1", Inactive)]);
        assert_eq!(rollback(&back, None, None), Ok("v2 to v1".to_owned()), "not the release that was rolled back from");
        assert_eq!(rollback(&back, Some("v3"), None), Ok("v2 to v3".to_owned()), "unless it is named");
        let failed_again = environment(&[("v3", Failure), ("v2", Success), ("v3", Inactive), ("v2", Inactive)]);
        assert_eq!(rollback(&failed_again, None, None), Ok("v3 to v2".to_owned()));
        let going = environment(&[("v3", InProgress), ("v2", Success)]);
        let replaced =
            environment(&[("v1", Success), ("v2", Inactive), ("v3", Inactive), ("v2", Inactive), ("v1", Inactive)]);
        assert_eq!(rollback(&replaced, Some("v2"), None), Ok("v1 to v2".to_owned()));
        for (environment, to, from, message) in [
            (&quiet, None, Some("v2"), "`v2` is not in production: v3 "),
            (&failed, None, Some("v2"), "was deployed, and it failed; see what was deployed since"),
            (&quiet, Some("v3"), None, "is already live in production"),
            (&quiet, Some("v2"), None, "`v2` is not known to have succeeded in production: the releases are v1 "),
            (&going, None, None, "is being deployed to production: wait for its end"),
            (
                &environment(&[("v1", Success)]),
                None,
                None,
                "no earlier release is known to have succeeded in production: ",
            ),
            (&environment(&[("v1", Success), ("v2", Inactive), ("v1", Inactive)]), None, None, "no earlier release"),
            (&replaced, None, None, "has replaced must be named: `--to v2` or `--to v3`"),
            (&environment(&[("v1", Waiting)]), None, None, "no deployment is live"),
        ] {
            let error = rollback(environment, to, from).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }
}
