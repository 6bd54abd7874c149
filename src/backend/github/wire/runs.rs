//! Runs, jobs and steps.

use std::time::Duration;

use crate::model::Timestamp;

use super::repository::{Commit, RepositoryName, User};
use super::words::{Ending, Status};
use super::{List, Time, answers};

/// How long after an end its conclusion may still be missing.
const CONCLUSION_DELAY: Duration = Duration::from_mins(1);

answers! {
    /// A run, or one attempt of it.
    pub struct Run {
        /// Id of the run.
        id: u64,
        /// Name of the workflow.
        name: String,
        /// Title: the `run-name`, or the first line of the commit's message.
        display_title: String,
        /// Path of the workflow file, sometimes with `@` and a ref.
        path: String,
        /// Id of the workflow.
        workflow_id: u64,
        /// Number of the run, counted per workflow.
        run_number: u64,
        /// Number of the attempt, from 1.
        run_attempt: u32,
        /// Name of the event.
        event: String,
        /// State.
        status: Status,
        /// How it ended.
        conclusion: Ending,
        /// Branch or tag.
        head_branch: String,
        /// Id of the commit.
        head_sha: String,
        /// Commit with its message.
        head_commit: Commit,
        /// Repository of the commit.
        head_repository: RepositoryName,
        /// Repository of the workflow.
        repository: RepositoryName,
        /// User whose action started the run.
        actor: User,
        /// User who started this attempt.
        triggering_actor: User,
        /// Time at which the run was created.
        created_at: Time,
        /// Start of this attempt.
        run_started_at: Time,
        /// Time of the last change.
        updated_at: Time,
        /// Page of the run in a browser.
        html_url: String,
        /// Pull requests of the commit.
        pull_requests: List<PullRequest>,
        /// Workflows that were called.
        referenced_workflows: List<ReferencedWorkflow>,
        /// Id of the check suite.
        check_suite_id: u64,
        /// Address of the previous attempt.
        previous_attempt_url: String,
    }

    /// A pull request of a run.
    pub struct PullRequest {
        /// Number in the repository.
        number: u64,
    }

    /// A workflow called by a run.
    pub struct ReferencedWorkflow {
        /// `OWNER/REPOSITORY/PATH@REF`.
        path: String,
        /// Commit of the file.
        sha: String,
    }

    /// A job of one attempt.
    pub struct Job {
        /// Id of the job.
        id: u64,
        /// Id of the run.
        run_id: u64,
        /// Number of the attempt.
        run_attempt: u32,
        /// Name with all expressions evaluated.
        name: String,
        /// State.
        status: Status,
        /// How it ended.
        conclusion: Ending,
        /// Time at which the job was queued.
        created_at: Time,
        /// Start.
        started_at: Time,
        /// End.
        completed_at: Time,
        /// Steps, in order; empty before the start.
        steps: List<Step>,
        /// Labels that a runner must have.
        labels: List<String>,
        /// Name of the runner.
        runner_name: String,
        /// Id of the runner.
        runner_id: u64,
        /// Group of the runner.
        runner_group_name: String,
        /// Page of the job in a browser.
        html_url: String,
        /// Name of the workflow.
        workflow_name: String,
        /// Id of the commit.
        head_sha: String,
    }

    /// A step of a job.
    pub struct Step {
        /// Number in the job, from 1. Numbers may have gaps.
        number: u32,
        /// Name.
        name: String,
        /// State.
        status: Status,
        /// How it ended.
        conclusion: Ending,
        /// Start.
        started_at: Time,
        /// End.
        completed_at: Time,
    }
}

impl Job {
    /// Whether a runner took the job.
    #[must_use]
    pub fn has_run(&self) -> bool {
        self.steps.as_ref().is_some_and(|steps| !steps.items.is_empty())
            || self.runner_name.as_ref().is_some_and(|name| !name.is_empty())
    }
}

impl Run {
    /// Returns the path of the workflow's file, without the ref that may follow it; empty if the server names none.
    #[must_use]
    pub fn workflow_path(&self) -> &str {
        let path = self.path.as_deref().unwrap_or_default();
        path.split_once('@').map_or(path, |(path, _)| path)
    }

    /// Treats a completed run without a conclusion as in progress for a minute after its end. The conclusion may come
    /// late, and a recorded end is final.
    pub fn settle(&mut self, now: Timestamp) {
        settle(&mut self.status, self.conclusion.as_ref(), self.updated_at, now);
    }
}

impl Job {
    /// Treats the job and its steps as [`Run::settle`] treats a run. If the job or any step then counts as in progress,
    /// the job is in progress without a conclusion.
    pub fn settle(&mut self, now: Timestamp) {
        let mut is_open = settle(&mut self.status, self.conclusion.as_ref(), self.completed_at, now);
        for step in self.steps.iter_mut().flat_map(|steps| &mut steps.items) {
            is_open |= settle(&mut step.status, step.conclusion.as_ref(), step.completed_at, now);
        }
        if is_open {
            (self.status, self.conclusion) = (Some(Status::InProgress), None);
        }
    }
}

/// Sets a completed status back to in progress if it is recent and lacks a conclusion. Returns whether it did.
fn settle(status: &mut Option<Status>, conclusion: Option<&Ending>, ended: Option<Time>, now: Timestamp) -> bool {
    let is_recent = ended.is_some_and(|ended| now.since(ended.0) < CONCLUSION_DELAY);
    let is_open = *status == Some(Status::Completed) && conclusion.is_none() && is_recent;
    if is_open {
        *status = Some(Status::InProgress);
    }
    is_open
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_end_without_a_conclusion_counts_after_a_minute() {
        let time = "2026-01-15T09:00:00Z";
        let ended = super::super::time(time).expect("a time");
        let later = |seconds: u64| Timestamp(ended.0 + seconds * 1000);
        for (conclusion, at, expected) in [
            (json!(null), later(59), Status::InProgress),
            (json!(null), later(60), Status::Completed),
            (json!("success"), later(0), Status::Completed),
            // The clock of the server is ahead.
            (json!(null), Timestamp(ended.0 - 300_000), Status::InProgress),
        ] {
            let one = json!({"status": "completed", "conclusion": conclusion, "completed_at": time});
            let mut run: Run = serde_json::from_value(json!({"status": "completed", "conclusion": conclusion,
                "updated_at": time}))
            .expect("a run");
            let mut job: Job = serde_json::from_value(json!({"status": "completed", "conclusion": conclusion,
                "completed_at": time, "steps": [one]}))
            .expect("a job");
            run.settle(at);
            job.settle(at);
            let step = job.steps.expect("steps").items.remove(0);
            for status in [run.status, job.status, step.status] {
                assert_eq!(status.as_ref(), Some(&expected), "{conclusion} {at:?}");
            }
        }
    }

    #[test]
    fn a_job_is_in_progress_until_all_its_steps_have_ended() {
        let time = "2026-01-15T09:00:00Z";
        let ended = super::super::time(time).expect("a time");
        for (seconds, expected) in [(59, (Status::InProgress, None)), (60, (Status::Completed, Some(Ending::Success)))]
        {
            let step = json!({"status": "completed", "completed_at": time});
            let mut job: Job = serde_json::from_value(json!({"status": "completed", "conclusion": "success",
                "completed_at": time, "steps": [step]}))
            .expect("a job");
            job.settle(Timestamp(ended.0 + seconds * 1000));
            assert_eq!((job.status, job.conclusion), (Some(expected.0), expected.1), "{seconds}");
        }
    }
}
