//! What GitHub accepts and is most likely not what was meant: rules over a typed workflow, from one table.
//!
//! What GitHub refuses is found while a file is read; the table has pages for those names too, so that every name that
//! a diagnostic carries can be looked up.

mod conditions;
mod events;
mod jobs;
mod scripts;

use super::diagnostic::Diagnostic;
use super::source::{Source, Span};
use super::syntax::{JobBody, StepDefinition, StepsJob, Workflow};

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
    check: Option<fn(&Workflow, &mut Vec<Diagnostic>)>,
}

/// Every rule, by name.
pub static RULES: &[Rule] = &[
    Rule {
        name: "action",
        summary: "A manifest of an action without what every action must have.",
        help: "An `action.yml` needs `name`, `description` and `runs`. The runner does without the first two; the\n\
               marketplace and the page of the action do not.",
        check: None,
    },
    Rule {
        name: "action-pin",
        summary: "An action of somebody else at a branch or a tag.",
        help: "A tag or a branch can be moved to other code after you have read it. Name the commit, and the version\n\
               as a comment:\n\n    uses: owner/action@8f4b7f84864484a7bf31766abe9204da3cbe65b3 # v3.1.0\n\n\
               Actions of `actions` and `github` are left alone.",
        check: Some(jobs::pins),
    },
    Rule {
        name: "credentials",
        summary: "A password of a container registry written into the file.",
        help: "Everybody who can read the repository can read it, and so can everybody who could at any time. Store\n\
               it as a secret:\n\n    password: ${{ secrets.REGISTRY_PASSWORD }}",
        check: Some(jobs::credentials),
    },
    Rule {
        name: "deprecated-commands",
        summary: "A workflow command that GitHub has taken out of use.",
        help: "`::set-output::` and `::save-state::` can be forged by whatever a step prints, and `::set-env::` and\n\
               `::add-path::` no longer work at all. Append to the file instead:\n\n    \
               echo \"name=value\" >> \"$GITHUB_OUTPUT\"",
        check: Some(scripts::deprecated_commands),
    },
    Rule {
        name: "events",
        summary: "Filters that exclude each other, and schedules that GitHub does not keep.",
        help: "`branches` and `branches-ignore` (likewise tags and paths) cannot stand under one event: write\n\
               negative patterns with `!` in the positive filter. The shortest interval of `schedule` is five minutes.",
        check: Some(events::check),
    },
    Rule {
        name: "expression",
        summary: "A fault inside `${{ }}` or in an `if`.",
        help: "The expression does not parse, or names a context or function that this place does not have. Which\n\
               contexts are available where is in GitHub's table of context availability.",
        check: None,
    },
    Rule {
        name: "glob",
        summary: "A filter pattern that can match nothing.",
        help: "Names of branches and tags cannot contain `~`, `^`, `:` or blanks: filters are glob patterns, not\n\
               regular expressions. Paths are matched from the top of the repository, without `./` before them.",
        check: Some(events::globs),
    },
    Rule {
        name: "id",
        summary: "An id of a job or step that cannot be one, or is taken.",
        help: "Ids start with a letter or `_`, go on with letters, digits, `-` and `_`, and are unique in any case.",
        check: None,
    },
    Rule {
        name: "if-cond",
        summary: "A condition that is always the same.",
        help: "Text around `${{ }}` makes the whole condition a text, and text is true:\n\n    \
               if: ${{ false }} && ${{ false }}    # true\n    if: ${{ false && false }}           # false\n\n\
               A condition that reads no context is the same in every run: leave it away, or switch the job or step\n\
               off with a variable.",
        check: Some(conditions::check),
    },
    Rule {
        name: "job-needs",
        summary: "A need that is no job, or jobs that need each other.",
        help: "`needs` lists ids of jobs of the same file, and the jobs must be in some order.",
        check: None,
    },
    Rule {
        name: "matrix",
        summary: "An `exclude` that excludes nothing.",
        help: "An entry of `exclude` leaves out the combinations that have all of its values. A key or a value that no\n\
               combination has leaves them all in.",
        check: Some(jobs::excludes),
    },
    Rule {
        name: "script-injection",
        summary: "Text that a stranger writes, put into a script.",
        help: "Titles, bodies, names of branches and authors are written by whoever opens an issue or a pull request.\n\
               `${{ }}` puts them into the script before the shell reads it, so they can end a string and run commands.\n\
               Pass them as environment variables:\n\n    env:\n      TITLE: ${{ github.event.issue.title }}\n    \
               run: echo \"$TITLE\"",
        check: Some(scripts::injections),
    },
    Rule {
        name: "syntax-check",
        summary: "The file is not YAML, or not a workflow.",
        help: "A key that is not known in its place, a value of another type, something required that is missing.",
        check: None,
    },
];

/// What the rules find in a workflow that GitHub accepts, in no order.
#[must_use]
pub fn check(workflow: &Workflow) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for check in RULES.iter().filter_map(|rule| rule.check) {
        check(workflow, &mut found);
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

fn steps(workflow: &Workflow) -> impl Iterator<Item = &StepDefinition> {
    jobs_with_steps(workflow).flat_map(|job| &job.steps)
}

/// Where a text stands inside a span, as far as the source spells it the same; the span itself otherwise.
fn place_of(source: &Source, span: Span, text: &str) -> Span {
    let whole = source.text.get(span.start as usize..(span.end as usize).min(source.text.len())).unwrap_or_default();
    whole.find(text).map_or(span, |at| source.span(span.start as usize + at, text.len()))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::source::Source;
    use super::*;

    /// Rule and line of what is found.
    fn found(text: &str) -> Vec<(&'static str, u32)> {
        let workflow = parse(&Source::new("a.yml", text)).value.expect(text);
        let mut found: Vec<_> = check(&workflow).iter().map(|found| (found.rule, found.span.line)).collect();
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
        let found = check(&workflow);
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
        for constant in ["true", "${{ false }}", "true ", "true && 42 || !null", "!${{ github.sha }}", "a ${{ true }}"]
        {
            assert_eq!(step(&format!("{{run: x, if: \"{constant}\"}}")), [("if-cond", 6)], "{constant}");
        }
        for other in ["always()", "github.ref == 'x'", "success() && true", "hashFiles('x') != ''", "!cancelled()"] {
            assert_eq!(step(&format!("{{run: x, if: \"{other}\"}}")), [], "{other}");
        }
        assert_eq!(job("if: false"), [("if-cond", 5)]);
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
}
