//! `actions/checkout` of the repository that runs, carried out by this program: the working tree as it is, copied.

use indexmap::IndexMap;
use tokio::task::spawn_blocking;

use crate::engine::outlet::StepLog;
use crate::engine::step::{Ran, StepEnd, Steps};
use crate::engine::workspace::checkout;
use crate::model::Conclusion;

/// Puts this repository's files where the action would put them.
pub(super) async fn run(steps: &Steps<'_>, given: &IndexMap<String, String>, log: &mut dyn StepLog) -> Ran {
    let place = steps.place;
    let facts = &place.shared.facts;
    let input = |name: &str| given.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if place.shared.options.in_place {
        log.write(b"The job runs in the repository's own folder: its files are here as they are.\n");
        for ignored in ["ref", "path"].into_iter().filter(|name| input(name).is_some()) {
            log.write(format!("##[warning]`{ignored}` is not looked at in the repository's own folder\n").as_bytes());
        }
        return Ran::of(StepEnd::of(Conclusion::Success));
    }
    let Some(target) = checkout::inside(&place.workspace, input("path").unwrap_or(".")) else {
        return Ran::failed("the `path` of a checkout must be inside the workspace: its folder is emptied first");
    };
    let (repository, wanted) = (place.shared.repository.clone(), input("ref").map(str::to_owned));
    let into = target.clone();
    let filled = spawn_blocking(move || checkout::check_out(&repository, &into, wanted.as_deref()));
    let filled = match filled.await {
        Ok(Ok(filled)) => filled,
        Ok(Err(error)) => return Ran::failed(error.to_string()),
        Err(error) => return Ran::failed(format!("the checkout ended: {error}")),
    };
    if let Err(error) = place.hand_over(&target).await {
        return Ran::failed(format!("the files cannot be brought to the job's container: {error}"));
    }
    log.write(format!("{filled}\n").as_bytes());
    let outputs = [("ref".to_owned(), facts.git_ref.clone()), ("commit".to_owned(), facts.sha.clone())];
    Ran { outputs: outputs.into(), ..Ran::of(StepEnd::of(Conclusion::Success)) }
}
