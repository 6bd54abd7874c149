//! The syntax tree of an expression, for the evaluator and for whoever checks or explains expressions.

use super::functions::Function;
use super::value::Value;

/// A stretch of an expression's text: byte offsets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Extent {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A part of an expression.
///
/// Parentheses leave no node; they show only in the extents of what is around them. A tree is never deeper than
/// [`MAX_DEPTH`](super::MAX_DEPTH), so it can be walked recursively.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Where it stands, without parentheses around it. No two nodes of a tree have the same extent.
    pub extent: Extent,
    /// What it is.
    pub kind: NodeKind,
}

/// What a [`Node`] is.
#[derive(Clone, PartialEq, Debug)]
pub enum NodeKind {
    /// `null`, a truth value, a number or text.
    Literal(Value),
    /// A context such as `github`.
    Context(Name),
    /// `object.name`
    Property {
        /// What the property is taken of.
        object: Box<Node>,
        /// Its name.
        name: Name,
    },
    /// `object[index]`
    Index {
        /// What is indexed.
        object: Box<Node>,
        /// The position in a sequence or the name in an object.
        index: Box<Node>,
    },
    /// `object.*` or `object[*]`: all values of an object or a sequence, to each of which what follows is applied.
    Filter {
        /// What the values are taken of.
        object: Box<Node>,
    },
    /// `function(argument, …)`, with a number of arguments that the function takes.
    Call {
        /// Which function.
        function: Function,
        /// The name as written.
        name: Name,
        /// In order.
        arguments: Vec<Node>,
    },
    /// `!operand`
    Not(Box<Node>),
    /// `left == right` and the other comparisons.
    Compare {
        /// Which one.
        operator: Comparison,
        /// The left operand.
        left: Box<Node>,
        /// The right operand.
        right: Box<Node>,
    },
    /// `a && b && …` or `a || b || …`: the first operand that decides, else the last.
    Logical {
        /// Which of the two.
        operator: Logical,
        /// At least two; none of them is a chain of the same operator.
        operands: Vec<Node>,
    },
}

/// A name as written, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name. Names mean the same in any case.
    pub text: String,
    /// Where it stands.
    pub extent: Extent,
}

/// The operators that compare two values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// How it is written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// The operators that look at truth and stop at the operand that decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logical {
    /// `&&`: a falsy operand decides.
    And,
    /// `||`: a truthy operand decides.
    Or,
}

impl Node {
    /// The operands, in the order in which they are written.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            NodeKind::Literal(_) | NodeKind::Context(_) => Vec::new(),
            NodeKind::Property { object, .. } | NodeKind::Filter { object } => vec![object],
            NodeKind::Index { object, index } => vec![object, index],
            NodeKind::Not(operand) => vec![operand],
            NodeKind::Compare { left, right, .. } => vec![left, right],
            NodeKind::Call { arguments: operands, .. } | NodeKind::Logical { operands, .. } => {
                operands.iter().collect()
            }
        }
    }

    /// This node and everything below it, each node before its operands.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}

/// One context with the properties that are read of it, as in `steps.build.outputs['path']`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reference<'a> {
    /// The context's name, as written.
    pub context: &'a Name,
    /// What is read of it, outermost first.
    pub path: Vec<Key<'a>>,
    /// Where the whole stands.
    pub extent: Extent,
}

/// One step of a [`Reference`]'s path.
#[derive(Clone, PartialEq, Debug)]
pub enum Key<'a> {
    /// `.name`, or `['name']` with the extent of the literal.
    Name(&'a str, Extent),
    /// `.*` or `[*]`
    Every,
    /// An index that is not a text literal.
    Computed(&'a Node),
}

impl<'a> Reference<'a> {
    /// Whether this is the first name that is read of the context.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        matches!(self.path.first(), Some(Key::Name(first, _)) if first.eq_ignore_ascii_case(name))
    }

    /// The indexes in the path that are computed.
    pub fn computed(&self) -> impl Iterator<Item = &'a Node> {
        self.path.iter().filter_map(|key| if let Key::Computed(index) = key { Some(*index) } else { None })
    }
}

impl Node {
    /// The context and the path that this node reads, if it is a context or properties of one.
    #[must_use]
    pub fn reference(&self) -> Option<Reference<'_>> {
        let (object, key) = match &self.kind {
            NodeKind::Context(context) => {
                return Some(Reference { context, path: Vec::new(), extent: self.extent });
            }
            NodeKind::Property { object, name } => (object, Key::Name(&name.text, name.extent)),
            NodeKind::Filter { object } => (object, Key::Every),
            NodeKind::Index { object, index } => match &index.kind {
                NodeKind::Literal(Value::String(name)) => (object, Key::Name(name, index.extent)),
                _ => (object, Key::Computed(index)),
            },
            _ => return None,
        };
        let mut reference = object.reference()?;
        reference.path.push(key);
        reference.extent = self.extent;
        Some(reference)
    }

    /// The references below and including this node, each as long as it can be, in the order in which they are written.
    pub(super) fn references<'a>(&'a self, found: &mut Vec<Reference<'a>>) {
        let Some(reference) = self.reference() else {
            for child in self.children() {
                child.references(found);
            }
            return;
        };
        let computed: Vec<_> = reference.computed().collect();
        found.push(reference);
        for index in computed {
            index.references(found);
        }
    }
}
