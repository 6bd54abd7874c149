//! Trust that was given for something else: for another folder, at another time, or on another machine.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::project::{Project, Said, write_program};

const HARMLESS: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo harmless}]}}\n";

/// Creates a project that is trusted.
fn trusted() -> Project {
    let project = Project::new(HARMLESS);
    project.call(&["trust"]).expect(0, &["is trusted"]);
    project
}

/// Runs a workflow in a folder, with the state of the project, and returns the output.
fn run_in(project: &Project, folder: &Path) -> Said {
    Said(project.command(&["run", "ci"]).current_dir(folder).output().expect("the program starts"))
}

/// Creates a folder with a workflow and no `.git`.
fn stranger(project: &Project) -> std::path::PathBuf {
    let folder = project.home().join("stranger");
    fs::create_dir_all(folder.join(".github/workflows")).expect("made");
    fs::write(folder.join(".github/workflows/ci.yml"), HARMLESS.replace("harmless", "evil")).expect("written");
    folder
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status().expect("cp starts");
    assert!(done.success());
}

#[test]
fn a_folder_whose_git_folder_is_a_trusted_one_is_not_trusted() {
    let project = trusted();
    let (folder, git) = (stranger(&project), project.root().join(".git"));
    fs::write(folder.join(".git"), format!("gitdir: {}\n", git.display())).expect("written");
    run_in(&project, &folder).expect(4, &["its `.git` points to the git folder of another repository"]);
    fs::remove_file(folder.join(".git")).expect("removed");
    symlink(&git, folder.join(".git")).expect("linked");
    run_in(&project, &folder).expect(4, &["the git folder of another repository, which is trusted"]);
    fs::remove_file(folder.join(".git")).expect("removed");
    // The git folder of a worktree names that worktree. Neither a file nor a link turns another folder into it.
    project.git(&["worktree", "add", "--quiet", "-b", "side", "../side"]);
    run_in(&project, &project.home().join("side")).expect(0, &["harmless"]);
    fs::write(folder.join(".git"), format!("gitdir: {}\n", git.join("worktrees/side").display())).expect("written");
    run_in(&project, &folder).expect(4, &["the git folder of another repository, which is trusted"]);
    fs::remove_file(folder.join(".git")).expect("removed");
    symlink(project.home().join("side/.git"), folder.join(".git")).expect("linked");
    run_in(&project, &folder).expect(4, &["the git folder of another repository, which is trusted"]);
}

#[test]
fn a_folder_that_was_moved_or_copied_asks_again() {
    let project = trusted();
    let home = project.home();
    project.git(&["worktree", "add", "--quiet", "-b", "side", "../side"]);
    copy(&home.join("side"), &home.join("side-copy"));
    run_in(&project, &home.join("side-copy")).expect(4, &["the git folder of another repository, which is trusted"]);
    fs::rename(home.join("side"), home.join("side-moved")).expect("moved");
    run_in(&project, &home.join("side-moved")).expect(4, &["the git folder of another repository, which is trusted"]);
    copy(&project.root(), &home.join("copy"));
    run_in(&project, &home.join("copy")).expect(4, &["it is not trusted"]);
    fs::rename(project.root(), home.join("moved")).expect("moved");
    run_in(&project, &home.join("moved")).expect(4, &["it is not trusted"]);
    fs::rename(home.join("copy"), project.root()).expect("moved");
    run_in(&project, &project.root()).expect(4, &["not the repository that was trusted at this path"]);
}

#[test]
fn a_folder_with_the_number_of_a_removed_one_is_another_repository() {
    for _ in 0..8 {
        let project = trusted();
        fs::remove_dir_all(project.root()).expect("removed");
        // File systems give the inode numbers of removed folders to new ones.
        fs::create_dir_all(project.root().join(".github/workflows")).expect("made");
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.write(".github/workflows/ci.yml", &HARMLESS.replace("harmless", "evil"));
        project.commit();
        project.call(&["run"]).expect(4, &["not the repository that was trusted at this path"]);
    }
    // Here only the git folder is replaced.
    for _ in 0..8 {
        let project = trusted();
        fs::remove_dir_all(project.root().join(".git")).expect("removed");
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.commit();
        project.call(&["run"]).expect(4, &["not the repository that was trusted at this path"]);
    }
}

#[test]
fn trust_of_an_earlier_version_asks_again() {
    let project = trusted();
    let list = project.state().join("trust.json");
    let mut trusted: serde_json::Value = serde_json::from_slice(&fs::read(&list).expect("read")).expect("JSON");
    for folder in ["root", "git"] {
        assert!(trusted[0][folder].as_object_mut().expect("an identity").remove("made").is_some(), "{trusted}");
    }
    fs::write(&list, trusted.to_string()).expect("written");
    project.call(&["run"]).expect(4, &["it was trusted by an earlier version of cuelight"]);
    project.call(&["trust"]).expect(0, &[]);
    project.call(&["run"]).expect(0, &["harmless"]);
}

#[test]
fn another_attempt_asks_like_the_first_one() {
    let project = Project::new(HARMLESS);
    project.run(&["ci"]).expect(0, &["harmless"]);
    project.call(&["rerun"]).expect(4, &["it is not trusted to run on this machine"]);
    project.call(&["rerun", "--trust"]).expect(0, &["harmless"]);
    project.call(&["trust"]).expect(0, &[]);
    project.call(&["rerun"]).expect(0, &["harmless"]);
    project.call(&["trust", "--revoke"]).expect(0, &["is no longer trusted"]);
    project.call(&["rerun", "--failed"]).expect(4, &["it is not trusted"]);
    project.call(&["resume"]).expect(4, &["it is not trusted"]);
}

#[test]
fn a_run_folder_from_elsewhere_asks_although_its_repository_is_trusted() {
    let (victim, attacker) = (trusted(), Project::new(HARMLESS));
    attacker.run(&["ci"]).expect(0, &["harmless"]);
    let root = attacker.root().canonicalize().expect("there");
    let document = fs::read_to_string(attacker.run_folder().join("run.json")).expect("text");
    let target = victim.root().canonicalize().expect("there");
    let evil = document
        .replace("echo harmless", "echo evil")
        .replace(root.to_str().expect("text"), target.to_str().expect("text"));
    assert_ne!(evil, document);
    let copied = victim.state().join("runs").join(attacker.run_id());
    fs::create_dir_all(copied.parent().expect("a parent")).expect("made");
    copy(&attacker.run_folder(), &copied);
    for text in [evil.clone(), evil.replace("\"any_runner\": false", "\"any_runner\": true"), document] {
        fs::write(copied.join("run.json"), text).expect("written");
        for args in [&["rerun"][..], &["rerun", "--failed"], &["rerun", "--job", "a"], &["resume"]] {
            let said = victim.call(&[args, &[attacker.run_id().as_str()]].concat());
            said.expect(4, &["the folder of this run was not made on this machine"]);
            assert!(!said.text().contains("evil"), "{}", said.text());
        }
    }
    // The run belongs to another folder, so it is not the latest run here.
    let id = attacker.run_id();
    victim.call(&["rerun", "--trust", &id]).expect(0, &["harmless"]);
    victim.call(&["show", &id]).expect(0, &["success"]);
}

#[test]
fn a_run_folder_from_elsewhere_chooses_no_shell_and_removes_nothing_elsewhere() {
    let (victim, attacker) = (trusted(), Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: exit 1}]}"));
    attacker.run(&["ci"]).expect(1, &[]);
    let copied = victim.state().join("runs").join(attacker.run_id());
    fs::create_dir_all(copied.parent().expect("a parent")).expect("made");
    copy(&attacker.run_folder(), &copied);
    let (evil, was_here) = (copied.join("bin/bash"), victim.home().join("was-here"));
    fs::create_dir(copied.join("bin")).expect("made");
    write_program(&evil, &format!("#!/bin/sh\n: > {}\n", was_here.display()));
    let checkpoint = fs::read_to_string(copied.join("state/a.jsonl")).expect("text");
    let bin = copied.join("bin").display().to_string();
    let with_path = checkpoint.replace("\"failed\":{\"env\":{", &format!("\"failed\":{{\"env\":{{\"PATH\":\"{bin}\","));
    assert_ne!(with_path, checkpoint);
    fs::write(copied.join("state/a.jsonl"), with_path).expect("written");
    let work = fs::read_dir(attacker.run_folder().join("work/a")).expect("there").count();
    assert!(work > 0);
    victim.call(&["shell", &attacker.run_id(), "a"]).expect(4, &["was not made on this machine"]);
    assert!(!was_here.exists());
    // A run that has not ended, and has a job whose name leads out of the folder.
    let precious = victim.home().join("precious/_temp");
    fs::create_dir_all(&precious).expect("made");
    let journal = fs::read_to_string(copied.join("events.jsonl")).expect("text");
    let open: Vec<_> = journal.lines().filter(|line| !line.contains("run_finished")).collect();
    assert_ne!(open.len(), journal.lines().count(), "{journal}");
    let elsewhere = format!("\"{}\"", precious.parent().expect("a parent").display());
    fs::write(copied.join("events.jsonl"), open.join("\n").replace("\"a\"", &elsewhere) + "\n").expect("written");
    let _ = fs::remove_file(victim.state().join("index.json"));
    victim.call(&["runs", "--all"]).expect(0, &["worker lost"]);
    assert!(precious.exists());
}

#[test]
fn nothing_is_fetched_for_a_repository_that_is_not_trusted() {
    let project = Project::of_jobs("  call: {uses: o/shared/.github/workflows/outer.yml@v1}\n");
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    server.set_nonblocking(true).expect("a listener");
    let was_asked = || server.accept().is_ok();
    let settings = |server: &str| {
        project.write(".cuelight.toml", &format!("[actions]\n'o/shared' = '{server}'\n"));
    };
    settings(&format!("http://{}/a", server.local_addr().expect("bound")));
    for arguments in [&["run", "ci"][..], &["run"], &["plan", "ci"], &["lint"], &["trust", "--ask"]] {
        let said = project.call(arguments);
        assert!(!was_asked(), "{arguments:?}: {}", said.text());
    }
    project.call(&["run", "ci"]).expect(4, &["is not trusted"]);
    server.set_nonblocking(false).expect("a listener");
    let asked = thread::spawn(move || drop(server.accept().expect("a connection")));
    project.call(&["run", "ci", "--trust"]).expect(1, &["o/shared"]);
    asked.join().expect("it is asked for then");
    // For this protocol, git would start a program.
    settings("foo::bar://x");
    project.call(&["run", "ci", "--trust"]).expect(1, &["write https://, http://, ssh:// or file://"]);
}

#[test]
fn workflows_that_are_called_are_files_of_the_repository() {
    let project = Project::of_jobs("  a: {uses: ./../outer.yml}\n  b: {uses: ./.github/workflows/link.yml}\n");
    let outer = project.home().join("outer.yml");
    fs::write(&outer, "on: workflow_call\nsecret: [very\n").expect("written");
    symlink(&outer, project.root().join(".github/workflows/link.yml")).expect("linked");
    for arguments in [&["plan", "ci"][..], &["lint"], &["run", "ci", "--trust"]] {
        let said = project.call(arguments).text();
        assert!(!said.contains("secret: [very") && !said.contains("outer.yml:2"), "{arguments:?}: {said}");
        assert!(arguments == ["lint"] || said.contains("`./../outer.yml` not found"), "{arguments:?}: {said}");
    }
}
