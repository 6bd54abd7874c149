//! GitHub's expression language: what stands between `${{` and `}}`, and in conditions.
//!
//! [`Expr::parse`] turns a text into a tree once; [`Expr::evaluate`] computes its value over an immutable [`Scope`], as
//! often as wanted, without files, clock or environment. [`Expr::explain`] evaluates too and keeps what every operand
//! was, so that a user sees why a condition was true or false. [`Expr::tree`] and [`Expr::roots`] are for those who
//! check expressions.
//!
//! The reference is the C# implementation in `actions/runner` (`src/Sdk/DTExpressions2`), which is what GitHub
//! evaluates with; its messages and limits are kept. Where it and the TypeScript package `@actions/expressions` differ,
//! C# wins, save for the symbol that a wrong number of arguments is reported at: the function's name, as in the package.

mod call;
mod error;
mod evaluate;
mod explain;
mod functions;
mod json;
mod lexer;
mod node;
mod number;
mod object;
mod parser;
mod scope;
mod text;
mod value;

use std::fmt;
use std::sync::Arc;

use crate::model::Explanation;

pub use error::{EvalError, ParseError, ParseErrorKind};
pub use functions::Function;
pub use node::{Comparison, Extent, Key, Logical, Name, Node, NodeKind, Reference};
pub use object::Object;
pub use scope::{Contexts, Host, NoFiles, Scope, Status};
pub use value::Value;

/// The deepest tree that is accepted (`ExpressionConstants.MaxDepth`).
pub const MAX_DEPTH: usize = 50;

/// The longest expression that is accepted, in UTF-16 units (`ExpressionConstants.MaxLength`).
pub const MAX_LENGTH: usize = 21_000;

/// The most memory that the values of one evaluation may take at a time, in bytes as the runner estimates them
/// (`maxBytes` of its templates).
pub const MAX_MEMORY: usize = 10 * 1024 * 1024;

/// Which names an expression may use; the functions that GitHub has everywhere are always known.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// The contexts, in any case; `None` for any name.
    pub contexts: Option<&'a [&'a str]>,
    /// Which of [`Function::EXTRA`].
    pub functions: &'a [Function],
    /// Whether `success` and `failure` may name jobs, as in the condition of a job.
    pub jobs_named: bool,
}

impl Vocabulary<'_> {
    /// Every context and every function: syntax alone is checked.
    pub const ANY: Vocabulary<'static> = Vocabulary { contexts: None, functions: Function::EXTRA, jobs_named: true };

    fn knows_context(&self, name: &str) -> bool {
        self.contexts.is_none_or(|contexts| contexts.iter().any(|known| text::equal(known, name)))
    }

    fn knows_function(&self, function: Function) -> bool {
        Function::BUILT_IN.contains(&function) || self.functions.contains(&function)
    }
}

/// A parsed expression. Cloning is cheap.
#[derive(Clone)]
pub struct Expr {
    parsed: Arc<Parsed>,
}

struct Parsed {
    text: String,
    /// How much of the text GitHub's rule for conditions put before what was written.
    prefix: usize,
    root: Option<Node>,
}

impl Expr {
    /// Parses what stands between `${{` and `}}`. Nothing but blanks is an expression too; its value is null.
    ///
    /// # Errors
    /// What GitHub would say about the text: unknown names, wrong numbers of arguments, faulty symbols, limits.
    pub fn parse(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, ParseError> {
        let root = parser::parse(text, vocabulary)?;
        Ok(Self { parsed: Arc::new(Parsed { text: text.to_owned(), prefix: 0, root }) })
    }

    /// Parses a condition: an empty one is `success()`, and one without a status function counts only on success.
    ///
    /// # Errors
    /// As [`Expr::parse`]; places are those in `text`. A condition that is too deep or too long only with `success()`
    /// before it is refused too.
    pub fn condition(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, ParseError> {
        const PREFIX: &str = "success() && (";
        let written = Self::parse(text, vocabulary)?;
        let (prefix, text) = match written.tree() {
            None => (0, "success()".to_owned()),
            Some(_) if written.names_status_function() => return Ok(written),
            Some(_) => (PREFIX.len(), format!("{PREFIX}{text})")),
        };
        let functions = [vocabulary.functions, &[Function::Success]].concat();
        let root = parser::parse(&text, &Vocabulary { functions: &functions, ..*vocabulary })?;
        Ok(Self { parsed: Arc::new(Parsed { text, prefix, root }) })
    }

    /// The text; of a condition, what GitHub makes of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.parsed.text
    }

    /// How many bytes at the start of [`Expr::text`] were not written by the user. Extents count from the start of
    /// the text.
    #[must_use]
    pub fn prefix(&self) -> usize {
        self.parsed.prefix
    }

    /// The tree; nothing for an empty expression.
    #[must_use]
    pub fn tree(&self) -> Option<&Node> {
        self.parsed.root.as_ref()
    }

    /// The value over a snapshot of contexts.
    ///
    /// # Errors
    /// What GitHub would say: a faulty format string, text that is no JSON, a predicate that is no truth value, files
    /// that cannot be read, too much memory.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        evaluate::evaluate(self, scope)
    }

    /// Evaluates and keeps what every operand was. Its texts hold values as they are, secrets included.
    pub fn explain(&self, scope: &Scope<'_>) -> (Result<Value, EvalError>, Explanation) {
        explain::explain(self, scope)
    }

    /// Whether `success`, `failure`, `cancelled` or `always` is called anywhere.
    #[must_use]
    pub fn names_status_function(&self) -> bool {
        let mut found = false;
        self.walk(&mut |node| {
            found |= matches!(&node.kind, NodeKind::Call { function, .. } if function.is_status());
        });
        found
    }

    /// The contexts that are read and what is read of them, in the order in which they are written.
    #[must_use]
    pub fn roots(&self) -> Vec<Reference<'_>> {
        let mut found = Vec::new();
        if let Some(root) = self.tree() {
            root.references(&mut found);
        }
        found
    }

    /// Visits every node, each before its operands.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        if let Some(root) = self.tree() {
            root.walk(visit);
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.text()).finish()
    }
}

/// Displays the text.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Vocabulary<'_> =
        Vocabulary { contexts: Some(&["github", "steps"]), functions: Function::EXTRA, jobs_named: false };

    #[test]
    fn a_condition_counts_only_on_success_unless_it_says_otherwise() {
        for (text, condition, prefix) in [
            ("", "success()", 0),
            ("  ", "success()", 0),
            ("steps.x.outputs.y != 'true'", "success() && (steps.x.outputs.y != 'true')", 14),
            ("false || true", "success() && (false || true)", 14),
            ("always()", "always()", 0),
            ("github.ref == 'x' && !Cancelled()", "github.ref == 'x' && !Cancelled()", 0),
            ("contains('success()', 'x')", "success() && (contains('success()', 'x'))", 14),
        ] {
            let expr = Expr::condition(text, &STEP).unwrap();
            assert_eq!((expr.text(), expr.prefix()), (condition, prefix), "{text}");
            assert!(expr.names_status_function());
        }
        let error = Expr::condition("nosuch.x", &STEP).unwrap_err();
        assert_eq!((error.symbol(), error.position()), ("nosuch", Some(1)));
        assert!(Expr::condition("true) || (true", &STEP).is_err());
    }

    #[test]
    fn a_condition_knows_success_where_it_may_not_be_written() {
        let vocabulary = Vocabulary { functions: &[], ..STEP };
        assert_eq!(Expr::condition("true", &vocabulary).unwrap().text(), "success() && (true)");
        assert!(Expr::condition("success()", &vocabulary).is_err());
    }

    #[test]
    fn names_are_known_in_any_case() {
        assert!(Expr::parse("GitHub.ref == HASHFILES('x')", &STEP).is_ok());
        assert!(Expr::parse("env.x", &STEP).is_err());
        assert!(Expr::parse("env.x", &Vocabulary::ANY).is_ok());
        let pure = Vocabulary { functions: &[], ..STEP };
        assert_eq!(Expr::parse("always()", &pure).unwrap_err().kind, ParseErrorKind::UnrecognizedFunction);
    }

    #[test]
    fn roots_are_contexts_with_what_is_read_of_them() {
        let text = "steps.a['b'].*.c == matrix[steps[0].id] && fromJSON(env.X).y && (github).ref";
        let expr = Expr::parse(text, &Vocabulary::ANY).unwrap();
        let roots = expr.roots();
        let parts: Vec<_> =
            roots.iter().map(|root| (root.context.text.as_str(), &text[root.extent.start..root.extent.end])).collect();
        assert_eq!(
            parts,
            [
                ("steps", "steps.a['b'].*.c"),
                ("matrix", "matrix[steps[0].id]"),
                ("steps", "steps[0].id"),
                ("env", "env.X"),
                ("github", "(github).ref"),
            ]
        );
        let keys: Vec<_> = roots[0]
            .path
            .iter()
            .map(|key| match key {
                Key::Name(name, at) => format!("{name} {}", &text[at.start..at.end]),
                Key::Every => "*".to_owned(),
                Key::Computed(_) => "computed".to_owned(),
            })
            .collect();
        assert_eq!(keys, ["a a", "b 'b'", "*", "c c"]);
        assert!(matches!(roots[1].path[..], [Key::Computed(_)]));
    }

    #[test]
    fn contexts_are_snapshots() {
        let mut contexts = Contexts::new();
        contexts.set("env", Value::from("before"));
        let snapshot = contexts.clone();
        contexts.set("ENV", Value::from("after"));
        assert_eq!(snapshot.get("env"), Some(&Value::from("before")));
        assert_eq!(contexts.iter().collect::<Vec<_>>(), [("env", &Value::from("after"))]);
    }
}
