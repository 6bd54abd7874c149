//! `on`: all events with their activity types and filters, from GitHub's page on events that trigger workflows.

use super::availability::{CALL_OUTPUT, WORKFLOW};
use super::workflow::NOTHING;
use super::{
    DESCRIPTION, FLAG, Field, NON_EMPTY, Schema, Shape, field, list, mapping, names, non_empty, one_of,
    optional_mapping, required, scalar, sequence, text, word,
};

/// `on`: an event, a sequence of events, or a mapping of events.
pub static ON: Schema = one_of("on", &[&EVENT_NAMES, &mapping("on", EVENTS)]);

static EVENT_NAMES: Schema = Schema::new("event", Shape::Word { allowed: &NAMES, many: true });

/// Names of all events.
pub static NAMES: [&str; EVENTS.len()] = {
    let mut names = [""; EVENTS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = EVENTS[at].name;
        at += 1;
    }
    names
};

/// An event without keys, or with optional keys.
macro_rules! event {
    ($name:literal) => {
        field($name, &NOTHING)
    };
    ($name:literal { $($key:literal: $schema:expr),+ $(,)? }) => {
        field($name, &optional_mapping($name, &[$(field($key, &$schema)),+]))
    };
}

/// All events, sorted by name.
pub static EVENTS: &[Field] = &[
    event!("branch_protection_rule" { "types": types(CHANGES) }),
    event!("check_run" { "types": types(&["completed", "created", "rerequested", "requested_action"]) }),
    event!("check_suite" { "types": types(&["completed"]) }),
    event!("create"),
    event!("delete"),
    event!("deployment"),
    event!("deployment_status"),
    event!("discussion" { "types": types(DISCUSSION) }),
    event!("discussion_comment" { "types": types(CHANGES) }),
    event!("fork"),
    event!("gollum"),
    event!("image_version" {
        "types": types(&["created", "ready", "deleted"]),
        "names": PATTERNS,
        "versions": PATTERNS,
    }),
    event!("issue_comment" { "types": types(CHANGES) }),
    event!("issues" { "types": types(ISSUES) }),
    event!("label" { "types": types(CHANGES) }),
    event!("merge_group" {
        "types": types(&["checks_requested"]),
        "branches": PATTERNS,
        "branches-ignore": PATTERNS,
    }),
    event!("milestone" { "types": types(&["created", "closed", "opened", "edited", "deleted"]) }),
    event!("page_build"),
    event!("project" { "types": types(&["created", "closed", "reopened", "edited", "deleted"]) }),
    event!("project_card" { "types": types(&["created", "moved", "converted", "edited", "deleted"]) }),
    event!("project_column" { "types": types(&["created", "updated", "moved", "deleted"]) }),
    event!("public"),
    event!("pull_request" {
        "types": types(PULL_REQUEST),
        "branches": PATTERNS,
        "branches-ignore": PATTERNS,
        "paths": PATTERNS,
        "paths-ignore": PATTERNS,
    }),
    event!("pull_request_comment" { "types": types(CHANGES) }),
    event!("pull_request_review" { "types": types(&["submitted", "edited", "dismissed"]) }),
    event!("pull_request_review_comment" { "types": types(CHANGES) }),
    event!("pull_request_target" {
        "types": types(PULL_REQUEST),
        "branches": PATTERNS,
        "branches-ignore": PATTERNS,
        "paths": PATTERNS,
        "paths-ignore": PATTERNS,
    }),
    event!("push" {
        "branches": PATTERNS,
        "branches-ignore": PATTERNS,
        "tags": PATTERNS,
        "tags-ignore": PATTERNS,
        "paths": PATTERNS,
        "paths-ignore": PATTERNS,
    }),
    event!("registry_package" { "types": types(&["published", "updated"]) }),
    event!("release" {
        "types": types(&["published", "unpublished", "created", "edited", "deleted", "prereleased", "released"]),
    }),
    event!("repository_dispatch" { "types": sequence("types", &NON_EMPTY) }),
    field("schedule", &sequence("schedule", &SCHEDULE)),
    event!("status"),
    event!("watch" { "types": types(&["started"]) }),
    event!("workflow_call" {
        "inputs": names("inputs", &CALL_INPUT),
        "outputs": names("outputs", &CALL_RESULT),
        "secrets": names("secrets", &CALL_SECRET),
    }),
    event!("workflow_dispatch" { "inputs": names("inputs", &DISPATCH_INPUT) }),
    event!("workflow_run" {
        "types": types(&["requested", "completed", "in_progress"]),
        "workflows": PATTERNS,
        "branches": PATTERNS,
        "branches-ignore": PATTERNS,
    }),
];

const CHANGES: &[&str] = &["created", "edited", "deleted"];

const DISCUSSION: &[&str] = &[
    "created",
    "edited",
    "deleted",
    "transferred",
    "pinned",
    "unpinned",
    "labeled",
    "unlabeled",
    "locked",
    "unlocked",
    "category_changed",
    "answered",
    "unanswered",
];

const ISSUES: &[&str] = &[
    "opened",
    "edited",
    "deleted",
    "transferred",
    "pinned",
    "unpinned",
    "closed",
    "reopened",
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "locked",
    "unlocked",
    "milestoned",
    "demilestoned",
    "field_added",
    "field_removed",
    "typed",
    "untyped",
];

const PULL_REQUEST: &[&str] = &[
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "converted_to_draft",
    "locked",
    "unlocked",
    "enqueued",
    "dequeued",
    "milestoned",
    "demilestoned",
    "ready_for_review",
    "review_requested",
    "review_request_removed",
    "auto_merge_enabled",
    "auto_merge_disabled",
    "stacked",
];

const fn types(allowed: &'static [&'static str]) -> Schema {
    Schema::new("types", Shape::Word { allowed, many: true })
}

const PATTERNS: Schema = list("filter");

static SCHEDULE: Schema =
    mapping("schedule", &[required("cron", &non_empty("cron")), field("timezone", &non_empty("timezone"))]);

static CALL_INPUT: Schema = mapping(
    "input",
    &[
        field("description", &DESCRIPTION),
        required("type", &word("type", &["string", "boolean", "number"])),
        field("required", &FLAG),
        field("default", &scalar("default").with(&WORKFLOW)),
    ],
);

static CALL_RESULT: Schema =
    mapping("output", &[field("description", &DESCRIPTION), required("value", &text("value").with(&CALL_OUTPUT))]);

static CALL_SECRET: Schema =
    optional_mapping("secret", &[field("description", &DESCRIPTION), field("required", &FLAG)]);

static DISPATCH_INPUT: Schema = mapping(
    "input",
    &[
        field("description", &DESCRIPTION),
        field("type", &word("type", &["string", "boolean", "number", "choice", "environment"])),
        field("required", &FLAG),
        field("default", &scalar("default")),
        field("options", &sequence("options", &text("option"))),
    ],
);
