//! What the state of the screen knows about deployments by this machine.

use crate::model::RunId;
use crate::model::environment::{EnvironmentDeployment, Release};
use crate::model::lane::{Kept, Lane, LaneDeployment};
use crate::model::lane_details::LaneDetails;

use super::state::AppState;

/// Why there are no details of an environment.
#[derive(Clone, Copy, Debug)]
pub(super) enum MissingDetails<'s> {
    /// They were not read yet.
    Unread,
    /// They cannot be read, for this reason.
    Unreadable(&'s str),
}

impl<'s> MissingDetails<'s> {
    /// Text in place of details that are being read.
    pub(super) const READING: &'static str = "reading the history of the repository";

    pub(super) fn text(self) -> &'s str {
        match self {
            Self::Unread => Self::READING,
            Self::Unreadable(reason) => reason,
        }
    }
}

impl AppState {
    /// Returns an environment of this machine.
    pub(super) fn lane(&self, name: &str) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.name() == name)
    }

    /// Returns the details of an environment of this machine, or why there are none.
    pub(super) fn details(&self, environment: &str) -> Result<&LaneDetails, MissingDetails<'_>> {
        match self.details.get(environment) {
            None => Err(MissingDetails::Unread),
            Some(Err(reason)) => Err(MissingDetails::Unreadable(reason)),
            Some(Ok(details)) => Ok(details),
        }
    }

    /// Returns the open deployment that a run carries out, with its environment; `None` for any other run.
    pub(super) fn open_of(&self, run: &RunId) -> Option<(&Lane, &LaneDeployment)> {
        self.lanes.iter().find_map(|lane| Some((lane, lane.open.as_ref().filter(|open| open.run == *run)?)))
    }

    /// Returns a deployment by this machine; `None` for any other run.
    pub(super) fn deployment(&self, run: &RunId) -> Option<&EnvironmentDeployment> {
        let mut all = self.lanes.iter().flat_map(|lane| &lane.environment.deployments);
        all.find(|one| one.local.as_ref() == Some(run))
    }

    /// Returns the live release of a successful deployment, and the former one that it keeps running; `None` for any
    /// other run.
    pub(super) fn kept_by(&self, run: &RunId) -> Option<(&Release, &Kept)> {
        let (_, open) = self.open_of(run)?;
        Some((&open.release, open.kept.as_ref()?))
    }

    /// Returns what a pause that a person has requested means for the current step of a deployment; `None` without one.
    pub(super) fn pause_of(&self, run: &RunId) -> Option<&'static str> {
        let (_, open) = self.open_of(run)?;
        open.step.as_ref()?.pause
    }
}
