//! The caret: the cell at which text is typed. The terminal's own cursor is put there, because magnifiers, braille
//! displays and the windows of input methods follow it.
//!
//! The caret is marked by the underline colour of its cell, as links are. No link has this colour.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Style};

const MARK: Color = Color::Indexed(0);

/// Returns a style that marks its cell as the caret.
#[must_use]
pub fn marked(style: Style) -> Style {
    style.underline_color(MARK)
}

/// Returns the column and row of the caret; `None` if no text can be typed.
#[must_use]
pub fn find(buffer: &Buffer) -> Option<(u16, u16)> {
    let at = buffer.content.iter().position(|cell| cell.underline_color == MARK)?;
    Some(buffer.pos_of(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    #[test]
    fn a_marked_cell_is_found() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 3));
        assert_eq!(find(&buffer), None);
        buffer.set_string(5, 1, "語", marked(Style::new()));
        assert_eq!(find(&buffer), Some((5, 1)));
    }
}
