//! The tour of deployments: a service in Docker, whose releases go through three environments.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use walkdir::{DirEntry, WalkDir};

use crate::launch::commands;
use crate::launch::deploy::{DeployError, DeployRequest, Deployments, PreparedDeployment};
use crate::model::RunId;
use crate::model::deployment::{Cause, Outcome};
use crate::repo::git::{self, GitError};
use crate::rollout::target::docker::{DockerFault, ensure_built, remove_service};
use crate::store::folder::{RunFolder, RunsDir};

use super::{DemoError, check_empty, commit, is_there, write};

/// Name of the folder beside the runs.
const NAME: &str = "demo-deploy";

/// Name of the service, in the labels of its containers and the names of its images.
const SERVICE: &str = "cuelight-demo";

/// Deployments of the tour, in order: environment and release. The last release is faulty and is rolled back
/// automatically.
pub const STOPS: [(&str, &str); 7] = [
    ("staging", "v1"),
    ("preview", "v1"),
    ("production", "v1"),
    ("staging", "v2"),
    ("preview", "v2"),
    ("production", "v2"),
    ("production", "v3"),
];

/// Tags of the releases.
const RELEASES: [&str; 3] = ["v1", "v2", "v3"];

/// Ports of the environments.
const PORTS: [u16; 3] = [18081, 18082, 18083];

/// Files that every release contains.
const FILES: &[(&str, &str)] = &[
    (".cuelight.toml", include_str!("../../../assets/deploy/demo/cuelight.toml")),
    ("Dockerfile", include_str!("../../../assets/deploy/demo/Dockerfile")),
    ("README.md", include_str!("../../../assets/deploy/demo/README.md")),
    ("router/Dockerfile", include_str!("../../../assets/deploy/router/Dockerfile")),
    ("serve", include_str!("../../../assets/deploy/demo/serve")),
    ("www/health", "ok\n"),
];

/// The page of good releases, and the program that replaces it in the faulty one.
const PAGE: &str = "www/index.html";
const FAULT: (&str, &str) = ("www/cgi-bin/index.cgi", include_str!("../../../assets/deploy/demo/index.cgi"));

/// Image of the router: the default of the settings.
const ROUTER: &str = "cuelight-router:local";

/// Time between two requests of a visitor, and time limit of each.
const VISIT_EVERY: Duration = Duration::from_millis(10);
const VISIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval at which the tour checks whether a deployment has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long the deployments of the tour may take to end before everything is removed.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the tour cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TourError {
    /// The project cannot be unpacked.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// Git cannot make the repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// No engine answers, or an image cannot be built.
    #[error("the tour of deployments needs Docker: {0}")]
    Docker(#[from] DockerFault),
    /// The environments cannot be read.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The project cannot be removed.
    #[error("cannot remove {}: {source}", .folder.display())]
    Remove {
        /// The folder.
        folder: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// A deployment does not end, so what it uses cannot be removed.
    #[error(
        "{run}, which deploys to {environment}, does not end within {} seconds: `cd {} && cuelight cancel {run} --force`, then \
         repeat the command", END_TIMEOUT.as_secs(), .folder.display()
    )]
    Running {
        /// The run of the deployment.
        run: RunId,
        /// Name of the environment.
        environment: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The folder of the project has other files, too.
    #[error("{} is not a file of the demo: move it out of the folder, which would be removed with it", .0.display())]
    Others(PathBuf),
}

/// Whether a folder has the project of the tour.
#[must_use]
pub fn is_tour(folder: &Path) -> bool {
    FILES.iter().all(|(name, text)| is_there(&folder.join(name), text))
}

/// Returns a file in the folder of the tour that does not belong to its project; `None` if there is none.
fn other_file(folder: &Path) -> Option<PathBuf> {
    let is_git = |entry: &DirEntry| entry.depth() == 1 && entry.file_name() == ".git";
    let entries = WalkDir::new(folder).into_iter().filter_entry(|entry| !is_git(entry)).flatten();
    let mut files = entries.filter(|entry| !entry.file_type().is_dir()).map(DirEntry::into_path);
    files.find(|path| {
        let is_of_all = FILES.iter().any(|(name, _)| *path == folder.join(name));
        let is_page =
            *path == folder.join(PAGE) && RELEASES.iter().any(|release| is_there(path, &format!("{release}\n")));
        !(is_of_all || is_page || (*path == folder.join(FAULT.0) && is_there(path, FAULT.1)))
    })
}

fn image(release: &str) -> String {
    format!("{SERVICE}:{release}")
}

/// The tour: a service that is ready to be deployed, and threads that visit it.
pub struct Tour {
    deployments: Deployments,
    stop: Arc<AtomicBool>,
}

impl Tour {
    /// Unpacks the service into a folder (by default beside the runs), and builds the images that are missing. `say` is
    /// called with the lines of the builds.
    ///
    /// # Errors
    /// The folder has other content or cannot be written, git is missing, no engine answers, or an image cannot be
    /// built.
    pub async fn prepare(
        runs: &RunsDir,
        into: Option<&Path>,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, TourError> {
        let folder = folder(runs, into);
        unpack(&folder)?;
        ensure_built(&folder.join("router"), ROUTER, say).await?;
        for release in RELEASES {
            git::git(&folder, ["checkout", "--quiet", release])?;
            ensure_built(&folder, &image(release), say).await?;
        }
        git::git(&folder, ["checkout", "--quiet", "main"])?;
        Ok(Self { deployments: Deployments::of(runs, &folder)?, stop: Arc::default() })
    }

    /// Removes what the tour left: the containers, networks and images of its service, its folder, and the record of its
    /// deployments. Returns what was removed, in words. The image of the router stays, because other environments may
    /// use it, and the runs stay in the list of runs. Ends deployments in progress first. `say` is called with a line about
    /// each.
    ///
    /// # Errors
    /// The folder has other content or further files, a deployment does not end, no engine answers, or something cannot be
    /// removed.
    pub async fn remove(
        runs: &RunsDir,
        into: Option<&Path>,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Vec<String>, TourError> {
        let folder = folder(runs, into);
        let is_here = is_tour(&folder);
        if is_here {
            if let Some(other) = other_file(&folder) {
                return Err(TourError::Others(other));
            }
        } else {
            check_empty(&folder)?;
        }
        let deployments = if is_here { Some(Deployments::of(runs, &folder)?) } else { None };
        // The folder may be in another repository if its own was removed.
        let is_root = |found: &Deployments| folder.canonicalize().is_ok_and(|folder| folder == found.repository().root);
        let deployments = deployments.filter(is_root);
        if let Some(deployments) = &deployments {
            end_all(deployments, say).await?;
        }
        let left = remove_service(SERVICE, &RELEASES.map(image)).await?;
        let mut removed: Vec<String> = left.iter().map(|one| format!("the {} {}", one.kind.word(), one.name)).collect();
        if let Some(deployments) = &deployments {
            deployments.forget()?;
            removed.push("the record of its deployments".to_owned());
        }
        if is_here {
            fs::remove_dir_all(&folder).map_err(|source| TourError::Remove { folder: folder.clone(), source })?;
            removed.push(format!("the folder {}", folder.display()));
        }
        Ok(removed)
    }

    /// Returns the environments.
    #[must_use]
    pub fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// Prepares the deployment of a release. The project is part of this program, so it needs no trust.
    ///
    /// # Errors
    /// The state folder or the repository cannot be read.
    pub fn stop(&self, environment: &str, release: &str) -> Result<PreparedDeployment, DeployError> {
        self.deployments.prepare(DeployRequest {
            environment: environment.to_owned(),
            release: Some(release.to_owned()),
            cause: Cause::Manual,
            reason: "demo".to_owned(),
            overrides: false,
            trust: true,
        })
    }

    /// Starts the first deployment, which the screen shows.
    ///
    /// # Errors
    /// The deployment cannot be started.
    pub fn begin(&self) -> Result<RunFolder, DeployError> {
        let (environment, release) = STOPS[0];
        self.deployments.start(self.stop(environment, release)?)
    }

    /// Carries out the other deployments, each after the end of the one before, while a person watches the screen. Returns
    /// after the end of the last one, which only fails while it has visitors. Stops early if one neither succeeds nor is
    /// rolled back.
    ///
    /// # Errors
    /// A deployment cannot be started, or the state folder cannot be read.
    pub fn go(&self, first: RunFolder) -> Result<(), DeployError> {
        let mut last = (STOPS[0].0, first);
        for (environment, release) in &STOPS[1..] {
            if !self.has_gone_well(last.0, &last.1)? {
                return Ok(());
            }
            last = (*environment, self.deployments.start(self.stop(environment, release)?)?);
        }
        self.has_gone_well(last.0, &last.1).map(drop)
    }

    /// Returns a sentence about the deployment for whose end the next one to an environment waits, for instance that of an
    /// earlier tour. `None` if it waits for none.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn waits_behind(&self, environment: &str) -> Result<Option<String>, DeployError> {
        let folder = self.deployments.repository().root.display();
        let waits = self.deployments.waits_behind(environment)?;
        Ok(waits.map(|waits| format!("{environment}: {waits}; `cd {folder} && cuelight abort {environment}` ends it")))
    }

    /// Waits for the end of a deployment. Returns whether it succeeded or was rolled back.
    fn has_gone_well(&self, environment: &str, run: &RunFolder) -> Result<bool, DeployError> {
        loop {
            let state = self.deployments.ledger()?.of(environment);
            match state.deployment(run.id()).and_then(|record| record.outcome) {
                Some(outcome) => return Ok(matches!(outcome, Outcome::Succeeded | Outcome::RolledBack)),
                None => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Sends requests to every environment in the background, until the tour is dropped, so that deployments have
    /// traffic to move.
    pub fn open_to_visitors(&self) {
        for port in PORTS {
            let stop = Arc::clone(&self.stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // Errors are ignored: nothing listens before the first release, and the router itself counts failed
                    // requests.
                    let _ = visit(port);
                    thread::sleep(VISIT_EVERY);
                }
            });
        }
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Ends all deployments in progress: first those that wait, so that none of them begins when another one ends. They leave
/// their environments as they are, because everything there is removed next. `say` is called with a line about each.
async fn end_all(deployments: &Deployments, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), TourError> {
    let deadline = Instant::now() + END_TIMEOUT;
    let (mut said, mut accepted) = (HashSet::new(), HashSet::new());
    loop {
        let running = deployments.running()?;
        let Some(first) = running.first() else { return Ok(()) };
        if Instant::now() >= deadline {
            let folder = deployments.repository().root.clone();
            let (run, environment) = (first.record.run.clone(), first.record.environment.clone());
            return Err(TourError::Running { run, environment, folder });
        }
        for open in &running {
            let (run, environment) = (&open.record.run, &open.record.environment);
            if said.insert(run.clone()) {
                say(&format!("Ending {run}, which deploys {} to {environment}.", open.record.release.title()));
            }
            if !accepted.contains(run) {
                match commands::cancel(&open.folder, true).await {
                    Ok(()) => {
                        accepted.insert(run.clone());
                    }
                    // It may have ended meanwhile, or may not answer yet. What counts is that it ends in time.
                    Err(error) => tracing::debug!(%error, %run, "a deployment of the tour was not cancelled"),
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns the folder of the tour: by default beside the runs.
fn folder(runs: &RunsDir, into: Option<&Path>) -> PathBuf {
    into.map_or_else(|| runs.state().join(NAME), Path::to_owned)
}

fn visit(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(VISIT_TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")?;
    io::copy(&mut stream.take(1 << 16), &mut io::sink())?;
    Ok(())
}

/// Writes the project into a folder and makes it a repository with a tag for each release. An existing copy is kept.
fn unpack(folder: &Path) -> Result<(), TourError> {
    let failed = |source: io::Error| DemoError::Write { folder: folder.to_owned(), source };
    if is_tour(folder)
        && RELEASES.iter().all(|release| git::git(folder, ["rev-parse", "--quiet", "--verify", release]).is_ok())
    {
        return Ok(());
    }
    check_empty(folder)?;
    for (name, text) in FILES {
        write(&folder.join(name), text, false).map_err(failed)?;
    }
    git::git(folder, ["init", "--quiet", "--initial-branch", "main"])?;
    for release in RELEASES {
        if release == "v3" {
            fs::remove_file(folder.join(PAGE)).map_err(failed)?;
            write(&folder.join(FAULT.0), FAULT.1, true).map_err(failed)?;
        } else {
            write(&folder.join(PAGE), &format!("{release}\n"), false).map_err(failed)?;
        }
        commit(folder, release)?;
        git::git(folder, ["tag", release])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_unpacked_once_with_its_releases_and_environments() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("demo");
        for _ in 0..2 {
            unpack(&folder).expect("unpacked");
        }
        let file = |spec: &str| git::git(&folder, ["show", spec]).ok();
        assert_eq!(file("v2:www/index.html").as_deref().map(str::trim), Some("v2"));
        assert_eq!(file("v3:www/index.html"), None);
        let runs = RunsDir::at(home.path().join("state"));
        let deployments = Deployments::of(&runs, &folder).expect("the settings are right");
        assert!(STOPS.iter().all(|(environment, _)| deployments.settings(environment).is_ok()));
        assert!(is_tour(&folder) && !is_tour(home.path()));
        for release in RELEASES {
            git::git(&folder, ["checkout", "--quiet", release]).expect("a release");
            assert_eq!(other_file(&folder), None, "{release}");
        }
        let own = folder.join("www/notes.txt");
        fs::write(&own, "mine").expect("written");
        assert_eq!(other_file(&folder), Some(own));
        fs::write(folder.join("serve"), "other").expect("written");
        assert!(!is_tour(&folder));
        assert!(matches!(unpack(&folder), Err(TourError::Demo(DemoError::Occupied(_)))));
    }
}
