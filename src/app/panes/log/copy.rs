//! Requests for the lines that the user copies.

use crate::store::logs::query::PageRequest;

use super::Log;

/// Maximum number of lines that are copied at once, because terminals accept a clipboard of about 100 KB.
pub(super) const MAX_COPIED: u64 = 2000;

impl Log {
    /// Returns the texts of the line at the cursor and of the loaded lines after it.
    pub(in crate::app) fn texts(&self) -> impl Iterator<Item = String> {
        self.loaded().filter(|line| line.number >= self.cursor).map(|line| line.line.text())
    }

    /// Returns a request for the selected lines, and the number of lines that exceed [`MAX_COPIED`] and are left out.
    /// `None` if no lines are selected.
    pub(in crate::app) fn selection(&self) -> Option<(PageRequest, u64)> {
        let rows = self.rows();
        let (one, other) = (rows.row(self.anchor?), rows.row(self.cursor));
        let (first, end) = (one.min(other), one.max(other) + 1);
        let lines = rows.lines(first..end.min(first + MAX_COPIED));
        Some((PageRequest { key: self.key.clone()?, lines }, (end - first).saturating_sub(MAX_COPIED)))
    }

    /// Returns a request for the error line at or after the cursor, or for the last error line, with `around` lines on
    /// each side. `None` while no error line is known.
    pub(in crate::app) fn excerpt(&self, around: u64) -> Option<PageRequest> {
        let errors = &self.errors.as_ref()?.found;
        let line = errors.get(errors.partition_point(|line| *line < self.cursor)).or(errors.last())?;
        let lines = line.saturating_sub(around)..(line + around + 1).min(self.lines);
        Some(PageRequest { key: self.key.clone()?, lines: vec![lines] })
    }
}
