//! The grammar of workflows and action manifests as one table.
//!
//! A [`Schema`] describes a value: its shape and, with [`Schema::with`], the contexts and functions that are available
//! in expressions. Each file of this folder has one part of the table: [`workflow`] (the top level), [`events`] (`on`),
//! [`job`], [`step`] and [`action`]. Elaboration, hints about unknown keys, and lint all use this table.
//!
//! The table follows GitHub's documentation of the workflow syntax, of events and of the metadata syntax, and GitHub's
//! published parser where the documentation is silent.

pub mod action;
pub mod availability;
pub mod branding;
pub mod events;
pub mod job;
pub mod step;
pub mod workflow;

use availability::Availability;

/// Schema of a value.
#[derive(Debug)]
pub struct Schema {
    /// Name for messages: `job`, `step`, `services`.
    pub name: &'static str,
    /// Contexts and functions available in this value and below; `None` to use those of the enclosing value.
    pub availability: Option<&'static Availability>,
    /// Shape of the value.
    pub shape: Shape,
    /// Whether a single expression may replace the whole value. Only mappings can forbid this.
    pub accepts_expression: bool,
    /// A key and those of its values that select this schema among several alternatives; `None` if the keys alone
    /// decide.
    pub selected_by: Option<(&'static str, &'static [&'static str])>,
}

/// Shape of a value.
#[derive(Debug)]
pub enum Shape {
    /// An empty value.
    Nothing,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string. Numbers and booleans are accepted as text.
    Text {
        /// Whether the string may be empty.
        empty: bool,
        /// Whether a sequence of strings is also allowed.
        many: bool,
    },
    /// One of several words.
    Word {
        /// The allowed words.
        allowed: &'static [&'static str],
        /// Whether a sequence of words is also allowed.
        many: bool,
    },
    /// A string, a boolean or a number, whose type is kept.
    Scalar,
    /// An expression, with or without `${{ }}` around it.
    Condition,
    /// A sequence with the schema of its items.
    Sequence(&'static Schema),
    /// A mapping.
    Mapping(Fields),
    /// One of several alternatives. The form of the value and, for a mapping, its keys decide which one applies.
    OneOf(&'static [&'static Schema]),
    /// Any value.
    Any,
}

/// Keys of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// Known keys.
    pub known: &'static [Field],
    /// Schema of all other keys; `None` if other keys are not allowed.
    pub others: Option<&'static Schema>,
    /// Whether the mapping may be empty.
    pub optional: bool,
}

/// A known key of a mapping.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// Schema of the value.
    pub schema: &'static Schema,
    /// Whether the key is required.
    pub required: bool,
}

impl Schema {
    const fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, availability: None, shape, accepts_expression: true, selected_by: None }
    }

    /// Sets the contexts and functions that are available in expressions.
    #[must_use]
    pub const fn with(self, availability: &'static Availability) -> Self {
        Self { availability: Some(availability), ..self }
    }

    /// Forbids a single expression in place of the whole value.
    #[must_use]
    pub const fn without_expression(self) -> Self {
        Self { accepts_expression: false, ..self }
    }

    /// Selects this alternative if `key` has one of `values`.
    #[must_use]
    pub const fn selected_by(self, key: &'static str, values: &'static [&'static str]) -> Self {
        Self { selected_by: Some((key, values)), ..self }
    }

    /// Returns the alternatives of this schema, nested ones included; the schema itself if it has none.
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

/// Returns the schema of a mapping that has only known keys.
const fn mapping(name: &'static str, known: &'static [Field]) -> Schema {
    Schema::new(name, Shape::Mapping(Fields { known, others: None, optional: false }))
}

/// Returns the schema of a mapping that has only known keys, or of an empty value.
const fn optional_mapping(name: &'static str, known: &'static [Field]) -> Schema {
    Schema::new(name, Shape::Mapping(Fields { known, others: None, optional: true }))
}

/// Returns the schema of a mapping with user-defined names as keys.
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

/// Returns the schema of a non-empty string, or of a sequence of such strings.
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

/// Any value.
pub static ANY: Schema = Schema::new("value", Shape::Any);

static DESCRIPTION: Schema = text("description");
static FLAG: Schema = boolean("flag");
static NON_EMPTY: Schema = non_empty("value");
static NON_EMPTY_ITEMS: Schema = sequence("list", &NON_EMPTY);
