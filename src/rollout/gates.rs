//! Gates: the rules that a deployment must pass before it begins, in order. The functions are pure.
//!
//! Each gate has a sentence that explains why it is closed and who can open it. On this machine, gates are a convention
//! between people, not a protection: anyone who can start the program can also change the settings. The ledger records
//! every decision and override.

use std::time::Duration;

use crate::model::deployment::{
    Actor, Cause, DeploymentRecord, EnvironmentSettings, EnvironmentState, Ledger, Outcome, RefRule, written,
};
use crate::model::environment::Release;
use crate::model::{Gate, ReviewRefusal, Timestamp};
use crate::workflow::pattern::FilterPattern;

use super::release::NamedRelease;

/// Kinds of gates that can hold back a deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GateKind {
    /// The rule about branches and tags.
    Policy,
    /// The commit must first succeed in another environment.
    After,
    /// The environment is locked.
    Lock,
    /// A weekly time without deployments.
    Freeze,
    /// A person must approve.
    Approval,
    /// The wait timer.
    Wait,
}

/// A gate that is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// The gate.
    pub kind: GateKind,
    /// Why the gate is closed, and who or what opens it.
    pub sentence: String,
    /// When the gate opens by itself. `None` if it does not, or if the time is not known.
    pub until: Option<Timestamp>,
}

/// Gates that refuse a request.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|closed| closed.sentence.as_str()).collect::<Vec<_>>().join("\n"))]
pub struct Refused(pub Vec<Closed>);

impl Refused {
    /// Checks that none of the gates refuses a request.
    ///
    /// # Errors
    /// The gates that refuse it.
    pub fn check(closed: &[Closed]) -> Result<(), Self> {
        let refused: Vec<Closed> = closed.iter().filter(|closed| closed.refuses()).cloned().collect();
        if refused.is_empty() { Ok(()) } else { Err(Self(refused)) }
    }
}

/// The facts on which the gates depend.
#[derive(Clone, Copy, Debug)]
pub struct GateFacts<'f> {
    /// Settings of the environment.
    pub settings: &'f EnvironmentSettings,
    /// State of the environment, according to the ledger.
    pub state: &'f EnvironmentState,
    /// The deployment; `None` before it is requested.
    pub record: Option<&'f DeploymentRecord>,
    /// The current time.
    pub now: Timestamp,
    /// The current minute of the week in local time, from Monday 00:00.
    pub minute_of_week: u16,
}

impl Closed {
    /// Whether the gate refuses a request, instead of letting the deployment wait until the gate opens.
    #[must_use]
    pub fn refuses(&self) -> bool {
        matches!(self.kind, GateKind::Policy | GateKind::After | GateKind::Lock | GateKind::Freeze)
    }

    /// Whether the gate also holds back a rollback. The restored release has passed the other gates before.
    #[must_use]
    pub fn holds_rollbacks(&self) -> bool {
        self.kind == GateKind::Lock
    }

    /// Returns the gate in the form used in the state of a run.
    #[must_use]
    pub fn gate(&self, environment: &str) -> Gate {
        match (self.kind, self.until) {
            (GateKind::Approval, _) => Gate::Review(environment.to_owned()),
            (GateKind::Wait, Some(until)) => Gate::Timer { environment: environment.to_owned(), until },
            _ => Gate::Rule(self.sentence.clone()),
        }
    }
}

/// Returns the gates that reject the release itself: because of uncommitted changes, because of its branches and tags,
/// or because it has not succeeded in an environment that comes first.
#[must_use]
pub fn policy(settings: &EnvironmentSettings, ledger: &Ledger, release: &NamedRelease) -> Vec<Closed> {
    let closed = |kind, sentence| Closed { kind, sentence, until: None };
    let mut all = Vec::from_iter(uncommitted(settings, &release.release, &release.uncommitted));
    if let Some(only) = refused_by_name(settings, &release.tags, &release.branches) {
        let what = match (release.tags.as_slice(), release.branches.as_slice()) {
            ([], []) => "it has no tag and is on no branch".to_owned(),
            ([], branches) => format!("it has no tag and is on {}", branches.join(", ")),
            (tags, _) => format!("its tags are {}", tags.join(", ")),
        };
        let sentence = format!("{only}, and {} is not: {what}", release.release.title());
        all.push(closed(GateKind::Policy, sentence));
    }
    for before in &settings.after {
        if !has_succeeded(&ledger.of(before), &release.release) {
            let sha = release.release.short();
            let sentence = format!(
                "{} has not succeeded in {before}: deploy it there first with `cuelight deploy {before} {sha}`",
                release.release.title()
            );
            all.push(closed(GateKind::After, sentence));
        }
    }
    all
}

/// Returns the gate that rejects files that differ from the commit of a release, because rules about a release apply to
/// its commit. `None` if there are no changed files or no rules.
fn uncommitted(settings: &EnvironmentSettings, release: &Release, files: &[String]) -> Option<Closed> {
    let files = named(files).filter(|_| !settings.on.is_empty() || !settings.after.is_empty())?;
    let (name, title) = (&settings.name, release.title());
    let sentence = format!(
        "only a commit may be deployed to {name}, and {files} changed since {title}: commit or stash the changes, then \
         start again"
    );
    Some(Closed { kind: GateKind::Policy, sentence, until: None })
}

/// Checks the files that differ from the commit of a release. Other files may have changed since [`policy`] checked the
/// request.
///
/// # Errors
/// The gate that refuses them.
pub fn check_files(settings: &EnvironmentSettings, release: &Release, files: &[String]) -> Result<(), Refused> {
    Refused::check(uncommitted(settings, release, files).as_slice())
}

/// Maximum number of files that a sentence names.
const MAX_NAMED: usize = 3;

/// Returns files in words; `None` without any.
fn named(files: &[String]) -> Option<String> {
    let first = files.iter().take(MAX_NAMED).map(|file| format!("`{file}`")).collect::<Vec<_>>();
    match (first.as_slice(), files.len().saturating_sub(MAX_NAMED)) {
        ([], _) => None,
        ([one], 0) => Some(format!("{one} has")),
        ([all @ .., last], 0) => Some(format!("{} and {last} have", all.join(", "))),
        (first, more) => Some(format!("{} and {more} more have", first.join(", "))),
    }
}

/// Returns what may be deployed to an environment, such as `only tag:v* may be deployed to production`, if a release
/// with these tags at its commit and these branches that contain it may not.
#[must_use]
pub fn refused_by_name(settings: &EnvironmentSettings, tags: &[String], branches: &[String]) -> Option<String> {
    if settings.on.is_empty() || settings.on.iter().any(|rule| allows(rule, tags, branches)) {
        return None;
    }
    let rules: Vec<_> = settings.on.iter().map(RefRule::written).collect();
    Some(format!("only {} may be deployed to {}", rules.join(" or "), settings.name))
}

fn allows(rule: &RefRule, tags: &[String], branches: &[String]) -> bool {
    let fits = |pattern: &str, names: &[String]| {
        FilterPattern::parse(pattern).is_ok_and(|pattern| names.iter().any(|name| pattern.matches(name)))
    };
    match rule {
        RefRule::PullRequest => true,
        RefRule::Push(pattern) => fits(pattern, branches),
        RefRule::Tag(pattern) => fits(pattern, tags),
    }
}

/// Whether a commit has been deployed to an environment successfully and without uncommitted changes.
#[must_use]
pub fn has_succeeded(state: &EnvironmentState, release: &Release) -> bool {
    let of_commit = |record: &DeploymentRecord| record.release.sha == release.sha;
    let is_clean = |record: &DeploymentRecord| !record.has_changes;
    state
        .deployments()
        .any(|record| of_commit(record) && is_clean(record) && record.outcome == Some(Outcome::Succeeded))
}

/// Returns the gates that hold a deployment back now, in order. Returns no gates if the deployment may begin, or if the
/// rules were overridden for it. [`policy`] checks the rules about the release itself.
#[must_use]
pub fn closed(facts: &GateFacts<'_>) -> Vec<Closed> {
    let GateFacts { settings, state, record, now, minute_of_week } = *facts;
    let name = &settings.name;
    if record.is_some_and(|record| record.overridden) {
        return Vec::new();
    }
    let mut all = Vec::new();
    if let Some(lock) = state.lock(now) {
        let sentence = format!("{name} is {}; `cuelight unlock {name}` opens it", lock.text(now));
        all.push(Closed { kind: GateKind::Lock, sentence, until: lock.until });
    }
    if let Some(window) = settings.freeze.iter().find(|window| window.contains(minute_of_week)) {
        let sentence = format!("{name} is frozen ({}, local time)", window.written());
        all.push(Closed { kind: GateKind::Freeze, sentence, until: None });
    }
    if !settings.reviewers.is_empty() && record.is_none_or(|record| record.approved.is_none()) {
        let own = if settings.prevent_self_review { ", but not by the person who deploys" } else { "" };
        let by = format!("an approval by one of {}{own}", settings.reviewers.join(", "));
        // Before the request, there is nothing to approve.
        let sentence = match record {
            Some(record) => format!("waits for {by}: `cuelight approve {name} --run {}`", record.run),
            None => format!("needs {by}"),
        };
        all.push(Closed { kind: GateKind::Approval, sentence, until: None });
    }
    if !settings.wait.is_zero() {
        let waited = record.map_or(Duration::ZERO, |record| now.since(record.created));
        if waited < settings.wait {
            let left = Duration::from_secs(settings.wait.saturating_sub(waited).as_secs_f64().ceil() as u64);
            let sentence = match record {
                Some(_) => format!("waits {} of {}", written(left), written(settings.wait)),
                None => format!("waits {} before it begins", written(settings.wait)),
            };
            let until = record.map(|record| record.created.after(settings.wait));
            all.push(Closed { kind: GateKind::Wait, sentence, until });
        }
    }
    if record.is_some_and(|record| record.cause == Cause::Rollback) {
        all.retain(Closed::holds_rollbacks);
    }
    all
}

/// Returns why a person may not review a deployment; `None` if the person may.
#[must_use]
pub fn refusal(settings: &EnvironmentSettings, creator: &Actor, by: &Actor) -> Option<ReviewRefusal> {
    if settings.reviewers.is_empty() {
        return Some(ReviewRefusal::NoReviewers);
    }
    if !settings.reviewers.iter().any(|reviewer| by.is(reviewer)) {
        return Some(ReviewRefusal::NotReviewer);
    }
    (settings.prevent_self_review && by.is_same(creator)).then_some(ReviewRefusal::OwnDeployment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunId;
    use crate::model::deployment::{Action, Entry, Freeze, Strategy};
    use crate::rollout::testing::{NO_EFFECT, release, settings};

    fn person(user: &str) -> Actor {
        Actor { user: user.to_owned(), host: "web".to_owned(), email: format!("{user}@example.com") }
    }

    fn entry(at: u64, environment: &str, action: Action) -> Entry {
        Entry {
            at: Timestamp(at),
            by: person("ada"),
            environment: environment.to_owned(),
            deployment: Some(RunId::new("r1")),
            job: None,
            action,
            reason: "a reason".to_owned(),
        }
    }

    fn named(tag: &str, branches: &[&str]) -> NamedRelease {
        let branches = branches.iter().map(|branch| (*branch).to_owned()).collect();
        NamedRelease { release: release(tag), tags: vec![tag.to_owned()], branches, uncommitted: Vec::new() }
    }

    fn requested(environment: &str) -> Entry {
        let action = Action::Requested { release: release("v1"), from: None, cause: Cause::Manual };
        entry(1000, environment, action)
    }

    #[test]
    fn a_release_passes_by_its_tag_or_branch_and_after_other_environments() {
        let rules = |on: &[RefRule], after: &[&str]| EnvironmentSettings {
            on: on.to_vec(),
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            ..settings(Strategy::Recreate, 1, NO_EFFECT)
        };
        let tag = RefRule::Tag("v*".to_owned());
        let main = RefRule::Push("main".to_owned());
        let none = Ledger::default();
        let closed = |settings: &EnvironmentSettings, ledger: &Ledger, release: &NamedRelease| {
            policy(settings, ledger, release).into_iter().map(|closed| closed.sentence).collect::<Vec<_>>()
        };
        let empty: Vec<String> = Vec::new();
        assert_eq!(closed(&rules(&[], &[]), &none, &named("v1", &[])), empty);
        assert_eq!(closed(&rules(std::slice::from_ref(&tag), &[]), &none, &named("v1", &[])), empty);
        assert_eq!(closed(&rules(std::slice::from_ref(&main), &[]), &none, &named("v1", &["main"])), empty);
        let title = release("rc").title();
        assert_eq!(
            closed(&rules(&[tag, main], &[]), &none, &named("rc", &["topic"])),
            [format!("only tag:v* or push:main may be deployed to production, and {title} is not: its tags are rc")]
        );
        let after = rules(&[], &["staging"]);
        let waits = closed(&after, &none, &named("v1", &[]));
        assert!(waits[0].ends_with(&format!("`cuelight deploy staging {}`", release("v1").short())), "{waits:?}");
        let ended = |outcome| entry(2000, "staging", Action::Ended { outcome });
        let failed = Ledger::new(vec![requested("staging"), ended(Outcome::RolledBack)]);
        assert_eq!(closed(&after, &failed, &named("v1", &[])).len(), 1);
        let succeeded = Ledger::new(vec![requested("staging"), ended(Outcome::Succeeded)]);
        assert_eq!(closed(&after, &succeeded, &named("v1", &[])), empty);
    }

    #[test]
    fn uncommitted_changes_satisfy_no_rule_here_or_later() {
        let with = |files: &[&str]| {
            let uncommitted = files.iter().map(|file| (*file).to_owned()).collect();
            NamedRelease { uncommitted, ..named("v1", &["main"]) }
        };
        let rules = |on: &[RefRule], after: &[&str]| EnvironmentSettings {
            on: on.to_vec(),
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            ..settings(Strategy::Recreate, 1, NO_EFFECT)
        };
        let succeeded = entry(2000, "staging", Action::Ended { outcome: Outcome::Succeeded });
        let clean = Ledger::new(vec![requested("staging"), succeeded.clone()]);
        let title = release("v1").title();
        for rules in [
            rules(&[RefRule::Tag("v*".to_owned())], &[]),
            rules(&[RefRule::Push("main".to_owned())], &[]),
            rules(&[RefRule::PullRequest], &[]),
            rules(&[], &["staging"]),
        ] {
            assert_eq!(policy(&rules, &clean, &with(&[])), []);
            for (files, words) in [
                (&["a"][..], "`a` has"),
                (&["a", "b"], "`a` and `b` have"),
                (&["a", "b", "c", "d", "e"], "`a`, `b`, `c` and 2 more have"),
            ] {
                let closed = policy(&rules, &clean, &with(files));
                let expected = format!(
                    "only a commit may be deployed to production, and {words} changed since {title}: commit or stash the changes, \
                     then start again"
                );
                assert_eq!(closed.iter().map(|one| &one.sentence).collect::<Vec<_>>(), [&expected]);
                assert!(closed[0].refuses());
            }
        }
        assert_eq!(policy(&rules(&[], &[]), &clean, &with(&["a"])), [], "without rules, anything may be deployed");
        let changed = entry(1500, "staging", Action::Changed);
        let dirty = Ledger::new(vec![requested("staging"), changed, succeeded]);
        let closed = policy(&rules(&[], &["staging"]), &dirty, &with(&[]));
        assert_eq!(closed.iter().map(|one| one.kind).collect::<Vec<_>>(), [GateKind::After]);
    }

    #[test]
    fn a_deployment_is_held_with_a_sentence_until_its_gates_open() {
        let settings = EnvironmentSettings {
            reviewers: vec!["olu".to_owned()],
            wait: Duration::from_mins(10),
            freeze: Freeze::parse("Mon 00:00 - Mon 01:00").into_iter().collect(),
            ..settings(Strategy::Recreate, 1, NO_EFFECT)
        };
        let mut entries = vec![requested("production"), entry(1500, "production", Action::Locked { until: None })];
        let kinds = |entries: &[Entry], now: u64, minute_of_week: u16| {
            let state = Ledger::new(entries.to_vec()).of("production");
            let facts = GateFacts {
                settings: &settings,
                state: &state,
                record: state.deployment(&RunId::new("r1")),
                now: Timestamp(now),
                minute_of_week,
            };
            closed(&facts)
        };
        let all = kinds(&entries, 181_000, 5);
        let words: Vec<_> = all.iter().map(|closed| (closed.kind, closed.sentence.as_str())).collect();
        assert_eq!(
            words,
            [
                (
                    GateKind::Lock,
                    "production is locked by ada@web since 1970-01-01 00:00 UTC: a reason; `cuelight unlock production` opens it"
                ),
                (GateKind::Freeze, "production is frozen (Mon 00:00 - Mon 01:00, local time)"),
                (GateKind::Approval, "waits for an approval by one of olu: `cuelight approve production --run r1`"),
                (GateKind::Wait, "waits 7m of 10m"),
            ]
        );
        // Before a deployment is requested, nothing waits, and nothing can be approved.
        let state = Ledger::new(Vec::new()).of("production");
        let facts =
            GateFacts { settings: &settings, state: &state, record: None, now: Timestamp(1000), minute_of_week: 60 };
        let before: Vec<_> = closed(&facts).into_iter().map(|closed| closed.sentence).collect();
        assert_eq!(before, ["needs an approval by one of olu", "waits 10m before it begins"]);
        entries.push(entry(1600, "production", Action::Unlocked));
        entries.push(entry(1700, "production", Action::Approved));
        let left = kinds(&entries, 181_000, 60);
        assert_eq!(left.iter().map(|closed| closed.kind).collect::<Vec<_>>(), [GateKind::Wait]);
        assert_eq!(left[0].until, Some(Timestamp(601_000)));
        assert_eq!(kinds(&entries, 601_000, 60), []);
        entries.truncate(2);
        entries.push(entry(1800, "production", Action::Overrode));
        assert_eq!(kinds(&entries, 2000, 5), [], "an override opens all of them");
    }

    #[test]
    fn reviewers_are_people_and_not_who_deploys() {
        let settings = EnvironmentSettings {
            reviewers: vec!["ada".to_owned(), "olu@example.com".to_owned()],
            prevent_self_review: true,
            ..settings(Strategy::Recreate, 1, NO_EFFECT)
        };
        let refused = |by: &str| refusal(&settings, &person("ada"), &person(by));
        assert_eq!(refused("olu"), None);
        assert_eq!(refused("ada"), Some(ReviewRefusal::OwnDeployment));
        assert_eq!(refused("eve"), Some(ReviewRefusal::NotReviewer));
    }
}
