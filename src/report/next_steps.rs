//! What a person can do next with a run that has ended, for every form of the summary.

use crate::model::{Conclusion, EndReason, Phase, Run, Step, StepKind};

use super::reviews::quoted;

/// A command that a person can enter next.
pub(super) struct NextStep {
    /// The whole command.
    pub(super) command: String,
    /// What the command does, as the end of a sentence that begins with it.
    pub(super) does: &'static str,
}

/// Whether a job or a step failed, or exceeded its time limit.
pub(super) fn is_failed(phase: &Phase) -> bool {
    matches!(phase.conclusion(), Some(Conclusion::Failure | Conclusion::TimedOut))
}

/// Returns what can be done next with a run; empty if nothing has to be done.
pub(super) fn next_steps(run: &Run) -> Vec<NextStep> {
    let id = &run.info.id;
    let step = |command: String, does| NextStep { command, does };
    let is_bad = run.phase.conclusion().is_some_and(Conclusion::is_bad);
    if run.reason == Some(EndReason::WorkerLost) {
        // What a deployment has begun can be undone, too, unless its release is live.
        let is_halfway = is_bad && run.info.is_deployment();
        let begun = run.jobs.values().find(|job| is_halfway && job.started.is_some());
        let environment = begun.and_then(|job| job.environment.as_ref());
        let abort = environment.map(|name| format!("cuelight abort {}", quoted(name)));
        let abort = abort.map(|command| step(command, "brings the former release back"));
        return std::iter::once(step(format!("cuelight resume {id}"), "continues the run")).chain(abort).collect();
    }
    if !is_bad {
        return Vec::new();
    }
    if run.info.is_deployment() {
        let deploys = step("cuelight deploys".to_owned(), "lists the deployments");
        return vec![step(format!("cuelight logs {id}"), "prints its log"), deploys];
    }
    // None failed if the run was cancelled in time, or could not start.
    if !run.jobs.values().any(|job| is_failed(&job.phase)) {
        return vec![step(format!("cuelight rerun {id}"), "runs it again")];
    }
    let of_the_file = |step: &Step| step.kind == StepKind::Main && step.outcome == Some(Conclusion::Failure);
    let failed = run.jobs.values().find(|job| job.steps.iter().any(of_the_file));
    let shell = failed.filter(|_| run.info.remote.is_none()).map(|job| format!("cuelight shell {id} --job {}", job.id));
    let logs = step(format!("cuelight logs {id} --failed"), "prints the log of what failed");
    let rerun = step(format!("cuelight rerun {id} --failed"), "runs what failed again");
    [logs, rerun].into_iter().chain(shell.map(|shell| step(shell, "opens a shell in the failed job"))).collect()
}
