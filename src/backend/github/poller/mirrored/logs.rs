//! Downloads the logs of the jobs of a mirrored run, writes them, and replies to callers that wait for them.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::backend::github::client::{ApiError, Priority};
use crate::backend::github::mirror::events::Timed;
use crate::backend::github::mirror::logs;
use crate::backend::github::mirror::logs::LogError;
use crate::files;
use crate::model::{Conclusion, Job, JobId, ServerKind};
use crate::store::StoreError;

use super::super::fetch::Fetch;
use super::super::live::{LiveLogs, Tail, Tailed};
use super::super::{LogFault, PollError};
use super::{Finished, Mirrored};

/// Maximum size of the log of a job that the user requests, in bytes.
const MAX_LOG: u64 = 1 << 30;

/// Maximum size of the log of a job that is downloaded automatically, in bytes.
const MAX_UNASKED_LOG: u64 = 100 << 20;

/// Maximum number of logs of one attempt that are downloaded automatically, starting with failed jobs.
const MAX_LOGS: usize = 20;

/// Delays in seconds between attempts to get the log of a job that has ended: it appears a few seconds after the end.
const LOG_DELAYS: [u64; 5] = [2, 4, 8, 15, 30];

/// Receives the result once the logs are loaded.
pub(super) type Loaded = oneshot::Sender<Result<(), PollError>>;

/// Downloads that a caller waits for.
pub(super) struct Waiting {
    jobs: HashSet<JobId>,
    /// Error of the first download that failed; `None` if none has failed.
    fault: Option<PollError>,
    done: Loaded,
}

impl Mirrored {
    /// Requests the end of a followed log.
    fn ask_end(&mut self, tail: Tail) {
        let (client, remote) = (self.client.clone(), Arc::clone(&self.remote));
        let asking = async move {
            let fetch = Fetch { client: &client, remote: &remote, priority: Priority::Visible };
            Finished::End(tail.ask(&fetch).await)
        };
        self.work.push(asking.boxed());
    }

    /// Requests the ends of followed logs whose jobs have ended. If logs are downloaded automatically, starts to
    /// download the logs of completed jobs, beginning with failed ones.
    pub(super) fn want_logs(&mut self) {
        let ends = if self.has_live_logs() { self.live.ends(&self.mirror) } else { Vec::new() };
        for tail in ends {
            if self.loading.insert(tail.job.clone()) {
                self.ask_end(tail);
            }
        }
        let run = self.mirror.run();
        if run.attempt != self.attempt {
            self.attempt = run.attempt;
            self.logs.clear();
        }
        let mut wanted: Vec<_> = run.jobs.values().filter(|job| self.lacks_log(job, run.attempt)).collect();
        wanted.retain(|job| !self.logs.contains(&job.id));
        wanted.sort_by_key(|job| !job.phase.conclusion().is_some_and(Conclusion::is_bad));
        let most = if self.loads_logs { MAX_LOGS } else { 0 };
        let room = most.saturating_sub(self.logs.len());
        let wanted: Vec<_> = wanted.iter().take(room).map(|job| job.id.clone()).collect();
        for job in wanted {
            self.download(job, MAX_UNASKED_LOG);
        }
    }

    /// Starts to download the logs of jobs, and replies once they are complete; without jobs, once the downloads in
    /// progress have ended.
    pub(super) fn load_logs(&mut self, jobs: &[JobId], done: Loaded) {
        let run = self.mirror.run();
        let wanted = run.jobs.values().filter(|job| jobs.contains(&job.id) && self.lacks_log(job, job.attempt));
        let wanted: Vec<JobId> = wanted.map(|job| job.id.clone()).collect();
        for job in wanted {
            self.download(job, MAX_LOG);
        }
        let is_asked = |job: &&JobId| jobs.is_empty() || jobs.contains(job);
        let jobs = self.loading.iter().filter(is_asked).cloned().collect();
        self.waiting.push(Waiting { jobs, fault: None, done });
        self.answer_waiting();
    }

    /// Replies to callers whose downloads have all ended.
    fn answer_waiting(&mut self) {
        let loading = &self.loading;
        for Waiting { fault, done, .. } in self.waiting.extract_if(.., |waiting| waiting.jobs.is_disjoint(loading)) {
            // The caller may be gone.
            let _ = done.send(fault.map_or(Ok(()), Err));
        }
    }

    /// Records that the log of a job was loaded, or why it was not.
    fn loaded(&mut self, id: &JobId, result: Result<(), LogFault>) {
        if let Err(fault) = result {
            tracing::info!(%fault, job = %id, "a job has no log");
            let (fault, run) = (Arc::new(fault), self.mirror.run());
            let name = run.jobs.get(id).map_or_else(|| id.to_string(), |job| job.name.clone());
            for waiting in self.waiting.iter_mut().filter(|waiting| waiting.jobs.contains(id)) {
                let fault = || PollError::Log { job: name.clone(), fault: Arc::clone(&fault) };
                waiting.fault.get_or_insert_with(fault);
            }
        }
        self.loading.remove(id);
        self.answer_waiting();
    }

    /// Starts to download the log of a job, of at most `limit` bytes, and its annotations unless they have been
    /// fetched. Does nothing if the log is being downloaded.
    fn download(&mut self, id: JobId, limit: u64) {
        let Some(job) = self.mirror.run().jobs.get(&id).and_then(|job| job.remote) else { return };
        if !self.loading.insert(id.clone()) {
            return;
        }
        self.logs.insert(id.clone());
        let (client, remote) = (self.client.clone(), Arc::clone(&self.remote));
        let (into, has_annotations) = (self.log_file(job), self.annotated.contains(&job));
        let downloading = async move {
            let priority = if limit == MAX_LOG { Priority::User } else { Priority::Visible };
            let fetch = Fetch { client: &client, remote: &remote, priority };
            let mut result = fetch.log(job, &into, limit).await;
            for delay in LOG_DELAYS {
                // The log is not available yet.
                if !matches!(&result, Err(ApiError::Refused { status: 404, .. })) {
                    break;
                }
                sleep(Duration::from_secs(delay)).await;
                result = fetch.log(job, &into, limit).await;
            }
            // Annotations of successful jobs are fetched together with their logs.
            let found = if has_annotations { None } else { fetch.annotations(job).await.ok() };
            Finished::Log { job: id, limit, result, annotations: (job, found) }
        };
        self.work.push(downloading.boxed());
    }

    /// Whether the server may have a log of this job that is missing or incomplete here.
    fn lacks_log(&self, job: &Job, attempt: u32) -> bool {
        let is_partial = || job.phase.is_done() && !self.live.has(&job.id) && LiveLogs::is_partial(&self.mirror, job);
        job.attempt == attempt && job.remote.is_some() && (job.lacks_log() || is_partial())
    }

    /// Returns the path of a job's log during its download, by the id of the job.
    fn log_file(&self, job: u64) -> PathBuf {
        self.mirror.folder().path().join(format!("{job}.download"))
    }

    /// Takes the result of a download. Splits a downloaded log on another thread, because it may have hundreds of
    /// megabytes. Downloads a log again if it is larger than the automatic limit and a caller waits for it.
    pub(super) fn take_log(&mut self, id: JobId, limit: u64, result: Result<(), ApiError>) {
        let job = self.mirror.run().jobs.get(&id).cloned();
        let (job, number) = match (result, job.as_ref().and_then(|job| job.remote), job) {
            (Ok(()), Some(number), Some(job)) => (job, number),
            (Err(error), ..) => {
                // The user has requested the log in the meantime.
                let is_asked = self.waiting.iter().any(|waiting| waiting.jobs.contains(&id));
                if matches!(error, ApiError::TooLarge { .. }) && limit < MAX_LOG && is_asked {
                    self.loading.remove(&id);
                    return self.download(id, MAX_LOG);
                }
                // After a transient error, the next poll requests the log again.
                if error.is_transient() {
                    self.logs.remove(&id);
                }
                return self.loaded(&id, Err(LogFault::Api(error)));
            }
            (Ok(()), ..) => return self.loaded(&id, Ok(())),
        };
        let (file, folder, attempt) = (self.log_file(number), self.mirror.folder().clone(), job.attempt);
        let splitting = spawn_blocking(move || {
            let text = files::open_own(&file).map_err(LogError::Read)?;
            let events = logs::split(&folder, &job, BufReader::new(text));
            let _ = fs::remove_file(file);
            events
        });
        let split = async move {
            // A panic of the thread is a bug, but only loses the log.
            let result = splitting.await.unwrap_or_else(|panic| Err(LogError::Read(io::Error::other(panic))));
            Finished::Split { job: id, attempt, result }
        };
        self.work.push(split.boxed());
    }

    /// Adds an answer about the end of a followed log. Then requests the next part, or downloads the whole log if its
    /// end could not be added.
    pub(super) fn take_end(&mut self, tailed: Tailed) -> Result<(), StoreError> {
        let job = tailed.job().clone();
        let (events, next) = self.live.end(&self.mirror, tailed);
        self.append(events)?;
        match next {
            Some(tail) => self.ask_end(tail),
            None if self.mirror.run().jobs.get(&job).is_some_and(|job| self.lacks_log(job, job.attempt)) => {
                self.loading.remove(&job);
                self.download(job, MAX_UNASKED_LOG);
            }
            None => self.loaded(&job, Ok(())),
        }
        Ok(())
    }

    /// Records the events of a split log.
    pub(super) fn take_split(
        &mut self,
        id: &JobId,
        attempt: u32,
        result: Result<Vec<Timed>, LogError>,
    ) -> Result<(), StoreError> {
        let result = match result {
            // The job was re-run in the meantime.
            Ok(_) if self.mirror.run().jobs.get(id).is_none_or(|job| job.attempt != attempt) => Ok(()),
            Ok(events) => {
                self.append(events)?;
                if let Some(job) = self.mirror.run().jobs.get(id) {
                    self.live.forget(&self.mirror, job);
                }
                Ok(())
            }
            Err(error) => Err(LogFault::Split(error)),
        };
        self.loaded(id, result);
        Ok(())
    }

    /// Whether the server serves logs of running jobs: Gitea does, GitHub does not.
    pub(super) fn has_live_logs(&self) -> bool {
        self.remote.server == ServerKind::Gitea
    }
}
