//! Filters for lists of runs.

use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::model::{Conclusion, Gate, Phase, RepositoryId, Summary, Timestamp, nearest};
use crate::store::clock;

/// Conditions that a run must meet. A field that is `None` sets no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Repository. A run that cannot be read matches as well, because its repository is unknown.
    pub repository: Option<RepositoryId>,
    /// Workflow: its path, the name of its file, or that name without extension.
    pub workflow: Option<String>,
    /// Name of the branch or tag.
    pub branch: Option<String>,
    /// Name of the event.
    pub event: Option<String>,
    /// State or conclusion of the latest attempt.
    pub status: Option<StatusFilter>,
    /// Beginning of the id of the commit.
    pub commit: Option<String>,
    /// User whose action started the run on its server. A run of this machine never matches.
    pub actor: Option<String>,
    /// Earliest time of creation.
    pub since: Option<Timestamp>,
}

/// A state or a conclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Not started, and waiting only for a free slot or a runner.
    Queued,
    /// Waiting for anything other than a runner.
    Waiting,
    /// Waiting for a concurrency group.
    Pending,
    /// Waiting for a review.
    NeedsReview,
    /// Waiting for a person, at a step.
    Held,
    /// Started and not ended.
    InProgress,
    /// Being cancelled.
    Stopping,
    /// Ended, with any conclusion.
    Completed,
    /// Ended with this conclusion.
    Concluded(Conclusion),
}

impl StatusFilter {
    /// Returns every word that [`StatusFilter::parse`] knows: GitHub's, those that lists and the screen show, and other
    /// common ones.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::known().map(|(word, _)| word)
    }

    fn known() -> impl Iterator<Item = (&'static str, Self)> {
        let conclusions = Conclusion::ALL.iter().map(|conclusion| (conclusion.word(), Self::Concluded(*conclusion)));
        STATES.iter().copied().chain(conclusions).chain(OTHER_WORDS.iter().copied())
    }

    /// Returns the filter for a word; `None` for an unknown one. The case of letters does not matter, and a blank or a
    /// hyphen is as good as an underscore.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase().replace([' ', '-'], "_");
        Self::known().find(|(known, _)| *known == word).map(|(_, filter)| filter)
    }

    /// Returns GitHub's word for the state or conclusion, or for the wider state that it is a part of.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting | Self::NeedsReview | Self::Held => "waiting",
            Self::Pending => "pending",
            Self::InProgress | Self::Stopping => "in_progress",
            Self::Completed => "completed",
            Self::Concluded(conclusion) => conclusion.word(),
        }
    }

    /// Whether a run in a phase has this state or conclusion.
    #[must_use]
    pub fn matches(self, phase: &Phase) -> bool {
        match self {
            Self::Queued => matches!(phase, Phase::Queued | Phase::Waiting(Gate::Runner(_))),
            Self::Waiting => matches!(phase, Phase::Waiting(gate) if !matches!(gate, Gate::Runner(_))),
            Self::Pending => matches!(phase, Phase::Waiting(Gate::Concurrency { .. })),
            Self::NeedsReview => matches!(phase, Phase::Waiting(Gate::Review(_))),
            Self::Held => phase.is_held(),
            Self::InProgress => phase.is_active(),
            Self::Stopping => *phase == Phase::Stopping,
            Self::Completed => phase.is_done(),
            Self::Concluded(conclusion) => phase.conclusion() == Some(conclusion),
        }
    }
}

/// Error for a word that is neither a status nor a conclusion: the word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", expected(.0))]
pub struct NotAStatus(String);

fn expected(word: &str) -> String {
    let known = StatusFilter::words().collect::<Vec<_>>();
    let near = nearest(word, known.iter().copied());
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("expected one of {}{hint}", known.join(", "))
}

impl FromStr for StatusFilter {
    type Err = NotAStatus;

    fn from_str(word: &str) -> Result<Self, NotAStatus> {
        Self::parse(word).ok_or_else(|| NotAStatus(word.to_owned()))
    }
}

/// GitHub's words for states.
const STATES: &[(&str, StatusFilter)] = &[
    ("queued", StatusFilter::Queued),
    ("waiting", StatusFilter::Waiting),
    ("pending", StatusFilter::Pending),
    ("in_progress", StatusFilter::InProgress),
    ("completed", StatusFilter::Completed),
];

/// Words that GitHub does not have. Lists and the screen show most of them.
const OTHER_WORDS: &[(&str, StatusFilter)] = &[
    ("running", StatusFilter::InProgress),
    ("stopping", StatusFilter::Stopping),
    ("held", StatusFilter::Held),
    ("needs_review", StatusFilter::NeedsReview),
    ("could_not_start", StatusFilter::Concluded(Conclusion::StartupFailure)),
    ("passed", StatusFilter::Concluded(Conclusion::Success)),
    ("succeeded", StatusFilter::Concluded(Conclusion::Success)),
    ("failed", StatusFilter::Concluded(Conclusion::Failure)),
    ("canceled", StatusFilter::Concluded(Conclusion::Cancelled)),
];

impl Filter {
    /// Whether a run meets all conditions.
    #[must_use]
    pub fn matches(&self, run: &Summary) -> bool {
        let Self { repository, workflow, branch, event, status, commit, actor, since } = self;
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        is(branch, &run.info.ref_name)
            && is(event, &run.info.event)
            && workflow.as_ref().is_none_or(|wanted| is_workflow(&run.info.workflow, wanted))
            && (repository.as_ref()).is_none_or(|wanted| run.info.repository.is_empty() || wanted.has(&run.info))
            && commit.as_ref().is_none_or(|wanted| run.info.sha.starts_with(&wanted.to_ascii_lowercase()))
            && actor.as_ref().is_none_or(|wanted| {
                run.info.remote.as_ref().is_some_and(|remote| remote.actor.eq_ignore_ascii_case(wanted))
            })
            && status.is_none_or(|status| status.matches(&run.phase))
            && since.is_none_or(|since| run.info.created >= since)
    }

    /// Returns texts that the JSON of every matching run contains, so that other runs are skipped without parsing. All
    /// of them come from parts of a run that never change, except the branch, which a new attempt may replace.
    pub(super) fn needles(&self) -> Vec<String> {
        let escaped = |text: &String| {
            let json = serde_json::to_string(text).expect("text always serialises");
            json[1..json.len() - 1].to_owned()
        };
        [&self.workflow, &self.branch, &self.event].into_iter().flatten().map(escaped).collect()
    }
}

/// Why a text is not a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a date such as 2026-11-24, or an age such as 12h or 7d")]
pub struct NotATime;

/// Parses a date, a time, or an age before now, as [`since`] does.
///
/// # Errors
/// The text has another form.
pub fn parse_since(text: &str) -> Result<Timestamp, NotATime> {
    since(text, clock::now())
}

/// Parses an age before `now` such as `12h` or `7d`, a date or a time in the time zone of this machine, or a time with
/// its zone.
///
/// # Errors
/// The text has another form.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, NotATime> {
    let now = now.instant().to_zoned(TimeZone::system());
    let local = |time: jiff::civil::DateTime| time.to_zoned(now.time_zone().clone());
    let time = if let Ok(age) = text.parse::<jiff::Span>() {
        now.checked_sub(age.abs())
    } else if let Ok(time) = text.parse::<jiff::Timestamp>() {
        Ok(time.to_zoned(now.time_zone().clone()))
    } else {
        text.parse::<jiff::civil::DateTime>().and_then(local)
    };
    let time = time.map_err(|_| NotATime)?;
    Ok(Timestamp(u64::try_from(time.timestamp().as_millisecond()).unwrap_or_default()))
}

fn is_workflow(path: &str, wanted: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    [path, file, stem].contains(&wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RunId, RunInfo, testing};

    fn run(phase: Phase) -> Summary {
        let info = RunInfo {
            id: RunId::new("r"),
            repository: "Octo/app".to_owned(),
            workflow: ".github/workflows/ci.yml".to_owned(),
            event: "push".to_owned(),
            ref_name: "feature/\"x\"".to_owned(),
            created: Timestamp(1000),
            ..RunInfo::default()
        };
        testing::summary(info, "CI", phase)
    }

    #[test]
    fn a_run_must_meet_every_condition() {
        let some = |text: &str| Some(text.to_owned());
        let run = run(Phase::Done(Conclusion::Failure));
        for (filter, matches) in [
            (Filter::default(), true),
            (Filter { workflow: some("ci"), ..Filter::default() }, true),
            (Filter { workflow: some("ci.yml"), ..Filter::default() }, true),
            (Filter { workflow: some(".github/workflows/ci.yml"), ..Filter::default() }, true),
            (Filter { workflow: some("c"), ..Filter::default() }, false),
            (Filter { branch: some("feature/\"x\""), event: some("push"), ..Filter::default() }, true),
            (Filter { branch: some("feature/\"x\""), event: some("pull_request"), ..Filter::default() }, false),
            (Filter { repository: Some(RepositoryId::named("octo/App")), ..Filter::default() }, true),
            (Filter { repository: Some(RepositoryId::named("octo/other")), ..Filter::default() }, false),
            (Filter { since: Some(Timestamp(1000)), ..Filter::default() }, true),
            (Filter { since: Some(Timestamp(1001)), ..Filter::default() }, false),
            (Filter { status: StatusFilter::parse("failure"), ..Filter::default() }, true),
            (Filter { status: StatusFilter::parse("success"), ..Filter::default() }, false),
        ] {
            assert_eq!(filter.matches(&run), matches, "{filter:?}");
            let json = serde_json::to_string(&run).expect("json");
            assert!(!matches || filter.needles().iter().all(|needle| json.contains(needle)), "{filter:?}");
        }
    }

    #[test]
    fn a_time_is_an_age_a_local_date_or_a_time_with_its_zone() {
        let now = Timestamp(1_800_000_000_000);
        let hour = 3_600_000;
        let local = |date: jiff::civil::Date| {
            let midnight = date.to_zoned(TimeZone::system()).expect("a time").timestamp().as_millisecond();
            Timestamp(u64::try_from(midnight).expect("after the epoch"))
        };
        for (text, expected) in [
            ("12h", Ok(Timestamp(now.0 - 12 * hour))),
            ("-30m", Ok(Timestamp(now.0 - hour / 2))),
            ("2026-11-24", Ok(local(jiff::civil::date(2026, 11, 24)))),
            ("2026-11-24T10:00:00Z", Ok(Timestamp(1_795_514_400_000))),
            ("2026-11-24T10:00:00+02:00", Ok(Timestamp(1_795_514_400_000 - 2 * hour))),
            ("1960-01-01", Ok(Timestamp(0))),
            ("", Err(NotATime)),
            ("never", Err(NotATime)),
        ] {
            assert_eq!(since(text, now), expected, "{text}");
        }
    }

    /// Phases of every appearance.
    fn phases() -> Vec<Phase> {
        let group = Gate::Concurrency { group: "g".to_owned(), holder: "r".to_owned() };
        let held = Gate::Held { reason: None, until: Timestamp(0) };
        let gates = [Gate::Capacity, group, held, Gate::Review("production".to_owned()), Gate::Runner(Vec::new())];
        let ended = Conclusion::ALL.map(Phase::Done);
        [Phase::Queued, Phase::Running, Phase::Stopping]
            .into_iter()
            .chain(gates.map(Phase::Waiting))
            .chain(ended)
            .collect()
    }

    #[test]
    fn states_have_the_words_that_lists_show() {
        let group = Gate::Concurrency { group: "g".to_owned(), holder: "r".to_owned() };
        let held = Gate::Held { reason: None, until: Timestamp(0) };
        for (phase, words) in [
            (Phase::Queued, &["queued"][..]),
            (Phase::Waiting(Gate::Capacity), &["waiting"]),
            (Phase::Waiting(group), &["waiting", "pending"]),
            (Phase::Waiting(held), &["waiting", "held"]),
            (Phase::Waiting(Gate::Review("production".to_owned())), &["waiting", "needs_review"]),
            (Phase::Running, &["in_progress", "running"]),
            (Phase::Stopping, &["in_progress", "running", "stopping"]),
            (Phase::Done(Conclusion::TimedOut), &["completed", "timed_out"]),
            (Phase::Done(Conclusion::Success), &["completed", "success", "passed", "succeeded"]),
            (Phase::Done(Conclusion::Failure), &["completed", "failure", "failed"]),
        ] {
            let fits = |word: &&str| StatusFilter::parse(word).expect("a known word").matches(&phase);
            assert_eq!(StatusFilter::words().filter(fits).collect::<Vec<_>>(), words, "{phase:?}");
        }
    }

    #[test]
    fn every_word_for_a_run_is_accepted_and_means_it() {
        for phase in phases() {
            let parsed = StatusFilter::parse(phase.word());
            assert!(parsed.is_some_and(|status| status.matches(&phase)), "{phase:?}: {}", phase.word());
        }
        for (word, same) in [("Timed out", "timed_out"), ("needs-review", "needs_review"), ("RUNNING", "running")] {
            assert!(StatusFilter::parse(word).is_some(), "{word}");
            assert_eq!(StatusFilter::parse(word), StatusFilter::parse(same));
        }
        // A server knows only GitHub's words.
        let servers: Vec<_> =
            STATES.iter().map(|(word, _)| *word).chain(Conclusion::ALL.map(Conclusion::word)).collect();
        assert!(StatusFilter::known().all(|(_, status)| servers.contains(&status.word())));
        assert_eq!(StatusFilter::parse("red"), None);
        let error = "runing".parse::<StatusFilter>().expect_err("a typing error").to_string();
        assert!(
            error.starts_with("expected one of queued, ") && error.ends_with("; did you mean `running`?"),
            "{error}"
        );
    }
}
