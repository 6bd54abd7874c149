//! Lock of an environment against deployments from other machines: a `Lease` beside the Deployment.
//!
//! The holder renews the lease. If it ends without releasing the lease, the lease expires: another machine takes it
//! once it has not seen a renewal for the duration of the lease, measured by its own clock. Changes of a lease name its
//! version, so that only one of two machines can take it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::api::{Call, Cluster, Resource, Verb};
use super::error::KubernetesFault;
use super::objects::Meta;
use crate::rollout::outlet::Progress;

/// How long a lease lasts without renewal.
const LASTS: Duration = Duration::from_secs(15);

/// Time between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// Time between two attempts to take a lease.
const PAUSE: Duration = Duration::from_millis(500);

/// Annotation of a lease with a readable name of its holder.
const OWNER: &str = "cuelight.dev/owner";

/// A lease.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(default)]
struct Lease {
    metadata: Meta,
    spec: LeaseSpec,
}

#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeaseSpec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u64>,
    renew_time: Option<String>,
}

impl Lease {
    /// Returns the id of the holder; `None` if the lease is free.
    fn holder(&self) -> Option<&str> {
        self.spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// Returns a description of the holder for messages.
    fn owner(&self) -> String {
        let owner = self.metadata.annotations.get(OWNER).map(String::as_str);
        format!("held by {}", owner.or(self.holder()).unwrap_or("no deployment"))
    }
}

/// A lease that is held. Dropping it without releasing it lets it expire.
pub(super) struct Lock {
    holding: Arc<Holding>,
    renewal: AbortHandle,
}

struct Holding {
    cluster: Cluster,
    /// Name of the lease.
    name: String,
    /// Id of the deployment.
    id: String,
    /// Readable name of the deployment's owner.
    owner: String,
    /// Description of the holder that has taken the lease from this process.
    lost_to: Mutex<Option<String>>,
}

impl Lock {
    /// Takes the lease. `id` is the id of the deployment, which takes a lease that it already holds at once. With
    /// `is_patient`, waits for as long as another deployment holds it.
    pub(super) async fn take(
        cluster: &Cluster,
        name: String,
        id: &str,
        owner: &str,
        is_patient: bool,
    ) -> Result<Self, KubernetesFault> {
        let (cluster, id, owner) = (cluster.clone(), id.to_owned(), owner.to_owned());
        let holding = Holding { cluster, name, id, owner, lost_to: Mutex::default() };
        // The clocks of machines differ, so the age of the last renewal is measured here.
        let mut seen: Option<(LeaseSpec, Instant)> = None;
        loop {
            let found = holding.read(None).await?;
            let foreign = found.as_ref().filter(|lease| lease.holder().is_some_and(|holder| holder != holding.id));
            let is_free = match (foreign, &seen) {
                (None, _) => true,
                (Some(lease), Some((before, since))) if *before == lease.spec => {
                    since.elapsed() > lease.spec.lease_duration_seconds.map_or(LASTS, Duration::from_secs)
                }
                (Some(lease), Some((before, _)))
                    if !is_patient && before.holder_identity == lease.spec.holder_identity =>
                {
                    return Err(KubernetesFault::Locked(lease.owner()));
                }
                (Some(lease), _) => {
                    seen = Some((lease.spec.clone(), Instant::now()));
                    false
                }
            };
            if is_free && holding.write(found.as_ref(), true, None).await? {
                let holding = Arc::new(holding);
                let renewal = tokio::spawn(Arc::clone(&holding).renew()).abort_handle();
                return Ok(Self { holding, renewal });
            }
            sleep(PAUSE).await;
        }
    }

    /// Renews the lease before a change. Fails if another deployment has taken it. With `patient`, waits while the API
    /// server is unavailable.
    pub(super) async fn confirm(&self, patient: Option<&Progress>) -> Result<(), KubernetesFault> {
        let holding = &self.holding;
        loop {
            if let Some(owner) = holding.lost_to() {
                return Err(KubernetesFault::LockLost(owner));
            }
            match holding.read(patient).await? {
                Some(lease) if lease.holder() != Some(&holding.id) => holding.lose(&lease),
                lease if holding.write(lease.as_ref(), true, patient).await? => return Ok(()),
                _ => {}
            }
        }
    }

    /// Releases the lease.
    pub(super) async fn release(self) {
        self.renewal.abort();
        // A lease that cannot be released expires.
        if let Ok(Some(lease)) = self.holding.read(None).await
            && lease.holder() == Some(&self.holding.id)
        {
            let _ = self.holding.write(Some(&lease), false, None).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Holding {
    fn lost_to(&self) -> Option<String> {
        self.lost_to.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lose(&self, to: &Lease) {
        *self.lost_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(to.owner());
    }

    /// Reads the lease; `None` if it does not exist, because it was not created yet or was deleted. With `patient`,
    /// waits while the API server is unavailable.
    async fn read(&self, patient: Option<&Progress>) -> Result<Option<Lease>, KubernetesFault> {
        match self.cluster.send(&Call::get(Resource::Leases, &self.name), patient).await {
            Err(KubernetesFault::Missing { .. }) => Ok(None),
            read => read.map(Some),
        }
    }

    /// Writes the lease, as held or as free. Returns `false` if another client has written it since it was read.
    async fn write(
        &self,
        before: Option<&Lease>,
        is_held: bool,
        patient: Option<&Progress>,
    ) -> Result<bool, KubernetesFault> {
        let body = self.body(before, is_held);
        let call = match before {
            Some(_) => Call::send(Verb::Update, Resource::Leases, Some(&self.name), &body),
            None => Call::send(Verb::Create, Resource::Leases, None, &body),
        };
        match self.cluster.send::<Lease>(&call, patient).await {
            Ok(_) => Ok(true),
            Err(KubernetesFault::Conflict { .. }) => Ok(false),
            Err(KubernetesFault::Missing { .. }) if before.is_some() => Ok(false),
            Err(KubernetesFault::Missing { namespace, .. }) => {
                let reason = format!("the namespace {namespace} does not exist");
                Err(KubernetesFault::Refused { verb: "create", resource: "leases", reason })
            }
            Err(error) => Err(error),
        }
    }

    fn body(&self, before: Option<&Lease>, is_held: bool) -> Value {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let mut metadata = json!({"name": self.name, "namespace": self.cluster.namespace});
        if let Some(before) = before {
            metadata["resourceVersion"] = json!(before.metadata.resource_version);
        }
        let mut spec = json!({"leaseDurationSeconds": LASTS.as_secs(), "renewTime": now});
        if is_held {
            metadata["annotations"] = json!({OWNER: self.owner});
            spec["holderIdentity"] = json!(self.id);
        }
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    }

    /// Renews the lease until another deployment has taken it.
    async fn renew(self: Arc<Self>) {
        loop {
            sleep(RENEW_EVERY).await;
            match self.read(None).await {
                Ok(Some(lease)) if lease.holder() != Some(&self.id) => return self.lose(&lease),
                // A failed renewal is repeated in the next round.
                Ok(lease) => {
                    let _ = self.write(lease.as_ref(), true, None).await;
                }
                Err(_) => {}
            }
        }
    }
}
