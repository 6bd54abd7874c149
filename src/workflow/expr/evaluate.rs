//! Tree → value.
//!
//! Operands are evaluated only when they are needed: `&&`, `||` and `case` stop at the one that decides, `format` looks
//! at the arguments that its text names. Memory is estimated as the runner does it: every value counts until the
//! primitive above it is there.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::error::EvalError;
use super::functions::Function;
use super::node::{Comparison, Extent, Logical, Node, NodeKind};
use super::scope::Scope;
use super::text;
use super::value::Value;
use super::{Expr, MAX_MEMORY};

/// What the runner estimates for a reference, a sequence or an object, and a text without its characters, in bytes.
const REFERENCE_SIZE: usize = 8;
const OBJECT_SIZE: usize = 24;
const STRING_SIZE: usize = 26;

pub(super) fn evaluate(expr: &Expr, scope: &Scope<'_>) -> Result<Value, EvalError> {
    let Some(root) = expr.tree() else { return Ok(Value::Null) };
    Ok(Evaluator::new(expr.text(), scope, None).evaluate(root)?.value)
}

/// What came of the nodes that were evaluated, by their extents.
pub(super) type Trace = HashMap<Extent, Result<Value, EvalError>>;

pub(super) fn trace(expr: &Expr, scope: &Scope<'_>) -> Trace {
    let mut trace = Trace::new();
    if let Some(root) = expr.tree() {
        // The root's own result is in the trace.
        let _ = Evaluator::new(expr.text(), scope, Some(&mut trace)).evaluate(root);
    }
    trace
}

/// The value of a node.
#[derive(Clone)]
pub(super) struct Operand {
    pub(super) value: Value,
    /// Whether this is a sequence made by `.*`, so that what follows is applied to each of its items.
    filtered: bool,
}

impl From<Value> for Operand {
    fn from(value: Value) -> Self {
        Self { value, filtered: false }
    }
}

pub(super) struct Evaluator<'a> {
    /// The whole expression, for messages.
    pub(super) text: &'a str,
    pub(super) scope: &'a Scope<'a>,
    /// The estimated size of the values in use.
    memory: usize,
    trace: Option<&'a mut Trace>,
}

pub(super) type Evaluated<T> = Result<T, EvalError>;

impl<'a> Evaluator<'a> {
    fn new(text: &'a str, scope: &'a Scope<'a>, trace: Option<&'a mut Trace>) -> Self {
        Self { text, scope, memory: 0, trace }
    }

    pub(super) fn evaluate(&mut self, node: &Node) -> Evaluated<Operand> {
        let before = self.memory;
        let result = self.compute(node).and_then(|operand| {
            // A primitive holds nothing of the operands that it was made from.
            let held = if operand.value.is_primitive() { before } else { self.memory };
            self.memory = held + size(&operand);
            if self.memory > MAX_MEMORY { Err(EvalError::Memory(self.text.to_owned())) } else { Ok(operand) }
        });
        if let Some(trace) = &mut self.trace {
            trace.insert(node.extent, result.as_ref().map(|operand| operand.value.clone()).map_err(Clone::clone));
        }
        result
    }

    /// The value of a node as itself, whether it was filtered or not.
    pub(super) fn value(&mut self, node: &Node) -> Evaluated<Value> {
        Ok(self.evaluate(node)?.value)
    }

    fn compute(&mut self, node: &Node) -> Evaluated<Operand> {
        match &node.kind {
            NodeKind::Literal(value) => Ok(value.clone().into()),
            NodeKind::Context(name) => Ok(self.scope.contexts.get(&name.text).cloned().unwrap_or(Value::Null).into()),
            NodeKind::Property { object, name } => {
                let object = self.evaluate(object)?;
                Ok(index(&object, &Value::from(name.text.as_str())))
            }
            NodeKind::Index { object, index: at } => {
                let object = self.evaluate(object)?;
                let at = self.value(at)?;
                Ok(index(&object, &at))
            }
            NodeKind::Filter { object } => Ok(filter(&self.evaluate(object)?)),
            NodeKind::Call { function: Function::Case, arguments, .. } => self.case(arguments),
            NodeKind::Call { function, arguments, .. } => Ok(self.call(*function, arguments)?.into()),
            NodeKind::Not(operand) => Ok(Value::Bool(!self.value(operand)?.is_truthy()).into()),
            NodeKind::Compare { operator, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                Ok(Value::Bool(compare(*operator, &left, &right)).into())
            }
            NodeKind::Logical { operator, operands } => self.logical(*operator, operands),
        }
    }

    fn logical(&mut self, operator: Logical, operands: &[Node]) -> Evaluated<Operand> {
        let mut result = Operand::from(Value::Null);
        for operand in operands {
            result = self.evaluate(operand)?;
            if result.value.is_truthy() == (operator == Logical::Or) {
                break;
            }
        }
        Ok(result)
    }

    fn case(&mut self, arguments: &[Node]) -> Evaluated<Operand> {
        let (otherwise, pairs) = arguments.split_last().expect("`case` has at least three arguments");
        for pair in pairs.chunks_exact(2) {
            match self.value(&pair[0])? {
                Value::Bool(true) => return self.evaluate(&pair[1]),
                Value::Bool(false) => {}
                _ => return Err(EvalError::CasePredicate),
            }
        }
        self.evaluate(otherwise)
    }
}

fn compare(operator: Comparison, left: &Value, right: &Value) -> bool {
    let ordered = |order| left.loosely_compares(right) == Some(order);
    match operator {
        Comparison::Equal => left.loosely_equals(right),
        Comparison::NotEqual => !left.loosely_equals(right),
        Comparison::Less => ordered(Ordering::Less),
        Comparison::LessOrEqual => left.loosely_equals(right) || ordered(Ordering::Less),
        Comparison::Greater => ordered(Ordering::Greater),
        Comparison::GreaterOrEqual => left.loosely_equals(right) || ordered(Ordering::Greater),
    }
}

/// `object[at]`; null for what is not there. Of a filtered sequence, the items that have it.
fn index(object: &Operand, at: &Value) -> Operand {
    match &object.value {
        Value::Array(items) if object.filtered => {
            let found = items.iter().filter_map(|item| item_at(item, at)).collect();
            Operand { value: Value::array(found), filtered: true }
        }
        value => item_at(value, at).unwrap_or(Value::Null).into(),
    }
}

fn item_at(value: &Value, at: &Value) -> Option<Value> {
    match value {
        Value::Object(object) if at.is_primitive() => object.get(&at.to_text()).cloned(),
        Value::Array(items) => {
            let position = at.to_number().floor();
            // A position below 0 would otherwise become 0.
            if position >= 0.0 { items.get(position as usize).cloned() } else { None }
        }
        _ => None,
    }
}

/// `object.*`: all values; of a filtered sequence, all values of all its items.
fn filter(object: &Operand) -> Operand {
    let found = match &object.value {
        Value::Array(items) if object.filtered => items.iter().flat_map(values).collect(),
        value => values(value),
    };
    Operand { value: Value::array(found), filtered: true }
}

fn values(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Object(object) => object.iter().map(|(_, value)| value.clone()).collect(),
        _ => Vec::new(),
    }
}

fn size(operand: &Operand) -> usize {
    match &operand.value {
        Value::String(text) => text_size(text),
        Value::Array(items) if operand.filtered => OBJECT_SIZE + REFERENCE_SIZE * items.len(),
        _ => OBJECT_SIZE,
    }
}

/// The estimated size of a text.
pub(super) fn text_size(text: &str) -> usize {
    STRING_SIZE + 2 * text::units(text)
}
