//! Tests of the state machine alone, and with its driver.

use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::state::{Attempt, Effect, Input};
use super::verdict::Verdict;
use super::*;
use crate::engine::RunContext;
use crate::engine::concurrency::AcquireError;
use crate::engine::environments::{Entered, EnvironmentError, EnvironmentGate, JobDeployment};
use crate::engine::job::end::{JobEnd, NotRunnable};
use crate::engine::job::spec::JobSpec;
use crate::engine::panics::caught;
use crate::engine::sandbox::Interrupt;
use crate::engine::testing::sandbox::{ProcessScript, ScriptedSandbox, script_of};
use crate::engine::testing::{MemoryOutlet, facts, plan, scripted_run};
use crate::model::Event;

/// Effect of an update, abbreviated.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Started(String),
    Cancel(String, Cancellation),
    Acquire(String, Vec<String>),
    Release(String),
    Finished(String, Conclusion, Option<String>),
}

/// An attempt without a runtime.
struct Machine {
    attempt: Attempt,
    specs: HashMap<String, JobSpec>,
}

impl Machine {
    fn new(jobs: &str) -> Self {
        Self::with(jobs, &[], 8)
    }

    fn with(jobs: &str, called: &'static [(&str, &str)], slots: usize) -> Self {
        Self::of(plan(jobs, called), slots)
    }

    fn of(plan: Plan, slots: usize) -> Self {
        let start =
            AttemptStart { plan, carried: IndexMap::new(), resumed: HashMap::new(), slots, skips_unrunnable: false };
        Self { attempt: Attempt::new(start, &facts(), facts().github()), specs: HashMap::new() }
    }

    fn update(&mut self, input: Input) -> Vec<Seen> {
        let mut seen = Vec::new();
        for effect in self.attempt.update(input) {
            seen.push(match effect {
                Effect::Record(Event::JobFinished { job, conclusion, reason, .. }) => {
                    Seen::Finished(job.to_string(), conclusion, reason)
                }
                Effect::Record(_) => continue,
                Effect::StartJob(spec) => {
                    let id = spec.id.to_string();
                    self.specs.insert(id.clone(), *spec);
                    Seen::Started(id)
                }
                Effect::GrantSlot(_) => continue,
                Effect::CancelJob(id, asked) => Seen::Cancel(id.to_string(), asked),
                Effect::AcquireGroups(id, requests) => {
                    Seen::Acquire(id.to_string(), requests.into_iter().map(|request| request.group).collect())
                }
                Effect::ReleaseGroups(id) => Seen::Release(id.to_string()),
            });
        }
        seen
    }

    /// Ends a job, and returns the effects that follow the record of its end.
    fn ended(&mut self, job: &str, end: JobEnd) -> Vec<Seen> {
        let mut seen = self.update(Input::JobEnded(JobId::new(job), end));
        assert!(matches!(seen.remove(0), Seen::Finished(ended, ..) if ended == job));
        seen
    }

    fn conclusion(&self) -> Option<Conclusion> {
        self.attempt.end().map(|end| end.conclusion)
    }
}

fn started(job: &str) -> Seen {
    Seen::Started(job.to_owned())
}

fn finished(job: &str, conclusion: Conclusion, reason: &str) -> Seen {
    Seen::Finished(job.to_owned(), conclusion, Some(reason.to_owned()))
}

fn success() -> JobEnd {
    JobEnd::of(Conclusion::Success)
}

const PAIR: &str =
    "  a:\n    runs-on: x\n    steps: [run: '1']\n  b:\n    needs: a\n    runs-on: x\n    steps: [run: '1']\n";

const ALWAYS: &str = "  a:\n    runs-on: x\n    steps: [run: '1']\n  b:\n    needs: a\n    if: always()\n    runs-on: x\n    steps: [run: '1']\n";

const GROUP: &str = "  a:\n    concurrency: one\n    runs-on: x\n    steps: [run: '1']\n";

#[test]
fn a_job_starts_after_its_needs_and_sees_their_outputs() {
    let mut machine = Machine::new(PAIR);
    assert_eq!(machine.update(Input::Begin), [started("a")]);
    let outputs = [("out".to_owned(), "1".to_owned()), ("empty".to_owned(), String::new())].into();
    assert_eq!(machine.ended("a", JobEnd { outputs, ..success() }), [started("b")]);
    let needs = machine.specs["b"].contexts.get("needs").and_then(|needs| needs.get("a")).cloned().expect("a");
    assert_eq!(needs.to_json(), serde_json::json!({"outputs": {"out": "1"}, "result": "success"}));
    assert_eq!(machine.conclusion(), None);
    assert_eq!(machine.ended("b", success()), []);
    assert_eq!(machine.conclusion(), Some(Conclusion::Success));
}

#[test]
fn a_call_whose_matrix_is_made_of_results_runs_once_for_each_leg() {
    const CALLED: &str = "on: {workflow_call: {inputs: {e: {type: string}}, outputs: {got: {value: '${{ jobs.b.outputs.o }}'}}}}\n\
        jobs:\n  a:\n    name: first ${{ inputs.e }}\n    runs-on: x\n    steps: [run: '1']\n  \
        b:\n    needs: a\n    if: inputs.e == 'one'\n    runs-on: x\n    outputs: {o: x}\n    steps: [run: '1']\n";
    let jobs = "  prep:\n    runs-on: x\n    steps: [run: '1']\n  call:\n    needs: prep\n    strategy:\n      \
        matrix: {e: '${{ fromJSON(needs.prep.outputs.list) }}'}\n    uses: ./c.yml\n    with: {e: '${{ matrix.e }}'}\n  \
        after:\n    needs: call\n    runs-on: x\n    steps: [run: '1']\n";
    let mut machine = Machine::with(jobs, &[("c.yml", CALLED)], 8);
    assert_eq!(machine.update(Input::Begin), [started("prep")]);
    let outputs = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    let list = JobEnd { outputs: outputs("list", "[\"one\", \"two\"]"), ..success() };
    assert_eq!(machine.ended("prep", list), [started("call.1.a"), started("call.2.a")]);
    let spec = |id: &str| machine.specs[id].name.clone();
    assert_eq!([spec("call.1.a"), spec("call.2.a")], ["call (one) / first one", "call (two) / first two"]);
    let skipped = "`if: inputs.e == 'one'` was false";
    let seen = machine.ended("call.2.a", success());
    assert!(seen.contains(&finished("call.2.b", Conclusion::Skipped, skipped)), "{seen:?}");
    assert_eq!(machine.ended("call.1.a", success()), [started("call.1.b")]);
    let seen = machine.ended("call.1.b", JobEnd { outputs: outputs("o", "one-out"), ..success() });
    assert!(seen.contains(&started("after")), "{seen:?}");
    let needs =
        machine.specs["after"].contexts.get("needs").and_then(|needs| needs.get("call")).cloned().expect("call");
    assert_eq!(needs.to_json(), serde_json::json!({"outputs": {"got": "one-out"}, "result": "success"}));
}

#[test]
fn a_call_that_cannot_be_planned_when_its_legs_are_known_fails_with_the_reason() {
    const CALLED: &str = "on: {workflow_call: {inputs: {l: {type: string}}}}\n\
        jobs: {a: {strategy: {matrix: {v: '${{ fromJSON(inputs.l) }}'}}, runs-on: x, steps: [run: '1']}}\n";
    let jobs = "  prep:\n    runs-on: x\n    steps: [run: '1']\n  call:\n    needs: prep\n    strategy:\n      \
        matrix: {l: '${{ fromJSON(needs.prep.outputs.list) }}'}\n    uses: ./c.yml\n    with: {l: '${{ matrix.l }}'}\n";
    let mut machine = Machine::with(jobs, &[("c.yml", CALLED)], 8);
    machine.update(Input::Begin);
    let list = JobEnd { outputs: [("list".to_owned(), "[\"[\"]".to_owned())].into(), ..success() };
    let seen = machine.ended("prep", list);
    let [Seen::Finished(job, Conclusion::Failure, Some(reason))] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(job == "call" && reason.starts_with("the workflow that it calls cannot run: c.yml:2:"), "{reason}");
    assert_eq!(machine.conclusion(), Some(Conclusion::Failure));
}

#[test]
fn a_failed_job_skips_dependent_jobs() {
    let mut machine = Machine::new(PAIR);
    machine.update(Input::Begin);
    let seen = machine.ended("a", JobEnd::failed("no"));
    assert_eq!(seen, [finished("b", Conclusion::Skipped, "needs `a`, which failed")]);
    assert_eq!(machine.conclusion(), Some(Conclusion::Failure));
}

#[test]
fn a_cancel_ends_running_jobs_and_drops_queued_ones() {
    let two = "  a:\n    runs-on: x\n    steps: [run: '1']\n  b:\n    runs-on: x\n    steps: [run: '1']\n";
    let mut machine = Machine::with(two, &[], 1);
    assert_eq!(machine.update(Input::Begin), [started("a")]);
    let seen = machine.update(Input::Cancelled(Cancellation::Cancel));
    assert_eq!(
        seen,
        [
            Seen::Cancel("a".to_owned(), Cancellation::Cancel),
            finished("b", Conclusion::Cancelled, "cancelled before it started"),
        ]
    );
    assert_eq!(machine.conclusion(), None, "`a` still runs");
    machine.ended("a", JobEnd::of(Conclusion::Cancelled));
    assert_eq!(machine.conclusion(), Some(Conclusion::Cancelled));
}

#[test]
fn jobs_started_after_a_cancel_ignore_it_and_none_starts_after_a_forced_one() {
    for (asked, starts) in [(Cancellation::Cancel, true), (Cancellation::Force, false)] {
        let mut machine = Machine::new(ALWAYS);
        machine.update(Input::Begin);
        machine.update(Input::Cancelled(asked));
        let seen = machine.ended("a", JobEnd::of(Conclusion::Cancelled));
        if starts {
            assert_eq!(seen, [started("b")]);
            assert!(machine.specs["b"].ignores_cancel && !machine.specs["a"].ignores_cancel);
        } else {
            assert_eq!(seen, [finished("b", Conclusion::Cancelled, "cancelled before it started")]);
            assert_eq!(machine.conclusion(), Some(Conclusion::Cancelled));
        }
    }
}

#[tokio::test]
async fn a_panic_of_a_job_is_its_failure() {
    let mut machine = Machine::new(PAIR);
    machine.update(Input::Begin);
    let panic = caught::<()>(async { panic!("index out of bounds") }).await.expect_err("panicked");
    assert_eq!(
        machine.update(Input::JobPanicked(JobId::new("a"), panic)),
        [
            finished("a", Conclusion::Failure, "internal error: the job's task panicked: index out of bounds"),
            finished("b", Conclusion::Skipped, "needs `a`, which failed"),
        ]
    );
    assert_eq!(machine.conclusion(), Some(Conclusion::Failure));
}

#[test]
fn a_run_that_cannot_be_recorded_ends_with_that_reason() {
    let mut machine = Machine::new(ALWAYS);
    machine.update(Input::Begin);
    let seen = machine.update(Input::OutletFailed("no space".to_owned()));
    assert_eq!(seen, [Seen::Cancel("a".to_owned(), Cancellation::Force)]);
    machine.ended("a", success());
    let end = machine.attempt.end().expect("ended");
    assert_eq!((end.conclusion, end.reason.as_deref()), (Conclusion::Failure, Some("no space")));
}

#[test]
fn a_job_starts_with_its_groups_and_releases_them_at_its_end() {
    let mut machine = Machine::new(GROUP);
    let acquire = Seen::Acquire("a".to_owned(), vec!["one".to_owned()]);
    assert_eq!(machine.update(Input::Begin), [acquire]);
    assert_eq!(machine.update(Input::GroupsAcquired(JobId::new("a"), Ok(()))), [started("a")]);
    assert_eq!(machine.ended("a", success()), [Seen::Release("a".to_owned())]);
    assert_eq!(machine.conclusion(), Some(Conclusion::Success));
}

#[test]
fn a_job_that_cannot_acquire_its_groups_ends_with_the_reason() {
    let id = || JobId::new("a");
    let reason = || "why".to_owned();
    for (input, conclusion, waits) in [
        (Input::GroupsAcquired(id(), Err(AcquireError::Deadlock(reason()))), Conclusion::Cancelled, false),
        (Input::GroupsAcquired(id(), Err(AcquireError::Failed(reason()))), Conclusion::Failure, false),
        (Input::Displaced(id(), reason()), Conclusion::Cancelled, true),
    ] {
        let mut machine = Machine::new(GROUP);
        machine.update(Input::Begin);
        let mut expected = vec![finished("a", conclusion, "why")];
        expected.extend(waits.then(|| Seen::Release("a".to_owned())));
        assert_eq!(machine.update(input), expected);
        assert_eq!(machine.conclusion(), Some(conclusion));
        // This answer was already on its way when the job ended.
        assert_eq!(machine.update(Input::GroupsAcquired(id(), Ok(()))), [Seen::Release("a".to_owned())]);
    }
}

#[test]
fn a_displaced_job_that_runs_is_cancelled() {
    let mut machine = Machine::new(GROUP);
    machine.update(Input::Begin);
    machine.update(Input::GroupsAcquired(JobId::new("a"), Ok(())));
    let seen = machine.update(Input::Displaced(JobId::new("a"), "why".to_owned()));
    assert_eq!(seen, [Seen::Cancel("a".to_owned(), Cancellation::Cancel)]);
    let seen = machine.update(Input::JobEnded(JobId::new("a"), JobEnd::of(Conclusion::Cancelled)));
    assert_eq!(seen, [finished("a", Conclusion::Cancelled, "why"), Seen::Release("a".to_owned())]);
}

#[test]
fn a_failed_leg_cancels_the_others() {
    let mut machine =
        Machine::with("  m:\n    strategy: {matrix: {n: [1, 2, 3]}}\n    runs-on: x\n    steps: [run: '1']\n", &[], 2);
    let legs: Vec<_> = machine.update(Input::Begin);
    let [Seen::Started(first), Seen::Started(second)] = &legs[..] else { panic!("two legs, not {legs:?}") };
    let seen = machine.ended(first, JobEnd::failed("no"));
    assert_eq!(seen[0], Seen::Cancel(second.clone(), Cancellation::Cancel));
    let [_, dropped] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(
        *dropped,
        finished("m.3", Conclusion::Cancelled, "cancelled before it started (fail-fast: m (1) failed)")
    );
    let seen = machine.update(Input::JobEnded(JobId::new(second), JobEnd::of(Conclusion::Cancelled)));
    assert_eq!(seen, [finished(second, Conclusion::Cancelled, "fail-fast: m (1) failed")]);
}

#[test]
fn a_leg_that_runs_alone_is_the_same_as_among_the_others() {
    let jobs = "  m:\n    strategy: {matrix: {n: [a, b, c]}}\n    runs-on: x\n    steps: [run: '1']\n";
    let plan = plan(jobs, &[]).only(&["m (b)".to_owned()]).expect("a leg");
    let mut machine = Machine::of(plan, 8);
    assert_eq!(machine.update(Input::Begin), [started("m.2")]);
    let context = |name: &str| machine.specs["m.2"].contexts.get(name).expect("a context").to_json();
    assert_eq!(context("matrix"), serde_json::json!({"n": "b"}));
    assert_eq!((&context("strategy")["job-index"], &context("strategy")["job-total"]), (&1.into(), &3.into()));
    assert_eq!(machine.ended("m.2", success()), []);
    assert_eq!(machine.conclusion(), Some(Conclusion::Success));
}

#[test]
fn a_called_workflow_gets_inputs_and_returns_outputs() {
    static FILES: std::sync::OnceLock<[(&str, &str); 1]> = std::sync::OnceLock::new();
    let caller = "  call:\n    uses: ./w.yml\n    with: {n: '7'}\n  after:\n    needs: call\n    runs-on: x\n    steps: [run: '1']\n";
    let called = "on:\n  workflow_call:\n    inputs: {n: {type: string}}\n    outputs:\n      o: {value: '${{ jobs.inner.outputs.o }}'}\njobs:\n  inner:\n    outputs: {o: '1'}\n    runs-on: x\n    steps: [run: '1']\n";
    let files = FILES.get_or_init(|| [("w.yml", called)]);
    let mut machine = Machine::with(caller, files, 8);
    assert_eq!(machine.update(Input::Begin), [started("call.inner")]);
    let inputs = machine.specs["call.inner"].contexts.get("inputs").and_then(|inputs| inputs.get("n")).cloned();
    assert_eq!(inputs.expect("an input").to_text(), "7");
    let outputs = [("o".to_owned(), "done".to_owned())].into();
    let seen = machine.ended("call.inner", JobEnd { outputs, ..success() });
    assert_eq!(seen, [Seen::Finished("call".to_owned(), Conclusion::Success, None), started("after")]);
    let needs = machine.specs["after"].contexts.get("needs").and_then(|needs| needs.get("call")).cloned();
    assert_eq!(needs.expect("call").to_json(), serde_json::json!({"outputs": {"o": "done"}, "result": "success"}));
}

#[test]
fn the_default_of_an_input_sees_the_inputs_of_its_own_workflow() {
    const CALLED: &str = "on:\n  workflow_call:\n    inputs:\n      target: {type: string}\n      \
        name: {type: string, default: '${{ github.event_name }} of ${{ inputs.target }}'}\n\
        jobs: {inner: {runs-on: x, steps: [run: '1']}}\n";
    let caller = "  call:\n    uses: ./w.yml\n    with: {target: the-callee}\n";
    let mut machine = Machine::with(caller, &[("w.yml", CALLED)], 8);
    assert_eq!(machine.update(Input::Begin), [started("call.inner")]);
    let name = machine.specs["call.inner"].contexts.get("inputs").and_then(|inputs| inputs.get("name")).cloned();
    assert_eq!(name.expect("an input").to_text(), "push of the-callee");
}

#[test]
fn a_job_with_a_snapshot_starts() {
    let mut machine = Machine::new("  a:\n    runs-on: x\n    snapshot: image\n    steps: [run: '1']\n");
    assert_eq!(machine.update(Input::Begin), [started("a")], "a snapshot is GitHub's alone");
}

/// A run with its driver, whose processes are scripted.
struct Driven {
    home: tempfile::TempDir,
    outlet: Arc<MemoryOutlet>,
    sandbox: Arc<ScriptedSandbox>,
    stop: watch::Sender<Cancellation>,
}

impl Driven {
    fn new(outlet: Arc<MemoryOutlet>, sandbox: ScriptedSandbox) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home, outlet, sandbox: Arc::new(sandbox), stop: watch::channel(Cancellation::None).0 }
    }

    async fn run(&self, jobs: &str) -> RunEnd {
        let context = scripted_run(self.home.path(), &self.outlet, &self.sandbox);
        self.run_in(context, jobs, 2).await
    }

    async fn run_in(&self, context: RunContext, jobs: &str, slots: usize) -> RunEnd {
        let start = AttemptStart {
            plan: plan(jobs, &[]),
            carried: IndexMap::new(),
            resumed: HashMap::new(),
            slots,
            skips_unrunnable: false,
        };
        let (_displace, displaced) = mpsc::channel(1);
        run(Arc::new(context), start, Orders { stop: self.stop.subscribe(), displaced }).await
    }

    /// Returns how a job ended according to its last event.
    fn end_of(&self, id: &str) -> (Conclusion, String) {
        let ends = self.outlet.events().into_iter().filter_map(|event| match event {
            Event::JobFinished { job, conclusion, reason, .. } if job.as_str() == id => {
                Some((conclusion, reason.unwrap_or_default()))
            }
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "one end of {id}: {ends:?}");
        ends[0].clone()
    }
}

/// An environment whose rules let a job pass once the test notifies them.
#[derive(Default)]
struct HeldEnvironment(tokio::sync::Notify);

impl EnvironmentGate for HeldEnvironment {
    fn enter(self: Arc<Self>, _: JobId, _: String) -> BoxFuture<'static, Entered> {
        async move {
            self.0.notified().await;
            Ok(None)
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_an_environment_leaves_its_slot_to_another() {
    let jobs = "  deploy:\n    runs-on: x\n    environment: production\n    steps: [run: '1']\n  \
                build:\n    runs-on: x\n    steps: [run: '1']\n";
    let environment = Arc::<HeldEnvironment>::default();
    let opens = Arc::clone(&environment);
    let outlet = MemoryOutlet::observed(move |event| {
        if let Event::JobStarted { job, .. } = event
            && job.as_str() == "build"
        {
            opens.0.notify_one();
        }
    });
    let run = Driven::new(Arc::clone(&outlet), ScriptedSandbox::always(ProcessScript::exits(0)));
    let context = RunContext { environments: environment, ..scripted_run(run.home.path(), &run.outlet, &run.sandbox) };
    let end = tokio::time::timeout(std::time::Duration::from_hours(1), run.run_in(context, jobs, 1)).await;
    assert_eq!(end.expect("build starts while deploy waits").conclusion, Conclusion::Success);
    assert_eq!(turns(&outlet), ["build starts", "build ends", "deploy starts", "deploy ends"]);
}

/// An environment that looks free at first, but that another deployment has until `ends` is notified.
#[derive(Default)]
struct TakenEnvironment {
    ends: tokio::sync::Notify,
    /// Calls of the methods of the deployment, in order.
    asked: std::sync::Mutex<Vec<&'static str>>,
}

struct TakenDeployment(Arc<TakenEnvironment>);

impl EnvironmentGate for TakenEnvironment {
    fn enter(self: Arc<Self>, _: JobId, _: String) -> BoxFuture<'static, Entered> {
        async move { Ok(Some(Box::new(TakenDeployment(self)) as _)) }.boxed()
    }
}

impl TakenDeployment {
    fn ask(&self, what: &'static str) -> usize {
        let mut asked = self.0.asked.lock().expect("no panic");
        asked.push(what);
        asked.iter().filter(|one| **one == what).count()
    }
}

impl JobDeployment for TakenDeployment {
    fn wait(&mut self) -> BoxFuture<'_, Result<(), EnvironmentError>> {
        async move {
            if self.ask("wait") > 1 {
                self.0.ends.notified().await;
            }
            Ok(())
        }
        .boxed()
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<bool, EnvironmentError>> {
        async move { Ok(self.ask("begin") > 1) }.boxed()
    }

    fn end(self: Box<Self>, conclusion: Conclusion, _: Option<&str>) -> Result<(), EnvironmentError> {
        assert_eq!((self.ask("end"), conclusion), (1, Conclusion::Success));
        Ok(())
    }
}

/// Returns the starts and ends of jobs, in order.
fn turns(outlet: &MemoryOutlet) -> Vec<String> {
    let order = outlet.events().into_iter().filter_map(|event| match event {
        Event::JobStarted { job, .. } => Some(format!("{job} starts")),
        Event::JobFinished { job, .. } => Some(format!("{job} ends")),
        _ => None,
    });
    order.collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_environment_is_taken_when_it_has_a_slot_waits_again_without_the_slot() {
    let jobs = "  deploy:\n    runs-on: x\n    environment: production\n    steps: [run: '1']\n  \
                build:\n    runs-on: x\n    steps: [run: '1']\n";
    let environment = Arc::<TakenEnvironment>::default();
    let other = Arc::clone(&environment);
    let outlet = MemoryOutlet::observed(move |event| {
        if let Event::JobStarted { job, .. } = event
            && job.as_str() == "build"
        {
            other.ends.notify_one();
        }
    });
    let run = Driven::new(Arc::clone(&outlet), ScriptedSandbox::always(ProcessScript::exits(0)));
    let environments = Arc::clone(&environment) as Arc<dyn EnvironmentGate>;
    let context = RunContext { environments, ..scripted_run(run.home.path(), &run.outlet, &run.sandbox) };
    let end = tokio::time::timeout(std::time::Duration::from_hours(1), run.run_in(context, jobs, 1)).await;
    assert_eq!(end.expect("build starts while deploy waits").conclusion, Conclusion::Success);
    assert_eq!(turns(&outlet), ["build starts", "build ends", "deploy starts", "deploy ends"]);
    assert_eq!(*environment.asked.lock().expect("no panic"), ["wait", "begin", "wait", "begin", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_an_environment_leaves_its_ports_to_another() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("free").port();
    let job = |name: &str, key: &str| {
        format!(
            "  {name}:\n    runs-on: x\n    {key}services: {{db: {{image: a, ports: ['{port}:1']}}}}\n    steps: [run: '1']\n"
        )
    };
    let jobs = job("deploy", "environment: production\n    ") + &job("build", "");
    let environment = Arc::<HeldEnvironment>::default();
    let opens = Arc::clone(&environment);
    let outlet = MemoryOutlet::observed(move |event| {
        if let Event::JobStarted { job, .. } = event
            && job.as_str() == "build"
        {
            opens.0.notify_one();
        }
    });
    let run = Driven::new(Arc::clone(&outlet), ScriptedSandbox::always(ProcessScript::exits(0)));
    let context = RunContext { environments: environment, ..scripted_run(run.home.path(), &run.outlet, &run.sandbox) };
    let end = tokio::time::timeout(std::time::Duration::from_hours(1), run.run_in(context, &jobs, 1)).await;
    assert_eq!(end.expect("build has the port while deploy waits").conclusion, Conclusion::Success);
    assert_eq!(turns(&outlet), ["build starts", "build ends", "deploy starts", "deploy ends"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_cancelled_while_it_waits_for_an_environment_never_starts() {
    let jobs = "  deploy:\n    runs-on: x\n    environment: production\n    steps: [run: '1']\n";
    let run = Driven::new(Arc::default(), ScriptedSandbox::always(ProcessScript::exits(0)));
    let environments = Arc::<HeldEnvironment>::default();
    let context = RunContext { environments, ..scripted_run(run.home.path(), &run.outlet, &run.sandbox) };
    let cancels = async {
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        run.stop.send_replace(Cancellation::Cancel);
    };
    let (end, ()) = tokio::join!(run.run_in(context, jobs, 1), cancels);
    assert_eq!(end.conclusion, Conclusion::Cancelled);
    assert_eq!(run.end_of("deploy"), (Conclusion::Cancelled, "cancelled before it started".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_step_ends_its_job_and_leaves_nothing_behind() {
    let run = Driven::new(Arc::default(), ScriptedSandbox::new(|_| panic!("the sandbox broke")));
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Failure);
    let (conclusion, reason) = run.end_of("a");
    assert_eq!(conclusion, Conclusion::Failure);
    assert_eq!(reason, "internal error: the job's task panicked: the sandbox broke");
    assert_eq!(run.end_of("b").0, Conclusion::Skipped);
    assert!(!run.home.path().join("work/a/_temp").exists(), "folders that may hold secrets are removed");
    assert_eq!(run.sandbox.reaped(), ["cuelight/20261126-120000-0001@/a/"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_the_steps_also_ends_the_job() {
    let outlet = MemoryOutlet::observed(|event| {
        assert!(!matches!(event, Event::JobStarted { .. }), "cannot start");
    });
    let run = Driven::new(outlet, ScriptedSandbox::always(ProcessScript::exits(0)));
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Failure);
    let (conclusion, reason) = run.end_of("a");
    assert_eq!(conclusion, Conclusion::Failure);
    assert_eq!(reason, "internal error: the job's task panicked: cannot start");
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_job_waits_for_its_group_ends_the_job() {
    let run = Driven::new(Arc::default(), ScriptedSandbox::always(ProcessScript::exits(0)));
    assert_eq!(run.run(GROUP).await.conclusion, Conclusion::Failure);
    let reason = "internal error: the wait for its group panicked: no group one";
    assert_eq!(run.end_of("a"), (Conclusion::Failure, reason.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_fails_in_fetch_fails_the_step() {
    let sandbox = ScriptedSandbox::always(ProcessScript::exits(0)).failing_in_fetch("", io::ErrorKind::ConnectionReset);
    let run = Driven::new(Arc::default(), sandbox);
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Failure);
    let (conclusion, reason) = run.end_of("a");
    assert_eq!(conclusion, Conclusion::Failure);
    assert_eq!(reason, "GITHUB_ENV: cannot be fetched from the machine of the step: connection reset");
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_is_too_large_to_fetch_fails_no_step() {
    let sandbox = ScriptedSandbox::always(ProcessScript::exits(0))
        .failing_in_fetch("GITHUB_STEP_SUMMARY", io::ErrorKind::FileTooLarge);
    let outlet = Arc::<MemoryOutlet>::default();
    let run = Driven::new(Arc::clone(&outlet), sandbox);
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Success);
    let log = outlet.log("a", 2);
    assert!(log.contains("the step's summary is dropped: cannot be fetched"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_between_starting_and_started_ends_the_job_before_its_first_step() {
    // The cancel is requested while the planned jobs are recorded: the task of `a` is spawned afterwards, and has not
    // run when the cancel is handled.
    let stop = watch::channel(Cancellation::None).0;
    let asks = stop.clone();
    let outlet = MemoryOutlet::observed(move |event| {
        if let Event::JobsPlanned { .. } = event {
            asks.send_replace(Cancellation::Cancel);
        }
    });
    let run = Driven { stop, ..Driven::new(outlet, ScriptedSandbox::always(ProcessScript::exits(0))) };
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Cancelled);
    assert_eq!(run.end_of("a"), (Conclusion::Cancelled, "cancelled before it started".to_owned()));
    assert_eq!(run.end_of("b").0, Conclusion::Skipped);
    assert!(run.sandbox.launched_with("CI").is_empty(), "no process was started");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_a_running_step_and_still_runs_always_steps() {
    let jobs = "  a:\n    runs-on: x\n    steps:\n      - run: sleep\n      - run: echo\n      - run: tidy\n        if: always()\n";
    let sandbox = ScriptedSandbox::new(|launch| {
        Ok(if script_of(launch) == "sleep" { ProcessScript::until(Interrupt::Int) } else { ProcessScript::exits(0) })
    });
    let run = Driven::new(Arc::default(), sandbox);
    let cancels = async {
        run.outlet.recorded(|event| matches!(event, Event::StepStarted { name, .. } if name == "Run sleep")).await;
        run.stop.send_replace(Cancellation::Cancel);
    };
    let (end, ()) = tokio::join!(run.run(jobs), cancels);
    assert_eq!(end.conclusion, Conclusion::Cancelled);
    let steps = run.outlet.events().into_iter().filter_map(|event| match event {
        Event::StepFinished { step, conclusion, .. } => Some((step.0, conclusion)),
        _ => None,
    });
    assert_eq!(
        steps.collect::<Vec<_>>(),
        [
            (1, Conclusion::Success),
            (2, Conclusion::Cancelled),
            (3, Conclusion::Skipped),
            (4, Conclusion::Success),
            (5, Conclusion::Success),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_outlet_that_fails_ends_the_run() {
    let outlet = Arc::<MemoryOutlet>::default();
    let failing = Arc::clone(&outlet);
    let sandbox = ScriptedSandbox::new(move |_| {
        failing.fail("no space left");
        Ok(ProcessScript::exits(0))
    });
    let run = Driven::new(outlet, sandbox);
    let end = run.run(ALWAYS).await;
    assert_eq!((end.conclusion, end.reason.as_deref()), (Conclusion::Failure, Some("no space left")));
    assert_eq!(run.end_of("b"), (Conclusion::Cancelled, "cancelled before it started".to_owned()));
}

#[test]
fn jobs_that_need_another_machine_are_named_once_and_may_be_left_out() {
    let jobs = "  m:\n    strategy: {matrix: {n: [1, 2]}}\n    runs-on: x\n    steps: [run: '1']\n  a: {runs-on: x, steps: [run: '1']}\n";
    for (skips, why, conclusion, reason) in [
        (false, NotRunnable::Elsewhere("moon".to_owned()), Conclusion::Failure, "not runnable here: m ×2 (1, 2): moon"),
        (
            true,
            NotRunnable::Elsewhere("moon".to_owned()),
            Conclusion::Success,
            "skipped, because they need another machine: m ×2 (1, 2): moon",
        ),
        (true, NotRunnable::Nowhere("odd".to_owned()), Conclusion::Failure, "not runnable here: m ×2 (1, 2): odd"),
    ] {
        let mut machine = Machine::new(jobs);
        machine.attempt.verdict = Verdict::new(skips);
        machine.update(Input::Begin);
        machine.ended("m.1", why.clone().end());
        machine.ended("m.2", why.end());
        machine.ended("a", success());
        let reason = Some(reason.to_owned());
        assert_eq!(machine.attempt.end(), Some(RunEnd { conclusion, reason }));
    }
}

#[test]
fn jobs_that_need_different_machines_are_named_in_one_sentence() {
    let jobs = "  m:\n    strategy: {matrix: {n: [1, 2]}}\n    runs-on: x\n    steps: [run: '1']\n  a: {runs-on: x, steps: [run: '1']}\n";
    let mut machine = Machine::new(jobs);
    machine.update(Input::Begin);
    for (job, label) in [("m.1", "mac"), ("m.2", "windows"), ("a", "mac")] {
        machine.ended(job, NotRunnable::Elsewhere(format!("no runner for `{label}`")).end());
    }
    let reason = machine.attempt.end().and_then(|end| end.reason);
    assert_eq!(reason.as_deref(), Some("not runnable here: m ×2 (1, 2), a: no runner for `mac`, `windows`"));
}
