//! What can be wrong with an expression, in GitHub's words.

use super::node::Extent;
use super::{MAX_DEPTH, MAX_LENGTH, text};

/// Why a text is not an expression. Displays as GitHub's message, which names the symbol and its position.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.message())]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The symbol at fault: byte offsets in the expression. Nothing for a fault of the whole expression.
    pub at: Option<Extent>,
    /// The expression's text.
    pub expression: String,
}

/// What is wrong with a text that is not an expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseErrorKind {
    /// The text has more than [`MAX_LENGTH`] UTF-16 units.
    TooLong,
    /// The tree would be deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Characters that form no symbol, such as `"x"` or `12px`.
    InvalidSymbol,
    /// A symbol where it cannot stand.
    UnexpectedSymbol,
    /// Something is missing after the last symbol.
    UnexpectedEnd,
    /// A context that is not known here.
    UnrecognizedNamedValue,
    /// A function that is not known here.
    UnrecognizedFunction,
    /// A call with fewer arguments than the function wants.
    TooFewParameters,
    /// A call with more arguments than the function takes.
    TooManyParameters,
    /// A call of `case` without a value for when no predicate holds.
    EvenParameters,
}

impl ParseErrorKind {
    /// What is wrong, in GitHub's words.
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
    /// The symbol at fault as written; empty for a fault of the whole expression.
    #[must_use]
    pub fn symbol(&self) -> &str {
        self.at.map_or("", |at| &self.expression[at.start..at.end])
    }

    /// The symbol's position, in UTF-16 units from 1, as GitHub counts.
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

/// Why an expression has no value. Displays as GitHub's message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EvalError {
    /// The values in use would exceed [`MAX_MEMORY`](super::MAX_MEMORY).
    #[error("The maximum allowed memory size was exceeded while evaluating the following expression: {0}")]
    Memory(String),
    /// The first argument of `format` has a brace without its partner, or something other than an index in braces.
    #[error("The following format string is invalid: {0}")]
    FormatString(String),
    /// The first argument of `format` names an argument that was not given.
    #[error("The following format string references more arguments than were supplied: {0}")]
    FormatArguments(String),
    /// The first argument of `format` has a specifier (`{0:x}`), of which there are none.
    #[error("The format specifiers '{specifiers}' are not valid for objects of type '{kind}'")]
    FormatSpecifiers {
        /// What follows the colon.
        specifiers: String,
        /// The kind of the argument.
        kind: &'static str,
    },
    /// A predicate of `case` is not a truth value.
    #[error("case predicate must evaluate to a boolean value")]
    CasePredicate,
    /// The argument of `fromJSON` is not JSON.
    #[error("Error parsing fromJson: {0}")]
    Json(String),
    /// The files could not be hashed.
    #[error("{0}")]
    HashFiles(String),
}
