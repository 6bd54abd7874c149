//! Runs in a temporary repository and state folder; no test here starts a worker.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::launch::commands::{CommandError, TrustedBy};
use crate::launch::trust::Distrust;
use crate::model::capabilities::Unavailable;
use crate::model::{Command, Conclusion, EndReason, Event, RerunScope, RunInfo, Timestamp};
use crate::repo::git::{Access, git};
use crate::store::history::Filter;
use crate::store::journal::JournalWriter;
use crate::store::{history, lock};

mod events;

const CI: &str = "name: CI\non: [push, workflow_dispatch]\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: echo ${{ github.ref }}\n";

struct Place {
    folder: tempfile::TempDir,
    runs: RunsDir,
}

impl Place {
    /// Creates a repository with one workflow, which is not trusted, and an empty state folder.
    fn new(workflow: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(folder.path().join("state"));
        let place = Self { folder, runs };
        place.write("ci.yml", workflow);
        git(&place.root(), ["init", "-q", "-b", "main"]).expect("git init");
        place
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("exists").join("repository")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(workflows::FOLDER).join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn request(&self) -> LaunchRequest {
        LaunchRequest::new(self.root(), "ci", "push")
    }

    fn plan(&self, request: &LaunchRequest) -> Planned {
        plan(&self.runs, request).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns the folder of a run that was never started.
    fn run(&self) -> RunFolder {
        let planned = self.plan(&LaunchRequest { trust: true, ..self.request() });
        let (folder, held) = write(&self.runs, planned).expect("written");
        lock::release(held, &folder.lock());
        folder
    }

    /// Returns the folder of a run with this conclusion.
    fn ended(&self, conclusion: Conclusion, reason: Option<EndReason>) -> RunFolder {
        let folder = self.run();
        let mut journal = JournalWriter::open(folder.journal()).expect("made");
        journal.append(Timestamp(1), Event::RunStarted { attempt: 1, name: "CI".to_owned() }).expect("written");
        let end = Event::RunFinished { conclusion, reason };
        journal.append(Timestamp(2), end).expect("written");
        folder
    }

    fn refusal(&self, request: &LaunchRequest) -> String {
        plan(&self.runs, request).err().expect("it cannot start").to_string()
    }
}

#[test]
fn a_plan_writes_nothing_and_what_was_planned_is_what_runs() {
    let place = Place::new(CI);
    let request = LaunchRequest { trust: true, secrets: vec!["KEY=hunter2".into()], ..place.request() };
    let planned = place.plan(&request);
    assert!(!place.runs.state().exists(), "nothing is written");
    assert_eq!((planned.info().workflow.as_str(), planned.plan().jobs().len()), (".github/workflows/ci.yml", 1));
    // The file changes between the question and the start.
    place.write("ci.yml", "on: push\njobs: {evil: {runs-on: ubuntu-latest, steps: [{run: evil}]}}\n");
    let (folder, _) = write(&place.runs, planned).expect("written");
    let document = RunSpec::read(&folder).expect("readable");
    let spec = document.work.workflow().expect("a workflow");
    assert_eq!((spec.text.as_str(), spec.secrets.as_slice()), (CI, &["KEY".to_owned()][..]));
    assert_eq!((spec.git_ref.as_str(), spec.repository.as_path()), ("refs/heads/main", place.root().as_path()));
    assert!(!fs::read_to_string(folder.spec_path()).expect("readable").contains("hunter2"));
}

#[test]
fn a_run_whose_changes_git_cannot_list_does_not_pass_for_its_commit() {
    let place = Place::new(CI);
    git(&place.root(), ["add", "--all"]).expect("git add");
    let user = ["-c", "user.name=A", "-c", "user.email=a@b"];
    git(&place.root(), user.into_iter().chain(["commit", "-qm", "x"])).expect("git commit");
    let document = RunSpec::read(&place.run()).expect("readable");
    assert_eq!((document.info.changed, document.work.workflow().map(|spec| spec.dirty.len())), (0, Some(0)));
    fs::write(place.root().join(".git/index"), "no index").expect("written");
    let folder = place.run();
    let document = RunSpec::read(&folder).expect("readable");
    let dirty = document.work.workflow().map(|spec| spec.dirty.as_slice());
    let unlisted = "(files that git could not list)".to_owned();
    assert_eq!((document.info.changed, dirty), (1, Some(&[unlisted][..])));
    let diff = history::diff(&folder, 1).expect("readable").expect("the reason");
    assert!(diff.contains("the changes cannot be listed: "), "{diff}");
}

#[test]
fn a_preview_shows_the_jobs_of_calls_whose_legs_are_not_known() {
    let place = Place::new(
        "on: push\njobs:\n  first: {runs-on: ubuntu-latest, steps: [{run: one}]}\n  call:\n    needs: first\n    \
         strategy: {matrix: {v: '${{ fromJSON(needs.first.outputs.list) }}'}}\n    uses: ./.github/workflows/called.yml\n",
    );
    place.write("called.yml", "on: workflow_call\njobs: {inner: {runs-on: ubuntu-latest, steps: [{run: two}]}}\n");
    let preview = place.plan(&place.request()).consent().preview().lines(false);
    let expected = [
        "    first",
        "      $ one",
        "    call",
        "      calls ./.github/workflows/called.yml:",
        "        inner",
        "          $ two",
    ];
    assert_eq!(preview[preview.len() - expected.len()..], expected);
}

#[test]
fn the_likely_event_of_a_workflow_is_that_of_its_file() {
    let place = Place::new(CI);
    let request = LaunchRequest { event: None, ..place.request() };
    assert_eq!(place.plan(&request).info().event, "push");
    place.write("ci.yml", "on: [issues, pull_request]\njobs: {a: {runs-on: ubuntu-latest}}\n");
    let found = place.plan(&request).info().clone();
    assert_eq!((found.event.as_str(), found.workflow.as_str()), ("pull_request", ".github/workflows/ci.yml"));
}

#[test]
fn an_untrusted_repository_is_planned_and_shown_and_does_not_start() {
    let place = Place::new(CI);
    let planned = place.plan(&place.request());
    assert_eq!(planned.consent().trust(), &Trust::Missing(Distrust::Unknown));
    let preview = planned.consent().preview().lines(false);
    let expected = [
        "  it is not trusted to run on this machine",
        "",
        "  .github/workflows/ci.yml runs on this machine, as you:",
        "    a",
        "      uses actions/checkout@v4",
        "      $ echo ${{ github.ref }}",
    ];
    assert_eq!(preview[preview.len() - expected.len()..], expected);
    let error = write(&place.runs, planned).expect_err("not trusted");
    assert!(matches!(error, LaunchError::Untrusted(_)), "{error}");
    assert!(!place.runs.runs().exists(), "no run was made");

    let mut planned = place.plan(&place.request());
    planned.consent_mut().grant(&place.runs).expect("written");
    write(&place.runs, planned).expect("trusted");
    assert_eq!(place.plan(&place.request()).consent().trust(), &Trust::Given, "the answer is kept");
    git(&place.root(), ["remote", "add", "origin", "https://elsewhere.example/x"]).expect("git remote");
    assert_eq!(place.plan(&place.request()).consent().trust(), &Trust::Missing(Distrust::OtherOrigin));
    trust::revoke(&place.runs, place.plan(&place.request()).consent().repository()).expect("written");
    assert_eq!(place.plan(&place.request()).consent().trust(), &Trust::Missing(Distrust::Unknown));
}

#[test]
fn runs_are_numbered_when_they_start() {
    let place = Place::new(CI);
    let number =
        |folder: &RunFolder| RunSpec::read(folder).expect("readable").work.workflow().expect("a workflow").run_number;
    let (first, second) = (place.run(), place.run());
    assert_eq!((number(&first), number(&second)), (1, 2));
    fs::remove_dir_all(place.runs.runs()).expect("removed");
    let planned = place.plan(&place.request());
    assert_eq!(planned.spec().run_number, 3);
    drop(planned);
    assert_eq!(number(&place.run()), 3, "a plan alone takes no number");
}

#[test]
fn runs_of_this_repository_are_not_those_of_another_without_a_remote_and_with_the_same_name() {
    let (mine, other) = (Place::new(CI), Place::new(CI));
    let own = mine.run();
    let planned = plan(&mine.runs, &LaunchRequest { trust: true, ..other.request() }).expect("a plan");
    let (newest, _held) = write(&mine.runs, planned).expect("written");
    let latest = |place: &Place| find(&mine.runs, LATEST, Some(&place.root())).map(|folder| folder.id().clone());
    assert_eq!((&latest(&mine).expect("a run"), &latest(&other).expect("a run")), (own.id(), newest.id()));
    assert_eq!(find(&mine.runs, LATEST, None).expect("a run").id(), newest.id());
    let listed = |repository| {
        let page = history::page(&mine.runs, &Filter { repository, ..Filter::default() }, None, 9).expect("a page");
        page.runs.into_iter().map(|run| run.info).collect::<Vec<_>>()
    };
    let ids = |runs: &[RunInfo]| runs.iter().map(|run| run.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&listed(home(&mine.root()))), [own.id().clone()]);
    let named = listed(home(&mine.root()).map(|home| RepositoryId::named(home.name)));
    assert_eq!(ids(&named), [newest.id().clone(), own.id().clone()], "a name alone stands for both");
    for place in [&mine, &other] {
        git(&place.root(), ["remote", "add", "origin", "https://github.com/octo/app.git"]).expect("a remote");
    }
    let error = find(&mine.runs, LATEST, Some(&mine.root())).expect_err("no run of it");
    assert!(error.to_string().contains("octo/app"), "{error}");
}

#[test]
fn the_payload_comes_from_a_file_or_a_value_over_known_facts() {
    let place = Place::new(CI);
    let path = place.root().join("event.json");
    fs::write(&path, r#"{"pull_request": {"number": 7}, "ref": "x"}"#).expect("written");
    let request =
        LaunchRequest { payload: Payload { file: Some(path.clone()), ..Payload::default() }, ..place.request() };
    let spec = place.plan(&request).spec().clone();
    assert_eq!((spec.git_ref.as_str(), spec.payload["ref"].as_str()), ("refs/pull/7/merge", Some("x")));
    assert_eq!(spec.payload["repository"]["full_name"], "local/repository");
    fs::write(&path, "{\n  'x'\n}").expect("written");
    assert!(place.refusal(&request).contains("event.json:2:3: the event's payload is not JSON"));
    fs::write(&path, "[]").expect("written");
    assert!(place.refusal(&request).ends_with("event.json: the event's payload is not a JSON object"));
    let given = serde_json::json!({"inputs": {"n": 3}}).as_object().cloned().unwrap_or_default();
    let text = CI.replace("[push, workflow_dispatch]", "{workflow_dispatch: {inputs: {n: {type: number}}}}");
    place.write("ci.yml", &text);
    let payload = Payload { given, ..Payload::default() };
    let request = LaunchRequest { payload, event: Some("workflow_dispatch".to_owned()), ..place.request() };
    assert_eq!(place.plan(&request).spec().inputs["n"], "3");
}

#[test]
fn what_cannot_start_says_why() {
    let place = Place::new(CI);
    let with = |change: &dyn Fn(&mut LaunchRequest)| {
        let mut request = place.request();
        change(&mut request);
        place.refusal(&request)
    };
    assert!(with(&|request| request.event = Some("schedule".to_owned())).contains("does not run on `schedule`"));
    assert!(with(&|request| request.jobs = vec!["zz".to_owned()]).contains("has no job `zz`"));
    assert!(with(&|request| request.workflow = Some("cii".to_owned())).contains("did you mean `ci`?"));
    assert!(with(&|request| drop(request.inputs.insert("x".to_owned(), String::new()))).contains("no input `x`"));
    assert!(with(&|request| request.folder = place.folder.path().to_owned()).contains("git init"));
    place.write("ci.yml", "on: push\njobs:\n  a: {run-on: x, steps: [{run: x}]}\n");
    assert!(with(&|_| ()).contains("did you mean `runs-on`?"));
}

#[test]
fn a_called_workflow_is_part_of_the_run_and_its_secrets_are_found() {
    let call = "on: push\njobs: {a: {uses: ./.github/workflows/called.yml, secrets: inherit}}\n";
    let place = Place::new(call);
    let called = "on: workflow_call\njobs: {b: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ secrets.PATH }}'}]}}\n";
    place.write("called.yml", called);
    let planned = place.plan(&LaunchRequest { secrets: vec![SecretSource::Named], ..place.request() });
    assert_eq!(planned.spec().called[".github/workflows/called.yml"], called);
    assert_eq!(planned.spec().secrets, ["PATH"], "a variable that every environment has");
    assert_eq!(planned.plan().jobs().len(), 2);
}

#[test]
fn a_request_that_names_the_runner_needs_no_repository_and_no_trust() {
    let place = Place::new(CI);
    let folder = place.folder.path().join("plain");
    fs::create_dir_all(folder.join(workflows::FOLDER)).expect("made");
    fs::write(folder.join(workflows::FOLDER).join("ci.yml"), CI).expect("written");
    let slug = Some("o/r".to_owned());
    let request = LaunchRequest { any_runner: true, slug, ..LaunchRequest::new(&folder, "ci", "push") };
    let planned = place.plan(&request);
    assert_eq!((planned.consent().trust(), planned.info().repository.as_str()), (&Trust::Given, "o/r"));
    assert!(planned.spec().in_place && planned.spec().repository == folder);
}

#[test]
fn an_event_runs_the_workflows_that_it_names() {
    let place = Place::new(CI);
    place.write("docs.yml", &CI.replace("[push, workflow_dispatch]", "{push: {paths: ['docs/**']}}"));
    place.write("broken.yml", "on: push\njobs: {}\n");
    let repository = place.request().repository().expect("a repository");
    let decided = triggers::by_change(&repository, None, &["src/a".to_owned()]).expect("readable");
    let words: Vec<_> = decided.iter().map(|one| format!("{}: {}", one.name, one.word())).collect();
    assert_eq!(
        words,
        [
            ".github/workflows/broken.yml: broken",
            ".github/workflows/ci.yml: runs",
            ".github/workflows/docs.yml: skipped"
        ]
    );
    assert_eq!(decided[0].reason(), "line 2: `jobs` must not be empty");
    assert_eq!(decided[0].errors().as_deref(), Some("broken.yml, line 2: `jobs` must not be empty"));
    let only = triggers::by_change(&repository, Some(".github/workflows/docs.yml"), &["docs/a".to_owned()]);
    assert_eq!(only.expect("readable").iter().map(triggers::TriggerDecision::runs).collect::<Vec<_>>(), [true]);
    fs::remove_file(place.root().join(workflows::FOLDER).join("broken.yml")).expect("removed");
    let error = triggers::running(&repository, Access::Guarded, "issues", &serde_json::Map::new())
        .expect_err("none")
        .to_string();
    assert!(
        error.starts_with("no workflow runs on this `issues`:\n  .github/workflows/ci.yml: does not run on"),
        "{error}"
    );
    assert!(!error.contains("did you mean"), "{error}");
    let error = triggers::running(&repository, Access::Guarded, "pul_request", &serde_json::Map::new())
        .expect_err("a typing error")
        .to_string();
    assert_eq!(error, "there is no event `pul_request`; did you mean `pull_request`?");
    assert!(triggers::mistyped("pul_request", &decided).is_none(), "a workflow has the event");
}

#[tokio::test]
async fn a_run_that_has_ended_takes_only_commands_for_another_attempt() {
    let place = Place::new(CI);
    let good = place.ended(Conclusion::Success, None);
    let error = commands::cancel(&good, false).await.expect_err("ended").to_string();
    assert_eq!(error, format!("{} has ended: success", good.id()));
    let error = commands::rerun(&good, RerunScope::Failed, &[], TrustedBy::Person).await.expect_err("nothing failed");
    assert!(matches!(error, CommandError::Unavailable { reason: Unavailable::NothingFailed, .. }), "{error}");
    let error = commands::resume(&good, &[], TrustedBy::Person).await.expect_err("not lost");
    assert!(matches!(error, CommandError::Unavailable { reason: Unavailable::WorkerNotLost, .. }), "{error}");
}

#[tokio::test]
async fn a_run_of_this_machine_has_no_review_and_keeps_its_debug_setting() {
    let place = Place::new(CI);
    let review = Command::Review { environments: vec![1], approve: true, comment: String::new() };
    let folder = place.run();
    let error = commands::submit(&folder, &review).await.expect_err("local");
    assert!(matches!(error, CommandError::Unavailable { reason: Unavailable::NothingToReview, .. }), "{error}");
    assert!(!history::read(&folder).expect("readable").phase.is_done(), "no worker was lost");
    let ended = place.ended(Conclusion::Success, None);
    let rerun = Command::Rerun { what: RerunScope::All, debug: true };
    let error = commands::submit(&ended, &rerun).await.expect_err("local");
    assert!(matches!(error, CommandError::Unavailable { reason: Unavailable::KeepsDebug, .. }), "{error}");
}

#[tokio::test]
async fn a_new_attempt_needs_the_secrets_of_the_run() {
    let place = Place::new(CI);
    let secrets = vec!["CUELIGHT_NO_SUCH_VARIABLE=1".into()];
    let planned = place.plan(&LaunchRequest { trust: true, secrets, ..place.request() });
    let (folder, _) = write(&place.runs, planned).expect("written");
    // Without a worker the run is lost, and closed by the command.
    let error =
        commands::rerun(&folder, RerunScope::All, &[], TrustedBy::Person).await.expect_err("no secret").to_string();
    assert!(error.starts_with("the run needs the secret CUELIGHT_NO_SUCH_VARIABLE"), "{error}");
    assert_eq!(history::read(&folder).expect("readable").phase.conclusion(), Some(Conclusion::Failure));
}

#[tokio::test]
async fn a_run_in_progress_is_neither_deleted_nor_resumed() {
    let place = Place::new(CI);
    let folder = place.run();
    let held = lock::take_free(&folder.lock());
    for error in [
        commands::delete(&place.runs, folder.id()).await.expect_err("in progress"),
        commands::resume(&folder, &[], TrustedBy::Person).await.expect_err("in progress"),
    ] {
        assert!(matches!(error, CommandError::Unavailable { reason: Unavailable::NotEnded, .. }), "{error}");
    }
    lock::release(held, &folder.lock());
    commands::delete(&place.runs, folder.id()).await.expect("removed");
    assert!(!folder.path().exists() && place.runs.list().expect("listed").is_empty());
}

#[tokio::test]
async fn runs_without_a_worker_are_closed_once() {
    let place = Place::new(CI);
    place.ended(Conclusion::Success, None);
    let (lost, live) = (place.run(), place.run());
    let _held = lock::take_free(&live.lock());
    let found =
        || recovery::lost(&place.runs).expect("readable").iter().map(|run| run.id().clone()).collect::<Vec<_>>();
    assert_eq!(found(), [lost.id().clone()]);
    assert!(!history::read(&lost).expect("readable").phase.is_done(), "it is only listed");
    assert_eq!(close_lost(&place.runs).await.expect("readable"), 1);
    assert_eq!(close_lost(&place.runs).await.expect("readable"), 0);
    assert!(found().is_empty());
    let phase = |folder: &RunFolder| history::read(folder).expect("readable").phase.conclusion();
    assert_eq!((phase(&lost), phase(&live)), (Some(Conclusion::Failure), None));
}

#[tokio::test]
async fn a_run_that_is_being_started_is_not_closed_as_lost() {
    let place = Place::new(CI);
    let planned = place.plan(&LaunchRequest { trust: true, ..place.request() });
    let (folder, held) = write(&place.runs, planned).expect("written");
    assert_eq!(close_lost(&place.runs).await.expect("readable"), 0);
    assert!(!history::read(&folder).expect("readable").phase.is_done());
    lock::release(held, &folder.lock());
    assert_eq!(close_lost(&place.runs).await.expect("readable"), 1);
}

#[test]
fn damaged_trust_is_no_trust() {
    let place = Place::new(CI);
    fs::create_dir_all(place.runs.state()).expect("made");
    fs::write(place.runs.state().join("trust.json"), "{").expect("written");
    let error = place.refusal(&place.request());
    assert!(error.contains("trust.json is damaged") && error.contains("remove it to be asked again"), "{error}");
    assert!(Path::new(&place.root()).exists());
}
