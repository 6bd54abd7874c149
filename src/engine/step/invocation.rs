//! The process that a step runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::results::Client;
use crate::engine::sandbox::Sandbox;

/// A process to run as a step. All paths except [`files`](Self::files) are paths in the sandbox.
#[derive(Default)]
pub(in crate::engine) struct Invocation {
    /// Program, or empty for the entrypoint of the image.
    pub(in crate::engine) program: PathBuf,
    /// Arguments of the program.
    pub(in crate::engine) args: Vec<OsString>,
    /// Working directory.
    pub(in crate::engine) cwd: PathBuf,
    /// Variables that the action adds: `INPUT_…`, `STATE_…`.
    pub(in crate::engine) variables: IndexMap<String, String>,
    /// Entries that the action adds to the `github` context.
    pub(in crate::engine) github: Vec<(&'static str, String)>,
    /// Separate container for the action. `None` runs the process in the job's sandbox.
    pub(in crate::engine) sandbox: Option<Arc<dyn Sandbox>>,
    /// Text of the script that the process runs, for a `run:` step.
    pub(in crate::engine) script: Option<String>,
    /// Files on this machine written for the process. They are sent to the sandbox and removed afterwards.
    pub(in crate::engine) files: Vec<PathBuf>,
    /// Kind of the client, which determines the variables of the services that it gets.
    pub(in crate::engine) client: Client,
    /// First line of the step's log; `None` if there is no remark.
    pub(in crate::engine) remark: Option<String>,
}
