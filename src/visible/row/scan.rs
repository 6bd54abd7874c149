//! Finds control sequences in lines without parsing them, in a tenth of the time.

use crate::visible::is_unsafe;

/// Returns the index of the first C1 control character (U+0080 to U+009F); `None` if there is no such character.
pub(in crate::visible) fn first_c1(line: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0xc2, line).find(|at| matches!(line.get(at + 1), Some(0x80..=0x9f)))
}

/// Numbers of bytes that [`first_control`] checks at once: first whether all are printable ASCII, as in most logs, and
/// then whether one could begin a control character.
const BLOCKS: [usize; 2] = [128, 16];

/// Whether a text has only printable ASCII, tabs and newlines.
pub(in crate::visible) fn is_plain(text: &[u8]) -> bool {
    // The loop over a block has no branches, so that the compiler compares sixteen or more bytes at once.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    text.chunks(BLOCKS[0]).all(|block| block.iter().fold(true, |all, byte| all & is_plain(*byte)))
}

/// Returns the index of the first character that makes a line look different from its bytes: a control character, such
/// as an escape character or a carriage return that does not end a line, or another character that is dropped. Tabs and
/// newlines do not count.
#[must_use]
pub fn first_control(lines: &[u8]) -> Option<usize> {
    // Begins a control character, or a character of which `is_unsafe` holds.
    let is_suspect =
        |byte: u8| matches!(byte, 0..=8 | 0xb..=0x1f | 0x7f | 0xc2 | 0xcd | 0xd8 | 0xe1..=0xe3 | 0xef | 0xf0 | 0xf3);
    let is_changed = |at: usize| match lines[at] {
        b'\r' => !matches!(lines.get(at + 1), None | Some(b'\n')),
        byte if byte.is_ascii() => true,
        // Of these characters, which are common in Japanese, only U+3164 is dropped.
        0xe3 if lines.get(at + 1) != Some(&0x85) => false,
        _ => {
            let character = &lines[at..lines.len().min(at + 4)];
            character.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).is_some_and(is_unsafe)
        }
    };
    let has_suspect = |block: &[u8]| block.iter().fold(false, |any, byte| any | is_suspect(*byte));
    let large = (0..).step_by(BLOCKS[0]).zip(lines.chunks(BLOCKS[0])).filter(|(_, block)| !is_plain(block));
    let small = large.flat_map(|(at, block)| (at..).step_by(BLOCKS[1]).zip(block.chunks(BLOCKS[1])));
    let suspects = small.filter(|(_, block)| has_suspect(block)).flat_map(|(at, block)| (at..).zip(block));
    suspects.filter(|(_, byte)| is_suspect(**byte)).map(|(at, _)| at).find(|at| is_changed(*at))
}

/// Whether the cursor may move away from the end of the text in one of the lines. Complete colour sequences, and
/// carriage returns before a newline, do not count.
#[must_use]
pub fn moves(lines: &[u8]) -> bool {
    let moves = |at: usize| match lines[at] {
        b'\r' => lines.get(at + 1) != Some(&b'\n'),
        0x1b => colour(&lines[at + 1..]).is_none(),
        _ => true,
    };
    memchr::memchr3_iter(0x1b, b'\r', 8, lines).any(moves) || first_c1(lines).is_some()
}

/// Returns the length of the rest of a colour sequence that begins a text, after its escape character: `[…m`. `None`
/// for any other sequence.
fn colour(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(b"[")?;
    let length = parameters.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    (parameters[length] == b'm').then_some(length + 2)
}

/// Returns a line without its end and its colours; `None` if it has other controls. Most logs with control sequences
/// have only colours, and dropping them takes a tenth of the time of parsing them.
pub(in crate::visible) fn without_colours(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr::memchr(b'\r', line).is_some() {
        return None;
    }
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1 + colour(&rest[at + 1..])?..];
    }
    text.extend_from_slice(rest);
    first_control(&text).is_none().then_some(text)
}
