//! `action.yml`: the manifest of an action.
//!
//! There are two tables: [`ROOT`] is what GitHub's editor and parser accept, and [`RUNNER`] what actions/runner accepts
//! (`action_yaml.json`), which includes many manifests that the editor marks as wrong.

use super::availability::{ACTION_DEFAULT, ACTION_IF, ACTION_INPUTS, ACTION_OUTPUT, COMPOSITE, COMPOSITE_IF};
use super::branding::{COLORS, ICONS};
use super::{
    ANY, DESCRIPTION, Fields, NON_EMPTY, Schema, Shape, boolean, condition, field, mapping, names, non_empty, one_of,
    required, sequence, text, word,
};

/// An action manifest.
pub static ROOT: Schema = mapping(
    "action",
    &[
        // `name` and `description` are required only in a published action (see `manifest::check_published`).
        field("name", &NON_EMPTY),
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

/// Values of `using` that GitHub's runner supports.
pub const USING: &[&str] = &["docker", "node12", "node16", "node20", "node24", "composite"];

/// Values of `using` for JavaScript actions.
const NODE: &[&str] = &["node12", "node16", "node20", "node24"];

/// An action manifest as actions/runner reads it.
pub static RUNNER: Schema = Schema::new(
    "action",
    Shape::Mapping(Fields {
        known: &[
            field("name", &text("name")),
            field("description", &DESCRIPTION),
            field("inputs", &names("inputs", &RUNNER_INPUT)),
            field("outputs", &names("outputs", &OUTPUT)),
            required("runs", &RUNNER_RUNS),
        ],
        others: Some(&ANY),
        optional: false,
    }),
);

static RUNNER_INPUT: Schema = Schema::new(
    "input",
    Shape::Mapping(Fields {
        known: &[
            field("default", &text("default").with(&ACTION_DEFAULT)),
            field("deprecationMessage", &text("deprecationMessage")),
        ],
        others: Some(&ANY),
        optional: false,
    }),
);

/// The runner selects one of these by its keys, and looks at `using` only afterwards.
static RUNNER_RUNS: Schema = one_of("runs", &[&RUNNER_DOCKER, &RUNNER_JAVASCRIPT, &RUNNER_COMPOSITE]);

static RUNNER_DOCKER: Schema = mapping(
    "runs",
    &[
        field("using", &NON_EMPTY),
        field("image", &NON_EMPTY),
        field("entrypoint", &NON_EMPTY),
        field("args", &ARGS),
        field("env", &DOCKER_ENV),
        field("pre-entrypoint", &NON_EMPTY),
        field("pre-if", &IF),
        field("post-entrypoint", &NON_EMPTY),
        field("post-if", &IF),
    ],
);

static RUNNER_JAVASCRIPT: Schema = mapping(
    "runs",
    &[
        field("using", &NON_EMPTY),
        field("main", &NON_EMPTY),
        field("pre", &NON_EMPTY),
        field("pre-if", &IF),
        field("post", &NON_EMPTY),
        field("post-if", &IF),
    ],
);

static RUNNER_COMPOSITE: Schema = mapping("runs", &[field("using", &NON_EMPTY), field("steps", &COMPOSITE_STEPS)]);

static INPUT: Schema = Schema::new(
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

static OUTPUT: Schema =
    mapping("output", &[field("description", &DESCRIPTION), field("value", &text("value").with(&ACTION_OUTPUT))]);

static RUNS: Schema = one_of("runs", &[&DOCKER, &JAVASCRIPT, &COMPOSITE_RUNS]);

static USING_KEY: Schema = word("using", USING);
static IF: Schema = condition("if").with(&ACTION_IF);

static DOCKER: Schema = mapping(
    "runs",
    &[
        required("using", &USING_KEY),
        required("image", &NON_EMPTY),
        field("entrypoint", &NON_EMPTY),
        field("args", &ARGS),
        field("env", &DOCKER_ENV),
        field("pre-entrypoint", &NON_EMPTY),
        field("pre-if", &IF),
        field("post-entrypoint", &NON_EMPTY),
        field("post-if", &IF),
    ],
)
.selected_by("using", &["docker"]);

static JAVASCRIPT: Schema = mapping(
    "runs",
    &[
        required("using", &USING_KEY),
        required("main", &NON_EMPTY),
        field("pre", &NON_EMPTY),
        field("pre-if", &IF),
        field("post", &NON_EMPTY),
        field("post-if", &IF),
    ],
)
.selected_by("using", NODE);

static COMPOSITE_RUNS: Schema = mapping("runs", &[required("using", &USING_KEY), required("steps", &COMPOSITE_STEPS)])
    .selected_by("using", &["composite"]);

static ARGS: Schema = sequence("args", &text("argument").with(&ACTION_INPUTS));
static DOCKER_ENV: Schema = names("env", &text("value")).with(&ACTION_INPUTS);

static COMPOSITE_STEPS: Schema = sequence("steps", &STEP);

static STEP: Schema = one_of("step", &[&RUN, &USES]);

static RUN: Schema = mapping(
    "step",
    &[
        field("name", &STEP_TEXT),
        field("id", &NON_EMPTY),
        field("if", &STEP_IF),
        required("run", &STEP_TEXT),
        required("shell", &STEP_TEXT),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
        field("working-directory", &STEP_TEXT),
    ],
);

static USES: Schema = mapping(
    "step",
    &[
        field("name", &STEP_TEXT),
        field("id", &NON_EMPTY),
        field("if", &STEP_IF),
        required("uses", &non_empty("uses")),
        field("with", &names("with", &text("input")).with(&COMPOSITE)),
        field("env", &ENV),
        field("continue-on-error", &CONTINUE),
    ],
);

static STEP_TEXT: Schema = text("text").with(&COMPOSITE);
static STEP_IF: Schema = condition("if").with(&COMPOSITE_IF);
static ENV: Schema = names("env", &text("value")).with(&COMPOSITE);
static CONTINUE: Schema = boolean("continue-on-error").with(&COMPOSITE);
