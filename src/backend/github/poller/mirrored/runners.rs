//! Follows the logs that runners on this machine write for jobs in progress.
//!
//! Lines arrive several times a second, but the state of the job only with a poll. Lines are added at once if the step
//! that wrote them also wrote the line before. Other lines wait for the next poll, which shows to which step they
//! belong. A server may learn of a step later than its runner, so the first lines of a step wait for a few polls until
//! the server knows a newer step.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::backend::github::mirror::logs::time_of;
use crate::backend::github::runner::{JobLog, Line, RemoteJob, RunnerError};
use crate::backend::github::wire::runs::Job as WireJob;
use crate::backend::github::wire::words::Status;
use crate::model::{Event, Job, JobId, RunnerLog, ServerKind, StepNumber, Timestamp};
use crate::store::StoreError;

use super::super::fetch::Fetched;
use super::{Finished, Mirrored};

/// Interval between two reads of the files of a runner.
const INTERVAL: Duration = Duration::from_millis(250);

/// Maximum number of jobs of one run whose logs are followed.
const MAX_FOLLOWED: usize = 8;

/// Maximum number of bytes that wait for a poll. Nothing more is read until then.
const MAX_QUEUED: usize = 4 << 20;

/// Maximum number of polls that the first lines of a step wait for a step that the server does not know.
const MAX_WAITS: u32 = 3;

/// The logs of runners on this machine, by job.
#[derive(Default)]
pub(super) struct RunnerLogs(HashMap<JobId, Followed>);

/// Files of runners that were opened, and why others were not.
pub(super) type Sought = Vec<(JobId, String, Result<Option<JobLog>, RunnerError>)>;

/// The log of a job. Its files are with the task that reads them.
struct Followed {
    attempt: u32,
    queue: Queue,
    /// The files, while too many lines wait for a poll.
    paused: Option<JobLog>,
}

impl Mirrored {
    /// Searches for the runners of jobs in progress that are not followed.
    pub(super) fn seek_runners(&mut self, fetched: &Fetched) {
        // The runners of other servers write other files.
        if !self.loads_logs || self.is_seeking || self.remote.server != ServerKind::GitHub {
            return;
        }
        let run = self.mirror.run();
        let active: Vec<&WireJob> = fetched.jobs.iter().filter(|job| job.status == Some(Status::InProgress)).collect();
        let mut sought = Vec::new();
        for wire in &active {
            let (Some(id), Some(name), Some(runner)) = (wire.id, &wire.name, &wire.runner_name) else { continue };
            let is_it = |job: &&Job| job.remote == Some(id) && job.phase.is_active() && job.attempt == run.attempt;
            let Some(job) = run.jobs.values().find(is_it) else { continue };
            if runner.is_empty() || self.runners.0.contains_key(&job.id) {
                continue;
            }
            let is_same = |other: &&&WireJob| (&other.name, &other.runner_name) == (&wire.name, &wire.runner_name);
            let remote = RemoteJob {
                host: self.remote.host.clone(),
                repository: self.remote.repository.clone(),
                run: self.remote.id,
                attempt: run.attempt,
                id,
                name: name.clone(),
                is_unique: active.iter().filter(is_same).count() == 1,
                runner: runner.clone(),
            };
            sought.push((job.id.clone(), remote));
        }
        if sought.is_empty() || self.runners.0.len() >= MAX_FOLLOWED {
            return;
        }
        self.is_seeking = true;
        let runners = Arc::clone(&self.on_this_machine);
        let seeking = async move {
            let found = spawn_blocking(move || {
                let open = |(id, job): (JobId, RemoteJob)| {
                    let log = runners.open(&job);
                    (id, job.runner, log)
                };
                sought.into_iter().map(open).collect()
            });
            // A panic of the thread is a bug, but only loses the logs.
            Finished::Sought(found.await.unwrap_or_default())
        };
        self.work.push(seeking.boxed());
    }

    /// Starts to read the logs of runners, and records why others cannot be read.
    pub(super) fn take_sought(&mut self, sought: Sought) -> Result<(), StoreError> {
        self.is_seeking = false;
        for (id, runner, found) in sought {
            let Some(job) = self.mirror.run().jobs.get(&id).filter(|job| job.phase.is_active()) else { continue };
            let unavailable = match found {
                Ok(None) => continue,
                Ok(Some(_)) if self.runners.0.len() >= MAX_FOLLOWED => continue,
                Ok(Some(log)) => match self.live.start(&self.mirror, job) {
                    Ok(()) => {
                        let attempt = job.attempt;
                        let followed = Followed { attempt, queue: Queue::default(), paused: None };
                        self.runners.0.insert(id.clone(), followed);
                        self.read_runner(id.clone(), attempt, log, Duration::ZERO);
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
                Err(error) => Some(error.to_string()),
            };
            self.runner_found(id, RunnerLog { runner, unavailable })?;
        }
        Ok(())
    }

    /// Records the state of the log of a job's runner, unless it is known.
    fn runner_found(&mut self, id: JobId, log: RunnerLog) -> Result<(), StoreError> {
        match self.mirror.run().jobs.get(&id) {
            Some(job) if job.runner_log.as_ref() == Some(&log) => Ok(()),
            _ => self.record(Event::RunnerFound { job: id, log }),
        }
    }

    /// Reads what a runner has added to its files, after a delay.
    fn read_runner(&mut self, job: JobId, attempt: u32, mut log: JobLog, delay: Duration) {
        let reading = async move {
            sleep(delay).await;
            let read = spawn_blocking(move || {
                let lines = log.read();
                (log, lines)
            });
            // A panic of the thread is a bug, but only loses the log.
            Finished::Read { job, attempt, read: read.await.ok() }
        };
        self.work.push(reading.boxed());
    }

    /// Adds the lines that were read.
    pub(super) fn take_read(
        &mut self,
        id: JobId,
        attempt: u32,
        read: Option<(JobLog, Result<Vec<Line>, RunnerError>)>,
    ) -> Result<(), StoreError> {
        // The job may have been run again since then.
        let Some(followed) = self.runners.0.get_mut(&id).filter(|followed| followed.attempt == attempt) else {
            return Ok(());
        };
        match read {
            Some((log, Ok(lines))) => {
                followed.queue.add(lines);
                let count = followed.queue.continued();
                if count > 0
                    && let Some(events) = self.live.extend(&id, followed.queue.texts(count))
                {
                    followed.queue.remove(count);
                    self.append(events)?;
                }
                self.read_on(id, log);
                Ok(())
            }
            Some((_, Err(error))) => {
                self.unfollow(&id);
                let runner = self.mirror.run().jobs.get(&id).and_then(|job| job.runner_log.clone());
                let runner = runner.map(|log| log.runner).unwrap_or_default();
                self.runner_found(id, RunnerLog { runner, unavailable: Some(error.to_string()) })
            }
            None => {
                self.unfollow(&id);
                Ok(())
            }
        }
    }

    /// Stops following the log of a job. Its log stays marked as incomplete: it begins again if the files of its runner
    /// are opened again, and downloaded as a whole after the end of the job.
    fn unfollow(&mut self, id: &JobId) {
        self.runners.0.remove(id);
        self.live.leave(id);
    }

    /// Reads the files of a runner again, unless too many lines wait for a poll.
    fn read_on(&mut self, id: JobId, log: JobLog) {
        match self.runners.0.get_mut(&id) {
            Some(followed) if followed.queue.bytes >= MAX_QUEUED => followed.paused = Some(log),
            Some(followed) => {
                let attempt = followed.attempt;
                self.read_runner(id, attempt, log, INTERVAL);
            }
            None => {}
        }
    }

    /// Returns the ids on the server of followed jobs that have ended.
    pub(super) fn ended_on_runners<'s>(&'s self, fetched: &'s Fetched) -> impl Iterator<Item = u64> + 's {
        let remotes = self.runners.0.keys().filter_map(|id| self.mirror.run().jobs.get(id)?.remote);
        remotes.filter(|job| fetched.has_ended(*job))
    }

    /// Adds the lines that waited for a poll. The mirror must have the new state, except for the ends of the jobs
    /// `ended`.
    pub(super) fn feed_runners(&mut self, ended: &[u64]) -> Result<(), StoreError> {
        let mut runners = std::mem::take(&mut self.runners);
        for (id, mut followed) in runners.0.drain() {
            let run = self.mirror.run();
            let is_it = |job: &&Job| job.attempt == followed.attempt && run.attempt == followed.attempt;
            let Some(job) = run.jobs.get(&id).filter(is_it).cloned() else {
                self.unfollow(&id);
                continue;
            };
            let has_ended = job.phase.is_done() || job.remote.is_some_and(|job| ended.contains(&job));
            while let Some(text) = followed.queue.next(&job, has_ended) {
                let events = self.live.append(&self.mirror, &id, &text);
                self.append(events)?;
            }
            if has_ended {
                // The server has the whole log now.
                let events = self.live.append(&self.mirror, &id, &[]);
                self.append(events)?;
                self.unfollow(&id);
                continue;
            }
            let paused = followed.paused.take();
            self.runners.0.insert(id.clone(), followed);
            if let Some(log) = paused {
                self.read_on(id, log);
            }
        }
        Ok(())
    }
}

/// Lines that are in no log of the mirror yet.
#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    /// The step, as the runner calls it, that wrote the last line that was taken; `None` if it is unknown.
    last: Option<Arc<str>>,
    /// The last known step of the runner, and the newest step of the server at its first line.
    step: Option<(Arc<str>, Option<StepNumber>)>,
    /// Number of polls that the first line has waited for a new step.
    waits: u32,
}

impl Queue {
    fn add(&mut self, lines: Vec<Line>) {
        self.bytes += lines.iter().map(|line| line.text.len()).sum::<usize>();
        self.lines.extend(lines);
    }

    /// Returns the number of first lines of the step that also wrote the last line that was taken.
    fn continued(&self) -> usize {
        let is_same = |line: &&Line| line.step.is_some() && line.step == self.last;
        self.lines.iter().take_while(is_same).count()
    }

    /// Returns the texts of the first lines.
    fn texts(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().take(count).map(|line| line.text.as_slice())
    }

    /// Removes the first lines.
    fn remove(&mut self, count: usize) {
        self.bytes -= self.lines.drain(..count).map(|line| line.text.len()).sum::<usize>();
    }

    /// Removes the first lines of one step, and returns their text, if `job` has the state of the step. `None` if there
    /// are no lines, or if they are those of a step that the server does not know yet. They do not wait for a job that
    /// has ended.
    fn next(&mut self, job: &Job, has_ended: bool) -> Option<Vec<u8>> {
        let first = self.lines.front()?;
        let step = first.step.clone();
        let newest = time_of(&first.text).0.and_then(|at| newest_step(job, at));
        let is_unknown = step.is_some()
            && self
                .step
                .as_ref()
                .is_some_and(|(known, at)| step.as_ref() != Some(known) && newest.is_some() && newest == *at);
        if is_unknown && !has_ended && self.waits < MAX_WAITS {
            self.waits += 1;
            return None;
        }
        self.waits = 0;
        let count = self.lines.iter().take_while(|line| line.step == step).count();
        if let Some(step) = &step
            && self.step.as_ref().is_none_or(|(known, _)| known != step)
        {
            self.step = Some((Arc::clone(step), newest));
        }
        self.last = step;
        let text = self.texts(count).collect::<Vec<_>>().concat();
        self.remove(count);
        Some(text)
    }
}

/// Returns the newest step of a job that had started at a time.
fn newest_step(job: &Job, at: Timestamp) -> Option<StepNumber> {
    job.steps.iter().filter(|step| step.started.is_some_and(|started| started <= at)).map(|step| step.number).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;
    use crate::model::{RunId, StepKind, StepOutline};
    use crate::store::runs::RunStore;

    fn line(step: Option<&str>, second: u64) -> Line {
        let text = format!("2026-11-28T14:00:{second:02}.5000000Z at {second}\n").into_bytes();
        Line { step: step.map(Arc::from), text }
    }

    /// Returns a job whose steps start at these seconds after 14:00:00.
    fn job(seconds: &[u64]) -> Job {
        let start = time_of(b"2026-11-28T14:00:00.0000000Z \n").0.expect("a time");
        let (run, id) = (RunId::new("20261128-140000-aaaa"), JobId::new("a"));
        let outline = |number: u64| StepOutline {
            number: StepNumber(u32::try_from(number).expect("small")),
            name: "s".to_owned(),
            kind: StepKind::Main,
            background: false,
            label: None,
        };
        let mut events = vec![
            (start, testing::run_started(1)),
            (start, Event::JobsPlanned { jobs: vec![testing::outline("a", "a", &[])], replaces: None }),
            (start, Event::StepsPlanned { job: id.clone(), steps: (1..5).map(outline).collect() }),
        ];
        for (number, second) in (1..).zip(seconds) {
            let started = Event::StepStarted { job: id.clone(), step: StepNumber(number), name: "s".to_owned() };
            events.push((Timestamp(start.0 + second * 1000), started));
        }
        let mut store = RunStore::default();
        store.open(testing::info(run.clone(), start));
        for (seq, (at, event)) in (1..).zip(events) {
            store.apply(&run, &crate::model::Record { seq, at, event });
        }
        store.run(&run).expect("opened").jobs[&id].clone()
    }

    #[test]
    fn lines_of_the_same_step_need_no_poll_and_those_of_a_new_one_wait_for_it() {
        let mut queue = Queue::default();
        queue.add(vec![line(Some("x"), 1)]);
        assert_eq!(queue.continued(), 0, "the step is unknown");
        assert_eq!(queue.next(&job(&[0]), false), Some(line(None, 1).text));
        queue.add(vec![line(Some("x"), 2), line(Some("x"), 3), line(Some("y"), 5)]);
        assert_eq!(queue.continued(), 2);
        queue.remove(2);
        assert_eq!(queue.next(&job(&[0]), false), None, "the server knows only the first step");
        assert_eq!(queue.next(&job(&[0, 4]), false), Some(line(None, 5).text));
        queue.add(vec![line(Some("z"), 7)]);
        assert!((0..MAX_WAITS).all(|_| queue.next(&job(&[0, 4]), false).is_none()));
        assert_eq!(queue.next(&job(&[0, 4]), false), Some(line(None, 7).text), "they do not wait for ever");
        queue.add(vec![line(Some("w"), 8)]);
        assert_eq!(queue.next(&job(&[0, 4]), true), Some(line(None, 8).text), "the job has ended");
        assert_eq!((queue.lines.len(), queue.bytes), (0, 0));
    }

    #[test]
    fn lines_of_the_pages_of_the_job_wait_for_a_poll() {
        let mut queue = Queue::default();
        queue.add(vec![line(None, 1), line(None, 2), line(Some("x"), 3)]);
        assert_eq!(queue.next(&job(&[0]), false), Some([line(None, 1).text, line(None, 2).text].concat()));
        assert_eq!(queue.continued(), 0);
        assert!(queue.next(&job(&[0]), false).is_some());
        queue.add(vec![line(Some("x"), 4)]);
        assert_eq!(queue.continued(), 1);
    }
}
