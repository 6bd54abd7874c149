//! The runs in sentences for a screen reader, instead of the screen.

use std::collections::{HashMap, VecDeque};
use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::backend;
use crate::backend::registry;
use crate::backend::registry::Source;
use crate::model::feed::{Feed, Request};
use crate::model::{Phase, Record, RunId, Summary, Timestamp};
use crate::report::style::Out;
use crate::report::{Linear, Printer};
use crate::store::clock::now;
use crate::store::folder::RunsDir;
use crate::store::runs::RunStore;
use crate::ui::terminal_text::text;
use crate::ui::text::counted;

use super::{Exit, Failure, Outcome, block_on, config, runs_dir};

/// Number of ended runs that are printed at the beginning.
const FIRST: usize = 5;

/// Prints the newest runs and each change of all runs, until it is interrupted.
pub(super) fn follow() -> Outcome {
    let runs = runs_dir()?;
    let source = Source::of_user(std::env::current_dir()?, config::load(None)?.github, None)?;
    let backend = registry::open(source)?;
    block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut connected = backend::connect(backend);
        let mut sentences = Sentences::new(runs);
        let mut wanted = VecDeque::new();
        loop {
            tokio::select! {
                _ = interrupted.recv() => return Ok(Exit::Cancelled),
                // The backend takes no requests while its reports are not read.
                room = connected.requests.reserve(), if !wanted.is_empty() => {
                    let Ok(room) = room else { break };
                    room.send(Request::Follow(wanted.pop_front().expect("checked above")));
                }
                report = connected.feed.recv() => {
                    let Some(report) = report else { break };
                    wanted.extend(sentences.print(report)?);
                }
            }
        }
        Err(Failure::new(Exit::Unavailable, "the source of the runs has ended"))
    })?
}

/// Prints reports of a backend.
struct Sentences {
    runs: RunsDir,
    /// Changes before this time are not printed.
    since: Timestamp,
    /// The last state of each run, and the number of its attempt.
    known: HashMap<RunId, (u32, Phase)>,
    /// Whether the first list has arrived.
    is_listed: bool,
    /// The runs in progress.
    store: RunStore,
    printers: HashMap<RunId, Linear>,
    /// Number of the last record of each run that was read. The backend sends earlier ones again.
    last: HashMap<RunId, u64>,
    /// The last reason why the runs of a server are missing or outdated.
    trouble: Option<String>,
}

impl Sentences {
    fn new(runs: RunsDir) -> Self {
        Self {
            runs,
            since: now(),
            known: HashMap::new(),
            is_listed: false,
            store: RunStore::default(),
            printers: HashMap::new(),
            last: HashMap::new(),
            trouble: None,
        }
    }

    /// Prints a report. Returns the runs whose jobs are to be followed.
    fn print(&mut self, report: Feed) -> io::Result<Vec<RunId>> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut out = Out::new(&mut stdout);
        let mut wanted = Vec::new();
        match report {
            Feed::Listed { runs, .. } | Feed::Updated(runs) => {
                let is_first = !std::mem::replace(&mut self.is_listed, true);
                if is_first {
                    let count = counted(runs.len() as u64, "run");
                    out.line(text!("{} of all repositories; changes follow; Ctrl-C ends this, and no run", count))?;
                }
                for (at, run) in runs.iter().enumerate() {
                    wanted.extend(self.summary(run, is_first && at >= FIRST, &mut out)?);
                }
            }
            Feed::Opened(info) => {
                self.printers.entry(info.id.clone()).or_insert_with(Linear::of_several);
                self.store.open(info);
            }
            Feed::Records { run, records } => self.records(&run, &records, &mut out)?,
            Feed::Connection(connection) => {
                let trouble = connection.reason().map(str::to_owned);
                if self.trouble != trouble {
                    out.line(text!("note: {}", trouble.as_deref().unwrap_or("the server answers again")))?;
                    self.trouble = trouble;
                }
            }
            Feed::Notice(notice) => out.line(text!("note: {}", notice.text))?,
            _ => {}
        }
        out.flush()?;
        Ok(wanted)
    }

    /// Prints the state of a run if it has changed. A run that ended earlier is only noted if it `is_old`.
    fn summary(&mut self, run: &Summary, is_old: bool, out: &mut Out<'_>) -> io::Result<Option<RunId>> {
        let state = (run.attempt, run.phase.clone());
        if self.known.insert(run.info.id.clone(), state.clone()).as_ref() == Some(&state) {
            return Ok(None);
        }
        if !(is_old && run.phase.is_done()) {
            out.line(Linear::state(run))?;
        }
        Ok((!run.phase.is_done()).then(|| run.info.id.clone()))
    }

    fn records(&mut self, run: &RunId, records: &[Record], out: &mut Out<'_>) -> io::Result<()> {
        let logs = self.runs.folder(run.clone());
        for record in records {
            self.store.apply(run, record);
            let last = self.last.entry(run.clone()).or_default();
            let is_news = record.seq > *last && record.at >= self.since;
            *last = record.seq.max(*last);
            if let (Some(followed), Some(printer), true) = (self.store.run(run), self.printers.get_mut(run), is_news) {
                printer.record(followed, record, &logs, out)?;
            }
        }
        if self.store.run(run).is_some_and(|run| run.phase.is_done()) {
            self.store.close(run);
            self.printers.remove(run);
        }
        Ok(())
    }
}
