//! The condition `status:` of the filters of runs and jobs.

use crate::model::Phase;
use crate::store::history::StatusFilter;
use crate::ui::theme::Theme;

/// Whether a phase has the status that `value`, in lower case, begins: a word that the lists show, or one that `cuelight
/// runs --status` accepts.
pub(super) fn has_status(phase: &Phase, value: &str) -> bool {
    let shown = [phase.word(), Theme::default().look(phase).word];
    let is = |word: &str| StatusFilter::parse(word).is_some_and(|status| status.matches(phase));
    shown.into_iter().any(|word| word.starts_with(value))
        || StatusFilter::words().any(|word| word.starts_with(value) && is(word))
}
