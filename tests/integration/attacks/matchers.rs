//! Problem matchers that are slow. Neither the time limit of a step nor a cancellation may wait for them.

use serde_json::json;

use super::bounded;
use crate::project::{Project, until};

/// Creates a project with a step that registers 90 slow matchers, and prints long lines without end.
fn slow(limit: &str) -> Project {
    // The pattern stays within the limit on backtracking: each line takes long, but no matcher is removed.
    let pattern = json!({ "regexp": "^(a|b|ab)*(?!x)(c|d|cd)*y$", "message": 0 });
    let matchers: Vec<_> = (0..90).map(|owner| json!({ "owner": owner.to_string(), "pattern": [pattern] })).collect();
    let project = Project::of_jobs(&format!(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          echo ::add-matcher::m.json
          line=$(head -c 16000 /dev/zero | tr '\0' a)
          touch "$DOOR"
          while echo "$line"; do :; done
        env: {{DOOR: DOOR}}
{limit}"#
    ));
    project.write("m.json", &json!({ "problemMatcher": matchers }).to_string());
    let workflow = std::fs::read_to_string(project.root().join(".github/workflows/ci.yml")).expect("there");
    let door = project.home().join("door").display().to_string();
    project.write(".github/workflows/ci.yml", &workflow.replace("DOOR: DOOR", &format!("DOOR: '{door}'")));
    project.commit();
    project
}

#[test]
fn slow_matchers_do_not_hold_a_step_past_its_time_limit() {
    let project = slow("        timeout-minutes: 0.05\n");
    bounded(&project, &["run", "--trust"]).expect(1, &["timed out after 0.05 minutes"]);
}

#[test]
fn slow_matchers_do_not_hold_a_run_that_is_cancelled() {
    for cancel in [&["cancel", "latest"][..], &["cancel", "latest", "--force"]] {
        let project = slow("");
        project.run(&["--detach"]).expect(0, &[]);
        until("the step prints", || project.home().join("door").exists().then_some(()));
        bounded(&project, cancel).expect(0, &[]);
        until("the run has ended", || (project.show()["status"] == "cancelled").then_some(()));
    }
}

#[test]
fn patterns_without_end_are_refused_and_fail_the_step() {
    let project = Project::of_jobs(
        "\n  a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}, {run: 'echo ::add-matcher::m.json'}]}",
    );
    let matcher = |owner: usize, regexp: &str| json!({ "owner": owner.to_string(), "pattern": [{ "regexp": regexp, "message": 0 }] });
    for (matchers, why) in [
        ((0..5000).map(|owner| matcher(owner, "x")).collect::<Vec<_>>(), "at most 100 problem matchers"),
        (vec![matcher(0, r"((\w{200}){200}){200}")], "error building"),
        (vec![matcher(0, &"(".repeat(100_000))], "(((("),
    ] {
        project.write("m.json", &json!({ "problemMatcher": matchers }).to_string());
        bounded(&project, &["run", "--trust"]).expect(1, &[why]);
    }
}
