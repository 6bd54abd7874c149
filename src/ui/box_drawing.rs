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

/// Returns the directions in which the lines of a character continue; `None` if it is not a character of
/// [`joint`] in Unicode, or half a line.
#[must_use]
pub fn directions(character: &str) -> Option<u8> {
    Some(match character {
        "─" => LEFT | RIGHT,
        "│" => UP | DOWN,
        "┌" => DOWN | RIGHT,
        "┐" => DOWN | LEFT,
        "└" => UP | RIGHT,
        "┘" => UP | LEFT,
        "├" => UP | DOWN | RIGHT,
        "┤" => UP | DOWN | LEFT,
        "┬" => DOWN | LEFT | RIGHT,
        "┴" => UP | LEFT | RIGHT,
        "┼" => UP | DOWN | LEFT | RIGHT,
        "╴" => LEFT,
        "╶" => RIGHT,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_joint_are_known_from_its_character() {
        let straight = [LEFT | RIGHT, UP | DOWN];
        let corners = [DOWN | RIGHT, DOWN | LEFT, UP | RIGHT, UP | LEFT];
        let joints = [UP | DOWN | RIGHT, UP | DOWN | LEFT, DOWN | LEFT | RIGHT, UP | LEFT | RIGHT, 15];
        for all in straight.into_iter().chain(corners).chain(joints) {
            assert_eq!(directions(joint(all, Glyphs::Unicode)), Some(all));
        }
        assert_eq!((directions("╴"), directions("╶"), directions("x")), (Some(LEFT), Some(RIGHT), None));
    }
}
