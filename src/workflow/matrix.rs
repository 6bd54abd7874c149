//! Expands `strategy` into the legs of a matrix job.
//!
//! The legs are the product of the matrix keys in file order, with the last key varying fastest, without the
//! combinations that an `exclude` matches. An `include` adds its keys that are not matrix keys to every original
//! combination that it matches, and becomes a separate leg if it matches none. The algorithm follows `MatrixBuilder` of
//! actions/runner.

use super::expr::{Object, Scope, Value};
use super::source::Span;
use super::syntax::Strategy;
use super::template::{Template, TemplateError, TemplateKind};

/// Maximum number of legs of a job, as on GitHub.
pub const MAX_LEGS: usize = 256;

/// Maximum length in bytes of a value in the name of a leg. The whole name is later truncated to fewer characters.
const MAX_LEAF_BYTES: usize = 1000;

/// An error while expanding a matrix.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct MatrixError {
    /// Position in the file.
    pub span: Span,
    /// The problem, in one line.
    pub message: String,
}

impl From<TemplateError> for MatrixError {
    fn from(error: TemplateError) -> Self {
        Self { span: error.span, message: error.to_string() }
    }
}

/// An expanded `strategy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Legs {
    /// `fail-fast`; true by default.
    pub fail_fast: bool,
    /// `max-parallel`; `None` if the number of legs that run at a time is not limited.
    pub max_parallel: Option<usize>,
    /// Legs in order; a single one if the job has no matrix.
    pub legs: Vec<Leg>,
}

/// A leg: an instance of a job with one combination of matrix values.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// The `matrix` context: an object, or null without a matrix.
    pub matrix: Value,
    /// Suffix of the default name: ` (a, b)`, or empty.
    pub suffix: String,
}

/// Expands a strategy. `scope` must contain the contexts `github`, `inputs`, `vars` and `needs`.
///
/// # Errors
/// An expression cannot be evaluated, or the matrix is invalid.
pub fn expand(strategy: Option<&Strategy>, scope: &Scope<'_>) -> Result<Legs, MatrixError> {
    let Some(strategy) = strategy else { return Ok(Legs::single()) };
    let evaluate = |value: &Option<Template>| value.as_ref().map(|value| value.evaluate(scope)).transpose();
    let (fail_fast, max_parallel, legs) = match strategy {
        Strategy::Written { matrix, fail_fast, max_parallel } => {
            let legs = matrix.as_ref().map(|matrix| combinations(&matrix.evaluate(scope)?, matrix)).transpose()?;
            (evaluate(fail_fast)?, evaluate(max_parallel)?, legs)
        }
        Strategy::Computed(whole) => {
            let keys = whole.mapping(scope)?;
            let legs = keys.get("matrix").map(|matrix| combinations(matrix, whole)).transpose()?;
            (keys.get("fail-fast").cloned(), keys.get("max-parallel").cloned(), legs)
        }
    };
    Ok(Legs {
        fail_fast: fail_fast.is_none_or(|value| value.is_truthy()),
        max_parallel: max_parallel.map(|value| value.to_number()).filter(|most| *most >= 1.0).map(|most| most as usize),
        legs: legs.unwrap_or_else(|| Legs::single().legs),
    })
}

impl Legs {
    /// Returns the `strategy` context of a leg.
    #[must_use]
    pub fn strategy(&self, index: usize) -> Value {
        let number = |count: usize| Value::Number(count as f64);
        let total = self.legs.len();
        let entries = [
            ("fail-fast".to_owned(), Value::Bool(self.fail_fast)),
            ("job-index".to_owned(), number(index)),
            ("job-total".to_owned(), number(total)),
            ("max-parallel".to_owned(), number(self.max_parallel.unwrap_or(total))),
        ];
        Value::object(entries.into_iter().collect())
    }

    fn single() -> Self {
        let leg = Leg { matrix: Value::Null, suffix: String::new() };
        Self { fail_fast: true, max_parallel: None, legs: vec![leg] }
    }
}

/// A combination of matrix values: the original ones, which appear in the name of the leg, and those added by
/// `include`.
#[derive(Clone)]
struct Combination {
    original: Vec<(String, Value)>,
    added: Vec<(String, Value)>,
}

/// Expands the value of a matrix. `matrix` is the template of the value, which provides the positions of errors.
fn combinations(value: &Value, matrix: &Template) -> Result<Vec<Leg>, MatrixError> {
    let refuse = |span: Span, message: String| MatrixError { span, message };
    let Value::Object(object) = value else {
        return Err(refuse(matrix.span, format!("the matrix must be a mapping, not {}", value.kind())));
    };
    let place = |key: &str| match &matrix.kind {
        TemplateKind::Mapping(entries) => {
            entries.iter().find(|(name, _)| name.literal() == Some(key)).map_or(matrix.span, |(_, value)| value.span)
        }
        _ => matrix.span,
    };
    let mut vectors: Vec<(String, Vec<Value>)> = Vec::new();
    for (key, value) in object.iter().filter(|(key, _)| !is_filter(key)) {
        match value {
            Value::Array(items) if items.is_empty() => {
                return Err(refuse(place(key), format!("the matrix key `{key}` has no values")));
            }
            Value::Array(items) => vectors.push((key.to_owned(), items.to_vec())),
            other => {
                return Err(refuse(
                    place(key),
                    format!("the matrix key `{key}` must be a sequence, not {}", other.kind()),
                ));
            }
        }
    }
    let filters = |name: &str| -> Vec<Value> {
        match object.get(name) {
            Some(Value::Array(items)) => items.to_vec(),
            _ => Vec::new(),
        }
    };
    let size = vectors.iter().map(|(_, values)| values.len()).fold(1, usize::saturating_mul);
    // This limit bounds the memory of the product itself. It is higher than the maximum number of legs, because
    // `exclude` can bring the product back under that number.
    if size > MAX_LEGS * 64 {
        return Err(refuse(matrix.span, format!("the matrix has {size} combinations; at most {MAX_LEGS} are allowed")));
    }
    let excludes = filters("exclude");
    for exclude in &excludes {
        if let Some(unknown) = keys(exclude).find(|key| !vectors.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)))
        {
            return Err(refuse(place("exclude"), format!("unknown matrix key `{unknown}` in `exclude`")));
        }
    }
    let mut combinations = product(&vectors);
    combinations.retain(|combination| !excludes.iter().any(|exclude| excluded(&combination.original, exclude)));
    let mut separate = Vec::new();
    for include in filters("include") {
        let Value::Object(include) = &include else { continue };
        let is_vector = |key: &str| vectors.iter().any(|(name, _)| name.eq_ignore_ascii_case(key));
        let mut agreed = false;
        for combination in &mut combinations {
            let agrees = include.iter().filter(|(key, _)| is_vector(key)).all(|(key, value)| {
                combination.original.iter().any(|(name, own)| name.eq_ignore_ascii_case(key) && matches(own, value))
            });
            if agrees {
                agreed = true;
                for (key, value) in include.iter().filter(|(key, _)| !is_vector(key)) {
                    combination.added.retain(|(name, _)| !name.eq_ignore_ascii_case(key));
                    combination.added.push((key.to_owned(), value.clone()));
                }
            }
        }
        if !agreed {
            let own = include.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
            separate.push(Combination { original: own, added: Vec::new() });
        }
    }
    combinations.extend(separate);
    if combinations.len() > MAX_LEGS {
        return Err(refuse(
            matrix.span,
            format!("the matrix has {} legs; at most {MAX_LEGS} are allowed", combinations.len()),
        ));
    }
    Ok(combinations.into_iter().map(Combination::leg).collect())
}

fn is_filter(key: &str) -> bool {
    key.eq_ignore_ascii_case("include") || key.eq_ignore_ascii_case("exclude")
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    let object = match value {
        Value::Object(object) => Some(object),
        _ => None,
    };
    object.into_iter().flat_map(|object| object.iter().map(|(key, _)| key))
}

/// Returns all combinations of the values of the keys. Empty for a matrix that has only `include`.
fn product(vectors: &[(String, Vec<Value>)]) -> Vec<Combination> {
    if vectors.is_empty() {
        return Vec::new();
    }
    let mut rows: Vec<Vec<(String, Value)>> = vec![Vec::new()];
    for (key, values) in vectors {
        let longer = rows.iter().flat_map(|row| {
            values.iter().map(move |value| {
                let mut row = row.clone();
                row.push((key.clone(), value.clone()));
                row
            })
        });
        rows = longer.collect();
    }
    rows.into_iter().map(|original| Combination { original, added: Vec::new() }).collect()
}

/// Whether each value in `exclude` matches the value of the same key in the combination. An empty `exclude` matches no
/// combination.
fn excluded(combination: &[(String, Value)], exclude: &Value) -> bool {
    let Value::Object(exclude) = exclude else { return false };
    !exclude.is_empty()
        && exclude.iter().all(|(key, value)| {
            combination.iter().any(|(name, own)| name.eq_ignore_ascii_case(key) && matches(own, value))
        })
}

fn matches(own: &Value, wanted: &Value) -> bool {
    match (own, wanted) {
        (Value::Object(own), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| own.get(key).is_some_and(|own| matches(own, value)))
        }
        (Value::Array(own), Value::Array(wanted)) => {
            own.len() == wanted.len() && own.iter().zip(wanted.iter()).all(|(own, wanted)| matches(own, wanted))
        }
        _ => own.loosely_equals(wanted),
    }
}

impl Combination {
    fn leg(self) -> Leg {
        let mut leaves = Vec::new();
        self.original.iter().for_each(|(_, value)| scalars(value, &mut leaves));
        leaves.retain(|leaf| !leaf.is_empty());
        // A display name shows only the beginning of a value.
        for leaf in &mut leaves {
            leaf.truncate(leaf.floor_char_boundary(MAX_LEAF_BYTES));
        }
        let suffix = if leaves.is_empty() { String::new() } else { format!(" ({})", leaves.join(", ")) };
        let matrix: Object = self.original.into_iter().chain(self.added).collect();
        Leg { matrix: Value::object(matrix), suffix }
    }
}

fn scalars(value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| scalars(item, leaves)),
        Value::Object(object) => object.iter().for_each(|(_, value)| scalars(value, leaves)),
        scalar => leaves.push(scalar.to_text()),
    }
}
