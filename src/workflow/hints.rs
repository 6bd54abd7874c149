//! What to write instead: the second half of a message about a file that GitHub refuses.

use granit_parser::ErrorKind;

use super::expr::{Function, ParseError, ParseErrorKind};
use super::schema::availability::{Availability, CONTEXTS};
use super::schema::{Schema, Shape, nearest};
use super::yaml::YamlKind;

/// Keys that are listed at most.
const MAX_LISTED_KEYS: usize = 8;

/// About a value of the wrong shape.
pub(super) fn for_shape(schema: &Schema, written: &YamlKind<'_>) -> String {
    match &schema.shape {
        Shape::Bool => "write `true` or `false` without quotes, or an expression that is one of them".to_owned(),
        Shape::Number => "write a number without quotes, or an expression that is one".to_owned(),
        Shape::Sequence(_) => "write its items below it, each behind `- `".to_owned(),
        Shape::Mapping(fields) if fields.known.is_empty() => {
            "write names and values below it, each as `name: value`".to_owned()
        }
        Shape::Mapping(fields) => {
            let names: Vec<_> = fields.known.iter().map(|field| field.name).collect();
            let more = if names.len() > MAX_LISTED_KEYS { ", …" } else { "" };
            format!(
                "write keys and values below it; the keys are {}{more}",
                names[..names.len().min(MAX_LISTED_KEYS)].join(", ")
            )
        }
        Shape::Nothing => "leave the value away".to_owned(),
        _ if matches!(written, YamlKind::Null) => "write a value, or leave the key away".to_owned(),
        _ => "write one text, in quotes if it has `: `, `[` or `{` in it".to_owned(),
    }
}

/// About a required key that is missing. `outer` is the schema with all of its alternatives.
pub(super) fn for_missing(key: &str, outer: &'static Schema) -> String {
    let mut required: Vec<&str> = Vec::new();
    for schema in outer.alternatives() {
        let Shape::Mapping(fields) = &schema.shape else { continue };
        let first = fields.known.iter().find(|field| field.required).map(|field| field.name);
        required.extend(first.filter(|name| !required.contains(name)));
    }
    if required.len() > 1 && required.contains(&key) {
        format!("every {} has one of {}", outer.name, required.join(", "))
    } else {
        format!("add `{key}: …`")
    }
}

/// About a key that is not known where it stands. `outer` is the schema with all of its alternatives, `chosen` the one that
/// the other keys have chosen.
pub(super) fn for_unknown(key: &str, chosen: &Schema, outer: &'static Schema) -> String {
    let names = |schema: &Schema| match &schema.shape {
        Shape::Mapping(fields) => fields.known.iter().map(|field| field.name).collect(),
        _ => Vec::new(),
    };
    let here = names(chosen);
    let elsewhere: Vec<_> =
        outer.alternatives().into_iter().flat_map(names).filter(|name| !here.contains(name)).collect();
    match nearest(key, here.iter().chain(&elsewhere).copied()) {
        Some(near) if near == key => {
            let required =
                outer.alternatives().into_iter().find(|schema| names(schema).contains(&key)).map(
                    |schema| match &schema.shape {
                        Shape::Mapping(fields) => {
                            fields.known.iter().filter(|field| field.required).map(|field| field.name).collect()
                        }
                        _ => Vec::new(),
                    },
                );
            let goes_with = required.unwrap_or_default().join(", ");
            format!(
                "`{key}` belongs to another kind of {}, that with `{goes_with}`; the keys here are {}",
                chosen.name,
                here.join(", ")
            )
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys are {}", here.join(", ")),
    }
}

/// About an expression that does not parse.
pub(super) fn for_expression(error: &ParseError, availability: &Availability) -> Option<String> {
    let symbol = error.symbol();
    let here = if availability.contexts.is_empty() { "none".to_owned() } else { availability.contexts.join(", ") };
    Some(match error.kind {
        ParseErrorKind::InvalidSymbol | ParseErrorKind::UnexpectedSymbol => match symbol {
            _ if symbol.starts_with('"') => "texts stand in single quotes: 'text'".to_owned(),
            _ if symbol.contains("${{") || error.expression.contains("${{") => {
                "`}}` is missing before the next `${{`; expressions do not stand inside each other".to_owned()
            }
            "=" => "write `==` to compare".to_owned(),
            "&" => "write `&&`".to_owned(),
            "|" => "write `||`".to_owned(),
            _ if symbol.starts_with(['+', '-', '*', '/', '%']) => "there is no arithmetic in expressions".to_owned(),
            _ => "an operator such as `&&`, `||` or `==` is missing before it, or it belongs into single quotes"
                .to_owned(),
        },
        ParseErrorKind::UnexpectedEnd => "an operand, or a `)` or `]`, is missing at the end".to_owned(),
        ParseErrorKind::UnrecognizedNamedValue => {
            let known = CONTEXTS.iter().any(|name| name.eq_ignore_ascii_case(symbol));
            match nearest(symbol, availability.contexts.iter().copied()) {
                _ if known => format!("`{symbol}` has no value in this place; the contexts here are {here}"),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("texts stand in single quotes: '{symbol}'; the contexts here are {here}"),
            }
        }
        ParseErrorKind::UnrecognizedFunction => {
            let available: Vec<_> =
                Function::BUILT_IN.iter().chain(availability.functions).map(|function| function.name()).collect();
            match (nearest(symbol, available.iter().copied()), Function::named(symbol)) {
                (_, Some(Function::HashFiles)) => {
                    "`hashFiles` stands in steps alone: the files are there then".to_owned()
                }
                (_, Some(function)) if function.is_status() => {
                    format!("`{}` stands in an `if` alone", function.name())
                }
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, _) => format!("the functions here are {}", available.join(", ")),
            }
        }
        ParseErrorKind::TooFewParameters | ParseErrorKind::TooManyParameters => {
            let function = Function::named(symbol)?;
            let name = function.name();
            match function.arity(true) {
                (0, 0) => format!("`{name}` takes nothing: write `{name}()`"),
                (least, most) if least == most => format!("`{name}` takes {least} {}", arguments(least)),
                (least, 2) => format!("`{name}` takes {least} or 2 arguments"),
                (least, _) => format!("`{name}` takes {least} {} or more", arguments(least)),
            }
        }
        ParseErrorKind::EvenParameters => "write `case(predicate, value, …, otherwise)`".to_owned(),
        ParseErrorKind::TooLong | ParseErrorKind::TooDeep => {
            "give a part of it a name, with `env` or an output of a step".to_owned()
        }
    })
}

fn arguments(count: usize) -> &'static str {
    if count == 1 { "argument" } else { "arguments" }
}

/// About a text that is no YAML: what is wrong, where the parser says it for those who know YAML's own terms, and what to
/// write.
pub(super) fn for_yaml(error: &ErrorKind) -> (Option<&'static str>, Option<&'static str>) {
    use ErrorKind as E;
    let tab = Some("YAML is indented with spaces: replace the tab");
    match error {
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation => (Some("a tab cannot indent"), tab),
        E::TabAtBlockScalarStart | E::TabInPlainScalar => (None, tab),
        E::UnknownAnchor => {
            (Some("this alias has no anchor"), Some("an alias `*name` needs an anchor `&name` before it"))
        }
        E::MappingValueNotAllowed => (
            Some("a `:` cannot stand here: there is no key before it"),
            Some("text that has `: ` in it must be quoted, and keys of one mapping begin in the same column"),
        ),
        E::ExpectedBlockMappingKey => (
            Some("this line is neither a key of the mapping above nor outside of it"),
            Some("keys of one mapping begin in the same column, each with `:` behind it"),
        ),
        E::ExpectedBlockSequenceEntry => (
            Some("this line is neither an item of the sequence above nor outside of it"),
            Some("items of one sequence begin in the same column, each with `- ` before it"),
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => (
            Some("a key without `:`"),
            Some("write `key: value`; a text of several lines stands behind `|` or in quotes"),
        ),
        E::InvalidIndentation | E::BlockSequenceEntryNotAllowed | E::MappingKeyNotAllowed => {
            (None, Some("keys of one mapping, and items of one sequence, begin in the same column"))
        }
        E::InvalidQuotedScalarIndent => (
            Some("a quoted text goes on here with less indentation than its key"),
            Some("close its quote in the line where it begins, or indent its lines"),
        ),
        E::UnclosedQuotedScalar => (Some("a quote is not closed"), Some("close the quote")),
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => (
            Some("there is text behind a closed quote"),
            Some("put all of it into one pair of quotes; within single quotes `'` is written twice"),
        ),
        E::UnknownQuotedScalarEscape => (
            Some("a `\\` begins no known escape"),
            Some("write `\\\\` for the character itself, or use single quotes, which know no escapes"),
        ),
        E::UnexpectedEofFlowSequence | E::ExpectedFlowSequenceSeparator => {
            (None, Some("items within `[ ]` have `,` between them, and `]` is needed at the end"))
        }
        E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping | E::ExpectedFlowMappingSeparator => {
            (None, Some("entries within `{ }` have `,` between them, and `}` is needed at the end"))
        }
        E::UnclosedFlowCollection { .. } | E::MismatchedFlowCollectionEnd { .. } | E::MisplacedFlowCollectionEnd => {
            (None, Some("every `[` and `{` is closed by its own `]` or `}`; text with them in it must be quoted"))
        }
        E::UnexpectedCharacter { .. } => (None, Some("put text that begins with this character into quotes")),
        E::RecursionLimitExceeded => (None, Some("flatten the structure")),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use crate::workflow::source::Source;
    use crate::workflow::{parse, parse_action};

    /// Every way to be refused says what to write instead.
    #[test]
    fn what_is_refused_comes_with_advice() {
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
            (job("name: x"), "every job has one of runs-on, uses"),
            (job("{use: a/b/c.yml@v1}"), "did you mean `uses`?"),
            (step("{run: x, uses: a/b@v1}"), "that with `uses`"),
            (step("{run: x, with: {a: b}}"), "that with `uses`"),
            ("on:\njobs: {a: {runs-on: x}}\n".to_owned(), "write"),
            (job("{runs-on: x, timeout-minutes: soon}"), "a number without quotes"),
            (job("{runs-on: x, continue-on-error: sure}"), "`true` or `false`"),
            (job("{runs-on: x, steps: {run: x}}"), "behind `- `"),
            (job("{runs-on: x, needs: other}"), "the jobs are a"),
            (job("{runs-on: x, needs: [a]}"), "without"),
            (job("{runs-on: ''}"), "write a value"),
            (job("{runs-on: x, env: {A: [1]}}"), "one text"),
            (job("{runs-on: x, permissions: {contents: all}}"), "one of read, write, none"),
            (job("{runs-on: x, container: {options: x}}"), "add `image"),
            (job("{runs-on: x, strategy: {matrix: {a: []}}}"), "values"),
            (job("{runs-on: {group: a/b}}"), "organization/name"),
            ("on: push\njobs:\n  1a: {runs-on: x}\n".to_owned(), "write `_1a`"),
            (step("{id: a b, run: x}"), "write `a_b`"),
            (step("name: x"), "every step has one of run, uses"),
            (step("uses: checkout"), "owner/repository@ref"),
            (step("run: ${{ github.sha }"), "`}}`"),
            (step("run: ${{ }}"), "leave the marks away"),
            (step("run: ${{ \"a\" }}"), "single quotes"),
            (step("run: ${{ secret.A }}"), "did you mean `secrets`?"),
            (step("run: ${{ always() }}"), "stands in an `if` alone"),
            (step("run: ${{ startWith('a', 'b') }}"), "did you mean `startsWith`?"),
            (step("run: ${{ contains('a') }}"), "takes 2 arguments"),
            (step("run: ${{ 1 + 2 }}"), "no arithmetic"),
            (step("run: ${{ a.b == }}"), "contexts here"),
            (step("run: ${{ 1 == }}"), "an operand"),
            (step("{run: x, shell: '${{ github.x }}'}"), "before any expression"),
            (job("runs-on: ${{ env.X }}"), "has no value in this place"),
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
}
