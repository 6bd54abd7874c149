//! Messages about wrong arguments: what is wrong, and what to write instead.

use std::error::Error;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

use crate::model::nearest;

/// Words of other tools for commands within a command, with the words of the same meaning.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("ls", &["list"]),
    ("rm", &["delete", "remove"]),
    ("remove", &["delete"]),
    ("delete", &["remove"]),
    ("get", &["download"]),
    ("add", &["upload"]),
    ("upload", &["add"]),
];

/// Returns the command, of those with these names, that a word means or resembles; `None` if there is none.
pub fn command_meant<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let mut same = SYNONYMS.iter().filter(|(other, _)| *other == word).flat_map(|(_, same)| *same);
    let same = same.find_map(|same| names.iter().copied().find(|name| name == same));
    same.or_else(|| nearest(word, names.iter().copied()))
}

/// Returns the message about a word that is no command within the command `name`. `near` is the one that is probably meant,
/// and `program` is how the command line begins.
pub fn no_command(program: &str, name: &str, word: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("there is no command `{name} {word}`; did you mean `{program} {name} {near}`?"),
        None => format!("there is no command `{name} {word}`: `cuelight {name} --help` lists the commands"),
    }
}

/// Returns the message about a command within the command `name` that stands behind options. `program` is how the
/// command line begins.
pub fn late_command(program: &str, name: &str, inner: &str, flags: &[String]) -> String {
    format!("`{inner}` must stand before the options: write `{program} {name} {inner} {}`", flags.join(" "))
}

/// Returns the message about a word that a command does not take. `usage` is the form of the command.
pub fn surplus(word: &str, usage: &str) -> String {
    format!("unexpected argument `{word}`: write `{usage}`")
}

/// Returns the message about an argument that is not UTF-8. Its invalid bytes are replaced.
pub fn not_utf8(argument: &str) -> String {
    format!("the argument `{argument}` is not UTF-8: write it in UTF-8")
}

/// Returns the message about required arguments that are missing. `usage` is the form of the command.
pub fn missing(arguments: &[String], usage: &str) -> String {
    let arguments: Vec<_> = arguments.iter().map(|argument| format!("`{argument}`")).collect();
    format!("missing {}: write `{usage}`", listed(&arguments, "and"))
}

/// Returns the message about an option with a value that it does not take.
pub fn needless_value(value: &str, option: &str) -> String {
    let option = name(option);
    format!("`{option}` takes no value, but has `{value}`: write `{option}` alone")
}

/// Returns the message about arguments that exclude each other, or about one that is given twice.
pub fn conflict(argument: &str, others: &[String]) -> String {
    let argument = name(argument);
    let others: Vec<_> = others.iter().map(|other| name(other)).collect();
    if others == [argument] {
        return format!("`{argument}` is given more than once: write it once");
    }
    if others.is_empty() {
        return format!("`{argument}` cannot be used with the other arguments: leave it out");
    }
    let others: Vec<_> = others.iter().map(|other| format!("`{other}`")).collect();
    format!("`{argument}` cannot be used with {}: leave one out", listed(&others, "or"))
}

/// Returns the message about a value that is none of the valid ones. An empty value is a missing one.
pub fn unknown_value(value: &str, option: &str, valid: &[String]) -> String {
    let forms = if valid.is_empty() { format!("`{option}`") } else { listed(valid, "or") };
    if value.is_empty() {
        return format!("`{}` needs a value: write {forms}", name(option));
    }
    match nearest(value, valid.iter().map(String::as_str)) {
        Some(near) => format!("unknown value `{value}` of `{}`; did you mean `{near}`?", name(option)),
        None => format!("unknown value `{value}` of `{}`: write {forms}", name(option)),
    }
}

/// Returns the message about a value that cannot be read. `reason` is the error of its parser.
pub fn invalid_value(value: &str, option: &str, reason: Option<&(dyn Error + 'static)>) -> String {
    let number = reason.and_then(|reason| reason.downcast_ref::<ParseIntError>());
    let is_large = number.is_some_and(|error| *error.kind() == IntErrorKind::PosOverflow);
    let reason = match reason {
        _ if is_large => "write a smaller number".to_owned(),
        _ if number.is_some() => "write a whole number, without a sign".to_owned(),
        Some(reason) if reason.is::<ParseFloatError>() => "write a number".to_owned(),
        Some(reason) => reason_text(&reason.to_string()),
        None => format!("write `{option}`"),
    };
    format!("invalid value `{value}` of `{}`: {reason}", name(option))
}

/// Returns the reason of a parser. The parser of numbers writes a range as `0 is not in 1..=1440`.
fn reason_text(reason: &str) -> String {
    match reason.split_once(" is not in ").and_then(|(_, range)| range.split_once("..=")) {
        Some((least, most)) => format!("write a number from {least} to {most}"),
        None => reason.to_owned(),
    }
}

/// Returns the name of an option without the name of its value.
fn name(option: &str) -> &str {
    option.split([' ', '=']).next().unwrap_or(option)
}

/// Joins names to a list of a sentence.
fn listed(names: &[String], last: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., end] => format!("{} {last} {end}", others.join(", ")),
    }
}
