//! The loaded part of a list of runs, which comes in pages.

use crate::model::{RunId, Summary};

/// The loaded part of a list of runs: every run from the newest down to `oldest`.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    /// The oldest loaded run; `None` before the first page.
    pub(super) oldest: Option<RunId>,
    /// Whether the backend has older runs.
    pub(super) more: bool,
    /// The oldest run at the time of the last request for older runs.
    pub(super) requested: Option<RunId>,
}

impl Listed {
    /// Adds a page, which has older runs below it if `more` is set.
    pub(super) fn take(&mut self, page: &[Summary], more: bool) {
        let last = page.last().map(|run| &run.info.id).or(self.oldest.as_ref());
        // A page that ends above the oldest loaded run, such as an update of the newest run, does not show whether
        // there are older runs.
        if last <= self.oldest.as_ref() || self.oldest.is_none() {
            self.oldest = last.cloned();
            self.more = more;
        }
    }
}
