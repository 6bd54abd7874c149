//! Builds a tree from the events of the parser, with anchors, limits and positions.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StructureStyle, Tag};

use super::flow_end;
use super::scalar::{resolve, resolve_tagged};
use super::{MAX_ALIASED_NODES, MAX_BYTES, MAX_DEPTH, Problem, TextStyle, YamlKind, YamlNode};
use crate::workflow::source::Span;

mod problems;

/// Maximum number of unused anchors reported. Finding the position of each takes time linear in the length of the text.
const MAX_UNUSED_ANCHORS: usize = 50;

/// A YAML document.
#[derive(Debug)]
pub struct Document<'s> {
    /// Root of the tree; a null node for an empty text.
    pub root: YamlNode<'s>,
    /// Spans of anchors without an alias, at most [`MAX_UNUSED_ANCHORS`].
    pub unused_anchors: Vec<Span>,
}

/// Parses a text that contains one YAML document.
///
/// # Errors
/// The first problem; the text after it is not read.
pub fn read(text: &str) -> Result<Document<'_>, Problem> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; the limit is {MAX_BYTES}", text.len());
        return Err(Problem { span: Span { line: 1, column: 1, ..Span::default() }, message, hint: None });
    }
    let (body, shift) = match text.strip_prefix('\u{feff}') {
        Some(body) => (body, text.len() - body.len()),
        None => (text, 0),
    };
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        strict_indentation: true,
    };
    let strict = Builder::new(body, shift, &[]).run(Parser::new_from_str_with_options(body, options.clone()));
    match strict {
        Err(Failure { kind: Some(ErrorKind::InvalidIndentation), problem }) => {
            let Some(shifted) = flow_end::shift(body, options.clone()) else { return Err(problem) };
            let parser = Parser::new_from_str_with_options(&shifted.text, options);
            let document = Builder::new(body, shift, &shifted.spaces).run(parser);
            document.map(Document::into_owned).map_err(|failure| failure.problem)
        }
        read => read.map_err(|failure| failure.problem),
    }
}

/// A problem and, if the parser found it, the parser's kind of error.
struct Failure {
    problem: Problem,
    kind: Option<ErrorKind>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, kind: None }
    }
}

impl Document<'_> {
    fn into_owned(self) -> Document<'static> {
        Document { root: self.root.into_owned(), unused_anchors: self.unused_anchors }
    }
}

/// A position in the text.
#[derive(Clone, Copy)]
struct Position {
    byte: usize,
    line: usize,
    column: usize,
}

impl Position {
    const START: Self = Self { byte: 0, line: 1, column: 1 };
}

/// An open sequence or mapping.
struct Open<'s> {
    start: Position,
    anchor: usize,
    items: Items<'s>,
    /// Number of nodes including this one, which is the cost of an alias.
    size: usize,
    /// Levels of nesting below this one.
    height: usize,
}

enum Items<'s> {
    Sequence(Vec<YamlNode<'s>>),
    Mapping(Vec<(YamlNode<'s>, YamlNode<'s>)>, Option<YamlNode<'s>>),
}

/// An anchored node.
struct Anchored<'s> {
    node: YamlNode<'s>,
    size: usize,
    height: usize,
    used: bool,
}

struct Builder<'b, 's> {
    body: &'b str,
    /// Length in bytes of the byte order mark, which is not passed to the parser.
    shift: usize,
    /// Byte offsets, in the text that the parser reads, of spaces that `body` does not have (see [`flow_end`]).
    added: &'b [usize],
    open: Vec<Open<'s>>,
    anchors: HashMap<usize, Anchored<'s>>,
    budget: usize,
    /// End of the last token. An empty scalar is right after the `:` or `-` that follows.
    last: Position,
}

impl<'b, 's> Builder<'b, 's> {
    fn new(body: &'b str, shift: usize, added: &'b [usize]) -> Self {
        Self {
            body,
            shift,
            added,
            open: Vec::new(),
            anchors: HashMap::new(),
            budget: MAX_ALIASED_NODES,
            last: Position::START,
        }
    }

    /// Returns the position in the body for a position of the parser.
    fn position(&self, mark: &Marker) -> Position {
        let (seen, line, column) = (mark.byte_offset().unwrap_or_default(), mark.line(), mark.col() + 1);
        let before = self.added.partition_point(|space| *space < seen);
        let byte = seen - before;
        let same_line =
            before.checked_sub(1).is_some_and(|last| !self.body[self.added[last] - last..byte].contains('\n'));
        Position { byte, line, column: column - usize::from(same_line) }
    }

    fn run(
        mut self,
        parser: impl Iterator<Item = Result<(Event<'s>, granit_parser::Span), ScanError>>,
    ) -> Result<Document<'s>, Failure> {
        let mut root = None;
        let mut documents = 0;
        for event in parser {
            let (event, span) = event
                .map_err(|error| Failure { problem: self.scan_problem(&error), kind: Some(error.kind().clone()) })?;
            let (start, end) = (self.position(&span.start), self.position(&span.end));
            let finished = match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let hint =
                            "a workflow or action is one document: remove `---`, or move what follows to another file";
                        return Err(self.problem(start, end, "a second YAML document starts here", Some(hint)).into());
                    }
                    self.last = end;
                    None
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let node = self.scalar(text, style, tag.as_deref(), start, end)?;
                    self.last = end;
                    Some((node, anchor, 1, 0))
                }
                Event::SequenceStart(style, anchor, tag) => {
                    self.begin(Items::Sequence(Vec::new()), "seq", style, anchor, tag.as_deref(), start, end)?;
                    None
                }
                Event::MappingStart(style, anchor, tag) => {
                    self.begin(Items::Mapping(Vec::new(), None), "map", style, anchor, tag.as_deref(), start, end)?;
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let flow = self.body.as_bytes().get(start.byte).is_some_and(|byte| matches!(byte, b']' | b'}'));
                    Some(self.finish(if flow && end.byte > start.byte { Some(end) } else { None }))
                }
                Event::Alias(id) => {
                    let (node, size, height) = self.expand(id, start, end)?;
                    self.last = end;
                    Some((node, 0, size, height))
                }
                _ => None,
            };
            if let Some((node, anchor, size, height)) = finished {
                if anchor != 0 {
                    self.anchors.insert(anchor, Anchored { node: node.clone(), size, height, used: false });
                }
                match self.open.last_mut() {
                    Some(parent) => parent.add(node, size, height),
                    None => root = Some(node),
                }
            }
        }
        let nothing = YamlNode { span: self.span(Position::START, Position::START), kind: YamlKind::Null };
        let unused = self.anchors.values().filter(|anchored| !anchored.used);
        let mut unused: Vec<_> = unused.map(|anchored| &anchored.node).collect();
        unused.sort_by_key(|node| node.span.start);
        let unused_anchors = unused.into_iter().take(MAX_UNUSED_ANCHORS).map(|node| self.anchor_of(node)).collect();
        Ok(Document { root: root.unwrap_or(nothing), unused_anchors })
    }

    fn scalar(
        &self,
        text: Cow<'s, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        start: Position,
        end: Position,
    ) -> Result<YamlNode<'s>, Problem> {
        let style = match style {
            ScalarStyle::Plain => TextStyle::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => TextStyle::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => TextStyle::Block,
        };
        let span = if start.byte == end.byte && style == TextStyle::Plain {
            let place = self.empty_scalar(start);
            self.span(place, place)
        } else if style == TextStyle::Block {
            self.span(self.find_after_last(['|', '>', '|']).unwrap_or(start), end)
        } else {
            self.span(start, end)
        };
        let kind = match tag {
            None => resolve(text, style),
            Some(tag) => match tag.core_suffix() {
                Some(suffix) => {
                    let hint = || Some("remove the tag, or write a value of its type".to_owned());
                    resolve_tagged(suffix, text, style).map_err(|error| Problem {
                        span,
                        message: error.to_string(),
                        hint: hint(),
                    })?
                }
                None if tag.suffix().is_empty() => YamlKind::Text(text, TextStyle::Quoted),
                None => return Err(self.unknown_tag(tag, start, end)),
            },
        };
        Ok(YamlNode { span, kind })
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of one parser event")]
    fn begin(
        &mut self,
        items: Items<'s>,
        tag_of_kind: &str,
        style: StructureStyle,
        anchor: usize,
        tag: Option<&Tag>,
        start: Position,
        end: Position,
    ) -> Result<(), Problem> {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema_tag(tag_of_kind)
            && !tag.suffix().is_empty()
        {
            return Err(self.unknown_tag(tag, start, end));
        }
        self.check_depth(0, start, end)?;
        self.last = match (style, &items) {
            (StructureStyle::Flow, _) => end,
            // For a sequence that is not indented below its key, the event may come only at the second `-`.
            (_, Items::Sequence(_)) => {
                self.find_after_last(['-'; 3]).filter(|first| first.byte < start.byte).unwrap_or(start)
            }
            _ => start,
        };
        self.open.push(Open { start, anchor, items, size: 1, height: 0 });
        Ok(())
    }

    /// Closes the innermost sequence or mapping. `end` is known in flow style; a block ends with its last child.
    fn finish(&mut self, end: Option<Position>) -> (YamlNode<'s>, usize, usize, usize) {
        let open = self.open.pop().expect("the parser closes only what it opened");
        let mut span = self.span(open.start, end.unwrap_or(open.start));
        if let Some(end) = end {
            self.last = end;
        }
        let (kind, last) = match open.items {
            Items::Sequence(items) => {
                let last = items.last().map_or(span.end, |item| item.span.end);
                (YamlKind::Sequence(items), last)
            }
            Items::Mapping(items, _) => {
                let last = items.last().map_or(span.end, |(key, value)| value.span.end.max(key.span.end));
                (YamlKind::Mapping(items), last)
            }
        };
        // The content of an alias is elsewhere in the file, so it does not determine the end.
        if end.is_none() {
            let here = u32::try_from(self.last.byte + self.shift).unwrap_or(u32::MAX);
            span.end = if last >= span.start && last <= here { last } else { here.max(span.start) };
        }
        (YamlNode { span, kind }, open.anchor, open.size, open.height + 1)
    }

    fn expand(&mut self, id: usize, start: Position, end: Position) -> Result<(YamlNode<'s>, usize, usize), Problem> {
        let Some(anchored) = self.anchors.get_mut(&id) else {
            return Err(self.problem(
                start,
                end,
                "alias inside its own anchor",
                Some("an anchor cannot contain itself: replace the alias with its content"),
            ));
        };
        let Some(left) = self.budget.checked_sub(anchored.size) else {
            let message = format!("the aliases of the file add more than {MAX_ALIASED_NODES} nodes");
            return Err(self.problem(start, end, &message, None));
        };
        anchored.used = true;
        let found = (anchored.node.clone(), anchored.size, anchored.height);
        self.check_depth(found.2, start, end)?;
        self.budget = left;
        Ok(found)
    }

    /// Returns the span of the `&name` of a node: before the node, or at its position if the node is empty.
    fn anchor_of(&self, node: &YamlNode<'_>) -> Span {
        let here = (node.span.start as usize).saturating_sub(self.shift);
        let (before, after) = self.body.split_at_checked(here).unwrap_or_default();
        let blank = after.len() - after.trim_start().len();
        let byte = if after[blank..].starts_with('&') { Some(here + blank) } else { before.rfind('&') };
        let Some(byte) = byte else { return node.span };
        let line_start = self.body[..byte].rfind('\n').map_or(0, |at| at + 1);
        let line = self.body[..byte].matches('\n').count() + 1;
        let place = Position { byte, line, column: self.body[line_start..byte].chars().count() + 1 };
        let length = self.body[byte..].find(char::is_whitespace).unwrap_or(self.body.len() - byte);
        self.span(place, Position { byte: byte + length, ..place })
    }

    fn check_depth(&self, more: usize, start: Position, end: Position) -> Result<(), Problem> {
        if self.open.len() + more < MAX_DEPTH {
            return Ok(());
        }
        Err(self.problem(start, end, &format!("nested deeper than {MAX_DEPTH} levels"), None))
    }

    /// Returns the position of an empty scalar: after the `:`, `-` or `?` that should precede a value.
    fn empty_scalar(&self, reported: Position) -> Position {
        self.find_after_last([':', '-', '?']).map_or(reported, |mut place| {
            place.byte += 1;
            place.column += 1;
            place
        })
    }

    /// Returns the position of the first wanted indicator after the last token, if only spaces, comments and indicators
    /// precede it.
    fn find_after_last(&self, wanted: [char; 3]) -> Option<Position> {
        let mut place = self.last;
        let mut comment = false;
        for character in self.body.get(place.byte..)?.chars() {
            match character {
                '\n' => comment = false,
                _ if comment => {}
                '#' => comment = true,
                _ if wanted.contains(&character) => return Some(place),
                ' ' | '\t' | '\r' | ':' | '-' => {}
                _ => return None,
            }
            place.byte += character.len_utf8();
            place.column += 1;
            if character == '\n' {
                place.line += 1;
                place.column = 1;
            }
        }
        None
    }

    fn span(&self, start: Position, end: Position) -> Span {
        let text = self.body.get(start.byte..end.byte).unwrap_or_default();
        let length = text.trim_end().len();
        let at = |byte: usize| u32::try_from(byte + self.shift).unwrap_or(u32::MAX);
        Span {
            start: at(start.byte),
            end: at(start.byte + length),
            line: u32::try_from(start.line).unwrap_or(u32::MAX),
            column: u32::try_from(start.column).unwrap_or(u32::MAX),
        }
    }

    fn problem(&self, start: Position, end: Position, message: &str, hint: Option<&str>) -> Problem {
        Problem { span: self.span(start, end), message: message.to_owned(), hint: hint.map(str::to_owned) }
    }

    fn unknown_tag(&self, tag: &Tag, start: Position, end: Position) -> Problem {
        let hint =
            format!("quote text that starts with `!`, or write it in `${{{{ }}}}`: `${{{{ {} }}}}`", tag.original());
        self.problem(start, end, &format!("unknown YAML tag `{}`", tag.original()), Some(&hint))
    }
}

impl<'s> Open<'s> {
    fn add(&mut self, node: YamlNode<'s>, size: usize, height: usize) {
        self.size += size;
        self.height = self.height.max(height);
        match &mut self.items {
            Items::Sequence(items) => items.push(node),
            Items::Mapping(items, key) => match key.take() {
                Some(key) => items.push((key, node)),
                None => *key = Some(node),
            },
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn read(text: &str) -> Result<YamlNode<'_>, Problem> {
        super::read(text).map(|document| document.root)
    }

    #[test]
    fn unused_anchors_are_found() {
        let unused = |text: &str| {
            let document = super::super::read(text).expect(text);
            document
                .unused_anchors
                .iter()
                .map(|span| (span.line, span.column, span.end - span.start))
                .collect::<Vec<_>>()
        };
        assert_eq!(unused("a: &x 1\nb: *x\n"), []);
        assert_eq!(unused("a: &first\n  b: c\nd: &two [1]\ne: &last\n"), [(1, 4, 6), (3, 4, 4), (4, 4, 5)]);
        assert_eq!(unused("\u{feff}a: &x 1\n"), [(1, 4, 2)]);
    }

    fn at(node: &YamlNode<'_>) -> (u32, u32) {
        (node.span.line, node.span.column)
    }

    fn entries<'n, 's>(node: &'n YamlNode<'s>) -> &'n [(YamlNode<'s>, YamlNode<'s>)] {
        match &node.kind {
            YamlKind::Mapping(entries) => entries,
            other => panic!("not a mapping: {other:?}"),
        }
    }

    #[test]
    fn every_node_has_its_span() {
        let text = "a: 1\nb:\n  - x\n  - {c: 'd', e: [f]}\ng: |\n  one\n  two\n\nh: end\n";
        let root = read(text).unwrap();
        let cut = |node: &YamlNode<'_>| text[node.span.start as usize..node.span.end as usize].to_owned();
        let top = entries(&root);
        assert_eq!(top.iter().map(|(key, _)| cut(key)).collect::<Vec<_>>(), ["a", "b", "g", "h"]);
        assert_eq!(cut(&top[1].1), "- x\n  - {c: 'd', e: [f]}");
        assert_eq!(cut(&top[2].1), "|\n  one\n  two");
        assert_eq!(at(&top[3].1), (9, 4));
        assert_eq!(cut(&root), text.trim_end());
    }

    #[test]
    fn an_empty_value_is_right_after_its_indicator() {
        let root = read("on:\njobs:\n  - # later\n  - x\n").unwrap();
        let top = entries(&root);
        assert_eq!(at(&top[0].1), (1, 4));
        let YamlKind::Sequence(items) = &top[1].1.kind else { panic!() };
        assert_eq!(at(&items[0]), (3, 4));
        assert_eq!(items[0].kind, YamlKind::Null);
    }

    #[test]
    fn a_byte_order_mark_and_crlf_are_accepted() {
        let text = "\u{feff}a: 1\r\nb: x\r\n";
        let root = read(text).unwrap();
        let value = &entries(&root)[1].1;
        assert_eq!((at(value), &text[value.span.start as usize..value.span.end as usize]), ((2, 4), "x"));
    }

    #[test]
    fn the_last_bracket_may_be_in_the_column_of_its_key_or_dash() {
        for text in [
            "a: [\n  x,\n  y\n]\nb: c\n",
            "a: {\n  k: x\n}\nb: c\n",
            "a:\n  k: [\n    x # one\n  ] # two\n  l: {\n    m: [\n      1]\n  }\nb: [\n]\n",
            "a:\n  - [\n    x,\n    {y: z}\n  ]\n  - k: [\n      1\n    ]\nb: c\n",
            "a: &x [\n  1,\n\n]\r\nb: *x\n",
            "- [\n  1\n]\n- {\n  a: b\n}\n",
        ] {
            let found = read(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
            let bracket = |line: &str| line.trim_start().starts_with([']', '}']);
            let deeper = text.split_inclusive('\n');
            let deeper: String =
                deeper.map(|line| if bracket(line) { format!(" {line}") } else { line.to_owned() }).collect();
            let loose = read(&deeper).expect(text);
            assert_eq!(kinds(&found), kinds(&loose), "{text}");
        }
        let text = "\u{feff}é: [\n  x\n]\nlast: {a: b}\nend: x\n";
        let root = read(text).expect("a document");
        let top = entries(&root);
        let cut = |node: &YamlNode<'_>| &text[node.span.start as usize..node.span.end as usize];
        assert_eq!((cut(&top[0].1), cut(&top[1].1), cut(&top[2].1)), ("[\n  x\n]", "{a: b}", "x"));
        assert_eq!((at(&top[1].0), at(&top[1].1)), ((4, 1), (4, 7)));
        for text in
            ["a:\n  b: [\n    x\n]\n", "a: [\nx\n]\n", "a:\n  - b: [\n    1\n  ]\n", "a: [\n  [\n]]\n", "a: \"x\ny\"\n"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    /// Returns the content without positions.
    fn kinds(node: &YamlNode<'_>) -> String {
        match &node.kind {
            YamlKind::Sequence(items) => format!("[{}]", items.iter().map(kinds).collect::<Vec<_>>().join(",")),
            YamlKind::Mapping(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{}:{}", kinds(key), kinds(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn an_alias_has_the_content_of_its_anchor() {
        let root = read("a: &x {k: 1}\nb: *x\n").unwrap();
        let top = entries(&root);
        assert_eq!(top[0].1, top[1].1);
    }

    #[test]
    fn errors_are_reported_at_their_line() {
        let cases = [
            ("a: [\n", 1),
            ("a: *nope\n", 1),
            ("a: &a [*a]\n", 1),
            ("a:\n\tb: 1\n", 2),
            ("a: 1\n---\nb: 2\n", 2),
            ("if: !cancelled()\n", 1),
            ("a: !!int x\n", 1),
        ];
        for (text, line) in cases {
            assert_eq!(read(text).expect_err(text).span.line, line, "{text}");
        }
    }

    #[test]
    fn hostile_files_are_stopped_by_a_limit() {
        let level = |n: u32| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","));
        let bomb = (1..30).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| text + &level(n));
        let wide = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(2000), "*a,".repeat(2000));
        let deep = "[".repeat(10_000);
        let (aliases, depth) = ("the aliases of the file add more than 20000 nodes", "recursion limit exceeded");
        for (text, limit) in [
            (bomb, aliases),
            (wide, aliases),
            (deep, depth),
            ("- ".repeat(10_000), depth),
            ("{a: ".repeat(5_000), depth),
        ] {
            assert_eq!(read(&text).expect_err("a limit").message, limit);
        }
    }
}
