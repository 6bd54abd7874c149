//! Going to what is looked for in a log: lines of an error, matches, groups; and showing only lines that match.

use super::Log;
use super::finds::Finds;
use crate::store::logs::LineMatcher;
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::{Query, SearchSlot};

/// A text that is looked for.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) pattern: Pattern,
    pub(super) query: LineMatcher,
    pub(super) finds: Finds,
}

/// Something that is not found yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seek {
    /// The first line that tells what went wrong, or the last.
    Error { last: bool },
    /// The first match from this line on.
    Match { from: u64 },
    /// This line.
    Line(u64),
}

impl Search {
    pub(super) fn new(slot: SearchSlot, pattern: Pattern) -> Option<Self> {
        let (query, _) = pattern.query().ok()?;
        let finds = Finds::new(slot, Query::Matches(pattern.clone()));
        Some(Self { pattern, query, finds })
    }
}

impl Log {
    /// Goes to a line and shows some of what is before it. Lines are no more kept back when it is one of them.
    pub(super) fn go(&mut self, line: u64) {
        self.let_go();
        if self.is_kept_back(line) {
            self.keep(None);
        }
        self.groups.reveal(line);
        self.cursor = line;
        let rows = self.rows();
        self.top = rows.line(rows.row(line).saturating_sub(self.height / 3));
    }

    /// Goes to a line if there is one, and says whether.
    pub(super) fn go_if(&mut self, line: Option<u64>) -> bool {
        if let Some(line) = line {
            self.go(line);
        }
        line.is_some()
    }

    fn is_kept_back(&self, line: u64) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep.finds.number(line).is_none())
    }

    /// Goes where the reader wanted to go, once it is known where that is.
    pub(super) fn sought(&mut self) {
        let target = match (self.seek, &self.errors, &self.search) {
            (Some(Seek::Error { last }), Some(errors), _) if errors.is_done(self.lines) => {
                if last {
                    errors.found.last()
                } else {
                    errors.found.first()
                }
            }
            (Some(Seek::Match { from }), _, Some(search)) => {
                let at = search.finds.found.partition_point(|line| *line < from);
                let after = search.finds.found.get(at);
                if after.is_none() && !search.finds.is_done(self.lines) {
                    return;
                }
                after.or(search.finds.found.first())
            }
            (Some(Seek::Line(line)), ..) if line < self.lines => Some(&line.clone()),
            _ => return,
        };
        let target = target.copied();
        self.seek = None;
        if let Some(line) = target {
            self.go(line);
        }
    }

    /// Goes to the next line that tells what went wrong, or to the one before; `false` when there is none.
    pub(in crate::app) fn error(&mut self, forward: bool) -> bool {
        let known = self.errors.as_ref().filter(|errors| errors.is_done(self.lines));
        let Some(errors) = known else {
            self.seek_error(forward);
            return true;
        };
        let found = &errors.found;
        let next = match (self.held, forward) {
            (true, true) => found.get(found.partition_point(|line| *line <= self.cursor)),
            (true, false) => found[..found.partition_point(|line| *line < self.cursor)].last(),
            (false, true) => found.first(),
            (false, false) => found.last(),
        };
        self.go_if(next.copied())
    }

    /// Goes to the first line that tells what went wrong in the log that is shown next, or to the last.
    pub(in crate::app) fn seek_error(&mut self, forward: bool) {
        self.seek = Some(Seek::Error { last: !forward });
    }

    /// Goes to a line of the log that is shown next, and looks there for what it was found by.
    pub(in crate::app) fn seek_line(&mut self, line: u64, pattern: Pattern) {
        self.search(Some(pattern));
        self.seek = Some(Seek::Line(line));
    }

    /// Looks for a text, or no more for one.
    pub(in crate::app) fn search(&mut self, pattern: Option<Pattern>) {
        self.stops.extend(self.search.take().and_then(|search| search.finds.stop()));
        self.search = pattern.and_then(|pattern| Search::new(SearchSlot::Search, pattern));
        self.seek = self.search.as_ref().map(|_| Seek::Match { from: if self.held { self.cursor } else { self.top } });
    }

    /// Shows only lines that match, or all again.
    pub(in crate::app) fn keep(&mut self, pattern: Option<Pattern>) {
        self.stops.extend(self.keep.take().and_then(|keep| keep.finds.stop()));
        self.keep = pattern.and_then(|pattern| Search::new(SearchSlot::Keep, pattern));
    }

    /// Goes to the next group, or to the one before; `false` when there is none.
    pub(in crate::app) fn group(&mut self, forward: bool) -> bool {
        let next = self.groups.neighbour(self.cursor, forward);
        self.go_if(next)
    }

    /// Goes to the next match that is shown, or to the one before; `false` when there is none.
    pub(in crate::app) fn step(&mut self, forward: bool) -> bool {
        let Some(search) = &self.search else { return false };
        let matches = std::iter::successors(Some(self.cursor), |line| search.finds.neighbour(*line, forward));
        let next = matches.skip(1).take(search.finds.found.len()).find(|line| !self.is_kept_back(*line));
        self.go_if(next)
    }

    /// Lets go of the selection, else of what lines are kept, else of what is searched for; `false` when of nothing.
    pub(in crate::app) fn back(&mut self) -> bool {
        if self.anchor.take().is_some() {
            return true;
        }
        let (kept, searched) = (self.keep.is_some(), self.search.is_some());
        match (kept, searched) {
            (true, _) => self.keep(None),
            (false, true) => self.search(None),
            (false, false) => {}
        }
        kept || searched
    }

    /// Which of the lines that tell what went wrong this is, and of how many.
    pub(super) fn error_at(&self, line: u64) -> Option<(usize, usize)> {
        let errors = self.errors.as_ref()?;
        Some((errors.number(line)?, errors.found.len()))
    }
}
