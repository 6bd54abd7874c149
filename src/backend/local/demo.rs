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

    /// Offers to break a test if the run that ended is the first of the demo and succeeded.
    pub(super) async fn offer_to_break(&mut self, ended: &RunId) {
        if !self.offers_break || self.demo.as_ref().is_none_or(|demo| demo.run != *ended) {
            return;
        }
        self.offers_break = false;
        let has_succeeded = history::read(&self.runs.folder(ended.clone()))
            .is_ok_and(|run| run.phase == Phase::Done(Conclusion::Success));
        if has_succeeded {
            self.report(Feed::DemoSucceeded).await;
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
