//! Records reviews of environments that jobs of a run on this machine wait for.

use crate::config::Config;
use crate::launch::commands::CommandError;
use crate::launch::{LaunchError, deploy};
use crate::model::capabilities::Unavailable;
use crate::model::deployment::{Action, Entry};
use crate::repo::git::Repository;
use crate::rollout::gates;
use crate::rollout::ledger::{self, LedgerFile};
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::store::spec::WorkflowSpec;

/// Records a review of the environments that jobs of a run wait for. `ids` are the ids of the pending reviews. The run
/// reads the review from the ledger.
///
/// # Errors
/// None of these reviews is pending, the local user may not review one of the environments, the settings of the
/// repository cannot be read, or the ledger cannot be read or written.
pub(super) fn review_jobs(
    folder: &RunFolder,
    workflow: &WorkflowSpec,
    ids: &[u64],
    (approve, comment): (bool, &str),
) -> Result<(), CommandError> {
    let launch = |error: LaunchError| CommandError::Launch(Box::new(error));
    let run = history::read(folder)?;
    let names: Vec<&String> =
        run.reviews.iter().filter(|review| ids.contains(&review.id)).map(|review| &review.environment).collect();
    if names.is_empty() {
        return Err(CommandError::Unavailable { run: run.info.id, reason: Unavailable::NothingToReview });
    }
    let repository = Repository::discover(&workflow.repository).map_err(|error| launch(error.into()))?;
    let config = Config::load(Some(&repository.root)).map_err(|error| launch(error.into()))?;
    let file = LedgerFile::of(&folder.runs(), &repository.common);
    let (read, by) = (file.read()?, ledger::actor(&repository));
    let mut entries = Vec::new();
    for name in names {
        let state = read.of(name);
        let (settings, record) = (config.environments().get(name), state.deployment(folder.id()));
        if let (Some(settings), Some(record)) = (settings, record)
            && let Some(refusal) = gates::refusal(settings, &record.creator, &by)
        {
            let reviewers = settings.reviewers.join(", ");
            return Err(CommandError::Refused(format!("{}: {refusal}; the reviewers are {reviewers}", by.name())));
        }
        let action = if approve { Action::Approved } else { Action::Rejected };
        entries.push(Entry {
            at: now(),
            by: by.clone(),
            environment: name.clone(),
            deployment: Some(folder.id().clone()),
            job: None,
            action,
            reason: settings.map_or_else(|| comment.to_owned(), |settings| deploy::masked(settings, comment)),
        });
    }
    Ok(entries.iter().try_for_each(|entry| file.append(entry))?)
}
