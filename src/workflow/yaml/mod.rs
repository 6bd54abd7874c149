//! YAML as GitHub reads it: text → a tree of [`Node`]s that know where they stand.
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
pub struct Node<'s> {
    /// Where it stands. Nodes that came from an alias keep the place of the anchor's content.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind<'s>,
}

/// The shapes of a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind<'s> {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false` in one of the three spellings of YAML 1.2.
    Bool(bool),
    /// A number and how it was written.
    Number(f64, Cow<'s, str>),
    /// Text, and how it was written.
    Text(Cow<'s, str>, Style),
    /// A sequence.
    Sequence(Vec<Node<'s>>),
    /// Keys and values in file order; a key may stand there twice.
    Mapping(Vec<(Node<'s>, Node<'s>)>),
}

/// How text was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
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

impl Node<'_> {
    /// A word for what the node is.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Number(..) => "a number",
            NodeKind::Text(..) => "a string",
            NodeKind::Sequence(_) => "a sequence",
            NodeKind::Mapping(_) => "a mapping",
        }
    }
}
