//! Closes runs whose worker died: ends their processes, and records their end.
//!
//! The lock of the mirror of a remote run is free while no process polls its server, although the run may be in
//! progress there: such a run is never closed here.

use std::path::Path;

use indexmap::{IndexMap, IndexSet};

use crate::engine::sandbox::providers::Providers;
use crate::model::deployment::{Action, Entry, Ledger, Outcome};
use crate::model::{Conclusion, EndReason, Event, Job, RunId};
use crate::repo::git::Repository;
use crate::rollout::driver::Position;
use crate::rollout::ledger::LedgerFile;
use crate::rollout::shell::kill_left;
use crate::store::clock::now;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::journal::JournalWriter;
use crate::store::spec::{DeploymentSpec, RunSpec};
use crate::store::{StoreError, history, lock};

/// Closes a run that has not ended and has no worker. Returns `false` if there is nothing to close, or if another
/// process closes it.
///
/// # Errors
/// The folder cannot be read or written.
pub async fn close(folder: &RunFolder) -> Result<bool, StoreError> {
    // Checks this before taking the lock, because the process that mirrors a remote run must always find the lock free.
    let work = RunSpec::read(folder)?.work;
    if work.remote().is_some() && !history::read(folder)?.phase.is_done() {
        return Ok(false);
    }
    let deployment = work.deployment();
    let Some(_held) = lock::take(&folder.lock())? else { return Ok(false) };
    let run = history::read(folder)?;
    if run.phase.is_done() {
        if history::is_marked(folder) {
            // The worker died between its last record and the entry in the history.
            let _ = std::fs::remove_file(folder.socket());
            let _ = history::finish(folder, &run);
        }
        return Ok(false);
    }
    let steps = run.jobs.values().flat_map(|job| &job.steps);
    let groups: Vec<_> = steps.flat_map(|step| step.process_groups.iter().copied()).collect();
    Providers::of_this_process().abandon(folder, &groups).await;
    if deployment.is_some() {
        kill_left(&groups, folder.id());
    }
    for job in run.jobs.keys() {
        // Command files and scripts may contain secrets; the workspace is kept for `resume`.
        for secret in ["_temp", "_control"] {
            let _ = std::fs::remove_dir_all(folder.job_work(job).join(secret));
        }
    }
    // Unfinished uploads are not kept.
    let _ = std::fs::remove_dir_all(folder.uploads());
    let _ = std::fs::remove_file(folder.ballast());
    let _ = std::fs::remove_file(folder.socket());
    let mut journal = JournalWriter::open(folder.journal())?;
    let mut conclusion = Conclusion::Failure;
    if let Some(deployment) = deployment {
        // Recorded before the end of the run, so that the next command tries again if writing fails.
        interrupted(folder, deployment)?;
        if has_succeeded(folder, deployment)? {
            conclusion = Conclusion::Success;
            for event in run.jobs.values().flat_map(|job| succeeded(job, deployment)) {
                journal.append(now(), event)?;
            }
        }
    }
    if let Some(workflow) = work.workflow().filter(|_| run.jobs.values().any(|job| job.environment.is_some())) {
        interrupted_jobs(folder, &workflow.repository)?;
    }
    let reason = Some(EndReason::WorkerLost);
    journal.append(now(), Event::RunFinished { conclusion, reason })?;
    // The end is on disk, so the history finds it even if this fails.
    let _ = history::finish(folder, &history::read(folder)?);
    Ok(true)
}

/// Records that a deployment was interrupted. A deployment that had succeeded and only kept the old release running
/// stays a success.
fn interrupted(folder: &RunFolder, deployment: &DeploymentSpec) -> Result<(), StoreError> {
    let position = Position::read(folder).ok().flatten();
    let (run, environment) = (folder.id(), &deployment.settings.name);
    let reason = match &position {
        Some(position) => {
            format!("interrupted at {}: `cuelight resume {run}` or `cuelight abort {environment}`", position.text())
        }
        // There is nothing to undo.
        None => format!("interrupted before it began, so nothing was changed: `cuelight resume {run}`"),
    };
    let entry = |ledger: &Ledger| {
        let state = ledger.of(environment);
        state.deployment(folder.id())?.outcome.is_none().then(|| Entry {
            at: now(),
            by: deployment.creator.clone(),
            environment: environment.clone(),
            deployment: Some(folder.id().clone()),
            job: None,
            action: Action::Ended { outcome: Outcome::Interrupted },
            reason: reason.clone(),
        })
    };
    LedgerFile::of(&folder.runs(), &deployment.scope).append_if(entry).map(drop)
}

/// Whether the release of a deployment went live, according to the ledger.
fn has_succeeded(folder: &RunFolder, deployment: &DeploymentSpec) -> Result<bool, StoreError> {
    let state = LedgerFile::of(&folder.runs(), &deployment.scope).read()?.of(&deployment.settings.name);
    Ok(state.deployment(folder.id()).is_some_and(|record| record.outcome == Some(Outcome::Succeeded)))
}

/// Returns the events that end the job of a deployment whose release is live, and which only kept the former release
/// running.
fn succeeded(job: &Job, deployment: &DeploymentSpec) -> Vec<Event> {
    let open = job.steps.iter().filter(|step| step.phase.is_active());
    let mut events: Vec<Event> = open
        .map(|step| Event::StepFinished {
            job: job.id.clone(),
            step: step.number,
            outcome: Conclusion::Cancelled,
            conclusion: Conclusion::Cancelled,
            exit_code: None,
            signal: None,
            reason: Some("the worker died: what was kept running still runs".to_owned()),
        })
        .collect();
    events.push(Event::JobFinished {
        job: job.id.clone(),
        conclusion: Conclusion::Success,
        allowed_failure: false,
        reason: None,
        outputs: IndexMap::new(),
        environment_url: deployment.settings.url.clone(),
    });
    events
}

/// Records the end of the deployments by jobs of the run that have not ended.
fn interrupted_jobs(folder: &RunFolder, repository: &Path) -> Result<(), StoreError> {
    // Without the repository, no command can read its environments, so their entries are not needed.
    let Ok(repository) = Repository::discover(repository) else { return Ok(()) };
    let file = LedgerFile::of(&folder.runs(), &repository.common);
    let entries = file.read()?;
    let of_run = entries.entries().iter().filter(|entry| entry.deployment.as_ref() == Some(folder.id()));
    let environments: IndexSet<&str> = of_run.map(|entry| entry.environment.as_str()).collect();
    for environment in environments {
        // Several jobs may deploy to one environment.
        while file.append_if(|ledger| left_open(ledger, environment, folder.id()))?.is_some() {}
    }
    Ok(())
}

/// Returns the entry that ends an open deployment by a job of a run whose worker died; `None` if none is open.
fn left_open(ledger: &Ledger, environment: &str, run: &RunId) -> Option<Entry> {
    let state = ledger.of(environment);
    let record = state.deployments().find(|record| record.run == *run && record.outcome.is_none())?;
    let outcome = if record.began { Outcome::Interrupted } else { Outcome::Cancelled };
    Some(Entry {
        at: now(),
        by: record.creator.clone(),
        environment: environment.to_owned(),
        deployment: Some(run.clone()),
        job: record.job.clone(),
        action: Action::Ended { outcome },
        reason: format!("the worker of its run died: `cuelight resume {run}`"),
    })
}

/// Returns the runs that [`close_all`] would close: those of this machine that have not ended and have no worker. Runs
/// that cannot be read are left out.
///
/// # Errors
/// The state folder cannot be read.
pub fn lost(runs: &RunsDir) -> Result<Vec<RunFolder>, StoreError> {
    let folders = history::unfinished(runs)?.into_iter().map(|id| runs.folder(id));
    let is_lost = |folder: &RunFolder| {
        RunSpec::read(folder).is_ok_and(|spec| spec.work.remote().is_none())
            && !lock::is_held(&folder.lock())
            && history::read(folder).is_ok_and(|run| !run.phase.is_done())
    };
    Ok(folders.filter(is_lost).collect())
}

/// Closes every run that lost its worker. Returns the number of closed runs. A run that cannot be closed is tried again
/// by the next call.
///
/// # Errors
/// The state folder cannot be read.
pub async fn close_all(runs: &RunsDir) -> Result<usize, StoreError> {
    let mut closed = 0;
    for id in history::unfinished(runs)? {
        if let Ok(true) = close(&runs.folder(id)).await {
            closed += 1;
        }
    }
    Ok(closed)
}
