//! A job's place: its folders, and the sandbox that its steps run in with the services beside it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::model::JobId;
use crate::workflow::expr::{Contexts, Object, Value};
use crate::workflow::syntax::RunDefaults;

use super::preflight;
use super::preflight::Ready;
use super::runs_on::Placement;
use crate::engine::actions::resolve;
use crate::engine::actions::resolve::Actions;
use crate::engine::sandbox::Sandbox;
use crate::engine::sandbox::docker::body::volumes;
use crate::engine::sandbox::docker::client::DockerClient;
use crate::engine::sandbox::docker::container::{Docker, Setup};
use crate::engine::sandbox::docker::labels::Labels;
use crate::engine::sandbox::docker::snapshots;
use crate::engine::sandbox::provider::HoldingKind;
use crate::engine::sandbox::shared::SharedFolder;
use crate::engine::services::{Owner, Reach, Services, forward, routes};
use crate::engine::{RunContext, context};

/// How long an engine may take with a container whose making was interrupted.
const LATE: std::time::Duration = std::time::Duration::from_millis(500);

/// Where a container finds this machine's node, as the runner's own is found.
const NODE: &str = "/__e/node/bin/node";

/// Where a job's files are, and everything else that its steps share and do not change.
pub(in crate::engine) struct JobEnvironment {
    pub(in crate::engine) shared: Arc<RunContext>,
    pub(in crate::engine) id: JobId,
    /// The working directory of its steps, on this machine.
    pub(in crate::engine) workspace: PathBuf,
    /// `RUNNER_TEMP`, on this machine.
    pub(in crate::engine) temp: PathBuf,
    /// What steps see of `github`.
    pub(in crate::engine) github: Object,
    pub(in crate::engine) runner: Object,
    /// `github needs strategy matrix secrets vars inputs runner`.
    pub(in crate::engine) contexts: Contexts,
    /// `defaults.run` of the job over the workflow's.
    pub(in crate::engine) defaults: RunDefaults,
    /// Marks every process of the job.
    pub(in crate::engine) tracking_id: String,
    /// Where its steps run.
    pub(in crate::engine) sandbox: Arc<dyn Sandbox>,
    /// Actions of other repositories that its steps use.
    pub(in crate::engine) actions: Actions,
    /// The labels of what it makes in an engine.
    pub(in crate::engine) labels: Labels,
    /// Its network there.
    pub(in crate::engine) network: Option<String>,
    container: Option<Arc<Docker>>,
    services: Option<Services>,
    engine: OnceCell<DockerClient>,
    node: OnceCell<(PathBuf, String)>,
}

/// The folders of a job.
pub(in crate::engine) struct Folders {
    /// Above all others.
    pub(in crate::engine) root: PathBuf,
    /// `RUNNER_WORKSPACE`.
    pub(in crate::engine) parent: PathBuf,
    pub(in crate::engine) workspace: PathBuf,
    pub(in crate::engine) temp: PathBuf,
}

impl Folders {
    /// Names them.
    pub(in crate::engine) fn of(shared: &RunContext, job: &JobId) -> Self {
        let name = shared.facts.repository.rsplit('/').next().unwrap_or("work");
        let root = shared.work.join(job.as_str());
        let (parent, workspace) = if shared.options.in_place {
            (shared.repository.parent().unwrap_or(&shared.repository).to_owned(), shared.repository.clone())
        } else {
            (root.join(name), root.join(name).join(name))
        };
        Self { temp: root.join("_temp"), root, parent, workspace }
    }

    /// Makes them, empty but for the event's file; a job that goes on keeps its workspace.
    pub(in crate::engine) fn make(&self, shared: &RunContext, keep: bool) -> io::Result<()> {
        for folder in [&self.temp, &self.root.join("_control")] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if !keep && !shared.options.in_place && self.workspace.exists() {
            fs::remove_dir_all(&self.workspace)?;
        }
        for folder in ["_github_home", "_github_workflow", "_runner_file_commands"] {
            fs::create_dir_all(self.temp.join(folder))?;
        }
        fs::create_dir_all(&self.workspace)?;
        // Containers are given it whether somebody has put tools there or not; where it cannot be, they say so.
        let _ = fs::create_dir_all(&shared.tool_cache);
        fs::write(self.event(), serde_json::to_vec(&shared.facts.event)?)
    }

    fn event(&self) -> PathBuf {
        self.temp.join("_github_workflow").join("event.json")
    }
}

impl JobEnvironment {
    /// A place on this machine.
    pub(in crate::engine) fn new(
        shared: &Arc<RunContext>,
        id: &JobId,
        folders: &Folders,
        ready: &mut Ready,
        labels: Labels,
        contexts: Contexts,
        defaults: RunDefaults,
    ) -> Self {
        let mut place = Self {
            shared: Arc::clone(shared),
            id: id.clone(),
            workspace: folders.workspace.clone(),
            temp: folders.temp.clone(),
            github: Object::default(),
            runner: Object::default(),
            contexts,
            defaults,
            tracking_id: shared.tracking_id(id),
            sandbox: Arc::clone(&shared.host),
            actions: std::mem::take(&mut ready.actions),
            labels,
            network: None,
            container: None,
            services: None,
            engine: ready.engine.clone().map_or_else(OnceCell::new, |engine| OnceCell::new_with(Some(engine))),
            node: OnceCell::new(),
        };
        place.name_paths(folders);
        place
    }

    /// Tells the contexts what the job's folders are called where its steps run.
    fn name_paths(&mut self, folders: &Folders) {
        let text = |path: &Path| Value::string(self.sandbox.inside(path).to_string_lossy().into_owned());
        let mut github = self.shared.github.clone();
        let job = self.contexts.get("github").and_then(|github| github.get("job").cloned());
        github.insert("job".to_owned(), job.unwrap_or_else(|| Value::string("")));
        github.insert("workspace".to_owned(), text(&self.workspace));
        github.insert("event_path".to_owned(), text(&folders.event()));
        let inside = |path: &Path| self.sandbox.inside(path);
        let runner = context::runner(
            &inside(&self.temp),
            &inside(&self.shared.tool_cache),
            &inside(&folders.parent),
            self.shared.options.debug,
        );
        self.contexts.set("github", Value::object(github.clone()));
        self.contexts.set("runner", Value::object(runner.clone()));
        (self.github, self.runner) = (github, runner);
    }

    /// Starts the job's container and its services, all at once, and waits until the services are healthy.
    ///
    /// # Errors
    /// In words. What was started is removed by [`JobEnvironment::stop`].
    pub(in crate::engine) async fn start(
        &mut self,
        ready: &Ready,
        folders: &Folders,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), String> {
        let Some(engine) = ready.engine.clone() else { return Ok(()) };
        let network = self.labels.name();
        engine.create_network(&network, &self.labels).await.map_err(|error| error.to_string())?;
        say(&format!("Network {network}"));
        self.network = Some(network.clone());
        for container in ready.container.iter().chain(&ready.services) {
            for volume in volumes(container, &self.labels)? {
                engine.create_volume(&volume, &self.labels).await.map_err(|error| error.to_string())?;
            }
            say(&format!("{}: {}", container.name, container.image));
        }
        let (paths, reached) = routes(&ready.services);
        let reach = match ready.place {
            Placement::Host => Reach::Machine,
            Placement::Image(_) => Reach::Localhost(&reached),
            Placement::Container => Reach::Name,
        };
        let services = Services::start(&engine, self.owner(), &ready.services, &network, reach);
        let container = async {
            match &ready.container {
                Some(container) => {
                    Docker::start(&engine, self.setup(container, ready, folders, &network)).await.map(Some)
                }
                None => Ok(None),
            }
        };
        let (services, container) = tokio::join!(services, container);
        // Kept before either error is looked at: what was started must be stopped.
        let (services, failure) = match services {
            Ok(services) => (Some(services), None),
            Err(reason) => (None, Some(reason)),
        };
        self.services = services;
        // Whoever owns the workspace, git in the container is to work in it.
        let trusted = fs::write(self.temp.join("_github_home/.gitconfig"), "[safe]\n\tdirectory = *\n");
        trusted.map_err(|error| format!("cannot write the container's home: {error}"))?;
        if let Some(docker) = container? {
            say(&docker.way_in());
            let docker = Arc::new(docker);
            self.sandbox = Arc::clone(&docker) as Arc<dyn Sandbox>;
            self.container = Some(docker);
            self.name_paths(folders);
        }
        if let Some(reason) = failure {
            return Err(reason);
        }
        if let (Some(docker), Placement::Image(image)) = (&self.container, &ready.place)
            && !paths.is_empty()
        {
            if engine.socket().is_none() {
                say(
                    "Services are reached by name alone: on an engine of another machine `localhost` cannot lead to them.",
                );
            } else {
                forward::start(&engine, &self.labels.of("forward"), image, docker.id(), &paths).await?;
            }
        }
        match &mut self.services {
            Some(services) => services.ready(say).await,
            None => Ok(()),
        }
    }

    fn setup<'s>(
        &self,
        container: &'s crate::engine::job::container::Container,
        ready: &Ready,
        folders: &Folders,
        network: &'s str,
    ) -> Setup<'s> {
        let mut shared = vec![
            SharedFolder::writable(&folders.root, "/__w"),
            SharedFolder::writable(&self.shared.tool_cache, "/__t"),
            SharedFolder::writable(self.temp.join("_github_home"), "/github/home"),
            SharedFolder::writable(self.temp.join("_github_workflow"), "/github/workflow"),
        ];
        if self.shared.options.in_place {
            let name = self.workspace.file_name().unwrap_or(OsStr::new("work"));
            shared.push(SharedFolder::writable(&self.workspace, Path::new("/__w").join(name).join(name)));
        }
        // The whole repository of an action: one in a subfolder may use what is beside it.
        let mut roots: Vec<_> = self.actions.values().map(|known| (known.root.clone(), known.place())).collect();
        roots.sort_unstable();
        roots.dedup();
        shared.extend(
            roots.into_iter().map(|(root, name)| SharedFolder::readable(root, Path::new("/__w/_actions").join(name))),
        );
        // The workspace's git folder borrows the repository's objects by their path.
        let objects = git_objects(&self.shared.repository);
        shared.extend(objects.map(|objects| SharedFolder::readable(&objects, &objects)));
        let path = self.shared.host.environment().iter().find(|(name, _)| name == "PATH");
        let node = path.and_then(|(_, path)| crate::engine::sandbox::host::find_program("node", path));
        let node = node.and_then(|node| node.canonicalize().ok()).filter(|_| !self.actions.is_empty());
        shared.extend(node.map(|node| SharedFolder::readable(node, NODE)));
        let socket = ready.engine.as_ref().and_then(DockerClient::socket);
        shared.extend(socket.map(|socket| SharedFolder::writable(socket, "/var/run/docker.sock")));
        Setup {
            container,
            labels: self.labels.of("job"),
            network: Some(network),
            shared,
            workspace: self.workspace.clone(),
            control: folders.root.join("_control"),
            supervised: self.shared.options.supervisor,
            shells: if ready.place == Placement::Container { &["sh"] } else { &["bash", "sh"] },
        }
    }

    /// Opens what was written for steps to whoever they run as in the container, and brings it there.
    ///
    /// # Errors
    /// The container cannot be reached.
    pub(in crate::engine) async fn hand_over(&self, path: &Path) -> io::Result<()> {
        if self.container.is_none() {
            return Ok(());
        }
        for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
            let Ok(data) = entry.metadata() else { continue };
            let mode = data.permissions().mode();
            let wanted = if data.is_dir() { mode | 0o777 } else { mode | 0o666 };
            if !data.is_symlink() && wanted != mode {
                // A file system without modes has none to change.
                let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(wanted));
            }
        }
        self.sandbox.send(path).await
    }

    /// Whether the steps run in a container.
    pub(in crate::engine) fn is_container(&self) -> bool {
        self.container.is_some()
    }

    /// Whether something runs beside the steps, or around them.
    pub(in crate::engine) fn has_containers(&self) -> bool {
        self.network.is_some()
    }

    /// The engine. One is looked for when nothing before the job told that it would be needed.
    ///
    /// # Errors
    /// None answers, in words.
    pub(in crate::engine) async fn engine(&self) -> Result<&DockerClient, String> {
        let find = async || {
            let engine = DockerClient::find().await.map_err(|error| error.to_string())?;
            preflight::note(&self.shared, &engine)?;
            Ok(engine)
        };
        self.engine.get_or_try_init(find).await
    }

    /// The node of the place, and its version.
    ///
    /// # Errors
    /// There is none, in words.
    pub(in crate::engine) async fn node(&self) -> Result<(PathBuf, String), String> {
        let find = async || {
            let path = self.sandbox.environment().iter().find(|(name, _)| name == "PATH");
            let path = path.map_or(OsStr::new(""), |(_, path)| path);
            if self.container.is_none() {
                return resolve::node(path).await;
            }
            if let Some(node) = self.sandbox.find("node", path).await {
                return Ok((node, "of the container".to_owned()));
            }
            match self.sandbox.find(NODE, path).await {
                Some(node) => Ok((node, "of this machine".to_owned())),
                None => Err("neither the container nor this machine has node: install Node.js 20 or newer".to_owned()),
            }
        };
        self.node.get_or_try_init(find).await.cloned()
    }

    /// What `job` says besides its status.
    pub(in crate::engine) fn job_facts(&self) -> Object {
        let text = |text: &str| Value::string(text.to_owned());
        let mut facts = Object::default();
        let Some(network) = &self.network else { return facts };
        if let Some(container) = &self.container {
            let pairs = [("id", text(container.id())), ("network", text(network))];
            let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
            facts.insert("container", Value::object(pairs.collect()));
        }
        let services =
            self.services.iter().flat_map(|services| services.facts(network)).map(|(service, id, network)| {
                let ports = service.ports.iter().map(|(inside, outside)| (inside.clone(), text(outside)));
                let pairs = [("id", text(id)), ("network", text(network)), ("ports", Value::object(ports.collect()))];
                let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
                (service.name.clone(), Value::object(pairs.collect()))
            });
        facts.insert("services", Value::object(services.collect()));
        facts
    }

    /// What is wrong with the services, for a job that failed.
    pub(in crate::engine) fn troubles(&self) -> Vec<String> {
        self.services.as_ref().map(Services::troubles).unwrap_or_default()
    }

    fn owner(&self) -> Owner {
        Owner { job: self.id.clone(), labels: self.labels.clone(), outlet: Arc::clone(&self.shared.outlet) }
    }

    /// Keeps what the job's container has become, for `cuelight shell`: as an image, so that nothing of it runs on.
    pub(in crate::engine) async fn keep(&self) {
        let keep = self.shared.options.keep_failed;
        let (Some(docker), Some(engine)) = (&self.container, self.engine.get()) else { return };
        if keep == 0 {
            return;
        }
        let kept = async {
            let tag = snapshots::tag(&self.shared.run, self.id.as_str());
            engine.commit(docker.id(), snapshots::REPOSITORY, &tag, docker.given()).await?;
            engine.prune_snapshots(&self.shared.state, keep).await
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "nothing is kept for a shell");
        }
    }

    /// Removes everything that the job made in the engine. What cannot be removed is told, and found by its labels later.
    ///
    /// # Errors
    /// In words. `settled` says that nothing was interrupted while it was being made.
    pub(in crate::engine) async fn stop(
        &mut self,
        settled: bool,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), String> {
        let owner = self.owner();
        if let Some(services) = self.services.take() {
            services.stop(&owner).await;
        }
        let own = rustix::process::getuid().as_raw() != 0 && !self.shared.options.in_place;
        if let (Some(docker), true) = (&self.container, own) {
            docker.give_back().await;
        }
        let Some(engine) = self.engine.get() else { return Ok(()) };
        let (state, run) = (&self.shared.state, &self.shared.run);
        let mut found =
            engine.owned_patiently(state, run, self.id.as_str()).await.map_err(|error| error.to_string())?;
        found.retain(|thing| thing.kind != HoldingKind::Image);
        engine.remove_all(&found).await.map_err(|error| error.to_string())?;
        // What was being made when the job was cancelled may still come.
        if !settled {
            tokio::time::sleep(LATE).await;
        }
        let mut late = engine.owned_patiently(state, run, self.id.as_str()).await.map_err(|error| error.to_string())?;
        late.retain(|thing| thing.kind != HoldingKind::Image);
        engine.remove_all(&late).await.map_err(|error| error.to_string())?;
        found.extend(late);
        self.network = None;
        for thing in &found {
            say(&format!("Removed the {} {}", thing.kind.word(), thing.name));
        }
        Ok(())
    }

    /// Ends every process of the job that is still there, and removes the folders that may hold secrets.
    pub(in crate::engine) async fn leave_nothing(&self) -> Option<String> {
        self.shared.host.reap(&self.tracking_id).await;
        for folder in [self.temp.clone(), self.temp.with_file_name("_control")] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Some(format!("cannot empty {}: {error}", folder.display()));
                }
                _ => {}
            }
        }
        None
    }
}

/// The folder of a repository's objects, also for a worktree of it.
fn git_objects(repository: &Path) -> Option<PathBuf> {
    let told = crate::repo::git::git(repository, ["rev-parse", "--path-format=absolute", "--git-common-dir"]).ok()?;
    Some(PathBuf::from(told.trim()).join("objects")).filter(|folder| folder.is_dir())
}
