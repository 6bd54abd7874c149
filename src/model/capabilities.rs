//! Which operations are possible now, and why the others are not.
//!
//! All interfaces use [`Capabilities`]: the screen for keys, hints, palette and help, and the command line before it
//! carries out a command. So both offer and refuse the same operations. The answer is a pure function of the known
//! facts; the worker may still refuse an operation, for instance because another command came first.

use super::lane::Lane;
use super::rights::{Debugger, Denied, MAX_RERUN_AGE, Rights, is_rerun_too_often};
use super::{
    Command, Conclusion, EndReason, PendingReview, Phase, RerunScope, Run, RunInfo, ServerKind, Summary, Timestamp,
};

pub use super::unavailable::Unavailable;

/// Number of seconds in a day.
const SECONDS_OF_DAY: u64 = 24 * 60 * 60;

/// An operation that a user can request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Start a workflow.
    Start,
    /// Start or stop watch mode.
    WatchFiles,
    /// Cancel a run.
    Cancel,
    /// Cancel a run without its cleanup.
    ForceCancel,
    /// Run all jobs again.
    Rerun,
    /// Run the failed jobs again.
    RerunFailed,
    /// Run one job again.
    RerunJob,
    /// Run one job again, starting at one of its steps.
    RerunStep,
    /// Run one job again with the debugger of its server.
    RerunWithDebugger,
    /// Resume a run whose worker was lost.
    Resume,
    /// Approve or reject deployments that wait for a review.
    Review,
    /// Approve the run of a fork.
    ApproveFork,
    /// Remove a run.
    Delete,
    /// Remove the logs of a run from its server.
    DeleteLogs,
    /// Enable or disable the workflow of a run on its server.
    ChangeWorkflow,
    /// Open a shell in a running or failed job.
    Shell,
    /// Decide how a job continues after a held step.
    Held,
    /// Start or stop holding steps that fail.
    Hold,
    /// Deploy a release to an environment of this machine.
    Deploy,
    /// Let a deployment by this machine continue after a pause.
    PromoteDeployment,
    /// Let a deployment by this machine wait before its next step.
    PauseDeployment,
    /// Abort a deployment by this machine.
    AbortDeployment,
    /// Approve or reject a deployment by this machine.
    ReviewDeployment,
    /// Restore an earlier release of an environment of this machine.
    RollBack,
    /// Lock an environment of this machine.
    LockEnvironment,
    /// Unlock an environment of this machine.
    UnlockEnvironment,
}

impl Operation {
    /// Returns the operation of a command. `None` for commands that are not checked here: commands to a deployment,
    /// commands that only programs send, and a dispatch.
    #[must_use]
    pub fn of(command: &Command) -> Option<Self> {
        Some(match command {
            Command::Cancel => Self::Cancel,
            Command::ForceCancel => Self::ForceCancel,
            Command::Rerun { what: RerunScope::All, .. } => Self::Rerun,
            Command::Rerun { what: RerunScope::Failed, .. } => Self::RerunFailed,
            Command::Rerun { what: RerunScope::Job(_), .. } => Self::RerunJob,
            Command::Rerun { what: RerunScope::Step { .. }, .. } => Self::RerunStep,
            Command::RerunWithDebugger { .. } => Self::RerunWithDebugger,
            Command::Resume => Self::Resume,
            Command::Review { .. } => Self::Review,
            Command::ApproveFork => Self::ApproveFork,
            Command::Delete => Self::Delete,
            Command::DeleteLogs => Self::DeleteLogs,
            Command::Held { .. } | Command::Synced { .. } => Self::Held,
            Command::Hold { .. } => Self::Hold,
            Command::Dispatch { .. } | Command::Deployment { .. } | Command::Yield { .. } | Command::Watch => {
                return None;
            }
        })
    }
}

/// Facts that decide which operations are possible. By default no run and no workflow is selected, and the backend
/// accepts requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capabilities<'k> {
    /// Why the backend or the screen refuses every operation; `None` if neither does.
    pub refusal: Option<Unavailable>,
    /// State of the run; `None` if no run is selected.
    pub run: Option<RunState<'k>>,
    /// Whether there are workflows to start.
    pub has_startable: bool,
    /// Why the tokens of all servers with listed runs may not start workflows; `None` if one may.
    pub start_denied: Option<Denied>,
    /// Whether watch mode is on, or a workflow could be watched.
    pub has_watchable: bool,
    /// What the token may change on the run's server; `None` if that is not known.
    pub rights: Option<Rights>,
    /// Current time, for the server's limit on the age of a run; `None` to leave this check to the server.
    pub now: Option<Timestamp>,
    /// The selected environment of this machine; `None` if none is selected.
    pub lane: Option<&'k Lane>,
}

/// Facts about a run.
#[derive(Clone, Copy, Debug)]
pub struct RunState<'k> {
    /// State of the latest attempt.
    pub phase: &'k Phase,
    /// Reason for the end of the attempt; `None` before the end, and if a job explains it.
    pub reason: Option<&'k EndReason>,
    /// Whether a worker holds the run's lock; `None` if that is not known. Overrides the phase, because a worker may
    /// have ended or been lost before a record shows it. Only used for runs of this machine.
    pub has_worker: Option<bool>,
    /// Whether [`Command::ForceCancel`] was sent but not confirmed.
    pub force_requested: bool,
    /// Kind of the run's server; `None` on this machine. On a server, jobs have a shell only through its debugger and
    /// cannot start at a given step, and only the server removes the run.
    pub server: Option<ServerKind>,
    /// Whether the run is a deployment by this machine, which has no jobs to run again.
    pub is_deployment: bool,
    /// Number of the latest attempt.
    pub attempt: u32,
    /// Time at which the run was created.
    pub created: Timestamp,
    /// Whether a step of the run is held.
    pub has_held: bool,
    /// Environments that wait for a review.
    pub reviews: &'k [PendingReview],
    /// Whether a review of every environment that the user may review was sent but not confirmed.
    pub review_requested: bool,
}

impl<'k> From<&'k Summary> for RunState<'k> {
    fn from(run: &'k Summary) -> Self {
        let has_held = run.phase.is_held();
        Self { has_held, ..Self::new(&run.info, &run.phase, run.reason.as_ref(), &run.reviews, run.attempt) }
    }
}

impl<'k> From<&'k Run> for RunState<'k> {
    fn from(run: &'k Run) -> Self {
        let has_held = run.progress().is_held();
        Self { has_held, ..Self::new(&run.info, &run.phase, run.reason.as_ref(), &run.reviews, run.attempt) }
    }
}

impl<'k> Capabilities<'k> {
    /// Returns the capabilities of a run without restrictions by a screen or backend.
    #[must_use]
    pub fn of_run(run: impl Into<RunState<'k>>) -> Self {
        Self { run: Some(run.into()), ..Self::default() }
    }

    /// Checks whether an operation is possible now.
    ///
    /// # Errors
    /// Returns why the operation is not possible.
    pub fn check(&self, operation: Operation) -> Result<(), Unavailable> {
        if let Some(reason) = self.refusal {
            return Err(reason);
        }
        match operation {
            Operation::Start => {
                let missing = self.start_denied.map_or(Unavailable::NothingToStart, Unavailable::Denied);
                check(self.has_startable, missing)
            }
            Operation::WatchFiles => check(self.has_watchable, Unavailable::NothingToWatch),
            Operation::Deploy
            | Operation::PromoteDeployment
            | Operation::PauseDeployment
            | Operation::AbortDeployment
            | Operation::ReviewDeployment
            | Operation::RollBack
            | Operation::LockEnvironment
            | Operation::UnlockEnvironment => self.lane.ok_or(Unavailable::NoLane)?.check(operation),
            _ => {
                let run = self.run.ok_or(Unavailable::NoRun)?;
                run.check(operation)?;
                if run.server.is_some() { self.check_at_server(operation, &run) } else { Ok(()) }
            }
        }
    }

    /// Checks whether the server of a run allows an operation.
    fn check_at_server(&self, operation: Operation, run: &RunState<'_>) -> Result<(), Unavailable> {
        let rights = self.rights.unwrap_or_default();
        let denied = if operation == Operation::Review { rights.deployments } else { rights.actions };
        denied.map_or(Ok(()), |denied| Err(Unavailable::Denied(denied)))?;
        match (operation, self.rights.map(|rights| rights.debugger)) {
            (Operation::Shell | Operation::RerunWithDebugger, Some(Debugger::Off)) => {
                return Err(Unavailable::DebuggerOff);
            }
            (Operation::RerunWithDebugger, Some(Debugger::Missing)) => return Err(Unavailable::NoDebugger),
            (Operation::Shell, Some(Debugger::Missing) | None) => return Err(Unavailable::Remote),
            _ => {}
        }
        match operation {
            Operation::Cancel | Operation::ForceCancel if !run.server.is_none_or(ServerKind::can_cancel) => {
                Err(Unavailable::NoCancel)
            }
            Operation::ApproveFork | Operation::DeleteLogs if run.server == Some(ServerKind::Gitea) => {
                Err(Unavailable::NotOffered)
            }
            Operation::Rerun | Operation::RerunFailed | Operation::RerunJob | Operation::RerunWithDebugger
                if rights.limits_reruns =>
            {
                let days = self.now.map_or(0, |now| now.since(run.created).as_secs() / SECONDS_OF_DAY);
                check(!is_rerun_too_often(run.attempt), Unavailable::RerunTooOften)?;
                check(days < MAX_RERUN_AGE, Unavailable::RerunTooLate)
            }
            _ => Ok(()),
        }
    }

    /// Checks whether a shell can be opened in a job, or in one of its services. `job` is the state of the job; `None`
    /// if no job is selected.
    ///
    /// # Errors
    /// Returns why no shell can be opened.
    pub fn check_shell(&self, job: Option<&Phase>, in_service: bool) -> Result<(), Unavailable> {
        self.check(Operation::Shell)?;
        match job {
            None => Err(Unavailable::NoJob),
            Some(job) if job.is_active() => Ok(()),
            Some(_) if in_service => Err(Unavailable::ServiceGone),
            Some(Phase::Done(_)) if self.run.is_some_and(|run| run.server.is_some()) => Err(Unavailable::NeedsDebugger),
            Some(Phase::Done(conclusion)) => {
                let failed = conclusion.is_bad() && *conclusion != Conclusion::Cancelled;
                check(failed, Unavailable::JobNotFailed)
            }
            Some(_) => Err(Unavailable::JobNotStarted),
        }
    }
}

impl<'k> RunState<'k> {
    fn new(
        info: &RunInfo,
        phase: &'k Phase,
        reason: Option<&'k EndReason>,
        reviews: &'k [PendingReview],
        attempt: u32,
    ) -> Self {
        Self {
            phase,
            reason,
            has_worker: None,
            force_requested: false,
            server: info.server(),
            is_deployment: info.is_deployment(),
            attempt,
            created: info.created,
            has_held: false,
            reviews,
            review_requested: false,
        }
    }

    fn check_review(&self) -> Result<(), Unavailable> {
        let refusal = self.reviews.iter().map(|review| review.refusal).min_by_key(Option::is_some);
        match refusal {
            None => Err(Unavailable::NothingToReview),
            Some(Some(refusal)) => Err(Unavailable::MayNotReview(refusal)),
            Some(None) => check(!self.review_requested, Unavailable::Requested),
        }
    }

    /// Whether the run of a fork has not started because its server waits for an approval.
    #[must_use]
    pub fn waits_for_approval(&self) -> bool {
        self.server.is_some() && *self.phase == Phase::Done(Conclusion::ActionRequired)
    }

    fn check(&self, operation: Operation) -> Result<(), Unavailable> {
        let has_worker = self.has_worker.filter(|_| self.server.is_none());
        let has_ended = has_worker.map_or(self.phase.is_done(), |has_worker| !has_worker);
        let succeeded = *self.phase == Phase::Done(Conclusion::Success);
        match operation {
            Operation::RerunStep | Operation::Resume if self.server.is_some() => Err(Unavailable::Remote),
            Operation::Hold | Operation::Held if self.server.is_some() => Err(Unavailable::HoldsHere),
            Operation::Hold | Operation::Held if self.is_deployment => Err(Unavailable::HoldsJobs),
            Operation::Hold if *self.phase == Phase::Stopping => Err(Unavailable::Cancelling),
            Operation::Hold if has_ended => Err(Unavailable::Ended),
            Operation::Held => check(self.has_held && !has_ended, Unavailable::NotHeld),
            Operation::Rerun | Operation::RerunFailed | Operation::RerunJob | Operation::RerunStep
                if self.is_deployment =>
            {
                Err(Unavailable::Deployment)
            }
            Operation::Shell if self.is_deployment => Err(Unavailable::NoShell),
            Operation::ApproveFork
            | Operation::DeleteLogs
            | Operation::ChangeWorkflow
            | Operation::RerunWithDebugger
                if self.server.is_none() =>
            {
                Err(Unavailable::Local)
            }
            Operation::ApproveFork => check(self.waits_for_approval(), Unavailable::NothingToApprove),
            Operation::Cancel | Operation::ForceCancel | Operation::Review if has_ended => Err(Unavailable::Ended),
            Operation::Cancel if *self.phase == Phase::Stopping => Err(Unavailable::Cancelling),
            Operation::ForceCancel if self.force_requested => Err(Unavailable::Requested),
            Operation::Rerun
            | Operation::RerunFailed
            | Operation::RerunJob
            | Operation::RerunStep
            | Operation::RerunWithDebugger
            | Operation::Resume
            | Operation::Delete
            | Operation::DeleteLogs
                if !has_ended =>
            {
                Err(Unavailable::NotEnded)
            }
            Operation::Review => self.check_review(),
            Operation::RerunFailed if succeeded => Err(Unavailable::NothingFailed),
            Operation::RerunStep if succeeded => Err(Unavailable::WorkspaceRemoved),
            Operation::Resume => check(self.reason == Some(&EndReason::WorkerLost), Unavailable::WorkerNotLost),
            _ => Ok(()),
        }
    }
}

fn check(holds: bool, otherwise: Unavailable) -> Result<(), Unavailable> {
    if holds { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReviewRefusal, testing};

    const ALL: [Operation; 18] = [
        Operation::Start,
        Operation::WatchFiles,
        Operation::Cancel,
        Operation::ForceCancel,
        Operation::Rerun,
        Operation::RerunFailed,
        Operation::RerunJob,
        Operation::RerunStep,
        Operation::RerunWithDebugger,
        Operation::Resume,
        Operation::Review,
        Operation::ApproveFork,
        Operation::Delete,
        Operation::DeleteLogs,
        Operation::ChangeWorkflow,
        Operation::Shell,
        Operation::Held,
        Operation::Hold,
    ];

    /// Returns the possible operations on a run.
    fn available(run: RunState<'_>) -> Vec<Operation> {
        let capabilities = Capabilities::of_run(run);
        ALL.into_iter().filter(|operation| capabilities.check(*operation).is_ok()).collect()
    }

    fn state(phase: &Phase) -> RunState<'_> {
        RunState::new(&RunInfo::default(), phase, None, &[], 0)
    }

    #[test]
    fn a_run_on_a_server_has_no_shell_and_the_lock_of_its_mirror_decides_nothing() {
        use Operation::{
            ApproveFork, Cancel, ChangeWorkflow, Delete, DeleteLogs, ForceCancel, Rerun, RerunFailed, RerunJob,
            RerunWithDebugger,
        };
        let running = Phase::Running;
        let remote = RunState { server: Some(ServerKind::GitHub), has_worker: Some(false), ..state(&running) };
        assert_eq!(available(remote), [Cancel, ForceCancel, ChangeWorkflow]);
        let failed = Phase::Done(Conclusion::Failure);
        let remote = RunState { server: Some(ServerKind::GitHub), has_worker: Some(true), ..state(&failed) };
        let all = [Rerun, RerunFailed, RerunJob, RerunWithDebugger, Delete, DeleteLogs, ChangeWorkflow];
        assert_eq!(available(remote), all);
        let waits = Phase::Done(Conclusion::ActionRequired);
        let gitea = RunState { server: Some(ServerKind::Gitea), ..state(&running) };
        let at_gitea = Capabilities { run: Some(gitea), ..Capabilities::default() };
        assert_eq!(at_gitea.check(Operation::Cancel), Err(Unavailable::NoCancel));
        assert_eq!(at_gitea.check(Operation::Rerun), Err(Unavailable::NotEnded));
        let fork = RunState { server: Some(ServerKind::GitHub), ..state(&waits) };
        assert!(available(fork).contains(&ApproveFork) && !available(state(&waits)).contains(&ApproveFork));
    }

    #[test]
    fn what_a_token_may_not_change_and_what_a_server_limits_is_known_in_advance() {
        let (ended, waiting) = (Phase::Done(Conclusion::Failure), Phase::Running);
        let reviews = [testing::pending_review(1, "production", &["maria"])];
        let day = |days: u64| Timestamp(days * SECONDS_OF_DAY * 1000);
        let of = |rights: Rights, run: RunState<'static>, now: Timestamp| {
            Capabilities { rights: Some(rights), now: Some(now), ..Capabilities::of_run(run) }.check(Operation::Rerun)
        };
        let ended_run = RunState {
            server: Some(ServerKind::GitHub),
            attempt: 2,
            created: day(100),
            ..state(Box::leak(Box::new(ended)))
        };
        let limited = Rights { limits_reruns: true, ..Rights::default() };
        let scope = Rights { actions: Some(Denied::Scope("repo")), ..limited };
        assert_eq!(of(limited, ended_run, day(129)), Ok(()));
        assert_eq!(of(limited, ended_run, day(130)), Err(Unavailable::RerunTooLate));
        assert_eq!(of(Rights::default(), ended_run, day(130)), Ok(()), "another kind of server");
        let often = RunState { attempt: 51, ..ended_run };
        assert_eq!(of(limited, RunState { attempt: 50, ..often }, day(100)), Ok(()));
        assert_eq!(of(limited, often, day(100)), Err(Unavailable::RerunTooOften));
        assert_eq!(of(scope, ended_run, day(100)), Err(Unavailable::Denied(Denied::Scope("repo"))));
        let review = RunState { server: Some(ServerKind::GitHub), reviews: &reviews, ..state(&waiting) };
        let may = Capabilities { rights: Some(scope), ..Capabilities::of_run(review) };
        assert_eq!(may.check(Operation::Review), Ok(()), "another permission");
        assert_eq!(may.check(Operation::Cancel), Err(Unavailable::Denied(Denied::Scope("repo"))));
        let here = Capabilities { rights: Some(scope), ..Capabilities::of_run(state(&waiting)) };
        assert_eq!(here.check(Operation::Cancel), Ok(()), "a run of this machine");
    }

    #[test]
    fn the_debugger_of_a_server_must_be_offered() {
        let (running, failed) = (Phase::Running, Phase::Done(Conclusion::Failure));
        let at = |phase, debugger: Option<Debugger>| {
            let run = RunState { server: Some(ServerKind::GitHub), ..state(phase) };
            Capabilities {
                rights: debugger.map(|debugger| Rights { debugger, ..Rights::default() }),
                ..Capabilities::of_run(run)
            }
        };
        let (off, missing) = (Some(Debugger::Off), Some(Debugger::Missing));
        for (debugger, shell, rerun) in [
            (off, Err(Unavailable::DebuggerOff), Err(Unavailable::DebuggerOff)),
            (missing, Err(Unavailable::Remote), Err(Unavailable::NoDebugger)),
            // The poller checks the setting before it sends the command.
            (None, Err(Unavailable::Remote), Ok(())),
            (Some(Debugger::Offered), Ok(()), Ok(())),
        ] {
            assert_eq!(at(&running, debugger).check_shell(Some(&running), false), shell, "{debugger:?}");
            assert_eq!(at(&failed, debugger).check(Operation::RerunWithDebugger), rerun, "{debugger:?}");
        }
        let offered = Some(Debugger::Offered);
        assert_eq!(at(&running, offered).check(Operation::RerunWithDebugger), Err(Unavailable::NotEnded));
        assert_eq!(at(&failed, offered).check_shell(Some(&failed), false), Err(Unavailable::NeedsDebugger));
        assert_eq!(Capabilities::of_run(state(&failed)).check(Operation::RerunWithDebugger), Err(Unavailable::Local));
        let rights = Rights { actions: Some(Denied::Role), debugger: Debugger::Offered, ..Rights::default() };
        let denied = Capabilities { rights: Some(rights), ..at(&running, offered) };
        assert_eq!(denied.check(Operation::Shell), Err(Unavailable::Denied(Denied::Role)));
    }

    #[test]
    fn the_state_of_a_run_decides() {
        use Operation::{
            Cancel, Delete, ForceCancel, Held, Hold, Rerun, RerunFailed, RerunJob, RerunStep, Resume, Shell,
        };
        let failed = Phase::Done(Conclusion::Failure);
        let succeeded = Phase::Done(Conclusion::Success);
        assert_eq!(available(state(&Phase::Queued)), [Cancel, ForceCancel, Shell, Hold]);
        assert_eq!(available(state(&Phase::Running)), [Cancel, ForceCancel, Shell, Hold]);
        assert_eq!(available(state(&Phase::Stopping)), [ForceCancel, Shell]);
        assert_eq!(available(state(&failed)), [Rerun, RerunFailed, RerunJob, RerunStep, Delete, Shell]);
        assert_eq!(available(state(&succeeded)), [Rerun, RerunJob, Delete, Shell]);
        let held = RunState { has_held: true, ..state(&Phase::Running) };
        assert_eq!(available(held), [Cancel, ForceCancel, Shell, Held, Hold]);
        let deployment = RunState { is_deployment: true, ..held };
        let there = RunState { server: Some(ServerKind::GitHub), ..held };
        for operation in [Held, Hold] {
            assert_eq!(Capabilities::of_run(deployment).check(operation), Err(Unavailable::HoldsJobs));
            assert_eq!(Capabilities::of_run(there).check(operation), Err(Unavailable::HoldsHere));
        }
        let lost = RunState { reason: Some(&EndReason::WorkerLost), ..state(&failed) };
        assert_eq!(available(lost), [Rerun, RerunFailed, RerunJob, RerunStep, Resume, Delete, Shell]);
        let forced = RunState { force_requested: true, ..state(&Phase::Stopping) };
        assert_eq!(Capabilities::of_run(forced).check(ForceCancel), Err(Unavailable::Requested));
    }

    #[test]
    fn a_known_lock_overrides_the_phase() {
        let ended = Phase::Done(Conclusion::Failure);
        let held = Capabilities::of_run(RunState { has_worker: Some(true), ..state(&ended) });
        assert_eq!(held.check(Operation::Delete), Err(Unavailable::NotEnded));
        let free = Capabilities::of_run(RunState { has_worker: Some(false), ..state(&Phase::Running) });
        assert_eq!((free.check(Operation::Delete), free.check(Operation::Cancel)), (Ok(()), Err(Unavailable::Ended)));
    }

    #[test]
    fn a_refusal_of_the_backend_holds_for_every_operation() {
        for reason in [Unavailable::Replay, Unavailable::ReadOnly] {
            let capabilities = Capabilities { refusal: Some(reason), ..Capabilities::of_run(state(&Phase::Running)) };
            for operation in ALL {
                assert_eq!(capabilities.check(operation), Err(reason));
            }
            assert_eq!(capabilities.check_shell(Some(&Phase::Running), false), Err(reason));
        }
    }

    #[test]
    fn without_a_run_only_workflows_can_be_started() {
        let mut capabilities = Capabilities::default();
        assert_eq!(capabilities.check(Operation::Start), Err(Unavailable::NothingToStart));
        assert_eq!(capabilities.check(Operation::WatchFiles), Err(Unavailable::NothingToWatch));
        (capabilities.has_startable, capabilities.has_watchable) = (true, true);
        for operation in ALL {
            let expected = match operation {
                Operation::Start | Operation::WatchFiles => Ok(()),
                _ => Err(Unavailable::NoRun),
            };
            assert_eq!(capabilities.check(operation), expected);
        }
    }

    #[test]
    fn a_review_needs_an_environment_that_the_user_may_review() {
        let waiting = |refusals: &[Option<ReviewRefusal>]| -> Vec<PendingReview> {
            let review = |(id, refusal): (u64, &Option<ReviewRefusal>)| PendingReview {
                refusal: *refusal,
                ..testing::pending_review(id, "production", &["maria"])
            };
            (1..).zip(refusals).map(review).collect()
        };
        let (own, stranger) = (Some(ReviewRefusal::OwnDeployment), Some(ReviewRefusal::NotReviewer));
        for (refusals, requested, expected) in [
            (&[][..], false, Err(Unavailable::NothingToReview)),
            (&[None], false, Ok(())),
            (&[own, None], false, Ok(())),
            (&[own, stranger], false, Err(Unavailable::MayNotReview(ReviewRefusal::OwnDeployment))),
            (&[own, None], true, Err(Unavailable::Requested)),
            (&[stranger], true, Err(Unavailable::MayNotReview(ReviewRefusal::NotReviewer))),
        ] {
            let reviews = waiting(refusals);
            let run = RunState { reviews: &reviews, review_requested: requested, ..state(&Phase::Running) };
            assert_eq!(Capabilities::of_run(run).check(Operation::Review), expected, "{refusals:?}");
        }
        let reviews = waiting(&[None]);
        let ended = Phase::Done(Conclusion::Failure);
        let ended = Capabilities::of_run(RunState { reviews: &reviews, ..state(&ended) });
        assert_eq!(ended.check(Operation::Review), Err(Unavailable::Ended));
    }

    #[test]
    fn a_shell_needs_a_job_that_runs_or_failed() {
        let running = Phase::Running;
        let capabilities = Capabilities::of_run(state(&running));
        let job =
            |phase: &Phase| (capabilities.check_shell(Some(phase), false), capabilities.check_shell(Some(phase), true));
        assert_eq!(capabilities.check_shell(None, false), Err(Unavailable::NoJob));
        assert_eq!(job(&Phase::Running), (Ok(()), Ok(())));
        assert_eq!(job(&Phase::Stopping), (Ok(()), Ok(())));
        assert_eq!(job(&Phase::Done(Conclusion::Failure)), (Ok(()), Err(Unavailable::ServiceGone)));
        assert_eq!(job(&Phase::Done(Conclusion::Success)).0, Err(Unavailable::JobNotFailed));
        assert_eq!(job(&Phase::Done(Conclusion::Cancelled)).0, Err(Unavailable::JobNotFailed));
        assert_eq!(job(&Phase::Queued).0, Err(Unavailable::JobNotStarted));
    }

    #[test]
    fn every_command_of_a_user_is_an_operation() {
        let rerun = |what| Operation::of(&Command::Rerun { what, debug: false });
        let job = || super::super::JobId::new("a");
        let step = super::super::StepNumber(1);
        assert_eq!(
            [rerun(RerunScope::All), rerun(RerunScope::Failed), rerun(RerunScope::Job(job()))],
            [Some(Operation::Rerun), Some(Operation::RerunFailed), Some(Operation::RerunJob)]
        );
        assert_eq!(rerun(RerunScope::Step { job: job(), step }), Some(Operation::RerunStep));
        assert_eq!(Operation::of(&Command::Resume), Some(Operation::Resume));
        let review = Command::Review { environments: vec![1], approve: true, comment: String::new() };
        assert_eq!(Operation::of(&review), Some(Operation::Review));
        assert_eq!(Operation::of(&Command::Watch), None);
    }
}
