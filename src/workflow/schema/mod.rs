//! The grammar of workflows and action manifests as one table.
//!
//! A [`Schema`] says what may stand in a place: its shape and, with [`Schema::with`], which contexts and functions an
//! expression there may name. The files of this folder hold the table, one part each: [`workflow`] (the top level),
//! [`events`] (`on`), [`job`], [`step`] and [`action`]. Everything that needs to know the language reads this table:
//! the reader that checks and compiles a file, the messages about unknown keys, and the help.
//!
//! The table follows GitHub's documentation of the workflow syntax, of events and of metadata syntax, and agrees with
//! the parser that GitHub publishes where the documentation is silent.

pub mod action;
pub mod availability;
pub mod branding;
pub mod events;
pub mod job;
pub mod step;
pub mod workflow;

use availability::Availability;

/// What may stand in a place.
#[derive(Debug)]
pub struct Schema {
    /// What the place is called in messages: `job`, `step`, `services`.
    pub name: &'static str,
    /// The contexts and functions that expressions may name from here on downwards. `None`: those of the place around.
    pub availability: Option<&'static Availability>,
    /// The shape of what is written.
    pub shape: Shape,
    /// Whether one expression may stand for the whole. Only mappings ever forbid it.
    pub accepts_expression: bool,
    /// A key, and the values of it that say that this one of several alternatives is meant.
    pub selected_by: Option<(&'static str, &'static [&'static str])>,
}

/// The shapes of what may be written.
#[derive(Debug)]
pub enum Shape {
    /// Nothing, or an empty value.
    Nothing,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// Text. Numbers and booleans are read as their text.
    Text {
        /// Whether it may be empty.
        empty: bool,
        /// Whether a sequence of such texts may stand instead.
        many: bool,
    },
    /// One of these availability.
    Word {
        /// The availability.
        allowed: &'static [&'static str],
        /// Whether a sequence of such availability may stand instead.
        many: bool,
    },
    /// Text, a boolean or a number, with its type kept.
    Scalar,
    /// An expression, with or without `${{ }}` around it.
    Condition,
    /// A sequence whose items follow a schema.
    Sequence(&'static Schema),
    /// A mapping.
    Mapping(Fields),
    /// What any one of these schemas allows. Mappings are told apart by their keys.
    OneOf(&'static [&'static Schema]),
    /// Anything.
    Any,
}

/// The keys of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// The keys with a meaning.
    pub known: &'static [Field],
    /// What stands under any other key. `None`: there may be no other.
    pub others: Option<&'static Schema>,
    /// Whether the whole mapping may be left empty.
    pub optional: bool,
}

/// A key with a meaning.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What stands under it.
    pub schema: &'static Schema,
    /// Whether it must be there.
    pub required: bool,
}

impl Schema {
    const fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, availability: None, shape, accepts_expression: true, selected_by: None }
    }

    /// The same schema where expressions may name these contexts and functions.
    #[must_use]
    pub const fn with(self, availability: &'static Availability) -> Self {
        Self { availability: Some(availability), ..self }
    }

    /// The same schema, but an expression cannot stand for the whole.
    #[must_use]
    pub const fn without_expression(self) -> Self {
        Self { accepts_expression: false, ..self }
    }

    /// The same schema, the alternative that is meant where the key has one of these values.
    #[must_use]
    pub const fn selected_by(self, key: &'static str, values: &'static [&'static str]) -> Self {
        Self { selected_by: Some((key, values)), ..self }
    }

    /// The schemas of this one's alternatives; itself when it has none.
    pub fn alternatives(&'static self) -> Vec<&'static Schema> {
        match self.shape {
            Shape::OneOf(schemas) => schemas.iter().flat_map(|schema| schema.alternatives()).collect(),
            _ => vec![self],
        }
    }
}

const fn field(name: &'static str, schema: &'static Schema) -> Field {
    Field { name, schema, required: false }
}

const fn required(name: &'static str, schema: &'static Schema) -> Field {
    Field { name, schema, required: true }
}

/// A mapping with these keys and no others.
const fn mapping(name: &'static str, known: &'static [Field]) -> Schema {
    Schema::new(name, Shape::Mapping(Fields { known, others: None, optional: false }))
}

/// A mapping with these keys and no others, or nothing.
const fn optional_mapping(name: &'static str, known: &'static [Field]) -> Schema {
    Schema::new(name, Shape::Mapping(Fields { known, others: None, optional: true }))
}

/// A mapping whose keys are names that the author chooses.
const fn names(name: &'static str, others: &'static Schema) -> Schema {
    Schema::new(name, Shape::Mapping(Fields { known: &[], others: Some(others), optional: false }))
}

const fn sequence(name: &'static str, item: &'static Schema) -> Schema {
    Schema::new(name, Shape::Sequence(item))
}

const fn one_of(name: &'static str, schemas: &'static [&'static Schema]) -> Schema {
    Schema::new(name, Shape::OneOf(schemas))
}

const fn text(name: &'static str) -> Schema {
    Schema::new(name, Shape::Text { empty: true, many: false })
}

const fn non_empty(name: &'static str) -> Schema {
    Schema::new(name, Shape::Text { empty: false, many: false })
}

/// Text, or a sequence of texts; none of them empty.
const fn list(name: &'static str) -> Schema {
    Schema::new(name, Shape::Text { empty: false, many: true })
}

const fn word(name: &'static str, allowed: &'static [&'static str]) -> Schema {
    Schema::new(name, Shape::Word { allowed, many: false })
}

const fn boolean(name: &'static str) -> Schema {
    Schema::new(name, Shape::Bool)
}

const fn number(name: &'static str) -> Schema {
    Schema::new(name, Shape::Number)
}

const fn scalar(name: &'static str) -> Schema {
    Schema::new(name, Shape::Scalar)
}

const fn condition(name: &'static str) -> Schema {
    Schema::new(name, Shape::Condition)
}

/// Anything at all.
pub static ANY: Schema = Schema::new("value", Shape::Any);

static DESCRIPTION: Schema = text("description");
static FLAG: Schema = boolean("flag");
static NON_EMPTY: Schema = non_empty("value");
static NON_EMPTY_ITEMS: Schema = sequence("list", &NON_EMPTY);

/// Names that a mistyped one is compared with: more of them would cost more than the hint is worth.
const MOST_COMPARED: usize = 200;

/// The name nearest to a mistyped one, if one is near enough to be meant.
#[must_use]
pub fn nearest<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let written = written.to_ascii_lowercase();
    let length = written.chars().count();
    names
        .into_iter()
        .take(MOST_COMPARED)
        .filter(|name| name.len().abs_diff(length) <= 1 + length.min(name.len()))
        .map(|name| (distance(&written, &name.to_ascii_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + length.min(name.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many single edits (insert, remove, replace, swap of neighbours) lead from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().take(64).collect());
    let mut before = vec![0; to.len() + 1];
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let same = from[i - 1] == to[j - 1];
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_its_neighbour() {
        let names = ["runs-on", "steps", "strategy", "needs"];
        for (written, meant) in [("run-on", "runs-on"), ("setps", "steps"), ("STRATEGY", "strategy"), ("need", "needs")]
        {
            assert_eq!(nearest(written, names), Some(meant));
        }
        assert_eq!(nearest("container", names), None);
        assert_eq!(nearest("", names), None);
    }
}
