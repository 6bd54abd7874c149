use std::fs::OpenOptions;
use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::model::testing::{Script, outline};
use crate::model::{Conclusion, JobId, Phase, RepositoryId, StepNumber};
use crate::store::journal::JournalWriter;
use crate::store::spec::WorkflowSpec;

struct Home {
    runs: RunsDir,
    _folder: tempfile::TempDir,
}

const START: u64 = 1_700_000_000_000;

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { runs: RunsDir::at(folder.path()), _folder: folder }
    }

    /// Creates a run that starts `minute` minutes after `START` and is in progress.
    fn start(&self, minute: u64) -> RunFolder {
        let at = Timestamp(START + minute * 60_000);
        let folder = self.runs.create(at).expect("made");
        begin_run(&folder, at, "ci.yml");
        folder
    }

    fn run(&self, minute: u64) -> RunFolder {
        let folder = self.start(minute);
        end(&folder, Conclusion::Success);
        finish(&folder, &read(&folder).expect("read")).expect("noted");
        folder
    }

    fn all(&self) -> Vec<Summary> {
        let page = page(&self.runs, &Filter::default(), None, usize::MAX).expect("listed");
        assert!(!page.more);
        page.runs
    }

    fn ids(&self) -> Vec<RunId> {
        self.all().into_iter().map(|run| run.info.id).collect()
    }

    fn is_complete(&self) -> bool {
        let before = fs::read(self.runs.index_state()).ok();
        drop(Index::open(&self.runs).expect("opened"));
        before.is_some() && before == fs::read(self.runs.index_state()).ok()
    }

    /// Returns all segments of the index.
    fn segments(&self) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(self.runs.index()).expect("there").flatten().map(|entry| entry.path());
        let mut segments: Vec<_> = entries.filter(|path| !path.ends_with("lock")).collect();
        segments.sort();
        segments
    }

    fn index_text(&self) -> String {
        self.segments().iter().map(|path| fs::read_to_string(path).expect("text")).collect()
    }

    /// Removes the marks and the index.
    fn lose_everything(&self) {
        fs::remove_dir_all(self.runs.index()).expect("there was one");
        fs::remove_dir_all(self.runs.active()).expect("there was one");
        fs::remove_file(self.runs.index_state()).expect("there was one");
    }
}

fn begin_run(folder: &RunFolder, at: Timestamp, workflow: &str) {
    let info = RunInfo { workflow: workflow.to_owned(), created: at, ..RunInfo::default() };
    RunSpec::of_workflow(info, WorkflowSpec::default()).write(folder).expect("written");
    append(folder, at, Event::RunStarted { attempt: 1, name: "CI".to_owned() });
}

fn append(folder: &RunFolder, at: Timestamp, event: Event) {
    JournalWriter::open(folder.journal()).expect("opened").append(at, event).expect("written");
}

fn end(folder: &RunFolder, conclusion: Conclusion) {
    append(folder, Timestamp(START), Event::RunFinished { conclusion, reason: None });
}

#[test]
fn the_list_is_the_same_with_and_without_the_index() {
    let home = Home::new();
    assert_eq!(home.all(), []);
    let (first, second) = (home.run(0), home.start(1));
    let listed = home.all();
    assert_eq!(home.ids(), [second.id().clone(), first.id().clone()]);
    assert_eq!((&listed[1].phase, &listed[0].phase), (&Phase::Done(Conclusion::Success), &Phase::Running));
    assert_eq!(unfinished(&home.runs).expect("read"), [second.id().clone()]);
    fs::create_dir(home.runs.runs().join("no-run")).expect("made");
    assert_eq!(home.all(), listed);
    home.lose_everything();
    assert_eq!(unfinished(&home.runs).expect("read"), [second.id().clone()], "marks are found again");
    assert_eq!(home.all(), listed);
}

#[test]
fn held_steps_are_found_among_the_runs_in_progress() {
    let home = Home::new();
    home.run(0);
    home.start(1);
    let folder = home.start(2);
    let stop = Event::StepHeld { job: JobId::new("a"), step: StepNumber(1), reason: None, until: Timestamp(START) };
    let jobs = ["a", "b"].map(|job| outline(job, job, &[])).into();
    let mut script = Script::new(Timestamp(START));
    script.event(Event::JobsPlanned { jobs, replaces: None }).job("a", "a", &["Test"]).event(stop);
    script.job("b", "b", &["Test"]).step("b", 1, "Test", 1);
    for record in script.records {
        append(&folder, record.at, record.event);
    }
    let found = |repository: Option<&RepositoryId>| {
        let found = held(&home.runs, repository).expect("read");
        found.into_iter().map(|run| run.info.id).collect::<Vec<_>>()
    };
    assert_eq!(found(None), [folder.id().clone()], "though another job of the run is busy");
    assert_eq!(found(Some(&RepositoryId::named("octo/other"))), []);
}

#[test]
fn an_earlier_attempt_is_read_as_it_ended() {
    let home = Home::new();
    let folder = home.run(0);
    append(&folder, Timestamp(START), Event::RunStarted { attempt: 2, name: "CI".to_owned() });
    let phase = |attempt| read_attempt(&folder, attempt).expect("read").map(|run| (run.attempt, run.phase));
    assert_eq!(phase(1), Some((1, Phase::Done(Conclusion::Success))));
    assert_eq!(phase(2), Some((2, Phase::Running)));
    assert_eq!((phase(0), phase(3)), (None, None));
}

#[test]
fn a_finished_run_is_read_once_and_known_from_then_on() {
    let home = Home::new();
    let folder = home.run(0);
    home.start(1);
    home.lose_everything();
    let listed = home.all();
    assert_eq!(home.index_text().matches("ci.yml").count(), 1, "only what has ended is kept");
    let length = journal_length(&folder);
    fs::write(folder.journal(), vec![b'x'; length as usize]).expect("written");
    assert_eq!(home.all(), listed, "the journal was not read");
    assert_eq!(home.index_text().matches("ci.yml").count(), 1);
}

#[test]
fn a_later_attempt_is_seen_though_the_first_is_in_the_index_and_its_worker_is_gone() {
    let home = Home::new();
    let folder = home.run(0);
    (1..5).for_each(|minute| drop(home.run(minute)));
    append(&folder, Timestamp(START), Event::RunStarted { attempt: 2, name: "CI".to_owned() });
    let oldest = || home.all().pop().expect("five runs");
    assert_eq!((oldest().attempt, oldest().phase), (2, Phase::Running));
    assert_eq!(unfinished(&home.runs).expect("read"), [folder.id().clone()], "it is marked once it is seen");
    end(&folder, Conclusion::Failure);
    assert_eq!((oldest().attempt, oldest().phase), (2, Phase::Done(Conclusion::Failure)));
    finish(&folder, &read(&folder).expect("read")).expect("noted");
    assert_eq!(oldest().phase, Phase::Done(Conclusion::Failure));
    assert!(home.is_complete());
}

#[test]
fn an_index_cut_at_any_byte_or_mixed_up_is_made_again() {
    let home = Home::new();
    (1..=3).for_each(|minute| drop(home.run(minute)));
    let listed = home.all();
    let [segment] = home.segments().try_into().expect("one segment");
    let whole = fs::read_to_string(&segment).expect("text");
    for cut in 0..whole.len() {
        let part = &whole[..cut];
        for text in [part.to_owned(), format!("{part}{whole}"), format!("{part}{}", "\0".repeat(whole.len() - cut))] {
            fs::write(&segment, text).expect("written");
            assert_eq!(home.all(), listed, "cut at {cut}");
            assert_eq!(home.all(), listed, "cut at {cut}");
            assert!(home.is_complete(), "cut at {cut}");
            fs::remove_file(&segment).expect("there");
            assert_eq!(home.all(), listed, "cut at {cut}");
        }
    }
    for state in ["", "{}", r#"{"version":99,"changed":[0,0],"links":2,"bytes":0}"#] {
        fs::write(home.runs.index_state(), state).expect("written");
        assert_eq!(home.all(), listed);
    }
}

#[test]
fn runs_that_are_copied_and_removed_by_hand_are_noticed() {
    let home = Home::new();
    let (first, second) = (home.run(0), home.run(2));
    let copy = home.runs.folder(RunId::new(first.id().as_str().replace("-2213", "-2214")));
    fs::create_dir(copy.path()).expect("made");
    for (from, to) in [(first.spec_path(), copy.spec_path()), (first.journal(), copy.journal())] {
        fs::copy(from, to).expect("copied");
    }
    assert_eq!(home.ids(), [second.id().clone(), copy.id().clone(), first.id().clone()]);
    let third = home.start(3);
    for folder in [first, third] {
        fs::remove_dir_all(folder.path()).expect("removed");
    }
    assert_eq!(home.ids(), [second.id().clone(), copy.id().clone()]);
    assert_eq!(unfinished(&home.runs).expect("read"), []);
    assert!(home.is_complete());
}

#[test]
fn a_removed_run_is_gone_from_the_index_which_stays_complete() {
    let home = Home::new();
    let (first, second) = (home.run(0), home.start(1));
    remove(&second).expect("removed");
    assert!(home.is_complete());
    assert_eq!(home.ids(), [first.id().clone()]);
    assert_eq!(unfinished(&home.runs).expect("read"), []);
    assert!(!home.index_text().contains(second.id().as_str()));
    assert!(matches!(remove(&second), Err(StoreError::Io { .. })));
}

#[test]
fn a_run_of_a_newer_version_is_listed_as_such_and_left_alone() {
    let home = Home::new();
    let (spec, journal, readable) = (home.run(0), home.start(1), home.run(2));
    fs::write(spec.spec_path(), r#"{"version": 99}"#).expect("written");
    fs::write(spec.journal(), "{\"cuelight_journal\":99}\n").expect("written");
    fs::write(journal.journal(), "{\"cuelight_journal\":99}\n").expect("written");
    for _ in 0..2 {
        let listed = home.all();
        assert_eq!(listed[0].info.id, *readable.id());
        for (run, folder) in listed[1..].iter().zip([&journal, &spec]) {
            assert_eq!((&run.info.id, &run.phase), (folder.id(), &Phase::Done(Conclusion::Neutral)));
            assert!(run.reason.as_ref().expect("a reason").text().contains("is of version 99"), "{run:?}");
        }
        assert!(listed[2].info.created == Timestamp(START));
        home.lose_everything();
    }
}

#[test]
fn the_index_of_an_earlier_version_is_taken_over() {
    let home = Home::new();
    let folder = home.run(0);
    home.start(1);
    let listed = home.all();
    home.lose_everything();
    let summary = serde_json::to_string(&listed[1]).expect("json");
    let length = journal_length(&folder);
    let line = format!("{{\"journal\":{length},{}\n", &summary[1..]);
    fs::write(home.runs.old_index(), format!("torn{line}{line}")).expect("written");
    fs::write(folder.journal(), vec![b'x'; length as usize]).expect("written");
    assert_eq!(home.all(), listed, "the journal was not read");
    assert!(!home.runs.old_index().exists());
}

#[test]
fn a_run_of_a_clock_that_went_back_is_the_newest_all_the_same() {
    let home = Home::new();
    let ids: Vec<_> = [5, 3, 7, 1].map(|minute| home.run(minute).id().clone()).into();
    assert_eq!(home.ids(), [&ids[3], &ids[2], &ids[1], &ids[0]].map(RunId::clone));
    assert!(home.is_complete());
}

#[test]
fn pages_of_many_segments_are_read_from_the_newest_to_the_oldest() {
    let home = Home::new();
    let total = 1200;
    for minute in 0..total {
        home.runs.create(Timestamp(START + minute * 60_000)).expect("made");
    }
    // Folders without `run.json` do not contain runs.
    assert_eq!(home.all(), []);
    for (number, id) in home.runs.list().expect("listed").into_iter().enumerate() {
        let folder = home.runs.folder(id);
        begin_run(&folder, Timestamp(START), if number % 100 == 99 { "rare.yml" } else { "ci.yml" });
        end(&folder, if number % 2 == 0 { Conclusion::Success } else { Conclusion::Failure });
    }
    assert!(home.segments().len() > 1 && home.is_complete());
    let everything = home.ids();
    assert_eq!(everything, home.runs.list().expect("listed"));
    let pages = |filter: &Filter, limit: usize| {
        let (mut ids, mut sizes, mut before) = (Vec::new(), Vec::new(), None);
        loop {
            let page = page(&home.runs, filter, before.as_ref(), limit).expect("read");
            sizes.push(page.runs.len());
            ids.extend(page.runs.into_iter().map(|run| run.info.id));
            before = ids.last().cloned();
            if !page.more {
                return (ids, sizes);
            }
        }
    };
    assert_eq!(pages(&Filter::default(), 500), (everything.clone(), vec![500, 500, 200]));
    assert_eq!(pages(&Filter::default(), 600), (everything.clone(), vec![600, 600]));
    let rare = Filter { workflow: Some("rare".to_owned()), ..Filter::default() };
    let (ids, sizes) = pages(&rare, 5);
    assert_eq!((ids.len(), sizes), (12, vec![5, 5, 2]));
    let failed = Filter { status: StatusFilter::parse("failure"), ..Filter::default() };
    assert_eq!(pages(&failed, 1000).0.len(), 600);
    for (at, id) in [(0, "latest"), (700, everything[700].as_str()), (3, &everything[3].as_str()[..15])] {
        assert_eq!(home.runs.find(id).expect("found").id(), &everything[at], "{id}");
    }
    let found = home.runs.find(&everything[0].as_str()[..8]);
    assert!(matches!(found, Err(StoreError::Ambiguous { candidates, .. }) if candidates[0] == everything[0].as_str()));
}

#[test]
fn runs_are_found_by_both_ends_of_their_ids() {
    let home = Home::new();
    assert!(matches!(home.runs.find("latest"), Err(StoreError::NoSuchRun { .. })));
    let (first, second) = (home.run(0), home.run(100));
    assert_eq!(home.runs.find("latest").expect("newest").id(), second.id());
    for folder in [&first, &second] {
        let id = folder.id().as_str();
        for wanted in [id, &id[..13], &id[9..]] {
            assert_eq!(home.runs.find(wanted).expect("found").id(), folder.id(), "{wanted}");
        }
    }
    assert!(matches!(home.runs.find("2023"), Err(StoreError::Ambiguous { .. })));
    assert!(matches!(home.runs.find("20231"), Err(StoreError::Ambiguous { .. })));
    let Err(StoreError::NoSuchRun { nearest, .. }) = home.runs.find("20231114-xxx") else {
        panic!("no run should match")
    };
    assert!(nearest.is_some());
    assert!(matches!(home.runs.find(""), Err(StoreError::NoSuchRun { nearest: None, .. })));
}

#[test]
fn processes_at_once_lose_no_run() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let home = &home;
            scope.spawn(move || (0..50).for_each(|minute| drop(home.run(minute * 4 + writer))));
        }
        for _ in 0..50 {
            home.all();
        }
    });
    assert!(home.is_complete(), "every change was noted");
    assert_eq!(home.ids(), home.runs.list().expect("listed"));
    assert_eq!(home.index_text().matches("ci.yml").count(), 200);
    assert_eq!(unfinished(&home.runs).expect("read"), []);
}

#[test]
fn a_segment_that_grows_is_rewritten_without_earlier_attempts() {
    let home = Home::new();
    let folders: Vec<_> = (0..3).map(|minute| home.run(minute)).collect();
    let mut run = read(&folders[1]).expect("read");
    run.name = "x".repeat(10_000);
    for _ in 0..150 {
        finish(&folders[1], &run).expect("noted");
    }
    assert!(home.index_text().len() < 1_100_000);
    assert!(home.is_complete());
    assert_eq!(home.all()[1].name.len(), 10_000);
    assert_eq!(home.ids().len(), 3);
}

/// A change of the history.
#[derive(Clone, Debug)]
enum Step {
    Create(u64),
    Finish(usize),
    Rerun(usize),
    Remove(usize),
    RemoveByHand(usize),
    Damage(usize),
    ForgetState,
    List,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u64..50).prop_map(Step::Create),
        3 => any::<usize>().prop_map(Step::Finish),
        2 => any::<usize>().prop_map(Step::Rerun),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => any::<usize>().prop_map(Step::RemoveByHand),
        1 => any::<usize>().prop_map(Step::Damage),
        1 => Just(Step::ForgetState),
        2 => Just(Step::List),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_a_list_shows_what_the_folders_hold(steps in steps()) {
        let home = Home::new();
        for step in steps {
            let known = home.runs.list().expect("listed");
            let pick = |at: usize| known.get(at % known.len().max(1)).map(|id| home.runs.folder(id.clone()));
            match step {
                Step::Create(minute) => drop(home.start(minute)),
                Step::Finish(at) => if let Some(folder) = pick(at) {
                    end(&folder, Conclusion::Success);
                    finish(&folder, &read(&folder).expect("read")).expect("noted");
                },
                Step::Rerun(at) => if let Some(folder) = pick(at) {
                    let attempt = read(&folder).expect("read").attempt + 1;
                    append(&folder, Timestamp(START), Event::RunStarted { attempt, name: "CI".to_owned() });
                },
                Step::Remove(at) => if let Some(folder) = pick(at) {
                    remove(&folder).expect("removed");
                },
                Step::RemoveByHand(at) => if let Some(folder) = pick(at) {
                    fs::remove_dir_all(folder.path()).expect("removed");
                },
                Step::Damage(at) => if let Ok(file) = home.segments_or_none(at).ok_or(()).and_then(|path| OpenOptions::new().append(true).open(path).map_err(drop)) {
                    (&file).write_all(b"20231114-221320-").expect("written");
                },
                Step::ForgetState => drop(fs::remove_file(home.runs.index_state())),
                Step::List => drop(home.all()),
            }
            let expected: Vec<_> = home.runs.list().expect("listed").into_iter()
                .map(|id| Summary::from(&read(&home.runs.folder(id)).expect("read"))).collect();
            prop_assert_eq!(home.all(), expected);
        }
    }
}

impl Home {
    fn segments_or_none(&self, at: usize) -> Option<std::path::PathBuf> {
        if !self.runs.index().exists() {
            return None;
        }
        let segments = self.segments();
        segments.get(at % segments.len().max(1)).cloned()
    }
}
