//! Splits the log of a job into the logs of its steps.
//!
//! A server returns one text per job, in which each line starts with a time and steps are not marked. A line belongs to
//! the step that was running at that time. The times of steps have whole seconds, so within the second in which one
//! step ends and another starts, the lines that runners write at the start of a step decide. Lines between two steps
//! belong to the earlier one. Lines outside of all steps go into the log of an extra step.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::backend::github::wire;
use crate::model::{Event, Job, LineRange, ServerKind, Step, StepKind, StepNumber, StepOutline, Timestamp};
use crate::store::StoreError;
use crate::store::folder::RunFolder;
use crate::store::logs::LogWriter;
use crate::store::spec::RunSpec;

use super::events::Timed;

/// Name of the extra step for lines outside of all steps.
const UNKNOWN_STEP: &str = "Unknown step";

/// Byte order mark in UTF-8, which some servers send first.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Maximum length in bytes of a time at the start of a line, with the space behind it.
const LONGEST_TIME: usize = 40;

/// Maximum length in bytes of the name and the properties of a command in a log.
const LONGEST_COMMAND: usize = 512;

/// Commands that are shown in a log.
const SHOWN_COMMANDS: [&str; 6] = ["group", "endgroup", "error", "warning", "notice", "debug"];

/// Maximum number of bytes of a line that are read at once. Longer lines are written in parts.
const PORTION: usize = 64 * 1024;

/// Minimum interval between two events about a log, in milliseconds, so that replays show the log grow. All lines
/// within the interval get the time of the first, so the times of lines are exact to a second.
const INTERVAL: u64 = 1000;

/// Number of events about the logs of a job after which their interval is doubled, so that a log of several days has
/// only some thousand events.
const EVENTS_PER_INTERVAL: usize = 200;

/// Why a log cannot be split.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The text cannot be read.
    #[error("cannot read the log of the job: {0}")]
    Read(#[source] io::Error),
    /// A log of a step cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Splits the log of a completed job into the logs of its steps, and returns the events about them. The text is never
/// held in memory as a whole. Existing logs of the attempt are replaced.
///
/// # Errors
/// The text cannot be read, or a log cannot be written.
pub fn split(folder: &RunFolder, job: &Job, text: impl BufRead) -> Result<Vec<Timed>, LogError> {
    let mut logs = StepLogs::new(folder, job)?;
    let mut lines = Lines { text, is_first: true };
    let mut part = Vec::new();
    while let Some(ends) = lines.next(&mut part).map_err(LogError::Read)? {
        logs.add(&part, ends)?;
    }
    logs.finish()
}

/// Reads lines in parts of bounded size.
struct Lines<R> {
    text: R,
    is_first: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next part of a line, including its newline. Returns whether the part ends the line; `None` at the end
    /// of the text.
    fn next(&mut self, part: &mut Vec<u8>) -> io::Result<Option<bool>> {
        part.clear();
        loop {
            let portion = match self.text.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                portion => portion?,
            };
            if portion.is_empty() {
                return Ok((!part.is_empty()).then_some(true));
            }
            let room = PORTION - part.len();
            let end = memchr::memchr(b'\n', &portion[..portion.len().min(room)]);
            let used = end.map_or(portion.len().min(room), |end| end + 1);
            part.extend_from_slice(&portion[..used]);
            self.text.consume(used);
            if end.is_some() || part.len() >= PORTION {
                if std::mem::take(&mut self.is_first) && part.starts_with(BYTE_ORDER_MARK) {
                    part.drain(..BYTE_ORDER_MARK.len());
                }
                return Ok(Some(end.is_some()));
            }
        }
    }
}

/// The time from the start of a step to its end.
struct Span {
    number: StepNumber,
    kind: StepKind,
    first: Timestamp,
    last: Timestamp,
}

/// A log that is being written.
struct StepLog {
    writer: LogWriter,
    /// Text that is not written yet, to write many lines at once.
    buffer: Vec<u8>,
    buffered: Timestamp,
    /// Lines that are not reported by an event yet.
    pending: Option<LineRange>,
    /// Time of the last event.
    reported: Timestamp,
    last: Timestamp,
}

impl StepLog {
    /// Adds lines to report with the next event.
    fn extend(&mut self, lines: LineRange) {
        self.pending = Some(match self.pending {
            Some(pending) => LineRange { first: pending.first, count: pending.count + lines.count },
            None => lines,
        });
    }
}

/// Maximum number of bytes that are held back until it is clear which of two steps they belong to.
const MAX_HELD: usize = 256 * 1024;

/// Lines of a second in which one step ended and the next one started.
#[derive(Default)]
struct Held {
    second: Timestamp,
    /// Indices in `spans` of the steps that include this second.
    steps: Vec<usize>,
    lines: Vec<(Timestamp, Vec<u8>)>,
    bytes: usize,
}

/// The logs of a job.
pub(super) struct StepLogs {
    folder: RunFolder,
    job: Job,
    /// Whether the log has commands as the steps printed them, as the logs of Gitea's runner.
    has_raw_commands: bool,
    spans: Vec<Span>,
    /// Index in `spans` of the step that the last line belonged to.
    current: Option<usize>,
    held: Held,
    logs: BTreeMap<StepNumber, StepLog>,
    /// Whether the last part did not end its line.
    is_open: bool,
    /// The log that the last part was written to; `None` if it is held.
    last: Option<StepNumber>,
    at: Timestamp,
    /// Whether the extra step for lines outside of all steps has been planned.
    has_unknown: bool,
    events: Vec<Timed>,
    /// Minimum time between two events about a log, in milliseconds.
    interval: u64,
    /// Number of lines of each step that events have reported before these logs were started. They are not reported
    /// again, so that readers of a growing log do not print them twice.
    known: BTreeMap<StepNumber, u64>,
}

impl StepLogs {
    pub(super) fn new(folder: &RunFolder, job: &Job) -> Result<Self, LogError> {
        let logs = folder.log(&job.id, job.attempt, StepNumber(1));
        if let Some(folder) = logs.parent() {
            match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", folder)(error).into());
                }
                _ => {}
            }
        }
        let spec = RunSpec::read(folder).ok();
        let server = spec.and_then(|spec| spec.work.remote().map(|remote| remote.server));
        Ok(Self {
            folder: folder.clone(),
            job: job.clone(),
            has_raw_commands: server == Some(ServerKind::Gitea),
            spans: spans(job),
            current: None,
            held: Held::default(),
            logs: BTreeMap::new(),
            is_open: false,
            last: None,
            at: job.started.unwrap_or_default(),
            has_unknown: false,
            events: Vec::new(),
            interval: INTERVAL,
            known: job.steps.iter().map(|step| (step.number, step.lines)).collect(),
        })
    }

    pub(super) fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// Updates the steps of a running job. Known steps keep their index.
    pub(super) fn set_job(&mut self, job: &Job) {
        self.spans = spans(job);
        self.job = job.clone();
    }

    /// Writes the buffered lines, and returns the events about text added since the last call. If the text pauses, held
    /// lines are written as well.
    pub(super) fn events(&mut self, pauses: bool) -> Result<Vec<Timed>, LogError> {
        if pauses {
            self.release(None)?;
        }
        let numbers: Vec<StepNumber> = self.logs.keys().copied().collect();
        for number in numbers {
            self.flush(number)?;
            self.report(number);
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// Adds lines to the log of the step that wrote the last line. Returns whether that step is clear.
    pub(super) fn extend<'t>(&mut self, lines: impl Iterator<Item = &'t [u8]>) -> Result<bool, LogError> {
        let Some(number) = self.last.filter(|_| self.held.lines.is_empty()) else { return Ok(false) };
        for line in lines {
            let (time, text) = if self.is_open { (None, Cow::Borrowed(line)) } else { self.start_of_line(line) };
            self.at = time.unwrap_or(self.at);
            self.write(number, self.at, &text)?;
            self.is_open = !line.ends_with(b"\n");
        }
        Ok(true)
    }

    /// Adds a part of a line.
    pub(super) fn add(&mut self, part: &[u8], ends: bool) -> Result<(), LogError> {
        self.last = match (self.is_open, self.last) {
            (true, Some(number)) => {
                self.write(number, self.at, part)?;
                Some(number)
            }
            (true, None) => self.hold_or_write(part)?,
            (false, _) => self.add_line(part)?,
        };
        self.is_open = !ends;
        Ok(())
    }

    /// Splits the first part of a line into its time and its text, with a command in the form of GitHub's logs.
    fn start_of_line<'t>(&self, part: &'t [u8]) -> (Option<Timestamp>, Cow<'t, [u8]>) {
        let (time, text) = time_of(part);
        let command = if self.has_raw_commands { carried_out(text) } else { None };
        (time, command.map_or(Cow::Borrowed(text), Cow::Owned))
    }

    /// Adds the first part of a line. Returns the log that it was written to, or `None` if it is held.
    fn add_line(&mut self, part: &[u8]) -> Result<Option<StepNumber>, LogError> {
        let (time, text) = self.start_of_line(part);
        let text = &*text;
        let Some(time) = time else {
            // A continuation of output that contains newlines, or a text without times.
            if !self.held.lines.is_empty() {
                return self.hold_or_write(text);
            }
            let number = self.current.map_or(self.unknown(), |current| self.spans[current].number);
            self.write(number, self.at, text)?;
            return Ok(Some(number));
        };
        self.at = time;
        let second = Timestamp(time.0 / 1000 * 1000);
        if !self.held.lines.is_empty() && self.held.second != second {
            self.release(Some((second, text)))?;
        }
        if !self.held.lines.is_empty() {
            return self.hold_or_write(text);
        }
        let from = self.current.unwrap_or(0);
        let has = |place: &usize| self.spans[*place].first <= second && second <= self.spans[*place].last;
        let steps: Vec<usize> = (from..self.spans.len()).filter(has).collect();
        let number = match steps.as_slice() {
            [only] => {
                self.current = Some(*only);
                self.spans[*only].number
            }
            [] => match self.current {
                // Between two steps: the previous step is still writing.
                Some(current) if self.spans.get(current + 1).is_none_or(|next| second < next.first) => {
                    self.spans[current].number
                }
                _ => self.unknown(),
            },
            _ => {
                self.held = Held { second, steps, lines: Vec::new(), bytes: 0 };
                return self.hold_or_write(text);
            }
        };
        self.write(number, time, text)?;
        Ok(Some(number))
    }

    /// Holds text back, or writes everything that is held once it exceeds [`MAX_HELD`].
    fn hold_or_write(&mut self, text: &[u8]) -> Result<Option<StepNumber>, LogError> {
        self.held.bytes += text.len();
        self.held.lines.push((self.at, text.to_vec()));
        if self.held.bytes <= MAX_HELD {
            return Ok(None);
        }
        self.release(None)?;
        Ok(self.current.map(|current| self.spans[current].number))
    }

    /// Writes the held lines. `next` is the line after them with its second, if there is one.
    ///
    /// A line that opens a step divides the second between the steps. If there is no such line, the next line decides:
    /// if it opens the next step, all held lines belong to the previous step. Otherwise the next step starts without
    /// such a line, and the held lines belong to that step. If a further step starts in the second of the next line,
    /// that line opens the further step instead.
    fn release(&mut self, next: Option<(Timestamp, &[u8])>) -> Result<(), LogError> {
        let Held { steps, lines, .. } = std::mem::take(&mut self.held);
        let Some(first) = steps.first().copied() else { return Ok(()) };
        let opened_by = |text: &[u8], after: Option<usize>| {
            let later = steps.iter().copied().filter(|place| after.is_none_or(|after| *place > after));
            later.into_iter().find(|place| opens(text, &self.spans[*place]))
        };
        let mut current = self.current.filter(|current| steps.contains(current));
        let is_divided = lines.iter().any(|(_, text)| opened_by(text, current).is_some());
        let opens_later = |second: Timestamp| {
            let later = self.spans.iter().skip(steps.last().map_or(0, |last| last + 1));
            later.take_while(|span| span.first <= second).any(|span| span.first == second)
        };
        let is_open_next = |(second, text)| opened_by(text, current).is_some() && !opens_later(second);
        if !is_divided && !next.is_some_and(is_open_next) {
            current = steps.last().copied();
        }
        let mut places = Vec::with_capacity(lines.len());
        for (_, text) in &lines {
            if is_divided && let Some(opened) = opened_by(text, current) {
                current = Some(opened);
            }
            places.push(current.unwrap_or(first));
        }
        self.current = Some(current.unwrap_or(first));
        for ((at, text), place) in lines.into_iter().zip(places) {
            self.write(self.spans[place].number, at, &text)?;
        }
        Ok(())
    }

    fn write(&mut self, number: StepNumber, at: Timestamp, text: &[u8]) -> Result<(), LogError> {
        let (folder, job) = (&self.folder, &self.job);
        if !self.has_unknown && self.spans.iter().all(|span| span.number != number) {
            self.has_unknown = true;
            if job.steps.iter().all(|step| step.number != number) {
                let (name, kind) = (UNKNOWN_STEP.to_owned(), StepKind::Job);
                let outline = StepOutline { number, name, kind, background: false, label: None };
                let planned = Event::StepsPlanned { job: job.id.clone(), steps: vec![outline] };
                self.events.push((job.started.unwrap_or_default(), planned));
            }
        }
        let log = self.logs.entry(number).or_insert_with(|| StepLog {
            writer: LogWriter::new(folder.log(&job.id, job.attempt, number)),
            buffer: Vec::new(),
            buffered: at,
            pending: None,
            reported: at,
            last: at,
        });
        if !log.buffer.is_empty() && at.0.saturating_sub(log.buffered.0) >= INTERVAL {
            self.flush(number)?;
        }
        let Some(log) = self.logs.get_mut(&number) else { return Ok(()) };
        if log.buffer.is_empty() {
            log.buffered = at;
        }
        log.buffer.extend_from_slice(text);
        log.last = at;
        if log.buffer.len() >= PORTION {
            self.flush(number)?;
        }
        Ok(())
    }

    /// Writes the buffer of a log, and reports its lines if the last report is old enough.
    fn flush(&mut self, number: StepNumber) -> Result<(), LogError> {
        let Some(log) = self.logs.get_mut(&number) else { return Ok(()) };
        let lines = log.writer.append(&log.buffer, log.buffered)?;
        log.buffer.clear();
        log.extend(lines);
        if log.last.0.saturating_sub(log.reported.0) >= self.interval {
            self.report(number);
        }
        Ok(())
    }

    /// Returns the number of the extra step for lines outside of all steps. It comes last.
    fn unknown(&self) -> StepNumber {
        let known = self.job.steps.iter().find(|step| step.kind == StepKind::Job && step.name == UNKNOWN_STEP);
        let last = self.job.steps.iter().map(|step| step.number.0).max().unwrap_or_default();
        let next = || StepNumber(last.saturating_add(1));
        known.map_or_else(next, |step| step.number)
    }

    fn report(&mut self, number: StepNumber) {
        let Some(log) = self.logs.get_mut(&number) else { return };
        if let Some(lines) = log.pending.take().filter(|lines| lines.count > 0) {
            log.reported = log.last;
            let (first, end) = (lines.first, lines.first + lines.count);
            let first = first.max(self.known.get(&number).copied().unwrap_or_default());
            if first >= end {
                return;
            }
            let (job, output) = (self.job.id.clone(), LineRange { first, count: end - first });
            self.events.push((log.last, Event::Output { job, step: number, output }));
            if self.events.len().is_multiple_of(EVENTS_PER_INTERVAL) {
                self.interval = self.interval.saturating_mul(2);
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Vec<Timed>, LogError> {
        self.release(None)?;
        let numbers: Vec<StepNumber> = self.logs.keys().copied().collect();
        for number in numbers {
            self.flush(number)?;
            if let Some(log) = self.logs.get_mut(&number) {
                let last = log.writer.finish();
                log.extend(last);
            }
            self.report(number);
        }
        // The events are ordered by step, because readers that print a growing log print one step after another.
        self.events.sort_by_key(|(_, event)| match event {
            Event::Output { step, .. } => *step,
            _ => StepNumber(0),
        });
        Ok(self.events)
    }
}

/// Returns the spans of the steps that have started. The span of a running step is open-ended.
fn spans(job: &Job) -> Vec<Span> {
    let end = job.finished.unwrap_or(Timestamp(u64::MAX));
    let span = |step: &Step| {
        let (first, last) = (step.started?, step.finished.unwrap_or(end));
        Some(Span { number: step.number, kind: step.kind, first, last: last.max(first) })
    };
    job.steps.iter().filter_map(span).collect()
}

/// Whether a line is one that runners write at the start of a step.
fn opens(text: &[u8], step: &Span) -> bool {
    match step.kind {
        StepKind::Main | StepKind::Pre => text.starts_with(b"##[group]Run "),
        StepKind::Post => text.starts_with(b"Post job cleanup."),
        StepKind::Job => text.starts_with(b"Cleaning up orphan processes"),
    }
}

/// Returns a command that a step printed as GitHub's logs have it: `##[name]` with its text. `None` for other lines.
fn carried_out(line: &[u8]) -> Option<Vec<u8>> {
    let rest = line.strip_prefix(b"::")?;
    let end = memchr::memmem::find(&rest[..rest.len().min(LONGEST_COMMAND)], b"::")?;
    let name = rest[..end].split(|byte| *byte == b' ').next()?;
    let is_shown = SHOWN_COMMANDS.iter().any(|command| name.eq_ignore_ascii_case(command.as_bytes()));
    is_shown.then(|| [&b"##["[..], name, b"]", &rest[end + 2..]].concat())
}

/// Splits a line of a log into its time, if it starts with one, and its text.
pub(in crate::backend::github) fn time_of(line: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let end = line.iter().take(LONGEST_TIME).position(|byte| *byte == b' ' || *byte == b'\n');
    let Some(end) = end.filter(|end| *end >= "2026-01-15T09:00:03Z".len()) else { return (None, line) };
    let time = std::str::from_utf8(&line[..end]).ok().filter(|text| text.ends_with('Z')).and_then(wire::time);
    match time {
        Some(time) => (Some(time), line[end..].strip_prefix(b" ").unwrap_or(&line[end..])),
        None => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::{Conclusion, JobId, Phase, Record, Run, RunId, testing};
    use crate::store::folder::RunsDir;
    use crate::store::runs::RunStore;

    const SECOND: u64 = 1000;

    /// Returns a run of one job with steps that start and end at these seconds.
    fn job(steps: &[(&str, StepKind, u64, u64)]) -> Run {
        let id = JobId::new("a");
        let outlines = (1..).zip(steps).map(|(number, (name, kind, ..))| StepOutline {
            number: StepNumber(number),
            name: (*name).to_owned(),
            kind: *kind,
            background: false,
            label: None,
        });
        let mut events = vec![
            (0, testing::run_started(1)),
            (0, Event::JobsPlanned { jobs: vec![testing::outline("a", "a", &[])], replaces: None }),
            (
                0,
                Event::JobStarted { job: id.clone(), name: "a".to_owned(), sandbox: "r".to_owned(), environment: None },
            ),
            (0, Event::StepsPlanned { job: id.clone(), steps: outlines.collect() }),
        ];
        for (number, (name, _, first, last)) in (1..).zip(steps) {
            let (step, name) = (StepNumber(number), (*name).to_owned());
            events.push((*first, Event::StepStarted { job: id.clone(), step, name }));
            events.push((*last, testing::step_finished("a", number, Conclusion::Success, 0, None)));
        }
        events.push((steps.last().map_or(0, |step| step.3), testing::job_finished("a", Conclusion::Success, None)));
        let info = testing::info(RunId::new("r"), Timestamp(0));
        let mut store = RunStore::default();
        store.open(info);
        for (seq, (at, event)) in (1..).zip(events) {
            store.apply(&RunId::new("r"), &Record { seq, at: Timestamp(at * SECOND), event });
        }
        store.run(&RunId::new("r")).expect("open").clone()
    }

    /// Splits a log of lines with seconds, and returns the texts of the steps.
    fn split_lines(run: &Run, text: &str) -> (Vec<(u32, String)>, Vec<Timed>) {
        let home = tempfile::tempdir().expect("a folder");
        let folder = RunsDir::at(home.path()).create(Timestamp(0)).expect("made");
        let job = &run.jobs[0];
        let events = split(&folder, job, text.as_bytes()).expect("split");
        let again = split(&folder, job, text.as_bytes()).expect("split");
        assert_eq!(events, again, "a second time replaces the first");
        let logs = (1..9).filter_map(|number| {
            let text = fs::read(folder.log(&job.id, 1, StepNumber(number))).ok()?;
            Some((number, String::from_utf8_lossy(&text).into_owned()))
        });
        (logs.collect(), events)
    }

    #[test]
    fn commands_in_the_logs_of_giteas_runner_get_the_form_of_githubs_logs() {
        for (line, expected) in [
            ("::group::Build\n", Some("##[group]Build\n")),
            ("::error file=a.c,line=3::it broke\n", Some("##[error]it broke\n")),
            ("::endgroup::\n", Some("##[endgroup]\n")),
            ("::unknown::text\n", None),
            ("::1 - GET /::\n", None),
            ("text ::error::x\n", None),
        ] {
            assert_eq!(carried_out(line.as_bytes()).as_deref(), expected.map(str::as_bytes), "{line}");
        }
        let run = job(&[("Set up job", StepKind::Job, 1, 9)]);
        let (logs, _) = split_lines(&run, &line(2_000, "::error::text"));
        assert_eq!(logs, [(1, "::error::text\n".to_owned())], "GitHub's runner has not carried it out");
    }

    fn line(milliseconds: u64, text: &str) -> String {
        format!("1970-01-01T00:00:{:02}.{:03}0000Z {text}\n", milliseconds / 1000, milliseconds % 1000)
    }

    #[test]
    fn lines_belong_to_the_step_of_their_time_and_a_group_divides_a_second() {
        use StepKind::{Job, Main};
        let run = job(&[("Set up job", Job, 1, 2), ("Run make", Main, 2, 5), ("Complete job", Job, 5, 6)]);
        let text = [
            "\u{feff}".to_owned() + &line(1_000, "runner"),
            line(2_100, "late"),
            line(2_500, "##[group]Run make"),
            line(3_000, "\u{1b}[36mmake"),
            "no time\n".to_owned(),
            line(5_100, "done"),
            line(5_900, "Cleaning up orphan processes"),
            line(6_000, "bye"),
            line(9_000, "after the end"),
        ];
        let (logs, events) = split_lines(&run, &text.concat());
        let expected = [
            (1, "runner\nlate\n"),
            (2, "##[group]Run make\n\u{1b}[36mmake\nno time\ndone\n"),
            (3, "Cleaning up orphan processes\nbye\nafter the end\n"),
        ];
        assert_eq!(logs, expected.map(|(number, text)| (number, text.to_owned())));
        let lines: u64 = events
            .iter()
            .map(|(_, event)| match event {
                Event::Output { output, .. } => output.count,
                other => panic!("{other:?}"),
            })
            .sum();
        assert_eq!(lines, 9);
    }

    #[test]
    fn a_step_that_opens_without_a_group_has_the_second_in_which_it_starts() {
        use StepKind::{Job, Main};
        let run = job(&[("Set up job", Job, 1, 2), ("Checkout", Main, 2, 4), ("Run make", Main, 4, 6)]);
        let text =
            [line(1_000, "a"), line(2_000, "b"), line(3_000, "c"), line(4_200, "d"), line(5_000, "##[group]Run make")];
        let (logs, _) = split_lines(&run, &text.concat());
        assert_eq!(logs[0].1, "a\n");
        assert_eq!(logs[1].1, "b\nc\nd\n");
        assert_eq!(logs[2].1, "##[group]Run make\n");
    }

    #[test]
    fn a_group_opens_the_step_that_starts_in_its_second() {
        use StepKind::Main;
        let run = job(&[("Set up Python", Main, 1, 3), ("Cache pip", Main, 3, 5), ("Install", Main, 5, 9)]);
        let text = [line(1_000, "a"), line(3_000, "restored"), line(5_000, "##[group]Run pip"), line(6_000, "c")];
        let (logs, _) = split_lines(&run, &text.concat());
        let expected = [(1, "a\n"), (2, "restored\n"), (3, "##[group]Run pip\nc\n")];
        assert_eq!(logs, expected.map(|(number, text)| (number, text.to_owned())));
    }

    #[test]
    fn lines_that_no_step_can_have_go_into_a_log_of_their_own() {
        let mut run = job(&[("Set up job", StepKind::Job, 5, 6)]);
        let (logs, events) = split_lines(&run, &(line(1_000, "before") + &line(5_000, "in it")));
        assert_eq!(logs, [(1, "in it\n".to_owned()), (2, "before\n".to_owned())]);
        let Event::StepsPlanned { steps, .. } = &events[0].1 else { panic!("{events:?}") };
        assert_eq!((steps[0].number, steps[0].name.as_str()), (StepNumber(2), UNKNOWN_STEP));
        // The job has already ended when these events are applied; the lines of both steps still count.
        let mut store = RunStore::default();
        run.phase = Phase::Running;
        store.resume(run.clone());
        for (seq, (at, event)) in (run.seq + 1..).zip(events) {
            store.apply(&run.info.id, &Record { seq, at, event });
        }
        let steps = &store.run(&run.info.id).expect("there").jobs[0].steps;
        assert_eq!(steps.iter().map(|step| step.lines).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn a_huge_line_is_written_in_parts_and_nothing_is_lost() {
        let run = job(&[("Run make", StepKind::Main, 1, 9), ("Complete job", StepKind::Job, 9, 9)]);
        let huge = "x".repeat(5 * PORTION + 7);
        let text = line(2_000, &huge) + &line(9_000, &huge) + &line(9_500, "end");
        let (logs, _) = split_lines(&run, &text);
        let bytes: usize = logs.iter().map(|(_, text)| text.len()).sum();
        assert_eq!(bytes, 2 * (huge.len() + 1) + 4);
    }

    #[test]
    fn a_step_may_have_the_largest_number() {
        let mut run = job(&[("Run make", StepKind::Main, 10, 20)]);
        run.jobs[0].steps[0].number = StepNumber(u32::MAX);
        let home = tempfile::tempdir().expect("a folder");
        let folder = RunsDir::at(home.path()).create(Timestamp(0)).expect("made");
        let events = split(&folder, &run.jobs[0], line(1_000, "early").as_bytes()).expect("split");
        assert!(matches!(events[..], [(_, Event::Output { step: StepNumber(u32::MAX), .. })]), "{events:?}");
    }

    #[test]
    fn a_long_log_has_a_limited_number_of_events() {
        let run = job(&[("Run make", StepKind::Main, 0, 200_000)]);
        let lines = (0..100_000).map(|number| jiff::Timestamp::from_second(2 * number).expect("a time"));
        let text = lines.map(|time| format!("{time} x")).collect::<Vec<_>>().join("\n");
        let home = tempfile::tempdir().expect("a folder");
        let folder = RunsDir::at(home.path()).create(Timestamp(0)).expect("made");
        let events = split(&folder, &run.jobs[0], text.as_bytes()).expect("split");
        let lines = events.iter().map(|(_, event)| match event {
            Event::Output { output, .. } => output.count,
            _ => 0,
        });
        assert_eq!(lines.sum::<u64>(), 100_000);
        assert!((200..3_000).contains(&events.len()), "{}", events.len());
    }
}
