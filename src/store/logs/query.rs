//! What is asked of logs: pages of lines, searches in one log, searches in all logs of a run.

use std::ops::Range;

use crate::model::{JobId, RunId, StepNumber, Timestamp};

use crate::store::logs::pattern::Pattern;

/// Names the log of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogKey {
    /// Of which run.
    pub run: RunId,
    /// Of which job.
    pub job: JobId,
    /// Of which attempt, from 1.
    pub attempt: u32,
    /// Of which step.
    pub step: StepNumber,
}

/// Lines that are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// Of which log.
    pub key: LogKey,
    /// Which, counted from 0; in order and apart.
    pub lines: Vec<Range<u64>>,
}

/// Lines that were wanted, or why there are none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPage {
    /// What was asked for.
    pub request: PageRequest,
    /// The lines in order, fewer than asked for where the log has no more.
    pub lines: Result<Vec<RawLine>, String>,
}

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawLine {
    /// Its number, from 0.
    pub number: u64,
    /// Its bytes, without the newline.
    pub bytes: Vec<u8>,
    /// When it was written, as far as it was noted.
    pub time: Option<Timestamp>,
}

/// What is looked for in a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSearch {
    /// Tells it from every other, also from one for the same.
    pub id: u64,
    /// For which place on the screen.
    pub place: SearchSlot,
    /// In which log.
    pub key: LogKey,
    /// What.
    pub what: Query,
    /// Among which lines.
    pub lines: Range<u64>,
}

/// What lines are looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Those that match, or do not.
    Matches(Pattern),
    /// Those that say best what went wrong.
    Errors,
}

/// For what lines are looked for. There is one search for each at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SearchSlot {
    /// To go to them.
    Search,
    /// To keep only them.
    Keep,
    /// They begin groups.
    Groups,
    /// They end groups.
    GroupEnds,
    /// They tell what went wrong.
    Errors,
    /// To list them, among those of all logs of the run.
    Run,
}

/// What was found since the last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSearchResult {
    /// What was asked for.
    pub scan: LogSearch,
    /// The numbers of the lines, in order.
    pub found: Result<Vec<u64>, String>,
    /// Whether that is all.
    pub done: bool,
}

/// What is looked for in the logs of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSearch {
    /// Tells it from every other.
    pub id: u64,
    /// What.
    pub pattern: Pattern,
    /// Where, in this order, and how many lines of each are looked at.
    pub logs: Vec<(LogKey, u64)>,
}

/// What was found in the logs of a run since the last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSearchResult {
    /// Which search it is of.
    pub id: u64,
    /// The lines, each with the place of its log among those that were asked for.
    pub hits: Result<Vec<(usize, RawLine)>, String>,
    /// Whether that is all: as many as are told at the most, or as there are.
    pub done: bool,
}

/// So many lines are told of a search in the logs of a run.
pub const MAX_RUN_HITS: usize = 1000;
