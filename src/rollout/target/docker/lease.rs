//! Lock of an environment against deployments from other machines, for a target that has no router: a container that is
//! never started.
//!
//! An engine gives a name to one container only, so only one of several deployments makes it. The holder renews the lock by
//! counting up: the engine lets the number of restarts of a container be changed, which means nothing for one that never
//! runs. A holder that renews its lock, or releases it, is at work, and another deployment is refused. If the holder ends
//! without releasing the lock, another deployment takes it once it has not seen a renewal for some seconds, measured by its
//! own clock. It removes the container by its id, and so never the one of a deployment that was faster.
//!
//! An engine that cannot change the number, as Podman before version 5, has no such locks: other deployments would take them
//! for expired.
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

/// How long a lock lasts without renewal: long enough for several renewals that fail, or for an engine that is slow.
const LASTS: Duration = Duration::from_secs(30);

/// Time between two renewals, and time limit of one.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// How long a deployment waits for a lock that is released meanwhile, as at the end of the deployment before. After that, the
/// holder was at work beside this deployment.
const TOLERATED: Duration = Duration::from_secs(2);

/// Time limit of the release of a lock.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two attempts to take or to release a lock, and to renew it after a failure.
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
    /// Id of the deployment.
    deployment: String,
    /// Readable name of the deployment.
    owner: String,
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

    /// Decides what to do about this lock. `before` is what was seen first in this state, and when that was known. `asked` and
    /// `answered` are from before and after the lock was read: an answer that comes late shows the lock as it was at any time
    /// between them, so that only the time until the question counts.
    fn next(
        self,
        before: &mut Option<(Self, Instant)>,
        (asked, answered): (Instant, Instant),
        is_patient: bool,
    ) -> Next {
        match before {
            Some((same, since)) if *same == self => {
                let has_expired = asked.saturating_duration_since(*since) > LASTS;
                if has_expired { Next::Remove } else { Next::Wait }
            }
            Some((other, _)) if !is_patient && other.id == self.id => Next::Refuse,
            _ => {
                *before = Some((self, answered));
                Next::Wait
            }
        }
    }
}

impl Lease {
    /// Takes the lock. `deployment` is the id of the deployment, which takes a lock that it already holds at once; `owner` is
    /// shown to others who want the lock. With `is_patient`, waits for as long as another deployment holds it; otherwise only
    /// until it is known whether that is at work. `waits` gets the holder while this deployment waits. `None` if the engine
    /// cannot renew a lock, so that nothing holds other deployments back.
    pub(in crate::rollout::target) async fn take(
        client: &DockerClient,
        name: &str,
        (deployment, owner): (&str, &str),
        is_patient: bool,
        waits: &(dyn Fn(&str) + Sync),
    ) -> Result<Option<Self>, DockerFault> {
        // The clocks of machines differ, so the age of the last renewal is measured here.
        let mut before = None;
        // The holder that was met first, and when.
        let mut met: Option<(String, Instant)> = None;
        loop {
            let asked = Instant::now();
            let Some(found) = Seen::read(client, name).await? else {
                if let Some((owner, since)) = met.take()
                    && !is_patient
                    && is_late(since, asked)
                {
                    return Err(DockerFault::LockReleased(format!("held by {owner}")));
                }
                // Another deployment may be faster, so the lock is read again.
                make(client, name, (deployment, owner)).await?;
                continue;
            };
            if found.deployment == deployment {
                let holding = Holding::new(client, name, &found, owner);
                // The lock of a deployment that was interrupted may be about to expire.
                let renewed = holding.renew().await;
                match Seen::read(client, name).await? {
                    Some(now) if now.id == found.id && now.count != found.count => return Ok(Some(Self::of(holding))),
                    Some(now) if now.id == found.id => {
                        let reason = renewed.err().map(|error| error.to_string());
                        tracing::warn!(reason, engine = client.describe(), "the engine cannot renew a lock");
                        client.remove(&found.id).await?;
                        return Ok(None);
                    }
                    // The container was removed meanwhile.
                    _ => continue,
                }
            }
            let (id, owner) = (found.id.clone(), found.owner.clone());
            met.get_or_insert_with(|| (owner.clone(), Instant::now()));
            match found.next(&mut before, (asked, Instant::now()), is_patient) {
                Next::Wait => {
                    waits(&owner);
                    sleep(PAUSE).await;
                }
                Next::Remove => {
                    client.remove(&id).await?;
                    met = None;
                }
                Next::Refuse => return Err(DockerFault::Locked(format!("held by {owner}"))),
            }
        }
    }

    fn of(holding: Holding) -> Self {
        let holding = Arc::new(holding);
        let renewal = tokio::spawn(Arc::clone(&holding).renew_on()).abort_handle();
        Self { holding, renewal }
    }

    /// Renews the lock before a change. Takes it again if the container was removed, as `docker system prune` does.
    /// Fails if another deployment has taken the lock, because it could not be renewed in time.
    pub(in crate::rollout::target) async fn confirm(&mut self) -> Result<(), DockerFault> {
        let holding = Arc::clone(&self.holding);
        if holding.renew().await.is_ok() {
            return Ok(());
        }
        let Holding { client, name, id, deployment, owner, .. } = &*holding;
        match Seen::read(client, name).await? {
            // An engine that cannot change the number still knows whose lock is there.
            Some(now) if now.id == *id => return Ok(()),
            Some(now) if now.deployment != *deployment => {
                return Err(DockerFault::LockLost(format!("held by {}", now.owner)));
            }
            _ => {}
        }
        let again =
            Self::take(client, name, (deployment, owner), false, &|_| ()).await.map_err(|error| match error {
                DockerFault::Locked(by) | DockerFault::LockReleased(by) => DockerFault::LockLost(by),
                error => error,
            })?;
        if let Some(again) = again {
            *self = again;
        }
        Ok(())
    }

    /// Releases the lock.
    pub(in crate::rollout::target) async fn release(self) {
        self.renewal.abort();
        let Holding { client, id, .. } = &*self.holding;
        // The engine may still be busy with the last renewal, and refuse the removal meanwhile.
        let gone = async {
            loop {
                let _ = client.remove(id).await;
                if matches!(client.inspect(id).await, Err(DockerError::Missing { .. })) {
                    break;
                }
                sleep(PAUSE).await;
            }
        };
        // A lock that cannot be removed expires.
        let _ = timeout(RELEASE_TIMEOUT, gone).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Holding {
    fn new(client: &DockerClient, name: &str, found: &Seen, owner: &str) -> Self {
        Self {
            client: client.clone(),
            name: name.to_owned(),
            id: found.id.clone(),
            deployment: found.deployment.clone(),
            owner: owner.to_owned(),
            count: AtomicI64::new(found.count),
        }
    }

    async fn renew(&self) -> Result<(), DockerError> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let body = ContainerUpdateBody { restart_policy: Some(policy(count)), ..ContainerUpdateBody::default() };
        let renewed = self.client.api().update_container(&self.id, body).await;
        renewed.map_err(|error| DockerError::of("cannot renew the lock of the environment", error))
    }

    /// Renews the lock until it is gone.
    async fn renew_on(self: Arc<Self>) {
        let mut pause = RENEW_EVERY;
        loop {
            sleep(pause).await;
            pause = match timeout(RENEW_EVERY, self.renew()).await {
                Ok(Ok(())) => RENEW_EVERY,
                Ok(Err(DockerError::Missing { .. })) if self.is_gone().await => return,
                // It must not expire because of one renewal that failed.
                _ => PAUSE,
            };
        }
    }

    /// Whether the container was removed. An engine that cannot renew it answers as if it were.
    async fn is_gone(&self) -> bool {
        matches!(self.client.inspect(&self.id).await, Err(DockerError::Missing { .. }))
    }
}

/// Whether a lock that was met at one time and is released at another was that of a deployment at work beside this one.
fn is_late(met: Instant, released: Instant) -> bool {
    released.saturating_duration_since(met) > TOLERATED
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
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;
    use crate::rollout::target::docker::testing;

    fn seen(id: &str, count: i64) -> Seen {
        Seen { id: id.to_owned(), count, deployment: "d1".to_owned(), owner: "ada@web".to_owned() }
    }

    #[test]
    fn a_lock_is_taken_only_once_it_was_not_renewed_for_its_time() {
        let now = Instant::now();
        let mut before = None;
        let mut look = |of: Seen, asked, answered, is_patient| {
            let at = |seconds| now + Duration::from_secs(seconds);
            of.next(&mut before, (at(asked), at(answered)), is_patient)
        };
        assert_eq!(look(seen("a", 1), 0, 0, false), Next::Wait);
        assert_eq!(look(seen("a", 1), 1, 40, false), Next::Wait, "it may have been renewed since the question");
        assert_eq!(look(seen("a", 1), 30, 30, false), Next::Wait);
        assert_eq!(look(seen("a", 1), 31, 31, false), Next::Remove);
        // Another deployment was faster, and its lock is new.
        assert_eq!(look(seen("b", 1), 32, 32, false), Next::Wait);
        assert_eq!(look(seen("b", 2), 35, 55, true), Next::Wait, "it was renewed, and patience has no end");
        assert_eq!(look(seen("b", 2), 70, 70, true), Next::Wait, "the age is counted from the answer");
        assert_eq!(look(seen("b", 3), 71, 71, false), Next::Refuse);
        assert_eq!(look(seen("b", 2), 86, 86, true), Next::Remove);
    }

    /// What an engine does when it is asked to renew a lock.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Renewal {
        Works,
        /// It answers as if it had.
        Ignored,
        /// It has no such request.
        Unknown,
    }

    /// Number of renewals of the only lock of an engine, if it has one, and what the engine does when it is to renew it.
    type Locks = Arc<Mutex<(Option<i64>, Renewal)>>;

    /// Starts an engine with at most one lock, which is that of the deployment `ada`.
    async fn engine(locks: &Locks) -> DockerClient {
        let locks = Arc::clone(locks);
        testing::engine(move |request| {
            let (lock, renewal) = &mut *locks.lock().expect("no panic");
            let (status, body) = match (*lock, *renewal) {
                _ if request.contains("/containers/create") => {
                    *lock = Some(1);
                    ("201 Created", r#"{"Id":"1","Warnings":[]}"#.to_owned())
                }
                _ if request.starts_with("DELETE ") => {
                    *lock = None;
                    ("204 No Content", String::new())
                }
                (Some(_), Renewal::Unknown) | (None, _) if request.contains("/update") => {
                    ("404 Not Found", r#"{"message":"no"}"#.to_owned())
                }
                (Some(count), renewal) if request.contains("/update") => {
                    *lock = Some(count + i64::from(renewal == Renewal::Works));
                    ("200 OK", "{}".to_owned())
                }
                (Some(count), _) if request.contains("/containers/") => {
                    let labels = json!({names::DEPLOYMENT: "ada", OWNER: "ada@web"});
                    let host = json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": count}});
                    let found = json!({"Id": "1", "Config": {"Labels": labels}, "HostConfig": host});
                    ("200 OK", found.to_string())
                }
                (None, _) if request.contains("/containers/") => ("404 Not Found", r#"{"message":"no"}"#.to_owned()),
                _ if request.contains("/images/") => ("200 OK", r#"{"Id":"sha256:2"}"#.to_owned()),
                _ => return None,
            };
            Some((status, body))
        })
        .await
    }

    #[tokio::test]
    async fn an_engine_that_cannot_renew_a_lock_gets_none() {
        for renewal in [Renewal::Ignored, Renewal::Unknown] {
            let locks: Locks = Arc::new(Mutex::new((None, renewal)));
            let client = engine(&locks).await;
            let taken = Lease::take(&client, "lock", ("ada", "ada@web"), false, &|_| ()).await.expect("answered");
            assert!(taken.is_none(), "{renewal:?}");
            assert_eq!(locks.lock().expect("no panic").0, None, "{renewal:?}: the container is removed");
        }
    }

    #[tokio::test]
    async fn a_lock_that_is_there_is_not_lost_and_one_that_was_removed_is_taken_again() {
        let locks: Locks = Arc::new(Mutex::new((None, Renewal::Works)));
        let client = engine(&locks).await;
        let taken = Lease::take(&client, "lock", ("ada", "ada@web"), false, &|_| ()).await.expect("answered");
        let mut held = taken.expect("a lock");
        locks.lock().expect("no panic").1 = Renewal::Unknown;
        held.confirm().await.expect("its own lock");
        *locks.lock().expect("no panic") = (None, Renewal::Works);
        held.confirm().await.expect("taken again");
        assert!(locks.lock().expect("no panic").0.is_some());
    }

    #[test]
    fn a_lock_that_is_released_late_was_that_of_a_deployment_at_work() {
        let met = Instant::now();
        let is_late = |after: Duration| is_late(met, met + after);
        assert!(!is_late(Duration::ZERO) && !is_late(TOLERATED));
        assert!(is_late(TOLERATED + PAUSE) && is_late(LASTS));
    }

    #[tokio::test]
    async fn a_deployment_says_whose_lock_it_waits_for_and_gives_up_once_that_is_renewed() {
        let locks: Locks = Arc::new(Mutex::new((Some(1), Renewal::Works)));
        let client = engine(&locks).await;
        let holders = Mutex::new(Vec::new());
        let waits = |owner: &str| {
            holders.lock().expect("no panic").push(owner.to_owned());
            locks.lock().expect("no panic").0 = Some(2);
        };
        let taken = Lease::take(&client, "lock", ("olu", "olu@web"), false, &waits).await;
        let refused = taken.err().expect("refused").to_string();
        assert!(refused.contains("is in progress (held by ada@web)"), "{refused}");
        assert_eq!(*holders.lock().expect("no panic"), ["ada@web"]);
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
        let take = |id: &'static str| Lease::take(&client, &name, (id, id), false, &|_| ());
        let (one, other) = tokio::join!(take("ada"), take("olu"));
        let (mut held, refused, owner, rest) = match (one, other) {
            (Ok(Some(held)), Err(refused)) => (held, refused, "ada", "olu"),
            (Err(refused), Ok(Some(held))) => (held, refused, "olu", "ada"),
            (one, other) => panic!("{} and {} hold the lock", one.is_ok(), other.is_ok()),
        };
        assert!(refused.to_string().contains(&format!("held by {owner}")), "{refused}");
        held.confirm().await.expect("still held");
        // The same deployment has it at once, as after an interruption.
        let mut again = take(owner).await.expect("its own lock").expect("renewed");
        drop(held);
        // `docker system prune` removes it, and no other deployment takes it.
        client.remove(&again.holding.id).await.expect("removed");
        again.confirm().await.expect("taken again");
        let found = Seen::read(&client, &name).await.expect("read");
        assert_eq!(found.map(|found| found.id).as_ref(), Some(&again.holding.id));
        again.release().await;
        let mut next = take(rest).await.expect("released").expect("renewed");
        // The lock was removed, and another deployment has taken it.
        client.remove(&next.holding.id).await.expect("removed");
        let mut taken = take(owner).await.expect("free").expect("renewed");
        let lost = next.confirm().await.expect_err("lost").to_string();
        assert!(lost.contains(&format!("lost to another deployment (held by {owner})")), "{lost}");
        next.release().await;
        taken.confirm().await.expect("the lock of another deployment is left alone");
        taken.release().await;
        assert_eq!(Seen::read(&client, &name).await.expect("read"), None);
    }
}
