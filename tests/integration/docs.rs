//! What is generated equals what is committed, and the README says only what the program does.

use std::fs;
use std::path::Path;
use std::process::Command;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn program(args: &[&str]) -> String {
    let said = Command::new(env!("CARGO_BIN_EXE_cuelight")).args(args).output().expect("the program starts");
    assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[test]
fn completions_are_those_of_the_command_line() {
    for shell in ["bash", "zsh", "fish"] {
        let name = format!("assets/completions/cuelight.{shell}");
        assert_eq!(read(&name), program(&["completions", shell]), "write {name} again: cuelight completions {shell}");
    }
}

#[test]
fn the_readme_has_every_exit_code_as_the_program_tells_it() {
    let help = program(&["--help"]);
    let readme = read("README.md");
    let codes = help.split("Exit codes:").nth(1).expect("codes in the help").trim();
    assert!(codes.lines().count() >= 8);
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").expect("a code and what it says");
        assert!(readme.contains(&format!("| {code} | {meaning} |")), "the README lacks: | {code} | {meaning} |");
    }
}

#[test]
fn the_readme_has_the_keys_of_the_screen() {
    let table = cuelight::app::action::key_table();
    assert!(read("README.md").contains(&table), "put this table into the README:\n{table}");
}

#[test]
fn the_example_of_the_settings_is_what_the_program_prints() {
    assert_eq!(read("config.example.toml"), program(&["config", "--example"]));
}

/// The pictures are what the program draws of a stored run.
#[test]
fn the_pictures_are_drawn_by_the_program() {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens");
    for (name, args) in [
        ("demo", "--at 4.2 --format svg"),
        ("failure", "--size 80x24 --keys e/characters<enter> --format svg"),
        ("palette", "--size 80x24 --at 4.2 --keys :st --format svg"),
    ] {
        let mut draw = Command::new(env!("CARGO_BIN_EXE_cuelight"));
        draw.args(["screenshot", "latest"]).args(args.split(' ')).env("CUELIGHT_STATE_DIR", &runs);
        let drawn = draw.output().expect("the program starts");
        assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
        let file = format!("assets/screenshots/{name}.svg");
        let same = read(&file) == String::from_utf8_lossy(&drawn.stdout);
        assert!(
            same,
            "draw {file} again: CUELIGHT_STATE_DIR=tests/fixtures/screens cuelight screenshot {args} > {file}"
        );
    }
}

/// The README's picture of a run: its lines are those of a real one, but for ids, times and checksums. The order of jobs
/// that run side by side is chance.
#[test]
fn the_readme_shows_the_demo_as_it_is() {
    let home = tempfile::tempdir().expect("a folder");
    let project = home.path().join("project");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_cuelight"));
    demo.args(["demo", "--headless", "--into"]).arg(&project);
    demo.env("CUELIGHT_STATE_DIR", home.path().join("state")).env("XDG_CONFIG_HOME", home.path());
    demo.env_remove("GITHUB_ACTIONS").env("LC_ALL", "C.UTF-8");
    let said = demo.output().expect("the program starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8_lossy(&said.stdout).replace(&project.display().to_string(), "/tmp/cuelight-demo");
    // Run ids and checksums are hexadecimal or decimal numbers of any length, times have a point.
    let number = regex::Regex::new(r"\b[0-9][0-9a-f.-]*s?\b").expect("a pattern");
    let plain = |line: &str| number.replace_all(line, "N").split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = said.lines().map(plain).collect();
    let readme = read("README.md");
    let picture = readme.split("$ cuelight demo --headless\n").nth(1).and_then(|rest| rest.split("```").next());
    for line in picture.expect("a picture").lines().filter(|line| *line != "⋮") {
        assert!(lines.contains(&plain(line)), "the demo does not say `{line}`:\n{said}");
    }
}

#[test]
fn every_command_that_the_readme_names_exists() {
    let help = program(&["--help"]);
    let known: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    let readme = read("README.md");
    let named = readme
        .match_indices("`cuelight ")
        .map(|(at, _)| readme[at + 10..].split(|c: char| !c.is_ascii_lowercase()).next().expect("a word"));
    for command in named.filter(|command| !command.is_empty()) {
        assert!(known.contains(&command), "the README names `cuelight {command}`");
    }
}

#[test]
fn the_visible_top_level_is_as_agreed() {
    let allowed =
        ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "assets", "config.example.toml", "src", "target", "tests"];
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("readable").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let others: Vec<_> = names.filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
}
