//! The loaded lines: those on the screen, and a screenful before and after them.

use std::ops::Range;

use crate::app::msg::RenderedLine;
use crate::store::logs::query::{LogError, PageRequest};

use super::Log;

/// Size of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Size {
    pub(super) lines: u64,
    /// Length in bytes of the last line while it has no newline.
    pub(super) open: u64,
}

impl Size {
    /// Returns the number of lines that do not change any more.
    pub(super) fn complete(self) -> u64 {
        self.lines - u64::from(self.open > 0 && self.lines > 0)
    }
}

/// The answer to a page request.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) request: PageRequest,
    /// Size of the log when the lines were requested.
    pub(super) of: Size,
    pub(super) lines: Result<Vec<RenderedLine>, LogError>,
}

impl Window {
    pub(super) fn line(&self, number: u64) -> Option<&RenderedLine> {
        let lines = self.lines.as_ref().ok()?;
        lines.binary_search_by_key(&number, |line| line.number).ok().map(|at| &lines[at])
    }

    /// Whether these lines are loaded, or were requested for a log of the current size. After the log has grown, a line
    /// that had no newline when it was loaded does not count, because it may have grown, too.
    pub(super) fn covers(&self, wanted: &[Range<u64>], size: Size) -> bool {
        let requested = |number: u64| self.request.lines.iter().any(|range| range.contains(&number));
        let known = |number: u64| {
            (number < self.of.complete() && self.line(number).is_some()) || (self.of == size && requested(number))
        };
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
