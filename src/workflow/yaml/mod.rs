//! YAML as GitHub reads it: turns text into a tree of [`YamlNode`]s with positions.
//!
//! The parser emits events; this module builds the tree, expands aliases within a budget, limits the depth, and types
//! plain scalars by the YAML 1.2 core schema. Errors of the text itself (tabs as indentation, unknown anchors, a second
//! document) become a [`Problem`]. The workflow schema is checked later, and so are duplicate keys, because GitHub
//! compares keys without regard to case.

mod build;
mod flow_end;
mod scalar;

use std::borrow::Cow;

use super::source::Span;

pub use build::{Document, read};

/// Maximum nesting of a document, in levels with aliases expanded. GitHub's limit of 50 levels applies to parts of a
/// file; the other levels are for the mappings and sequences around these parts.
pub const MAX_DEPTH: usize = 100;

/// Maximum number of nodes that all aliases of a file may add. Each alias counts as many nodes as its anchor has, so
/// that a small file cannot expand without bound.
pub const MAX_ALIASED_NODES: usize = 20_000;

/// Maximum size of a text, in bytes. GitHub already rejects workflow files of more than 512 KiB.
pub const MAX_BYTES: usize = 64 << 20;

/// A node of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct YamlNode<'s> {
    /// Span of the node. A node from an alias keeps the span of the anchored node.
    pub span: Span,
    /// Kind and content.
    pub kind: YamlKind<'s>,
}

/// Kind of a [`YamlNode`].
#[derive(Clone, Debug, PartialEq)]
pub enum YamlKind<'s> {
    /// `null`, `~` or an empty value.
    Null,
    /// `true` or `false` in one of the three spellings of YAML 1.2.
    Bool(bool),
    /// A number, with the text as written.
    Number(f64, Cow<'s, str>),
    /// A string and its style.
    Text(Cow<'s, str>, TextStyle),
    /// A sequence.
    Sequence(Vec<YamlNode<'s>>),
    /// Keys and values in file order, possibly with duplicate keys.
    Mapping(Vec<(YamlNode<'s>, YamlNode<'s>)>),
}

/// Style of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextStyle {
    /// Without quotes.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// A block after `|` or `>`.
    Block,
    /// The text of `${{ '…' }}`, which is not searched for expressions again.
    Literal,
}

/// An error while reading a YAML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Position in the text.
    pub span: Span,
    /// The problem, in one line.
    pub message: String,
    /// How to fix the problem, in one line; `None` if there is nothing to add to the message.
    pub hint: Option<String>,
}

impl YamlNode<'_> {
    /// Copies the text of the node and all nodes below it.
    fn into_owned(self) -> YamlNode<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let kind = match self.kind {
            YamlKind::Null => YamlKind::Null,
            YamlKind::Bool(value) => YamlKind::Bool(value),
            YamlKind::Number(value, text) => YamlKind::Number(value, owned(text)),
            YamlKind::Text(text, style) => YamlKind::Text(owned(text), style),
            YamlKind::Sequence(items) => YamlKind::Sequence(items.into_iter().map(YamlNode::into_owned).collect()),
            YamlKind::Mapping(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned()));
                YamlKind::Mapping(entries.collect())
            }
        };
        YamlNode { span: self.span, kind }
    }

    /// Returns the name of the kind for messages, with an article.
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
