//! The reports of a backend as sentences for a screen reader: each change of a run, and of the jobs of those in progress.

use std::collections::HashMap;
use std::io;

use indexmap::IndexMap;

use crate::model::feed::Feed;
use crate::model::{Event, Phase, Record, RepositoryId, Run, RunId, Summary, Timestamp, is_near};
use crate::store::clock::now;
use crate::store::folder::RunsDir;
use crate::store::runs::RunStore;
use crate::store::{history, journal};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::counted;

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
    /// What is known about each run.
    known: HashMap<RunId, Known>,
    /// The runs in progress.
    store: RunStore,
    printers: HashMap<RunId, Linear>,
    /// Number of the last record of each run that was read. The backend sends earlier ones again.
    last: HashMap<RunId, u64>,
    /// The last reason why the runs of a server are missing or outdated.
    trouble: Option<String>,
}

/// The last state of a run.
struct Known {
    title: TerminalText,
    attempt: u32,
    phase: Phase,
    /// Whether a sentence said that the attempt exists.
    is_said: bool,
    /// Whether that sentence said that the attempt has started.
    has_started: bool,
}

impl Known {
    /// Returns the state in a summary. `is_said` is whether a sentence about it is printed.
    fn of(run: &Summary, is_said: bool) -> Self {
        let (title, has_started) = (Linear::title(run), run.started.is_some());
        Self { title, attempt: run.attempt, phase: run.phase.clone(), is_said, has_started }
    }

    /// Whether the end of this attempt was printed.
    fn has_end_of(&self, attempt: u32) -> bool {
        self.attempt == attempt && self.phase.is_done()
    }

    /// Whether a record would only repeat the sentence about the state.
    fn says(&self, event: &Event) -> bool {
        match event {
            Event::RunWaiting { attempt, .. } => self.is_said && *attempt == self.attempt,
            Event::RunStarted { attempt, .. } => self.is_said && self.has_started && *attempt == self.attempt,
            _ => false,
        }
    }
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

    /// Prints what follows, and the newest runs; `more` is whether there are others. Returns the runs whose jobs are to be
    /// followed.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn begin(&mut self, newest: &[Summary], more: bool) -> io::Result<Vec<RunId>> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut out = Out::new(&mut stdout);
        out.line(self.heading(newest.len(), more))?;
        let mut wanted = Vec::new();
        for run in newest {
            out.line(Linear::state(run))?;
            wanted.extend((!run.phase.is_done()).then(|| run.info.id.clone()));
            self.known.insert(run.info.id.clone(), Known::of(run, true));
        }
        out.flush()?;
        Ok(wanted)
    }

    /// Returns the first sentence, which says how many runs are listed, and which command lists the others.
    fn heading(&self, listed: usize, more: bool) -> TerminalText {
        let what = match (listed, more) {
            (0, _) => "no runs".to_owned(),
            (_, false) => "runs".to_owned(),
            (listed, true) => format!("the newest {}", counted(listed as u64, "run")),
        };
        let (of, list, others) = match &self.home {
            Some(home) => (home.name.as_str(), "`cuelight runs`", "; --all follows those of all repositories"),
            None => ("all repositories", "`cuelight runs --all`", ""),
        };
        let list = if more { text!("; {} lists older ones", list) } else { TerminalText::default() };
        text!("{} of {}{}; changes follow; Ctrl-C ends this, and no run{}", what, of, list, others)
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
            Feed::Removed(run) => self.removed(&run, out)?,
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
        let id = run.info.id.clone();
        let before = self.known.get(&id);
        if before.is_some_and(|before| before.attempt == run.attempt && before.phase == run.phase) {
            return Ok(None);
        }
        let (is_known, is_same) = (before.is_some(), before.is_some_and(|before| before.attempt == run.attempt));
        let is_said = before.is_some_and(|before| is_same && before.is_said && before.has_started);
        if run.phase.is_done() {
            let is_old = run.finished.unwrap_or(run.info.created) < self.since;
            self.ended(&run, is_known || !is_old, out)?;
            self.known.insert(id, Known::of(&run, true));
            return Ok(None);
        }
        // The records of a run of this machine that started later than this program tell all of it.
        let starts_now = match run.started {
            Some(at) => at >= self.since,
            None => run.info.created >= self.since || (is_known && !is_same),
        };
        let is_told = (is_same && self.printers.contains_key(&id)) || (starts_now && run.info.remote.is_none());
        if !is_told {
            out.line(Linear::state(&run))?;
        }
        self.known.insert(id.clone(), Known::of(&run, !is_told || is_said));
        Ok(Some(id))
    }

    /// Prints the end of a run, unless its records did so already. `is_news` is whether it is worth a sentence.
    fn ended(&mut self, summary: &Summary, is_news: bool, out: &mut Out<'_>) -> io::Result<()> {
        let id = &summary.info.id;
        if self.printers.contains_key(id) {
            // What happened last may not have arrived yet, and is printed before the end.
            let records = journal::read(&self.runs.folder(id.clone()).journal()).unwrap_or_default();
            self.records(id, &records, out)?;
        }
        if !is_news || self.known.get(id).is_some_and(|known| known.has_end_of(summary.attempt)) {
            return Ok(());
        }
        let folder = self.runs.folder(id.clone());
        match history::read(&folder) {
            Ok(run) if run.attempt == summary.attempt && run.phase.is_done() => {
                Linear::of_several().end_of_one(&run, &folder, out)
            }
            _ => out.line(Linear::state(summary)),
        }
    }

    /// Prints that a run was deleted.
    fn removed(&mut self, run: &RunId, out: &mut Out<'_>) -> io::Result<()> {
        self.store.close(run);
        self.printers.remove(run);
        self.others.shift_remove(run);
        self.last.remove(run);
        match self.known.remove(run) {
            Some(known) => out.line(text!("{}: deleted, run {}", known.title, run)),
            None => Ok(()),
        }
    }

    fn records(&mut self, run: &RunId, records: &[Record], out: &mut Out<'_>) -> io::Result<()> {
        let logs = self.runs.folder(run.clone());
        for record in records {
            self.store.apply(run, record);
            let last = self.last.entry(run.clone()).or_default();
            let is_news = record.seq > *last && record.at >= self.since;
            *last = record.seq.max(*last);
            let is_said = self.known.get(run).is_some_and(|known| known.says(&record.event));
            let (Some(followed), Some(printer)) = (self.store.run(run), self.printers.get_mut(run)) else { continue };
            if !is_news || is_said {
                continue;
            }
            printer.record(followed, record, &logs, out)?;
            let Event::RunFinished { .. } = &record.event else { continue };
            if !self.known.get(run).is_some_and(|known| known.has_end_of(followed.attempt)) {
                printer.end_of_one(followed, &logs, out)?;
                self.known.insert(run.clone(), Known::of(&Summary::from(followed), true));
            }
        }
        // An earlier attempt ends before a later one, which may not have arrived yet.
        let is_newest = |run: &Run| self.known.get(&run.info.id).is_none_or(|known| known.attempt <= run.attempt);
        if self.store.run(run).is_some_and(|run| run.phase.is_done() && is_newest(run)) {
            self.store.close(run);
            self.printers.remove(run);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::Script;
    use crate::model::{Conclusion, Gate, JobId, RemoteRun, RunInfo, StepNumber, testing};

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

    /// A run of this machine that starts an hour after the printer.
    struct Later {
        info: RunInfo,
        script: Script,
        sentences: Sentences,
        bytes: Vec<u8>,
    }

    impl Later {
        fn new() -> Self {
            let start = Timestamp(now().0 + 3_600_000);
            let mut script = Script::new(start).paced(10);
            script.start(vec![testing::outline("test", "Test", &[])]);
            let info = testing::info(RunId::new("r"), start);
            let sentences = Sentences::new(RunsDir::at("/nowhere"), Some(RepositoryId::named("octo/app")));
            Self { info, script, sentences, bytes: Vec::new() }
        }

        fn take(&mut self, report: Feed) {
            self.sentences.report(report, &mut Out::new(&mut self.bytes)).expect("printed");
        }

        /// Reports the state of the run.
        fn list(&mut self, phase: Phase) {
            let started = Some(self.info.created);
            let run = Summary { started, ..testing::summary(self.info.clone(), "CI", phase) };
            self.take(Feed::Updated(vec![run]));
        }

        /// Reports all records so far.
        fn follow(&mut self) {
            self.take(Feed::Records { run: self.info.id.clone(), records: self.script.records.clone() });
        }

        fn printed(&self) -> String {
            String::from_utf8(self.bytes.clone()).expect("text")
        }
    }

    #[test]
    fn a_start_and_a_hold_are_told_once() {
        let mut later = Later::new();
        later.list(Phase::Running);
        later.take(Feed::Opened(later.info.clone()));
        later.script.job("test", "Test", &["Check"]);
        later.follow();
        let until = Timestamp(later.info.created.0 + 60_000);
        let reason = Some("exit code 1".to_owned());
        let held = Phase::Waiting(Gate::Held { reason: reason.clone(), until });
        later.script.event(Event::StepHeld { job: JobId::new("test"), step: StepNumber(1), reason, until });
        later.follow();
        later.list(held);
        later.follow();
        let text = later.printed();
        for (word, times) in [("CI: started", 1), ("running", 0), ("failed and is held until", 1), ("CI on main", 0)] {
            assert_eq!(text.matches(word).count(), times, "{word}: {text}");
        }
    }

    #[test]
    fn a_failure_is_told_once_with_its_error_and_what_to_do_next() {
        for summary_first in [false, true] {
            let mut later = Later::new();
            later.list(Phase::Running);
            later.take(Feed::Opened(later.info.clone()));
            later.script.job("test", "Test", &["Check"]).step("test", 1, "Check", 0);
            later.follow();
            later.script.step_end("test", 1, Conclusion::Failure).job_end("test", Conclusion::Failure);
            later.script.end(Conclusion::Failure);
            // A summary before the records cannot read the journal here, and is printed alone.
            if summary_first {
                later.list(Phase::Done(Conclusion::Failure));
            }
            later.follow();
            later.list(Phase::Done(Conclusion::Failure));
            let text = later.printed();
            assert_eq!(text.matches("CI on main: failure").count(), 1, "{text}");
            if !summary_first {
                assert!(text.contains("\nfailed: CI, Test, step Check: "), "{text}");
                let next =
                    "\nnext: `cuelight logs r --failed` prints the log of what failed, `cuelight rerun r --failed` ";
                assert!(text.contains(next), "{text}");
            }
        }
    }

    #[test]
    fn a_deletion_is_told() {
        let mut later = Later::new();
        later.list(Phase::Done(Conclusion::Success));
        later.take(Feed::Removed(later.info.id.clone()));
        later.take(Feed::Removed(later.info.id.clone()));
        let text = later.printed();
        assert_eq!(text.matches("CI on main: deleted, run r\n").count(), 1, "{text}");
    }

    #[test]
    fn the_first_sentence_says_which_runs_are_listed() {
        let sentences = |home: Option<&str>| Sentences::new(RunsDir::at("/nowhere"), home.map(RepositoryId::named));
        let here = sentences(Some("octo/app"));
        let follow = "changes follow; Ctrl-C ends this, and no run";
        let others = "--all follows those of all repositories";
        assert_eq!(here.heading(0, false).as_str(), format!("no runs of octo/app; {follow}; {others}"));
        assert_eq!(here.heading(3, false).as_str(), format!("runs of octo/app; {follow}; {others}"));
        let newest = "the newest 5 runs of octo/app; `cuelight runs` lists older ones";
        assert_eq!(here.heading(5, true).as_str(), format!("{newest}; {follow}; {others}"));
        let all = sentences(None).heading(5, true);
        let newest = "the newest 5 runs of all repositories; `cuelight runs --all` lists older ones";
        assert_eq!(all.as_str(), format!("{newest}; {follow}"));
    }
}
