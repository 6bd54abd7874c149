//! Lint: rules that find likely mistakes in workflows that GitHub accepts.
//!
//! Most errors for which GitHub rejects a file are found while the file is parsed. [`RULES`] has an entry for each of
//! them as well, so that `--explain` knows the name in every diagnostic.

mod callees;
mod calls;
mod conditions;
mod containers;
mod events;
mod jobs;
mod manifests;
mod names;
mod permissions;
mod references;
mod scripts;
mod typed;
mod types;

use callees::Callees;

pub use manifests::check as check_action;

use super::diagnostic::Diagnostic;
use super::source::{Source, Span};
use super::syntax::{JobBody, Steering, StepAction, StepDefinition, StepsJob, Workflow};

/// A lint rule.
#[derive(Debug)]
pub struct Rule {
    /// Name, as in `[if-cond]` after a message.
    pub name: &'static str,
    /// What the rule reports, in one line.
    pub summary: &'static str,
    /// Why it matters and what to write instead.
    pub help: &'static str,
    /// Checks the workflow alone; `None` if the rule has no such check, for example because the parser reports its
    /// errors.
    check: Option<Check>,
    /// Checks the workflow against other files; `None` if the rule has no such check.
    look_up: Option<LookUp>,
}

type Check = fn(&Workflow, &mut Vec<Diagnostic>);
type LookUp = fn(&Workflow, &Callees<'_>, &mut Vec<Diagnostic>);

/// The files of the repository that contains a workflow.
pub trait Files {
    /// Returns the text of a file by its path from the root of the repository; `None` if the file cannot be read.
    fn read(&self, path: &str) -> Option<String>;

    /// Whether [`Files::read`] knows every file of the repository, so that `None` means that the file does not exist.
    fn is_complete(&self) -> bool {
        true
    }

    /// Returns the text of the workflow of another repository that the `uses` of a job names; `None` if it is not
    /// available.
    fn called(&self, _uses: &str) -> Option<String> {
        None
    }

    /// Returns the default permissions of the token; `None` if they are unknown.
    fn policy(&self) -> Option<Policy> {
        None
    }
}

/// Default permissions of the token, as set in the repository's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Read access to contents and packages.
    LimitedRead,
    /// Read and write access to all scopes except `id-token`.
    Write,
}

/// All rules, sorted by name.
pub static RULES: &[Rule] = &[
    Rule {
        name: "action",
        summary: "Invalid action manifest, or unknown or missing inputs of an action in this repository.",
        help: "An `action.yml` needs `name`, `description` and `runs`. The runner does not require the first two; the\n\
               marketplace and the page of the action do. Every key under `with` must be an input of the action:\n\
               GitHub passes on any key, but an action reads only the inputs that it declares.",
        check: None,
        look_up: Some(calls::actions),
    },
    Rule {
        name: "action-pin",
        summary: "Third-party action pinned to a branch or tag instead of a commit.",
        help: "A tag or branch can be moved to other code after you have reviewed it. Pin the commit, and note the version\n\
               in a comment:\n\n    uses: owner/action@8f4b7f84864484a7bf31766abe9204da3cbe65b3 # v3.1.0\n\n\
               Actions of `actions` and `github` are not reported.",
        check: Some(jobs::pins),
        look_up: None,
    },
    Rule {
        name: "container",
        summary: "Option, port or volume of a container that GitHub or Docker does not accept.",
        help: "GitHub sets the network and the entrypoint of a container itself. A port is `container` or `host:container`,\n\
               a volume `source:/path`, where the path in the container is absolute:\n\n    \
               ports: [8080:80]\n    volumes: [cache:/var/cache]",
        check: Some(containers::check),
        look_up: None,
    },
    Rule {
        name: "credentials",
        summary: "Container registry password in the workflow file.",
        help: "Anyone with read access to the repository, now or in the past, can read the password. Store it as a\n\
               secret:\n\n    password: ${{ secrets.REGISTRY_PASSWORD }}",
        check: Some(jobs::credentials),
        look_up: None,
    },
    Rule {
        name: "deprecated-commands",
        summary: "Deprecated workflow command.",
        help: "Any output of a step can forge `::set-output::` and `::save-state::`, and `::set-env::` and\n\
               `::add-path::` no longer work. Append to the file instead:\n\n    \
               echo \"name=value\" >> \"$GITHUB_OUTPUT\"",
        check: Some(scripts::deprecated_commands),
        look_up: None,
    },
    Rule {
        name: "env-var",
        summary: "Invalid name of an environment variable.",
        help: "The name of a variable cannot contain `=`, `&` or whitespace. Use letters, digits and `_`:\n\n    \
               env:\n      BUILD_MODE: release",
        check: Some(names::variables),
        look_up: None,
    },
    Rule {
        name: "events",
        summary: "Conflicting filters, unsupported schedules, or invalid defaults of inputs.",
        help: "An event cannot have both `branches` and `branches-ignore` (likewise tags and paths): use negative\n\
               patterns with `!` in the positive filter. A schedule has five fields (minute, hour, day of the month,\n\
               month, day of the week) in POSIX syntax, without `@daily`, and runs at most every five minutes.\n\
               The default of a choice must be one of its options, and the default of a number must be a number.",
        check: Some(events::check),
        look_up: None,
    },
    Rule {
        name: "expression",
        summary: "Invalid expression, or reference to a name that is not defined.",
        help: "The expression does not parse, or uses a context or function that is not available here: see GitHub's\n\
               table of context availability. GitHub accepts an undefined input, output, step or matrix key, but its\n\
               value is empty in every run.",
        check: Some(references::check),
        look_up: None,
    },
    Rule {
        name: "expression-call",
        summary: "Function call that fails in every run, or has an unused argument.",
        help: "The argument of `fromJSON` must be JSON, and `format` needs one argument for each placeholder.",
        check: Some(references::calls),
        look_up: None,
    },
    Rule {
        name: "expression-type",
        summary: "Value whose type cannot be right here.",
        help: "GitHub accepts any type: a property of a string is empty, an object is never equal to a string, `<`\n\
               converts `true` to a number, and an object becomes the string `Object`. Use one property of the object,\n\
               or `toJSON`:\n\n    \
               if: github.event.action == 'opened'\n    run: echo '${{ toJSON(matrix) }}'",
        check: Some(typed::check),
        look_up: None,
    },
    Rule {
        name: "glob",
        summary: "Filter pattern that can never match.",
        help: "Names of branches and tags cannot contain `~`, `^`, `:` or spaces: filters are glob patterns, not\n\
               regular expressions. Paths are relative to the root of the repository, without a leading `./`.",
        check: Some(events::globs),
        look_up: None,
    },
    Rule {
        name: "id",
        summary: "Invalid or duplicate id of a job or step.",
        help: "Ids start with a letter or `_`, contain only letters, digits, `-` and `_`, and are unique regardless of case.",
        check: None,
        look_up: None,
    },
    Rule {
        name: "if-cond",
        summary: "Condition that always has the same result.",
        help: "Text around `${{ }}` makes the whole condition a string, and a non-empty string is true:\n\n    \
               if: ${{ false }} && ${{ false }}    # true\n    if: ${{ false && false }}           # false\n\n\
               A condition that reads no context is the same in every run: remove it, or use a variable to disable the\n\
               job or step.",
        check: Some(conditions::check),
        look_up: None,
    },
    Rule {
        name: "job-needs",
        summary: "Unknown job in `needs`, a dependency cycle, or an output that a called workflow does not have.",
        help: "`needs` lists ids of jobs in the same file, and jobs cannot depend on each other in a cycle.",
        check: None,
        look_up: Some(calls::outputs),
    },
    Rule {
        name: "job-steps",
        summary: "Job without steps.",
        help: "A job has `steps`, or calls a workflow with `uses`. GitHub refuses a workflow whose job has neither.",
        check: Some(jobs::without_steps),
        look_up: None,
    },
    Rule {
        name: "matrix",
        summary: "Matrix with an `exclude` that has no effect, or with a duplicate value.",
        help: "An entry of `exclude` removes the combinations that have all of its values. With a key or value that no\n\
               combination has, it removes none. A duplicate value runs the same job twice.",
        check: Some(jobs::matrices),
        look_up: None,
    },
    Rule {
        name: "permissions",
        summary: "Called workflow that requests more permissions than the calling job has.",
        help: "Permissions can be kept or reduced from caller to called workflow, never raised. Scopes that `permissions`\n\
               does not list have no access. Grant the calling job what the called workflow needs:\n\n    deploy:\n      permissions: { contents: read, id-token: write }\n      \
               uses: ./.github/workflows/deploy.yml",
        check: None,
        look_up: Some(permissions::check),
    },
    Rule {
        name: "runner-label",
        summary: "Unknown GitHub-hosted runner.",
        help: "A job waits forever if its label looks like a GitHub-hosted runner but does not exist, or if its labels\n\
               name different operating systems. Labels of self-hosted runners are not reported.",
        check: Some(jobs::labels),
        look_up: None,
    },
    Rule {
        name: "script-injection",
        summary: "Untrusted input in a script.",
        help: "Titles, bodies, branch names and author names come from the author of an issue or pull request. `${{ }}`\n\
               inserts them into the script before the shell parses it, so they can end a string and run commands.\n\
               Pass them as environment variables:\n\n    env:\n      TITLE: ${{ github.event.issue.title }}\n    \
               run: echo \"$TITLE\"",
        check: Some(scripts::injections),
        look_up: None,
    },
    Rule {
        name: "shell-name",
        summary: "Unknown shell, or shell that the job's operating system does not have.",
        help: "The runner has `bash`, `sh`, `pwsh`, `python`, and on Windows `cmd` and `powershell`. For any other program\n\
               write the whole command, with `{0}` for the path of the script:\n\n    shell: perl {0}",
        check: Some(names::shells),
        look_up: None,
    },
    Rule {
        name: "syntax-check",
        summary: "Invalid YAML, or not a valid workflow.",
        help: "The file has an unknown key, a value of the wrong type, or lacks a required key.",
        check: None,
        look_up: None,
    },
    Rule {
        name: "workflow-call",
        summary: "Missing called workflow, or wrong inputs or secrets in a call.",
        help: "`uses` of a job names a workflow file with `workflow_call` under `on`. GitHub rejects a call with inputs or\n\
               secrets that the called workflow does not declare, and a call without its required ones.",
        check: Some(calls::names),
        look_up: Some(calls::workflows),
    },
];

/// Applies all rules to a valid workflow. With `files`, also checks the local actions and called workflows that it
/// uses. Returns the diagnostics in no particular order.
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

/// Returns the jobs that run steps, as opposed to calling a workflow.
fn jobs_with_steps(workflow: &Workflow) -> impl Iterator<Item = &StepsJob> {
    workflow.jobs.iter().filter_map(|job| match &job.body {
        JobBody::Steps(body) => Some(&**body),
        JobBody::Call { .. } => None,
    })
}

/// Returns all steps, including those inside `parallel`.
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

/// Returns the span of the first occurrence of `text` in the source within `span`, or `span` itself if the source
/// spells the text differently.
fn span_of(source: &Source, span: Span, text: &str) -> Span {
    let whole = source.text.get(span.start as usize..(span.end as usize).min(source.text.len())).unwrap_or_default();
    whole.find(text).map_or(span, |at| source.span(span.start as usize + at, text.len()))
}

/// Returns all expressions of a job.
#[must_use]
pub fn expressions(job: &super::syntax::JobDefinition) -> Vec<&super::expr::Expr> {
    references::of_job(job).into_iter().map(|(expr, _)| expr).collect()
}

/// Returns every expression of a workflow outside its jobs and events.
#[must_use]
pub fn outer_expressions(workflow: &Workflow) -> Vec<&super::expr::Expr> {
    references::of_workflow(workflow).into_iter().map(|(expr, _)| expr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse;
    use crate::workflow::source::Source;

    /// Returns rule and line of each diagnostic, sorted by line, without `job-steps`, because most jobs of the tests
    /// have no steps.
    fn found(text: &str) -> Vec<(&'static str, u32)> {
        all(text).into_iter().filter(|(rule, _)| *rule != "job-steps").collect()
    }

    fn all(text: &str) -> Vec<(&'static str, u32)> {
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
    fn rules_are_sorted_and_documented() {
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
        assert!(RULES.iter().all(|rule| rule.summary.ends_with('.') && !rule.help.is_empty()));
    }

    #[test]
    fn untrusted_input_is_reported_in_scripts_only() {
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
    fn a_job_without_steps_is_reported() {
        for (jobs, lines) in [
            ("a:\n    runs-on: x\n", vec![3]),
            ("a:\n    runs-on: x\n    steps: []\n", vec![3]),
            ("a:\n    runs-on: x\n    steps: [{run: 'true'}]\n  b:\n    needs: a\n    runs-on: x\n", vec![6]),
            ("a:\n    uses: o/r/.github/workflows/c.yml@v1\n", vec![]),
        ] {
            let reported = all(&format!("on: push\njobs:\n  {jobs}"));
            let lines: Vec<_> = lines.into_iter().map(|line| ("job-steps", line)).collect();
            let reported: Vec<_> = reported.into_iter().filter(|(rule, _)| *rule == "job-steps").collect();
            assert_eq!(reported, lines, "{jobs}");
        }
    }

    #[test]
    fn an_untrusted_reference_is_reported_at_its_own_position() {
        let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          true\n          \
                    echo ${{ github.head_ref }}\n";
        let workflow = parse(&Source::new("a.yml", text)).value.expect("a workflow");
        let found = check(&workflow, None);
        assert_eq!((found[0].span.line, found[0].span.column), (8, 20));
    }

    #[test]
    fn deprecated_commands_are_reported() {
        for command in ["::set-output name=a::b", "::save-state name=a::b", "::set-env name=a::b", "::add-path::/x"] {
            assert_eq!(step(&format!("run: echo '{command}'")), [("deprecated-commands", 6)]);
        }
        assert_eq!(step("run: echo '::notice::replace ::set-output'"), []);
    }

    #[test]
    fn constant_conditions_are_reported() {
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
        let message = |condition: &str| {
            let text = format!("on: push\njobs: {{a: {{runs-on: x, steps: [{{run: x, if: \"{condition}\"}}]}}}}\n");
            let workflow = parse(&Source::new("a.yml", text)).value.expect(condition);
            check(&workflow, None).first().map(|found| found.message.clone()).unwrap_or_default()
        };
        for (condition, words) in [
            (" ${{ github.sha }}", "text around"),
            ("${{ 'fa' }}${{ 'lse' }}", "always true"),
            ("${{ false }}${{ '' }}", "always true"),
            ("${{ '' }}${{ null }}", "always false"),
            ("${{ 'false' }}", "always false"),
            ("${{ github.sha }}${{ github.ref }}", ""),
            ("${{ github.sha }} || ${{ github.ref }}", "text around"),
        ] {
            let message = message(condition);
            assert!(message.contains(words) && message.is_empty() == words.is_empty(), "{condition}: {message}");
        }
        for other in ["always()", "github.ref == 'x'", "success() && true", "hashFiles('x') != ''", "!cancelled()"] {
            assert_eq!(step(&format!("{{run: x, if: \"{other}\"}}")), [], "{other}");
        }
        assert_eq!(job("if: false"), [("if-cond", 5)]);
    }

    #[test]
    fn values_of_the_wrong_type_are_reported() {
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
            ("container: {image: x, credentials: \"${{ fromJSON('[]') }}\"}", 6),
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
    fn defaults_may_only_read_earlier_inputs() {
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
    fn passwords_in_the_file_are_reported() {
        let with = |password: &str| job(&format!("container: {{image: x, credentials: {{password: '{password}'}}}}"));
        assert_eq!(with("pass"), [("credentials", 5)]);
        assert_eq!(with("${{ secrets.PASSWORD }}"), []);
        assert_eq!(job("services: {db: {image: x, credentials: {password: pass}}}"), [("credentials", 5)]);
    }

    #[test]
    fn unpinned_third_party_actions_are_reported() {
        assert_eq!(step("uses: owner/action@v1"), [("action-pin", 6)]);
        for pinned in ["actions/checkout@v4", "./local", "docker://alpine:3", &format!("a/b@{}", "8f".repeat(20))] {
            assert_eq!(step(&format!("uses: {pinned}")), [], "{pinned}");
        }
    }

    #[test]
    fn an_exclude_without_effect_is_reported() {
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
    fn unsupported_filters_and_schedules_are_reported() {
        let on = |event: &str| found(&format!("on: {{{event}}}\njobs: {{a: {{runs-on: x}}}}\n"));
        assert_eq!(on("push: {branches: [a], branches-ignore: [b]}"), [("events", 1)]);
        assert_eq!(on("push: {branches: [a], tags-ignore: [b]}"), []);
        assert_eq!(on("push: {branches: []}"), [("events", 1)]);
        assert_eq!(on("pull_request: {paths: [], branches-ignore: []}").len(), 2);
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
    fn undefined_names_are_reported() {
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
            ("needs.a.outputs.x", vec![6]),
            ("needs.a.outputs.y", vec![6, 11]),
            ("steps.one.outputs.x", vec![6, 11]),
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
    fn invalid_shells_and_variable_names_are_reported() {
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
        assert_eq!((on("windows-latest", "sh"), on("macos-15", "sh")), (vec![("shell-name", 2)], vec![]));
        for name in ["A B", "A=B", "A&B"] {
            assert_eq!(step(&format!("{{run: x, env: {{'{name}': 1}}}}")), [("env-var", 6)], "{name}");
            assert_eq!(job(&format!("container: {{image: x, env: {{'{name}': 1}}}}")), [("env-var", 5)], "{name}");
        }
        assert_eq!(step("{run: x, env: {A_1: x, a-b: y}}"), []);
    }

    #[test]
    fn invalid_options_defaults_and_time_zones_are_reported() {
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
        assert_eq!(job("strategy: {matrix: {a: [3.9, '3.10']}}"), [("matrix", 5)]);
        assert_eq!(job("strategy: {matrix: {a: [true, 'false', 1]}}"), [("matrix", 5)]);
        assert_eq!(job("strategy: {matrix: {a: [1, 2.5], b: [a, '1', '${{ github.sha }}']}}"), []);
        assert_eq!(job("strategy: {matrix: {a: [1, '${{ github.sha }}', '${{ github.sha }}', {b: 1}, {b: 2}]}}"), []);
    }

    #[test]
    fn only_direct_needs_and_earlier_steps_have_results() {
        let needs = |needs: &str, read: &str| {
            found(&format!(
                "on: push\njobs:\n  a: {{runs-on: x}}\n  b: {{runs-on: x, needs: a}}\n  c:\n    runs-on: x\n    needs: {needs}\n    if: {read}\n"
            ))
        };
        assert_eq!(needs("b", "needs.b.result == 'success'"), []);
        assert_eq!(needs("[a, b]", "needs.A.result == needs.b.result"), []);
        assert_eq!(needs("b", "needs.a.result == 'success'"), [("expression", 8)]);
        assert_eq!(needs("b", "needs.nope.result == ''"), [("expression", 8)]);
        assert_eq!(needs("b", "contains(needs.*.result, 'failure')"), []);
        let steps = |steps: &str| {
            let rows = steps.lines().fold(String::new(), |text, step| format!("{text}      - {step}\n"));
            found(&format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{rows}"))
        };
        let read = |id: &str| format!("run: echo ${{{{ steps.{id}.outputs.x }}}}");
        assert_eq!(steps(&format!("{{id: one, run: x}}\n{}", read("One"))), []);
        assert_eq!(steps(&format!("{}\n{{id: one, run: x}}", read("one"))), [("expression", 6)]);
        assert_eq!(
            steps(&format!("{{id: one, if: steps.one.outcome == '', run: x}}\n{}", read("one"))),
            [("expression", 6)]
        );
        let background = "{id: one, run: x, background: true}";
        assert_eq!(steps(&format!("{background}\n{}", read("one"))), [("expression", 7)]);
        for wait in ["wait: one", "wait: [one]", "wait-all:", "cancel: one"] {
            assert_eq!(steps(&format!("{background}\n{wait}\n{}", read("one"))), [], "{wait}");
        }
        let group = format!("parallel: [{{id: one, run: x}}, {{{}}}]", read("one").replace("run: ", "run: '") + "'");
        assert_eq!(steps(&format!("{group}\n{}", read("one"))), [("expression", 6)], "steps of a group run at once");
    }

    #[test]
    fn values_of_containers_are_reported_at_their_position() {
        let container = |keys: &str| job(&format!("container:\n      image: x\n      {keys}"));
        for (keys, line) in [
            ("options: --cpus 1 --network host", 7),
            ("options: --entrypoint=sh", 7),
            ("ports:\n        - 80\n        - http", 9),
            ("volumes:\n        - /a:/b\n        - data", 9),
        ] {
            assert_eq!(container(keys), [("container", line)], "{keys}");
        }
        assert_eq!(job("services: {a: {image: x, ports: ['80:x']}}"), [("container", 5)]);
        for good in
            ["options: --cpus 1 --network-alias db", "ports: ['8080:80', '${{ github.sha }}']", "volumes: [a:/b:ro]"]
        {
            assert_eq!(container(good), [], "{good}");
        }
        assert_eq!(step("uses: 'docker://alpine:'"), [("action", 6)]);
        assert_eq!(step("uses: docker://localhost:5000/alpine"), []);
    }

    #[test]
    fn a_whole_mapping_must_be_an_object() {
        let matrix = "strategy: {matrix: {o: [{A: x}], s: [x, y]}}\n    ";
        for (bad, line) in [
            ("env: '${{ matrix.s }}'", 6),
            ("services: \"${{ fromJSON('[]') }}\"", 6),
            ("defaults: {run: '${{ matrix.s }}'}", 6),
            ("steps: [{uses: ./a, with: '${{ matrix.s }}'}]", 6),
            ("steps: [{run: x, env: \"${{ github.sha }}\"}]", 6),
        ] {
            assert_eq!(job(&format!("{matrix}{bad}")), [("expression-type", line)], "{bad}");
        }
        assert_eq!(job("strategy: '${{ github.sha }}'"), [("expression-type", 5)]);
        for good in [
            "env: '${{ matrix.o }}'",
            "services: '${{ fromJSON(vars.services) }}'",
            "defaults: {run: \"${{ fromJSON('{}') }}\"}",
            "steps: [{uses: docker://a, with: '${{ matrix.o }}', env: '${{ matrix.o }}'}]",
        ] {
            assert_eq!(job(&format!("{matrix}{good}")), [], "{good}");
        }
    }

    #[test]
    fn unknown_runners_are_reported() {
        let on = |label: &str| found(&format!("on: push\njobs: {{a: {{runs-on: {label}}}}}\n"));
        for fine in ["ubuntu-latest", "[self-hosted, linux]", "macos-15-xlarge", "my-own", "'${{ github.ref }}'"] {
            assert_eq!(on(fine), [], "{fine}");
        }
        for wrong in ["ubuntu-oldest", "[ubuntu-latest, windows-latest]"] {
            assert_eq!(on(wrong), [("runner-label", 2)], "{wrong}");
        }
        for (runs_on, rows) in [
            ("${{ matrix.os }}", &[5][..]),
            ("[self-hosted, '${{ matrix.os }}']", &[5]),
            ("${{ matrix.on }}", &[6]),
            ("x-${{ matrix.os }}", &[]),
        ] {
            let text = format!(
                "on: push\njobs:\n  a:\n    strategy: {{matrix: {{os: [ubuntu-latest,\n      ubuntu-oldest], include: [\n      {{on: macos-1}}]}}}}\n    runs-on: {runs_on}\n"
            );
            let expected: Vec<_> = rows.iter().map(|row| ("runner-label", *row)).collect();
            assert_eq!(found(&text), expected, "{runs_on}");
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
    fn called_workflows_with_excessive_permissions_are_reported() {
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
        assert_eq!(by_default("round"), 1, "a workflow that calls itself is reported once");
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
        ("docker/action.yml", "name: a\ndescription: b\nruns: {using: docker, image: Dockerfile}\n"),
        ("built/action.yml", "name: a\ndescription: b\nruns: {using: docker, image: ./Dockerfile}\n"),
        ("built/Dockerfile", ""),
        ("node12/action.yml", "name: a\ndescription: b\nruns: {using: node12, main: a.js}\n"),
        ("node12/a.js", ""),
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
    fn inputs_of_local_actions_are_checked() {
        let with = |step: &str| looked_up(&format!("  a: {{runs-on: x, steps: [{step}]}}"));
        assert_eq!(with("{uses: ./act, with: {must: 1, MAY: 2}}"), []);
        assert_eq!(with("{uses: ./act/, with: {may: 2}}"), [("action", 3)]);
        assert_eq!(with("{uses: ./act, with: {must: 1, other: 2}}"), [("action", 3)]);
        assert_eq!(with("uses: ./bad"), [("action", 3)]);
        assert_eq!(with("uses: ./made/by/a/step"), [("action", 3)], "a remark: an earlier step must make it");
        assert_eq!(with("{uses: $/act, with: {may: 2}}"), [("action", 3)]);
        assert_eq!(with("{uses: ./act, with: '${{ fromJSON(vars.with) }}'}"), []);
        assert_eq!(with("uses: ./docker"), [("action", 3)], "its Dockerfile is missing");
        assert_eq!(with("uses: ./built"), []);
        assert_eq!(with("uses: ./node12"), [("action", 3)]);
        assert_eq!(with("uses: ./script"), [("action", 3), ("action", 3)], "`pre.js` and `post` are missing");
        assert_eq!(with("{uses: ./old, with: {gone: 1, silent: 1, needed: 1}}"), [("action", 3); 3]);
    }

    #[test]
    fn inputs_and_secrets_of_called_workflows_are_checked() {
        let with = |job: &str| looked_up(&format!("  a: {{{job}}}"));
        assert_eq!(with("uses: ./w.yml, with: {n: 1}, secrets: {s: x}"), []);
        assert_eq!(with("uses: ./w.yml, with: {n: 1}, secrets: inherit"), []);
        assert_eq!(with("uses: ./w.yml, with: {n: 1}"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./w.yml, secrets: inherit"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./w.yml, with: {n: one}, secrets: inherit"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./w.yml, with: {n: 1, m: 2}, secrets: inherit"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./push.yml"), [("workflow-call", 3)]);
        assert_eq!(with("uses: ./none.yml"), [("workflow-call", 3)]);
        assert_eq!(with("uses: $/none.yml"), [("workflow-call", 3)]);
        assert_eq!(with("uses: $/w.yml, with: {n: 1}, secrets: inherit"), []);
        let reads = |output: &str| {
            looked_up(&format!(
                "  a: {{uses: ./w.yml, with: {{n: 1}}, secrets: inherit}}\n  b: {{needs: a, runs-on: x, env: {{X: '${{{{ needs.a.outputs.{output} }}}}'}}, steps: [{{run: x}}]}}"
            ))
        };
        assert_eq!(reads("o"), []);
        assert_eq!(reads("p"), [("expression", 4)]);
        assert_eq!(found("on: push\njobs: {a: {uses: ./x.txt}}\n"), [("workflow-call", 2)]);
    }
}
