//! Jumps to error lines, matches and groups, and the pattern that selects the visible lines.

use super::Log;
use super::matches::Matches;
use crate::store::logs::LineMatcher;
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::{Query, SearchSlot};

/// A pattern and its matches.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) pattern: Pattern,
    pub(super) matcher: LineMatcher,
    pub(super) matches: Matches,
}

/// A jump whose target is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Jump {
    /// Jump to the first error line, or to the last.
    Error { last: bool },
    /// Jump to the first match from this line on.
    Match { from: u64 },
    /// Jump to this line.
    Line(u64),
}

impl Search {
    pub(super) fn new(slot: SearchSlot, pattern: Pattern) -> Option<Self> {
        let (matcher, _) = pattern.query().ok()?;
        let matches = Matches::new(slot, Query::Matches(pattern.clone()));
        Some(Self { pattern, matcher, matches })
    }
}

impl Log {
    /// Goes to a line and stops following the log. Unfolds the group of the line. Shows all lines again if the pattern
    /// of visible lines hides the line.
    pub(super) fn go(&mut self, line: u64) {
        self.unfollow();
        if self.is_left_out(line) {
            self.keep_matching(None);
        }
        self.groups.reveal(line);
        self.cursor = line;
        self.skipped = 0;
        let rows = self.rows();
        self.top = rows.line(rows.row(line).saturating_sub(self.height / 3));
    }

    /// Goes to the line if it is `Some`, and returns whether it is.
    pub(super) fn go_if(&mut self, line: Option<u64>) -> bool {
        if let Some(line) = line {
            self.go(line);
        }
        line.is_some()
    }

    /// Whether the pattern for visible lines hides this line.
    fn is_left_out(&self, line: u64) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep.matches.number(line).is_none())
    }

    /// Carries out the pending jump once its target is known.
    pub(super) fn jump_if_found(&mut self) {
        let target = match (self.jump, &self.errors, &self.search) {
            (Some(Jump::Error { last }), Some(errors), _) if errors.is_done(self.size().complete()) => {
                if last {
                    errors.found.last()
                } else {
                    errors.found.first()
                }
            }
            (Some(Jump::Match { from }), _, Some(search)) => {
                let at = search.matches.found.partition_point(|line| *line < from);
                let after = search.matches.found.get(at);
                if after.is_none() && !search.matches.is_done(self.size().complete()) {
                    return;
                }
                after.or(search.matches.found.first())
            }
            (Some(Jump::Line(line)), ..) if line < self.lines => Some(&line.clone()),
            _ => return,
        };
        let target = target.copied();
        self.jump = None;
        if let Some(line) = target {
            self.go(line);
            self.reveal = true;
        }
    }

    /// Goes to the next or previous error line. Returns `false` if the log has no such line. Until the log has been
    /// searched for errors, schedules a jump to the first or last error line and returns `true`.
    pub(in crate::app) fn go_to_error(&mut self, forward: bool) -> bool {
        let known = self.errors.as_ref().filter(|errors| errors.is_done(self.size().complete()));
        let Some(errors) = known else {
            self.jump_to_error(forward);
            return true;
        };
        let found = &errors.found;
        let next = match (self.follows, forward) {
            (false, true) => found.get(found.partition_point(|line| *line <= self.cursor)),
            (false, false) => found[..found.partition_point(|line| *line < self.cursor)].last(),
            (true, true) => found.first(),
            (true, false) => found.last(),
        };
        self.go_if(next.copied())
    }

    /// Schedules a jump to the first or last error line of the selected log, which is carried out once the line is
    /// known.
    pub(in crate::app) fn jump_to_error(&mut self, forward: bool) {
        self.jump = Some(Jump::Error { last: !forward });
    }

    /// Schedules a jump to a line of the selected log, and searches that log for the pattern that the line matched.
    pub(in crate::app) fn jump_to_line(&mut self, line: u64, pattern: Pattern) {
        self.search_for(Some(pattern));
        self.jump = Some(Jump::Line(line));
    }

    /// Searches for a pattern and goes to its first match at or after the reading position, or to the first match of
    /// the log if there is none. `None` ends the search.
    pub(in crate::app) fn search_for(&mut self, pattern: Option<Pattern>) {
        self.cancellations.extend(self.search.take().and_then(|search| search.matches.cancellation()));
        self.search = pattern.and_then(|pattern| Search::new(SearchSlot::Search, pattern));
        let from = if self.follows { self.top } else { self.cursor };
        self.jump = self.search.as_ref().map(|_| Jump::Match { from });
    }

    /// Shows only lines that match a pattern; `None` shows all.
    pub(in crate::app) fn keep_matching(&mut self, pattern: Option<Pattern>) {
        self.cancellations.extend(self.keep.take().and_then(|keep| keep.matches.cancellation()));
        self.keep = pattern.and_then(|pattern| Search::new(SearchSlot::Keep, pattern));
    }

    /// Goes to the next or previous group. Returns `false` if the log has no such group.
    pub(in crate::app) fn go_to_group(&mut self, forward: bool) -> bool {
        let next = self.groups.neighbour(self.cursor, forward);
        self.go_if(next)
    }

    /// Goes to the next or previous match among the visible lines. Returns `false` if no such match exists.
    pub(in crate::app) fn go_to_match(&mut self, forward: bool) -> bool {
        let Some(search) = &self.search else { return false };
        let matches = std::iter::successors(Some(self.cursor), |line| search.matches.neighbour(*line, forward));
        let next = matches.skip(1).take(search.matches.found.len()).find(|line| !self.is_left_out(*line));
        self.reveal = next.is_some();
        self.go_if(next)
    }

    /// Returns the position of a line among the error lines, from 1, and the number of error lines. `None` for other
    /// lines.
    pub(super) fn error_at(&self, line: u64) -> Option<(usize, usize)> {
        let errors = self.errors.as_ref()?;
        Some((errors.number(line)?, errors.found.len()))
    }
}
