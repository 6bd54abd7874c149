//! Reads a line of terminal output into spans of harmless text with a style. All printers of logs and the screen use
//! it.

use ratatui::style::{Color, Style};
use vte::{Params, Perform};

use super::link::Link;
use super::sgr;
use super::theme::Colours;
use crate::visible::row;
use crate::visible::row::Row;

/// Parses terminal output, keeping text, colours and links.
pub(super) struct LogReader {
    row: Row<Style>,
    style: Style,
    /// Style of text to which the output gives no colour.
    base: Style,
    links: Vec<Link>,
    /// Mark of the current link; `None` outside of links.
    link: Option<Color>,
    colours: Colours,
}

impl LogReader {
    pub(super) fn new(base: Style, colours: Colours) -> Self {
        Self { row: Row::default(), style: base, base, links: Vec::new(), link: None, colours }
    }

    /// Returns the spans of a line.
    pub(super) fn spans(line: &[u8], colours: Colours) -> Vec<(String, Style)> {
        let mut reader = Self::new(Style::new(), colours);
        reader.read(line);
        reader.finish().0
    }

    /// Puts a label in front of the line.
    pub(super) fn label(&mut self, label: &str) {
        label.chars().for_each(|c| self.print(c));
        self.row.end_label();
    }

    /// Reads a line.
    pub(super) fn read(&mut self, line: &[u8]) {
        row::parse(line, self);
    }

    /// Returns the spans that were read, and the links in them.
    pub(super) fn finish(self) -> (Vec<(String, Style)>, Vec<Link>) {
        (self.row.into_spans(), self.links)
    }

    fn current(&self) -> Style {
        Style { underline_color: self.link, ..self.style }
    }
}

impl Perform for LogReader {
    fn print(&mut self, c: char) {
        self.row.print(c, self.current());
    }

    fn execute(&mut self, byte: u8) {
        self.row.control(byte, self.current());
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _bell_terminated: bool) {
        // `8 ; parameters ; address`; the address may contain semicolons. An empty address ends the link.
        if let [b"8", _, address @ ..] = params {
            let link = String::from_utf8(address.join(&b';')).ok().and_then(|address| Link::new(&address));
            self.link = link.as_ref().map(|link| link.mark);
            self.links.extend(link);
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        match (action, intermediates) {
            ('m', []) => self.style = sgr::apply(params, self.style, self.base, self.colours),
            (_, []) => self.row.sequence(params, action),
            _ => {}
        }
    }
}
