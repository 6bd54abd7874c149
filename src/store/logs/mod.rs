//! The logs of steps: plain files with a sparse index beside each, which are read by line number.
//!
//! A log contains exactly the bytes that were written to it, so `less` and `grep` work on it. A [`LogWriter`] appends
//! with one system call per portion and keeps nothing in memory; a [`LogReader`] reads windows by line number and its
//! memory grows only with the index, which has 24 bytes per 64 KiB of the log, or per second while the log grows.
//! Reading is positional and never maps the file, so a log that shrinks under a reader is an ordinary end of file.
//!
//! The index (`<NNN>.idx`) maps lines to offsets and to the time they were written. It is optional: where it is
//! missing, torn or behind, a reader scans the log. A log that never needed a second entry has no index.

mod files;
mod index;
pub mod pattern;
pub mod query;
mod reader;
mod search;
mod writer;

pub use files::{LogFiles, repository, source_file};
pub use reader::{LONGEST_SHOWN, Line, LogReader, Page};
pub use search::{LineMatcher, LineMatcherError};
pub use writer::LogWriter;

#[cfg(test)]
mod tests;
