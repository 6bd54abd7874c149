//! Groups of jobs that are one node of the graph: a job, the legs of a matrix, a called workflow.

use std::collections::{HashMap, HashSet};

use crate::model::{Conclusion, Job, JobId, Phase, Run, Timestamp};
use crate::ui::text;

use crate::app::state::has_failed;

/// Maximum number of failed members that are listed below their group.
const MAX_LISTED: usize = 3;

/// Jobs shown as one node of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    /// Jobs in the order of the file. The caller of a called workflow comes first.
    pub(super) jobs: Vec<JobId>,
    /// Indices of the needed groups.
    pub(super) needs: Vec<usize>,
    /// Whether the group has more than one job.
    pub(super) folded: bool,
}

/// Returns the groups of a run, in the order of the file. Without folding, every job except callers is a separate
/// group.
pub(super) fn groups(run: &Run, folded: bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut of_job: HashMap<&JobId, usize> = HashMap::new();
    let mut legs: HashMap<_, usize> = HashMap::new();
    run.jobs.values().for_each(|job| *legs.entry((&job.key, &job.caller)).or_default() += 1);
    let mut of_legs = HashMap::new();
    let callers: HashSet<&JobId> = run.jobs.values().filter_map(|job| job.caller.as_ref()).collect();
    for job in run.jobs.values() {
        // Without folding, the called jobs replace their caller.
        if !folded && callers.contains(&job.id) {
            continue;
        }
        let caller = job.caller.as_ref().filter(|_| folded).and_then(|caller| of_job.get(caller)).copied();
        let whose = (&job.key, &job.caller);
        let is_leg = folded && legs[&whose] > 1;
        let leg = is_leg.then(|| of_legs.get(&whose)).flatten().copied();
        if let Some(index) = caller.or(leg) {
            if caller.is_none() {
                let shared = common(&groups[index].name, plain(&job.name)).unwrap_or(&job.key).to_owned();
                groups[index].name = shared;
            }
            groups[index].jobs.push(job.id.clone());
            groups[index].folded = true;
            of_job.insert(&job.id, index);
            continue;
        }
        of_job.insert(&job.id, groups.len());
        if is_leg {
            of_legs.insert(whose, groups.len());
        }
        let name = if is_leg { plain(&job.name).to_owned() } else { job.name.clone() };
        groups.push(Group { name, jobs: vec![job.id.clone()], needs: Vec::new(), folded: false });
    }
    let needed = Needed { run, folded, of_job: &of_job };
    for (index, group) in groups.iter_mut().enumerate() {
        let jobs = group.jobs.iter().filter_map(|job| run.jobs.get(job));
        let mut needs: Vec<usize> = jobs.flat_map(|job| needed.by(job)).collect();
        needs.retain(|need| *need != index);
        needs.sort_unstable();
        needs.dedup();
        group.needs = needs;
    }
    groups
}

/// Resolves needs to groups. Without folding, the caller of a workflow has no group.
struct Needed<'r> {
    run: &'r Run,
    folded: bool,
    of_job: &'r HashMap<&'r JobId, usize>,
}

impl Needed<'_> {
    /// Returns the groups that a job needs. Without folding, a job of a called workflow without needs has the needs of
    /// its caller.
    fn by(&self, job: &Job) -> Vec<usize> {
        let mut needs: Vec<usize> = job.needs.iter().flat_map(|need| self.groups_of(need)).collect();
        let caller = job.caller.as_ref().filter(|_| !self.folded && needs.is_empty());
        if let Some(caller) = caller.and_then(|caller| self.run.jobs.get(caller)) {
            needs = self.by(caller);
        }
        needs
    }

    /// Returns the group of a job, or the groups of all jobs that it calls.
    fn groups_of(&self, id: &JobId) -> Vec<usize> {
        if let Some(own) = self.of_job.get(id) {
            return vec![*own];
        }
        let called = self.run.jobs.values().filter(|job| job.caller.as_ref() == Some(id) && job.id != *id);
        called.flat_map(|job| self.groups_of(&job.id)).collect()
    }
}

/// Minimum number of siblings that are joined into one node.
const MIN_SIBLINGS: usize = 4;

/// Returns the groups after joining siblings, which are groups of one job with the same needs and the same dependants.
/// `None` if fewer than [`MIN_SIBLINGS`] groups are siblings.
pub(super) fn with_siblings(groups: &[Group]) -> Option<Vec<Group>> {
    let mut dependants = vec![Vec::new(); groups.len()];
    for (index, group) in groups.iter().enumerate() {
        group.needs.iter().for_each(|need| dependants[*need].push(index));
    }
    let mut alike: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, group) in groups.iter().enumerate().filter(|(_, group)| !group.folded) {
        alike.entry((&group.needs, &dependants[index])).or_default().push(index);
    }
    let mut first_of: HashMap<usize, &[usize]> = HashMap::new();
    let mut joined = vec![false; groups.len()];
    for siblings in alike.values().filter(|siblings| siblings.len() >= MIN_SIBLINGS) {
        first_of.insert(siblings[0], siblings);
        siblings.iter().skip(1).for_each(|index| joined[*index] = true);
    }
    if first_of.is_empty() {
        return None;
    }
    let mut moved = vec![0; groups.len()];
    let mut folded: Vec<Group> = Vec::new();
    for (index, group) in groups.iter().enumerate().filter(|(index, _)| !joined[*index]) {
        let mut group = group.clone();
        if let Some(siblings) = first_of.get(&index) {
            group.name.push_str("...");
            group.jobs = siblings.iter().flat_map(|index| groups[*index].jobs.clone()).collect();
            group.folded = true;
            siblings.iter().for_each(|sibling| moved[*sibling] = folded.len());
        }
        moved[index] = folded.len();
        folded.push(group);
    }
    for group in &mut folded {
        group.needs = group.needs.iter().map(|need| moved[*need]).collect();
        group.needs.sort_unstable();
        group.needs.dedup();
    }
    Some(folded)
}

/// Returns the name of a matrix leg without its values.
fn plain(name: &str) -> &str {
    name.rfind(" (").filter(|_| name.ends_with(')')).map_or(name, |at| &name[..at])
}

/// Returns the words with which both names begin, without signs after the last; `None` if there are none.
fn common<'n>(name: &'n str, other: &str) -> Option<&'n str> {
    if name == other {
        return Some(name);
    }
    let words = name.split(' ').zip(other.split(' ')).take_while(|(one, other)| one == other);
    let length: usize = words.map(|(word, _)| word.len() + 1).sum();
    let common = name.get(..length.saturating_sub(1))?.trim_end_matches(|c: char| !c.is_alphanumeric());
    (!common.is_empty()).then_some(common)
}

impl Group {
    /// Returns the jobs of the group, without the caller if it has called jobs.
    pub(super) fn members<'r>(&self, run: &'r Run) -> Vec<&'r Job> {
        let jobs: Vec<&Job> = self.jobs.iter().filter_map(|job| run.jobs.get(job)).collect();
        let is_caller = |job: &&Job| jobs.iter().any(|other| other.caller.as_ref() == Some(&job.id));
        let called: Vec<&Job> = jobs.iter().copied().filter(|job| !is_caller(job)).collect();
        if called.is_empty() { jobs } else { called }
    }

    /// Returns the state of the group: the state of a failed job, else of a running job, else of a waiting job, or
    /// running if some jobs have already ended. If all jobs have ended without a failure, the group was skipped if all
    /// of them were, cancelled if one was, and succeeded otherwise.
    pub(super) fn phase(&self, run: &Run) -> Phase {
        let members = self.members(run);
        let all = |wanted: &dyn Fn(&Phase) -> bool| members.iter().all(|job| wanted(job.progress()));
        let any =
            |wanted: &dyn Fn(&Phase) -> bool| members.iter().map(|job| job.progress()).find(|phase| wanted(phase));
        if let [only] = members.as_slice() {
            return only.progress().clone();
        }
        if let Some(phase) = any(&has_failed) {
            return phase.clone();
        }
        if let Some(phase) = any(&Phase::is_active).or_else(|| any(&|phase| !phase.is_done())) {
            // A group is running if some of its jobs have ended and others wait.
            let begun = any(&Phase::is_done).is_some();
            return if begun && !phase.is_active() { Phase::Running } else { phase.clone() };
        }
        if all(&|phase| *phase == Phase::Done(Conclusion::Skipped)) {
            return Phase::Done(Conclusion::Skipped);
        }
        match any(&|phase| *phase == Phase::Done(Conclusion::Cancelled)) {
            Some(phase) => phase.clone(),
            None => Phase::Done(Conclusion::Success),
        }
    }

    /// Whether the group has failed. A cancelled group has not failed.
    pub(super) fn has_failed(&self, run: &Run) -> bool {
        has_failed(&self.phase(run))
    }

    /// Whether the group or one of its jobs contains all of these words.
    pub(super) fn holds(&self, words: &str, run: &Run) -> bool {
        let of = |job: &Job| text::holds(words, &[&self.name, &job.name, job.key.as_str(), job.phase.word()]);
        self.members(run).into_iter().any(of)
    }

    /// Whether a member ran in this attempt instead of being kept from an earlier one.
    pub(super) fn is_of(&self, attempt: u32, run: &Run) -> bool {
        self.members(run).iter().any(|job| job.attempt == attempt)
    }

    /// Returns the start of the first member of the latest attempt. If these members have ended, also returns the end
    /// of the last one. `None` before a member has started.
    pub(super) fn times(&self, run: &Run) -> Option<(Timestamp, Option<Timestamp>)> {
        // Members kept from an earlier attempt did not run in this one.
        let mut members = self.members(run);
        let latest = members.iter().map(|job| job.attempt).max();
        members.retain(|job| Some(job.attempt) == latest);
        let started = members.iter().filter_map(|job| job.started).min()?;
        let done = members.iter().all(|job| job.phase.is_done());
        Some((started, members.iter().filter_map(|job| job.finished).max().filter(|_| done)))
    }

    /// Returns the row with the reviewers below a single job that waits for a review; `None` for other groups.
    pub(super) fn review(&self, run: &Run) -> Option<String> {
        let review = run.review_of(self.jobs.first().and_then(|job| run.jobs.get(job)).filter(|_| !self.folded)?)?;
        let reviewers = review.reviewers.join(", ");
        Some(if reviewers.is_empty() { "needs review".to_owned() } else { format!("review by {reviewers}") })
    }

    /// Returns the members to list below the group, which failed or wait for a review, and the number of further ones.
    /// There are none for a group of one job.
    pub(super) fn wrong<'r>(&self, run: &'r Run) -> (Vec<&'r Job>, usize) {
        if !self.folded {
            return (Vec::new(), 0);
        }
        let bad = |job: &&Job| !job.allowed_failure && has_failed(job.progress());
        let listed = |job: &&Job| bad(job) || run.review_of(job).is_some();
        let mut wrong: Vec<&Job> = self.members(run).into_iter().filter(listed).collect();
        let more = wrong.len().saturating_sub(MAX_LISTED);
        wrong.truncate(MAX_LISTED);
        (wrong, more)
    }

    /// Returns the job that a row of the group leads to, counted from the row of its name: the member that is listed
    /// there, or else the first of those that are listed. Without any, the first member.
    pub(super) fn job_of_row(&self, row: usize, run: &Run) -> Option<JobId> {
        let (wrong, _) = self.wrong(run);
        let listed = row.checked_sub(1).and_then(|row| wrong.get(row)).or_else(|| wrong.first());
        listed.map(|job| job.id.clone()).or_else(|| self.jobs.first().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_joined_into_one_node() {
        let group = |name: &str, needs: &[usize]| Group {
            name: name.to_owned(),
            jobs: vec![JobId::new(name)],
            needs: needs.to_vec(),
            folded: false,
        };
        let three = [group("a", &[]), group("b", &[0]), group("c", &[0]), group("d", &[0]), group("e", &[1, 2, 3])];
        assert_eq!(with_siblings(&three), None);
        let mut four: Vec<Group> = ["b", "c", "d", "e"].map(|name| group(name, &[0])).into();
        four.insert(0, group("a", &[]));
        four.push(group("other", &[0]));
        four.push(group("end", &[1, 2, 3, 4]));
        let folded = with_siblings(&four).expect("siblings");
        let nodes: Vec<_> =
            folded.iter().map(|group| (group.name.as_str(), group.jobs.len(), group.needs.clone())).collect();
        assert_eq!(nodes, [("a", 1, vec![]), ("b...", 4, vec![0]), ("other", 1, vec![0]), ("end", 1, vec![1])]);
    }

    #[test]
    fn the_name_of_a_group_has_no_matrix_values() {
        assert_eq!(plain("Test (3.12, linux)"), "Test");
        assert_eq!(plain("Test (a) b"), "Test (a) b");
        assert_eq!(plain("Test"), "Test");
        for (name, other, shared) in [
            ("Test", "Test", Some("Test")),
            ("Test 1 a", "Test 1 b", Some("Test 1")),
            ("Test 1", "Test 2 b", Some("Test")),
            ("Test / linux", "Test / mac", Some("Test")),
            ("linux", "mac", None),
            ("tests", "test", None),
            ("- a", "- b", None),
        ] {
            assert_eq!(common(name, other), shared, "{name} {other}");
        }
    }

    #[test]
    fn legs_with_values_in_their_names_are_one_group_under_what_the_names_share() {
        use crate::app::fixture::{header, run, script};
        use crate::model::JobOutline;
        use crate::model::testing::outline;
        use crate::store::runs::RunStore;
        let named = |names: &[&str]| {
            let legs = names.iter().enumerate().map(|(at, name)| {
                let leg = outline(&format!("test.{at}"), name, &[]);
                JobOutline { key: "test".to_owned(), ..leg }
            });
            let (mut store, mut script) = (RunStore::default(), script());
            store.open(header(run()));
            script.start(legs.collect());
            script.records.iter().for_each(|record| store.apply(&run(), record));
            let found = groups(store.run(&run()).expect("open"), true);
            found.iter().map(|group| (group.name.clone(), group.jobs.len())).collect::<Vec<_>>()
        };
        assert_eq!(named(&["Test 1 a", "Test 1 b", "Test 2 a"]), [("Test".to_owned(), 3)]);
        assert_eq!(named(&["Linux", "Mac", "Windows"]), [("test".to_owned(), 3)]);
        assert_eq!(named(&["Test (1)", "Test (2)"]), [("Test".to_owned(), 2)]);
    }

    #[test]
    fn the_rows_of_a_group_lead_to_what_failed() {
        use crate::app::fixture::{header, run, script};
        use crate::model::JobOutline;
        use crate::model::testing::outline;
        use crate::store::runs::RunStore;
        let leg = |id, name| JobOutline { key: "test".to_owned(), ..outline(id, name, &[]) };
        let (mut store, mut script) = (RunStore::default(), script());
        store.open(header(run()));
        script.start(vec![outline("lint", "Lint", &[]), leg("test", "Test (1)"), leg("test-2", "Test (2)")]);
        script.at(1).job("test-2", "Test (2)", &["Run"]);
        script.at(2).job_end("test-2", Conclusion::Failure);
        script.records.iter().for_each(|record| store.apply(&run(), record));
        let run = store.run(&run()).expect("open");
        let all = groups(run, true);
        let tests = all.iter().find(|group| group.folded && group.has_failed(run)).expect("a failed leg");
        let failed = tests.wrong(run).0[0].id.clone();
        assert_ne!(tests.jobs.first(), Some(&failed), "the first leg is not the one that failed");
        // The row of its name, the row of the leg, and one below the listed legs.
        for row in 0..3 {
            assert_eq!(tests.job_of_row(row, run), Some(failed.clone()), "row {row}");
        }
        let lint = all.iter().find(|group| !group.folded).expect("a single job");
        assert_eq!(lint.job_of_row(0, run).as_ref(), lint.jobs.first());
    }
}
