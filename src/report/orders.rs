//! Commands to a run, and their answers, in words.

use crate::model::{Command, DeploymentOrder, HeldOrder, Reply, RerunScope};
use crate::ui::terminal_text::{TerminalText, text};

/// Describes a command.
pub(super) fn order(command: &Command) -> TerminalText {
    match command {
        Command::Cancel => text!("cancel"),
        Command::ForceCancel => text!("force-cancel"),
        Command::Rerun { what: RerunScope::All, .. } => text!("run again"),
        Command::Rerun { what: RerunScope::Failed, .. } => text!("run the failed jobs again"),
        Command::Rerun { what: RerunScope::Job(job), .. } => text!("run {} again", job),
        Command::Rerun { what: RerunScope::Step { job, step }, .. } => text!("run {} again from step {}", job, step),
        Command::RerunWithDebugger { job } => text!("run {} again with the debugger", job),
        Command::ApproveFork => text!("approve the fork's run"),
        Command::Deployment { order, by } => {
            let by = by.as_ref().map(|by| format!(" by {}", by.name())).unwrap_or_default();
            let what = match order {
                DeploymentOrder::Promote { full: false } => "promote",
                DeploymentOrder::Promote { full: true } => "promote fully",
                DeploymentOrder::StopKept => "stop the former release",
                DeploymentOrder::Pause => "pause",
                DeploymentOrder::Abort { .. } => "abort",
                DeploymentOrder::Review { approve: true, .. } => "approve the deployment",
                DeploymentOrder::Review { approve: false, .. } => "reject the deployment",
            };
            text!("{}{}", what, by)
        }
        Command::Dispatch { git_ref, .. } => text!("dispatch on {}", git_ref),
        Command::Delete => text!("delete"),
        Command::DeleteLogs => text!("delete the logs"),
        Command::Resume => text!("resume"),
        Command::Review { approve: true, .. } => text!("approve the deployment"),
        Command::Review { approve: false, .. } => text!("reject the deployment"),
        Command::Yield { group, to, .. } => text!("release the concurrency group {} for {}", group, to),
        Command::Held { job, step, order } => {
            let what = match order {
                HeldOrder::RetryFrom(from) => {
                    return text!("go back from step {} to step {} of {}", step, from, job);
                }
                HeldOrder::Retry => "retry",
                HeldOrder::Skip => "skip",
                HeldOrder::Continue => "end the hold of",
            };
            text!("{} step {} of {}", what, step, job)
        }
        Command::Synced { job } => text!("bring changed files into {}", job),
        Command::Hold { on: true } => text!("hold steps that fail"),
        Command::Hold { on: false } => text!("let steps that fail end their jobs"),
        Command::Watch => text!("watch"),
    }
}

/// Describes the answer to a command.
pub(super) fn answer(reply: &Reply) -> TerminalText {
    match reply {
        Reply::Accepted => text!("accepted"),
        Reply::Rejected { reason } => text!("rejected: {}", reason),
        Reply::Unanswered { reason } => text!("no answer: {}", reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;

    #[test]
    fn commands_are_printed_in_words() {
        let rejected = Reply::Rejected { reason: "it has ended".to_owned() };
        assert_eq!(
            order(&Command::Rerun { what: RerunScope::Job(JobId::new("a")), debug: false }).as_str(),
            "run a again"
        );
        assert_eq!(answer(&rejected).as_str(), "rejected: it has ended");
    }
}
