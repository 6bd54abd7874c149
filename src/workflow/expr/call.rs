//! The functions of the language. `case` is part of the evaluator, because it returns one of its arguments unchanged.

use super::error::EvalError;
use super::evaluate::{Evaluated, Evaluator, text_size};
use super::functions::Function;
use super::node::ExprNode;
use super::value::Value;
use super::{MAX_MEMORY, json, text};

impl Evaluator<'_> {
    pub(super) fn call(&mut self, function: Function, arguments: &[ExprNode]) -> Evaluated<Value> {
        Ok(match function {
            Function::Always => Value::Bool(true),
            Function::Cancelled => Value::Bool(self.scope.status.cancelled),
            Function::Contains => Value::Bool(self.contains(&arguments[0], &arguments[1])?),
            Function::EndsWith => Value::Bool(self.both_texts(arguments, |text, end| text.ends_with(end))?),
            Function::Failure => Value::Bool(self.failure(arguments)?),
            Function::Format => self.format(&arguments[0], &arguments[1..])?,
            Function::FromJson => {
                let text = self.value(&arguments[0])?.to_text();
                json::read(&text)?
            }
            Function::HashFiles => {
                let patterns = self.texts(arguments)?;
                Value::string(self.scope.host.hash_files(&patterns)?)
            }
            Function::Join => self.join(&arguments[0], arguments.get(1))?,
            Function::StartsWith => Value::Bool(self.both_texts(arguments, |text, start| text.starts_with(start))?),
            Function::Success => Value::Bool(self.success(arguments)?),
            Function::ToJson => {
                let value = self.value(&arguments[0])?;
                let mut draft = Draft::new(self.text);
                json::write(&value, &mut |piece| draft.push(piece))?;
                draft.finish()
            }
            Function::Case => unreachable!("the evaluator handles `case`"),
        })
    }

    fn texts(&mut self, arguments: &[ExprNode]) -> Evaluated<Vec<String>> {
        arguments.iter().map(|argument| Ok(self.value(argument)?.to_text())).collect()
    }

    /// Applies `test` to two primitives as case-folded strings; false if either is an array or an object.
    fn both_texts(&mut self, arguments: &[ExprNode], test: impl Fn(&str, &str) -> bool) -> Evaluated<bool> {
        let whole = self.value(&arguments[0])?;
        if !whole.is_primitive() {
            return Ok(false);
        }
        let part = self.value(&arguments[1])?;
        Ok(part.is_primitive() && test(&text::fold(&whole.to_text()), &text::fold(&part.to_text())))
    }

    fn contains(&mut self, within: &ExprNode, item: &ExprNode) -> Evaluated<bool> {
        let within = self.value(within)?;
        let item = self.value(item)?;
        Ok(match &within {
            Value::Array(items) => items.iter().any(|other| item.loosely_equals(other)),
            Value::Object(_) => false,
            _ => item.is_primitive() && text::fold(&within.to_text()).contains(text::fold(&item.to_text()).as_ref()),
        })
    }

    fn join(&mut self, items: &ExprNode, separator: Option<&ExprNode>) -> Evaluated<Value> {
        let items = match self.value(items)? {
            Value::Array(items) => items,
            Value::Object(_) => return Ok(Value::from("")),
            primitive => return Ok(Value::string(primitive.to_text())),
        };
        let separator = match separator {
            Some(node) if items.len() > 1 => {
                let value = self.value(node)?;
                if value.is_primitive() { value.to_text() } else { ",".to_owned() }
            }
            _ => ",".to_owned(),
        };
        let mut draft = Draft::new(self.text);
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                draft.push(&separator)?;
            }
            draft.push(&item.to_text())?;
        }
        Ok(draft.finish())
    }

    /// Replaces `{0}`, `{1}`, … with the arguments; doubled braces are literal braces.
    fn format(&mut self, text: &ExprNode, arguments: &[ExprNode]) -> Evaluated<Value> {
        let text = self.value(text)?.to_text();
        // An argument is evaluated at most once, and only if the text refers to it.
        let mut values: Vec<Option<Value>> = vec![None; arguments.len()];
        let mut draft = Draft::new(self.text);
        let mut rest = text.as_str();
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(brace);
            draft.push(before)?;
            if after.starts_with("{{") || after.starts_with("}}") {
                draft.push(&after[..1])?;
                rest = &after[2..];
                continue;
            }
            let item = FormatItem::read(after).ok_or_else(|| EvalError::FormatString(text.clone()))?;
            let argument = arguments.get(item.index).ok_or_else(|| EvalError::FormatArguments(text.clone()))?;
            if values[item.index].is_none() {
                values[item.index] = Some(self.value(argument)?);
            }
            let value = values[item.index].as_ref().expect("it was just evaluated");
            if !item.specifiers.is_empty() {
                return Err(EvalError::FormatSpecifiers { specifiers: item.specifiers, kind: value.kind() });
            }
            draft.push(&value.to_text())?;
            rest = &after[item.length..];
        }
        draft.push(rest)?;
        Ok(draft.finish())
    }

    /// Without arguments, returns whether the status of the scope is success. With arguments, returns whether all of
    /// these jobs in `needs` succeeded.
    fn success(&mut self, jobs: &[ExprNode]) -> Evaluated<bool> {
        if jobs.is_empty() {
            return Ok(self.scope.status.success);
        }
        Ok(self.results(jobs)?.iter().all(|result| result == "success"))
    }

    /// Without arguments, returns whether the status of the scope is failure. With arguments, returns whether any of
    /// these jobs in `needs` failed.
    fn failure(&mut self, jobs: &[ExprNode]) -> Evaluated<bool> {
        if jobs.is_empty() {
            return Ok(self.scope.status.failure);
        }
        Ok(self.results(jobs)?.iter().any(|result| result == "failure"))
    }

    fn results(&mut self, jobs: &[ExprNode]) -> Evaluated<Vec<String>> {
        let jobs = self.texts(jobs)?;
        let needs = self.scope.contexts.get("needs");
        let result = |job: &String| Some(needs?.get(job)?.get("result")?.to_text());
        Ok(jobs.iter().map(|job| result(job).unwrap_or_default()).collect())
    }
}

/// `{0}` or `{0:specifiers}` in a format string.
struct FormatItem {
    index: usize,
    specifiers: String,
    /// Length of the item in bytes, braces included.
    length: usize,
}

impl FormatItem {
    /// Reads an item that starts at the beginning of `text`; `None` if it is invalid.
    fn read(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('{')?;
        let digits = inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        // GitHub parses the index as a byte.
        let index = inner[..digits].parse::<u8>().ok()?.into();
        if inner[digits..].starts_with('}') {
            return Some(Self { index, specifiers: String::new(), length: digits + 2 });
        }
        let mut specifiers = String::new();
        let mut characters = inner[digits..].strip_prefix(':')?.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            if c == '}' && characters.next_if(|(_, next)| *next == '}').is_none() {
                return Some(Self { index, specifiers, length: digits + at + 3 });
            }
            specifiers.push(c);
        }
        None
    }
}

/// A string builder that fails as soon as the string exceeds [`MAX_MEMORY`].
struct Draft<'a> {
    expression: &'a str,
    text: String,
    size: usize,
}

impl<'a> Draft<'a> {
    fn new(expression: &'a str) -> Self {
        Self { expression, text: String::new(), size: 0 }
    }

    fn push(&mut self, piece: &str) -> Evaluated<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.size += text_size(piece);
        if self.size > MAX_MEMORY {
            return Err(EvalError::Memory(self.expression.to_owned()));
        }
        self.text.push_str(piece);
        Ok(())
    }

    fn finish(self) -> Value {
        Value::string(self.text)
    }
}
