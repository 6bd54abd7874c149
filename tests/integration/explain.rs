//! Explanations of conditions: in runs, and of expressions.

use serde_json::Value;

use crate::project::Project;

const CONDITIONS: &str = r#"
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - {id: one, run: 'echo key=s3cret-word >> $GITHUB_OUTPUT'}
      - {name: Publish, if: "steps.one.outputs.key == 'x' || github.ref == 'refs/tags/v1'", run: echo never}
      - {name: Always, if: always(), run: echo yes}
      - {name: Fails, run: exit 1}
      - {name: After, run: echo never}
  b:
    needs: a
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-latest
    steps: [{run: echo never}]
"#;

#[test]
fn a_run_explains_why_jobs_and_steps_were_skipped() {
    let project = Project::new(CONDITIONS);
    project.run(&["--secret", "S=s3cret-word"]);
    project.call(&["explain"]).expect(
        0,
        &[
            "– a › 3 Publish  skipped: `if: steps.one.outputs.key == 'x'",
            "├─ success()  = true\n",
            "├─ steps.one.outputs.key == 'x'  = false\n",
            "│  └─ steps.one.outputs.key  = '***'\n",
            "✓ a › 4 Always  success\n    always()  = true\n",
            "– a › 6 After  skipped: an earlier step failed\n",
            "– b  skipped: ",
            "└─ github.event_name == 'pull_request'  (not needed)\n",
        ],
    );
    let step = project.call(&["explain", "latest", "a", "Publish", "--json"]);
    let explained: Value = serde_json::from_str(&step.expect(0, &[]).out()).expect("JSON");
    assert_eq!(
        (explained["step"].clone(), explained["explanation"]["outcome"]["value"].clone()),
        (3.into(), "false".into())
    );
    assert_eq!(project.job("b")["explanation"]["operands"][0]["text"], "success()");
    assert!(!project.everything_written().windows(12).any(|text| text == b"s3cret-word'"), "secrets are masked");
    project.call(&["explain", "latest", "c"]).expect(3, &["has no job `c`; it has a, b"]);
    project.call(&["explain", "latest", "a", "9"]).expect(3, &["has no step `9`"]);
}

#[test]
fn an_expression_is_explained_with_the_contexts_of_a_run() {
    let project = Project::new(CONDITIONS);
    let expr = ["explain", "--expr", "github.event_name == 'push' && github.run_attempt"];
    project.call(&expr).expect(0, &["note: empty, because not given: github"]);
    project.run(&[]);
    let id = project.run_id();
    for said in [project.call(&expr), project.call(&["explain", &id, "--expr", "github.event_name"])] {
        said.expect(0, &["github.event_name  = 'push'", &format!("note: github, inputs and vars are those of {id}")]);
    }
    project.call(&["explain", "--expr", "github.token"]).expect(0, &["'***'"]);
    project.call(&["explain", "--expr", "secrets.X"]).expect(0, &["because not given: secrets"]);
    project.call(&["explain", "nosuch", "--expr", "github.ref"]).expect(3, &["nosuch"]);
    project.write("contexts.json", r#"{"github": {"ref": "refs/heads/dev"}}"#);
    let file = ["explain", "--expr", "github.event_name || github.ref", "--contexts", "contexts.json"];
    project.call(&file).expect(0, &["'refs/heads/dev'"]);
}

#[test]
fn an_expression_is_explained_with_contexts_from_a_file() {
    let project = Project::new("on: push\n");
    project.write("contexts.json", r#"{"github": {"ref": "refs/heads/dev"}, "mine": [1, 2]}"#);
    let said = project.call(&[
        "explain",
        "--expr",
        "${{ github.ref == 'x' || contains(mine, 2) }}",
        "--contexts",
        "contexts.json",
    ]);
    said.expect(
        0,
        &["  = true\n├─ github.ref == 'x'  = false\n│  └─ github.ref  = 'refs/heads/dev'\n", "mine  = [1,2]"],
    );
    project.call(&["explain", "--expr", "success() && inputs.x", "--json"]).expect(0, &["\"value\":null"]);
    project.call(&["explain", "--expr", "1 +"]).expect(1, &["Unexpected symbol"]);
    project.call(&["explain", "--expr", "nosuch.x"]).expect(1, &["nosuch"]);
    project.call(&["explain", "--expr", "fromJSON('{')"]).expect(1, &["failed: "]);
}
