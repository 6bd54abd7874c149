//! `run.json`: the complete request of a run, so that it can be planned again from its folder alone.
//!
//! The document contains names of secrets, never their values. Version 2 names the kind of work; version 1, which
//! earlier versions of cuelight wrote, is always a run of a workflow.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::deployment::{Actor, Cause, EnvironmentSettings};
use crate::model::environment::Release;
use crate::model::{RemoteRun, RunInfo, ServerKind, Timestamp, WorkingTree};

use super::cache::CacheLimits;
use super::folder::RunFolder;
use super::{StoreError, atomic, seal};

/// Maximum size of the document in bytes.
pub(super) const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Version of `run.json` that this program writes.
const VERSION: u32 = 2;

/// The request of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Version of the format.
    version: u32,
    /// Version of the program that created the run.
    #[serde(default)]
    pub engine: String,
    /// Identity of the run.
    #[serde(rename = "run")]
    pub info: RunInfo,
    /// The work to carry out.
    pub work: WorkSpec,
}

/// The work of a run, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkSpec {
    /// The jobs of a workflow, on this machine.
    WorkflowRun(Box<WorkflowSpec>),
    /// A run on a server, which is only mirrored here.
    Remote(Box<RemoteSpec>),
    /// A deployment to an environment, by this machine.
    Deployment(Box<DeploymentSpec>),
}

/// Values of `kind` in `run.json`. A document of another kind was written by a newer program.
const KINDS: &[&str] = &["workflow_run", "remote", "deployment"];

impl WorkSpec {
    /// Returns the workflow that runs; `None` for work of another kind.
    #[must_use]
    pub fn workflow(&self) -> Option<&WorkflowSpec> {
        match self {
            Self::WorkflowRun(workflow) => Some(workflow),
            Self::Remote(_) | Self::Deployment(_) => None,
        }
    }

    /// Returns the run on a server; `None` for work of this machine.
    #[must_use]
    pub fn remote(&self) -> Option<&RemoteSpec> {
        match self {
            Self::Remote(remote) => Some(remote),
            Self::WorkflowRun(_) | Self::Deployment(_) => None,
        }
    }

    /// Returns the deployment by this machine; `None` for work of another kind.
    #[must_use]
    pub fn deployment(&self) -> Option<&DeploymentSpec> {
        match self {
            Self::Deployment(deployment) => Some(deployment),
            Self::WorkflowRun(_) | Self::Remote(_) => None,
        }
    }
}

/// The request of a deployment, besides the [`RunInfo`]. It contains the settings of the environment as they were at
/// that time, so that later changes do not affect the deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentSpec {
    /// Root of the repository.
    pub repository: PathBuf,
    /// Folder with the repository's objects and refs, which all its worktrees share. It identifies the repository in
    /// the state folder.
    pub scope: PathBuf,
    /// The environment.
    pub settings: EnvironmentSettings,
    /// The release.
    pub release: Release,
    /// Why the deployment was made.
    pub cause: Cause,
    /// Who asked for the deployment.
    pub creator: Actor,
    /// Whether the commands of the deployment use the files of the working tree, in which the release was checked out.
    #[serde(default)]
    pub uses_working_tree: bool,
}

/// Facts about a run on a server that never change, besides the [`RunInfo`]. They do not include the address of the
/// server's API, which comes from the user's settings, because the folder of a run may come from another person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoteSpec {
    /// Host name of the server, with its port if it has one.
    pub host: String,
    /// Kind of the server.
    pub server: ServerKind,
    /// Repository as `owner/name`.
    pub repository: String,
    /// Id of the run on the server.
    pub id: u64,
    /// Page of the run in a browser; empty if the server named none.
    pub url: String,
    /// Number of the run within its workflow.
    pub run_number: u64,
    /// Id of the workflow on the server; `None` if the server has none.
    pub workflow_id: Option<u64>,
    /// Name of the workflow; empty if the server named none.
    pub workflow_name: String,
    /// Title: the `run-name`, or the first line of the commit's message.
    pub title: String,
    /// User who started the run.
    pub actor: String,
    /// Fork that contains the commit, as `owner/name`; `None` if the commit is in the repository itself.
    pub fork: Option<String>,
    /// Numbers of the pull requests of the run.
    pub pull_requests: Vec<u64>,
}

/// Input for planning and running a workflow, besides the [`RunInfo`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkflowSpec {
    /// Number of the run within its workflow, from 1; see [`super::numbers`].
    pub run_number: u64,
    /// Root of the repository.
    pub repository: PathBuf,
    /// Text of the workflow file.
    pub text: String,
    /// Texts of the reusable workflows that the workflow calls, by path, or by `owner/name/path@ref` for workflows of
    /// other repositories.
    pub called: IndexMap<String, String>,
    /// Commits of the other repositories from which these texts were read, by the same names.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub called_commits: IndexMap<String, String>,
    /// Payload of the event.
    pub payload: serde_json::Value,
    /// Full name of the ref, such as `refs/heads/main`.
    pub git_ref: String,
    /// Name of the user who started the run.
    pub actor: String,
    /// Files that differed from the commit, or were new: paths relative to the repository.
    pub dirty: Vec<String>,
    /// Files with secrets, whose content a later attempt leaves out of its diff.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_files: Vec<PathBuf>,
    /// Inputs as the user gave them.
    pub inputs: IndexMap<String, String>,
    /// Configuration variables.
    pub vars: IndexMap<String, String>,
    /// Names of the secrets that were given.
    pub secrets: Vec<String>,
    /// The only jobs to run, together with the jobs that they need; all jobs if empty.
    pub jobs: Vec<String>,
    /// Values in the matrix of the only legs to run; all legs if empty.
    pub matrix: IndexMap<String, String>,
    /// Environment variables of all steps. They override the variables of the workflow and its jobs.
    pub env: IndexMap<String, String>,
    /// Maximum number of jobs at once.
    pub max_parallel: usize,
    /// Whether jobs run in the repository's folder itself.
    pub in_place: bool,
    /// Whether every job runs on this machine, whatever its `runs-on`.
    pub any_runner: bool,
    /// Whether the run can succeed without the jobs that need another machine.
    pub skip_unrunnable: bool,
    /// Sandbox for each label of `runs-on`.
    pub runs_on: IndexMap<String, String>,
    /// Sandbox of jobs without a container, whatever their labels: `host`, `docker`, `docker:image`. `None` if the
    /// labels decide.
    pub sandbox: Option<String>,
    /// Image of jobs that run in Docker and do not name an image.
    pub image: String,
    /// Sources of actions, by name: a folder or a server.
    pub actions: IndexMap<String, String>,
    /// Whether steps in containers are started by a supervisor process inside the container.
    pub supervisor: bool,
    /// Whether containers get Docker's socket.
    #[serde(default)]
    pub docker_socket: bool,
    /// Folders of other repositories whose git objects containers may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub git_objects: Vec<PathBuf>,
    /// Maximum number of failed jobs whose containers are kept for `cuelight shell`.
    pub keep_failed: usize,
    /// Limits of the cache of the repository. No artifact may be larger than the cache.
    pub cache: CacheLimits,
    /// Dependency folders with which jobs start, each with the names of its lock files.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub warm_start: IndexMap<String, Vec<String>>,
    /// Whether jobs start without the dependency folders of earlier runs, which they may still leave to later runs.
    pub cold: bool,
    /// Whether only cached actions may be used.
    pub offline: bool,
    /// Whether cuelight itself answers the requests of actions to GitHub's API.
    pub local_api: bool,
    /// Number of minutes for which a failed step is held until a person decides how its job continues. `None` if steps
    /// are not held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_minutes: Option<u64>,
    /// Steps before which the run stops; `None` if it stops before none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breakpoints: Option<Breakpoints>,
    /// Whether debug lines are kept.
    pub debug: bool,
}

/// Steps before which a run stops until a person decides how their jobs go on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Breakpoints {
    /// The steps, each as `JOB/STEP`.
    pub steps: Vec<String>,
    /// Number of minutes for which a step is held.
    pub minutes: u64,
}

/// Maximum number of minutes for which a step is held, unless the run has its own limit.
pub const DEFAULT_HOLD_MINUTES: u64 = 30;

/// A document of version 1: fields that [`RunSpec`] and [`RunInfo`] have now, and the fields of [`WorkflowSpec`].
#[derive(Default, Deserialize)]
#[serde(default)]
struct Version1 {
    engine: String,
    created: Timestamp,
    slug: String,
    workflow: String,
    event: String,
    sha: String,
    #[serde(flatten)]
    work: WorkflowSpec,
}

impl From<Version1> for RunSpec {
    fn from(old: Version1) -> Self {
        let info = RunInfo {
            repository: old.slug,
            workflow: old.workflow,
            event: old.event,
            ref_name: ref_name(&old.work.git_ref).to_owned(),
            sha: old.sha,
            created: old.created,
            ..RunInfo::default()
        };
        Self { engine: old.engine, ..Self::of_workflow(info, old.work) }
    }
}

impl WorkflowSpec {
    /// Returns the full name of the ref of an attempt with this working tree. Older versions did not record it: a ref that
    /// is neither the one of the request nor a commit is then taken for a branch.
    #[must_use]
    pub fn git_ref_of(&self, tree: &WorkingTree) -> String {
        if !tree.git_ref.is_empty() {
            tree.git_ref.clone()
        } else if tree.ref_name == ref_name(&self.git_ref) {
            self.git_ref.clone()
        } else if tree.ref_name == tree.sha {
            tree.sha.clone()
        } else {
            format!("refs/heads/{}", tree.ref_name)
        }
    }
}

/// Returns the short name of a ref.
#[must_use]
pub fn ref_name(full: &str) -> &str {
    ["refs/heads/", "refs/tags/", "refs/"].iter().find_map(|prefix| full.strip_prefix(prefix)).unwrap_or(full)
}

impl RunSpec {
    /// Returns the document of a workflow run. The run's id is the name of the folder that the document is written to.
    #[must_use]
    pub fn of_workflow(info: RunInfo, workflow: WorkflowSpec) -> Self {
        let engine = env!("CARGO_PKG_VERSION").to_owned();
        let values = workflow.matrix.iter().map(|(key, value)| format!("{key}={value}"));
        let info = RunInfo { only: workflow.jobs.iter().cloned().chain(values).collect(), ..info };
        Self { version: VERSION, engine, info, work: WorkSpec::WorkflowRun(Box::new(workflow)) }
    }

    /// Returns the document of a deployment.
    #[must_use]
    pub fn of_deployment(info: RunInfo, deployment: DeploymentSpec) -> Self {
        let engine = env!("CARGO_PKG_VERSION").to_owned();
        Self { version: VERSION, engine, info, work: WorkSpec::Deployment(Box::new(deployment)) }
    }

    /// Returns the document of the mirror of a run on a server.
    #[must_use]
    pub fn of_remote(info: RunInfo, remote: RemoteSpec) -> Self {
        let engine = env!("CARGO_PKG_VERSION").to_owned();
        let identity = RemoteRun {
            host: remote.host.clone(),
            id: remote.id,
            number: remote.run_number,
            workflow: remote.workflow_name.clone(),
            actor: remote.actor.clone(),
            fork: remote.fork.clone(),
            kind: remote.server,
        };
        let info = RunInfo { remote: Some(identity), ..info };
        Self { version: VERSION, engine, info, work: WorkSpec::Remote(Box::new(remote)) }
    }

    /// Reads the document of a run. The run's id is the name of its folder, which may be a renamed copy.
    ///
    /// # Errors
    /// The file is missing, damaged, or has a newer version or an unknown kind.
    pub fn read(folder: &RunFolder) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Versioned {
            #[serde(default)]
            version: u32,
        }

        #[derive(Deserialize)]
        struct Kinded {
            work: Kind,
        }

        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }

        let path = folder.spec_path();
        let text = files::read_own(&path, MAX_BYTES).map_err(StoreError::io("read", &path))?;
        let damaged = |error: serde_json::Error| StoreError::Damaged { path: path.clone(), reason: error.to_string() };
        let Versioned { version } = serde_json::from_slice(&text).map_err(damaged)?;
        let mut spec: Self = match version {
            0 | 1 => serde_json::from_slice::<Version1>(&text).map_err(damaged)?.into(),
            VERSION => {
                let Kinded { work: Kind { kind } } = serde_json::from_slice(&text).map_err(damaged)?;
                if !KINDS.contains(&kind.as_str()) {
                    return Err(StoreError::UnknownKind { path, kind });
                }
                serde_json::from_slice(&text).map_err(damaged)?
            }
            newer => return Err(StoreError::Newer { path, version: newer, supported: VERSION }),
        };
        spec.info.id = folder.id().clone();
        Ok(spec)
    }

    /// Writes the document of a run, and its seal.
    ///
    /// # Errors
    /// The folder of the run cannot be written, or the key of the state folder cannot be read or made.
    pub fn write(&self, folder: &RunFolder) -> Result<(), StoreError> {
        let path = folder.spec_path();
        let info = RunInfo { id: folder.id().clone(), ..self.info.clone() };
        let document = Self { version: VERSION, info, ..self.clone() };
        let text = serde_json::to_vec_pretty(&document).expect("strings and numbers always serialise");
        atomic::write_unsynced(&path, &text).map_err(StoreError::io("write", path))?;
        seal::write(folder, &text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::path::Path;

    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, RunFolder) {
        let home = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::at(home.path().join("runs/20231114-221320-0000"));
        fs::create_dir_all(folder.path()).expect("made");
        fs::write(folder.spec_path(), text).expect("written");
        (home, folder)
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let (_home, folder) = written("");
        let info = RunInfo { workflow: "ci.yml".to_owned(), ref_name: "main".to_owned(), ..RunInfo::default() };
        let workflow = WorkflowSpec { text: "on: push".to_owned(), max_parallel: 3, ..WorkflowSpec::default() };
        let spec = RunSpec::of_workflow(info, workflow);
        spec.write(&folder).expect("written");
        let read = RunSpec::read(&folder).expect("read");
        assert_eq!((&read.info.id, &read.work), (folder.id(), &spec.work));
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.spec_path()).expect("read")).expect("json");
        assert_eq!((json["version"].as_u64(), json["work"]["kind"].as_str()), (Some(2), Some("workflow_run")));
        assert_eq!(json["run"]["id"], folder.id().as_str());
    }

    #[test]
    fn the_document_of_a_mirror_is_read_as_it_was_written() {
        let (_home, folder) = written("");
        let remote = RemoteSpec { host: "github.com".to_owned(), id: 17_000_000_049, ..RemoteSpec::default() };
        let spec = RunSpec::of_remote(RunInfo::default(), remote);
        spec.write(&folder).expect("written");
        let read = RunSpec::read(&folder).expect("read");
        assert_eq!((read.work.remote().map(|remote| remote.id), read.work.workflow()), (Some(17_000_000_049), None));
        let expected = RemoteRun { host: "github.com".to_owned(), id: 17_000_000_049, ..RemoteRun::default() };
        assert_eq!(read.info.remote, Some(expected));
    }

    #[test]
    fn a_folder_of_version_1_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens/runs/20261126-201820-55cb");
        let spec = RunSpec::read(&RunFolder::at(folder)).expect("read");
        let RunInfo {
            id,
            repository,
            workflow,
            event,
            ref_name,
            sha,
            folder: None,
            changed: 0,
            only,
            created,
            remote: None,
        } = &spec.info
        else {
            panic!("no changes are recorded")
        };
        assert!(only.is_empty(), "the whole workflow");
        assert_eq!(
            [id.as_str(), repository, workflow, event, ref_name, &sha[..7]],
            ["20261126-201820-55cb", "local/demo", ".github/workflows/pipeline.yml", "push", "main", "220e800"]
        );
        assert_eq!(created.0, 1_795_724_300_082);
        let work = spec.work.workflow().expect("a workflow");
        assert_eq!((work.run_number, work.max_parallel, work.actor.as_str()), (1, 2, "ada"));
        assert_eq!(
            (work.repository.as_path(), work.git_ref.as_str()),
            (Path::new("/home/ada/demo"), "refs/heads/main")
        );
        assert!(work.text.starts_with("name: Pipeline") && work.vars.contains_key("SERVICE_IMAGE") && work.supervisor);
    }

    #[test]
    fn a_newer_document_is_refused_in_words() {
        let (_home, folder) = written(r#"{"version": 3, "run": "of another kind"}"#);
        let error = RunSpec::read(&folder).expect_err("newer").to_string();
        assert!(
            error.ends_with("run.json is of version 3, and this cuelight reads up to version 2: update cuelight"),
            "{error}"
        );
        let (_home, folder) = written(r#"{"version": 2, "run": {}, "work": {"kind": "sculpture"}}"#);
        let error = RunSpec::read(&folder).expect_err("another kind").to_string();
        assert!(error.ends_with("run.json is a run of the unknown kind `sculpture`: update cuelight"), "{error}");
        let (_home, folder) = written("{");
        assert!(matches!(RunSpec::read(&folder), Err(StoreError::Damaged { .. })));
    }
}
