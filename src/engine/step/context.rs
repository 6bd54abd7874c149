//! The parts of a job that its steps depend on.

use std::path::{Path, PathBuf};

use crate::engine::cancel::Grace;
use crate::engine::outlet::Outlet;
use crate::engine::sandbox::Sandbox;
use crate::model::{JobId, StepNumber};

/// The parts of a job that its steps depend on: where they run, and where their events and logs go.
#[derive(Clone, Copy)]
pub(in crate::engine) struct StepContext<'j> {
    /// Id of the job.
    pub(in crate::engine) job: &'j JobId,
    /// Number of the step whose log and record are used. Steps of a composite action share the log and the record of
    /// the step around them.
    pub(in crate::engine) number: StepNumber,
    /// Receives the events and the log of the step.
    pub(in crate::engine) outlet: &'j dyn Outlet,
    /// Where the job's steps run. Paths in the step's output are paths of this sandbox.
    pub(in crate::engine) sandbox: &'j dyn Sandbox,
    /// `GITHUB_WORKSPACE`, on this machine.
    pub(in crate::engine) workspace: &'j Path,
    /// `RUNNER_TEMP`, on this machine.
    pub(in crate::engine) temp: &'j Path,
    /// Whether the sandbox is a container. The user of its processes may differ from the user of this process.
    pub(in crate::engine) in_container: bool,
    /// Whether `::debug::` lines are written to the log.
    pub(in crate::engine) debug: bool,
    /// Pauses between signals.
    pub(in crate::engine) grace: Grace,
}

impl StepContext<'_> {
    /// Converts a path inside the sandbox, as a step writes it, to a path on this machine. A relative path starts at
    /// the workspace.
    pub(in crate::engine) fn outside(&self, file: &str) -> PathBuf {
        self.sandbox.outside(&self.sandbox.inside(self.workspace).join(file))
    }
}
