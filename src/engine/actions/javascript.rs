//! JavaScript actions: builds the invocation that runs a script of an action with Node.js in the job's sandbox.

use std::path::PathBuf;

use indexmap::IndexMap;

use crate::engine::results::Client;
use crate::engine::step::context::StepContext;
use crate::engine::step::invocation::Invocation;
use crate::workflow::syntax::ActionRuns;

use super::reference::Remote;
use super::resolve::ResolvedAction;
use super::{Phase, inputs};

/// Why a JavaScript action cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JavaScriptError {
    /// The action is not a JavaScript action.
    #[error("`{0}` is not a JavaScript action")]
    OtherKind(String),
    /// The manifest has no script for the phase.
    #[error("`{0}` has no script for this phase")]
    NoPhase(String),
    /// The script that the manifest names does not exist.
    #[error("`{reference}` has no {script} ({})", folder.display())]
    NoScript {
        /// Reference of the action.
        reference: String,
        /// Path of the script.
        script: String,
        /// Folder of the action.
        folder: PathBuf,
    },
}

/// Returns the version of Node.js that an action is written for. `None` if it is not a JavaScript action.
pub(crate) fn written_for(action: &ResolvedAction) -> Option<u32> {
    let ActionRuns::JavaScript { using, .. } = &action.action.runs else { return None };
    using.value.strip_prefix("node")?.parse().ok()
}

/// Whether a Node.js is older than version `wanted`. `version` is its version, as [`invocation`] takes it. False if it
/// is not known.
pub(crate) fn is_older(version: &str, wanted: u32) -> bool {
    let own = version.strip_prefix('v').and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    own.is_some_and(|own| own < wanted)
}

/// Returns the message for an action that fails on a Node.js older than the one it is written for. `version` is the
/// version of the Node.js, as [`invocation`] takes it. `None` if it is not older, or not known.
pub(crate) fn needs_newer(action: &ResolvedAction, version: &str) -> Option<String> {
    let written_for = written_for(action)?;
    is_older(version, written_for)
        .then(|| format!("the action may need Node.js {written_for}, for which it is written: it ran on {version}"))
}

/// Returns the invocation of one phase of the action. The pair holds the path of Node.js and its version.
///
/// # Errors
/// The action is not a JavaScript action, has no script for the phase, or the script does not exist.
pub(crate) fn invocation(
    action: &ResolvedAction,
    phase: Phase,
    inputs: &IndexMap<String, String>,
    (node, version): &(PathBuf, String),
    context: &StepContext<'_>,
) -> Result<Invocation, JavaScriptError> {
    let reference = || action.reference.clone();
    let ActionRuns::JavaScript { using, main, pre, post, .. } = &action.action.runs else {
        return Err(JavaScriptError::OtherKind(reference()));
    };
    let script = match phase {
        Phase::Pre => pre.as_deref(),
        Phase::Main => Some(main.as_str()),
        Phase::Post => post.as_deref(),
    };
    let script = script.ok_or_else(|| JavaScriptError::NoPhase(reference()))?;
    let file = action.folder.join(script);
    if !file.is_file() {
        let folder = action.folder.clone();
        return Err(JavaScriptError::NoScript { reference: reference(), script: script.to_owned(), folder });
    }
    let is_checkout = action.remote.as_ref().is_some_and(Remote::is_checkout);
    let remark = || format!("{} ({}, {}) on node {version}", action.reference, action.origin, using.value);
    Ok(Invocation {
        program: node.clone(),
        args: vec![context.sandbox.inside(&file).into()],
        cwd: context.sandbox.inside(context.workspace),
        variables: inputs::variables(inputs),
        client: if is_checkout { Client::Checkout } else { Client::JavaScript },
        remark: (phase == Phase::Main).then(remark),
        ..Invocation::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow;
    use crate::workflow::source::Source;
    use std::path::Path;

    #[test]
    fn a_newer_node_is_named_if_it_is_known_to_be_missing() {
        let manifest = "name: x\ndescription: x\nruns: {using: node24, main: a.js}\n";
        let action = workflow::parse_action(&Source::new("action.yml", manifest)).value.expect("a manifest");
        let action = ResolvedAction::local("./x", action, Path::new("/w"), "/w/x".into());
        let hint = needs_newer(&action, "v20.1.0").expect("older");
        assert_eq!(hint, "the action may need Node.js 24, for which it is written: it ran on v20.1.0");
        for version in ["v24.0.0", "v25.1.0", "of the container", ""] {
            assert_eq!(needs_newer(&action, version), None, "{version}");
        }
    }
}
