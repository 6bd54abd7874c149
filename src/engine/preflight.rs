//! What a job will need and cannot have, found before its first step.
//!
//! A job that would fail in its seventh step because an action is not there fails before the first one, and says so.
//! Actions of the repository itself are looked at too, as deep as composite actions may nest.

use std::path::Path;

use crate::workflow;
use crate::workflow::source::Source;
use crate::workflow::syntax::{ActionRuns, StepAction, StepDefinition};

use super::action::{MAX_DEPTH, Reference, read_manifest};

/// The actions that these steps use and that cannot run, as one sentence; `None` when all can.
pub(super) fn missing_actions(steps: &[StepDefinition], repository: &Path, slug: &str) -> Option<String> {
    let mut missing = Vec::new();
    look(steps, repository, slug, 0, &mut missing);
    if missing.is_empty() {
        return None;
    }
    missing.dedup();
    Some(format!("not started: {}", missing.join("; ")))
}

fn look(steps: &[StepDefinition], repository: &Path, slug: &str, depth: usize, missing: &mut Vec<String>) {
    for step in steps {
        let StepAction::Uses { reference, with } = &step.action else { continue };
        let literal = |name: &str| {
            let given = with.iter().find(|(key, _)| key.value.eq_ignore_ascii_case(name));
            given.and_then(|(_, value)| value.literal()).map(str::to_owned)
        };
        match Reference::parse(&reference.value) {
            Err(reason) => missing.push(reason),
            Ok(Reference::Checkout) => {
                let other =
                    literal("repository").filter(|named| !named.is_empty() && !named.eq_ignore_ascii_case(slug));
                if let Some(other) = other {
                    missing.push(format!(
                        "`{}` of another repository ({other}): this version checks out only the repository it runs in",
                        reference.value
                    ));
                }
            }
            Ok(Reference::Remote) => missing.push(format!(
                "`{}` is an action of another repository, and this version runs only actions of this one",
                reference.value
            )),
            Ok(Reference::Image) => {
                missing
                    .push(format!("`{}` needs a container engine, which this version does not use", reference.value));
            }
            Ok(Reference::Local(path)) => local(&path, &reference.value, repository, slug, depth, missing),
        }
    }
}

/// An action that an earlier step will only make (a generated folder) is not missing yet: the step itself tells.
fn local(path: &str, written: &str, repository: &Path, slug: &str, depth: usize, missing: &mut Vec<String>) {
    let Some((name, text)) = read_manifest(&repository.join(path)) else { return };
    if depth >= MAX_DEPTH {
        return missing.push(format!("`{written}` nests composite actions deeper than {MAX_DEPTH}"));
    }
    let action = workflow::parse_action(&Source::new(name, text)).value;
    match action.map(|action| action.runs) {
        Some(ActionRuns::Composite { steps }) => look(&steps, repository, slug, depth + 1, missing),
        Some(ActionRuns::Docker { .. }) => {
            missing.push(format!("`{written}` needs a container engine, which this version does not use"));
        }
        Some(ActionRuns::JavaScript { using, .. }) => {
            missing
                .push(format!("`{written}` is a JavaScript action ({}), which this version does not run", using.value));
        }
        // A manifest with errors is told by the step that uses it, with the place of each.
        None => {}
    }
}
