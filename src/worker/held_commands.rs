//! Commands about held steps, for the worker of a workflow's run.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::engine::hold::Holds;
use crate::model::capabilities::Unavailable;
use crate::model::{Command, JobId, Reply};
use crate::store::folder::RunFolder;
use crate::store::spec::WorkflowSpec;

use super::control::PendingCommand;
use super::outlet::RunOutlet;
use super::working_tree;
use super::working_tree::Copied;

/// Where the files of a run come from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) folder: RunFolder,
    pub(super) spec: Arc<WorkflowSpec>,
    /// Whether the repository has a commit. A folder without one has no changes.
    pub(super) has_commit: bool,
}

/// Carries out the commands about held steps, and answers them. Records which files jobs copy.
pub(super) struct HeldCommands {
    commands: mpsc::Receiver<PendingCommand>,
    holds: Arc<Holds>,
    source: Source,
    outlet: Arc<RunOutlet>,
    /// Syncs and ends of holds that are being recorded.
    records: JoinSet<()>,
    /// Notified when a job has copied files of the user.
    copied: Arc<Notify>,
    /// The record of copied files that is being made: at most one. Jobs that copy files meanwhile share the next one.
    copies: JoinSet<()>,
    /// What the last copy found. Locked while files are recorded, because each record adds to the files of those before
    /// it.
    recording: Arc<Mutex<Copied>>,
}

impl HeldCommands {
    /// Returns the commands about the steps in `holds`. `copied` is notified when a job has copied files of the user.
    pub(super) fn new(
        commands: mpsc::Receiver<PendingCommand>,
        (holds, copied, outlet): (&Arc<Holds>, &Arc<Notify>, &Arc<RunOutlet>),
        source: Source,
    ) -> Self {
        Self {
            commands,
            holds: Arc::clone(holds),
            source,
            outlet: Arc::clone(outlet),
            records: JoinSet::new(),
            copied: Arc::clone(copied),
            copies: JoinSet::new(),
            recording: Arc::default(),
        }
    }

    /// Answers commands for ever.
    pub(super) async fn answer(&mut self) -> Infallible {
        loop {
            tokio::select! {
                Some((command, answer)) = self.commands.recv() => self.carry_out(command, answer),
                () = self.copied.notified(), if self.copies.is_empty() => self.record_copy(),
                Some(recorded) = self.copies.join_next() => recorded.expect("reading changes does not panic"),
            }
        }
    }

    fn carry_out(&mut self, command: Command, answer: oneshot::Sender<Reply>) {
        let reply = match command {
            Command::Held { job, step, order } => match self.holds.order(&job, step, order) {
                Ok(recorded) => {
                    // The answer comes after the record, so that a client that reads the journal next sees no hold.
                    self.records.spawn(async move {
                        let _ = recorded.await;
                        let _ = answer.send(Reply::Accepted);
                    });
                    return;
                }
                Err(reason) => Reply::Rejected { reason: reason.to_string() },
            },
            Command::Hold { on } => {
                self.holds.turn(on);
                Reply::Accepted
            }
            Command::Synced { job } => return self.record_sync(job, answer),
            _ => Reply::Rejected { reason: Unavailable::NotHeld.to_string() },
        };
        // The client may be gone; the command is carried out all the same.
        let _ = answer.send(reply);
    }

    /// Records on another thread which files the jobs have copied that were notified of so far.
    fn record_copy(&mut self) {
        if !self.source.has_commit {
            return;
        }
        let (source, outlet) = (self.source.clone(), Arc::clone(&self.outlet));
        let recording = Arc::clone(&self.recording);
        self.copies.spawn_blocking(move || {
            let mut copied = recording.lock().unwrap_or_else(PoisonError::into_inner);
            working_tree::record_copy(&source.folder, &source.spec, &outlet, &mut copied);
        });
    }

    /// Records a sync on another thread and answers it there, because other commands do not wait for git.
    fn record_sync(&mut self, job: JobId, answer: oneshot::Sender<Reply>) {
        let (source, outlet) = (self.source.clone(), Arc::clone(&self.outlet));
        let recording = Arc::clone(&self.recording);
        self.records.spawn_blocking(move || {
            let _held = recording.lock().unwrap_or_else(PoisonError::into_inner);
            let reply = match working_tree::record_sync(&source.folder, &source.spec, &job, &outlet) {
                Ok(()) => Reply::Accepted,
                Err(error) => Reply::Rejected { reason: error.to_string() },
            };
            let _ = answer.send(reply);
        });
    }

    /// Waits until every end of a hold is recorded, and every sync and every copy, even those that were not begun: their
    /// files are in workspaces that a later attempt may keep. Other commands are too late.
    pub(super) async fn finish(mut self) {
        self.commands.close();
        while let Some((command, answer)) = self.commands.recv().await {
            if let Command::Synced { job } = command {
                self.record_sync(job, answer);
            }
        }
        if self.copied.notified().now_or_never().is_some() {
            self.record_copy();
        }
        for records in [&mut self.records, &mut self.copies] {
            while let Some(recorded) = records.join_next().await {
                recorded.expect("reading changes does not panic");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HeldOrder, StepNumber};
    use crate::worker::working_tree::tests::Case;

    fn commands(case: &Case, commands: mpsc::Receiver<PendingCommand>) -> HeldCommands {
        let source = Source { folder: case.folder.clone(), spec: Arc::new(case.spec.clone()), has_commit: true };
        HeldCommands::new(commands, (&Arc::new(Holds::new(None)), &Arc::default(), &case.outlet), source)
    }

    #[tokio::test]
    async fn a_sync_is_recorded_before_the_end_of_its_attempt_and_delays_no_other_command() {
        let case = Case::new(Vec::new());
        let (order, orders) = mpsc::channel(4);
        let send = |command| {
            let (answer, answered) = oneshot::channel();
            order.try_send((command, answer)).expect("room");
            answered
        };
        let mut commands = commands(&case, orders);
        case.write("good\n");
        let job = JobId::new("a");
        let mut synced = send(Command::Synced { job: job.clone() });
        let mut hold = send(Command::Hold { on: true });
        assert!(commands.answer().now_or_never().is_none(), "answers until the attempt ends");
        assert_eq!(hold.try_recv().expect("answered while git reads the files"), Reply::Accepted);
        // The attempt ends before these are received.
        let mut late = send(Command::Synced { job: job.clone() });
        let mut too_late = send(Command::Held { job, step: StepNumber(1), order: HeldOrder::Skip });
        commands.finish().await;
        for answered in [&mut synced, &mut late] {
            assert_eq!(answered.try_recv().expect("recorded"), Reply::Accepted);
        }
        too_late.try_recv().expect_err("the attempt has ended");
        assert_eq!(case.outlet.run().info.changed, 1);
    }

    #[tokio::test]
    async fn the_files_of_the_last_copy_are_recorded_before_the_end_of_its_attempt() {
        let case = Case::new(Vec::new());
        let commands = commands(&case, mpsc::channel(1).1);
        case.write("good\n");
        commands.copied.notify_one();
        commands.finish().await;
        assert_eq!(case.outlet.run().info.changed, 1);
    }
}
