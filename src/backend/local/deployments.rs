//! Carries out requests of the screen about deployments by this machine. A deployment is prepared once: the plan that
//! the user sees is kept, and starts when the user confirms it.

use tokio::sync::{mpsc, oneshot};

use crate::backend::github::recording::{Obstacle, obstacle};
use crate::launch;
use crate::launch::LaunchError;
use crate::launch::commands::{self, CommandError, TrustedBy};
use crate::launch::deploy::{DeployError, DeployRequest, Deployments, OpenDeployment, PreparedDeployment, WayBack};
use crate::launch::trust::{Consent, Trust};
use crate::model::deployment::{Cause, DeploymentPlan};
use crate::model::feed::{Feed, Notice};
use crate::model::lane::{DeploymentPreview, DeploymentWay, LaneRequest};
use crate::model::rollback::{Changes, RollbackRequest};
use crate::model::{DeploymentOrder, RunId, Summary};
use crate::store::StoreError;
use crate::store::clock::now;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history;

use super::Serving;
use super::start::{Waiting, complaint};

/// Why a request about an environment fails.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unrecordable(#[from] Obstacle),
    #[error("another deployment was requested meanwhile: ask again")]
    Replaced,
    #[error("another deployment to {0} is on its way by now, so nothing was done: look at it first")]
    Other(String),
}

/// What the user sees, and starts by confirming it.
enum Shown {
    Deployment(Box<PreparedDeployment>),
    Abort(Box<OpenDeployment>),
}

/// A deployment that the user sees and has not confirmed yet.
pub(super) struct ShownDeployment {
    question: u64,
    /// Receives the reason once the user confirms.
    confirm: oneshot::Sender<String>,
}

/// What comes of a request.
enum Answer {
    /// A deployment to show, which starts once it is confirmed.
    Shown(Shown, Box<DeploymentPreview>),
    /// The request was carried out, with this result in words.
    Done(String),
}

impl Serving {
    /// Carries out a request about an environment. Returns without waiting for targets and workers, which may be slow.
    pub(super) async fn act_on_lane(&mut self, request: LaneRequest) {
        if let Err(error) = self.begin_on_lane(request).await {
            self.complain(&error).await;
        }
    }

    async fn begin_on_lane(&mut self, request: LaneRequest) -> Result<(), LaneError> {
        if let LaneRequest::Start { question, reason } = request {
            let shown = self.shown.take().filter(|shown| shown.question == question).ok_or(LaneError::Replaced)?;
            return shown.confirm.send(reason).map_err(|_| LaneError::Replaced);
        }
        let deployments = Deployments::of(&self.runs, &self.folder)?;
        if let Some(consent) = missing_consent(&self.runs, &deployments, &request)? {
            self.ask_for_trust(Waiting::Lane(request, Box::new(consent))).await;
            return Ok(());
        }
        let is_plan = matches!(request, LaneRequest::Plan { .. } | LaneRequest::PlanRollback { .. });
        let (question, (confirm, confirmed)) = (self.questions, oneshot::channel());
        if is_plan {
            self.questions += 1;
            self.shown = Some(ShownDeployment { question, confirm });
        }
        let feed = self.feed.clone();
        let planned = match &request {
            LaneRequest::Plan { environment, .. } => Some(environment.clone()),
            _ => None,
        };
        tokio::spawn(async move {
            let done = match carry_out(&deployments, request, &feed).await {
                Ok(Answer::Shown(shown, preview)) => {
                    confirm_and_start(&deployments, (shown, preview), (question, confirmed), &feed).await
                }
                Ok(Answer::Done(news)) => {
                    // The screen may be closed.
                    let _ = feed.send(Feed::Notice(Notice::news(news))).await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                let report = match (planned, &error) {
                    (Some(environment), LaneError::Deploy(DeployError::Release(reason))) => {
                        Feed::UnknownRelease { environment, reason: reason.to_string() }
                    }
                    _ => complaint(&error),
                };
                // The screen may be closed.
                let _ = feed.send(report).await;
            }
        });
        Ok(())
    }
}

/// Returns the trust question that a request needs answered first. `None` if the request runs no commands of the
/// repository, or if the repository is trusted. Orders to a worker that runs need no trust, whatever the settings are by
/// now: they must reach a deployment that goes wrong.
fn missing_consent(
    runs: &RunsDir,
    deployments: &Deployments,
    request: &LaneRequest,
) -> Result<Option<Consent>, LaneError> {
    let interrupted = |open: OpenDeployment| (!open.is_running).then_some(open.folder);
    let interrupted = match request {
        LaneRequest::Plan { .. } => None,
        LaneRequest::PlanRollback { environment, to } => {
            match deployments.way_back(&rollback(environment.clone(), to.clone()), None) {
                Ok(WayBack::Deploy(_)) => None,
                Ok(WayBack::Abort(open)) => match interrupted(*open) {
                    Some(folder) => Some(folder),
                    None => return Ok(None),
                },
                // The plan reports it.
                Err(_) => return Ok(None),
            }
        }
        LaneRequest::Abort { environment, .. } => match deployments.open(environment).ok().and_then(interrupted) {
            Some(folder) => Some(folder),
            None => return Ok(None),
        },
        LaneRequest::Start { .. }
        | LaneRequest::Promote { .. }
        | LaneRequest::StopKept { .. }
        | LaneRequest::Pause { .. }
        | LaneRequest::Lock { .. }
        | LaneRequest::Unlock { .. } => return Ok(None),
    };
    let consent = match interrupted {
        Some(folder) => launch::consent_of_attempt(&folder)?,
        None if deployments.is_trusted()? => return Ok(None),
        None => launch::consent(runs, &deployments.repository().root)?,
    };
    Ok(Some(consent).filter(|consent| matches!(consent.trust(), Trust::Missing(_))))
}

fn rollback(environment: String, to: Option<String>) -> RollbackRequest {
    RollbackRequest { environment, to, ..RollbackRequest::default() }
}

async fn carry_out(
    deployments: &Deployments,
    request: LaneRequest,
    feed: &mpsc::Sender<Feed>,
) -> Result<Answer, LaneError> {
    Ok(Answer::Done(match request {
        LaneRequest::Start { .. } => return Err(LaneError::Replaced),
        LaneRequest::Plan { environment, release } => {
            let release = Some(release).filter(|release| !release.is_empty());
            let (reason, cause) = (String::new(), Cause::Manual);
            let request = DeployRequest { environment, release, cause, reason, overrides: false, trust: false };
            return prepared(deployments, request).await;
        }
        LaneRequest::PlanRollback { environment, to } => {
            match deployments.find_way_back(&rollback(environment, to)).await? {
                WayBack::Deploy(request) => return prepared(deployments, request).await,
                WayBack::Abort(open) => {
                    let preview = preview_of_abort(deployments, &open);
                    return Ok(Answer::Shown(Shown::Abort(open), Box::new(preview)));
                }
            }
        }
        LaneRequest::Promote { environment, run, full } => {
            let open = open(deployments, &environment, &run)?;
            deployments.order(&open, DeploymentOrder::Promote { full }).await?;
            format!("{} to {environment} goes on", open.record.release.title())
        }
        LaneRequest::StopKept { environment, run } => {
            let open = open(deployments, &environment, &run)?;
            deployments.order(&open, DeploymentOrder::StopKept).await?;
            format!("the former release of {environment} is stopped: a rollback to it is no longer instant")
        }
        LaneRequest::Pause { environment, run } => {
            let open = open(deployments, &environment, &run)?;
            deployments.order(&open, DeploymentOrder::Pause).await?;
            format!("{} to {environment} pauses before its next step", open.record.release.title())
        }
        LaneRequest::Abort { environment, run, reason } => {
            abort(deployments, &open(deployments, &environment, &run)?, &reason, feed).await?
        }
        LaneRequest::Lock { environment, reason, length } => {
            let until = length.map(|length| now().after(length));
            deployments.lock(&environment, &reason, until)?;
            let end = until.map(|until| format!(" until {}", until.clock())).unwrap_or_default();
            format!("{environment} is locked{end}")
        }
        LaneRequest::Unlock { environment, reason } => {
            deployments.unlock(&environment, &reason)?;
            format!("{environment} is unlocked")
        }
    }))
}

/// Returns the open deployment to an environment, if it is the one that was shown.
fn open(deployments: &Deployments, environment: &str, shown: &RunId) -> Result<OpenDeployment, LaneError> {
    let open = deployments.open(environment)?;
    if open.record.run == *shown { Ok(open) } else { Err(LaneError::Other(environment.to_owned())) }
}

/// Prepares a deployment and its preview.
async fn prepared(deployments: &Deployments, request: DeployRequest) -> Result<Answer, LaneError> {
    let is_rollback = request.cause == Cause::Rollback;
    let prepared = deployments.prepare(request)?;
    prepared.require_open()?;
    let unrecorded = obstacle(deployments, prepared.settings(), !is_rollback).await?;
    // While another deployment changes what the target runs, the steps are not known.
    let behind = if is_rollback { None } else { deployments.waits_behind(&prepared.settings().name)? };
    let plan = if behind.is_none() { Some(deployments.plan(&prepared).await?) } else { None };
    if let Some(plan) = plan.as_ref().filter(|_| is_rollback) {
        prepared.check_rollback(plan, None)?;
    }
    let steps: Vec<String> =
        plan.iter().flat_map(|plan| plan.steps().into_iter().map(move |step| plan.describe(&step))).collect();
    let plain_start = plan.as_ref().and_then(|plan| prepared.plain_start(plan));
    let is_instant = plan.as_ref().is_some_and(DeploymentPlan::is_instant);
    let (live, is_known) = prepared.replaced(plan.as_ref());
    let contradicted = plan.as_ref().and_then(|plan| prepared.contradicted(plan));
    let to = prepared.release();
    let changes = match (live, is_rollback) {
        (None, _) => Changes::default(),
        (Some(live), true) => deployments.changes(to, live),
        (Some(live), false) => deployments.changes(live, to),
    };
    let missing = prepared.missing().iter().map(|one| format!("the {} {} is not set", one.kind(), one.name));
    let gates = prepared.closed().iter().map(|closed| closed.sentence.clone());
    let about_state = prepared.unreadable().iter().chain(prepared.left()).cloned();
    let preview = DeploymentPreview {
        environment: prepared.settings().name.clone(),
        from: live.cloned(),
        to: Some(to.clone()),
        former_unknown: !is_known,
        way: if is_rollback { DeploymentWay::RollBack { steps, is_instant } } else { DeploymentWay::Deploy(steps) },
        changes,
        notes: behind
            .into_iter()
            .chain(plain_start)
            .chain(contradicted)
            .chain(plan.iter().flat_map(DeploymentPlan::notes).map(str::to_owned))
            .chain(gates)
            .chain(about_state)
            .chain(missing)
            .chain(unrecorded)
            .collect(),
    };
    Ok(Answer::Shown(Shown::Deployment(Box::new(prepared)), Box::new(preview)))
}

fn preview_of_abort(deployments: &Deployments, open: &OpenDeployment) -> DeploymentPreview {
    let record = &open.record;
    let changes = record.from.as_ref().map(|to| deployments.changes(to, &record.release));
    DeploymentPreview {
        environment: record.environment.clone(),
        from: Some(record.release.clone()),
        to: record.from.clone(),
        former_unknown: record.from_unknown,
        way: DeploymentWay::Abort,
        changes: changes.unwrap_or_default(),
        notes: deployments.position(record).into_iter().map(|at| format!("it is at {at}")).collect(),
    }
}

/// Shows a deployment, waits until it is confirmed, and starts it.
async fn confirm_and_start(
    deployments: &Deployments,
    (shown, preview): (Shown, Box<DeploymentPreview>),
    (question, confirmed): (u64, oneshot::Receiver<String>),
    feed: &mpsc::Sender<Feed>,
) -> Result<(), LaneError> {
    let (replaced, is_rollback) = (preview.from.clone(), matches!(preview.way, DeploymentWay::RollBack { .. }));
    if feed.send(Feed::DeploymentPlanned { question, preview }).await.is_err() {
        return Ok(());
    }
    // Another deployment is shown instead, or the screen is closed.
    let Ok(reason) = confirmed.await else { return Ok(()) };
    match shown {
        Shown::Deployment(mut prepared) => {
            prepared.set_reason(reason);
            if is_rollback {
                deployments.check_replaced(&prepared, replaced.as_ref()).await?;
            }
            started(&deployments.start(*prepared)?, feed).await;
        }
        Shown::Abort(open) => {
            let news = abort(deployments, &open, &reason, feed).await?;
            // The screen may be closed.
            let _ = feed.send(Feed::Notice(Notice::news(news))).await;
        }
    }
    Ok(())
}

/// Restores the release that was live before a deployment, and shows the run of the deployment. Returns a notice.
async fn abort(
    deployments: &Deployments,
    open: &OpenDeployment,
    reason: &str,
    feed: &mpsc::Sender<Feed>,
) -> Result<String, LaneError> {
    if !deployments.ask_to_abort(open, reason).await? {
        commands::abort_interrupted(&open.folder, reason.to_owned(), TrustedBy::Record).await?;
    }
    started(&open.folder, feed).await;
    let goes_back = || format!("{} goes back to {}", open.record.environment, open.record.former());
    Ok(deployments.withdrawn(open)?.unwrap_or_else(goes_back))
}

/// Lists the run of a deployment and shows it. A run that cannot be read is listed once its worker has begun.
async fn started(folder: &RunFolder, feed: &mpsc::Sender<Feed>) {
    if let Ok(run) = history::read(folder) {
        let _ = feed.send(Feed::Updated(vec![Summary::from(&run)])).await;
    }
    let _ = feed.send(Feed::Started(folder.id().clone())).await;
}
