//! Carries out requests of the screen about deployments by this machine. A deployment is prepared once: the plan that
//! the user sees is kept, and starts when the user confirms it.

use tokio::sync::{mpsc, oneshot};

use crate::launch;
use crate::launch::LaunchError;
use crate::launch::commands::{self, CommandError, TrustedBy};
use crate::launch::deploy::{DeployError, DeployRequest, Deployments, OpenDeployment, PreparedDeployment, WayBack};
use crate::launch::trust::Trust;
use crate::model::deployment::{Cause, PlanStep};
use crate::model::environment::Release;
use crate::model::feed::{Feed, Notice};
use crate::model::lane::{DeploymentPreview, DeploymentWay, LaneRequest};
use crate::model::rollback::{Changes, RollbackRequest};
use crate::model::{DeploymentOrder, RunId, Summary};
use crate::store::{StoreError, history};

use super::Serving;
use super::start::Waiting;

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
        if needs_trust(&request) {
            let consent = launch::consent(&self.runs, &deployments.repository().root)?;
            if matches!(consent.trust(), Trust::Missing(_)) {
                self.ask_for_trust(Waiting::Lane(request, Box::new(consent))).await;
                return Ok(());
            }
        }
        let (question, (confirm, confirmed)) = (self.questions, oneshot::channel());
        if matches!(request, LaneRequest::Plan { .. } | LaneRequest::PlanRollback { .. }) {
            self.questions += 1;
            self.shown = Some(ShownDeployment { question, confirm });
        }
        let feed = self.feed.clone();
        tokio::spawn(async move {
            if let Err(error) = carry_out(&deployments, request, (question, confirmed), &feed).await {
                let text = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ");
                // The screen may be closed.
                let _ = feed.send(Feed::Notice(Notice::bad(text))).await;
            }
        });
        Ok(())
    }
}

/// Whether a request runs commands of the repository, or shows what they would do.
fn needs_trust(request: &LaneRequest) -> bool {
    match request {
        LaneRequest::Plan { .. } | LaneRequest::PlanRollback { .. } | LaneRequest::Abort { .. } => true,
        LaneRequest::Start { .. }
        | LaneRequest::Promote { .. }
        | LaneRequest::Pause { .. }
        | LaneRequest::Lock { .. }
        | LaneRequest::Unlock { .. } => false,
    }
}

async fn carry_out(
    deployments: &Deployments,
    request: LaneRequest,
    (question, confirmed): (u64, oneshot::Receiver<String>),
    feed: &mpsc::Sender<Feed>,
) -> Result<(), LaneError> {
    let done = match request {
        LaneRequest::Start { .. } => return Ok(()),
        LaneRequest::Plan { environment, release } => {
            let release = Some(release).filter(|release| !release.is_empty());
            let (reason, cause) = (String::new(), Cause::Manual);
            let request = DeployRequest { environment, release, cause, reason, overrides: false, trust: false };
            let (shown, preview) = prepared(deployments, request).await?;
            return confirm(deployments, shown, preview, (question, confirmed), feed).await;
        }
        LaneRequest::PlanRollback { environment, to } => {
            let wanted = RollbackRequest { environment, to, ..RollbackRequest::default() };
            let (shown, preview) = match deployments.way_back(&wanted)? {
                WayBack::Deploy(request) => prepared(deployments, request).await?,
                WayBack::Abort(open) => {
                    let preview = preview_of_abort(deployments, &open);
                    (Shown::Abort(open), preview)
                }
            };
            return confirm(deployments, shown, preview, (question, confirmed), feed).await;
        }
        LaneRequest::Promote { environment, run, full } => {
            let open = open(deployments, &environment, &run)?;
            deployments.order(&open, DeploymentOrder::Promote { full }).await?;
            format!("{} to {environment} goes on", open.record.release.title())
        }
        LaneRequest::Pause { environment, run } => {
            let open = open(deployments, &environment, &run)?;
            deployments.order(&open, DeploymentOrder::Pause).await?;
            format!("{} to {environment} pauses before its next step", open.record.release.title())
        }
        LaneRequest::Abort { environment, run, reason } => {
            let open = open(deployments, &environment, &run)?;
            abort(deployments, &open, &reason, feed).await?;
            return Ok(());
        }
        LaneRequest::Lock { environment, reason } => {
            deployments.lock(&environment, &reason, None)?;
            format!("{environment} is locked")
        }
        LaneRequest::Unlock { environment, reason } => {
            deployments.unlock(&environment, &reason)?;
            format!("{environment} is unlocked")
        }
    };
    // The screen may be closed.
    let _ = feed.send(Feed::Notice(Notice::news(done))).await;
    Ok(())
}

/// Returns the open deployment to an environment, if it is the one that was shown.
fn open(deployments: &Deployments, environment: &str, shown: &RunId) -> Result<OpenDeployment, LaneError> {
    let open = deployments.open(environment)?;
    if open.record.run == *shown { Ok(open) } else { Err(LaneError::Other(environment.to_owned())) }
}

/// Prepares a deployment and its preview.
async fn prepared(deployments: &Deployments, request: DeployRequest) -> Result<(Shown, DeploymentPreview), LaneError> {
    let is_rollback = request.cause == Cause::Rollback;
    let prepared = deployments.prepare(request)?;
    prepared.require_open()?;
    let plan = deployments.plan(&prepared).await?;
    let steps: Vec<String> = plan.steps.iter().map(|step| plan.describe(step)).collect();
    let is_instant = !plan.steps.iter().any(|step| matches!(step, PlanStep::Start { .. }));
    let (live, to) = (prepared.live(), prepared.release());
    let changes = match (live, is_rollback) {
        (None, _) => Changes::default(),
        (Some(live), true) => deployments.changes(to, live),
        (Some(live), false) => deployments.changes(live, to),
    };
    let missing = prepared.missing().iter().map(|one| {
        let what = if one.is_secret { "secret" } else { "variable" };
        format!("the {what} {} is not set", one.name)
    });
    let gates = prepared.closed().iter().map(|closed| closed.sentence.clone());
    let preview = DeploymentPreview {
        environment: prepared.settings().name.clone(),
        from: live.cloned(),
        to: Some(to.clone()),
        way: if is_rollback { DeploymentWay::RollBack { steps, is_instant } } else { DeploymentWay::Deploy(steps) },
        changes,
        notes: gates.chain(prepared.unreadable().iter().cloned()).chain(missing).collect(),
    };
    Ok((Shown::Deployment(Box::new(prepared)), preview))
}

fn preview_of_abort(deployments: &Deployments, open: &OpenDeployment) -> DeploymentPreview {
    let record = &open.record;
    let changes = record.from.as_ref().map(|to| deployments.changes(to, &record.release));
    DeploymentPreview {
        environment: record.environment.clone(),
        from: Some(record.release.clone()),
        to: record.from.clone(),
        way: DeploymentWay::Abort,
        changes: changes.unwrap_or_default(),
        notes: deployments.position(&record.run).into_iter().map(|at| format!("it is at {at}")).collect(),
    }
}

/// Shows a deployment, waits until it is confirmed, and starts it.
async fn confirm(
    deployments: &Deployments,
    shown: Shown,
    preview: DeploymentPreview,
    (question, confirmed): (u64, oneshot::Receiver<String>),
    feed: &mpsc::Sender<Feed>,
) -> Result<(), LaneError> {
    let planned = Feed::DeploymentPlanned { question, preview: Box::new(preview) };
    if feed.send(planned).await.is_err() {
        return Ok(());
    }
    // Another deployment is shown instead, or the screen is closed.
    let Ok(reason) = confirmed.await else { return Ok(()) };
    match shown {
        Shown::Deployment(mut prepared) => {
            prepared.set_reason(reason);
            let folder = deployments.start(*prepared)?;
            started(folder.id(), history::read(&folder).map(|run| Summary::from(&run)), feed).await;
        }
        Shown::Abort(open) => abort(deployments, &open, &reason, feed).await?,
    }
    Ok(())
}

/// Restores the release that was live before a deployment, and shows the run of the deployment.
async fn abort(
    deployments: &Deployments,
    open: &OpenDeployment,
    reason: &str,
    feed: &mpsc::Sender<Feed>,
) -> Result<(), LaneError> {
    if !deployments.ask_to_abort(open, reason).await? {
        commands::abort_interrupted(&open.folder, reason.to_owned(), TrustedBy::Record).await?;
    }
    let record = &open.record;
    let back = record.from.as_ref().map_or_else(|| "nothing".to_owned(), Release::title);
    let text = format!("{} goes back to {back}", record.environment);
    // The screen may be closed.
    let _ = feed.send(Feed::Notice(Notice::news(text))).await;
    started(open.folder.id(), history::read(&open.folder).map(|run| Summary::from(&run)), feed).await;
    Ok(())
}

/// Lists a run and shows it. A run that cannot be read is listed once its worker has begun.
async fn started(run: &RunId, summary: Result<Summary, StoreError>, feed: &mpsc::Sender<Feed>) {
    if let Ok(summary) = summary {
        let _ = feed.send(Feed::Updated(vec![summary])).await;
    }
    let _ = feed.send(Feed::Started(run.clone())).await;
}
