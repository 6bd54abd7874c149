//! Errors while parsing and evaluating expressions, with GitHub's messages.

use super::json::JsonError;
use super::node::Extent;
use super::{HashFilesError, MAX_DEPTH, MAX_LENGTH, text};

/// An error while parsing an expression. Displays as GitHub's message, with the symbol and its position.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.message())]
pub struct ParseError {
    /// Kind of the error.
    pub kind: ParseErrorKind,
    /// The offending symbol, as byte offsets in the expression; `None` for an error of the whole expression.
    pub at: Option<Extent>,
    /// Text of the expression.
    pub expression: String,
}

/// Kind of a [`ParseError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseErrorKind {
    /// The text has more than [`MAX_LENGTH`] UTF-16 units.
    TooLong,
    /// The tree would be deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Characters that do not form a symbol, such as `"x"` or `12px`.
    InvalidSymbol,
    /// A valid symbol in the wrong place.
    UnexpectedSymbol,
    /// The text ends where a symbol is required.
    UnexpectedEnd,
    /// A context that is not part of the [`Vocabulary`](super::Vocabulary).
    UnrecognizedNamedValue,
    /// A function that is not part of the [`Vocabulary`](super::Vocabulary).
    UnrecognizedFunction,
    /// A call with fewer arguments than the function requires.
    TooFewParameters,
    /// A call with more arguments than the function accepts.
    TooManyParameters,
    /// A call of `case` without the default value at the end.
    EvenParameters,
}

impl ParseErrorKind {
    /// Returns GitHub's message without the symbol and its position.
    #[must_use]
    pub fn description(self) -> String {
        match self {
            Self::TooLong => format!("Exceeded max expression length {MAX_LENGTH}"),
            Self::TooDeep => format!("Exceeded max expression depth {MAX_DEPTH}"),
            Self::InvalidSymbol | Self::UnexpectedSymbol => "Unexpected symbol".to_owned(),
            Self::UnexpectedEnd => "Unexpected end of expression".to_owned(),
            Self::UnrecognizedNamedValue => "Unrecognized named-value".to_owned(),
            Self::UnrecognizedFunction => "Unrecognized function".to_owned(),
            Self::TooFewParameters => "Too few parameters supplied".to_owned(),
            Self::TooManyParameters => "Too many parameters supplied".to_owned(),
            Self::EvenParameters => {
                "Even number of parameters supplied, requires an odd number of parameters".to_owned()
            }
        }
    }
}

impl ParseError {
    /// Returns the offending symbol as written; empty for an error of the whole expression.
    #[must_use]
    pub fn symbol(&self) -> &str {
        self.at.map_or("", |at| &self.expression[at.start..at.end])
    }

    /// Returns the position of the offending symbol, in UTF-16 units from 1, as GitHub counts. `None` for an error of
    /// the whole expression.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        self.at.map(|at| text::units(&self.expression[..at.start]) + 1)
    }

    fn message(&self) -> String {
        let description = self.kind.description();
        match self.position() {
            None => description,
            Some(position) => format!(
                "{description}: '{}'. Located at position {position} within expression: {}",
                self.symbol(),
                self.expression
            ),
        }
    }
}

/// An error while evaluating an expression. Displays as GitHub's message, if GitHub has one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EvalError {
    /// The values in use would exceed [`MAX_MEMORY`](super::MAX_MEMORY).
    #[error("The maximum allowed memory size was exceeded while evaluating the following expression: {0}")]
    Memory(String),
    /// The first argument of `format` has an unmatched brace, or braces with anything but an index.
    #[error("The following format string is invalid: {0}")]
    FormatString(String),
    /// The first argument of `format` refers to an argument that is missing.
    #[error("The following format string references more arguments than were supplied: {0}")]
    FormatArguments(String),
    /// The first argument of `format` has a specifier (`{0:x}`), which GitHub does not support.
    #[error("The format specifiers '{specifiers}' are not valid for objects of type '{kind}'")]
    FormatSpecifiers {
        /// The text after the colon.
        specifiers: String,
        /// Kind of the argument, as [`Value::kind`](super::Value::kind).
        kind: &'static str,
    },
    /// A predicate of `case` is not a boolean.
    #[error("case predicate must evaluate to a boolean value")]
    CasePredicate,
    /// The argument of `fromJSON` is not JSON.
    #[error("Error parsing fromJson: {0}")]
    Json(#[from] JsonError),
    /// A value that must be a mapping is not one. Holds its kind, as [`Value::kind`](super::Value::kind).
    #[error("must be a mapping, not {0}")]
    NotMapping(&'static str),
    /// The files could not be hashed.
    #[error(transparent)]
    HashFiles(#[from] HashFilesError),
}
