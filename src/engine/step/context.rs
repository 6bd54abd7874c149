//! What a step needs of its job.

use std::path::{Path, PathBuf};

use crate::engine::cancel::Grace;
use crate::engine::outlet::Outlet;
use crate::engine::sandbox::Sandbox;
use crate::model::{JobId, StepNumber};

/// What a step needs of its job: where it runs, and where what it reports goes.
#[derive(Clone, Copy)]
pub(in crate::engine) struct StepContext<'j> {
    /// The job.
    pub(in crate::engine) job: &'j JobId,
    /// The step of the job whose log and record this is. Steps of a composite action share those of the step around them.
    pub(in crate::engine) number: StepNumber,
    /// Takes what the step reports.
    pub(in crate::engine) outlet: &'j dyn Outlet,
    /// Where the job's steps run. Paths in the step's output are paths of this sandbox.
    pub(in crate::engine) sandbox: &'j dyn Sandbox,
    /// `GITHUB_WORKSPACE`, on this machine.
    pub(in crate::engine) workspace: &'j Path,
    /// `RUNNER_TEMP`, on this machine.
    pub(in crate::engine) temp: &'j Path,
    /// Whether the sandbox is a container, whose user may be another one than ours.
    pub(in crate::engine) in_container: bool,
    /// Whether `::debug::` lines are kept.
    pub(in crate::engine) debug: bool,
    /// Pauses between signals.
    pub(in crate::engine) grace: Grace,
}

impl StepContext<'_> {
    /// Returns the path on this machine of a file that the step named, relative to the workspace.
    pub(in crate::engine) fn outside(&self, file: &str) -> PathBuf {
        self.sandbox.outside(&self.sandbox.inside(self.workspace).join(file))
    }
}
