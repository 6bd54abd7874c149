//! Jobs in containers: what their steps see, how they end, and that no resource is left.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::docker::{docker, has, nothing_left, of_run};
use crate::project::{Project, Said, until};
use crate::relay::Relay;
use crate::survival::{kill, worker_of};

#[test]
fn steps_see_the_runners_paths_and_return_their_results() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    container: {image: 'ci-base:local', env: {OWN: mine}, volumes: ['/etc/hostname:/outer:ro', 'data:/data']}
    outputs: {sum: '${{ steps.s.outputs.sum }}'}
    steps:
      - uses: actions/checkout@v4
      - run: |
          test "$(pwd)" = "$GITHUB_WORKSPACE" && test "$GITHUB_WORKSPACE" = /__w/repository/repository
          test "${{ github.workspace }}" = "$GITHUB_WORKSPACE" && test "${{ runner.temp }}" = "$RUNNER_TEMP"
          test "$HOME" = /github/home && test "$OWN" = mine && test -f "$GITHUB_EVENT_PATH" && git status --short
          test "${{ job.container.network }}" != "" && test "${{ job.container.id }}" != ""
          cat /proc/1/cmdline | tr '\0' ' '
      - {id: s, run: 'echo "sum=42" >> "$GITHUB_OUTPUT"; echo "WORD=kept" >> "$GITHUB_ENV"; mkdir -p sub bin'}
      - run: |
          printf '#!/bin/sh\necho tool\n' > bin/tool && chmod +x bin/tool
          echo "$PWD/bin" >> "$GITHUB_PATH"
      - {run: 'test "$WORD" = kept && test "$(tool)" = tool && pwd', working-directory: sub}
      - {shell: bash, run: 'test -n "$BASH_VERSION"'}
      - {shell: 'python3 {0}', run: 'import os; assert os.environ["INPUT_X"] == "1"', env: {INPUT_X: 1}}
      - {run: 'echo x > /outer', continue-on-error: true}
      - {name: code, run: exit 3, continue-on-error: true}
      - {name: killed, run: 'kill -9 $$', continue-on-error: true}
      - {name: nowhere, run: 'true', working-directory: none, continue-on-error: true}
      - {name: ends, run: 'echo "::error file=${{ github.workspace }}/a.c,line=3::bad"'}
  b: {runs-on: ubuntu-latest, needs: a, steps: [{run: 'test ${{ needs.a.outputs.sum }} = 42'}]}"#,
    );
    let said = project.run(&[]);
    said.expect(
        0,
        &[
            "tail -f /dev/null",
            "/__w/repository/repository/sub",
            "Read-only file system",
            "exit code 3 (allowed)",
            "exit code 137 (allowed)",
            "the working directory /__w/repository/repository/none does not exist",
            "a.c:3: bad",
            "Steps are started by a supervisor inside.",
        ],
    );
    assert_eq!(project.job("a")["sandbox"], "docker ci-base:local");
    nothing_left(&project.run_id());
}

#[test]
fn a_minimal_image_with_another_user_works() {
    if !has(&["busybox:local"]) {
        return;
    }
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    container: {image: 'busybox:local', options: '--user 1000:1000 --read-only --tmpfs /tmp'}
    steps:
      - run: 'for at in . .. "$RUNNER_TEMP" "$RUNNER_TOOL_CACHE" "$HOME"; do mkdir "$at/made"; echo x > "$at/made/file"; done'
      - uses: actions/checkout@v4
      - run: 'test "$(id -u)" = 1000 && echo new > file && cat .github/workflows/ci.yml | head -1'
      - run: 'echo "A=b" >> "$GITHUB_ENV"; (echo x > /etc/x) 2>/dev/null || echo sealed'
      - run: 'test "$A" = b && cat file'
      - {run: 'echo $0', shell: bash, continue-on-error: true}"#,
    );
    let said = project.run(&[]);
    said.expect(
        0,
        &["name: CI", "sealed", "new", "the shell `bash` is not on PATH of the image busybox:local: install bash"],
    );
}

#[test]
fn invalid_container_options_are_reported_with_positions_before_the_job_starts() {
    if !has(&["busybox:local"]) {
        return;
    }
    let project = Project::of_jobs(
        r"
  a:
    runs-on: ubuntu-latest
    container:
      image: busybox:local
      options: >-
        --cpus 1
        --helth-cmd x
    steps: [{run: echo never}]
  b: {runs-on: ubuntu-latest, container: 'no-such-image:of-ours', steps: [{run: echo never}]}
  c:
    runs-on: ubuntu-latest
    services: {db: {image: 'busybox:local', options: '--network host'}}
    steps: [{run: echo never}]",
    );
    let said = project.run(&[]);
    said.expect(
        1,
        &[
            "ci.yml:11:9: `options` of container: unknown container option `--helth-cmd`; did you mean `--health-cmd`?",
            "the job's container needs the image no-such-image:of-ours: cannot pull no-such-image:of-ours",
            "ci.yml:16:55: `options` of db: `--network` cannot be used here: GitHub does not support it",
        ],
    );
    assert!(!said.out().contains("never\n"));
}

#[test]
fn a_job_runs_in_docker_by_label_or_by_flag() {
    if !has(&["ci-base:local", "busybox:local"]) {
        return;
    }
    let project = Project::of_jobs(
        "
  a: {runs-on: mine, steps: [{run: 'test -f /__w/_temp/../_control/supervisor && echo in-docker $0'}]}
  b: {runs-on: ubuntu-latest, steps: [{run: 'test -d /__w || echo on-host'}]}",
    );
    project.configure("[runs-on]\nmine = 'docker:ci-base:local'\n");
    project.run(&[]).expect(0, &["in-docker", "on-host"]);
    let said = project.run(&["--sandbox", "docker:busybox:local", "--job", "b"]);
    assert!(!said.out().contains("│   on-host\n"), "{}", said.text());
    project.run(&["--sandbox", "moon"]).expect(2, &["write `host`, `docker` or `docker:IMAGE`"]);
}

#[test]
fn cancel_reaches_the_process_inside_and_always_steps_clean_up() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - run: 'trap "echo interrupted; exit 9" INT; echo on; while :; do sleep 0.1; done'
      - {run: echo cleaned, if: always()}"#,
    );
    project.run(&["--detach"]).expect(0, &[]);
    until("the step runs", || project.call(&["logs"]).out().contains("on\n").then_some(()));
    project.call(&["cancel"]).expect(0, &[]);
    project.call(&["attach"]).expect(130, &["interrupted", "cleaned"]);
    nothing_left(&project.run_id());
}

#[test]
fn a_killed_worker_leaves_containers_that_the_next_command_removes() {
    if !has(&["ci-base:local", "redis:7-alpine"]) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    container: {image: 'ci-base:local', volumes: ['data:/data']}
    services: {redis: {image: 'redis:7-alpine'}}
    steps: [{run: 'echo on; sleep 300'}, {run: echo resumed}]",
    );
    project.run(&["--detach"]).expect(0, &[]);
    until("the step runs", || project.call(&["logs"]).out().contains("on\n").then_some(()));
    let run = project.run_id();
    assert_eq!(of_run(&run).len(), 4, "two containers, a network and a volume: {:?}", of_run(&run));
    kill(worker_of(&run));
    project.call(&["runs"]).expect(0, &["worker lost"]);
    nothing_left(&run);
}

#[test]
fn a_removed_container_fails_its_job_with_the_reason() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps: [{run: 'echo on; sleep 300'}, {run: echo never}]",
    );
    project.run(&["--detach"]).expect(0, &[]);
    until("the step runs", || project.call(&["logs"]).out().contains("on\n").then_some(()));
    docker(&["rm", "-f", &format!("cuelight-{}-a.job", project.run_id())]).expect("removed");
    project.call(&["attach"]).expect(1, &["the container was stopped or removed"]);
    nothing_left(&project.run_id());
}

#[test]
fn a_full_disk_in_the_container_fails_only_the_step() {
    if !has(&["busybox:local"]) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    container: {image: 'busybox:local', options: '--tmpfs /small:size=1m'}
    steps:
      - {run: 'dd if=/dev/zero of=/small/x bs=1M count=5', continue-on-error: true}
      - {run: 'echo more > /small/y || echo still full', if: always()}",
    );
    project.run(&[]).expect(0, &["No space left on device", "exit code 1 (allowed)", "still full"]);
}

#[test]
fn an_out_of_memory_kill_is_reported() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        "
  a:
    runs-on: ubuntu-latest
    container: {image: 'ci-base:local', options: '--memory 64m --memory-swap 64m'}
    steps: [{shell: 'python3 {0}', run: 'x = bytearray(400_000_000)'}]",
    );
    project.run(&[]).expect(1, &["killed: the container ran out of memory"]);
}

#[test]
fn a_shell_has_the_environment_and_folder_of_the_step() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - run: touch /root/made
      - {run: 'echo on; sleep 300', env: {STEP: "it's running"}}
  b:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - run: touch /root/kept; mkdir sub
      - {run: exit 4, working-directory: sub, env: {STEP: "it's failed"}}
  c: {runs-on: ubuntu-latest, steps: [{run: exit 5, env: {STEP: on the machine}}]}"#,
    );
    let shell = |job: &str, script: &str| {
        let mut shell = project.command(&["shell", "latest", job]);
        let mut child =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("typed");
        Said(child.wait_with_output().expect("ends"))
    };
    project.run(&["--detach", "--max-parallel", "3"]).expect(0, &[]);
    let ended = |job: &str| project.job(job)["status"] == "failure";
    until("they are where they should be", || {
        (project.call(&["logs"]).out().contains("on\n") && ended("b") && ended("c")).then_some(())
    });
    shell("a", "pwd; echo $STEP; ls /root\n").expect(0, &["/__w/repository/repository", "it's running", "made"]);
    shell("b", "pwd; echo $STEP; ls /root; exit 3\n").expect(1, &["/repository/sub", "it's failed", "kept"]);
    // A shell begins with the script that failed.
    shell("b", "true\n").expect(0, &["Its step failed in this script:\n    exit 4\n"]);
    shell("c", "echo $STEP\n").expect(0, &["on the machine", "Its step failed in this script:\n    exit 5\n"]);
    project.call(&["cancel", "--force"]).expect(0, &[]);
    project.call(&["attach"]).expect(1, &[]);
    shell("a", "true\n").expect(3, &["a has no snapshot: only failed jobs keep one"]);
    let run = project.run_id();
    nothing_left(&run);
    let kept = format!("cuelight-kept:{run}-b");
    assert!(docker(&["image", "inspect", &kept]).is_some());
    project.call(&["clean", "--all"]).expect(0, &[&format!("the image {kept} removed")]);
    assert!(docker(&["image", "inspect", &kept]).is_none());
}

#[test]
fn a_remote_engine_exchanges_files_as_archives() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let relay = Relay::remote();
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - uses: actions/checkout@v4
      - {id: s, run: 'cat .github/workflows/ci.yml | head -1; echo "x=1" >> "$GITHUB_OUTPUT"; echo "A=b" >> "$GITHUB_ENV"'}
      - run: 'test "$A" = b && test "${{ steps.s.outputs.x }}" = 1 && exit 7'"#,
    );
    let done = project.command(&["run", "--trust"]).env("DOCKER_HOST", relay.address()).output().expect("starts");
    Said(done).expect(
        1,
        &["name: CI", "exit code 7", "Steps are started by Docker, not by a supervisor (it is on another machine)."],
    );
    nothing_left(&project.run_id());
    let mut shell = project.command(&["shell", "latest", "a"]);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    shell.stdin.take().expect("piped").write_all(b"pwd; cat .github/workflows/ci.yml; exit 3\n").expect("typed");
    Said(shell.wait_with_output().expect("ends")).expect(1, &["/__w/repository/repository", "name: CI"]);
    project.call(&["clean", "--all"]).expect(0, &[]);
}

#[test]
fn clean_removes_snapshots_at_the_engine_of_the_run() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let relay = Relay::remote();
    let project =
        Project::of_jobs("  a: {runs-on: ubuntu-latest, container: 'ci-base:local', steps: [{run: exit 7}]}\n");
    project.call_with("DOCKER_HOST", relay.address(), &["run", "--trust"]).expect(1, &["exit code 7"]);
    let kept = format!("cuelight-kept:{}-a", project.run_id());
    assert!(docker(&["image", "inspect", &kept]).is_some());
    let clean = |arguments: &[&str]| project.call_with("DOCKER_HOST", "unix:///nowhere", arguments);
    clean(&["clean", "--all", "--dry-run"]).expect(0, &["1 run would be removed"]);
    clean(&["clean", "--all"]).expect(0, &["1 run removed", &format!("the image {kept} removed")]);
    assert!(docker(&["image", "inspect", &kept]).is_none());
}

#[test]
fn git_works_wherever_the_workspace_is_mounted() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let look = "git log --oneline | wc -l; git status --short; git fsck && echo whole";
    let action =
        format!("{{uses: 'docker://ci-base:local', with: {{entrypoint: /bin/sh, args: '-c \"{look}; touch ~/x\"'}}}}");
    let jobs = r#"
  here:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo new > new.txt
      - ACTION
      - run: docker run --rm -v "$PWD:/src" -w /src -e GIT_CONFIG_COUNT=1 -e GIT_CONFIG_KEY_0=safe.directory -e GIT_CONFIG_VALUE_0=/src ci-base:local sh -c 'LOOK'
  inside:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - uses: actions/checkout@v4
      - run: echo new > new.txt && LOOK
      - ACTION
  other:
    runs-on: ubuntu-latest
    container: {image: 'ci-base:local', options: '--user 4321:4321'}
    steps:
      - uses: actions/checkout@v4
      - run: echo new > new.txt && LOOK && touch ~/x"#;
    let project = Project::of_jobs(&jobs.replace("ACTION", &action).replace("LOOK", look));
    let said = project.run(&[]);
    said.expect(0, &[]);
    assert_eq!(said.out().matches("│   whole\n").count(), 5, "{}", said.out());
    assert_eq!(said.out().matches("│   ?? new.txt\n").count(), 5, "{}", said.out());
}

#[test]
fn an_image_without_a_path_has_that_of_the_engine_and_what_steps_add_comes_first() {
    if !has(&["busybox:local"]) {
        return;
    }
    // An imported image has no configuration.
    let image = "cuelight-test-without-path:local";
    let made = "id=$(docker create busybox:local true) && docker export $id | docker import - \"$0\"; docker rm $id";
    assert!(Command::new("sh").args(["-c", made, image]).stdout(Stdio::null()).status().expect("starts").success());
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    container: cuelight-test-without-path:local
    steps:
      - run: id -u && echo "$PWD/bin" >> "$GITHUB_PATH"
      - run: id -u && echo "PATH=$PATH"
      - uses: docker://cuelight-test-without-path:local
        with: {entrypoint: sh, args: '-c "id -u; echo inner=$PATH"'}
      - {uses: 'docker://cuelight-test-without-path:local', with: {entrypoint: none}, continue-on-error: true}
      - {run: x, shell: 'none {0}', continue-on-error: true}"#,
    );
    let said = project.run(&[]);
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected = [
        format!("PATH=/__w/repository/repository/bin:{path}"),
        format!("inner={path}"),
        "cannot start none in the image cuelight-test-without-path:local".to_owned(),
        "the shell `none` is not on PATH of the image cuelight-test-without-path:local".to_owned(),
    ];
    said.expect(0, &expected.each_ref().map(String::as_str));
    docker(&["rmi", image]);
}

#[test]
fn the_context_of_a_docker_action_has_what_docker_would_send() {
    if !has(&["busybox:local"]) {
        return;
    }
    let project = Project::of_jobs(
        r"
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: mkfifo action/queue; truncate -s 300G action/sub/huge; ln -s /etc/passwd action/link
      - uses: ./action",
    );
    project.write("action/action.yml", "name: a\nruns: {using: docker, image: Dockerfile}\n");
    let list = "for file in $(find /context -mindepth 1); do echo found=$file; done; readlink /context/link";
    project.write(
        "action/Dockerfile",
        &format!("FROM busybox:local\nCOPY . /context\nENTRYPOINT [\"sh\", \"-c\", \"{list}\"]\n"),
    );
    project.write("action/.dockerignore", "# all but one\nsub/*\n!sub/kept\n**/*.tmp\n");
    for name in ["action/sub/kept", "action/sub/other", "action/deep/a.tmp", "action/deep/b"] {
        project.write(name, "x");
    }
    project.commit();
    let said = project.run(&[]);
    said.expect(0, &["found=/context/sub/kept", "found=/context/deep/b", "/etc/passwd"]);
    // The printer folds the lines of the build.
    project.call(&["logs"]).expect(0, &["queue is not in the context"]);
    for name in ["huge", "other", "a.tmp", "context/queue"] {
        assert!(
            !said.out().contains(&format!("/{name}\n")) && !said.out().contains("root:x"),
            "{name}: {}",
            said.out()
        );
    }
}
