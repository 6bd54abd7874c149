//! Availability of actions, with the reason if an action is unavailable: for keys, key hints, the palette and the help.

use crate::model::capabilities::{Capabilities, Operation, RunState, Unavailable};
use crate::model::lane::Lane;
use crate::model::{Command, PendingReview, Phase, Summary};

use super::action::Action;
use super::environments::repository;
use super::state::AppState;

/// The run and the environment that actions apply to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subject<'s> {
    /// The selected run; `None` if no run is selected.
    pub(super) summary: Option<&'s Summary>,
    /// The environment of this machine; `None` if none is selected, or if the selected run does not deploy to one.
    pub(super) lane: Option<&'s Lane>,
    /// Whether the Deploys pane has the focus, so that the environment was selected there.
    pub(super) in_deploys: bool,
}

/// Returns the action that a key means. In the Deploys pane, some keys stand for actions on the selected environment,
/// and never for actions on the run that is selected elsewhere.
pub(super) fn meant(action: Action, subject: Subject<'_>) -> Action {
    match action {
        Action::DeployHere => Action::Deploy,
        Action::PromoteHere => Action::Promote,
        Action::Review if subject.in_deploys && subject.lane.is_some() => Action::ReviewDeployment,
        Action::Stop if subject.in_deploys => Action::Abort,
        action => action,
    }
}

/// Describes why an action is unavailable, with its name and, if it is an action on an environment of this machine, that
/// environment.
pub(super) fn refusal(action: Action, subject: Subject<'_>, reason: Unavailable) -> String {
    let is_of_lane = matches!(
        action,
        Action::Deploy
            | Action::Promote
            | Action::PauseDeployment
            | Action::Abort
            | Action::ReviewDeployment
            | Action::RollBack
            | Action::Lock
            | Action::Unlock
    );
    let name = action.entry().name;
    match subject.lane.filter(|_| is_of_lane) {
        Some(lane) => format!("{name}: {}: {reason}", lane.name()),
        None => format!("{name}: {reason}"),
    }
}

/// Returns why an action is unavailable; `None` if it is available.
pub(super) fn unavailable(action: Action, state: &AppState, subject: Subject<'_>) -> Option<Unavailable> {
    let Subject { summary, lane, .. } = subject;
    let capabilities = Capabilities { lane, ..capabilities(state, summary) };
    let operation = match meant(action, subject) {
        action if action.is_of_replay() => return state.replay.is_none().then_some(Unavailable::NotReplay),
        Action::Repositories if state.replay.is_some() => return Some(Unavailable::Replay),
        Action::Repositories => return state.home.is_none().then_some(Unavailable::NoHome),
        Action::Artifacts | Action::Summary | Action::Replay | Action::Explain if state.replay.is_some() => {
            return Some(Unavailable::Replay);
        }
        Action::Yank
        | Action::Replay
        | Action::Explain
        | Action::Artifacts
        | Action::Summary
        | Action::NextError
        | Action::PreviousError
        | Action::FirstError
        | Action::Follow => return summary.is_none().then_some(Unavailable::NoRun),
        Action::RollBack if lane.is_none() => {
            let on_server = has_environments(state, summary);
            let missing = on_server.map_err(|reason| if state.lanes.is_empty() { reason } else { Unavailable::NoLane });
            // Without a selected environment, the user picks one.
            let is_here = !subject.in_deploys && summary.is_none_or(|run| state.is_at_home(run));
            let can_pick = is_here && state.lanes.iter().any(|lane| lane.check(Operation::RollBack).is_ok());
            return state.refusal().or_else(|| missing.err().filter(|_| !can_pick));
        }
        Action::RollBack => Operation::RollBack,
        Action::Deployments if lane.is_some() => return None,
        Action::Deployments => return has_environments(state, summary).err(),
        Action::Deploy => Operation::Deploy,
        Action::Promote => Operation::PromoteDeployment,
        Action::PauseDeployment => Operation::PauseDeployment,
        Action::Abort => Operation::AbortDeployment,
        Action::ReviewDeployment => Operation::ReviewDeployment,
        Action::Lock => Operation::LockEnvironment,
        Action::Unlock => Operation::UnlockEnvironment,
        Action::Start => Operation::Start,
        Action::WatchFiles => Operation::WatchFiles,
        Action::Review if capabilities.run.is_some_and(|run| run.waits_for_approval()) => Operation::ApproveFork,
        Action::Review => Operation::Review,
        Action::Stop => stop(capabilities.run),
        Action::Rerun => Operation::Rerun,
        Action::Resume => Operation::Resume,
        Action::RetryStep | Action::RetryFromStep | Action::SyncFiles | Action::SkipStep | Action::ContinueStep => {
            Operation::Held
        }
        Action::HoldFailures => Operation::Hold,
        Action::Delete => Operation::Delete,
        Action::DeleteLogs => Operation::DeleteLogs,
        Action::EnableWorkflow | Action::DisableWorkflow => Operation::ChangeWorkflow,
        Action::Shell => Operation::Shell,
        _ => return None,
    };
    match capabilities.check(operation).err()? {
        Unavailable::NoLane if subject.in_deploys && state.lanes_unreadable.is_none() => {
            Some(match state.lanes.len() {
                0 if state.home.is_none() => Unavailable::NoHome,
                0 if !state.has_read_lanes => Unavailable::LanesUnread,
                0 => Unavailable::NoLanes,
                // An environment of a server or of the listed runs is selected.
                _ => Unavailable::NotDeployedHere,
            })
        }
        reason => Some(reason),
    }
}

/// Returns what is known about a run and its repository, from which the available operations follow.
pub(super) fn capabilities<'s>(state: &'s AppState, summary: Option<&'s Summary>) -> Capabilities<'s> {
    let is_pushed = state.startable.iter().any(|workflow| workflow.events.iter().any(|event| event == "push"));
    let run = summary.map(|summary| {
        let force_requested = state.pending(&summary.info.id).any(|command| *command == Command::ForceCancel);
        let sent = |review: &PendingReview| {
            state.pending(&summary.info.id).any(
                |command| matches!(command, Command::Review { environments, .. } if environments.contains(&review.id)),
            )
        };
        let mut possible = summary.reviews.iter().filter(|review| review.may_review());
        let review_requested = possible.all(sent);
        RunState { force_requested, review_requested, ..RunState::from(summary) }
    });
    let servers = state.may_start();
    Capabilities {
        refusal: state.refusal(),
        run,
        has_startable: !state.startable.is_empty() || !state.broken.is_empty() || servers == Some(Ok(())),
        start_denied: servers.and_then(Result::err),
        has_watchable: is_pushed || state.watching.is_some(),
        rights: summary.and_then(|summary| state.rights_of(summary)),
        now: Some(state.now),
        lane: None,
    }
}

/// Returns an error unless environments of the selected run's repository are known.
fn has_environments(state: &AppState, summary: Option<&Summary>) -> Result<(), Unavailable> {
    let repository = summary.and_then(repository).ok_or(Unavailable::NoEnvironment)?;
    if state.environments.of(&repository).is_empty() { Err(Unavailable::NoEnvironment) } else { Ok(()) }
}

/// Returns the operation that stops a run. A run that is being cancelled can only be force-cancelled.
fn stop(run: Option<RunState<'_>>) -> Operation {
    match run {
        Some(run) if run.force_requested || *run.phase == Phase::Stopping => Operation::ForceCancel,
        _ => Operation::Cancel,
    }
}
