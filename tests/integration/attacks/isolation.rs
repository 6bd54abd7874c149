//! Containers of jobs and actions: unless it is requested, they get neither Docker's socket nor the tools of other
//! runs.

use crate::docker::{has, nothing_left};
use crate::project::Project;

const LOOKS: &str = r#"
  a:
    runs-on: ubuntu-latest
    container: 'ci-base:local'
    steps:
      - run: test -S /var/run/docker.sock && echo "a socket" || echo "no socket"
      - run: test "$RUNNER_TOOL_CACHE" = /__t; ls /__t; echo tools=$(ls /__t | wc -l); echo evil > /__t/node
      - {uses: 'docker://ci-base:local', with: {entrypoint: /bin/sh, args: '-c "test -S /var/run/docker.sock && echo socket=yes || echo socket=no"'}}"#;

#[test]
fn a_container_gets_no_socket_and_no_tools_of_other_runs() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(LOOKS);
    for _ in 0..2 {
        project.run(&[]).expect(0, &["no socket", "socket=no", "tools=0"]);
    }
    let tools = project.state().parent().expect("a parent").join("cache/cuelight/tools");
    assert!(!tools.join("node").exists());
    assert!(!project.call(&["doctor"]).text().contains("Docker's socket"));
}

#[test]
fn what_is_asked_for_is_said_by_doctor_and_in_the_record() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(LOOKS);
    project.configure("[docker]\nsocket = true\n");
    project.run(&[]).expect(0, &["a socket", "socket=yes", "Docker's socket is mounted"]);
    assert!(project.call(&["doctor"]).text().contains("containers get Docker's socket"));
    let spec = std::fs::read_to_string(project.run_folder().join("run.json")).expect("there");
    assert!(spec.contains("\"docker_socket\": true"));
    nothing_left(&project.run_id());
}

#[test]
fn a_repository_cannot_ask_for_the_socket() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}");
    project.write(".cuelight.toml", "[docker]\nsocket = true\n");
    project.commit();
    let said = project.run(&[]);
    assert!(said.code() != 0 && said.text().contains("docker.socket"), "{}", said.text());
}

#[test]
fn a_container_that_swaps_folders_during_a_checkout_reaches_nothing_outside() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(outside.path().join("workflows")).expect("made");
    for name in ["secret", "workflows/ci.yml"] {
        std::fs::write(outside.path().join(name), "precious").expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(outside.path().join(name), private).expect("set");
    }
    let checkouts = (0..20).map(|number| {
        let with = ["", ", with: {ref: main}", ", with: {clean: false}"][number % 3];
        format!("      - {{uses: actions/checkout@v4, continue-on-error: true{with}}}")
    });
    let checkouts = checkouts.collect::<Vec<_>>().join("\n");
    let project = Project::of_jobs(&format!(
        r"
  a:
    runs-on: ubuntu-latest
    container: 'ci-base:local'
    steps:
      - uses: actions/checkout@v4
      - run: |
          setsid sh -c 'while :; do ln -sfn OUTSIDE .github; rm -rf .github; mkdir -p .github/workflows; mv .github .g; ln -s OUTSIDE .github; rm -rf .g; done' >/dev/null 2>&1 &
          setsid sh -c 'while :; do mv .git .x; ln -s OUTSIDE .git; rm -f .git; mv .x .git; rm -rf .x; done' >/dev/null 2>&1 &
{checkouts}"
    )
    .replace("OUTSIDE", &outside.path().display().to_string()));
    project.run(&[]).expect(0, &[]);
    let left = walkdir::WalkDir::new(outside.path()).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    let mut left: Vec<_> =
        left.map(|entry| entry.path().strip_prefix(outside.path()).expect("below").to_owned()).collect();
    left.sort_unstable();
    assert_eq!(left, ["secret", "workflows/ci.yml"].map(std::path::PathBuf::from));
    for name in left {
        let data = std::fs::metadata(outside.path().join(&name)).expect("there");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777, 0o600, "{}", name.display());
        assert_eq!(std::fs::read_to_string(outside.path().join(&name)).expect("there"), "precious");
    }
}
