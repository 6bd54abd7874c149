//! Checks that generated files match those in the repository, and that the README mentions only existing commands and
//! files.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use cuelight::app::action::{ACTIONS, Context};

use crate::project::copy;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn program(args: &[&str]) -> String {
    let printed = Command::new(env!("CARGO_BIN_EXE_cuelight")).args(args).output().expect("the program starts");
    assert!(printed.status.success(), "{args:?}: {}", String::from_utf8_lossy(&printed.stderr));
    String::from_utf8_lossy(&printed.stdout).into_owned()
}

#[test]
fn completions_match_the_command_line() {
    for shell in ["bash", "zsh", "fish"] {
        let name = format!("assets/completions/cuelight.{shell}");
        assert_eq!(read(&name), program(&["completions", shell]), "write {name} again: cuelight completions {shell}");
    }
}

#[test]
fn the_readme_has_every_exit_code_of_the_help() {
    let help = program(&["--help"]);
    let readme = read("README.md");
    let codes = help.split("Exit codes:").nth(1).expect("codes in the help").trim();
    assert!(codes.lines().count() >= 8);
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").expect("a code and its meaning");
        assert!(readme.contains(&format!("| {code} | {meaning} |")), "the README lacks: | {code} | {meaning} |");
    }
}

/// Returns the table of the default keys.
fn key_table() -> String {
    let mut table = "| Key | Action | What it does |\n|---|---|---|\n".to_owned();
    for entry in ACTIONS.iter() {
        let keys: Vec<String> = entry.keys.iter().map(|key| format!("`{key}`")).collect();
        let place = match entry.contexts {
            [Context::Panel(panel)] => format!(" ({})", panel.name()),
            _ => String::new(),
        };
        writeln!(table, "| {} | `{}` | {}{place} |", keys.join(" "), entry.name, entry.doc)
            .expect("writing to a string cannot fail");
    }
    table
}

#[test]
fn the_keys_page_matches_the_screen() {
    let table = key_table();
    assert!(read("assets/keys.md").ends_with(&table), "put this table at the end of assets/keys.md:\n{table}");
}

#[test]
fn configured_keys_are_listed() {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("cuelight")).expect("made");
    fs::write(home.path().join("cuelight/config.toml"), "[keys]\nwrap = [\"ctrl-w\"]\n").expect("written");
    let keys = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cuelight"));
        command.arg("keys").args(args).current_dir(home.path()).env("XDG_CONFIG_HOME", home.path());
        String::from_utf8(command.output().expect("the program starts").stdout).expect("text")
    };
    let row = |line: &str| line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    assert!(keys(&[]).lines().any(|line| row(line) == ["ctrl-w", "wrap"]), "{}", keys(&[]));
    let rows: Vec<serde_json::Value> =
        keys(&["--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let wrap = rows.iter().find(|row| row["action"] == "wrap").expect("a row");
    assert_eq!((&wrap["keys"][0], &wrap["panel"]), (&"ctrl-w".into(), &"Log".into()));
    let top = rows.iter().find(|row| row["action"] == "top").expect("a row");
    assert_eq!(top["keys"], serde_json::json!(["g g", "home"]));
}

#[test]
fn the_example_config_is_the_printed_default() {
    assert_eq!(read("config.example.toml"), program(&["config", "--example"]));
}

/// The pictures show a stored run as the program draws it.
#[test]
fn the_pictures_match_the_program() {
    // The run is copied, because the program writes the index of its runs into the state folder.
    let state = tempfile::tempdir().expect("a folder");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens"), state.path());
    for (name, args) in [
        ("demo", "--at 4.2 --format svg"),
        ("failure", "--size 80x24 --keys e/characters<enter> --format svg"),
        ("palette", "--size 80x24 --at 4.2 --keys :st --format svg"),
    ] {
        let mut draw = Command::new(env!("CARGO_BIN_EXE_cuelight"));
        draw.args(["screenshot", "latest", "--all"]).args(args.split(' ')).env("CUELIGHT_STATE_DIR", state.path());
        let drawn = draw.output().expect("the program starts");
        assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
        let file = format!("assets/screenshots/{name}.svg");
        let same = read(&file) == String::from_utf8_lossy(&drawn.stdout);
        assert!(
            same,
            "draw {file} again: CUELIGHT_STATE_DIR=<copy of tests/fixtures/screens> cuelight screenshot --all {args} > {file}"
        );
    }
}

/// Returns a line of the transcript for a comparison: with one blank between words, and without the lengths of time.
fn comparable(line: &str) -> String {
    let is_time = |word: &str| word.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok());
    let words = line.split_whitespace().map(|word| if is_time(word) { "TIME" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs the first command of the README without its screen, and compares the transcript: a line `…` in it stands for any
/// lines, and times differ.
#[test]
fn the_demo_of_the_readme_runs() {
    let readme = read("README.md");
    let command = readme.lines().find_map(|line| line.strip_prefix("cargo run --profile quick -- "));
    let args = command.and_then(|line| line.split('#').next()).expect("the demo's command").split_whitespace();
    let transcript = readme.split("```console\n$ cuelight demo --headless\n").nth(1).expect("a transcript");
    let transcript = transcript.split("```").next().expect("its lines");
    let home = tempfile::tempdir().expect("a folder");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_cuelight"));
    demo.args(args).args(["--headless", "--into"]).arg(home.path().join("project"));
    demo.env("CUELIGHT_STATE_DIR", home.path().join("state")).env("XDG_CONFIG_HOME", home.path());
    demo.env_remove("GITHUB_ACTIONS").env("LC_ALL", "C.UTF-8");
    let printed = demo.output().expect("the program starts");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let printed = String::from_utf8_lossy(&printed.stdout);
    for part in ["✓ Deploy ", "! Style ", "failure (allowed)", "– Nightly soak ", "\n✓ success in "] {
        assert!(printed.contains(part), "`{part}` is not in:\n{printed}");
    }
    let printed: Vec<String> = printed.lines().map(comparable).collect();
    let mut at = 0;
    for part in transcript.trim_end().split("…\n") {
        let lines: Vec<String> = part.lines().map(comparable).collect();
        let found = printed[at..].windows(lines.len()).position(|window| window == lines);
        at += found.unwrap_or_else(|| panic!("the demo does not print:\n{part}\nbut:\n{}", printed.join("\n")))
            + lines.len();
    }
}

/// The README stays short, and its links point to existing files.
#[test]
fn the_readme_is_short_and_its_links_exist() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 130, "the README is for a first look");
    for (at, _) in readme.match_indices("](") {
        let target = readme[at + 2..].split(')').next().expect("a target");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(target).exists(), "{target}");
    }
}

#[test]
fn every_command_in_the_readme_exists() {
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

#[test]
fn the_map_of_the_source_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("src/lib.rs")).expect("source is text");
    let spans = map.lines().filter(|line| line.starts_with("//!")).flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_file =
        |span: &&str| Path::new(span).extension().is_some_and(|extension| extension == "rs" || extension == "md");
    let files: Vec<_> = spans.filter(is_file).collect();
    let missing: Vec<_> =
        files.iter().filter(|file| !root.join("src").join(file).exists() && !root.join(file).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(files.len() > 20, "the map was read: {files:?}");
}
