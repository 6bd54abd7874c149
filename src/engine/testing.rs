//! Doubles and builders for tests of the engine.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use indexmap::IndexMap;

use super::actions::store::Store;
use super::checkpoint::Checkpoint;
use super::concurrency::{AcquireError, ConcurrencyGate, GroupRequest};
use super::context::RunFacts;
use super::job::spec::JobSpec;
use super::outlet::{Outlet, StepLog};
use super::sandbox::host::Host;
use super::sandbox::providers::Providers;
use super::{Options, RunContext};
use crate::model::{Event, JobId, StepNumber};
use crate::store::concurrency::Ticket;
use crate::store::folder::RunFolder;
use crate::workflow;
use crate::workflow::expr::{Contexts, Object, Status};
use crate::workflow::source::Source;

/// Keeps events in memory, and drops logs.
#[derive(Default)]
pub(crate) struct MemoryOutlet {
    events: Mutex<Vec<Event>>,
}

impl MemoryOutlet {
    /// Returns the events so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no panic").clone()
    }
}

impl Outlet for MemoryOutlet {
    fn record(&self, event: Event) {
        self.events.lock().expect("no panic").push(event);
    }

    fn log(self: Arc<Self>, _job: &JobId, _step: StepNumber) -> Box<dyn StepLog> {
        Box::new(NoLog)
    }

    fn summary(&self, _job: &JobId, _step: StepNumber, _markdown: &str) {}

    fn checkpoint(&self, _job: &JobId, _checkpoint: &Checkpoint) {}

    fn add_mask(&self, _secret: &str) {}

    fn holds_secret(&self, _text: &str) -> bool {
        false
    }

    fn failure(&self) -> Option<String> {
        None
    }
}

struct NoLog;

impl StepLog for NoLog {
    fn write(&mut self, _bytes: &[u8]) {}

    fn flush(&mut self) {}

    fn finish(&mut self) {}
}

/// Has no group for anyone.
struct NoGroups;

impl ConcurrencyGate for NoGroups {
    fn acquire(
        self: Arc<Self>,
        _job: JobId,
        _wanted: GroupRequest,
    ) -> BoxFuture<'static, Result<Ticket, AcquireError>> {
        ready(Err(AcquireError::Failed("a test has no concurrency groups".to_owned()))).boxed()
    }
}

/// Returns a run below `folder`, in the repository `o/r`, offline. Its processes find no program on `PATH`. `actions` maps
/// actions to folders.
pub(crate) fn run_context(
    folder: &Path,
    outlet: &Arc<MemoryOutlet>,
    providers: Providers,
    actions: &[(&str, &Path)],
) -> RunContext {
    let facts = RunFacts {
        run_id: "1".to_owned(),
        run_number: 1,
        attempt: 1,
        repository: "o/r".to_owned(),
        sha: String::new(),
        git_ref: "refs/heads/main".to_owned(),
        event_name: "push".to_owned(),
        event: serde_json::Value::Null,
        actor: "a".to_owned(),
        workflow: "CI".to_owned(),
        workflow_path: "ci.yml".to_owned(),
        token: String::new(),
        secrets: IndexMap::new(),
        vars: IndexMap::new(),
        inputs: Object::default(),
    };
    let mapped = actions.iter().map(|(name, folder)| ((*name).to_owned(), folder.to_string_lossy().into_owned()));
    RunContext {
        run: "20261126-120000-0001".to_owned(),
        github: facts.github(),
        facts,
        outlet: Arc::clone(outlet) as Arc<dyn Outlet>,
        concurrency: Arc::new(NoGroups),
        host: Arc::new(Host::new([("PATH".into(), "/nowhere".into())])),
        providers,
        actions: Store::new(folder.join("actions"), mapped.collect(), folder.to_owned(), true),
        state: folder.to_owned(),
        folder: RunFolder::at(folder.join("runs").join("20261126-120000-0001")),
        repository: folder.join("repository"),
        work: folder.join("work"),
        tool_cache: folder.join("tools"),
        options: Options::default(),
    }
}

/// Returns the first job of a workflow, ready to start.
pub(in crate::engine) fn job_spec(workflow: &str) -> JobSpec {
    let source = Source::new("ci.yml", workflow);
    let parsed = workflow::parse(&source);
    let workflow = Arc::new(parsed.value.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics)));
    let definition = Arc::clone(&workflow.jobs[0]);
    JobSpec {
        id: JobId::new(&definition.id.value),
        name: definition.id.value.clone(),
        definition,
        workflow,
        contexts: Contexts::new(),
        status: Status::default(),
        ignores_cancel: false,
        resumed: None,
    }
}
