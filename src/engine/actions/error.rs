//! Reasons why an action cannot be used.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::reference::ReferenceError;
use crate::files::FileError;
use crate::store::space_hint;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::syntax::NamedValueError;
use crate::workflow::template::TemplateError;

/// Why the action of a step cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    /// The text is not a valid reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The step has no `uses`.
    #[error("the step uses no action")]
    NotUsed,
    /// The files of the action's repository are not available.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The folder of the action has neither a manifest nor a Dockerfile. `of` is the origin of the files.
    #[error("`{reference}` has no action.yml, action.yaml or Dockerfile ({of})")]
    NoManifest { reference: String, of: String },
    /// The manifest of the action cannot be read or is invalid.
    #[error("`{reference}`: {source}")]
    Manifest { reference: String, source: ManifestError },
    /// A local action is not in the workspace.
    #[error("there is no action.yml in {0} of the workspace; is actions/checkout missing before this step?")]
    NotInWorkspace(String),
    /// The manifest of a local action cannot be read or is invalid.
    #[error(transparent)]
    LocalManifest(#[from] ManifestError),
    /// An input cannot be evaluated.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {source}")]
    File { file: String, source: FileError },
    /// The file has errors. Holds the first one.
    #[error("{}", .problem.as_ref().map_or_else(|| format!("cannot read {file}"), |problem| {
        format!("{file}:{}:{}: {}", problem.span.line, problem.span.column, problem.message)
    }))]
    Syntax { file: String, problem: Option<Box<Diagnostic>> },
}

/// Why an input of an action cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// An entry of `with`, or `with` as a whole, cannot be evaluated.
    #[error("`with{}`: {source}", .source.name.as_ref().map(|name| format!(".{name}")).unwrap_or_default())]
    With { source: NamedValueError },
    /// The default in the manifest cannot be evaluated.
    #[error("default of input `{name}`: {source}")]
    Default { name: String, source: TemplateError },
}

/// Reason why the files of an action are not on this machine. The error can be cloned because all jobs of a run share
/// the result of a fetch.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The configuration maps the action to a path that is not a folder.
    #[error("`{action}` is mapped to {} by `[actions]`, which is not a folder", .folder.display())]
    NotAFolder { action: String, folder: PathBuf },
    /// The configuration maps the action to a URL with an unsupported scheme.
    #[error("`{action}` is mapped to {server} by `[actions]`: write https://, http://, ssh:// or file://")]
    Scheme { action: String, server: String },
    /// The action is not in the cache, and `--offline` is set.
    #[error("`{0}` is not in the cache, and --offline is set")]
    Offline(String),
    /// The server does not have this version.
    #[error("`{action}`: {server} has no tag, branch or commit `{version}`")]
    NoVersion { action: String, server: String, version: String },
    /// The server cannot be reached, and no earlier run has resolved this version.
    #[error("`{action}` is not in the cache, and {server} cannot be reached: {source}")]
    Unreachable { action: String, server: String, source: GitCallError },
    /// The fetch failed.
    #[error("`{action}` cannot be fetched from {server}: {source}")]
    Failed { action: String, server: String, source: GitCallError },
}

/// Why a git command for the cache of actions failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum GitCallError {
    /// The cache cannot be written.
    #[error("cannot write to the cache of actions: {source}{}", space_hint(.source))]
    Cache { source: Arc<io::Error> },
    /// Git cannot be started.
    #[error("git cannot be started: {0}")]
    Start(Arc<io::Error>),
    /// Git did not finish within its time limit. Holds the limit in seconds.
    #[error("no answer within {0} s")]
    NoAnswer(u64),
    /// Git failed. Holds the last line of its messages, from which [`Self::with_address`] removes credentials.
    #[error("{0}")]
    Failed(String),
}

impl GitCallError {
    /// Replaces `address`, which may contain credentials, with `shown` in the messages of git.
    pub(crate) fn with_address(self, address: &str, shown: &str) -> Self {
        match self {
            Self::Failed(line) => Self::Failed(line.replace(address, shown)),
            other => other,
        }
    }
}

/// Reason why JavaScript actions cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// Node.js is not on `PATH`.
    #[error("node is not on PATH: install Node.js 20 or newer")]
    NotOnPath,
    /// Node.js is neither in the container nor on this machine.
    #[error("node is neither in the container nor on this machine: install Node.js 20 or newer")]
    Nowhere,
    /// The program cannot be started, or does not print its version in time.
    #[error("{} does not start: {source}", .program.display())]
    Start { program: PathBuf, source: io::Error },
    /// The version is too old.
    #[error("{} is {version}: actions need Node.js 20 or newer", .program.display())]
    TooOld { program: PathBuf, version: String },
}
