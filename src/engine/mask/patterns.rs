//! A search for many patterns at once in text that nearly always contains none of them.
//!
//! The text is sampled: at every n-th byte, the *gram* that begins there, four bytes, is looked up in an index with n
//! consecutive grams of each pattern. Wherever a pattern occurs, exactly one sample falls on one of these grams, so
//! each occurrence is found once. An automaton visits every byte, and each of its steps waits for the one before;
//! samples are fewer and independent. The search is about ten times as fast as an automaton for the forms of one
//! secret, and more for fifty.
//!
//! So that no text is compared with many patterns again and again, only a few patterns have the same gram in the index.
//! An automaton finds the patterns that are made of frequent grams, such as repetitions of one letter.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Length of a gram in bytes.
const GRAM: usize = size_of::<u32>();

/// Minimum length of an indexed pattern in bytes. The automaton finds shorter patterns, of which there are few.
const SHORTEST_INDEXED: usize = 8;

/// Maximum distance between two samples in bytes. A larger distance needs more grams for each pattern.
const MAX_STRIDE: usize = 9;

/// Minimum number of bits of the set of hashes for each gram, up to the largest set. At most one in 64 lookups of
/// random bytes is then in vain. Text is not random, and may have grams of patterns more often.
const BITS_PER_GRAM: usize = 64;

/// Bounds of the number of bits of the set of hashes. The largest set, of 1 MiB, is used for more than 65,536 grams, of
/// about a thousand secrets. It is smaller than the list of these grams, and fits into the caches of most processors.
const BITS: (usize, usize) = (1 << 10, 1 << 23);

/// Maximum number of indexed patterns with the same gram. The forms of a few secrets that begin alike stay below it.
const MAX_SAME: usize = 16;

/// Number of grams at the beginning of a pattern among which those for the index are chosen.
const MAX_EXAMINED: usize = 512;

/// Maximum length in bytes of all patterns together for which the fastest kind of automaton is used. It needs up to
/// 1 KiB of memory for each byte; the kind for more patterns needs about 16 bytes.
const MAX_FASTEST: usize = 4 * 1024;

/// Patterns to search for.
#[derive(Clone, Debug)]
pub(super) struct PatternSearch {
    patterns: Vec<Vec<u8>>,
    /// Length of the longest pattern in bytes.
    longest: usize,
    /// Distance between two samples in bytes.
    stride: usize,
    /// `stride` consecutive grams of each indexed pattern, in order.
    grams: Vec<Gram>,
    /// Set of the hashes of all grams, which answers most lookups.
    hashes: Vec<u64>,
    /// Number of low bits of a product that do not belong to the hash.
    hash_shift: u32,
    /// Patterns that are not indexed.
    others: Option<AhoCorasick>,
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
        let lengths = patterns.iter().map(Vec::len).filter(|length| *length >= SHORTEST_INDEXED);
        let stride = (lengths.min().unwrap_or(SHORTEST_INDEXED) - GRAM + 1).min(MAX_STRIDE);
        let (mut grams, mut others) = (Vec::new(), Vec::new());
        let mut counts = HashMap::new();
        for (pattern, text) in patterns.iter().enumerate() {
            let Some(first) = first_indexed(text, stride, &counts) else {
                others.push(text.as_slice());
                continue;
            };
            for (offset, bytes) in text.windows(GRAM).enumerate().skip(first).take(stride) {
                let gram = Gram { bytes: number(bytes), pattern, offset };
                *counts.entry(gram.bytes).or_default() += 1;
                grams.push(gram);
            }
        }
        grams.sort_unstable();
        let bits = (grams.len() * BITS_PER_GRAM).next_power_of_two().clamp(BITS.0, BITS.1);
        let others = (!others.is_empty()).then(|| automaton(&others));
        let mut search = Self {
            longest: patterns.iter().map(Vec::len).max().unwrap_or_default(),
            stride,
            hashes: vec![0; bits / 64],
            hash_shift: u32::BITS - bits.trailing_zeros(),
            others,
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
        self.others.as_ref().is_some_and(|others| others.is_match(text))
            || self.each_indexed(text, |_| ControlFlow::Break(())).is_break()
    }

    /// Returns the range of each occurrence of each pattern, in no particular order.
    pub(super) fn matches(&self, text: &[u8]) -> Vec<Range<usize>> {
        let others = self.others.iter().flat_map(|others| others.find_overlapping_iter(text));
        let mut found: Vec<_> = others.map(|found| found.range()).collect();
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
        let occurring = self.candidates(at, gram).filter(move |(start, pattern)| text[*start..].starts_with(pattern));
        occurring.map(|(start, pattern)| start..start + pattern.len())
    }

    /// Returns the indexed patterns with this gram, each with the index of the text at which it would begin if its gram
    /// is the one at `at`.
    fn candidates(&self, at: usize, gram: u32) -> impl Iterator<Item = (usize, &[u8])> {
        let first = self.grams.partition_point(|known| known.bytes < gram);
        let same = self.grams[first..].iter().take_while(move |known| known.bytes == gram);
        same.filter_map(move |known| Some((at.checked_sub(known.offset)?, self.patterns[known.pattern].as_slice())))
    }

    /// Returns the hash of a gram: its product with the golden ratio, whose high bits depend on all bits of the gram.
    fn hash(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9e37_79b1) >> self.hash_shift) as usize
    }
}

/// Returns the number of the first of `stride` consecutive grams of a pattern that all differ, and that fewer than
/// [`MAX_SAME`] other patterns have. `counts` has the number of these for each gram. `None` if the pattern is too short
/// or has no such grams.
fn first_indexed(pattern: &[u8], stride: usize, counts: &HashMap<u32, usize>) -> Option<usize> {
    if pattern.len() < SHORTEST_INDEXED {
        return None;
    }
    let grams: Vec<_> = pattern.windows(GRAM).take(MAX_EXAMINED).map(number).collect();
    let is_rare = |gram: &u32| counts.get(gram).is_none_or(|count| *count < MAX_SAME);
    let all_differ = |grams: &[u32]| (1..grams.len()).all(|at| !grams[..at].contains(&grams[at]));
    grams.windows(stride).position(|grams| grams.iter().all(is_rare) && all_differ(grams))
}

/// Returns an automaton that finds the patterns.
fn automaton(patterns: &[&[u8]]) -> AhoCorasick {
    let length: usize = patterns.iter().map(|pattern| pattern.len()).sum();
    let kind = (length > MAX_FASTEST).then_some(AhoCorasickKind::ContiguousNFA);
    let automaton = AhoCorasick::builder().kind(kind).build(patterns);
    automaton.expect("an automaton at the limit of 2^31 states does not fit into memory")
}

/// Returns a gram as a number.
fn number(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes.try_into().expect("a gram has four bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the number of bytes of indexed patterns that a search compares with a text.
    fn compared(search: &PatternSearch, text: &[u8]) -> usize {
        let gram = |at: usize| text.get(at..at + GRAM).map(number);
        let samples = (0..text.len()).step_by(search.stride).filter_map(|at| Some((at, gram(at)?)));
        let candidates = samples.flat_map(move |(at, gram)| search.candidates(at, gram));
        let equal = |(start, pattern): (usize, &[u8])| {
            let pairs = text[start..].iter().zip(pattern);
            pairs.take_while(|(shown, wanted)| shown == wanted).count()
        };
        candidates.map(equal).sum()
    }

    #[test]
    fn patterns_that_begin_alike_are_not_compared_one_by_one() {
        let patterns = (0..2000).map(|n| format!("one-prefix-of-all-{n:04}").into_bytes()).collect();
        let search = PatternSearch::new(patterns);
        let text = "one-prefix-of-all-".repeat(1000).into_bytes();
        let compared = compared(&search, &text);
        assert!(compared <= 64 * text.len(), "{compared}");
        assert!(!search.is_in(&text));
        for n in [0, 20, 999, 1999] {
            let text = format!("x one-prefix-of-all-{n:04}");
            let found = search.matches(text.as_bytes());
            assert_eq!((found.len(), found.first()), (1, Some(&(2..text.len()))));
        }
    }

    #[test]
    fn a_pattern_of_one_letter_is_not_compared_again_at_each_sample() {
        let search = PatternSearch::new(vec![vec![b'A'; 50_000]]);
        let text = vec![b'A'; 100_000];
        assert_eq!((compared(&search, &text), search.matches(&text).len()), (0, 50_001));
        assert!(!search.is_in(&text[..49_999]));
    }

    #[test]
    fn patterns_with_the_same_beginning_are_indexed_by_what_follows() {
        let numbers = (1..400_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let patterns: Vec<_> = numbers.map(|n| format!("eC1hY2Nlc3MtdG9rZW46{n:016x}").into_bytes()).collect();
        let search = PatternSearch::new(patterns.clone());
        assert!(search.others.is_none());
        for pattern in patterns {
            let found = search.matches(&[&b"in "[..], pattern.as_slice()].concat());
            assert_eq!((found.len(), found.first()), (1, Some(&(3..3 + pattern.len()))));
        }
    }

    proptest! {
        #[test]
        fn each_occurrence_is_found_once(
            patterns in prop::collection::hash_set(
                "[ab]{1,20}|(abc){2,9}|[a-c]{9,14}|[a-z]{8,30}|a{9,20}[a-z]{9,20}|begins-alike-[0-9]{3,9}",
                0..40,
            ),
            pieces in prop::collection::vec("[ab]{0,9}|(abc){1,9}|[a-c]{0,20}|begins-alike-", 0..20),
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
            prop_assert!(search.grams.chunk_by(|a, b| a.bytes == b.bytes).all(|same| same.len() <= MAX_SAME));
            let most = (text.len() / search.stride + 1) * MAX_SAME * search.longest;
            prop_assert!(compared(&search, text.as_bytes()) <= most);
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
