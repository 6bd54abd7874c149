//! `action.yml`: the metadata of an action.

use super::availability::{ACTION_DEFAULT, ACTION_IF, ACTION_INPUTS, ACTION_OUTPUT, COMPOSITE, COMPOSITE_IF};
use super::branding::{COLORS, ICONS};
use super::{
    ANY, DESCRIPTION, FILLED, Fields, Rule, Shape, boolean, condition, field, filled, mapping, names, one_of, required,
    sequence, text, word,
};

/// An action manifest.
pub static ROOT: Rule = mapping(
    "action",
    &[
        // GitHub wants both in a published action; its runner does without (see `parse::check_published`).
        field("name", &FILLED),
        field("author", &text("author")),
        field("description", &DESCRIPTION),
        field("inputs", &names("inputs", &INPUT)),
        field("outputs", &names("outputs", &OUTPUT)),
        required("runs", &RUNS),
        field(
            "branding",
            &mapping("branding", &[field("icon", &word("icon", ICONS)), field("color", &word("color", COLORS))]),
        ),
    ],
);

/// Ways to run an action that GitHub's runners know.
pub const USING: &[&str] = &["docker", "node12", "node16", "node20", "node24", "composite"];

/// Those that are JavaScript.
const NODE: &[&str] = &["node12", "node16", "node20", "node24"];

static INPUT: Rule = Rule::new(
    "input",
    Shape::Mapping(Fields {
        known: &[
            field("description", &DESCRIPTION),
            field("required", &boolean("required")),
            field("default", &text("default").with(&ACTION_DEFAULT)),
            field("deprecationMessage", &text("deprecationMessage")),
        ],
        others: Some(&ANY),
        optional: false,
    }),
);

static OUTPUT: Rule =
    mapping("output", &[field("description", &DESCRIPTION), field("value", &text("value").with(&ACTION_OUTPUT))]);

static RUNS: Rule = one_of("runs", &[&DOCKER, &JAVASCRIPT, &COMPOSITE_RUNS]);

static WAY: Rule = word("using", USING);
static IF: Rule = condition("if").with(&ACTION_IF);

static DOCKER: Rule = mapping(
    "runs",
    &[
        required("using", &WAY),
        required("image", &FILLED),
        field("entrypoint", &FILLED),
        field("args", &sequence("args", &text("argument").with(&ACTION_INPUTS))),
        field("env", &names("env", &text("value")).with(&ACTION_INPUTS)),
        field("pre-entrypoint", &FILLED),
        field("pre-if", &IF),
        field("post-entrypoint", &FILLED),
        field("post-if", &IF),
    ],
)
.told_by("using", &["docker"]);

static JAVASCRIPT: Rule = mapping(
    "runs",
    &[
        required("using", &WAY),
        required("main", &FILLED),
        field("pre", &FILLED),
        field("pre-if", &IF),
        field("post", &FILLED),
        field("post-if", &IF),
    ],
)
.told_by("using", NODE);

static COMPOSITE_RUNS: Rule = mapping("runs", &[required("using", &WAY), required("steps", &sequence("steps", &STEP))])
    .told_by("using", &["composite"]);

static STEP: Rule = one_of("step", &[&RUN, &USES]);

static RUN: Rule = mapping(
    "step",
    &[
        field("name", &STEP_TEXT),
        field("id", &FILLED),
        field("if", &STEP_IF),
        required("run", &STEP_TEXT),
        required("shell", &STEP_TEXT),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
        field("working-directory", &STEP_TEXT),
    ],
);

static USES: Rule = mapping(
    "step",
    &[
        field("name", &STEP_TEXT),
        field("id", &FILLED),
        field("if", &STEP_IF),
        required("uses", &filled("uses")),
        field("with", &names("with", &text("input")).with(&COMPOSITE)),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
    ],
);

static STEP_TEXT: Rule = text("text").with(&COMPOSITE);
static STEP_IF: Rule = condition("if").with(&COMPOSITE_IF);
static ENV: Rule = names("env", &text("value")).with(&COMPOSITE);
static CONTINUE: Rule = boolean("continue-on-error").with(&COMPOSITE);
