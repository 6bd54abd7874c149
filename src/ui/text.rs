//! Text in columns: measuring, clipping, wrapping, and formatting of times and counts.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::terminal_text::clean;
use crate::model::Timestamp;
pub use crate::visible::width;

/// Maximum width that [`columns`] returns. It is wider than any terminal, and sums of such widths do not overflow.
pub const MAX_COLUMNS: u16 = 2_000;

/// Returns the width of a text in columns, at most [`MAX_COLUMNS`].
#[must_use]
pub fn columns(text: &str) -> u16 {
    limited(width(text))
}

/// Returns a width as a number of columns, at most [`MAX_COLUMNS`].
#[must_use]
pub fn limited(width: usize) -> u16 {
    u16::try_from(width).map_or(MAX_COLUMNS, |width| width.min(MAX_COLUMNS))
}

/// Clips a text to a number of columns. If anything was cut, the last column shows `ellipsis`.
#[must_use]
pub fn clip<'t>(text: &'t str, columns: usize, ellipsis: &str) -> Cow<'t, str> {
    let text = clean(text);
    if width(&text) <= columns {
        return text;
    }
    let mut clipped = String::new();
    let room = columns.saturating_sub(width(ellipsis));
    let mut taken = 0;
    for grapheme in text.graphemes(true) {
        taken += width(grapheme);
        if taken > room {
            break;
        }
        clipped.push_str(grapheme);
    }
    if columns >= width(ellipsis) {
        clipped.push_str(ellipsis);
    }
    Cow::Owned(clipped)
}

/// Clips a text in the middle, because names with a common prefix differ at their ends.
#[must_use]
pub fn clip_middle<'t>(text: &'t str, columns: usize, ellipsis: &str) -> Cow<'t, str> {
    let text = clean(text);
    let room = columns.saturating_sub(width(ellipsis));
    if width(&text) <= columns || room < 4 {
        return match clip(&text, columns, ellipsis) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clipped) => Cow::Owned(clipped),
        };
    }
    let head = clip(&text, room.div_ceil(2), "").into_owned();
    Cow::Owned(head + ellipsis + tail(&text, room / 2))
}

/// Clips names that are shown together so that they can be told apart. A name is clipped in the middle; names that
/// would then look the same lose the beginning that they share, or as much of their start as must go.
#[must_use]
pub fn clip_apart(names: &[&str], columns: usize, ellipsis: &str) -> Vec<String> {
    let mut clipped: Vec<String> = names.iter().map(|name| clip_middle(name, columns, ellipsis).into_owned()).collect();
    let mut looks: HashMap<&str, HashSet<&str>> = HashMap::new();
    clipped.iter().zip(names).for_each(|(look, name)| {
        looks.entry(look).or_default().insert(name);
    });
    let alike: Vec<usize> = (0..names.len()).filter(|at| looks[clipped[*at].as_str()].len() > 1).collect();
    let shared = shared_beginning(&alike.iter().map(|at| names[*at]).collect::<Vec<_>>());
    let ways: [&dyn Fn(&str) -> String; 4] = [
        &|name: &str| clip(&format!("{ellipsis}{}", clean(&name[shared..])), columns, "").into_owned(),
        &|name: &str| clip(&name[shared..], columns, "").into_owned(),
        &|name: &str| clip_start(name, columns, ellipsis).into_owned(),
        &|name: &str| clip_start(name, columns, "").into_owned(),
    ];
    let different = |names: &[String]| names.iter().collect::<HashSet<_>>().len();
    let mut best = different(&clipped);
    for way in ways {
        let mut other = clipped.clone();
        for at in &alike {
            other[*at] = way(names[*at]);
        }
        if different(&other) > best {
            best = different(&other);
            clipped = other;
        }
    }
    clipped
}

/// Returns the length in bytes of the beginning that all names share, without a part of a word or of a number.
fn shared_beginning(names: &[&str]) -> usize {
    let Some((first, others)) = names.split_first() else { return 0 };
    let is_shared = |(at, grapheme): &(usize, &str)| {
        others.iter().all(|other| other.get(*at..).is_some_and(|rest| rest.starts_with(grapheme)))
    };
    let shared: usize = first.grapheme_indices(true).take_while(is_shared).map(|(_, grapheme)| grapheme.len()).sum();
    first[..shared].trim_end_matches(|sign: char| sign.is_ascii_alphanumeric()).len()
}

/// Clips a text at its start, because the end of a growing line is the part to read.
#[must_use]
pub fn clip_start<'t>(text: &'t str, columns: usize, ellipsis: &str) -> Cow<'t, str> {
    let text = clean(text);
    if width(&text) <= columns {
        return text;
    }
    let room = columns.saturating_sub(width(ellipsis));
    let ellipsis = if columns >= width(ellipsis) { ellipsis } else { "" };
    Cow::Owned(format!("{ellipsis}{}", tail(&text, room)))
}

/// Returns the end of a text, of at most this many columns.
fn tail(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let fits = |(_, grapheme): &(usize, &str)| {
        taken += width(grapheme);
        taken <= columns
    };
    let first = text.grapheme_indices(true).rev().take_while(fits).last();
    first.map_or("", |(at, _)| &text[at..])
}

/// Wraps a text into rows of at most `columns` columns, between words, or within a word that is too wide.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match rows.last_mut() {
            Some(row) if width(row) + 1 + width(word) <= columns => {
                row.push(' ');
                row.push_str(word);
            }
            _ => {
                let (mut row, mut taken) = (String::new(), 0);
                for grapheme in word.graphemes(true) {
                    if taken > 0 && taken + width(grapheme) > columns {
                        rows.push(std::mem::take(&mut row));
                        taken = 0;
                    }
                    row.push_str(grapheme);
                    taken += width(grapheme);
                }
                rows.push(row);
            }
        }
    }
    rows
}

/// Wraps a text that is wider than `columns` columns as [`wrap`] does. All rows are indented as the text is, and those
/// after the first one by `hanging` further columns.
#[must_use]
pub fn wrap_indented(text: &str, columns: usize, hanging: usize) -> Vec<String> {
    if width(text) <= columns {
        return vec![text.to_owned()];
    }
    let indent = (text.len() - text.trim_start_matches(' ').len()).min(columns / 2);
    let rows = wrap(text, columns.saturating_sub(indent + hanging).max(1));
    let indented = |(number, row): (usize, String)| {
        let indent = if number == 0 { indent } else { indent + hanging };
        format!("{:indent$}{row}", "")
    };
    rows.into_iter().enumerate().map(indented).collect()
}

/// Whether every word of `wanted` begins a word of one of the texts, ignoring case: `fail` finds "failure", but `c` does
/// not find "success". A word begins after any character that is neither a letter nor a digit. Letters without case,
/// such as Chinese ones, also begin words, because such scripts have no blanks.
#[must_use]
pub fn holds(wanted: &str, texts: &[&str]) -> bool {
    let words = wanted.split_whitespace().map(str::to_lowercase);
    let texts: Vec<String> =
        if wanted.is_empty() { Vec::new() } else { texts.iter().map(|text| text.to_lowercase()).collect() };
    words.into_iter().all(|word| texts.iter().any(|text| begins_word(text, &word)))
}

/// Whether `word` occurs in the text at the beginning of a word. Both are in lower case.
fn begins_word(text: &str, word: &str) -> bool {
    let has_case = |c: char| c.is_lowercase() || !c.is_alphabetic();
    let first = word.chars().next();
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.zip(first).is_none_or(|(before, first)| {
            !before.is_alphanumeric() || !first.is_alphanumeric() || !has_case(before) || !has_case(first)
        })
    })
}

/// Writes a line of text into at most `columns` columns and returns the column after it. Positions outside the buffer
/// are ignored.
pub fn put(buffer: &mut Buffer, x: u16, y: u16, columns: u16, text: &str, style: impl Into<Style>) -> u16 {
    let area = buffer.area;
    if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() {
        return x;
    }
    buffer.set_stringn(x, y, clean(text), usize::from(columns), style).0
}

/// Formats a duration: `0.4s`, `12s`, `3:05`, `1:02:09`, and `3d 4h` from two days on.
#[must_use]
pub fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..10 => format!("{seconds}.{}s", time.subsec_millis() / 100),
        seconds => whole_seconds(seconds),
    }
}

/// Formats the time from `started` to `finished`. Without `finished`, formats the time up to `now` in whole seconds, so
/// that the text changes once a second.
#[must_use]
pub fn spent(started: Timestamp, finished: Option<Timestamp>, now: Timestamp) -> String {
    match finished {
        Some(finished) => duration(finished.since(started)),
        None => whole_seconds(now.since(started).as_secs()),
    }
}

fn whole_seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3600..172_800 => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Formats the time since an event in one unit: `now`, `40s`, `12m`, `3h`, `5d`.
#[must_use]
pub fn ago(time: Duration) -> String {
    let (unit, letter) = unit_of_ago(time);
    letter.map_or_else(|| "now".to_owned(), |letter| format!("{}{letter}", time.as_secs() / unit))
}

/// Returns how long ago an event was, in words: `2d ago`, or `just now` within the last minute.
#[must_use]
pub fn past(time: Duration) -> String {
    if time < Duration::from_mins(1) { "just now".to_owned() } else { format!("{} ago", ago(time)) }
}

/// Returns how long ago an event was, in whole words: `43 seconds ago`, or `just now` within the last 10 seconds.
#[must_use]
pub fn past_in_words(time: Duration) -> String {
    let (unit, letter) = unit_of_ago(time);
    let noun = match letter {
        None => return "just now".to_owned(),
        Some('s') => "second",
        Some('m') => "minute",
        Some('h') => "hour",
        Some(_) => "day",
    };
    format!("{} ago", counted(time.as_secs() / unit, noun))
}

/// Returns the unit in which [`ago`] writes a time: its length in seconds, and its letter. `None` as the letter for
/// `now`, which stands for less than 10 seconds.
fn unit_of_ago(time: Duration) -> (u64, Option<char>) {
    match time.as_secs() {
        0..10 => (10, None),
        10..60 => (1, Some('s')),
        60..3600 => (60, Some('m')),
        3600..172_800 => (3600, Some('h')),
        _ => (86_400, Some('d')),
    }
}

/// Returns how long the text of [`ago`] stays the same for the time until an event, which is this time now.
#[must_use]
pub fn left_stays(time: Duration) -> Duration {
    let (unit, _) = unit_of_ago(time);
    let whole = time.as_secs() / unit * unit;
    // The text changes only below the whole number of units.
    time.saturating_sub(Duration::from_secs(whole)) + Duration::from_millis(1)
}

/// Returns how long the text of [`ago`] stays the same, from this time since the event on.
#[must_use]
pub fn ago_stays(time: Duration) -> Duration {
    let (unit, _) = unit_of_ago(time);
    Duration::from_secs((time.as_secs() / unit + 1) * unit).saturating_sub(time)
}

/// Formats a number with thousands separators: `1,204`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number of bytes: `812 B`, `1.5 kB`, `104.9 MB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Formats a number with its noun: `1 line`, `1,204 lines`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_rows_keep_the_indentation_of_their_text() {
        assert_eq!(wrap_indented("  one two", 9, 2), ["  one two"]);
        assert_eq!(wrap_indented("  one two three", 9, 0), ["  one two", "  three"]);
        assert_eq!(wrap_indented("  one two three", 9, 2), ["  one", "    two", "    three"]);
        assert_eq!(wrap_indented("        deep", 6, 9), ["   d", "            e", "            e", "            p"]);
    }

    #[test]
    fn clipped_names_can_be_told_apart() {
        let stages: Vec<String> = (1..=10).map(|number| format!("Stage {number}")).collect();
        let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
        for (columns, ellipsis) in [(3, "…"), (4, "…"), (5, "…"), (6, "…"), (4, "...")] {
            let clipped = clip_apart(&stages, columns, ellipsis);
            assert_eq!(clipped.iter().collect::<HashSet<_>>().len(), 10, "{columns}: {clipped:?}");
            assert!(clipped.iter().all(|name| width(name) <= columns), "{columns}: {clipped:?}");
        }
        assert_eq!(clip_apart(&stages, 4, "…")[8..], ["…9", "…10"]);
        assert_eq!(clip_apart(&["构建阶段一", "构建阶段二"], 4, "…"), ["…一", "…二"]);
        let legs = ["build (ubuntu, 20)", "build (macos, 20)"];
        assert_eq!(clip_apart(&legs, 6, "…"), ["…ubunt", "…macos"]);
        assert_eq!(clip_apart(&["Lint", "Deploy"], 4, "…"), ["Lint", "Dep…"]);
        assert_eq!(clip_apart(&["same name", "same name"], 4, "…"), ["sam…", "sam…"]);
        assert_eq!(clip_apart(&[], 4, "…"), Vec::<String>::new());
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (number, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (104_857_600, "104.9 MB"),
            (10 << 30, "10.7 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes(number), expected);
        }
    }

    #[test]
    fn texts_are_wrapped_between_words() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible yes", 4), ["inco", "mpre", "hens", "ible", "yes"]);
        assert_eq!(wrap(" ", 4), Vec::<String>::new());
    }
    use proptest::prelude::*;
    use ratatui::buffer::CellWidth;
    use ratatui::layout::Rect;

    #[test]
    fn times_and_counts_are_formatted() {
        let seconds = Duration::from_secs;
        let times = [(0, "0.0s"), (9, "9.0s"), (41, "41s"), (725, "12:05"), (3730, "1:02:10"), (200_000, "2d 7h")];
        for (time, text) in times {
            assert_eq!(duration(seconds(time)), text);
        }
        assert_eq!(duration(Duration::from_millis(1999)), "1.9s");
        let running = spent(Timestamp(500), None, Timestamp(4_400));
        assert_eq!(
            (running, spent(Timestamp(500), Some(Timestamp(4_400)), Timestamp(0))),
            ("3s".into(), "3.9s".into())
        );
        for (time, text) in [(3, "now"), (40, "40s"), (720, "12m"), (7300, "2h"), (400_000, "4d")] {
            assert_eq!(ago(seconds(time)), text);
            let next = seconds(time) + ago_stays(seconds(time));
            assert_ne!(ago(next), text);
            assert_eq!(ago(next.saturating_sub(Duration::from_millis(1))), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1204, "1,204"), (10_000_000, "10,000,000")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((counted(1, "line"), counted(2, "line")), ("1 line".to_owned(), "2 lines".to_owned()));
    }

    #[test]
    fn the_past_has_whole_words() {
        for (seconds, expected) in [
            (9, "just now"),
            (43, "43 seconds ago"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (259_200, "3 days ago"),
        ] {
            assert_eq!(past_in_words(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn every_word_must_occur() {
        for (wanted, found) in [("", true), ("fail main", true), ("MAIN", true), ("fail dev", false)] {
            assert_eq!(holds(wanted, &["CI", "main", "failure"]), found, "{wanted}");
        }
    }

    #[test]
    fn a_filter_matches_the_beginnings_of_words() {
        for (wanted, text, found) in [
            ("c", "success", false),
            ("s", "success", true),
            ("cess", "success", false),
            ("yml", "ci.yml", true),
            ("ci.y", "ci.yml", true),
            ("login", "fix/login", true),
            ("55cb", "20261126-201820-55cb", true),
            ("soak", "Nightly soak", true),
            ("oak", "Nightly soak", false),
            ("step", "run_step", true),
            ("(c", "Test (C.UTF-8)", true),
            ("é", "café été", true),
            ("試験", "単体試験", true),
            ("テスト", "統合テスト", true),
            ("4", "v14", false),
        ] {
            assert_eq!(holds(wanted, &[text]), found, "{wanted} in {text}");
        }
    }

    #[test]
    fn cutting_keeps_wide_characters_whole() {
        assert_eq!(clip("tests", 5, "…"), "tests");
        assert_eq!(clip("testing", 5, "…"), "test…");
        assert_eq!(clip("日本語", 4, "…"), "日…");
        assert_eq!(clip("日本語", 0, "…"), "");
        assert_eq!(clip("a\u{202e}b\nc", 9, "…"), "ab c");
        assert_eq!(clip_middle("test (linux, 16)", 11, "…"), "test …, 16)");
        assert_eq!(clip_middle("test (linux, 16)", 16, "…"), "test (linux, 16)");
        assert_eq!(
            (clip_middle("日本語日本語", 7, "…"), clip_middle("abcdef", 3, "…")),
            ("日…語".into(), "ab…".into())
        );
    }

    proptest! {
        #[test]
        fn a_cut_text_fits(text in ".{0,40}", columns in 0_usize..20) {
            prop_assert!(width(&clip(&text, columns, "…")) <= columns);
        }

        #[test]
        fn widths_are_those_of_the_cells_that_are_written(text in "[\\PC\u{ff9e}\u{ff9f}ﾊ日]{0,12}") {
            let text = clean(&text);
            for grapheme in text.graphemes(true).filter(|grapheme| *grapheme != " ") {
                prop_assert_eq!(width(grapheme), usize::from(grapheme.cell_width()), "{:?}", grapheme);
            }
        }

        #[test]
        fn writing_never_leaves_the_buffer(text in ".{0,40}", x in 0_u16..12, y in 0_u16..4, columns in 0_u16..12) {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 2));
            put(&mut buffer, x, y, columns, &text, Style::new());
        }
    }
}
