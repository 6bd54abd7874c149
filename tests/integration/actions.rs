//! JavaScript, Docker and composite actions, including their phases before the first and after the last step of a job.

use std::path::Path;

use crate::docker::{has, skip};
use crate::project::{Project, git, until, write_program};

/// Creates a repository with a workflow of one job that has these steps. They can use the probe actions.
fn steps(steps: &str) -> Project {
    let project = Project::new(&format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}"));
    let probes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/actions/probe");
    let names = ["js-full", "js-fail", "composite-nested", "docker-file", "docker-image"];
    let mapped = names.map(|name| format!("'probe/{name}' = '{}'\n", probes.join(name).display()));
    project.configure(&format!("[actions]\n{}", mapped.concat()));
    project
}

/// Asserts that the output contains texts in this order.
#[track_caller]
fn in_order(text: &str, words: &[&str]) {
    let mut at = 0;
    for word in words {
        at += text[at..].find(word).unwrap_or_else(|| panic!("`{word}` does not follow in:\n{text}"));
    }
}

pub(crate) fn has_node() -> bool {
    let found = std::process::Command::new("node").arg("--version").output().is_ok_and(|done| done.status.success());
    if !found {
        skip("no node here");
    }
    found
}

#[test]
fn phases_come_in_order_with_inputs_state_and_posts_in_reverse() {
    if !has_node() {
        return;
    }
    let project = steps(
        "
      - run: echo first step
      - {id: one, uses: probe/js-full@v1, with: {text: one, two words: x}}
      - {name: Two, uses: probe/js-full@v1, with: {text: two}}
      - run: test \"$JS_FULL\" = two && test '${{ steps.one.outputs.text }}' = one && echo last step",
    );
    let said = project.run(&[]);
    said.expect(0, &["js-full main: INPUT_TWO_WORDS=x", "js-full main: STATE_pre=seen", "on node v"]);
    in_order(
        &said.out(),
        &[
            "js-full pre: INPUT_TEXT=one",
            "js-full pre: INPUT_TEXT=two",
            "first step",
            "js-full main: INPUT_TEXT=one",
            "js-full main: INPUT_TEXT=two",
            "last step",
            "js-full post: INPUT_TEXT=two",
            "js-full post: STATE_main=seen",
            "✓ Post Two",
            "js-full post: INPUT_TEXT=one",
        ],
    );
}

#[test]
fn posts_run_after_a_failure_and_a_skipped_step_has_none() {
    if !has_node() {
        return;
    }
    let project = steps(
        "
      - {uses: probe/js-fail@v1, continue-on-error: true}
      - {name: Fails, uses: probe/js-full@v1, with: {text: failing, fail-in: main}}
      - {name: Never, uses: './none'}",
    );
    let said = project.run(&[]);
    said.expect(1, &["js-full fails in main", "js-full post: INPUT_TEXT=failing", "✓ Post Fails"]);
    assert!(!said.out().contains("Post Never"));
}

#[test]
fn posts_run_after_a_cancel() {
    if !has_node() {
        return;
    }
    let project = steps("\n      - {uses: probe/js-full@v1, with: {text: x}}\n      - run: echo on; sleep 60");
    project.run(&["--detach"]).expect(0, &[]);
    until("the step runs", || project.call(&["logs"]).out().contains("on\n").then_some(()));
    project.call(&["cancel"]).expect(0, &[]);
    project.call(&["attach"]).expect(130, &["js-full post: INPUT_TEXT=x"]);
}

#[test]
fn nested_composites_run_their_posts_inside_the_outer_post() {
    if !has_node() {
        return;
    }
    let project = steps(
        "
      - {id: c, name: Nested, uses: probe/composite-nested@v1, with: {text: deep}}
      - run: test '${{ steps.c.outputs.text }}' = 'deep, once, twice' && test '${{ steps.c.outputs.status }}' = success",
    );
    let said = project.run(&[]);
    said.expect(0, &["✓ Pre Nested", "✓ Post Nested"]);
    in_order(
        &said.out(),
        &[
            "js-full main: INPUT_TEXT=deep, once",
            "composite-nested: JS_FULL=deep, once",
            "js-full main: INPUT_TEXT=deep, once, twice",
            "js-full post: INPUT_TEXT=deep, once, twice",
            "js-full post: INPUT_TEXT=deep, once",
        ],
    );
    let failing = steps(
        "
      - {id: c, uses: probe/composite-nested@v1, with: {text: deep, fail: 'true'}, continue-on-error: true}
      - run: test '${{ steps.c.outputs.status }}' = failure && test '${{ steps.c.outcome }}' = failure",
    );
    failing.run(&[]).expect(0, &[]);
}

#[test]
fn an_action_for_a_newer_node_runs_on_the_newest_one_of_this_machine() {
    let project = steps("\n      - uses: own/old@v1\n      - uses: own/new@v1");
    let write = |name: &str, text: &str| write_program(&project.home().join(name), text);
    let mut mapped = "[actions]\n".to_owned();
    for (name, using) in [("old", "node20"), ("new", "node24")] {
        write(
            &format!("{name}/action.yml"),
            &format!("name: x\ndescription: x\nruns: {{using: {using}, main: a.js}}\n"),
        );
        write(&format!("{name}/a.js"), "");
        mapped += &format!("'own/{name}' = '{}'\n", project.home().join(name).display());
    }
    project.configure(&mapped);
    for (folder, version) in [("usual", "v20.1.0"), ("added", "v98.1.0")] {
        let text =
            format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo {version}; else echo ran on {folder}; fi\n");
        write(&format!("{folder}/bin/node"), &text);
    }
    project.call(&["tools", "add", &project.home().join("added").display().to_string()]).expect(0, &["98.1.0"]);
    let path = format!("{}:{}", project.home().join("usual/bin").display(), std::env::var("PATH").expect("a path"));
    let done = project.command(&["run", "--trust"]).env("PATH", path).output().expect("starts");
    in_order(&String::from_utf8_lossy(&done.stdout), &["ran on usual", "ran on added", "success"]);
}

#[test]
fn a_builder_in_a_container_reaches_the_services() {
    if !has(&["busybox:local"]) || !has_node() {
        return;
    }
    let project = steps("\n      - uses: docker/build-push-action@v6");
    let write = |name: &str, text: &str| {
        let path = project.home().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
        path
    };
    let manifest = write("build/action.yml", "name: x\ndescription: x\nruns: {using: node20, main: index.js}\n");
    write(
        "build/index.js",
        "const url = process.env.ACTIONS_RESULTS_URL + 'oidc/.well-known/openid-configuration';\n\
         const run = ['run', '--rm', 'busybox:local', 'wget', '-q', '-O', '-', url];\n\
         console.log('got', require('child_process').execFileSync('docker', run).toString());\n",
    );
    project.configure(&format!(
        "[actions]\n'docker/build-push-action' = '{}'\n",
        manifest.parent().expect("a folder").display()
    ));
    let path = std::env::var("PATH").expect("a path");
    let real = std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|docker| docker.is_file());
    write_program(
        &project.home().join("bin/docker"),
        &format!(
            "#!/bin/sh\ncase $1 in buildx) echo Driver: docker-container;; *) exec '{}' \"$@\";; esac\n",
            real.expect("a Docker CLI").display()
        ),
    );
    let path = format!("{}:{path}", project.home().join("bin").display());
    let done = project.command(&["run", "--trust"]).env("PATH", path).output().expect("starts");
    let said = String::from_utf8_lossy(&done.stdout);
    in_order(&said, &["The builder runs in a container", "got {", "jwks_uri", "success"]);
}

#[test]
fn the_reason_of_a_composite_is_that_of_the_step_that_failed() {
    let project = steps("\n      - {uses: actions/checkout@v4}\n      - uses: ./own");
    project.write(
        "own/action.yml",
        "name: x\ndescription: x\nruns:\n  using: composite\n  steps:\n    - {if: false, shell: sh, run: echo never}\n    \
         - {name: Fails, shell: sh, run: exit 3}\n",
    );
    project.commit();
    project.run(&[]).expect(1, &["Fails: exit code 3"]);
    assert!(!project.show().to_string().contains("was false"), "the step that was skipped is not the reason");
}

#[test]
fn docker_login_of_a_job_does_not_change_the_configuration_of_the_user() {
    let project = Project::of_jobs(
        "  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: cat \"$DOCKER_CONFIG/config.json\" && echo '{}' > \
         \"$DOCKER_CONFIG/config.json\"\n      - run: cat \"$DOCKER_CONFIG/config.json\"\n",
    );
    let users = project.home().join("docker");
    std::fs::create_dir(&users).expect("made");
    std::fs::write(users.join("config.json"), "own\n").expect("written");
    let done = project.command(&["run", "--trust"]).env("DOCKER_CONFIG", &users).output().expect("starts");
    let said = String::from_utf8_lossy(&done.stdout);
    in_order(&said, &["own", "{}", "success"]);
    assert_eq!(std::fs::read_to_string(users.join("config.json")).expect("there"), "own\n");
    assert!(!project.run_folder().join("work").exists(), "nothing is left");
}

#[test]
fn docker_actions_are_built_or_pulled_and_run_with_the_runners_paths() {
    if !has(&["busybox:local"]) {
        return;
    }
    let project = steps(
        "
      - uses: actions/checkout@v4
      - {id: f, uses: probe/docker-file@v1, with: {text: hello}}
      - run: test \"$DOCKER_FILE\" = hello && test '${{ steps.f.outputs.text }}' = hello && cat docker-file.txt
      - {id: i, name: Image, uses: probe/docker-image@v1, with: {text: there}}
      - run: test '${{ steps.i.outputs.text }}' = there
      - {uses: 'docker://busybox:local', with: {entrypoint: /bin/sh, args: '-c \"echo by-image in $(pwd)\"'}}
      - {uses: probe/docker-file@v1, with: {code: 5}}",
    );
    let said = project.run(&[]);
    said.expect(
        1,
        &[
            "docker-file: argument [hello]",
            "docker-file: argument []",
            "docker-file: PROBE=docker-file",
            "docker-file: GITHUB_WORKSPACE=/github/workspace",
            "docker-file: in /github/workspace",
            "docker-image pre: there",
            "docker-image main: there",
            "docker-image post: there",
            "exit code 5",
        ],
    );
}

#[test]
fn actions_run_in_the_jobs_container() {
    if !has(&["ci-base:local"]) || !has_node() {
        return;
    }
    let project = steps("\n      - {uses: probe/js-full@v1, with: {text: x}}\n      - run: echo $JS_FULL");
    let said = project.run(&["--sandbox", "docker:ci-base:local"]);
    said.expect(0, &["on node of the container", "js-full main: in /__w/repository/repository", "js-full post:"]);
}

#[test]
fn everything_that_is_missing_is_listed_before_the_job_starts() {
    let project = steps(
        "
      - uses: nobody/nothing@v9
      - uses: nobody/else@v1
      - uses: docker://no-such-image:of-ours
      - run: echo ${{ secrets.NOT_GIVEN }}",
    );
    let said = project.run(&["--offline"]);
    said.expect(1, &["not started: `nobody/nothing@v9` is not in the cache", "`nobody/else@v1` is not in the cache"]);
    assert_eq!(project.job("a")["started"], serde_json::Value::Null);
    let output = steps("\n      - run: echo ${{ secrets.NOT_GIVEN }}").run(&[]);
    output.expect(0, &["Secrets that are not set, and empty here: NOT_GIVEN"]);
}

#[test]
fn coverage_is_read_on_this_machine_without_the_action_that_uploads_it() {
    let report = |covered: u32| {
        let lines =
            (1..=10).map(|line| format!("DA:{line},{}\\n", u32::from(line <= covered))).collect::<Vec<_>>().concat();
        format!("- run: printf 'SF:src/a.ts\\n{lines}end_of_record\\n' > lcov.info")
    };
    let uses = |with: &str| format!("      - {{uses: codecov/codecov-action@v3, with: {{{with}}}}}\n");
    let project = steps(&format!("      {}\n{}", report(7), uses("files: lcov.info, fail_ci_if_error: true")));
    let said = project.run(&["--offline"]);
    said.expect(0, &["not uploaded to codecov.io", "70.0 %", "7/10  src/a.ts  below the minimum of 80 %"]);
    said.expect(0, &["The coverage of 70.0 % is below the minimum of 80 %."]);
    let project = steps(&uses("file: none.xml"));
    project.run(&["--offline"]).expect(0, &["the coverage report none.xml cannot be read"]);
    let project = steps(&uses("fail_ci_if_error: true"));
    project.run(&["--offline"]).expect(1, &["no coverage report was found"]);
}

#[test]
fn what_is_known_about_an_action_changes_its_inputs_and_explains_its_failure() {
    let project = steps(
        "
      - {uses: slackapi/slack-github-action@v1, env: {SLACK_WEBHOOK_URL: 'http://127.0.0.1:9'}}
      - {uses: aquasecurity/trivy-action@master}",
    );
    let action = |name: &str, script: &str| {
        let inputs = "inputs: {skip-setup-trivy: {description: d, default: 'false'}}";
        let text = format!("name: x\n{inputs}\nruns: {{using: composite, steps: [{{shell: sh, run: '{script}'}}]}}\n");
        let folder = project.home().join(name);
        std::fs::create_dir(&folder).and_then(|()| std::fs::write(folder.join("action.yml"), text)).expect("written");
        folder
    };
    let (slack, trivy) =
        (action("slack", "echo sent"), action("trivy", "echo skips ${{ inputs.skip-setup-trivy }}; exit 3"));
    project.configure(&format!(
        "[actions]\n'slackapi/slack-github-action' = '{}'\n'aquasecurity/trivy-action' = '{}'\n",
        slack.display(),
        trivy.display()
    ));
    let said = project.run(&[]);
    said.expect(1, &["Without `SLACK_WEBHOOK_TYPE: INCOMING_WEBHOOK`", "sent"]);
    let has_trivy =
        std::env::split_paths(&std::env::var_os("PATH").expect("a path")).any(|at| at.join("trivy").is_file());
    if has_trivy {
        said.expect(1, &["skips true"]);
    } else {
        said.expect(1, &["skips false", "trivy is not on PATH: the action could not install it"]);
    }
}

#[test]
fn the_real_checkout_fetches_the_repository_from_this_machine() {
    if !has(&["ci-base:local"]) || !has_node() {
        return;
    }
    let action = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/actions/actions/checkout");
    let job = |name: &str, container: &str, with: &str, look: &str| {
        format!(
            "  {name}:
    runs-on: ubuntu-latest
    {container}
    steps:
      - uses: actions/checkout@v4
        with: {{{with}}}
      - run: test \"$(git rev-parse HEAD)\" = \"$GITHUB_SHA\" && test -f last.txt && {look}
"
        )
    };
    let shallow = "test \"$(git rev-list --count HEAD)\" = 1";
    // The list of 60 branches is sent compressed.
    let deep =
        "test \"$(git branch -r | wc -l)\" -ge 60 && test \"$(git rev-list --count HEAD)\" = 3 && git show first";
    let image = "container: ci-base:local";
    // The repository counts as private unless its visibility is known.
    let denied = "  denied:
    runs-on: ubuntu-latest
    container: ci-base:local
    permissions: {issues: read}
    steps:
      - {id: fetch, uses: actions/checkout@v4, continue-on-error: true}
      - run: test '${{ steps.fetch.outcome }}' = failure
";
    let jobs = [
        denied.to_owned(),
        job("here", "", "fetch-depth: 1", shallow),
        job("here-deep", "", "fetch-depth: 0", deep),
        job("inside", image, "fetch-depth: 1", shallow),
        job("inside-deep", image, "fetch-depth: 0, filter: 'blob:none'", deep),
    ];
    let project = Project::new(&format!("on: push\njobs:\n{}", jobs.concat()));
    project.configure(&format!("[actions]\n'actions/checkout' = '{}'\n", action.display()));
    for file in ["first.txt", "last.txt"] {
        project.write(file, "text\n");
        project.git(&["add", "-A"]);
        project.git(&["commit", "-qm", file]);
    }
    project.git(&["tag", "first", "HEAD~1"]);
    for number in 0..60 {
        // Each branch has a different commit, so that the client asks for each.
        let commit = git(&project.root(), &["commit-tree", "-m", &number.to_string(), "HEAD^{tree}"]);
        project.git(&["branch", &format!("branch-{number}"), commit.trim()]);
    }
    let said = project.run(&[]);
    said.expect(0, &["remote: the job has no `permissions: contents: read`"]);
    assert_eq!(said.out().matches("without a token: 401").count(), 4, "{}", said.text());
    assert!(!said.out().contains("Bearer"), "{}", said.out());
}
