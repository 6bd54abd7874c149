//! Lines from cell to cell: the borders of panes and the needs of jobs.

use super::theme::Glyphs;

/// Where the line of a cell goes on, each a bit of its directions.
pub const UP: u8 = 1;
/// As [`UP`].
pub const DOWN: u8 = 2;
/// As [`UP`].
pub const LEFT: u8 = 4;
/// As [`UP`].
pub const RIGHT: u8 = 8;

/// The glyph of a cell whose line goes on in these directions.
#[must_use]
pub fn joint(directions: u8, glyphs: Glyphs) -> &'static str {
    let horizontal = directions & (UP | DOWN) == 0;
    let vertical = directions & (LEFT | RIGHT) == 0;
    match glyphs {
        Glyphs::Ascii if horizontal => "-",
        Glyphs::Ascii if vertical => "|",
        Glyphs::Ascii => "+",
        Glyphs::Unicode => match directions {
            _ if horizontal => "─",
            _ if vertical => "│",
            d if d == DOWN | RIGHT => "┌",
            d if d == DOWN | LEFT => "┐",
            d if d == UP | RIGHT => "└",
            d if d == UP | LEFT => "┘",
            d if d == UP | DOWN | RIGHT => "├",
            d if d == UP | DOWN | LEFT => "┤",
            d if d == DOWN | LEFT | RIGHT => "┬",
            d if d == UP | LEFT | RIGHT => "┴",
            _ => "┼",
        },
    }
}
