//! Action manifests: likely mistakes that the runner accepts.

use std::sync::Arc;

use super::references::{collect, of_step};
use super::span_of;
use crate::model::nearest;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::expr::PathKey;
use crate::workflow::manifest::parse_action_partial;
use crate::workflow::source::{Source, Spanned};
use crate::workflow::syntax::ActionRuns;

/// Versions of Node.js that GitHub's runner no longer has.
const OLD_NODE: &[&str] = &["node12", "node16"];

/// Applies all rules to the valid parts of an action manifest.
#[must_use]
pub fn check(source: &Arc<Source>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let Some(action) = parse_action_partial(source) else { return found };
    if let Some(using) = old_node(&action.runs) {
        let message =
            format!("GitHub's runner no longer has `{}`, and runs the action with a newer version", using.value);
        found.push(Diagnostic::warning("action", using.span, message).hint("write `using: node24`"));
    }
    let mut expressions = Vec::new();
    match &action.runs {
        ActionRuns::Composite { steps } => steps.iter().for_each(|step| of_step(step, &mut expressions)),
        ActionRuns::Docker { args, env, .. } => {
            args.iter().chain(env).for_each(|value| collect(value, &mut expressions));
        }
        ActionRuns::JavaScript { .. } => {}
    }
    action.outputs.iter().filter_map(|(_, value)| value.as_ref()).for_each(|value| collect(value, &mut expressions));
    let inputs: Vec<_> = action.inputs.iter().map(|input| input.name.value.as_str()).collect();
    for (expr, span) in expressions {
        for reference in expr.roots() {
            let Some(PathKey::Name(name, _)) = reference.path.first() else { continue };
            let is_input = reference.context.text.eq_ignore_ascii_case("inputs");
            if !is_input || inputs.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                continue;
            }
            let text = &expr.text()[reference.extent.start..reference.extent.end];
            let message = format!("the action has no input `{name}`, so `{text}` is empty");
            let hint = match nearest(name, inputs.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it under `inputs`".to_owned(),
            };
            let location = span_of(source, span, text);
            found.push(Diagnostic::warning("expression", location, message).hint(hint));
        }
    }
    found
}

/// Returns `using` of an action if it is a version of Node.js that GitHub's runner no longer has.
pub(super) fn old_node(runs: &ActionRuns) -> Option<&Spanned<String>> {
    match runs {
        ActionRuns::JavaScript { using, .. } => {
            Some(using).filter(|using| OLD_NODE.contains(&using.value.to_ascii_lowercase().as_str()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(&'static str, u32)> {
        check(&Source::new("action.yml", text)).iter().map(|found| (found.rule, found.span.line)).collect()
    }

    #[test]
    fn undefined_inputs_and_old_versions_of_node_are_reported() {
        let head = "name: a\ndescription: b\ninputs: {one: {}, two: {}}\n";
        let composite = |run: &str| {
            lines(&format!(
                "{head}runs:\n  using: composite\n  steps:\n    - run: echo ${{{{ {run} }}}}\n      shell: bash\n"
            ))
        };
        assert_eq!(composite("inputs.one || inputs['TWO']"), []);
        assert_eq!(composite("inputs.nope"), [("expression", 7)]);
        assert_eq!(
            lines(&format!("{head}runs: {{using: docker, image: x, args: ['${{{{ inputs.three }}}}']}}\n")),
            [("expression", 4)]
        );
        for (using, old) in [("node12", true), ("Node16", true), ("node20", false), ("node24", false)] {
            assert_eq!(lines(&format!("runs: {{using: {using}, main: a.js}}\n")).len(), usize::from(old), "{using}");
        }
    }
}
