//! YAML as GitHub reads it: text → a tree of [`YamlNode`]s that know where they stand.
//!
//! The parser gives events; this module builds the tree, expands aliases under a budget, limits depth, and types plain
//! scalars after the YAML 1.2 core schema. Everything that GitHub's reader would refuse in the text itself (tabs as
//! indentation, unknown anchors, a second document) becomes a [`Problem`]; what the words *mean* is decided later, by
//! the schema. Duplicate keys are found there too, as GitHub compares keys without regard to case.

mod build;
mod scalar;

use std::borrow::Cow;

use super::source::Span;

pub use build::{Document, read};

/// Deepest nesting of a document, aliases expanded. GitHub stops at 50 levels of its own objects; this leaves room
/// for the wrapping that a file needs around them.
pub const MAX_DEPTH: usize = 100;

/// How many nodes all aliases of a file together may add. An alias is charged the whole size of its anchor, so a small
/// file cannot grow beyond this.
pub const MAX_ALIASED_NODES: usize = 20_000;

/// Longest text that is read, in bytes. GitHub refuses workflow files beyond 512 KiB long before.
pub const MAX_BYTES: usize = 64 << 20;

/// A node of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct YamlNode<'s> {
    /// Where it stands. Nodes that came from an alias keep the place of the anchor's content.
    pub span: Span,
    /// What it is.
    pub kind: YamlKind<'s>,
}

/// The shapes of a [`YamlNode`].
#[derive(Clone, Debug, PartialEq)]
pub enum YamlKind<'s> {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false` in one of the three spellings of YAML 1.2.
    Bool(bool),
    /// A number and how it was written.
    Number(f64, Cow<'s, str>),
    /// Text, and how it was written.
    Text(Cow<'s, str>, TextStyle),
    /// A sequence.
    Sequence(Vec<YamlNode<'s>>),
    /// Keys and values in file order; a key may stand there twice.
    Mapping(Vec<(YamlNode<'s>, YamlNode<'s>)>),
}

/// How text was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextStyle {
    /// Without quotes.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// A block after `|` or `>`.
    Block,
}

/// Why a text is not a YAML document that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl YamlNode<'_> {
    /// A word for what the node is.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            YamlKind::Null => "nothing",
            YamlKind::Bool(_) => "a boolean",
            YamlKind::Number(..) => "a number",
            YamlKind::Text(..) => "a string",
            YamlKind::Sequence(_) => "a sequence",
            YamlKind::Mapping(_) => "a mapping",
        }
    }
}
