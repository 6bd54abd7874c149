//! JavaScript actions, in the node of the place where the job runs.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::job::environment::JobEnvironment;
use crate::engine::outlet::StepLog;
use crate::engine::step::process;
use crate::engine::step::process::Invocation;
use crate::engine::step::{Ran, StepScope, Steps, Task};
use crate::workflow::syntax::ActionRuns;

use super::reference::Remote;
use super::resolve::Known;
use super::{Phase, inputs};

/// Runs one phase of the action.
pub(super) async fn run(
    steps: &mut Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    known: &Arc<Known>,
    given: &IndexMap<String, String>,
    phase: Phase,
    log: &mut dyn StepLog,
) -> Ran {
    let ActionRuns::JavaScript { using, main, pre, post, .. } = &known.action.runs else {
        return Ran::failed("it is no JavaScript action");
    };
    let script = match phase {
        Phase::Pre => pre.as_deref(),
        Phase::Main => Some(main.as_str()),
        Phase::Post => post.as_deref(),
    };
    let Some(script) = script else { return Ran::failed("the action has no such phase") };
    let place = steps.place;
    let (node, version) = match place.node().await {
        Ok(found) => found,
        Err(reason) => return Ran::failed(format!("`{}` needs {}: {reason}", known.reference, using.value)),
    };
    if phase == Phase::Main {
        let line = format!("{} ({}, {}) on node {version}\n", known.reference, known.origin, using.value);
        log.write(line.as_bytes());
    }
    let file = known.folder.join(script);
    if !file.is_file() {
        return Ran::failed(format!("`{}` has no {script} ({})", known.reference, known.folder.display()));
    }
    let mut variables = inputs::variables(given);
    variables.extend(super::states(steps, task));
    if known.remote.as_ref().is_some_and(Remote::is_checkout) {
        variables.extend(own_repository(place));
    }
    let invocation = Invocation {
        program: node,
        args: vec![place.sandbox.inside(&file).into()],
        cwd: place.sandbox.inside(&place.workspace),
        variables,
        github: super::identity(known),
        ..Invocation::default()
    };
    process::execute(steps, frame, task, &invocation, log).await
}

/// Lets the real `actions/checkout` fetch the repository that runs from where it is, and not from its server: what runs may
/// never have been pushed.
fn own_repository(place: &JobEnvironment) -> IndexMap<String, String> {
    let facts = &place.shared.facts;
    let pairs = [
        (
            format!("url.file://{}.insteadOf", place.shared.repository.display()),
            format!("https://github.com/{}", facts.repository),
        ),
        ("safe.directory".to_owned(), "*".to_owned()),
        ("uploadpack.allowAnySHA1InWant".to_owned(), "true".to_owned()),
    ];
    let mut variables = IndexMap::from([("GIT_CONFIG_COUNT".to_owned(), pairs.len().to_string())]);
    for (number, (key, value)) in pairs.into_iter().enumerate() {
        variables.insert(format!("GIT_CONFIG_KEY_{number}"), key);
        variables.insert(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    variables
}
