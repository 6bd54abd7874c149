//! Logs of running jobs. Some servers serve them while they grow: Gitea does, GitHub does not. The runner of a job on
//! GitHub may be on this machine, and its log is read from there.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;

use crate::backend::github::client::ApiError;
use crate::backend::github::mirror::events::Timed;
use crate::backend::github::mirror::folder::Mirror;
use crate::backend::github::mirror::live::LiveLog;
use crate::backend::github::mirror::logs::LogError;
use crate::files;
use crate::model::{Job, JobId};

use super::fetch::Fetch;

/// Maximum number of jobs of one run whose logs are followed: each costs a request in every poll.
const MAX_LIVE: usize = 8;

/// Maximum number of requests for the rest of a job's log before the end of the job is recorded. Anything longer
/// follows after that.
const MAX_PARTS: usize = 8;

/// A request for a part of a log.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) job: JobId,
    /// Id of the job on the server.
    number: u64,
    from: u64,
}

/// An answer to a [`Tail`].
#[derive(Debug)]
pub(super) struct Tailed {
    tail: Tail,
    result: Result<Bytes, ApiError>,
}

impl Tail {
    /// Sends the request.
    pub(super) async fn ask(self, fetch: &Fetch<'_>) -> Tailed {
        Tailed { result: fetch.tail(self.number, self.from).await, tail: self }
    }

    /// Requests the log of a job that has ended up to its end, in at most [`MAX_PARTS`] parts.
    pub(super) async fn ask_rest(self, fetch: &Fetch<'_>) -> Vec<Tailed> {
        let mut parts = Vec::new();
        let mut next = Some(self);
        while let Some(tail) = next.take().filter(|_| parts.len() < MAX_PARTS) {
            let tailed = tail.ask(fetch).await;
            next = tailed.after().filter(|_| !tailed.is_empty());
            parts.push(tailed);
        }
        parts
    }
}

impl Tailed {
    /// Returns the job.
    pub(super) fn job(&self) -> &JobId {
        &self.tail.job
    }

    /// Returns the id of the job on the server.
    pub(super) fn number(&self) -> u64 {
        self.tail.number
    }

    /// Returns the request for the part after this one; `None` if the request failed.
    pub(super) fn after(&self) -> Option<Tail> {
        let added = self.result.as_ref().ok()?.len() as u64;
        Some(Tail { from: self.tail.from + added, ..self.tail.clone() })
    }

    fn is_empty(&self) -> bool {
        self.result.as_ref().is_ok_and(Bytes::is_empty)
    }
}

/// The growing logs of a run.
///
/// While a log is incomplete, a marker file exists beside the run's logs. If the process dies, a log with a marker is
/// downloaded as a whole.
#[derive(Default)]
pub(super) struct LiveLogs(HashMap<JobId, LiveLog>);

impl LiveLogs {
    /// Returns the requests for the next parts of the logs of running jobs, at most [`MAX_LIVE`]. Starts the logs that
    /// are not followed yet, with their markers.
    pub(super) fn next(&mut self, mirror: &Mirror) -> Vec<Tail> {
        let run = mirror.run();
        let runs = |job: &&Job| job.attempt == run.attempt && job.phase.is_active() && job.started.is_some();
        let jobs: Vec<&Job> =
            run.jobs.values().filter(runs).filter(|job| job.remote.is_some()).take(MAX_LIVE).collect();
        let mut tails = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.of(mirror, job) {
                Ok(log) => {
                    tails.push(Tail {
                        job: job.id.clone(),
                        number: job.remote.unwrap_or_default(),
                        from: log.offset(),
                    });
                }
                Err(error) => tracing::warn!(%error, job = %job.id, "the log of a job is not followed"),
            }
        }
        tails
    }

    fn of(&mut self, mirror: &Mirror, job: &Job) -> Result<&LiveLog, LogError> {
        if self.0.get(&job.id).is_none_or(|log| log.attempt() != job.attempt) {
            if let Some(mark) = mark(mirror, job) {
                files::create_own(&mark).map_err(LogError::Read)?;
            }
            self.0.insert(job.id.clone(), LiveLog::new(mirror.folder(), job)?);
        }
        Ok(&self.0[&job.id])
    }

    /// Adds an answer, and returns the events about it. The mirror must have a state of the job that was fetched after
    /// the answer.
    pub(super) fn add(&mut self, mirror: &Mirror, tailed: Tailed) -> Vec<Timed> {
        let Tailed { tail, result } = tailed;
        match result {
            Ok(text) => self.append(mirror, &tail.job, &text),
            Err(error) => {
                tracing::debug!(%error, job = %tail.job, "the log of a job has not grown");
                Vec::new()
            }
        }
    }

    /// Adds the next part of the log of a job, and returns the events about it. The mirror must have a state of the job
    /// that was fetched after the text was written.
    pub(super) fn append(&mut self, mirror: &Mirror, id: &JobId, text: &[u8]) -> Vec<Timed> {
        let (Some(log), Some(job)) = (self.0.get_mut(id), mirror.run().jobs.get(id)) else { return Vec::new() };
        log.add(job, text).unwrap_or_else(|error| {
            tracing::debug!(%error, job = %id, "the log of a job has not grown");
            Vec::new()
        })
    }

    /// Adds lines that the step of the last line wrote. Returns the events about them, or `None` if it is unclear which
    /// step that is, or if the job is not followed.
    pub(super) fn extend<'t>(&mut self, id: &JobId, lines: impl Iterator<Item = &'t [u8]>) -> Option<Vec<Timed>> {
        self.0.get_mut(id)?.extend(lines).unwrap_or_else(|error| {
            tracing::debug!(%error, job = %id, "the log of a job has not grown");
            None
        })
    }

    /// Starts to follow the log of a job that this process adds text to.
    ///
    /// # Errors
    /// The log, or the marker that it is incomplete, cannot be written.
    pub(super) fn start(&mut self, mirror: &Mirror, job: &Job) -> Result<(), LogError> {
        self.of(mirror, job).map(drop)
    }

    /// Stops following the log of a job, which stays incomplete: the whole log is downloaded after the end of the job.
    pub(super) fn leave(&mut self, id: &JobId) {
        self.0.remove(id);
    }

    /// Returns the requests for the last parts of followed logs whose jobs have ended.
    pub(super) fn ends(&self, mirror: &Mirror) -> Vec<Tail> {
        let run = mirror.run();
        let ended = self.0.iter().filter_map(|(id, log)| {
            let job = run.jobs.get(id).filter(|job| job.phase.is_done())?;
            Some(Tail { job: id.clone(), number: job.remote?, from: log.offset() })
        });
        ended.collect()
    }

    /// Adds an answer about a job that has ended. Returns its events and the next request; `None` if the log is
    /// complete or the request failed.
    pub(super) fn end(&mut self, mirror: &Mirror, tailed: Tailed) -> (Vec<Timed>, Option<Tail>) {
        let (id, run) = (tailed.job().clone(), mirror.run());
        let Some(job) = run.jobs.get(&id) else { return (Vec::new(), None) };
        match &tailed.result {
            Ok(text) if !text.is_empty() => {
                let events = self.add(mirror, tailed);
                let from = self.0.get(&id).map(LiveLog::offset);
                (events, from.zip(job.remote).map(|(from, number)| Tail { job: id, number, from }))
            }
            Ok(_) => match self.0.remove(&id).map(|log| log.finish(job)) {
                Some(Ok(events)) => {
                    self.forget(mirror, job);
                    (events, None)
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, job = %id, "the end of a log is lost");
                    (Vec::new(), None)
                }
                None => (Vec::new(), None),
            },
            // The marker stays, so that the whole log is downloaded.
            Err(error) => {
                tracing::debug!(%error, job = %id, "the end of a log is not here");
                self.0.remove(&id);
                (Vec::new(), None)
            }
        }
    }

    /// Whether the log of a job was followed, by this process or another, and is incomplete.
    pub(super) fn is_partial(mirror: &Mirror, job: &Job) -> bool {
        mark(mirror, job).is_some_and(|mark| mark.exists())
    }

    /// Whether the log of a job is followed.
    pub(super) fn has(&self, job: &JobId) -> bool {
        self.0.contains_key(job)
    }

    /// Stops following the log of a job and removes its marker.
    pub(super) fn forget(&mut self, mirror: &Mirror, job: &Job) {
        self.0.remove(&job.id);
        if let Some(mark) = mark(mirror, job) {
            // The marker may not exist.
            let _ = fs::remove_file(mark);
        }
    }
}

/// Returns the path of the file that marks a log as incomplete.
fn mark(mirror: &Mirror, job: &Job) -> Option<PathBuf> {
    job.remote.map(|number| mirror.folder().path().join(format!("{number}.live")))
}
