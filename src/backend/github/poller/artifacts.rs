//! Artifacts of runs on servers.

use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::backend::github::address::Repository;
use crate::backend::github::client::{Change, Freshness, Mutation, Priority};
use crate::backend::github::wire::Page;
use crate::backend::github::wire::repository::Artifact as WireArtifact;
use crate::files;
use crate::store::artifacts::{ARCHIVE, Artifact};
use crate::store::folder::RunFolder;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, digest};

use super::{PollError, Poller, order};

/// Maximum number of pages of artifacts, a hundred each.
const MAX_PAGES: usize = 10;

/// Maximum size of an artifact that is downloaded, in bytes.
const MAX_ARTIFACT: u64 = 1 << 30;

/// Media type of an artifact that is not an archive.
const SINGLE_FILE: &str = "application/octet-stream";

/// First bytes of every zip archive.
const ARCHIVE_MARK: &[u8] = b"PK";

impl Poller {
    /// Fetches the list of the artifacts of a run on a server, at most 1000, sorted by id. Empty for a run of this
    /// machine. The names come from the server and may not be valid file names.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn artifacts(&self, folder: &RunFolder) -> Result<Vec<Artifact>, PollError> {
        let spec = RunSpec::read(folder)?;
        let Some(remote) = spec.work.remote() else { return Ok(Vec::new()) };
        let client = self.client(&remote.host).await?;
        let path = order::run_path(remote) + "/artifacts?per_page=100";
        let mut artifacts = Vec::new();
        let mut pages = client.pages(&path, MAX_PAGES, Freshness::NOW, Priority::User);
        while let Some(answer) = pages.next().await? {
            let malformed = || PollError::Malformed { host: remote.host.clone(), what: "a list of artifacts" };
            let page = Page::<WireArtifact>::read(&answer.body, "artifacts").ok_or_else(malformed)?;
            artifacts.extend(page.list.items.into_iter().filter_map(|found| {
                Some(Artifact {
                    id: found.id?,
                    name: found.name?,
                    size: found.size_in_bytes.unwrap_or_default(),
                    // Until it is downloaded, because the server does not report whether it is a single file.
                    media_type: ARCHIVE.to_owned(),
                    digest: found.digest,
                    created: found.created_at.map(|time| time.0).unwrap_or_default(),
                    expires: found.expires_at.map(|time| time.0),
                    job: String::new(),
                    attempt: 1,
                })
            }));
        }
        artifacts.sort_unstable_by_key(|artifact| artifact.id);
        Ok(artifacts)
    }

    /// Downloads an artifact into a folder, as an archive or a single file, and returns the new file. Archives are not
    /// unpacked. The name of the artifact must be a valid file name that does not exist yet.
    ///
    /// # Errors
    /// The run is not on a server; the artifact has expired or is larger than 1 GiB; its content does not match its
    /// digest; the server does not respond; or the file cannot be written.
    pub async fn download(&self, folder: &RunFolder, artifact: &Artifact, into: &Path) -> Result<PathBuf, PollError> {
        let spec = RunSpec::read(folder)?;
        let remote = spec.work.remote().ok_or(PollError::Gone)?;
        let client = self.client(&remote.host).await?;
        let path = format!("/repos/{}/actions/artifacts/{}/zip", remote.repository, artifact.id);
        let part = into.join(format!(".{}-{}.download", artifact.id, std::process::id()));
        client.download(&path, &part, MAX_ARTIFACT, Priority::User).await?;
        let is_archive = starts_with(&part, ARCHIVE_MARK).map_err(StoreError::io("read", &part))?;
        let found = digest::sha256_of_file(&part).map_err(StoreError::io("read", &part))?;
        let wanted = artifact.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:"));
        if wanted.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&found)) {
            let _ = std::fs::remove_file(&part);
            return Err(PollError::Digest(artifact.name.clone()));
        }
        let media_type = if is_archive { ARCHIVE } else { SINGLE_FILE }.to_owned();
        let file = into.join(Artifact { media_type, ..artifact.clone() }.file_name());
        std::fs::rename(&part, &file).map_err(StoreError::io("write", &file))?;
        Ok(file)
    }

    /// Deletes an artifact of a run on a server.
    ///
    /// # Errors
    /// The run is not on a server, the user may not change workflows, the server gives no answer or refuses, or it is
    /// unknown whether the artifact was deleted.
    pub async fn delete_artifact(&self, folder: &RunFolder, artifact: &Artifact) -> Result<(), PollError> {
        let spec = RunSpec::read(folder)?;
        let remote = spec.work.remote().ok_or(PollError::Gone)?;
        let repository = Repository::parse(&remote.repository, Some(&remote.host)).map_err(|_| PollError::Gone)?;
        self.check_workflows(&repository).await?;
        let path = format!("{}/actions/artifacts/{}", repository.path(), artifact.id);
        self.client(&repository.host).await?.send(&Mutation { change: Change::Delete, path, body: None }).await?;
        Ok(())
    }
}

/// Whether a file starts with these bytes.
fn starts_with(path: &Path, mark: &[u8]) -> io::Result<bool> {
    let mut start = Vec::new();
    files::open_own(path)?.take(mark.len() as u64).read_to_end(&mut start)?;
    Ok(start == mark)
}
