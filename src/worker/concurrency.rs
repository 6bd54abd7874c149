//! Queues the run and jobs of this worker for concurrency groups, and asks other holders to give up their groups.
//!
//! A group belongs to one repository on this machine, with all its worktrees. Two clones of one origin do not share
//! groups: any repository can claim the origin of another one, and could cancel its runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use crate::engine::concurrency::{AcquireError, ConcurrencyGate, GroupRequest};
use crate::engine::outlet::Outlet;
use crate::engine::panics::Panic;
use crate::model::{Command, Event, Gate, JobId};
use crate::repo::git;
use crate::store::StoreError;
use crate::store::concurrency::{Ahead, ConcurrencyGroups, Holder, Ticket};
use crate::store::folder::{RunFolder, RunsDir};

use super::outlet::RunOutlet;
use super::{control, recovery};

/// Interval at which a waiter checks whether it can acquire its group. It polls because a killed holder could not
/// notify it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Queues of concurrency groups, for one attempt of a run.
pub(super) struct ConcurrencyQueue {
    state: PathBuf,
    folder: RunFolder,
    /// Root of the repository.
    repository: PathBuf,
    /// Folder that identifies the repository, set when a group is first requested.
    scope: OnceLock<PathBuf>,
    attempt: u32,
    name: String,
    outlet: Arc<RunOutlet>,
}

/// An entry in a queue, and the entries before it at the last check.
pub(super) struct Waiter {
    me: Holder,
    group: String,
    ticket: Ticket,
    ahead: Ahead,
    /// Requests to holders to give up the group.
    requests: JoinSet<()>,
}

fn failed(error: StoreError) -> AcquireError {
    AcquireError::Failed(error.to_string())
}

impl ConcurrencyQueue {
    pub(super) fn new(
        folder: &RunFolder,
        repository: PathBuf,
        (attempt, name): (u32, &str),
        outlet: &Arc<RunOutlet>,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: folder.state().to_owned(),
            folder: folder.clone(),
            repository,
            scope: OnceLock::new(),
            attempt,
            name: name.to_owned(),
            outlet: Arc::clone(outlet),
        })
    }

    /// Enters the queue for a job, or for the run as a whole, and asks the entries that it displaces to leave. Returns
    /// an error if the job or run would wait for itself.
    pub(super) fn enter(&self, job: Option<JobId>, wanted: &GroupRequest) -> Result<Waiter, AcquireError> {
        let me = Holder { run: self.folder.id().clone(), job };
        let scope = self.scope.get_or_init(|| scope(&self.repository));
        let ticket = ConcurrencyGroups::at(&self.folder.runs()).enter(scope, &wanted.group, &me).map_err(failed)?;
        let ahead = ticket.ahead().map_err(failed)?;
        if let Some(holder) = ahead.living.iter().find(|other| waits_for(other, &me)) {
            let holder = holder.job.as_ref().map_or_else(|| "its own workflow".to_owned(), |job| format!("`{job}`"));
            let reason = format!("it would wait for itself: {holder} holds the group {}", wanted.group);
            return Err(AcquireError::Deadlock(reason));
        }
        let stay = match wanted {
            GroupRequest { cancel_in_progress: true, .. } => 0,
            GroupRequest { queue_all: true, .. } => usize::MAX,
            GroupRequest { .. } => 1,
        };
        let mut requests = JoinSet::new();
        for other in ahead.living.iter().skip(stay) {
            requests.spawn(self.displace(other, &wanted.group, &me));
        }
        Ok(Waiter { me, group: wanted.group.clone(), ticket, ahead, requests })
    }

    /// Waits for the group, and records which run or job is ahead. Closes the runs of holders whose worker died.
    pub(super) async fn wait(&self, place: Waiter) -> Result<Ticket, AcquireError> {
        let Waiter { me, group, ticket, mut ahead, mut requests } = place;
        let mut reported = None;
        loop {
            self.close_dead(&ahead).await;
            let Some(holder) = ahead.living.first() else { return Ok(ticket) };
            if reported.as_ref() != Some(holder) {
                self.tell(&me, &group, holder);
                reported = Some(holder.clone());
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(Err(error)) = requests.join_next() => {
                    // The request may not have reached the holder, so the wait could last forever.
                    return Err(AcquireError::Failed(format!("internal error: the request for the group {}", Panic::of(error))));
                }
            }
            ahead = ticket.ahead().map_err(failed)?;
        }
    }

    /// Takes the group if no other run or job holds it or waits for it. Otherwise leaves the queue and returns `None`.
    pub(super) async fn take(&self, job: JobId, wanted: &GroupRequest) -> Result<Option<Ticket>, AcquireError> {
        let place = self.enter(Some(job), wanted)?;
        if place.ahead.living.is_empty() {
            return self.wait(place).await.map(Some);
        }
        self.close_dead(&place.ahead).await;
        Ok(None)
    }

    /// Closes the runs of holders whose worker died. Processes that these holders left running must not interfere with
    /// processes that start now.
    async fn close_dead(&self, ahead: &Ahead) {
        for dead in &ahead.dead {
            let _ = recovery::close(&RunsDir::at(&self.state).folder(dead.run.clone())).await;
        }
    }

    /// Asks another run or job to give up its group. A failure is only logged, because the holder may have ended.
    fn displace(&self, other: &Holder, group: &str, me: &Holder) -> impl Future<Output = ()> + use<> {
        let socket = RunsDir::at(&self.state).folder(other.run.clone()).socket();
        let order = Command::Yield { group: group.to_owned(), job: other.job.clone(), to: name(me) };
        async move {
            if let Err(error) = control::order(&socket, &order, control::ORDER_TIMEOUT).await {
                tracing::debug!(%error, "the holder of a concurrency group does not answer");
            }
        }
    }

    fn tell(&self, me: &Holder, group: &str, holder: &Holder) {
        let gate = Gate::Concurrency { group: group.to_owned(), holder: name(holder) };
        self.outlet.record(match &me.job {
            Some(job) => Event::JobWaiting { job: job.clone(), gate },
            None => Event::RunWaiting { gate, attempt: self.attempt, name: self.name.clone() },
        });
    }
}

impl ConcurrencyGate for ConcurrencyQueue {
    fn acquire(self: Arc<Self>, job: JobId, wanted: GroupRequest) -> BoxFuture<'static, Result<Ticket, AcquireError>> {
        // Enters the queue immediately, so that jobs queue in the order in which they start.
        let place = self.enter(Some(job), &wanted);
        async move { self.wait(place?).await }.boxed()
    }
}

/// Returns the folder of a repository's objects and refs, which its worktrees share. Without git, returns the root of
/// its files.
fn scope(repository: &Path) -> PathBuf {
    let common = git::common_folder(None, repository).ok().and_then(|common| common.canonicalize().ok());
    common.unwrap_or_else(|| repository.to_owned())
}

/// Returns the name of a holder for messages.
fn name(member: &Holder) -> String {
    member.job.as_ref().map_or_else(|| member.run.to_string(), |job| format!("{} ({job})", member.run))
}

/// Whether `other` ends only after `me`: it is the run of `me`, the job that calls its workflow, or `me` itself.
fn waits_for(other: &Holder, me: &Holder) -> bool {
    let around = |outer: &JobId| {
        me.job.as_ref().is_some_and(|job| job.as_str().strip_prefix(outer.as_str()).is_some_and(is_inside))
    };
    other.run == me.run && other.job.as_ref().is_none_or(around)
}

/// Whether the rest of a job id is empty, or the name of a job within a called workflow.
fn is_inside(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunId;

    #[test]
    fn only_an_enclosing_run_or_job_makes_a_job_wait_for_itself() {
        let member = |run: &str, job: Option<&str>| Holder { run: RunId::new(run), job: job.map(JobId::new) };
        let me = member("r", Some("call.test.2"));
        for (other, deadlock) in [
            (member("r", None), true),
            (member("r", Some("call")), true),
            (member("r", Some("call.test.2")), true),
            (member("r", Some("call.test.1")), false),
            (member("r", Some("ca")), false),
            (member("s", None), false),
            (member("s", Some("call")), false),
        ] {
            assert_eq!(waits_for(&other, &me), deadlock, "{other:?}");
        }
    }
}
