//! Artifacts of runs and cache entries of repositories: lists, downloads and deletions. Job summaries of runs.

use std::path::PathBuf;

use tokio::task::spawn_blocking;

use crate::backend::github::poller::{PollError, Poller};
use crate::launch::artifacts::{DeleteError, DownloadError};
use crate::launch::{artifacts, caches};
use crate::model::RunId;
use crate::model::feed::{Feed, Notice};
use crate::model::stored::{StoredFile, StoredKind};
use crate::store::artifacts::Artifact;
use crate::store::folder::RunFolder;
use crate::store::spec::{RunSpec, ref_name};
use crate::store::{StoreError, artifacts as stored_artifacts, history, summaries};

use super::Serving;

/// Why a stored file cannot be listed, downloaded or deleted.
#[derive(Debug, thiserror::Error)]
enum StoredError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error(transparent)]
    Delete(#[from] DeleteError),
    #[error(transparent)]
    Server(#[from] PollError),
    #[error("the servers of this machine's settings are not asked here")]
    NoServer,
}

impl Serving {
    /// Lists the artifacts of a run, and the cache entries of the repository of a run on this machine.
    pub(super) fn list_stored(&self, run: RunId) {
        let (folder, poller) = (self.runs.folder(run.clone()), self.poller.clone());
        self.answer(async move {
            Ok(match listed(&folder, poller.as_ref()).await {
                Ok(files) => Feed::Stored { run, files },
                Err(error) => Feed::StoredUnreadable { run, reason: error.to_string() },
            })
        });
    }

    /// Lists the job summaries of a run.
    pub(super) fn list_summaries(&self, run: RunId) {
        let folder = self.runs.folder(run.clone());
        self.answer(async move {
            let read = move || -> Result<_, StoreError> {
                if let Some(missing) = summaries::missing(&folder)? {
                    return Ok((Vec::new(), Some(missing)));
                }
                let run = history::read(&folder)?;
                Ok((summaries::list(&folder, run.jobs.values())?, None))
            };
            let read = spawn_blocking(read).await.expect("reading does not panic");
            let (summaries, missing) = read.unwrap_or_else(|error| (Vec::new(), Some(error.to_string())));
            Ok(Feed::Summaries { run, summaries, missing })
        });
    }

    /// Downloads an artifact into the folder in which the screen was opened.
    pub(super) fn download(&self, run: &RunId, artifact: StoredFile) {
        let (folder, poller, into) = (self.runs.folder(run.clone()), self.poller.clone(), self.folder.clone());
        self.answer(async move {
            let file = downloaded(&folder, poller.as_ref(), artifact, into).await?;
            Ok(Feed::Notice(Notice::news(format!("downloaded {}", file.display()))))
        });
    }

    /// Deletes a stored file, and lists the rest.
    pub(super) fn delete_stored(&self, run: RunId, file: StoredFile) {
        let (folder, poller, feed) = (self.runs.folder(run.clone()), self.poller.clone(), self.feed.clone());
        self.answer(async move {
            let text = format!("deleted the {} {}", file.kind.word(), file.name);
            deleted(&folder, poller.as_ref(), file).await?;
            // The receiver is gone if the screen was closed.
            let _ = feed.send(Feed::Notice(Notice::news(text))).await;
            Ok(Feed::Stored { run, files: listed(&folder, poller.as_ref()).await? })
        });
    }

    /// Sends the result of work, or a notice about its error.
    fn answer(&self, work: impl Future<Output = Result<Feed, StoredError>> + Send + 'static) {
        let feed = self.feed.clone();
        tokio::spawn(async move {
            let report = work.await.unwrap_or_else(|error| Feed::Notice(Notice::bad(error.to_string())));
            // The receiver is gone if the screen was closed.
            let _ = feed.send(report).await;
        });
    }
}

async fn listed(folder: &RunFolder, poller: Option<&Poller>) -> Result<Vec<StoredFile>, StoredError> {
    if history::is_mirror(folder) {
        let artifacts = poller.ok_or(StoredError::NoServer)?.artifacts(folder).await?;
        return Ok(artifacts.into_iter().map(|one| file(one, StoredKind::RemoteArtifact)).collect());
    }
    let folder = folder.clone();
    let list = move || {
        let artifacts = stored_artifacts::list(&folder)?.into_iter().map(|one| file(one, StoredKind::Artifact));
        let mut files: Vec<_> = artifacts.collect();
        let repository = RunSpec::read(&folder)?.info.repository;
        let entries = caches::identified(&folder.runs(), Some(&repository))?;
        files.extend(entries.into_iter().map(|(id, entry)| StoredFile {
            kind: StoredKind::Cache,
            id,
            name: entry.key,
            size: entry.size,
            created: entry.created,
            source: ref_name(&entry.scope).to_owned(),
        }));
        Ok(files)
    };
    spawn_blocking(list).await.expect("a list does not panic")
}

fn file(artifact: Artifact, kind: StoredKind) -> StoredFile {
    let Artifact { id, name, size, created, job, .. } = artifact;
    StoredFile { kind, id: id.to_string(), name, size, created, source: job }
}

async fn downloaded(
    folder: &RunFolder,
    poller: Option<&Poller>,
    file: StoredFile,
    into: PathBuf,
) -> Result<PathBuf, StoredError> {
    let StoredFile { id, name, .. } = file;
    if history::is_mirror(folder) {
        let poller = poller.ok_or(StoredError::NoServer)?;
        let one = artifacts::one(poller.artifacts(folder).await?, &id, &name)?;
        let wanted = artifacts::prepare(vec![one], &[], &into)?;
        return Ok(poller.download(folder, &wanted[0], &into).await?);
    }
    let folder = folder.clone();
    let copied = spawn_blocking(move || artifacts::download_one(&folder, &id, &name, &into)).await;
    Ok(copied.expect("a download does not panic")?)
}

async fn deleted(folder: &RunFolder, poller: Option<&Poller>, file: StoredFile) -> Result<(), StoredError> {
    let StoredFile { kind, id, name, .. } = file;
    if kind == StoredKind::RemoteArtifact {
        let poller = poller.ok_or(StoredError::NoServer)?;
        let one = artifacts::one(poller.artifacts(folder).await?, &id, &name)?;
        return Ok(poller.delete_artifact(folder, &one).await?);
    }
    let folder = folder.clone();
    let removal = move || -> Result<(), StoredError> {
        match kind {
            StoredKind::Cache => Ok(caches::delete_one(&folder.runs(), &id)?),
            StoredKind::Artifact | StoredKind::RemoteArtifact => Ok(artifacts::delete_one(&folder, &id, &name)?),
        }
    };
    spawn_blocking(removal).await.expect("a removal does not panic")
}
