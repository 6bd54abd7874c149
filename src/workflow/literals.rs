//! Treats an expression that is exactly one string literal, `${{ 'text' }}`, as plain text wherever text is allowed, as
//! actions/runner does (`TemplateReader.ParseScalar`). This is the way to write text that contains `${{`.

use std::borrow::Cow;

use super::yaml::{TextStyle, YamlKind, YamlNode};

/// Replaces every `${{ 'text' }}` in keys and values with its text.
pub(super) fn resolve(node: &mut YamlNode<'_>) {
    match &mut node.kind {
        YamlKind::Text(text, style) => {
            if let Some(literal) = literal(text) {
                *text = Cow::Owned(literal);
                *style = TextStyle::Literal;
            }
        }
        YamlKind::Sequence(items) => items.iter_mut().for_each(resolve),
        YamlKind::Mapping(entries) => entries.iter_mut().for_each(|(key, value)| {
            resolve(key);
            resolve(value);
        }),
        YamlKind::Null | YamlKind::Bool(_) | YamlKind::Number(..) => {}
    }
}

/// Returns the text of a string literal between `${{` and `}}`, in which `''` stands for a quote; `None` for any other
/// text.
fn literal(text: &str) -> Option<String> {
    let inside = text.strip_prefix("${{")?.strip_suffix("}}")?.trim();
    let quoted = inside.strip_prefix('\'')?.strip_suffix('\'')?;
    let is_one = quoted.split("''").all(|part| !part.contains('\''));
    is_one.then(|| quoted.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::source::Source;
    use crate::workflow::syntax::{JobBody, StepAction};
    use crate::workflow::{parse, template::Template};

    #[test]
    fn one_string_literal_is_text_and_anything_else_an_expression() {
        for (text, expected) in [
            ("${{ 'a' }}", Some("a")),
            ("${{''}}", Some("")),
            ("${{ 'it''s' }}", Some("it's")),
            ("${{ '${{' }}", Some("${{")),
            ("${{ 'a' == 'b' }}", None),
            ("${{ 'a' }} ", None),
            ("${{ 'a' }}${{ 'b' }}", None),
            ("${{ 1 }}", None),
            ("${{ a }}", None),
            ("${{ ' }}", None),
            ("'a'", None),
        ] {
            assert_eq!(literal(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_literal_is_allowed_wherever_text_is() {
        let text = "name: ${{ 'ci' }}\non: ${{ 'push' }}\njobs:\n  ${{ 'first' }}:\n    runs-on: ${{ 'x' }}\n  \
                    b:\n    needs: [\"${{ 'first' }}\"]\n    runs-on: x\n    steps:\n      \
                    - {id: \"${{ 'one' }}\", uses: \"${{ 'a/b@v1' }}\"}\n      \
                    - {run: \"${{ 'echo ${{' }}\", shell: \"${{ 'bash' }}\"}\n";
        let parsed = parse(&Source::new("a.yml", text));
        let workflow = parsed.value.unwrap_or_else(|| panic!("{:#?}", parsed.diagnostics));
        assert_eq!(workflow.name.as_ref().map(|name| name.value.as_str()), Some("ci"));
        assert_eq!(workflow.triggers[0].event.value, "push");
        assert_eq!(workflow.jobs[0].id.value, "first");
        assert_eq!(workflow.jobs[1].needs[0].value, "first");
        let JobBody::Steps(body) = &workflow.jobs[1].body else { panic!("steps") };
        assert_eq!(body.steps[0].id, "one");
        let StepAction::Run { script, shell, .. } = &body.steps[1].action else { panic!("a script") };
        assert_eq!(script.literal(), Some("echo ${{"));
        assert_eq!(shell.as_ref().and_then(Template::literal), Some("bash"));
        for (place, wrong) in [("timeout-minutes", "'5'"), ("continue-on-error", "'true'"), ("services", "'redis'")] {
            let text = format!("on: push\njobs: {{a: {{runs-on: x, {place}: \"${{{{ {wrong} }}}}\"}}}}\n");
            assert!(parse(&Source::new("a.yml", text)).value.is_none(), "{place} is not text");
        }
        for (place, wrong) in [("name", "a ${{ 'b' }}"), ("name", "${{ 1 }}"), ("on", "${{ github.x }}")] {
            let text = format!("{place}: \"{wrong}\"\n{}", "on: push\njobs: {a: {runs-on: x}}\n");
            assert!(parse(&Source::new("a.yml", text)).value.is_none(), "{place}: {wrong} is an expression");
        }
    }
}
