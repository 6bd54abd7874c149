//! The services for foreign actions, used by the npm libraries of those actions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::actions::has_node;
use crate::docker::{has, skip};
use crate::project::{Project, Said, until};
use crate::survival::{kill, worker_of};

/// The libraries, by the names that the trials use: the newest ones, and those of the actions of 2024.
const LIBRARIES: &[(&str, &str)] = &[
    ("artifact", "@actions/artifact@6.2.1"),
    ("artifact-2", "@actions/artifact@2.3.2"),
    ("artifact-1", "@actions/artifact@1.1.2"),
    ("cache", "@actions/cache@6.3.0"),
    ("cache-4", "@actions/cache@4.1.0"),
    ("tool-cache", "@actions/tool-cache@2.0.2"),
];

/// Returns the folder with the libraries, in the user's cache. The test is skipped without node or npm, or if the
/// network is missing the first time.
pub(crate) fn libraries() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let home = directories::ProjectDirs::from("", "", "cuelight")?;
        let versions: Vec<_> = LIBRARIES.iter().map(|(_, package)| package.rsplit('@').next().unwrap_or("")).collect();
        let folder = home.cache_dir().join("npm").join(versions.join("-"));
        if !folder.is_dir() {
            let temporary = folder.with_extension(std::process::id().to_string());
            fs::create_dir_all(&temporary).ok()?;
            let packages = LIBRARIES.iter().map(|(name, package)| format!("{name}@npm:{package}"));
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&temporary);
            let installed = npm.args(packages).output().is_ok_and(|done| done.status.success());
            if !installed || fs::rename(&temporary, &folder).is_err() {
                let _ = fs::remove_dir_all(&temporary);
            }
        }
        folder.is_dir().then_some(folder)
    });
    let node = has_node();
    if node && folder.is_none() {
        skip("npm cannot install the libraries of the actions");
    }
    folder.as_deref().filter(|_| node)
}

/// Returns a project with these jobs, in which `trial/client@v1` is the client. `TRY` stands for the beginning of its
/// inputs.
pub(crate) fn project(npm: &Path, events: &str, jobs: &str) -> Project {
    let step = format!("uses: trial/client@v1, with: {{npm: '{}', try:", npm.display());
    let project = Project::new(&format!("on: {events}\njobs:\n{}", jobs.replace("TRY", &step)));
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/actions/results");
    project.configure(&format!("[actions]\n'trial/client' = '{}'\n", client.display()));
    project
}

#[test]
fn artifacts_cross_jobs_and_survive_the_workspace() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  first:
    runs-on: ubuntu-latest
    steps:
      - {TRY artifact artifact}}
      - {TRY artifact artifact-2}}
      - {TRY raw artifact}}
      - {TRY parallel artifact}}
      - {TRY tokens}}
      - {TRY interrupted}}
      - run: cp token $RUNNER_TEMP/../../token && test -z \"$ACTIONS_RUNTIME_TOKEN$ACTIONS_RESULTS_URL\"
  second:
    needs: first
    runs-on: ubuntu-latest
    steps:
      - {TRY fetch artifact}}
      - {TRY fetch artifact-2}}
      - {TRY ended, folder: '${{ runner.temp }}/../..'}}
";
    let project = project(npm, "push", jobs);
    let said = project.run(&[]);
    said.expect(0, &["ok artifact artifact", "ok artifact artifact-2", "ok raw artifact", "ok parallel artifact"]);
    said.expect(0, &["ok tokens", "ok interrupted", "ok fetch artifact", "ok fetch artifact-2", "ok ended"]);
    let folder = project.run_folder();
    assert!(!folder.join("work").exists(), "the workspaces are gone");
    assert!(!folder.join("uploads").exists(), "nothing unfinished is left");
    let entries = fs::read_dir(folder.join("artifacts")).expect("artifacts").flatten();
    let kept = entries.filter(|entry| entry.path().is_dir()).count();
    assert_eq!(kept, 2 + 1 + 8 + 1);
    assert!(said.out().contains("my token: ***") && !said.text().contains("eyJ"), "tokens are masked");
}

#[test]
fn artifacts_of_version_3_are_archives_to_which_several_jobs_add_files() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  first:
    runs-on: ubuntu-latest
    steps:
      - {TRY one-by-one artifact-1, folder: first}}
      - {TRY one-by-one artifact-1, folder: second}}
      - {TRY raw-files}}
  second:
    needs: first
    runs-on: ubuntu-latest
    steps:
      - {TRY fetch-files artifact-1}}
      - {TRY fetch-files artifact}}
";
    let project = project(npm, "push", jobs);
    let trials = ["ok one-by-one artifact-1", "ok raw-files", "ok fetch-files artifact-1", "ok fetch-files artifact"];
    project.run(&[]).expect(0, &trials);
    assert!(!project.run_folder().join("uploads").exists(), "nothing unfinished is left");
}

#[test]
fn caches_are_saved_once_and_restored_by_later_runs() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {TRY save cache}}
      - {TRY restore cache}}
      - {TRY save cache-4, v1: yes}}
      - {TRY restore cache-4, v1: yes}}
";
    let project = project(npm, "[push, issue_comment]", jobs);
    project.run(&[]).expect(0, &["ok save cache", "ok restore cache", "ok save cache-4", "ok restore cache-4"]);
    // Another run finds the entries. A run of an untrusted event saves nothing.
    let step = |text: &str| format!("uses: trial/client@v1, with: {{npm: '{}', try: {text}}}", npm.display());
    project.write(
        ".github/workflows/ci.yml",
        &format!(
            "on: [push, issue_comment]\njobs:\n  b:\n    runs-on: ubuntu-latest\n    steps:\n      - {{{}}}\n",
            step("readonly cache")
        ),
    );
    project.commit();
    project.run(&["--event", "issue_comment"]).expect(0, &["ok readonly cache"]);
}

#[test]
fn cache_mode_limits_what_a_job_does_with_caches() {
    let Some(npm) = libraries() else { return };
    let job = |mode: &str| {
        format!(
            "  {mode}:\n    cache-mode: {mode}\n    runs-on: ubuntu-latest\n    steps:\n      - {{TRY mode {mode}}}}}\n"
        )
    };
    let jobs = ["read", "write", "write-only", "none"].map(job).concat();
    project(npm, "push", &jobs).run(&[]).expect(0, &["ok mode read", "ok mode write-only", "ok mode none"]);
}

#[test]
fn jobs_with_the_permission_get_identity_tokens() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  allowed:
    permissions: {id-token: write}
    environment: production
    runs-on: ubuntu-latest
    steps:
      - {TRY identity}}
      - run: test -n \"$ACTIONS_ID_TOKEN_REQUEST_TOKEN\" && test -z \"$ACTIONS_RUNTIME_TOKEN\"
  refused:
    runs-on: ubuntu-latest
    steps:
      - run: test -z \"$ACTIONS_ID_TOKEN_REQUEST_URL$ACTIONS_ID_TOKEN_REQUEST_TOKEN\"
";
    let project = project(npm, "push", jobs);
    project.run(&["--event", "push"]).expect(0, &["ok identity", ":environment:production"]);
}

#[test]
fn containers_reach_the_services() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let Some(npm) = libraries() else { return };
    let jobs = format!(
        "
  inside:
    permissions: {{id-token: write}}
    runs-on: ubuntu-latest
    container: {{image: 'ci-base:local', volumes: ['{0}:{0}:ro']}}
    steps:
      - {{TRY tokens}}}}
      - {{TRY interrupted}}}}
      - {{TRY save cache-4, v1: yes}}}}
      - {{TRY restore cache-4, v1: yes}}}}
      - {{TRY identity}}}}
",
        npm.display()
    );
    let project = project(npm, "push", &jobs);
    project.run(&[]).expect(0, &["ok tokens", "ok interrupted", "ok restore cache-4", "ok identity"]);
}

#[test]
fn docker_actions_of_jobs_on_this_machine_reach_the_services() {
    if !has(&["busybox:local", "redis:7-alpine"]) {
        return;
    }
    // The environment names the addresses, and the cache service answers at one of them.
    let script = r#"set -e
test -n "$ACTIONS_RESULTS_URL" && test -n "$ACTIONS_RUNTIME_URL" && test -n "$ACTIONS_ID_TOKEN_REQUEST_URL"
case "$GITHUB_API_URL" in http://*/api/v3) ;; *) exit 1 ;; esac
wget -qO- --header "Authorization: Bearer $ACTIONS_RUNTIME_TOKEN" "${ACTIONS_CACHE_URL}_apis/artifactcache/caches?key=x"
"#;
    let job = |name: &str, services: &str| {
        format!(
            "  {name}:
    runs-on: ubuntu-latest
    permissions: {{id-token: write}}
{services}    steps:
      - run: cp \"$ASK\" ask
      - {{uses: 'docker://busybox:local', with: {{entrypoint: /bin/sh, args: ask}}}}
"
        )
    };
    // A job without services is in the default network of the engine.
    let jobs = [job("alone", ""), job("beside", "    services: {cache: {image: 'redis:7-alpine'}}\n")].concat();
    let project = Project::new(&format!("on: push\njobs:\n{jobs}"));
    let ask = project.home().join("ask");
    fs::write(&ask, script).expect("written");
    let done = project.command(&["run", "--trust"]).env("ASK", &ask).output().expect("the program starts");
    let said = Said(done);
    said.expect(0, &[]);
    assert_eq!(said.out().matches(r#"{"totalCount":0,"artifactCaches":[]}"#).count(), 2, "{}", said.text());
}

#[test]
fn another_attempt_keeps_the_artifacts() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  first:
    runs-on: ubuntu-latest
    steps:
      - {TRY interrupted}}
  second:
    needs: first
    runs-on: ubuntu-latest
    steps:
      - {TRY kept}}
";
    let project = project(npm, "push", jobs);
    project.run(&[]).expect(0, &["ok interrupted", "ok kept"]);
    project.call(&["rerun", "--trust", "--job", "second"]).expect(0, &["ok kept"]);
    project.call(&["rerun", "--trust"]).expect(0, &["ok interrupted"]);
    project.call(&["artifacts"]).expect(0, &["attempt 3", "2 artifacts, 24 B"]);
}

#[test]
fn what_a_killed_worker_received_is_not_offered() {
    let Some(npm) = libraries() else { return };
    let door = tempfile::tempdir().expect("a folder");
    let jobs = format!(
        "
  a:
    runs-on: ubuntu-latest
    steps:
      - {{TRY hold, folder: '{}'}}}}
",
        door.path().display()
    );
    let project = project(npm, "push", &jobs);
    project.run(&["--detach"]).expect(0, &[]);
    until("the upload is held", || door.path().join("held").exists().then_some(()));
    let folder = project.run_folder();
    assert!(folder.join("uploads").exists());
    kill(worker_of(&project.run_id()));
    project.call(&["artifacts"]).expect(0, &["has no artifacts"]);
    assert!(!folder.join("uploads").exists() && !folder.join("artifacts").exists());
}

#[test]
fn a_full_disk_is_reported_to_the_client() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {TRY full}}
";
    let project = project(npm, "push", jobs);
    let limited = project.command(&["run", "--trust"]);
    let mut shell = Command::new("bash");
    // A limit on the size of files takes the place of a full disk. The worker inherits it.
    shell.args(["-c", "ulimit -f 4096; exec \"$0\" \"$@\""]).arg(limited.get_program()).args(limited.get_args());
    shell.current_dir(project.root());
    for (name, value) in limited.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let done = shell.output().expect("bash starts");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("ok full"), "{said}");
}

#[test]
fn artifacts_and_caches_are_listed_downloaded_and_deleted() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {TRY interrupted}}
      - {TRY small cache}}
";
    let project = project(npm, "push", jobs);
    project.call(&["artifacts"]).expect(3, &[]);
    project.call(&["cache"]).expect(0, &["the cache is empty"]);
    project.run(&[]).expect(0, &["ok interrupted", "ok small cache"]);
    project.call(&["artifacts"]).expect(0, &["interrupted", "12 B", "1 artifact, 12 B"]);
    let json: serde_json::Value = serde_json::from_str(&project.call(&["artifacts", "--json"]).out()).expect("JSON");
    assert_eq!((json["name"].as_str(), json["id"].as_u64()), (Some("interrupted"), Some(1)));
    project.call(&["artifacts", "--download", "none"]).expect(3, &["no artifact `none`; the run has interrupted"]);
    project.call(&["artifacts", "--download", "--dir", "got"]).expect(0, &["got/interrupted.zip"]);
    assert_eq!(fs::read(project.root().join("got/interrupted.zip")).expect("read"), b"first second");
    project.call(&["artifacts", "--download", "--dir", "got"]).expect(2, &["exists already"]);
    project.call(&["cache", "list"]).expect(0, &["small-1", "refs/heads/main", "1 entry"]);
    let json: serde_json::Value = serde_json::from_str(&project.call(&["cache", "--json"]).out()).expect("JSON");
    assert_eq!((json["key"].as_str(), json["scope"].as_str()), (Some("small-1"), Some("refs/heads/main")));
    project.call(&["cache", "delete", "none"]).expect(3, &["no cache entry `none`"]);
    project.call(&["cache", "delete", "small-1"]).expect(0, &["1 entry deleted"]);
    project.call(&["cache"]).expect(0, &["the cache is empty"]);
}

#[test]
fn githubs_api_is_answered_from_the_repository_and_the_run() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {TRY rest artifact-2, token: '${{ github.token }}'}}
";
    let project = project(npm, "push", jobs);
    project.write("text.txt", "hello");
    project.commit();
    project.git(&["tag", "v9"]);
    project.git(&["-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "second"]);
    project.git(&["-c", "user.name=T", "-c", "user.email=t@t", "tag", "-a", "v10", "-m", "ten"]);
    let said = project.run(&[]);
    said.expect(0, &["ok rest artifact-2", "GitHub's API: answered on this machine, about this repository and run"]);
    let asset = project.run_folder().join("releases/1/assets/a.txt");
    assert_eq!(fs::read_to_string(asset).expect("a record of the run"), "asset");
    let real = project.run(&["--secret", "GITHUB_TOKEN=x12345678"]);
    assert!(real.out().contains("GitHub's API: answered by GitHub"), "{}", real.text());
}
