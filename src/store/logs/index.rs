//! The sparse index of a log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::model::Timestamp;

/// At most this many bytes of a log lie between two entries. A scan from an entry to the line that is asked for then
/// costs a few microseconds.
pub(super) const SPACING: u64 = 64 * 1024;

/// At most this long is written to a log without an entry, in milliseconds, so that the time of a line is known to a
/// second also in slow logs.
pub(super) const RESOLUTION: u64 = 1000;

/// A known place in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// How many newlines come before `offset`, which is the number of the line that `offset` is in.
    pub(super) line: u64,
    /// A byte of the log; not always the first of a line.
    pub(super) offset: u64,
    /// When that byte was written; `None` for entries found by scanning.
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

/// Where the index of a log is.
pub(super) fn path_of(log: &Path) -> PathBuf {
    log.with_extension("idx")
}

/// The index of a log as far as it was read, and what was found by scanning where there was no entry.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    /// How much of the index file has been read; `None` once it turned out not to be an index of this log.
    read: Option<u64>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), read: Some(0) }
    }

    /// Takes in entries that were added to the file, as long as they fit a log of `len` bytes. An entry that cannot be
    /// true ends the use of the file, since nothing behind it can be trusted.
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
                    // The log is behind: it was measured before the index was read.
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

    /// Puts an entry of the file among what is known; `false` when both cannot be true.
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

    /// Adds a place found by scanning, when the last entry is far enough away.
    pub(super) fn found(&mut self, line: u64, offset: u64) {
        if self.entries.last().is_none_or(|last| offset >= last.offset + SPACING) {
            self.entries.push(Entry { line, offset, time: None });
        }
    }

    /// The last known place.
    pub(super) fn last(&self) -> Option<Entry> {
        self.entries.last().copied()
    }

    /// The nearest known place from which a scan forward meets the first byte of a line.
    pub(super) fn before(&self, line: u64) -> Entry {
        let place = self.entries.partition_point(|entry| entry.line < line);
        match place.checked_sub(1) {
            Some(place) => self.entries[place],
            None => Entry { line: 0, offset: 0, time: None },
        }
    }

    /// The last known place that is in a line, when there is one.
    pub(super) fn last_within(&self, line: u64) -> Option<Entry> {
        let place = self.entries.partition_point(|entry| entry.line <= line);
        self.entries[..place].last().filter(|entry| entry.line == line).copied()
    }

    /// When a line was written, to about a second; `None` where the index had to be made up.
    pub(super) fn time_of(&self, line: u64) -> Option<Timestamp> {
        let place = self.entries.partition_point(|entry| entry.line <= line);
        self.entries[..place].iter().rev().find_map(|entry| entry.time)
    }

    /// The bytes to write to the file so that it holds what is known.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.entries.iter().flat_map(|entry| entry.to_bytes()).collect()
    }
}

/// Whether one entry can follow another: there are no more newlines than bytes between them.
fn fits(last: &Entry, next: &Entry) -> bool {
    next.line >= last.line && next.line - last.line <= next.offset - last.offset
}
