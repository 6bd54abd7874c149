//! The reports of a backend as sentences for a screen reader: each change of a run, and of the jobs of those in progress.

use std::collections::HashMap;
use std::io;

use indexmap::IndexMap;

use crate::model::feed::Feed;
use crate::model::{Phase, Record, RepositoryId, RunId, Summary, Timestamp, is_near};
use crate::store::clock::now;
use crate::store::folder::RunsDir;
use crate::store::runs::RunStore;
use crate::ui::terminal_text::text;

use super::Printer;
use super::linear::Linear;
use super::style::Out;

/// Prints reports of a backend.
pub struct Sentences {
    runs: RunsDir,
    /// The repository whose runs are printed; `None` for those of all repositories.
    home: Option<RepositoryId>,
    /// Repositories on servers whose runs are printed, too.
    watched: Vec<RepositoryId>,
    /// Runs on servers of other repositories. Their repository may be watched from later on: the first runs can arrive
    /// before the list of watched repositories.
    others: IndexMap<RunId, Summary>,
    /// Changes before this time are not printed.
    since: Timestamp,
    /// The last state of each run, and the number of its attempt.
    known: HashMap<RunId, (u32, Phase)>,
    /// The runs in progress.
    store: RunStore,
    printers: HashMap<RunId, Linear>,
    /// Number of the last record of each run that was read. The backend sends earlier ones again.
    last: HashMap<RunId, u64>,
    /// The last reason why the runs of a server are missing or outdated.
    trouble: Option<String>,
}

impl Sentences {
    /// Returns a printer of the runs of a repository and of the watched ones; without `home`, of all repositories.
    pub fn new(runs: RunsDir, home: Option<RepositoryId>) -> Self {
        Self {
            runs,
            home,
            watched: Vec::new(),
            others: IndexMap::new(),
            since: now(),
            known: HashMap::new(),
            store: RunStore::default(),
            printers: HashMap::new(),
            last: HashMap::new(),
            trouble: None,
        }
    }

    /// Prints what follows, and the newest runs. Returns the runs whose jobs are to be followed.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn begin(&mut self, newest: Vec<Summary>) -> io::Result<Vec<RunId>> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut out = Out::new(&mut stdout);
        let what = if newest.is_empty() { "no runs" } else { "runs" };
        let (of, more) = match &self.home {
            Some(home) => (home.name.as_str(), "; --all follows those of all repositories"),
            None => ("all repositories", ""),
        };
        out.line(text!("{} of {}; changes follow; Ctrl-C ends this, and no run{}", what, of, more))?;
        let mut wanted = Vec::new();
        for run in newest {
            out.line(Linear::state(&run))?;
            wanted.extend((!run.phase.is_done()).then(|| run.info.id.clone()));
            self.known.insert(run.info.id, (run.attempt, run.phase));
        }
        out.flush()?;
        Ok(wanted)
    }

    /// Prints a report. Returns the runs whose jobs are to be followed.
    ///
    /// # Errors
    /// The output cannot be written, or a log cannot be read.
    pub fn print(&mut self, report: Feed) -> io::Result<Vec<RunId>> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut out = Out::new(&mut stdout);
        let wanted = self.report(report, &mut out)?;
        out.flush()?;
        Ok(wanted)
    }

    /// Does the same as [`Sentences::print`] with an output that is given.
    fn report(&mut self, report: Feed, out: &mut Out<'_>) -> io::Result<Vec<RunId>> {
        let mut wanted = Vec::new();
        match report {
            Feed::Listed { runs, .. } | Feed::Updated(runs) => {
                for run in runs {
                    wanted.extend(self.summary(run, out)?);
                }
            }
            Feed::Watched(repositories) => {
                self.watched = repositories;
                for run in std::mem::take(&mut self.others).into_values() {
                    wanted.extend(self.summary(run, out)?);
                }
            }
            Feed::Opened(info) => {
                self.printers.entry(info.id.clone()).or_insert_with(Linear::of_several);
                self.store.open(info);
            }
            Feed::Records { run, records } => self.records(&run, &records, out)?,
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
        Ok(wanted)
    }

    /// Prints the state of a run if it has changed. Of a run that was not known before, an end before this program
    /// started is only noted.
    fn summary(&mut self, run: Summary, out: &mut Out<'_>) -> io::Result<Option<RunId>> {
        if !is_near(self.home.as_ref(), &self.watched, &run.info) {
            if run.info.remote.is_some() {
                self.others.insert(run.info.id.clone(), run);
            }
            return Ok(None);
        }
        let state = (run.attempt, run.phase.clone());
        let before = self.known.insert(run.info.id.clone(), state.clone());
        if before.as_ref() == Some(&state) {
            return Ok(None);
        }
        let is_old = run.phase.is_done() && run.finished.unwrap_or(run.info.created) < self.since;
        if before.is_some() || !is_old {
            out.line(Linear::state(&run))?;
        }
        Ok((!run.phase.is_done()).then_some(run.info.id))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RemoteRun, RunInfo, testing};

    #[test]
    fn runs_that_arrive_before_the_watched_repositories_are_printed_after_them() {
        let run = |id: &str, repository: &str| {
            let (id, remote) = (RunId::new(id), Some(RemoteRun::default()));
            let info = RunInfo { id, repository: repository.to_owned(), remote, ..RunInfo::default() };
            testing::summary(info, repository, Phase::Running)
        };
        let home = Some(RepositoryId::named("octo/app"));
        let mut sentences = Sentences::new(RunsDir::at("/nowhere"), home);
        let mut bytes = Vec::new();
        let mut take = |report| sentences.report(report, &mut Out::new(&mut bytes)).expect("printed");
        let runs = vec![run("r2", "octo/lib"), run("r1", "octo/other")];
        assert_eq!(take(Feed::Listed { runs, more: false, of: None }), []);
        let watched = || Feed::Watched(vec![RepositoryId::named("octo/lib")]);
        assert_eq!(take(watched()), [RunId::new("r2")]);
        assert_eq!(take(watched()), [], "it is known");
        let printed = String::from_utf8(bytes).expect("text");
        assert_eq!(printed.lines().count(), 1, "{printed}");
        assert!(printed.contains("octo/lib") && printed.ends_with(", run r2\n"), "{printed}");
    }
}
