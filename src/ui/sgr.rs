//! How styles are told to a terminal: the numbers of *select graphic rendition* (ECMA-48, 8.3.117), and the 256 colours
//! that terminals have beside it.

use ratatui::style::{Color, Modifier};

/// The attributes that a terminal is asked for, by modifier.
const ATTRIBUTES: [(Modifier, u8); 7] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::ITALIC, 3),
    (Modifier::UNDERLINED, 4),
    (Modifier::REVERSED, 7),
    (Modifier::HIDDEN, 8),
    (Modifier::CROSSED_OUT, 9),
];

/// The attributes of these modifiers.
pub fn attributes(modifier: Modifier) -> impl Iterator<Item = u8> {
    ATTRIBUTES.into_iter().filter(move |(attribute, _)| modifier.contains(*attribute)).map(|(_, number)| number)
}

/// A colour's place among the 256; `None` for one that has none there.
#[must_use]
pub fn index(colour: Color) -> Option<u8> {
    Some(match colour {
        Color::Indexed(index) => index,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Reset | Color::Rgb(..) => return None,
    })
}
