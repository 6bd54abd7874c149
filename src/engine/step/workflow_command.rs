//! Workflow commands: lines of a step's output that instruct the runner.
//!
//! There are two forms, as in GitHub's runner: `::name key=value,key=value::data` after leading blanks, and the older
//! `##[name key=value;key=value]data` anywhere in a line. A line with an unknown name is plain text.

use std::ops::Range;

use crate::model::{Annotation, Level};

/// A parsed command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum WorkflowCommand {
    /// `set-env`: refused unless `ACTIONS_ALLOW_UNSECURE_COMMANDS` is true.
    SetEnv { name: String, value: String },
    /// `add-path`: refused unless `ACTIONS_ALLOW_UNSECURE_COMMANDS` is true.
    AddPath(String),
    /// `set-output`.
    SetOutput { name: String, value: String },
    /// `save-state`.
    SaveState { name: String, value: String },
    /// `add-mask`.
    AddMask(String),
    /// `add-matcher`: a file.
    AddMatcher(String),
    /// `remove-matcher`: by owner.
    RemoveMatcherOwner(String),
    /// `remove-matcher`: the owners in a file.
    RemoveMatcherFile(String),
    /// `debug`.
    Debug(String),
    /// `notice`, `warning`, `error`.
    Annotate(Annotation),
    /// `group`.
    Group(String),
    /// `endgroup`.
    EndGroup,
    /// `echo on` and `echo off`.
    Echo(bool),
    /// `stop-commands` with its token.
    Stop(String),
}

/// Why a known command is invalid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum WorkflowCommandError {
    #[error("the command `{command}` needs {what}")]
    Missing { command: String, what: &'static str },
    #[error("the command `remove-matcher` takes either `owner` or a file")]
    MatcherOfTwo,
    #[error("the command `echo` takes `on` or `off`, not `{0}`")]
    Echo(String),
    #[error("`{0}` is the name of a command and cannot be the token of `stop-commands`")]
    Token(String),
}

/// Names of the commands, in lower case.
const NAMES: &[&str] = &[
    "set-env",
    "add-path",
    "set-output",
    "save-state",
    "add-mask",
    "add-matcher",
    "remove-matcher",
    "debug",
    "notice",
    "warning",
    "error",
    "group",
    "endgroup",
    "echo",
    "stop-commands",
];

/// Returns the lines that may be commands: those that begin with `::` after blanks, or contain `##[`. Every other line is
/// text, so that most output is never looked at line by line.
pub(super) fn candidates(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut searched = 0;
    let begins_line = move |at: &usize| {
        let since = &bytes[searched..*at];
        // Without a newline in between, the line has an earlier `::`.
        let begin = memchr::memrchr(b'\n', since).map(|newline| newline + 1).or((searched == 0).then_some(0));
        searched = at + 2;
        begin.is_some_and(|begin| str::from_utf8(&since[begin..]).is_ok_and(|before| before.trim().is_empty()))
    };
    let mut modern = memchr::memmem::find_iter(bytes, b"::").filter(begins_line).peekable();
    let mut legacy = memchr::memmem::find_iter(bytes, b"##[").peekable();
    let mut next = 0;
    std::iter::from_fn(move || {
        while modern.next_if(|at| *at < next).is_some() || legacy.next_if(|at| *at < next).is_some() {}
        let at = modern.peek().into_iter().chain(legacy.peek()).copied().min()?;
        let start = memchr::memrchr(b'\n', &bytes[next..at]).map_or(next, |newline| next + newline + 1);
        next = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |newline| at + newline + 1);
        Some(start..next)
    })
}

/// Name, properties and data of a command, decoded.
struct Parts {
    name: String,
    properties: Vec<(String, String)>,
    data: String,
}

impl Parts {
    fn property(&self, name: &str) -> Option<&str> {
        // If a property is repeated, the last one wins.
        let found = self.properties.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn name(&self) -> Result<String, WorkflowCommandError> {
        self.property("name").map(str::to_owned).ok_or_else(|| self.missing("`name`"))
    }

    fn missing(&self, what: &'static str) -> WorkflowCommandError {
        WorkflowCommandError::Missing { command: self.name.clone(), what }
    }
}

/// Parses a line; `None` if it is plain text.
///
/// # Errors
/// A known command is invalid, so the step fails.
#[must_use]
pub(super) fn parse(line: &str) -> Option<Result<WorkflowCommand, WorkflowCommandError>> {
    let parts = modern(line).or_else(|| legacy(line))?;
    Some(command(&parts))
}

/// Returns the value of a line with the command `add-mask` that is not UTF-8; `None` for any other line.
#[must_use]
pub(super) fn mask_of_bytes(line: &[u8]) -> Option<Vec<u8>> {
    str::from_utf8(line).err()?;
    let text = String::from_utf8_lossy(line);
    let blanks = text.len() - text.trim_start().len();
    // The syntax of commands is ASCII, so a line with a character for each byte has the same parts.
    let characters: String = line[blanks..].iter().copied().map(char::from).collect();
    match parse(characters.trim_end_matches(['\n', '\r']))? {
        Ok(WorkflowCommand::AddMask(value)) => {
            let bytes: Vec<_> = value.chars().filter_map(|c| u8::try_from(c).ok()).collect();
            str::from_utf8(&bytes).is_err().then_some(bytes)
        }
        _ => None,
    }
}

/// Whether a line ends the section that `stop-commands` started with this token. In both forms of commands, the token
/// takes the place of the name.
#[must_use]
pub(super) fn resumes(line: &str, token: &str) -> bool {
    let names = |cut: Option<Cut<'_>>| cut.is_some_and(|cut| cut.name.eq_ignore_ascii_case(token));
    names(cut_modern(line)) || names(cut_legacy(line))
}

/// A line split at the markers of a command, before its parts are decoded.
struct Cut<'l> {
    name: &'l str,
    properties: &'l str,
    data: &'l str,
}

impl<'l> Cut<'l> {
    fn new(head: &'l str, data: &'l str) -> Self {
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        Self { name, properties, data }
    }
}

fn cut_modern(line: &str) -> Option<Cut<'_>> {
    let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    Some(Cut::new(head, data))
}

fn cut_legacy(line: &str) -> Option<Cut<'_>> {
    let (_, rest) = line.split_once("##[")?;
    let (head, data) = rest.split_once(']')?;
    Some(Cut::new(head, data))
}

fn modern(line: &str) -> Option<Parts> {
    let Cut { name, properties, data } = cut_modern(line)?;
    registered(name)?;
    let decode = |text: &str| unescape(text, &[("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")]);
    Some(Parts {
        name: name.to_ascii_lowercase(),
        properties: pairs(properties, ',', decode),
        data: unescape(data, &[("%0D", "\r"), ("%0A", "\n")]),
    })
}

fn legacy(line: &str) -> Option<Parts> {
    let Cut { name, properties, data } = cut_legacy(line)?;
    registered(name)?;
    let escapes = &[("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]")];
    Some(Parts {
        name: name.to_ascii_lowercase(),
        properties: pairs(properties, ';', |text| unescape(text, escapes)),
        data: unescape(data, escapes),
    })
}

fn registered(name: &str) -> Option<()> {
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(())
}

fn pairs(text: &str, between: char, decode: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let pairs = text.split(between).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), decode(value))).collect()
}

/// Decodes `escapes` and then `%25`, so that an escaped escape stays text.
fn unescape(text: &str, escapes: &[(&str, &str)]) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let decoded = escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    decoded.replace("%25", "%")
}

fn command(parts: &Parts) -> Result<WorkflowCommand, WorkflowCommandError> {
    let data = parts.data.clone();
    Ok(match parts.name.as_str() {
        "set-env" => WorkflowCommand::SetEnv { name: parts.name()?, value: data },
        "add-path" if data.trim().is_empty() => return Err(parts.missing("a path")),
        "add-path" => WorkflowCommand::AddPath(data),
        "set-output" => WorkflowCommand::SetOutput { name: parts.name()?, value: data },
        "save-state" => WorkflowCommand::SaveState { name: parts.name()?, value: data },
        "add-mask" => WorkflowCommand::AddMask(data),
        "add-matcher" if data.trim().is_empty() => return Err(parts.missing("a file")),
        "add-matcher" => WorkflowCommand::AddMatcher(data),
        "remove-matcher" => match (parts.property("owner"), data.trim()) {
            (Some(owner), "") => WorkflowCommand::RemoveMatcherOwner(owner.to_owned()),
            (None, file) if !file.is_empty() => WorkflowCommand::RemoveMatcherFile(file.to_owned()),
            _ => return Err(WorkflowCommandError::MatcherOfTwo),
        },
        "debug" => WorkflowCommand::Debug(data),
        "notice" => WorkflowCommand::Annotate(annotation(Level::Notice, parts)),
        "warning" => WorkflowCommand::Annotate(annotation(Level::Warning, parts)),
        "error" => WorkflowCommand::Annotate(annotation(Level::Error, parts)),
        "group" => WorkflowCommand::Group(data),
        "endgroup" => WorkflowCommand::EndGroup,
        "echo" => match data.trim().to_ascii_lowercase().as_str() {
            "on" => WorkflowCommand::Echo(true),
            "off" => WorkflowCommand::Echo(false),
            other => return Err(WorkflowCommandError::Echo(other.to_owned())),
        },
        _ => match data.trim() {
            "" => return Err(parts.missing("a token")),
            token if registered(token).is_some() || token.eq_ignore_ascii_case("pause-logging") => {
                return Err(WorkflowCommandError::Token(token.to_owned()));
            }
            token => WorkflowCommand::Stop(token.to_owned()),
        },
    })
}

/// Returns an annotation with the valid parts of its source location: an end without a start becomes the start, a
/// column requires a line, columns only apply within one line, and a start and an end in the wrong order are both
/// dropped.
fn annotation(level: Level, parts: &Parts) -> Annotation {
    let number = |name: &str| parts.property(name).and_then(|text| text.trim().parse::<u32>().ok());
    let (end_line, end_column) = (number("endLine"), number("endColumn"));
    let (line, column) = (number("line").or(end_line), number("col").or(end_column));
    let within_one_line = line.is_some() && end_line.is_none_or(|end| Some(end) == line);
    let (line, end_line) = in_order(line, end_line);
    let (column, end_column) = if within_one_line { in_order(column, end_column) } else { (None, None) };
    Annotation {
        level,
        message: parts.data.clone(),
        title: parts.property("title").map(str::to_owned),
        file: parts.property("file").map(str::to_owned),
        line,
        end_line,
        column,
        end_column,
    }
}

fn in_order(first: Option<u32>, last: Option<u32>) -> (Option<u32>, Option<u32>) {
    if last.is_some() && last < first { (None, None) } else { (first, last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(line: &str) -> WorkflowCommand {
        parse(line).expect("a command").expect("well formed")
    }

    #[test]
    fn both_forms_and_their_escapes() {
        assert_eq!(
            ok("::set-output name=a::b%0Ac%25"),
            WorkflowCommand::SetOutput { name: "a".into(), value: "b\nc%".into() }
        );
        assert_eq!(ok("  ::ADD-MASK::x"), WorkflowCommand::AddMask("x".into()));
        assert_eq!(ok("text ##[add-matcher]/m.json"), WorkflowCommand::AddMatcher("/m.json".into()));
        assert_eq!(
            ok("##[set-output name=a;]1%3B2"),
            WorkflowCommand::SetOutput { name: "a".into(), value: "1;2".into() }
        );
        assert_eq!(ok("::group::Tests"), WorkflowCommand::Group("Tests".into()));
        assert_eq!(ok("::remove-matcher owner=x::"), WorkflowCommand::RemoveMatcherOwner("x".into()));
        assert_eq!(
            ok("::set-output name=a::%250A"),
            WorkflowCommand::SetOutput { name: "a".into(), value: "%0A".into() }
        );
    }

    #[test]
    fn the_bytes_of_a_mask_are_those_of_the_line() {
        for (line, bytes) in [
            (&b"::add-mask::p\xe4ss\n"[..], Some(&b"p\xe4ss"[..])),
            ("\u{3000}::add-mask::".as_bytes(), None),
            (b"\xe3\x80\x80::add-mask::p\xe4%25%0d%0A\r\n", Some(&b"p\xe4%%0d\n"[..])),
            (b"\xff ##[add-mask]p\xe4%5D", Some(&b"p\xe4]"[..])),
            (b"\xff ##[add-mask]pass", None),
            (b"::add-mask::p\xc3\xa4ss", None),
            (b"::debug::p\xe4ss", None),
            (b"p\xe4ss", None),
        ] {
            assert_eq!(mask_of_bytes(line).as_deref(), bytes, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn anything_else_is_text() {
        for line in
            ["", "::", "::nothing::", "std::vec::Vec", "a ::error::b", "##[command]git", "[warning]text", "::error"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_carried_out_is_an_error() {
        for line in [
            "::set-output::x",
            "::stop-commands::",
            "::stop-commands::error",
            "::echo::maybe",
            "::add-path::",
            "::remove-matcher owner=a::b",
        ] {
            assert!(matches!(parse(line), Some(Err(_))), "{line}");
        }
    }

    #[test]
    fn places_that_make_no_sense_are_left_out() {
        type Place = [Option<u32>; 4];
        let cases: &[(&str, Place)] = &[
            ("line=3,col=5,endColumn=9", [Some(3), None, Some(5), Some(9)]),
            ("line=3,endLine=3,col=5", [Some(3), Some(3), Some(5), None]),
            ("line=3,endLine=5,col=2", [Some(3), Some(5), None, None]),
            ("endLine=4", [Some(4), Some(4), None, None]),
            ("endLine=4,endColumn=2", [Some(4), Some(4), Some(2), Some(2)]),
            ("line=5,endLine=4", [None, None, None, None]),
            ("line=5,col=4,endColumn=2", [Some(5), None, None, None]),
            ("col=2", [None, None, None, None]),
            ("line=1,line=2", [Some(2), None, None, None]),
            ("line=x,col=-1", [None, None, None, None]),
        ];
        for (properties, expected) in cases {
            let WorkflowCommand::Annotate(found) = ok(&format!("::error {properties}::M")) else { panic!() };
            let place = [found.line, found.end_line, found.column, found.end_column];
            assert_eq!(&place, expected, "{properties}");
        }
        let WorkflowCommand::Annotate(found) = ok("::error file=a%2Cb.c,title=A%3A B::M%0AN") else { panic!() };
        assert_eq!((found.file.as_deref(), found.title.as_deref()), (Some("a,b.c"), Some("A: B")));
        assert_eq!(found.message, "M\nN");
    }

    #[test]
    fn a_token_resumes_in_any_case_of_letters() {
        for line in ["::Token::", "  ::token::rest", "::token a=b::", "text ##[token]"] {
            assert!(resumes(line, "token"), "{line}");
        }
        for line in ["::other::", "token", "::token", "a ::token::"] {
            assert!(!resumes(line, "token"), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in "(::|##\\[)?(error|echo|group)?[ -~\u{1b}é]{0,80}") {
            let found = parse(&line);
            proptest::prop_assert!(found.is_none() || candidates(line.as_bytes()).next().is_some());
        }

        #[test]
        fn the_lines_that_may_be_commands_are_those_found_one_by_one(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                &b"::"[..], b":", b"##[", b"#", b"a", b" ", b"\t", b"\r", b"\n", b"\n\n", b"\xff", b"\xc2\xa0", "\u{3000}".as_bytes(),
            ]), 0..40),
        ) {
            let text = pieces.concat();
            let is_candidate = |line: &&[u8]| {
                let line = String::from_utf8_lossy(line);
                line.trim_start().starts_with("::") || line.contains("##[")
            };
            let expected: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').filter(is_candidate).collect();
            let found: Vec<_> = candidates(&text).map(|line| &text[line]).collect();
            proptest::prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_a_client_escapes_comes_back(value in "[ -~\r\n]{0,40}", name in "[a-z%:,]{1,10}") {
            let data = value.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
            let property = name.replace('%', "%25").replace(':', "%3A").replace(',', "%2C");
            let line = format!("::set-output name={property}::{data}");
            proptest::prop_assert_eq!(ok(&line), WorkflowCommand::SetOutput { name, value });
        }
    }
}
