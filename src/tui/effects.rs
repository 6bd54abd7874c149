//! Carrying out what the screen asks for. Nothing here makes the screen wait: files are read on threads of their own.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::app::msg::Msg;
use crate::model::RunId;
use crate::store::first_error;
use crate::store::folder::RunsDir;
use crate::store::logs::query::{
    LogKey, LogPage, LogSearch, LogSearchResult, MAX_RUN_HITS, PageRequest, Query, RawLine, RunSearch, RunSearchResult,
    SearchSlot,
};
use crate::store::logs::{LineMatcher, LogReader};
use crate::store::spec::RunSpec;

/// What is found is told this often, so that the first matches of a large log are seen at once.
const PORTION: Duration = Duration::from_millis(50);

/// So much of a line is told of a search in many logs.
const MOST_BYTES: usize = 1024;

/// So much before the match of a line that is too long.
const BEFORE: usize = 100;

/// Where lines of logs come from.
pub trait Logs: Send + Sync + 'static {
    /// Some lines of a log, fewer at its end. May block.
    ///
    /// # Errors
    /// The log cannot be read, and why, in words.
    fn page(&self, key: &LogKey, lines: Range<u64>) -> Result<Vec<RawLine>, String>;

    /// The lines of a request, all or none. May block.
    fn pages(&self, request: PageRequest) -> LogPage {
        let pages = request.lines.iter().map(|lines| self.page(&request.key, lines.clone()));
        let lines = pages.collect::<Result<Vec<_>, _>>().map(|pages| pages.into_iter().flatten().collect());
        LogPage { request, lines }
    }

    /// Tells the lines that are looked for, in order. Stops when `stop` says so or when `found` does. May block.
    ///
    /// # Errors
    /// The log cannot be read, and why, in words.
    fn scan(
        &self,
        scan: &LogSearch,
        stop: &dyn Fn() -> bool,
        found: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), String>;

    /// Tells the lines of several logs that match, each with the place of its log, in order, up to [`MAX_RUN_HITS`] of them. Stops
    /// when `stop` says so or when `found` does. May block.
    ///
    /// # Errors
    /// A log cannot be read, and why, in words; the others were looked at.
    fn grep(
        &self,
        grep: &RunSearch,
        stop: &dyn Fn() -> bool,
        found: &mut dyn FnMut(usize, RawLine) -> ControlFlow<()>,
    ) -> Result<(), String>;

    /// Where a file that a run names is on this machine.
    fn file(&self, run: &RunId, name: &str) -> Option<PathBuf>;
}

/// The logs in the folders of runs on this machine.
#[derive(Debug)]
pub struct LogFiles {
    runs: RunsDir,
    /// The log that was read last, and the one that was searched last: most requests are for the same one.
    last: Mutex<Option<(LogKey, LogReader)>>,
    searched: Mutex<Option<(LogKey, LogReader)>>,
}

/// A reader that is kept for the next request.
type Kept = Mutex<Option<(LogKey, LogReader)>>;

impl LogFiles {
    /// The logs of these runs.
    #[must_use]
    pub fn new(runs: RunsDir) -> Self {
        Self { runs, last: Mutex::new(None), searched: Mutex::new(None) }
    }

    /// Takes the reader of a log that is kept, or opens one; `None` when the step wrote nothing.
    fn reader(&self, kept: &Kept, key: &LogKey) -> Result<Option<LogReader>, String> {
        // A reader lost to a panic of another thread is only opened again.
        let last = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some((_, reader)) = last.filter(|(of, _)| of == key) {
            return Ok(Some(reader));
        }
        self.open(key)
    }

    fn open(&self, key: &LogKey) -> Result<Option<LogReader>, String> {
        let LogKey { run, job, attempt, step } = key;
        let path = self.runs.folder(run.clone()).log(job, *attempt, *step);
        LogReader::open(path).map_err(|error| error.to_string())
    }
}

/// What is told of a long line that matches: the part with the match.
fn part(line: &[u8], query: &LineMatcher) -> Vec<u8> {
    let first = query.ranges(line).first().map_or(0, |range| range.start);
    let start = if first + BEFORE < MOST_BYTES { 0 } else { first - BEFORE };
    line[start..].iter().take(MOST_BYTES).copied().collect()
}

fn keep(kept: &Kept, key: &LogKey, reader: LogReader) {
    *kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((key.clone(), reader));
}

impl Logs for LogFiles {
    fn page(&self, key: &LogKey, lines: Range<u64>) -> Result<Vec<RawLine>, String> {
        let Some(mut reader) = self.reader(&self.last, key)? else { return Ok(Vec::new()) };
        let count = usize::try_from(lines.end.saturating_sub(lines.start)).unwrap_or(usize::MAX);
        let page = reader.page(lines.start, count).map_err(|error| error.to_string())?;
        let text = |(number, bytes)| RawLine { number, bytes, time: reader.time(number) };
        let lines = (lines.start..).zip(page.lines).map(text).collect();
        keep(&self.last, key, reader);
        Ok(lines)
    }

    fn scan(
        &self,
        scan: &LogSearch,
        stop: &dyn Fn() -> bool,
        found: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), String> {
        let told = |error: crate::store::StoreError| error.to_string();
        let Some(mut reader) = self.reader(&self.searched, &scan.key)? else { return Ok(()) };
        reader.refresh().map_err(told)?;
        match &scan.what {
            Query::Errors => {
                for line in first_error::lines(&reader, scan.lines.clone(), stop).map_err(told)? {
                    if found(line).is_break() {
                        break;
                    }
                }
            }
            Query::Matches(pattern) => {
                let (query, _) = pattern.query().map_err(|error| error.to_string())?;
                let mut next = scan.lines.start;
                let mut between = |until: u64, found: &mut dyn FnMut(u64) -> ControlFlow<()>| {
                    let lines = std::mem::replace(&mut next, until + 1)..until;
                    lines.into_iter().try_for_each(found)
                };
                let each = |line| if pattern.inverted { between(line, found) } else { found(line) };
                reader.search(&query, scan.lines.clone(), stop, each).map_err(told)?;
                if pattern.inverted && !stop() {
                    let _ = between(scan.lines.end, found);
                }
            }
        }
        keep(&self.searched, &scan.key, reader);
        Ok(())
    }

    fn grep(
        &self,
        grep: &RunSearch,
        stop: &dyn Fn() -> bool,
        found: &mut dyn FnMut(usize, RawLine) -> ControlFlow<()>,
    ) -> Result<(), String> {
        let (query, _) = grep.pattern.query().map_err(|error| error.to_string())?;
        let (mut left, mut failed) = (MAX_RUN_HITS, None);
        for (log, (key, lines)) in grep.logs.iter().enumerate() {
            if stop() || left == 0 {
                break;
            }
            // Readers of its own: those that are kept belong to the log on the screen.
            let open = || self.open(key);
            let (reader, mut pages) = match open().and_then(|reader| Ok((reader, open()?))) {
                Ok((Some(reader), Some(pages))) => (reader, pages),
                Ok(_) => continue,
                Err(error) => {
                    // The others can be looked at whatever is wrong with this one.
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let each = |number| {
                let bytes =
                    pages.page(number, 1).ok().and_then(|page| page.lines.into_iter().next()).unwrap_or_default();
                left -= 1;
                let told = found(log, RawLine { number, bytes: part(&bytes, &query), time: None });
                if left == 0 { ControlFlow::Break(()) } else { told }
            };
            if let Err(error) = reader.search(&query, 0..*lines, stop, each) {
                failed.get_or_insert(error.to_string());
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn file(&self, run: &RunId, name: &str) -> Option<PathBuf> {
        let repository = RunSpec::read(&self.runs.folder(run.clone())).ok()?.repository;
        // A job names files of its own copy; where that was says nothing here, so its leading folders are left out.
        let mut parts = Path::new(name).components();
        while parts.clone().next().is_some() {
            let inside = parts.clone().all(|part| matches!(part, Component::Normal(_)));
            let path = repository.join(parts.as_path());
            if inside && path.is_file() {
                return Some(path);
            }
            parts.next();
        }
        None
    }
}

/// Reads lines and sends them back as a message.
pub(super) fn load_page<L: Logs>(
    logs: &Arc<L>,
    request: PageRequest,
    answers: &mpsc::Sender<Msg>,
    answer: impl FnOnce(LogPage) -> Msg + Send + 'static,
) {
    let (logs, answers) = (Arc::clone(logs), answers.clone());
    tokio::task::spawn_blocking(move || {
        // When nobody listens the screen is gone, and so is the wish for these lines.
        let _ = answers.blocking_send(answer(logs.pages(request)));
    });
}

/// The searches under way, each with what ends it.
#[derive(Debug, Default)]
pub(super) struct Searches(HashMap<SearchSlot, Arc<AtomicBool>>);

impl Searches {
    /// Ends what is looked for in a place.
    pub(super) fn stop(&mut self, place: SearchSlot) {
        if let Some(stop) = self.0.remove(&place) {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// Begins a search for a place, after the end of the one before: what is to be asked whether it was stopped.
    fn begin(&mut self, place: SearchSlot) -> Arc<AtomicBool> {
        self.stop(place);
        let stop = Arc::new(AtomicBool::new(false));
        self.0.insert(place, Arc::clone(&stop));
        stop
    }

    /// Looks for lines in the logs of a run and sends back what is found, in portions.
    pub(super) fn grep<L: Logs>(&mut self, logs: &Arc<L>, grep: RunSearch, answers: &mpsc::Sender<Msg>) {
        let stop = self.begin(SearchSlot::Run);
        let (logs, answers) = (Arc::clone(logs), answers.clone());
        tokio::task::spawn_blocking(move || {
            let stopped = || stop.load(Ordering::Relaxed);
            let send = |hits, done| {
                answers.blocking_send(Msg::RunSearched(RunSearchResult { id: grep.id, hits, done })).is_ok()
            };
            let (mut portion, mut sent) = (Vec::new(), Instant::now());
            let ended = logs.grep(&grep, &stopped, &mut |log, text| {
                portion.push((log, text));
                if sent.elapsed() >= PORTION {
                    sent = Instant::now();
                    if !send(Ok(std::mem::take(&mut portion)), false) {
                        return ControlFlow::Break(());
                    }
                }
                if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if !stopped() {
                // What was found before something went wrong is told, too.
                let last = std::mem::take(&mut portion);
                let _ = match ended {
                    Ok(()) => send(Ok(last), true),
                    Err(error) => send(Ok(last), false) && send(Err(error), true),
                };
            }
        });
    }

    /// Looks for lines and sends back what is found, in portions.
    pub(super) fn start<L: Logs>(&mut self, logs: &Arc<L>, scan: LogSearch, answers: &mpsc::Sender<Msg>) {
        let stop = self.begin(scan.place);
        let (logs, answers) = (Arc::clone(logs), answers.clone());
        tokio::task::spawn_blocking(move || {
            let stopped = || stop.load(Ordering::Relaxed);
            let send = |found, done| {
                answers.blocking_send(Msg::LogSearched(LogSearchResult { scan: scan.clone(), found, done })).is_ok()
            };
            let (mut portion, mut sent) = (Vec::new(), Instant::now());
            let ended = logs.scan(&scan, &stopped, &mut |line| {
                portion.push(line);
                // The clock is asked now and then only: in a large log most lines may match.
                if portion.len().is_multiple_of(64) && sent.elapsed() >= PORTION {
                    sent = Instant::now();
                    if !send(Ok(std::mem::take(&mut portion)), false) {
                        return ControlFlow::Break(());
                    }
                }
                if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if !stopped() {
                // When nobody listens the screen is gone, and so is the wish for these lines.
                send(ended.map(|()| portion), true);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, StepNumber, Timestamp};
    use crate::store::logs::LogWriter;
    use crate::store::logs::pattern::Pattern;

    #[test]
    fn pages_come_from_the_run_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let folder = runs.create(Timestamp(0)).expect("made");
        let key = LogKey { run: folder.id().clone(), job: JobId::new("a"), attempt: 1, step: StepNumber(2) };
        let files = LogFiles::new(runs);
        let page = |lines: Range<u64>| {
            let lines = files.page(&key, lines).expect("read");
            lines.into_iter().map(|line| String::from_utf8(line.bytes).expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(page(0..2), Vec::<String>::new(), "a silent step has no file");
        let mut writer = LogWriter::new(folder.log(&key.job, 1, key.step));
        writer.append(b"one\ntwo\nthree\n", Timestamp(1)).expect("written");
        assert_eq!(page(1..3), ["two", "three"]);
        writer.append(b"four\n", Timestamp(2)).expect("written");
        assert_eq!(page(2..4), ["three", "four"]);
        let scan = |typed: &str| {
            let what = Query::Matches(Pattern::parse(typed, true).expect("something"));
            let scan = LogSearch { id: 0, place: SearchSlot::Keep, key: key.clone(), what, lines: 0..4 };
            let mut lines = Vec::new();
            let found = files.scan(&scan, &|| false, &mut |line| {
                lines.push(line);
                ControlFlow::Continue(())
            });
            found.map(|()| lines)
        };
        assert_eq!((scan("t"), scan("!t")), (Ok(vec![1, 2]), Ok(vec![0, 3])));
    }

    #[test]
    fn several_logs_are_searched_and_long_lines_cut_around_the_match() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let folder = runs.create(Timestamp(0)).expect("made");
        let key = |step| LogKey { run: folder.id().clone(), job: JobId::new("a"), attempt: 1, step: StepNumber(step) };
        for (step, text) in
            [(1, "one\ntwo\n".to_owned()), (3, format!("{}two{}\n", "x".repeat(5000), "y".repeat(5000)))]
        {
            let mut writer = LogWriter::new(folder.log(&JobId::new("a"), 1, StepNumber(step)));
            writer.append(text.as_bytes(), Timestamp(1)).expect("written");
        }
        let files = LogFiles::new(runs);
        let grep = |text: &str| {
            let pattern = Pattern::parse(text, false).expect("something");
            // The second step wrote nothing.
            let grep = RunSearch { id: 0, pattern, logs: vec![(key(1), 2), (key(2), 5), (key(3), 1)] };
            let mut hits = Vec::new();
            let ended = files.grep(&grep, &|| false, &mut |log, text| {
                hits.push((log, text.number, String::from_utf8(text.bytes).expect("text")));
                ControlFlow::Continue(())
            });
            ended.map(|()| hits)
        };
        let hits = grep("two").expect("read");
        assert_eq!((hits.len(), hits[0].clone()), (2, (0, 1, "two".to_owned())));
        assert_eq!((hits[1].0, hits[1].1, hits[1].2.len(), hits[1].2.find("two")), (2, 0, MOST_BYTES, Some(BEFORE)));
        assert_eq!(grep("three"), Ok(Vec::new()));
    }

    #[test]
    fn files_that_a_job_names_are_found_in_the_repository_and_nowhere_else() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path().join("state"));
        let repository = home.path().join("repository");
        std::fs::create_dir_all(repository.join("src")).expect("made");
        for file in ["repository/src/a.rs", "secret"] {
            std::fs::write(home.path().join(file), "").expect("written");
        }
        let folder = runs.create(Timestamp(0)).expect("made");
        RunSpec { repository: repository.clone(), ..RunSpec::default() }.write(&folder).expect("written");
        let files = LogFiles::new(runs);
        let file = |name: &str| files.file(folder.id(), name);
        let there = Some(repository.join("src/a.rs"));
        assert_eq!([file("src/a.rs"), file("/work/job/copy/src/a.rs")], [there.clone(), there]);
        assert_eq!([file("src/b.rs"), file("../secret"), file("")], [None, None, None]);
    }
}
