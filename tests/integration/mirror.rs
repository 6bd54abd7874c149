//! Mirrors of the runs of a fake server, in all its scenarios: graph, states, steps, logs and annotations.

use std::collections::BTreeMap;
use std::fs;

use cuelight::backend::github::mirror::events::{Snapshot, annotations};
use cuelight::backend::github::mirror::folder::{Mirror, RemoteId, Stub, spec, stub};
use cuelight::backend::github::mirror::graph::{Graph, Layout, WorkflowFiles, calls};
use cuelight::backend::github::mirror::logs;
use cuelight::backend::github::wire::checks::Annotation;
use cuelight::backend::github::wire::deployments::PendingDeployment;
use cuelight::backend::github::wire::repository::ConcurrencyGroup;
use cuelight::backend::github::wire::runs::{Job, Run};
use cuelight::model::{Conclusion, Gate, Phase, ServerKind, StepNumber};
use cuelight::store::folder::RunsDir;
use cuelight::store::history;
use serde_json::json;

use crate::fake_github::{Fake, request};

/// A repository whose runs are mirrored.
struct Watched<'f> {
    fake: &'f Fake,
    repository: &'f str,
    home: tempfile::TempDir,
    /// Notes of the layouts, by the id of the run.
    notes: BTreeMap<u64, Vec<String>>,
}

impl<'f> Watched<'f> {
    fn new(fake: &'f Fake, repository: &'f str) -> Self {
        Self { fake, repository, home: tempfile::tempdir().expect("a folder"), notes: BTreeMap::new() }
    }

    fn runs(&self) -> RunsDir {
        RunsDir::at(self.home.path())
    }

    fn path(&self, path: &str) -> String {
        format!("/repos/{}/{path}", self.repository)
    }

    fn remote(&self, run: &Run) -> RemoteId {
        RemoteId {
            host: "github.com".to_owned(),
            repository: self.repository.to_owned(),
            id: run.id.expect("an id"),
            kind: ServerKind::GitHub,
        }
    }

    fn list(&self) -> Vec<Run> {
        self.fake.page(&self.path("actions/runs?per_page=100"))
    }

    fn jobs(&self, run: u64) -> Vec<Job> {
        let mut jobs = Vec::new();
        for page in 1.. {
            let more: Vec<Job> =
                self.fake.page(&self.path(&format!("actions/runs/{run}/jobs?per_page=100&page={page}")));
            let is_last = more.len() < 100;
            jobs.extend(more);
            if is_last {
                break;
            }
        }
        jobs
    }

    fn files(&self, run: &Run) -> Option<WorkflowFiles> {
        let sha = run.head_sha.as_deref()?;
        let text = |path: &str| self.fake.text(&self.path(&format!("contents/{path}?ref={sha}")));
        let path = run.path.clone()?;
        let mut files = WorkflowFiles { text: text(&path)?, path: path.clone(), ..WorkflowFiles::default() };
        let mut todo = calls(&path, &files.text);
        while let Some(called) = todo.pop() {
            if !files.called.contains_key(&called)
                && let Some(text) = text(&called)
            {
                todo.extend(calls(&called, &text));
                files.called.insert(called, text);
            }
        }
        Some(files)
    }

    /// Mirrors a run with its jobs, and returns it. Doing it again with the same answers adds nothing.
    fn open(&mut self, run: &Run) -> cuelight::model::Run {
        let (remote, document) = (self.remote(run), spec(&self.remote(run), run).expect("dated"));
        let mut mirror = Mirror::open(&self.runs(), &document).expect("written").expect("not held");
        let jobs = self.jobs(remote.id);
        let graph = Graph::new(run, self.files(run).as_ref());
        let layout: Layout = graph.lay_out(&jobs, mirror.run());
        let pending: Vec<PendingDeployment> =
            self.fake.page(&self.path(&format!("actions/runs/{}/pending_deployments", remote.id)));
        let mut groups: Vec<ConcurrencyGroup> =
            self.fake.page(&self.path(&format!("actions/runs/{}/concurrency_groups", remote.id)));
        for group in &mut groups {
            let name = group.group_name.as_deref().unwrap_or_default().replace('/', "%2F");
            let path = format!("actions/concurrency_groups/{name}");
            *group = serde_json::from_value(self.fake.value(&self.path(&path))).expect("a group");
        }
        let snapshot = Snapshot {
            run,
            jobs: Some((&jobs, &layout)),
            pending: &pending,
            approvals: &[],
            groups: &groups,
            superseded: None,
        };
        mirror.update(&snapshot).expect("written");
        let again = graph.lay_out(&jobs, mirror.run());
        assert_eq!(again.jobs, layout.jobs, "the layout is stable");
        assert_eq!(mirror.update(&snapshot).expect("written"), [], "{}", remote.id);
        self.notes.insert(remote.id, layout.notes);
        for job in mirror.run().jobs.clone().into_values() {
            self.read_log(&mut mirror, &job);
        }
        assert_eq!(&history::read(mirror.folder()).expect("read"), mirror.run());
        mirror.run().clone()
    }

    /// Reads log and annotations of a job that has ended.
    fn read_log(&self, mirror: &mut Mirror, job: &cuelight::model::Job) {
        let Some(id) = job.remote.filter(|_| job.phase.is_done() && job.started.is_some()) else { return };
        if job.steps.iter().all(|step| step.lines == 0) {
            let path = self.path(&format!("actions/jobs/{id}/logs"));
            let (status, head, _) = self.fake.send("GET", &path, "*/*", "");
            if status == 302 {
                let location = head.lines().find_map(|line| line.strip_prefix("Location: http://")).expect("a link");
                let (host, path) = location.split_once('/').expect("a path");
                let (status, _, text) = request(host, "GET", &format!("/{path}"), "", "");
                assert_eq!(status, 200, "{path}");
                let events = logs::split(mirror.folder(), job, text.as_slice()).expect("split");
                mirror.append(events).expect("written");
            }
        }
        let all: Vec<Annotation> = self.fake.page(&self.path(&format!("check-runs/{id}/annotations?per_page=100")));
        mirror.append(annotations(mirror.run(), &job.id, &all)).expect("written");
        assert_eq!(annotations(mirror.run(), &job.id, &all), []);
    }

    /// Returns the listed run with this id.
    fn run(&self, id: u64) -> Run {
        let value = self.fake.value(&self.path(&format!("actions/runs/{id}")));
        serde_json::from_value(value).expect("a run")
    }

    /// Mirrors a run every few seconds until it has ended, and returns it.
    fn follow(&mut self, id: u64, each: impl Fn(&Fake, &cuelight::model::Run)) -> cuelight::model::Run {
        for _ in 0..200 {
            let run = self.open(&self.run(id));
            if run.phase.is_done() {
                return run;
            }
            each(self.fake, &run);
            self.fake.advance(4);
        }
        panic!("the run does not end");
    }

    fn log(&self, run: &cuelight::model::Run, job: &str, step: u32) -> String {
        let job = run.job_named(job).expect("a job");
        let path = self.runs().folder(run.info.id.clone()).log(&job.id, job.attempt, StepNumber(step));
        String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned()
    }
}

/// Returns id, needs, state and attempt of all jobs, one line each.
fn shape(run: &cuelight::model::Run) -> Vec<String> {
    let needs = |job: &cuelight::model::Job| job.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let line = |job: &cuelight::model::Job| format!("{} [{}] {} {}", job.id, needs(job), job.phase.word(), job.attempt);
    run.jobs.values().map(line).collect()
}

/// Asserts that a mirror created after the end of a run has the same jobs as one that followed the run.
fn assert_same_when_late(fake: &Fake, repository: &str, followed: &cuelight::model::Run, id: u64) {
    let mut late = Watched::new(fake, repository);
    let listed = late.run(id);
    assert_eq!(stub(&late.runs(), &late.remote(&listed), &listed).expect("written"), Stub::Current);
    assert_eq!(stub(&late.runs(), &late.remote(&listed), &listed).expect("written"), Stub::Current);
    let run = late.open(&listed);
    assert_eq!(run.info, followed.info);
    assert_eq!(shape(&run), shape(followed));
    assert_eq!((&run.phase, run.started), (&followed.phase, followed.started));
    let steps = |run: &cuelight::model::Run| {
        let of_job = |job: &cuelight::model::Job| job.steps.clone();
        run.jobs.values().map(of_job).collect::<Vec<_>>()
    };
    assert_eq!(steps(&run), steps(followed));
}

#[test]
fn a_green_run_is_mirrored_as_it_goes_on() {
    let Some(fake) = Fake::start("ci-green") else { return };
    let mut watched = Watched::new(&fake, "aura/platform");
    let id = watched.list()[0].id.expect("an id");
    let first = watched.open(&watched.run(id));
    assert_eq!(
        shape(&first),
        ["lint [] queued 1", "test [lint] waiting 1", "security [lint] waiting 1", "build [test] waiting 1"]
    );
    let run = watched.follow(id, |_, _| {});
    assert_eq!(
        shape(&run),
        ["lint [] success 1", "test [lint] success 1", "security [lint] success 1", "build [test] success 1"]
    );
    assert_eq!((run.name.as_str(), &watched.notes[&id]), ("Fix flaky scheduler test (#424)", &Vec::new()));
    let lint = run.job_named("Lint").expect("a job");
    assert_eq!(lint.steps.len(), 8);
    assert!(lint.steps.iter().all(|step| step.phase == Phase::Done(Conclusion::Success)), "{lint:#?}");
    assert!(watched.log(&run, "lint", 1).starts_with("Current runner version"), "{}", watched.log(&run, "lint", 1));
    assert!(watched.log(&run, "lint", 5).starts_with("##[group]Run black --check src tests\n\u{1b}[36;1m"));
    assert!(watched.log(&run, "lint", 5).ends_with("57 files would be left unchanged.\n"));
    assert_eq!(watched.log(&run, "lint", 8), "Cleaning up orphan processes\n");
    assert_same_when_late(&fake, "aura/platform", &run, id);
}

#[test]
fn all_runs_of_a_list_are_mirrored_as_stubs_and_found_again() {
    let Some(fake) = Fake::start("ci-green") else { return };
    let watched = Watched::new(&fake, "aura/platform");
    let listed = watched.list();
    for run in &listed {
        assert_eq!(stub(&watched.runs(), &watched.remote(run), run).expect("written"), Stub::Current);
    }
    let page = history::page(&watched.runs(), &history::Filter::default(), None, 100).expect("read");
    assert_eq!(page.runs.len(), listed.len());
    let states =
        |(run, listed): (&cuelight::model::Summary, &Run)| (run.info.remote.clone().map(|run| run.id), listed.id);
    assert!(page.runs.iter().zip(&listed).map(states).all(|(mirrored, listed)| mirrored == listed));
    let ended = page.runs.iter().filter(|run| run.phase.is_done()).count();
    assert_eq!(ended, listed.iter().filter(|run| run.conclusion.is_some()).count());
}

#[test]
fn a_failing_run_has_its_annotations_and_the_second_attempt_keeps_what_was_carried_over() {
    let Some(fake) = Fake::start("ci-failing") else { return };
    let mut watched = Watched::new(&fake, "aura/platform");
    let id = watched.list().iter().find(|run| run.conclusion.is_none()).and_then(|run| run.id).expect("a run");
    let run = watched.follow(id, |_, _| {});
    assert_eq!(
        shape(&run),
        ["lint [] success 1", "test [lint] failure 1", "security [lint] success 1", "build [test] skipped 1"]
    );
    let test = run.job_named("Test").expect("a job");
    let failed = test.steps.iter().find(|step| step.phase == Phase::Done(Conclusion::Failure)).expect("a step");
    assert_eq!(failed.annotations.len(), 4, "{:#?}", failed.annotations);
    assert!(watched.log(&run, "test", failed.number.0).contains("##[error]"));
    assert_eq!(watched.log(&run, "test", 5), "Cache restored from key: Linux-pip-3f1c\n");
    assert!(watched.log(&run, "test", 6).starts_with("##[group]Run pip install -r requirements.txt\n"));
    fake.control("/_fake/do", json!({"do": "rerun", "which": "failed", "run": id}));
    let run = watched.follow(id, |_, _| {});
    assert_eq!(
        shape(&run),
        ["lint [] success 1", "test [lint] success 2", "security [lint] success 1", "build [test] success 2"]
    );
    assert_eq!((run.attempt, &run.phase), (2, &Phase::Done(Conclusion::Success)));
}

#[test]
fn a_deployment_waits_for_its_review_and_succeeds_after_it() {
    let Some(fake) = Fake::start("deploy-approval") else { return };
    let mut watched = Watched::new(&fake, "aura/platform");
    let id = watched.list().iter().find(|run| run.conclusion.is_none()).and_then(|run| run.id).expect("a run");
    let reviews = std::cell::Cell::new(0);
    let run = watched.follow(id, |fake, run| {
        if run.phase == Phase::Waiting(Gate::Review("production".to_owned())) {
            let job = run.jobs.values().find(|job| job.environment.as_deref() == Some("production"));
            assert_eq!(job.expect("a job").phase, run.phase);
            if reviews.replace(reviews.get() + 1) == 1 {
                let review = json!({"do": "approve", "run": id, "environment": "production", "user": "olu"});
                fake.control("/_fake/do", review);
            }
        }
    });
    assert!(reviews.get() > 1, "{:#?}", shape(&run));
    assert_eq!((&run.phase, watched.notes[&id].len()), (&Phase::Done(Conclusion::Success), 0), "{:#?}", shape(&run));
    assert_same_when_late(&fake, "aura/platform", &run, id);
}

#[test]
fn a_deployment_that_fails_is_repeated_from_its_failed_job() {
    let Some(fake) = Fake::start("deploy-rollback") else { return };
    let mut watched = Watched::new(&fake, "aura/platform");
    let id = watched.list().iter().find(|run| run.conclusion.is_none()).and_then(|run| run.id).expect("a run");
    let review = |fake: &Fake, run: &cuelight::model::Run| {
        if run.phase == Phase::Waiting(Gate::Review("production".to_owned())) {
            let review = json!({"do": "approve", "run": id, "environment": "production", "user": "olu"});
            fake.control("/_fake/do", review);
        }
    };
    let run = watched.follow(id, review);
    assert_eq!(run.phase, Phase::Done(Conclusion::Failure), "{:#?}", shape(&run));
    fake.control("/_fake/do", json!({"do": "rerun", "which": "failed", "run": id}));
    let run = watched.follow(id, review);
    assert_eq!((run.attempt, &run.phase), (2, &Phase::Done(Conclusion::Success)), "{:#?}", shape(&run));
    assert!(run.jobs.values().any(|job| job.attempt == 1) && run.jobs.values().any(|job| job.attempt == 2));
}

#[test]
fn a_matrix_of_300_jobs_is_laid_out_from_its_file() {
    let Some(fake) = Fake::start("matrix-300") else { return };
    let mut watched = Watched::new(&fake, "aura/monorepo");
    let id = watched.list()[0].id.expect("an id");
    let first = watched.open(&watched.run(id));
    assert_eq!(first.jobs.len(), 300, "the jobs that are hidden come from the file");
    while watched.run(id).conclusion.is_none() {
        fake.advance(30);
    }
    let run = watched.open(&watched.run(id));
    assert_eq!((run.jobs.len(), watched.notes[&id].len()), (300, 0), "{:?}", watched.notes);
    let failed = run.jobs.values().filter(|job| job.phase == Phase::Done(Conclusion::Failure)).count();
    let fails = |job: &&Job| job.conclusion.as_ref().is_some_and(|ending| ending.as_str() == "failure");
    assert!(failed > 0 && failed == watched.jobs(id).iter().filter(fails).count(), "{failed}");
    assert!(run.jobs.values().all(|job| job.phase.is_done() && job.remote.is_some()));
    assert_same_when_late(&fake, "aura/monorepo", &run, id);
}

#[test]
fn hostile_runs_are_mirrored_as_they_are() {
    let Some(fake) = Fake::start("hostile") else { return };
    let mut watched = Watched::new(&fake, "mallory/evil");
    fake.advance(600);
    let listed = watched.list();
    assert_eq!(listed.len(), 3);
    let mut raw = String::new();
    for run in &listed {
        let opened = watched.open(run);
        let folder = watched.runs().folder(opened.info.id.clone());
        for entry in fs::read_dir(folder.path()).expect("there").flatten() {
            let name = entry.file_name().into_string().expect("text");
            assert!(["run.json", "seal", "events.jsonl", "lock", "logs"].contains(&name.as_str()), "{name}");
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(opened.jobs.keys().all(|id| id.as_str().bytes().all(is_plain)));
        match &run.conclusion {
            Some(ending) if ending.as_str() == "startup_failure" => {
                assert_eq!((&opened.phase, opened.jobs.len()), (&Phase::Done(Conclusion::StartupFailure), 0));
            }
            _ => assert!(!opened.jobs.is_empty() && watched.notes[&run.id.expect("an id")].is_empty()),
        }
        for job in opened.jobs.values() {
            for step in &job.steps {
                raw.push_str(&watched.log(&opened, job.id.as_str(), step.number.0));
            }
        }
    }
    assert!(raw.contains("\u{1b}]52;c;ZXZpbA==\u{7}"), "the log has the bytes that were printed");
}

#[test]
fn a_run_behind_another_one_names_it_and_a_called_workflow_is_drawn() {
    let Some(fake) = Fake::start("blocked-by-review") else { return };
    let mut watched = Watched::new(&fake, "lantern/post");
    let listed = watched.list();
    let opened: Vec<_> = listed.iter().map(|run| watched.open(run)).collect();
    let (behind, held) = (&opened[0], &opened[1]);
    assert_eq!(held.phase, Phase::Waiting(Gate::Review("public".to_owned())), "{:#?}", shape(held));
    let Phase::Waiting(Gate::Concurrency { group, holder }) = &behind.phase else { panic!("{:?}", behind.phase) };
    assert!(group == "ship-main" && holder.contains(&listed[1].id.expect("an id").to_string()), "{group}: {holder}");
    assert!(held.jobs.values().any(|job| job.caller.is_some()), "{:#?}", shape(held));
    assert!(watched.notes.values().all(Vec::is_empty), "{:?}", watched.notes);
}

#[test]
fn a_small_fleet_is_mirrored_with_what_each_run_waits_for() {
    let Some(fake) = Fake::start("fleet-small") else { return };
    let mut states = BTreeMap::new();
    for repository in ["tide/api", "tide/web", "tide/model", "tide/docs"] {
        let mut watched = Watched::new(&fake, repository);
        for run in watched.list() {
            let opened = watched.open(&run);
            let waits = opened.jobs.values().find_map(|job| match &job.phase {
                Phase::Waiting(gate @ Gate::Runner(_)) => Some(gate.reason()),
                _ => None,
            });
            states.entry(repository).or_insert_with(Vec::new).push((opened.phase.word(), waits));
            assert_eq!(watched.notes[&run.id.expect("an id")], Vec::<String>::new(), "{repository}");
        }
    }
    assert!(format!("{:?}", states["tide/model"]).contains("tpu"), "{states:#?}");
    assert_eq!(states["tide/docs"][0].0, "action_required", "{states:#?}");
    fake.advance(400);
    let mut watched = Watched::new(&fake, "tide/web");
    let runs: Vec<_> = watched.list().iter().map(|run| watched.open(run)).collect();
    let words: Vec<_> = runs.iter().map(|run| run.phase.word()).collect();
    assert_eq!(words[..2], ["success", "cancelled"], "the newer run replaced the one before");
    let notes = runs[1].jobs.values().flat_map(|job| &job.steps).flat_map(|step| &step.annotations);
    assert!(notes.clone().any(|note| note.message.starts_with("Canceling since")), "{:#?}", notes.collect::<Vec<_>>());
}

#[test]
fn answers_with_nulls_and_unknown_words_are_mirrored_too() {
    for kind in ["nulls", "unknown"] {
        let Some(fake) = Fake::start("ci-failing") else { return };
        fake.advance(300);
        fake.control("/_fake/faults", json!({"match": "GET /repos/.*/(runs|jobs|annotations)", "kind": kind}));
        let watched = Watched::new(&fake, "aura/platform");
        let listed = watched.list();
        assert!(!listed.is_empty());
        for run in listed.iter().take(5) {
            let jobs = watched.jobs(run.id.expect("an id"));
            let document = spec(&watched.remote(run), run).expect("dated");
            let mut mirror = Mirror::open(&watched.runs(), &document).expect("written").expect("not held");
            let layout = Graph::new(run, None).lay_out(&jobs, mirror.run());
            let snapshot = Snapshot {
                run,
                jobs: Some((&jobs, &layout)),
                pending: &[],
                approvals: &[],
                groups: &[],
                superseded: None,
            };
            mirror.update(&snapshot).expect("written");
            assert_eq!(mirror.update(&snapshot).expect("written"), [], "{kind}");
            assert_eq!(mirror.run().jobs.len(), jobs.len(), "{kind}");
        }
    }
}
