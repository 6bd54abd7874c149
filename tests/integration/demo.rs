//! The demo: green, then a test that breaks, is found, mended in the editor, and green again. Each step is taken with the
//! keys that the screen names.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::docker::{docker, has, skip};
use crate::project::{Project, Said, until, write_program};
use crate::screen::Terminal;

const WORKFLOW: &str = "on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n";

/// Shows the screen of the demo in a terminal of 80x24.
fn open(project: &Project, args: &[&str]) -> Terminal {
    // The editor of the test mends the line that it is opened at.
    let editor = project.home().join("editor");
    write_program(&editor, "#!/bin/sh\nsed -i \"${1#+}s/lines + 2/lines + 1/\" \"$2\"\n");
    let mut command = project.in_terminal(args);
    command.env("EDITOR", &editor);
    command.env_remove("VISUAL");
    // Without an engine the demo has no service, and needs no image.
    command.env("DOCKER_HOST", "unix:///nowhere.sock");
    Terminal::start(command, 24, 80)
}

#[track_caller]
fn sees(terminal: &mut Terminal, text: &str) {
    until(&format!("`{text}`"), || terminal.shows(text).then_some(()));
}

/// Returns the states of all runs of the state folder, newest first.
fn states(project: &Project) -> Vec<String> {
    let runs = fs::read_dir(project.state().join("runs")).into_iter().flatten().flatten();
    let mut ids: Vec<String> = runs.map(|run| run.file_name().to_string_lossy().into_owned()).collect();
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let state = |id: &String| {
        let shown = project.call(&["show", id, "--json"]).out();
        let run: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
        run["status"].as_str().unwrap_or("none").to_owned()
    };
    ids.iter().map(state).collect()
}

/// Presses the keys that lead from a broken test to a mended one.
fn mend(terminal: &mut Terminal, project: &Project, before: usize) {
    until("a red run", || states(project).contains(&"failure".to_owned()).then_some(()));
    terminal.press("e");
    sees(terminal, "not ok");
    terminal.press("o");
    until("a green run after it", || {
        let all = states(project);
        (all.len() == before + 2 && all[0] == "success").then_some(())
    });
    sees(terminal, "the test is mended");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn a_green_demo_offers_to_break_a_test_and_watch_mode_turns_it_green_again() {
    let project = Project::new(WORKFLOW);
    let mut terminal = open(&project, &["demo"]);
    sees(&mut terminal, "The demo is green");
    assert_eq!(states(&project), ["success"]);
    terminal.press("b");
    mend(&mut terminal, &project, 1);
}

#[test]
fn the_demo_can_begin_with_a_broken_test() {
    let project = Project::new(WORKFLOW);
    let mut terminal = open(&project, &["demo", "--break"]);
    mend(&mut terminal, &project, 0);
    // The next demo is whole again.
    let tally = project.state().join("demo/bin/tally");
    fs::write(&tally, "exit 1\n").expect("written");
    let whole = project.call_with("DOCKER_HOST", "unix:///nowhere.sock", &["demo", "--linear"]);
    // For a screen reader, the demo offers the break where the screen would.
    whole.expect(0, &["`cuelight demo --break` breaks a test"]);
}

#[test]
fn a_broken_demo_without_a_screen_names_the_line_and_how_to_mend_it() {
    let project = Project::new(WORKFLOW);
    project
        .call_with("DOCKER_HOST", "unix:///nowhere.sock", &["demo", "--break", "--headless"])
        .expect(1, &["tally counts the lines wrong", "bin/tally:", "Mend ", "`cuelight run --watch`"]);
    project.call(&["demo", "--break", "--project", "aura"]).expect(2, &["cannot be used with"]);
}

/// The allowed failure of a green run keeps its files: a shell opens in them and begins with the script that failed.
#[test]
fn an_allowed_failure_keeps_its_files_and_its_script() {
    let project = Project::new(WORKFLOW);
    let mut demo = project.command(&["demo", "--headless"]);
    let done = demo.env("DOCKER_HOST", "unix:///nowhere.sock").output().expect("the program starts");
    assert!(done.status.success());
    let mut shell = project.command(&["shell", "latest", "style", "--all"]);
    let mut shell = shell.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    shell = shell.stderr(std::process::Stdio::piped());
    let mut shell = shell.spawn().expect("the program starts");
    shell.stdin.take().expect("a pipe").write_all(b"wc -l < bin/tally\n").expect("written");
    let done = shell.wait_with_output().expect("it ends");
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out.trim().parse::<u32>().is_ok(), "{out}{errors}");
    assert!(errors.contains("Its step failed in this script:") && errors.contains("awk 'length > 80"), "{errors}");
}

#[test]
fn the_larger_project_says_what_it_needs_and_what_can_be_seen_without_it() {
    let project = Project::new(WORKFLOW);
    let mut demo = project.command(&["demo", "--project", "aura", "--headless"]);
    demo.env("DOCKER_HOST", "unix:///nowhere.sock");
    for proxy in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        demo.env(proxy, "http://127.0.0.1:9");
    }
    let done = demo.env_remove("NO_PROXY").env_remove("no_proxy").output().expect("the program starts");
    crate::project::Said(done).expect(
        1,
        &[
            "Docker, for its services and its image: ",
            "https://github.com cannot be reached (",
            "https://pypi.org cannot be reached (",
            "cuelight plan ci && cuelight lint && cuelight",
            "`cuelight demo` needs none of this.",
        ],
    );
    let aura = project.state().join("aura");
    for command in [&["plan", "ci"][..], &["lint"]] {
        let mut seen = project.command(command);
        let done = seen.current_dir(&aura).output().expect("the program starts");
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// A job whose failure is allowed may fail in every run, so only the newest runs keep its files.
#[test]
fn the_newest_runs_keep_the_files_of_allowed_failures() {
    let job =
        "  a: {runs-on: ubuntu-latest, continue-on-error: true, steps: [{uses: actions/checkout@v4}, {run: exit 1}]}\n";
    let project = Project::of_jobs(job);
    let kept = || {
        let runs = fs::read_dir(project.state().join("runs")).expect("runs").flatten();
        let mut runs: Vec<_> = runs.map(|run| run.path()).collect();
        runs.sort_unstable();
        runs.iter().map(|run| run.join("work/a").exists() && run.join("state/a.jsonl").exists()).collect::<Vec<_>>()
    };
    project.configure("[docker]\nkeep_failed = 2\n");
    for expected in [&[true][..], &[true, true], &[false, true, true]] {
        project.run(&[]).expect(0, &[]);
        assert_eq!(kept(), expected);
    }
    project.configure("[docker]\nkeep_failed = 0\n");
    project.run(&[]).expect(0, &[]);
    assert!(!kept()[3]);
}

/// Returns the containers, networks and images of the service of the tour of deployments.
fn of_tour() -> Vec<String> {
    let of_service = "label=dev.cuelight.service=cuelight-demo";
    let lists = [
        docker(&["ps", "-a", "--filter", of_service, "--format", "{{.Names}}"]),
        docker(&["network", "ls", "--filter", "name=cuelight-demo", "--format", "{{.Name}}"]),
        docker(&["images", "--filter", "reference=cuelight-demo", "--format", "{{.Repository}}:{{.Tag}}"]),
    ];
    lists.iter().flat_map(|list| list.as_deref().expect("docker answers").lines()).map(str::to_owned).collect()
}

/// Removes the tour at the end of the test, however it ends.
struct Removed<'p>(&'p Project);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = self.0.command(&["demo", "--deploy", "--remove"]).output();
    }
}

/// The names and the ports of the tour are fixed, so one test has all of it.
#[test]
fn the_tour_of_deployments_ends_as_it_says_and_leaves_nothing_once_it_is_removed() {
    if !has(&["cuelight-router:local", "busybox:stable"]) {
        return;
    }
    if !of_tour().is_empty() {
        // It belongs to the person who runs the tests.
        skip("a tour of deployments is on this machine: `cuelight demo --deploy --remove` removes it");
        return;
    }
    let project = Project::new(WORKFLOW);
    let removed = Removed(&project);
    let tour = project.call(&["demo", "--deploy", "--headless"]);
    tour.expect(
        0,
        &[
            // Rolling: one replica after the other. Blue-green: all traffic at once. Canary: growing shares.
            "staging: deploy v2",
            "Stop blue to 1",
            "preview: deploy v2",
            "production: deploy v2",
            "Send 10 % of the traffic to green",
            "Send 50 % of the traffic to green",
            "production: deploy v3",
            "the new release failed its analysis",
            "`cuelight demo --deploy --remove` removes the containers of the demo and all its traces.",
        ],
    );
    let at = |args: &[&str]| {
        let mut command = project.command(args);
        Said(command.current_dir(project.state().join("demo-deploy")).output().expect("the program starts"))
    };
    let deployments = at(&["deploys", "--json"]).out();
    let deployments = deployments.lines().map(|line| serde_json::from_str(line).expect("a document per line"));
    let deployments: Vec<serde_json::Value> = deployments.collect();
    assert_eq!(deployments.len(), 7);
    at(&["deploys"]).expect(0, &["production  v3", "rolled back", "v2", "serves again"]);
    for environment in ["staging", "preview", "production"] {
        at(&["env", environment]).expect(0, &["v2"]);
    }
    let serving: Vec<String> = of_tour().into_iter().filter(|name| name.contains("-production-")).collect();
    assert!(serving.iter().any(|name| name == "cuelight-demo-production-router"), "{serving:?}");
    project.call(&["demo", "--deploy", "--remove"]).expect(0, &["removed the container ", "removed the network "]);
    assert_eq!(of_tour(), Vec::<String>::new());
    assert!(!project.state().join("demo-deploy").exists());
    project.call(&["demo", "--deploy", "--remove"]).expect(0, &["Nothing of the demo's deployments is left."]);
    // In the middle of the canary.
    let mut command = project.command(&["demo", "--deploy", "--headless"]);
    let mut going = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let canary = || of_tour().contains(&"cuelight-demo-production-green-1".to_owned()).then_some(());
    until("the canary of v2 runs", canary);
    let said = project.call(&["demo", "--deploy", "--remove"]);
    said.expect(0, &["which deploys v2 ", " to production.", "removed the container cuelight-demo-production-green-1"]);
    assert!(!going.wait().expect("it ends").success(), "its deployment was ended");
    assert_eq!(of_tour(), Vec::<String>::new());
    drop(removed);
}
