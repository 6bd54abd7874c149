//! `steps`: scripts, actions, and control of background steps.

use super::availability::{STEP, STEP_IF};
use super::{
    NON_EMPTY, Schema, boolean, condition, field, list, mapping, names, non_empty, number, one_of, required, sequence,
    text,
};

/// `steps` of a job.
pub static STEPS: Schema = sequence("steps", &ITEM);

static ITEM: Schema = one_of("step", &[&RUN, &USES, &WAIT, &WAIT_ALL, &CANCEL, &PARALLEL]);

static RUN: Schema = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &NON_EMPTY),
        field("if", &IF),
        required("run", &text("run").with(&STEP)),
        field("shell", &non_empty("shell")),
        field("working-directory", &text("working-directory").with(&STEP)),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
        field("timeout-minutes", &TIMEOUT),
        field("background", &BACKGROUND),
    ],
);

static USES: Schema = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &NON_EMPTY),
        field("if", &IF),
        required("uses", &non_empty("uses")),
        field("with", &names("with", &text("input")).with(&STEP)),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
        field("timeout-minutes", &TIMEOUT),
        field("background", &BACKGROUND),
    ],
);

static WAIT: Schema = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &NON_EMPTY),
        field("continue-on-error", &CONTINUE),
        required("wait", &list("wait")),
    ],
);

static WAIT_ALL: Schema = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &NON_EMPTY),
        field("continue-on-error", &CONTINUE),
        required("wait-all", &one_of("wait-all", &[&super::workflow::NOTHING, &boolean("wait-all")])),
    ],
);

static CANCEL: Schema = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &NON_EMPTY),
        field("continue-on-error", &CONTINUE),
        required("cancel", &non_empty("cancel")),
    ],
);

static PARALLEL: Schema = mapping("step", &[required("parallel", &STEPS)]);

static NAME: Schema = text("name").with(&STEP);
static IF: Schema = condition("if").with(&STEP_IF);
static ENV: Schema = names("env", &text("value")).with(&STEP);
static CONTINUE: Schema = boolean("continue-on-error").with(&STEP);
static TIMEOUT: Schema = number("timeout-minutes").with(&STEP);
static BACKGROUND: Schema = boolean("background");
