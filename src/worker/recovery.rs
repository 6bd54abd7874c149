//! Runs whose worker died: their processes are ended, and they are closed with everything they had logged.

use crate::engine::sandbox::providers::Providers;
use crate::model::{Conclusion, EndReason, Event, Phase};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::journal::JournalWriter;
use crate::store::{StoreError, history, lock};

use super::outlet::now;

/// Closes a run that has not ended and has no worker. Returns whether it did: another process may have been first.
///
/// # Errors
/// The folder cannot be read or written.
pub async fn close(folder: &RunFolder) -> Result<bool, StoreError> {
    let Some(_held) = lock::take(&folder.lock())? else { return Ok(false) };
    let run = history::read(folder)?;
    if run.phase.is_done() {
        return Ok(false);
    }
    let steps = run.jobs.values().flat_map(|job| &job.steps);
    let groups: Vec<_> = steps.flat_map(|step| step.process_groups.iter().copied()).collect();
    Providers::of_this_process().abandon(folder, &groups).await;
    for job in run.jobs.keys() {
        // Command files and scripts may hold secrets; the workspace stays for `resume`.
        for secret in ["_temp", "_control"] {
            let _ = std::fs::remove_dir_all(folder.work().join(job.as_str()).join(secret));
        }
    }
    let _ = std::fs::remove_file(folder.path().join("ballast"));
    let _ = std::fs::remove_file(folder.socket());
    let mut journal = JournalWriter::open(folder.journal())?;
    let reason = Some(EndReason::WorkerLost);
    journal.append(now(), Event::RunFinished { conclusion: Conclusion::Failure, reason })?;
    Ok(true)
}

/// Closes every run that lost its worker. Returns how many there were.
///
/// # Errors
/// The state folder cannot be read. A run that cannot be closed is left for the next call.
pub async fn close_all(runs: &RunsDir) -> Result<usize, StoreError> {
    let mut closed = 0;
    for summary in history::list(runs)? {
        if matches!(summary.phase, Phase::Done(_)) {
            continue;
        }
        let folder = runs.folder(summary.info.id);
        if let Ok(true) = close(&folder).await {
            closed += 1;
            if let Ok(run) = history::read(&folder) {
                let _ = history::add(runs, &run);
            }
        }
    }
    Ok(closed)
}
