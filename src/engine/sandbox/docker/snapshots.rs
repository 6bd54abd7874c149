//! Snapshots of the containers of failed jobs, for `cuelight shell`.
//!
//! The container itself is removed with its job, including its processes, network and ports; its files become an image.
//! `docker.keep_failed` in the configuration limits the number of snapshots. The next snapshot and `cuelight clean`
//! remove those older than a day.

use std::path::Path;

use bollard::models::ContainerCreateBody;
use bollard::models::HostConfig;

use super::body::mount;
use super::client::{DockerClient, DockerError};
use super::labels::{Labels, SHARED};
use crate::engine::sandbox::provider::{Holding, HoldingKind};
use crate::engine::sandbox::shared::SharedFolder;

/// Repository of all snapshots.
pub(super) const REPOSITORY: &str = "cuelight-kept";

/// Maximum age of a snapshot, in hours.
const MAX_AGE_HOURS: i64 = 24;

/// Returns the tag of a job's snapshot.
#[must_use]
pub(super) fn tag(run: &str, job: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    format!("{run}-{job}").chars().map(plain).collect()
}

/// Returns the image name of a job's snapshot.
#[must_use]
pub(super) fn image(run: &str, job: &str) -> String {
    format!("{REPOSITORY}:{}", tag(run, job))
}

impl DockerClient {
    /// Removes the snapshots of runs that started more than [`MAX_AGE_HOURS`] ago, and all but the newest `keep` of the
    /// others.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn prune_snapshots(&self, state: &Path, keep: usize) -> Result<(), DockerError> {
        let found = self.owned(state, None, None).await?;
        let oldest = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(MAX_AGE_HOURS);
        self.remove_all(&superfluous(found, keep, &oldest.strftime("%Y%m%d-%H%M%S").to_string())).await
    }

    /// Starts a container from the snapshot of a job, with those folders of the job's container that still exist.
    /// Returns the id of the container.
    ///
    /// # Errors
    /// The snapshot does not exist, or Docker refuses.
    pub async fn open_snapshot(&self, run: &str, job: &str, labels: &Labels) -> Result<String, DockerError> {
        let image = image(run, job);
        let found = self.image(&image).await?;
        let seen = found.config.and_then(|config| config.labels?.get(SHARED).cloned()).unwrap_or_default();
        let shared: Vec<SharedFolder> = serde_json::from_str(&seen).unwrap_or_default();
        // Folders that no longer exist are left out, because Docker would create empty ones in their place.
        // An engine on another machine has no folders of this machine. The files copied there are part of the snapshot.
        let is_here = |one: &&SharedFolder| self.socket().is_some() && one.outside.exists();
        let mounts = shared.iter().filter(is_here).map(mount).collect();
        let body = ContainerCreateBody {
            image: Some(image),
            entrypoint: Some(vec!["tail".to_owned()]),
            cmd: Some(vec!["-f".to_owned(), "/dev/null".to_owned()]),
            labels: Some(labels.all()),
            host_config: Some(HostConfig { mounts: Some(mounts), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        self.start(&format!("{}-{:08x}", labels.name(), getrandom::u32().unwrap_or_default()), body).await
    }
}

/// Selects the snapshots to remove: those beyond the newest `keep`, and those of runs that started before `oldest`. Run
/// ids sort by time.
fn superfluous(found: Vec<Holding>, keep: usize, oldest: &str) -> Vec<Holding> {
    let mut kept: Vec<_> = found
        .into_iter()
        .filter(|thing| thing.kind == HoldingKind::Image && thing.name.starts_with(REPOSITORY))
        .collect();
    kept.sort_unstable_by(|a, b| b.run.cmp(&a.run));
    let young = kept.iter().take(keep).filter(|image| image.run.as_str() >= oldest).count();
    kept.split_off(young)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_old_removed() {
        let image = |run: &str| {
            let name = format!("{REPOSITORY}:{run}-a");
            Holding {
                provider: super::super::client::NAME,
                kind: HoldingKind::Image,
                id: name.clone(),
                name,
                run: run.to_owned(),
            }
        };
        let container = Holding { kind: HoldingKind::Container, ..image("20261126-100000-0001") };
        let all = || {
            let runs = ["20261126-100000-0001", "20261124-100000-0001", "20261126-110000-0001"];
            runs.map(image).into_iter().chain([container.clone()]).collect::<Vec<_>>()
        };
        let gone = |keep, oldest| superfluous(all(), keep, oldest).into_iter().map(|one| one.run).collect::<Vec<_>>();
        assert_eq!(gone(2, "20261125-000000"), ["20261124-100000-0001"]);
        assert_eq!(gone(1, "20261125-000000"), ["20261126-100000-0001", "20261124-100000-0001"]);
        assert_eq!(gone(9, "20261126-105900"), ["20261126-100000-0001", "20261124-100000-0001"]);
        assert_eq!(super::image("r", "test.2"), "cuelight-kept:r-test.2");
    }
}
