//! Runs whose worker died: their processes are ended and they are closed, with all they had logged.

use crate::engine::job::preflight;
use crate::engine::run_tracking_id;
use crate::engine::sandbox::Interrupt;
use crate::engine::sandbox::docker::client::DockerClient;
use crate::engine::sandbox::host;
use crate::model::{Conclusion, Event, Phase};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::journal::JournalWriter;
use crate::store::{StoreError, history, lock};

use super::outlet::now;

/// What a run that lost its worker says.
pub const WORKER_LOST: &str = "worker lost";

/// Closes a run that is not finished and has no worker. `true` when it did: another process may have been first, or the
/// run may be whole.
///
/// # Errors
/// The folder cannot be read or written.
pub async fn close(folder: &RunFolder) -> Result<bool, StoreError> {
    let Some(_held) = lock::take(&folder.lock())? else { return Ok(false) };
    let run = history::read(folder)?;
    if run.phase.is_done() {
        return Ok(false);
    }
    host::reap(&run_tracking_id(folder.id().as_str())).await;
    remove_containers(folder).await;
    // Where processes cannot be found by their mark, the groups that were recorded are all there is to go by.
    if !cfg!(target_os = "linux") {
        let steps = run.jobs.values().flat_map(|job| &job.steps);
        for group in steps.flat_map(|step| &step.process_groups) {
            host::signal_group(*group, Interrupt::Kill);
        }
    }
    for job in run.jobs.keys() {
        // Command files and scripts may hold secrets; the workspace stays for `resume`.
        for secret in ["_temp", "_control"] {
            let _ = std::fs::remove_dir_all(folder.work().join(job.as_str()).join(secret));
        }
    }
    let _ = std::fs::remove_file(folder.path().join("ballast"));
    let _ = std::fs::remove_file(folder.socket());
    let mut journal = JournalWriter::open(folder.journal())?;
    let reason = Some(WORKER_LOST.to_owned());
    journal.append(now(), Event::RunFinished { conclusion: Conclusion::Failure, reason })?;
    Ok(true)
}

/// Removes what a run left in a container engine, if it used one. What cannot be removed now is found by its labels
/// later: `doctor` names it and `clean` removes it.
async fn remove_containers(folder: &RunFolder) {
    let noted = folder.path().join(preflight::ENGINE);
    if !noted.exists() {
        return;
    }
    let removed = async {
        let engine = DockerClient::at(&std::fs::read_to_string(&noted).unwrap_or_default()).await?;
        let found = engine.owned(folder.state(), Some(folder.id().as_str()), None).await?;
        engine.remove_found(&found).await
    };
    match removed.await {
        Ok(()) => drop(std::fs::remove_file(noted)),
        Err(error) => tracing::warn!(%error, "containers of a lost run are left"),
    }
}

/// Closes every run that lost its worker, and says how many there were.
///
/// # Errors
/// The state folder cannot be read. A run that cannot be closed is left for the next time.
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
