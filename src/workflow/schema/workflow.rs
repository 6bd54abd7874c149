//! The top level of a workflow.

use super::availability::{WORKFLOW, WORKFLOW_ENV};
use super::job::JOB;
use super::{
    Field, Schema, Shape, boolean, events, field, list, mapping, names, non_empty, one_of, required, sequence, text,
    word,
};

/// A workflow file.
pub static ROOT: Schema = mapping(
    "workflow",
    &[
        required("on", &events::ON),
        field("name", &text("name")),
        field("description", &super::DESCRIPTION),
        field("run-name", &text("run-name").with(&WORKFLOW)),
        field("defaults", &mapping("defaults", &[field("run", &mapping("defaults.run", RUN_DEFAULTS))])),
        field("env", &names("env", &ENV_VALUE).with(&WORKFLOW_ENV)),
        field("permissions", &PERMISSIONS),
        field("cache-mode", &CACHE_MODE),
        field("concurrency", &one_of("concurrency", &[&text("group"), &CONCURRENCY]).with(&WORKFLOW)),
        field("dependencies", &sequence("dependencies", &non_empty("dependency"))),
        required("jobs", &JOBS),
    ],
);

/// `jobs`.
pub static JOBS: Schema = names("jobs", &JOB);

/// A value of an `env` mapping.
pub(super) static ENV_VALUE: Schema = text("value");

/// `defaults.run`.
pub(super) const RUN_DEFAULTS: &[Field] =
    &[field("shell", &non_empty("shell")), field("working-directory", &non_empty("working-directory"))];

/// `concurrency` as a mapping.
pub(super) static CONCURRENCY: Schema = mapping(
    "concurrency",
    &[
        required("group", &non_empty("group")),
        field("cancel-in-progress", &boolean("cancel-in-progress")),
        field("queue", &word("queue", &["single", "max"])),
    ],
);

/// `permissions`.
pub static PERMISSIONS: Schema = one_of("permissions", &[&mapping("permissions", SCOPES), &ALL_SCOPES]);

/// `cache-mode`.
pub static CACHE_MODE: Schema = word("cache-mode", &["read", "write", "write-only", "none"]);

static ALL_SCOPES: Schema = word("permissions", &["read-all", "write-all"]);

/// Scopes of `GITHUB_TOKEN` and the access levels of each.
pub static SCOPES: &[Field] = &[
    field("actions", &ANY_LEVEL),
    field("artifact-metadata", &ANY_LEVEL),
    field("attestations", &ANY_LEVEL),
    field("checks", &ANY_LEVEL),
    field("code-quality", &ANY_LEVEL),
    field("contents", &ANY_LEVEL),
    field("copilot-requests", &WRITE_LEVEL),
    field("deployments", &ANY_LEVEL),
    field("discussions", &ANY_LEVEL),
    field("drives", &ANY_LEVEL),
    field("id-token", &WRITE_LEVEL),
    field("issues", &ANY_LEVEL),
    field("models", &READ_LEVEL),
    field("packages", &ANY_LEVEL),
    field("pages", &ANY_LEVEL),
    field("pull-requests", &ANY_LEVEL),
    field("repository-projects", &ANY_LEVEL),
    field("security-events", &ANY_LEVEL),
    field("statuses", &ANY_LEVEL),
    field("vulnerability-alerts", &READ_LEVEL),
];

static ANY_LEVEL: Schema = word("permission", &["read", "write", "none"]);
static READ_LEVEL: Schema = word("permission", &["read", "none"]);
static WRITE_LEVEL: Schema = word("permission", &["write", "none"]);

/// `needs`: a job id, or a sequence of job ids.
pub(super) static NEEDS: Schema = list("needs");

/// An empty value.
pub(super) static NOTHING: Schema = Schema::new("nothing", Shape::Nothing);
