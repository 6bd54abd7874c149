//! Services for third-party actions: artifacts, caches, identity tokens and a part of GitHub's API, served to the jobs
//! of one attempt.
//!
//! The server starts in the process of the run when the first step that may need it starts, and stops with the attempt.
//! It listens on loopback, and on the addresses that this machine has in container networks. Requests are checked
//! against the token of their job or run, and links to data are signed. Only the documents of the identity issuer are
//! public.
//!
//! - [`server`]: the listeners; [`router`]: routes requests; [`service`]: the shared state
//! - [`token`] and [`links`]: what a job may request
//! - [`artifacts`], and [`containers`] for older clients; [`caches`], and [`access`] with the rules for caches
//! - [`oidc`]: identity tokens; [`rest`]: what GitHub's API answers about the repository and the run; [`git`]: the
//!   repository itself, with [`upload_pack`] and [`lfs`]
//! - [`uploads`] and [`block_list`]: incoming data; [`answer`]: outgoing data; [`archive`]: ZIP archives

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use crate::engine::blocking::in_place;
use crate::engine::context::RunFacts;
use crate::engine::sandbox::network::Network;
use crate::engine::sandbox::provider::ProviderError;
use crate::model::JobId;
use crate::repo::git::common_folder;
use crate::store::cache::{Cache, CacheLimits};
use crate::store::digest::sha256;
use crate::store::folder::RunFolder;

mod access;
mod answer;
pub mod archive;
mod artifacts;
mod block_list;
mod caches;
mod containers;
mod error;
mod git;
mod lfs;
mod links;
mod numbers;
pub(in crate::engine) mod oidc;
pub(in crate::engine) mod rest;
mod router;
mod server;
mod service;
mod token;
mod upload_pack;
mod uploads;

pub(in crate::engine) use access::{CacheAccess, CacheMode};
use artifacts::ArtifactService;
use caches::CacheService;
pub(in crate::engine) use service::Rights;
use service::Service;
use token::{Signer, TokenIds};
use uploads::Uploads;

/// Why the services cannot start.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ResultsError {
    /// The system cannot generate a random key.
    #[error("no key for tokens: {0}")]
    Key(getrandom::Error),
    /// The folder of the uploads cannot be emptied.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The artifacts of earlier attempts cannot be read.
    #[error("{0}")]
    Artifacts(String),
    /// The network of the container cannot be determined.
    #[error(transparent)]
    Network(#[from] ProviderError),
    /// The container runs on another machine.
    #[error("the container runs on another machine, which cannot reach this one")]
    Elsewhere,
    /// No listener can be opened at the address of this machine in the network of the client.
    #[error("containers cannot reach this machine at {0}: {1}")]
    Unreachable(IpAddr, io::Error),
}

/// The services of an attempt. They start when they are first needed.
pub struct Results {
    folder: RunFolder,
    repository: PathBuf,
    limits: CacheLimits,
    running: OnceCell<Running>,
}

/// The running services.
struct Running {
    service: Arc<Service>,
    listeners: tokio::sync::Mutex<Listeners>,
}

/// The listeners, which end with the services.
#[derive(Default)]
struct Listeners {
    tasks: JoinSet<()>,
    addresses: HashMap<Network, SocketAddr>,
}

/// Kind of a client. As in GitHub's runner, it determines which variables the client gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Client {
    /// The script of a `run` step. It gets only the variables for identity tokens.
    #[default]
    Script,
    /// A JavaScript action.
    JavaScript,
    /// A JavaScript action that passes its variables on to a container in the default network of containers, such as
    /// the builder of Docker's buildx.
    Builder,
    /// The real `actions/checkout`, which fetches the run's repository from this machine.
    Checkout,
    /// A Docker action or a `docker://` step.
    Container,
}

impl Results {
    /// Returns the services of an attempt. `repository` is the folder of the user's repository; `limits` apply to its
    /// cache. An artifact can be at most as large as the cache.
    #[must_use]
    pub fn new(folder: RunFolder, repository: PathBuf, limits: CacheLimits) -> Self {
        Self { folder, repository, limits, running: OnceCell::new() }
    }

    /// Returns the variables with the addresses and tokens of the services, for a client of a job in a network. Starts
    /// the services, their listener in the network and the session of the job, unless they already exist.
    ///
    /// # Errors
    /// The services cannot start, or cannot listen in the network.
    pub(in crate::engine) async fn variables(
        &self,
        facts: &RunFacts,
        job: &JobId,
        rights: &Rights,
        client: Client,
        network: Network,
    ) -> Result<JobVariables, ResultsError> {
        let running = self.running.get_or_try_init(async || in_place(|| self.start(facts))).await?;
        let address = running.address(network).await?;
        let (session, is_new) = running.service.open(&ids(&self.folder, facts.attempt, job), job, rights);
        // The trailing slash is part of the contract: clients append paths.
        let base = format!("http://{address}/");
        let (mut variables, mut git) = (Vec::new(), Vec::new());
        if client != Client::Script {
            variables.extend([
                ("ACTIONS_RUNTIME_URL", base.clone()),
                ("ACTIONS_RUNTIME_TOKEN", session.token.clone()),
                ("ACTIONS_RESULTS_URL", base.clone()),
                ("ACTIONS_CACHE_URL", base.clone()),
                ("ACTIONS_CACHE_MODE", session.cache_mode.word().to_owned()),
            ]);
            if facts.local_api {
                variables.extend([
                    ("GITHUB_API_URL", format!("http://{address}{}", rest::PATH)),
                    ("GITHUB_GRAPHQL_URL", format!("http://{address}{}", rest::GRAPHQL)),
                ]);
            }
        }
        if client == Client::Checkout {
            let folder = (network == Network::LOOPBACK).then_some(self.repository.as_path());
            git = git::client_settings(facts, &base, &session.token, folder);
        }
        if matches!(client, Client::JavaScript | Client::Checkout | Client::Builder) {
            variables.push(("ACTIONS_CACHE_SERVICE_V2", "True".to_owned()));
        }
        let identity = session.identity.as_ref().map(|identity| &identity.token);
        if let Some(token) = identity {
            // Clients append `&audience=…`.
            variables.extend([
                ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("http://{address}{}?v=1", oidc::PATH)),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token.clone()),
            ]);
        }
        let secrets = identity.into_iter().chain([&session.token]).cloned().collect();
        Ok(JobVariables { variables, git, secrets: if is_new { secrets } else { Vec::new() } })
    }

    /// Revokes the tokens and ends the uploads of a completed job.
    pub(in crate::engine) fn end_job(&self, facts: &RunFacts, job: &JobId) {
        let Some(Running { service, .. }) = self.running.get() else { return };
        service.close(&ids(&self.folder, facts.attempt, job));
    }

    fn start(&self, facts: &RunFacts) -> Result<Running, ResultsError> {
        let cache = Cache::of(&self.folder.runs(), &self.identity(facts));
        let access = CacheAccess::of(facts);
        let artifacts = ArtifactService::new(self.folder.clone(), facts.attempt, self.limits.bytes);
        let service = Arc::new(Service::new(
            self.folder.clone(),
            Signer::new().map_err(ResultsError::Key)?,
            Uploads::new(&self.folder.uploads(), facts.attempt)?,
            artifacts.map_err(|error| ResultsError::Artifacts(error.to_string()))?,
            CacheService::new(cache, &facts.repository, access, self.limits),
            facts.clone(),
            self.repository.clone(),
        ));
        Ok(Running { service, listeners: tokio::sync::Mutex::default() })
    }

    /// Returns the identity of the cache of the run's repository.
    pub(in crate::engine) fn identity(&self, facts: &RunFacts) -> String {
        cache_identity(&facts.repository, &self.repository)
    }
}

/// Returns the identity of the cache of a repository, given as `owner/name` and the folder of its checkout: a name that
/// no other repository of this machine has. It contains the folder, because repositories without a remote may have the
/// same `owner/name`. Worktrees of one repository have the same name, so they share their caches.
#[must_use]
pub fn cache_identity(repository: &str, checkout: &Path) -> String {
    let place = common_folder(None, checkout).unwrap_or_else(|_| checkout.to_owned());
    format!("{repository}\0{}", place.display())
}

impl Running {
    /// Returns the address at which clients in a network reach the services. Opens a listener in the network unless one
    /// is already open.
    async fn address(&self, network: Network) -> Result<SocketAddr, ResultsError> {
        let mut listeners = self.listeners.lock().await;
        if let Some(known) = listeners.addresses.get(&network) {
            return Ok(*known);
        }
        let address = server::listen(&self.service, network, &mut listeners.tasks).await;
        let address = address.map_err(|error| ResultsError::Unreachable(network.address, error))?;
        tracing::debug!(%address, "the results service listens");
        listeners.addresses.insert(network, address);
        Ok(address)
    }
}

/// Variables of a client.
#[derive(Debug, Default)]
pub(in crate::engine) struct JobVariables {
    /// Names and values.
    pub(in crate::engine) variables: Vec<(&'static str, String)>,
    /// Settings of git: keys and values.
    pub(in crate::engine) git: Vec<(String, String)>,
    /// Tokens among the values that are new to the job and must be masked.
    pub(in crate::engine) secrets: Vec<String>,
}

/// Returns the ids of a job in its tokens. The id of the job is hashed because clients split the ids at colons, and the
/// name of a job may contain any character.
fn ids(run: &RunFolder, attempt: u32, job: &JobId) -> TokenIds {
    TokenIds { run: run.id().to_string(), job: sha256(format!("{attempt} {job}"), 16) }
}
