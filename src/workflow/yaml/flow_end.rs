//! Accepts closing brackets and braces in the column of their key or dash.
//!
//! YAML 1.2 requires every line of a flow collection to be indented more than the block around it. GitHub's parsers
//! accept one exception, which many workflows use: the last bracket may be in the column of its key or dash.
//!
//! ```yaml
//! os: [
//!   linux
//! ]
//! ```
//!
//! The parser is strict, so such a bracket is moved one column to the right before the text is parsed.

use granit_parser::{Event, Options, Parser, StructureStyle};

/// A text with closing brackets moved one column to the right.
pub(super) struct Shifted {
    pub(super) text: String,
    /// Byte offsets in `text` of the added spaces, in order.
    pub(super) spaces: Vec<usize>,
}

/// Moves every closing bracket of an outermost flow collection that is in the column of its key or dash. `None` if the
/// text has no such bracket.
pub(super) fn shift(body: &str, mut options: Options) -> Option<Shifted> {
    options.strict_indentation = false;
    let brackets = find(body, options);
    let mut text = String::with_capacity(body.len() + brackets.len());
    let mut copied = 0;
    for bracket in &brackets {
        text.push_str(&body[copied..*bracket]);
        text.push(' ');
        copied = *bracket;
    }
    text.push_str(&body[copied..]);
    let spaces: Vec<_> = brackets.iter().enumerate().map(|(before, bracket)| bracket + before).collect();
    (!spaces.is_empty()).then_some(Shifted { text, spaces })
}

/// Finds the brackets with a parser that does not check the indentation of flow collections. Its first error ends the
/// search, because the strict parser reports that error.
fn find(body: &str, options: Options) -> Vec<usize> {
    let mut found = Vec::new();
    // Columns of the open block collections.
    let mut blocks: Vec<usize> = Vec::new();
    let mut flows = 0;
    for (event, span) in Parser::new_from_str_with_options(body, options).map_while(Result::ok) {
        match event {
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                if flows > 0 || style == StructureStyle::Flow {
                    flows += 1;
                } else {
                    blocks.push(span.start.col());
                }
            }
            Event::SequenceEnd | Event::MappingEnd if flows == 0 => {
                blocks.pop();
            }
            Event::SequenceEnd | Event::MappingEnd => {
                flows -= 1;
                let Some(byte) = span.start.byte_offset().filter(|_| flows == 0) else { continue };
                let line = &body[body[..byte].rfind('\n').map_or(0, |at| at + 1)..byte];
                if line.bytes().all(|byte| byte == b' ') && blocks.last() == Some(&line.len()) {
                    found.push(byte);
                }
            }
            _ => {}
        }
    }
    found
}
