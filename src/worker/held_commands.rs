//! Commands about held steps, for the worker of a workflow's run.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::engine::hold::Holds;
use crate::model::capabilities::Unavailable;
use crate::model::{Command, Reply};

use super::control::PendingCommand;
use super::file_records::FileRecords;

/// Carries out the commands about held steps and about syncs, and answers them.
pub(super) struct HeldCommands {
    commands: mpsc::Receiver<PendingCommand>,
    holds: Arc<Holds>,
    /// Ends of holds that are being recorded.
    ends: JoinSet<()>,
    records: FileRecords,
}

impl HeldCommands {
    pub(super) fn new(commands: mpsc::Receiver<PendingCommand>, holds: Arc<Holds>, records: FileRecords) -> Self {
        Self { commands, holds, ends: JoinSet::new(), records }
    }

    /// Answers commands, and records checkouts. Never returns.
    pub(super) async fn answer(&mut self) -> Infallible {
        loop {
            tokio::select! {
                Some((command, answer)) = self.commands.recv() => self.carry_out(command, answer),
                never = self.records.serve() => match never {},
            }
        }
    }

    fn carry_out(&mut self, command: Command, answer: oneshot::Sender<Reply>) {
        let reply = match command {
            Command::Held { job, step, order } => match self.holds.order(&job, step, order) {
                Ok(recorded) => {
                    // The answer comes after the record, so that a client that reads the journal next sees no hold.
                    self.ends.spawn(async move {
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
            // Other commands do not wait for git.
            Command::Synced { job } => return self.records.record_sync(job, answer),
            _ => Reply::Rejected { reason: Unavailable::NotHeld.to_string() },
        };
        // The client may be gone; the command is carried out all the same.
        let _ = answer.send(reply);
    }

    /// Waits until every end of a hold is recorded, and the files that jobs use, even those of syncs that were not received
    /// yet. Other commands are too late.
    pub(super) async fn finish(mut self) {
        self.commands.close();
        while let Some((command, answer)) = self.commands.recv().await {
            if let Command::Synced { job } = command {
                self.records.record_sync(job, answer);
            }
        }
        while let Some(recorded) = self.ends.join_next().await {
            recorded.expect("answering does not panic");
        }
        self.records.finish().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::model::{HeldOrder, JobId, StepNumber};
    use crate::worker::working_tree::tests::Case;

    fn commands(case: &Case, commands: mpsc::Receiver<PendingCommand>) -> HeldCommands {
        let (folder, spec) = (case.folder.clone(), Arc::new(case.spec.clone()));
        let records = FileRecords::new(folder, spec, Arc::clone(&case.outlet));
        HeldCommands::new(commands, Arc::new(Holds::new(None)), records)
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
}
