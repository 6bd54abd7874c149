//! Snapshots of generated runs, truncated folders, and malformed answers.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::backend::github::wire::checks::Annotation;
use crate::backend::github::wire::deployments::PendingDeployment;
use crate::backend::github::wire::repository::ConcurrencyGroup;
use crate::backend::github::wire::runs::{Job as WireJob, Run as WireRun};
use crate::backend::github::wire::{Field, List, time};
use crate::model::{Conclusion, Gate, Job, JobId, Level, Phase, Record, Run, RunInfo, ServerKind, Summary, Timestamp};
use crate::store::folder::RunsDir;
use crate::store::history;
use crate::store::runs::RunStore;

use super::events::{Snapshot, Timed, annotations, events};
use super::folder::{Mirror, RemoteId, Stub, spec, stub};
use super::graph::{Graph, WorkflowFiles};

/// Returns the time a number of seconds after the start of a run, as servers write it.
fn at(seconds: u64) -> String {
    format!("2026-01-15T09:{:02}:{:02}Z", seconds / 60, seconds % 60)
}

/// A job of a generated run.
#[derive(Clone, Debug)]
struct Planned {
    /// Jobs before it that it needs.
    needs: Vec<usize>,
    queue: u64,
    /// Lengths of its steps in seconds, and how each ends.
    steps: Vec<(u64, &'static str)>,
    conclusion: &'static str,
}

/// A job with its times in one attempt; without times it is skipped.
struct Times {
    queued: u64,
    ran: Option<(u64, u64)>,
}

fn planned() -> impl Strategy<Value = Vec<Planned>> {
    let step = (0_u64..7, prop::sample::select(vec!["success", "failure", "skipped"]));
    let job = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        0_u64..6,
        prop::collection::vec(step, 0..5),
        prop::sample::select(vec!["success", "success", "failure", "cancelled", "skipped", "timed_out", "brand_new"]),
    );
    prop::collection::vec(job, 1..6).prop_map(|jobs| {
        let mut all: Vec<Planned> = Vec::new();
        for (needs, queue, mut steps, conclusion) in jobs {
            // A step that is skipped takes no time.
            steps.iter_mut().filter(|step| step.1 == "skipped").for_each(|step| step.0 = 0);
            let mut needs: Vec<usize> =
                if all.is_empty() { Vec::new() } else { needs.iter().map(|need| need.index(all.len())).collect() };
            needs.sort_unstable();
            needs.dedup();
            all.push(Planned { needs, queue, steps, conclusion });
        }
        all
    })
}

fn timetable(jobs: &[Planned], start: u64) -> Vec<Times> {
    let mut times: Vec<Times> = Vec::new();
    for job in jobs {
        let ends = job.needs.iter().map(|need| times[*need].ran.map_or(times[*need].queued, |(_, end)| end));
        let queued = ends.max().unwrap_or(start);
        let length: u64 = job.steps.iter().map(|step| step.0).sum();
        let started = queued + job.queue;
        let ran = (job.conclusion != "skipped").then_some((started, started + length));
        times.push(Times { queued, ran });
    }
    times
}

/// Returns the run and the jobs of an attempt as a server shows them at the time `now`.
fn shown(jobs: &[Planned], attempt: u32, start: u64, now: u64) -> (WireRun, Vec<WireJob>) {
    let times = timetable(jobs, start);
    let end = |times: &Times| times.ran.map_or(times.queued, |(_, end)| end);
    let last = times.iter().map(end).max().unwrap_or(start);
    let mut listed = Vec::new();
    for (number, (job, times)) in (0_u64..).zip(jobs.iter().zip(&times)) {
        if times.queued > now {
            continue;
        }
        let mut value = json!({"id": u64::from(attempt) * 100 + number, "name": format!("j{number}"), "run_attempt": attempt,
            "created_at": at(times.queued), "status": "queued", "labels": ["x"], "steps": []});
        match times.ran {
            Some((started, ended)) if started <= now => {
                let (mut step_start, mut steps) = (started, Vec::new());
                for (number, (length, ending)) in (1..).zip(&job.steps) {
                    let step_end = step_start + length;
                    let mut step = json!({"number": number, "name": format!("s{number}"), "status": "queued"});
                    if step_end <= now {
                        step["status"] = json!("completed");
                        step["conclusion"] = json!(ending);
                        step["completed_at"] = json!(at(step_end));
                        step["started_at"] = json!(at(step_start));
                    } else if step_start <= now {
                        step["status"] = json!("in_progress");
                        step["started_at"] = json!(at(step_start));
                    }
                    steps.push(step);
                    step_start = step_end;
                }
                value["steps"] = json!(steps);
                value["runner_name"] = json!("r");
                value["started_at"] = json!(at(started));
                value["status"] = json!("in_progress");
                if ended <= now {
                    value["status"] = json!("completed");
                    value["conclusion"] = json!(job.conclusion);
                    value["completed_at"] = json!(at(ended));
                }
            }
            Some(_) => {}
            None => {
                value["status"] = json!("completed");
                value["conclusion"] = json!("skipped");
                value["started_at"] = json!(at(times.queued));
                value["completed_at"] = json!(at(times.queued));
            }
        }
        listed.push(serde_json::from_value(value).expect("a job"));
    }
    let is_done = last <= now;
    let run = json!({"id": 7, "run_attempt": attempt, "display_title": "T", "path": "ci.yml", "event": "push",
        "created_at": at(0), "run_started_at": at(start), "updated_at": at(now.min(last)),
        "status": if is_done { "completed" } else { "in_progress" },
        "conclusion": if is_done { json!("failure") } else { Value::Null }});
    (serde_json::from_value(run).expect("a run"), listed)
}

fn graph(jobs: &[Planned], run: &WireRun) -> Graph {
    let job = |(number, job): (usize, &Planned)| {
        let needs: Vec<String> = job.needs.iter().map(|need| format!("j{need}")).collect();
        format!("  j{number}: {{needs: [{}], runs-on: x}}\n", needs.join(", "))
    };
    let jobs: String = jobs.iter().enumerate().map(job).collect();
    let text = format!("on: push\njobs:\n{jobs}");
    Graph::new(run, Some(&WorkflowFiles { path: "ci.yml".to_owned(), text, ..WorkflowFiles::default() }))
}

/// A run that is folded from the events of snapshots.
struct Folded(RunStore, RunInfo);

impl Folded {
    fn new() -> Self {
        let info = crate::model::testing::info(crate::model::RunId::new("r"), Timestamp(0));
        let mut store = RunStore::default();
        store.open(info.clone());
        Self(store, info)
    }

    fn run(&self) -> &Run {
        self.0.run(&self.1.id).expect("open")
    }

    fn add(&mut self, events: Vec<Timed>) {
        for (at, event) in events {
            let record = Record { seq: self.run().seq + 1, at, event };
            self.0.apply(&self.1.id, &record);
        }
    }

    /// Applies a snapshot, and asserts that the same one adds nothing afterwards.
    fn see(&mut self, graph: &Graph, run: &WireRun, jobs: &[WireJob]) {
        let layout = graph.lay_out(jobs, self.run());
        let snapshot =
            Snapshot { run, jobs: Some((jobs, &layout)), pending: &[], approvals: &[], groups: &[], superseded: None };
        self.add(events(self.run(), &snapshot));
        assert_eq!(events(self.run(), &snapshot), [], "twice");
        let layout = graph.lay_out(jobs, self.run());
        let again = Snapshot { jobs: Some((jobs, &layout)), ..snapshot };
        assert_eq!(events(self.run(), &again), [], "laid out again");
    }
}

/// Returns the parts of a run that must not depend on the intermediate snapshots.
fn outcome(run: &Run) -> (u32, Phase, Option<Timestamp>, Option<Timestamp>, Vec<Job>) {
    let jobs = run.jobs.values().cloned().map(|job| Job { remote: None, ..job });
    (run.attempt, run.phase.clone(), run.started, run.finished, jobs.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_snapshots_lead_to_the_state_of_the_last_one(
        jobs in planned(),
        times in prop::collection::vec(0_u64..60, 0..12),
        end in 0_u64..200,
    ) {
        let mut times = times;
        times.retain(|time| *time <= end);
        times.sort_unstable();
        let mut watched = Folded::new();
        for now in times.into_iter().chain([end]) {
            let (run, listed) = shown(&jobs, 1, 0, now);
            watched.see(&graph(&jobs, &run), &run, &listed);
        }
        let (run, listed) = shown(&jobs, 1, 0, end);
        let mut opened = Folded::new();
        opened.add(events(opened.run(), &Snapshot::listed(&run)));
        opened.see(&graph(&jobs, &run), &run, &listed);
        prop_assert_eq!(outcome(watched.run()), outcome(opened.run()));
        // The folded state is the one that the server shows.
        for job in &listed {
            let folded = &watched.run().jobs[&JobId::new(job.name.clone().expect("a name"))];
            let phase = match (job.status.as_ref().expect("a status").as_str(), &job.conclusion) {
                ("completed", Some(ending)) => Phase::Done(ending.conclusion().0),
                ("in_progress", _) => Phase::Running,
                _ => Phase::Waiting(Gate::Runner(vec!["x".to_owned()])),
            };
            prop_assert_eq!(&folded.phase, &phase);
            prop_assert_eq!(folded.finished.is_some(), job.completed_at.is_some() && folded.started.is_some());
        }
    }

    #[test]
    fn a_second_attempt_keeps_the_jobs_that_it_does_not_repeat(jobs in planned(), rerun_only in any::<bool>()) {
        let (run, listed) = shown(&jobs, 1, 0, 1000);
        let mut folded = Folded::new();
        folded.see(&graph(&jobs, &run), &run, &listed);
        let mut repeated: Vec<bool> = jobs.iter().map(|job| job.conclusion == "failure").collect();
        for place in 0..jobs.len() {
            repeated[place] |= jobs[place].needs.iter().any(|need| repeated[*need]);
        }
        if repeated.contains(&true) {
            let (run, again) = shown(&jobs, 2, 500, 2000);
            let of_second = |job: &&WireJob| repeated[usize::try_from(job.id.expect("an id") % 100).expect("small")];
            let mut both: Vec<WireJob> = again.iter().filter(of_second).cloned().collect();
            if !rerun_only {
                both.extend(listed.iter().filter(|job| !of_second(job)).cloned());
            }
            folded.see(&graph(&jobs, &run), &run, &both);
            let attempts: Vec<bool> = folded.run().jobs.values().map(|job| job.attempt == 2).collect();
            prop_assert_eq!(attempts, repeated);
            prop_assert!(folded.run().phase.is_done() && folded.run().attempt == 2);
        }
    }

    #[test]
    fn a_folder_that_was_cut_off_anywhere_goes_on(jobs in planned(), middle in 0_u64..60, cut in any::<prop::sample::Index>()) {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let remote = RemoteId { host: "h".to_owned(), repository: "o/r".to_owned(), id: 7, kind: ServerKind::GitHub };
        let (first, _) = shown(&jobs, 1, 0, middle);
        stub(&runs, &remote, &first).expect("written");
        let (run, listed) = shown(&jobs, 1, 0, 1000);
        let document = spec(&remote, &run).expect("dated");
        let open = || Mirror::open(&runs, &document).expect("readable").expect("free");
        let graph = graph(&jobs, &run);
        let update = |mirror: &mut Mirror| {
            let layout = graph.lay_out(&listed, mirror.run());
            let snapshot = Snapshot { run: &run, jobs: Some((&listed, &layout)), pending: &[], approvals: &[], groups: &[], superseded: None };
            mirror.update(&snapshot).expect("written");
            mirror.run().clone()
        };
        let mut mirror = open();
        prop_assert!(Mirror::open(&runs, &document).expect("readable").is_none(), "one process at a time");
        let whole = update(&mut mirror);
        let journal = mirror.folder().journal();
        drop(mirror);
        let text = std::fs::read(&journal).expect("there");
        std::fs::write(&journal, &text[..cut.index(text.len() + 1)]).expect("cut");
        let mut mirror = open();
        let mended = update(&mut mirror);
        prop_assert_eq!(outcome(&mended), outcome(&whole));
        prop_assert_eq!(&history::read(mirror.folder()).expect("readable"), &mended);
        let page = history::page(&runs, &history::Filter::default(), None, 10).expect("read");
        prop_assert_eq!(page.runs, [Summary::from(&mended)]);
        prop_assert!(history::unfinished(&runs).expect("read").is_empty());
    }
}

fn list<T: Field>(values: Vec<Value>) -> Vec<T> {
    serde_json::from_value::<List<T>>(Value::Array(values)).expect("a list").items
}

#[test]
fn a_folder_without_its_document_is_made_whole_again() {
    let home = tempfile::tempdir().expect("a folder");
    let runs = RunsDir::at(home.path());
    let remote = RemoteId { host: "h".to_owned(), repository: "o/r".to_owned(), id: 7, kind: ServerKind::GitHub };
    let run: WireRun =
        serde_json::from_value(json!({"id": 7, "created_at": at(0), "status": "queued"})).expect("a run");
    let id = remote.mirror(time(&at(0)).expect("a time"));
    std::fs::create_dir_all(runs.folder(id.clone()).path()).expect("made");
    assert_eq!(stub(&runs, &remote, &run).expect("written"), Stub::Current);
    let folder = runs.folder(id.clone());
    assert_eq!(history::read(&folder).expect("read").phase.word(), "queued");
    assert_eq!(runs.find(id.as_str()).expect("found").id(), &id);
    assert_eq!(runs.find(&id.as_str()[16..]).expect("by its end").id(), &id);
    assert!(runs.find("latest").is_err(), "the newest run of this machine");
}

#[tokio::test]
async fn a_mirror_with_a_free_lock_did_not_lose_a_worker() {
    let home = tempfile::tempdir().expect("a folder");
    let runs = RunsDir::at(home.path());
    let remote = RemoteId { host: "h".to_owned(), repository: "o/r".to_owned(), id: 7, kind: ServerKind::GitHub };
    let value = json!({"id": 7, "created_at": at(0), "run_started_at": at(0), "status": "in_progress"});
    let run: WireRun = serde_json::from_value(value).expect("a run");
    stub(&runs, &remote, &run).expect("written");
    assert_eq!(history::unfinished(&runs).expect("read").len(), 1);
    assert_eq!(crate::worker::recovery::close_all(&runs).await.expect("read"), 0);
    let folder = runs.folder(remote.mirror(time(&at(0)).expect("a time")));
    assert_eq!(history::read(&folder).expect("read").phase, Phase::Running);
}

fn snapshot_of<'s>(run: &'s WireRun, pending: &'s [PendingDeployment], groups: &'s [ConcurrencyGroup]) -> Snapshot<'s> {
    Snapshot { run, jobs: None, pending, approvals: &[], groups, superseded: None }
}

#[test]
fn a_run_waits_for_what_the_server_names() {
    let run = |status: &str| -> WireRun {
        serde_json::from_value(json!({"id": 7, "status": status, "created_at": at(0)})).expect("a run")
    };
    let pending = |value: Value| -> Vec<PendingDeployment> { list(vec![value]) };
    let gate = |run: &WireRun, pending: &[PendingDeployment], groups: &[ConcurrencyGroup]| {
        let mut folded = Folded::new();
        folded.add(events(folded.run(), &snapshot_of(run, pending, groups)));
        match &folded.run().phase {
            Phase::Waiting(gate) => gate.reason(),
            other => panic!("{other:?}"),
        }
    };
    let reviewed =
        json!({"environment": {"id": 1, "name": "production"}, "reviewers": [{"reviewer": {"login": "olu"}}]});
    let timed =
        json!({"environment": {"name": "canary"}, "wait_timer": 30, "wait_timer_started_at": at(0), "reviewers": []});
    let waiting = run("waiting");
    assert_eq!(gate(&waiting, &pending(reviewed), &[]), "waits for a review of production");
    assert_eq!(gate(&waiting, &pending(timed), &[]), "waits for the timer of canary until 2026-01-15 09:30 UTC");
    assert_eq!(gate(&waiting, &[], &[]), "waits for the protection rules of its environment");
    let group = json!({"group_name": "ship", "group_members": [
        {"run_id": 3, "run_name": "Ship", "position": 0}, {"run_id": 7, "position": 1}]});
    let groups: Vec<ConcurrencyGroup> = list(vec![group]);
    assert_eq!(gate(&run("pending"), &[], &groups), "another run holds the group ship: Ship 3");
    assert_eq!(gate(&run("pending"), &[], &[]), "another run holds its concurrency group");
    assert_eq!(gate(&run("queued"), &[], &[]), "waits for a runner");
    assert_eq!(gate(&run("brand_new_status"), &[], &[]), "its state is `brand_new_status`");
}

#[test]
fn odd_answers_are_shown_and_change_nothing_else() {
    let mut folded = Folded::new();
    let run: WireRun =
        serde_json::from_value(json!({"status": "completed", "conclusion": "brand_new"})).expect("a run");
    let jobs: Vec<WireJob> = list(vec![
        json!({}),
        json!({"id": 1, "name": null, "status": "completed",
        "steps": [{"number": null}, {"number": 1, "status": "completed"}]}),
    ]);
    folded.see(&Graph::new(&run, None), &run, &jobs);
    let reason = folded.run().reason.as_ref().map(|reason| reason.text().into_owned());
    assert_eq!(folded.run().phase, Phase::Done(Conclusion::Neutral));
    assert_eq!(reason.as_deref(), Some("it ended as `brand_new`"));
    assert_eq!(folded.run().jobs[0].reason.as_deref(), Some("the server reported no conclusion"));
    let earlier: WireRun = serde_json::from_value(json!({"run_attempt": 0, "status": "queued"})).expect("a run");
    assert_eq!(events(folded.run(), &Snapshot::listed(&earlier)), []);
}

#[test]
fn a_run_that_has_ended_is_not_reopened_by_an_odd_answer() {
    let run = |status: &str, conclusion: Value| -> WireRun {
        serde_json::from_value(json!({"id": 7, "status": status, "conclusion": conclusion})).expect("a run")
    };
    let jobs = |status: &str, conclusion: Value| -> Vec<WireJob> {
        list(vec![json!({"id": 1, "name": "a", "status": status, "conclusion": conclusion})])
    };
    let (success, ended) = (|| run("completed", json!("success")), || jobs("completed", json!("success")));
    for (odd, listed) in [
        (run("brand_new", json!("brand_new")), ended()),
        (run("completed", Value::Null), ended()),
        (run("in_progress", Value::Null), jobs("brand_new", Value::Null)),
        (success(), jobs("brand_new", json!("brand_new"))),
        (success(), jobs("in_progress", Value::Null)),
        (success(), jobs("completed", Value::Null)),
    ] {
        let mut folded = Folded::new();
        folded.add(events(folded.run(), &Snapshot::listed(&success())));
        let stub = folded.run().clone();
        folded.see(&Graph::new(&odd, None), &odd, &listed);
        assert_eq!(folded.run(), &stub, "{odd:?} {listed:?}");
        folded.see(&Graph::new(&success(), None), &success(), &ended());
        assert_eq!(folded.run().phase, Phase::Done(Conclusion::Success));
        assert_eq!(folded.run().jobs[0].phase, Phase::Done(Conclusion::Success), "the jobs come with the next answer");
    }
    // A job with a conclusion has ended, even if the server omits its state.
    let mut folded = Folded::new();
    folded.add(events(folded.run(), &Snapshot::listed(&success())));
    let listed = list(vec![json!({"id": 1, "name": "a", "conclusion": "success"})]);
    folded.see(&Graph::new(&success(), None), &success(), &listed);
    assert_eq!(folded.run().jobs.first().map(|(_, job)| &job.phase), Some(&Phase::Done(Conclusion::Success)));
    // An approved run of a fork starts as the same attempt.
    let mut folded = Folded::new();
    folded.add(events(folded.run(), &Snapshot::listed(&run("completed", json!("action_required")))));
    let runs = run("in_progress", Value::Null);
    folded.see(&Graph::new(&runs, None), &runs, &jobs("in_progress", Value::Null));
    assert_eq!(folded.run().phase, Phase::Running);
    // The list of a server that never gives a conclusion does not show how a run has ended.
    let silent = run("completed", Value::Null);
    let mut folded = Folded::new();
    folded.add(events(folded.run(), &Snapshot::listed(&silent)));
    assert!(!folded.run().phase.is_done(), "{:?}", folded.run().phase);
    folded.see(&Graph::new(&silent, None), &silent, &jobs("completed", Value::Null));
    assert_eq!((&folded.run().phase, folded.run().jobs.len()), (&Phase::Done(Conclusion::Neutral), 1));
}

#[test]
fn a_step_whose_conclusion_comes_late_did_not_fail() {
    let run: WireRun = serde_json::from_value(json!({"id": 7, "status": "completed", "conclusion": "success",
        "created_at": at(0), "updated_at": at(9)}))
    .expect("a run");
    let mut folded = Folded::new();
    let (success, seen) = (Phase::Done(Conclusion::Success), time(&at(10)).expect("a time"));
    for (conclusion, phase) in [(Value::Null, Phase::Running), (json!("success"), success)] {
        let step = json!({"number": 1, "name": "s", "status": "completed", "conclusion": conclusion,
            "started_at": at(1), "completed_at": at(8)});
        let mut jobs: Vec<WireJob> = list(vec![json!({"id": 1, "name": "a", "status": "completed",
            "conclusion": "success", "started_at": at(0), "completed_at": at(9), "steps": [step]})]);
        jobs[0].settle(seen);
        folded.see(&Graph::new(&run, None), &run, &jobs);
        let job = &folded.run().jobs[0];
        assert_eq!((&folded.run().phase, &job.phase, &job.steps[0].phase), (&phase, &phase, &phase));
    }
}

#[test]
fn annotations_come_once_and_belong_to_the_step_that_failed() {
    let jobs =
        [Planned { needs: Vec::new(), queue: 0, steps: vec![(1, "success"), (1, "failure")], conclusion: "failure" }];
    let (run, listed) = shown(&jobs, 1, 0, 100);
    let mut folded = Folded::new();
    folded.see(&graph(&jobs, &run), &run, &listed);
    let all: Vec<Annotation> = list(vec![
        json!({"path": ".github", "start_line": 1, "annotation_level": "failure", "message": "exit code 1"}),
        json!({"path": "src/a.rs", "start_line": 3, "annotation_level": "catastrophe", "title": "", "message": null}),
    ]);
    let job = JobId::new("j0");
    folded.add(annotations(folded.run(), &job, &all[..1]));
    folded.add(annotations(folded.run(), &job, &all));
    assert_eq!(annotations(folded.run(), &job, &all), []);
    let notes = &folded.run().jobs[&job].steps[1].annotations;
    assert_eq!((notes.len(), notes[0].file.as_deref(), notes[0].line), (2, None, None));
    assert_eq!((notes[1].level, notes[1].file.as_deref(), notes[1].line), (Level::Notice, Some("src/a.rs"), Some(3)));
}
