//! Runs generated workflows on this machine. Their scripts only succeed, fail and print.
//!
//! For every workflow, the run ends and its journal can be read. No job runs if one of its needs failed, and no step
//! without a condition runs after a failed step.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use cuelight::model::{Conclusion, JobId, Run, StepKind};
use cuelight::store::folder::RunsDir;
use cuelight::store::history;
use cuelight::workflow::parse;
use cuelight::workflow::source::Source;
use cuelight::workflow::syntax::{Condition, JobBody, StepAction, Workflow};

use super::drive::{Dice, Target};

/// Functions with which a job or step runs although another one failed.
const STATUS_FUNCTIONS: [&str; 3] = ["always()", "failure()", "cancelled()"];

const CONDITIONS: [&str; 12] = [
    "",
    "",
    "",
    "",
    "always()",
    "failure()",
    "success()",
    "cancelled()",
    "!cancelled()",
    "false",
    "github.event_name == 'push'",
    "success() || failure()",
];

const SCRIPTS: [&str; 10] = [
    "true",
    "true",
    "true",
    "false",
    "exit 3",
    "echo text; echo '::warning::careful'",
    "echo o=1 >> $GITHUB_OUTPUT",
    "echo 'o=[1, 2]' >> $GITHUB_OUTPUT; false",
    "echo E=1 >> $GITHUB_ENV; echo '::group::g'",
    "echo broken >> $GITHUB_ENV",
];

const MATRICES: [&str; 5] = [
    "{v: [1, 2, 3]}",
    "{v: [1, 2], w: [a, b], exclude: [{v: 1, w: a}]}",
    "{v: [1], include: [{v: 2, x: y}]}",
    "\"${{ fromJSON('{\\\"v\\\": [1, 2]}') }}\"",
    "{v: \"${{ fromJSON(needs.j0.outputs.o || '[1, 2]') }}\"}",
];

#[test]
fn runs() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path().join("repository");
    fs::create_dir_all(root.join(".github/workflows")).expect("made");
    for args in [
        &["init", "-q"][..],
        &["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ] {
        let done = Command::new("git").arg("-C").arg(&root).args(args).status().expect("git starts");
        assert!(done.success());
    }
    Target::generated("runs", workflow).run(|text| check(&root, &place.path().join("state"), text));
}

fn check(root: &Path, state: &Path, text: &str) {
    fs::write(root.join(".github/workflows/ci.yml"), text).expect("written");
    let _ = fs::remove_dir_all(state);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cuelight"));
    command.args(["run", "ci", "--trust", "--json"]).current_dir(root).env("CUELIGHT_STATE_DIR", state);
    let output = command.stdin(Stdio::null()).output().expect("starts");
    let code = output.status.code().expect("no signal ends it");
    let dir = RunsDir::at(state);
    let ids = dir.list().unwrap_or_default();
    let parsed = parse(&Source::new("ci.yml", text)).value;
    let Some(id) = ids.first() else {
        // A plan may be invalid, such as one with an empty matrix.
        assert_eq!(code, 2, "{}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let workflow = parsed.expect("a workflow that runs is valid");
    let run = history::read(&dir.folder(id.clone())).expect("the journal can be read");
    let conclusion = run.phase.conclusion().expect("the run has ended");
    let fine = matches!(conclusion, Conclusion::Success | Conclusion::Skipped);
    assert_eq!(code == 0, fine, "exit code {code}, {conclusion:?}");
    for job in run.jobs.values() {
        let end = job.phase.conclusion().unwrap_or_else(|| panic!("{} has not ended", job.id));
        let fails = end == Conclusion::Failure && !job.allowed_failure;
        assert!(!(fails && conclusion == Conclusion::Success), "{} failed, but not the run", job.id);
        assert!(job.steps.iter().all(|step| step.phase.conclusion().is_some()), "a step of {} has not ended", job.id);
    }
    needs_are_respected(&run, &workflow);
    conditions_are_respected(&run, &workflow);
}

fn is_plain(condition: &Condition) -> bool {
    let written = condition.written.as_ref().map(|written| written.value.as_str()).unwrap_or_default();
    !STATUS_FUNCTIONS.iter().any(|function| written.contains(function))
}

fn needs_are_respected(run: &Run, workflow: &Workflow) {
    for job in run.jobs.values().filter(|job| job.started.is_some()) {
        let definition = workflow.jobs.iter().find(|known| known.id.value == job.key).expect("a job of the file");
        if !is_plain(&definition.condition) {
            continue;
        }
        let mut seen: HashSet<&JobId> = HashSet::new();
        let mut ahead: Vec<&JobId> = job.needs.iter().collect();
        while let Some(need) = ahead.pop().filter(|need| seen.insert(need)) {
            let need = &run.jobs[need];
            let fine = need.phase.conclusion() == Some(Conclusion::Success) || need.allowed_failure;
            assert!(fine, "{} ran, but {} ended as {:?}", job.id, need.id, need.phase);
            ahead.extend(&need.needs);
        }
    }
}

fn conditions_are_respected(run: &Run, workflow: &Workflow) {
    for job in run.jobs.values() {
        let definition = workflow.jobs.iter().find(|known| known.id.value == job.key).expect("a job of the file");
        let JobBody::Steps(body) = &definition.body else { continue };
        let is_sequence =
            body.steps.iter().all(|step| matches!(step.action, StepAction::Run { .. }) && !step.background);
        let main = job.steps.iter().filter(|step| step.kind == StepKind::Main);
        let mut failed = false;
        for (step, written) in main.zip(&body.steps).filter(|_| is_sequence) {
            let ran = step.phase.conclusion() != Some(Conclusion::Skipped);
            assert!(!(failed && ran && is_plain(&written.condition)), "step {} of {} ran", step.number, job.id);
            failed |= step.phase.conclusion() == Some(Conclusion::Failure);
        }
    }
}

/// Returns one of some texts.
fn one<'t>(dice: &mut Dice, texts: &[&'t str]) -> &'t str {
    texts[dice.roll(texts.len())]
}

fn workflow(dice: &mut Dice) -> String {
    let mut text = String::from("on: push\n");
    if dice.roll(4) == 0 {
        text.push_str(one(dice, &["concurrency: g\n", "concurrency: {group: g, cancel-in-progress: true}\n"]));
    }
    text.push_str("jobs:\n");
    for number in 0..=dice.roll(6) {
        job(dice, number, &mut text);
    }
    text
}

fn job(dice: &mut Dice, number: usize, text: &mut String) {
    let needs: Vec<String> = (0..number).filter(|_| dice.roll(3) == 0).map(|need| format!("j{need}")).collect();
    let matrix = one(dice, &MATRICES);
    let needs_first = matrix.contains("needs.j0");
    let mut line = |written: std::fmt::Arguments<'_>| {
        text.write_fmt(written).expect("memory");
        text.push('\n');
    };
    line(format_args!("  j{number}:\n    runs-on: ubuntu-latest"));
    if !needs.is_empty() {
        line(format_args!("    needs: [{}]", needs.join(", ")));
    }
    let condition = one(dice, &CONDITIONS);
    if !condition.is_empty() {
        line(format_args!("    if: \"{condition}\""));
    }
    if dice.roll(4) == 0 && (!needs_first || needs.iter().any(|need| need == "j0")) {
        let fail_fast = one(dice, &["true", "false", "true, max-parallel: 1"]);
        line(format_args!("    strategy: {{matrix: {matrix}, fail-fast: {fail_fast}}}"));
    }
    if dice.roll(5) == 0 {
        line(format_args!("    continue-on-error: true"));
    }
    if dice.roll(6) == 0 {
        line(format_args!("    concurrency: c"));
    }
    line(format_args!("    outputs: {{o: \"${{{{ steps.s0.outputs.o }}}}\"}}\n    steps:"));
    for step in 0..=dice.roll(4) {
        line(format_args!("      - id: s{step}\n        run: \"{}\"", one(dice, &SCRIPTS)));
        let condition = one(dice, &CONDITIONS);
        if !condition.is_empty() {
            line(format_args!("        if: \"{condition}\""));
        }
        if dice.roll(6) == 0 {
            line(format_args!("        continue-on-error: true"));
        }
        if dice.roll(8) == 0 {
            line(format_args!("        background: true"));
        }
    }
    if dice.roll(6) == 0 {
        line(format_args!("      - wait-all:"));
    }
}
