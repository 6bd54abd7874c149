//! How long a run is expected to take, according to the last successful runs of its workflow.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Conclusion, Expected, Phase, RepositoryId, Run};
use crate::store::StoreError;
use crate::store::folder::RunsDir;

use super::{Filter, StatusFilter, page, read};

/// Maximum number of successful runs that are read. Some of them may not help: mirrors of runs that were never opened
/// have no jobs.
const READ: usize = 12;

/// Returns how long a run is expected to take: the median of the last successful runs of its workflow in its
/// repository. Empty if there are no such runs, for a run that has ended, and for a run without a repository.
///
/// # Errors
/// The state folder cannot be read.
pub fn expected(runs: &RunsDir, run: &Run) -> Result<Expected, StoreError> {
    if run.phase.is_done() || run.info.repository.is_empty() {
        return Ok(Expected::default());
    }
    let good = Filter {
        repository: Some(RepositoryId { name: run.info.repository.clone(), folder: run.info.folder.clone() }),
        workflow: Some(run.info.workflow.clone()),
        status: Some(StatusFilter::Concluded(Conclusion::Success)),
        ..Filter::default()
    };
    let mut whole = Vec::new();
    let mut jobs: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for summary in page(runs, &good, Some(&run.info.id), READ)?.runs {
        // The times of a run with several attempts do not show how long one attempt takes.
        if let (1, Some(started), Some(finished)) = (summary.attempt, summary.started, summary.finished) {
            whole.push(finished.since(started));
        }
        let Ok(earlier) = read(&runs.folder(summary.info.id)) else { continue };
        for job in earlier.jobs.values().filter(|job| job.phase == Phase::Done(Conclusion::Success)) {
            if let (Some(started), Some(finished)) = (job.started, job.finished) {
                jobs.entry(job.name.clone()).or_default().push(finished.since(started));
            }
        }
    }
    let jobs = jobs.into_iter().filter_map(|(name, times)| Some((name, median(times)?))).collect();
    Ok(Expected { run: median(whole), jobs })
}

/// Returns the median of durations; `None` without any.
fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
