//! Exports a drawn screen as plain text, text with ANSI colours, or SVG.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::sgr;
use super::terminal_text::TerminalText;
use super::text::width;

/// Width and height of a cell in an SVG, in pixels at its natural size.
const CELL: (f32, f32) = (8.4, 18.0);
const LETTERS: f32 = 14.0;

/// Colours of an SVG: background, text, and the sixteen terminal colours.
const PAPER: &str = "#16181d";
const INK: &str = "#d4d7dd";
const SIXTEEN: [&str; 16] = [
    "#2b2e36", "#e5616b", "#7fb86a", "#d9a657", "#6a9fe0", "#b98ad6", "#55b5c1", "#c9ccd3", "#6b7180", "#f07882",
    "#98cf83", "#eabf72", "#86b5ee", "#cda2e6", "#70cad5", "#ffffff",
];

/// Adjacent cells of a row with the same style.
struct Run<'b> {
    column: usize,
    columns: usize,
    text: String,
    cell: &'b Cell,
}

/// Returns the rows, split into runs of equal style.
fn rows(buffer: &Buffer) -> impl Iterator<Item = Vec<Run<'_>>> {
    buffer.content.chunks(usize::from(buffer.area.width.max(1))).map(|row| {
        let mut runs: Vec<Run> = Vec::new();
        let mut next = 0;
        for (column, cell) in row.iter().enumerate() {
            // Skip the second cell of a wide character.
            if column < next {
                continue;
            }
            let columns = width(cell.symbol()).max(1);
            next = column + columns;
            match runs.last_mut().filter(|run| look(run.cell) == look(cell)) {
                Some(run) => {
                    run.text.push_str(cell.symbol());
                    run.columns += columns;
                }
                None => runs.push(Run { column, columns, text: cell.symbol().to_owned(), cell }),
            }
        }
        runs
    })
}

fn look(cell: &Cell) -> (Color, Color, Modifier) {
    (cell.fg, cell.bg, cell.modifier)
}

/// A drawn screen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Picture(Buffer);

impl From<Buffer> for Picture {
    fn from(buffer: Buffer) -> Self {
        Self(buffer)
    }
}

impl Picture {
    /// Draws a screen with this number of columns and rows.
    pub fn draw(columns: u16, rows: u16, draw: impl FnOnce(&mut Buffer)) -> Self {
        let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
        draw(&mut buffer);
        Self(buffer)
    }

    /// Returns the screen as plain text, one line per row, without trailing blanks.
    #[must_use]
    pub fn text(&self) -> TerminalText {
        let line = |runs: Vec<Run>| runs.into_iter().map(|run| run.text).collect::<String>().trim_end().to_owned();
        let lines: Vec<_> = rows(&self.0).map(|runs| line(runs) + "\n").collect();
        TerminalText::lines(&lines.concat())
    }

    /// Returns the screen as text with ANSI colour sequences.
    #[must_use]
    pub fn ansi(&self) -> TerminalText {
        TerminalText::coloured(&ansi(&self.0))
    }

    /// Returns the screen as a self-contained SVG, without external fonts, scripts or style sheets.
    #[must_use]
    pub fn svg(&self) -> TerminalText {
        TerminalText::lines(&svg(&self.0))
    }
}

fn ansi(buffer: &Buffer) -> String {
    let mut out = String::new();
    for runs in rows(buffer) {
        for run in runs {
            let style = Style::new().fg(run.cell.fg).bg(run.cell.bg).add_modifier(run.cell.modifier);
            out.push_str(&format!("{}{}", sgr::sequence(style), run.text));
        }
        out.push_str(sgr::RESET);
        out.push('\n');
    }
    out
}

fn svg(buffer: &Buffer) -> String {
    let (width, height) = (f32::from(buffer.area.width) * CELL.0, f32::from(buffer.area.height) * CELL.1);
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments| writeln!(out, "{text}").expect("writing to a string cannot fail");
    line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"{LETTERS}\">"
    ));
    line(format_args!("<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{PAPER}\"/>"));
    for (row, runs) in rows(buffer).enumerate() {
        let top = row as f32 * CELL.1;
        for run in runs {
            let reversed = run.cell.modifier.contains(Modifier::REVERSED);
            let (fg, bg) = (colour(run.cell.fg), colour(run.cell.bg));
            let or = |colour: Option<String>, other: &str| Some(colour.unwrap_or_else(|| other.to_owned()));
            let (fg, bg) = if reversed { (or(bg, PAPER), or(fg, INK)) } else { (fg, bg) };
            let (x, columns) = (run.column as f32 * CELL.0, run.columns as f32 * CELL.0);
            if let Some(bg) = bg {
                let cell = CELL.1;
                line(format_args!(
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{columns:.1}\" height=\"{cell}\" fill=\"{bg}\"/>"
                ));
            }
            let text = run.text.trim_end();
            if text.is_empty() {
                continue;
            }
            let fg = fg.unwrap_or_else(|| INK.to_owned());
            let bold = if run.cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
            let dim = if run.cell.modifier.contains(Modifier::DIM) { " opacity=\"0.6\"" } else { "" };
            // `textLength` fixes the width to the columns, whatever font is used.
            let length = super::text::width(text) as f32 * CELL.0;
            let base = top + CELL.1 * 0.74;
            let text = escaped(text);
            line(format_args!(
                "<text x=\"{x:.1}\" y=\"{base:.1}\" fill=\"{fg}\"{bold}{dim} textLength=\"{length:.1}\" \
                 lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">{text}</text>"
            ));
        }
    }
    line(format_args!("</svg>"));
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns a colour in SVG notation; `None` for the default colour of the terminal.
fn colour(colour: Color) -> Option<String> {
    if let Color::Rgb(r, g, b) = colour {
        return Some(format!("#{r:02x}{g:02x}{b:02x}"));
    }
    let index = sgr::index(colour)?;
    Some(match index {
        0..16 => SIXTEEN[usize::from(index)].to_owned(),
        // A cube of six shades each of red, green and blue, followed by greys.
        16..232 => {
            let shade = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
            let cube = index - 16;
            format!("#{:02x}{:02x}{:02x}", shade(cube / 36), shade(cube / 6 % 6), shade(cube % 6))
        }
        232.. => {
            let grey = 8 + 10 * (index - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Picture {
        Picture::draw(12, 2, |buffer| {
            buffer.set_string(0, 0, "a <b> & 日本", Style::new().fg(Color::Red));
            buffer.set_string(0, 1, "sel", Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD));
        })
    }

    #[test]
    fn pictures_show_what_was_drawn() {
        assert_eq!(drawn().text().as_str(), "a <b> & 日本\nsel\n");
        let coloured = drawn().ansi();
        let coloured = coloured.as_str();
        assert!(coloured.starts_with("\x1b[0;31ma <b> & 日本") && coloured.contains("\x1b[0;1;7msel"), "{coloured:?}");
        let mut struck = drawn();
        struck.0.set_style(Rect::new(0, 1, 3, 1), Style::new().add_modifier(Modifier::CROSSED_OUT));
        assert!(struck.ansi().as_str().contains("\x1b[0;1;7;9msel"));
    }

    #[test]
    fn an_svg_is_escaped_and_draws_reversed_cells() {
        let picture = svg(&drawn().0);
        assert!(picture.contains("a &lt;b&gt; &amp; 日本</text>") && !picture.contains("<b>"), "{picture}");
        assert!(picture.contains(&format!("fill=\"{INK}\"/>")) && picture.contains("font-weight=\"bold\""));
        assert_eq!(
            (colour(Color::Indexed(196)).as_deref(), colour(Color::Indexed(255)).as_deref()),
            (Some("#ff0000"), Some("#eeeeee"))
        );
    }
}
