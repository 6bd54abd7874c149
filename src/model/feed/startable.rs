//! Workflows that a person can start, and those that have errors.

/// A workflow that can be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartableWorkflow {
    /// Path of the file, relative to the repository.
    pub workflow: String,
    /// The server that runs it; `None` for this machine.
    pub server: Option<WorkflowServer>,
    /// Name of the workflow.
    pub name: String,
    /// Events in `on`, in the order of the file.
    pub events: Vec<String>,
    /// Inputs of `workflow_dispatch`.
    pub inputs: Vec<Input>,
    /// Names of the secrets that it reads, and whether the environment has a value for each.
    pub secrets: Vec<(String, bool)>,
    /// The jobs in the file, in its order; empty for a workflow of a server.
    pub jobs: Vec<StartableJob>,
}

/// A job of a workflow that can be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartableJob {
    /// Name of the job as written; its key if it has no name or the name is an expression.
    pub name: String,
    /// Indices of the jobs that this job needs.
    pub needs: Vec<usize>,
}

/// The server that runs a workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkflowServer {
    /// Repository as `[HOST/]OWNER/NAME`.
    pub repository: String,
    /// The default branch.
    pub branch: String,
}

/// A workflow that has errors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokenWorkflow {
    /// Path of the file, relative to the repository.
    pub workflow: String,
    /// Number of errors.
    pub errors: usize,
    /// The errors as text, with the lines that they are about.
    pub text: String,
}

/// An input of a workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Name of the input.
    pub name: String,
    /// Description of the input.
    pub about: String,
    /// Whether a value must be given.
    pub required: bool,
    /// Type of the input.
    pub kind: InputKind,
    /// Default value, or empty.
    pub default: String,
}

/// Type of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// Text, or the name of an environment if the environments are not known.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these options.
    Choice(Vec<String>),
}
