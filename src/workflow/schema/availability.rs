//! Contexts and functions available under each key, from GitHub's table of context availability.

use crate::workflow::expr::Function;

/// Names that expressions under a key may use besides the functions that are available everywhere.
#[derive(Debug)]
pub struct Availability {
    /// Contexts.
    pub contexts: &'static [&'static str],
    /// Functions that are available only under some keys.
    pub functions: &'static [Function],
}

/// Every context that is available somewhere.
pub const CONTEXTS: &[&str] =
    &["github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs"];

/// The status check functions.
pub const STATUS: &[Function] = &[Function::Success, Function::Failure, Function::Cancelled, Function::Always];

const fn contexts(contexts: &'static [&'static str]) -> Availability {
    Availability { contexts, functions: &[] }
}

/// `run-name`, `concurrency` of a workflow, defaults of `workflow_call` inputs.
pub static WORKFLOW: Availability = contexts(&["github", "inputs", "vars"]);

/// `env` of a workflow.
pub static WORKFLOW_ENV: Availability = contexts(&["github", "inputs", "vars", "secrets"]);

/// `value` of an output of `workflow_call`.
pub static CALL_OUTPUT: Availability = contexts(&["github", "inputs", "vars", "jobs"]);

/// `strategy`.
pub static STRATEGY: Availability = contexts(&["github", "inputs", "vars", "needs"]);

/// `if` of a job.
pub static JOB_IF: Availability = Availability { contexts: &["github", "inputs", "vars", "needs"], functions: STATUS };

/// Most keys of a job.
pub static JOB: Availability = contexts(&["github", "inputs", "vars", "needs", "strategy", "matrix"]);

/// `env` of a job, `secrets` of a calling job.
pub static JOB_SECRETS: Availability =
    contexts(&["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets"]);

/// `defaults.run` of a job.
pub static JOB_DEFAULTS: Availability = contexts(&["github", "inputs", "vars", "needs", "strategy", "matrix", "env"]);

/// `credentials` of a container.
pub static CREDENTIALS: Availability =
    contexts(&["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "env"]);

/// `url` of an environment.
pub static ENVIRONMENT_URL: Availability =
    contexts(&["github", "inputs", "vars", "needs", "strategy", "matrix", "steps", "job", "runner", "env"]);

/// `outputs` of a job, `env` of a container.
pub static JOB_OUTPUT: Availability =
    contexts(&["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env"]);

/// Most keys of a step.
pub static STEP: Availability = Availability { contexts: JOB_OUTPUT.contexts, functions: &[Function::HashFiles] };

/// `if` of a step.
pub static STEP_IF: Availability = Availability {
    contexts: ENVIRONMENT_URL.contexts,
    functions: &[Function::Success, Function::Failure, Function::Cancelled, Function::Always, Function::HashFiles],
};

/// `default` of an input of an action.
pub static ACTION_DEFAULT: Availability =
    Availability { contexts: &["github", "strategy", "matrix", "job", "runner"], functions: &[Function::HashFiles] };

/// `value` of an output of an action.
pub static ACTION_OUTPUT: Availability =
    contexts(&["github", "strategy", "matrix", "steps", "inputs", "job", "runner", "env"]);

/// `pre-if` and `post-if`.
pub static ACTION_IF: Availability = Availability {
    contexts: &["runner", "github", "job", "strategy", "matrix", "env", "inputs"],
    functions: STEP_IF.functions,
};

/// `args` and `env` of a Docker action.
pub static ACTION_INPUTS: Availability = contexts(&["inputs"]);

/// Most keys of a step of a composite action.
pub static COMPOSITE: Availability = Availability {
    contexts: &["github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env"],
    functions: &[Function::HashFiles],
};

/// `if` of a step of a composite action.
pub static COMPOSITE_IF: Availability = Availability { contexts: COMPOSITE.contexts, functions: STEP_IF.functions };

/// A key that allows no expressions.
pub static NONE: Availability = contexts(&[]);
