//! Workflows, runners, artifacts, caches, commits, concurrency groups, users and rate limits.

use super::words::Status;
use super::{List, Message, Time, answers};

answers! {
    /// A user.
    pub struct User {
        /// Id of the user.
        id: u64,
        /// Name.
        login: String,
    }

    /// Name of a repository.
    pub struct RepositoryName {
        /// Id of the repository.
        id: u64,
        /// `owner/name`.
        full_name: String,
    }

    /// A repository.
    pub struct Repository {
        /// Id of the repository.
        id: u64,
        /// `owner/name`.
        full_name: String,
        /// Whether it is private.
        private: bool,
        /// Whether it is archived, and therefore read-only.
        archived: bool,
        /// Name of the default branch.
        default_branch: String,
        /// Page of the repository in a browser.
        html_url: String,
        /// What the user of the token may do.
        permissions: Permissions,
    }

    /// What a user may do in a repository.
    pub struct Permissions {
        /// Change settings.
        admin: bool,
        /// Manage without changing settings.
        maintain: bool,
        /// Push.
        push: bool,
        /// Read.
        pull: bool,
    }

    /// A workflow of a repository.
    pub struct Workflow {
        /// Id of the workflow.
        id: u64,
        /// Name.
        name: String,
        /// Path of the file.
        path: String,
        /// `active`, or why it does not run: `disabled_manually`, `disabled_inactivity`, `deleted`.
        state: String,
        /// Page of the workflow in a browser.
        html_url: String,
    }

    /// A runner.
    pub struct Runner {
        /// Id of the runner.
        id: u64,
        /// Name.
        name: String,
        /// `online` or `offline`.
        status: String,
        /// Whether it runs a job.
        busy: bool,
        /// Operating system.
        os: String,
        /// Labels.
        labels: List<RunnerLabel>,
    }

    /// A label of a runner.
    pub struct RunnerLabel {
        /// The label.
        name: String,
    }

    /// An artifact.
    pub struct Artifact {
        /// Id of the artifact.
        id: u64,
        /// Name.
        name: String,
        /// Size in bytes.
        size_in_bytes: u64,
        /// `sha256:` and the digest.
        digest: String,
        /// Whether its files have been removed.
        expired: bool,
        /// Time at which it was created.
        created_at: Time,
        /// Time at which its files are removed.
        expires_at: Time,
        /// Run of the artifact.
        workflow_run: ArtifactRun,
    }

    /// Run of an artifact.
    pub struct ArtifactRun {
        /// Id of the run.
        id: u64,
        /// Branch or tag.
        head_branch: String,
        /// Id of the commit.
        head_sha: String,
    }

    /// A cache.
    pub struct Cache {
        /// Id of the cache.
        id: u64,
        /// Key.
        key: String,
        /// Full ref.
        r#ref: String,
        /// Size in bytes.
        size_in_bytes: u64,
        /// Time at which it was created.
        created_at: Time,
        /// Time of the last use.
        last_accessed_at: Time,
    }

    /// Use of a repository's caches.
    pub struct CacheUsage {
        /// Number of caches.
        active_caches_count: u64,
        /// Size in bytes.
        active_caches_size_in_bytes: u64,
    }

    /// A commit within another answer.
    pub struct Commit {
        /// Id of the commit.
        id: String,
        /// Message.
        message: Message,
        /// Author.
        author: Author,
        /// Time of the commit.
        timestamp: Time,
    }

    /// Author or committer of a commit.
    pub struct Author {
        /// Name.
        name: String,
        /// Time of writing the change, or of the commit.
        date: Time,
    }

    /// A commit in a list.
    pub struct ListedCommit {
        /// Id of the commit.
        sha: String,
        /// Message and author.
        commit: CommitText,
        /// Author as a user of the server.
        author: User,
        /// Page of the commit in a browser.
        html_url: String,
        /// Changed files.
        files: List<ChangedFile>,
    }

    /// Message and author of a commit.
    pub struct CommitText {
        /// Message.
        message: Message,
        /// Author.
        author: Author,
        /// Committer.
        committer: Author,
    }

    /// A changed file.
    pub struct ChangedFile {
        /// Path.
        filename: String,
        /// `added`, `modified`, `removed`, `renamed`.
        status: String,
        /// Number of added lines.
        additions: u64,
        /// Number of removed lines.
        deletions: u64,
    }

    /// Difference between two commits.
    pub struct Comparison {
        /// `ahead`, `behind`, `identical` or `diverged`.
        status: String,
        /// Number of commits that only the head has.
        ahead_by: u64,
        /// Number of commits that only the base has.
        behind_by: u64,
        /// Number of commits that only the head has, on all pages.
        total_commits: u64,
        /// The commits that only the head has, at most 250.
        commits: List<ListedCommit>,
        /// Changed files.
        files: List<ChangedFile>,
        /// Page of the difference in a browser.
        html_url: String,
    }

    /// A branch or tag.
    pub struct Branch {
        /// Name.
        name: String,
        /// Commit.
        commit: BranchCommit,
        /// Whether it is protected.
        protected: bool,
    }

    /// Commit of a branch or tag.
    pub struct BranchCommit {
        /// Id of the commit.
        sha: String,
    }

    /// Rate limits.
    pub struct RateLimits {
        /// The limits, by kind.
        resources: RateResources,
    }

    /// Rate limits by kind.
    pub struct RateResources {
        /// Limit of ordinary requests.
        core: RateLimit,
    }

    /// A rate limit.
    pub struct RateLimit {
        /// Number of requests in a window.
        limit: u64,
        /// Number of requests that are left.
        remaining: u64,
        /// Number of requests that were counted.
        used: u64,
        /// End of the window, in seconds since the Unix epoch.
        reset: u64,
    }

    /// A concurrency group.
    pub struct ConcurrencyGroup {
        /// Name of the group.
        group_name: String,
        /// Time at which a run or job last entered the group.
        last_acquired_at: Time,
        /// Runs and jobs in the group: the holder first.
        group_members: List<GroupMember>,
    }

    /// A run or job in a concurrency group.
    pub struct GroupMember {
        /// Id of the run.
        run_id: u64,
        /// Id of the job, if a job is the member.
        job_id: u64,
        /// Position, from 0 for the holder.
        position: u64,
        /// State.
        status: Status,
        /// Name of the run's workflow.
        run_name: String,
        /// Page of the run in a browser.
        run_html_url: String,
        /// Name of the job.
        job_name: String,
    }
}
