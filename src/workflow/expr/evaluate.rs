//! Evaluates the tree of an expression.
//!
//! Operands are evaluated only when needed. `&&`, `||` and `case` stop at the operand that decides, and `format`
//! evaluates only the arguments to which its text refers. Memory is estimated as in the runner: a value counts until
//! the primitive computed from it is known.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::error::EvalError;
use super::functions::Function;
use super::node::{Comparison, ExprKind, ExprNode, Extent, Logical};
use super::scope::Scope;
use super::text;
use super::value::Value;
use super::{Expr, MAX_MEMORY};

/// The runner's estimate for a reference, in bytes.
const REFERENCE_SIZE: usize = 8;
/// The runner's estimate for an array or an object, in bytes.
const OBJECT_SIZE: usize = 24;
/// The runner's estimate for a string without its characters, in bytes.
const STRING_SIZE: usize = 26;

pub(super) fn evaluate(expr: &Expr, scope: &Scope<'_>) -> Result<Value, EvalError> {
    let Some(root) = expr.tree() else { return Ok(Value::Null) };
    Ok(Evaluator::new(expr.text(), scope, None).evaluate(root)?.value)
}

/// Results of the nodes that were evaluated, by extent.
pub(super) type Trace = HashMap<Extent, Result<Value, EvalError>>;

pub(super) fn trace(root: &ExprNode, text: &str, scope: &Scope<'_>) -> (Evaluated<Value>, Trace) {
    let mut trace = Trace::new();
    let value = Evaluator::new(text, scope, Some(&mut trace)).value(root);
    (value, trace)
}

/// The value of a node.
#[derive(Clone)]
pub(super) struct Operand {
    pub(super) value: Value,
    /// Whether the value is an array that `.*` returned. A following property or index then applies to each of its
    /// items.
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
    /// Estimated size of the values in use, in bytes.
    memory: usize,
    trace: Option<&'a mut Trace>,
}

pub(super) type Evaluated<T> = Result<T, EvalError>;

impl<'a> Evaluator<'a> {
    fn new(text: &'a str, scope: &'a Scope<'a>, trace: Option<&'a mut Trace>) -> Self {
        Self { text, scope, memory: 0, trace }
    }

    pub(super) fn evaluate(&mut self, node: &ExprNode) -> Evaluated<Operand> {
        let before = self.memory;
        let result = self.compute(node).and_then(|operand| {
            // A primitive does not keep its operands in memory.
            let held = if operand.value.is_primitive() { before } else { self.memory };
            self.memory = held + size(&operand);
            if self.memory > MAX_MEMORY { Err(EvalError::Memory(self.text.to_owned())) } else { Ok(operand) }
        });
        if let Some(trace) = &mut self.trace {
            trace.insert(node.extent, result.as_ref().map(|operand| operand.value.clone()).map_err(Clone::clone));
        }
        result
    }

    /// Evaluates a node, and drops the filter flag of the result.
    pub(super) fn value(&mut self, node: &ExprNode) -> Evaluated<Value> {
        Ok(self.evaluate(node)?.value)
    }

    fn compute(&mut self, node: &ExprNode) -> Evaluated<Operand> {
        match &node.kind {
            ExprKind::Literal(value) => Ok(value.clone().into()),
            ExprKind::Context(name) => Ok(self.scope.contexts.get(&name.text).cloned().unwrap_or(Value::Null).into()),
            ExprKind::Property { object, name } => {
                let object = self.evaluate(object)?;
                Ok(index(&object, &Value::from(name.text.as_str())))
            }
            ExprKind::Index { object, index: at } => {
                let object = self.evaluate(object)?;
                let at = self.value(at)?;
                Ok(index(&object, &at))
            }
            ExprKind::Filter { object } => Ok(filter(&self.evaluate(object)?)),
            ExprKind::Call { function: Function::Case, arguments, .. } => self.case(arguments),
            ExprKind::Call { function, arguments, .. } => Ok(self.call(*function, arguments)?.into()),
            ExprKind::Not(operand) => Ok(Value::Bool(!self.value(operand)?.is_truthy()).into()),
            ExprKind::Compare { operator, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                Ok(Value::Bool(compare(*operator, &left, &right)).into())
            }
            ExprKind::Logical { operator, operands } => self.logical(*operator, operands),
        }
    }

    fn logical(&mut self, operator: Logical, operands: &[ExprNode]) -> Evaluated<Operand> {
        let mut result = Operand::from(Value::Null);
        for operand in operands {
            result = self.evaluate(operand)?;
            if result.value.is_truthy() == (operator == Logical::Or) {
                break;
            }
        }
        Ok(result)
    }

    fn case(&mut self, arguments: &[ExprNode]) -> Evaluated<Operand> {
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

/// Returns `object[at]`, or null if it is missing. For a filtered array, returns the values of the items that have
/// `at`.
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
            // Without this check, the cast would turn a negative position into 0.
            if position >= 0.0 { items.get(position as usize).cloned() } else { None }
        }
        _ => None,
    }
}

/// Returns `object.*`, which is all values. For a filtered array, returns all values of all its items.
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

/// Returns the estimated size of a string, in bytes.
pub(super) fn text_size(text: &str) -> usize {
    STRING_SIZE + 2 * text::units(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::workflow::expr::{Contexts, HashFilesError, Host, NoFiles, Object, Status, Vocabulary};

    struct Names;

    impl Host for Names {
        fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError> {
            if patterns == ["none"] { Err(HashFilesError("no such thing".to_owned())) } else { Ok(patterns.join("+")) }
        }
    }

    fn contexts() -> Contexts {
        let mut env = Object::case_sensitive();
        env.insert("Path", Value::from("/bin"));
        let github = json!({
            "ref": "refs/heads/main",
            "event": {"commits": [{"id": 1, "tags": ["x"]}, {"id": 2}, {"message": "m"}]},
        });
        let needs = json!({"build": {"result": "success", "outputs": {"n": 7}}, "test": {"result": "failure"}});
        let mut contexts: Contexts =
            [("github", github), ("needs", needs)].map(|(name, json)| (name, Value::from(json))).into_iter().collect();
        contexts.set("env", Value::object(env));
        contexts.set("list", Value::from(json!([1, "1", true, null])));
        contexts
    }

    fn evaluated(text: &str) -> Result<Value, String> {
        let expr = Expr::parse(text, &Vocabulary::ANY).map_err(|error| error.to_string())?;
        let status = Status { success: false, failure: true, cancelled: false };
        let scope = Scope { contexts: &contexts(), status, host: &Names };
        expr.evaluate(&scope).map_err(|error| error.to_string())
    }

    #[test]
    fn operators_are_evaluated() {
        for (text, value) in [
            ("", json!(null)),
            ("'a' || 'b'", json!("a")),
            ("'' || 0 || null", json!(null)),
            ("'a' && 'b' && 'c'", json!("c")),
            ("'a' && 0 && 'c'", json!(0)),
            ("false && fromJSON('{')", json!(false)),
            ("true || fromJSON('{')", json!(true)),
            ("!''", json!(true)),
            ("1 < 2 && 2 <= 2 && 2 >= 2 && 3 > 2 && 1 != 2", json!(true)),
            ("null >= null", json!(true)),
            ("null > null", json!(false)),
            ("list == list", json!(true)),
            ("list >= list", json!(true)),
            ("list == fromJSON('[]')", json!(false)),
            ("GitHub.REF", json!("refs/heads/main")),
            ("github['Ref']", json!("refs/heads/main")),
            ("github.nosuch.thing", json!(null)),
            ("nosuch", json!(null)),
            ("env.Path", json!("/bin")),
            ("env.PATH", json!(null)),
            ("list[0]", json!(1)),
            ("list['1']", json!("1")),
            ("list[1.9]", json!("1")),
            ("list[-1]", json!(null)),
            ("list[-0.5]", json!(null)),
            ("list['x']", json!(null)),
            ("list[Infinity]", json!(null)),
            ("list[null]", json!(1)),
            ("list.length", json!(null)),
            ("('text')[0]", json!(null)),
            ("github.event.commits.*.id", json!([1, 2])),
            ("github.event.commits[*]['ID']", json!([1, 2])),
            ("github.event.commits.*.tags[0]", json!(["x"])),
            ("github.event.commits.*.*", json!([1, ["x"], 2, "m"])),
            ("needs.*.result", json!(["success", "failure"])),
            ("needs.*.result[0]", json!([])),
            ("(needs.* || 'x').result", json!(["success", "failure"])),
            ("case(true, needs.*, 'x').result", json!(["success", "failure"])),
            ("nosuch.*", json!([])),
            ("'x' && list.*", json!([1, "1", true, null])),
        ] {
            assert_eq!(evaluated(text), Ok(Value::from(value)), "{text}");
        }
    }

    #[test]
    fn functions_are_evaluated() {
        for (text, value) in [
            ("contains('Hello', 'ELL')", json!(true)),
            ("contains(list, 'TRUE')", json!(false)),
            ("contains(list, '1')", json!(true)),
            ("contains(needs, 'build')", json!(false)),
            ("contains(123, 2)", json!(true)),
            ("contains('abc', list)", json!(false)),
            ("startsWith('Refs/heads', 'refs/')", json!(true)),
            ("endsWith(1.5, '.5')", json!(true)),
            ("startsWith(list, '')", json!(false)),
            ("startsWith('', list)", json!(false)),
            ("join(list)", json!("1,1,true,")),
            ("join(list, ' - ')", json!("1 - 1 - true - ")),
            ("join(list, list)", json!("1,1,true,")),
            ("join('a', 'b')", json!("a")),
            ("join(needs)", json!("")),
            ("join(fromJSON('[[1],{}]'))", json!("Array,Object")),
            ("format('{0} {1} {0}', 'a', null)", json!("a  a")),
            ("format('{{0}} {{{0}}}', 1)", json!("{0} {1}")),
            ("format('{0}', 'a', fromJSON('{'))", json!("a")),
            ("format('{0:}', 1)", json!("1")),
            ("format('')", json!("")),
            ("toJSON(fromJSON('{\"a\":[1]}'))", json!("{\n  \"a\": [\n    1\n  ]\n}")),
            ("fromJSON('[1,{\"a\":null}]')[1]", json!({"a": null})),
            ("case(false, 1, true, 2, fromJSON('{'))", json!(2)),
            ("case(false, 1, 3)", json!(3)),
            ("always() && failure() && !success() && !cancelled()", json!(true)),
            ("success('build')", json!(true)),
            ("success('build', 'test')", json!(false)),
            ("failure('build')", json!(false)),
            ("failure('build', 'TEST')", json!(true)),
            ("success('nosuch')", json!(false)),
            ("hashFiles('a', 1)", json!("a+1")),
        ] {
            assert_eq!(evaluated(text), Ok(Value::from(value)), "{text}");
        }
    }

    #[test]
    fn errors_have_githubs_messages() {
        for (text, message) in [
            ("format('{0')", "The following format string is invalid: {0"),
            ("format('}')", "The following format string is invalid: }"),
            ("format('{a}', 1)", "The following format string is invalid: {a}"),
            ("format('{ 0}', 1)", "The following format string is invalid: { 0}"),
            ("format('{256}', 1)", "The following format string is invalid: {256}"),
            ("format('{0:x', 1)", "The following format string is invalid: {0:x"),
            ("format('{0:x}}y}', 1)", "The format specifiers 'x}y' are not valid for objects of type 'Number'"),
            ("format('{1}', 1)", "The following format string references more arguments than were supplied: {1}"),
            ("case(1, 2, 3)", "case predicate must evaluate to a boolean value"),
            ("fromJSON('{')", "Error parsing fromJson: unexpected end instead of `:` after a name at line 1, column 2"),
            ("fromJSON('')", "Error parsing fromJson: unexpected end at line 1, column 1"),
            ("hashFiles('none')", "no such thing"),
        ] {
            assert_eq!(evaluated(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_values_in_use_count_towards_the_memory_limit() {
        let mut contexts = Contexts::new();
        contexts.set("big", Value::string("x".repeat(MAX_MEMORY / 8)));
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        for (text, fits) in [
            ("format('{0}{0}', big)", true),
            ("format('{0}{0}{0}{0}', big)", false),
            ("join(fromJSON('[1,2,3]'), format('{0}{0}', big))", false),
            // Each comparison releases its operands.
            ("big == 'a' || big == 'b' || big == 'c' || big == 'd' || big == 'e'", true),
            ("contains(format('{0}{0}{0}', big), format('{0}', big))", false),
        ] {
            match Expr::parse(text, &Vocabulary::ANY).unwrap().evaluate(&scope) {
                Ok(_) => assert!(fits, "{text}"),
                Err(error) => {
                    assert!(!fits, "{text}");
                    assert_eq!(error, EvalError::Memory(text.to_owned()));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_literal_evaluates_to_its_value(text: String, number: f64) {
            prop_assume!(text.len() < 1000);
            let text = Value::string(text);
            prop_assert_eq!(evaluated(&text.to_literal()), Ok(text));
            let again = evaluated(&Value::Number(number).to_literal()).unwrap();
            prop_assert_eq!(again.to_text(), Value::Number(number).to_text());
        }

        #[test]
        fn comparisons_agree_with_each_other(left in literal(), right in literal()) {
            let equal = evaluated(&format!("{left} == {right}")).unwrap();
            prop_assert_eq!(evaluated(&format!("!({left} != {right})")), Ok(equal));
            let less = evaluated(&format!("{left} < {right}")).unwrap();
            prop_assert_eq!(evaluated(&format!("{right} > {left}")), Ok(less));
        }

        #[test]
        fn format_inserts_its_arguments(left in "[^{}]{0,8}", right in "[^{}]{0,8}") {
            let (first, second) = (Value::from(left.as_str()).to_literal(), Value::from(right.as_str()).to_literal());
            let expr = format!("format('{{1}}-{{0}}', {first}, {second})");
            prop_assert_eq!(evaluated(&expr), Ok(Value::string(format!("{right}-{left}"))));
        }

        #[test]
        fn json_round_trips(text: String) {
            let literal = Value::from(text.as_str()).to_literal();
            prop_assert_eq!(evaluated(&format!("fromJSON(toJSON({literal}))")), Ok(Value::string(text)));
        }
    }

    fn literal() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec!["null", "true", "false", "NaN", "Infinity", "list", "needs"])
                .prop_map(str::to_owned),
            (-3.0..3.0).prop_map(|number: f64| Value::Number(number).to_literal()),
            "'[ab0-1]{0,2}'",
        ]
    }
}
