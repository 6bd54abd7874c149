//! The loaded lines: those on the screen, and a screenful before and after them.

use std::ops::Range;

use crate::app::msg::RenderedLine;
use crate::store::logs::query::{LogError, PageRequest};

use super::Log;

/// The answer to a page request.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) request: PageRequest,
    /// Length of the log when the lines were requested.
    pub(super) of: u64,
    pub(super) lines: Result<Vec<RenderedLine>, LogError>,
}

impl Window {
    pub(super) fn line(&self, number: u64) -> Option<&RenderedLine> {
        let lines = self.lines.as_ref().ok()?;
        lines.binary_search_by_key(&number, |line| line.number).ok().map(|at| &lines[at])
    }

    /// Whether these lines are loaded, or were requested when the log had its current length.
    pub(super) fn covers(&self, wanted: &[Range<u64>], lines: u64) -> bool {
        let requested = |number: u64| self.request.lines.iter().any(|range| range.contains(&number));
        let known = |number: u64| self.line(number).is_some() || (self.of == lines && requested(number));
        wanted.iter().cloned().flatten().all(known)
    }
}

impl Log {
    /// Returns the loaded lines, in order.
    pub(super) fn loaded(&self) -> impl Iterator<Item = &RenderedLine> {
        self.window.as_ref().and_then(|window| window.lines.as_ref().ok()).into_iter().flatten()
    }

    /// Returns the last column of the widest loaded line. Unlimited while a page is loading.
    pub(super) fn widest(&self) -> usize {
        if self.requested.is_some() {
            return usize::MAX;
        }
        self.loaded().map(|line| line.line.width()).max().unwrap_or_default().saturating_sub(1)
    }
}
