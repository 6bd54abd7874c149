//! The state machine alone.

use super::*;

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
