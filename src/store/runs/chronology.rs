//! The records of a mirror in the order of their times, for replays.

use crate::model::{Event, Record};

/// Sorts the records of a mirror by their times, and numbers them again.
///
/// Records of a mirror have the times of the server, but were written when they became known: a run may first have been
/// mirrored without its jobs, and a log is read after its job has ended. An end that was recorded before the jobs is
/// left out, because the attempt starts over after it.
#[must_use]
pub fn chronological(records: Vec<Record>) -> Vec<Record> {
    let mut sorted: Vec<Record> = Vec::with_capacity(records.len());
    let mut end: Option<(u32, usize)> = None;
    let mut current = 0;
    for record in records {
        match &record.event {
            Event::RunStarted { attempt, .. } => {
                if let Some((_, place)) = end.take_if(|(of, _)| of == attempt) {
                    sorted.remove(place);
                }
                current = *attempt;
            }
            Event::RunFinished { .. } => end = Some((current, sorted.len())),
            _ => {}
        }
        sorted.push(record);
    }
    sorted.sort_by_key(|record| record.at);
    for (seq, record) in (1..).zip(&mut sorted) {
        record.seq = seq;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::RunStore;
    use super::*;
    use crate::model::{Conclusion, JobId, LineRange, RunId, StepNumber, Timestamp, testing};

    #[test]
    fn a_stub_that_got_its_jobs_is_replayed_as_it_was_on_the_server() {
        let end = Event::RunFinished { conclusion: Conclusion::Success, reason: None };
        let job = || JobId::new("a");
        let output = Event::Output { job: job(), step: StepNumber(1), output: LineRange { first: 0, count: 3 } };
        let step = Event::StepStarted { job: job(), step: StepNumber(1), name: "x".to_owned() };
        let start = Event::JobStarted { job: job(), name: "a".to_owned(), sandbox: "r".to_owned(), environment: None };
        let planned = Event::JobsPlanned { jobs: vec![testing::outline("a", "a", &[])], replaces: None };
        let events = [
            (10, testing::run_started(1)),
            (90, end.clone()),
            (10, testing::run_started(1)),
            (10, planned),
            (20, start),
            (20, step),
            (90, testing::job_finished("a", Conclusion::Success, None)),
            (90, end),
            (50, output),
        ];
        let record = |(seq, (at, event))| Record { seq, at: Timestamp(at), event };
        let records: Vec<Record> = (1..).zip(events).map(record).collect();
        let sorted = chronological(records.clone());
        assert!(sorted.is_sorted_by_key(|record| (record.at, record.seq)));
        assert_eq!((sorted.len(), sorted.last().map(|record| record.seq)), (8, Some(8)));
        let folded = |records: &[Record]| {
            let id = RunId::new("r");
            let mut store = RunStore::default();
            store.open(testing::info(id.clone(), Timestamp(0)));
            for record in records {
                store.apply(&id, record);
            }
            let run = store.run(&id).expect("open").clone();
            (run.phase, run.started, run.finished, run.jobs)
        };
        assert_eq!(folded(&sorted), folded(&records));
    }
}
