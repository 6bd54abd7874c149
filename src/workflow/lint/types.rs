//! Type inference for expressions, from the file alone.
//!
//! GitHub accepts any type: a property of a string is empty, and an object never equals a string. Type errors are
//! therefore warnings, and a type that is not known for sure is [`Type::Any`], which is valid everywhere.

use crate::model::nearest;
use crate::workflow::expr::{Comparison, ExprKind, ExprNode, Extent, Function, Logical, Name, Value};
use crate::workflow::template::{Template, TemplateKind};

/// Type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// Any type: nothing is known.
    Any,
    Null,
    Bool,
    Number,
    Text,
    Array(Box<Type>),
    /// Result of a filter (`.*`): a following property or index applies to each of its values.
    Filtered(Box<Type>),
    /// Known names with their types, and the type of all other names; `None` if there are no others.
    Object(Vec<(String, Type)>, Option<Box<Type>>),
}

impl Type {
    /// Returns the type of an object with arbitrary names whose values all have the same type.
    pub(super) fn of_names(value: Self) -> Self {
        Self::Object(Vec::new(), Some(Box::new(value)))
    }

    /// Returns the type of an object with exactly these names.
    pub(super) fn object<'n>(names: impl IntoIterator<Item = (&'n str, Self)>) -> Self {
        Self::Object(names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), None)
    }

    /// Returns the type of a value that has one of two types.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }

    /// Returns the type of a value that has one of several types; `Any` if `types` is empty.
    pub(super) fn one_of(types: impl IntoIterator<Item = Self>) -> Self {
        types.into_iter().reduce(Self::or).unwrap_or(Self::Any)
    }

    /// Returns the name for messages, with an article.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Array(_) | Self::Filtered(_) => "an array",
            Self::Object(..) => "an object",
        }
    }

    /// Whether this is an array or an object.
    pub(super) fn is_collection(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Filtered(_) | Self::Object(..))
    }

    fn of_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(_) => Self::Bool,
            serde_json::Value::Number(_) => Self::Number,
            serde_json::Value::String(_) => Self::Text,
            serde_json::Value::Array(items) => Self::Array(Box::new(Self::one_of(items.iter().map(Self::of_json)))),
            serde_json::Value::Object(entries) => {
                Self::object(entries.iter().map(|(name, value)| (name.as_str(), Self::of_json(value))))
            }
        }
    }
}

/// A type error, with its range in the expression's text.
pub(super) struct TypeError {
    pub(super) extent: Extent,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Infers the types in one expression from the types of its contexts.
pub(super) struct Typing<'t> {
    text: &'t str,
    context: &'t dyn Fn(&str) -> Type,
    /// Type errors found so far.
    pub(super) errors: Vec<TypeError>,
}

impl<'t> Typing<'t> {
    pub(super) fn new(text: &'t str, context: &'t dyn Fn(&str) -> Type) -> Self {
        Self { text, context, errors: Vec::new() }
    }

    /// Infers the type of a node and reports type errors below it.
    pub(super) fn of(&mut self, node: &ExprNode) -> Type {
        match &node.kind {
            ExprKind::Literal(value) => match value {
                Value::Null => Type::Null,
                Value::Bool(_) => Type::Bool,
                Value::Number(_) => Type::Number,
                Value::String(_) => Type::Text,
                _ => Type::Any,
            },
            ExprKind::Context(name) => (self.context)(&name.text),
            ExprKind::Property { object, name } => {
                let of = self.of(object);
                self.property(of, object, name)
            }
            ExprKind::Index { object, index } => self.index(object, index, node.extent),
            ExprKind::Filter { object } => match self.of(object) {
                Type::Array(item) | Type::Filtered(item) => Type::Filtered(item),
                _ => Type::Filtered(Box::new(Type::Any)),
            },
            ExprKind::Call { function, arguments, .. } => self.call(*function, arguments),
            ExprKind::Not(operand) => {
                self.of(operand);
                Type::Bool
            }
            ExprKind::Compare { operator, left, right } => {
                self.compare(*operator, left, right, node.extent);
                Type::Bool
            }
            ExprKind::Logical { operator, operands } => {
                let types: Vec<_> = operands.iter().map(|operand| self.of(operand)).collect();
                match operator {
                    // An operand before the last one is the value only if it is falsy.
                    Logical::And if types.iter().any(|one| *one != Type::Bool) => Type::Any,
                    Logical::And | Logical::Or => Type::one_of(types),
                }
            }
        }
    }

    fn property(&mut self, of: Type, object: &ExprNode, name: &Name) -> Type {
        match of {
            Type::Any => Type::Any,
            Type::Filtered(_) => Type::Filtered(Box::new(Type::Any)),
            Type::Object(names, others) => {
                if let Some((_, found)) = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name.text)) {
                    return found.clone();
                }
                if let Some(others) = others {
                    return *others;
                }
                let known = names.iter().map(|(name, _)| name.as_str());
                let hint = match nearest(&name.text, known.clone()) {
                    Some(near) => Some(format!("did you mean `{near}`?")),
                    None if names.len() > 12 || names.is_empty() => None,
                    None => Some(format!("available: {}", known.collect::<Vec<_>>().join(", "))),
                };
                self.error(name.extent, format!("`{}` has no `{}`", self.spelled(object.extent), name.text), hint);
                Type::Any
            }
            scalar => {
                let message =
                    format!("`{}` is {}: it has no `{}`", self.spelled(object.extent), scalar.name(), name.text);
                let hint = "only objects have properties; `fromJSON` converts a string to an object";
                self.error(name.extent, message, Some(hint.to_owned()));
                Type::Any
            }
        }
    }

    fn index(&mut self, object: &ExprNode, index: &ExprNode, extent: Extent) -> Type {
        let (of, by) = (self.of(object), self.of(index));
        if let ExprKind::Literal(Value::String(name)) = &index.kind
            && !matches!(of, Type::Array(_))
        {
            return self.property(of, object, &Name { text: name.to_string(), extent: index.extent });
        }
        let wanted = match of {
            Type::Object(names, others) => {
                // A number is converted to a string, which may be a name of an open object: `ports[5432]`.
                if matches!(by, Type::Any | Type::Text) || (by == Type::Number && others.is_some()) {
                    return if names.is_empty() { others.map_or(Type::Any, |others| *others) } else { Type::Any };
                }
                "the index of an object must be a string"
            }
            Type::Array(item) => {
                if matches!(by, Type::Any | Type::Number) {
                    return *item;
                }
                "the index of an array must be a number"
            }
            // The index applies to each of the values, whose types are not known.
            Type::Filtered(_) => return Type::Filtered(Box::new(Type::Any)),
            Type::Any => return Type::Any,
            scalar => {
                let message = format!("`{}` is {}: it cannot be indexed", self.spelled(object.extent), scalar.name());
                let hint = "only objects and arrays can be indexed; `fromJSON` converts a string to one";
                self.error(extent, message, Some(hint.to_owned()));
                return Type::Any;
            }
        };
        let message = format!("{wanted}, but `{}` is {}", self.spelled(index.extent), by.name());
        let hint = "write `['name']` for an object and `[0]` for an array";
        self.error(index.extent, message, Some(hint.to_owned()));
        Type::Any
    }

    fn call(&mut self, function: Function, arguments: &[ExprNode]) -> Type {
        let types: Vec<_> = arguments.iter().map(|argument| self.of(argument)).collect();
        let textual = match function {
            Function::Contains => matches!(types.first(), Some(Type::Object(..))),
            Function::StartsWith | Function::EndsWith | Function::FromJson => types[0].is_collection(),
            _ => false,
        };
        if textual {
            let (first, what) = (self.spelled(arguments[0].extent), types[0].name());
            let wanted = if function == Function::Contains { "a string or an array" } else { "a string" };
            let message = format!("`{}` needs {wanted}, but `{first}` is {what}", function.name());
            let hint = format!("use a property of it, or `toJSON({first})`");
            self.error(arguments[0].extent, message, Some(hint));
        }
        match function {
            Function::Contains | Function::StartsWith | Function::EndsWith => Type::Bool,
            Function::Always | Function::Cancelled | Function::Failure | Function::Success => Type::Bool,
            Function::Format | Function::Join | Function::ToJson | Function::HashFiles => Type::Text,
            Function::Case => Type::Any,
            Function::FromJson => match arguments.first().map(|argument| &argument.kind) {
                Some(ExprKind::Literal(Value::String(text))) => {
                    serde_json::from_str(text).map_or(Type::Any, |value| Type::of_json(&value))
                }
                _ => Type::Any,
            },
        }
    }

    fn compare(&mut self, operator: Comparison, left: &ExprNode, right: &ExprNode, extent: Extent) {
        let (one, other) = (self.of(left), self.of(right));
        let (named, others_name) = (self.spelled(left.extent), self.spelled(right.extent));
        if matches!(operator, Comparison::Equal | Comparison::NotEqual) {
            let never = match (one.is_collection(), other.is_collection()) {
                (true, true) => true,
                (true, false) => !matches!(other, Type::Any | Type::Null),
                (false, true) => !matches!(one, Type::Any | Type::Null),
                (false, false) => false,
            };
            if never {
                let message = format!(
                    "`{named}` is {} and `{others_name}` is {}: they are never equal",
                    one.name(),
                    other.name()
                );
                self.error(extent, message, Some("compare properties, or the results of `toJSON`".to_owned()));
            }
            return;
        }
        let unordered = |of: &Type| !matches!(of, Type::Any | Type::Number | Type::Text);
        for (node, of) in [(left, &one), (right, &other)] {
            if unordered(of) {
                let spelled = self.spelled(node.extent);
                let message =
                    format!("`{}` compares numbers and strings, but `{spelled}` is {}", operator.symbol(), of.name());
                let hint = "compare a number or a string, or use `==`";
                self.error(extent, message, Some(hint.to_owned()));
                return;
            }
        }
    }

    fn spelled(&self, extent: Extent) -> String {
        self.text.get(extent.start..extent.end).unwrap_or_default().to_owned()
    }

    fn error(&mut self, extent: Extent, message: String, hint: Option<String>) {
        self.errors.push(TypeError { extent, message, hint });
    }
}

/// Returns the type of a template.
pub(super) fn of_template(template: &Template, context: &dyn Fn(&str) -> Type) -> Type {
    match &template.kind {
        TemplateKind::Null => Type::Null,
        TemplateKind::Bool(_) => Type::Bool,
        TemplateKind::Number(..) => Type::Number,
        TemplateKind::Text(_) | TemplateKind::Interpolated(_) => Type::Text,
        TemplateKind::Expression(expr) => {
            expr.tree().map_or(Type::Null, |tree| Typing::new(expr.text(), context).of(tree))
        }
        TemplateKind::Sequence(items) => {
            Type::Array(Box::new(Type::one_of(items.iter().map(|item| of_template(item, context)))))
        }
        TemplateKind::Mapping(entries) => {
            let named = entries.iter().map(|(key, value)| Some((key.literal()?, of_template(value, context))));
            named.collect::<Option<Vec<_>>>().map_or(Type::Any, Type::object)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::expr::{Expr, Vocabulary};

    fn messages(text: &str) -> Vec<String> {
        let expr = Expr::parse(text, &Vocabulary::ANY).expect(text);
        let context = |name: &str| match name {
            "text" => Type::Text,
            "truth" => Type::Bool,
            "list" => Type::Array(Box::new(Type::Text)),
            "strict" => Type::object([("name", Type::Text), ("count", Type::Number)]),
            "names" => Type::of_names(Type::Text),
            _ => Type::Any,
        };
        let mut typing = Typing::new(text, &context);
        typing.of(expr.tree().expect("a tree"));
        typing.errors.iter().map(|error| error.message.clone()).collect()
    }

    #[test]
    fn possibly_valid_expressions_pass() {
        for text in [
            "strict.name == 'a' && strict.COUNT > 1",
            "names.anything == 'a'",
            "names[text]",
            "any.thing[0].at.all == list",
            "list[0] == text",
            "names[5432] == text",
            "list.*.x[text]",
            "contains(list, text) || contains(text, 'a')",
            "strict == null",
            "truth == 'true'",
            "fromJSON('{\"a\": [1]}').a[0] < 2",
            "(truth && text) == 'a'",
        ] {
            assert_eq!(messages(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn type_errors_are_reported() {
        for (text, message) in [
            ("text.x", "`text` is a string: it has no `x`"),
            ("strict.nam", "`strict` has no `nam`"),
            ("fromJSON('{\"a\": 1}')['b']", "`fromJSON('{\"a\": 1}')` has no `b`"),
            ("strict[0]", "the index of an object must be a string, but `0` is a number"),
            ("list['a']", "the index of an array must be a number, but `'a'` is a string"),
            ("strict == 'a'", "`strict` is an object and `'a'` is a string: they are never equal"),
            ("list != list", "`list` is an array and `list` is an array: they are never equal"),
            ("truth > 1", "`>` compares numbers and strings, but `truth` is a boolean"),
            ("1 < null", "`<` compares numbers and strings, but `null` is null"),
            ("contains(strict, 'a')", "`contains` needs a string or an array, but `strict` is an object"),
            ("text[0]", "`text` is a string: it cannot be indexed"),
        ] {
            assert_eq!(messages(text), [message], "{text}");
        }
    }
}
