//! The demo on the screen: once its run has succeeded, offers to break a test. Watch mode then shows the failure, and
//! runs the pipeline again when the user has mended it.

use crate::launch::LaunchRequest;
use crate::launch::demo::{Project, break_test};
use crate::model::feed::{Feed, Notice};
use crate::model::{Conclusion, Phase, RunId};
use crate::store::history;

use super::Serving;

/// The plain project of the demo.
#[derive(Clone)]
pub struct Demo {
    /// The request for its runs.
    pub request: LaunchRequest,
    /// The run that the screen opens with.
    pub run: RunId,
    /// Whether a test is broken from the start.
    pub is_broken: bool,
}

impl Serving {
    /// Returns a request for a workflow. In the demo it has the variables of the demo's runs.
    pub(super) fn request(&self, workflow: String, event: String) -> LaunchRequest {
        match &self.demo {
            Some(Demo { request, .. }) => {
                LaunchRequest { workflow: Some(workflow), event: Some(event), ..request.clone() }
            }
            None => LaunchRequest::new(&self.folder, workflow, event),
        }
    }

    /// Starts watch mode in a demo whose test is broken from the start.
    pub(super) async fn begin_demo(&mut self) {
        if self.demo.as_ref().is_some_and(|demo| demo.is_broken) {
            self.watch_files(Some(Project::Tally.workflow().to_owned())).await;
        }
    }

    /// Says what to do next in the demo after the end of a run: offers to break a test if it is the first and succeeded;
    /// says how watch mode ends if it is the first that succeeded after a failure in watch mode.
    pub(super) async fn lead_demo(&mut self, ended: &RunId) {
        let Some(demo) = &self.demo else { return };
        let is_first = demo.run == *ended;
        let Ok(run) = history::read(&self.runs.folder(ended.clone())) else { return };
        let has_succeeded = run.phase == Phase::Done(Conclusion::Success);
        if self.offers_break && is_first {
            self.offers_break = false;
            if has_succeeded {
                self.report(Feed::DemoSucceeded).await;
            }
        } else if self.watch_mode.is_some() {
            let was_broken = self.awaits_mend;
            // A cancelled run shows neither.
            self.awaits_mend = (was_broken && !has_succeeded) || run.phase == Phase::Done(Conclusion::Failure);
            if was_broken && has_succeeded {
                let text = "the test is mended, and the demo is green again; W ends the watch mode";
                self.report(Feed::Notice(Notice::news(text))).await;
            }
        }
    }

    /// Breaks a test of the demo. The change of the file starts the run that shows the failure.
    pub(super) async fn break_demo(&mut self) {
        if self.watch_mode.is_none() {
            self.watch_files(Some(Project::Tally.workflow().to_owned())).await;
        }
        match break_test(&self.folder) {
            Ok(file) => {
                let text =
                    format!("{file} is broken now: e goes to the error, o opens the line, and saving it runs again");
                self.report(Feed::Notice(Notice::news(text))).await;
            }
            Err(error) => self.complain(&error).await,
        }
    }
}
