//! `jobs.<id>`: a job with steps, or a job that calls a workflow.

use super::availability::{
    CREDENTIALS, ENVIRONMENT_URL, JOB as JOB_CONTEXTS, JOB_DEFAULTS, JOB_IF, JOB_OUTPUT, JOB_SECRETS, STRATEGY,
};
use super::step::STEPS;
use super::workflow::{CACHE_MODE, CONCURRENCY, ENV_VALUE, NEEDS, PERMISSIONS, RUN_DEFAULTS};
use super::{
    ANY, Fields, NON_EMPTY, NON_EMPTY_ITEMS, Schema, Shape, boolean, condition, field, list, mapping, names, non_empty,
    number, one_of, required, scalar, sequence, text, word,
};

/// A job.
pub static JOB: Schema = one_of("job", &[&STEPS_JOB, &CALL_JOB]);

static STEPS_JOB: Schema = mapping(
    "job",
    &[
        field("name", &NAME),
        field("needs", &NEEDS),
        field("if", &IF),
        field("strategy", &STRATEGY_SCHEMA),
        required("runs-on", &RUNS_ON),
        field("timeout-minutes", &number("timeout-minutes").with(&JOB_CONTEXTS)),
        field("cancel-timeout-minutes", &number("cancel-timeout-minutes").with(&JOB_CONTEXTS)),
        field("continue-on-error", &boolean("continue-on-error").with(&JOB_CONTEXTS)),
        field("container", &one_of("container", &[&text("image"), &CONTAINER]).with(&JOB_CONTEXTS)),
        field("services", &names("services", &SERVICE).with(&JOB_CONTEXTS)),
        field("env", &names("env", &ENV_VALUE).with(&JOB_SECRETS)),
        field("environment", &one_of("environment", &[&text("environment"), &ENVIRONMENT]).with(&JOB_CONTEXTS)),
        field("permissions", &PERMISSIONS),
        field("cache-mode", &CACHE_MODE),
        field("concurrency", &JOB_CONCURRENCY),
        field("outputs", &names("outputs", &text("output").with(&JOB_OUTPUT)).without_expression()),
        field("defaults", &mapping("defaults", &[field("run", &JOB_RUN_DEFAULTS)])),
        field("steps", &STEPS),
        field("snapshot", &one_of("snapshot", &[&NON_EMPTY, &SNAPSHOT])),
    ],
);

static CALL_JOB: Schema = mapping(
    "job",
    &[
        field("name", &NAME),
        required("uses", &non_empty("uses")),
        field("with", &names("with", &scalar("input").with(&JOB_CONTEXTS)).without_expression()),
        field("secrets", &one_of("secrets", &[&CALL_SECRETS, &word("secrets", &["inherit"])])),
        field("needs", &NEEDS),
        field("if", &IF),
        field("permissions", &PERMISSIONS),
        field("cache-mode", &CACHE_MODE),
        field("concurrency", &JOB_CONCURRENCY),
        field("strategy", &STRATEGY_SCHEMA),
    ],
);

static CALL_SECRETS: Schema = names("secrets", &scalar("secret").with(&JOB_SECRETS)).without_expression();

static NAME: Schema = text("name").with(&JOB_CONTEXTS);

static IF: Schema = condition("if").with(&JOB_IF);

static JOB_CONCURRENCY: Schema = one_of("concurrency", &[&non_empty("group"), &CONCURRENCY]).with(&JOB_CONTEXTS);

static JOB_RUN_DEFAULTS: Schema = mapping("defaults.run", RUN_DEFAULTS).with(&JOB_DEFAULTS);

static STRATEGY_SCHEMA: Schema = mapping(
    "strategy",
    &[
        field("fail-fast", &boolean("fail-fast")),
        field("max-parallel", &number("max-parallel")),
        field("matrix", &MATRIX),
    ],
)
.with(&STRATEGY);

static MATRIX: Schema = Schema::new(
    "matrix",
    Shape::Mapping(Fields {
        known: &[field("include", &FILTER), field("exclude", &FILTER)],
        others: Some(&sequence("matrix values", &ANY)),
        optional: false,
    }),
);

static FILTER: Schema = sequence("combinations", &names("combination", &ANY));

static RUNS_ON: Schema = one_of(
    "runs-on",
    &[&list("label"), &mapping("runs-on", &[field("group", &NON_EMPTY), field("labels", &list("labels"))])],
)
.with(&JOB_CONTEXTS);

static ENVIRONMENT: Schema = mapping(
    "environment",
    &[
        required("name", &text("name")),
        field("url", &text("url").with(&ENVIRONMENT_URL)),
        field("deployment", &boolean("deployment")),
    ],
);

static SNAPSHOT: Schema = mapping(
    "snapshot",
    &[
        required("image-name", &NON_EMPTY),
        field("if", &condition("if").with(&JOB_CONTEXTS)),
        field("version", &NON_EMPTY),
    ],
);

static CONTAINER: Schema = mapping(
    "container",
    &[
        field("image", &IMAGE),
        field("options", &text("options")),
        field("env", &CONTAINER_ENV),
        field("ports", &NON_EMPTY_ITEMS),
        field("volumes", &NON_EMPTY_ITEMS),
        field("credentials", &LOGIN),
    ],
);

/// The image of a container. If it is empty, no container is started.
static IMAGE: Schema = text("image");

static SERVICE: Schema = one_of("service", &[&IMAGE, &SERVICE_CONTAINER]);

static SERVICE_CONTAINER: Schema = mapping(
    "service",
    &[
        field("image", &IMAGE),
        field("options", &text("options")),
        field("env", &CONTAINER_ENV),
        field("ports", &NON_EMPTY_ITEMS),
        field("volumes", &NON_EMPTY_ITEMS),
        field("credentials", &LOGIN),
        field("entrypoint", &text("entrypoint")),
        field("command", &text("command")),
    ],
);

static CONTAINER_ENV: Schema = names("env", &text("value").with(&JOB_OUTPUT));

static LOGIN: Schema =
    mapping("credentials", &[field("username", &NON_EMPTY), field("password", &NON_EMPTY)]).with(&CREDENTIALS);
