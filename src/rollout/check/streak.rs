//! Verdict on a series of probe results. The functions are pure: times are arguments.

use std::time::Duration;

use crate::model::deployment::{Timing, written};

use super::Answer;

/// Why a check failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckError {
    /// Too many bad answers in a row.
    #[error("the check failed {}; last answer: {last}", times(*count))]
    TooOften {
        /// Number of bad answers.
        count: u32,
        /// The last answer.
        last: String,
    },
    /// An answer after which the check cannot succeed.
    #[error("the check failed; last answer: {0}")]
    Hopeless(String),
    /// Not healthy for long enough before the deadline.
    #[error("not healthy within {}; last answer: {last}", written(*deadline))]
    TooLate {
        /// The deadline.
        deadline: Duration,
        /// The last answer.
        last: String,
    },
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times in a row") }
}

/// Result of a check so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// More answers are needed.
    Open,
    /// The answers were good for long enough.
    Passed,
    /// The check failed.
    Failed(CheckError),
}

/// Summary of the answers so far.
#[derive(Clone, Default, Debug)]
pub struct Streak {
    /// Number of bad answers in a row, without those during the start period.
    bad: u32,
    /// Time of the first answer in the current series of good answers, after the start of the check. `None` after a bad
    /// answer.
    good_since: Option<Duration>,
}

impl Streak {
    /// Adds an answer that came at the time `at` after the start of the check. Returns the verdict so far.
    pub fn feed(&mut self, timing: &Timing, answer: &Answer, at: Duration) -> Verdict {
        match answer {
            Answer::Good(_) => {
                self.bad = 0;
                let since = *self.good_since.get_or_insert(at);
                if at.saturating_sub(since) >= timing.healthy_for {
                    return Verdict::Passed;
                }
            }
            Answer::Bad(_) => {
                self.good_since = None;
                if at >= timing.start_period {
                    self.bad += 1;
                }
                if self.bad > timing.retries {
                    return Verdict::Failed(CheckError::TooOften { count: self.bad, last: answer.text().to_owned() });
                }
            }
            Answer::Unknown(_) => {}
            Answer::Paused(_) => return Verdict::Open,
            Answer::Hopeless(last) => return Verdict::Failed(CheckError::Hopeless(last.clone())),
        }
        if at >= timing.deadline {
            let last = answer.text().to_owned();
            return Verdict::Failed(CheckError::TooLate { deadline: timing.deadline, last });
        }
        Verdict::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds one answer per second: `+` good, `-` bad, `?` unknown. Returns the last verdict and the number of answers.
    fn fed(timing: Timing, answers: &str) -> (Verdict, usize) {
        let mut streak = Streak::default();
        for (second, answer) in answers.chars().enumerate() {
            let answer = match answer {
                '+' => Answer::Good("ok".to_owned()),
                '-' => Answer::Bad("no".to_owned()),
                '|' => Answer::Paused("later".to_owned()),
                '!' => Answer::Hopeless("never".to_owned()),
                _ => Answer::Unknown("?".to_owned()),
            };
            let verdict = streak.feed(&timing, &answer, Duration::from_secs(second as u64));
            if verdict != Verdict::Open {
                return (verdict, second + 1);
            }
        }
        (Verdict::Open, answers.len())
    }

    #[test]
    fn answers_must_be_good_for_long_enough_and_not_bad_too_often() {
        let timing = Timing { retries: 2, deadline: Duration::from_secs(20), ..Timing::default() };
        let long = Timing { healthy_for: Duration::from_secs(2), ..timing };
        let slow = Timing { start_period: Duration::from_secs(4), ..timing };
        let too_often = |count| Verdict::Failed(CheckError::TooOften { count, last: "no".to_owned() });
        for (timing, answers, expected) in [
            (timing, "+", (Verdict::Passed, 1)),
            (timing, "--+", (Verdict::Passed, 3)),
            (timing, "---", (too_often(3), 3)),
            (long, "++-+++", (Verdict::Passed, 6)),
            (long, "++?", (Verdict::Open, 3)),
            (slow, "----+", (Verdict::Passed, 5)),
            (slow, "-------", (too_often(3), 7)),
            (slow, "?!", (Verdict::Failed(CheckError::Hopeless("never".to_owned())), 2)),
        ] {
            assert_eq!(fed(timing, answers), expected, "{answers}");
        }
        assert_eq!(fed(timing, &"|".repeat(30)), (Verdict::Open, 30));
        let (late, _) = fed(timing, &"?".repeat(30));
        assert_eq!(late, Verdict::Failed(CheckError::TooLate { deadline: timing.deadline, last: "?".to_owned() }));
    }
}
