//! State of a run, the result of folding its records (see `store::RunStore`).

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::deployment::{DEPLOYMENT_EVENT, TrafficSample};
use super::{
    Annotation, Conclusion, EndReason, Explanation, JobId, PendingReview, Phase, Review, RunId, Service, Signal,
    StepKind, StepNumber, Timestamp, WorkingTree,
};

/// Maximum number of jobs that are named as the part of a workflow that was requested.
const MAX_PARTS: usize = 2;

/// Identity of a run, which is known before its first record. Branch, commit and number of changed files are those of
/// the newest attempt (see [`WorkingTree`]); the rest never changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// Id of the run.
    pub id: RunId,
    /// Repository as `owner/name`. Empty in index lines of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// Folder of a repository without a remote. It distinguishes such repositories, which are named by the last part of
    /// the folder only. `None` with a remote, and in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Path of the workflow file, relative to the repository.
    pub workflow: String,
    /// Name of the event that started the run.
    pub event: String,
    /// Branch or tag, without `refs/heads/` or `refs/tags/`.
    pub ref_name: String,
    /// Commit; empty in a repository without commits.
    pub sha: String,
    /// Number of files that differed from the commit, or were new, when the attempt started.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed: usize,
    /// What was requested of the workflow: its only jobs, and the only values in their matrices as `key=value`. Empty for
    /// the whole workflow, on a server, and in runs of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Time at which the run was created.
    pub created: Timestamp,
    /// The run on a server that this run mirrors; `None` for a run of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteRun>,
}

/// Identity of a repository. Several repositories may have the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepositoryId {
    /// Name as `owner/name`, in any case.
    pub name: String,
    /// Folder of a repository without a remote. `None` matches every repository with this name.
    pub folder: Option<PathBuf>,
}

impl RepositoryId {
    /// Returns the identity of all repositories of a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), folder: None }
    }

    /// Whether two repositories have the same name, in any case.
    #[must_use]
    pub fn is_named_like(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }

    /// Whether a run belongs to this repository. A run that has no folder recorded is compared by name alone.
    #[must_use]
    pub fn has(&self, run: &RunInfo) -> bool {
        let folders = self.folder.as_ref().zip(run.folder.as_ref());
        self.name.eq_ignore_ascii_case(&run.repository) && folders.is_none_or(|(wanted, folder)| wanted == folder)
    }
}

/// Whether a run belongs to the repository `home`, or is on a server and of a watched one. Always true without `home`.
#[must_use]
pub fn is_near(home: Option<&RepositoryId>, watched: &[RepositoryId], run: &RunInfo) -> bool {
    let is_watched = || run.remote.is_some() && watched.iter().any(|watched| watched.has(run));
    home.is_none_or(|home| home.has(run) || is_watched())
}

/// Identity of a run on a server, together with the repository of its [`RunInfo`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RemoteRun {
    /// Host name of the server, with its port if it has one: `github.com`.
    pub host: String,
    /// Id of the run on the server.
    pub id: u64,
    /// Number of the run among the runs of its workflow; 0 if it is not known.
    #[serde(default, skip_serializing_if = "is_no_number")]
    pub number: u64,
    /// Name of the workflow; empty if it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workflow: String,
    /// Kind of the server.
    #[serde(default)]
    pub kind: ServerKind,
    /// User who started the run; empty if the server named none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// Repository of the commit as `owner/name`, if it is a fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<String>,
}

/// Kind of a server with runs. It decides which operations the server offers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerKind {
    /// github.com, GitHub Enterprise Cloud or Server.
    #[default]
    GitHub,
    /// Gitea or Forgejo.
    Gitea,
}

impl ServerKind {
    /// Whether the API of this kind of server can cancel runs. Gitea offers this only on its web pages.
    #[must_use]
    pub const fn can_cancel(self) -> bool {
        matches!(self, Self::GitHub)
    }
}

/// Number of digits of a short commit.
const SHORT_SHA: usize = 7;

/// Returns the beginning of a commit's id, as it is shown.
#[must_use]
pub fn short_sha(sha: &str) -> &str {
    sha.get(..SHORT_SHA).unwrap_or(sha)
}

/// Returns a commit as it is shown, with the number of changed files: `b835125+3`.
fn marked(sha: &str, changed: usize) -> String {
    let sha = short_sha(sha);
    if changed == 0 { sha.to_owned() } else { format!("{sha}+{changed}") }
}

/// Returns the branch or tag of a ref; empty for a commit without either.
fn branch<'r>(ref_name: &'r str, sha: &str) -> &'r str {
    if ref_name == sha { "" } else { ref_name }
}

/// Returns branch and commit as they are shown, with the number of changed files: `main@b835125+3`.
pub(super) fn version(ref_name: &str, sha: &str, changed: usize) -> String {
    match (branch(ref_name, sha), marked(sha, changed)) {
        (branch, commit) if commit.is_empty() => branch.to_owned(),
        ("", commit) => commit,
        (branch, commit) => format!("{branch}@{commit}"),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_no_number(number: &u64) -> bool {
    *number == 0
}

impl RunInfo {
    /// Returns the kind of the run's server; `None` for a run of this machine.
    #[must_use]
    pub fn server(&self) -> Option<ServerKind> {
        self.remote.as_ref().map(|remote| remote.kind)
    }

    /// Whether the run is a deployment by this machine.
    #[must_use]
    pub fn is_deployment(&self) -> bool {
        self.event == DEPLOYMENT_EVENT && self.remote.is_none()
    }

    /// Returns the run as commands name it: `owner/name/17000000001` on a server, otherwise its id.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.remote {
            Some(remote) => format!("{}/{}", self.repository, remote.id),
            None => self.id.to_string(),
        }
    }

    /// Returns the workflow of a run on a server with the number of the run: `CI #12`. `None` if they are not known.
    #[must_use]
    pub fn numbered(&self) -> Option<String> {
        let remote = self.remote.as_ref().filter(|remote| remote.number > 0 && !remote.workflow.is_empty())?;
        Some(format!("{} #{}", remote.workflow, remote.number))
    }

    /// Returns the part of the workflow that was requested: `lint, test and 1 more`. `None` for the whole workflow.
    #[must_use]
    pub fn part(&self) -> Option<String> {
        let named = self.only[..self.only.len().min(MAX_PARTS)].join(", ");
        match self.only.len() {
            0 => None,
            parts if parts > MAX_PARTS => Some(format!("{named} and {} more", parts - MAX_PARTS)),
            _ => Some(named),
        }
    }

    /// Returns the branch or tag; empty for a commit without either.
    #[must_use]
    pub fn branch(&self) -> &str {
        branch(&self.ref_name, &self.sha)
    }

    /// Returns the commit as it is shown, with the number of changed files: `b835125+3`.
    #[must_use]
    pub fn commit(&self) -> String {
        marked(&self.sha, self.changed)
    }

    /// Returns branch and commit as they are shown: `main@b835125+3`.
    #[must_use]
    pub fn version(&self) -> String {
        version(&self.ref_name, &self.sha, self.changed)
    }

    /// Returns what ran: the workflow and its repository.
    #[must_use]
    pub fn origin(&self) -> String {
        match self.repository.as_str() {
            "" => self.workflow.clone(),
            repository => format!("{} of {repository}", self.workflow),
        }
    }
}

impl Job {
    /// Whether the job failed and made the run fail.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.allowed_failure && self.phase.conclusion().is_some_and(Conclusion::is_failure)
    }

    /// Returns the steps of the job that are held: several if some run in the background.
    pub fn held(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.phase.is_held())
    }

    /// Whether the job failed, but may fail without making the run fail.
    #[must_use]
    pub fn is_allowed_failure(&self) -> bool {
        self.allowed_failure && self.phase.conclusion().is_some_and(Conclusion::is_failure)
    }

    /// Returns the phase that is shown. A job with a held step waits for a person, unless another of its steps runs. A
    /// failure that is allowed is neutral.
    #[must_use]
    pub fn progress(&self) -> &Phase {
        if self.is_allowed_failure() {
            return &Phase::Done(Conclusion::Neutral);
        }
        let is_busy = self.phase != Phase::Running || self.steps.iter().any(|step| step.phase.is_active());
        self.held().next().filter(|_| !is_busy).map_or(&self.phase, |step| &step.phase)
    }

    /// Whether the job has ended and ran steps, but its log has not been loaded. Logs on a server are loaded after the
    /// job.
    #[must_use]
    pub fn lacks_log(&self) -> bool {
        self.phase.conclusion().is_some_and(|conclusion| conclusion != Conclusion::Skipped)
            && !self.steps.is_empty()
            && self.steps.iter().all(|step| step.lines == 0)
    }
}

/// State of a run, according to its records.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Identity of the run.
    pub info: RunInfo,
    /// Name of the run; the path of the workflow before the first record with a name.
    pub name: String,
    /// Number of the attempt, from 1; 0 before the first attempt.
    pub attempt: u32,
    /// Working trees of the attempts, by number. Those of a run on a server, and of later attempts in older versions,
    /// are not known.
    pub trees: BTreeMap<u32, WorkingTree>,
    /// Progress of the run.
    pub phase: Phase,
    /// Reason for the end, where no job explains it.
    pub reason: Option<EndReason>,
    /// Start of the current attempt; `None` before it.
    pub started: Option<Timestamp>,
    /// End of the current attempt; `None` before it.
    pub finished: Option<Timestamp>,
    /// Jobs, in the order of the file.
    pub jobs: IndexMap<JobId, Job>,
    /// Whether steps that fail are held.
    pub holds: bool,
    /// Environments that hold back jobs of the current attempt.
    pub reviews: Vec<PendingReview>,
    /// Reviews of all attempts, in the order in which they were recorded.
    pub reviewed: Vec<Review>,
    /// Highest sequence number folded so far.
    pub seq: u64,
}

impl Run {
    /// Returns the short title of the run: workflow and number on a server, otherwise its name.
    #[must_use]
    pub fn title(&self) -> String {
        self.info.numbered().unwrap_or_else(|| self.name.clone())
    }

    /// Returns the phase that is shown. A run with a held step waits for a person. If reviews hold back jobs and no job
    /// runs or is queued, the run waits for the first of these reviews.
    #[must_use]
    pub fn progress(&self) -> Phase {
        if let Some(step) = self.jobs.values().flat_map(Job::held).next().filter(|_| self.phase == Phase::Running) {
            return step.phase.clone();
        }
        let is_busy = |phase: &Phase| phase.is_active() || *phase == Phase::Queued;
        match self.reviews.first() {
            Some(review) if self.phase == Phase::Running && !self.jobs.values().any(|job| is_busy(&job.phase)) => {
                review.phase()
            }
            _ => self.phase.clone(),
        }
    }

    /// Whether a step of the run is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.jobs.values().any(|job| job.held().next().is_some())
    }

    /// Returns the number of the attempt with the working tree that it uses, if the tree is known: `attempt 2 with
    /// main@b835125+3`. For the first attempt, only the working tree; `None` if that is not known.
    #[must_use]
    pub fn named_attempt(&self) -> Option<String> {
        let Self { attempt, trees, .. } = self;
        let tree = trees.get(attempt).map(WorkingTree::version).filter(|tree| !tree.is_empty());
        match (*attempt > 1, tree) {
            (false, tree) => tree,
            (true, Some(tree)) => Some(format!("attempt {attempt} with {tree}")),
            (true, None) => Some(format!("attempt {attempt}")),
        }
    }

    /// Returns that a job was not run again in the current attempt: `kept from attempt 1`. `None` for a job that was, or
    /// that has not ended.
    #[must_use]
    pub fn kept_from(&self, job: &Job) -> Option<String> {
        let is_kept = job.attempt < self.attempt && job.phase.is_done();
        is_kept.then(|| format!("kept from attempt {}", job.attempt))
    }

    /// Returns the names of the files that differed from the commit, or were new, in the newest attempt whose working
    /// tree is known.
    #[must_use]
    pub fn uncommitted(&self) -> &[String] {
        self.trees.last_key_value().map_or(&[], |(_, tree)| &tree.files)
    }

    /// Returns the review that holds back a job; `None` if none does.
    #[must_use]
    pub fn review_of(&self, job: &Job) -> Option<&PendingReview> {
        self.reviews.iter().find(|review| review.jobs.contains(&job.id))
    }
}

/// State of a job.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    /// Id of the job in the run.
    pub id: JobId,
    /// Key of the job in the workflow file.
    pub key: String,
    /// Name of the job.
    pub name: String,
    /// Needed jobs.
    pub needs: Vec<JobId>,
    /// Environment that the job deploys to; `None` if it does not deploy.
    pub environment: Option<String>,
    /// URL of the environment, once known.
    pub environment_url: Option<String>,
    /// Page of the environment on the server that recorded the deployment; `None` if no server did.
    pub deployment_page: Option<String>,
    /// Job that calls the workflow of this job; `None` for a job of the run's own workflow.
    pub caller: Option<JobId>,
    /// Where the job runs, once it has started: this machine or a container. On a server, the runner with its labels.
    pub sandbox: Option<String>,
    /// Id of the job on its server, for a run on a server.
    pub remote: Option<u64>,
    /// Log that a runner on this machine writes while the job runs, for a run on a server. `None` if its runner is not
    /// on this machine.
    pub runner_log: Option<RunnerLog>,
    /// Attempt that the job's logs belong to: a job that was not rerun keeps an earlier one.
    pub attempt: u32,
    /// Progress of the job.
    pub phase: Phase,
    /// Whether the run can succeed although the job failed.
    pub allowed_failure: bool,
    /// Reason for the end.
    pub reason: Option<String>,
    /// Explanation of the job's condition, if it has one.
    pub explanation: Option<Explanation>,
    /// Start of the job.
    pub started: Option<Timestamp>,
    /// End of the job.
    pub finished: Option<Timestamp>,
    /// Outputs of the job.
    pub outputs: IndexMap<String, String>,
    /// Last known state of the services, by name.
    pub services: IndexMap<String, Service>,
    /// Traffic of a deployment's slots, sampled while it is in progress: the last samples, the newest last.
    pub traffic: VecDeque<TrafficSample>,
    /// Steps, by number.
    pub steps: Vec<Step>,
}

/// The log that a self-hosted runner on this machine writes while it carries out a job of a server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunnerLog {
    /// Name of the runner.
    pub runner: String,
    /// Why the log is not shown; `None` if it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// State of a step.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Number of the step in the job.
    pub number: StepNumber,
    /// Name of the step.
    pub name: String,
    /// Origin of the step.
    pub kind: StepKind,
    /// Whether later steps do not wait for the step to end.
    pub background: bool,
    /// Short name of a step of a deployment.
    pub label: Option<String>,
    /// Progress of the step; `Done` holds the conclusion after `continue-on-error`.
    pub phase: Phase,
    /// Result before `continue-on-error`, once the step has ended.
    pub outcome: Option<Conclusion>,
    /// Exit code of the process; `None` if it did not run or exit.
    pub exit_code: Option<i32>,
    /// Signal that killed the process; `None` if none did.
    pub signal: Option<Signal>,
    /// Reason for the end.
    pub reason: Option<String>,
    /// Explanation of the step's condition, if it has one.
    pub explanation: Option<Explanation>,
    /// Start of the step.
    pub started: Option<Timestamp>,
    /// End of the step.
    pub finished: Option<Timestamp>,
    /// Number of lines in the log. A last line without its newline counts.
    pub lines: u64,
    /// Length in bytes of the last line so far while it has no newline; 0 if the log ends with a newline.
    pub open: u64,
    /// Time of the last output; `None` if there was none.
    pub printed: Option<Timestamp>,
    /// Annotations, in order.
    pub annotations: Vec<Annotation>,
    /// Process groups of the step that are not known to have ended.
    pub process_groups: Vec<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_branch_commit_and_the_number_of_changes() {
        for (branch, sha, changed, expected) in [
            ("main", "b8351251ff", 0, "main@b835125"),
            ("main", "b8351251ff", 3, "main@b835125+3"),
            ("b8351251ff", "b8351251ff", 1, "b835125+1"),
            ("main", "", 2, "main@+2"),
            ("main", "", 0, "main"),
            ("", "", 0, ""),
        ] {
            let info = RunInfo { ref_name: branch.to_owned(), sha: sha.to_owned(), changed, ..RunInfo::default() };
            assert_eq!(info.version(), expected);
        }
    }

    #[test]
    fn runs_of_this_repository_and_of_watched_ones_are_near() {
        let run = |repository: &str, remote: Option<RemoteRun>| RunInfo {
            repository: repository.to_owned(),
            remote,
            ..RunInfo::default()
        };
        let (home, watched) = (RepositoryId::named("octo/app"), [RepositoryId::named("octo/lib")]);
        let remote = || Some(RemoteRun::default());
        for (run, expected) in [
            (run("octo/app", None), true),
            (run("Octo/App", remote()), true),
            (run("octo/lib", remote()), true),
            (run("octo/lib", None), false),
            (run("octo/other", remote()), false),
        ] {
            assert_eq!(is_near(Some(&home), &watched, &run), expected, "{}", run.repository);
            assert!(is_near(None, &watched, &run));
        }
    }
}
