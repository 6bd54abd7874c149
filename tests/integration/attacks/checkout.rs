//! Repositories and steps that block or mislead `actions/checkout`.

use std::fs;
use std::path::Path;

use super::bounded;
use crate::docker::has;
use crate::project::{Project, until};
use crate::survival::pids;

/// Creates a project in which checking out a commit starts a filter of the user that does not end. Also returns the
/// file that the filter creates.
fn filtered(step: &str) -> (Project, std::path::PathBuf) {
    let project = Project::of_jobs(&format!(
        "\n  a: {{runs-on: ubuntu-latest, steps: [{{uses: actions/checkout@v4, with: {{ref: main}}{step}}}]}}"
    ));
    let mark = project.home().join("mark");
    project.write(".gitattributes", "*.txt filter=slow\n");
    project.write("a.txt", "1");
    project.commit();
    let git = project.home().join("config/git");
    fs::create_dir_all(&git).expect("made");
    let smudge = format!("bash -c 'touch {mark}; exec -a {mark}-filter sleep 1000'", mark = mark.display());
    fs::write(git.join("config"), format!("[filter \"slow\"]\n\tsmudge = \"{smudge}\"\n")).expect("written");
    (project, mark)
}

fn filters(mark: &Path) -> Vec<i32> {
    let name = format!("{}-filter", mark.display());
    pids(|command| command.starts_with(&name))
}

#[test]
fn a_checkout_that_waits_ends_by_its_time_limit() {
    let (project, mark) = filtered(", timeout-minutes: 0.1");
    bounded(&project, &["run", "--trust"]).expect(1, &["timed out before the files were checked out"]);
    assert!(mark.exists());
    until("the filter has ended", || filters(&mark).is_empty().then_some(()));
}

#[test]
fn a_checkout_that_waits_ends_by_a_cancel() {
    for cancel in [&["cancel", "latest"][..], &["cancel", "latest", "--force"]] {
        let (project, mark) = filtered("");
        project.run(&["--detach"]).expect(0, &[]);
        until("the filter runs", || mark.exists().then_some(()));
        bounded(&project, cancel).expect(0, &[]);
        until("the run has ended", || (project.show()["status"] == "cancelled").then_some(()));
        until("the filter has ended", || filters(&mark).is_empty().then_some(()));
    }
}

#[test]
fn an_index_that_names_other_files_fails_the_checkout_in_words() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}]}");
    let precious = project.home().join("precious");
    fs::write(&precious, "kept").expect("written");
    let path = precious.to_str().expect("text");
    let name = "x".repeat(path.len());
    project.write(&name, "planted");
    project.commit();
    let index = project.root().join(".git/index");
    let mut bytes = fs::read(&index).expect("read");
    let at = bytes.windows(name.len()).position(|part| part == name.as_bytes()).expect("in the index");
    bytes[at..at + name.len()].copy_from_slice(path.as_bytes());
    fs::write(index, bytes).expect("written");
    bounded(&project, &["run", "--trust"]).expect(1, &["which is not a path in the repository"]);
    assert_eq!(fs::read_to_string(&precious).expect("there"), "kept");
}

#[test]
fn the_objects_of_another_repository_are_not_mounted_unless_the_user_allows_it() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let other = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}");
    let objects = other.root().join(".git/objects").canonicalize().expect("there");
    let project = Project::of_jobs(&format!(
        "\n  a: {{runs-on: ubuntu-latest, container: 'ci-base:local', steps: [{{run: 'test ! -e {at} && echo not-there'}}, \
         {{uses: actions/checkout@v4, if: always()}}, {{run: 'git fsck && echo whole'}}]}}",
        at = objects.display()
    ));
    let alternates = project.root().join(".git/objects/info/alternates");
    fs::create_dir_all(alternates.parent().expect("a folder")).expect("made");
    fs::write(alternates, format!("{}\n", objects.display())).expect("written");
    let question = project.call(&["trust", "--ask"]).text();
    assert!(question.contains("jobs can read the git objects in"), "{question}");
    bounded(&project, &["run", "--trust"]).expect(1, &["not-there", "which is not part of it"]);
    let names = ["git_objects = ['relative']", "git_objects = 'text'"];
    for wrong in names {
        project.configure(&format!("[docker]\n{wrong}\n"));
        bounded(&project, &["run", "--trust"]).expect(2, &["a list of absolute paths"]);
    }
    project.configure(&format!("[docker]\ngit_objects = ['{}']\n", other.home().display()));
    project.write(
        ".github/workflows/ci.yml",
        "on: push\njobs: {a: {runs-on: ubuntu-latest, container: 'ci-base:local', steps: [{uses: actions/checkout@v4}, \
         {run: 'git fsck && echo whole'}]}}",
    );
    bounded(&project, &["run", "--trust"]).expect(0, &["whole"]);
}
