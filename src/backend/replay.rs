//! A backend for a past run: reports all records of the run at once, and refuses all changes.
//!
//! The screen itself moves back and forth through the records.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::model::capabilities::Unavailable;
use crate::model::feed::{Connection, Feed, Notice, Request};
use crate::model::{Record, Reply, RunInfo};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::logs::LogFiles;
use crate::store::logs::query::Logs;
use crate::store::{StoreError, history};

use super::Backend;

/// A past run that a screen replays.
#[derive(Debug)]
pub struct Replay {
    runs: RunsDir,
    info: RunInfo,
    records: Vec<Record>,
}

impl Replay {
    /// Reads a run.
    ///
    /// # Errors
    /// The run's folder cannot be read.
    pub fn open(folder: &RunFolder) -> Result<Self, StoreError> {
        let info = history::info(folder)?;
        let records = history::records(folder, &info)?;
        Ok(Self { runs: RunsDir::at(folder.state()), info, records })
    }
}

impl Backend for Replay {
    fn refusal(&self) -> Option<Unavailable> {
        Some(Unavailable::Replay)
    }

    fn logs(&self) -> Arc<dyn Logs> {
        Arc::new(LogFiles::new(self.runs.clone()))
    }

    fn serve(self: Box<Self>, requests: mpsc::Receiver<Request>, feed: mpsc::Sender<Feed>) -> BoxFuture<'static, ()> {
        serve(*self, requests, feed).boxed()
    }
}

async fn serve(replay: Replay, mut requests: mpsc::Receiver<Request>, feed: mpsc::Sender<Feed>) {
    let run = replay.info.id.clone();
    let reports = [
        Feed::Connection(Connection::Replay),
        Feed::Opened(replay.info),
        Feed::Records { run, records: replay.records },
    ];
    for report in reports {
        let _ = feed.send(report).await;
    }
    while let Some(request) = requests.recv().await {
        if let Some(answer) = answer(request) {
            let _ = feed.send(answer).await;
        }
    }
}

fn answer(request: Request) -> Option<Feed> {
    match request {
        // There is only one run, and it is followed from the start.
        Request::Follow(_) | Request::LoadLog { .. } | Request::Attend(_) | Request::ReadHead => None,
        Request::ListMore { .. } => Some(Feed::Listed { runs: Vec::new(), more: false, of: None }),
        Request::Submit { run, command } => {
            Some(Feed::Replied { run, command, reply: Reply::Rejected { reason: Unavailable::Replay.to_string() } })
        }
        Request::Start { .. }
        | Request::Trust { .. }
        | Request::ListDispatchable { .. }
        | Request::Dispatch { .. }
        | Request::SyncHeld { .. }
        | Request::EnableWorkflow { .. }
        | Request::Delete(_)
        | Request::Compose { .. }
        | Request::ListStored(_)
        | Request::ListSummaries(_)
        | Request::Download { .. }
        | Request::DeleteStored { .. }
        | Request::WatchFiles { .. }
        | Request::ListEnvironments { .. }
        | Request::ListLanes
        | Request::DescribeLane { .. }
        | Request::Lane(_)
        | Request::PlanRollback { .. }
        | Request::RollBack { .. }
        | Request::StopWatching
        | Request::BreakDemo => Some(Feed::Notice(Notice::bad(Unavailable::Replay.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend;
    use crate::backend::Connected;
    use crate::model::testing::run_started;
    use crate::model::{Command, Conclusion, Event, JobId, RunId, StepNumber, Timestamp};
    use crate::store::journal::JournalWriter;
    use crate::store::logs::LogWriter;
    use crate::store::logs::query::LogKey;
    use crate::store::spec::{RunSpec, WorkflowSpec};

    /// Creates a run that has ended, with a log of one line.
    fn past(home: &std::path::Path) -> RunFolder {
        let folder = RunsDir::at(home).create(Timestamp(7)).expect("made");
        let info = RunInfo { workflow: "ci.yml".to_owned(), ..RunInfo::default() };
        RunSpec::of_workflow(info, WorkflowSpec::default()).write(&folder).expect("written");
        let mut journal = JournalWriter::open(folder.journal()).expect("made");
        for event in [run_started(1), Event::RunFinished { conclusion: Conclusion::Success, reason: None }] {
            journal.append(Timestamp(8), event).expect("written");
        }
        let mut log = LogWriter::new(folder.log(&JobId::new("a"), 1, StepNumber(1)));
        log.append(b"hello\n", Timestamp(8)).expect("written");
        folder
    }

    #[tokio::test]
    async fn a_past_run_is_reported_once_and_every_change_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = past(home.path());
        let replay = Box::new(Replay::open(&folder).expect("read"));
        let key = LogKey { run: folder.id().clone(), job: JobId::new("a"), attempt: 1, step: StepNumber(1) };
        assert_eq!(replay.refusal(), Some(Unavailable::Replay));
        assert_eq!(replay.logs().page(&key, 0..9).expect("read")[0].bytes, b"hello");

        let Connected { mut feed, requests, served } = backend::connect(replay);
        let mut reports = Vec::new();
        while reports.len() < 3 {
            reports.push(feed.recv().await.expect("a report"));
        }
        let run = folder.id().clone();
        match reports.as_slice() {
            [Feed::Connection(Connection::Replay), Feed::Opened(info), Feed::Records { run: of, records }] => {
                assert_eq!((&info.id, of, records.len()), (&run, &run, 2));
            }
            other => panic!("{other:?}"),
        }

        requests.send(Request::Follow(run.clone())).await.expect("served");
        requests.send(Request::Submit { run: run.clone(), command: Command::Cancel }).await.expect("served");
        match feed.recv().await {
            Some(Feed::Replied { command: Command::Cancel, reply: Reply::Rejected { reason }, .. }) => {
                assert_eq!(reason, "this is a replay");
            }
            other => panic!("following a run again is not answered: {other:?}"),
        }
        for request in [
            Request::Delete(run.clone()),
            Request::WatchFiles { workflow: None },
            Request::StopWatching,
            Request::Start {
                workflow: "ci.yml".to_owned(),
                event: "push".to_owned(),
                inputs: Vec::new(),
                secrets: Vec::new(),
                sandbox: None,
            },
        ] {
            requests.send(request.clone()).await.expect("served");
            match feed.recv().await {
                Some(Feed::Notice(notice)) => assert_eq!(notice, Notice::bad("this is a replay")),
                other => panic!("{request:?}: {other:?}"),
            }
        }
        requests.send(Request::ListMore { before: run, limit: 10, of: None }).await.expect("served");
        let answer = feed.recv().await;
        assert!(matches!(&answer, Some(Feed::Listed { runs, more: false, .. }) if runs.is_empty()), "{answer:?}");
        assert!(folder.path().is_dir());

        drop(requests);
        served.await.expect("ends without a panic");
        assert!(feed.recv().await.is_none(), "nothing else was reported");
    }

    #[test]
    fn a_run_that_does_not_exist_cannot_be_replayed() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        assert!(Replay::open(&runs.folder(RunId::new("20260101-000000-abcd"))).is_err());
    }
}
