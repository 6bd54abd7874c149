//! Lines that are looked for, as they are found: on a thread of their own, in portions, and on as the log grows.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::app::msg::Effect;
use crate::store::logs::query::{LogKey, LogSearch, LogSearchResult, Query, SearchSlot};

/// So many lines are kept; a log where more are found is told to have more.
const MOST: usize = 500_000;

/// How many searches were asked for.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// What is looked for and what was found of it.
#[derive(Clone, Debug)]
pub(super) struct Finds {
    slot: SearchSlot,
    what: Query,
    /// The lines found, in order.
    pub(super) found: Vec<u64>,
    /// Lines from here on were not looked at.
    until: u64,
    asked: Option<LogSearch>,
    /// Why no more can be found.
    pub(super) error: Option<String>,
}

impl Finds {
    pub(super) fn new(slot: SearchSlot, what: Query) -> Self {
        Self { slot, what, found: Vec::new(), until: 0, asked: None, error: None }
    }

    /// Asks for what was not looked at yet, one thing at a time.
    pub(super) fn ask(&mut self, key: &LogKey, lines: u64) -> Option<LogSearch> {
        if self.asked.is_some() || self.until >= lines || self.error.is_some() || self.is_full() {
            return None;
        }
        // Which errors say best what went wrong is only known of the whole.
        let from = if self.what == Query::Errors { 0 } else { self.until };
        let id = ASKED.fetch_add(1, Ordering::Relaxed);
        let scan = LogSearch { id, slot: self.slot, key: key.clone(), what: self.what.clone(), lines: from..lines };
        self.asked = Some(scan.clone());
        Some(scan)
    }

    /// Takes in what was found, if it was asked for; says whether it was.
    pub(super) fn take(&mut self, scanned: &LogSearchResult) -> bool {
        if self.asked.as_ref() != Some(&scanned.search) {
            return false;
        }
        if self.what == Query::Errors {
            self.found.clear();
        }
        match &scanned.found {
            Ok(found) => self.found.extend(found.iter().take(MOST.saturating_sub(self.found.len()))),
            Err(error) => self.error = Some(error.to_string()),
        }
        if scanned.done {
            self.until = scanned.search.lines.end;
            self.asked = None;
        }
        true
    }

    /// Ends the search that is under way.
    pub(super) fn stop(&self) -> Option<Effect> {
        self.asked.as_ref().map(|_| Effect::CancelSearch(self.slot))
    }

    /// Whether everything was looked at.
    pub(super) fn is_done(&self, lines: u64) -> bool {
        self.asked.is_none() && (self.until >= lines || self.error.is_some() || self.is_full())
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// How many were found, with a `+` while there may be more.
    pub(super) fn total(&self, lines: u64) -> String {
        let more = if self.is_done(lines) && !self.is_full() { "" } else { "+" };
        format!("{}{more}", crate::ui::text::count(self.found.len() as u64))
    }

    /// Which of them a line is, from 1.
    pub(super) fn number(&self, line: u64) -> Option<usize> {
        self.found.binary_search(&line).ok().map(|at| at + 1)
    }

    /// The next one after a line, or the one before, coming round at the end.
    pub(super) fn neighbour(&self, line: u64, forward: bool) -> Option<u64> {
        let at = if forward {
            self.found.partition_point(|found| *found <= line)
        } else {
            self.found.partition_point(|found| *found < line).checked_sub(1).unwrap_or(self.found.len())
        };
        let last = if forward { self.found.first() } else { self.found.last() };
        self.found.get(at).or(last).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, RunId, StepNumber};
    use crate::store::logs::pattern::Pattern;

    #[test]
    fn what_is_found_comes_in_portions_and_goes_on_with_the_log() {
        let key = LogKey { run: RunId::new("r"), job: JobId::new("j"), attempt: 1, step: StepNumber(1) };
        let what = Query::Matches(Pattern::parse("x", false).expect("something"));
        let mut finds = Finds::new(SearchSlot::Search, what);
        let scan = finds.ask(&key, 100).expect("nothing was looked at");
        assert_eq!((scan.lines.clone(), finds.ask(&key, 120)), (0..100, None));
        assert!(finds.take(&LogSearchResult { search: scan.clone(), found: Ok(vec![3, 50]), done: false }));
        assert_eq!(
            (finds.total(100), finds.number(50), finds.neighbour(50, true)),
            ("2+".to_owned(), Some(2), Some(3))
        );
        assert!(finds.take(&LogSearchResult { search: scan.clone(), found: Ok(vec![99]), done: true }));
        assert_eq!((finds.total(100), finds.neighbour(3, false)), ("3".to_owned(), Some(99)));
        assert_eq!(finds.ask(&key, 120).map(|scan| scan.lines), Some(100..120));
        assert!(!finds.take(&LogSearchResult { search: scan, found: Ok(vec![1]), done: true }), "it comes late");
    }
}
