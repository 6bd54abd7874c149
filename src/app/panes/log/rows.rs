//! Which lines of a log have a row: all of them, those outside of folded groups, or those that a pattern keeps.

use std::collections::BTreeSet;
use std::ops::Range;

/// The lines that have a row, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'l> {
    /// All but those of folded groups.
    Folded {
        /// How many lines the log has.
        lines: u64,
        /// What is hidden.
        hidden: &'l [Hidden],
    },
    /// These only.
    Kept(&'l [u64]),
}

/// Lines without a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hidden {
    lines: Range<u64>,
    /// How many lines are hidden before them.
    before: u64,
}

impl Hidden {
    fn count(&self) -> u64 {
        self.lines.end - self.lines.start
    }
}

impl Rows<'_> {
    /// How many rows there are.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Folded { lines, hidden } => {
                lines.saturating_sub(hidden.last().map_or(0, |last| last.before + last.count()))
            }
            Self::Kept(kept) => kept.len() as u64,
        }
    }

    /// The line in a row; the last one where there are fewer rows.
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

    /// The row of a line; of one that has none, the row of the line before it that has one.
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

    /// The lines of some rows.
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

/// The groups of a log and which of them are folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    /// The line that begins each, and the end of its lines.
    known: Vec<Range<u64>>,
    /// Whether they are folded.
    pub(super) folded: bool,
    /// The first lines of those that are the other way.
    turned: BTreeSet<u64>,
    hidden: Vec<Hidden>,
}

impl Groups {
    /// Groups as the user last wanted them.
    pub(super) fn new(folded: bool) -> Self {
        Self { folded, ..Self::default() }
    }

    /// What is hidden.
    pub(super) fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// Takes in where groups begin and end. One ends where the next begins, too; one that has not ended is none yet.
    pub(super) fn set(&mut self, begins: &[u64], ends: &[u64]) {
        let mut groups = Vec::with_capacity(begins.len());
        for (at, begin) in begins.iter().enumerate() {
            let next = begins.get(at + 1).copied();
            let end = ends.get(ends.partition_point(|end| end <= begin)).map(|end| end + 1);
            let end = match (end, next) {
                (Some(end), Some(next)) => Some(end.min(next)),
                (end, next) => end.or(next),
            };
            groups.extend(end.filter(|end| *end > begin + 1).map(|end| *begin..end));
        }
        self.known = groups;
        self.hide();
    }

    /// Folds or unfolds all.
    pub(super) fn fold(&mut self, folded: bool) {
        self.folded = folded;
        self.turned.clear();
        self.hide();
    }

    /// Folds or unfolds the group of a line, and says where it begins.
    pub(super) fn turn(&mut self, line: u64) -> Option<u64> {
        let first = self.of(line)?.start;
        if !self.turned.remove(&first) {
            self.turned.insert(first);
        }
        self.hide();
        Some(first)
    }

    /// Shows a line whatever group it is in.
    pub(super) fn reveal(&mut self, line: u64) {
        if self.hidden.iter().any(|hidden| hidden.lines.contains(&line)) {
            self.turn(line);
        }
    }

    /// How many lines are hidden below a line that begins a group; 0 when they are shown, `None` for any other line.
    pub(super) fn below(&self, line: u64) -> Option<u64> {
        let group = self.of(line).filter(|group| group.start == line)?;
        Some(if self.is_folded(line) { group.end - group.start - 1 } else { 0 })
    }

    /// Where the next group begins, or the one before.
    pub(super) fn neighbour(&self, line: u64, forward: bool) -> Option<u64> {
        let mut begins = self.known.iter().map(|group| group.start);
        if forward { begins.find(|begin| *begin > line) } else { begins.rev().find(|begin| *begin < line) }
    }

    fn of(&self, line: u64) -> Option<&Range<u64>> {
        let at = self.known.partition_point(|group| group.start <= line).checked_sub(1)?;
        Some(&self.known[at]).filter(|group| group.contains(&line))
    }

    fn is_folded(&self, first: u64) -> bool {
        self.folded != self.turned.contains(&first)
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
    fn groups_end_at_their_end_or_the_next_begin() {
        let mut groups = Groups::new(true);
        groups.set(&[2, 6, 20], &[4, 12]);
        let rows = Rows::Folded { lines: 30, hidden: groups.hidden() };
        assert_eq!(rows.count(), 30 - 2 - 6);
        assert_eq!((0..5).map(|row| rows.line(row)).collect::<Vec<_>>(), [0, 1, 2, 5, 6]);
        assert_eq!((rows.row(3), rows.row(6), rows.row(13)), (2, 4, 5));
        assert_eq!((groups.below(2), groups.below(3), groups.below(20)), (Some(2), None, None));
        assert_eq!(groups.turn(8), Some(6));
        assert_eq!(
            (groups.below(6), groups.neighbour(6, false), groups.neighbour(2, true)),
            (Some(0), Some(2), Some(6))
        );
        groups.reveal(3);
        assert_eq!(Rows::Folded { lines: 30, hidden: groups.hidden() }.count(), 30);
    }

    proptest! {
        #[test]
        fn rows_and_lines_agree(
            begins in prop::collection::btree_set(0_u64..100, 0..12),
            ends in prop::collection::btree_set(0_u64..100, 0..12),
            turned in prop::collection::vec(0_u64..100, 0..6),
            folded in any::<bool>(),
        ) {
            let (begins, ends): (Vec<_>, Vec<_>) = (begins.into_iter().collect(), ends.into_iter().collect());
            let mut groups = Groups::new(folded);
            groups.set(&begins, &ends);
            for line in turned {
                groups.turn(line);
            }
            for rows in [Rows::Folded { lines: 100, hidden: groups.hidden() }, Rows::Kept(&begins)] {
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
