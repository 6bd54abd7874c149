//! Runs, jobs and steps.

use super::repository::{Commit, RepositoryName, User};
use super::words::{Ending, Status};
use super::{List, Time, answers};

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
        /// Commit.
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
        /// Commit.
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

impl Run {
    /// Returns the path of the workflow's file, without the ref that may follow it; empty if the server names none.
    #[must_use]
    pub fn workflow_path(&self) -> &str {
        let path = self.path.as_deref().unwrap_or_default();
        path.split_once('@').map_or(path, |(path, _)| path)
    }
}
