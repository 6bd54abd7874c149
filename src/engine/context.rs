//! The contexts that expressions see, and the `GITHUB_*` and `RUNNER_*` variables made from them.
//!
//! Values that are the same for a whole run are built once and shared; each step adds its `env`, `steps` and `job`.

use std::path::Path;

use indexmap::IndexMap;

use crate::model::Conclusion;
use crate::workflow::expr::{Object, Value};

use super::actions::reference::Reference;
use super::actions::store::is_commit;
use super::checkpoint::{Status, StepResult};

/// Facts about a run that are known before its first job.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Unique id of the run, in decimal digits like GitHub's.
    pub run_id: String,
    /// Number of the run on this machine, counted from 1.
    pub run_number: u64,
    /// Number of the attempt, counted from 1.
    pub attempt: u32,
    /// `owner/name`.
    pub repository: String,
    /// Commit id. Empty in a repository without commits.
    pub sha: String,
    /// Full name of the ref: `refs/heads/main`, `refs/tags/v1`, `refs/pull/1/merge`.
    pub git_ref: String,
    /// Name of the event.
    pub event_name: String,
    /// Payload of the event.
    pub event: serde_json::Value,
    /// Name of the person who started the run.
    pub actor: String,
    /// Name of the workflow, or its path if it has no name.
    pub workflow: String,
    /// Path of the workflow in the repository.
    pub workflow_path: String,
    /// Value of `github.token`. It is masked, and random unless GitHub's API is used.
    pub token: String,
    /// Whether this machine answers the requests of actions to GitHub's API.
    pub local_api: bool,
    /// Secrets by name.
    pub secrets: IndexMap<String, String>,
    /// Configuration variables by name.
    pub vars: IndexMap<String, String>,
    /// Inputs of `workflow_dispatch`, converted to their types.
    pub inputs: Object,
}

/// Keys of the `github` context that steps get as `GITHUB_…` environment variables. The list is taken from
/// actions/runner (Worker/GitHubContext.cs), which leaves the token out.
const EXPORTED: &[&str] = &[
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "ref",
    "ref_name",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "server_url",
    "sha",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
];

impl RunFacts {
    /// Returns the `github` context without the keys that a job or a step adds.
    #[must_use]
    pub fn github(&self) -> Object {
        let (ref_type, ref_name) = split_ref(&self.git_ref);
        let owner = self.repository.split('/').next().unwrap_or_default();
        let pull_request = |side: &str| {
            let request = self.event.get("pull_request");
            let name = request.and_then(|request| request.get(side)).and_then(|side| side.get("ref"));
            name.and_then(|name| name.as_str()).unwrap_or_default().to_owned()
        };
        let texts = [
            ("actor", self.actor.clone()),
            ("triggering_actor", self.actor.clone()),
            ("api_url", "https://api.github.com".to_owned()),
            ("base_ref", pull_request("base")),
            ("event_name", self.event_name.clone()),
            ("graphql_url", "https://api.github.com/graphql".to_owned()),
            ("head_ref", pull_request("head")),
            ("ref", self.git_ref.clone()),
            ("ref_name", ref_name.to_owned()),
            ("ref_type", ref_type.to_owned()),
            ("repository", self.repository.clone()),
            ("repository_owner", owner.to_owned()),
            ("repositoryUrl", format!("git://github.com/{}.git", self.repository)),
            ("retention_days", "90".to_owned()),
            ("run_attempt", self.attempt.to_string()),
            ("run_id", self.run_id.clone()),
            ("run_number", self.run_number.to_string()),
            ("secret_source", "Actions".to_owned()),
            ("server_url", "https://github.com".to_owned()),
            ("sha", self.sha.clone()),
            ("token", self.token.clone()),
            ("workflow", self.workflow.clone()),
            ("workflow_ref", format!("{}/{}@{}", self.repository, self.workflow_path, self.git_ref)),
            ("workflow_sha", self.sha.clone()),
        ];
        let mut github: Object = texts.into_iter().map(|(name, text)| (name.to_owned(), Value::string(text))).collect();
        github.insert("event".to_owned(), Value::from(self.event.clone()));
        github.insert("ref_protected".to_owned(), Value::Bool(false));
        github
    }

    /// Returns the visibility of the repository, according to the payload of the event. A repository of unknown
    /// visibility counts as private.
    #[must_use]
    pub fn visibility(&self) -> &str {
        let known = self.event.get("repository");
        let is_private = || known?.get("private")?.as_bool();
        let word = known.and_then(|repository| repository.get("visibility")?.as_str());
        word.unwrap_or(if is_private() == Some(false) { "public" } else { "private" })
    }

    /// Returns the entries of the `job` context about the workflow that contains the job, which is the run's workflow
    /// or a called one. `path` is the path of that workflow in the repository, or `owner/name/path@ref` in another
    /// repository, whose `commit` is given if it is known.
    #[must_use]
    pub fn job_workflow(&self, path: &str, commit: Option<&str>) -> Object {
        let remote = match Reference::parse(path) {
            Ok(Reference::Remote(remote)) => Some(remote),
            _ => None,
        };
        let texts = match &remote {
            Some(remote) => [
                ("workflow_file_path", remote.path.clone()),
                ("workflow_ref", path.to_owned()),
                ("workflow_repository", remote.repository.clone()),
                (
                    "workflow_sha",
                    commit
                        .or(Some(&*remote.version).filter(|version| is_commit(version)))
                        .unwrap_or_default()
                        .to_owned(),
                ),
            ],
            None => [
                ("workflow_file_path", path.to_owned()),
                ("workflow_ref", format!("{}/{path}@{}", self.repository, self.git_ref)),
                ("workflow_repository", self.repository.clone()),
                ("workflow_sha", self.sha.clone()),
            ],
        };
        texts.into_iter().map(|(name, text)| (name.to_owned(), Value::string(text))).collect()
    }
}

/// Splits a full ref into its type, `branch` or `tag`, and its short name.
fn split_ref(full: &str) -> (&str, &str) {
    if let Some(name) = full.strip_prefix("refs/tags/") {
        ("tag", name)
    } else {
        ("branch", full.strip_prefix("refs/heads/").or_else(|| full.strip_prefix("refs/")).unwrap_or(full))
    }
}

/// Returns the `GITHUB_*` variables for a `github` context.
#[must_use]
pub fn github_variables(github: &Object) -> Vec<(String, String)> {
    let exported = EXPORTED.iter().filter_map(|key| {
        let value = github.get(key)?;
        Some((format!("GITHUB_{}", key.to_ascii_uppercase()), value.to_text()))
    });
    exported.collect()
}

/// Returns the `runner` context of a job. The paths are as its steps see them.
#[must_use]
pub fn runner(temp: &Path, tool_cache: &Path, workspace: &Path, debug: bool) -> Object {
    let os = match std::env::consts::OS {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    };
    let arch = match std::env::consts::ARCH {
        "aarch64" => "ARM64",
        "arm" => "ARM",
        "x86" => "X86",
        _ => "X64",
    };
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut entries = vec![
        ("os", os.to_owned()),
        ("arch", arch.to_owned()),
        ("name", "cuelight".to_owned()),
        ("environment", "self-hosted".to_owned()),
        ("temp", path(temp)),
        ("tool_cache", path(tool_cache)),
        ("workspace", path(workspace)),
    ];
    if debug {
        entries.push(("debug", "1".to_owned()));
    }
    entries.into_iter().map(|(name, text)| (name.to_owned(), Value::string(text))).collect()
}

/// Returns the `RUNNER_*` variables for a `runner` context.
#[must_use]
pub fn runner_variables(runner: &Object) -> Vec<(String, String)> {
    runner.iter().map(|(name, value)| (format!("RUNNER_{}", name.to_ascii_uppercase()), value.to_text())).collect()
}

/// Returns the `steps` context.
#[must_use]
pub fn steps(results: &IndexMap<String, StepResult>) -> Value {
    let entries = results.iter().map(|(id, result)| {
        let word = |conclusion: Conclusion| Value::string(conclusion.word());
        let entry = [
            ("outputs".to_owned(), texts(&result.outputs)),
            ("outcome".to_owned(), word(result.outcome)),
            ("conclusion".to_owned(), word(result.conclusion)),
        ];
        (id.clone(), Value::object(entry.into_iter().collect()))
    });
    Value::object(entries.collect())
}

/// Returns the `job` context. `facts` are the entries other than `status`, such as the container and the services.
#[must_use]
pub fn job(status: Status, facts: &Object) -> Value {
    let mut job = facts.clone();
    job.insert("status", Value::string(status.word()));
    Value::object(job)
}

/// Returns the `env` context. Names are case-sensitive, as on Linux.
#[must_use]
pub fn env(variables: &IndexMap<String, String>) -> Value {
    let mut object = Object::case_sensitive();
    for (name, value) in variables {
        object.insert(name.clone(), Value::string(value.clone()));
    }
    Value::object(object)
}

/// Returns an object of strings.
#[must_use]
pub fn texts(entries: &IndexMap<String, String>) -> Value {
    Value::object(entries.iter().map(|(name, value)| (name.clone(), Value::string(value.clone()))).collect())
}
