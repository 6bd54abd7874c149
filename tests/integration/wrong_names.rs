//! Names and options that a person mistypes, or gives where something else is needed, and folders that lack something:
//! each message says what is missing, and the command that leads on.

use std::fs;

use crate::project::Project;

const TWO: &str = "on: push\njobs:\n  build: {name: Build it, runs-on: ubuntu-latest, \
                   steps: [{name: Run tests, run: echo tested}]}\n  lint: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n";

#[test]
fn a_mistyped_command_option_job_or_step_gets_a_suggestion() {
    let project = Project::new(TWO);
    project.run(&[]).expect(0, &[]);
    project.call(&["shwo", "latest"]).expect(2, &["there is no command `shwo`; did you mean `cuelight show`?"]);
    project.call(&["shwo", "--json"]).expect(2, &["did you mean `cuelight show`?"]);
    project.call(&["status", "--all"]).expect(2, &["did you mean `cuelight runs`?"]);
    project.call(&["help"]).expect(0, &["Usage: ", "\nDeployments:\n  env "]);
    project.call(&["help", "lint"]).expect(0, &["Check workflow files"]);
    project.call(&["help", "lnit"]).expect(2, &["did you mean `cuelight help lint`?"]);
    project.call(&["runs", "-o", "json"]).expect(2, &["unknown option `-o`; did you mean `--json`?"]);
    project.call(&["--linear", "runs", "--jsn"]).expect(2, &["unknown option `--jsn`; did you mean `--json`?"]);
    project.call(&["cancel", "-a"]).expect(2, &["unknown option `-a`: name the runs"]);
    project.call(&["logs", "--follow"]).expect(0, &["tested"]);
    project.call(&["logs", "-f", "--job", "build"]).expect(2, &["--follow prints the logs of all jobs"]);
    project.call(&["runs", "--event", "pusj"]).expect(0, &["No run matches; did you mean `push`?"]);
    project.call(&["runs", "--workflow", "cj"]).expect(0, &["No run matches; did you mean `ci`?"]);
    project.call(&["runs", "--all", "--workflow", "cj"]).expect(0, &["No run matches."]);
    project.call(&["runs", "--status", "sucess"]).expect(2, &["did you mean `success`?"]);
    let unknown = project.call(&["latest", "--jsn"]);
    unknown.expect(2, &["--jsn"]);
    assert!(!unknown.text().contains("command `latest`"), "{}", unknown.text());
    project.call(&["xyzzy", "latest"]).expect(2, &["no command `xyzzy`", "`cuelight --help`"]);
    for call in [&["run", "--jb", "lint"][..], &["logs", "--jb", "lint"], &["rerun", "--jb", "lint"]] {
        project.call(call).expect(2, &["--job"]);
    }
    for job in ["LINT", "build it", "Build It", "BUILD"] {
        project.call(&["logs", "--job", job]).expect(0, &[]);
    }
    assert_eq!(project.call(&["logs", "--step", "run TESTS"]).out(), "tested\n");
    for step in [&["logs", "--job", "build/Run tests"][..], &["logs", "-j", "Build it/2", "-s", "run tests"]] {
        assert_eq!(project.call(step).out(), "tested\n", "{step:?}");
    }
    for call in
        [&["explain", "--job", "lint"][..], &["explain", "-j", "build/Run tests"], &["explain", "latest", "lint"]]
    {
        project.call(call).expect(0, &[]);
    }
    project.call(&["explain", "--job", "lint/9"]).expect(3, &["no step `9`"]);
    for (rule, meant) in [("job-neds", "job-needs"), ("nedes", "job-needs"), ("pins", "action-pin")] {
        project.call(&["lint", "--explain", rule]).expect(3, &[&format!("did you mean `{meant}`?")]);
    }
    project.call(&["lint", "--explain", "xyzzyxyzzy"]).expect(3, &["the rules are action, action-pin, "]);
    project.call(&["shell", "--job", "biuld"]).expect(3, &["did you mean `build`?"]);
    for call in [&["shell", "--job", "build/Run tests"][..], &["rerun", "--debugger", "--job", "build/Run tests"]] {
        project.call(call).expect(2, &["name `build` without its step `Run tests`"]);
    }
    project.call(&["logs", "--job", "biuld"]).expect(3, &["no job `biuld`; did you mean `build`?"]);
    project.call(&["logs", "--job", "Buildit"]).expect(3, &["did you mean `Build it`?"]);
    project.call(&["logs", "--step", "Run test"]).expect(3, &["no step `Run test` here; did you mean `Run tests`?"]);
    project.call(&["explain", "latest", "biuld"]).expect(3, &["did you mean `build`?"]);
    project.run(&["--job", "lnit"]).expect(3, &["no job `lnit`; did you mean `lint`?"]);
    project.run(&["--job", "LINT"]).expect(0, &[]);
    project.call(&["rerun", "--trust", "--job", "Lint"]).expect(0, &[]);
}

#[test]
fn a_workflow_in_place_of_a_run_leads_to_its_newest_run() {
    let project = Project::new(TWO);
    for name in ["ci", "ci.yml", ".github/workflows/ci.yml"] {
        let hint = format!("`{name}` is a workflow that has not run yet: `cuelight run {name}` starts it");
        project.call(&["show", name]).expect(3, &[&hint]);
    }
    project.run(&[]).expect(0, &[]);
    let run = project.run_folder().file_name().expect("an id").to_string_lossy().into_owned();
    for call in [&["show", "ci"][..], &["logs", "ci.yml"], &["explain", "ci"], &["cancel", "ci"], &["ci"]] {
        let hint = format!("is a workflow, not a run: its newest run is {run} (`cuelight show {run}`)");
        project.call(call).expect(3, &[&hint, "`cuelight runs --workflow ci"]);
    }
    project.call(&["show", "README.md"]).expect(3, &["there is no run `README.md`"]);
}

#[test]
fn a_number_that_may_be_of_an_id_is_not_taken_for_a_run_on_a_server() {
    let project = Project::new(TWO);
    let of_server = "OWNER/REPO/NUMBER";
    let of_server_is_named = |number: &str, code: i32, words: &[&str]| {
        let said = project.call(&["show", number]);
        said.expect(code, words);
        said.text().contains(of_server)
    };
    assert!(!of_server_is_named("99999", 3, &["there is no run `99999`; `cuelight runs` lists the runs here"]));
    assert!(of_server_is_named("16012345678", 3, &["there is no run `16012345678`"]));
    project.run(&["--job", "lint"]).expect(0, &[]);
    let year = project.run_id()[..5].to_owned();
    project.run(&["--job", "lint"]).expect(0, &[]);
    assert!(!of_server_is_named(&year, 2, &[" could be any of ", "; `cuelight runs` lists them"]));
}

#[test]
fn a_folder_without_a_remote_or_a_repository_is_named_with_the_way_out() {
    let project = Project::new(TWO);
    let remote = "this repository has no remote: `git remote add origin URL` adds one";
    let named = "; or name a repository on a server with -R OWNER/NAME";
    project.call(&["watch"]).expect(2, &[remote, named]);
    project
        .call(&["workflow", "list"])
        .expect(2, &[remote, named, "`cuelight plan` lists the workflows in this folder"]);
    project.call(&["dispatch", "ci"]).expect(2, &[remote, named]);
    let ours = "in .cuelight.toml (`cuelight config --example` shows some)";
    project.call(&["env"]).expect(2, &["no environments", ours, remote]);
    project.call(&["env", "staging"]).expect(2, &["there is no environment `staging`", ours, remote]);
    project.git(&["remote", "add", "origin", "https://git.example.invalid/a/b.git"]);
    project.call(&["watch"]).expect(2, &["no remote of this repository is on a known server, github.com", named]);
    fs::remove_dir_all(project.root().join(".git")).expect("removed");
    for call in [&["watch"][..], &["workflow", "list"], &["env"]] {
        project.call(call).expect(2, &["is not in a git repository", named]);
    }
}

#[test]
fn an_expression_without_its_contexts_names_them() {
    let project = Project::new(TWO);
    let expr = "github.ref == 'refs/heads/main' && inputs.force && env.X";
    let said = project.call(&["explain", "--expr", expr]);
    let contexts = r#"{"github": {…}, "inputs": {…}, "env": {…}}"#;
    said.expect(0, &["not given: github, inputs, env", contexts, "--contexts FILE"]);
    project.write("contexts.json", r#"{"github": {}, "inputs": {}, "ENV": {}}"#);
    let said = project.call(&["explain", "--expr", expr, "--contexts", "contexts.json"]);
    said.expect(0, &[]);
    assert!(!said.text().contains("not given"), "{}", said.text());
    let said = project.call(&["explain", "--expr", "1 == 1"]);
    assert!(!said.text().contains("not given"), "{}", said.text());
}

#[test]
fn a_plan_has_the_inputs_variables_and_jobs_that_are_given() {
    let project = Project::new(
        "on: {workflow_dispatch: {inputs: {n: {type: string, default: '[1]'}}}}\njobs:\n  \
         one: {runs-on: x, strategy: {matrix: {n: '${{ fromJSON(inputs.n) }}', v: ['${{ vars.V }}']}}, steps: [{run: x}]}\n  \
         two: {runs-on: x, steps: [{run: x}]}\n",
    );
    let plan = |args: &[&str]| project.call(&[&["plan", "ci", "--linear"], args].concat());
    let said = plan(&["--input", "n=[5, 6]", "--var", "V=w", "--job", "one"]);
    said.expect(0, &["2 jobs\n1: one (5, w) starts at once\n2: one (6, w) starts at once\n"]);
    assert!(!said.text().contains("two"), "{}", said.text());
    plan(&["--input", "n=[5, 6]", "--var", "V=w", "--job", "one", "--matrix", "n=6"])
        .expect(0, &["1 job\n1: one (6, w)"]);
    plan(&["--job", "three"]).expect(3, &["three"]);
    plan(&["--input", "m=1"]).expect(2, &["`m`"]);
    // As for a run, the only workflow needs no name.
    project
        .call(&["plan", "--linear", "--input", "n=[1]", "--var", "V=w", "--job", "two"])
        .expect(0, &["1 job\n1: two"]);
    let said = plan(&["--event", "release", "--event-set", "a=b", "--format", "json"]);
    said.expect(0, &[]);
    assert_eq!(said.out(), "{\"jobs\":[]}\n");
    plan(&["--event", "relaese", "--event-set", "a=b", "--format", "json"]).expect(2, &["did you mean `release`?"]);
    plan(&["--format", "template", "--job", "two"]).expect(2, &["leave out --job"]);
}

#[test]
fn the_graph_of_the_only_workflow_depends_on_the_event() {
    let project = Project::new(
        "on: push\njobs:\n  \
         one: {runs-on: x, strategy: {matrix: {n: ['${{ github.event.wanted }}']}}, steps: [{run: x}]}\n",
    );
    let graph = ["--event-set", "wanted=seven", "--format", "dot"];
    let said = project.call(&[&["plan", "ci"], &graph[..]].concat());
    said.expect(0, &["seven"]);
    assert_eq!(project.call(&[&["plan"], &graph[..]].concat()).out(), said.out());
}

#[test]
fn a_plan_is_told_in_sentences() {
    let project = Project::new(
        "on: push\njobs:\n  lint: {runs-on: x, steps: [{run: x}]}\n  \
         test: {name: 'Test ${{ matrix.os }}', needs: lint, strategy: {matrix: {os: [a, b]}}, runs-on: x, steps: [{run: x}]}\n  \
         pack: {needs: [lint, test], if: github.ref == 'x', runs-on: x, steps: [{run: x}]}\n",
    );
    assert_eq!(
        project.call(&["plan", "ci", "--linear"]).out(),
        "4 jobs\n1: lint starts at once\n2: Test a starts after lint\n3: Test b starts after lint\n\
         4: pack starts after lint, Test a and Test b, if github.ref == 'x'\n"
    );
    assert_eq!(project.call(&["plan", "--linear"]).out(), ".github/workflows/ci.yml: runs, every `push`\n");
}
