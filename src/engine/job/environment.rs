//! State shared by all steps of a job: folders, contexts, actions, machine.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::files::{Folder, unless_missing};
use crate::model::JobId;
use crate::repo::git::Abort;
use crate::store::space_hint;
use crate::workflow::expr::{Contexts, Object, Value};
use crate::workflow::syntax::{RunDefaults, Workflow};

use super::docker_config;
use super::folders::{DOCKER_CONFIG, Folders, HOME, NODE, TOOLS, git_objects, search_path};
use super::preflight::Ready;
use super::spec::JobSpec;
use crate::engine::actions::error::NodeError;
use crate::engine::actions::javascript;
use crate::engine::actions::resolve;
use crate::engine::actions::resolve::{Actions, WorkflowRepository};
use crate::engine::blocking::in_place;
use crate::engine::results::{CacheAccess, Client, JobVariables, ResultsError, Rights};
use crate::engine::sandbox::Sandbox;
use crate::engine::sandbox::network::Network;
use crate::engine::sandbox::provider::{Containers, Machine, ProviderError, Say};
use crate::engine::sandbox::shared::SharedFolder;
use crate::engine::services::ports::Claimed;
use crate::engine::step::artifacts::Artifacts;
use crate::engine::tools::Tool;
use crate::engine::tools::cache as tools;
use crate::engine::tools::find::installations;
use crate::engine::workspace::warm::place::Place;
use crate::engine::workspace::warm::{Brought, WarmStart};
use crate::engine::{RunContext, context};

/// Folders, contexts, actions and machine of one job. Steps change only [`Self::artifacts`], and checkouts the list of
/// the dependency folders from earlier runs.
pub(in crate::engine) struct JobEnvironment {
    /// State of the run.
    pub(in crate::engine) shared: Arc<RunContext>,
    /// Id of the job.
    pub(in crate::engine) id: JobId,
    /// Working directory of the steps, on this machine.
    pub(in crate::engine) workspace: PathBuf,
    /// `RUNNER_TEMP`, on this machine.
    pub(in crate::engine) temp: PathBuf,
    /// The `github` context.
    pub(in crate::engine) github: Object,
    /// The `runner` context.
    pub(in crate::engine) runner: Object,
    /// The contexts `github needs strategy matrix secrets vars inputs runner`, and the entries of `job` that are known
    /// before the job starts.
    pub(in crate::engine) contexts: Contexts,
    /// `defaults.run` of the job or of the workflow.
    pub(in crate::engine) defaults: RunDefaults,
    /// `RUNNER_TRACKING_ID`, used to find the processes of the job.
    pub(in crate::engine) tracking_id: String,
    /// Where the steps run.
    pub(in crate::engine) sandbox: Arc<dyn Sandbox>,
    /// Actions that the steps use, except those in the workspace.
    pub(in crate::engine) actions: Actions,
    /// Repository of the job's workflow, if it is not the run's repository.
    pub(in crate::engine) called: Option<WorkflowRepository>,
    /// What the job may request from the services for actions.
    pub(in crate::engine) rights: Rights,
    /// Artifacts that the steps have declared.
    pub(in crate::engine) artifacts: Artifacts,
    /// Workflow that contains the job.
    workflow: Arc<Workflow>,
    /// Dependency folders of earlier runs that were brought into the workspace, relative to it.
    warm_folders: Mutex<Vec<PathBuf>>,
    machine: Box<dyn Machine>,
    node: OnceCell<(PathBuf, String)>,
    /// The newest Node.js of this machine, wherever it is.
    newest_node: OnceCell<Option<(PathBuf, String)>>,
    /// Network through which the containers of the job reach this machine.
    network: OnceCell<Network>,
    /// Ports of this machine, held until the job has ended.
    _ports: Claimed,
}

impl JobEnvironment {
    /// Returns the environment of a job whose machine has not started yet.
    pub(in crate::engine) fn new(
        shared: &Arc<RunContext>,
        job: &JobSpec,
        folders: &Folders,
        ready: Ready,
        contexts: Contexts,
        defaults: RunDefaults,
    ) -> Self {
        let id = &job.id;
        let resumed = job.resumed.as_ref();
        let warm_folders = resumed.map(|resumed| resumed.checkpoint.warm_folders.clone()).unwrap_or_default();
        let mut environment = Self {
            shared: Arc::clone(shared),
            id: id.clone(),
            workspace: folders.workspace.clone(),
            temp: folders.temp.clone(),
            github: Object::default(),
            runner: Object::default(),
            contexts,
            defaults,
            tracking_id: shared.tracking_id(id),
            sandbox: ready.machine.sandbox().unwrap_or_else(|| Arc::clone(&shared.host)),
            actions: ready.actions,
            called: ready.called,
            rights: Rights::default(),
            artifacts: Artifacts::default(),
            workflow: Arc::clone(&job.workflow),
            warm_folders: Mutex::new(warm_folders),
            machine: ready.machine,
            node: OnceCell::new(),
            newest_node: OnceCell::new(),
            network: OnceCell::new(),
            _ports: ready.ports,
        };
        environment.name_paths(folders);
        environment
    }

    /// Sets the `github` and `runner` contexts, with the paths inside the sandbox.
    fn name_paths(&mut self, folders: &Folders) {
        let inside = |path: &Path| self.sandbox.inside(path);
        let text = |path: &Path| Value::string(inside(path).to_string_lossy().into_owned());
        let mut github = self.shared.github.clone();
        let job = self.contexts.get("github").and_then(|github| github.get("job").cloned());
        github.insert("job".to_owned(), job.unwrap_or_else(|| Value::string("")));
        github.insert("workspace".to_owned(), text(&self.workspace));
        github.insert("event_path".to_owned(), text(&folders.event()));
        let runner = context::runner(
            &inside(&self.temp),
            &inside(&folders.tools()),
            &inside(&folders.parent),
            self.shared.options.debug,
        );
        self.contexts.set("github", Value::object(github.clone()));
        self.contexts.set("runner", Value::object(runner.clone()));
        (self.github, self.runner) = (github, runner);
    }

    /// Prepares the home folder of containers, starts the container of the job and its services, and waits until the
    /// services are healthy.
    ///
    /// # Errors
    /// The home folder cannot be written, a container cannot start, or a service is not healthy. Call
    /// [`JobEnvironment::stop`] in any case.
    pub(in crate::engine) async fn start(&mut self, folders: &Folders, say: &mut Say<'_>) -> Result<(), ProviderError> {
        self.prepare_home()?;
        let started = self.machine.start(say).await;
        // The container may run even if a service failed.
        if let Some(sandbox) = self.machine.sandbox() {
            self.sandbox = sandbox;
            self.name_paths(folders);
        }
        started
    }

    /// Prepares the home folder of containers: any user may write to it, and git treats every folder as a
    /// `safe.directory`, whichever user owns it. A folder that already has a `.gitconfig` is left as it is.
    ///
    /// # Errors
    /// The folder cannot be written, or a step replaced it with a link.
    pub(in crate::engine) fn prepare_home(&self) -> Result<(), ProviderError> {
        let prepared = (|| {
            let (above, temp) = Folder::above(&self.temp)?;
            let home = above.make_folders(&temp.join(HOME))?;
            if self.temp.join(HOME).join(".gitconfig").symlink_metadata().is_err() {
                home.open_to_all();
                let mut file = home.create(Path::new(".gitconfig"))?;
                file.write_all(b"[safe]\n\tdirectory = *\n")?;
                file.set_permissions(fs::Permissions::from_mode(0o666))?;
            }
            Ok::<_, io::Error>(())
        })();
        prepared.map_err(|error| {
            let hint = space_hint(&error);
            ProviderError::Failed(format!("cannot write the home folder of containers: {error}{hint}"))
        })
    }

    /// Returns the folders of git objects that the workspace borrows, to share them with the container of an action.
    /// Empty for a job on this machine.
    pub(in crate::engine) fn borrowed_objects(&self) -> Vec<SharedFolder> {
        if self.is_container() { in_place(|| git_objects(&self.shared)) } else { Vec::new() }
    }

    /// Returns the machine, to run actions that are containers.
    pub(in crate::engine) fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// Whether the steps run in a container.
    pub(in crate::engine) fn is_container(&self) -> bool {
        self.sandbox.is_container()
    }

    /// Whether the job has a container or services.
    pub(in crate::engine) fn has_containers(&self) -> bool {
        self.machine.attachments().network.is_some()
    }

    /// Returns the path of the Node.js program for JavaScript actions, and its version. For a job in a container, the
    /// second value is not a version but names the origin of the program: the container or this machine.
    ///
    /// # Errors
    /// Node.js is not installed or, outside a container, does not start or is too old.
    pub(in crate::engine) async fn node(&self) -> Result<(PathBuf, String), NodeError> {
        let find = async || {
            let path = search_path(&*self.sandbox);
            if !self.is_container() {
                return resolve::node(path).await;
            }
            if let Some(node) = self.sandbox.find("node", path).await {
                return Ok((node, "of the container".to_owned()));
            }
            match self.sandbox.find(NODE, path).await {
                Some(node) => Ok((node, "of this machine".to_owned())),
                None => Err(NodeError::Nowhere),
            }
        };
        self.node.get_or_try_init(find).await.cloned()
    }

    /// Returns the Node.js for an action that is written for version `wanted`, as [`Self::node`] does. If that one is
    /// older, returns the newest one of this machine if it is not.
    ///
    /// # Errors
    /// The same as those of [`Self::node`].
    pub(in crate::engine) async fn node_for(&self, wanted: Option<u32>) -> Result<(PathBuf, String), NodeError> {
        let usual = self.node().await?;
        let Some(wanted) = wanted.filter(|wanted| javascript::is_older(&usual.1, *wanted)) else { return Ok(usual) };
        let find = async || {
            let newest = installations(&self.shared, Tool::Node).await.into_iter().next()?;
            Some((newest.program, format!("v{}", newest.version)))
        };
        let newest = self.newest_node.get_or_init(find).await.clone();
        Ok(newest.filter(|(_, version)| !javascript::is_older(version, wanted)).unwrap_or(usual))
    }

    /// Returns the variables that contain the addresses and tokens of the services for actions. Starts the services if
    /// they are not running, and masks the tokens. Returns no variables for the script of a job that may not request
    /// identity tokens.
    ///
    /// # Errors
    /// The services cannot start, or the sandbox is a container that cannot reach this machine.
    pub(in crate::engine) async fn services(
        &self,
        client: Client,
        sandbox: &dyn Sandbox,
    ) -> Result<JobVariables, ResultsError> {
        if client == Client::Script && self.rights.identity.is_none() {
            return Ok(JobVariables::default());
        }
        let network = if client == Client::Builder {
            self.machine.network(Containers::Default).await?.ok_or(ResultsError::Elsewhere)?
        } else if sandbox.is_container() {
            let find = async || self.machine.network(Containers::OfJob).await?.ok_or(ResultsError::Elsewhere);
            *self.network.get_or_try_init(find).await?
        } else {
            Network::LOOPBACK
        };
        let RunContext { results, facts, outlet, .. } = &*self.shared;
        let variables = results.variables(facts, &self.id, &self.rights, client, network).await?;
        for secret in &variables.secrets {
            outlet.add_mask(secret.as_bytes());
        }
        Ok(variables)
    }

    /// Prepares the tool cache of a job on this machine, with links to the tools that all runs share, and its
    /// configuration of Docker. Does nothing for a job in a container.
    ///
    /// # Errors
    /// A folder cannot be written.
    pub(in crate::engine) fn prepare_folders(&self) -> io::Result<()> {
        let Some(docker) = self.docker_config() else { return Ok(()) };
        docker_config::create(&docker, self.shared.host.environment())?;
        tools::begin(&self.tools(), &self.shared.tool_cache)
    }

    /// Returns the variables that lead the programs of a job on this machine to files of the job. Empty for a job in a
    /// container.
    pub(in crate::engine) fn machine_variables(&self) -> Vec<(&'static str, String)> {
        let docker =
            self.docker_config().map(|folder| (docker_config::VARIABLE, folder.to_string_lossy().into_owned()));
        docker.into_iter().collect()
    }

    /// Returns the folder of the job's configuration of Docker; `None` for a job in a container.
    fn docker_config(&self) -> Option<PathBuf> {
        (!self.is_container()).then(|| self.temp.join(DOCKER_CONFIG))
    }

    /// Brings dependency folders of earlier runs into a folder of the workspace that was just checked out, see
    /// [`WarmStart`]. Returns lines for the log. Does nothing for a job on another machine.
    pub(in crate::engine) fn start_warm(&self, folder: &Path, abort: &Abort) -> Vec<String> {
        let RunContext { options, results, facts, folder: run, .. } = &*self.shared;
        if options.warm_start.is_empty() || self.sandbox.is_elsewhere() {
            return Vec::new();
        }
        let CacheAccess { own, readable, mode } = CacheAccess::of(facts);
        let mode = self.rights.cache_mode.unwrap_or(mode);
        let host = (!self.is_container()).then(|| search_path(&*self.sandbox));
        let place = Place {
            workflow: &facts.workflow_path,
            text: &self.workflow.source.text,
            job: &self.id,
            contexts: &self.contexts,
            env: &options.env,
            machine: self.machine.describe(),
            image: self.sandbox.image_id(),
            path: host,
        };
        let start = WarmStart {
            run,
            job: &self.id,
            repository: &|| results.identity(facts),
            place: &|| place.digest(),
            folders: &options.warm_start,
            cold: options.cold,
            readable: if mode.reads() { readable } else { Vec::new() },
            scope: mode.writes().then_some(own),
            workspace: self.workspace.clone(),
            root: self.sandbox.inside(self.temp.parent().unwrap_or(&self.temp)),
            open_to_all: self.is_container(),
        };
        let Brought { lines, folders } = in_place(|| start.begin(folder, abort));
        self.warm_folders.lock().unwrap_or_else(PoisonError::into_inner).extend(folders);
        lines
    }

    /// Returns the dependency folders of earlier runs that were brought into the workspace, relative to it.
    pub(in crate::engine) fn warm_folders(&self) -> Vec<PathBuf> {
        self.warm_folders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the tool cache of the job, on this machine.
    pub(in crate::engine) fn tools(&self) -> PathBuf {
        self.temp.with_file_name(TOOLS)
    }

    /// Returns the entries of the `job` context, except `status`.
    pub(in crate::engine) fn job_facts(&self) -> Object {
        let text = |text: &str| Value::string(text.to_owned());
        let object = |pairs: Vec<(&str, Value)>| {
            Value::object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let mut facts = match self.contexts.get("job") {
            Some(Value::Object(known)) => Object::clone(known),
            _ => Object::default(),
        };
        let attachments = self.machine.attachments();
        let Some(network) = attachments.network.map(Value::string) else { return facts };
        if let Some(container) = attachments.container {
            facts.insert("container", object(vec![("id", Value::string(container)), ("network", network.clone())]));
        }
        let services = attachments.services.iter().map(|(service, id)| {
            let ports = service.ports.iter().map(|(inside, outside)| (inside.clone(), text(outside)));
            let ports = Value::object(ports.collect());
            (service.name.clone(), object(vec![("id", text(id)), ("network", network.clone()), ("ports", ports)]))
        });
        facts.insert("services", Value::object(services.collect()));
        facts
    }

    /// Describes the services that are unhealthy or have ended, for a job that failed.
    pub(in crate::engine) fn troubles(&self) -> Vec<String> {
        self.machine.troubles()
    }

    /// Waits until the machine is lost, that is, it no longer responds. Returns the reason.
    pub(in crate::engine) async fn lost(&self) -> ProviderError {
        self.machine.lost().await
    }

    /// Waits until the container of the steps was stopped or removed, and returns that as an error. Never returns if
    /// the steps do not run in a container.
    pub(in crate::engine) async fn container_end(&self) -> ProviderError {
        self.machine.container_end().await
    }

    /// Keeps a snapshot of the container of a failed job, for `cuelight shell`. A failure is only logged.
    pub(in crate::engine) async fn keep(&self) {
        if let Err(error) = self.machine.snapshot().await {
            tracing::warn!(%error, "no snapshot is kept for a shell");
        }
    }

    /// Removes everything that was created for the job outside its folders. `settled` is false if the job was
    /// cancelled: then a container may still be starting.
    ///
    /// # Errors
    /// A resource could not be removed. `cuelight clean` removes it later.
    pub(in crate::engine) async fn stop(&mut self, settled: bool, say: &mut Say<'_>) -> Result<(), ProviderError> {
        self.machine.stop(settled, say).await
    }

    /// Kills every process of the job that still runs on this machine, ends its access to the services for actions,
    /// moves tools that it installed on this machine to the shared cache, and removes the folders that may contain
    /// secrets. Returns a message that names the folders that cannot be removed.
    pub(in crate::engine) async fn leave_nothing(&self) -> Option<String> {
        self.shared.host.reap(&self.tracking_id).await;
        self.shared.results.end_job(&self.shared.facts, &self.id);
        let tools = self.is_container().then(|| self.tools());
        if tools.is_none() {
            in_place(|| tools::end(&self.tools(), &self.shared.tool_cache));
        }
        let secret = [Some(self.temp.clone()), Some(self.temp.with_file_name("_control")), tools];
        remove_all(secret.into_iter().flatten())
    }
}

/// Removes folders. A folder that cannot be removed does not keep the others. Returns a message that names the folders
/// that remain.
fn remove_all(folders: impl IntoIterator<Item = PathBuf>) -> Option<String> {
    let remain = folders.into_iter().filter_map(|folder| {
        let error = unless_missing(fs::remove_dir_all(&folder)).err()?;
        Some(format!("cannot empty {}: {error}", folder.display()))
    });
    let remain: Vec<_> = remain.collect();
    (!remain.is_empty()).then(|| remain.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_removed_does_not_keep_the_others() {
        let root = tempfile::tempdir().expect("a folder");
        let [temp, control, tools] = ["_temp", "_control", "_tool"].map(|name| root.path().join(name));
        // A file in the place of a folder is not removed.
        fs::write(&temp, "").expect("written");
        fs::create_dir_all(control.join("below")).expect("made");
        let message = remove_all([temp.clone(), control.clone(), tools]).expect("one remains");
        assert!(
            message.starts_with(&format!("cannot empty {}: ", temp.display())) && !message.contains("; "),
            "{message}"
        );
        assert!(!control.exists());
        assert_eq!(remove_all([control]), None);
    }
}
