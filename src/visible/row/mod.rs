//! Text that a terminal shows for one line. Where the cursor moves back, as in progress bars, new text replaces the old
//! text.

mod long;
mod scan;

use vte::{Params, Parser, Perform};

use super::{char_width, is_unsafe};

pub use long::LongRow;
pub use scan::{first_control, moves};

pub(in crate::visible) use scan::{first_c1, is_plain, without_colours};

/// Columns between tab stops.
pub const TAB: usize = 8;

/// The column at which a cursor that moves to the right stops, like the right edge of a wide terminal. Programs move by
/// 999 columns or more to reach the edge.
const EDGE: usize = 200;

/// A row of a terminal whose characters have a style of type `S`.
///
/// A line of a log is one row. If the cursor moves to another row of the terminal, a new section of the line begins
/// after the text so far, so that text that a terminal keeps is not overwritten.
#[derive(Debug)]
pub struct Row<S> {
    content: Content<S>,
    /// Column of the cursor in its section.
    column: usize,
    /// Column of the row at which the section begins.
    section: usize,
    /// Column of the cursor when it was saved.
    saved: usize,
    /// Whether the cursor has moved away from the end of the text.
    moved: bool,
}

#[derive(Debug)]
enum Content<S> {
    /// Spans of text with tabs, as long as nothing was overwritten.
    Spans(Vec<(String, S)>),
    Cells(Vec<Cell<S>>),
}

#[derive(Clone, Debug)]
struct Cell<S> {
    /// The character; `None` for the second column of a wide one.
    shown: Option<char>,
    /// Combining characters after the character.
    marks: String,
    style: S,
}

impl<S: Clone + Default> Cell<S> {
    fn new(shown: Option<char>, style: S) -> Self {
        Self { shown, marks: String::new(), style }
    }

    fn blank() -> Self {
        Self::new(Some(' '), S::default())
    }
}

impl<S: Clone + Default + PartialEq> Default for Row<S> {
    fn default() -> Self {
        Self { content: Content::Spans(Vec::new()), column: 0, section: 0, saved: 0, moved: false }
    }
}

impl<S: Clone + Default + PartialEq> Row<S> {
    /// Begins a section after the text so far. Columns are counted from its start.
    pub fn begin_section(&mut self) {
        let cells = self.cells();
        while cells.last().is_some_and(|cell| cell.shown == Some(' ') && cell.marks.is_empty()) {
            cells.pop();
        }
        if !cells.is_empty() {
            cells.push(Cell::blank());
        }
        self.section = cells.len();
        (self.column, self.saved, self.moved) = (0, 0, false);
    }

    /// Makes the text printed so far a label in front of the line.
    pub fn end_label(&mut self) {
        (self.section, self.column) = (self.column, 0);
    }

    /// Prints a character at the cursor. Unsafe characters are dropped.
    pub fn print(&mut self, c: char, style: S) {
        let columns = match c {
            ' '..='~' => 1,
            c if is_unsafe(c) => return,
            c => char_width(c),
        };
        if !self.moved
            && let Content::Spans(spans) = &mut self.content
        {
            match spans.last_mut() {
                Some((text, last)) if *last == style => text.push(c),
                _ => spans.push((c.to_string(), style)),
            }
            self.column += columns;
            return;
        }
        self.overwrite(c, columns, style);
    }

    fn overwrite(&mut self, c: char, columns: usize, style: S) {
        let at = self.section + self.column;
        let cells = self.cells();
        if columns == 0 {
            let end = at.min(cells.len());
            let before = cells[..end].iter_mut().rev().find(|cell| cell.shown.is_some());
            if let Some(cell) = before {
                cell.marks.push(c);
            }
            return;
        }
        if cells.len() < at + columns {
            cells.resize(at + columns, Cell::blank());
        }
        blank_halves(cells, at, at + columns);
        for (cell, shown) in cells[at..at + columns].iter_mut().zip([Some(c), None]) {
            *cell = Cell::new(shown, style.clone());
        }
        self.column += columns;
        self.moved = self.section + self.column < self.cells().len();
    }

    /// Carries out a control character.
    pub fn control(&mut self, byte: u8, style: S) {
        match byte {
            b'\t'
                if !self.moved
                    && let Content::Spans(spans) = &mut self.content =>
            {
                match spans.last_mut() {
                    Some((text, last)) if *last == style => text.push('\t'),
                    _ => spans.push(("\t".to_owned(), style)),
                }
                self.column = (self.column / TAB + 1) * TAB;
            }
            b'\t' => self.go((self.column / TAB + 1) * TAB),
            b'\r' => self.go(0),
            8 => self.go(self.column.saturating_sub(1)),
            _ => {}
        }
    }

    /// Carries out a control sequence without a private marker: moves the cursor, or erases, deletes or inserts cells.
    /// A move to another row begins a section. All other sequences are ignored.
    pub fn sequence(&mut self, params: &Params, action: char) {
        let first = params.iter().next().and_then(|param| param.first()).copied().unwrap_or(0);
        let count = usize::from(first.max(1));
        match action {
            'C' | 'a' => self.go((self.column + count).min(EDGE.max(self.column))),
            'D' => self.go(self.column.saturating_sub(count)),
            'G' | '`' => self.go((count - 1).min(EDGE.max(self.column))),
            's' => self.saved = self.column,
            'u' => self.go(self.saved),
            'A' | 'B' | 'E' | 'F' | 'H' | 'd' | 'f' => self.begin_section(),
            'K' => self.erase(first),
            'X' => self.blank(self.column, self.column + count),
            'P' => {
                let (from, cells) = (self.section + self.column, self.cells());
                let to = (from + count).min(cells.len());
                if from < to {
                    blank_halves(cells, from, to);
                    cells.drain(from..to);
                }
            }
            '@' => {
                let (from, cells) = (self.section + self.column, self.cells());
                if from < cells.len() {
                    blank_halves(cells, from, from);
                    cells.splice(from..from, std::iter::repeat_n(Cell::blank(), count.min(EDGE)));
                }
            }
            _ => {}
        }
    }

    fn go(&mut self, column: usize) {
        self.moved |= column != self.column;
        self.column = column;
    }

    /// Erases to the end of the row, to its start, or all of it.
    fn erase(&mut self, what: u16) {
        match what {
            0 if !self.moved => {}
            0 | 2 => {
                let from = self.section + if what == 0 { self.column } else { 0 };
                let cells = self.cells();
                if from < cells.len() {
                    blank_halves(cells, from, from);
                    cells.truncate(from);
                }
                self.moved |= self.column > 0;
            }
            1 => self.blank(0, self.column + 1),
            _ => {}
        }
    }

    fn blank(&mut self, from: usize, to: usize) {
        let (from, to, cells) = (self.section + from, self.section + to, self.cells());
        let to = to.min(cells.len());
        if from < to {
            blank_halves(cells, from, to);
            cells[from..to].fill(Cell::blank());
        }
    }

    fn cells(&mut self) -> &mut Vec<Cell<S>> {
        if let Content::Spans(spans) = &mut self.content {
            let mut cells: Vec<Cell<S>> = Vec::new();
            for (text, style) in std::mem::take(spans) {
                for c in text.chars() {
                    let columns = match c {
                        '\t' => TAB - cells.len().saturating_sub(self.section) % TAB,
                        c => char_width(c),
                    };
                    match (c, columns) {
                        ('\t', _) => cells.extend(std::iter::repeat_n(Cell::new(Some(' '), style.clone()), columns)),
                        (_, 0) => {
                            let before = cells.iter_mut().rev().find(|cell| cell.shown.is_some());
                            if let Some(cell) = before {
                                cell.marks.push(c);
                            }
                        }
                        (_, columns) => {
                            let wide = [Some(c), None].into_iter().take(columns);
                            cells.extend(wide.map(|shown| Cell::new(shown, style.clone())));
                        }
                    }
                }
            }
            self.content = Content::Cells(cells);
        }
        match &mut self.content {
            Content::Cells(cells) => cells,
            Content::Spans(_) => unreachable!("they were just made cells"),
        }
    }

    /// Returns the text that stays visible.
    fn text(&self) -> String {
        match &self.content {
            Content::Spans(spans) => spans.iter().map(|(text, _)| text.as_str()).collect(),
            Content::Cells(cells) => {
                let mut text = String::with_capacity(cells.len());
                // Leave out the blank in front of a section that stayed empty.
                let is_empty = self.section > 0 && cells.len() == self.section;
                for cell in &cells[..cells.len() - usize::from(is_empty)] {
                    text.extend(cell.shown);
                    text.push_str(&cell.marks);
                }
                text
            }
        }
    }

    /// Returns the text that stays visible, as spans of one style. A tab stays a tab if nothing was overwritten.
    #[must_use]
    pub fn into_spans(self) -> Vec<(String, S)> {
        let mut cells = match self.content {
            Content::Spans(spans) => return spans,
            Content::Cells(cells) => cells,
        };
        // Leave out the blank in front of a section that stayed empty.
        if self.section > 0 && cells.len() == self.section {
            cells.pop();
        }
        let mut spans: Vec<(String, S)> = Vec::new();
        for cell in cells {
            let Some(c) = cell.shown else { continue };
            match spans.last_mut() {
                Some((text, style)) if *style == cell.style => text.push(c),
                _ => spans.push((c.to_string(), cell.style)),
            }
            if let Some((text, _)) = spans.last_mut() {
                text.push_str(&cell.marks);
            }
        }
        spans
    }
}

/// Blanks the remaining half of each wide character whose other half is among the replaced cells `from..to`.
fn blank_halves<S: Clone + Default>(cells: &mut [Cell<S>], from: usize, to: usize) {
    if from > 0 && cells.get(from).is_some_and(|cell| cell.shown.is_none()) {
        cells[from - 1] = Cell::blank();
        cells[from] = Cell::blank();
    }
    if to > from && cells.get(to).is_some_and(|cell| cell.shown.is_none()) {
        cells[to] = Cell::blank();
    }
}

/// Parses a line of terminal output. The C1 control characters (U+0080 to U+009F) are parsed like the escape sequences
/// that they stand for, as terminals do (ECMA-48, 5.3).
pub fn parse(line: &[u8], performer: &mut impl Perform) {
    feed(&mut Parser::new(), line, performer);
}

/// Parses a part of a line like [`parse`].
fn feed(parser: &mut Parser, part: &[u8], performer: &mut impl Perform) {
    let mut rest = part;
    while let Some(at) = first_c1(rest) {
        parser.advance(performer, &rest[..at]);
        parser.advance(performer, &[0x1b, rest[at + 1] - 0x40]);
        rest = &rest[at + 2..];
    }
    parser.advance(performer, rest);
}

/// Returns the text in which a search looks for matches: the text that a terminal shows for the line.
#[must_use]
pub fn shown(line: &[u8]) -> Vec<u8> {
    without_colours(line).unwrap_or_else(|| plain(line).into_bytes())
}

/// A row without styles, for a line that arrives in parts.
#[derive(Default)]
pub struct PlainRow {
    parser: Parser,
    row: Unstyled,
}

#[derive(Default)]
struct Unstyled(Row<()>);

impl Perform for Unstyled {
    fn print(&mut self, c: char) {
        self.0.print(c, ());
    }

    fn execute(&mut self, byte: u8) {
        self.0.control(byte, ());
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        if intermediates.is_empty() {
            self.0.sequence(params, action);
        }
    }
}

impl PlainRow {
    /// Returns the row of the beginning of a line.
    #[must_use]
    pub fn of(start: &[u8]) -> Self {
        let mut row = Self::default();
        row.push(start);
        row
    }

    /// Takes the next part of the line.
    pub fn push(&mut self, part: &[u8]) {
        feed(&mut self.parser, part, &mut self.row);
    }

    /// Returns the text that a terminal shows.
    #[must_use]
    pub fn text(&self) -> String {
        self.row.0.text()
    }
}

/// Returns the text that a terminal shows for a line. Tabs stay unless text was overwritten.
#[must_use]
pub fn plain(line: &[u8]) -> String {
    PlainRow::of(line).text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_and_ends_of_lines_move_no_cursor() {
        for lines in ["plain\ttext\n", "\u{1b}[1;31mred\u{1b}[0m\r\n\u{1b}[38:5:1mx", "é✓\n", ""] {
            assert!(!moves(lines.as_bytes()), "{lines:?}");
        }
        for lines in ["a\rb", "a\r", "a\u{8}b", "\u{1b}[2Ka", "\u{1b}[1", "\u{1b}", "\u{1b}7", "\u{9b}1G"] {
            assert!(moves(lines.as_bytes()), "{lines:?}");
        }
    }

    #[test]
    fn a_line_is_what_a_terminal_shows_of_it() {
        let far = format!("a{}z", " ".repeat(199));
        for (line, shown) in [
            ("plain\ttext", "plain\ttext"),
            ("\u{1b}[2K\u{1b}[1Gyarn install v1", "yarn install v1"),
            ("[1/4] Resolving\u{1b}[2K\u{1b}[1GDone in 0.36s.", "Done in 0.36s."),
            ("\rdownload   0%\rdownload 100%", "download 100%"),
            ("10%\r20%\rdone\r", "done"),
            ("abc\rX", "Xbc"),
            ("abc\rX\u{1b}[K", "X"),
            ("abcdef\u{1b}[3Dxyz", "abcxyz"),
            ("abc\u{8}\u{8}\u{8}xyz", "xyz"),
            ("abc\u{8} \u{8}", "ab "),
            ("long text here\r\u{1b}[Kshort", "short"),
            ("abcdef\u{1b}[4G\u{1b}[1K", "    ef"),
            ("abcdef\u{1b}[2G\u{1b}[2P", "adef"),
            ("abcdef\u{1b}[2G\u{1b}[2@", "a  bcdef"),
            ("abcdef\u{1b}[2G\u{1b}[2X", "a  def"),
            ("ab\u{1b}[5Gx\u{1b}[3Cy", "ab  x   y"),
            ("a\u{1b}[999Cz", far.as_str()),
            ("a\u{1b}[s1\u{1b}[u2", "a2"),
            ("a\tb\rx", "x       b"),
            ("a\u{1b}[5D\tb\u{1b}[1Gx", "x       b"),
            ("日本\rx", "x 本"),
            ("日本\u{1b}[2Gx", " x本"),
            ("日本\u{1b}[3Gxy", "日xy"),
            ("ab\r日", "日"),
            ("e\u{301}f\rx", "xf"),
            ("ﾊﾟb\rxy", "xyb"),
            ("line B\u{1b}[1A\r\u{1b}[2Kreplaced A", "line B replaced A"),
            ("\u{1b}[1A\u{1b}[2Kreplaced\u{1b}[1B\r", "replaced"),
            ("\u{1b}[2Jtext\u{1b}[10;10Hhere\rt", "text tere"),
            ("bell\u{7} nul\u{0} del\u{7f} vt\u{b}x", "bell nul del vtx"),
            ("C1 \u{9b}31mred\u{9b}0m \u{9d}0;title\u{9c}end", "C1 red end"),
            ("\u{1b}[?25lhidden\u{1b}[?1049h", "hidden"),
            ("csi cut \u{1b}[3", "csi cut "),
        ] {
            assert_eq!(plain(line.as_bytes()), shown, "{line:?}");
        }
    }

    #[test]
    fn lines_that_are_shown_otherwise_are_known() {
        for (text, at) in
            [("a\tb ✓", None), ("windows\r", None), ("windows\r\nx", None), ("1\r2", Some(1)), ("a\n\u{1b}[m", Some(2))]
        {
            assert_eq!(first_control(text.as_bytes()), at, "{text:?}");
        }
        for changed in ["\u{9b}31m", "\u{85}", "\0", "\u{7}", "\u{b}", "\u{7f}", "\u{200b}", "\u{ad}", "\u{e0041}"] {
            for before in [0, 1, 126, 127, 128, 300] {
                let text = format!("{}é{changed}b", "a".repeat(before));
                assert_eq!(first_control(text.as_bytes()), Some(before + 2), "{before} {changed:?}");
                assert_eq!(first_control(format!("{}é日\r\nb", "a".repeat(before)).as_bytes()), None, "{before}");
            }
        }
        for c in ('\0'..=char::MAX).filter(|c| !matches!(c, '\n' | '\t' | '\r')) {
            assert_eq!(first_control(c.to_string().as_bytes()).is_some(), is_unsafe(c), "{c:?}");
        }
        assert_eq!(first_control(b"a\xffb\xe2\x80"), None, "bytes that are not characters stay as they are");
        for (line, text) in [
            ("\u{1b}[1;31mred\u{1b}[m\r\n", "red"),
            ("\u{1b}[38:5:9mred", "red"),
            ("\u{1b}[2Kred", "red"),
            ("\u{9b}31mr\u{200b}e\0d\u{9b}m", "red"),
            ("\u{1b}[31mr\u{ad}ed", "red"),
            ("a\rb", "b"),
            ("cut \u{1b}[3", "cut "),
        ] {
            assert_eq!(shown(line.as_bytes()), text.as_bytes(), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn the_row_matches_a_terminal(parts in prop::collection::vec(prop::sample::select(vec![
            "a", "bc", "x y", "\r", "\u{8}", "\u{1b}[K", "\u{1b}[1K", "\u{1b}[2K", "\u{1b}[3D", "\u{1b}[2C", "\u{1b}[4G",
            "\u{1b}[P", "\u{1b}[2@", "\u{1b}[3X", "\u{1b}[31m",
        ]), 0..24)) {
            let line = parts.concat();
            let size = |length| std::num::NonZero::new(length).expect("not zero");
            let mut terminal = vt100::Parser::new(size(1), size(240), 0);
            terminal.process(line.as_bytes());
            let expected = terminal.screen().contents();
            let shown = plain(line.as_bytes());
            prop_assert_eq!(shown.trim_end(), expected.trim_end(), "{:?}", line);
        }

        #[test]
        fn a_text_without_controls_is_shown_as_it_is(parts in prop::collection::vec(prop::sample::select(vec![
            "a", " ", "\t", "é", "日本", "a\u{301}", "\u{1b}[1m", "\u{9b}m", "\u{85}", "\0", "\u{7f}", "\u{200b}",
            "\u{e0041}", "\r",
        ]), 0..200)) {
            let line = parts.concat();
            let shown = plain(line.as_bytes());
            if first_control(line.as_bytes()).is_none() {
                prop_assert_eq!(line.trim_end_matches('\r'), &shown);
            }
            prop_assert_eq!(super::shown(line.as_bytes()), shown.into_bytes());
        }

        #[test]
        fn nothing_unsafe_is_left(line in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(plain(&line).chars().all(|c| c == '\t' || !is_unsafe(c)));
        }
    }
}
