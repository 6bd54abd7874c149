//! The syntax tree of an expression, for evaluation, static checks and explanations.

use super::functions::Function;
use super::value::Value;

/// A range of an expression's text, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Extent {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A node of the syntax tree.
///
/// Parentheses have no node; they only affect the extents of the nodes around them. A tree is never deeper than
/// [`MAX_DEPTH`](super::MAX_DEPTH), so recursion over it is safe.
#[derive(Clone, PartialEq, Debug)]
pub struct ExprNode {
    /// Range of the node, without parentheses around it. No two nodes of a tree have the same extent.
    pub extent: Extent,
    /// Kind and operands.
    pub kind: ExprKind,
}

/// Kind of a [`ExprNode`], with its operands.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// `null`, a boolean, a number or a string.
    Literal(Value),
    /// A context such as `github`.
    Context(Name),
    /// `object.name`
    Property {
        /// The object that has the property.
        object: Box<ExprNode>,
        /// Name of the property.
        name: Name,
    },
    /// `object[index]`
    Index {
        /// The array or object.
        object: Box<ExprNode>,
        /// Position in an array or name in an object.
        index: Box<ExprNode>,
    },
    /// `object.*` or `object[*]`: all values of an object or array; a following property or index applies to each.
    Filter {
        /// The array or object.
        object: Box<ExprNode>,
    },
    /// `function(argument, …)`, with a number of arguments that the function accepts.
    Call {
        /// The function.
        function: Function,
        /// Name of the function as written.
        name: Name,
        /// Arguments in order.
        arguments: Vec<ExprNode>,
    },
    /// `!operand`
    Not(Box<ExprNode>),
    /// `left == right` and the other comparisons.
    Compare {
        /// The operator.
        operator: Comparison,
        /// Left operand.
        left: Box<ExprNode>,
        /// Right operand.
        right: Box<ExprNode>,
    },
    /// `a && b && …` or `a || b || …`. Its value is the first operand that decides, or the last operand.
    Logical {
        /// The operator.
        operator: Logical,
        /// Two or more operands, none of them a chain of the same operator.
        operands: Vec<ExprNode>,
    },
}

/// A name as written, with its range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name. Names are case-insensitive.
    pub text: String,
    /// Range of the name.
    pub extent: Extent,
}

/// Comparison operators.
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
    /// Returns the operator as written.
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

/// Logical operators with short-circuit evaluation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logical {
    /// `&&`: a falsy operand decides.
    And,
    /// `||`: a truthy operand decides.
    Or,
}

impl ExprNode {
    /// Returns the operands in written order.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Context(_) => Vec::new(),
            ExprKind::Property { object, .. } | ExprKind::Filter { object } => vec![object],
            ExprKind::Index { object, index } => vec![object, index],
            ExprKind::Not(operand) => vec![operand],
            ExprKind::Compare { left, right, .. } => vec![left, right],
            ExprKind::Call { arguments: operands, .. } | ExprKind::Logical { operands, .. } => {
                operands.iter().collect()
            }
        }
    }

    /// Visits this node and all nodes below it, parents before their operands.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}

/// A context and the path read from it, as in `steps.build.outputs['path']`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reference<'a> {
    /// Name of the context as written.
    pub context: &'a Name,
    /// Keys read from the context, outermost first.
    pub path: Vec<PathKey<'a>>,
    /// Range of the whole reference.
    pub extent: Extent,
}

/// One element of a [`Reference`]'s path.
#[derive(Clone, PartialEq, Debug)]
pub enum PathKey<'a> {
    /// `.name`, or `['name']` with the extent of the literal.
    Name(&'a str, Extent),
    /// `.*` or `[*]`
    Every,
    /// An index that is not a string literal.
    Computed(&'a ExprNode),
}

impl<'a> Reference<'a> {
    /// Whether the path starts with `name`.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        matches!(self.path.first(), Some(PathKey::Name(first, _)) if first.eq_ignore_ascii_case(name))
    }

    /// Returns the computed indexes of the path.
    pub fn computed(&self) -> impl Iterator<Item = &'a ExprNode> {
        self.path.iter().filter_map(|key| if let PathKey::Computed(index) = key { Some(*index) } else { None })
    }
}

impl ExprNode {
    /// Returns the context and path that this node reads, if it is a context or a chain of keys on one.
    #[must_use]
    pub fn reference(&self) -> Option<Reference<'_>> {
        let (object, key) = match &self.kind {
            ExprKind::Context(context) => {
                return Some(Reference { context, path: Vec::new(), extent: self.extent });
            }
            ExprKind::Property { object, name } => (object, PathKey::Name(&name.text, name.extent)),
            ExprKind::Filter { object } => (object, PathKey::Every),
            ExprKind::Index { object, index } => match &index.kind {
                ExprKind::Literal(Value::String(name)) => (object, PathKey::Name(name, index.extent)),
                _ => (object, PathKey::Computed(index)),
            },
            _ => return None,
        };
        let mut reference = object.reference()?;
        reference.path.push(key);
        reference.extent = self.extent;
        Some(reference)
    }

    /// Collects the longest references in this subtree, in written order.
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
