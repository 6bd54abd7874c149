//! Numbers of the lines that match a query. They arrive in parts from another thread, and more arrive as the log grows.

use crate::app::msg::Effect;
use crate::store::logs::query::{LogKey, LogSearch, LogSearchResult, Query, SearchSlot};
use crate::ui::text;

/// Maximum number of matches that are kept. If a log has more, its count is shown with a `+`.
const MAX_MATCHES: usize = 500_000;

/// A query and the lines that match it, as far as the log was searched.
#[derive(Clone, Debug)]
pub(super) struct Matches {
    slot: SearchSlot,
    query: Query,
    /// Numbers of the matching lines, in order.
    pub(super) found: Vec<u64>,
    /// First line that was not searched.
    next: u64,
    running: Option<LogSearch>,
    /// Why the search ended early; `None` unless it failed.
    pub(super) error: Option<String>,
}

impl Matches {
    pub(super) fn new(slot: SearchSlot, query: Query) -> Self {
        Self { slot, query, found: Vec::new(), next: 0, running: None, error: None }
    }

    /// Returns a search of the lines that were not searched yet, unless one is running. Increments `last_id` for each
    /// search, so that results of earlier searches are dropped.
    pub(super) fn request(&mut self, last_id: &mut u64, key: &LogKey, lines: u64) -> Option<LogSearch> {
        if self.running.is_some() || self.next >= lines || self.error.is_some() || self.is_full() {
            return None;
        }
        // Error lines are ranked among all lines, so each search covers the whole log.
        let first = if self.query == Query::Errors { 0 } else { self.next };
        *last_id += 1;
        let (slot, what) = (self.slot, self.query.clone());
        let search = LogSearch { id: *last_id, slot, key: key.clone(), what, lines: first..lines };
        self.running = Some(search.clone());
        Some(search)
    }

    /// Adds results of the running search. Results of other searches are ignored.
    pub(super) fn take(&mut self, result: &LogSearchResult) {
        if self.running.as_ref() != Some(&result.search) {
            return;
        }
        if self.query == Query::Errors {
            self.found.clear();
        }
        match &result.found {
            Ok(found) => self.found.extend(found.iter().take(MAX_MATCHES.saturating_sub(self.found.len()))),
            Err(error) => self.error = Some(error.to_string()),
        }
        if result.done {
            self.next = result.search.lines.end;
            self.running = None;
        }
    }

    /// Returns the effect that cancels the running search, if there is one.
    pub(super) fn cancellation(&self) -> Option<Effect> {
        self.running.as_ref().map(|_| Effect::CancelSearch(self.slot))
    }

    /// Whether a log of this length was searched to its end, or as far as it can be.
    pub(super) fn is_done(&self, lines: u64) -> bool {
        self.running.is_none() && (self.next >= lines || self.error.is_some() || self.is_full())
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MAX_MATCHES
    }

    /// Returns the number of matches, with a `+` while there may be more.
    pub(super) fn total(&self, lines: u64) -> String {
        let more = if self.is_done(lines) && !self.is_full() { "" } else { "+" };
        format!("{}{more}", text::count(self.found.len() as u64))
    }

    /// Returns the position of a line among the matches, from 1; `None` for other lines.
    pub(super) fn number(&self, line: u64) -> Option<usize> {
        self.found.binary_search(&line).ok().map(|at| at + 1)
    }

    /// Returns the match after or before a line. Wraps around. `None` if there are no matches.
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
    fn matches_arrive_in_portions_and_the_search_goes_on_as_the_log_grows() {
        let key = LogKey { run: RunId::new("r"), job: JobId::new("j"), attempt: 1, step: StepNumber(1) };
        let query = Query::Matches(Pattern::parse("x", false).expect("not empty"));
        let mut matches = Matches::new(SearchSlot::Search, query);
        let mut id = 0;
        let search = matches.request(&mut id, &key, 100).expect("no line was searched");
        assert_eq!((search.lines.clone(), matches.request(&mut id, &key, 120)), (0..100, None));
        matches.take(&LogSearchResult { search: search.clone(), found: Ok(vec![3, 50]), done: false });
        assert_eq!(
            (matches.total(100), matches.number(50), matches.neighbour(50, true)),
            ("2+".to_owned(), Some(2), Some(3))
        );
        matches.take(&LogSearchResult { search: search.clone(), found: Ok(vec![99]), done: true });
        assert_eq!((matches.total(100), matches.neighbour(3, false)), ("3".to_owned(), Some(99)));
        assert_eq!(matches.request(&mut id, &key, 120).map(|search| search.lines), Some(100..120));
        matches.take(&LogSearchResult { search, found: Ok(vec![1]), done: true });
        assert_eq!(matches.found, [3, 50, 99], "a late answer is dropped");
    }
}
