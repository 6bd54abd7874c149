//! Names of folders and files that are not one line of plain text. They must not forge a line, reach a terminal as
//! anything but text, or stand for another repository.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::project::{Project, Said};

/// Texts that a name may contain. Each has `FORGED` at the start of a line if the name is printed without change.
const NAMES: [&str; 6] = [
    "a\n::error::FORGED\nFORGED",
    "a\r\n##[error]FORGED",
    "\u{1b}[2J\u{1b}]0;t\u{7}\u{1b}[1GFORGED",
    "a\u{85}FORGED\u{2028}FORGED\u{202e}",
    "a\u{b}FORGED\u{c}FORGED\u{9b}1G",
    "a\n  FORGED\n\tFORGED",
];

/// Returns the name as a line of plain text.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{202e}') { 'x' } else { c }).collect()
}

/// Returns a name as quoted text for YAML and TOML, which require escapes for more control characters than JSON.
fn quoted(name: &str) -> String {
    let text = serde_json::to_string(name).expect("text");
    text.chars().map(|c| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// Commands that print names of the repository, of its files and of its runs.
const COMMANDS: &[&[&str]] = &[
    &["lint"],
    &["lint", "--format", "github"],
    &["lint", "--format", "json"],
    &["lint", "--format", "sarif"],
    &["lint", "FILE"],
    &["lint", "MISSING"],
    &["--FILE"],
    &["lint", "--FILE"],
    &["runs", "--status", "FILE"],
    &["plan"],
    &["plan", "--format", "json"],
    &["plan", "FILE"],
    &["plan", "FILE", "--format", "mermaid"],
    &["plan", "FILE", "--format", "dot"],
    &["plan", "FILE", "--format", "svg"],
    &["plan", "FILE", "--format", "json"],
    &["plan", "FILE", "--event", "release"],
    &["plan", "MISSING"],
    &["trust", "--ask"],
    &["run"],
    &["run", "MISSING"],
    &["run", "FILE"],
    &["run", "FILE", "--job", "MISSING"],
    &["run", "FILE", "--trust"],
    &["run", "FILE", "--trust", "--event", "release"],
    &["trust"],
    &["trust", "--list"],
    &["run"],
    &["runs"],
    &["runs", "--json"],
    &["runs", "--workflow", "FILE"],
    &["show"],
    &["show", "--json"],
    &["show", "MISSING"],
    &["logs"],
    &["logs", "--job", "MISSING"],
    &["logs", "--failed"],
    &["explain"],
    &["screenshot"],
    &["screenshot", "--format", "svg"],
    &["rerun"],
    &["cancel"],
    &["config"],
    &["doctor"],
    &["clean", "--all", "--dry-run"],
    &["trust", "--revoke"],
];

/// A repository in a folder, with a workflow, a called workflow, an action and a job's files that all have this name.
struct Named {
    project: Project,
    root: std::path::PathBuf,
    file: String,
}

impl Named {
    fn new(folder: &str, name: &str) -> Self {
        let project = Project::of_jobs("\n  a: {runs-on: x, steps: []}");
        let root = project.home().join(folder);
        fs::rename(project.root(), &root).expect("moved");
        let file = format!(".github/workflows/{name}.yml");
        let write = |path: &str, text: String| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        fs::remove_file(root.join(".github/workflows/ci.yml")).expect("removed");
        write(
            &file,
            format!(
                "on: [push, workflow_dispatch]\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - uses: {}\n      \
                 - run: |\n          touch \"$(cat name)\"\n          echo \"::error file=$(cat escaped),line=1::x\"\n          exit 1\n  b: {{needs: a, runs-on: ubuntu-oldest, steps: [{{run: x}}]}}\n",
                quoted(&format!("./actions/{name}")),
            ),
        );
        write("name", name.to_owned());
        let escapes = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")];
        write("escaped", escapes.iter().fold(name.to_owned(), |name, (sign, escape)| name.replace(sign, escape)));
        write(&format!(".github/workflows/broken{name}.yml"), "on: push\njobs: {a: {steps: 1}}\n".to_owned());
        write(
            &format!("actions/{name}/action.yml"),
            "runs: {using: composite, steps: [{run: echo hi, shell: sh}]}\n".into(),
        );
        write(".cuelight.toml", format!("max_parallel = 999\n[runs-on]\n{} = \"docker\"\n", quoted(name)));
        Self { project, root, file }
    }

    fn break_settings(&self, name: &str) {
        fs::write(self.root.join(".cuelight.toml"), format!("[runs-on]\n{} = 1\n", quoted(name))).expect("written");
    }

    fn call(&self, args: &[&str], in_actions: bool) -> Said {
        let missing = self.file.replace(".yml", ".none");
        let args: Vec<String> =
            args.iter().map(|arg| arg.replace("FILE", &self.file).replace("MISSING", &missing)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = self.project.command(&args);
        command.current_dir(&self.root);
        if in_actions {
            command.env("GITHUB_ACTIONS", "true");
        }
        Said(command.output().expect("the program starts"))
    }
}

/// Whether a line is forged: it begins with a part of a name, or GitHub's runner takes it for a command. The runner
/// looks for `##[` anywhere in a line, except in lines that begin with `::` (`ActionCommandManager.TryProcessCommand`).
fn is_forged(line: &str, in_actions: bool) -> bool {
    let begins = |start| line.trim_start().starts_with(start);
    let is_command = begins("::error::FORGED") || (!begins("::") && line.contains("##[error]FORGED"));
    line.starts_with("FORGED") || line.starts_with("::error::FORGED") || (in_actions && is_command)
}

#[test]
fn no_name_forges_a_line_or_reaches_the_terminal_as_more_than_text() {
    for name in NAMES {
        let folder = if name.contains('\n') { "repository" } else { name };
        let named = Named::new(folder, name);
        let same = Named::new(&plain(folder), &plain(name));
        let broken: &[&[&str]] = &[&["config"], &["doctor"], &["run"], &["trust", "--ask"]];
        for (in_actions, commands) in [(false, COMMANDS), (true, COMMANDS), (false, broken), (true, broken)] {
            if commands.len() == broken.len() {
                named.break_settings(name);
                same.break_settings(&plain(name));
            }
            for command in commands {
                let (said, plain) = (named.call(command, in_actions), same.call(command, in_actions));
                let shown =
                    format!("{name:?}, {command:?}, in Actions {in_actions}: {:?}\n{:?}", said.text(), plain.text());
                assert!(!matches!(said.code(), -1 | 70 | 101), "{shown}");
                let bad = said.text().chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
                assert_eq!(bad, None, "{shown}");
                assert!(!said.text().contains(['\u{2028}', '\u{202e}']), "{shown}");
                assert!(!said.text().lines().any(|line| is_forged(line, in_actions)), "{shown}");
                // In a message of several lines, all lines after the first are indented.
                let is_ours = |line: &&str| !line.starts_with("  ");
                let ours = |said: &Said| said.text().lines().filter(is_ours).count();
                assert_eq!(ours(&said), ours(&plain), "{shown}");
            }
        }
    }
}

/// Calls the program in a folder with these additional environment variables.
fn call_in(project: &Project, folder: &Path, args: &[&str], set: &[(&str, &Path)]) -> Said {
    let mut command = project.command(args);
    command.current_dir(folder);
    for (name, value) in set {
        command.env(name, value);
    }
    Said(command.output().expect("the program starts"))
}

#[test]
fn a_root_that_is_not_a_line_of_utf_8_is_refused_in_words_and_is_no_other_repository() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: echo trusted}]}");
    project.call(&["trust"]).expect(0, &[]);
    let good = project.root().canonicalize().expect("there");
    for (name, fault) in [
        (&b"repository\nx"[..], "contains a newline"),
        (b"repository\n", "contains a newline"),
        (b"\xff", "is not UTF-8"),
        (b"repository\xc3", "is not UTF-8"),
        ("repository\u{fffd}".as_bytes(), ""),
    ] {
        let root = good.with_file_name(OsStr::from_bytes(name));
        let copied = std::process::Command::new("cp").arg("-a").arg(&good).arg(&root).status().expect("cp starts");
        assert!(copied.success());
        if fault.is_empty() {
            call_in(&project, &root, &["run"], &[]).expect(4, &["it is not trusted"]);
            continue;
        }
        for command in [&["run"][..], &["run", "ci"], &["run", "--trust"], &["plan"], &["trust"], &["trust", "--ask"]] {
            let said = call_in(&project, &root, command, &[]);
            said.expect(3, &[fault, "rename the folder"]);
        }
        for command in [&["lint"][..], &["lint", ".github/workflows/ci.yml"], &["plan", "ci.yml"], &["config"]] {
            let said = call_in(&project, &root, command, &[]);
            assert!(matches!(said.code(), 0 | 3), "{command:?}: {}", said.text());
        }
        call_in(&project, &root, &["runs"], &[]).expect(0, &[]);
    }
}

#[test]
fn a_state_folder_that_is_not_utf_8_is_refused_and_other_folders_may_be() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: 'echo hi $(cd ~ && pwd | wc -l)'}]}");
    let odd = project.home().join(OsStr::from_bytes(b"odd\xff\xfe"));
    fs::create_dir(&odd).expect("made");
    for command in [&["run", "--trust"][..], &["runs"], &["show"], &["clean"], &["trust"], &["doctor"]] {
        let said = call_in(&project, &project.root(), command, &[("CUELIGHT_STATE_DIR", &odd)]);
        assert!(matches!(said.code(), 1 | 5), "{}", said.text());
        let words = ["the state folder", "is not UTF-8", "CUELIGHT_STATE_DIR"];
        assert!(words.iter().all(|word| said.text().contains(word)), "{}", said.text());
    }
    let others = [("HOME", odd.as_path()), ("XDG_CACHE_HOME", &odd), ("XDG_CONFIG_HOME", &odd), ("TMPDIR", &odd)];
    call_in(&project, &project.root(), &["run", "--trust"], &others).expect(0, &["hi 1"]);
}

#[test]
fn the_name_of_a_remote_leads_out_of_no_folder_and_to_no_other_one() {
    let long = "x".repeat(300);
    for name in ["..", ".", "..git", "_temp", "_control", "_tools", "_actions", &long] {
        let project = Project::of_jobs(
            "
  a: {runs-on: ubuntu-latest, steps: [{run: 'touch kept; pwd; test -d \"$RUNNER_TEMP\" && test ! -e \"$RUNNER_TEMP/kept\"'}, {run: exit 1}]}
  b: {runs-on: ubuntu-latest, needs: a, if: always(), steps: [{run: echo b ran}]}",
        );
        project.git(&["config", "remote.origin.url", &format!("https://github.com/owner/{name}")]);
        project.run(&[]).expect(1, &["b ran"]);
        let job = project.run_folder().join("work/a");
        let workspaces = || fs::read_dir(&job).expect("there").flatten().map(|entry| entry.path());
        let kept = workspaces().filter_map(|folder| Some(folder.join(folder.file_name()?).join("kept")));
        assert_eq!(kept.filter(|file| file.exists()).count(), 1, "{name}: {:?}", workspaces().collect::<Vec<_>>());
    }
}
