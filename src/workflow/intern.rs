//! Deduplicates compiled expressions and keys within one file.

use std::collections::HashMap;
use std::sync::Arc;

use super::expr::{Expr, Function, ParseError, Vocabulary};
use super::schema::availability::Availability;

/// Compiled expressions, by text, availability and whether they are conditions; and known keys.
#[derive(Default)]
pub(super) struct Interner {
    expressions: HashMap<String, Vec<(&'static Availability, bool, Expr)>>,
    keys: HashMap<&'static str, Arc<str>>,
}

impl Interner {
    /// Compiles an expression or a condition. Returns the existing one if the same text was compiled for the same
    /// availability before.
    pub(super) fn expression(
        &mut self,
        text: &str,
        availability: &'static Availability,
        condition: bool,
    ) -> Result<Expr, ParseError> {
        let known = self.expressions.get(text).into_iter().flatten();
        let same = |(of, kind, _): &&(&'static Availability, bool, Expr)| {
            std::ptr::eq(*of, availability) && *kind == condition
        };
        if let Some((.., expr)) = known.into_iter().find(same) {
            return Ok(expr.clone());
        }
        let vocabulary = vocabulary(availability);
        let expr = if condition { Expr::condition(text, &vocabulary) } else { Expr::parse(text, &vocabulary) }?;
        self.expressions.entry(text.to_owned()).or_default().push((availability, condition, expr.clone()));
        Ok(expr)
    }

    /// Returns a known key as shared text.
    pub(super) fn key(&mut self, name: &'static str) -> Arc<str> {
        Arc::clone(self.keys.entry(name).or_insert_with(|| Arc::from(name)))
    }
}

fn vocabulary(availability: &Availability) -> Vocabulary<'_> {
    // Only the `if` of a job accepts job names. It is the only availability with status functions and without `env`.
    let jobs_named = availability.functions.contains(&Function::Success) && !availability.contexts.contains(&"env");
    Vocabulary { contexts: Some(availability.contexts), functions: availability.functions, jobs_named }
}
