//! The unmodified CI of the AURA platform, with real services and a real image.
//!
//! The actions are small stand-ins that do real work (tests/fixtures/actions). Only the `[actions]` setting of this
//! test selects them. The test needs Docker, node, python 3.11 and the Python package index.

use std::fs;
use std::path::PathBuf;

use crate::docker::{docker, has, nothing_left, skip};
use crate::project::{Project, copy};

const STAND_INS: &[&str] = &[
    "actions/setup-python",
    "actions/cache",
    "docker/setup-buildx-action",
    "docker/build-push-action",
    "aquasecurity/trivy-action",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn aura() -> Project {
    let project = Project::new("");
    copy(&root().join("assets/aura"), &project.root());
    project.commit();
    let folder = |name: &&str| format!("'{name}' = '{}'\n", root().join("tests/fixtures/actions").join(name).display());
    project.configure(&format!("[actions]\n{}", STAND_INS.iter().map(folder).collect::<String>()));
    project
}

#[test]
fn the_workflow_is_unmodified() {
    let theirs = root().join("../shared/seed/.github/workflows/ci.yml");
    let Ok(text) = fs::read(&theirs) else {
        return skip(&format!("the platform's workflow is not at {}", theirs.display()));
    };
    assert_eq!(fs::read(root().join("assets/aura/.github/workflows/ci.yml")).expect("there"), text);
}

#[test]
fn the_ci_runs_unmodified() {
    if !has(&["redis:7-alpine", "postgres:15-alpine", "python:3.11-slim"]) {
        return;
    }
    let project = aura();
    let workflow = [".github/workflows/ci.yml", "--event", "push"];
    let said = project.run(&workflow);
    said.expect(
        0,
        &[
            "14 passed",
            "service redis up, no check  localhost:6379",
            "service postgres healthy  localhost:5432",
            "in total, from coverage.xml",
            "Successfully built",
        ],
    );
    for job in ["lint", "test", "build", "security"] {
        assert_eq!(project.job(job)["status"], "success", "{job}");
    }
    let run = project.run_folder().file_name().expect("a name").to_string_lossy().into_owned();
    nothing_left(&run);
    let sha = project.show()["sha"].as_str().expect("a commit").to_owned();
    assert!(docker(&["image", "inspect", &format!("aura-platform:{sha}")]).is_some(), "the image is really there");

    // With a broken test, the run names it, skips dependent jobs, and still runs the others.
    project.write("tests/test_broken.py", "\"\"\"Broken on purpose.\"\"\"\n\n\ndef test_broken() -> None:\n    \"\"\"Fails.\"\"\"\n    assert 1 + 1 == 3\n");
    project.commit();
    let said = project.run(&workflow);
    said.expect(1, &["assert (1 + 1) == 3", "tests/test_broken.py:6"]);
    let status = |job: &str| project.job(job)["status"].as_str().expect("a word").to_owned();
    assert_eq!(["lint", "test", "build", "security"].map(status), ["success", "failure", "skipped", "success"]);
}
