//! Errors of the target in Kubernetes.

use std::time::Duration;

use kube::config::{InClusterError, KubeconfigError};

use crate::model::deployment::{NoTag, Workload, written};

/// Why a workload of a cluster is not in the state that a step requires.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesFault {
    /// The kubeconfig cannot be read, or does not have the context.
    #[error("cannot connect to Kubernetes: {0}; set target.kubeconfig and target.context, or KUBECONFIG")]
    Kubeconfig(#[from] KubeconfigError),
    /// There is neither a kubeconfig nor the service account of a pod.
    #[error(
        "cannot connect to Kubernetes: {kubeconfig}, and this is not a pod of a cluster ({pod}); set target.kubeconfig, or \
         KUBECONFIG"
    )]
    NoCluster {
        /// Why there is no kubeconfig.
        kubeconfig: KubeconfigError,
        /// Why there is no service account.
        pod: InClusterError,
    },
    /// The client cannot be made, for instance because a certificate is invalid.
    #[error("cannot connect to Kubernetes at {server}: {reason}")]
    Client {
        /// Address of the API server.
        server: String,
        /// The reason.
        reason: String,
    },
    /// The API server does not answer, or cannot answer now.
    #[error("no answer from the API server {server}: {reason}")]
    Unreachable {
        /// Address of the API server.
        server: String,
        /// The reason.
        reason: String,
    },
    /// The user lacks a right for the request.
    #[error(
        "restricted: {} may not {verb} {resource} in the namespace {namespace}: grant it with a Role, or deploy as another \
         user",
        user.as_deref().unwrap_or("the user")
    )]
    Forbidden {
        /// The verb that is missing in the Role.
        verb: &'static str,
        /// The resource that is missing in the Role.
        resource: &'static str,
        /// Namespace.
        namespace: String,
        /// Name of the user; `None` if the API server does not name it.
        user: Option<String>,
    },
    /// The API server does not accept the credentials.
    #[error("the API server {server} does not accept the credentials of the kubeconfig ({reason}): log in again")]
    Unauthorized {
        /// Address of the API server.
        server: String,
        /// Answer of the server.
        reason: String,
    },
    /// An object does not exist.
    #[error("{resource}/{name} does not exist in the namespace {namespace} of {server}")]
    Missing {
        /// Kind of the object, in the plural.
        resource: &'static str,
        /// Name of the object.
        name: String,
        /// Namespace.
        namespace: String,
        /// Address of the API server.
        server: String,
    },
    /// The workload does not exist.
    #[error(
        "the {workload} does not exist in the namespace {namespace} of {server}: apply its manifest first, or set \
         target.{} and target.namespace",
        workload.kind().to_lowercase()
    )]
    NoWorkload {
        /// The workload.
        workload: Workload,
        /// Namespace.
        namespace: String,
        /// Address of the API server.
        server: String,
    },
    /// The cluster does not know Rollouts.
    #[error(
        "{server} does not know Rollouts: install Argo Rollouts with its CRDs there (rollouts.argoproj.io), or set \
         target.deployment instead of target.rollout"
    )]
    NoRollouts {
        /// Address of the API server.
        server: String,
    },
    /// A Rollout does something else than the strategy of the environment.
    #[error("the Rollout {name} {reason}")]
    Differs {
        /// Name of the Rollout.
        name: String,
        /// What the Rollout does, and what to change.
        reason: String,
    },
    /// Another client changed an object at the same time.
    #[error("{resource}/{name} was changed by another client at the same time")]
    Conflict {
        /// Kind of the object, in the plural.
        resource: &'static str,
        /// Name of the object.
        name: String,
    },
    /// The API server refused a request.
    #[error("the API server refused to {verb} {resource}: {reason}")]
    Refused {
        /// Verb of the request.
        verb: &'static str,
        /// Resource of the request.
        resource: &'static str,
        /// Answer of the server.
        reason: String,
    },
    /// It is not clear which container gets the image.
    #[error("the {workload} has the containers {containers}: name one of them in target.container")]
    Container {
        /// The workload, with its kind.
        workload: String,
        /// Names of its containers.
        containers: String,
    },
    /// The name of the image contains `{tag}`, and the release has no tag.
    #[error(transparent)]
    NoTag(#[from] NoTag),
    /// The cluster did not carry out a change in time.
    #[error("{what} within {}", written(*limit))]
    TooSlow {
        /// What did not happen.
        what: &'static str,
        /// Time limit.
        limit: Duration,
    },
    /// Another deployment holds the lock.
    #[error("another deployment to the environment is in progress ({0}): wait until it ends, which releases its lock")]
    Locked(String),
    /// Another deployment has taken the lock, because this one could not renew it in time.
    #[error("the lock of the environment was lost to another deployment ({0}): nothing more is changed")]
    LockLost(String),
}

impl KubernetesFault {
    /// Whether the same request may succeed a moment later.
    pub(in crate::rollout::target) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
