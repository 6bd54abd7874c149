//! The artifact service, version 4: Twirp with JSON, the protocol of `@actions/artifact`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Timestamp;
use crate::store::artifacts;
use crate::store::artifacts::{ARCHIVE, Artifact, is_name};
use crate::store::clock::now;
use crate::store::digest::sha256_of_file;
use crate::store::folder::RunFolder;

use super::error::ServiceError;
use super::links::{Links, Target};
use super::numbers::{Number, timestamp, written};
use super::token::TokenIds;
use super::uploads::Uploads;

const TAKEN: ServiceError = ServiceError::Taken("an artifact with this name already exists on the workflow run");

/// The artifact service of an attempt.
pub(super) struct ArtifactService {
    run: RunFolder,
    attempt: u32,
    /// Maximum size of an artifact in bytes.
    limit: u64,
    state: Mutex<State>,
}

struct State {
    artifacts: Vec<Artifact>,
    /// Id of the next artifact. Ids are never reused, because links contain them.
    next: u64,
    /// Artifacts that are being uploaded.
    reserved: Vec<Reserved>,
    /// When a person has last added an artifact, as far as `artifacts` is up to date.
    changed: Option<SystemTime>,
}

/// Properties of an artifact that is being uploaded.
struct Reserved {
    upload: String,
    name: String,
    media_type: String,
    expires: Option<Timestamp>,
    job_name: String,
}

/// A request of any method. Unknown fields are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ArtifactRequest {
    workflow_run_backend_id: String,
    workflow_job_run_backend_id: String,
    name: String,
    mime_type: Option<String>,
    expires_at: Option<String>,
    size: Option<Number>,
    hash: Option<String>,
    name_filter: Option<String>,
    id_filter: Option<Number>,
}

/// The job that sent a request, and the parts of the server that are needed to answer it.
pub(super) struct Context<'c> {
    /// Ids of the job, from its token.
    pub(super) ids: &'c TokenIds,
    /// Id of the job in the workflow.
    pub(super) job: &'c str,
    pub(super) uploads: &'c Uploads,
    pub(super) links: &'c Links<'c>,
}

impl ArtifactService {
    /// Returns the service of an attempt, including the artifacts of earlier attempts.
    ///
    /// # Errors
    /// The folder of the artifacts cannot be read.
    pub(super) fn new(run: RunFolder, attempt: u32, limit: u64) -> Result<Self, ServiceError> {
        let changed = artifacts::last_change(&run);
        let artifacts = artifacts::list(&run)?;
        let next = artifacts::next_id(&run, &artifacts);
        let state = Mutex::new(State { artifacts, next, reserved: Vec::new(), changed });
        Ok(Self { run, attempt, limit, state })
    }

    /// Handles a method call.
    ///
    /// # Errors
    /// The method does not exist, the token does not allow it, the name is invalid, taken or unknown, there are too
    /// many uploads, nothing was uploaded, the uploaded data has another size, or the file system returns an error.
    pub(super) fn call(
        &self,
        method: &str,
        request: ArtifactRequest,
        context: &Context<'_>,
    ) -> Result<Value, ServiceError> {
        let own_run = request.workflow_run_backend_id == context.ids.run;
        let own_job = request.workflow_job_run_backend_id == context.ids.job;
        match method {
            "CreateArtifact" | "FinalizeArtifact" if !(own_run && own_job) => {
                Err(ServiceError::Denied("the token belongs to another job"))
            }
            "ListArtifacts" | "GetSignedArtifactURL" | "DeleteArtifact" if !own_run => {
                Err(ServiceError::Denied("the token belongs to another run"))
            }
            "CreateArtifact" => self.create(request, context),
            "FinalizeArtifact" => self.finalize(&request, context),
            "ListArtifacts" => Ok(self.list(&request, &context.ids.run)),
            "GetSignedArtifactURL" => {
                let artifact = self.find(&request)?;
                Ok(json!({"signed_url": context.links.read(&Target::Artifact(artifact.id))}))
            }
            "DeleteArtifact" => self.delete(&request),
            _ => Err(ServiceError::BadRoute(method.to_owned())),
        }
    }

    /// Returns an artifact by its id.
    ///
    /// # Errors
    /// There is no such artifact.
    pub(super) fn get(&self, id: u64) -> Result<Artifact, ServiceError> {
        let state = self.lock();
        state.artifacts.iter().find(|artifact| artifact.id == id).cloned().ok_or(ServiceError::NotFound("artifact"))
    }

    /// Returns all artifacts, in the order of their ids.
    pub(super) fn all(&self) -> Vec<Artifact> {
        self.lock().artifacts.clone()
    }

    /// Returns the maximum size of an artifact in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Checks that the attempt has no artifact with this name.
    ///
    /// # Errors
    /// It has one.
    pub(super) fn check_free(&self, name: &str) -> Result<(), ServiceError> {
        if self.has(&self.lock(), name) { Err(TAKEN) } else { Ok(()) }
    }

    /// Publishes an archive that the server has written, in place of an earlier one of this name. `staged` is its
    /// folder with the file `data`, and its size in bytes. Returns the size.
    ///
    /// # Errors
    /// The archive is larger than the limit, or the file system returns an error.
    pub(super) fn replace(
        &self,
        name: &str,
        job: &str,
        expires: Option<Timestamp>,
        (staged, size): (&Path, u64),
    ) -> Result<u64, ServiceError> {
        if size > self.limit {
            return Err(ServiceError::TooLarge(self.limit));
        }
        let digest = sha256_of_file(&staged.join("data"))?;
        let mut state = self.lock();
        let artifact = Artifact {
            id: state.next,
            name: name.to_owned(),
            size,
            media_type: ARCHIVE.to_owned(),
            digest: Some(format!("sha256:{digest}")),
            created: now(),
            expires,
            job: job.to_owned(),
            attempt: self.attempt,
        };
        let artifact = artifacts::publish_next(&self.run, artifact, staged)?;
        state.next = artifact.id + 1;
        let earlier: Vec<_> = state.artifacts.iter().filter(|one| self.is_own(one, name)).map(|one| one.id).collect();
        for id in earlier {
            artifacts::remove(&self.run, id)?;
            state.artifacts.retain(|one| one.id != id);
        }
        state.artifacts.push(artifact);
        Ok(size)
    }

    /// Whether an artifact has this name and is of this attempt.
    fn is_own(&self, artifact: &Artifact, name: &str) -> bool {
        artifact.name == name && artifact.attempt == self.attempt
    }

    /// Whether the attempt has an artifact with this name.
    fn has(&self, state: &State, name: &str) -> bool {
        state.artifacts.iter().any(|one| self.is_own(one, name))
    }

    fn create(&self, request: ArtifactRequest, context: &Context<'_>) -> Result<Value, ServiceError> {
        let name = request.name;
        check_name(&name)?;
        let mut state = self.lock();
        if self.has(&state, &name) {
            return Err(TAKEN);
        }
        // An earlier step of the job may have been killed during an upload of this name. The new upload replaces that
        // one.
        if let Ok((given_up, _)) = context.uploads.named(&context.ids.job, &key(&name)) {
            context.uploads.end(&given_up);
        }
        let upload = context.uploads.begin(&context.ids.job, &key(&name), self.limit);
        let upload = upload.map_err(|error| if matches!(error, ServiceError::Taken(_)) { TAKEN } else { error })?;
        let link = context.links.write(&Target::Upload(upload.clone()));
        // Removes the entry of an abandoned upload of this name.
        state.reserved.retain(|reserved| reserved.name != name);
        state.reserved.push(Reserved {
            upload,
            name,
            media_type: request.mime_type.filter(|of| !of.is_empty()).unwrap_or_else(|| ARCHIVE.to_owned()),
            expires: request.expires_at.as_deref().and_then(timestamp),
            job_name: context.job.to_owned(),
        });
        Ok(json!({"ok": true, "signed_upload_url": link}))
    }

    fn finalize(&self, request: &ArtifactRequest, context: &Context<'_>) -> Result<Value, ServiceError> {
        let (upload_id, upload) = context.uploads.named(&context.ids.job, &key(&request.name))?;
        let (staged, size) = upload.finish(request.size.map(|size| size.0))?;
        let mut state = self.lock();
        let at = state.reserved.iter().position(|reserved| reserved.upload == upload_id);
        let reserved = state.reserved.swap_remove(at.ok_or(ServiceError::NotFound("upload"))?);
        // A person may have added one during the upload.
        if self.has(&state, &reserved.name) {
            context.uploads.end(&upload_id);
            return Err(TAKEN);
        }
        let artifact = Artifact {
            id: state.next,
            name: reserved.name,
            size,
            media_type: reserved.media_type,
            digest: request.hash.clone().filter(|hash| is_digest(hash)),
            created: now(),
            expires: reserved.expires,
            job: reserved.job_name,
            attempt: self.attempt,
        };
        let published = artifacts::publish_next(&self.run, artifact, staged);
        context.uploads.end(&upload_id);
        let artifact = published?;
        let id = artifact.id;
        state.next = id + 1;
        state.artifacts.push(artifact);
        Ok(json!({"ok": true, "artifact_id": id.to_string()}))
    }

    fn list(&self, request: &ArtifactRequest, run: &str) -> Value {
        let state = self.lock();
        let wanted = state.artifacts.iter().filter(|artifact| {
            request.name_filter.as_ref().is_none_or(|name| artifact.name == *name)
                && request.id_filter.as_ref().is_none_or(|id| artifact.id == id.0)
        });
        let described = wanted.map(|artifact| {
            json!({
                "workflow_run_backend_id": run,
                "workflow_job_run_backend_id": artifact.job,
                "database_id": artifact.id.to_string(),
                "name": artifact.name,
                "size": artifact.size.to_string(),
                "created_at": written(artifact.created),
                "digest": artifact.digest,
            })
        });
        json!({"artifacts": described.collect::<Vec<_>>()})
    }

    /// Returns the newest artifact with a name, preferring artifacts of the job that the client names.
    fn find(&self, request: &ArtifactRequest) -> Result<Artifact, ServiceError> {
        let state = self.lock();
        let mut named = state.artifacts.iter().rev().filter(|artifact| artifact.name == request.name);
        let of_job = named.clone().find(|artifact| artifact.job == request.workflow_job_run_backend_id);
        of_job.or_else(|| named.next()).cloned().ok_or(ServiceError::NotFound("artifact"))
    }

    fn delete(&self, request: &ArtifactRequest) -> Result<Value, ServiceError> {
        let Artifact { id, .. } = self.find(request)?;
        artifacts::remove(&self.run, id)?;
        self.lock().artifacts.retain(|artifact| artifact.id != id);
        Ok(json!({"ok": true, "artifact_id": id.to_string()}))
    }

    /// Returns the state, with what a person has added or replaced since.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = artifacts::last_change(&self.run);
        if changed != state.changed
            && let Ok(artifacts) = artifacts::list(&self.run)
        {
            state.next = state.next.max(artifacts::next_id(&self.run, &artifacts));
            (state.artifacts, state.changed) = (artifacts, changed);
        }
        state
    }
}

/// Whether a text has the form of a digest: `sha256:` and 64 hexadecimal digits.
fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Checks the name of an artifact that a client creates.
///
/// # Errors
/// It cannot be the name of an artifact.
pub(super) fn check_name(name: &str) -> Result<(), ServiceError> {
    if is_name(name) {
        return Ok(());
    }
    Err(ServiceError::Invalid(format!("`{name}` cannot be the name of an artifact")))
}

/// Returns the key under which an artifact is uploaded, by clients of either version.
pub(super) fn key(name: &str) -> String {
    format!("artifact {name}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::engine::results::token::Signer;

    #[test]
    fn a_name_that_a_person_takes_during_an_upload_is_refused_at_its_end() {
        let state = tempfile::tempdir().expect("a folder");
        let run = RunFolder::at(state.path().join("runs/r"));
        let service = ArtifactService::new(run.clone(), 1, 100).expect("empty");
        let uploads = Uploads::new(&run.uploads(), 1).expect("empty");
        let signer = Signer::new().expect("randomness");
        let (ids, links) = (TokenIds { run: "r".to_owned(), job: "a".to_owned() }, Links::new(&signer, "127.0.0.1:80"));
        let context = Context { ids: &ids, job: "a", uploads: &uploads, links: &links };
        let call = |method: &str| {
            let request = ArtifactRequest {
                workflow_run_backend_id: ids.run.clone(),
                workflow_job_run_backend_id: ids.job.clone(),
                name: "dist".to_owned(),
                ..ArtifactRequest::default()
            };
            service.call(method, request, &context)
        };
        call("CreateArtifact").expect("free");
        let (_, upload) = uploads.named("a", &key("dist")).expect("it is in progress");
        upload.create().and_then(|mut data| data.write_all(b"of the job")).expect("written");
        let staged = run.artifacts().join("staging");
        fs::create_dir_all(&staged).expect("made");
        fs::write(staged.join("data"), "1234").expect("written");
        let by_person = Artifact {
            id: 1,
            name: "dist".to_owned(),
            size: 4,
            media_type: ARCHIVE.to_owned(),
            digest: None,
            created: Timestamp(1),
            expires: None,
            job: String::new(),
            attempt: 1,
        };
        artifacts::publish_next(&run, by_person.clone(), &staged).expect("published");
        artifacts::note_change(&run).expect("noted");
        assert!(matches!(call("FinalizeArtifact"), Err(ServiceError::Taken(_))));
        assert!(uploads.named("a", &key("dist")).is_err(), "the upload has ended");
        assert_eq!(artifacts::list(&run).expect("listed"), [by_person]);
        // Links to the removed artifact have contained its id.
        call("DeleteArtifact").expect("deleted");
        assert_eq!(ArtifactService::new(run, 2, 100).expect("empty").lock().next, 2);
    }
}
