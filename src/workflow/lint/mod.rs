//! What GitHub accepts and is most likely not what was meant: rules over a typed workflow, from one table.
//!
//! What GitHub refuses is found while a file is read; the table has pages for those names too, so that every name that
//! a diagnostic carries can be looked up.

mod callees;
mod calls;
mod conditions;
mod events;
mod jobs;
mod names;
mod permissions;
mod references;
mod scripts;
mod typed;
mod types;

use callees::Callees;

use super::diagnostic::Diagnostic;
use super::source::{Source, Span};
use super::syntax::{JobBody, Steering, StepAction, StepDefinition, StepsJob, Workflow};

/// A name that diagnostics carry, and what stands behind it.
#[derive(Debug)]
pub struct Rule {
    /// The name, as in `[if-cond]` behind a message.
    pub name: &'static str,
    /// What it finds, in one line.
    pub summary: &'static str,
    /// Why that matters and what to write instead.
    pub help: &'static str,
    /// Finds it. Nothing for the rules that the reader of files applies.
    check: Option<Check>,
    /// Finds it in other files of the repository.
    look_up: Option<LookUp>,
}

type Check = fn(&Workflow, &mut Vec<Diagnostic>);
type LookUp = fn(&Workflow, &Callees<'_>, &mut Vec<Diagnostic>);

/// The files of the repository that a workflow stands in.
pub trait Files {
    /// The text of a file by its path from the top of the repository; nothing when it cannot be read.
    fn read(&self, path: &str) -> Option<String>;

    /// Whether all files of the repository can be read, so that one that cannot is not there.
    fn is_complete(&self) -> bool {
        true
    }

    /// The text of a workflow of another repository by what a job `uses`; nothing when it is not at hand.
    fn called(&self, _uses: &str) -> Option<String> {
        None
    }

    /// What the token may do where no file says it, if that is known.
    fn policy(&self) -> Option<Policy> {
        None
    }
}

/// The permissions that a repository's settings give the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Read contents and packages.
    LimitedRead,
    /// Read and write everything, but ask for no identity.
    Write,
}

/// Every rule, by name.
pub static RULES: &[Rule] = &[
    Rule {
        name: "action",
        summary: "A manifest with faults, or inputs that an action of this repository does not have or misses.",
        help: "An `action.yml` needs `name`, `description` and `runs`. The runner does without the first two; the\n\
               marketplace and the page of the action do not. What stands under `with` must be an input of the action:\n\
               GitHub passes anything on, and an action sees only the inputs that it knows.",
        check: None,
        look_up: Some(calls::actions),
    },
    Rule {
        name: "action-pin",
        summary: "An action of somebody else at a branch or a tag.",
        help: "A tag or a branch can be moved to other code after you have read it. Name the commit, and the version\n\
               as a comment:\n\n    uses: owner/action@8f4b7f84864484a7bf31766abe9204da3cbe65b3 # v3.1.0\n\n\
               Actions of `actions` and `github` are left alone.",
        check: Some(jobs::pins),
        look_up: None,
    },
    Rule {
        name: "credentials",
        summary: "A password of a container registry written into the file.",
        help: "Everybody who can read the repository can read it, and so can everybody who could at any time. Store\n\
               it as a secret:\n\n    password: ${{ secrets.REGISTRY_PASSWORD }}",
        check: Some(jobs::credentials),
        look_up: None,
    },
    Rule {
        name: "deprecated-commands",
        summary: "A workflow command that GitHub has taken out of use.",
        help: "`::set-output::` and `::save-state::` can be forged by whatever a step prints, and `::set-env::` and\n\
               `::add-path::` no longer work at all. Append to the file instead:\n\n    \
               echo \"name=value\" >> \"$GITHUB_OUTPUT\"",
        check: Some(scripts::deprecated_commands),
        look_up: None,
    },
    Rule {
        name: "env-var",
        summary: "A variable with a name that no shell can read.",
        help: "`=`, `&` and blanks cannot be part of a variable's name. Write letters, digits and `_`:\n\n    \
               env:\n      BUILD_MODE: release",
        check: Some(names::variables),
        look_up: None,
    },
    Rule {
        name: "events",
        summary: "Filters that exclude each other, schedules that GitHub does not keep, defaults that cannot be given.",
        help: "`branches` and `branches-ignore` (likewise tags and paths) cannot stand under one event: write\n\
               negative patterns with `!` in the positive filter. A schedule has five fields (minute, hour, day of the\n\
               month, month, day of the week) in POSIX's syntax, without `@daily`, and comes every five minutes at most.\n\
               The default of a choice is one of its options, that of a number a number.",
        check: Some(events::check),
        look_up: None,
    },
    Rule {
        name: "expression",
        summary: "A fault inside `${{ }}` or in an `if`, or a name that nothing defines.",
        help: "The expression does not parse, or names a context or function that this place does not have. Which\n\
               contexts are available where is in GitHub's table of context availability. An input, output, step or\n\
               matrix key that nothing defines is no fault to GitHub: its value is empty, in every run.",
        check: Some(references::check),
        look_up: None,
    },
    Rule {
        name: "expression-call",
        summary: "A call that fails or wastes in every run.",
        help: "The text given to `fromJSON` must be JSON, and `format` needs an argument for each placeholder.",
        check: Some(references::calls),
        look_up: None,
    },
    Rule {
        name: "expression-type",
        summary: "A value of a type that can never be right in its place.",
        help: "GitHub evaluates whatever it is given: a property of a text is empty, an object equals nothing, `<`\n\
               turns `true` into a number, and the text of an object is the word `Object`. What is meant is most\n\
               often one property, or the text that `toJSON` makes:\n\n    \
               if: github.event.action == 'opened'\n    run: echo '${{ toJSON(matrix) }}'",
        check: Some(typed::check),
        look_up: None,
    },
    Rule {
        name: "glob",
        summary: "A filter pattern that can match nothing.",
        help: "Names of branches and tags cannot contain `~`, `^`, `:` or blanks: filters are glob patterns, not\n\
               regular expressions. Paths are matched from the top of the repository, without `./` before them.",
        check: Some(events::globs),
        look_up: None,
    },
    Rule {
        name: "id",
        summary: "An id of a job or step that cannot be one, or is taken.",
        help: "Ids start with a letter or `_`, go on with letters, digits, `-` and `_`, and are unique in any case.",
        check: None,
        look_up: None,
    },
    Rule {
        name: "if-cond",
        summary: "A condition that is always the same.",
        help: "Text around `${{ }}` makes the whole condition a text, and text is true:\n\n    \
               if: ${{ false }} && ${{ false }}    # true\n    if: ${{ false && false }}           # false\n\n\
               A condition that reads no context is the same in every run: leave it away, or switch the job or step\n\
               off with a variable.",
        check: Some(conditions::check),
        look_up: None,
    },
    Rule {
        name: "job-needs",
        summary: "A need that is no job, jobs that need each other, or an output that a needed workflow does not have.",
        help: "`needs` lists ids of jobs of the same file, and the jobs must be in some order.",
        check: None,
        look_up: Some(calls::outputs),
    },
    Rule {
        name: "matrix",
        summary: "An `exclude` that excludes nothing, or a value that is there twice.",
        help: "An entry of `exclude` leaves out the combinations that have all of its values. A key or a value that no\n\
               combination has leaves them all in. A value that stands in a vector twice makes the same job twice.",
        check: Some(jobs::matrices),
        look_up: None,
    },
    Rule {
        name: "permissions",
        summary: "A called workflow that wants more than the job that calls it may do.",
        help: "Permissions can only stay or become less from caller to callee. Scopes that `permissions` does not name\n\
               are closed. Give the job that calls the workflow what it needs:\n\n    deploy:\n      permissions: { contents: read, id-token: write }\n      \
               uses: ./.github/workflows/deploy.yml",
        check: None,
        look_up: Some(permissions::check),
    },
    Rule {
        name: "runner-label",
        summary: "A runner that GitHub does not have.",
        help: "A label that begins like GitHub's own and is none of them waits for a runner for ever, and so do two\n\
               labels of different systems. Labels of your own runners are left alone.",
        check: Some(jobs::labels),
        look_up: None,
    },
    Rule {
        name: "script-injection",
        summary: "Text that a stranger writes, put into a script.",
        help: "Titles, bodies, names of branches and authors are written by whoever opens an issue or a pull request.\n\
               `${{ }}` puts them into the script before the shell reads it, so they can end a string and run commands.\n\
               Pass them as environment variables:\n\n    env:\n      TITLE: ${{ github.event.issue.title }}\n    \
               run: echo \"$TITLE\"",
        check: Some(scripts::injections),
        look_up: None,
    },
    Rule {
        name: "shell-name",
        summary: "A shell that no runner knows, or not the one that the job runs on.",
        help: "The runner knows `bash`, `sh`, `pwsh`, `python`, and on Windows `cmd` and `powershell`. Any other program\n\
               needs the whole command, with `{0}` where the script's file goes:\n\n    shell: perl {0}",
        check: Some(names::shells),
        look_up: None,
    },
    Rule {
        name: "syntax-check",
        summary: "The file is not YAML, or not a workflow.",
        help: "A key that is not known in its place, a value of another type, something required that is missing.",
        check: None,
        look_up: None,
    },
    Rule {
        name: "workflow-call",
        summary: "A called workflow that is not there, or gets other inputs and secrets than it wants.",
        help: "`uses` of a job names a workflow file with `workflow_call` under `on`. GitHub refuses inputs and secrets\n\
               that it does not declare, and a call without those that it requires.",
        check: Some(calls::names),
        look_up: Some(calls::workflows),
    },
];

/// What the rules find in a workflow that can be read, in no order; with `files`, also what they find in the local
/// actions and workflows that it uses.
#[must_use]
pub fn check(workflow: &Workflow, files: Option<&dyn Files>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let callees = files.map(Callees::new);
    for rule in RULES {
        if let Some(check) = rule.check {
            check(workflow, &mut found);
        }
        if let (Some(look_up), Some(callees)) = (rule.look_up, &callees) {
            look_up(workflow, callees, &mut found);
        }
    }
    found
}

/// The jobs that run steps of their own.
fn jobs_with_steps(workflow: &Workflow) -> impl Iterator<Item = &StepsJob> {
    workflow.jobs.iter().filter_map(|job| match &job.body {
        JobBody::Steps(body) => Some(&**body),
        JobBody::Call { .. } => None,
    })
}

/// All steps, also those that run side by side.
fn steps(workflow: &Workflow) -> impl Iterator<Item = &StepDefinition> {
    let mut found = Vec::new();
    jobs_with_steps(workflow).for_each(|job| add_steps(&job.steps, &mut found));
    found.into_iter()
}

fn add_steps<'s>(steps: &'s [StepDefinition], found: &mut Vec<&'s StepDefinition>) {
    for step in steps {
        found.push(step);
        if let StepAction::Steer(Steering::Parallel(inner)) = &step.action {
            add_steps(inner, found);
        }
    }
}

/// Where a text stands inside a span, as far as the source spells it the same; the span itself otherwise.
fn span_of(source: &Source, span: Span, text: &str) -> Span {
    let whole = source.text.get(span.start as usize..(span.end as usize).min(source.text.len())).unwrap_or_default();
    whole.find(text).map_or(span, |at| source.span(span.start as usize + at, text.len()))
}

/// Every expression of a job.
#[must_use]
pub fn expressions(job: &super::syntax::JobDefinition) -> Vec<&super::expr::Expr> {
    references::of_job(job).into_iter().map(|(expr, _)| expr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse;
    use crate::workflow::source::Source;

    /// Rule and line of what is found.
    fn found(text: &str) -> Vec<(&'static str, u32)> {
        let workflow = parse(&Source::new("a.yml", text)).value.expect(text);
        let mut found: Vec<_> = check(&workflow, None).iter().map(|found| (found.rule, found.span.line)).collect();
        found.sort_by_key(|(_, line)| *line);
        found
    }

    fn step(body: &str) -> Vec<(&'static str, u32)> {
        found(&format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {body}\n"))
    }

    fn job(body: &str) -> Vec<(&'static str, u32)> {
        found(&format!("on: push\njobs:\n  a:\n    runs-on: x\n    {body}\n"))
    }

    #[test]
    fn rules_stand_by_name_and_have_a_page() {
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
        assert!(RULES.iter().all(|rule| rule.summary.ends_with('.') && !rule.help.is_empty()));
    }

    #[test]
    fn strangers_text_in_scripts_is_told_and_elsewhere_it_is_not() {
        for bad in [
            "run: echo '${{ github.event.issue.title }}'",
            "run: echo ${{ github.head_ref }}",
            "run: echo ${{ toJSON(github.event.*.body) }}",
            "run: echo ${{ github.event.commits[0].message || 'none' }}",
            "{uses: actions/github-script@v7, with: {script: 'x(${{ github.event.review.body }})'}}",
        ] {
            assert_eq!(step(bad), [("script-injection", 6)], "{bad}");
        }
        for good in [
            "run: echo ${{ github.sha }} ${{ github.event.issue.number }}",
            "run: echo ${{ contains(github.event.issue.title, 'x') }} ${{ github.head_ref == 'main' }}",
            "{run: 'echo $TITLE', env: {TITLE: '${{ github.event.issue.title }}'}}",
            "{uses: actions/stale@v9, with: {message: '${{ github.event.issue.title }}'}}",
        ] {
            assert_eq!(step(good), [], "{good}");
        }
    }

    #[test]
    fn the_place_is_the_reference_itself() {
        let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          true\n          \
                    echo ${{ github.head_ref }}\n";
        let workflow = parse(&Source::new("a.yml", text)).value.expect("a workflow");
        let found = check(&workflow, None);
        assert_eq!((found[0].span.line, found[0].span.column), (8, 20));
    }

    #[test]
    fn commands_out_of_use_are_told() {
        for command in ["::set-output name=a::b", "::save-state name=a::b", "::set-env name=a::b", "::add-path::/x"] {
            assert_eq!(step(&format!("run: echo '{command}'")), [("deprecated-commands", 6)]);
        }
        assert_eq!(step("run: echo '::notice::use ::set-output no more'"), []);
    }

    #[test]
    fn conditions_that_are_always_the_same_are_told() {
        for constant in [
            "true",
            "${{ false }}",
            " ${{ github.sha == 'x' }}",
            "${{ github.sha == 'x' }} ",
            "true ",
            "true && 42 || !null",
            "!${{ github.sha }}",
            "a ${{ true }}",
        ] {
            assert_eq!(step(&format!("{{run: x, if: \"{constant}\"}}")), [("if-cond", 6)], "{constant}");
        }
        for other in ["always()", "github.ref == 'x'", "success() && true", "hashFiles('x') != ''", "!cancelled()"] {
            assert_eq!(step(&format!("{{run: x, if: \"{other}\"}}")), [], "{other}");
        }
        assert_eq!(job("if: false"), [("if-cond", 5)]);
    }

    #[test]
    fn values_have_the_type_that_their_place_wants() {
        let matrix = "strategy: {matrix: {o: [{x: 1}], l: [[a]], m: ['${{ github.sha }}']}}\n    ";
        for (bad, line) in [
            ("steps: [run: 'echo ${{ matrix.o }}']", 6),
            ("steps: [run: 'echo ${{ github }}']", 6),
            ("steps: [run: 'echo ${{ steps }}']", 6),
            ("steps: [run: 'echo ${{ matrix.l }}']", 6),
            ("steps: [run: 'echo ${{ matrix.m.x }}']", 6),
            ("steps: [run: 'echo ${{ job.container.os }}']", 6),
            ("if: github.event == 'push'", 6),
            ("if: github.refname == 'main'", 6),
            ("container: {image: x, credentials: \"${{ 'a:b' }}\"}", 6),
        ] {
            assert_eq!(job(&format!("{matrix}{bad}")), [("expression-type", line)], "{bad}");
        }
        for good in [
            "steps: [run: 'echo ${{ matrix.o.x }} ${{ toJSON(matrix) }} ${{ matrix.l[0] }}']",
            "steps: [{run: x, env: {A: '${{ steps }}'}}]",
            "if: github.event.action == 'opened' && github.ref_protected",
            "container: {image: x, credentials: \"${{ fromJSON('{}') }}\"}",
        ] {
            assert_eq!(job(&format!("{matrix}{good}")), [], "{good}");
        }
        let runs_on = |on: &str| {
            let text =
                format!("jobs: {{a: {{runs-on: '${{{{ {on} }}}}', strategy: {{matrix: {{o: [{{x: 1}}], l: [a]}}}}}}}}");
            found(&format!("on: push\n{text}\n"))
        };
        assert_eq!(runs_on("matrix.o"), [("expression-type", 2)]);
        assert_eq!(runs_on("matrix.l"), []);
    }

    #[test]
    fn defaults_read_inputs_that_came_before() {
        let inputs = |default: &str| {
            found(&format!(
                "on:\n  workflow_call:\n    inputs:\n      a: {{type: string}}\n      b:\n        type: boolean\n        \
                 default: ${{{{ {default} }}}}\n      c: {{type: boolean}}\njobs: {{a: {{runs-on: x}}}}\n"
            ))
        };
        assert_eq!(inputs("github.ref == inputs.a"), []);
        for bad in ["inputs.a", "inputs.c", "inputs.b"] {
            assert_eq!(inputs(bad), [("expression-type", 7)], "{bad}");
        }
    }

    #[test]
    fn passwords_belong_into_secrets() {
        let with = |password: &str| job(&format!("container: {{image: x, credentials: {{password: '{password}'}}}}"));
        assert_eq!(with("pass"), [("credentials", 5)]);
        assert_eq!(with("${{ secrets.PASSWORD }}"), []);
        assert_eq!(job("services: {db: {image: x, credentials: {password: pass}}}"), [("credentials", 5)]);
    }

    #[test]
    fn actions_of_others_are_pinned() {
        assert_eq!(step("uses: owner/action@v1"), [("action-pin", 6)]);
        for pinned in ["actions/checkout@v4", "./local", "docker://alpine:3", &format!("a/b@{}", "8f".repeat(20))] {
            assert_eq!(step(&format!("uses: {pinned}")), [], "{pinned}");
        }
    }

    #[test]
    fn an_exclude_names_what_there_is() {
        let matrix = |rest: &str| job(&format!("strategy: {{matrix: {{os: [a, b], v: [1, {{x: 1, y: 2}}], {rest}}}}}"));
        for useful in [
            "exclude: [{os: a}]",
            "exclude: [{os: A, v: 1}]",
            "exclude: [{v: {x: 1}}]",
            "include: [{os: c, extra: 1}], exclude: [{os: c}, {extra: 1}]",
            "exclude: [{os: '${{ github.sha }}'}]",
            "include: '${{ fromJSON(vars.x) }}', exclude: [{os: z}]",
        ] {
            assert_eq!(matrix(useful), [], "{useful}");
        }
        for idle in ["exclude: [{os: c}]", "exclude: [{oss: a}]", "exclude: [{v: {x: 2}}]", "exclude: [{os: [a]}]"] {
            assert_eq!(matrix(idle), [("matrix", 5)], "{idle}");
        }
    }

    #[test]
    fn filters_and_schedules_that_github_does_not_keep_are_told() {
        let on = |event: &str| found(&format!("on: {{{event}}}\njobs: {{a: {{runs-on: x}}}}\n"));
        assert_eq!(on("push: {branches: [a], branches-ignore: [b]}"), [("events", 1)]);
        assert_eq!(on("push: {branches: [a], tags-ignore: [b]}"), []);
        for (minutes, kept) in
            [("*/5", true), ("0,30", true), ("*/4", false), ("*", false), ("0,2", false), ("58,1", false)]
        {
            assert_eq!(on(&format!("schedule: [{{cron: '{minutes} * * * *'}}]")).is_empty(), kept, "{minutes}");
        }
        assert_eq!(on("schedule: [{cron: '58,1 3 * * *'}]"), []);
        for (filter, kept) in [
            ("branches: ['^foo']", false),
            ("branches: ['foo/**', '!foo/x']", true),
            ("tags: ['v 1']", false),
            ("paths: [./a]", false),
            ("paths: ['a b/**']", true),
        ] {
            assert_eq!(on(&format!("push: {{{filter}}}")).is_empty(), kept, "{filter}");
        }
    }

    #[test]
    fn names_that_nothing_defines_are_told() {
        let text = "on: {workflow_call: {inputs: {a: {type: string}}, secrets: {s: {}}, \
                    outputs: {o: {value: '${{ jobs.a.outputs.x }}'}}}}\njobs:\n  a:\n    runs-on: x\n    outputs: \
                    {x: '1'}\n    steps: [{id: one, run: \"${{ WHAT }}\"}]\n  b:\n    needs: a\n    \
                    strategy: {matrix: {os: [x]}}\n    runs-on: x\n    steps: [{id: two, run: \"${{ WHAT }}\"}]\n";
        let lines =
            |what: &str| found(&text.replace("WHAT", what)).into_iter().map(|(_, line)| line).collect::<Vec<_>>();
        for (what, wrong) in [
            ("inputs.a || inputs['A']", vec![]),
            ("inputs.b", vec![6, 11]),
            ("secrets.S || secrets.GITHUB_TOKEN", vec![]),
            ("secrets.t", vec![6, 11]),
            ("needs.a.outputs.x", vec![]),
            ("needs.a.outputs.y", vec![11]),
            ("steps.one.outputs.x", vec![11]),
            ("matrix.os", vec![6]),
            ("matrix.version", vec![6, 11]),
            ("format('{0} {{1}}', 1)", vec![]),
            ("format('{1}', 1)", vec![6, 11]),
            ("format('{0}', 1, 2)", vec![6, 11]),
            ("fromJSON('{')", vec![6, 11]),
            ("github", vec![6, 11]),
            ("toJSON(github)", vec![]),
        ] {
            assert_eq!(lines(what), wrong, "{what}");
        }
        assert_eq!(found(&text.replace("WHAT", "1").replace("outputs.x }", "outputs.z }")), [("expression", 1)]);
        assert_eq!(step("run: echo ${{ inputs.a }}"), [("expression", 6)]);
    }

    #[test]
    fn shells_and_variables_have_names_that_a_runner_can_use() {
        for good in ["bash", "'perl {0}'", "python"] {
            assert_eq!(step(&format!("{{run: x, shell: {good}}}")), [], "{good}");
        }
        for bad in ["dash", "bash -e", "Bsh"] {
            assert_eq!(step(&format!("{{run: x, shell: {bad}}}")), [("shell-name", 6)], "{bad}");
        }
        let on = |label: &str, shell: &str| {
            found(&format!("on: push\njobs: {{a: {{runs-on: {label}, defaults: {{run: {{shell: {shell}}}}}}}}}\n"))
        };
        assert_eq!(on("ubuntu-latest", "powershell"), [("shell-name", 2)]);
        assert_eq!(on("[self-hosted, macos]", "cmd"), [("shell-name", 2)]);
        assert_eq!((on("windows-latest", "cmd"), on("mine", "cmd")), (vec![], vec![]));
        for name in ["A B", "A=B", "A&B"] {
            assert_eq!(step(&format!("{{run: x, env: {{'{name}': 1}}}}")), [("env-var", 6)], "{name}");
            assert_eq!(job(&format!("container: {{image: x, env: {{'{name}': 1}}}}")), [("env-var", 5)], "{name}");
        }
        assert_eq!(step("{run: x, env: {A_1: x, a-b: y}}"), []);
    }

    #[test]
    fn values_that_cannot_be_given_are_told() {
        let input = |keys: &str| {
            found(&format!("on: {{workflow_dispatch: {{inputs: {{a: {{{keys}}}}}}}}}\njobs: {{a: {{runs-on: x}}}}\n"))
        };
        for good in ["type: choice, options: [b, c], default: c", "type: number, default: 1.5", "default: x"] {
            assert_eq!(input(good), [], "{good}");
        }
        for bad in
            ["type: choice, options: [b, c], default: d", "type: choice, options: [b, b]", "type: number, default: x"]
        {
            assert_eq!(input(bad), [("events", 1)], "{bad}");
        }
        let zone = |zone: &str| {
            found(&format!(
                "on: {{schedule: [{{cron: '0 3 * * *', timezone: {zone}}}]}}\njobs: {{a: {{runs-on: x}}}}\n"
            ))
        };
        assert_eq!((zone("Europe/Berlin"), zone("UTC"), zone("local")), (vec![], vec![], vec![("events", 1)]));
        assert_eq!(zone("Not/A/Zone"), [("events", 1)]);
        assert_eq!(job("strategy: {matrix: {a: [1, 2, 1]}}"), [("matrix", 5)]);
        assert_eq!(job("strategy: {matrix: {a: [1, '${{ github.sha }}', '${{ github.sha }}', {b: 1}, {b: 2}]}}"), []);
    }

    #[test]
    fn runners_that_github_does_not_have_are_told() {
        let on = |label: &str| found(&format!("on: push\njobs: {{a: {{runs-on: {label}}}}}\n"));
        for fine in ["ubuntu-latest", "[self-hosted, linux]", "macos-15-xlarge", "my-own", "'${{ github.ref }}'"] {
            assert_eq!(on(fine), [], "{fine}");
        }
        for wrong in ["ubuntu-oldest", "[ubuntu-latest, windows-latest]"] {
            assert_eq!(on(wrong), [("runner-label", 2)], "{wrong}");
        }
    }

    struct Tree(&'static [(&'static str, &'static str)]);

    impl Files for Tree {
        fn read(&self, path: &str) -> Option<String> {
            self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        }

        fn called(&self, uses: &str) -> Option<String> {
            self.read(uses)
        }

        fn policy(&self) -> Option<Policy> {
            Some(Policy::LimitedRead)
        }
    }

    const CALLED: Tree = Tree(&[
        (
            "o/r/outer.yml@v1",
            "on: workflow_call\njobs:\n  a: {permissions: {actions: read}, uses: ./inner.yml}\n  b: {uses: o/r/reader.yml@v1}\n",
        ),
        ("o/r/inner.yml@v1", "on: workflow_call\njobs: {a: {permissions: {actions: write}, runs-on: x}}\n"),
        ("o/r/reader.yml@v1", "on: workflow_call\npermissions: {contents: read}\njobs: {a: {runs-on: x}}\n"),
        ("o/r/token.yml@v1", "on: workflow_call\njobs: {a: {permissions: write-all, runs-on: x}}\n"),
        ("o/r/round.yml@v1", "on: workflow_call\njobs: {a: {uses: ./round.yml}}\n"),
    ]);

    #[test]
    fn called_workflows_want_no_more_than_their_callers_may() {
        for (whole, job, file, wrong) in [
            ("{}", "", "reader", true),
            ("{contents: read}", "", "reader", false),
            ("{contents: write}", "permissions: {issues: read}, ", "reader", true),
            ("write-all", "", "reader", false),
            ("read-all", "", "token", true),
            ("write-all", "", "token", false),
            ("write-all", "", "outer", true),
        ] {
            let text = format!("on: push\npermissions: {whole}\njobs:\n  a: {{{job}uses: o/r/{file}.yml@v1}}\n");
            let workflow = parse(&Source::new("a.yml", text.as_str())).value.expect("a workflow");
            let found = check(&workflow, Some(&CALLED));
            assert_eq!(found.iter().any(|found| found.rule == "permissions"), wrong, "{text}{found:?}");
            assert!(found.iter().all(|found| found.span.line == 4), "{found:?}");
        }
        let by_default = |file: &str| {
            let text = format!("on: push\njobs: {{a: {{uses: o/r/{file}.yml@v1}}}}\n");
            check(&parse(&Source::new("a.yml", text)).value.expect("a workflow"), Some(&CALLED)).len()
        };
        assert_eq!((by_default("reader"), by_default("token"), by_default("none")), (0, 1, 0));
        assert_eq!(by_default("round"), 1, "one that calls itself is told once");
    }

    const TREE: Tree = Tree(&[
        (
            "act/action.yml",
            "name: a\ndescription: b\ninputs: {must: {required: true}, may: {}}\nruns: {using: composite, steps: []}\n",
        ),
        (
            "script/action.yml",
            "name: a\ndescription: b\nruns: {using: node20, main: ./main.js, pre: pre.js, post-if: always()}\n",
        ),
        ("script/main.js", ""),
        (
            "old/action.yml",
            "name: a\ndescription: b\ninputs: {gone: {deprecationMessage: x}, silent: {deprecationMessage: }, \
             needed: {required: true, deprecationMessage: x}}\nruns: {using: composite, steps: []}\n",
        ),
        ("bad/action.yml", "name: a\ndescription: b\nruns: {using: composite}\n"),
        (
            "w.yml",
            "on: {workflow_call: {inputs: {n: {type: number, required: true}}, secrets: {s: {required: true}}, \
             outputs: {o: {value: x}}}}\njobs: {a: {runs-on: x}}\n",
        ),
        ("push.yml", "on: push\njobs: {a: {runs-on: x}}\n"),
    ]);

    fn looked_up(jobs: &str) -> Vec<(&'static str, u32)> {
        let text = format!("on: push\njobs:\n{jobs}\n");
        let workflow = parse(&Source::new("a.yml", text)).value.expect("a workflow");
        check(&workflow, Some(&TREE)).iter().map(|found| (found.rule, found.span.line)).collect()
    }

    #[test]
    fn local_actions_get_the_inputs_that_they_know() {
        let with = |step: &str| looked_up(&format!("  a: {{runs-on: x, steps: [{step}]}}"));
        assert_eq!(with("{uses: ./act, with: {must: 1, MAY: 2}}"), []);
        assert_eq!(with("{uses: ./act/, with: {may: 2}}"), [("action", 3)]);
        assert_eq!(with("{uses: ./act, with: {must: 1, other: 2}}"), [("action", 3)]);
        assert_eq!(with("uses: ./bad"), [("action", 3)]);
        assert_eq!(with("uses: ./made/by/a/step"), []);
        assert_eq!(with("uses: ./script"), [("action", 3), ("action", 3)], "`pre.js` is not there, `post` neither");
        assert_eq!(with("{uses: ./old, with: {gone: 1, silent: 1, needed: 1}}"), [("action", 3); 3]);
    }

    #[test]
    fn called_workflows_get_what_they_declare() {
        let with = |job: &str| looked_up(&format!("  a: {{{job}}}"));
        assert_eq!(with("uses: ./w.yml, with: {n: 1}, secrets: {s: x}"), []);
        assert_eq!(with("uses: ./w.yml, with: {n: 1}, secrets: inherit"), []);
        assert_eq!(with("uses: ./w.yml, with: {n: 1}"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./w.yml, secrets: inherit"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./w.yml, with: {n: one}, secrets: inherit"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./w.yml, with: {n: 1, m: 2}, secrets: inherit"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./push.yml"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./none.yml"), [("workflow-call", 3)]);
        let reads = |output: &str| {
            looked_up(&format!(
                "  a: {{uses: ./w.yml, with: {{n: 1}}, secrets: inherit}}\n  b: {{needs: a, runs-on: x, env: {{X: '${{{{ needs.a.outputs.{output} }}}}'}}}}"
            ))
        };
        assert_eq!(reads("o"), []);
        assert_eq!(reads("p"), [("expression", 4)]);
        assert_eq!(found("on: push\njobs: {a: {uses: ./x.txt}}\n"), [("workflow-call", 2)]);
    }
}
