use std::fs;
use std::io::Write;
use std::ops::ControlFlow;

use proptest::prelude::*;
use tempfile::TempDir;

use super::index::{Entry, SPACING, path_of};
use super::*;
use crate::model::{LineRange, Timestamp};

/// Simplest model of a log, in memory.
#[derive(Default)]
struct Model {
    text: Vec<u8>,
}

impl Model {
    fn lines(&self) -> Vec<Vec<u8>> {
        let mut lines: Vec<_> = self.text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines
    }

    fn complete(&self) -> u64 {
        memchr::memchr_iter(b'\n', &self.text).count() as u64
    }
}

fn place() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/build/002.log");
    (folder, path)
}

fn open(path: &std::path::Path) -> LogReader {
    LogReader::open(path).unwrap().expect("something was written")
}

fn visited(reader: &LogReader) -> Vec<(u64, u64, usize)> {
    let mut lines = Vec::new();
    reader
        .visit(0, |line| {
            lines.push((line.number, line.length, line.bytes.len()));
            ControlFlow::Continue(())
        })
        .unwrap();
    lines
}

fn found(reader: &LogReader, query: &LineMatcher) -> Vec<u64> {
    let mut lines = Vec::new();
    reader
        .search(query, 0..u64::MAX, &|| false, |line| {
            lines.push(line);
            ControlFlow::Continue(())
        })
        .unwrap();
    lines
}

fn check(reader: &mut LogReader, model: &Model) {
    let lines = model.lines();
    assert_eq!(reader.lines().unwrap(), lines.len() as u64);
    let clipped: Vec<Vec<u8>> = lines.iter().map(|line| line[..line.len().min(LONGEST_SHOWN)].to_vec()).collect();
    let step = lines.len() / 7 + 1;
    for first in (0..lines.len() + 2).step_by(step) {
        for count in [0, 1, 3, lines.len() + 1] {
            let page = reader.page(first as u64, count).unwrap();
            let end = (first + count).min(lines.len());
            let expected = clipped.get(first.min(end)..end).unwrap_or_default();
            assert_eq!(page.lines, expected, "page({first}, {count})");
        }
    }
    let expected: Vec<_> =
        (0..).zip(lines).map(|(number, line)| (number, line.len() as u64, line.len().min(LONGEST_SHOWN))).collect();
    assert_eq!(visited(reader), expected);
}

#[test]
fn a_step_that_prints_nothing_has_no_log() {
    let (_folder, path) = place();
    let mut writer = LogWriter::new(&path);
    assert_eq!(writer.append(b"", Timestamp(5)).unwrap(), LineRange { first: 0, count: 0 });
    assert_eq!(writer.finish(), LineRange { first: 0, count: 0 });
    assert!(!path.exists() && LogReader::open(&path).unwrap().is_none());
}

#[test]
fn appends_tell_which_lines_they_completed_and_a_log_can_be_continued() {
    let (_folder, path) = place();
    let mut writer = LogWriter::new(&path);
    let at = Timestamp(5);
    assert_eq!(writer.append(b"one\ntw", at).unwrap(), LineRange { first: 0, count: 1 });
    assert_eq!(writer.append(b"", at).unwrap(), LineRange { first: 1, count: 0 });
    assert_eq!(writer.append(b"o", at).unwrap(), LineRange { first: 1, count: 0 });
    assert_eq!(writer.append(b"\nthree\n\nfi", at).unwrap(), LineRange { first: 1, count: 3 });
    assert_eq!(writer.finish(), LineRange { first: 4, count: 1 });
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\nthree\n\nfi");
    assert!(!path_of(&path).exists(), "a small log needs no index");

    let mut writer = LogWriter::new(&path);
    assert_eq!(writer.append(b"ve\nsix\n", at).unwrap(), LineRange { first: 4, count: 2 });
    assert_eq!(writer.finish(), LineRange { first: 6, count: 0 });
    assert_eq!(open(&path).page(3, 9).unwrap().lines, [b"".to_vec(), b"five".to_vec(), b"six".to_vec()]);
}

#[test]
fn a_log_is_continued_on_a_new_line() {
    for (text, lines, whole) in [(&b"one\ntwo"[..], 2, &b"one\ntwo\nthree\n"[..]), (b"one\n", 1, b"one\nthree\n")] {
        let (_folder, path) = place();
        LogWriter::new(&path).append(text, Timestamp(5)).unwrap();
        let mut writer = LogWriter::new(&path).on_new_line();
        assert_eq!(writer.append(b"three\n", Timestamp(6)).unwrap(), LineRange { first: lines, count: 1 });
        assert_eq!((fs::read(&path).unwrap().as_slice(), writer.lines()), (whole, lines + 1));
    }
}

#[test]
fn a_reader_follows_what_is_written() {
    let (_folder, path) = place();
    let mut writer = LogWriter::new(&path);
    writer.append(b"begun", Timestamp(1)).unwrap();
    let mut reader = open(&path);
    let mut model = Model { text: b"begun".to_vec() };
    for round in 0..200u64 {
        let text = format!("round {round}\n").repeat(round as usize * 13 % 700) + "begun";
        writer.append(text.as_bytes(), Timestamp(1 + round * 300)).unwrap();
        model.text.extend(text.as_bytes());
        assert!(reader.refresh().unwrap());
        if round % 40 == 0 {
            check(&mut reader, &model);
        }
    }
    assert!(!reader.refresh().unwrap());
    check(&mut reader, &model);
    check(&mut open(&path), &model);
}

#[test]
fn times_are_known_to_a_second_in_slow_and_in_fast_logs() {
    let (_folder, path) = place();
    let mut writer = LogWriter::new(&path);
    let start = 1_000_000;
    writer.append(b"tick\n", Timestamp(start)).unwrap();
    let mut reader = open(&path);
    for second in 0..30u64 {
        for _ in u64::from(second == 0)..3 {
            writer.append(b"tick\n", Timestamp(start + second * 1000)).unwrap();
        }
        reader.refresh().unwrap();
    }
    writer.append("fast\n".repeat(100_000).as_bytes(), Timestamp(start + 30_000)).unwrap();
    writer.append(b"later\n", Timestamp(start + 31_000)).unwrap();
    for mut reader in [reader, open(&path)] {
        reader.refresh().unwrap();
        for line in 0..90 {
            assert_eq!(reader.time(line), Some(Timestamp(start + line / 3 * 1000)), "{line}");
        }
        assert_eq!(reader.time(50_000), Some(Timestamp(start + 30_000)));
        assert_eq!(reader.time(100_090), Some(Timestamp(start + 31_000)));
    }
}

#[test]
fn an_index_that_is_missing_torn_or_wrong_costs_only_times() {
    let (_folder, path) = place();
    let mut model = Model::default();
    let mut writer = LogWriter::new(&path);
    for n in 0..60_000u64 {
        let line = format!("line number {n}\n");
        writer.append(line.as_bytes(), Timestamp(n + 1)).unwrap();
        model.text.extend(line.as_bytes());
    }
    let good = fs::read(path_of(&path)).unwrap();
    assert!(good.len() >= model.text.len() / SPACING as usize * Entry::SIZE);
    check(&mut open(&path), &model);

    let mut shifted = good.clone();
    shifted.remove(0);
    let mut doubled = good.clone();
    doubled.extend(&good);
    let beyond = Entry { line: 1 << 40, offset: 1 << 50, time: None }.to_bytes();
    let bad: Vec<Vec<u8>> = vec![
        Vec::new(),
        good[..good.len() - 7].to_vec(),
        good[..=Entry::SIZE].to_vec(),
        good[Entry::SIZE..].to_vec(),
        shifted,
        doubled,
        [&good[..], &beyond[..], &good[..]].concat(),
        vec![0xff; 999],
        vec![0; 4800],
    ];
    for (case, index) in bad.iter().enumerate() {
        fs::write(path_of(&path), index).unwrap();
        check(&mut open(&path), &model);
        let mut writer = LogWriter::new(&path);
        let more = writer.append(b"more\n", Timestamp(100_000)).unwrap();
        assert_eq!(more, LineRange { first: 60_000, count: 1 }, "case {case}");
        model.text.extend(b"more\n");
        let mut reader = open(&path);
        check(&mut reader, &model);
        assert_eq!(reader.time(60_000), Some(Timestamp(100_000)), "case {case}: the index was repaired");
        model.text.truncate(model.text.len() - 5);
        fs::write(&path, &model.text).unwrap();
    }
    fs::remove_file(path_of(&path)).unwrap();
    let mut reader = open(&path);
    check(&mut reader, &model);
    assert_eq!(reader.time(10), None);
}

#[test]
fn a_log_that_shrinks_or_is_replaced_is_read_anew() {
    let (_folder, path) = place();
    LogWriter::new(&path).append(&b"abc\n".repeat(50_000), Timestamp(1)).unwrap();
    let mut reader = open(&path);
    assert_eq!(reader.lines().unwrap(), 50_000);
    fs::write(&path, "new\n").unwrap();
    let visited = visited(&reader);
    assert!(visited.len() <= 1, "what is gone is an end of file: {visited:?}");
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.page(0, 5).unwrap().lines, [b"new".to_vec()]);
}

#[test]
fn a_log_that_is_removed_and_written_again_is_read_anew() {
    let (_folder, path) = place();
    LogWriter::new(path.clone()).append(b"one\ntwo\n", Timestamp(1)).unwrap();
    let mut reader = open(&path);
    assert_eq!(reader.lines().unwrap(), 2);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert_eq!(reader.lines().unwrap(), 2, "the new log does not exist yet");
    LogWriter::new(path.clone()).append(b"one\nTWO\nthree\n", Timestamp(2)).unwrap();
    assert_eq!(reader.page(1, 9).unwrap().lines, [b"TWO".to_vec(), b"three".to_vec()]);
}

#[test]
fn a_very_long_line_is_clipped_and_passed_over_quickly() {
    let (_folder, path) = place();
    let mut writer = LogWriter::new(&path);
    writer.append(b"before\n", Timestamp(1)).unwrap();
    let chunk = vec![b'x'; 100_000];
    for _ in 0..300 {
        writer.append(&chunk, Timestamp(2)).unwrap();
    }
    writer.append(b"needle\nafter\n", Timestamp(3)).unwrap();
    let mut reader = open(&path);
    assert_eq!(visited(&reader), [(0, 6, 6), (1, 30_000_006, LONGEST_SHOWN), (2, 5, 5)]);
    assert_eq!(reader.page(2, 1).unwrap().lines, [b"after".to_vec()]);
    assert_eq!(found(&reader, &LineMatcher::literal("needle", true).unwrap()), [1]);
    assert_eq!(found(&reader, &LineMatcher::regex("xne+dle$", true).unwrap()), [1]);
    assert_eq!(found(&reader, &LineMatcher::literal("x", true).unwrap()), [1], "once, however often it matches");
}

#[test]
fn a_very_long_progress_bar_is_read_at_its_end() {
    let bar: Vec<u8> = (0..20_000).flat_map(|percent| format!("\rdone {percent:>8}").into_bytes()).collect();
    for (before, end) in [("", "\n"), ("begin\n", "\r\n"), (&"x".repeat(70_000), "")] {
        let (_folder, path) = place();
        let mut writer = LogWriter::new(&path);
        let line = [before.as_bytes(), &bar, end.as_bytes()].concat();
        for part in line.chunks(999) {
            writer.append(part, Timestamp(1)).unwrap();
        }
        let mut reader = open(&path);
        let last = reader.page(u64::from(before.ends_with('\n')), 1).unwrap().lines.remove(0);
        assert!(last.len() <= LONGEST_SHOWN);
        assert_eq!(crate::visible::row::plain(&last), "done    19999", "{}", before.len());
    }
}

#[test]
fn matches_across_the_border_of_two_blocks_are_found() {
    let (_folder, path) = place();
    let block = 1024 * 1024;
    for before in [block - 3, block - 6, block, block + 1, 2 * block - 3] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!("first\n{}needle\nlast\nneedle", "x".repeat(before - 6));
        fs::write(&path, &text).unwrap();
        let reader = open(&path);
        assert_eq!(found(&reader, &LineMatcher::literal("needle", true).unwrap()), [1, 3], "{before}");
        assert_eq!(found(&reader, &LineMatcher::literal("NEEDLE", false).unwrap()), [1, 3], "{before}");
        assert_eq!(found(&reader, &LineMatcher::regex(r"^\w+st$", true).unwrap()), [0, 2], "{before}");
    }
}

#[test]
fn a_search_numbers_lines_the_same_with_and_without_an_index() {
    let (_folder, path) = place();
    let mut writer = LogWriter::new(&path);
    // Lines of 1 to 3,000 bytes that fill several blocks. Some match, and some are coloured.
    let mut seed = 7u64;
    let mut matching = Vec::new();
    for line in 0..4000u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let width = usize::try_from(seed >> 33).unwrap() % 3000;
        let (mark, is_match) = match line % 97 {
            0 => ("needle", true),
            1 => ("nee\u{1b}[1mdle\u{1b}[m", true),
            2 => ("\u{1b}[31mno", false),
            _ => ("", false),
        };
        if is_match {
            matching.push(line);
        }
        writer.append(format!("{}{mark}\n", "x".repeat(width)).as_bytes(), Timestamp(1)).unwrap();
    }
    for query in [LineMatcher::literal("needle", true), LineMatcher::regex("ne+dle", false)] {
        let query = query.unwrap();
        assert_eq!(found(&open(&path), &query), matching);
        let mut later = Vec::new();
        let mut collect = |line| {
            later.push(line);
            ControlFlow::Continue(())
        };
        open(&path).search(&query, 1000..3000, &|| false, &mut collect).unwrap();
        assert!(later.iter().eq(matching.iter().filter(|line| (1000..3000).contains(*line))));
    }
    fs::remove_file(path_of(&path)).unwrap();
    assert_eq!(found(&open(&path), &LineMatcher::literal("needle", true).unwrap()), matching);
}

#[test]
fn a_search_is_bounded_by_lines_stops_when_told_and_stays_within_lines() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "a b\r\nb\n\nc\nab\n").unwrap();
    let reader = open(&path);
    let query = LineMatcher::literal("b", true).unwrap();
    let mut lines = Vec::new();
    let mut collect = |line| {
        lines.push(line);
        ControlFlow::Continue(())
    };
    reader.search(&query, 1..4, &|| false, &mut collect).unwrap();
    reader.search(&query, 0..9, &|| true, &mut collect).unwrap();
    reader.search(&query, 9..9, &|| false, &mut collect).unwrap();
    assert_eq!(lines, [1]);
    let mut first = None;
    reader
        .search(&query, 0..9, &|| false, |line| {
            first = Some(line);
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(first, Some(0));

    for (pattern, lines) in [
        (r"b\s", vec![0]),
        (r"b\s*\w", vec![]),
        ("^", vec![0, 1, 2, 3, 4]),
        ("$", vec![0, 1, 2, 3, 4]),
        ("^$", vec![2]),
        ("b$", vec![0, 1, 4]),
        (r"(?s)a.*c", vec![]),
        ("[^x]", vec![0, 1, 3, 4]),
    ] {
        assert_eq!(found(&reader, &LineMatcher::regex(pattern, true).unwrap()), lines, "{pattern}");
    }
    assert_eq!(LineMatcher::regex("b|a", true).unwrap().ranges(b"xab b"), [1..2, 2..3, 4..5]);
    assert_eq!(LineMatcher::literal("ab", true).unwrap().ranges(b"abab"), [0..2, 2..4]);
    assert!(matches!(LineMatcher::literal("", true), Err(LineMatcherError::Empty)));
    assert!(matches!(LineMatcher::regex("", true), Err(LineMatcherError::Empty)));
    assert!(matches!(LineMatcher::regex("(", true), Err(LineMatcherError::Regex(_))));
}

#[test]
fn a_log_that_is_not_a_file_is_a_clear_error() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let mut writer = LogWriter::new(&path);
    let error = writer.append(b"text\n", Timestamp(1)).unwrap_err();
    assert!(error.to_string().starts_with("cannot create"), "{error}");
    assert_eq!(writer.finish(), LineRange { first: 0, count: 0 });
}

fn any_chunk() -> impl Strategy<Value = Vec<u8>> {
    // There are no carriage returns, which decide what part of a line as long as these is read. They have a separate
    // test.
    prop_oneof![
        8 => prop::collection::vec(prop::sample::select(b"ab\n\x08\0\xff".to_vec()), 0..40),
        1 => (1..3000usize).prop_map(|n| b"some text in a line\n".repeat(n)),
        1 => (1..200_000usize).prop_map(|n| vec![b'z'; n]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_is_a_list_of_lines(chunks in prop::collection::vec((any_chunk(), 0..3000u64, any::<bool>()), 0..20)) {
        let (_folder, path) = place();
        let mut model = Model::default();
        let mut writer = LogWriter::new(&path);
        let mut reader = None;
        let mut now = 1;
        for (chunk, later, reopen) in chunks {
            now += later;
            let first = model.complete();
            model.text.extend(&chunk);
            let count = model.complete() - first;
            prop_assert_eq!(writer.append(&chunk, Timestamp(now)).unwrap().count, count);
            if reopen {
                reader = reader.or_else(|| LogReader::open(&path).unwrap());
                if let Some(reader) = &mut reader {
                    check(reader, &model);
                }
                writer = LogWriter::new(&path);
            }
        }
        prop_assert_eq!(fs::read(&path).unwrap_or_default(), &model.text[..]);
        if let Some(mut reader) = LogReader::open(&path).unwrap() {
            check(&mut reader, &model);
            let expected: Vec<u64> = (0..)
                .zip(model.lines())
                .filter(|(_, line)| crate::visible::row::shown(line).windows(2).any(|w| w == b"ba"))
                .map(|(number, _)| number)
                .collect();
            prop_assert_eq!(found(&reader, &LineMatcher::literal("ba", true).unwrap()), &expected[..]);
            prop_assert_eq!(found(&reader, &LineMatcher::regex("[b]a", true).unwrap()), expected);
        }
        if let Some(mut reader) = reader {
            check(&mut reader, &model);
        }
    }

    #[test]
    fn any_garbage_for_an_index_is_harmless(garbage in prop::collection::vec(any::<u8>(), 0..200), text in any_chunk()) {
        let (_folder, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
        fs::File::create(path_of(&path)).unwrap().write_all(&garbage).unwrap();
        check(&mut open(&path), &Model { text });
    }
}

#[test]
fn a_search_finds_what_is_shown() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "one\n\x1b[31mer\x1b[1mror\x1b[0m\n10%\rerror\rdone\nx error\r\nerrer\x08\x08or\nlast error")
        .unwrap();
    let reader = open(&path);
    for (query, lines) in [
        (LineMatcher::literal("error", true), vec![1, 3, 4, 5]),
        (LineMatcher::literal("ERROR", false), vec![1, 3, 4, 5]),
        (LineMatcher::regex("^error$", true), vec![1, 4]),
        (LineMatcher::regex("31m|10%", true), vec![]),
        (LineMatcher::regex("^done", true), vec![2]),
        (LineMatcher::regex("", true).or(LineMatcher::regex("^", true)), vec![0, 1, 2, 3, 4, 5]),
    ] {
        assert_eq!(found(&reader, &query.expect("a pattern")), lines);
    }
}

#[test]
fn a_search_finds_matches_across_what_is_not_shown() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "er\u{9b}31mror\nplain\ner\u{200b}ror\nerror\ner\0ror\u{7}\ncaf\u{e9} er\u{ad}ror\r\n").unwrap();
    let reader = open(&path);
    for (query, lines) in [
        (LineMatcher::literal("error", true), vec![0, 2, 3, 4, 5]),
        (LineMatcher::regex("^error$", true), vec![0, 2, 3, 4]),
        (LineMatcher::literal("31m", true), vec![]),
    ] {
        assert_eq!(found(&reader, &query.expect("a pattern")), lines);
    }
}
