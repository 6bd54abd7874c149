//! `steps`: scripts, actions, and the steps that steer background steps.

use super::availability::{STEP, STEP_IF};
use super::{
    FILLED, Rule, boolean, condition, field, filled, list, mapping, names, number, one_of, required, sequence, text,
};

/// `steps` of a job.
pub static STEPS: Rule = sequence("steps", &ITEM);

static ITEM: Rule = one_of("step", &[&RUN, &USES, &WAIT, &WAIT_ALL, &CANCEL, &PARALLEL]);

static RUN: Rule = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &FILLED),
        field("if", &IF),
        required("run", &text("run").with(&STEP)),
        field("shell", &filled("shell")),
        field("working-directory", &text("working-directory").with(&STEP)),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
        field("timeout-minutes", &TIMEOUT),
        field("background", &BACKGROUND),
    ],
);

static USES: Rule = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &FILLED),
        field("if", &IF),
        required("uses", &filled("uses")),
        field("with", &names("with", &text("input")).with(&STEP)),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
        field("timeout-minutes", &TIMEOUT),
        field("background", &BACKGROUND),
    ],
);

static WAIT: Rule = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &FILLED),
        field("continue-on-error", &CONTINUE),
        required("wait", &list("wait")),
    ],
);

static WAIT_ALL: Rule = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &FILLED),
        field("continue-on-error", &CONTINUE),
        required("wait-all", &one_of("wait-all", &[&super::workflow::NOTHING, &boolean("wait-all")])),
    ],
);

static CANCEL: Rule = mapping(
    "step",
    &[
        field("name", &NAME),
        field("id", &FILLED),
        field("continue-on-error", &CONTINUE),
        required("cancel", &filled("cancel")),
    ],
);

static PARALLEL: Rule = mapping("step", &[required("parallel", &STEPS)]);

static NAME: Rule = text("name").with(&STEP);
static IF: Rule = condition("if").with(&STEP_IF);
static ENV: Rule = names("env", &text("value")).with(&STEP).spelled_out();
static CONTINUE: Rule = boolean("continue-on-error").with(&STEP);
static TIMEOUT: Rule = number("timeout-minutes").with(&STEP);
static BACKGROUND: Rule = boolean("background");
