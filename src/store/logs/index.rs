//! The sparse index of a log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::model::Timestamp;

/// Maximum distance between two entries, in bytes of the log. A scan from an entry to a line then costs a few
/// microseconds.
pub(super) const SPACING: u64 = 64 * 1024;

/// Maximum time between two entries while the log grows, in milliseconds, so that the time of a line is known to a
/// second also in slow logs.
pub(super) const RESOLUTION: u64 = 1000;

/// A known position in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Number of newlines before `offset`: the number of the line that contains `offset`.
    pub(super) line: u64,
    /// Offset of a byte in the log; not always the first of a line.
    pub(super) offset: u64,
    /// Time at which that byte was written; `None` for entries found by scanning.
    pub(super) time: Option<Timestamp>,
}

impl Entry {
    /// Size in the file: line, offset and time as little-endian 64-bit numbers.
    pub(super) const SIZE: usize = 24;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let time = self.time.map_or(0, |time| time.0);
        for (place, number) in bytes.chunks_exact_mut(8).zip([self.line, self.offset, time]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut numbers =
            bytes.chunks_exact(8).map(|part| u64::from_le_bytes(part.try_into().expect("chunks of eight bytes")));
        let mut next = || numbers.next().expect("an entry is three numbers");
        let (line, offset, time) = (next(), next(), next());
        Self { line, offset, time: (time > 0).then_some(Timestamp(time)) }
    }
}

/// Returns the path of a log's index.
pub(super) fn path_of(log: &Path) -> PathBuf {
    log.with_extension("idx")
}

/// The entries read from the index of a log, and those found by scanning where there was no entry.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    /// Number of bytes read from the index file; `None` once it turned out not to be an index of this log.
    read: Option<u64>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), read: Some(0) }
    }

    /// Reads entries that were added to the file, as long as they fit a log of `len` bytes. After an impossible entry
    /// the file is not used any more, since later entries cannot be trusted.
    pub(super) fn read(&mut self, file: &File, len: u64) -> io::Result<()> {
        const BATCH: usize = 512;
        let mut buffer = [0; BATCH * Entry::SIZE];
        while let Some(offset) = self.read {
            let mut filled = 0;
            while filled < buffer.len() {
                match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
                    0 => break,
                    read => filled += read,
                }
            }
            let batch = buffer[..filled].chunks_exact(Entry::SIZE).map(Entry::from_bytes);
            for (place, entry) in batch.enumerate() {
                if entry.offset > len {
                    // The entry is newer than `len`, which was determined before the index was read.
                    self.read = Some(offset + (place * Entry::SIZE) as u64);
                    return Ok(());
                }
                if !self.insert(entry) {
                    self.read = None;
                    return Ok(());
                }
            }
            self.read = Some(offset + (filled - filled % Entry::SIZE) as u64);
            if filled < buffer.len() {
                break;
            }
        }
        Ok(())
    }

    /// Inserts an entry of the file; `false` if it contradicts the known ones.
    fn insert(&mut self, entry: Entry) -> bool {
        match self.entries.binary_search_by_key(&entry.offset, |known| known.offset) {
            Ok(place) if self.entries[place].line == entry.line => self.entries[place] = entry,
            Err(0) if entry.offset == 0 && entry.line == 0 => self.entries.insert(0, entry),
            Err(place)
                if place > 0
                    && fits(&self.entries[place - 1], &entry)
                    && self.entries.get(place).is_none_or(|next| fits(&entry, next)) =>
            {
                self.entries.insert(place, entry);
            }
            _ => return false,
        }
        true
    }

    /// Adds a position found by scanning, if the last entry is far enough away.
    pub(super) fn found(&mut self, line: u64, offset: u64) {
        if self.entries.last().is_none_or(|last| offset >= last.offset + SPACING) {
            self.entries.push(Entry { line, offset, time: None });
        }
    }

    /// Returns the last entry.
    pub(super) fn last(&self) -> Option<Entry> {
        self.entries.last().copied()
    }

    /// Returns the nearest entry from which a scan forward reaches the start of a line.
    pub(super) fn before(&self, line: u64) -> Entry {
        let place = self.entries.partition_point(|entry| entry.line < line);
        match place.checked_sub(1) {
            Some(place) => self.entries[place],
            None => Entry { line: 0, offset: 0, time: None },
        }
    }

    /// Returns the last entry at or before an offset, if any.
    pub(super) fn last_until(&self, offset: u64) -> Option<Entry> {
        let place = self.entries.partition_point(|entry| entry.offset <= offset);
        self.entries[..place].last().copied()
    }

    /// Returns the last entry that is within a line, if any.
    pub(super) fn last_within(&self, line: u64) -> Option<Entry> {
        let place = self.entries.partition_point(|entry| entry.line <= line);
        self.entries[..place].last().filter(|entry| entry.line == line).copied()
    }

    /// Returns when a line was written, to about a second; `None` where the entries were found by scanning.
    pub(super) fn time_of(&self, line: u64) -> Option<Timestamp> {
        let place = self.entries.partition_point(|entry| entry.line <= line);
        self.entries[..place].iter().rev().find_map(|entry| entry.time)
    }

    /// Returns the content of an index file with all entries.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.entries.iter().flat_map(|entry| entry.to_bytes()).collect()
    }
}

/// Whether one entry can follow another: the number of newlines between them is at most the number of bytes.
fn fits(last: &Entry, next: &Entry) -> bool {
    next.line >= last.line && next.line - last.line <= next.offset - last.offset
}
