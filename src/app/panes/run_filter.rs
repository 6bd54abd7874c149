//! The filter of the list of runs: words, and conditions such as `branch:main` or `since:2d`.

use crate::model::{Summary, Timestamp};
use crate::store::history;
use crate::ui::run_columns::file_name;
use crate::ui::text;

use super::status_filter::has_status;

/// Subject of a condition. Its name is GitHub's word for it, if GitHub has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    Repository,
    Workflow,
    Branch,
    Event,
    Status,
    Actor,
    Commit,
    Since,
}

/// The keys as they are typed.
const KEYS: [(&str, Key); 8] = [
    ("repo", Key::Repository),
    ("workflow", Key::Workflow),
    ("branch", Key::Branch),
    ("event", Key::Event),
    ("status", Key::Status),
    ("actor", Key::Actor),
    ("commit", Key::Commit),
    ("since", Key::Since),
];

/// A filter that the user typed. A condition also matches if its value is only a part or the beginning of the run's
/// value, because filters apply while they are typed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct RunFilter {
    /// Conditions: the key, the value in lower case, and both as they were typed.
    conditions: Vec<(Key, String, String)>,
    /// Earliest time of creation.
    since: Option<Timestamp>,
    /// The other words.
    words: String,
}

impl RunFilter {
    /// Parses the text of a filter. A word with an unknown key is treated like any other word. Ages count back from
    /// `now`. A `since:` with an invalid time matches no run.
    pub(super) fn parse(text: &str, now: Timestamp) -> Self {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            let pair = word.split_once(':');
            match pair.and_then(|(key, value)| Some((KEYS.iter().find(|(name, _)| *name == key)?.1, value))) {
                Some((key, value)) => {
                    if key == Key::Since && !value.is_empty() {
                        let since = history::since(value, now).unwrap_or(Timestamp(u64::MAX));
                        filter.since = filter.since.max(Some(since));
                    }
                    filter.conditions.push((key, value.to_lowercase(), word.to_owned()));
                }
                None if filter.words.is_empty() => word.clone_into(&mut filter.words),
                None => filter.words = format!("{} {word}", filter.words),
            }
        }
        filter
    }

    /// Whether a run contains all words and meets all conditions.
    pub(super) fn matches(&self, run: &Summary) -> bool {
        let actor = run.info.remote.as_ref().map_or("", |remote| remote.actor.as_str());
        let holds = |text: &str, part: &str| text.to_lowercase().contains(part);
        let is = |(key, value, _): &(Key, String, String)| match key {
            Key::Repository => holds(&run.info.repository, value),
            Key::Workflow => holds(&run.name, value) || holds(file_name(&run.info.workflow), value),
            Key::Branch => holds(&run.info.ref_name, value),
            Key::Event => run.info.event.starts_with(value),
            Key::Status => has_status(&run.phase, value),
            Key::Actor => actor.to_lowercase().starts_with(value),
            Key::Commit => run.info.sha.starts_with(value),
            Key::Since => self.since.is_none_or(|since| run.info.created >= since),
        };
        self.conditions.iter().all(is) && self.has_words(run, actor)
    }

    fn has_words(&self, run: &Summary, actor: &str) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let numbered = run.info.numbered().unwrap_or_default();
        let why = run.why().unwrap_or_default();
        let texts = [
            &run.name,
            &numbered,
            actor,
            &run.info.repository,
            &run.info.workflow,
            &run.info.event,
            &run.info.ref_name,
            run.phase.word(),
            run.info.id.as_str(),
            &run.info.sha,
            &why,
        ];
        text::holds(&self.words, &texts)
    }

    /// Returns the chips for the border: one for each condition, and one for the words.
    pub(super) fn chips(self) -> impl Iterator<Item = String> {
        let words = Some(self.words).filter(|words| !words.is_empty()).map(|words| format!("/{words}"));
        self.conditions.into_iter().map(|(.., typed)| typed).chain(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conclusion, Gate, Phase, RemoteRun, RunInfo, testing};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn run() -> Summary {
        let info = RunInfo {
            repository: "aura/Platform".to_owned(),
            workflow: ".github/workflows/ci.yml".to_owned(),
            event: "push".to_owned(),
            ref_name: "Feature/x".to_owned(),
            sha: "abc123".to_owned(),
            created: Timestamp(NOW.0 - 3_600_000),
            remote: Some(RemoteRun { actor: "Maria".to_owned(), ..RemoteRun::default() }),
            ..RunInfo::default()
        };
        testing::summary(info, "Build", Phase::Done(Conclusion::Failure))
    }

    #[test]
    fn each_condition_holds_as_soon_as_its_value_does() {
        for (text, expected) in [
            ("", true),
            ("repo:platform workflow:ci branch:feat event:pu status:fail actor:mar commit:ABC since:2h build", true),
            ("workflow:build status:completed since:", true),
            ("status:", true),
            ("status:success", false),
            ("repo:docs", false),
            ("workflow:deploy", false),
            ("branch:main", false),
            ("event:pull", false),
            ("actor:olu", false),
            ("commit:bc1", false),
            ("since:30m", false),
            ("since:never", false),
            ("since:2100-01-01T00:00:00Z", false),
            ("since:2020-01-01T00:00:00Z", true),
            ("since:2h since:30m", false),
            ("since:2100-01-01", false),
            ("since:2020-01-01", true),
            ("branch:feat deploy", false),
            ("color:red", false),
        ] {
            assert_eq!(RunFilter::parse(text, NOW).matches(&run()), expected, "{text}");
        }
    }

    #[test]
    fn a_status_is_a_word_that_the_list_shows_or_one_that_lists_are_asked_with() {
        let group = Gate::Concurrency { group: "g".to_owned(), holder: "r".to_owned() };
        for (phase, text, expected) in [
            (Phase::Running, "status:in_progress", true),
            (Phase::Running, "status:in", true),
            (Phase::Running, "status:completed", false),
            (Phase::Waiting(group.clone()), "status:pend", true),
            (Phase::Waiting(group), "status:waiting", true),
            (Phase::Waiting(Gate::Runner(vec!["big".to_owned()])), "status:queued", true),
            (Phase::Done(Conclusion::Success), "status:completed", true),
            (Phase::Done(Conclusion::Success), "status:success", true),
            (Phase::Done(Conclusion::Success), "status:unknown", false),
            (Phase::Done(Conclusion::Failure), "status:failed", true),
            (Phase::Done(Conclusion::Success), "status:failed", false),
            (Phase::Running, "status:running", true),
        ] {
            let run = Summary { phase: phase.clone(), ..run() };
            assert_eq!(RunFilter::parse(text, NOW).matches(&run), expected, "{text} {phase:?}");
        }
    }

    #[test]
    fn the_chips_are_the_conditions_and_the_words() {
        let chips = |text| RunFilter::parse(text, NOW).chips().collect::<Vec<_>>();
        assert_eq!(chips("rel branch:Main  main status:failure"), ["branch:Main", "status:failure", "/rel main"]);
        assert_eq!(chips(""), [""; 0]);
    }
}
