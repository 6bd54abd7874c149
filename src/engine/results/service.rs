//! State of the server of an attempt.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::engine::context::RunFacts;
use crate::model::JobId;
use crate::store::clock::now;
use crate::store::folder::RunFolder;

use super::access::CacheMode;
use super::artifacts::ArtifactService;
use super::caches::CacheService;
use super::containers::Containers;
use super::error::ServiceError;
use super::lfs::LfsObjects;
use super::oidc::JobClaims;
use super::rest::Releases;
use super::token::{Scope, Signer, TokenIds};
use super::upload_pack::MAX_FETCHES;
use super::uploads::Uploads;

/// The state of the server.
pub(super) struct Service {
    pub(super) run: RunFolder,
    pub(super) signer: Signer,
    pub(super) uploads: Uploads,
    pub(super) artifacts: ArtifactService,
    /// Artifacts that clients of version 3 upload.
    pub(super) containers: Containers,
    pub(super) caches: CacheService,
    /// Facts about the run, for its identity tokens and the REST API.
    pub(super) facts: RunFacts,
    /// Folder of the user's repository.
    pub(super) repository: PathBuf,
    pub(super) lfs: LfsObjects,
    pub(super) releases: Releases,
    /// Permits of the fetches from the repository that are in progress.
    pub(super) fetches: Arc<Semaphore>,
    /// The jobs in progress, by the id in their tokens.
    jobs: Mutex<HashMap<String, Arc<Session>>>,
}

/// Permissions of a job from its workflow.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Rights {
    /// Claims of the job's identity tokens; `None` if the job may not request them.
    pub(in crate::engine) identity: Option<JobClaims>,
    /// Value of `cache-mode`; `None` if the workflow does not set it.
    pub(in crate::engine) cache_mode: Option<CacheMode>,
    /// Whether the job may read the repository: `permissions: contents`.
    pub(in crate::engine) reads_contents: bool,
}

/// The session of a job in progress: its tokens and permissions.
pub(super) struct Session {
    pub(super) job: JobId,
    /// Token of the job.
    pub(super) token: String,
    /// What the job may do with caches.
    pub(super) cache_mode: CacheMode,
    /// Whether the job may read the repository.
    pub(super) reads_contents: bool,
    /// What the job needs to request identity tokens; `None` if it may not request them.
    pub(super) identity: Option<Identity>,
}

/// What a job needs to request identity tokens.
pub(super) struct Identity {
    /// Token for identity requests only.
    pub(super) token: String,
    pub(super) claims: JobClaims,
}

impl Service {
    /// Returns the services of an attempt, without jobs.
    pub(super) fn new(
        run: RunFolder,
        signer: Signer,
        uploads: Uploads,
        artifacts: ArtifactService,
        caches: CacheService,
        facts: RunFacts,
        repository: PathBuf,
    ) -> Self {
        let releases = Releases::new(&run);
        let fetches = Arc::new(Semaphore::new(MAX_FETCHES));
        let (containers, jobs) = (Containers::default(), Mutex::default());
        let lfs = LfsObjects::of(repository.clone());
        Self { run, signer, uploads, artifacts, containers, caches, facts, repository, lfs, releases, fetches, jobs }
    }

    /// Returns the session of a job, creating it if necessary, and whether it is new.
    pub(super) fn open(&self, ids: &TokenIds, job: &JobId, rights: &Rights) -> (Arc<Session>, bool) {
        let mut jobs = self.lock();
        if let Some(known) = jobs.get(&ids.job) {
            return (Arc::clone(known), false);
        }
        let access = self.caches.access();
        let cache_mode = rights.cache_mode.unwrap_or(access.mode);
        let permissions = access.permissions(cache_mode);
        let token = |scope, permissions| self.signer.token(scope, ids, permissions, now().0 / 1000);
        let identity = rights
            .identity
            .as_ref()
            .map(|claims| Identity { token: token(Scope::Identity, &[]), claims: claims.clone() });
        let token = token(Scope::Results, &permissions);
        let reads_contents = rights.reads_contents;
        let session = Session { job: job.clone(), token, cache_mode, reads_contents, identity };
        let session = Arc::new(session);
        jobs.insert(ids.job.clone(), Arc::clone(&session));
        (session, true)
    }

    /// Ends the session of a job, with its uploads.
    pub(super) fn close(&self, ids: &TokenIds) {
        self.lock().remove(&ids.job);
        self.uploads.end_all(&ids.job);
    }

    /// Returns the session of a token.
    ///
    /// # Errors
    /// The job has ended.
    pub(super) fn session(&self, ids: &TokenIds) -> Result<Arc<Session>, ServiceError> {
        self.lock().get(&ids.job).cloned().ok_or(ServiceError::Denied("the job of the token has ended"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
