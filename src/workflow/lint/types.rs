//! Types of expressions: what each part of one is, as far as the file alone tells, and what can never be right with it.
//!
//! GitHub evaluates whatever it is given: a property of a text is empty, an object never equals a text. So these are
//! warnings, and whatever is not known for sure is [`Type::Any`], which fits everywhere.

use crate::workflow::expr::{Comparison, ExprKind, ExprNode, Extent, Function, Logical, Name, Value};
use crate::workflow::schema::nearest;
use crate::workflow::template::{Template, TemplateKind};

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// Nothing is known.
    Any,
    Null,
    Bool,
    Number,
    Text,
    Array(Box<Type>),
    /// What a filter (`.*`) gives: whatever follows is applied to each of its values.
    Filtered(Box<Type>),
    /// Names and their types, and the type of all other names; without one there are no others.
    Object(Vec<(String, Type)>, Option<Box<Type>>),
}

impl Type {
    /// An object of which every name has this type.
    pub(super) fn of_names(value: Self) -> Self {
        Self::Object(Vec::new(), Some(Box::new(value)))
    }

    /// An object with exactly these names.
    pub(super) fn object<'n>(names: impl IntoIterator<Item = (&'n str, Self)>) -> Self {
        Self::Object(names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), None)
    }

    /// What a value is that is one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }

    /// The type of a value of several, `Any` of none.
    pub(super) fn one_of(types: impl IntoIterator<Item = Self>) -> Self {
        types.into_iter().reduce(Self::or).unwrap_or(Self::Any)
    }

    /// How a person calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Array(_) | Self::Filtered(_) => "an array",
            Self::Object(..) => "an object",
        }
    }

    /// Whether it has parts, so that it has no text of its own.
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

/// What is never right, and where in the expression's text.
pub(super) struct TypeError {
    pub(super) extent: Extent,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Finds types in one expression's text over the types of its contexts.
pub(super) struct Typing<'t> {
    text: &'t str,
    context: &'t dyn Fn(&str) -> Type,
    /// What was found so far.
    pub(super) errors: Vec<TypeError>,
}

impl<'t> Typing<'t> {
    pub(super) fn new(text: &'t str, context: &'t dyn Fn(&str) -> Type) -> Self {
        Self { text, context, errors: Vec::new() }
    }

    /// The type of a part.
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
                    // An operand before the last is the value only when it is falsy.
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
                    None => Some(format!("it has {}", known.collect::<Vec<_>>().join(", "))),
                };
                self.error(name.extent, format!("`{}` has no `{}`", self.spelled(object.extent), name.text), hint);
                Type::Any
            }
            scalar => {
                let message =
                    format!("`{}` is {}: it has no `{}`", self.spelled(object.extent), scalar.name(), name.text);
                let hint = "only objects have properties; `fromJSON` makes one of a text";
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
                // A number is read as its text, which can be a name where names are not known: `ports[5432]`.
                if matches!(by, Type::Any | Type::Text) || (by == Type::Number && others.is_some()) {
                    return if names.is_empty() { others.map_or(Type::Any, |others| *others) } else { Type::Any };
                }
                "an object is read by a name"
            }
            Type::Array(item) => {
                if matches!(by, Type::Any | Type::Number) {
                    return *item;
                }
                "an array is read by a number"
            }
            // Each of its values is indexed, whatever it is.
            Type::Filtered(_) => return Type::Filtered(Box::new(Type::Any)),
            Type::Any => return Type::Any,
            scalar => {
                let message = format!("`{}` is {}: it has no parts", self.spelled(object.extent), scalar.name());
                let hint = "only objects and arrays have parts; `fromJSON` makes one of a text";
                self.error(extent, message, Some(hint.to_owned()));
                return Type::Any;
            }
        };
        let message = format!("{wanted}, and `{}` is {}", self.spelled(index.extent), by.name());
        let hint = "write a name in quotes, `['name']`, for an object, and a number, `[0]`, for an array";
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
            let wanted = if function == Function::Contains { "a text or an array" } else { "a text" };
            let message = format!("`{}` looks at {wanted}, and `{first}` is {what}", function.name());
            let hint = format!("name a part of it, or look at `toJSON({first})`");
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
                let message =
                    format!("`{named}` is {} and `{others_name}` {}: they are never equal", one.name(), other.name());
                self.error(extent, message, Some("compare parts of them, or their `toJSON`".to_owned()));
            }
            return;
        }
        let unordered = |of: &Type| !matches!(of, Type::Any | Type::Number | Type::Text);
        for (node, of) in [(left, &one), (right, &other)] {
            if unordered(of) {
                let spelled = self.spelled(node.extent);
                let message =
                    format!("`{}` orders numbers and texts, and `{spelled}` is {}", operator.symbol(), of.name());
                let hint = "compare a number or a text that it has, or use `==`";
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

/// The type of a value of the file.
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

    fn told(text: &str) -> Vec<String> {
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
    fn what_may_be_right_passes() {
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
            assert_eq!(told(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_can_never_be_right_is_told() {
        for (text, message) in [
            ("text.x", "`text` is a text: it has no `x`"),
            ("strict.nam", "`strict` has no `nam`"),
            ("fromJSON('{\"a\": 1}')['b']", "`fromJSON('{\"a\": 1}')` has no `b`"),
            ("strict[0]", "an object is read by a name, and `0` is a number"),
            ("list['a']", "an array is read by a number, and `'a'` is a text"),
            ("strict == 'a'", "`strict` is an object and `'a'` a text: they are never equal"),
            ("list != list", "`list` is an array and `list` an array: they are never equal"),
            ("truth > 1", "`>` orders numbers and texts, and `truth` is true or false"),
            ("1 < null", "`<` orders numbers and texts, and `null` is null"),
            ("contains(strict, 'a')", "`contains` looks at a text or an array, and `strict` is an object"),
            ("text[0]", "`text` is a text: it has no parts"),
        ] {
            assert_eq!(told(text), [message], "{text}");
        }
    }
}
