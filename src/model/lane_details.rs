//! Details of an environment of this machine that are read on request: releases to choose from, the commits of its
//! deployments, what would be deployed next, and the variables that its commands need.

use serde::Serialize;
use serde_json::{Value, json};

use super::deployment::Needed;
use super::environment::Release;
use super::lane::Lane;
use super::rollback::Changes;
use super::{RunId, Timestamp};

/// Details of an environment of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneDetails {
    /// Name of the environment.
    pub environment: String,
    /// Releases that can be deployed, newest first: the newest commits of the checkout, the newest tags, and what is
    /// live in the environments of the repository.
    pub releases: Vec<Deployable>,
    /// What would be deployed next; `None` before the first commit.
    pub next: Option<NextDeployment>,
    /// Environment variables that the commands of the environment need.
    pub needed: Vec<Needed>,
    /// The newest deployments with their commits, newest first.
    pub history: Vec<DeployedCommits>,
    /// The commit that was live when the details were read, to which [`Deployable::distance`] and
    /// [`NextDeployment::changes`] refer; `None` if nothing was live.
    pub live: Option<String>,
    /// The commit that rollbacks start from, to which [`EarlierRelease::undone`] refers; `None` if nothing is deployed.
    pub current: Option<String>,
    /// Releases that succeeded in the environment, other than the current one.
    pub earlier: Vec<EarlierRelease>,
}

/// A release that can be deployed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deployable {
    /// The release.
    pub release: Release,
    /// First line of the message of its commit; empty if only its image is known.
    pub subject: String,
    /// Time of its commit, or of its deployment if only its image is known.
    pub committed: Timestamp,
    /// Branches that end at its commit, without the names of remotes.
    pub branches: Vec<String>,
    /// Whether its commit is checked out.
    pub is_checked_out: bool,
    /// Result of the workflows that ran on exactly its commit; `None` if none of the newest runs did.
    pub result: Option<CommitResult>,
    /// Its position relative to the live release of the environment.
    pub distance: Distance,
    /// The environments that must come first in which its commit has succeeded.
    pub passed: Vec<String>,
    /// Why rules of the environment refuse it, as sentences without their full stops; empty if none does.
    pub refused: Vec<String>,
}

/// Result of the workflows that ran on a commit: the newest success if all of them succeeded, or the newest failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitResult {
    /// Name of the workflow's file.
    pub workflow: String,
    /// Whether it succeeded.
    pub has_passed: bool,
    /// Whether it ran on this machine.
    pub is_local: bool,
    /// End of the run.
    pub at: Timestamp,
}

/// Position of a release relative to the live one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distance {
    /// It is live.
    Live,
    /// It has this number of commits that the live release does not have.
    New(u64),
    /// The live release has its commit and later ones.
    Older,
    /// Nothing is live, or the releases were not compared.
    Unknown,
}

/// What would be deployed next to an environment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NextDeployment {
    /// The release.
    pub release: Release,
    /// Where it is from: the environment that comes before, a branch, or the checkout.
    pub source: String,
    /// Whether it is live in the environment already.
    pub is_live: bool,
    /// The commits that the live release does not have.
    pub changes: Changes,
    /// Why it would be refused now, or what it would wait for, as sentences without their full stops.
    pub closed: Vec<String>,
}

/// The commits of a deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DeployedCommits {
    /// The run of the deployment.
    pub run: RunId,
    /// The commit of the release.
    pub sha: String,
    /// First line of the message of that commit; empty if the repository does not have it.
    pub subject: String,
    /// Whether the deployment was a rollback, so that the commits were undone.
    pub is_rollback: bool,
    /// The commits between the release and the one that it replaced.
    pub changes: Changes,
}

/// A release that succeeded earlier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EarlierRelease {
    /// Its commit.
    pub sha: String,
    /// First line of the message of the commit; empty if the repository does not have it.
    pub subject: String,
    /// Number of commits that a rollback to it undoes; `None` if git does not know both releases.
    pub undone: Option<u64>,
}

impl LaneDetails {
    /// Whether the release that was live when the details were read is still live. Otherwise, their distances and the
    /// commits of the next deployment are wrong.
    #[must_use]
    pub fn is_current(&self, lane: &Lane) -> bool {
        self.live.as_deref() == lane.environment.live().map(|live| live.release.sha.as_str())
    }

    /// Returns the position of a release relative to the one that is live in the environment now, as far as it is
    /// known.
    #[must_use]
    pub fn distance(&self, lane: &Lane, one: &Deployable) -> Distance {
        if let Some(serves) = &lane.serves {
            // The distances that were read are from the recorded release.
            return if serves.sha == one.release.sha { Distance::Live } else { Distance::Unknown };
        }
        match lane.environment.live() {
            _ if self.is_current(lane) => one.distance,
            Some(live) if live.release.sha == one.release.sha => Distance::Live,
            _ => Distance::Unknown,
        }
    }

    /// Returns the commits of a deployment; `None` if they were not read.
    #[must_use]
    pub fn commits_of(&self, run: &RunId, sha: &str) -> Option<&DeployedCommits> {
        self.history.iter().find(|one| one.run == *run && one.sha == sha)
    }

    /// Adds the details to the JSON document of the environment.
    pub fn add_to(&self, document: &mut Value) {
        document["next"] = json!(self.next);
        document["needed"] = json!(self.needed);
        document["commits"] = json!(self.history);
    }
}

impl NextDeployment {
    /// Describes the release and its commits: `v1.4.3 332e342 from staging: 12 commits are new`.
    #[must_use]
    pub fn text(&self) -> String {
        // The branch that a release is from is named once.
        let is_of_branch = self.release.tag.is_none() && self.release.reference == self.source;
        let title = if is_of_branch { self.release.short().to_owned() } else { self.release.title() };
        if self.is_live {
            return format!("nothing new: {title} of {} is live", self.source);
        }
        let commits = self.changes.counted(false).map(|commits| format!(": {commits}")).unwrap_or_default();
        format!("{title} from {}{commits}", self.source)
    }
}

impl DeployedCommits {
    /// Describes the commits: their number and the newest ones, at most `most`. If there are none, or if they were not
    /// compared, returns the first line of the message of the release's commit.
    #[must_use]
    pub fn lines(&self, most: usize) -> Vec<String> {
        match self.changes.count {
            Some(1..) => self.changes.described(self.is_rollback, most),
            _ if self.subject.is_empty() => Vec::new(),
            _ => vec![self.subject.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::environment::{DeploymentState, Environment};
    use crate::model::rollback::ChangedCommit;
    use crate::model::testing::deployment_of;

    #[test]
    fn the_commits_of_a_deployment_are_listed_below_their_number() {
        let commit = |subject: &str| ChangedCommit {
            sha: "3f2c1ab9d0".to_owned(),
            subject: subject.to_owned(),
            author: "ines".to_owned(),
        };
        let lines = |count, subject: &str, is_rollback| {
            let changes = Changes { count, commits: vec![commit("Fix the cart"), commit("Add a map")] };
            let (run, sha) = (RunId::new("a"), "3f2c1ab9d0".to_owned());
            DeployedCommits { run, sha, subject: subject.to_owned(), is_rollback, changes }.lines(1)
        };
        let listed =
            |head: &str| vec![head.to_owned(), "  3f2c1ab Fix the cart (ines)".to_owned(), "  and 1 more".to_owned()];
        assert_eq!(lines(Some(2), "Release", false), listed("2 commits are new:"));
        assert_eq!(lines(Some(2), "Release", true), listed("2 commits are undone:"));
        assert_eq!(lines(None, "Release", false), ["Release"]);
        assert_eq!(lines(Some(0), "Release", false), ["Release"]);
        assert!(lines(None, "", false).is_empty());
    }

    #[test]
    fn a_distance_holds_only_from_the_release_that_is_still_live() {
        let deployed = |tag: &str| deployment_of(tag, DeploymentState::Success, Timestamp(0));
        let lane = |live: &str| Lane {
            environment: Environment { deployments: vec![deployed(live)], ..Environment::named("production") },
            offered: Release::default(),
            lock: None,
            frozen: None,
            stops: None,
            open: None,
            reported: None,
            no_report: None,
            is_asked: false,
            serves: None,
            wanted: 0,
        };
        let details = LaneDetails {
            environment: "production".to_owned(),
            releases: Vec::new(),
            next: None,
            needed: Vec::new(),
            history: Vec::new(),
            live: Some(deployed("v1").release.sha),
            current: None,
            earlier: Vec::new(),
        };
        let newer = Deployable {
            release: deployed("v2").release,
            subject: String::new(),
            committed: Timestamp(0),
            branches: Vec::new(),
            is_checked_out: false,
            result: None,
            distance: Distance::New(3),
            passed: Vec::new(),
            refused: Vec::new(),
        };
        let older = Deployable { release: deployed("v1").release, distance: Distance::Live, ..newer.clone() };
        let distances = |live: &str| [&newer, &older].map(|one| details.distance(&lane(live), one));
        assert_eq!(distances("v1"), [Distance::New(3), Distance::Live]);
        assert_eq!(distances("v2"), [Distance::Live, Distance::Unknown]);
    }

    #[test]
    fn the_next_deployment_is_described_with_the_number_of_its_commits() {
        let release = deployment_of("v1.4.3", DeploymentState::Success, Timestamp(0)).release;
        let title = release.title();
        let next = |count, is_live| {
            let (source, changes) = ("staging".to_owned(), Changes { count, commits: Vec::new() });
            NextDeployment { release: release.clone(), source, is_live, changes, closed: Vec::new() }.text()
        };
        assert_eq!(next(Some(12), false), format!("{title} from staging: 12 commits are new"));
        assert_eq!(next(Some(1), false), format!("{title} from staging: 1 commit is new"));
        assert_eq!(next(None, false), format!("{title} from staging"));
        assert_eq!(next(Some(0), true), format!("nothing new: {title} of staging is live"));
        let release = Release { sha: "a470f23abc".to_owned(), reference: "main".to_owned(), tag: None };
        let changes = Changes { count: Some(3), commits: Vec::new() };
        let next = NextDeployment { release, source: "main".to_owned(), is_live: false, changes, closed: Vec::new() };
        assert_eq!(next.text(), "a470f23 from main: 3 commits are new");
    }
}
