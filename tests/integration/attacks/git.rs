//! Programs that a repository makes git start. None of them may start before the repository is trusted.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::bounded;
use crate::project::{Project, git, write_program};

const WORKFLOW: &str = "on: {push: {paths: ['**']}}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n";

/// Commands that a person may try in a stranger's repository before trusting it.
const LOOKS: [&[&str]; 8] = [
    &["plan"],
    &["plan", "--event", "pull_request"],
    &["plan", "ci"],
    &["run"],
    &["run", "ci"],
    &["lint"],
    &["config"],
    &["doctor"],
];

/// A repository of a stranger, and a program that creates a file when it runs.
struct Stranger {
    project: Project,
    program: PathBuf,
    mark: PathBuf,
}

impl Stranger {
    /// Creates a repository with three commits and a file that has changed since its commit.
    fn new() -> Self {
        let project = Project::new(WORKFLOW);
        for text in ["one", "two"] {
            project.write("file.txt", text);
            project.commit();
        }
        let (program, mark) = (project.home().join("program"), project.home().join("mark"));
        write_program(&program, &format!("#!/bin/sh\necho \"$0 $*\" >> '{}'; exit 1\n", mark.display()));
        project.write("file.txt", "changed");
        Self { project, program, mark }
    }

    fn program(&self) -> &str {
        self.program.to_str().expect("text")
    }

    fn config(&self, name: &str, value: &str) {
        self.project.git(&["config", name, value]);
    }

    /// Checks that no command of [`LOOKS`] starts the program. The commands run in this folder below the root.
    #[track_caller]
    fn runs_nothing(&self, folder: &str, what: &str) {
        for args in LOOKS {
            let mut command = self.project.command(args);
            let done = command.current_dir(self.project.root().join(folder)).output().expect("the program starts");
            let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
            let mark = fs::read_to_string(&self.mark).unwrap_or_default();
            assert_eq!(mark, "", "{what}: `{}` started a program; it printed {text}", args.join(" "));
            assert!(!(args[0] == "run" && done.status.success()), "{what}: {text}");
        }
    }
}

#[test]
fn a_bare_repository_below_the_files_of_a_clone_is_not_entered() {
    let stranger = Stranger::new();
    let docs = stranger.project.root().join("docs");
    for folder in ["docs/objects", "docs/refs", "docs/inner", "docs/.github/workflows"] {
        fs::create_dir_all(stranger.project.root().join(folder)).expect("made");
    }
    fs::write(docs.join("HEAD"), "ref: refs/heads/main\n").expect("written");
    fs::write(docs.join(".github/workflows/ci.yml"), WORKFLOW).expect("written");
    let core = format!("[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = {}\n", stranger.program());
    fs::write(docs.join("config"), core).expect("written");
    for folder in ["docs", "docs/inner"] {
        stranger.runs_nothing(folder, "an embedded repository");
        let mut plan = stranger.project.command(&["plan", "ci"]);
        let done =
            plan.current_dir(stranger.project.root().join(folder)).env("GIT_DIR", &docs).output().expect("starts");
        assert!(!stranger.mark.exists(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let mut run = stranger.project.command(&["run", "--trust"]);
    let done = run.current_dir(&docs).output().expect("starts");
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(text.contains("is in a bare git repository") && !stranger.mark.exists(), "{text}");
}

#[test]
fn a_file_system_monitor_and_hooks_do_not_start() {
    let stranger = Stranger::new();
    stranger.config("core.fsmonitor", stranger.program());
    stranger.runs_nothing("", "core.fsmonitor");
    let hooks = stranger.project.root().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("made");
    for hook in ["post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout", "pre-auto-gc"] {
        fs::copy(&stranger.program, hooks.join(hook)).expect("copied");
    }
    stranger.config("core.fsmonitor", "true");
    stranger.runs_nothing("", "hooks");
    stranger.config("core.hooksPath", hooks.to_str().expect("text"));
    stranger.config("hook.a.command", stranger.program());
    stranger.config("hook.a.event", "post-index-change");
    stranger.runs_nothing("", "hooks elsewhere");
}

#[test]
fn filters_and_programs_that_compare_files_do_not_start() {
    let stranger = Stranger::new();
    stranger.project.write(".gitattributes", "* filter=a=b diff=c\n");
    for part in ["clean", "smudge", "process"] {
        stranger.config(&format!("filter.a=b.{part}"), stranger.program());
    }
    stranger.config("filter.a=b.required", "true");
    for name in ["diff.external", "diff.c.command", "diff.c.textconv"] {
        stranger.config(name, stranger.program());
    }
    stranger.runs_nothing("", "filters");
    // The same setting, now in a file that the configuration includes, and for all files.
    let aside = stranger.project.root().join(".git/aside");
    fs::write(&aside, format!("[filter \"z\"]\n\tprocess = {0}\n\tclean = {0}\n", stranger.program()))
        .expect("written");
    fs::create_dir_all(stranger.project.root().join(".git/info")).expect("made");
    fs::write(stranger.project.root().join(".git/info/attributes"), "* filter=z\n").expect("written");
    stranger.config("include.path", "aside");
    stranger.runs_nothing("", "filters of an included file");
}

#[test]
fn nothing_is_fetched() {
    let missing_objects = |stranger: &Stranger| {
        let packs = stranger.project.root().join(".git/objects");
        for entry in fs::read_dir(&packs).expect("objects").flatten() {
            if entry.file_name().len() == 2 {
                fs::remove_dir_all(entry.path()).expect("removed");
            }
        }
    };
    for url in [".", "ssh://host.invalid/x", "ext::PROGRAM a", "https://host.invalid/x", "odd::x"] {
        let stranger = Stranger::new();
        let other = stranger.project.home().join("other");
        let copied = Command::new("cp").arg("-r").args([stranger.project.root(), other.clone()]).status();
        assert!(copied.expect("cp starts").success());
        let url = url.replace("PROGRAM", stranger.program());
        let url = if url == "." { other.to_str().expect("text").to_owned() } else { url };
        for (name, value) in [
            ("core.repositoryformatversion", "1"),
            ("extensions.partialclone", "origin"),
            ("remote.origin.promisor", "true"),
            ("remote.origin.url", &url),
            ("remote.origin.uploadpack", stranger.program()),
            ("core.sshCommand", stranger.program()),
            ("core.askPass", stranger.program()),
            ("core.gitProxy", stranger.program()),
            ("core.alternateRefsCommand", stranger.program()),
            ("credential.helper", &format!("!{}", stranger.program())),
            ("protocol.allow", "always"),
            ("protocol.ext.allow", "always"),
        ] {
            stranger.config(name, value);
        }
        missing_objects(&stranger);
        stranger.runs_nothing("", &url);
    }
}

#[test]
fn git_does_not_start_in_a_submodule() {
    let stranger = Stranger::new();
    let inner = stranger.project.root().join("inner");
    fs::create_dir(&inner).expect("made");
    let git = |args: &[&str]| git(&inner, &[&["-c", "user.name=T", "-c", "user.email=t@t"], args].concat());
    git(&["init", "--quiet"]);
    fs::write(inner.join("a"), "x").expect("written");
    git(&["add", "a"]);
    git(&["commit", "--quiet", "-m", "x"]);
    stranger.project.commit();
    fs::write(inner.join("a"), "changed").expect("written");
    fs::write(inner.join(".gitattributes"), "* filter=f\n").expect("written");
    git(&["config", "core.fsmonitor", stranger.program()]);
    git(&["config", "filter.f.clean", stranger.program()]);
    stranger.config("submodule.recurse", "true");
    stranger.config("diff.ignoreSubmodules", "none");
    stranger.runs_nothing("", "a submodule");
}

#[test]
fn files_are_not_looked_for_where_the_configuration_says() {
    let stranger = Stranger::new();
    let elsewhere = stranger.project.home().join("elsewhere");
    fs::create_dir_all(elsewhere.join(".github/workflows")).expect("made");
    fs::write(elsewhere.join(".github/workflows/ci.yml"), WORKFLOW).expect("written");
    stranger.config("core.worktree", elsewhere.to_str().expect("text"));
    stranger.project.call(&["plan", "ci"]).expect(0, &["a\n"]);
    stranger.project.call(&["run", "--trust", "ci"]).expect(3, &["core.worktree"]);
    stranger.runs_nothing("", "core.worktree");
}

#[test]
fn git_starts_in_one_place_of_the_source() {
    let starts = |text: &str| text.contains("new(\"git\")");
    let found: Vec<_> =
        crate::source::texts().into_iter().filter(|(_, text)| starts(text)).map(|(file, _)| file).collect();
    assert_eq!(found, ["repo/git/runner.rs"]);
}

#[test]
fn a_file_of_git_that_never_ends_is_refused_in_words() {
    for name in ["config", "HEAD", "packed-refs", "index", "commondir"] {
        for kind in ["fifo", "device", "sparse"] {
            let project = Project::new(WORKFLOW);
            let path = project.root().join(".git").join(name);
            let _ = fs::remove_file(&path);
            match kind {
                "fifo" => assert!(Command::new("mkfifo").arg(&path).status().expect("starts").success()),
                "device" => std::os::unix::fs::symlink("/dev/zero", &path).expect("linked"),
                _ => fs::File::create(&path).and_then(|file| file.set_len(300 << 30)).expect("made"),
            }
            for args in [&["plan"][..], &["run", "--trust"], &["trust"]] {
                let said = bounded(&project, args);
                let text = said.text();
                assert!(said.code() != 0 && text.contains("git cannot read"), "{args:?}, {name}, {kind}: {text}");
            }
            for args in [&["lint"][..], &["doctor"], &["config"], &["runs"]] {
                bounded(&project, args);
            }
        }
    }
}

#[test]
fn a_file_of_git_for_which_it_would_wait_is_named_soon() {
    for (name, config) in [
        (".gitignore", None),
        (".gitattributes", None),
        ("sub/deep/.gitignore", None),
        (".git/info/exclude", None),
        (".git/info/attributes", None),
        ("fifo", Some("core.excludesFile")),
        ("fifo", Some("core.attributesFile")),
    ] {
        let project = Project::new(&WORKFLOW.replace("run: echo hi", "uses: actions/checkout@v4"));
        let path = project.root().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let _ = fs::remove_file(&path);
        if let Some(key) = config {
            project.git(&["config", key, path.to_str().expect("text")]);
        }
        let done = Command::new("mkfifo").arg(&path).status().expect("mkfifo starts");
        assert!(done.success());
        let words = format!("{name}: a FIFO, not a regular file");
        for args in [&["plan"][..], &["run", "--trust"]] {
            let said = bounded(&project, args);
            assert!(said.text().contains(&words), "{args:?}: {}", said.text());
        }
    }
}

#[test]
fn an_endless_file_that_the_configuration_names_is_refused() {
    let project = Project::new(WORKFLOW);
    for key in ["core.excludesFile", "core.attributesFile"] {
        project.git(&["config", key, "/dev/zero"]);
        bounded(&project, &["plan"]).expect(3, &["/dev/zero: a device, not a regular file"]);
        project.git(&["config", "--unset", key]);
    }
    project.git(&["config", "core.excludesFile", "~/.missing"]);
    project.git(&["config", "core.attributesFile", "missing"]);
    bounded(&project, &["plan"]).expect(0, &[]);
}
