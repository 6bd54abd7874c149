//! The visible lines of a log: all lines except those of folded groups, or only those that match a pattern.

use std::collections::BTreeSet;
use std::ops::Range;

/// Visible lines, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'l> {
    /// All lines except those of folded groups.
    Folded {
        /// Length of the log in lines.
        lines: u64,
        /// Lines of folded groups.
        hidden: &'l [Hidden],
    },
    /// Only these lines.
    Kept(&'l [u64]),
}

/// A range of hidden lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hidden {
    lines: Range<u64>,
    /// Number of hidden lines before the range.
    before: u64,
}

impl Hidden {
    fn count(&self) -> u64 {
        self.lines.end - self.lines.start
    }
}

impl Rows<'_> {
    /// Returns the number of rows.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Folded { lines, hidden } => {
                lines.saturating_sub(hidden.last().map_or(0, |last| last.before + last.count()))
            }
            Self::Kept(kept) => kept.len() as u64,
        }
    }

    /// Returns the number of the line in a row. If there are fewer rows, returns the number of the last line.
    pub(super) fn line(&self, row: u64) -> u64 {
        let row = row.min(self.count().saturating_sub(1));
        match self {
            Self::Folded { hidden, .. } => {
                let above = hidden.partition_point(|hidden| hidden.lines.start - hidden.before <= row);
                row + above.checked_sub(1).map_or(0, |last| hidden[last].before + hidden[last].count())
            }
            Self::Kept(kept) => kept.get(row as usize).copied().unwrap_or_default(),
        }
    }

    /// Returns the row of a line. For a hidden line, returns the row of the nearest visible line before it.
    pub(super) fn row(&self, line: u64) -> u64 {
        match self {
            Self::Folded { hidden, .. } => {
                let above = hidden.partition_point(|hidden| hidden.lines.start <= line);
                let Some(last) = above.checked_sub(1).map(|last| &hidden[last]) else { return line };
                if last.lines.contains(&line) {
                    (last.lines.start - last.before).saturating_sub(1)
                } else {
                    line - last.before - last.count()
                }
            }
            Self::Kept(kept) => (kept.partition_point(|kept| *kept <= line) as u64).saturating_sub(1),
        }
    }

    /// Returns the lines in a range of rows.
    pub(super) fn lines(&self, rows: Range<u64>) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for line in (rows.start..rows.end.min(self.count())).map(|row| self.line(row)) {
            match ranges.last_mut() {
                Some(last) if last.end == line => last.end += 1,
                _ => ranges.push(line..line + 1),
            }
        }
        ranges
    }
}

/// The groups of a log, folded or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    /// Lines of each closed group, including the line that starts it.
    known: Vec<Range<u64>>,
    /// Whether groups are folded by default.
    pub(super) folded: bool,
    /// First lines of the groups whose state differs from `folded`.
    toggled: BTreeSet<u64>,
    hidden: Vec<Hidden>,
}

impl Groups {
    /// Returns an empty set of groups, folded or not by default.
    pub(super) fn new(folded: bool) -> Self {
        Self { folded, ..Self::default() }
    }

    /// Returns the lines of folded groups.
    pub(super) fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// Builds the groups from their first and last lines. A group also ends where the next one starts. Groups that have
    /// not ended are not included.
    pub(super) fn set(&mut self, starts: &[u64], ends: &[u64]) {
        let mut groups = Vec::with_capacity(starts.len());
        for (at, start) in starts.iter().enumerate() {
            let next = starts.get(at + 1).copied();
            let end = ends.get(ends.partition_point(|end| end <= start)).map(|end| end + 1);
            let end = match (end, next) {
                (Some(end), Some(next)) => Some(end.min(next)),
                (end, next) => end.or(next),
            };
            groups.extend(end.filter(|end| *end > start + 1).map(|end| *start..end));
        }
        self.known = groups;
        self.hide();
    }

    /// Folds or unfolds all groups.
    pub(super) fn fold_all(&mut self, folded: bool) {
        self.folded = folded;
        self.toggled.clear();
        self.hide();
    }

    /// Folds or unfolds the group of a line, and returns its first line; `None` if the line is not in a group.
    pub(super) fn toggle(&mut self, line: u64) -> Option<u64> {
        let first = self.of(line)?.start;
        if !self.toggled.remove(&first) {
            self.toggled.insert(first);
        }
        self.hide();
        Some(first)
    }

    /// Unfolds the group of a hidden line.
    pub(super) fn reveal(&mut self, line: u64) {
        if self.hidden.iter().any(|hidden| hidden.lines.contains(&line)) {
            self.toggle(line);
        }
    }

    /// Returns the number of lines hidden below the first line of a group; 0 if it is unfolded, `None` for any other
    /// line.
    pub(super) fn hidden_below(&self, line: u64) -> Option<u64> {
        let group = self.of(line).filter(|group| group.start == line)?;
        Some(if self.is_folded(line) { group.end - group.start - 1 } else { 0 })
    }

    /// Returns the first line of the next or previous group; `None` if there is no such group.
    pub(super) fn neighbour(&self, line: u64, forward: bool) -> Option<u64> {
        let mut starts = self.known.iter().map(|group| group.start);
        if forward { starts.find(|start| *start > line) } else { starts.rev().find(|start| *start < line) }
    }

    fn of(&self, line: u64) -> Option<&Range<u64>> {
        let at = self.known.partition_point(|group| group.start <= line).checked_sub(1)?;
        Some(&self.known[at]).filter(|group| group.contains(&line))
    }

    fn is_folded(&self, first: u64) -> bool {
        self.folded != self.toggled.contains(&first)
    }

    fn hide(&mut self) {
        let mut before = 0;
        let folded = self.known.iter().filter(|group| self.is_folded(group.start));
        self.hidden = folded
            .map(|group| {
                let hidden = Hidden { lines: group.start + 1..group.end, before };
                before += hidden.count();
                hidden
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_group_ends_at_its_end_line_or_before_the_next_group() {
        let mut groups = Groups::new(true);
        groups.set(&[2, 6, 20], &[4, 12]);
        let rows = Rows::Folded { lines: 30, hidden: groups.hidden() };
        assert_eq!(rows.count(), 30 - 2 - 6);
        assert_eq!((0..5).map(|row| rows.line(row)).collect::<Vec<_>>(), [0, 1, 2, 5, 6]);
        assert_eq!((rows.row(3), rows.row(6), rows.row(13)), (2, 4, 5));
        assert_eq!((groups.hidden_below(2), groups.hidden_below(3), groups.hidden_below(20)), (Some(2), None, None));
        assert_eq!(groups.toggle(8), Some(6));
        assert_eq!(
            (groups.hidden_below(6), groups.neighbour(6, false), groups.neighbour(2, true)),
            (Some(0), Some(2), Some(6))
        );
        groups.reveal(3);
        assert_eq!(Rows::Folded { lines: 30, hidden: groups.hidden() }.count(), 30);
    }

    proptest! {
        #[test]
        fn rows_and_lines_agree(
            starts in prop::collection::btree_set(0_u64..100, 0..12),
            ends in prop::collection::btree_set(0_u64..100, 0..12),
            toggled in prop::collection::vec(0_u64..100, 0..6),
            folded in any::<bool>(),
        ) {
            let (starts, ends): (Vec<_>, Vec<_>) = (starts.into_iter().collect(), ends.into_iter().collect());
            let mut groups = Groups::new(folded);
            groups.set(&starts, &ends);
            for line in toggled {
                groups.toggle(line);
            }
            for rows in [Rows::Folded { lines: 100, hidden: groups.hidden() }, Rows::Kept(&starts)] {
                let lines: Vec<u64> = (0..rows.count()).map(|row| rows.line(row)).collect();
                prop_assert!(lines.is_sorted_by(|a, b| a < b));
                for (row, line) in lines.iter().enumerate() {
                    prop_assert_eq!(rows.row(*line), row as u64);
                }
                prop_assert_eq!(rows.lines(0..rows.count()).into_iter().flatten().collect::<Vec<_>>(), lines);
            }
        }
    }
}
