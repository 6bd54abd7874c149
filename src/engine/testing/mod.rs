//! Test doubles and builders for tests of the engine.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use tokio::sync::{mpsc, watch};

use super::actions::store::Store;
use super::checkpoint::Checkpoint;
use super::concurrency::{AcquireError, ConcurrencyGate, GroupRequest};
use super::context::RunFacts;
use super::environments::{Entered, EnvironmentGate};
use super::hold::Holds;
use super::job::spec::JobSpec;
use super::outlet::{Outlet, StepLog};
use super::results::Results;
use super::sandbox::Sandbox;
use super::sandbox::host::Host;
use super::sandbox::providers::Providers;
use super::sandbox::testing::Script;
use super::{Options, RunContext};
use crate::model::{Event, JobId, StepNumber};
use crate::store::cache::CacheLimits;
use crate::store::concurrency::Ticket;
use crate::store::folder::RunFolder;
use crate::workflow;
use crate::workflow::expr::{Contexts, Object, Status};
use crate::workflow::plan::{Callee, Plan, PlanContexts};
use crate::workflow::source::Source;

pub(crate) mod sandbox;

use sandbox::ScriptedSandbox;

/// Locks a mutex even after a panic, because some tests panic on purpose.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Callback for events.
type Hook = dyn Fn(&Event) + Send + Sync;

/// An outlet that keeps everything in memory.
#[derive(Default)]
pub(crate) struct MemoryOutlet {
    kept: Mutex<Kept>,
    count: watch::Sender<usize>,
    /// Called with every event before it is stored.
    on_record: Option<Box<Hook>>,
}

#[derive(Default)]
struct Kept {
    events: Vec<Event>,
    logs: HashMap<(JobId, StepNumber), Vec<u8>>,
    checkpoints: Vec<Checkpoint>,
    summaries: Vec<String>,
    masks: Vec<String>,
    failure: Option<String>,
}

impl MemoryOutlet {
    /// Creates an outlet that calls a function with every event.
    pub(crate) fn observed(on_record: impl Fn(&Event) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { on_record: Some(Box::new(on_record)), ..Self::default() })
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        locked(&self.kept).events.clone()
    }

    pub(crate) fn log(&self, job: &str, step: u32) -> String {
        let key = (JobId::new(job), StepNumber(step));
        let bytes = locked(&self.kept).logs.get(&key).cloned().unwrap_or_default();
        String::from_utf8(bytes).expect("text")
    }

    pub(crate) fn checkpoints(&self) -> Vec<Checkpoint> {
        locked(&self.kept).checkpoints.clone()
    }

    pub(crate) fn summaries(&self) -> Vec<String> {
        locked(&self.kept).summaries.clone()
    }

    /// Returns the masked values; those that are not UTF-8 with escapes.
    pub(crate) fn masks(&self) -> Vec<String> {
        locked(&self.kept).masks.clone()
    }

    /// Makes all subsequent recording fail.
    pub(crate) fn fail(&self, reason: &str) {
        locked(&self.kept).failure = Some(reason.to_owned());
    }

    /// Waits until an event is recorded for which `is_it` returns true.
    pub(crate) async fn recorded(&self, is_it: impl Fn(&Event) -> bool) {
        let mut count = self.count.subscribe();
        while !locked(&self.kept).events.iter().any(&is_it) {
            count.changed().await.expect("the outlet lives");
        }
    }
}

impl Outlet for MemoryOutlet {
    fn record(&self, event: Event) {
        if let Some(on_record) = &self.on_record {
            on_record(&event);
        }
        let mut kept = locked(&self.kept);
        kept.events.push(event);
        let count = kept.events.len();
        drop(kept);
        self.count.send_replace(count);
    }

    fn log(self: Arc<Self>, job: &JobId, step: StepNumber) -> Box<dyn StepLog> {
        Box::new(MemoryLog { outlet: self, key: (job.clone(), step) })
    }

    fn summary(&self, _job: &JobId, _step: StepNumber, markdown: &str) {
        locked(&self.kept).summaries.push(markdown.to_owned());
    }

    fn checkpoint(&self, _job: &JobId, checkpoint: &Checkpoint) {
        locked(&self.kept).checkpoints.push(checkpoint.clone());
    }

    fn add_mask(&self, secret: &[u8]) {
        let text = str::from_utf8(secret).map_or_else(|_| secret.escape_ascii().to_string(), str::to_owned);
        locked(&self.kept).masks.push(text);
    }

    fn holds_secret(&self, text: &str) -> bool {
        locked(&self.kept).masks.iter().any(|mask| text.contains(mask.as_str()))
    }

    fn failure(&self) -> Option<String> {
        locked(&self.kept).failure.clone()
    }
}

struct MemoryLog {
    outlet: Arc<MemoryOutlet>,
    key: (JobId, StepNumber),
}

impl StepLog for MemoryLog {
    fn write(&mut self, bytes: &[u8]) {
        locked(&self.outlet.kept).logs.entry(self.key.clone()).or_default().extend_from_slice(bytes);
    }

    fn flush(&mut self) {}

    fn finish(&mut self) {}
}

/// A log in memory.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Vec<u8>);

impl Lines {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0).expect("text")
    }
}

impl StepLog for Lines {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn flush(&mut self) {}

    fn finish(&mut self) {}
}

/// Environments without rules.
pub(crate) struct OpenEnvironments;

impl EnvironmentGate for OpenEnvironments {
    fn enter(self: Arc<Self>, _: JobId, _: String) -> BoxFuture<'static, Entered> {
        async { Ok(None) }.boxed()
    }
}

/// Concurrency groups whose acquisition panics.
pub(crate) struct PanickingGate;

impl ConcurrencyGate for PanickingGate {
    fn acquire(
        self: Arc<Self>,
        _job: JobId,
        request: GroupRequest,
    ) -> BoxFuture<'static, Result<Ticket, AcquireError>> {
        async move { panic!("no group {}", request.group) }.boxed()
    }
}

/// Runs git in a folder as the author Ada. Returns its output without blanks around it.
#[track_caller]
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let who = ["-c", "user.name=Ada", "-c", "user.email=a@b"];
    crate::repo::git::git(folder, who.iter().chain(args)).expect("git works").trim().to_owned()
}

/// Returns the facts of a test run: repository `o/r`, event `push`.
pub(crate) fn facts() -> RunFacts {
    RunFacts {
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
        local_api: true,
        secrets: IndexMap::new(),
        vars: IndexMap::new(),
        inputs: Object::default(),
    }
}

/// Creates an offline run of the repository `o/r` below `folder`. Its processes find no programs on `PATH`. `actions`
/// maps actions to folders.
pub(crate) fn run_context(
    folder: &Path,
    outlet: &Arc<MemoryOutlet>,
    providers: Providers,
    actions: &[(&str, &Path)],
) -> RunContext {
    let facts = facts();
    let mapped = actions.iter().map(|(name, folder)| ((*name).to_owned(), folder.to_string_lossy().into_owned()));
    let run = RunFolder::at(folder.join("runs").join("20261126-120000-0001"));
    RunContext {
        run: "20261126-120000-0001".to_owned(),
        results: Results::new(run.clone(), folder.join("repository"), CacheLimits::default()),
        github: facts.github(),
        facts,
        outlet: Arc::clone(outlet) as Arc<dyn Outlet>,
        concurrency: Arc::new(PanickingGate),
        environments: Arc::new(OpenEnvironments),
        host: Arc::new(Host::new([("PATH".into(), "/nowhere".into())])),
        providers,
        actions: Store::new(folder.join("actions"), mapped.collect(), folder.to_owned(), true),
        state: folder.to_owned(),
        folder: run,
        repository: folder.join("repository"),
        work: folder.join("work"),
        tool_cache: folder.join("tools"),
        options: Options::default(),
        holds: Arc::new(Holds::new(None)),
        begun: SystemTime::now(),
        checkout_done: mpsc::unbounded_channel().0,
    }
}

/// Creates a run below `folder` in which every job runs in the scripted `sandbox`, whatever its labels.
pub(crate) fn scripted_run(folder: &Path, outlet: &Arc<MemoryOutlet>, sandbox: &Arc<ScriptedSandbox>) -> RunContext {
    let (_, providers) = Script::default().providers();
    RunContext {
        host: Arc::clone(sandbox) as Arc<dyn Sandbox>,
        options: Options { any_runner: true, ..Options::default() },
        ..run_context(folder, outlet, providers, &[])
    }
}

/// Plans the jobs of a workflow for `push`. `called` are the files of called workflows.
pub(crate) fn plan(jobs: &str, called: &'static [(&str, &str)]) -> Plan {
    let text = format!("on: push\njobs:\n{jobs}");
    let parsed = workflow::parse(&Source::new("ci.yml", text));
    let workflow = parsed.value.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
    let known = PlanContexts { github: facts().github(), ..PlanContexts::default() };
    let called = |path: &str| {
        let (_, text) = called.iter().find(|(name, _)| *name == path)?;
        Some(Callee::parse(Source::new(path, *text)))
    };
    Plan::new(Arc::new(workflow), &known, &called).unwrap_or_else(|faults| panic!("{faults:?}"))
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
