//! Numbers of the jobs of a run by their state, which add up to the number of its jobs.

use super::{Conclusion, Gate, Job, Phase, Run, Timestamp};

/// State of a job for counts. Every job has exactly one of these states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// Succeeded.
    Ok,
    /// In progress.
    Running,
    /// Waits for a person after a failed step, or before a step with a breakpoint.
    Held,
    /// Waits for a review by a person.
    Review,
    /// Failed.
    Failed,
    /// Failed, but may fail.
    Allowed,
    /// Skipped.
    Skipped,
    /// Cancelled.
    Cancelled,
    /// Has not started.
    Waiting,
}

impl JobState {
    /// All states, in the order in which they are counted, which is that of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Running,
        Self::Held,
        Self::Review,
        Self::Failed,
        Self::Allowed,
        Self::Skipped,
        Self::Cancelled,
        Self::Waiting,
    ];

    /// Returns the state of a job.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let phase = job.progress();
        match phase.conclusion() {
            _ if job.is_allowed_failure() => Self::Allowed,
            Some(Conclusion::Success | Conclusion::Neutral) => Self::Ok,
            Some(Conclusion::Skipped) => Self::Skipped,
            Some(Conclusion::Cancelled | Conclusion::Stale) => Self::Cancelled,
            Some(Conclusion::ActionRequired) => Self::Review,
            Some(Conclusion::Failure | Conclusion::TimedOut | Conclusion::StartupFailure) => Self::Failed,
            None if phase.is_held() => Self::Held,
            None if matches!(phase, Phase::Waiting(Gate::Review(_))) => Self::Review,
            None if phase.is_active() => Self::Running,
            None => Self::Waiting,
        }
    }

    /// Returns the word for the state.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Running => "running",
            Self::Held => "held",
            Self::Review => "to review",
            Self::Failed => "failed",
            Self::Allowed => "allowed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Waiting => "waiting",
        }
    }

    /// Returns a phase with the glyph of the state.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self {
            Self::Ok => Phase::Done(Conclusion::Success),
            Self::Running => Phase::Running,
            Self::Held => Phase::Waiting(Gate::Held { reason: None, until: Timestamp(0) }),
            Self::Review => Phase::Waiting(Gate::Review(String::new())),
            Self::Failed => Phase::Done(Conclusion::Failure),
            Self::Allowed => Phase::Done(Conclusion::Neutral),
            Self::Skipped => Phase::Done(Conclusion::Skipped),
            Self::Cancelled => Phase::Done(Conclusion::Cancelled),
            Self::Waiting => Phase::Queued,
        }
    }
}

impl Run {
    /// Returns the number of jobs in each state, without the states of no job.
    pub fn tally(&self) -> impl Iterator<Item = (JobState, usize)> {
        let mut counts = [0; JobState::ALL.len()];
        for job in self.jobs.values() {
            counts[JobState::of(job) as usize] += 1;
        }
        JobState::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }

    /// Returns the number of jobs in each state in words: `7 ok · 1 allowed · 1 skipped`. Empty without jobs.
    #[must_use]
    pub fn tally_in_words(&self, dot: &str) -> String {
        let counts: Vec<String> = self.tally().map(|(state, count)| format!("{count} {}", state.word())).collect();
        counts.join(dot)
    }
}
