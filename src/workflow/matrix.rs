//! `strategy`: which legs a job has.
//!
//! The product of the vectors in file order, the last one fastest; combinations that an `exclude` matches are left out;
//! an `include` adds its other keys to every original combination that it agrees with, and becomes a leg of its own
//! when it agrees with none. The rules are those of actions/runner (`MatrixBuilder`).

use super::expr::{Object, Scope, Value};
use super::source::Span;
use super::syntax::Strategy;
use super::template::{Template, TemplateError, TemplateKind};

/// GitHub allows this many legs per job and run.
pub const MAX_LEGS: usize = 256;

/// Why a matrix has no legs.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct MatrixError {
    /// Where in the file.
    pub span: Span,
    /// What is wrong.
    pub message: String,
}

impl From<TemplateError> for MatrixError {
    fn from(error: TemplateError) -> Self {
        Self { span: error.span, message: error.to_string() }
    }
}

/// A job's legs.
#[derive(Clone, Debug, PartialEq)]
pub struct Legs {
    /// `fail-fast`; true unless switched off.
    pub fail_fast: bool,
    /// `max-parallel`.
    pub max_parallel: Option<usize>,
    /// In order. One leg without a matrix when the job has none.
    pub legs: Vec<Leg>,
}

/// One leg.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// The `matrix` context: an object, or null without a matrix.
    pub matrix: Value,
    /// What the default name has behind it: ` (a, b)`, or nothing.
    pub suffix: String,
}

/// Works out the legs over a scope that knows `github`, `inputs`, `vars` and `needs`.
///
/// # Errors
/// An expression without a value, or a matrix that GitHub refuses, with its place.
pub fn expand(strategy: Option<&Strategy>, scope: &Scope<'_>) -> Result<Legs, MatrixError> {
    let Some(strategy) = strategy else { return Ok(Legs::single()) };
    let fail_fast = strategy.fail_fast.as_ref().map(|value| value.evaluate(scope)).transpose()?;
    let max_parallel = strategy.max_parallel.as_ref().map(|value| value.evaluate(scope)).transpose()?;
    let legs = match &strategy.matrix {
        None => Legs::single().legs,
        Some(matrix) => combinations(matrix, scope)?,
    };
    Ok(Legs {
        fail_fast: fail_fast.is_none_or(|value| value.is_truthy()),
        max_parallel: max_parallel.map(|value| value.to_number()).filter(|most| *most >= 1.0).map(|most| most as usize),
        legs,
    })
}

impl Legs {
    fn single() -> Self {
        let leg = Leg { matrix: Value::Null, suffix: String::new() };
        Self { fail_fast: true, max_parallel: None, legs: vec![leg] }
    }
}

/// A combination with the keys that make its name.
#[derive(Clone)]
struct Combination {
    original: Vec<(String, Value)>,
    added: Vec<(String, Value)>,
}

fn combinations(matrix: &Template, scope: &Scope<'_>) -> Result<Vec<Leg>, MatrixError> {
    let refuse = |span: Span, message: String| MatrixError { span, message };
    let value = matrix.evaluate(scope)?;
    let Value::Object(object) = &value else {
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
                return Err(refuse(place(key), format!("the matrix vector `{key}` has no values")));
            }
            Value::Array(items) => vectors.push((key.to_owned(), items.to_vec())),
            other => {
                return Err(refuse(
                    place(key),
                    format!("the matrix vector `{key}` must be a sequence, not {}", other.kind()),
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
    // Exclusions can bring a large product back under the limit, but not one that no machine should build.
    if size > MAX_LEGS * 64 {
        return Err(refuse(matrix.span, format!("the matrix has {size} combinations; at most {MAX_LEGS} are allowed")));
    }
    let excludes = filters("exclude");
    for exclude in &excludes {
        if let Some(unknown) = keys(exclude).find(|key| !vectors.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)))
        {
            return Err(refuse(
                place("exclude"),
                format!("`exclude` names `{unknown}`, which is no key of the matrix"),
            ));
        }
    }
    let mut combinations = product(&vectors);
    combinations.retain(|combination| !excludes.iter().any(|exclude| excluded(&combination.original, exclude)));
    let mut standing_alone = Vec::new();
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
            standing_alone.push(Combination { original: own, added: Vec::new() });
        }
    }
    combinations.extend(standing_alone);
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

/// Nothing at all for a matrix without vectors: its legs are its includes.
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

/// Whether every leaf that the filter names is loosely equal in the combination.
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
