//! The tool cache: installations of this machine and of actions, found with the library of the setup actions.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::docker::has;
use crate::project::{Project, write_program};
use crate::results::libraries;

/// Returns a project whose jobs use the client of the tool cache by the names of the setup actions.
fn project(jobs: &str) -> Project {
    let project = Project::of_jobs(jobs);
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/actions/setup");
    let mapped = ["python", "node"].map(|tool| format!("'actions/setup-{tool}' = '{}'\n", client.display()));
    project.configure(&format!("[actions]\n{}", mapped.concat()));
    project
}

/// Creates a folder that looks like an installation of Node.js.
fn installation(project: &Project, version: &str) -> PathBuf {
    let home = project.home().join(format!("node-{version}"));
    write_program(&home.join("bin/node"), &format!("#!/bin/sh\necho v{version}\n"));
    home
}

#[test]
fn setup_actions_find_what_this_machine_has_and_what_earlier_runs_installed() {
    let Some(npm) = libraries() else { return };
    let npm = npm.display();
    let project = project(&format!(
        "  first:
    runs-on: ubuntu-latest
    steps:
      - {{uses: actions/setup-node@v4, with: {{npm: '{npm}', tool: node, node-version: 77}}}}
      - run: echo node is $(node --version) in ${{NODE_HOME:-$(dirname $(command -v node))}}
      - {{uses: actions/setup-node@v4, with: {{npm: '{npm}', tool: mine, node-version: 1.2.3, install: '{home}/mine'}}}}
  second:
    needs: first
    runs-on: ubuntu-latest
    steps:
      - {{uses: actions/setup-node@v4, with: {{npm: '{npm}', tool: mine, node-version: 1.2.3}}}}
      - {{uses: actions/setup-node@v4, with: {{npm: '{npm}', tool: node, node-version: 78}}}}
",
        home = "HOME",
    ));
    let home = project.home();
    fs::create_dir_all(home.join("mine/bin")).expect("made");
    let text = fs::read_to_string(project.root().join(".github/workflows/ci.yml")).expect("there");
    project.write(".github/workflows/ci.yml", &text.replace("HOME/mine", &home.join("mine").display().to_string()));
    project.commit();
    let added = installation(&project, "77.1.0");
    project.call(&["tools", "add", &added.display().to_string()]).expect(0, &["Node.js", "77.1.0", "added"]);
    let said = project.run(&[]);
    said.expect(1, &["Node.js 77.1.0 of this machine is in the tool cache (added: ", "node is v77.1.0 in "]);
    let failed = "exit code 1; this machine has no Node.js 78, but 77.1.0";
    said.expect(1, &["found mine 1.2.3", failed, "`cuelight tools add FOLDER` adds an installation"]);
    let installed = home.join("cache/cuelight/tools/mine/1.2.3");
    assert!(installed.is_dir(), "what an action installs is kept");
    assert!(!home.join("cache/cuelight/tools/node").exists(), "what this machine has is not copied there");
}

#[test]
fn a_job_has_a_python_whose_packages_are_its_own() {
    let Some(npm) = libraries() else { return };
    let python = env::var_os("PATH").and_then(|path| {
        let found = |name: &str| env::split_paths(&path).any(|folder| folder.join(name).exists());
        found("python3").then_some(())
    });
    let project = project(&format!(
        "  a:
    runs-on: ubuntu-latest
    steps:
      - {{uses: actions/setup-python@v5, with: {{npm: '{}', tool: Python, python-version: 3.x}}}}
      - run: |
          python -c 'import sys; assert sys.prefix != sys.base_prefix, sys.prefix; print(\"in\", sys.prefix)'
          test -x \"$(command -v pip)\" && pip --version
",
        npm.display()
    ));
    if python.is_none() || project.call(&["tools"]).out().lines().all(|line| !line.starts_with("Python")) {
        return crate::docker::skip("no Python that makes virtual environments");
    }
    project.run(&[]).expect(0, &["found Python 3.x", "of this machine is in the tool cache", "_tools/Python/3."]);
}

#[test]
fn a_job_in_a_container_has_the_tools_of_its_image_and_those_of_this_machine_that_start_there() {
    let Some(npm) = libraries() else { return };
    if !has(&["ci-base:local"]) {
        return;
    }
    let npm = npm.display();
    let project = project(
        &format!(
            "  found:
    runs-on: ubuntu-latest
    container: ci-base:local
    steps:
      - {{uses: actions/setup-python@v5, with: {{npm: /npm, tool: Python, python-version: 3.11}}}}
      - run: |
          python -c 'import sys; assert sys.prefix != sys.base_prefix, sys.prefix; print(\"python in\", sys.prefix)'
          pip --version
      - {{uses: actions/setup-node@v4, with: {{npm: /npm, tool: node, node-version: 77}}}}
      - run: echo node is $(node --version) in $(command -v node)
      - {{uses: actions/setup-node@v4, with: {{npm: /npm, tool: node, node-version: 76}}}}
  missed:
    runs-on: ubuntu-latest
    container: {{image: 'ci-base:local', volumes: ['{npm}:/npm:ro']}}
    steps:
      - {{uses: actions/setup-python@v5, with: {{npm: /npm, tool: Python, python-version: 3.5}}}}
  of-another-user:
    runs-on: ubuntu-latest
    container: {{image: 'ci-base:local', options: '--user 4321:4321', volumes: ['{npm}:/npm:ro']}}
    steps:
      - {{uses: actions/setup-python@v5, with: {{npm: /npm, tool: Python, python-version: 3.11}}}}
      - run: python -c 'import os, sys; print(\"user\", os.getuid(), \"has python in\", sys.prefix)'
"
        )
        .replacen(
            "container: ci-base:local",
            &format!("container: {{image: 'ci-base:local', volumes: ['{npm}:/npm:ro']}}"),
            1,
        ),
    );
    for version in ["77.1.0", "76.1.0"] {
        let added = installation(&project, version);
        project.call(&["tools", "add", &added.display().to_string()]).expect(0, &["added"]);
    }
    // Starts on this machine, but not where its library is missing.
    let own = project.home().join("node-76.1.0/bin/node");
    let test = format!("if [ -e '{}' ]; then echo v76.1.0; else echo no such library >&2; exit 127; fi", own.display());
    fs::write(&own, format!("#!/bin/sh\n{test}\n")).expect("written");
    let said = project.run(&[]);
    said.expect(1, &[" of the image is in the tool cache (/usr/", "python in /__t/Python/3.11."]);
    said.expect(1, &["user 4321 has python in /__t/Python/3.11."]);
    said.expect(1, &["Node.js 77.1.0 of this machine is in the tool cache", "node is v77.1.0 in /__t/node/77.1.0/"]);
    said.expect(1, &["Node.js 76.1.0 of this machine cannot be offered in this container: no such library"]);
    said.expect(
        1,
        &["the image ci-base:local has no Node.js 76, but 18.", "the image ci-base:local has no Python 3.5, but 3.11."],
    );
}

#[test]
fn folders_are_added_and_removed_by_name() {
    let project = Project::of_jobs("  a:\n    runs-on: x\n    steps: [{run: x}]\n");
    let home = installation(&project, "77.1.0");
    let home = home.to_str().expect("text");
    project.call(&["tools", "add", "/nowhere"]).expect(3, &["no Python, Node.js, Go or Java in /nowhere"]);
    project.call(&["tools", "add", home, "--json"]).expect(0, &[r#""tool":"Node.js","version":"77.1.0""#]);
    project.call(&["tools"]).expect(0, &["Node.js 77.1.0    added"]);
    project.call(&["tools", "remove", home]).expect(0, &[]);
    project.call(&["tools", "remove", home]).expect(3, &["was not added"]);
    assert!(!project.call(&["tools"]).out().contains("77.1.0"));
}

#[test]
fn a_program_that_prints_without_end_is_no_tool() {
    let project = project("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    let home = installation(&project, "20.1.0");
    let path = home.to_str().expect("text");
    project.call(&["tools", "add", path]).expect(0, &["20.1.0"]);
    fs::write(home.join("bin/node"), "#!/bin/sh\nexec yes v20.1.0\n").expect("written");
    project.call(&["tools", "add", path]).expect(3, &["no Python, Node.js, Go or Java in"]);
}
