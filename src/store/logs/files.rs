//! Logs in the run folders of this machine.

use std::ops::{ControlFlow, Range};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::model::RunId;
use crate::store::first_error;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::spec::RunSpec;

use super::query::{LogError, LogKey, LogSearch, Logs, MAX_RUN_HITS, Query, RawLine, RunSearch};
use super::{LineMatcher, LogReader};

/// Maximum number of bytes of a line that a search in several logs returns.
const MAX_HIT_BYTES: usize = 1024;

/// Number of bytes shown before the match in a line that is longer than [`MAX_HIT_BYTES`].
const BYTES_BEFORE_MATCH: usize = 100;

/// The logs of all runs in a state folder.
#[derive(Debug)]
pub struct LogFiles {
    runs: RunsDir,
    /// Reader that returned the last page. It is kept because most requests are for the same log.
    page: CachedReader,
    /// Reader of the last search. Searches and pages do not wait for each other.
    search: CachedReader,
}

/// A reader that is kept for the next request.
type CachedReader = Mutex<Option<(LogKey, LogReader)>>;

impl LogFiles {
    /// Returns the logs of these runs.
    #[must_use]
    pub fn new(runs: RunsDir) -> Self {
        Self { runs, page: Mutex::new(None), search: Mutex::new(None) }
    }

    /// Takes the cached reader of a log, or opens one; `None` if the step wrote nothing.
    fn reader(&self, cached: &CachedReader, key: &LogKey) -> Result<Option<LogReader>, LogError> {
        // A reader is not in the cache while it is in use, so after a panic the log is opened again.
        let last = cached.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_, reader)) = last.filter(|(of, _)| of == key) {
            return Ok(Some(reader));
        }
        self.open(key)
    }

    fn open(&self, key: &LogKey) -> Result<Option<LogReader>, LogError> {
        let LogKey { run, job, attempt, step } = key;
        Ok(LogReader::open(self.runs.folder(run.clone()).log(job, *attempt, *step))?)
    }
}

fn keep(cached: &CachedReader, key: &LogKey, reader: LogReader) {
    *cached.lock().unwrap_or_else(PoisonError::into_inner) = Some((key.clone(), reader));
}

/// Returns the part of a long line that contains the match.
fn excerpt(line: &[u8], query: &LineMatcher) -> Vec<u8> {
    let first = query.ranges(line).first().map_or(0, |range| range.start);
    let start = if first + BYTES_BEFORE_MATCH < MAX_HIT_BYTES { 0 } else { first - BYTES_BEFORE_MATCH };
    line[start..].iter().take(MAX_HIT_BYTES).copied().collect()
}

impl Logs for LogFiles {
    fn page(&self, key: &LogKey, lines: Range<u64>) -> Result<Vec<RawLine>, LogError> {
        let Some(mut reader) = self.reader(&self.page, key)? else { return Ok(Vec::new()) };
        let count = usize::try_from(lines.end.saturating_sub(lines.start)).unwrap_or(usize::MAX);
        let page = reader.page(lines.start, count)?;
        let line = |(number, bytes)| RawLine { number, bytes, time: reader.time(number) };
        let lines = (lines.start..).zip(page.lines).map(line).collect();
        keep(&self.page, key, reader);
        Ok(lines)
    }

    fn search(
        &self,
        search: &LogSearch,
        cancelled: &dyn Fn() -> bool,
        found: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let Some(mut reader) = self.reader(&self.search, &search.key)? else { return Ok(()) };
        reader.refresh()?;
        match &search.what {
            Query::Errors => {
                for line in first_error::lines(&reader, search.lines.clone(), cancelled)? {
                    if found(line).is_break() {
                        break;
                    }
                }
            }
            Query::Matches(pattern) => {
                let (query, _) = pattern.query()?;
                let mut next = search.lines.start;
                let mut between = |until: u64, found: &mut dyn FnMut(u64) -> ControlFlow<()>| {
                    let lines = std::mem::replace(&mut next, until + 1)..until;
                    lines.into_iter().try_for_each(found)
                };
                let each = |line| if pattern.inverted { between(line, found) } else { found(line) };
                reader.search(&query, search.lines.clone(), cancelled, each)?;
                if pattern.inverted && !cancelled() {
                    let _ = between(search.lines.end, found);
                }
            }
        }
        keep(&self.search, &search.key, reader);
        Ok(())
    }

    fn search_run(
        &self,
        search: &RunSearch,
        cancelled: &dyn Fn() -> bool,
        found: &mut dyn FnMut(usize, RawLine) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let (query, _) = search.pattern.query()?;
        let (mut left, mut failed) = (MAX_RUN_HITS, None);
        for (log, (key, lines)) in search.logs.iter().enumerate() {
            if cancelled() || left == 0 {
                break;
            }
            // These readers are not cached, because the cached ones belong to the log on the screen.
            let open = || self.open(key);
            let (reader, mut pages) = match open().and_then(|reader| Ok((reader, open()?))) {
                Ok((Some(reader), Some(pages))) => (reader, pages),
                Ok(_) => continue,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let each = |number| {
                let bytes =
                    pages.page(number, 1).ok().and_then(|page| page.lines.into_iter().next()).unwrap_or_default();
                left -= 1;
                let flow = found(log, RawLine { number, bytes: excerpt(&bytes, &query), time: None });
                if left == 0 { ControlFlow::Break(()) } else { flow }
            };
            if let Err(error) = reader.search(&query, 0..*lines, cancelled, each) {
                failed.get_or_insert(error.into());
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn file(&self, run: &RunId, name: &str) -> Option<PathBuf> {
        source_file(&repository(&self.runs.folder(run.clone()))?, name)
    }
}

/// Returns the root of a run's repository on this machine; `None` if it is not a workflow run of this machine.
#[must_use]
pub fn repository(run: &RunFolder) -> Option<PathBuf> {
    RunSpec::read(run).ok()?.work.workflow().map(|workflow| workflow.repository.clone())
}

/// Returns the file of a repository that a path in a log names; `None` if there is no such file.
#[must_use]
pub fn source_file(repository: &Path, name: &str) -> Option<PathBuf> {
    // Paths in a log refer to the job's workspace, whose leading folders do not exist here.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, RunInfo, StepNumber, Timestamp};
    use crate::store::logs::LogWriter;
    use crate::store::logs::pattern::Pattern;
    use crate::store::logs::query::SearchSlot;
    use crate::store::spec::WorkflowSpec;

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
        let search = |typed: &str| {
            let what = Query::Matches(Pattern::parse(typed, true).expect("something"));
            let search = LogSearch { id: 0, slot: SearchSlot::Keep, key: key.clone(), what, lines: 0..4 };
            let mut lines = Vec::new();
            let found = files.search(&search, &|| false, &mut |line| {
                lines.push(line);
                ControlFlow::Continue(())
            });
            found.map(|()| lines)
        };
        assert_eq!((search("t"), search("!t")), (Ok(vec![1, 2]), Ok(vec![0, 3])));
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
        let search = |text: &str| {
            let pattern = Pattern::parse(text, false).expect("something");
            // The second step wrote nothing.
            let search = RunSearch { id: 0, pattern, logs: vec![(key(1), 2), (key(2), 5), (key(3), 1)] };
            let mut hits = Vec::new();
            let ended = files.search_run(&search, &|| false, &mut |log, text| {
                hits.push((log, text.number, String::from_utf8(text.bytes).expect("text")));
                ControlFlow::Continue(())
            });
            ended.map(|()| hits)
        };
        let hits = search("two").expect("read");
        assert_eq!((hits.len(), hits[0].clone()), (2, (0, 1, "two".to_owned())));
        assert_eq!(
            (hits[1].0, hits[1].1, hits[1].2.len(), hits[1].2.find("two")),
            (2, 0, MAX_HIT_BYTES, Some(BYTES_BEFORE_MATCH))
        );
        assert_eq!(search("three"), Ok(Vec::new()));
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
        let workflow = WorkflowSpec { repository: repository.clone(), ..WorkflowSpec::default() };
        RunSpec::of_workflow(RunInfo::default(), workflow).write(&folder).expect("written");
        let files = LogFiles::new(runs);
        let file = |name: &str| files.file(folder.id(), name);
        let there = Some(repository.join("src/a.rs"));
        assert_eq!([file("src/a.rs"), file("/work/job/copy/src/a.rs")], [there.clone(), there]);
        assert_eq!([file("src/b.rs"), file("../secret"), file("")], [None, None, None]);
    }
}
