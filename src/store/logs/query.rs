//! Requests for logs: pages of lines, searches in one log, and searches in all logs of a run.

use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use crate::model::{JobId, RunId, StepNumber, Timestamp};
use crate::store::StoreError;

use super::LineMatcherError;
use super::pattern::Pattern;

/// Maximum number of lines that a search in the logs of a run finds.
pub const MAX_RUN_HITS: usize = 1000;

/// Identifies the log of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogKey {
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The step.
    pub step: StepNumber,
}

/// Request for lines of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// The log.
    pub key: LogKey,
    /// Ranges of line numbers from 0, in order, without overlaps.
    pub lines: Vec<Range<u64>>,
}

/// Answer to a [`PageRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPage {
    /// The request.
    pub request: PageRequest,
    /// The lines in order; fewer than requested if the log ends before.
    pub lines: Result<Vec<RawLine>, LogError>,
}

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawLine {
    /// Number of the line, from 0.
    pub number: u64,
    /// Bytes of the line, without the newline.
    pub bytes: Vec<u8>,
    /// Time at which the line was written; `None` if the index does not contain it.
    pub time: Option<Timestamp>,
}

/// A search in one log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSearch {
    /// Unique number, because the same search may be repeated.
    pub id: u64,
    /// Slot that the search runs in.
    pub slot: SearchSlot,
    /// The log.
    pub key: LogKey,
    /// The lines to find.
    pub what: Query,
    /// Line numbers to search.
    pub lines: Range<u64>,
}

/// The lines that a search finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Lines that match, or do not match if the pattern is inverted.
    Matches(Pattern),
    /// Lines that best describe the failure of the step.
    Errors,
}

/// Purpose of a search. One search runs in each slot at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SearchSlot {
    /// Search for lines to jump to.
    Search,
    /// Search for the lines that a filter shows.
    Keep,
    /// Search for starts of groups.
    Groups,
    /// Search for ends of groups.
    GroupEnds,
    /// Search for lines that describe the failure.
    Errors,
    /// Search in all logs of the run, for a list.
    Run,
}

/// A part of the result of a [`LogSearch`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSearchResult {
    /// The search.
    pub search: LogSearch,
    /// Numbers of the lines that were found since the last part, in order.
    pub found: Result<Vec<u64>, LogError>,
    /// Whether this is the last part.
    pub done: bool,
}

/// A search in the logs of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSearch {
    /// Unique number.
    pub id: u64,
    /// The lines to find.
    pub pattern: Pattern,
    /// The logs to search in this order, each with the number of lines to search.
    pub logs: Vec<(LogKey, u64)>,
}

/// A part of the result of a [`RunSearch`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSearchResult {
    /// Number of the search.
    pub id: u64,
    /// Lines that were found since the last part, each with the index of its log in the request.
    pub hits: Result<Vec<(usize, RawLine)>, LogError>,
    /// Whether this is the last part: every log was searched, or [`MAX_RUN_HITS`] lines were found.
    pub done: bool,
}

/// Why lines of a log cannot be shown. The reasons are text, because values that contain them are copied and compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// The log cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The pattern is empty or invalid.
    #[error("{0}")]
    Pattern(String),
}

impl From<StoreError> for LogError {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<LineMatcherError> for LogError {
    fn from(error: LineMatcherError) -> Self {
        Self::Pattern(error.to_string())
    }
}

/// Access to logs. All methods may block on the disk.
pub trait Logs: Send + Sync + 'static {
    /// Returns the lines of a range, or fewer at the end of the log.
    ///
    /// # Errors
    /// The log cannot be read.
    fn page(&self, key: &LogKey, lines: Range<u64>) -> Result<Vec<RawLine>, LogError>;

    /// Returns all lines of a request, or the error of the first range that cannot be read.
    fn pages(&self, request: PageRequest) -> LogPage {
        let pages = request.lines.iter().map(|lines| self.page(&request.key, lines.clone()));
        let lines = pages.collect::<Result<Vec<_>, _>>().map(|pages| pages.into_iter().flatten().collect());
        LogPage { request, lines }
    }

    /// Calls `found` with the number of each line that the search finds, in order. Ends early once `cancelled` returns
    /// `true` or `found` breaks.
    ///
    /// # Errors
    /// The log cannot be read, or the pattern is invalid.
    fn search(
        &self,
        search: &LogSearch,
        cancelled: &dyn Fn() -> bool,
        found: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), LogError>;

    /// Calls `found` with each line that the search finds and the index of its log, in order, at most [`MAX_RUN_HITS`]
    /// times. Ends early once `cancelled` returns `true` or `found` breaks.
    ///
    /// # Errors
    /// The pattern is invalid, or a log cannot be read, in which case all other logs were searched.
    fn search_run(
        &self,
        search: &RunSearch,
        cancelled: &dyn Fn() -> bool,
        found: &mut dyn FnMut(usize, RawLine) -> ControlFlow<()>,
    ) -> Result<(), LogError>;

    /// Returns the path on this machine of a file that a log names; `None` if the run's repository has no such file
    /// here.
    fn file(&self, run: &RunId, name: &str) -> Option<PathBuf>;
}
