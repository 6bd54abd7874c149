//! Helpers for tests with a container engine.

use std::io::Write;
use std::process::Command;

/// Whether an engine with these images is available. If not, reports that the test is skipped, which is a failure in
/// CI.
pub(crate) fn has(images: &[&str]) -> bool {
    let missing = if docker(&["version"]).is_none() {
        Some("no Docker engine answers: .ci/docker starts one".to_owned())
    } else {
        let absent = images.iter().find(|image| docker(&["image", "inspect", image]).is_none());
        absent.map(|image| format!("the image {image} is not here: .ci/images builds it"))
    };
    let Some(missing) = missing else { return true };
    skip(&missing);
    false
}

/// Reports that a test is skipped, even if the output of passing tests is hidden. In CI this is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    skip_even_in_ci(why);
}

/// Reports that a test is skipped for want of something that CI need not have.
pub(crate) fn skip_even_in_ci(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Returns the output of the docker CLI, or `None` if it fails.
pub(crate) fn docker(arguments: &[&str]) -> Option<String> {
    let done = Command::new("docker").args(arguments).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// Returns the names of all resources of a run, except snapshots.
pub(crate) fn of_run(run: &str) -> Vec<String> {
    let label = format!("label=dev.cuelight.run={run}");
    let list = |arguments: &[&str]| docker(&[arguments, &["--filter", &label]].concat()).expect("docker answers");
    let lists = [
        list(&["ps", "-a", "--format", "container {{.Names}}"]),
        list(&["network", "ls", "--format", "network {{.Name}}"]),
        list(&["volume", "ls", "--format", "volume {{.Name}}"]),
    ];
    lists.iter().flat_map(|list| list.lines()).map(str::to_owned).collect()
}

/// Asserts that a run has no resources left.
#[track_caller]
pub(crate) fn nothing_left(run: &str) {
    assert_eq!(of_run(run), Vec::<String>::new());
}
