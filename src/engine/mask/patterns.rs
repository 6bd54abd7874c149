//! A search for many patterns at once in text that nearly always contains none of them.
//!
//! The text is sampled: at every n-th byte, the *gram* that begins there, four bytes, is looked up in an index of the
//! grams that begin in the first n bytes of the patterns. Wherever a pattern occurs, exactly one sample falls on these
//! bytes, so each occurrence is found once. An automaton visits every byte, and each of its steps waits for the one
//! before; samples are fewer and independent. The search is about ten times as fast as an automaton for the forms of one
//! secret, and more for fifty.

use std::ops::{ControlFlow, Range};

use aho_corasick::AhoCorasick;

/// Length of a gram in bytes.
const GRAM: usize = size_of::<u32>();

/// Minimum length of an indexed pattern in bytes. An automaton finds shorter patterns, of which there are few.
const SHORTEST_INDEXED: usize = 8;

/// Maximum distance between two samples in bytes. A larger distance needs more grams for each pattern.
const MAX_STRIDE: usize = 9;

/// Bits of the set of hashes for each gram, so that one lookup in a hundred is in vain.
const BITS_PER_GRAM: usize = 64;

/// Bounds of the number of bits of the set of hashes. The largest set fits into the cache of one processor.
const BITS: (usize, usize) = (1 << 10, 1 << 20);

/// Patterns to search for.
#[derive(Clone, Debug)]
pub(super) struct PatternSearch {
    patterns: Vec<Vec<u8>>,
    /// Length of the longest pattern in bytes.
    longest: usize,
    /// Distance between two samples in bytes.
    stride: usize,
    /// The grams at the beginnings of the indexed patterns, in order.
    grams: Vec<Gram>,
    /// Set of the hashes of all grams, which answers most lookups.
    hashes: Vec<u64>,
    /// Number of low bits of a product that do not belong to the hash.
    hash_shift: u32,
    /// Patterns that are too short for the index.
    short: Option<AhoCorasick>,
}

/// A gram of a pattern. The order is that of the grams.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Gram {
    bytes: u32,
    /// Number of the pattern.
    pattern: usize,
    /// Index in the pattern at which the gram begins.
    offset: usize,
}

impl PatternSearch {
    pub(super) fn new(patterns: Vec<Vec<u8>>) -> Self {
        let (indexed, short): (Vec<_>, Vec<_>) =
            patterns.iter().enumerate().partition(|(_, pattern)| pattern.len() >= SHORTEST_INDEXED);
        let shortest = indexed.iter().map(|(_, pattern)| pattern.len()).min().unwrap_or(SHORTEST_INDEXED);
        let stride = (shortest - GRAM + 1).min(MAX_STRIDE);
        let in_pattern = |(pattern, text): (usize, &Vec<u8>)| {
            let grams = text.windows(GRAM).take(stride).enumerate();
            grams.map(|(offset, bytes)| Gram { bytes: number(bytes), pattern, offset }).collect::<Vec<_>>()
        };
        let mut grams: Vec<_> = indexed.into_iter().flat_map(in_pattern).collect();
        grams.sort_unstable();
        let bits = (grams.len() * BITS_PER_GRAM).next_power_of_two().clamp(BITS.0, BITS.1);
        let short = (!short.is_empty()).then(|| {
            let texts = short.iter().map(|(_, pattern)| pattern);
            AhoCorasick::new(texts).expect("short patterns are far from the automaton's limit of 2^31 states")
        });
        let mut search = Self {
            longest: patterns.iter().map(Vec::len).max().unwrap_or_default(),
            stride,
            hashes: vec![0; bits / 64],
            hash_shift: u32::BITS - bits.trailing_zeros(),
            short,
            grams: Vec::new(),
            patterns,
        };
        for gram in &grams {
            let hash = search.hash(gram.bytes);
            search.hashes[hash / 64] |= 1 << (hash % 64);
        }
        search.grams = grams;
        search
    }

    /// Returns the patterns.
    pub(super) fn into_patterns(self) -> Vec<Vec<u8>> {
        self.patterns
    }

    /// Returns the number of patterns.
    pub(super) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Returns the length in bytes of the longest pattern.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Whether the text contains a pattern.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.short.as_ref().is_some_and(|short| short.is_match(text))
            || self.each_indexed(text, |_| ControlFlow::Break(())).is_break()
    }

    /// Returns the range of each occurrence of each pattern, in no particular order.
    pub(super) fn matches(&self, text: &[u8]) -> Vec<Range<usize>> {
        let short = self.short.iter().flat_map(|short| short.find_overlapping_iter(text));
        let mut found: Vec<_> = short.map(|found| found.range()).collect();
        let _ = self.each_indexed(text, |range| {
            found.push(range);
            ControlFlow::Continue(())
        });
        found
    }

    /// Calls `found` for each occurrence of an indexed pattern.
    fn each_indexed(&self, text: &[u8], mut found: impl FnMut(Range<usize>) -> ControlFlow<()>) -> ControlFlow<()> {
        if self.grams.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut at = 0;
        while let Some(bytes) = text.get(at..at + GRAM) {
            let gram = number(bytes);
            let hash = self.hash(gram);
            if self.hashes[hash / 64] & 1 << (hash % 64) != 0 {
                self.occurrences(text, at, gram).try_for_each(&mut found)?;
            }
            at += self.stride;
        }
        ControlFlow::Continue(())
    }

    /// Returns the occurrences of patterns that have this gram at an index of the text.
    #[cold]
    fn occurrences<'s>(&'s self, text: &'s [u8], at: usize, gram: u32) -> impl Iterator<Item = Range<usize>> + 's {
        let first = self.grams.partition_point(|known| known.bytes < gram);
        let same = self.grams[first..].iter().take_while(move |known| known.bytes == gram);
        same.filter_map(move |known| {
            let (pattern, start) = (&self.patterns[known.pattern], at.checked_sub(known.offset)?);
            text[start..].starts_with(pattern).then(|| start..start + pattern.len())
        })
    }

    /// Returns the hash of a gram: its product with the golden ratio, whose high bits depend on all bits of the gram.
    fn hash(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9e37_79b1) >> self.hash_shift) as usize
    }
}

/// Returns a gram as a number.
fn number(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes.try_into().expect("a gram has four bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_occurrence_is_found_once(
            patterns in prop::collection::hash_set("[ab]{1,20}|(abc){2,9}|[a-c]{9,14}", 0..12),
            pieces in prop::collection::vec("[ab]{0,9}|(abc){1,9}|[a-c]{0,20}", 0..20),
            picked in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
        ) {
            let patterns: Vec<_> = patterns.into_iter().collect();
            let mut text = pieces;
            if !patterns.is_empty() {
                for (pattern, place) in picked {
                    let place = place.index(text.len() + 1);
                    text.insert(place, patterns[pattern.index(patterns.len())].clone());
                }
            }
            let text = text.concat();
            let search = PatternSearch::new(patterns.iter().cloned().map(String::into_bytes).collect());
            let mut found = search.matches(text.as_bytes());
            let mut expected = Vec::new();
            for pattern in &patterns {
                let starts = (0..text.len()).filter(|at| text[*at..].starts_with(pattern));
                expected.extend(starts.map(|at| at..at + pattern.len()));
            }
            let key = |range: &Range<usize>| (range.start, range.end);
            found.sort_unstable_by_key(key);
            expected.sort_unstable_by_key(key);
            prop_assert_eq!(search.is_in(text.as_bytes()), !expected.is_empty());
            prop_assert_eq!(found, expected);
        }
    }
}
