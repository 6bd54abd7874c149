//! GitHub's expression language: the text between `${{` and `}}`, and conditions.
//!
//! [`Expr::parse`] turns text into a tree once. [`Expr::evaluate`] computes its value over an immutable [`Scope`], any
//! number of times. Evaluation reads no clock and no environment, and files only for `hashFiles`. [`Expr::explain`]
//! also records the value of every operand, so that a user sees why a condition was true or false. [`Expr::tree`] and
//! [`Expr::roots`] serve static checks.
//!
//! The reference is the C# implementation in `actions/runner` (`src/Sdk/DTExpressions2`), which GitHub itself uses.
//! This module keeps its messages and limits. Where it differs from the TypeScript package `@actions/expressions`, this
//! module follows C#, with one exception: like the package, it reports a wrong number of arguments at the function's
//! name.

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
pub use json::JsonError;
pub use node::{Comparison, ExprKind, ExprNode, Extent, Logical, Name, PathKey, Reference};
pub use object::Object;
pub use scope::{Contexts, HashFilesError, Host, NoFiles, Scope, Status};
pub use value::Value;

/// Maximum depth of an expression tree, in nodes (`ExpressionConstants.MaxDepth`).
pub const MAX_DEPTH: usize = 50;

/// Maximum length of an expression, in UTF-16 units (`ExpressionConstants.MaxLength`).
pub const MAX_LENGTH: usize = 21_000;

/// Maximum memory held by the values of one evaluation at a time, in bytes as the runner estimates them (`maxBytes` of
/// its templates).
pub const MAX_MEMORY: usize = 10 * 1024 * 1024;

/// The names that an expression may use, besides the functions of [`Function::BUILT_IN`].
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// Context names, compared without regard to case; `None` allows any name.
    pub contexts: Option<&'a [&'a str]>,
    /// The allowed functions of [`Function::EXTRA`].
    pub functions: &'a [Function],
    /// Whether `success` and `failure` accept job names, as in the condition of a job.
    pub jobs_named: bool,
}

impl Vocabulary<'_> {
    /// Every context and every function, so that only the syntax is checked.
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
    inner: Arc<Inner>,
}

struct Inner {
    text: String,
    /// Length in bytes of the text that GitHub's rule for conditions adds in front of the written text.
    prefix: usize,
    root: Option<ExprNode>,
}

impl Expr {
    /// Parses the text between `${{` and `}}`. If it is only whitespace, the value of the expression is null.
    ///
    /// # Errors
    /// Unknown names, wrong numbers of arguments, invalid symbols and exceeded limits, with GitHub's messages.
    pub fn parse(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, ParseError> {
        let root = parser::parse(text, vocabulary)?;
        Ok(Self { inner: Arc::new(Inner { text: text.to_owned(), prefix: 0, root }) })
    }

    /// Parses a condition. An empty condition becomes `success()`; a condition without a status function gets
    /// `success() &&` in front.
    ///
    /// # Errors
    /// Like [`Expr::parse`], with positions in `text`. A condition that exceeds a limit only because of the added
    /// `success()` is also an error.
    pub fn condition(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Self, ParseError> {
        const PREFIX: &str = "success() && (";
        let written = Self::parse(text, vocabulary)?;
        let (prefix, text) = match written.tree() {
            None => (0, "success()".to_owned()),
            Some(_) if written.calls_status_function() => return Ok(written),
            Some(_) => (PREFIX.len(), format!("{PREFIX}{text})")),
        };
        let functions = [vocabulary.functions, &[Function::Success]].concat();
        let root = parser::parse(&text, &Vocabulary { functions: &functions, ..*vocabulary })?;
        Ok(Self { inner: Arc::new(Inner { text, prefix, root }) })
    }

    /// Returns the text of the expression. For a condition, this includes what GitHub adds to it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Returns the number of bytes at the start of [`Expr::text`] that the user did not write. Extents count from the
    /// start of the text.
    #[must_use]
    pub fn prefix(&self) -> usize {
        self.inner.prefix
    }

    /// Returns the root of the tree; `None` for an empty expression.
    #[must_use]
    pub fn tree(&self) -> Option<&ExprNode> {
        self.inner.root.as_ref()
    }

    /// Computes the value over a snapshot of contexts.
    ///
    /// # Errors
    /// An invalid format string or JSON text, a `case` predicate that is not a boolean, files that cannot be read, or
    /// too much memory, with GitHub's messages.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        evaluate::evaluate(self, scope)
    }

    /// Computes the value and records the value of every operand. The explanation is not masked, so it may contain
    /// secrets.
    pub fn explain(&self, scope: &Scope<'_>) -> (Result<Value, EvalError>, Explanation) {
        explain::explain(self, scope)
    }

    /// Whether `success`, `failure`, `cancelled` or `always` is called anywhere.
    #[must_use]
    pub fn calls_status_function(&self) -> bool {
        let mut found = false;
        self.walk(&mut |node| {
            found |= matches!(&node.kind, ExprKind::Call { function, .. } if function.is_status());
        });
        found
    }

    /// Returns the contexts that the expression reads, each with the path read from it, in written order.
    #[must_use]
    pub fn roots(&self) -> Vec<Reference<'_>> {
        let mut found = Vec::new();
        if let Some(root) = self.tree() {
            root.references(&mut found);
        }
        found
    }

    /// Visits every node, parents before their operands.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a ExprNode)) {
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

/// Displays [`Expr::text`].
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
    fn a_condition_without_a_status_function_requires_success() {
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
            assert!(expr.calls_status_function());
        }
        let error = Expr::condition("nosuch.x", &STEP).unwrap_err();
        assert_eq!((error.symbol(), error.position()), ("nosuch", Some(1)));
        assert!(Expr::condition("true) || (true", &STEP).is_err());
    }

    #[test]
    fn a_condition_gets_success_even_where_the_function_is_not_allowed() {
        let vocabulary = Vocabulary { functions: &[], ..STEP };
        assert_eq!(Expr::condition("true", &vocabulary).unwrap().text(), "success() && (true)");
        assert!(Expr::condition("success()", &vocabulary).is_err());
    }

    #[test]
    fn names_are_case_insensitive() {
        assert!(Expr::parse("GitHub.ref == HASHFILES('x')", &STEP).is_ok());
        assert!(Expr::parse("env.x", &STEP).is_err());
        assert!(Expr::parse("env.x", &Vocabulary::ANY).is_ok());
        let pure = Vocabulary { functions: &[], ..STEP };
        assert_eq!(Expr::parse("always()", &pure).unwrap_err().kind, ParseErrorKind::UnrecognizedFunction);
    }

    #[test]
    fn roots_are_contexts_with_the_paths_read_from_them() {
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
                PathKey::Name(name, at) => format!("{name} {}", &text[at.start..at.end]),
                PathKey::Every => "*".to_owned(),
                PathKey::Computed(_) => "computed".to_owned(),
            })
            .collect();
        assert_eq!(keys, ["a a", "b 'b'", "*", "c c"]);
        assert!(matches!(roots[1].path[..], [PathKey::Computed(_)]));
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
