//! `jobs.<id>`: a job of its own steps, or one that calls a workflow.

use super::availability::{
    CREDENTIALS, ENVIRONMENT_URL, JOB as JOB_WORDS, JOB_DEFAULTS, JOB_IF, JOB_OUTPUT, JOB_SECRETS, STRATEGY,
};
use super::step::STEPS;
use super::workflow::{CONCURRENCY, ENV_VALUE, NEEDS, PERMISSIONS, RUN_DEFAULTS};
use super::{
    ANY, FILLED, FILLED_ITEMS, Fields, Rule, Shape, boolean, condition, field, filled, list, mapping, names, number,
    one_of, required, scalar, sequence, text, word,
};

/// A job.
pub static JOB: Rule = one_of("job", &[&STEPS_JOB, &CALL_JOB]);

static STEPS_JOB: Rule = mapping(
    "job",
    &[
        field("name", &NAME),
        field("needs", &NEEDS),
        field("if", &IF),
        field("strategy", &STRATEGY_RULE),
        required("runs-on", &RUNS_ON),
        field("timeout-minutes", &number("timeout-minutes").with(&JOB_WORDS)),
        field("cancel-timeout-minutes", &number("cancel-timeout-minutes").with(&JOB_WORDS)),
        field("continue-on-error", &boolean("continue-on-error").with(&JOB_WORDS)),
        field("container", &one_of("container", &[&text("image"), &CONTAINER]).with(&JOB_WORDS)),
        field("services", &names("services", &SERVICE).with(&JOB_WORDS).spelled_out()),
        field("env", &names("env", &ENV_VALUE).with(&JOB_SECRETS).spelled_out()),
        field("environment", &one_of("environment", &[&text("environment"), &ENVIRONMENT]).with(&JOB_WORDS)),
        field("permissions", &PERMISSIONS),
        field("concurrency", &JOB_CONCURRENCY),
        field("outputs", &names("outputs", &text("output").with(&JOB_OUTPUT)).spelled_out()),
        field("defaults", &mapping("defaults", &[field("run", &JOB_RUN_DEFAULTS)])),
        field("steps", &STEPS),
        field("snapshot", &one_of("snapshot", &[&FILLED, &SNAPSHOT])),
    ],
);

static CALL_JOB: Rule = mapping(
    "job",
    &[
        field("name", &NAME),
        required("uses", &filled("uses")),
        field("with", &names("with", &scalar("input").with(&JOB_WORDS)).spelled_out()),
        field("secrets", &one_of("secrets", &[&CALL_SECRETS, &word("secrets", &["inherit"])])),
        field("needs", &NEEDS),
        field("if", &IF),
        field("permissions", &PERMISSIONS),
        field("concurrency", &JOB_CONCURRENCY),
        field("strategy", &STRATEGY_RULE),
    ],
);

static CALL_SECRETS: Rule = names("secrets", &scalar("secret").with(&JOB_SECRETS)).spelled_out();

static NAME: Rule = text("name").with(&JOB_WORDS);

static IF: Rule = condition("if").with(&JOB_IF);

static JOB_CONCURRENCY: Rule = one_of("concurrency", &[&filled("group"), &CONCURRENCY]).with(&JOB_WORDS);

static JOB_RUN_DEFAULTS: Rule = mapping("defaults.run", RUN_DEFAULTS).with(&JOB_DEFAULTS);

static STRATEGY_RULE: Rule = mapping(
    "strategy",
    &[
        field("fail-fast", &boolean("fail-fast")),
        field("max-parallel", &number("max-parallel")),
        field("matrix", &MATRIX),
    ],
)
.with(&STRATEGY);

static MATRIX: Rule = Rule::new(
    "matrix",
    Shape::Mapping(Fields {
        known: &[field("include", &FILTER), field("exclude", &FILTER)],
        others: Some(&sequence("matrix values", &ANY)),
        optional: false,
    }),
);

static FILTER: Rule = sequence("combinations", &names("combination", &ANY));

static RUNS_ON: Rule = one_of(
    "runs-on",
    &[&list("label"), &mapping("runs-on", &[field("group", &FILLED), field("labels", &list("labels"))])],
)
.with(&JOB_WORDS);

static ENVIRONMENT: Rule = mapping(
    "environment",
    &[
        required("name", &text("name")),
        field("url", &text("url").with(&ENVIRONMENT_URL)),
        field("deployment", &boolean("deployment")),
    ],
);

static SNAPSHOT: Rule = mapping(
    "snapshot",
    &[required("image-name", &FILLED), field("if", &condition("if").with(&JOB_WORDS)), field("version", &FILLED)],
);

static CONTAINER: Rule = mapping(
    "container",
    &[
        field("image", &FILLED),
        field("options", &text("options")),
        field("env", &CONTAINER_ENV),
        field("ports", &FILLED_ITEMS),
        field("volumes", &FILLED_ITEMS),
        field("credentials", &LOGIN),
    ],
);

static SERVICE: Rule = one_of("service", &[&FILLED, &SERVICE_CONTAINER]);

static SERVICE_CONTAINER: Rule = mapping(
    "service",
    &[
        field("image", &FILLED),
        field("options", &text("options")),
        field("env", &CONTAINER_ENV),
        field("ports", &FILLED_ITEMS),
        field("volumes", &FILLED_ITEMS),
        field("credentials", &LOGIN),
        field("entrypoint", &text("entrypoint")),
        field("command", &text("command")),
    ],
);

static CONTAINER_ENV: Rule = names("env", &text("value").with(&JOB_OUTPUT));

static LOGIN: Rule =
    mapping("credentials", &[field("username", &FILLED), field("password", &FILLED)]).with(&CREDENTIALS);
