//! Lock of an environment against deployments from other machines, for a target that has no router: a container that is
//! never started.
//!
//! An engine gives a name to one container only, so only one of several deployments makes it. The holder renews the lock by
//! counting up: the engine lets the number of restarts of a container be changed, which means nothing for one that never
//! runs. If the holder ends without releasing the lock, another deployment takes it once it has not seen a renewal for some
//! seconds, measured by its own clock. It removes the container by its id, and so never the one of a deployment that was
//! faster.
//!
//! A container needs an image. This one has an empty image, which is made here and stays on the engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerUpdateBody, HostConfig, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::error::DockerFault;
use super::{names, router};
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};

/// How long a lock lasts without renewal.
const LASTS: Duration = Duration::from_secs(15);

/// Time between two renewals, and time limit of one.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// Time between two attempts to take a lock.
const PAUSE: Duration = Duration::from_millis(500);

/// Label with a readable name of the holder.
const OWNER: &str = "dev.cuelight.owner";

/// Name and tag of the empty image.
const IMAGE: (&str, &str) = ("cuelight-lock", "1");

/// A lock that is held. If it is dropped without being released, it expires.
pub(in crate::rollout::target) struct Lease {
    holding: Arc<Holding>,
    renewal: AbortHandle,
}

struct Holding {
    client: DockerClient,
    /// Name of the container.
    name: String,
    /// Id of the container.
    id: String,
    /// Number of renewals.
    count: AtomicI64,
}

/// A lock as the engine has it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    /// Id of the container.
    id: String,
    /// Number of renewals.
    count: i64,
    /// Id of the deployment that holds the lock.
    deployment: String,
    /// Readable name of the holder.
    owner: String,
}

/// What a deployment does that finds the lock of another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// It looks again.
    Wait,
    /// It removes the lock, which has expired.
    Remove,
    /// It gives up: the holder is at work.
    Refuse,
}

impl Seen {
    /// Reads the lock. `None` if no deployment holds it.
    async fn read(client: &DockerClient, name: &str) -> Result<Option<Self>, DockerFault> {
        let found = match client.inspect(name).await {
            Err(DockerError::Missing { .. }) => return Ok(None),
            found => found?,
        };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let policy = found.host_config.and_then(|host| host.restart_policy);
        let count = policy.and_then(|policy| policy.maximum_retry_count).unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned();
        let (Some(id), Some(deployment), Some(owner)) = (found.id, label(names::DEPLOYMENT), label(OWNER)) else {
            return Err(DockerFault::NameTaken(name.to_owned()));
        };
        Ok(Some(Self { id, count, deployment, owner }))
    }

    /// Decides what to do about this lock. `before` is what was seen first in this state, and when.
    fn next(self, before: &mut Option<(Self, Instant)>, now: Instant, is_patient: bool) -> Next {
        match before {
            Some((same, since)) if *same == self => {
                let has_expired = now.duration_since(*since) > LASTS;
                if has_expired { Next::Remove } else { Next::Wait }
            }
            Some((other, _)) if !is_patient && other.id == self.id => Next::Refuse,
            _ => {
                *before = Some((self, now));
                Next::Wait
            }
        }
    }
}

impl Lease {
    /// Takes the lock. `deployment` is the id of the deployment, which takes a lock that it already holds at once; `owner` is
    /// shown to others who want the lock. With `is_patient`, waits for as long as another deployment holds it.
    pub(in crate::rollout::target) async fn take(
        client: &DockerClient,
        name: &str,
        (deployment, owner): (&str, &str),
        is_patient: bool,
    ) -> Result<Self, DockerFault> {
        // The clocks of machines differ, so the age of the last renewal is measured here.
        let mut before = None;
        loop {
            match Seen::read(client, name).await? {
                // Another deployment may be faster, so the lock is read again.
                None => make(client, name, (deployment, owner)).await?,
                Some(found) if found.deployment == deployment => return Ok(Self::of(client.clone(), name, found)),
                Some(found) => {
                    let (id, owner) = (found.id.clone(), found.owner.clone());
                    match found.next(&mut before, Instant::now(), is_patient) {
                        Next::Wait => sleep(PAUSE).await,
                        Next::Remove => client.remove(&id).await?,
                        Next::Refuse => return Err(DockerFault::Locked(format!("held by {owner}"))),
                    }
                }
            }
        }
    }

    fn of(client: DockerClient, name: &str, found: Seen) -> Self {
        let (name, count) = (name.to_owned(), AtomicI64::new(found.count));
        let holding = Arc::new(Holding { client, name, id: found.id, count });
        let renewal = tokio::spawn(Arc::clone(&holding).renew_on()).abort_handle();
        Self { holding, renewal }
    }

    /// Renews the lock before a change. Fails if another deployment has taken it, because it could not be renewed in time.
    pub(in crate::rollout::target) async fn confirm(&self) -> Result<(), DockerFault> {
        let holding = &self.holding;
        match holding.renew().await {
            Ok(()) => return Ok(()),
            Err(DockerError::Missing { .. }) => {}
            // An engine that cannot change the number still knows whether the lock is there.
            Err(_) => match holding.client.inspect(&holding.id).await {
                Err(DockerError::Missing { .. }) => {}
                found => return Ok(found.map(drop)?),
            },
        }
        let now = Seen::read(&holding.client, &holding.name).await?;
        Err(DockerFault::LockLost(
            now.map_or_else(|| "which has ended".to_owned(), |by| format!("held by {}", by.owner)),
        ))
    }

    /// Releases the lock.
    pub(in crate::rollout::target) async fn release(self) {
        self.renewal.abort();
        // A lock that cannot be removed expires.
        let _ = timeout(RENEW_EVERY, self.holding.client.remove(&self.holding.id)).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Holding {
    async fn renew(&self) -> Result<(), DockerError> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let body = ContainerUpdateBody { restart_policy: Some(policy(count)), ..ContainerUpdateBody::default() };
        let renewed = self.client.api().update_container(&self.id, body).await;
        renewed.map_err(|error| DockerError::of("cannot renew the lock of the environment", error))
    }

    /// Renews the lock until it is gone.
    async fn renew_on(self: Arc<Self>) {
        loop {
            sleep(RENEW_EVERY).await;
            // A failed renewal is repeated in the next round.
            if let Ok(Err(DockerError::Missing { .. })) = timeout(RENEW_EVERY, self.renew()).await {
                return;
            }
        }
    }
}

/// Makes the container, unless another deployment was faster.
async fn make(client: &DockerClient, name: &str, (deployment, owner): (&str, &str)) -> Result<(), DockerFault> {
    let (repository, tag) = IMAGE;
    let image = format!("{repository}:{tag}");
    match client.image(&image).await {
        Err(DockerError::Missing { .. }) => make_image(client).await?,
        found => drop(found?),
    }
    let labels = [(names::DEPLOYMENT, deployment), (OWNER, owner)];
    let labels: HashMap<String, String> =
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let body = ContainerCreateBody {
        image: Some(image),
        // It is never started, but the engine asks for a command.
        cmd: Some(vec!["lock".to_owned()]),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            restart_policy: Some(policy(1)),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    router::create(client, name, body).await.map(drop)
}

/// Makes the empty image.
async fn make_image(client: &DockerClient) -> Result<(), DockerError> {
    let empty = tar::Builder::new(Vec::new()).into_inner().expect("a vector takes all bytes");
    let (repository, tag) = IMAGE;
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(repository).tag(tag).build();
    let made = client.api().create_image(Some(options), Some(bollard::body_full(empty.into())), None);
    let made: Result<Vec<_>, _> = made.try_collect().await;
    made.map(drop).map_err(|error| DockerError::of("cannot make the image of the lock", error))
}

/// Returns the restart policy that has a number of renewals.
fn policy(count: i64) -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::ON_FAILURE), maximum_retry_count: Some(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, count: i64) -> Seen {
        Seen { id: id.to_owned(), count, deployment: "d1".to_owned(), owner: "ada@web".to_owned() }
    }

    #[test]
    fn a_lock_is_taken_only_once_it_was_not_renewed_for_its_time() {
        let now = Instant::now();
        let mut before = None;
        let mut look =
            |of: Seen, seconds, is_patient| of.next(&mut before, now + Duration::from_secs(seconds), is_patient);
        assert_eq!(look(seen("a", 1), 0, false), Next::Wait);
        assert_eq!(look(seen("a", 1), 15, false), Next::Wait);
        assert_eq!(look(seen("a", 1), 16, false), Next::Remove);
        // Another deployment was faster, and its lock is new.
        assert_eq!(look(seen("b", 1), 17, false), Next::Wait);
        assert_eq!(look(seen("b", 2), 20, true), Next::Wait, "it was renewed, and patience has no end");
        assert_eq!(look(seen("b", 2), 34, true), Next::Wait);
        assert_eq!(look(seen("b", 3), 35, false), Next::Refuse);
        assert_eq!(look(seen("b", 2), 36, true), Next::Remove);
    }

    #[tokio::test]
    async fn one_of_two_deployments_gets_the_lock_and_the_other_one_once_it_is_released() {
        let client = match DockerClient::find().await {
            Ok(client) => client,
            Err(error) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "{error}");
                eprintln!("SKIPPED: {error}");
                return;
            }
        };
        let name = format!("cuelight-lock-test-{}", std::process::id());
        let take = |id: &'static str| Lease::take(&client, &name, (id, id), false);
        let (one, other) = tokio::join!(take("ada"), take("olu"));
        let (held, refused, owner, rest) = match (one, other) {
            (Ok(held), Err(refused)) => (held, refused, "ada", "olu"),
            (Err(refused), Ok(held)) => (held, refused, "olu", "ada"),
            (one, other) => panic!("{} and {} hold the lock", one.is_ok(), other.is_ok()),
        };
        assert!(refused.to_string().contains(&format!("held by {owner}")), "{refused}");
        held.confirm().await.expect("still held");
        // The same deployment has it at once, as after an interruption.
        let again = take(owner).await.expect("its own lock");
        drop(held);
        again.release().await;
        let next = take(rest).await.expect("released");
        // Somebody has removed the lock, and another deployment has taken it.
        client.remove(&next.holding.id).await.expect("removed");
        let taken = take(owner).await.expect("free");
        let lost = next.confirm().await.expect_err("lost").to_string();
        assert!(lost.contains(&format!("lost to another deployment (held by {owner})")), "{lost}");
        next.release().await;
        taken.confirm().await.expect("the lock of another deployment is left alone");
        taken.release().await;
        assert_eq!(Seen::read(&client, &name).await.expect("read"), None);
    }
}
