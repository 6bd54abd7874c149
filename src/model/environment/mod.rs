//! Environments of a repository, on a server or of this machine: their rules, what is live in them, and the deployments
//! to them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Conclusion, Phase, is_production, short_sha};

mod deployed;

pub use deployed::{DeploymentState, EnvironmentDeployment, Origin, Outcome};

/// An environment of a repository, on a server or of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// Name.
    pub name: String,
    /// Rules; `None` if the server does not show them.
    pub protection: Option<Protection>,
    /// Where the deployments are from.
    pub source: DeploymentSource,
    /// Deployments, newest first. Deployments older than the live one may be missing, and so may the live one if it is
    /// not among the newest.
    pub deployments: Vec<EnvironmentDeployment>,
    /// Why the deployments are unknown, for example a missing permission; `None` if they are known.
    pub unknown: Option<String>,
    /// Difference between the live release and the default branch; `None` if no release is live, or if the server
    /// cannot compare them.
    pub drift: Option<Drift>,
    /// Who locked the environment and why, as a sentence; `None` for an environment that is not locked.
    pub locked: Option<String>,
    /// What a promotion of a deployment by this machine would end: `waits for a person`. `None` if there is nothing to
    /// promote.
    pub promotable: Option<String>,
    /// Whether it is not known what is live, although the deployments are known: before the first success of this machine,
    /// something else may run.
    pub live_unknown: bool,
    /// Health of what runs, as its target reports it: `2/2 healthy`. `None` if the target was not asked, or does not report
    /// it.
    pub health: Option<String>,
    /// Why the target did not report what it runs, as a sentence without its full stop; `None` if it did, or was not asked.
    pub no_report: Option<String>,
    /// The release that serves according to the target, although another one is recorded as live; `None` if the target does
    /// not contradict the record.
    pub serves: Option<Release>,
    /// Why the health is bad; `None` if it is good or not known.
    pub impairment: Option<Impairment>,
    /// The deployment that changed the environment last and was left halfway, with the commands that continue or undo it;
    /// `None` without one.
    pub left: Option<String>,
    /// The former release that still runs, so that a rollback to it is instant, as a sentence without its full stop;
    /// `None` without one.
    pub kept: Option<String>,
}

/// Where the deployments of an environment are from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentSource {
    /// The server records them.
    Server,
    /// Runs of this workflow count as deployments, according to the settings.
    Runs {
        /// File of the workflow.
        workflow: String,
    },
    /// Deployments by this machine.
    Local,
}

/// How what is live differs from a healthy release, as its target reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Impairment {
    /// Some of its replicas are missing or not healthy, the target does not report them, or another release serves.
    Partial,
    /// None of its replicas is healthy.
    Down,
}

impl Impairment {
    /// Returns the word for the state of the release that is recorded as live: `live`, or `down` if none of its replicas is
    /// healthy. `is_only_recorded` is whether the target does not report that this release serves.
    #[must_use]
    pub fn word(impairment: Option<Self>, is_only_recorded: bool) -> &'static str {
        match impairment {
            _ if is_only_recorded => "recorded as live",
            Some(Self::Down) => "down",
            Some(Self::Partial) | None => "live",
        }
    }

    /// Returns the conclusion that looks like it.
    #[must_use]
    pub fn conclusion(self) -> Conclusion {
        match self {
            Self::Partial => Conclusion::Neutral,
            Self::Down => Conclusion::Failure,
        }
    }
}

/// Rules of an environment.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Protection {
    /// Users and teams, one of whom must approve.
    pub reviewers: Vec<String>,
    /// Whether the user who started a run may not review its deployments.
    pub prevents_self_review: bool,
    /// Wait timer in minutes; 0 without one.
    pub wait_minutes: u64,
    /// Branches and tags that may deploy.
    pub branches: BranchRule,
    /// Apps whose rules decide.
    pub apps: Vec<String>,
    /// Whether administrators may bypass the rules; `None` if the server does not report it.
    pub admins_bypass: Option<bool>,
    /// Rules of this machine, each as a phrase: `after staging`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

/// Branches and tags that may deploy to an environment.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchRule {
    /// All branches and tags.
    #[default]
    All,
    /// Branches with a protection rule.
    Protected,
    /// Branches and tags that match a pattern; the list is empty if the patterns are not known.
    Patterns(Vec<String>),
}

/// A release that can be deployed: a commit and its names.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Release {
    /// The commit. For a release of which only the image is known, the id of the image: `sha256:` and 64 digits.
    pub sha: String,
    /// Branch, tag or commit that was named for the deployment.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Tag at the commit; `None` if it has no tag.
    pub tag: Option<String>,
}

/// Description of a release that was found live; see [`Origin::is_found`].
pub(super) const FOUND: &str = "found there, not deployed by this machine";

/// Beginning of the id of an image.
const IMAGE: &str = "sha256:";

/// Returns the title of a release. For `None`, returns `nothing`, or `unknown` if it is not known whether there is one.
#[must_use]
pub fn title_of(release: Option<&Release>, is_known: bool) -> String {
    let none = if is_known { "nothing" } else { "unknown" };
    release.map_or_else(|| none.to_owned(), Release::title)
}

/// Difference between the live release and a branch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Drift {
    /// Name of the branch.
    pub branch: String,
    /// Number of commits of the branch that are not live.
    pub behind: u64,
    /// Number of commits that are live and not on the branch.
    pub ahead: u64,
}

impl Release {
    /// Returns the release that runs in a container of which only the image is known, from the id of the image. `None`
    /// if the text is not the id of an image.
    #[must_use]
    pub fn of_image(id: &str) -> Option<Self> {
        let is_image = id.starts_with(IMAGE);
        is_image.then(|| Self { sha: id.to_owned(), reference: "image".to_owned(), tag: None })
    }

    /// Whether only the image of the release is known, and not its commit.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.sha.starts_with(IMAGE)
    }

    /// Returns the commit, or the digits of the id of the image.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.sha.strip_prefix(IMAGE).unwrap_or(&self.sha)
    }

    /// Returns the short id of the commit, or of the image.
    #[must_use]
    pub fn short(&self) -> &str {
        Self::short_of(&self.sha)
    }

    /// Returns the short id of a commit, or of an image, as a target reports it.
    #[must_use]
    pub fn short_of(sha: &str) -> &str {
        short_sha(sha.strip_prefix(IMAGE).unwrap_or(sha))
    }

    /// Returns the tag, or the short commit.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tag.as_deref().unwrap_or_else(|| self.short())
    }

    /// Returns the tag and the short commit, or the commit and the branch: `v1.4.1 9093b37`, `9093b37 main`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{tag} {}", self.short()),
            None if self.reference.is_empty() || self.sha.starts_with(&self.reference) => self.short().to_owned(),
            None => format!("{} {}", self.short(), self.reference),
        }
    }

    /// Describes the release as one that is recorded as live while another one serves:
    /// `recorded v2 3abf217, but v3 fa04af3 serves`.
    #[must_use]
    pub fn contradicted_by(&self, serving: &Self) -> String {
        format!("recorded {}, but {} serves", self.title(), serving.title())
    }

    /// Whether a text names the release: its tag, or a beginning of its commit, or of the id of its image, of at least four
    /// digits.
    #[must_use]
    pub fn is(&self, written: &str) -> bool {
        let lower = written.to_ascii_lowercase();
        let digits = lower.strip_prefix(IMAGE).filter(|_| self.is_image()).unwrap_or(&lower);
        let is_commit = digits.len() >= 4 && self.digits().starts_with(digits);
        is_commit || self.tag.as_deref() == Some(written)
    }
}

impl Drift {
    /// Returns the difference in words: `12 commits behind main`.
    #[must_use]
    pub fn text(&self) -> String {
        let commits = |count: u64| if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") };
        match (self.behind, self.ahead) {
            (0, 0) => format!("same as {}", self.branch),
            (behind, 0) => format!("{} behind {}", commits(behind), self.branch),
            (0, ahead) => format!("{} ahead of {}", commits(ahead), self.branch),
            (behind, ahead) => format!("{} behind and {ahead} ahead of {}", commits(behind), self.branch),
        }
    }

    /// Returns the difference in a few columns: `12 behind`.
    #[must_use]
    pub fn short(&self) -> String {
        match (self.behind, self.ahead) {
            (0, 0) => "current".to_owned(),
            (behind, 0) => format!("{behind} behind"),
            (0, ahead) => format!("{ahead} ahead"),
            (behind, ahead) => format!("{behind} behind and {ahead} ahead"),
        }
    }

    /// Returns the difference in a few columns with what the live release is compared with: `2 ahead of staging`.
    #[must_use]
    pub fn named(&self) -> String {
        let of = match (self.behind, self.ahead) {
            (0, 0) => return self.text(),
            (_, 0) => "",
            _ => " of",
        };
        format!("{}{of} {}", self.short(), self.branch)
    }
}

impl Protection {
    /// Whether a deployment waits for a person, a timer or an app.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        !self.reviewers.is_empty() || self.wait_minutes > 0 || !self.apps.is_empty()
    }

    /// Returns the rules as sentences without their full stops, in the order in which they apply.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        match &self.branches {
            BranchRule::All => {}
            BranchRule::Protected => sentences.push("only protected branches may deploy".to_owned()),
            BranchRule::Patterns(patterns) if patterns.is_empty() => {
                sentences.push("only some branches and tags may deploy".to_owned());
            }
            BranchRule::Patterns(patterns) => sentences.push(format!("only {} may deploy", patterns.join(", "))),
        }
        if !self.reviewers.is_empty() {
            let own = if self.prevents_self_review { ", but not by the user who started the run" } else { "" };
            sentences.push(format!("review by one of {}{own}", self.reviewers.join(", ")));
        }
        match self.wait_minutes {
            0 => {}
            1 => sentences.push("waits 1 minute".to_owned()),
            minutes => sentences.push(format!("waits {minutes} minutes")),
        }
        sentences.extend(self.apps.iter().map(|app| format!("{app} decides")));
        sentences.extend(self.others.iter().cloned());
        if self.admins_bypass == Some(true) && self.holds_back() {
            sentences.push("administrators may bypass these rules".to_owned());
        }
        sentences
    }

    /// Returns what a deployment waits for, in a few columns: `review by maria; 5 min`.
    #[must_use]
    pub fn waits(&self) -> String {
        let review = (!self.reviewers.is_empty()).then(|| format!("review by {}", self.reviewers.join(", ")));
        let timer = (self.wait_minutes > 0).then(|| format!("{} min", self.wait_minutes));
        review.into_iter().chain(timer).chain(self.apps.iter().cloned()).collect::<Vec<_>>().join("; ")
    }

    /// Returns the rules in a few columns: `review by maria; 5 min; only main v*`.
    #[must_use]
    pub fn short(&self) -> String {
        let waits = self.waits();
        let branches = match &self.branches {
            BranchRule::All => None,
            BranchRule::Protected => Some("protected branches".to_owned()),
            BranchRule::Patterns(patterns) if patterns.is_empty() => Some("some branches".to_owned()),
            BranchRule::Patterns(patterns) => Some(format!("only {}", patterns.join(" "))),
        };
        let parts = (!waits.is_empty()).then_some(waits).into_iter().chain(self.others.iter().cloned());
        parts.chain(branches).collect::<Vec<_>>().join("; ")
    }
}

impl Environment {
    /// Returns an environment without rules and deployments.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            protection: None,
            source: DeploymentSource::Server,
            deployments: Vec::new(),
            unknown: None,
            drift: None,
            locked: None,
            promotable: None,
            live_unknown: false,
            health: None,
            no_report: None,
            serves: None,
            impairment: None,
            left: None,
            kept: None,
        }
    }

    /// Returns the deployment that is live: the newest that is observed as successful, and not superseded. `None` if
    /// there is none among the known deployments.
    #[must_use]
    pub fn live(&self) -> Option<&EnvironmentDeployment> {
        self.deployments.iter().find(|deployment| deployment.state == DeploymentState::Success)
    }

    /// Returns what is wrong with the live release according to the target: `0/2 healthy`. `None` if nothing is known to be.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.no_report.clone().or_else(|| self.impairment.and(self.health.clone()))
    }

    /// Returns the word for the state of the release that is recorded as live, see [`Impairment::word`].
    #[must_use]
    pub fn live_word(&self) -> &'static str {
        Impairment::word(self.impairment, self.no_report.is_some() || self.serves.is_some())
    }

    /// Whether it is known which release is live, or that none is.
    #[must_use]
    pub fn knows_live(&self) -> bool {
        self.live().is_some() || self.unknown.is_none() && !self.live_unknown
    }

    /// Returns the deployments that have not ended: those that have begun first, then those that wait, the newest
    /// first. On a server, only deployments that are newer than the live one count, because the state of an older one
    /// is often never brought up to date.
    #[must_use]
    pub fn open(&self) -> Vec<&EnvironmentDeployment> {
        let is_own = self.source == DeploymentSource::Local;
        let counts = |one: &&EnvironmentDeployment| is_own || one.state != DeploymentState::Success;
        let all = self.deployments.iter().take_while(counts).filter(|one| one.state.is_open());
        let (begun, waiting): (Vec<_>, Vec<_>) = all.partition(|one| one.began);
        [begun, waiting].concat()
    }

    /// Returns the newest deployment that changed the environment, or may do so yet.
    fn newest(&self) -> Option<&EnvironmentDeployment> {
        self.deployments.iter().find(|one| !one.changed_nothing())
    }

    /// Returns the deployment to show next to the live one: the first that is open, else the newest one that changed the
    /// environment, if it is not live.
    #[must_use]
    pub fn pending(&self) -> Option<&EnvironmentDeployment> {
        let newest = self.newest().filter(|newest| newest.state != DeploymentState::Success);
        self.open().into_iter().next().or(newest)
    }

    /// Returns the phase whose sign stands for the environment: that of the first open deployment or, if there is none, of
    /// the newest that changed the environment. If that one is live, the health of what is live decides. `None` without
    /// any.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        let shown = self.open().into_iter().next().or(self.newest())?;
        Some(match self.impairment {
            Some(impairment) if shown.state == DeploymentState::Success => Phase::Done(impairment.conclusion()),
            _ => shown.state.phase(&self.name),
        })
    }

    /// Whether a person must type the name of the environment to confirm a dangerous operation: it is named like
    /// production, or has rules that hold back deployments.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        is_production(&self.name) || self.protection.as_ref().is_some_and(Protection::holds_back)
    }

    /// Returns the environment as a JSON document for programs.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "name": self.name, "protection": self.protection, "source": self.source, "unknown": self.unknown,
            "live": self.live(), "live_unknown": !self.knows_live(), "pending": self.pending(), "open": self.open(),
            "drift": self.drift, "locked": self.locked, "promotable": self.promotable, "health": self.health,
            "no_report": self.no_report, "serves": self.serves, "kept": self.kept, "left": self.left,
            "deployments": self.deployments,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::model::testing::deployment_of;

    #[test]
    fn what_is_in_progress_comes_first_and_what_waits_before_a_later_failure() {
        use DeploymentState::{Failure, InProgress, Queued, Success, Waiting};
        let environment = |source, states: &[(&str, DeploymentState)]| {
            let of =
                |(at, (tag, state)): (u64, &(&str, DeploymentState))| deployment_of(tag, state.clone(), Timestamp(at));
            Environment { source, deployments: (1..).zip(states).map(of).collect(), ..Environment::named("production") }
        };
        let names =
            |all: Vec<&EnvironmentDeployment>| all.iter().map(|one| one.release.name().to_owned()).collect::<Vec<_>>();
        let states = [("v5", Failure), ("v4", Waiting), ("v3", Queued), ("v2", Success), ("v1", InProgress)];
        let own = environment(DeploymentSource::Local, &states);
        assert_eq!(names(own.open()), ["v1", "v4", "v3"]);
        assert_eq!(own.pending().map(|one| one.release.name()), Some("v1"));
        assert_eq!(own.document()["open"].as_array().map(Vec::len), Some(3));
        // The oldest one is a state that the server never brought to an end.
        assert_eq!(names(environment(DeploymentSource::Server, &states).open()), ["v4", "v3"]);
        let failed = environment(DeploymentSource::Local, &[("v2", Failure), ("v1", Success)]);
        assert_eq!((failed.open(), failed.pending().map(|one| one.release.name())), (Vec::new(), Some("v2")));
        assert_eq!(environment(DeploymentSource::Local, &states[3..4]).pending(), None);
    }

    #[test]
    fn the_sign_is_no_success_while_the_service_is_down_and_ignores_what_never_began() {
        use DeploymentState::{Failure, Inactive, Success};
        let live = deployment_of("v2", Success, Timestamp(2));
        let withdrawn = EnvironmentDeployment {
            outcome: Some(Outcome::Cancelled),
            began: false,
            ..deployment_of("v3", Inactive, Timestamp(3))
        };
        let refused = EnvironmentDeployment { outcome: Some(Outcome::Failed), state: Failure, ..withdrawn.clone() };
        let with = |deployments: &[&EnvironmentDeployment], impairment| {
            let deployments = deployments.iter().map(|one| (*one).clone()).collect();
            let source = DeploymentSource::Local;
            Environment { source, deployments, impairment, ..Environment::named("production") }.phase()
        };
        assert_eq!(with(&[&live], None), Some(Phase::Done(Conclusion::Success)));
        assert_eq!(with(&[&live], Some(Impairment::Partial)), Some(Phase::Done(Conclusion::Neutral)));
        assert_eq!(with(&[&live], Some(Impairment::Down)), Some(Phase::Done(Conclusion::Failure)));
        assert_eq!(with(&[&refused, &withdrawn, &live], None), Some(Phase::Done(Conclusion::Success)));
        let undone = EnvironmentDeployment { outcome: Some(Outcome::RolledBack), ..refused.clone() };
        assert_eq!(with(&[&undone, &live], None), Some(Phase::Done(Conclusion::Failure)));
        assert_eq!(with(&[], None), None);
        let deployments = vec![refused, withdrawn, live];
        let environment = Environment { deployments, ..Environment::named("production") };
        assert_eq!(environment.pending(), None, "they changed nothing");
    }
}
