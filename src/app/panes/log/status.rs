//! The text in the border of the log: selection, search, filter, and reading position.

use std::time::Duration;

use crate::model::{Step, Timestamp};
use crate::ui::text;
use crate::ui::theme::Theme;

use super::Log;

/// How long a running step must have printed nothing before the status shows it.
const QUIET: Duration = Duration::from_secs(10);

impl Log {
    /// Returns the status of a step's log: only the parts that apply.
    pub(super) fn status(&self, step: Option<&Step>, now: Timestamp, theme: Theme) -> String {
        let mut parts = Vec::new();
        let active = step.filter(|step| step.phase.is_active());
        if let Some(printed) = active.and_then(|step| step.printed).filter(|printed| now.since(*printed) >= QUIET) {
            parts.push(format!("quiet for {}", text::spent(printed, None, now)));
        }
        if let Some(anchor) = self.anchor {
            let rows = self.rows();
            let selected = rows.row(anchor).abs_diff(rows.row(self.cursor)) + 1;
            parts.push(format!("{} selected", text::counted(selected, "line")));
        }
        if let Some(search) = &self.search {
            let total = search.matches.total(self.size().complete());
            let at = search.matches.number(self.cursor).filter(|_| !self.follows).map(|at| format!("{at}/"));
            let slash = if search.pattern.is_regex { "" } else { "/" };
            parts.push(format!("{slash}{} {}{total}", search.pattern.typed(), at.unwrap_or_default()));
        }
        if let Some(keep) = &self.keep {
            parts.push(format!("&{} {}", keep.pattern.typed(), keep.matches.total(self.size().complete())));
        }
        let searches = [&self.search, &self.keep].into_iter().flatten().map(|search| &search.matches);
        parts.extend(searches.chain(&self.errors).filter_map(|matches| matches.error.clone()));
        if let Some((at, of)) = self.error_at(self.cursor).filter(|_| !self.follows) {
            parts.push(format!("error {at}/{of}"));
        }
        if self.follows {
            parts.extend(active.map(|_| "FOLLOW".to_owned()));
        } else {
            let new = self.lines.saturating_sub(self.seen);
            if new > 0 {
                parts.push(format!("{} new {}", text::count(new), if new == 1 { "line" } else { "lines" }));
            }
            parts.push(format!("line {}", text::count(self.cursor + 1)));
        }
        if self.wrap {
            parts.push("wrap".to_owned());
        }
        if self.left > 0 {
            parts.push(format!("column {}", self.left + 1));
        }
        if self.key.is_some() {
            parts.push(text::counted(self.lines, "line"));
        }
        parts.join(theme.dot())
    }
}
