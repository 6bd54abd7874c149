//! Box-drawing characters: borders of panes and edges of the graph.

use super::theme::Glyphs;

/// Bit for a line that continues upwards.
pub const UP: u8 = 1;
/// Bit for a line that continues downwards.
pub const DOWN: u8 = 2;
/// Bit for a line that continues to the left.
pub const LEFT: u8 = 4;
/// Bit for a line that continues to the right.
pub const RIGHT: u8 = 8;

/// Returns the character of a cell whose lines continue in these directions.
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
