//! State of one environment according to the ledger: its deployments, the live release, and its lock.

use std::collections::HashMap;

use super::{Action, Actor, Cause, Entry, Lock, Outcome, RecordedDeployment, ReleaseImage, UnreadableLine};
use crate::model::environment::{
    DeploymentSource, DeploymentState, Environment, EnvironmentDeployment, FOUND, Origin, Release,
};
use crate::model::{JobId, RunId, Timestamp};

/// A deployment, according to its entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentRecord {
    /// The run that carries it out.
    pub run: RunId,
    /// The environment.
    pub environment: String,
    /// The release.
    pub release: Release,
    /// The release that was live when the deployment began or, until then, when it was requested. `None` if there was
    /// none, or if it was not known.
    pub from: Option<Release>,
    /// Whether it is not known what was live, so that `from` is `None`.
    pub from_unknown: bool,
    /// The job that deploys; `None` if the run itself is the deployment.
    pub job: Option<JobId>,
    /// Why the deployment was made.
    pub cause: Cause,
    /// Who asked for the deployment.
    pub creator: Actor,
    /// Time of the request.
    pub created: Timestamp,
    /// Whether the deployment passed its gates.
    pub began: bool,
    /// Who approved the deployment; `None` if it was not approved.
    pub approved: Option<Actor>,
    /// Who rejected the deployment and why, in words; `None` if it was not rejected.
    pub rejected: Option<String>,
    /// Whether files with uncommitted changes are deployed with the commit.
    pub has_changes: bool,
    /// The image of the release; `None` until it is determined, and for a target without images.
    pub image: Option<ReleaseImage>,
    /// The deployment as its server records it; `None` if none does.
    pub recorded: Option<RecordedDeployment>,
    /// Why the server does not have the deployment or its present state. `None` if it does, or is not to have it.
    pub not_recorded: Option<String>,
    /// Whether the rules of the environment were overridden.
    pub overridden: bool,
    /// Whether a person has paused the deployment, and it was neither promoted nor aborted since.
    pub paused: bool,
    /// How the deployment ended; `None` if it has not ended.
    pub outcome: Option<Outcome>,
    /// Time at which the deployment ended; `None` if it has not.
    pub ended: Option<Timestamp>,
    /// Reason that the person gave for the deployment; may be empty.
    pub reason: String,
    /// Why the deployment ended, or why its release was stopped since; empty before, and for a plain success.
    pub end_reason: String,
}

/// Live release of an environment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
enum Serving {
    /// No deployment succeeded yet.
    #[default]
    Nothing,
    /// The release of the deployment with this index.
    Deployment(usize),
    /// Unknown, for this reason.
    Unknown(String),
}

/// An environment, according to the entries of the ledger.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct EnvironmentState {
    name: String,
    /// Oldest first.
    deployments: Vec<DeploymentRecord>,
    /// Indices of the deployments that began, in the order in which they did so for the first time.
    begun: Vec<usize>,
    serving: Serving,
    /// Releases that were found live, each with the index of the deployment that replaced it.
    found: Vec<(usize, Release)>,
    /// Index of the last deployment that succeeded, by the order of the entries: the clock may have been set back.
    last_success: Option<usize>,
    /// The last lock, unless a person unlocked it.
    lock: Option<Lock>,
}

/// Folds the entries of an environment into its state. The other fields are needed only while folding.
#[derive(Default)]
struct Fold {
    state: EnvironmentState,
    /// Index of the newest deployment, by run and job.
    index: HashMap<(RunId, Option<JobId>), usize>,
    /// Index of the deployment that began last.
    last_begun: Option<usize>,
    /// Live release before a deployment began, by the index of that deployment.
    before: HashMap<usize, Serving>,
}

impl Fold {
    fn add(&mut self, entry: &Entry) {
        let state = &mut self.state;
        match &entry.action {
            Action::Locked { until } => {
                let (by, reason) = (entry.by.clone(), entry.reason.clone());
                state.lock = Some(Lock { by, since: entry.at, until: *until, reason });
            }
            Action::Unlocked => state.lock = None,
            _ => {}
        }
        let Some(run) = &entry.deployment else { return };
        if let Action::Requested { release, from, cause } = &entry.action {
            let from_unknown = from.is_none() && !state.knows_live();
            self.index.insert((run.clone(), entry.job.clone()), state.deployments.len());
            state.deployments.push(DeploymentRecord {
                run: run.clone(),
                job: entry.job.clone(),
                environment: state.name.clone(),
                release: release.clone(),
                from: from.clone(),
                from_unknown,
                cause: cause.clone(),
                creator: entry.by.clone(),
                created: entry.at,
                began: false,
                approved: None,
                rejected: None,
                has_changes: false,
                image: None,
                recorded: None,
                not_recorded: None,
                overridden: false,
                paused: false,
                outcome: None,
                ended: None,
                reason: entry.reason.clone(),
                end_reason: String::new(),
            });
            return;
        }
        let newest = || self.index.get(&(run.clone(), entry.job.clone())).copied();
        let own = match &entry.action {
            Action::Recorded(of) => self.state.recorded_as(of, run, entry.job.as_ref()).or_else(newest),
            _ => newest(),
        };
        let has_ended = |index: usize| self.state.deployments[index].outcome.is_some();
        // A review without a job is about the open deployments of the run and of its jobs. A deployment that was
        // interrupted at its gates has ended in the ledger but may wait again, so that the review applies to it if no
        // deployment is open.
        let is_review = matches!(entry.action, Action::Approved | Action::Rejected);
        let open = if is_review && own.is_none_or(has_ended) { self.of_jobs(run) } else { Vec::new() };
        if !open.is_empty() {
            for index in open {
                self.apply(index, entry);
            }
        } else if let Some(index) = own {
            self.apply(index, entry);
        } else if matches!(entry.action, Action::Ended { outcome } if !outcome.is_undone()) {
            let why = format!("the live release is unknown: the ledger has the end of {run}, but not its request");
            self.state.serving = Serving::Unknown(why);
        }
    }

    /// Returns the deployments of a run and of its jobs that have not ended.
    fn of_jobs(&self, run: &RunId) -> Vec<usize> {
        let of_run = self.index.iter().filter(|((of, _), _)| of == run).map(|(_, index)| *index);
        of_run.filter(|index| self.state.deployments[*index].outcome.is_none()).collect()
    }

    /// Applies an entry to its deployment.
    fn apply(&mut self, index: usize, entry: &Entry) {
        let state = &mut self.state;
        // Another release may have gone live since the request.
        let live = match entry.action {
            Action::Began => state.live().map(|live| live.release.clone()),
            _ => None,
        };
        let knows_live = state.knows_live();
        let record = &mut state.deployments[index];
        match &entry.action {
            Action::Began => {
                if !record.began {
                    record.from = live;
                    // What a target reports is in a separate entry. A job asks none, and not every target can be asked.
                    record.from_unknown = !knows_live;
                    state.begun.push(index);
                }
                record.began = true;
                (record.outcome, record.ended) = (None, None);
                record.end_reason.clear();
                self.last_begun = Some(index);
                state.serving = self.before.entry(index).or_insert_with(|| state.serving.clone()).clone();
            }
            Action::Found { release } => {
                (record.from, record.from_unknown) = (release.clone(), false);
                state.found.extend(release.clone().map(|release| (index, release)));
            }
            Action::Approved => record.approved = Some(entry.by.clone()),
            Action::Rejected => {
                let why = if entry.reason.is_empty() { String::new() } else { format!(": {}", entry.reason) };
                record.rejected = Some(format!("rejected by {}{why}", entry.by.name()));
            }
            Action::Changed => record.has_changes = true,
            Action::Image(image) => record.image = Some(image.clone()),
            Action::Recorded(recorded) => {
                (record.recorded, record.not_recorded) = (Some(recorded.clone()), None);
            }
            Action::NotRecorded => record.not_recorded = Some(entry.reason.clone()),
            Action::Overrode => record.overridden = true,
            Action::Paused => record.paused = true,
            Action::Promoted { .. } => record.paused = false,
            Action::Resumed | Action::Aborted => {
                record.paused &= entry.action == Action::Resumed;
                // Another attempt: the deployment has not ended after all. What is live stays unknown until it begins.
                if matches!(record.outcome, Some(Outcome::Interrupted | Outcome::Failed)) {
                    (record.outcome, record.ended, record.end_reason) = (None, None, String::new());
                }
            }
            Action::Stopped => {
                record.end_reason.clone_from(&entry.reason);
                if state.serving == Serving::Deployment(index) {
                    state.serving = Serving::Nothing;
                }
            }
            Action::Ended { outcome } => {
                (record.outcome, record.ended) = (Some(*outcome), Some(entry.at));
                record.end_reason.clone_from(&entry.reason);
                self.ended(index, *outcome);
            }
            _ => {}
        }
    }

    /// Applies an unreadable line, which may record any action. The live release becomes unknown, and so does the
    /// release that is restored if a deployment in progress is undone.
    fn unreadable(&mut self, line: &UnreadableLine) {
        self.state.serving = Serving::Unknown(format!("the live release is unknown: {line}"));
        self.before.values_mut().for_each(|before| before.clone_from(&self.state.serving));
    }

    /// Applies the end of a deployment.
    fn ended(&mut self, index: usize, outcome: Outcome) {
        let state = &mut self.state;
        if outcome == Outcome::Succeeded {
            state.serving = Serving::Deployment(index);
            state.last_success = Some(index);
            return;
        }
        let record = &state.deployments[index];
        // A deployment that never began changed nothing. The end of an older deployment does not matter once a later
        // one began.
        if !record.began || self.last_begun != Some(index) {
            return;
        }
        if outcome.is_undone() {
            state.serving = self.before.get(&index).cloned().unwrap_or_default();
            return;
        }
        let how = if outcome == Outcome::Interrupted { "was interrupted" } else { "failed" };
        let why =
            format!("the live release is unknown: the deployment of {} {how} before its end", record.release.title());
        state.serving = Serving::Unknown(why);
    }
}

impl EnvironmentState {
    /// Folds the entries of an environment. `unreadable` contains the lines that may be about the environment.
    pub(super) fn fold<'l>(
        name: &str,
        entries: &[Entry],
        unreadable: impl Iterator<Item = &'l UnreadableLine>,
    ) -> Self {
        let mut fold = Fold { state: Self { name: name.to_owned(), ..Self::default() }, ..Fold::default() };
        let mut unreadable = unreadable.peekable();
        for (number, entry) in entries.iter().enumerate() {
            while let Some(line) = unreadable.next_if(|line| line.after <= number) {
                fold.unreadable(line);
            }
            if entry.environment == name {
                fold.add(entry);
            }
        }
        unreadable.for_each(|line| fold.unreadable(line));
        fold.state
    }

    /// Returns the index of the deployment that a server has under the id of `known`. A job that runs again deploys again
    /// for the same run, and the server has each of its deployments.
    fn recorded_as(&self, known: &RecordedDeployment, run: &RunId, job: Option<&JobId>) -> Option<usize> {
        self.deployments.iter().rposition(|record| {
            let of_job = record.run == *run && record.job.as_ref() == job;
            of_job && record.recorded.as_ref().is_some_and(|recorded| recorded.is_same(known))
        })
    }

    /// Returns the deployments, newest first.
    pub fn deployments(&self) -> impl Iterator<Item = &DeploymentRecord> {
        self.deployments.iter().rev()
    }

    /// Returns the deployment of a run; the newest one, if several jobs of the run deploy.
    #[must_use]
    pub fn deployment(&self, run: &RunId) -> Option<&DeploymentRecord> {
        self.deployments().find(|record| record.run == *run)
    }

    /// Returns the newest deployment of a job of a run.
    #[must_use]
    pub fn of_job(&self, run: &RunId, job: &JobId) -> Option<&DeploymentRecord> {
        self.deployments().find(|record| record.run == *run && record.job.as_ref() == Some(job))
    }

    /// Returns the release of a commit, under the name with which it was deployed last.
    #[must_use]
    pub fn release(&self, sha: &str) -> Option<&Release> {
        self.deployments().map(|record| &record.release).find(|release| release.sha == sha)
    }

    /// Returns the newest deployment of a commit whose image is known, among those that `counts` returns true for.
    #[must_use]
    pub fn with_image(&self, sha: &str, counts: impl Fn(&DeploymentRecord) -> bool) -> Option<&DeploymentRecord> {
        self.deployments().find(|record| record.release.sha == sha && record.image.is_some() && counts(record))
    }

    /// Returns the lock, unless it has ended at `now`.
    #[must_use]
    pub fn lock(&self, now: Timestamp) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| lock.until.is_none_or(|until| now < until))
    }

    /// Returns the last deployment that succeeded; `None` if none has.
    #[must_use]
    pub fn last_success(&self) -> Option<&DeploymentRecord> {
        self.last_success.map(|index| &self.deployments[index])
    }

    /// Returns the deployment whose release is live. `None` before the first success, and while the live release is
    /// unknown.
    #[must_use]
    pub fn live(&self) -> Option<&DeploymentRecord> {
        match self.serving {
            Serving::Deployment(index) => Some(&self.deployments[index]),
            Serving::Nothing | Serving::Unknown(_) => None,
        }
    }

    /// Whether the release of `record`, which must be one of these deployments, is live. Comparing the ids of runs
    /// would not be enough, because a run has several deployments if several of its jobs deploy.
    #[must_use]
    pub fn is_live(&self, record: &DeploymentRecord) -> bool {
        self.live().is_some_and(|live| std::ptr::eq(live, record))
    }

    /// Returns why the live release is unknown; `None` if it is known. Either a deployment left the target in an
    /// unknown state, or the ledger lacks the request of a deployment or has lines that cannot be read.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        match &self.serving {
            Serving::Unknown(why) => Some(why),
            Serving::Nothing | Serving::Deployment(_) => None,
        }
    }

    /// Whether it is known which release is live, or that none is: a deployment has succeeded, and the state is not unknown
    /// since. Before the first success, something else may serve.
    #[must_use]
    pub fn knows_live(&self) -> bool {
        match self.serving {
            Serving::Deployment(_) => true,
            Serving::Nothing => self.last_success.is_some(),
            Serving::Unknown(_) => false,
        }
    }

    /// Returns the release with this image that was found live, of which only the image is known.
    #[must_use]
    pub fn found_image(&self, id: &str) -> Option<&Release> {
        self.found.iter().map(|(_, release)| release).find(|release| release.is_image() && release.sha == id)
    }

    /// Returns the deployments that began after the deployment of `run`, the last one first. A deployment that was
    /// requested earlier may begin later, because it waited. If that of `run` did not begin, returns those that were
    /// requested after it and began.
    pub fn begun_after(&self, run: &RunId) -> impl Iterator<Item = &DeploymentRecord> {
        let is_run = |index: &usize| self.deployments[*index].run == *run;
        let requested = self.deployments.iter().rposition(|record| record.run == *run);
        let after: Vec<usize> = match self.begun.iter().rposition(is_run) {
            Some(at) => self.begun[at + 1..].to_vec(),
            None => self.begun.iter().copied().filter(|index| requested.is_none_or(|own| *index > own)).collect(),
        };
        after.into_iter().rev().map(move |index| &self.deployments[index])
    }

    /// Returns the deployment that began last after the deployment of `run`. What the older one left behind must then
    /// not be touched. `None` if there is no later one.
    #[must_use]
    pub fn superseded_by(&self, run: &RunId) -> Option<&DeploymentRecord> {
        self.begun_after(run).next()
    }

    /// Returns the deployment that began last, if it was left halfway: its worker died, or it failed and was not undone.
    #[must_use]
    pub fn left_halfway(&self) -> Option<&DeploymentRecord> {
        let last = self.begun.last().map(|index| &self.deployments[*index]);
        last.filter(|last| matches!(last.outcome, Some(Outcome::Interrupted | Outcome::Failed)))
    }

    /// Returns the environment in the form that environments on servers have.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Environment {
        // One that waited while another one began comes after it: what a rollback restores depends on that order.
        let mut begun = self.begun.iter().rev().copied();
        let mut deployments = Vec::new();
        for index in (0..self.deployments.len()).rev() {
            let index = if self.deployments[index].began { begun.next().unwrap_or(index) } else { index };
            let record = &self.deployments[index];
            deployments.push(record.shown(self.is_live(record)));
            deployments.extend(self.found_by(index));
        }
        Environment {
            source: DeploymentSource::Local,
            unknown: self.unknown().map(str::to_owned),
            deployments,
            locked: self.lock(now).map(|lock| lock.text(now)),
            ..Environment::named(&self.name)
        }
    }

    /// Returns the release that the deployment with this index found live and replaced, in the form that deployments have, so
    /// that a rollback can return to it. `None` if there is none, if it was not replaced, or if the last deployment of it
    /// from here did not succeed.
    fn found_by(&self, index: usize) -> Option<EnvironmentDeployment> {
        let (_, release) = self.found.iter().rfind(|(by, _)| *by == index)?;
        let record = &self.deployments[index];
        let last = self.deployments[..index].iter().rfind(|one| one.release.sha == release.sha);
        let is_halfway = last.is_some_and(|one| one.outcome != Some(Outcome::Succeeded));
        let serves = record.release.sha == release.sha || record.outcome.is_none_or(Outcome::is_undone);
        (!is_halfway && !serves).then(|| EnvironmentDeployment {
            release: release.clone(),
            state: DeploymentState::Inactive,
            succeeded: true,
            began: true,
            creator: String::new(),
            created: record.created,
            ended: None,
            description: FOUND.to_owned(),
            origin: Origin { is_found: true, ..Origin::default() },
            outcome: None,
            run: None,
            local: None,
            job: None,
            url: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment::{Ledger, RecordedState};

    fn release(tag: &str) -> Release {
        Release { sha: format!("{tag}-sha"), reference: tag.to_owned(), tag: Some(tag.to_owned()) }
    }

    fn entry(at: u64, run: &str, action: Action) -> Entry {
        let by = Actor { user: "ada".to_owned(), host: "web".to_owned(), email: String::new() };
        let deployment = (!run.is_empty()).then(|| RunId::new(run));
        let environment = "production".to_owned();
        Entry { at: Timestamp(at), by, environment, deployment, job: None, action, reason: String::new() }
    }

    fn ended(run: &str, outcome: Outcome) -> Entry {
        entry(9, run, Action::Ended { outcome })
    }

    /// Returns a deployment that began, and how it ended.
    fn deployed(run: &str, outcome: Outcome) -> Vec<Entry> {
        let requested = Action::Requested { release: release(run), from: None, cause: Cause::Manual };
        vec![entry(1, run, requested), entry(2, run, Action::Began), ended(run, outcome)]
    }

    fn state(entries: &[Vec<Entry>]) -> EnvironmentState {
        Ledger::new(entries.concat()).of("production")
    }

    /// Returns the live release, or why it is unknown.
    fn serving(state: &EnvironmentState) -> String {
        let live = state.live().map(|live| live.run.to_string());
        live.or_else(|| state.unknown().map(str::to_owned)).unwrap_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn the_last_success_is_live_whatever_was_undone_after_it() {
        let entries = [
            deployed("v1", Outcome::Succeeded),
            deployed("v2", Outcome::Succeeded),
            deployed("v3", Outcome::RolledBack),
        ];
        let state = state(&entries);
        assert_eq!(serving(&state), "v2");
        let environment = state.shown(Timestamp(99));
        let states: Vec<_> = environment.deployments.iter().map(|one| one.state.word().to_owned()).collect();
        assert_eq!(states, ["failure", "success", "inactive"]);
        assert_eq!(environment.current().map(|one| one.release.name().to_owned()), Some("v2".to_owned()));
        assert_eq!(Ledger::new(entries.concat()).of("staging").live(), None);
    }

    #[test]
    fn what_serves_is_unknown_until_a_later_success_and_what_was_undone_restores_what_was_before() {
        let failed = "the live release is unknown: the deployment of v2 v2-sha failed before its end";
        let interrupted = "the live release is unknown: the deployment of v2 v2-sha was interrupted before its end";
        let v1 = || deployed("v1", Outcome::Succeeded);
        let again = |outcome| vec![entry(4, "v2", Action::Began), ended("v2", outcome)];
        for (rest, expected) in [
            (vec![], "v1"),
            (vec![deployed("v2", Outcome::Failed)], failed),
            (vec![deployed("v2", Outcome::Interrupted)], interrupted),
            // The deployment began, and ended before it changed anything.
            (vec![deployed("v2", Outcome::Cancelled)], "v1"),
            (vec![deployed("v2", Outcome::Failed), deployed("v3", Outcome::Cancelled)], failed),
            // A rollback restores the previous state, which is unknown.
            (vec![deployed("v2", Outcome::Failed), deployed("v3", Outcome::RolledBack)], failed),
            (vec![deployed("v2", Outcome::Failed), deployed("v3", Outcome::Succeeded)], "v3"),
            (vec![deployed("v2", Outcome::Interrupted), again(Outcome::RolledBack)], "v1"),
            (vec![deployed("v2", Outcome::Interrupted), again(Outcome::Succeeded)], "v2"),
            // Once a later deployment began, the end of an earlier one changes nothing.
            (
                vec![
                    deployed("v2", Outcome::Succeeded),
                    deployed("v3", Outcome::Succeeded),
                    vec![ended("v2", Outcome::Failed)],
                ],
                "v3",
            ),
            // The request of the deployment is missing.
            (
                vec![deployed("v2", Outcome::Succeeded).split_off(1)],
                "the live release is unknown: the ledger has the end of v2, but not its request",
            ),
            (vec![deployed("v2", Outcome::RolledBack).split_off(1)], "v1"),
        ] {
            let entries: Vec<_> = [v1()].into_iter().chain(rest).collect();
            assert_eq!(serving(&state(&entries)), expected, "{entries:?}");
        }
        let never_begun = vec![deployed("v2", Outcome::Failed).remove(0), ended("v2", Outcome::Failed)];
        assert_eq!(serving(&state(&[v1(), never_begun])), "v1");
    }

    #[test]
    fn a_line_that_cannot_be_read_makes_what_serves_unknown_until_a_later_success() {
        let line = |after, environment: Option<&str>| UnreadableLine {
            position: "ledger:7".to_owned(),
            reason: "expected value".to_owned(),
            environment: environment.map(str::to_owned),
            after,
        };
        let why = "the live release is unknown: ledger:7 is not an entry of the ledger: expected value";
        let entries = [deployed("v1", Outcome::Succeeded), deployed("v2", Outcome::Succeeded)].concat();
        for (line, expected) in [
            (line(0, None), "v2"),
            (line(5, None), "v2"),
            (line(6, None), why),
            (line(6, Some("production")), why),
            (line(6, Some("staging")), "v2"),
        ] {
            let ledger = Ledger::with_unreadable(entries.clone(), vec![line.clone()]);
            assert_eq!(serving(&ledger.of("production")), expected, "{line:?}");
        }
    }

    #[test]
    fn a_rollback_restores_nothing_known_if_a_line_since_its_start_cannot_be_read() {
        let line = UnreadableLine {
            position: "ledger:6".to_owned(),
            reason: "expected value".to_owned(),
            environment: None,
            after: 5,
        };
        let entries = [deployed("v1", Outcome::Succeeded), deployed("v2", Outcome::RolledBack)].concat();
        let state = Ledger::with_unreadable(entries, vec![line]).of("production");
        assert_eq!(state.live(), None);
        assert!(state.unknown().is_some_and(|why| why.contains("ledger:6")), "{:?}", state.unknown());
    }

    #[test]
    fn what_was_left_halfway_is_named_with_its_commands_until_a_later_deployment_begins() {
        let left = |entries: &[Vec<Entry>]| {
            let state = state(entries);
            state.left_halfway().map(|record| (record.run.to_string(), record.ways_out().unwrap_or_default()))
        };
        let interrupted = deployed("v3", Outcome::Interrupted);
        let ways = |run: &str, ways: &str| Some((run.to_owned(), ways.to_owned()));
        let both = "`cuelight resume v3` or `cuelight abort production`";
        assert_eq!(left(std::slice::from_ref(&interrupted)), ways("v3", both));
        // A later deployment that was refused changes nothing.
        let mut refused = deployed("v4", Outcome::Failed);
        refused.remove(1);
        assert_eq!(left(&[interrupted.clone(), refused]), ways("v3", both));
        assert_eq!(left(&[interrupted.clone(), deployed("v4", Outcome::Succeeded)]), None);
        assert_eq!(left(&[deployed("v3", Outcome::Failed)]), ways("v3", "`cuelight abort production`"));
        assert_eq!(left(&[deployed("v3", Outcome::RolledBack)]), None);
        // Another attempt is in progress.
        for action in [Action::Resumed, Action::Aborted] {
            let again = vec![entry(10, "v3", action)];
            let entries = [interrupted.clone(), again];
            assert_eq!(left(&entries), None);
            let state = state(&entries);
            assert_eq!(state.deployments().next().map(|one| one.state_words(false)).as_deref(), Some("in progress"));
            assert!(state.unknown().is_some(), "it is still between two releases");
        }
    }

    #[test]
    fn two_jobs_of_a_run_are_two_deployments_whatever_the_order_of_their_entries() {
        let job = |job: &str, entry: Entry| Entry { job: Some(JobId::new(job)), ..entry };
        let [requested, began, _] = <[Entry; 3]>::try_from(deployed("v1", Outcome::Succeeded)).expect("three");
        let entries = vec![
            job("eu", requested.clone()),
            job("us", requested),
            job("eu", began.clone()),
            entry(3, "v1", Action::Approved),
            job("eu", ended("v1", Outcome::Succeeded)),
            job("us", entry(4, "v1", Action::Rejected)),
            job("us", ended("v1", Outcome::Failed)),
        ];
        let state = state(&[entries]);
        let of = |job: &str| state.of_job(&RunId::new("v1"), &JobId::new(job)).expect("known").clone();
        let (eu, us) = (of("eu"), of("us"));
        assert_eq!((eu.began, eu.outcome, eu.rejected), (true, Some(Outcome::Succeeded), None));
        assert_eq!((us.began, us.outcome), (false, Some(Outcome::Failed)));
        assert_eq!(us.rejected.as_deref(), Some("rejected by ada@web"));
        assert!(eu.approved.is_some() && us.approved.is_some(), "a review without a job is about both");
        assert_eq!(state.live().and_then(|live| live.job.clone()), Some(JobId::new("eu")));
    }

    #[test]
    fn a_deployment_that_waited_is_later_than_one_that_began_meanwhile() {
        let [requested, began, _] = <[Entry; 3]>::try_from(deployed("v1", Outcome::Succeeded)).expect("three");
        let meanwhile = deployed("v2", Outcome::Succeeded);
        let waits = state(&[vec![requested.clone()], meanwhile.clone()]);
        let later = |state: &EnvironmentState, run: &str| {
            state.superseded_by(&RunId::new(run)).map(|record| record.run.to_string())
        };
        assert_eq!((later(&waits, "v1").as_deref(), later(&waits, "v2")), (Some("v2"), None));
        let begun = state(&[vec![requested], meanwhile, vec![began]]);
        assert_eq!((later(&begun, "v1"), later(&begun, "v2").as_deref()), (None, Some("v1")));
        let runs = |state: &EnvironmentState| {
            let shown = state.shown(Timestamp(99)).deployments.into_iter();
            shown.map(|one| one.release.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(runs(&waits), ["v2", "v1"]);
        assert_eq!(runs(&begun), ["v1", "v2"]);
    }

    #[test]
    fn an_approved_deployment_is_queued_until_it_begins() {
        let [requested, began, _] = <[Entry; 3]>::try_from(deployed("v1", Outcome::Succeeded)).expect("three");
        let approved = || entry(1, "v1", Action::Approved);
        for (entries, expected) in [
            (vec![requested.clone()], DeploymentState::Waiting),
            (vec![requested.clone(), approved()], DeploymentState::Queued),
            (vec![requested.clone(), approved(), began.clone()], DeploymentState::InProgress),
        ] {
            let state = state(&[entries]);
            assert_eq!(state.deployment(&RunId::new("v1")).map(|record| record.state(false)), Some(expected));
        }
    }

    #[test]
    fn a_review_is_about_the_job_that_waits_and_not_about_an_ended_entry_of_an_older_version() {
        let old = deployed("v1", Outcome::Failed);
        let requested = Entry { job: Some(JobId::new("eu")), ..old[0].clone() };
        let state = state(&[old, vec![requested, entry(9, "v1", Action::Approved)]]);
        let record = state.of_job(&RunId::new("v1"), &JobId::new("eu")).expect("known");
        assert!(record.approved.is_some());
    }

    #[test]
    fn a_review_reaches_a_deployment_that_was_interrupted_at_its_gates() {
        let [requested, ..] = <[Entry; 3]>::try_from(deployed("v1", Outcome::Failed)).expect("three");
        for (action, is_approved) in [(Action::Approved, true), (Action::Rejected, false)] {
            let state = state(&[vec![requested.clone(), ended("v1", Outcome::Interrupted), entry(9, "v1", action)]]);
            let record = state.deployment(&RunId::new("v1")).expect("known");
            assert_eq!((record.approved.is_some(), record.rejected.is_some()), (is_approved, !is_approved));
        }
    }

    #[test]
    fn a_deployment_replaces_what_is_live_when_it_begins_and_not_when_it_was_requested() {
        let requested =
            |run: &str| Action::Requested { release: release(run), from: Some(release("v1")), cause: Cause::Manual };
        let waits = [
            deployed("v1", Outcome::Succeeded),
            vec![entry(3, "v0", requested("v0"))],
            deployed("v2", Outcome::Succeeded),
        ];
        let from = |more: Vec<Entry>| {
            let entries = [waits.concat(), more].concat();
            state(&[entries])
                .deployment(&RunId::new("v0"))
                .expect("known")
                .from
                .as_ref()
                .map(|from| from.name().to_owned())
        };
        assert_eq!(from(vec![]).as_deref(), Some("v1"));
        let began = || entry(10, "v0", Action::Began);
        assert_eq!(from(vec![began()]).as_deref(), Some("v2"));
        // What it left halfway does not change what it replaces.
        assert_eq!(from(vec![began(), ended("v0", Outcome::Interrupted), began()]).as_deref(), Some("v2"));
    }

    #[test]
    fn what_a_deployment_replaces_is_nothing_only_if_that_is_known() {
        let requested =
            |run: &str| entry(1, run, Action::Requested { release: release(run), from: None, cause: Cause::Manual });
        let began = |run: &str| vec![requested(run), entry(2, run, Action::Began)];
        let former = |entries: &[Vec<Entry>], run: &str| {
            state(entries).deployment(&RunId::new(run)).expect("requested").former()
        };
        assert_eq!(former(&[vec![requested("v1")]], "v1"), "unknown", "the target was not asked yet");
        assert_eq!(former(&[began("v1")], "v1"), "unknown", "the target cannot be asked");
        let none = vec![entry(2, "v1", Action::Found { release: None })];
        assert_eq!(former(&[began("v1"), none.clone()], "v1"), "nothing", "it was asked, and served nothing");
        // The release that is live according to the ledger was removed by hand.
        let again = [deployed("v0", Outcome::Succeeded), began("v1")];
        assert_eq!(former(&again, "v1"), "v0 v0-sha");
        assert_eq!(former(&[again.concat(), none], "v1"), "nothing");
        let failed = deployed("v1", Outcome::Failed);
        assert_eq!(former(&[failed.clone(), vec![requested("v2")]], "v2"), "unknown");
        assert_eq!(former(&[failed.clone(), began("v2")], "v2"), "unknown");
        let found = |release| vec![entry(2, "v2", Action::Found { release })];
        assert_eq!(former(&[failed.clone(), began("v2"), found(Some(release("v1")))], "v2"), "v1 v1-sha");
        assert_eq!(former(&[failed, began("v2"), found(None)], "v2"), "nothing");
        let stopped = vec![entry(9, "v1", Action::Stopped)];
        assert_eq!(former(&[deployed("v1", Outcome::Succeeded), stopped, vec![requested("v2")]], "v2"), "nothing");
        let job = Action::Requested { release: release("v1"), from: None, cause: Cause::Job };
        assert_eq!(former(&[vec![entry(1, "v1", job), entry(2, "v1", Action::Began)]], "v1"), "unknown");
    }

    #[test]
    fn a_rollback_can_return_to_an_image_that_ran_before_the_first_deployment() {
        use crate::model::rollback::RollbackRequest;

        const IMAGE: &str = "sha256:0123456789abcdef";
        let found = |run: &str, outcome| {
            let [requested, began, ended] = <[Entry; 3]>::try_from(deployed(run, outcome)).expect("three");
            vec![requested, began, entry(2, run, Action::Found { release: Release::of_image(IMAGE) }), ended]
        };
        let back = |state: &EnvironmentState, to: Option<&str>| {
            let request = RollbackRequest { to: to.map(str::to_owned), ..RollbackRequest::default() };
            let shown = state.shown(Timestamp(99));
            shown.rollback(&request).map(|(_, to)| to.release.sha.clone()).map_err(|error| error.to_string())
        };
        let adopted = state(&[found("v1", Outcome::Succeeded)]);
        assert_eq!(adopted.deployment(&RunId::new("v1")).expect("known").former(), "0123456 image");
        for to in [None, Some("0123456"), Some("sha256:0123")] {
            assert_eq!(back(&adopted, to).as_deref(), Ok(IMAGE), "{to:?}");
        }
        assert_eq!(adopted.found_image(IMAGE).map(Release::short), Some("0123456"));
        let later = state(&[found("v1", Outcome::Succeeded), deployed("v2", Outcome::Succeeded)]);
        assert_eq!(back(&later, None).as_deref(), Ok("v1-sha"));
        assert_eq!(back(&later, Some("0123456")).as_deref(), Ok(IMAGE));
        let names = |state: &EnvironmentState| {
            let shown = state.shown(Timestamp(99)).deployments.into_iter();
            shown.map(|one| (one.release.name().to_owned(), one.by())).collect::<Vec<_>>()
        };
        assert_eq!(names(&later)[2], ("0123456".to_owned(), FOUND.to_owned()));
        // It serves again, so it is not one that was replaced.
        assert_eq!(names(&state(&[found("v1", Outcome::RolledBack)])).len(), 1);
        // It still serves while the deployment is on its way.
        let [requested, began, was_found, _] = <[Entry; 4]>::try_from(found("v1", Outcome::Succeeded)).expect("four");
        assert_eq!(names(&state(&[vec![requested, began, was_found]])).len(), 1);
        // Another machine went back to v1, because v2 is bad: that is what a rollback of v3 returns to.
        let elsewhere = vec![entry(2, "v3", Action::Found { release: Some(release("v1")) })];
        let [requested, began, ended] = <[Entry; 3]>::try_from(deployed("v3", Outcome::Succeeded)).expect("three");
        let own = [deployed("v1", Outcome::Succeeded), deployed("v2", Outcome::Succeeded)];
        let v3 = state(&[own.concat(), vec![requested, began], elsewhere, vec![ended]]);
        assert_eq!(back(&v3, None).as_deref(), Ok("v1-sha"));
        // A release that an earlier deployment left halfway is not a release to return to.
        let left = vec![entry(2, "v2", Action::Found { release: Some(release("v1")) })];
        let [requested, began, ended] = <[Entry; 3]>::try_from(deployed("v2", Outcome::Succeeded)).expect("three");
        let halfway = state(&[deployed("v1", Outcome::Failed), vec![requested, began], left, vec![ended]]);
        assert!(back(&halfway, None).is_err(), "{:?}", back(&halfway, None));
    }

    #[test]
    fn an_interrupted_deployment_that_begins_again_is_open() {
        let state = state(&[deployed("v1", Outcome::Interrupted), vec![entry(9, "v1", Action::Began)]]);
        let record = state.deployment(&RunId::new("v1")).expect("known");
        assert_eq!((record.outcome, record.state(false)), (None, DeploymentState::InProgress));
    }

    #[test]
    fn the_reason_and_the_approver_of_a_deployment_outlive_its_end() {
        let because = |reason: &str, entry: Entry| Entry { reason: reason.to_owned(), ..entry };
        let cause = Cause::Rollback;
        let requested = Action::Requested { release: release("v1"), from: None, cause };
        let entries = vec![
            because("errors at checkout", entry(1, "v1", requested)),
            entry(1, "v1", Action::Overrode),
            entry(1, "v1", Action::Approved),
            entry(2, "v1", Action::Began),
            ended("v1", Outcome::Succeeded),
        ];
        let state = state(&[entries, vec![because("aborted", ended("v1", Outcome::RolledBack))]]);
        let record = state.deployment(&RunId::new("v1")).expect("known");
        assert_eq!((record.reason.as_str(), record.end_reason.as_str()), ("errors at checkout", "aborted"));
        let shown = state.shown(Timestamp(99)).deployments.remove(0);
        let by = "rollback by ada, approved by ada, rules overridden: errors at checkout; aborted";
        assert_eq!((shown.by_and_why().as_str(), shown.state_words().as_str()), (by, "rolled back"));
    }

    #[test]
    fn a_state_on_the_server_is_of_the_attempt_that_the_server_has_under_that_id() {
        let known = |id, state| {
            Action::Recorded(RecordedDeployment {
                server: "github.com".to_owned(),
                repository: "o/r".to_owned(),
                id,
                page: String::new(),
                state: Some(state),
            })
        };
        let attempt = |id| {
            let [requested, began, ended] = <[Entry; 3]>::try_from(deployed("v1", Outcome::Succeeded)).expect("three");
            vec![requested, began, entry(3, "v1", known(id, RecordedState::InProgress)), ended]
        };
        let later = vec![
            entry(9, "v1", known(2, RecordedState::Success)),
            // The second attempt has replaced the first one.
            entry(9, "v1", known(1, RecordedState::Inactive)),
        ];
        let of_job = |entry: Entry| Entry { job: Some(JobId::new("deploy")), ..entry };
        let entries = [attempt(1), attempt(2), later].concat().into_iter().map(of_job).collect();
        let state = state(&[entries]);
        let recorded: Vec<_> = state
            .deployments()
            .map(|record| record.recorded.as_ref().and_then(|known| Some((known.id, known.state?))))
            .collect();
        assert_eq!(recorded, [Some((2, RecordedState::Success)), Some((1, RecordedState::Inactive))]);
    }

    #[test]
    fn a_lock_ends_by_itself_or_by_a_person() {
        let locked = entry(5, "", Action::Locked { until: Some(Timestamp(10)) });
        let locked_state = state(&[vec![locked.clone()]]);
        assert!(locked_state.lock(Timestamp(9)).is_some() && locked_state.lock(Timestamp(10)).is_none());
        assert_eq!(state(&[vec![locked, entry(6, "", Action::Unlocked)]]).lock(Timestamp(7)), None);
    }
}
