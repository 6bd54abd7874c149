//! Completions in real shells, with values that the program looks up, and the manual pages.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::docker::skip_even_in_ci;
use crate::project::{Project, until};
use crate::screen::Terminal;

const WORKFLOW: &str = "name: Release train
on: push
jobs:
  compile: {runs-on: ubuntu-latest, steps: [{name: Say it, run: echo hi}]}
  verify: {needs: compile, runs-on: ubuntu-latest, steps: [{run: exit 1}]}
";

/// Creates a project with a failed run, an environment, and names that a shell must not see.
fn project() -> Project {
    let project = Project::new(WORKFLOW);
    project.write(".github/workflows/$(touch pwned).yml", "on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n");
    project.write(
        ".cuelight.toml",
        "[environments.staging]\ntarget = {start = 'true', stop = 'true', healthy = 'true'}\n",
    );
    project.call(&["run", "ci", "--trust"]).expect(1, &[]);
    project
}

/// Returns the search path with this program first.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_cuelight"));
    format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default())
}

/// Whether a shell is installed. Prints a note if it is not: a machine need not have every shell.
fn has(shell: &str) -> bool {
    let found = Command::new(shell).args(["-c", "exit"]).stdin(Stdio::null()).status().is_ok_and(|done| done.success());
    if !found {
        skip_even_in_ci(&format!("{shell} is not installed, so its completions are not tried"));
    }
    found
}

/// Runs a script of a shell in the project, and returns what it prints. Fails if it prints an error.
fn script(project: &Project, shell: &str, text: &str) -> String {
    let mut command = project.command(&[]);
    let settings: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new(shell);
    command.args(["-c", text]).current_dir(project.root()).stdin(Stdio::null()).env("PATH", path());
    for (name, value) in settings {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("HOME", project.home());
    let done = command.output().expect("the shell starts");
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(errors, "", "{shell}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Returns the parts into which bash splits a word.
fn split_by_bash(word: &str) -> Vec<String> {
    let is_break = |c: char| matches!(c, '=' | ':' | '@');
    let mut parts: Vec<String> = vec![String::new()];
    for c in word.chars() {
        let last = parts.last_mut().expect("a part");
        match last.chars().last().map(is_break) {
            Some(breaks) if breaks != is_break(c) => parts.push(c.to_string()),
            _ => last.push(c),
        }
    }
    parts
}

/// Returns what bash offers for the end of the last of these words, as it calls the function: with the words split.
fn in_bash(project: &Project, words: &[&str]) -> Vec<String> {
    let parts: Vec<String> = words.iter().flat_map(|word| split_by_bash(word)).collect();
    let quoted: Vec<String> = parts.iter().map(|word| format!("'{word}'")).collect();
    let index = parts.len() - 1;
    let current = if parts[index].contains(['=', ':', '@']) { "" } else { parts[index].as_str() };
    let line = words.join(" ");
    let text = format!(
        "source <(cuelight completions bash)
         COMP_WORDS=({}) COMP_CWORD={index} COMP_LINE='{line}' COMP_POINT={}
         _cuelight cuelight '{current}' '{}'
         (( ${{#COMPREPLY[@]}} )) && printf '%s\\n' \"${{COMPREPLY[@]}}\" || true",
        quoted.join(" "),
        line.len(),
        parts[index - 1]
    );
    script(project, "bash", &text).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_values_at_which_it_splits_words() {
    let project = project();
    let given = "{target: {type: choice, options: [dev, prod]}, note: {type: string}}";
    let text =
        format!("on: {{workflow_dispatch: {{inputs: {given}}}}}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
    project.write(".github/workflows/ship.yml", &text);
    let offered = |words: &[&str]| in_bash(&project, &[&["cuelight", "run", "ship"], words].concat());
    assert_eq!(offered(&["--input", ""]), ["target=dev", "target=prod", "note="]);
    assert_eq!(offered(&["--input", "target="]), ["dev", "prod"], "bash keeps what is before the `=`");
    assert_eq!(offered(&["--input", "target=p"]), ["prod"]);
    assert_eq!(offered(&["--input=target=p"]), ["prod"]);
    assert_eq!(offered(&["--input", "target=dev", "--input", "target=p"]), ["prod"]);
    for option in ["--event-set", "--matrix", "--env", "--var", "--secret"] {
        assert!(offered(&[option, "a="]).is_empty(), "{option} has no values that are known, and no options");
        assert!(offered(&[option, "a=b:c"]).is_empty(), "{option}");
        assert_eq!(offered(&[option, "a=b:c@d", "--input", "target=d"]), ["dev"], "{option}");
    }
}

#[test]
fn bash_offers_what_exists() {
    let project = project();
    let offered = |words: &[&str]| in_bash(&project, &[&["cuelight"], words].concat());
    let id = project.run_id();
    assert_eq!(offered(&["run", ""]), ["ci"], "no option hides a value, and no strange name is offered");
    assert_eq!(offered(&["run", "c"]), ["ci"]);
    let options = offered(&["plan", "ci", ""]);
    assert!(options.contains(&"--event".to_owned()) && !options.contains(&"--refs".to_owned()), "{options:?}");
    assert_eq!(offered(&["run", "ci", "--job", ""]), ["compile", "verify"]);
    assert_eq!(offered(&["run", "ci", "--job", "v"]), ["verify"]);
    assert_eq!(offered(&["run", "release train", "--job", ""]), ["compile", "verify"], "as `run` finds a workflow");
    assert_eq!(offered(&["run", "ci", "--event", ""]), ["push"]);
    assert_eq!(offered(&["lint", ""]), ["ci"]);
    assert_eq!(offered(&["lint", ".github/workflows/c"]), [".github/workflows/ci.yml"]);
    assert_eq!(offered(&["lint", "--explain", "if-"]), ["if-cond"]);
    assert_eq!(offered(&["runs", "--status", "ru"]), ["running"]);
    assert_eq!(offered(&["show", ""]), [id.as_str(), "latest"]);
    for ended in [&["rerun", ""][..], &["rerun", "--failed", ""], &["delete", ""], &["shell", ""]] {
        assert!(offered(ended).contains(&id), "{ended:?}");
    }
    for active in [&["cancel", ""][..], &["held", "sync", ""], &["held", "on", ""], &["resume", ""]] {
        assert!(!offered(active).contains(&id), "the run has ended: {active:?}");
    }
    assert_eq!(offered(&["attach", "l"]), ["latest"]);
    assert_eq!(offered(&["runs", "--before", ""]), [id.as_str()]);
    assert_eq!(offered(&["runs", "-b", ""]), ["main"]);
    assert_eq!(offered(&["run", "--sandbox", ""]), ["host", "docker", "docker:"]);
    assert_eq!(offered(&["run", "ci", "--break", ""]), ["compile/", "verify/"]);
    assert_eq!(offered(&["run", "ci", "--break", "comp"]), ["compile/"]);
    assert_eq!(offered(&["logs", &id, "--job", ""]), ["compile", "verify"]);
    assert_eq!(offered(&["logs", "--job=comp"]), ["compile"], "bash keeps what is before the `=`");
    // "Set up job" is step 1.
    assert!(offered(&["logs", &id, "--job", "compile", "--step", ""]).contains(&"2".to_owned()));
    assert_eq!(offered(&["deploy", "st"]), ["staging"]);
    assert_eq!(offered(&["lock", ""]), ["staging"]);
    assert!(offered(&["logs", "--fa"]).contains(&"--failed".to_owned()));
    assert!(offered(&["sho"]).contains(&"show".to_owned()));
    assert!(!project.root().join("pwned").exists());
    // Nothing is printed where nothing can be read.
    std::fs::write(project.root().join(".cuelight.toml"), "[[").expect("written");
    assert!(!offered(&["deploy", ""]).contains(&"staging".to_owned()));
}

#[test]
fn fish_offers_what_exists_with_descriptions() {
    if !has("fish") {
        return;
    }
    let project = project();
    let offered = |line: &str| {
        script(&project, "fish", &format!("cuelight completions fish | source; complete --do-complete '{line}'"))
    };
    assert_eq!(offered("cuelight run "), "ci\tRelease train\n");
    assert_eq!(offered("cuelight logs --job v"), "verify\tverify, failure\n");
    let run = offered("cuelight show ");
    assert!(run.starts_with(&project.run_id()) && run.contains("\tRelease train, push main, failure"), "{run}");
}

#[test]
fn zsh_inserts_the_only_value() {
    if !has("zsh") {
        return;
    }
    let project = project();
    let mut shell = project.in_terminal(&[]);
    *shell.get_argv_mut() = ["zsh", "-f", "-i"].map(Into::into).into();
    shell.env("PATH", path());
    shell.env("HOME", project.home());
    let mut terminal = Terminal::start(shell, 24, 120);
    let mut enter = |text: &str, shown: &str| {
        terminal.press(text);
        until(shown, || terminal.shows(shown).then_some(()));
    };
    enter("autoload -U compinit; compinit -D -u; source <(cuelight completions zsh); echo rea''dy\n", "\nready");
    enter("cuelight logs --job v\t", "logs --job verify");
    enter("\x15cuelight deploy st\t", "deploy staging");
    terminal.press("\x15exit\n");
    terminal.exit_code();
}

#[test]
fn an_error_prints_nothing() {
    let project = Project::new(WORKFLOW);
    for (shell, words) in [("bash", &["--", "cuelight", "show", ""][..]), ("no-shell", &["--", "cuelight", ""])] {
        let mut asked = project.command(words);
        asked.env("CUELIGHT_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", "99").env("CUELIGHT_STATE_DIR", "/dev/null");
        let done = asked.output().expect("the program starts");
        assert_eq!((done.stdout, done.stderr), (Vec::new(), Vec::new()), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let project = Project::new(WORKFLOW);
    let folder = project.home().join("man/man1");
    let target = folder.to_str().expect("text");
    project.call(&["man", target]).expect(0, &["cuelight.1"]);
    let page =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page("cuelight.1").contains(".TH cuelight 1"), "{}", page("cuelight.1"));
    assert!(page("cuelight-run.1").contains("\\-\\-watch"), "{}", page("cuelight-run.1"));
    assert!(!folder.join("cuelight-worker.1").exists(), "hidden commands have no page");
    project.call(&["man", "/proc/none"]).expect(5, &["cannot make the folder /proc/none: "]);
    let full = project.home().join("full");
    std::fs::create_dir_all(full.join("cuelight.1")).expect("made");
    let text = full.to_str().expect("text");
    project.call(&["man", text]).expect(5, &["cannot write the manual pages into ", text]);
}
