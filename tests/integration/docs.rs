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
