//! Removes old runs, outdated caches and artifacts, incomplete copies of actions, remains of uploads, and resources of
//! sandbox providers that no run uses.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::actions::partial::abandoned;
use crate::engine::sandbox::provider::{Holding, ProviderError};
use crate::engine::sandbox::providers::{Providers, left_over, of_runs};
use crate::model::Timestamp;
use crate::model::deployment::{Ledger, Outcome};
use crate::rollout::driver::Position;
use crate::rollout::ledger::LedgerFile;
use crate::store::cache::{Cache, CacheEntry, CacheLimits};
use crate::store::clock::now;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::ids::id_number;
use crate::store::spec::RunSpec;
use crate::store::warm::{WarmEntry, WarmStore};
use crate::store::{StoreError, artifacts, lock};
use crate::worker::caches;

use super::upload;

/// Number of runs that are removed at a time. The lock of each is an open file, and a process may have about a thousand
/// of them.
const BATCH: usize = 100;

/// Limits on the runs, snapshots, images and caches to keep.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Number of newest runs to keep. A run in progress is always kept.
    pub runs: usize,
    /// Whether older deployments are kept, too, that can be continued or undone, or whose release is live or the one to
    /// go back to.
    pub deployments: bool,
    /// Number of failed jobs whose snapshots are kept for `cuelight shell`.
    pub snapshots: usize,
    /// Whether images that serve later runs are kept.
    pub shared_images: bool,
    /// Limits of the cache of each repository.
    pub cache: CacheLimits,
}

/// Result of [`clean`] or [`preview`].
#[derive(Debug, Default)]
pub struct Cleaned {
    /// Number of runs.
    pub runs: usize,
    /// Size in bytes of everything that was removed, except the holdings.
    pub bytes: u64,
    /// Number of cache entries and dependency folders beyond the limits, and of expired artifacts.
    pub outdated: usize,
    /// Number of incomplete copies of actions whose fetch was killed.
    pub copies: usize,
    /// Number of uploads of artifacts and caches that were killed.
    pub uploads: usize,
    /// Containers, networks, volumes and images. Snapshots that only exceed their limits are not included.
    pub holdings: Vec<Holding>,
    /// Errors of single removals. Everything else was removed.
    pub errors: Vec<CleanError>,
}

/// Why something is not removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The state folder cannot be read, or a folder cannot be removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A provider answered with an error.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Removes all but the newest runs, unless they are in progress, with their resources at providers. Also removes
/// outdated cache entries and artifacts, incomplete copies of actions, remains of uploads, and leftovers and old
/// snapshots at providers.
///
/// # Errors
/// The state folder cannot be read, or a provider cannot list or remove leftovers. Single runs, cache entries,
/// artifacts, copies and uploads that cannot be removed are reported in [`Cleaned::errors`].
pub async fn clean(runs: &RunsDir, keep: Keep) -> Result<Cleaned, CleanError> {
    let providers = Providers::of_this_process();
    let mut cleaned = Cleaned::default();
    for batch in old_runs(runs, keep)?.chunks(BATCH) {
        remove(&providers, batch, &mut cleaned).await?;
    }
    for (saved, bytes) in outdated(runs, keep, now())? {
        match saved.remove() {
            Ok(()) => {
                cleaned.outdated += 1;
                cleaned.bytes += bytes;
            }
            Err(error) => cleaned.errors.push(error.into()),
        }
    }
    for copy in copies() {
        let bytes = size(&copy);
        match remove_folder(&copy) {
            Ok(()) => {
                cleaned.copies += 1;
                cleaned.bytes += bytes;
            }
            Err(error) => cleaned.errors.push(StoreError::io("remove", copy)(error).into()),
        }
    }
    for folder in upload::interrupted(runs)? {
        let bytes = size(&folder);
        match upload::remove_interrupted(&folder) {
            Ok(true) => {
                cleaned.uploads += 1;
                cleaned.bytes += bytes;
            }
            Ok(false) => {}
            Err(error) => cleaned.errors.push(error.into()),
        }
    }
    let holdings = providers.holdings(runs.state()).await?;
    let left = unused(&holdings, runs, keep);
    providers.remove(&left).await?;
    providers.prune_snapshots(runs.state(), keep.snapshots).await?;
    cleaned.holdings.extend(left);
    Ok(cleaned)
}

/// Returns what [`clean`] would remove.
///
/// # Errors
/// As for [`clean`].
pub async fn preview(runs: &RunsDir, keep: Keep) -> Result<Cleaned, CleanError> {
    let mut old = old_runs(runs, keep)?;
    old.retain(|folder| !lock::is_held(&folder.lock()));
    let found = Providers::of_this_process().holdings(runs.state()).await?;
    let mut holdings = of_runs(&found, &old);
    for one in unused(&found, runs, keep) {
        if !holdings.contains(&one) {
            holdings.push(one);
        }
    }
    let copies = copies();
    let mut uploads = upload::interrupted(runs)?;
    uploads.retain(|folder| !old.iter().any(|old| folder.starts_with(old.path())));
    let alone = copies.iter().chain(&uploads).map(PathBuf::as_path);
    let folders = old.iter().map(RunFolder::path).chain(alone).map(size).sum::<u64>();
    let mut outdated = outdated(runs, keep, now())?;
    // The artifacts of a run that is removed are counted with the run.
    outdated
        .retain(|(saved, _)| !matches!(saved, Saved::Artifact(run, _) if old.iter().any(|old| old.id() == run.id())));
    let bytes = folders + outdated.iter().map(|(_, bytes)| bytes).sum::<u64>();
    let (runs, outdated, copies, uploads) = (old.len(), outdated.len(), copies.len(), uploads.len());
    Ok(Cleaned { runs, bytes, outdated, copies, uploads, holdings, errors: Vec::new() })
}

/// A cache entry or an artifact that a step saved, or a dependency folder of a run.
enum Saved {
    Cache(Cache, CacheEntry),
    Dependencies(WarmStore, WarmEntry),
    Artifact(RunFolder, u64),
}

impl Saved {
    fn remove(&self) -> Result<(), StoreError> {
        match self {
            Self::Cache(cache, entry) => cache.remove(entry),
            Self::Dependencies(store, entry) => store.remove(entry),
            Self::Artifact(run, id) => artifacts::remove(run, *id),
        }
    }
}

/// Returns the cache entries and dependency folders beyond their limits and the expired artifacts, each with its size.
/// A run in progress keeps its artifacts.
fn outdated(runs: &RunsDir, keep: Keep, now: Timestamp) -> Result<Vec<(Saved, u64)>, StoreError> {
    let mut outdated = Vec::new();
    for cache in Cache::all(runs)? {
        for entry in cache.beyond(keep.cache, now)? {
            let size = entry.size;
            outdated.push((Saved::Cache(cache.clone(), entry), size));
        }
    }
    for store in WarmStore::all(runs)? {
        for entry in store.beyond(keep.cache, now)? {
            let size = entry.size;
            outdated.push((Saved::Dependencies(store.clone(), entry), size));
        }
    }
    let folders = runs.list()?.into_iter().map(|id| runs.folder(id));
    for run in folders.filter(|run| run.artifacts().is_dir() && !lock::is_held(&run.lock())) {
        let over = artifacts::list(&run)?.into_iter().filter(|one| one.expires.is_some_and(|expires| expires < now));
        outdated.extend(over.map(|one| (Saved::Artifact(run.clone(), one.id), one.size)));
    }
    Ok(outdated)
}

/// Returns the incomplete copies of actions whose fetch was killed.
fn copies() -> Vec<PathBuf> {
    caches::shared(caches::ACTIONS).map(|cache| abandoned(&cache)).unwrap_or_default()
}

/// Returns all but the newest runs and, if they are kept, the deployments that are still needed. Mirrors of remote runs
/// appear automatically, so they are counted separately and do not push out runs of this machine.
fn old_runs(runs: &RunsDir, keep: Keep) -> Result<Vec<RunFolder>, StoreError> {
    let (local, mirrors): (Vec<_>, Vec<_>) = runs.list()?.into_iter().partition(|id| id_number(id).is_some());
    let old = local.into_iter().skip(keep.runs).chain(mirrors.into_iter().skip(keep.runs));
    let mut ledgers = Ledgers::new();
    let mut is_kept = |folder: &RunFolder| keep.deployments && is_needed(folder, &mut ledgers);
    Ok(old.map(|id| runs.folder(id)).filter(|folder| !is_kept(folder)).collect())
}

/// Ledgers that were read, by the scope of their repository. `None` for one that cannot be read.
type Ledgers = BTreeMap<PathBuf, Option<Ledger>>;

/// Whether a run is a deployment that can still be continued or undone, or one of the last two that succeeded: the
/// release that is live, and the one to go back to. A deployment from a repository that is gone is not needed.
fn is_needed(folder: &RunFolder, ledgers: &mut Ledgers) -> bool {
    let spec = if folder.deployment().exists() { RunSpec::read(folder).ok() } else { None };
    let Some(deployment) = spec.as_ref().and_then(|spec| spec.work.deployment()) else { return false };
    if !deployment.scope.exists() {
        return false;
    }
    // A ledger that cannot be read now may be readable later.
    let read = || LedgerFile::of(&folder.runs(), &deployment.scope).read().ok();
    let Some(ledger) = ledgers.entry(deployment.scope.clone()).or_insert_with(read) else { return true };
    let state = ledger.of(&deployment.settings.name);
    let is_left = || {
        let position = Position::read(folder).ok().flatten();
        position.is_some_and(|position| !position.has_ended) && state.superseded_by(folder.id()).is_none()
    };
    let mut good = state.deployments().filter(|record| record.outcome == Some(Outcome::Succeeded)).take(2);
    good.any(|record| record.run == *folder.id()) || is_left()
}

/// Removes the runs of a batch, except runs in progress.
async fn remove(providers: &Providers, batch: &[RunFolder], cleaned: &mut Cleaned) -> Result<(), StoreError> {
    // The locks are held until the folders are gone, so that no worker starts in one of them meanwhile.
    let mut locks = Vec::new();
    let mut folders = Vec::new();
    for folder in batch {
        match lock::take(&folder.lock()) {
            Ok(Some(held)) => {
                locks.push(held);
                folders.push(folder.clone());
            }
            Ok(None) => {}
            // Another process has removed it meanwhile.
            Err(_) if !folder.path().exists() => {}
            Err(error) => return Err(error),
        }
    }
    match providers.forget(&folders).await {
        Ok(holdings) => cleaned.holdings.extend(holdings),
        // The next `clean` removes the rest.
        Err(ProviderError::Unavailable(_)) => {}
        Err(error) => cleaned.errors.push(error.into()),
    }
    for folder in &folders {
        let bytes = size(folder.path());
        match remove_folder(folder.path()) {
            Ok(()) => {
                cleaned.runs += 1;
                cleaned.bytes += bytes;
            }
            Err(error) => cleaned.errors.push(StoreError::io("remove", folder.path())(error).into()),
        }
    }
    Ok(())
}

/// Removes a folder with its content. Retries, because another process may remove it at the same time and create its
/// lock again meanwhile.
fn remove_folder(path: &Path) -> io::Result<()> {
    const ATTEMPTS: usize = 20;
    let mut removed = Ok(());
    for _ in 0..ATTEMPTS {
        removed = match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Err(error),
            removed => return removed,
        };
    }
    removed
}

/// Selects the leftovers of runs without a worker and, unless they are kept, the images that serve later runs.
fn unused(holdings: &[Holding], runs: &RunsDir, keep: Keep) -> Vec<Holding> {
    let mut unused = left_over(holdings.to_vec(), runs);
    let shared = holdings.iter().filter(|one| !keep.shared_images && one.run.is_empty());
    let more: Vec<_> = shared.filter(|one| !unused.contains(one)).cloned().collect();
    unused.extend(more);
    unused
}

/// Returns the number of bytes below a folder. Links are not followed.
fn size(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|data| data.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::sandbox::docker::DockerProvider;
    use crate::engine::sandbox::provider::HoldingKind;
    use crate::store::artifacts::Artifact;

    fn state() -> (tempfile::TempDir, RunsDir) {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        for second in 0..3 {
            let folder = runs.create(Timestamp(1_700_000_000_000 + second * 1000)).expect("made");
            fs::write(folder.journal(), "0123456789").expect("written");
        }
        (home, runs)
    }

    const KEEP_ONE: Keep = Keep {
        runs: 1,
        deployments: true,
        snapshots: 0,
        shared_images: true,
        cache: CacheLimits { bytes: 0, days: 7 },
    };

    #[tokio::test]
    async fn old_runs_are_removed_but_not_those_in_progress() {
        let (_home, runs) = state();
        let ids = runs.list().expect("three");
        let _worker = lock::take_free(&runs.folder(ids[2].clone()).lock());
        let old: Vec<_> = old_runs(&runs, KEEP_ONE).expect("listed").iter().map(|run| run.id().clone()).collect();
        assert_eq!(old, ids[1..]);
        let mut cleaned = Cleaned::default();
        let none = Providers::of(Vec::new(), Arc::new(DockerProvider::default()));
        remove(&none, &old_runs(&runs, KEEP_ONE).expect("listed"), &mut cleaned).await.expect("removed");
        assert_eq!((cleaned.runs, cleaned.bytes, cleaned.errors.len()), (1, 10, 0));
        assert_eq!(runs.list().expect("two"), [ids[0].clone(), ids[2].clone()]);
    }

    #[test]
    fn what_steps_saved_goes_when_its_time_is_over() {
        let (home, runs) = state();
        let staged = || {
            let staged = home.path().join("staged");
            fs::create_dir_all(&staged).expect("made");
            fs::write(staged.join("data"), "1234").expect("written");
            staged
        };
        let run = runs.folder(runs.list().expect("three")[0].clone());
        for (id, expires) in [(1, Some(Timestamp(10))), (2, Some(Timestamp(20))), (3, None)] {
            let artifact = Artifact {
                id,
                name: id.to_string(),
                size: 4,
                media_type: "application/zip".to_owned(),
                digest: None,
                created: Timestamp(1),
                expires,
                job: "a".to_owned(),
                attempt: 1,
            };
            artifacts::publish_next(&run, artifact, &staged()).expect("published");
        }
        let entry = CacheEntry { key: "k".to_owned(), size: 4, ..CacheEntry::default() };
        assert!(Cache::of(&runs, "o/r").publish(&entry, &staged()).expect("published"));
        let found = outdated(&runs, KEEP_ONE, Timestamp(15)).expect("listed");
        assert_eq!(found.iter().map(|(_, bytes)| bytes).sum::<u64>(), 8, "an entry, and an artifact");
        found.iter().try_for_each(|(saved, _)| saved.remove()).expect("removed");
        assert_eq!(artifacts::list(&run).expect("listed").iter().map(|one| one.id).collect::<Vec<_>>(), [2, 3]);
        let _worker = lock::take_free(&run.lock());
        assert_eq!(outdated(&runs, KEEP_ONE, Timestamp(25)).expect("listed").len(), 0, "the run is in progress");
    }

    #[test]
    fn images_for_later_runs_are_removed_on_request_only() {
        let (_home, runs) = state();
        let holding = |run: &str| Holding {
            provider: "docker",
            kind: HoldingKind::Image,
            id: String::new(),
            name: "base".to_owned(),
            run: run.to_owned(),
        };
        let holdings = [holding(""), holding("removed")];
        assert_eq!(unused(&holdings, &runs, KEEP_ONE), [holding("removed")]);
        let all = Keep { shared_images: false, ..KEEP_ONE };
        assert_eq!(unused(&holdings, &runs, all), [holding("removed"), holding("")]);
    }
}
