//! *Select graphic rendition* (ECMA-48, 8.3.117, with the 256 and direct colours of ISO 8613-6): writes styles to a
//! terminal, and parses them from terminal output.

use std::fmt::Write;

use ratatui::style::{Color, Modifier, Style};
use vte::Params;

use super::theme::Colours;

/// Sequence that resets all attributes.
pub const RESET: &str = "\x1b[0m";

/// SGR codes of modifiers.
const ATTRIBUTES: [(Modifier, u8); 7] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::ITALIC, 3),
    (Modifier::UNDERLINED, 4),
    (Modifier::REVERSED, 7),
    (Modifier::HIDDEN, 8),
    (Modifier::CROSSED_OUT, 9),
];

/// Returns the sequence that selects a style, independent of the current one.
#[must_use]
pub fn sequence(style: Style) -> String {
    let colours = (style.fg.unwrap_or_default(), style.bg.unwrap_or_default());
    format!("\x1b[0{}m", parameters(colours.0, colours.1, style.add_modifier))
}

/// Returns the parameters of a style, each preceded by `;`. The caller writes the reset in front of them: `0`, or
/// nothing.
#[must_use]
pub fn parameters(fg: Color, bg: Color, modifier: Modifier) -> String {
    let mut text = String::new();
    let mut add = |code: std::fmt::Arguments| text.write_fmt(code).expect("writing to a string cannot fail");
    for (_, attribute) in ATTRIBUTES.iter().filter(|(attribute, _)| modifier.contains(*attribute)) {
        add(format_args!(";{attribute}"));
    }
    for (colour, base) in [(fg, 30_u8), (bg, 40)] {
        match (colour, index(colour)) {
            (Color::Rgb(red, green, blue), _) => add(format_args!(";{};2;{red};{green};{blue}", base + 8)),
            (_, Some(index @ 0..8)) => add(format_args!(";{}", base + index)),
            (_, Some(index @ 8..16)) => add(format_args!(";{}", base + 52 + index)),
            (_, Some(index)) => add(format_args!(";{};5;{index}", base + 8)),
            (_, None) => {}
        }
    }
    text
}

/// Returns the index of a colour among the 256; `None` for the default and for direct colours.
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

/// Applies a sequence with these parameters to a style. `base` is the style after a reset. Attributes that hide text or
/// make it blink are ignored, and so are colours if `colours` is [`Colours::None`].
#[must_use]
pub fn apply(params: &Params, style: Style, base: Style, colours: Colours) -> Style {
    let mut style = style;
    let mut params = params.iter();
    while let Some(param) = params.next() {
        let code = param.first().copied().unwrap_or_default();
        style = match code {
            0 => base,
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            9 => style.add_modifier(Modifier::CROSSED_OUT),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            23 => style.remove_modifier(Modifier::ITALIC),
            24 => style.remove_modifier(Modifier::UNDERLINED),
            27 => style.remove_modifier(Modifier::REVERSED),
            29 => style.remove_modifier(Modifier::CROSSED_OUT),
            38 | 48 => {
                let colour = if param.len() > 1 {
                    direct(param[1..].iter().copied())
                } else {
                    direct(params.by_ref().map(|param| param.first().copied().unwrap_or_default()))
                };
                match colour.filter(|_| colours != Colours::None) {
                    Some(colour) if code == 38 => style.fg(colour),
                    Some(colour) => style.bg(colour),
                    None => style,
                }
            }
            _ if colours == Colours::None => style,
            30..=37 => style.fg(Color::Indexed(code as u8 - 30)),
            39 => Style { fg: base.fg, ..style },
            40..=47 => style.bg(Color::Indexed(code as u8 - 40)),
            49 => Style { bg: base.bg, ..style },
            90..=97 => style.fg(Color::Indexed(code as u8 - 82)),
            100..=107 => style.bg(Color::Indexed(code as u8 - 92)),
            _ => style,
        };
    }
    style
}

/// Parses an index of the 256 colours, or red, green and blue. Consumes only their parameters.
fn direct(mut params: impl Iterator<Item = u16>) -> Option<Color> {
    match params.next()? {
        5 => Some(Color::Indexed(u8::try_from(params.next()?).ok()?)),
        2 => {
            let numbers: Vec<u16> = params.take(3).collect();
            let [red, green, blue] = numbers[..] else { return None };
            Some(Color::Rgb(u8::try_from(red).ok()?, u8::try_from(green).ok()?, u8::try_from(blue).ok()?))
        }
        _ => None,
    }
}
