//! Records which files of the user's working tree the jobs of an attempt use: those that checkouts copy, and those that
//! syncs bring. Git lists them on other threads, because it may take long.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::model::{JobId, Reply};
use crate::repo::git::Abort;
use crate::store::folder::RunFolder;
use crate::store::spec::WorkflowSpec;

use super::outlet::RunOutlet;
use super::working_tree::{self, CopyDigest, CopyTimes};

/// Pause between two records of checkouts. Those that end meanwhile share the next record.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the end of an attempt waits for git before it interrupts git.
const LAST: Duration = Duration::from_secs(10);

/// Records the files that the jobs of an attempt use.
pub(super) struct FileRecords {
    attempt: Arc<AttemptFiles>,
    /// Times at which checkouts had copied files of the user. The sender is kept, so that the channel stays open.
    checkouts: (mpsc::UnboundedSender<SystemTime>, mpsc::UnboundedReceiver<SystemTime>),
    /// Checkouts that no record has yet.
    pending: Option<CopyTimes>,
    /// When the next record of checkouts may begin.
    next: Instant,
    /// The record of checkouts that is being made: at most one.
    copies: JoinSet<()>,
    /// Syncs that are being recorded.
    syncs: JoinSet<()>,
}

/// The attempt whose files are recorded.
struct AttemptFiles {
    folder: RunFolder,
    spec: Arc<WorkflowSpec>,
    outlet: Arc<RunOutlet>,
    /// Interrupts git.
    abort: Abort,
    /// What the last checkouts copied. Locked while files are recorded, because each record adds to the files of those
    /// before it.
    digest: Mutex<CopyDigest>,
}

impl FileRecords {
    pub(super) fn new(folder: RunFolder, spec: Arc<WorkflowSpec>, outlet: Arc<RunOutlet>) -> Self {
        let (abort, digest) = (Abort::default(), Mutex::default());
        Self {
            attempt: Arc::new(AttemptFiles { folder, spec, outlet, abort, digest }),
            checkouts: mpsc::unbounded_channel(),
            pending: None,
            next: Instant::now(),
            copies: JoinSet::new(),
            syncs: JoinSet::new(),
        }
    }

    /// Returns where each checkout of the user's files sends the time at which its copy was complete.
    pub(super) fn checkout_done(&self) -> mpsc::UnboundedSender<SystemTime> {
        self.checkouts.0.clone()
    }

    /// Records the checkouts. Never returns, but may be dropped and called again at any time.
    pub(super) async fn serve(&mut self) -> Infallible {
        loop {
            let is_due = self.copies.is_empty() && self.pending.is_some();
            tokio::select! {
                Some(copied) = self.checkouts.1.recv() => self.pending = Some(CopyTimes::with(self.pending, copied)),
                Some(recorded) = self.copies.join_next() => {
                    recorded.expect("reading changes does not panic");
                    self.next = Instant::now() + PAUSE;
                }
                () = sleep_until(self.next), if is_due => self.record_checkouts(),
            }
        }
    }

    /// Records on another thread what the checkouts have copied that have ended so far.
    fn record_checkouts(&mut self) {
        while let Ok(copied) = self.checkouts.1.try_recv() {
            self.pending = Some(CopyTimes::with(self.pending, copied));
        }
        let Some(times) = self.pending.take() else { return };
        let attempt = Arc::clone(&self.attempt);
        self.copies.spawn_blocking(move || {
            let AttemptFiles { folder, spec, outlet, abort, digest } = &*attempt;
            let mut digest = digest.lock().unwrap_or_else(PoisonError::into_inner);
            working_tree::record_checkouts(folder, spec, outlet, (times, &mut *digest), abort);
        });
    }

    /// Records a sync on another thread, and answers it there.
    pub(super) fn record_sync(&mut self, job: JobId, answer: oneshot::Sender<Reply>) {
        let attempt = Arc::clone(&self.attempt);
        self.syncs.spawn_blocking(move || {
            let AttemptFiles { folder, spec, outlet, abort, digest } = &*attempt;
            let _held = digest.lock().unwrap_or_else(PoisonError::into_inner);
            let reply = match working_tree::record_sync(folder, spec, &job, outlet, abort) {
                Ok(()) => Reply::Accepted,
                Err(error) => Reply::Rejected { reason: error.to_string() },
            };
            // The client may be gone; the sync is recorded all the same.
            let _ = answer.send(reply);
        });
    }

    /// Waits until all syncs and checkouts are recorded, even those of which no record was begun: their files are in
    /// workspaces that a later attempt may keep. If git takes longer than ten seconds, it is interrupted, and the record
    /// says that git could not list the files.
    pub(super) async fn finish(mut self) {
        if timeout(LAST, self.settle()).await.is_err() {
            self.attempt.abort.set();
            self.settle().await;
        }
    }

    async fn settle(&mut self) {
        loop {
            if self.copies.is_empty() {
                self.record_checkouts();
            }
            let recorded = tokio::select! {
                Some(recorded) = self.copies.join_next() => recorded,
                Some(recorded) = self.syncs.join_next() => recorded,
                else => return,
            };
            recorded.expect("reading changes does not panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::worker::working_tree::tests::Case;

    fn records(case: &Case) -> FileRecords {
        FileRecords::new(case.folder.clone(), Arc::new(case.spec.clone()), Arc::clone(&case.outlet))
    }

    #[tokio::test]
    async fn checkouts_share_a_record_and_the_last_ones_are_recorded_at_the_end() {
        let case = Case::new(Vec::new());
        let mut records = records(&case);
        case.write("good\n");
        for _ in 0..3 {
            records.checkout_done().send(SystemTime::now()).expect("it is kept");
        }
        records.record_checkouts();
        assert!(records.checkouts.1.is_empty() && records.copies.len() == 1, "one record has them all");
        records.checkout_done().send(SystemTime::now()).expect("it is kept");
        assert!(records.serve().now_or_never().is_none(), "goes on");
        assert!(records.pending.is_some() && records.copies.len() <= 1, "the next one begins later");
        records.finish().await;
        let run = case.outlet.run();
        assert_eq!((run.info.changed, run.trees[&1].edited), (1, false));
    }

    #[tokio::test]
    async fn what_git_could_not_list_before_it_was_interrupted_is_recorded() {
        let case = Case::new(Vec::new());
        let mut records = records(&case);
        records.checkout_done().send(SystemTime::now()).expect("it is kept");
        let (answer, answered) = oneshot::channel();
        records.record_sync(JobId::new("a"), answer);
        records.attempt.abort.set();
        records.finish().await;
        answered.await.expect("answered");
        let run = case.outlet.run();
        assert!(run.uncommitted().contains(&"(files that a job copied and git could not list)".to_owned()));
    }
}
