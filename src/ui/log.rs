//! Lines of a log, ready to be drawn. They keep colours and web links, and no other terminal control sequences.
//!
//! A log is untrusted. Each line is parsed once, when it is loaded, into spans of harmless text with a style, and only
//! those are drawn. So no line can move the cursor, write to the clipboard, change the title or leave its pane.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::link::Link;
use super::log_reader::LogReader;
use super::text::{put, width};
use super::theme::{Hue, Theme};
use crate::visible::row::TAB;

/// Meaning of a line's runner command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// No command, or one that changes only the style.
    None,
    /// Starts a group.
    Group,
    /// Ends a group.
    EndGroup,
    /// Reports an error.
    Error,
    /// Reports a warning.
    Warning,
}

/// A line, ready to be drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Spans of text with their styles.
    pub parts: Vec<(String, Style)>,
    /// Meaning of its runner command.
    pub mark: Mark,
    /// Links in the line.
    pub links: Vec<Link>,
}

/// Runner commands that change how a line is shown: name, replacement, mark and hue.
const COMMANDS: &[(&str, &str, Mark, Hue)] = &[
    ("group", "▸ ", Mark::Group, Hue::Accent),
    ("endgroup", "", Mark::EndGroup, Hue::Dim),
    ("error", "Error: ", Mark::Error, Hue::Bad),
    ("warning", "Warning: ", Mark::Warning, Hue::Busy),
    ("notice", "Notice: ", Mark::None, Hue::Accent),
    ("debug", "Debug: ", Mark::None, Hue::Dim),
    ("command", "", Mark::None, Hue::Accent),
];

impl Line {
    /// Parses the bytes of a line.
    #[must_use]
    pub fn parse(bytes: &[u8], theme: Theme) -> Self {
        let Tag { label, mark, hue, rest } =
            tag(bytes).unwrap_or(Tag { label: "", mark: Mark::None, hue: Hue::Plain, rest: bytes });
        let mut reader = LogReader::new(theme.style(hue), theme.colours);
        reader.label(if mark == Mark::Group { theme.pick(label, "> ") } else { label });
        reader.read(rest);
        let (mut parts, links) = reader.finish();
        expand_tabs(&mut parts);
        Self { parts, mark, links }
    }

    /// Returns the text without styles.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.iter().map(|(text, _)| text.as_str()).collect()
    }

    /// Returns the width in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.parts.iter().map(|(text, _)| width(text)).sum()
    }

    /// Returns the number of rows when wrapped at `columns`.
    #[must_use]
    pub fn rows(&self, columns: u16) -> usize {
        let row = usize::from(columns.max(1));
        if self.parts.iter().all(|(text, _)| text.is_ascii()) {
            return self.width().div_ceil(row).max(1);
        }
        let graphemes = self.parts.iter().flat_map(|(text, _)| text.graphemes(true)).map(width);
        graphemes.fold(0, |column, columns| fitting(column, columns, row) + columns).div_ceil(row).max(1)
    }

    /// Returns the line with another style for the given byte ranges of [`Line::text`].
    #[must_use]
    pub fn marked(&self, ranges: &[Range<usize>], style: Style) -> Self {
        let mut parts = Vec::with_capacity(self.parts.len() + 2 * ranges.len());
        let mut start = 0;
        for (text, own) in &self.parts {
            let mut at = 0;
            let inside = ranges.iter().filter(|range| range.start < start + text.len() && range.end > start);
            for range in inside {
                // Ranges are extended to whole characters.
                let from = text.floor_char_boundary(range.start.saturating_sub(start)).max(at);
                let to = text.ceil_char_boundary((range.end - start).min(text.len())).max(from);
                parts.push((text[at..from].to_owned(), *own));
                parts.push((text[from..to].to_owned(), own.patch(style)));
                at = to;
            }
            parts.push((text[at..].to_owned(), *own));
            start += text.len();
        }
        parts.retain(|(text, _)| !text.is_empty());
        Self { parts, mark: self.mark, links: self.links.clone() }
    }

    /// Draws the line from column `left` on, wrapped into the rows of an area.
    pub fn draw(&self, area: Rect, left: usize, buffer: &mut Buffer) {
        let row = usize::from(area.width.max(1));
        let right = left + usize::from(area.width) * usize::from(area.height);
        let mut column = 0;
        for (text, style) in &self.parts {
            if column >= right {
                break;
            }
            let columns = width(text);
            if column + columns <= left {
                column += columns;
            } else if text.is_ascii() {
                // In ASCII text a byte is a column, so every row is a slice.
                let end = column + columns;
                let mut at = column.max(left);
                while at < end.min(right) {
                    let place = at - left;
                    let stop = (at + row - place % row).min(end);
                    let (x, y) = (area.x + (place % row) as u16, area.y + (place / row) as u16);
                    put(buffer, x, y, (stop - at) as u16, &text[at - column..stop - column], *style);
                    at = stop;
                }
                column = end;
            } else {
                for grapheme in text.graphemes(true) {
                    if column >= right {
                        break;
                    }
                    let columns = width(grapheme);
                    // A wide character that does not fit starts the next row, as in a terminal. A line that is scrolled
                    // sideways has no next row, so the cell stays empty.
                    if area.height > 1 {
                        column = fitting(column, columns, row);
                        if column >= right {
                            break;
                        }
                    }
                    if let Some(place) = column.checked_sub(left).filter(|place| place % row + columns <= row) {
                        let (x, y) = (area.x + (place % row) as u16, area.y + (place / row) as u16);
                        put(buffer, x, y, columns as u16, grapheme, *style);
                    }
                    column += columns;
                }
            }
        }
    }
}

/// Returns the column for a character of the given width: `column`, or the start of the next row if it does not fit.
fn fitting(column: usize, columns: usize, row: usize) -> usize {
    if columns <= row && column % row + columns > row { column.next_multiple_of(row) } else { column }
}

/// A runner command at the start of a line, in the form that is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag<'l> {
    /// Text shown in place of the command.
    pub label: &'static str,
    /// Meaning of the command.
    pub mark: Mark,
    /// Hue of the line.
    pub hue: Hue,
    /// Rest of the line.
    pub rest: &'l [u8],
}

/// Returns the command at the start of a line; `None` for plain text.
#[must_use]
pub fn tag(line: &[u8]) -> Option<Tag<'_>> {
    let (name, rest) = command(line)?;
    let (_, label, mark, hue) = COMMANDS.iter().find(|(command, ..)| name.eq_ignore_ascii_case(command))?;
    Some(Tag { label, mark: *mark, hue: *hue, rest })
}

/// Returns the name of the runner command at the start of a line, and the text after it. `None` if the line does not
/// begin with a command.
///
/// A runner writes a command that it has carried out as `##[name]`. A line that still has the form `::name::` is text:
/// `stop-commands` was in force when the step printed it.
fn command(line: &[u8]) -> Option<(&str, &[u8])> {
    let rest = line.strip_prefix(b"##[")?;
    let at = rest.iter().take(512).position(|byte| *byte == b']')?;
    let head = std::str::from_utf8(&rest[..at]).ok()?;
    // Properties such as `file=` are dropped here, because they are shown elsewhere.
    Some((head.split(' ').next().unwrap_or_default(), &rest[at + 1..]))
}

/// Replaces tabs by blanks up to the next tab stop.
fn expand_tabs(parts: &mut [(String, Style)]) {
    if !parts.iter().any(|(text, _)| text.contains('\t')) {
        return;
    }
    let mut column = 0;
    for (text, _) in parts {
        let mut expanded = String::with_capacity(text.len() + TAB);
        for (number, part) in text.split('\t').enumerate() {
            if number > 0 {
                let blanks = TAB - column % TAB;
                expanded.extend(std::iter::repeat_n(' ', blanks));
                column += blanks;
            }
            expanded.push_str(part);
            column += width(part);
        }
        *text = expanded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Colours;
    use proptest::prelude::*;
    use ratatui::style::{Color, Modifier};

    fn parse(text: &str) -> Line {
        Line::parse(text.as_bytes(), Theme::default())
    }

    #[test]
    fn colours_are_kept_and_other_sequences_dropped() {
        let line = parse("\x1b[1;31mred\x1b[0m plain\x1b]0;title\x07\x1b[2J\x1b[10;10H\x1b]52;c;aGk=\x07 end\x07\0");
        assert_eq!(line.text(), "red plain  end");
        assert_eq!(line.parts[0].1, Style::new().fg(Color::Indexed(1)).add_modifier(Modifier::BOLD));
        assert_eq!(line.parts[1].1, Style::new());
        let none = Theme { colours: Colours::None, ..Theme::default() };
        assert_eq!(Line::parse(b"\x1b[38;5;196;1mred", none).parts[0].1, Style::new().add_modifier(Modifier::BOLD));
    }

    #[test]
    fn web_links_are_kept() {
        let line = parse(
            "see \x1b]8;id=1;https://example.com/a;b\x1b\\the \x1b[31mpage\x1b[0m\x1b]8;;\x07 or \x1b]8;;file:///x\x07this",
        );
        assert_eq!(line.text(), "see the page or this");
        let [link] = line.links.as_slice() else { panic!("one link: {:?}", line.links) };
        assert_eq!(&*link.address, "https://example.com/a;b");
        let linked = line.parts.iter().filter(|(_, style)| style.underline_color == Some(link.mark));
        assert_eq!(linked.map(|(text, _)| text.as_str()).collect::<String>(), "the page");
    }

    #[test]
    fn long_colours_take_their_own_parameters_only() {
        let rgb = Style::new().fg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::UNDERLINED);
        assert_eq!(parse("\x1b[38;2;1;2;3;4mx").parts[0].1, rgb);
        assert_eq!(parse("\x1b[48;5;9mx").parts[0].1, Style::new().bg(Color::Indexed(9)));
        assert_eq!(parse("\x1b[91mx").parts[0].1, Style::new().fg(Color::Indexed(9)));
        assert_eq!(parse("\x1b[38;5mx").text(), "x");
    }

    #[test]
    fn tabs_returns_and_direction_marks() {
        assert_eq!(parse("a\tb").text(), "a       b");
        assert_eq!(parse("10%\r20%\rdone\r").text(), "done");
        assert_eq!(parse("a\u{202e}b\u{200b}").text(), "ab");
        assert_eq!(Line::parse(b"\xff\xfeok", Theme::default()).text(), "\u{fffd}\u{fffd}ok");
    }

    #[test]
    fn runner_commands_are_replaced_by_labels() {
        for (text, shown, mark) in [
            ("##[group]Run tests", "▸ Run tests", Mark::Group),
            ("##[endgroup]", "", Mark::EndGroup),
            ("##[error]it broke", "Error: it broke", Mark::Error),
            ("##[error file=a.py;line=3]it broke", "Error: it broke", Mark::Error),
            ("##[warning]careful", "Warning: careful", Mark::Warning),
            ("::warning::not a command", "::warning::not a command", Mark::None),
            ("::group::not a command", "::group::not a command", Mark::None),
            ("##[unknown]text", "##[unknown]text", Mark::None),
            ("a##[error]text", "a##[error]text", Mark::None),
        ] {
            assert_eq!((parse(text).text().as_str(), parse(text).mark), (shown, mark));
        }
    }

    #[test]
    fn ranges_of_the_text_can_be_marked() {
        let line = parse("one \x1b[31mtwo\x1b[0m three");
        let marked = line.marked(&[2..6, 6..9], Style::new().add_modifier(Modifier::REVERSED));
        let reversed = marked.parts.iter().filter(|(_, style)| style.add_modifier.contains(Modifier::REVERSED));
        assert_eq!(reversed.map(|(text, _)| text.as_str()).collect::<Vec<_>>(), ["e ", "tw", "o", " t"]);
        assert_eq!((marked.text(), marked.width()), (line.text(), line.width()));
    }

    #[test]
    fn a_line_is_clipped_by_columns() {
        let line = parse("ab日本cd");
        let cut = |left| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
            line.draw(Rect::new(0, 0, 4, 1), left, &mut buffer);
            buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect::<String>()
        };
        assert_eq!(cut(0), "ab日 ");
        assert_eq!(cut(1), "b日  ");
        assert_eq!(cut(3), " 本 c");
        assert_eq!((line.width(), line.rows(3), line.rows(8)), (8, 4, 1));
        let wrapped = |text: &str, columns: u16| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, columns, 3));
            parse(text).draw(buffer.area, 0, &mut buffer);
            let rows = buffer.content.chunks(usize::from(columns));
            rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>()).collect::<Vec<_>>()
        };
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh "]);
        assert_eq!(wrapped("a\x1b[1mbcde\x1b[mfghij", 3), ["abc", "def", "ghi"]);
        assert_eq!(wrapped("ab日c", 3), ["ab ", "日 c", "   "], "it does not fit");
        let mut taller = Buffer::empty(Rect::new(0, 0, 3, 3));
        parse("ab日").draw(Rect::new(0, 0, 3, 1), 0, &mut taller);
        parse("abcde日").draw(Rect::new(0, 0, 3, 2), 0, &mut taller);
        assert!(taller.content[6..].iter().all(|cell| cell.symbol() == " "), "nothing is below the area");
        assert_eq!((parse("ab日c").rows(3), parse("日本語").rows(3), parse("日").rows(1)), (2, 3, 2));
    }

    proptest! {
        #[test]
        fn no_line_leaves_its_row(bytes in prop::collection::vec(any::<u8>(), 0..200), left in 0_usize..300) {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 30, 3));
            let line = Line::parse(&bytes, Theme::default());
            line.draw(Rect::new(10, 1, 10, 1), left, &mut buffer);
            for (at, cell) in buffer.content.iter().enumerate() {
                let (x, y) = (at % 30, at / 30);
                if y != 1 || !(10..20).contains(&x) {
                    prop_assert_eq!(cell.symbol(), " ");
                }
            }
        }
    }
}
