//! A command that was sent to several runs at once, and the number of runs that have accepted it so far.

use std::collections::BTreeSet;

use crate::model::feed::{Notice, Request};
use crate::model::{Command, Reply, RunId};

use super::msg::Effect;

/// A command that was sent to several runs, with their replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Batch {
    /// Past participle of the command for messages: `cancelled`.
    done: &'static str,
    /// Whether the runs are deleted.
    is_removal: bool,
    runs: BTreeSet<RunId>,
    /// Runs that have not replied.
    waiting: BTreeSet<RunId>,
    /// Name and reason of each run that refused the command.
    refused: Vec<String>,
}

impl Batch {
    /// Returns the batch of the commands among these effects; `None` for fewer than two runs, or for a command that is
    /// never sent to several runs.
    pub(super) fn of(effects: &[Effect]) -> Option<Self> {
        let commands = effects.iter().filter_map(|effect| match effect {
            Effect::Request(Request::Submit { run, command }) => Some((run, command)),
            _ => None,
        });
        let (runs, commands): (BTreeSet<RunId>, Vec<&Command>) =
            commands.map(|(run, command)| (run.clone(), command)).unzip();
        let command = *commands.first()?;
        let is_removal = *command == Command::Delete;
        let done = match command {
            Command::Cancel | Command::ForceCancel => "cancelled",
            Command::Rerun { .. } => "run again",
            Command::Delete => "deleted",
            Command::Review { approve: true, .. } => "approved",
            Command::Review { approve: false, .. } => "rejected",
            _ => return None,
        };
        (runs.len() > 1).then(|| Self { done, is_removal, waiting: runs.clone(), runs, refused: Vec::new() })
    }

    /// Records the reply of a run and returns the progress of the batch; `None` if the run is not waiting for a reply.
    pub(super) fn replied(&mut self, run: &RunId, name: &str, reply: &Reply) -> Option<Notice> {
        if !self.waiting.remove(run) {
            return None;
        }
        if let Reply::Rejected { reason } | Reply::Unanswered { reason } = reply {
            self.refused.push(format!("{name}: {reason}"));
        }
        let total = self.runs.len();
        let accepted = total - self.waiting.len() - self.refused.len();
        let progress = format!("{accepted} of {total} {}", self.done);
        Some(match self.refused.as_slice() {
            [] => Notice::news(progress),
            refused if self.waiting.is_empty() => Notice::bad(format!("{progress}; refused: {}", refused.join("; "))),
            refused => Notice::bad(format!("{progress}, {} refused", refused.len())),
        })
    }

    /// Whether this batch deletes the run.
    pub(super) fn deletes(&self, run: &RunId) -> bool {
        self.is_removal && self.runs.contains(run)
    }

    /// Whether every run has replied.
    pub(super) fn has_ended(&self) -> bool {
        self.waiting.is_empty()
    }
}
