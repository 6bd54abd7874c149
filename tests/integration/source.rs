//! Source files of the program, with the paths that each uses, parsed from text.
//!
//! A small parser is sufficient: it handles comments, strings and nested `use` lists, and skips test code. It finds
//! paths that start with `crate`, `super` or `self` and those of other crates, in `use` items and elsewhere.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the program.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path below `src`, with `/` between the parts: `engine/job/mod.rs`.
    pub(crate) file: String,
    /// Path of the module: `["engine", "job"]`.
    pub(crate) module: Vec<String>,
    /// Paths in the file, with `super` and `self` resolved: `["crate", "model", "Run"]`, `["tokio", "select"]`.
    pub(crate) names: Vec<Name>,
}

/// A path in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// Segments of the path.
    pub(crate) path: Vec<String>,
}

/// Returns all source files except test-only ones.
pub(crate) fn all() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut of_tests = HashSet::new();
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).expect("below src").to_string_lossy().replace('\\', "/");
        let module = module_of(&inside);
        let text = fs::read_to_string(&file).expect("source is text");
        let code = Code::read(&text, &module);
        of_tests.extend(code.test_modules);
        sources.push(Source { file: inside, module, names: code.names });
    }
    let for_tests = |module: &[String]| (1..=module.len()).any(|length| of_tests.contains(&module[..length]));
    sources.retain(|source| !for_tests(&source.module));
    sources
}

/// Returns the text of every file of the program, by its path below `src`.
pub(crate) fn texts() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = |file: &Path| file.strip_prefix(&src).expect("below src").to_string_lossy().replace('\\', "/");
    let files = rust_files(&src).into_iter();
    files.map(|file| (inside(&file), fs::read_to_string(&file).expect("source is text"))).collect()
}

fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    module.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
    module
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Result of parsing a file.
#[derive(Default)]
struct Code {
    names: Vec<Name>,
    /// Modules that are declared for tests only.
    test_modules: Vec<Vec<String>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

impl Code {
    fn read(text: &str, module: &[String]) -> Self {
        let tokens = tokens(text);
        let mut code = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            if starts_test_item(&tokens[at..]) {
                at += 7;
                if let [(_, Token::Word(word)), (_, Token::Word(name)), (_, Token::Sign(';')), ..] = &tokens[at..]
                    && word == "mod"
                {
                    code.test_modules.push([module, std::slice::from_ref(name)].concat());
                }
                at = after_item(&tokens, at);
            } else if is_visibility(&tokens[..=at]) {
                at = Self::default().path(&tokens, at + 1, module, &[]);
            } else if matches!(tokens[at].1, Token::Word(_)) {
                at = code.path(&tokens, at, module, &[]);
            } else {
                at += 1;
            }
        }
        code
    }

    /// Parses a path, or a path with a list at its end, and returns the index of the next token.
    fn path(&mut self, tokens: &[(usize, Token)], start: usize, module: &[String], before: &[String]) -> usize {
        let mut path = before.to_vec();
        let mut at = start;
        while let Some((line, Token::Word(word))) = tokens.get(at) {
            path.push(word.clone());
            at += 1;
            if tokens.get(at).map(|(_, token)| token) != Some(&Token::Colons) {
                self.add(*line, path, module);
                return at;
            }
            match tokens.get(at + 1) {
                Some((_, Token::Word(_))) => at += 1,
                Some((_, Token::Sign('{'))) => {
                    at += 2;
                    while let Some((_, token)) = tokens.get(at) {
                        match token {
                            Token::Sign('}') => return at + 1,
                            Token::Word(word) if word == "as" => at += 2,
                            Token::Word(_) => at = self.path(tokens, at, module, &path),
                            _ => at += 1,
                        }
                    }
                }
                _ => {
                    self.add(*line, path, module);
                    return at + 1;
                }
            }
        }
        at
    }

    fn add(&mut self, line: usize, path: Vec<String>, module: &[String]) {
        let from_root = |above: usize, rest: &[String]| {
            let base = &module[..module.len().saturating_sub(above)];
            [&["crate".to_owned()][..], base, rest].concat()
        };
        let supers = path.iter().take_while(|word| *word == "super").count();
        let path = match path.first().map(String::as_str) {
            Some("super") => from_root(supers, &path[supers..]),
            Some("self") if path.len() > 1 => from_root(0, &path[1..]),
            _ if path.len() > 1 => path,
            _ => return,
        };
        self.names.push(Name { line, path });
    }
}

/// Whether these tokens are `#[cfg(test)]`.
fn starts_test_item(tokens: &[(usize, Token)]) -> bool {
    let word = |text: &str| Token::Word(text.to_owned());
    let attribute = [
        Token::Sign('#'),
        Token::Sign('['),
        word("cfg"),
        Token::Sign('('),
        word("test"),
        Token::Sign(')'),
        Token::Sign(']'),
    ];
    tokens.len() >= attribute.len() && tokens.iter().zip(&attribute).all(|((_, token), wanted)| token == wanted)
}

/// Whether these tokens end in `(in` of `pub(in crate::room)`, whose path imports nothing.
fn is_visibility(tokens: &[(usize, Token)]) -> bool {
    matches!(tokens, [.., (_, Token::Sign('(')), (_, Token::Word(word))] if word == "in")
}

/// Returns the index after an item: after its `;`, or after its first block.
fn after_item(tokens: &[(usize, Token)], start: usize) -> usize {
    let mut depth = 0;
    for (at, (_, token)) in tokens.iter().enumerate().skip(start) {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            Token::Sign(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Returns the tokens of the code with their lines. Comments and string contents are skipped.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let (mut line, mut rest) = (1, text);
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = not_code(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push((line, Token::Word(rest[..length].to_owned())));
            length
        } else if rest.starts_with("::") {
            tokens.push((line, Token::Colons));
            2
        } else {
            tokens.push((line, Token::Sign(first)));
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of the leading whitespace, comment, string, character or lifetime.
fn not_code(text: &str) -> Option<usize> {
    let until = |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let blanks = text.len() - text.trim_start().len();
    let raw = text.strip_prefix('r').map(|rest| rest.len() - rest.trim_start_matches('#').len());
    match (text.as_bytes()[0], text.as_bytes().get(1)) {
        _ if blanks > 0 => Some(blanks),
        (b'/', Some(b'/')) => Some(until(2, "\n")),
        (b'/', Some(b'*')) => Some(until(2, "*/")),
        (b'"', _) => Some(quoted(text, '"')),
        (b'\'', Some(b'\\')) => Some(quoted(text, '\'')),
        (b'\'', _) if text.chars().nth(2) == Some('\'') => Some(quoted(text, '\'')),
        (b'\'', _) => Some(1 + text[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0)),
        (b'r', _) => {
            let hashes = raw.filter(|hashes| text[1 + hashes..].starts_with('"'))?;
            Some(until(2 + hashes, &format!("\"{}", "#".repeat(hashes))))
        }
        _ => None,
    }
}

/// Returns the length of a quoted text, including its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the cycles of a graph: its strongly connected components with more than one node (Tarjan, 1972).
pub(crate) fn circles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    struct Search<'e> {
        edges: &'e [Vec<usize>],
        order: Vec<Option<usize>>,
        low: Vec<usize>,
        stack: Vec<usize>,
        on_stack: Vec<bool>,
        next: usize,
        found: Vec<Vec<usize>>,
    }
    impl Search<'_> {
        fn visit(&mut self, node: usize) {
            self.order[node] = Some(self.next);
            self.low[node] = self.next;
            self.next += 1;
            self.stack.push(node);
            self.on_stack[node] = true;
            for other in &self.edges[node] {
                match self.order[*other] {
                    None => {
                        self.visit(*other);
                        self.low[node] = self.low[node].min(self.low[*other]);
                    }
                    Some(order) if self.on_stack[*other] => self.low[node] = self.low[node].min(order),
                    Some(_) => {}
                }
            }
            if self.order[node] == Some(self.low[node]) {
                let start = self.stack.iter().position(|other| *other == node).expect("it was pushed");
                let component = self.stack.split_off(start);
                for other in &component {
                    self.on_stack[*other] = false;
                }
                if component.len() > 1 {
                    self.found.push(component);
                }
            }
        }
    }
    let count = edges.len();
    let mut search = Search {
        edges,
        order: vec![None; count],
        low: vec![0; count],
        stack: Vec::new(),
        on_stack: vec![false; count],
        next: 0,
        found: Vec::new(),
    };
    for node in 0..count {
        if search.order[node].is_none() {
            search.visit(node);
        }
    }
    search.found
}

#[test]
fn paths_are_found_in_nested_lists_and_elsewhere() {
    let text = r##"
//! use crate::comment::Word;
use crate::model::{self, Run, event::{Event, Record as Line}};
use super::super::store;
use std::{env, time::{Duration, Instant}};
fn f<'a>(x: &'a str) -> char { let s = "crate::string::x"; let c = '"'; super::g::<u8>(); tokio::spawn(x); c }
#[cfg(test)]
mod helpers;
#[cfg(test)]
mod tests { use crate::cli::Never; fn g() { crate::cli::never() } }
pub(in crate::app) fn h() { for x in crate::config::all() { crate::ui::text::put(r#"x"{crate::no::No}"#) } }
"##;
    let module: Vec<String> = ["engine", "job", "steps"].map(str::to_owned).to_vec();
    let code = Code::read(text, &module);
    let found: Vec<_> = code.names.iter().map(|name| (name.line, name.path.join("::"))).collect();
    let expected = [
        (3, "crate::model::self"),
        (3, "crate::model::Run"),
        (3, "crate::model::event::Event"),
        (3, "crate::model::event::Record"),
        (4, "crate::engine::store"),
        (5, "std::env"),
        (5, "std::time::Duration"),
        (5, "std::time::Instant"),
        (6, "crate::engine::job::g"),
        (6, "tokio::spawn"),
        (11, "crate::config::all"),
        (11, "crate::ui::text::put"),
    ];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    assert_eq!(code.test_modules, [[&module[..], &["helpers".to_owned()]].concat()]);
}

#[test]
fn circles_are_found_and_chains_are_not() {
    let mut found = circles(&[vec![1], vec![2], vec![0, 3], vec![4], vec![3], vec![0]]);
    for circle in &mut found {
        circle.sort_unstable();
    }
    found.sort();
    assert_eq!(found, [vec![0, 1, 2], vec![3, 4]]);
}
