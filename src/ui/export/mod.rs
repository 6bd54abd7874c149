//! Exports a drawn screen as plain text, text with ANSI colours, or SVG.

mod svg;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::sgr;
use super::terminal_text::TerminalText;
use super::text::width;

/// Adjacent cells of a row with the same style.
struct Run<'b> {
    column: usize,
    columns: usize,
    /// The text of each cell. A wide character is one cell.
    symbols: Vec<&'b str>,
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
                    run.symbols.push(cell.symbol());
                    run.columns += columns;
                }
                None => runs.push(Run { column, columns, symbols: vec![cell.symbol()], cell }),
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
        let line = |runs: Vec<Run>| {
            runs.iter().flat_map(|run| &run.symbols).copied().collect::<String>().trim_end().to_owned()
        };
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
        TerminalText::lines(&svg::picture(&self.0))
    }
}

fn ansi(buffer: &Buffer) -> String {
    let mut out = String::new();
    for runs in rows(buffer) {
        for run in runs {
            let style = Style::new().fg(run.cell.fg).bg(run.cell.bg).add_modifier(run.cell.modifier);
            out.push_str(&format!("{}{}", sgr::sequence(style), run.symbols.concat()));
        }
        out.push_str(sgr::RESET);
        out.push('\n');
    }
    out
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
}
