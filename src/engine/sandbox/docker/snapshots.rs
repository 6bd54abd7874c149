//! What is kept of a failed job's container, so that somebody can look around in it.
//!
//! The container itself goes with its job, and with it its processes, network and ports; its files become an image. Of
//! these there are only so many, and `clean`, and whatever is kept next, removes those older than a day.

use std::path::Path;

use bollard::models::ContainerCreateBody;
use bollard::models::HostConfig;

use super::SharedFolder;
use super::client::{DockerClient, DockerError};
use super::owned::{Kind, Labels, Resource};

/// The name of all these images.
pub const REPOSITORY: &str = "cuelight-kept";

/// The label that says what the container saw of this machine.
pub(super) const SHARED: &str = "dev.cuelight.shared";

/// How long they are kept, in hours.
const HOURS: i64 = 24;

/// What tells the image of one job from that of another.
#[must_use]
pub fn tag(run: &str, job: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    format!("{run}-{job}").chars().map(plain).collect()
}

/// The image that is kept of a job.
#[must_use]
pub fn image(run: &str, job: &str) -> String {
    format!("{REPOSITORY}:{}", tag(run, job))
}

impl DockerClient {
    /// Removes images that are too many or too old.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn prune_kept(&self, state: &Path, keep: usize) -> Result<(), DockerError> {
        let found = self.owned(state, None, None).await?;
        let oldest = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(HOURS);
        self.remove_found(&too_many(found, keep, &oldest.strftime("%Y%m%d-%H%M%S").to_string())).await
    }

    /// A container of what was kept of a job, running and seeing what it saw.
    ///
    /// # Errors
    /// Nothing was kept, or the engine refuses.
    pub async fn open_kept(&self, run: &str, job: &str, labels: &Labels) -> Result<String, DockerError> {
        let image = image(run, job);
        let found = self.image(&image).await?;
        let seen = found.config.and_then(|config| config.labels?.get(SHARED).cloned()).unwrap_or_default();
        let shared: Vec<SharedFolder> = serde_json::from_str(&seen).unwrap_or_default();
        // A folder that has gone since is none to mount: the engine would make an empty one in its place.
        let mounts = shared.iter().filter(|one| one.outside.exists()).map(SharedFolder::mount).collect();
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

/// The images that go: all but the newest, and those of runs that began before `oldest`. Run ids sort by age.
fn too_many(found: Vec<Resource>, keep: usize, oldest: &str) -> Vec<Resource> {
    let mut kept: Vec<_> =
        found.into_iter().filter(|thing| thing.kind == Kind::Image && thing.name.starts_with(REPOSITORY)).collect();
    kept.sort_unstable_by(|a, b| b.run.cmp(&a.run));
    let young = kept.iter().take(keep).filter(|image| image.run.as_str() >= oldest).count();
    kept.split_off(young)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_the_old_go() {
        let image = |run: &str| {
            let name = format!("{REPOSITORY}:{run}-a");
            Resource { kind: Kind::Image, id: name.clone(), name, run: run.to_owned() }
        };
        let container = Resource { kind: Kind::Container, ..image("20261126-100000-0001") };
        let all = || {
            let runs = ["20261126-100000-0001", "20261124-100000-0001", "20261126-110000-0001"];
            runs.map(image).into_iter().chain([container.clone()]).collect::<Vec<_>>()
        };
        let gone = |keep, oldest| too_many(all(), keep, oldest).into_iter().map(|one| one.run).collect::<Vec<_>>();
        assert_eq!(gone(2, "20261125-000000"), ["20261124-100000-0001"]);
        assert_eq!(gone(1, "20261125-000000"), ["20261126-100000-0001", "20261124-100000-0001"]);
        assert_eq!(gone(9, "20261126-105900"), ["20261126-100000-0001", "20261124-100000-0001"]);
        assert_eq!(image_name(), "cuelight-kept:r-test.2");
    }

    fn image_name() -> String {
        super::image("r", "test.2")
    }
}
