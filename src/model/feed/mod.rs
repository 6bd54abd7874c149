//! The interface between backends and user interfaces.
//!
//! [`Feed`] flows from the backend and [`Request`] to it, over two channels per backend (see `backend::Backend`). The
//! screen folds the reports and shows the result; it never reads a folder, a socket or a server itself.
//!
//! The list of runs comes in pages, newest first: the first page is sent unprompted, older ones on
//! [`Request::ListMore`]. So the cost of the first page and its updates does not depend on the number of runs.

mod connection;
mod startable;

use std::time::Duration;

pub use connection::{Connection, Polling, Trouble};
pub use startable::{BrokenWorkflow, Input, InputKind, StartableJob, StartableWorkflow, WorkflowServer};

use super::environment::Environment;
use super::lane::{DeploymentPreview, Lane, LaneRequest};
use super::lane_details::LaneDetails;
use super::rights::KnownRights;
use super::rollback::{Rollback, RollbackRequest};
use super::stored::{JobSummary, StoredFile};
use super::unavailable::Unavailable;
use super::{Command, Expected, JobId, Preview, Record, Reply, RepositoryId, RunId, RunInfo, Service, Summary};

/// A report of a backend.
#[derive(Clone, Debug)]
pub enum Feed {
    /// A page of the list of runs: the newest runs, an update of them, or the answer to [`Request::ListMore`].
    Listed {
        /// Runs, newest first, without gaps.
        runs: Vec<Summary>,
        /// Whether there are older runs than the last one.
        more: bool,
        /// The only repository whose runs are listed; `None` for all repositories.
        of: Option<RepositoryId>,
    },
    /// Updated runs, which may be outside the listed pages.
    Updated(Vec<Summary>),
    /// A run was started by [`Request::Start`] or [`Request::Dispatch`]. It has already been listed.
    Started(RunId),
    /// A run was started because files changed. It has already been listed.
    Triggered(RunId),
    /// A run is followed from now on. Its records follow.
    Opened(RunInfo),
    /// How long a followed run that has not ended is expected to take, if earlier runs allow an estimate.
    Expected {
        /// The run.
        run: RunId,
        /// The expected times.
        expected: Expected,
    },
    /// Records of a followed run, in order. Earlier records may be repeated.
    Records {
        /// The run.
        run: RunId,
        /// The records.
        records: Vec<Record>,
    },
    /// A run was removed.
    Removed(RunId),
    /// Answer to [`Request::Submit`]. The effects of an accepted command follow as records.
    Replied {
        /// The run.
        run: RunId,
        /// The command that was submitted.
        command: Command,
        /// The answer.
        reply: Reply,
    },
    /// The workflows that can be started here. Sent again when their files change.
    Startable(Vec<StartableWorkflow>),
    /// The workflows of servers that can be started by a dispatch. Answer to [`Request::ListDispatchable`].
    Dispatchable(Vec<StartableWorkflow>),
    /// What the user's token may change in each repository on a server, as far as it is known.
    Rights(KnownRights),
    /// The repositories on servers whose runs are listed: those in the settings, and that of the checkout.
    Watched(Vec<RepositoryId>),
    /// The workflows here that have errors, and cannot be started. Sent again when their files change.
    Broken(Vec<BrokenWorkflow>),
    /// Nothing was started: the repository is not trusted to run on this machine.
    Untrusted {
        /// Number of the question, used in [`Request::Trust`].
        question: u64,
        /// Jobs that start once the repository is trusted.
        preview: Preview,
    },
    /// The services of the Compose file of the current repository. Sent again when they change.
    Compose(Vec<Service>),
    /// The artifacts and cache entries that [`Request::ListStored`] asked for cannot be listed.
    StoredUnreadable {
        /// The run.
        run: RunId,
        /// The reason.
        reason: String,
    },
    /// The artifacts of a run, and the cache entries of its repository: answer to [`Request::ListStored`].
    Stored {
        /// The run.
        run: RunId,
        /// The files.
        files: Vec<StoredFile>,
    },
    /// The job summaries of a run: answer to [`Request::ListSummaries`].
    Summaries {
        /// The run.
        run: RunId,
        /// The summaries, in the order of the jobs.
        summaries: Vec<JobSummary>,
        /// Why there are none; `None` if the steps wrote none, or if there are some.
        missing: Option<String>,
    },
    /// Branch and commit that are checked out, with the number of changed files: `main@b835125+3`. Answer to
    /// [`Request::ReadHead`].
    Head(String),
    /// State of watch mode; `None` when it is off.
    Watching(Option<Watching>),
    /// The environments of a repository on a server: answer to [`Request::ListEnvironments`].
    Environments {
        /// The repository, as requested.
        repository: String,
        /// The environments of the repository.
        environments: Vec<Environment>,
    },
    /// The environments of this machine, in the order in which releases go through them. Sent once they were read, even
    /// if there are none, and again when they change.
    Lanes(Vec<Lane>),
    /// Why the environments of this machine cannot be read. Those of an earlier [`Feed::Lanes`] stay. Sent again when the
    /// reason changes.
    LanesUnreadable(String),
    /// Details of an environment of this machine: answer to [`Request::DescribeLane`].
    LaneDetails(Box<LaneDetails>),
    /// Why the details that [`Request::DescribeLane`] asked for cannot be read.
    LaneDetailsUnreadable {
        /// Name of the environment.
        environment: String,
        /// The reason.
        reason: String,
    },
    /// The release of a [`LaneRequest::Plan`] does not exist.
    UnknownRelease {
        /// Name of the environment.
        environment: String,
        /// Why there is no such release, for people.
        reason: String,
    },
    /// What a deployment or a rollback would do: answer to [`LaneRequest::Plan`] and [`LaneRequest::PlanRollback`].
    DeploymentPlanned {
        /// Number of the question, used in [`LaneRequest::Start`].
        question: u64,
        /// The answer.
        preview: Box<DeploymentPreview>,
    },
    /// What a rollback would do: answer to [`Request::PlanRollback`].
    RollbackPlanned {
        /// The repository, as requested.
        repository: String,
        /// The rollback.
        rollback: Box<Rollback>,
    },
    /// State of the connection to the source of the runs. It counts as live before the first report.
    Connection(Connection),
    /// When servers are polled next, and how many requests are left; `None` while no server is polled.
    Polling(Option<Polling>),
    /// The run of the demo has succeeded. Its test can be broken now: [`Request::BreakDemo`].
    DemoSucceeded,
    /// A message to the user.
    Notice(Notice),
}

/// State of watch mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watching {
    /// File name of the only workflow to run; `None` for every workflow that a push of the change would run.
    pub workflow: Option<String>,
    /// First changed file and number of changed files; `None` while no run is pending.
    pub changed: Option<(String, usize)>,
    /// What a pending run waits for.
    pub waits: Waits,
}

/// What a run in watch mode waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// Until no file has changed for this long.
    ForQuiet(Duration),
    /// Until the run that it replaces has ended.
    ForRun,
}

/// A message to the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Whether the message reports a failure.
    pub bad: bool,
    /// Text, in one line.
    pub text: String,
}

impl Notice {
    /// Creates a neutral message.
    pub fn news(text: impl Into<String>) -> Self {
        Self { bad: false, text: text.into() }
    }

    /// Creates a message that reports a failure.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { bad: true, text: text.into() }
    }

    /// Creates a message that an operation is not possible. It reports no failure if the screen changes nothing at all.
    pub fn refused(text: impl Into<String>, reason: Unavailable) -> Self {
        Self { bad: !matches!(reason, Unavailable::ReadOnly | Unavailable::Replay), text: text.into() }
    }
}

/// A request to a backend. A request that fails is answered with [`Feed::Notice`] unless stated otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// List older runs. Answered by [`Feed::Listed`].
    ListMore {
        /// Oldest run listed so far.
        before: RunId,
        /// Maximum number of runs to list.
        limit: usize,
        /// Repository whose runs are wanted; `None` for those of all repositories.
        of: Option<RepositoryId>,
    },
    /// Follow a run: send [`Feed::Opened`] and all its records, then new records as they arrive. Sent for each run that
    /// the user selects; runs that were followed before may stay followed.
    Follow(RunId),
    /// Load the log of an ended job of a followed run on a server. The lines of the log follow as records.
    LoadLog {
        /// The run.
        run: RunId,
        /// The job.
        job: JobId,
    },
    /// Submit a command to a run. Answered by [`Feed::Replied`].
    Submit {
        /// The run.
        run: RunId,
        /// The command.
        command: Command,
    },
    /// Bring the user's changes into the files of a job whose step is held. Answered by [`Feed::Notice`].
    SyncHeld {
        /// The run.
        run: RunId,
        /// The job.
        job: JobId,
    },
    /// Start a run. Answered by [`Feed::Started`] or [`Feed::Untrusted`].
    Start {
        /// File of the workflow.
        workflow: String,
        /// Name of the event.
        event: String,
        /// Inputs, by name.
        inputs: Vec<(String, String)>,
        /// Names of the secrets to pass from the environment.
        secrets: Vec<String>,
        /// Where jobs without a container run; `None` for the configured sandbox.
        sandbox: Option<String>,
    },
    /// Read what is checked out. Answered by [`Feed::Head`].
    ReadHead,
    /// List the workflows of servers that can be started by a dispatch: those of the current checkout, and of the
    /// repository of a run. Answered by [`Feed::Dispatchable`].
    ListDispatchable {
        /// The run; `None` for the current checkout alone.
        run: Option<RunId>,
    },
    /// Start a workflow on a server. Answered by [`Feed::Started`] once the server has the run.
    Dispatch {
        /// Repository as `[HOST/]OWNER/NAME`.
        repository: String,
        /// File of the workflow.
        workflow: String,
        /// Branch or tag.
        git_ref: String,
        /// Inputs, by name. The server adds the defaults.
        inputs: Vec<(String, String)>,
    },
    /// Enable or disable the workflow of a run on a server. Answered by [`Feed::Notice`].
    EnableWorkflow {
        /// The run.
        run: RunId,
        /// Whether to enable it.
        enable: bool,
    },
    /// Trust the repository and start the run that [`Feed::Untrusted`] asked about. Answered like the original request.
    /// A question becomes invalid when the next one is asked.
    Trust {
        /// Number of the question in [`Feed::Untrusted`].
        question: u64,
    },
    /// Remove a run. Answered by [`Feed::Removed`].
    Delete(RunId),
    /// Start or stop a service of the Compose file of the current repository. Answered by [`Feed::Notice`].
    Compose {
        /// Name of the service.
        service: String,
        /// Whether to start it.
        starts: bool,
    },
    /// List the artifacts of a run, and the cache entries of its repository. Answered by [`Feed::Stored`] or
    /// [`Feed::StoredUnreadable`].
    ListStored(RunId),
    /// List the job summaries of a run. Answered by [`Feed::Summaries`].
    ListSummaries(RunId),
    /// Download an artifact into the folder in which the screen was opened. Answered by [`Feed::Notice`].
    Download {
        /// The run.
        run: RunId,
        /// The artifact.
        file: StoredFile,
    },
    /// Delete an artifact of a run, or a cache entry of its repository. Answered by [`Feed::Notice`] and
    /// [`Feed::Stored`].
    DeleteStored {
        /// The run.
        run: RunId,
        /// The file.
        file: StoredFile,
    },
    /// List the environments of a repository on a server. Answered by [`Feed::Environments`].
    ListEnvironments {
        /// The repository: `HOST/OWNER/REPO`.
        repository: String,
    },
    /// Read the environments of this machine again, and ask their targets what runs. Answered by [`Feed::Lanes`].
    ListLanes,
    /// Read the details of an environment of this machine. Answered by [`Feed::LaneDetails`] or
    /// [`Feed::LaneDetailsUnreadable`].
    DescribeLane {
        /// Name of the environment.
        environment: String,
    },
    /// Act on an environment of this machine.
    Lane(LaneRequest),
    /// Plan a rollback. Answered by [`Feed::RollbackPlanned`].
    PlanRollback {
        /// The repository: `HOST/OWNER/REPO`.
        repository: String,
        /// The request.
        request: RollbackRequest,
    },
    /// Roll back. Answered by [`Feed::Started`].
    RollBack {
        /// The repository: `HOST/OWNER/REPO`.
        repository: String,
        /// The rollback, as it was planned.
        rollback: Box<Rollback>,
    },
    /// Start watch mode: watch the files of the repository, and run the workflows that a push of a change would run.
    /// Answered by [`Feed::Watching`] or [`Feed::Untrusted`].
    WatchFiles {
        /// Path of the only workflow to run; `None` for all of them.
        workflow: Option<String>,
    },
    /// Stop watch mode. Answered by [`Feed::Watching`].
    StopWatching,
    /// Start watch mode in the demo and break a test of its project, as [`Feed::DemoSucceeded`] offers.
    BreakDemo,
    /// Report whether the terminal has the keyboard focus. Lists are not polled without it.
    Attend(bool),
}
