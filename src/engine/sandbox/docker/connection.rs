//! Connection shared by all jobs of a run, and the note in the run folder with the address of the engine.

use tokio::sync::OnceCell;

use super::client::{DockerClient, DockerError};
use crate::engine::sandbox::provider::ProviderError;
use crate::files;
use crate::store::folder::RunFolder;
use crate::store::{StoreError, atomic, seal};

/// Maximum size in bytes of the file with the address of the engine.
const MAX_NOTE: u64 = 64 * 1024;

/// A connection that is opened on first use.
#[derive(Default)]
pub(super) struct Connection {
    client: OnceCell<DockerClient>,
}

impl Connection {
    /// Returns the connection, and opens it if necessary.
    pub(super) async fn client(&self) -> Result<&DockerClient, DockerError> {
        self.client.get_or_try_init(DockerClient::find).await
    }

    /// Returns the connection, to create resources for a run. The address is written to the run folder first, so that
    /// the resources are found even if the worker dies.
    pub(super) async fn of_run(&self, run: &RunFolder) -> Result<DockerClient, ProviderError> {
        let client = self.client().await?;
        if noted(run).as_deref() != Some(client.address()) {
            note(run, client.address()).map_err(|error| ProviderError::Failed(error.to_string()))?;
        }
        Ok(client.clone())
    }
}

/// Writes the address of the Docker engine that a run uses to the folder of the run, with its seal.
pub(super) fn note(run: &RunFolder, address: &str) -> Result<(), StoreError> {
    let path = run.engine();
    let text = format!("{address}\n{}\n", seal::of_note(run, address)?);
    atomic::write_unsynced(&path, text.as_bytes()).map_err(StoreError::io("write", path))
}

/// Returns the address of the Docker engine that a run uses. A file without a valid seal is ignored: the folder came
/// from elsewhere, so a stranger may have chosen the address, and the engine has no resources of the run.
pub(super) fn noted(run: &RunFolder) -> Option<String> {
    let text = files::read_own(&run.engine(), MAX_NOTE).ok()?;
    let (address, seal) = str::from_utf8(&text).ok()?.trim_end().split_once('\n')?;
    (seal::of_note(run, address).ok()? == seal).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_note_counts_in_the_folder_it_was_written_to_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = |path: &str| {
            let folder = RunFolder::at(home.path().join(path));
            fs::create_dir_all(folder.path()).expect("made");
            folder
        };
        let own = folder("here/runs/1");
        assert_eq!(noted(&own), None);
        note(&own, "tcp://a:1").expect("written");
        assert_eq!(noted(&own).as_deref(), Some("tcp://a:1"));
        note(&own, "tcp://b:1").expect("written");
        assert_eq!(noted(&own).as_deref(), Some("tcp://b:1"));
        for other in ["here/runs/2", "there/runs/1"].map(folder) {
            fs::copy(own.engine(), other.engine()).expect("copied");
            assert_eq!(noted(&other), None, "{}", other.path().display());
        }
        let written = fs::read_to_string(own.engine()).expect("there");
        for changed in [written.replace("b:1", "c:1"), "tcp://c:1".to_owned(), "tcp://c:1\n\n".to_owned()] {
            fs::write(own.engine(), &changed).expect("written");
            assert_eq!(noted(&own), None, "{changed}");
        }
    }
}
