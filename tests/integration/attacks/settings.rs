//! Settings of a repository that would loosen the settings of the user, or that change after they were trusted.

use std::fs;

use crate::project::Project;

const WORKFLOW: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: a/b@v1}]}}\n";

#[test]
fn a_repository_does_not_place_jobs_on_the_host_or_name_commands() {
    let project = Project::new(WORKFLOW);
    project.call(&["trust"]).expect(0, &[]);
    for (text, key) in [
        ("[runs-on]\nubuntu-latest = 'host'\n", "runs-on.ubuntu-latest"),
        ("[runs-on]\nmoon = 'host'\n", "runs-on.moon"),
        ("[screen]\non_failure = 'touch mark'\n", "screen.on_failure"),
        ("[screen]\non_wait = 'touch mark'\n", "screen.on_wait"),
        ("[keys]\nquit = 'x'\n", "keys.quit"),
        ("keep_runs = 0\n", "keep_runs"),
        ("[docker]\nkeep_failed = 0\n", "docker.keep_failed"),
    ] {
        project.write(".cuelight.toml", text);
        for args in [&["run"][..], &["run", "ci"], &["config"]] {
            project.call(args).expect(2, &[".cuelight.toml", &format!("`{key}` cannot be")]);
        }
    }
}

#[test]
fn the_settings_of_the_user_come_first_and_what_has_no_effect_is_shown() {
    let project = Project::new(WORKFLOW);
    project.configure(
        "max_parallel = 2\noffline = true\n[docker]\nimage = 'mine'\n[actions]\n'a/b' = 'https://mine.example'\n",
    );
    let text = "max_parallel = 64\noffline = false\n[docker]\nimage = 'evil'\n[actions]\n'a/b@v1' = './evil'\n'c/d' = './theirs'\n";
    project.write(".cuelight.toml", text);
    project.call(&["config"]).expect(
        0,
        &[
            "max_parallel = 2  # ",
            "offline = true  # ",
            "image = \"mine\"  # ",
            "`max_parallel` has no effect: a repository can only make it stricter\n",
            "`offline` has no effect",
            "`docker.image` has no effect: the user's own settings come first\n",
            "`actions.a/b@v1` has no effect",
            "\"c/d\" = \"./theirs\"  # ",
            ".cuelight.toml:7:1\n",
        ],
    );
}

#[test]
fn what_a_repository_names_is_part_of_what_is_trusted() {
    let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
    project.write(".cuelight.toml", "max_parallel = 1\n");
    project.call(&["trust"]).expect(0, &[]);
    project.call(&["run"]).expect(0, &["hi"]);
    for text in [
        "[actions]\n'actions/checkout' = './evil'\n",
        "[docker]\nimage = 'evil'\n",
        "[runs-on]\nself-hosted = 'docker:evil'\n",
    ] {
        project.write(".cuelight.toml", text);
        project.call(&["run"]).expect(4, &["its .cuelight.toml has changed since it was trusted"]);
        project.call(&["rerun"]).expect(4, &["has changed since it was trusted"]);
    }
    project.call(&["trust", "--ask"]).expect(4, &["!", ".cuelight.toml sets: runs-on.self-hosted = \"docker:evil\""]);
    project.call(&["trust"]).expect(0, &[]);
    project.call(&["run"]).expect(0, &["hi"]);
    fs::remove_file(project.root().join(".cuelight.toml")).expect("removed");
    project.call(&["run"]).expect(4, &["has changed since it was trusted"]);
}

#[test]
fn a_source_of_actions_shows_no_file_of_the_user_before_it_is_trusted() {
    let project = Project::new(
        "on: push\njobs:\n  a: {uses: o/r/.github/workflows/ci.yml@v1}\n  b: {uses: o/r/passwd@v1}\n  c: {uses: O/r@v1}\n",
    );
    let outer = project.home().join("outer");
    fs::create_dir_all(outer.join(".github/workflows")).expect("made");
    for name in [".github/workflows/ci.yml", "passwd"] {
        fs::write(outer.join(name), "secret: [hush\n").expect("written");
    }
    let absolute = outer.display().to_string();
    for source in [absolute.as_str(), "../outer", "./../outer/../outer"] {
        for name in ["o/r", "o/r@v1", "O/R"] {
            project.write(".cuelight.toml", &format!("[actions]\n'{name}' = '{source}'\n"));
            for args in [
                &["plan", "ci"][..],
                &["plan", "ci", "--format", "json"],
                &["plan"],
                &["trust", "--ask"],
                &["run", "ci"],
                &["lint"],
            ] {
                let said = project.call(args).text();
                assert!(!said.contains("hush"), "{source} {args:?}: {said}");
            }
        }
    }
    project.call(&["trust"]).expect(0, &[]);
    project.call(&["plan", "ci"]).expect(1, &["secret: [hush"]);
}
