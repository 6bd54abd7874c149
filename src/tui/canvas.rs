//! Updates the terminal from one frame to the next with few bytes, in one write.
//!
//! A frame is compared with the previous one, and only cells that differ are sent, with as few cursor moves and style
//! changes as possible. Rows that only moved, such as those of a followed log, are scrolled by the terminal in a scroll
//! region. This costs about two hundred bytes a line instead of several thousand. Each frame is a synchronized update,
//! so that terminals with support for it never show half a frame.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::ops::Range;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use crate::ui::{caret, link, sgr, text};

/// Start and end of a synchronized update (contour-terminal's "synchronized output", mode 2026).
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// Shows the terminal's cursor as a bar, which leaves the drawn caret below it visible, and hides it again.
const SHOW_CURSOR: &[u8] = b"\x1b[6 q\x1b[?25h";
const HIDE_CURSOR: &[u8] = b"\x1b[?25l\x1b[0 q";

/// Minimum difference between the numbers of moved and unmoved rows for which scrolling costs less than drawing.
const MIN_MOVED_ROWS: usize = 3;

/// Maximum number of unchanged cells that are written again instead of moving the cursor over them.
const MAX_REWRITTEN_CELLS: usize = 5;

/// Attributes that are visible on a space, in the foreground colour.
const VISIBLE_ON_SPACES: Modifier = Modifier::UNDERLINED.union(Modifier::REVERSED).union(Modifier::CROSSED_OUT);

/// A frame to draw into, and the frame that the terminal shows.
#[derive(Debug)]
pub struct Canvas<W> {
    terminal: W,
    shown: Buffer,
    next: Buffer,
    bytes: Vec<u8>,
    /// Whether the content of the terminal is unknown.
    lost: bool,
    /// Whether rows may be scrolled by the terminal.
    scrolls: bool,
    /// Column and row of the terminal's cursor; `None` while it is hidden.
    caret: Option<(u16, u16)>,
}

impl<W: Write> Canvas<W> {
    /// Returns a canvas of this size for a terminal with unknown content.
    pub fn new(terminal: W, width: u16, height: u16, scrolls: bool) -> Self {
        let area = Rect::new(0, 0, width, height);
        let (shown, next) = (Buffer::empty(area), Buffer::empty(area));
        Self { terminal, shown, next, bytes: Vec::new(), lost: true, scrolls, caret: None }
    }

    /// Changes the size. The content of the terminal is unknown afterwards.
    pub fn resize(&mut self, width: u16, height: u16) {
        let area = Rect::new(0, 0, width, height);
        (self.shown, self.next) = (Buffer::empty(area), Buffer::empty(area));
        self.lost = true;
    }

    /// Forgets the content of the terminal, so that the next frame draws every cell.
    pub fn forget(&mut self) {
        self.lost = true;
    }

    /// Sends control sequences that are not part of a frame.
    ///
    /// # Errors
    /// Writing to the terminal fails.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.terminal.write_all(bytes)?;
        self.terminal.flush()
    }

    /// Draws a frame and sends what changed. Returns the number of bytes, 0 if nothing changed. Rows in `moving` may be
    /// scrolled by the terminal. `address` returns the address of a link by the colour that marks its cells.
    ///
    /// # Errors
    /// Writing to the terminal fails.
    pub fn paint<'a>(
        &mut self,
        moving: Range<u16>,
        address: impl Fn(Color) -> Option<&'a str>,
        draw: impl FnOnce(&mut Buffer),
    ) -> io::Result<usize> {
        self.next.reset();
        draw(&mut self.next);
        self.bytes.clear();
        self.bytes.extend_from_slice(BEGIN);
        if std::mem::take(&mut self.lost) {
            self.shown.reset();
            self.caret = None;
            self.bytes.extend_from_slice(HIDE_CURSOR);
            self.bytes.extend_from_slice(b"\x1b[r\x1b[0m\x1b[2J");
        } else if self.scrolls {
            self.move_rows(moving);
        }
        let mut pen = Pen::default();
        for y in 0..self.next.area.height {
            let (shown, next) = (row(&self.shown, y), row(&self.next, y));
            if shown != next {
                pen.update(&mut self.bytes, y, shown, next, &address);
            }
        }
        pen.finish(&mut self.bytes);
        self.place_cursor();
        std::mem::swap(&mut self.shown, &mut self.next);
        if self.bytes.len() == BEGIN.len() {
            return Ok(0);
        }
        self.bytes.extend_from_slice(END);
        self.terminal.write_all(&self.bytes)?;
        self.terminal.flush()?;
        Ok(self.bytes.len())
    }

    /// Puts the terminal's cursor at the caret of the next frame, or hides it if the frame has none.
    fn place_cursor(&mut self) {
        let caret = caret::find(&self.next);
        let has_moved = caret != self.caret || self.bytes.len() > BEGIN.len();
        match caret {
            Some((x, y)) if has_moved => {
                write!(self.bytes, "\x1b[{};{}H", y + 1, x + 1).expect("writing to memory cannot fail");
                if self.caret.is_none() {
                    self.bytes.extend_from_slice(SHOW_CURSOR);
                }
            }
            None if self.caret.is_some() => self.bytes.extend_from_slice(HIDE_CURSOR),
            _ => {}
        }
        self.caret = caret;
    }

    /// Scrolls the rows by the distance that most of them moved, if at least [`MIN_MOVED_ROWS`] more rows moved than
    /// stayed.
    fn move_rows(&mut self, rows: Range<u16>) {
        let rows = rows.start..rows.end.min(self.shown.area.height);
        let hashes = |buffer: &Buffer| rows.clone().map(|y| hash(row(buffer, y))).collect::<Vec<u64>>();
        let (shown, next) = (hashes(&self.shown), hashes(&self.next));
        let height = next.len();
        let stayed = shown.iter().zip(&next).filter(|(a, b)| a == b).count();
        let up = |by: usize| (by, true, shown[by..].iter().zip(&next).filter(|(a, b)| a == b).count());
        let down = |by: usize| (by, false, next[by..].iter().zip(&shown).filter(|(a, b)| a == b).count());
        let best = (1..height).flat_map(|by| [up(by), down(by)]).max_by_key(|(by, _, moved)| (*moved, usize::MAX - by));
        let Some((by, up, moved)) = best else { return };
        if moved < stayed + MIN_MOVED_ROWS {
            return;
        }
        let (first, last) = (rows.start + 1, rows.end);
        let way = if up { 'S' } else { 'T' };
        write!(self.bytes, "\x1b[{first};{last}r\x1b[{by}{way}\x1b[r").expect("writing to memory cannot fail");
        let width = usize::from(self.shown.area.width);
        let cells = &mut self.shown.content[usize::from(rows.start) * width..usize::from(rows.end) * width];
        let by = by * width;
        let fresh = if up {
            cells.rotate_left(by);
            let kept = cells.len() - by;
            &mut cells[kept..]
        } else {
            cells.rotate_right(by);
            &mut cells[..by]
        };
        fresh.fill(Cell::EMPTY);
    }
}

/// Returns the cells of a row.
fn row(buffer: &Buffer, y: u16) -> &[Cell] {
    let width = usize::from(buffer.area.width);
    &buffer.content[usize::from(y) * width..][..width]
}

fn hash(cells: &[Cell]) -> u64 {
    let mut hasher = DefaultHasher::new();
    cells.hash(&mut hasher);
    hasher.finish()
}

/// Position of the terminal's cursor, if it is known, and the style and link in effect.
#[derive(Default)]
struct Pen {
    at: Option<(u16, u16)>,
    style: (Color, Color, Modifier),
    /// Mark of the open link; `Reset` if none is open.
    link: Color,
}

impl Pen {
    /// Appends the output for the cells of a row that differ.
    fn update<'a>(
        &mut self,
        bytes: &mut Vec<u8>,
        y: u16,
        shown: &[Cell],
        next: &[Cell],
        address: &impl Fn(Color) -> Option<&'a str>,
    ) {
        // `lost` is the end of the cells that an overwritten wide character cleared, and `covered` the end of the cells
        // that a new wide character covers.
        let (mut lost, mut covered) = (0, 0);
        for (x, (old, new)) in shown.iter().zip(next).enumerate() {
            if x >= covered && (old != new || x < lost) {
                let width = text::width(new.symbol()).max(1);
                self.go(bytes, x as u16, y, next);
                if new.underline_color != self.link {
                    self.link = new.underline_color;
                    bytes.extend_from_slice(link::sequence(address(self.link)).as_bytes());
                }
                self.put(bytes, x as u16, y, new);
                covered = x + width;
            }
            if x < covered {
                lost = lost.max(x + text::width(old.symbol()));
            }
        }
    }

    /// Moves the cursor. If it moves right over a few cells that look the same in the current style, writes these cells
    /// again, which takes fewer bytes than a move.
    fn go(&mut self, bytes: &mut Vec<u8>, x: u16, y: u16, row: &[Cell]) {
        match self.at {
            Some((from, same)) if same == y && from <= x => {
                let between = &row[usize::from(from)..usize::from(x)];
                if between.len() <= MAX_REWRITTEN_CELLS && between.iter().all(|cell| self.can_write(cell)) {
                    for cell in between {
                        bytes.extend_from_slice(cell.symbol().as_bytes());
                    }
                } else {
                    write!(bytes, "\x1b[{}C", between.len()).expect("writing to memory cannot fail");
                }
            }
            _ => write!(bytes, "\x1b[{};{}H", y + 1, x + 1).expect("writing to memory cannot fail"),
        }
    }

    /// Whether a cell looks the same if it is written in the current style. Only the background of a space is visible,
    /// unless the space is reversed, underlined or crossed out.
    fn can_write(&self, cell: &Cell) -> bool {
        let style = (cell.fg, cell.bg, cell.modifier);
        let is_bare = |(_, _, modifier): (Color, Color, Modifier)| !modifier.intersects(VISIBLE_ON_SPACES);
        let alike = is_bare(style) && is_bare(self.style) && cell.bg == self.style.1;
        cell.symbol().len() == 1
            && cell.underline_color == self.link
            && (style == self.style || (cell.symbol() == " " && alike))
    }

    fn put(&mut self, bytes: &mut Vec<u8>, x: u16, y: u16, cell: &Cell) {
        let style = (cell.fg, cell.bg, cell.modifier);
        if style != self.style {
            self.style = style;
            select(bytes, style);
        }
        bytes.extend_from_slice(cell.symbol().as_bytes());
        // Terminals disagree about the width of other characters, so the position after them is unknown.
        self.at = is_one_column(cell.symbol()).then_some((x + 1, y));
    }

    fn finish(&mut self, bytes: &mut Vec<u8>) {
        if self.style != <(Color, Color, Modifier)>::default() {
            bytes.extend_from_slice(b"\x1b[m");
        }
        if self.link != Color::Reset {
            bytes.extend_from_slice(link::sequence(None).as_bytes());
        }
    }
}

/// Whether a text has one column on every terminal: an ASCII character, a character of a similar script, or a line,
/// arrow or sign. Terminals disagree about the width of other characters.
fn is_one_column(symbol: &str) -> bool {
    let mut characters = symbol.chars();
    let plain = matches!(
        characters.next(),
        Some(
            ' '..='~'
            | '\u{a1}'..='\u{24f}'
            | '\u{370}'..='\u{52f}'
            | '\u{2010}'..='\u{2027}'
            | '\u{2190}'..='\u{259f}'
            | '\u{25a0}'..='\u{25ff}'
            | '\u{2701}'..='\u{27bf}'
            | '\u{2800}'..='\u{28ff}',
        )
    );
    plain && characters.next().is_none() && text::width(symbol) == 1
}

/// Selects a style, starting from the default style. This mostly takes fewer bytes than undoing the previous style.
fn select(bytes: &mut Vec<u8>, (fg, bg, modifier): (Color, Color, Modifier)) {
    bytes.extend_from_slice(b"\x1b[");
    bytes.extend_from_slice(sgr::parameters(fg, bg, modifier).as_bytes());
    bytes.push(b'm');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratatui::style::Style;

    const SIZE: (u16, u16) = (20, 8);

    fn canvas(scrolls: bool) -> Canvas<Vec<u8>> {
        Canvas::new(Vec::new(), SIZE.0, SIZE.1, scrolls)
    }

    /// Returns a terminal that received these bytes.
    fn terminal(bytes: &[u8]) -> vt100::Parser {
        let size = |size| std::num::NonZero::new(size).expect("not zero");
        let (rows, columns) = (size(SIZE.1), size(SIZE.0));
        let mut parser = vt100::Parser::new(rows, columns, 0);
        parser.process(bytes);
        parser
    }

    /// Returns a description of every cell of a terminal's screen. A cell that was never written equals a space, and a
    /// space has only its visible attributes.
    fn cells(terminal: &vt100::Parser) -> Vec<String> {
        let screen = terminal.screen();
        let places = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (y, x)));
        let cell = |(y, x)| {
            let cell = screen.cell(y, x).expect("inside");
            let text = if cell.is_wide_continuation() || cell.has_contents() { cell.contents() } else { " " };
            let ink = (cell.fgcolor(), cell.bold(), cell.dim(), cell.italic());
            let ink = if text.trim().is_empty() && !cell.inverse() { String::new() } else { format!("{ink:?}") };
            format!("{text} {ink} {:?}", (cell.bgcolor(), cell.underline(), cell.inverse()))
        };
        places.map(cell).collect()
    }

    fn log(first: usize) -> impl FnOnce(&mut Buffer) {
        move |buffer| {
            for y in 1..7 {
                let number = first + usize::from(y);
                let text = format!("|{:>9} {number:<8}|", number * 7_919_777 % 1_000_003);
                buffer.set_string(0, y, text, Style::new());
            }
        }
    }

    #[test]
    fn the_same_picture_costs_nothing() {
        let mut canvas = canvas(true);
        assert!(canvas.paint(1..7, |_| None, log(0)).expect("memory") > 0);
        assert_eq!(canvas.paint(1..7, |_| None, log(0)).expect("memory"), 0);
        canvas.forget();
        assert!(canvas.paint(1..7, |_| None, log(0)).expect("memory") > 0);
    }

    #[test]
    fn moved_rows_are_moved_by_the_terminal() {
        let bytes = |scrolls| {
            let mut canvas = canvas(scrolls);
            canvas.paint(1..7, |_| None, log(0)).expect("memory");
            let bytes = canvas.paint(1..7, |_| None, log(995)).expect("memory");
            let scrolled = canvas.paint(1..7, |_| None, log(997)).expect("memory");
            let back = canvas.paint(1..7, |_| None, log(996)).expect("memory");
            let shown = terminal(&canvas.terminal).screen().contents();
            assert!(shown.contains(" 997 ") && shown.contains(" 1002 "), "{shown}");
            (bytes, scrolled, back)
        };
        let (_, plain, _) = bytes(false);
        let (_, scrolled, back) = bytes(true);
        assert!(scrolled < 90 && back < 70 && plain > 110, "{scrolled} and {back} bytes instead of {plain}");
    }

    #[test]
    fn no_space_is_written_in_a_style_that_shows() {
        // The picture has a word in red and reversed, a space that is only reversed and stays, and a word that changes.
        let picture = |word: &'static str| {
            move |buffer: &mut Buffer| {
                let reversed = Style::new().add_modifier(Modifier::REVERSED);
                buffer.set_string(0, 0, "ab", reversed.fg(Color::Red));
                buffer.set_string(2, 0, " ", reversed);
                buffer.set_string(3, 0, word, reversed.fg(Color::Red));
            }
        };
        let (mut stepwise, mut at_once) = (canvas(false), canvas(false));
        stepwise
            .paint(0..0, |_| None, |buffer| buffer.set_string(2, 0, " ", Style::new().add_modifier(Modifier::REVERSED)))
            .expect("memory");
        stepwise.paint(0..0, |_| None, picture("cd")).expect("memory");
        at_once.paint(0..0, |_| None, picture("cd")).expect("memory");
        assert_eq!(cells(&terminal(&stepwise.terminal)), cells(&terminal(&at_once.terminal)));
        assert!(is_one_column("─") && is_one_column("ж") && !is_one_column("日") && !is_one_column("\u{fffd}"));
    }

    #[test]
    fn links_are_spelled_out_around_their_cells() {
        let link = crate::ui::link::Link::new("https://example.com/x").expect("a link");
        let mut canvas = canvas(false);
        let linked = |buffer: &mut Buffer| {
            buffer.set_string(0, 0, "see the page now", Style::new());
            buffer.set_style(Rect::new(4, 0, 8, 1), Style::new().underline_color(link.mark));
        };
        let address = |mark| (mark == link.mark).then_some(&*link.address);
        canvas.paint(0..0, address, linked).expect("memory");
        let sent = String::from_utf8(canvas.terminal.clone()).expect("text");
        assert!(sent.contains("see \x1b]8;;https://example.com/x\x1b\\the page\x1b[1C\x1b]8;;\x1b\\now"), "{sent:?}");
        // A mark without an address is not drawn as a link.
        canvas.forget();
        canvas.terminal.clear();
        canvas.paint(0..0, |_| None, linked).expect("memory");
        assert!(!String::from_utf8(canvas.terminal.clone()).expect("text").contains("https"));
    }

    #[test]
    fn the_cursor_of_the_terminal_is_shown_at_the_caret_only() {
        let mut canvas = canvas(false);
        let cursor = |canvas: &Canvas<Vec<u8>>| {
            let terminal = terminal(&canvas.terminal);
            let screen = terminal.screen();
            (!screen.hide_cursor()).then(|| screen.cursor_position())
        };
        let mut paint = |text: &'static str, caret: Option<u16>| {
            let draw = |buffer: &mut Buffer| {
                buffer.set_string(0, 5, text, Style::new());
                if let Some(x) = caret {
                    buffer.set_string(x, 3, "_", caret::marked(Style::new()));
                }
            };
            let bytes = canvas.paint(0..0, |_| None, draw).expect("memory");
            (cursor(&canvas), bytes > 0)
        };
        assert_eq!(paint("a", None), (None, true));
        assert_eq!(paint("a", Some(4)), (Some((3, 4)), true));
        assert_eq!(paint("a", Some(4)), (Some((3, 4)), false), "nothing changed");
        assert_eq!(paint("b", Some(4)), (Some((3, 4)), true), "it comes back after a change elsewhere");
        assert_eq!(paint("b", Some(5)), (Some((3, 5)), true));
        assert_eq!(paint("b", None), (None, true));
    }

    /// Maximum number of bytes for a line of a followed log on a screen of 120 columns and 40 rows.
    const FOLLOWED_LINE: usize = 250;

    #[test]
    fn a_followed_line_costs_little() {
        use crate::app::fixture::{Driver, START, records, run};
        use crate::app::msg::Msg;
        use crate::model::feed::Feed;
        use crate::model::{Event, JobId, LineRange, Record, StepNumber, Timestamp};
        use crate::ui::theme::Glyphs;
        let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
        let lines = (1..=1300_u64).map(|line| format!("{:>40} module {line} ... ok", line * 7_919_777 % 1_000_003));
        driver.log("security", 2, lines.collect());
        driver.press("kj");
        let mut canvas = Canvas::new(Vec::new(), 120, 40, true);
        canvas.paint(0..0, |_| None, |buffer| driver.app.draw(buffer)).expect("memory");
        let first = records().len() as u64;
        for line in 1..50 {
            let output = LineRange { first: 1203 + line, count: 1 };
            let event = Event::Output { job: JobId::new("security"), step: StepNumber(2), output };
            let at = Timestamp(START + 192_000 + line * 20);
            driver.send(Msg::Tick(at));
            driver.feed(Feed::Records { run: run(), records: vec![Record { seq: first + line, at, event }] });
            let bytes =
                canvas.paint(driver.app.moving_rows(), |_| None, |buffer| driver.app.draw(buffer)).expect("memory");
            assert!(bytes <= FOLLOWED_LINE, "{bytes} bytes for a line");
        }
        assert!(driver.shows("module 1253 ... ok"), "{}", driver.screen());
    }

    fn style() -> impl Strategy<Value = Style> {
        let colour = prop_oneof![
            Just(Color::Reset),
            Just(Color::Red),
            Just(Color::LightBlue),
            (16_u8..255).prop_map(Color::Indexed),
            (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(r, g, b)| Color::Rgb(r, g, b)),
        ];
        (colour.clone(), colour, 0_usize..5).prop_map(|(fg, bg, modifier)| {
            let modifiers = [
                Modifier::empty(),
                Modifier::BOLD,
                Modifier::DIM,
                Modifier::UNDERLINED | Modifier::ITALIC,
                Modifier::REVERSED,
            ];
            Style::new().fg(fg).bg(bg).add_modifier(modifiers[modifier])
        })
    }

    fn picture() -> impl Strategy<Value = Vec<(u16, u16, String, Style)>> {
        prop::collection::vec((0..SIZE.0, 0..SIZE.1, "[a-z日● ]{0,8}", style()), 0..12)
    }

    fn draw(picture: &[(u16, u16, String, Style)], buffer: &mut Buffer) {
        for (x, y, text, style) in picture {
            buffer.set_stringn(*x, *y, text, usize::from(SIZE.0 - x), *style);
        }
    }

    proptest! {
        /// Drawing step by step, with and without moving rows, ends in the same screen as drawing the last picture.
        #[test]
        fn every_way_leads_to_the_same_screen(pictures in prop::collection::vec(picture(), 1..5), by in 0_usize..4) {
            let mut stepwise = canvas(true);
            for picture in &pictures {
                stepwise.paint(1..7, |_| None, |buffer| draw(picture, buffer)).expect("memory");
                // This is the same picture, moved up by some rows.
                let moved: Vec<_> = picture
                    .iter()
                    .filter(|(_, y, ..)| usize::from(*y) >= by)
                    .map(|(x, y, text, style)| (*x, y - by as u16, text.clone(), *style))
                    .collect();
                stepwise.paint(0..8, |_| None, |buffer| draw(&moved, buffer)).expect("memory");
                stepwise.paint(1..7, |_| None, |buffer| draw(picture, buffer)).expect("memory");
            }
            let mut at_once = canvas(false);
            at_once.paint(0..0, |_| None, |buffer| draw(pictures.last().expect("one at least"), buffer)).expect("memory");
            let (one, other) = (terminal(&stepwise.terminal), terminal(&at_once.terminal));
            let (one, other) = (cells(&one), cells(&other));
            let differing: Vec<_> = one.iter().zip(&other).enumerate().filter(|(_, (one, other))| one != other).collect();
            prop_assert!(differing.is_empty(), "{differing:?}");
        }
    }
}
