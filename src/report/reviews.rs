//! Lines about deployments that wait for a review.

use std::time::Duration;

use crate::model::{PendingReview, RunId, Timestamp};
use crate::report::style::Style;
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::duration;
use crate::ui::theme::Hue;

use super::clauses;

/// Returns the line about a deployment: what it waits for and since when, and the command that approves it, or why the
/// user may not approve it.
pub fn waiting(review: &PendingReview, run: &RunId, style: Style, now: Timestamp) -> TerminalText {
    if style.is_linear() {
        return sentence(review, run, style, now);
    }
    let answer = if let Some(refusal) = review.refusal {
        text!("{}", refusal)
    } else {
        text!("cuelight approve {} --run {}", quoted(&review.environment), run)
    };
    let glyph = style.glyph(&review.phase());
    text!("{} {}  {}", glyph, since(review, now), style.paint(Hue::Dim, answer))
}

/// Returns the state of the jobs that wait, for a sentence: `needs review of prod by maria or olu; approve with …`.
fn sentence(review: &PendingReview, run: &RunId, style: Style, now: Timestamp) -> TerminalText {
    let state = clauses::waiting(&review.gate(), style);
    let reviewers: Vec<&str> = review.reviewers.iter().map(String::as_str).collect();
    let by = if reviewers.is_empty() { text!("") } else { text!(" by {}", clauses::joined(&reviewers, "or")) };
    let timer = review.wait_until.filter(|_| !reviewers.is_empty());
    let timer = timer.map(|until| text!(" and waits for its timer until {}", until.clock())).unwrap_or_default();
    let waited = review.waited(now);
    let waited = if waited < Duration::from_secs(1) { text!("") } else { text!(", for {}", duration(waited)) };
    let answer = if let Some(refusal) = review.refusal {
        text!("{}", refusal)
    } else {
        text!("approve with `cuelight approve {} --run {}`", quoted(&review.environment), run)
    };
    text!("{}{}{}{}; {}", state, by, timer, waited, answer)
}

/// Returns what a deployment waits for. After the first second, also returns how long it has waited.
pub fn since(review: &PendingReview, now: Timestamp) -> TerminalText {
    let waited = review.waited(now);
    let since = if waited < Duration::from_secs(1) { text!("") } else { text!(" for {}", duration(waited)) };
    text!("{}{}", review.reason(), since)
}

/// Returns a word quoted for a shell, if it needs quotes.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@".contains(c);
    if word.chars().all(is_plain) && !word.starts_with('-') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReviewRefusal;
    use crate::model::testing::pending_review;
    use crate::ui::theme::Glyphs;

    #[test]
    fn a_deployment_names_its_reviewers_its_age_and_the_command() {
        let review = |environment, refusal| PendingReview {
            since: Some(Timestamp(1_000)),
            refusal,
            ..pending_review(1, environment, &["maria", "olu"])
        };
        let line = |review| {
            let style = Style::new(Glyphs::Unicode, false);
            waiting(&review, &RunId::new("r"), style, Timestamp(66_000)).as_str().to_owned()
        };
        assert_eq!(
            line(review("prod", None)),
            "◆ waits for a review of prod (maria, olu) for 1:05  cuelight approve prod --run r"
        );
        assert_eq!(
            line(review("it's live", None)),
            r"◆ waits for a review of it's live (maria, olu) for 1:05  cuelight approve 'it'\''s live' --run r"
        );
        assert_eq!(
            line(review("prod", Some(ReviewRefusal::NotReviewer))),
            "◆ waits for a review of prod (maria, olu) for 1:05  you are not a reviewer"
        );
    }

    #[test]
    fn a_screen_reader_gets_one_sentence_about_a_review() {
        let review =
            PendingReview { since: Some(Timestamp(1_000)), ..pending_review(1, "prod", &["maria", "ines", "olu"]) };
        let said = |review: &PendingReview, now| {
            waiting(review, &RunId::new("r"), Style::linear(), Timestamp(now)).as_str().to_owned()
        };
        let asks = "needs review of prod by maria, ines or olu";
        assert_eq!(said(&review, 1_000), format!("{asks}; approve with `cuelight approve prod --run r`"));
        assert_eq!(said(&review, 66_000), format!("{asks}, for 1:05; approve with `cuelight approve prod --run r`"));
        let refused = PendingReview { refusal: Some(ReviewRefusal::NotReviewer), ..review.clone() };
        assert_eq!(said(&refused, 1_000), format!("{asks}; you are not a reviewer"));
        let until = Some(Timestamp(60_000));
        let timed = PendingReview { wait_until: until, ..refused.clone() };
        let waits = "and waits for its timer until 1970-01-01 00:01 UTC";
        assert_eq!(said(&timed, 1_000), format!("{asks} {waits}; you are not a reviewer"));
        let timer = PendingReview { reviewers: Vec::new(), ..timed };
        let only = "waiting for the timer of prod until 1970-01-01 00:01 UTC; you are not a reviewer";
        assert_eq!(said(&timer, 1_000), only);
    }
}
