//! The offer of the demo.

use crate::model::feed::Request;

use super::App;
use super::msg::Effect;
use super::overlay::Overlay;
use super::overlay::question::{Choice, Question};

impl App {
    /// Returns the question whether to break a test of the demo.
    pub(super) fn break_question() -> Overlay {
        let text = [
            "The demo is green: only Style failed, which may fail.",
            "Break a test to see a failure found and mended:",
            "watch mode runs the pipeline when a file changes,",
            "e goes to the error, o opens its line in $EDITOR,",
            "and saving the mended file runs it again.",
        ];
        let breaks = Choice::new('b', "break a test", vec![Effect::Request(Request::BreakDemo)]);
        let choices = vec![breaks, Choice::new('n', "not now", Vec::new())];
        Overlay::Question(Question::new("Demo", text.map(str::to_owned).into(), choices))
    }
}
