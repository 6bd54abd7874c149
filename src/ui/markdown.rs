//! Markdown as rows of styled text, for job summaries.
//!
//! Headings, lists, quotes, code, tables and links are drawn. HTML is left out, except for line breaks; the text
//! between its tags stays.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use ratatui::style::{Modifier, Style};

use super::text;
use super::theme::{Hue, Theme};

/// Maximum number of rows. The rest is left out, and the last row states that.
const MAX_ROWS: usize = 20_000;

/// Number of columns between the columns of a table.
const GAP: usize = 2;

/// Minimum width of a column of a table that is too wide.
const MIN_COLUMN: usize = 6;

/// A row: texts with their styles, from left to right.
pub type Row = Vec<(String, Style)>;

/// Returns the rows of a text in Markdown, each at most `columns` wide.
#[must_use]
pub fn rows(markdown: &str, columns: usize, theme: Theme) -> Vec<Row> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut page = Page {
        columns: columns.max(1),
        theme,
        rows: Vec::new(),
        line: Vec::new(),
        style: vec![Style::new()],
        margins: Vec::new(),
        lists: Vec::new(),
        links: Vec::new(),
        is_code: false,
        table: None,
    };
    for event in Parser::new_ext(markdown, options) {
        if page.rows.len() >= MAX_ROWS {
            page.rows.truncate(MAX_ROWS - 1);
            page.rows
                .push(vec![(theme.pick("… the rest is not shown", "the rest is not shown").to_owned(), page.dim())]);
            return page.rows;
        }
        page.add(event);
    }
    page.end_line();
    while page.rows.last().is_some_and(Vec::is_empty) {
        page.rows.pop();
    }
    page.rows
}

/// A page that is being written.
struct Page {
    columns: usize,
    theme: Theme,
    rows: Vec<Row>,
    /// Text of the current block that is not wrapped yet.
    line: Vec<(String, Style)>,
    /// The styles around the current text, the innermost last.
    style: Vec<Style>,
    /// The margins of the blocks around the current text, each for its first row and for further ones.
    margins: Vec<Margin>,
    /// The number of the next item of each open list; `None` for a list without numbers.
    lists: Vec<Option<u64>>,
    /// Targets of the open links.
    links: Vec<String>,
    is_code: bool,
    table: Option<Table>,
}

struct Margin {
    first: String,
    rest: String,
    is_used: bool,
}

struct Table {
    alignments: Vec<Alignment>,
    /// Rows of cells. The first one is the heading.
    rows: Vec<Vec<String>>,
}

impl Page {
    fn dim(&self) -> Style {
        self.theme.style(Hue::Dim)
    }

    fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(found) if self.is_code => {
                for line in found.lines() {
                    self.push_row(vec![(format!("  {}", line.replace('\t', "    ")), self.dim())]);
                }
            }
            Event::Text(found) => self.write(&found, Style::new()),
            Event::Code(found) | Event::InlineMath(found) | Event::DisplayMath(found) => {
                self.write(&found, self.theme.style(Hue::Accent));
            }
            Event::SoftBreak => self.write(" ", Style::new()),
            Event::HardBreak => self.break_line(),
            Event::InlineHtml(html) | Event::Html(html) => {
                let is_break = |tag: &str| html.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
                if is_break("<br") || is_break("</tr") || is_break("</p") || is_break("</summary") {
                    self.break_line();
                }
                self.write(&without_tags(&html), Style::new());
            }
            Event::FootnoteReference(name) => self.write(&format!("[{name}]"), Style::new()),
            Event::TaskListMarker(done) => self.write(if done { "[x] " } else { "[ ] " }, Style::new()),
            Event::Rule => {
                let line = self.theme.pick("─", "-").repeat(self.columns);
                self.push_row(vec![(line, self.dim())]);
                self.space();
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.space();
                self.style.push(self.theme.heading());
            }
            Tag::Emphasis => self.style.push(Style::new().add_modifier(Modifier::ITALIC)),
            Tag::Strong => self.style.push(Style::new().add_modifier(Modifier::BOLD)),
            Tag::Strikethrough => self.style.push(Style::new().add_modifier(Modifier::CROSSED_OUT)),
            Tag::Link { dest_url, .. } => {
                self.links.push(dest_url.into_string());
                self.style.push(Style::new().add_modifier(Modifier::UNDERLINED));
            }
            Tag::Image { .. } => self.write("image: ", self.dim()),
            Tag::BlockQuote(_) => {
                let margin = self.theme.pick("│ ", "| ");
                self.margin(margin, margin);
            }
            Tag::CodeBlock(kind) => {
                self.end_line();
                self.is_code = true;
                if let CodeBlockKind::Fenced(language) = kind
                    && !language.is_empty()
                {
                    self.push_row(vec![(language.into_string(), self.dim())]);
                }
            }
            Tag::List(first) => {
                self.end_line();
                self.lists.push(first);
            }
            Tag::Item => {
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => self.theme.pick("• ", "* ").to_owned(),
                };
                let rest = " ".repeat(text::width(&mark));
                self.margin(&mark, &rest);
            }
            Tag::Table(alignments) => self.table = Some(Table { alignments, rows: Vec::new() }),
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.end_line();
                self.style.pop();
                self.space();
            }
            TagEnd::Paragraph => {
                self.end_line();
                self.space();
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => drop(self.style.pop()),
            TagEnd::Link => {
                self.style.pop();
                let target = self.links.pop().unwrap_or_default();
                let shown: String = self.line.iter().map(|(text, _)| text.as_str()).collect();
                if !target.is_empty() && !shown.ends_with(&target) {
                    self.write(&format!(" <{target}>"), self.dim());
                }
            }
            TagEnd::BlockQuote(_) | TagEnd::Item => {
                self.end_line();
                self.margins.pop();
            }
            TagEnd::CodeBlock => {
                self.is_code = false;
                self.space();
            }
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.space();
                }
            }
            TagEnd::HtmlBlock => self.end_line(),
            TagEnd::TableCell => {
                let cell: String = self.line.drain(..).map(|(text, _)| text).collect();
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(cell.split_whitespace().collect::<Vec<_>>().join(" "));
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.draw_table(&table);
                    self.space();
                }
            }
            _ => {}
        }
    }

    /// Adds text to the current block.
    fn write(&mut self, found: &str, style: Style) {
        let style = self.style.iter().fold(Style::new(), |all, one| all.patch(*one)).patch(style);
        self.line.push((found.to_owned(), style));
    }

    /// Continues the current block on a new row.
    fn break_line(&mut self) {
        if self.table.is_some() {
            self.write(" ", Style::new());
        } else {
            self.end_line();
        }
    }

    fn margin(&mut self, first: &str, rest: &str) {
        self.end_line();
        self.margins.push(Margin { first: first.to_owned(), rest: rest.to_owned(), is_used: false });
    }

    /// Adds an empty row, unless the last row is empty.
    fn space(&mut self) {
        if self.rows.last().is_some_and(|row| !row.is_empty()) {
            self.rows.push(Vec::new());
        }
    }

    /// Adds a row behind the margins, cut at the last column.
    fn push_row(&mut self, row: Row) {
        let dim = self.dim();
        let margin = |margin: &mut Margin| {
            let text = if std::mem::replace(&mut margin.is_used, true) { &margin.rest } else { &margin.first };
            (text.clone(), dim)
        };
        let margins: Row = self.margins.iter_mut().map(margin).collect();
        let (mut whole, mut room) = (Row::new(), self.columns);
        for (found, style) in margins.into_iter().chain(row) {
            let shown = text::clip(&found, room, self.theme.ellipsis()).into_owned();
            room -= text::width(&shown).min(room);
            whole.push((shown, style));
        }
        self.rows.push(whole);
    }

    /// Wraps the text of the current block into rows.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.iter().all(|(text, _)| text.trim().is_empty()) {
            return;
        }
        let taken: usize = self.margins.iter().map(|margin| text::width(&margin.rest)).sum();
        let columns = self.columns.saturating_sub(taken).max(1);
        let (mut row, mut used, mut is_spaced): (Row, usize, bool) = (Vec::new(), 0, false);
        for (found, style) in line {
            for word in found.split_inclusive(char::is_whitespace) {
                let bare = word.trim_end();
                for part in text::wrap(bare, columns) {
                    let width = text::width(&part);
                    let space = usize::from(is_spaced && used > 0);
                    if used > 0 && used + space + width > columns {
                        self.push_row(std::mem::take(&mut row));
                        used = 0;
                    } else if space > 0 {
                        row.push((" ".to_owned(), Style::new()));
                        used += 1;
                    }
                    used += width;
                    is_spaced = false;
                    row.push((part, style));
                }
                is_spaced |= bare.len() < word.len();
            }
        }
        if !row.is_empty() {
            self.push_row(row);
        }
    }

    fn draw_table(&mut self, table: &Table) {
        let count = table.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths: Vec<usize> = (0..count)
            .map(|at| table.rows.iter().filter_map(|row| row.get(at)).map(|cell| text::width(cell)).max().unwrap_or(0))
            .collect();
        let room = self.columns.saturating_sub(GAP * count.saturating_sub(1));
        // The widest columns give way first.
        while widths.iter().sum::<usize>() > room {
            let Some(widest) = widths.iter_mut().max().filter(|width| **width > MIN_COLUMN) else { break };
            *widest -= 1;
        }
        for (at, cells) in table.rows.iter().enumerate() {
            let style = if at == 0 { self.theme.heading() } else { Style::new() };
            let mut row: Row = Vec::new();
            for (place, width) in widths.iter().enumerate() {
                let cell = cells.get(place).map_or("", String::as_str);
                let shown = text::clip(cell, *width, self.theme.ellipsis()).into_owned();
                let rest = width - text::width(&shown).min(*width);
                let left = match table.alignments.get(place) {
                    Some(Alignment::Right) => rest,
                    Some(Alignment::Center) => rest / 2,
                    _ => 0,
                };
                let gap = if place + 1 < count { GAP } else { 0 };
                row.push((" ".repeat(left), Style::new()));
                row.push((shown, style));
                row.push((" ".repeat(rest - left + gap), Style::new()));
            }
            self.push_row(row);
            if at == 0 {
                let sign = self.theme.pick("─", "-");
                let lines: Vec<String> = widths.iter().map(|width| sign.repeat(*width)).collect();
                self.push_row(vec![(lines.join(&" ".repeat(GAP)), self.dim())]);
            }
        }
    }
}

/// Returns the text between the tags of HTML. Comments are left out.
fn without_tags(html: &str) -> String {
    let (mut text, mut rest) = (String::new(), html);
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("<!--") { "-->" } else { ">" };
        rest = rest[at..].find(end).map_or("", |found| &rest[at + found + end.len()..]);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::{Colours, Glyphs};

    fn shown(markdown: &str, columns: usize) -> String {
        let theme = Theme { glyphs: Glyphs::Unicode, colours: Colours::None, motion: false, ..Theme::default() };
        let text = |row: Row| row.into_iter().map(|(text, _)| text).collect::<String>().trim_end().to_owned();
        let rows: Vec<String> = rows(markdown, columns, theme).into_iter().map(text).collect();
        assert!(rows.iter().all(|row| text::width(row) <= columns), "{rows:?}");
        rows.join("\n")
    }

    #[test]
    fn blocks_of_every_kind_are_drawn() {
        let markdown = "# Coverage **now**\nSome *words* in a paragraph that is wrapped, with `code`.\n\n- one\n- two of \
                        three words here\n  1. inner\n- [x] done\n\n> quoted\n> text\n\n```sh\nmake all\n```\n\n\
                        See [the page](https://example.com/x) and <https://example.com>.<br>Next\n\n---\n\
                        | File | Lines |\n|:--|--:|\n| a.rs | 7 |\n| `b.rs` | 120 |\n\n\
                        <details><summary>More</summary>\n\nhidden <b>text</b>\n\n</details>\n";
        insta::assert_snapshot!(shown(markdown, 40));
    }

    #[test]
    fn a_table_that_is_too_wide_is_cut_and_hostile_text_stays_in_its_columns() {
        let wide = "| A | B |\n|--|--|\n| ".to_owned() + &"x".repeat(90) + " | short |\n";
        assert_eq!(shown(&wide, 30).lines().last().map(text::width), Some(30));
        let deep = "> ".repeat(200) + "deep\n\n" + &"- ".repeat(50) + "nested\n" + &"[".repeat(500) + "\n<!-- a -->b";
        shown(&deep, 10);
        let long = "word\n\n".repeat(MAX_ROWS);
        assert!(shown(&long, 40).ends_with("… the rest is not shown"));
        assert_eq!(shown("", 40), "");
    }
}
