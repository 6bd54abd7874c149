//! Dispatches a workflow on a server.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::backend::github::client::{ApiError, Change, Freshness, Mutation};
use crate::model::ServerKind;
use crate::workflow::inputs;
use crate::workflow::inputs::{BY_HAND, InputError};
use crate::workflow::syntax::{InputKind, Workflow};

use super::attach::{Expected, Found};
use super::{ServerWorkflow, WorkflowError, WorkflowState, Workflows};

/// Names of inputs that identify a run: the workflow repeats their value in its `run-name`.
const MARKERS: [&str; 3] = ["cuelight_id", "correlation_id", "distinct_id"];

/// Field of the request that asks the server to return the id of the run.
const WANTS_ID: &str = "return_run_details";

/// Delays before the attempts to find the run of a dispatch, in seconds: a minute in total.
pub(in crate::backend::github) const LOOKS: [u64; 10] = [1, 1, 2, 2, 4, 5, 8, 10, 12, 15];

/// A dispatch to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispatch {
    /// Id, path, file name with or without extension, or name of the workflow.
    pub workflow: String,
    /// Branch or tag; `None` for the default branch.
    pub git_ref: Option<String>,
    /// Inputs as given, by name. The server adds the defaults.
    pub inputs: IndexMap<String, String>,
}

/// A dispatch that the server accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispatched {
    /// The workflow.
    pub workflow: ServerWorkflow,
    /// Branch or tag.
    pub git_ref: String,
    /// Inputs that were sent.
    pub inputs: IndexMap<String, String>,
    /// Id of the run.
    pub run: u64,
}

/// Why a workflow is not started, or its run not found.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The workflow cannot be found, or the server refuses.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The workflow is not active.
    #[error("{file} is {}{}", .state.text(), remedy(.file, .state))]
    Disabled {
        /// Name of the workflow's file.
        file: String,
        /// State of the workflow.
        state: WorkflowState,
    },
    /// The file cannot be read at the ref.
    #[error("{path} does not exist on `{git_ref}`, or `{git_ref}` is neither a branch nor a tag")]
    NoFile {
        /// Path of the file.
        path: String,
        /// The ref.
        git_ref: String,
    },
    /// The workflow has no `workflow_dispatch` event.
    #[error("{file} has no `workflow_dispatch` among its events on `{git_ref}`: it runs on {events}")]
    OtherEvents {
        /// Name of the workflow's file.
        file: String,
        /// The ref.
        git_ref: String,
        /// Events of the workflow, separated by commas.
        events: String,
    },
    /// The workflow has no such input, or does not accept its value.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The run does not appear.
    #[error(
        "{file} was dispatched on `{git_ref}`, but its run did not appear within a minute: \
         `cuelight runs -R {repository}` looks again"
    )]
    NoRun {
        /// Name of the workflow's file.
        file: String,
        /// The ref.
        git_ref: String,
        /// The repository.
        repository: String,
    },
    /// Several runs appeared.
    #[error("{file} was dispatched, but several runs of it appeared at that time: one of {}", shown(.runs))]
    SeveralRuns {
        /// Name of the workflow's file.
        file: String,
        /// Ids of the runs.
        runs: Vec<u64>,
    },
    /// It is unknown whether the server accepted the request, and no run appeared.
    #[error("{0}; no run appeared; check `cuelight runs` before you dispatch it again")]
    Doubtful(ApiError),
}

/// Returns how to enable a workflow that is not active.
fn remedy(file: &str, state: &WorkflowState) -> String {
    match state {
        WorkflowState::Disabled | WorkflowState::Inactive | WorkflowState::Fork => {
            format!("; enable it with `cuelight workflow enable {file}`")
        }
        WorkflowState::Active | WorkflowState::Deleted | WorkflowState::Other(_) => String::new(),
    }
}

impl From<ApiError> for DispatchError {
    fn from(error: ApiError) -> Self {
        WorkflowError::from(error).into()
    }
}

fn shown(runs: &[u64]) -> String {
    runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Workflows<'_> {
    /// Dispatches a workflow, and finds its run: by the id that the server returns, else by a marker among its inputs,
    /// or as the only new run of the workflow by this user. Waits up to a minute for the run to appear.
    ///
    /// # Errors
    /// The workflow was not started, or its run was not found; [`DispatchError`] distinguishes these.
    pub async fn dispatch(&self, wanted: &Dispatch) -> Result<Dispatched, DispatchError> {
        let workflow = self.find(&wanted.workflow).await?;
        let file = workflow.file().to_owned();
        if workflow.state != WorkflowState::Active {
            return Err(DispatchError::Disabled { file, state: workflow.state });
        }
        let git_ref = match &wanted.git_ref {
            Some(git_ref) => git_ref.clone(),
            None => self.default_branch().await?,
        };
        let text = self.file(&workflow.path, &git_ref, Freshness::NOW).await?;
        let Some(text) = text else {
            return Err(DispatchError::NoFile { path: workflow.path, git_ref });
        };
        let (mut inputs, marker) = self.inputs(&text, &file, &git_ref, wanted).await?;
        inputs.extend(marker.clone());
        let marker = marker.map(|(_, marker)| marker);
        let expected = self.expect(&workflow, &git_ref, marker).await?;
        let run = match self.send(&workflow, &git_ref, &inputs).await {
            Ok(Some(run)) => run,
            Ok(None) => self.look_for(&expected, &file, &git_ref).await?,
            // The request is never repeated: the list of runs shows whether it was accepted.
            Err(error @ ApiError::Doubtful { .. }) => match self.look_for(&expected, &file, &git_ref).await {
                Err(DispatchError::NoRun { .. }) => return Err(DispatchError::Doubtful(error)),
                found => found?,
            },
            Err(error) => return Err(error.into()),
        };
        Ok(Dispatched { workflow, git_ref, inputs, run })
    }

    /// Checks the inputs of a dispatch and returns them. Also returns the marker of its run; `None` if the workflow has
    /// no input for one.
    async fn inputs(
        &self,
        text: &Workflow,
        file: &str,
        git_ref: &str,
        wanted: &Dispatch,
    ) -> Result<(IndexMap<String, String>, Option<(String, String)>), DispatchError> {
        let events: Vec<&str> = text.triggers.iter().map(|trigger| trigger.event.value.as_str()).collect();
        if !events.contains(&BY_HAND) {
            let (file, git_ref) = (file.to_owned(), git_ref.to_owned());
            return Err(DispatchError::OtherEvents { file, git_ref, events: events.join(", ") });
        }
        let declared = inputs::declared(text, BY_HAND);
        let has_environment = declared.iter().any(|input| input.kind == InputKind::Environment);
        let environments = if has_environment { self.environments().await? } else { None };
        let marker = declared.iter().map(|input| input.name.value.as_str()).find(|name| MARKERS.contains(name));
        let marker = marker.map(|name| match wanted.inputs.get(name) {
            Some(given) => (name.to_owned(), given.clone()),
            None => (name.to_owned(), random()),
        });
        let mut given = wanted.inputs.clone();
        given.extend(marker.clone());
        Ok((inputs::given(text, BY_HAND, &given, environments.as_ref())?, marker))
    }

    /// Sends the request. Returns the id of the run, if the server names it.
    async fn send(
        &self,
        workflow: &ServerWorkflow,
        git_ref: &str,
        inputs: &IndexMap<String, String>,
    ) -> Result<Option<u64>, ApiError> {
        let path = self.path_of(workflow, "dispatches");
        let body = |git_ref: &str| json!({"ref": git_ref, "inputs": inputs, WANTS_ID: true});
        let mut mutation = Mutation { change: Change::Post, path, body: Some(body(git_ref)) };
        // A server that refuses the request has not started anything.
        let done = match self.client.send(&mutation).await {
            Err(ApiError::Refused { status: 422, message, .. }) if message.contains(WANTS_ID) => {
                mutation.body.as_mut().and_then(Value::as_object_mut).map(|fields| fields.remove(WANTS_ID));
                self.client.send(&mutation).await?
            }
            // Gitea does not know a tag by its short name.
            Err(ApiError::Refused { status: 404, .. })
                if self.client.host().kind() == ServerKind::Gitea && !git_ref.starts_with("refs/") =>
            {
                mutation.body = Some(body(&format!("refs/tags/{git_ref}")));
                self.client.send(&mutation).await?
            }
            sent => sent?,
        };
        let answer: Option<Value> = serde_json::from_slice(&done.body).ok();
        Ok(answer.as_ref().and_then(|answer| answer.get("workflow_run_id")?.as_u64()))
    }

    /// Waits until the run of a dispatch appears.
    async fn look_for(&self, expected: &Expected, file: &str, git_ref: &str) -> Result<u64, DispatchError> {
        for delay in LOOKS {
            sleep(Duration::from_secs(delay)).await;
            match self.appeared(expected).await {
                Ok(Found::One(run)) => return Ok(run),
                Ok(Found::Several(runs)) => return Err(DispatchError::SeveralRuns { file: file.to_owned(), runs }),
                Ok(Found::None) => {}
                Err(WorkflowError::Api(error)) if error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(DispatchError::NoRun {
            file: file.to_owned(),
            git_ref: git_ref.to_owned(),
            repository: self.repository.to_string(),
        })
    }
}

fn random() -> String {
    format!("cuelight-{:08x}", getrandom::u32().unwrap_or(std::process::id()))
}
