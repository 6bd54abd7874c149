//! The backends of this build: each has one variant of [`Source`] and one line in [`open`].

use std::path::PathBuf;

use crate::config::GithubConfig;
use crate::store::StoreError;
use crate::store::folder::{RunFolder, RunsDir, locate};

use super::Backend;
use super::github::poller::Poller;
use super::local::Local;
use super::local::demo::Demo;
use super::replay::Replay;

/// A source of runs for a screen.
#[derive(Clone)]
pub enum Source {
    /// The runs of a state folder and of servers, and the workflows of the repository around a folder.
    Local {
        /// The state folder.
        runs: RunsDir,
        /// The folder in a repository.
        folder: PathBuf,
        /// The poller of servers.
        poller: Poller,
        /// The demo, if the folder is that of its project.
        demo: Option<Box<Demo>>,
    },
    /// A past run.
    Replay(RunFolder),
}

impl Source {
    /// Returns the source of the runs of this user, on this machine and on servers, and of the workflows of the
    /// repository that contains `folder`. Runs that lost their worker are closed while the screen is shown, so that the
    /// first frame waits neither for a container engine nor for servers.
    ///
    /// # Errors
    /// There is no home folder, or the path of the state folder is not UTF-8.
    pub fn of_user(folder: PathBuf, config: GithubConfig, demo: Option<Box<Demo>>) -> Result<Self, StoreError> {
        let runs = locate()?;
        let poller = Poller::new(runs.clone(), config, |name| std::env::var(name).ok());
        Ok(Self::Local { runs, folder, poller, demo })
    }
}

/// Opens the backend of a source.
///
/// # Errors
/// A past run cannot be read.
pub fn open(source: Source) -> Result<Box<dyn Backend>, StoreError> {
    Ok(match source {
        Source::Local { runs, folder, poller, demo } => {
            Box::new(Local::new(runs, folder).with_servers(poller).with_demo(demo.map(|demo| *demo)))
        }
        Source::Replay(run) => Box::new(Replay::open(&run)?),
    })
}
