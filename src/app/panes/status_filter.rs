//! The condition `status:` of the filters of runs and jobs.

use crate::model::Phase;
use crate::store::history::StatusFilter;
use crate::ui::theme::Theme;

/// Words for conclusions that people type and no list shows.
const SYNONYMS: [(&str, &str); 4] =
    [("failed", "failure"), ("succeeded", "success"), ("passed", "success"), ("running", "in_progress")];

/// Whether a phase has the status that `value`, in lower case, begins: a word that the lists show, or one that `cuelight
/// runs --status` accepts, or a common word for one of them.
pub(super) fn has_status(phase: &Phase, value: &str) -> bool {
    let is_word = |word: &str| {
        word == phase.word()
            || word == Theme::default().look(phase).word
            || StatusFilter::parse(word).is_some_and(|status| status.matches(phase))
    };
    let synonyms = SYNONYMS.iter().filter(|(typed, _)| typed.starts_with(value)).map(|(_, word)| *word);
    let words = [phase.word(), Theme::default().look(phase).word].into_iter().chain(StatusFilter::words());
    words.filter(|word| word.starts_with(value)).chain(synonyms).any(is_word)
}
