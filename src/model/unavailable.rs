//! Why an operation is not possible now.

use super::ReviewRefusal;
use super::rights::{Denied, MAX_RERUN_AGE, MAX_RERUNS};

/// Why an operation is not possible now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// The backend shows a past run.
    #[error("this is a replay")]
    Replay,
    /// The screen is read-only.
    #[error("the screen is read-only: open it without --read-only")]
    ReadOnly,
    /// The backend does not show a past run.
    #[error("this is not a replay")]
    NotReplay,
    /// The operation needs a run.
    #[error("no run is selected")]
    NoRun,
    /// The program was started outside of a repository, so that the runs of all are listed anyway.
    #[error("the screen was opened outside of a repository")]
    NoHome,
    /// The operation needs a job.
    #[error("no job is selected")]
    NoJob,
    /// The run has ended.
    #[error("the run has ended")]
    Ended,
    /// The run has not ended.
    #[error("the run has not ended")]
    NotEnded,
    /// The run is being cancelled.
    #[error("the run is already being cancelled")]
    Cancelling,
    /// The same operation was requested and has not been answered yet.
    #[error("this was already requested")]
    Requested,
    /// The run succeeded, so it has no failed jobs.
    #[error("no job failed: re-run the whole run instead")]
    NothingFailed,
    /// The run succeeded, so its workspaces were removed.
    #[error("the run succeeded, so the files of its jobs were removed: re-run the job instead")]
    WorkspaceRemoved,
    /// The run ended for a reason other than the loss of its worker.
    #[error("the run was not interrupted: re-run it instead")]
    WorkerNotLost,
    /// No deployment of the run waits for a review.
    #[error("no deployment waits for a review")]
    NothingToReview,
    /// The job has no step that is held.
    #[error("no step of the job is held")]
    NotHeld,
    /// The job of a held step cannot run again from the named step.
    #[error(
        "the held job can only go back to a step of the workflow file before the held step, and not past background \
         steps"
    )]
    NotEarlier,
    /// Failed steps are held on this machine only.
    #[error("the run is on a server, where failed steps are not held: run the workflow on this machine for that")]
    HoldsHere,
    /// The run is a deployment, which has no jobs.
    #[error(
        "a deployment has no jobs whose failed steps could be held: `cuelight pause` holds it before its next step"
    )]
    HoldsJobs,
    /// The run is not a deployment by this machine.
    #[error("the run is not a deployment by this machine")]
    NotDeployment,
    /// A deployment cannot run again.
    #[error("a deployment cannot be re-run: deploy the release again, or roll back")]
    Deployment,
    /// A deployment has no jobs.
    #[error("a deployment has no job to open a shell in: its log shows what its steps did")]
    NoShell,
    /// The run is not a run of a fork that waits for an approval.
    #[error("the run does not wait for an approval")]
    NothingToApprove,
    /// The token, or its user, may not perform the operation.
    #[error(transparent)]
    Denied(Denied),
    /// The server's API cannot cancel a run, only its web pages can.
    #[error("Gitea's API cannot cancel runs: cancel the run on its page")]
    NoCancel,
    /// The server's API does not offer the operation, only its web pages do.
    #[error("Gitea's API does not offer this")]
    NotOffered,
    /// The debugger is not enabled in the settings.
    #[error("GitHub's debugger is a preview and off: set `debugger = true` in the `[github]` of the settings")]
    DebuggerOff,
    /// The job has ended, and only a job that runs with the debugger has a shell on a server.
    #[error("the job has ended: re-run it with the debugger first")]
    NeedsDebugger,
    /// The server has no debugger.
    #[error("only github.com and ghe.com have a debugger")]
    NoDebugger,
    /// The run was re-run as often as its server allows.
    #[error("the run was re-run {MAX_RERUNS} times, the most that its server allows")]
    RerunTooOften,
    /// The run is older than the server allows.
    #[error("the run is older than {MAX_RERUN_AGE} days, the most that its server allows")]
    RerunTooLate,
    /// The run is on this machine.
    #[error("the run is on this machine")]
    Local,
    /// A new attempt of a run on this machine keeps the debug setting of the run.
    #[error(
        "another attempt on this machine keeps the debug setting of its run: start a run with `cuelight run --debug`"
    )]
    KeepsDebug,
    /// The user may review none of the deployments that wait.
    #[error(transparent)]
    MayNotReview(ReviewRefusal),
    /// The job has not started.
    #[error("the job has not started")]
    JobNotStarted,
    /// The job succeeded, was skipped or was cancelled, so its environment was removed.
    #[error("the job did not fail")]
    JobNotFailed,
    /// Services are removed at the end of their job.
    #[error("services are removed at the end of their job")]
    ServiceGone,
    /// The repository has no workflow to start.
    #[error("there is no workflow to start here")]
    NothingToStart,
    /// The run is on a server.
    #[error("the run is on a server")]
    Remote,
    /// No environment of a server is selected.
    #[error("no environment on a server is selected: select a run of its repository first")]
    NoEnvironment,
    /// No workflow of the repository runs on a push.
    #[error("no workflow here runs on a push")]
    NothingToWatch,
    /// No environment of this machine is selected.
    #[error("no environment of this machine is selected: see the Deploys panel")]
    NoLane,
    /// The environments of this machine were not read yet.
    #[error("the environments of the repository are still being read: try again in a moment")]
    LanesUnread,
    /// The repository has no environments of this machine.
    #[error("no environments in .cuelight.toml: see `cuelight config --example`")]
    NoLanes,
    /// The selected environment is not one of this machine.
    #[error("this machine does not deploy to it: start the workflow that does")]
    NotDeployedHere,
    /// No deployment to the environment is in progress.
    #[error("no deployment to it is in progress")]
    NothingOnItsWay,
    /// A job of a run deploys to the environment.
    #[error("a job of a run deploys to it: cancel that run instead")]
    DeployedByJob,
    /// Several runs are to be cancelled, and this one is a deployment.
    #[error("a deployment is aborted by itself, because its environment must be named")]
    AbortedAlone,
    /// The worker of the deployment died.
    #[error("the deployment was interrupted: resume its run, or abort it")]
    DeploymentInterrupted,
    /// The deployment has not passed its gates.
    #[error("the deployment has not begun: a rule of its environment still holds it")]
    GatesClosed,
    /// The deployment is rolling back.
    #[error("the deployment is already rolling back")]
    GoingBack,
    /// The release of the deployment is live.
    #[error("the release is live already: roll back instead")]
    AlreadyLive,
    /// It is not known which release is live.
    #[error("it is not known what is live: deploy the last good release")]
    LiveUnknown,
    /// Nothing is live.
    #[error("no release is live in it")]
    NothingLive,
    /// No other release succeeded in the environment.
    #[error("no earlier release is known to have succeeded in it")]
    NoEarlierRelease,
    /// The environment is locked.
    #[error("it is locked already")]
    Locked,
    /// The environment is not locked.
    #[error("it is not locked")]
    NotLocked,
}
