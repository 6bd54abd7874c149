//! Runs that are listed or looked up: fetches them, and writes their stubs.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::backend::github::address::Repository;
use crate::backend::github::client::budget::Polled;
use crate::backend::github::client::{Freshness, Priority};
use crate::backend::github::mirror::folder::{RemoteId, Stub, spec, stub};
use crate::backend::github::poller::fetch::{Listed, list};
use crate::backend::github::poller::{PollError, Purpose, WatchFault, folders};
use crate::backend::github::wire::runs::Run as WireRun;
use crate::model::RunId;
use crate::store::spec::RunSpec;

use super::{Answering, Done, Host};

/// Maximum number of runs whose last listed state is remembered.
const MAX_SEEN: usize = 10_000;

impl Host {
    pub(super) fn find(&mut self, repository: Repository, id: u64, answer: oneshot::Sender<Result<RunId, PollError>>) {
        let client = self.client.clone();
        let finding = async move {
            let path = format!("{}/actions/runs/{id}", repository.path());
            let found = client.get(&path, Freshness::NOW, Priority::User).await;
            let result = found.map_err(PollError::from).and_then(|answer| {
                let malformed = |_| PollError::Malformed { host: repository.host.clone(), what: "a run" };
                serde_json::from_slice::<Box<WireRun>>(&answer.body).map_err(malformed)
            });
            let result = match result {
                Ok(mut run) => {
                    folders::complete(&client, &repository, std::slice::from_mut(&mut *run), Priority::User).await;
                    Ok(run)
                }
                Err(error) => Err(error),
            };
            Done::Found { repository, result, answer }
        };
        self.work.push(finding.boxed());
    }

    pub(super) fn poll_lists(&mut self, repositories: Vec<Repository>, priority: Priority, answer: Option<Answering>) {
        let client = self.client.clone();
        let polling = async move {
            let mut lists = Vec::new();
            for repository in repositories {
                let result = list(&client, &repository, priority).await;
                lists.push((repository, result));
            }
            Done::Lists { lists, answer }
        };
        self.work.push(polling.boxed());
    }

    /// Writes the stubs of listed runs that have changed. Opened runs are polled soon instead, and the jobs of a run
    /// are fetched if only they show whether it has ended.
    pub(super) fn list(&mut self, repository: &Repository, Listed { runs, polled }: Listed) -> Polled {
        for mut run in runs.into_iter().flatten() {
            let Some(remote) = run.id.map(|id| self.remote_id(repository, id)) else { continue };
            if self.seen.get(&remote) == Some(&run) {
                continue;
            }
            let listed = run.clone();
            if let Err(error) = self.dates.date(&self.runs, &remote, &mut run) {
                tracing::warn!(%repository, %error, "the mirrors of runs are not known");
                continue;
            }
            // A run without a time is not shown.
            let Some(spec) = spec(&remote, &run) else { continue };
            let id = spec.info.id.clone();
            if self.opened.contains_key(&id) {
                self.wake(id.clone());
            } else {
                match stub(&self.runs, &remote, &run) {
                    Ok(Stub::NeedsJobs) => self.open(&spec, false, Purpose::State, None),
                    Ok(Stub::Current | Stub::Undated) => {}
                    // Another process writes to the folder, perhaps an older state. The stub is written again with the
                    // next change of the list.
                    Ok(Stub::Held) => continue,
                    Err(error) => {
                        tracing::warn!(run = %id, %error, "a listed run is not shown");
                        continue;
                    }
                }
            }
            if self.seen.len() >= MAX_SEEN {
                self.seen.clear();
            }
            self.seen.insert(remote, listed);
        }
        polled
    }

    /// Reports that the server refuses to list the runs of a watched repository, once until it lists them again. A
    /// server that does not respond is a state of its link.
    pub(super) fn report_list(&mut self, repository: Repository, listed: Result<(), PollError>) {
        let Err(error) = listed else {
            self.unlisted.remove(&repository);
            return;
        };
        tracing::warn!(%repository, %error, "the runs of a repository are not listed");
        if !error.is_transient() && self.unlisted.insert(repository.clone()) {
            self.faults.send_replace(Some(WatchFault::List { repository, error: Arc::new(error) }));
        }
    }

    /// Writes the stub of a listed run, and returns its id. Fetches the jobs of the run if only they show whether it
    /// has ended.
    pub(super) fn listed(&mut self, repository: &Repository, run: WireRun) -> Result<RunId, PollError> {
        let (spec, stub) = self.stub(repository, run)?;
        if stub == Stub::NeedsJobs {
            self.open(&spec, false, Purpose::State, None);
        }
        Ok(spec.info.id)
    }

    pub(super) fn stub(&mut self, repository: &Repository, mut run: WireRun) -> Result<(RunSpec, Stub), PollError> {
        let malformed = |what| PollError::Malformed { host: repository.host.clone(), what };
        let remote = self.remote_id(repository, run.id.ok_or_else(|| malformed("the id of a run"))?);
        self.dates.date(&self.runs, &remote, &mut run)?;
        let spec = spec(&remote, &run).ok_or_else(|| malformed("the time of a run"))?;
        let stub = stub(&self.runs, &remote, &run)?;
        Ok((spec, stub))
    }

    fn remote_id(&self, repository: &Repository, id: u64) -> RemoteId {
        let kind = self.client.host().kind();
        RemoteId { host: repository.host.clone(), repository: repository.full_name(), id, kind }
    }
}
