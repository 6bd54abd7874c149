//! A screen as an SVG.
//!
//! Lines and blocks are drawn as shapes, because the characters of most fonts do not fill their cells: borders would be
//! dashed.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::{Run, rows};
use crate::ui::box_drawing::{DOWN, LEFT, RIGHT, UP, directions};
use crate::ui::sgr;
use crate::ui::text::width;

/// Width and height of a cell in pixels at the natural size of the picture.
const CELL: (f32, f32) = (8.4, 18.0);

/// Size of the letters in pixels.
const LETTERS: f32 = 14.0;

/// Position of the base line of the letters, as a part of the height of a cell.
const BASE: f32 = 0.74;

/// Colours: background, text, and the sixteen terminal colours.
const PAPER: &str = "#16181d";
const INK: &str = "#d4d7dd";
const SIXTEEN: [&str; 16] = [
    "#2b2e36", "#e5616b", "#7fb86a", "#d9a657", "#6a9fe0", "#b98ad6", "#55b5c1", "#c9ccd3", "#6b7180", "#f07882",
    "#98cf83", "#eabf72", "#86b5ee", "#cda2e6", "#70cad5", "#ffffff",
];

/// Opacity of dimmed text and lines.
const DIMMED: f32 = 0.6;

/// Returns a screen as a self-contained SVG, without external fonts, scripts or style sheets.
pub(super) fn picture(buffer: &Buffer) -> String {
    let (width, height) = (f32::from(buffer.area.width) * CELL.0, f32::from(buffer.area.height) * CELL.1);
    let mut shapes = Shapes::default();
    shapes.add(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"{LETTERS}\">"
    ));
    shapes.add(format_args!("<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{PAPER}\"/>"));
    for (row, runs) in rows(buffer).enumerate() {
        for run in runs {
            shapes.run(row, &run);
        }
    }
    shapes.lines();
    shapes.add(format_args!("</svg>"));
    shapes.out
}

/// A colour with its opacity, as attributes of an element.
type Paint = String;

/// The elements of a picture.
#[derive(Default)]
struct Shapes {
    out: String,
    /// Lines by their colour: for each row, the columns of horizontal lines, and for each column, the rows of vertical
    /// ones, as their first and last half of a cell.
    lines: BTreeMap<Paint, Vec<Line>>,
    /// Positions in `lines` of the vertical lines that reach the lower end of the row before, by colour and column.
    open: HashMap<(Paint, usize), usize>,
}

/// A line from one half of a cell to another. Cells have two halves in each direction, so the centre of cell 3 is 7.
struct Line {
    is_vertical: bool,
    /// Row of a horizontal line, and column of a vertical one.
    at: usize,
    from: usize,
    to: usize,
}

impl Shapes {
    fn add(&mut self, element: std::fmt::Arguments) {
        writeln!(self.out, "{element}").expect("writing to a string cannot fail");
    }

    /// Adds cells of one style: their background, their lines and blocks, and their text.
    fn run(&mut self, row: usize, run: &Run) {
        let (foreground, background) = colours(run.cell);
        let top = row as f32 * CELL.1;
        if let Some(background) = background {
            let (x, columns, rows) = (run.column as f32 * CELL.0, run.columns as f32 * CELL.0, CELL.1);
            self.add(format_args!(
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{columns:.1}\" height=\"{rows}\" fill=\"{background}\"/>"
            ));
        }
        let opacity =
            if run.cell.modifier.contains(Modifier::DIM) { format!(" opacity=\"{DIMMED}\"") } else { String::new() };
        let mut text = String::new();
        let mut column = run.column;
        for symbol in &run.symbols {
            if let Some(directions) = directions(symbol) {
                self.line(row, column, directions, &format!("stroke=\"{foreground}\"{opacity}"));
                text.push(' ');
            } else if let Some(corners) = shape(symbol) {
                let corners = corners.iter().map(|(x, y)| {
                    let (x, y) = ((column as f32 + x) * CELL.0, (row as f32 + y) * CELL.1);
                    format!("{x:.1},{y:.1}")
                });
                let corners = corners.collect::<Vec<_>>().join(" ");
                self.add(format_args!("<polygon points=\"{corners}\" fill=\"{foreground}\"{opacity}/>"));
                text.push(' ');
            } else {
                text.push_str(symbol);
            }
            column += width(symbol).max(1);
        }
        let bold = if run.cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
        let texts = parts(&text).into_iter().map(|(before, part)| {
            let (x, y) = ((run.column + before) as f32 * CELL.0, top + CELL.1 * BASE);
            // `textLength` fixes the width to the columns, whatever font is used.
            let (length, part) = (width(part) as f32 * CELL.0, escaped(part));
            format!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{foreground}\"{bold}{opacity} textLength=\"{length:.1}\" \
                 lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">{part}</text>"
            )
        });
        // Blanks in a name add no line.
        let texts: String = texts.collect();
        if !texts.is_empty() {
            self.add(format_args!("{texts}"));
        }
    }

    /// Adds the lines of a cell, joined with those of the cells to its left and above. Cells must be added row by row.
    fn line(&mut self, row: usize, column: usize, directions: u8, paint: &str) {
        let lines = self.lines.entry(paint.to_owned()).or_default();
        let (left, up) = (2 * column, 2 * row);
        if directions & (LEFT | RIGHT) != 0 {
            let from = if directions & LEFT == 0 { left + 1 } else { left };
            let to = if directions & RIGHT == 0 { left + 1 } else { left + 2 };
            match lines.iter_mut().rev().find(|line| !line.is_vertical) {
                Some(line) if line.at == row && line.to == from => line.to = to,
                _ => lines.push(Line { is_vertical: false, at: row, from, to }),
            }
        }
        if directions & (UP | DOWN) != 0 {
            let from = if directions & UP == 0 { up + 1 } else { up };
            let to = if directions & DOWN == 0 { up + 1 } else { up + 2 };
            let open = self.open.entry((paint.to_owned(), column)).or_insert(usize::MAX);
            match lines.get_mut(*open) {
                Some(line) if line.to == from => line.to = to,
                _ => {
                    *open = lines.len();
                    lines.push(Line { is_vertical: true, at: column, from, to });
                }
            }
        }
    }

    /// Adds one element for all lines of each colour.
    fn lines(&mut self) {
        for (paint, lines) in std::mem::take(&mut self.lines) {
            let mut path = String::new();
            for Line { is_vertical, at, from, to } in lines {
                let along = if is_vertical { CELL.1 } else { CELL.0 };
                let (from, to) = (from as f32 / 2.0 * along, to as f32 / 2.0 * along);
                let written = if is_vertical {
                    let x = (at as f32 + 0.5) * CELL.0;
                    write!(path, "M{x:.1} {from:.1}V{to:.1}")
                } else {
                    let y = (at as f32 + 0.5) * CELL.1;
                    write!(path, "M{from:.1} {y:.1}H{to:.1}")
                };
                written.expect("writing to a string cannot fail");
            }
            self.add(format_args!("<path {paint} stroke-linecap=\"square\" fill=\"none\" d=\"{path}\"/>"));
        }
    }
}

/// Returns the colours of a cell in SVG notation: of its text, and of its background, if it is not that of the terminal.
fn colours(cell: &Cell) -> (String, Option<String>) {
    let (text, background) = (colour(cell.fg), colour(cell.bg));
    let or = |colour: Option<String>, other: &str| colour.unwrap_or_else(|| other.to_owned());
    if cell.modifier.contains(Modifier::REVERSED) {
        (or(background, PAPER), Some(or(text, INK)))
    } else {
        (or(text, INK), background)
    }
}

/// Returns the corners of the shape of a block character or an arrow head, from 0 to 1 in a cell. `None` for other
/// characters.
fn shape(character: &str) -> Option<Vec<(f32, f32)>> {
    let mut characters = character.chars();
    let code = u32::from(characters.next().filter(|_| characters.as_str().is_empty())?);
    let block = |up: f32, right: f32| vec![(0.0, up), (right, up), (right, 1.0), (0.0, 1.0)];
    Some(match code {
        // From one eighth at the lower end to a full block.
        0x2581..=0x2588 => block(1.0 - (code - 0x2580) as f32 / 8.0, 1.0),
        // The left half.
        0x258c => block(0.0, 0.5),
        // The head of an arrow to the right.
        0x25b6 => vec![(0.0, 0.3), (1.0, 0.5), (0.0, 0.7)],
        _ => return None,
    })
}

/// Returns the parts of a text between two or more blanks, with the columns before each.
fn parts(text: &str) -> Vec<(usize, &str)> {
    const GAP: &str = "  ";
    let mut start = 0;
    let mut parts = Vec::new();
    for part in text.split(GAP) {
        let shown = part.trim_start();
        if !shown.is_empty() {
            parts.push((width(&text[..start + part.len() - shown.len()]), shown.trim_end()));
        }
        start += part.len() + GAP.len();
    }
    parts
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
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn text_is_escaped_and_reversed_cells_are_filled() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(0, 0, "a <b> & 日本", Style::new().fg(Color::Red));
        buffer.set_string(0, 1, "sel", Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD));
        let drawn = picture(&buffer);
        assert!(drawn.contains("a &lt;b&gt; &amp; 日本</text>") && !drawn.contains("<b>"), "{drawn}");
        assert!(drawn.contains(&format!("fill=\"{INK}\"/>")) && drawn.contains("font-weight=\"bold\""));
        assert_eq!(
            (colour(Color::Indexed(196)).as_deref(), colour(Color::Indexed(255)).as_deref()),
            (Some("#ff0000"), Some("#eeeeee"))
        );
    }

    #[test]
    fn words_far_apart_are_placed_separately() {
        assert_eq!(parts("  a b   日本  c "), [(2, "a b"), (8, "日本"), (14, "c")]);
        assert_eq!(parts("   "), []);
    }

    #[test]
    fn lines_and_blocks_are_shapes() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 3));
        for (row, text) in ["┌─x─┐", "│▌█▂│", "└───┘"].iter().enumerate() {
            buffer.set_string(0, row as u16, text, Style::new());
        }
        let drawn = picture(&buffer);
        // The upper border is interrupted by a letter, and each other border is one line.
        let border = "M4.2 9.0H16.8M4.2 9.0V45.0M25.2 9.0H37.8M37.8 9.0V45.0M4.2 45.0H37.8";
        assert!(drawn.contains(&format!("d=\"{border}\"")), "{drawn}");
        for block in [
            "8.4,18.0 12.6,18.0 12.6,36.0 8.4,36.0",
            "16.8,18.0 25.2,18.0 25.2,36.0 16.8,36.0",
            "25.2,31.5 33.6,31.5 33.6,36.0 25.2,36.0",
        ] {
            assert!(drawn.contains(&format!("points=\"{block}\"")), "{block} is not in {drawn}");
        }
        let texts: Vec<_> = drawn.lines().filter(|line| line.starts_with("<text")).collect();
        assert!(matches!(texts[..], [text] if text.contains(">x</text>") && text.contains("x=\"16.8\"")), "{drawn}");
    }
}
