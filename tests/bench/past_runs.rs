//! A history of many runs.

use std::fs;

use cuelight::model::testing;
use cuelight::model::testing::{Script, outline};
use cuelight::model::{Conclusion, RunInfo, Timestamp};
use cuelight::store::folder::{RunFolder, RunsDir};
use cuelight::store::history;
use cuelight::store::journal::JournalWriter;
use cuelight::store::spec::{RunSpec, WorkflowSpec};

/// Creates a finished run of 8 jobs with 10 steps each.
pub(crate) fn finished_run(runs: &RunsDir, at: Timestamp) -> RunFolder {
    let folder = runs.create(at).expect("made");
    let info = testing::info(folder.id().clone(), at);
    RunSpec::of_workflow(info, WorkflowSpec::default()).write(&folder).expect("written");
    let jobs: Vec<String> = (0..8).map(|n| format!("job-{n}")).collect();
    let steps: Vec<String> = (1..=10).map(|n| format!("Step {n}")).collect();
    let mut script = Script::new(at);
    script.start(jobs.iter().map(|job| outline(job, job, &[])).collect());
    for job in &jobs {
        script.job(job, job, &steps.iter().map(String::as_str).collect::<Vec<_>>());
        for (number, name) in (1..).zip(&steps) {
            script.step(job, number, name, 12).step_end(job, number, Conclusion::Success);
        }
        script.job_end(job, Conclusion::Success);
    }
    script.end(Conclusion::Success);
    let mut journal = JournalWriter::open(folder.journal()).expect("made");
    for record in script.records {
        journal.append(record.at, record.event).expect("written");
    }
    folder
}

/// Number of runs with which the lists are measured.
pub(crate) const RUNS: u64 = 100_000;

/// Creates a history of small finished runs of several workflows and branches, one per minute.
pub(crate) fn long_history(runs: &RunsDir) {
    let template = |workflow: &str, branch: &str| {
        let folder = finished_run(runs, Timestamp(1));
        let info = RunInfo {
            workflow: format!(".github/workflows/{workflow}.yml"),
            event: "push".to_owned(),
            ref_name: branch.to_owned(),
            ..RunInfo::default()
        };
        RunSpec::of_workflow(info, WorkflowSpec::default()).write(&folder).expect("written");
        let mut journal = fs::read_to_string(folder.journal()).expect("text");
        // The journal keeps the header, the start and the end. It need not be large to be listed.
        let lines: Vec<&str> = journal.lines().collect();
        journal = [lines[0], lines[1], lines[lines.len() - 1], ""].join("\n");
        let files = (fs::read(folder.spec_path()).expect("read"), journal);
        fs::remove_dir_all(folder.path()).expect("removed");
        files
    };
    let common = template("ci", "main");
    let rare = template("release", "v1");
    for number in 0..RUNS {
        let folder = runs.create(Timestamp(1_700_000_000_000 + number * 60_000)).expect("made");
        let (spec, journal) = if number % 10_000 == 0 { &rare } else { &common };
        fs::write(folder.spec_path(), spec).expect("written");
        fs::write(folder.journal(), journal).expect("written");
        let run = history::read(&folder).expect("read");
        history::finish(&folder, &run).expect("noted");
    }
}
