//! The targets of an environment: one for each of its hosts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::time::timeout;

use super::docker::DockerFault;
use super::{Target, TargetError};
use crate::model::deployment::{Counters, DeploymentPlan, Observed, ReleaseImage, host_names};
use crate::model::environment::Release;
use crate::rollout::outlet::Progress;

/// How long a host may take to report its traffic.
const TRAFFIC_TIMEOUT: Duration = Duration::from_secs(5);

/// The target of each host of an environment. Environments without hosts have one target.
pub struct Targets(Vec<HostTarget>);

struct HostTarget {
    /// Name of the host; `None` if it is the only one.
    name: Option<String>,
    /// Address of the host; empty if it is the only one.
    address: String,
    target: Arc<dyn Target>,
}

/// What a host reports about its slots.
pub struct HostTraffic {
    /// Name of the host; `None` if it is the only one.
    pub host: Option<String>,
    /// State of both slots.
    pub observed: Observed,
    /// Counters of blue and green; `None` if the target counts no requests.
    pub counters: Option<[Counters; 2]>,
}

impl<T: Target + 'static> From<T> for Targets {
    fn from(only: T) -> Self {
        Self(vec![HostTarget { name: None, address: String::new(), target: Arc::new(only) }])
    }
}

impl Targets {
    /// Returns the targets of several hosts with these addresses.
    #[must_use]
    pub fn on_hosts(addresses: &[String], target: impl Fn(&String) -> Arc<dyn Target>) -> Self {
        let hosts = host_names(addresses).into_iter().zip(addresses).map(|(name, address)| HostTarget {
            name: Some(name),
            address: address.clone(),
            target: target(address),
        });
        Self(hosts.collect())
    }

    /// Returns the target of a host; that of the last one if there is no host with this index.
    #[must_use]
    pub fn of(&self, host: usize) -> &dyn Target {
        &*self.0[host.min(self.0.len() - 1)].target
    }

    /// Returns the number of targets, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether there are several hosts.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        self.count() > 1
    }

    /// Returns the name of a host; `None` if it is the only one, or if there is no host with this index.
    #[must_use]
    pub fn name(&self, host: usize) -> Option<&str> {
        self.0.get(host)?.name.as_deref()
    }

    /// Adds the name of a host to its error, if there are several hosts.
    #[must_use]
    pub fn failed(&self, host: usize, error: TargetError) -> TargetError {
        match self.0.get(host) {
            Some(one) => one.failed(error),
            None => error,
        }
    }

    /// Returns the state of each host, with its name. All hosts are asked at the same time.
    ///
    /// # Errors
    /// A host does not answer.
    pub async fn observe(&self, progress: &Progress) -> Result<Vec<(Option<String>, Observed)>, TargetError> {
        let asked = self.0.iter().map(|one| async {
            let observed = one.target.observe(progress).await.map_err(|error| one.failed(error))?;
            Ok((one.name.clone(), observed))
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Returns the state of each host with which a deployment would begin, with its name; see [`Target::foresee`].
    ///
    /// # Errors
    /// A host does not answer.
    pub async fn foresee(&self, progress: &Progress) -> Result<Vec<(Option<String>, Observed)>, TargetError> {
        let asked = self.0.iter().map(|one| async {
            let observed = one.target.foresee(progress).await.map_err(|error| one.failed(error))?;
            Ok((one.name.clone(), observed))
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Checks whether each host can carry out its part of a plan.
    ///
    /// # Errors
    /// A host cannot.
    pub async fn can_carry_out(&self, plan: &DeploymentPlan) -> Result<(), TargetError> {
        for (one, plan) in self.0.iter().zip(plan.plans()) {
            one.target.can_carry_out(plan).await.map_err(|error| one.failed(error))?;
        }
        Ok(())
    }

    /// Fetches the image of a release on a host; see [`Target::image`].
    ///
    /// # Errors
    /// The image cannot be fetched.
    pub async fn image(
        &self,
        host: usize,
        release: &Release,
        progress: &Progress,
    ) -> Result<Option<ReleaseImage>, TargetError> {
        let Some(one) = self.0.get(host) else { return Ok(None) };
        one.target.image(release, progress).await.map_err(|error| one.failed(error))
    }

    /// Removes images of earlier releases that no container uses, on all hosts. Returns the names of the removed ones.
    ///
    /// # Errors
    /// A host cannot be asked; the images of the other hosts are removed nevertheless.
    pub async fn remove_images(&self, images: &[ReleaseImage]) -> Result<Vec<String>, TargetError> {
        let asked = self.0.iter().map(|one| async {
            let here: Vec<_> = images.iter().map(|image| image.on_host(one.name.as_deref())).collect();
            let removed = one.target.remove_images(&here).await.map_err(|error| one.failed(error))?;
            let named = |image: String| match &one.name {
                Some(host) => format!("{host}: {image}"),
                None => image,
            };
            Ok(removed.into_iter().map(named).collect::<Vec<_>>())
        });
        let removed: Result<Vec<_>, TargetError> = join_all(asked).await.into_iter().collect();
        Ok(removed?.concat())
    }

    /// Pauses or resumes the step in progress; see [`Target::pause`].
    ///
    /// # Errors
    /// A host refuses it.
    pub async fn pause(&self, is_paused: bool) -> Result<(), TargetError> {
        for one in &self.0 {
            one.target.pause(is_paused).await.map_err(|error| one.failed(error))?;
        }
        Ok(())
    }

    /// Skips the waits of targets that carry out steps by themselves; see [`Target::promote_fully`].
    ///
    /// # Errors
    /// A host refuses it.
    pub async fn promote_fully(&self) -> Result<(), TargetError> {
        for one in &self.0 {
            one.target.promote_fully().await.map_err(|error| one.failed(error))?;
        }
        Ok(())
    }

    /// Returns what the hosts that answer soon report, for the screen; see [`Target::traffic`] and [`Target::slots`]. Empty
    /// if none reports anything.
    pub async fn traffic(&self) -> Vec<HostTraffic> {
        let asked = self.0.iter().map(|one| async {
            let (observed, counters) = match one.target.traffic().await {
                Some((observed, counters)) => (observed, Some(counters)),
                None => (one.target.slots().await?, None),
            };
            Some(HostTraffic { host: one.name.clone(), observed, counters })
        });
        // A host that does not answer must not keep the others from being shown.
        let answered = join_all(asked.map(|asked| timeout(TRAFFIC_TIMEOUT, asked))).await;
        answered.into_iter().filter_map(Result::ok).flatten().collect()
    }

    /// Waits until something may have changed what one of the hosts runs; see [`Target::changed`].
    pub async fn changed(&self) {
        select_all(self.0.iter().map(|one| one.target.changed())).await;
    }

    /// Takes the lock on each host, or on none. No host is changed before all have answered.
    ///
    /// # Errors
    /// A host does not answer, another deployment holds its lock, or it is the same as another host.
    pub async fn lock(&self, owner: &str, is_patient: bool) -> Result<(), TargetError> {
        if let Some((host, error)) = self.silent().await.pop_first() {
            return Err(self.failed(host, error));
        }
        self.lock_each(self.0.iter().collect(), owner, is_patient).await
    }

    /// Takes the lock on each of the hosts that answer, or on none of them. Returns why the others do not answer, by
    /// index: they are not locked, and must not be changed.
    ///
    /// # Errors
    /// No host answers, another deployment holds the lock of one that does, or it is the same as another host.
    pub async fn lock_answering(
        &self,
        owner: &str,
        is_patient: bool,
    ) -> Result<BTreeMap<usize, TargetError>, TargetError> {
        let mut silent = self.silent().await;
        if silent.len() == self.count()
            && let Some((host, error)) = silent.pop_first()
        {
            return Err(self.failed(host, error));
        }
        let answering = self.0.iter().enumerate().filter(|(host, _)| !silent.contains_key(host));
        let answering = answering.map(|(_, one)| one).collect();
        self.lock_each(answering, owner, is_patient).await?;
        Ok(silent)
    }

    /// Asks each of several hosts whether it answers. Returns the errors of those that do not, by index.
    async fn silent(&self) -> BTreeMap<usize, TargetError> {
        if !self.has_hosts() {
            return BTreeMap::new();
        }
        let reached = join_all(self.0.iter().map(|one| one.target.reach())).await;
        reached.into_iter().enumerate().filter_map(|(host, reached)| Some((host, reached.err()?))).collect()
    }

    /// Takes the lock on each of these hosts, or on none. The order is that of their addresses, whatever the order in the
    /// settings, so that two deployments never wait for each other.
    async fn lock_each(&self, mut hosts: Vec<&HostTarget>, owner: &str, is_patient: bool) -> Result<(), TargetError> {
        hosts.sort_by_key(|one| &one.address);
        for (at, one) in hosts.into_iter().enumerate() {
            if let Err(error) = one.target.lock(owner, is_patient).await {
                self.unlock().await;
                return Err(match (&one.name, &error) {
                    // On the first host, an earlier worker of the deployment still holds the lock.
                    (Some(host), TargetError::Docker(DockerFault::Locked(by))) if at > 0 && by.contains(owner) => {
                        TargetError::SameEngine { host: host.clone() }
                    }
                    _ => one.failed(error),
                });
            }
        }
        Ok(())
    }

    /// Returns the holder of the lock for which [`Self::lock`] waits at this moment, if that may take long.
    #[must_use]
    pub fn awaited_lock(&self) -> Option<String> {
        self.0.iter().find_map(|one| one.target.awaited_lock())
    }

    /// Releases the locks that are held.
    pub async fn unlock(&self) {
        join_all(self.0.iter().map(|one| one.target.unlock())).await;
    }
}

impl HostTarget {
    /// Adds the name of the host to an error.
    fn failed(&self, error: TargetError) -> TargetError {
        match &self.name {
            Some(host) => TargetError::Host { host: host.clone(), error: Box::new(error) },
            None => error,
        }
    }
}
