//! Hints for errors in workflow files: how to fix them.

use granit_parser::ErrorKind;

use crate::model::{first_names, nearest};

use super::expr::{Function, ParseError, ParseErrorKind};
use super::schema::availability::{Availability, CONTEXTS};
use super::schema::{Fields, Schema, Shape};
use super::yaml::{TextStyle, YamlKind};

/// Maximum number of keys listed in a hint.
const MAX_LISTED_KEYS: usize = 8;

/// Returns the hint for a value of the wrong type.
pub(super) fn for_shape(schema: &Schema, written: &YamlKind<'_>) -> String {
    match &schema.shape {
        Shape::Bool => "write `true` or `false` without quotes, or an expression".to_owned(),
        Shape::Number => "write a number without quotes, or an expression".to_owned(),
        Shape::Sequence(_) if is_dash_without_blank(written) => "write a blank after each `-`".to_owned(),
        Shape::Sequence(_) => "write a list of items, each after `- `".to_owned(),
        Shape::Mapping(fields) if fields.known.is_empty() => "add entries, each as `name: value`".to_owned(),
        Shape::Mapping(fields) => {
            let names = fields.known.iter().map(|field| field.name);
            format!("write a mapping with the keys {}", first_names(names, MAX_LISTED_KEYS))
        }
        Shape::Nothing => "remove the value".to_owned(),
        _ if matches!(written, YamlKind::Null) => "write a value, or remove the key".to_owned(),
        _ => "write a string, in quotes if it contains `: `, `[` or `{`".to_owned(),
    }
}

/// Whether a value looks like a list whose dashes have no blank after them, such as `-run: x`.
fn is_dash_without_blank(written: &YamlKind<'_>) -> bool {
    let dashed = |text: &str| text.starts_with('-') && text.len() > 1;
    match written {
        YamlKind::Mapping(entries) => entries.first().is_some_and(|(key, _)| match &key.kind {
            YamlKind::Text(text, _) => dashed(text),
            _ => false,
        }),
        YamlKind::Text(text, TextStyle::Plain) => dashed(text),
        _ => false,
    }
}

/// Whether an unknown key looks like a required key of the mapping. `outer` is the schema with all its alternatives.
pub(super) fn misspells_required(key: &str, outer: &'static Schema) -> bool {
    let known: Vec<_> = mappings(outer).flat_map(|fields| fields.known).collect();
    let near = nearest(key, known.iter().map(|field| field.name));
    near.is_some_and(|near| near != key && known.iter().any(|field| field.required && field.name == near))
}

/// Returns the keys of each alternative of a schema that is a mapping.
fn mappings(outer: &'static Schema) -> impl Iterator<Item = &'static Fields> {
    outer.alternatives().into_iter().filter_map(|schema| match &schema.shape {
        Shape::Mapping(fields) => Some(fields),
        _ => None,
    })
}

/// Returns the hint for a missing required key. `outer` is the schema with all its alternatives.
pub(super) fn for_missing(key: &str, outer: &'static Schema) -> String {
    let required = required_keys(outer);
    if required.len() > 1 && required.contains(&key) {
        format!("every {} needs one of {}", outer.name, required.join(", "))
    } else {
        format!("add `{key}: …`")
    }
}

/// Returns the first required key of each alternative of a schema.
fn required_keys(outer: &'static Schema) -> Vec<&'static str> {
    let mut required: Vec<&str> = Vec::new();
    for fields in mappings(outer) {
        let first = fields.known.iter().find(|field| field.required).map(|field| field.name);
        required.extend(first.filter(|name| !required.contains(name)));
    }
    required
}

/// Returns the hint for an unknown key. `outer` is the schema with all its alternatives, and `chosen` is the
/// alternative that the other keys selected.
pub(super) fn for_unknown(key: &str, chosen: &'static Schema, outer: &'static Schema) -> String {
    let names = |schema| mappings(schema).flat_map(|fields| fields.known).map(|field| field.name);
    let here: Vec<_> = names(chosen).collect();
    let elsewhere: Vec<_> = names(outer).filter(|name| !here.contains(name)).collect();
    // A list may start in the column of its key, where an item without the blank looks like another key.
    if let Some(item) = key.strip_prefix('-').filter(|item| !item.is_empty()) {
        return format!("write a blank after `-`: `- {item}: …`");
    }
    match nearest(key, here.iter().chain(&elsewhere).copied()) {
        Some(near) if near == key => {
            let known = mappings(outer).map(|fields| fields.known).find(|known| known.iter().any(|it| it.name == key));
            let required = known.unwrap_or_default().iter().filter(|field| field.required);
            let required: Vec<_> = required.map(|field| field.name).collect();
            if required.contains(&key) {
                return format!("one {} has only one of {}", chosen.name, required_keys(outer).join(", "));
            }
            let goes_with = required.join(", ");
            format!("`{key}` is only for a {} with `{goes_with}`; the keys here are {}", chosen.name, here.join(", "))
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys are {}", here.join(", ")),
    }
}

/// Returns the hint for an expression that does not parse; `None` if no hint fits.
pub(super) fn for_expression(error: &ParseError, availability: &Availability) -> Option<String> {
    let symbol = error.symbol();
    let here = if availability.contexts.is_empty() { "none".to_owned() } else { availability.contexts.join(", ") };
    Some(match error.kind {
        ParseErrorKind::InvalidSymbol | ParseErrorKind::UnexpectedSymbol => match symbol {
            _ if symbol.starts_with('"') => "strings need single quotes: 'text'".to_owned(),
            _ if symbol.contains("${{") || error.expression.contains("${{") => {
                "`}}` is missing before the next `${{`; expressions cannot be nested".to_owned()
            }
            "=" => "write `==` to compare".to_owned(),
            "&" => "write `&&`".to_owned(),
            "|" => "write `||`".to_owned(),
            _ if symbol.starts_with(['+', '-', '*', '/', '%']) => "expressions have no arithmetic operators".to_owned(),
            _ => "an operator such as `&&`, `||` or `==` is missing before it, or quotes around it".to_owned(),
        },
        ParseErrorKind::UnexpectedEnd => "an operand, a `)` or a `]` is missing at the end".to_owned(),
        ParseErrorKind::UnrecognizedNamedValue => {
            let known = CONTEXTS.iter().any(|name| name.eq_ignore_ascii_case(symbol));
            match nearest(symbol, availability.contexts.iter().copied()) {
                _ if known => format!("`{symbol}` is not available here; the contexts here are {here}"),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("strings need single quotes: '{symbol}'; the contexts here are {here}"),
            }
        }
        ParseErrorKind::UnrecognizedFunction => {
            let available: Vec<_> =
                Function::BUILT_IN.iter().chain(availability.functions).map(|function| function.name()).collect();
            match (nearest(symbol, available.iter().copied()), Function::named(symbol)) {
                (_, Some(Function::HashFiles)) => "`hashFiles` is only available in steps".to_owned(),
                (_, Some(function)) if function.is_status() => {
                    format!("`{}` is only available in `if`", function.name())
                }
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, _) => format!("the functions here are {}", available.join(", ")),
            }
        }
        ParseErrorKind::TooFewParameters | ParseErrorKind::TooManyParameters => {
            let function = Function::named(symbol)?;
            let name = function.name();
            match function.arity(true) {
                (0, 0) => format!("`{name}` takes no arguments: write `{name}()`"),
                (least, most) if least == most => format!("`{name}` takes {least} {}", arguments(least)),
                (least, 2) => format!("`{name}` takes {least} or 2 arguments"),
                (least, _) => format!("`{name}` takes {least} {} or more", arguments(least)),
            }
        }
        ParseErrorKind::EvenParameters => "write `case(predicate, value, …, otherwise)`".to_owned(),
        ParseErrorKind::TooLong | ParseErrorKind::TooDeep => {
            "move a part of it to `env` or to an output of a step".to_owned()
        }
    })
}

fn arguments(count: usize) -> &'static str {
    if count == 1 { "argument" } else { "arguments" }
}

/// Returns a message and a hint for invalid YAML. The message is `None` if the parser's own message is clear enough,
/// and the hint is `None` if there is nothing specific to add.
pub(super) fn for_yaml(error: &ErrorKind) -> (Option<&'static str>, Option<&'static str>) {
    use ErrorKind as E;
    let tab = Some("YAML requires spaces for indentation: replace the tab");
    match error {
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation => (Some("tab used for indentation"), tab),
        E::TabAtBlockScalarStart | E::TabInPlainScalar => (None, tab),
        E::UnknownAnchor => {
            (Some("alias without an anchor"), Some("an alias `*name` needs an anchor `&name` before it"))
        }
        E::MappingValueNotAllowed => (
            Some("unexpected `:`: there is no key before it"),
            Some("quote text that contains `: `, and start keys of one mapping in the same column"),
        ),
        E::ExpectedBlockMappingKey => (
            Some("this line is neither a key of the mapping above nor outside it"),
            Some("start keys of one mapping in the same column, each followed by `:`"),
        ),
        E::ExpectedBlockSequenceEntry => (
            Some("this line is neither an item of the sequence above nor outside it"),
            Some("start items of one sequence in the same column, each with a leading `- `"),
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            (Some("key without `:`"), Some("write `key: value`; text of several lines needs `|` or quotes"))
        }
        E::InvalidIndentation | E::BlockSequenceEntryNotAllowed | E::MappingKeyNotAllowed => {
            (None, Some("start keys of one mapping, and items of one sequence, in the same column"))
        }
        E::InvalidQuotedScalarIndent => (
            Some("quoted text continues here with less indentation than its key"),
            Some("close the quote on its first line, or indent the other lines"),
        ),
        E::UnclosedQuotedScalar => (Some("unclosed quote"), Some("close the quote")),
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => (
            Some("text after a closing quote"),
            Some("put all of it in one pair of quotes; within single quotes, write `''` for `'`"),
        ),
        E::UnknownQuotedScalarEscape => (
            Some("unknown escape sequence"),
            Some("write `\\\\` for a backslash, or use single quotes, which have no escapes"),
        ),
        E::UnexpectedEofFlowSequence | E::ExpectedFlowSequenceSeparator => {
            (None, Some("separate items within `[ ]` with `,`, and add `]` at the end"))
        }
        E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping | E::ExpectedFlowMappingSeparator => {
            (None, Some("separate entries within `{ }` with `,`, and add `}` at the end"))
        }
        E::UnclosedFlowCollection { .. } | E::MismatchedFlowCollectionEnd { .. } | E::MisplacedFlowCollectionEnd => {
            (None, Some("close every `[` and `{` with its own `]` or `}`; quote text that contains them"))
        }
        E::UnexpectedCharacter { .. } => (None, Some("quote text that starts with this character")),
        E::RecursionLimitExceeded => (None, Some("flatten the structure")),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use crate::workflow::source::Source;
    use crate::workflow::{parse, parse_action};

    #[test]
    fn every_error_has_a_hint() {
        let step = |body: &str| format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {body}\n");
        let job = |body: &str| format!("on: push\njobs:\n  a:\n    {body}\n");
        for (text, words) in [
            ("on: push\njobs: []\n".to_owned(), "each as `name: value`"),
            ("on: push\njobs:\n".to_owned(), "each as `name: value`"),
            ("jobs: {a: {runs-on: x}}\n".to_owned(), "add `on: …`"),
            ("on: pussh\njobs: {a: {runs-on: x}}\n".to_owned(), "did you mean `push`?"),
            ("on: {push: {branch: a}}\njobs: {a: {runs-on: x}}\n".to_owned(), "did you mean `branches`?"),
            ("on: push\njobs: {a: {runs-on: x}, a: {runs-on: x}}\n".to_owned(), "remove one of the two"),
            (job("runs-on: x\n\tsteps: []"), "replace the tab"),
            (job("runs-on: 'x"), "close"),
            (job("runs-on: [x"), "`]`"),
            (job("runs-on: x\n   steps: []"), "same column"),
            (job("runs-on: *x"), "an anchor `&name`"),
            (job("runs-on: \"a\\q\""), "single quotes"),
            (job("runs-on: 'a' b"), "one pair of quotes"),
            (job("name: x"), "every job needs one of runs-on, uses"),
            (job("{use: a/b/c.yml@v1}"), "did you mean `uses`?"),
            (step("{run: x, uses: a/b@v1}"), "one step has only one of run, uses"),
            ("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: x\n    -run: y\n".to_owned(), "`- run: …`"),
            (step("{run: x, with: {a: b}}"), "only for a step with `uses`"),
            ("on:\njobs: {a: {runs-on: x}}\n".to_owned(), "write"),
            (job("{runs-on: x, timeout-minutes: soon}"), "a number without quotes"),
            (job("{runs-on: x, continue-on-error: sure}"), "`true` or `false`"),
            (job("{runs-on: x, steps: {run: x}}"), "after `- `"),
            (job("{runs-on: x, needs: other}"), "the jobs are a"),
            (job("{runs-on: x, needs: [a]}"), "from the `needs`"),
            (job("{runs-on: ''}"), "write a value"),
            (job("{runs-on: x, env: {A: [1]}}"), "write a string"),
            (job("{runs-on: x, permissions: {contents: all}}"), "one of read, write, none"),
            (job("{runs-on: x, container: {options: x}}"), "add `image"),
            (job("{runs-on: x, strategy: {matrix: {a: []}}}"), "values"),
            (job("{runs-on: {group: a/b}}"), "organization/name"),
            ("on: push\njobs:\n  1a: {runs-on: x}\n".to_owned(), "write `_1a`"),
            (step("{id: a b, run: x}"), "write `a_b`"),
            (step("name: x"), "every step needs one of run, uses"),
            (step("uses: checkout"), "owner/repository@ref"),
            (step("run: ${{ github.sha }"), "`}}`"),
            (step("run: ${{ }}"), "remove the `${{ }}`"),
            (step("run: ${{ \"a\" }}"), "single quotes"),
            (step("run: ${{ secret.A }}"), "did you mean `secrets`?"),
            (step("run: ${{ always() }}"), "only available in `if`"),
            (step("run: ${{ startWith('a', 'b') }}"), "did you mean `startsWith`?"),
            (step("run: ${{ contains('a') }}"), "takes 2 arguments"),
            (step("run: ${{ 1 + 2 }}"), "no arithmetic operators"),
            (step("run: ${{ a.b == }}"), "contexts here"),
            (step("run: ${{ 1 == }}"), "an operand"),
            (step("{run: x, shell: '${{ github.x }}'}"), "a literal value"),
            (job("runs-on: ${{ env.X }}"), "is not available here"),
            ("on: {workflow_dispatch: {inputs: {a: {type: choice}}}}\njobs: {a: {runs-on: x}}\n".to_owned(), "options"),
        ] {
            let found = parse(&Source::new("a.yml", text.as_str())).diagnostics;
            let hints: Vec<_> = found.iter().map(|found| found.hint.as_deref().unwrap_or("NO HINT")).collect();
            assert!(!found.is_empty() && !hints.contains(&"NO HINT"), "{text}{found:#?}");
            assert!(hints.iter().any(|hint| hint.contains(words)), "{text}{words}: {hints:?}");
            assert!(found.iter().all(|found| !found.message.contains('\n')), "one line each: {found:?}");
        }
        for (using, missing) in [("node20", "main"), ("docker", "image"), ("composite", "steps")] {
            let text = format!("name: a\ndescription: b\nruns: {{using: {using}}}\n");
            let found = parse_action(&Source::new("action.yml", text)).diagnostics;
            assert!(found[0].message.contains(&format!("`{missing}` is missing")), "{using}: {found:?}");
        }
        let manifest = parse_action(&Source::new("action.yml", "runs: {using: composite}\n"));
        assert!(manifest.diagnostics.iter().all(|found| found.hint.is_some()), "{:#?}", manifest.diagnostics);
    }

    #[test]
    fn one_mistake_has_one_error() {
        let head = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n";
        let step = |lines: &str| format!("{head}{lines}");
        let job = |lines: &str| format!("on: push\njobs:\n  a:\n{lines}    steps:\n      - run: x\n");
        for (text, line, message) in [
            (job("    runs-on x\n"), 4, "`:` is missing after `runs-on`"),
            (job("    runs-on: [x\n"), 4, "unclosed `[`"),
            (job("\truns-on: x\n"), 4, "tab used for indentation"),
            (job("    run-on: x\n"), 4, "unexpected key `run-on` in `job`"),
            (job("    runs-on: x\n    neds: b\n"), 5, "unexpected key `neds` in `job`"),
            (job("    runs-on: x\n    needs: b\n"), 5, "job `a` needs unknown job `b`"),
            (job("    runs-on: x\n    needs: a\n"), 5, "job `a` needs itself"),
            (job("    runs-on: x\n    if: ${{ github.ref == 'x'\n"), 5, "unclosed expression"),
            (job("    runs-on: x\n    if: github.ref = 'x'\n"), 5, "Unexpected symbol: '='"),
            (job("    runs-on: 'x\n"), 5, "quoted text continues here with less indentation"),
            (step("      - run: x\n    - run: y\n"), 7, "`-` is in column 5, but the item above is in column 7"),
            (step("      - run: x\n        - run: y\n"), 7, "`-` is in column 9, but the item above is in column 7"),
            (step("  - run: x\n"), 6, "`-` is in column 3, left of its key `steps`"),
            (step("      -run: x\n"), 6, "`steps` must be a sequence"),
            (step("      - rnu: x\n"), 6, "unexpected key `rnu` in `step`"),
            (step("      - use: a/b@v1\n"), 6, "unexpected key `use` in `step`"),
            (step("      - run: x\n        uses: a/b@v1\n"), 7, "unexpected key `uses` in `step`"),
            (step("      - run: echo a: b\n"), 6, "a value cannot contain `: `"),
            (step("      - run: x\n      -run: y\n      - run: z\n"), 7, "a blank is missing after `-`"),
            (step("      - name:x\n        run: y\n"), 6, "a blank is missing after `name:`"),
            (step("      - run: echo ${{ github.sha }\n"), 6, "unclosed expression"),
            ("on: push\njob:\n  a: {runs-on: x, steps: [{run: x}]}\n".to_owned(), 2, "unexpected key `job`"),
            ("no: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n".to_owned(), 1, "unexpected key `no`"),
            (
                "on: push\njobs:\n  a: {needs: b, runs-on: x, steps: [{run: x}]}\n  b: {needs: a, runs-on: x, steps: [{run: x}]}\n"
                    .to_owned(),
                3,
                "dependency cycle: job `a` needs `b`",
            ),
        ] {
            let found = parse(&Source::new("a.yml", text.as_str())).diagnostics;
            let [only] = found.as_slice() else { panic!("{text}{found:#?}") };
            assert!(only.span.line == line && only.message.starts_with(message), "{text}{only:#?}");
        }
    }
}
