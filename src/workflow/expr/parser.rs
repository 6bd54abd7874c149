//! Parses the text of an expression into a tree, by operator precedence with explicit stacks.
//!
//! Parsing takes linear time and constant space on the call stack for any text. GitHub limits the depth of the tree, in
//! which parentheses do not count and a chain of `&&` or `||` is one level. The limit is checked when a node is
//! created, so no tree is ever deeper.

use super::error::{ParseError, ParseErrorKind};
use super::functions::Function;
use super::lexer::{Lexer, Token, TokenKind};
use super::node::{Comparison, ExprKind, ExprNode, Extent, Logical, Name};
use super::value::Value;
use super::{MAX_DEPTH, MAX_LENGTH, Vocabulary, text};

/// Parses a whole expression. Returns `None` if the text has no symbols.
pub(super) fn parse(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Option<ExprNode>, ParseError> {
    let parser =
        Parser { text, vocabulary, lexer: Lexer::new(text), last: None, operands: Vec::new(), pending: Vec::new() };
    if text::units(text) > MAX_LENGTH {
        return Err(parser.error(ParseErrorKind::TooLong, None));
    }
    parser.run()
}

struct Parser<'a> {
    text: &'a str,
    vocabulary: &'a Vocabulary<'a>,
    lexer: Lexer<'a>,
    /// The last symbol read, for the error when the text ends too early.
    last: Option<Extent>,
    operands: Vec<Operand>,
    pending: Vec<Pending>,
}

/// A finished operand.
struct Operand {
    node: ExprNode,
    /// Depth of the tree in nodes; 1 for a leaf.
    depth: usize,
    /// The extent of the node including the parentheses around it.
    outer: Extent,
    /// Whether `.` and `[` may follow. They may not follow a bare literal, `!x`, a comparison or a logical operation.
    dereferences: bool,
}

/// An operator or bracket that waits for operands.
enum Pending {
    Not(Extent),
    Binary(Operator),
    Group(Extent),
    Index,
    Call { function: Function, name: Name, arguments: Vec<Operand> },
}

impl Pending {
    /// Whether this is a bracket that is not closed yet.
    fn is_open(&self) -> bool {
        matches!(self, Self::Group(_) | Self::Index | Self::Call { .. })
    }
}

#[derive(Clone, Copy)]
enum Operator {
    Logical(Logical),
    Compare(Comparison),
}

impl Operator {
    fn precedence(self) -> u8 {
        match self {
            Self::Logical(Logical::Or) => 1,
            Self::Logical(Logical::And) => 2,
            Self::Compare(Comparison::Equal | Comparison::NotEqual) => 3,
            Self::Compare(_) => 4,
        }
    }
}

type ParseResult<T> = Result<T, ParseError>;

impl Parser<'_> {
    fn run(mut self) -> ParseResult<Option<ExprNode>> {
        let mut operand_due = true;
        while let Some(token) = self.read(operand_due) {
            operand_due = if operand_due { self.operand(token)? } else { self.after_operand(&token)? };
        }
        if self.last.is_none() {
            return Ok(None);
        }
        if operand_due || self.pending.iter().any(Pending::is_open) {
            return Err(self.error(ParseErrorKind::UnexpectedEnd, self.last));
        }
        self.reduce(0)?;
        Ok(self.operands.pop().map(|operand| operand.node))
    }

    /// Consumes a symbol where an operand is expected. Returns whether an operand is still expected.
    fn operand(&mut self, token: Token) -> ParseResult<bool> {
        let extent = token.extent;
        match token.kind {
            TokenKind::Number(number) => self.literal(Value::Number(number), extent)?,
            TokenKind::String(text) => self.literal(Value::string(text), extent)?,
            TokenKind::Name => return self.word(extent),
            TokenKind::Open => {
                self.pending.push(Pending::Group(extent));
                return Ok(true);
            }
            TokenKind::Not => {
                self.pending.push(Pending::Not(extent));
                return Ok(true);
            }
            _ => return Err(self.unexpected(&token)),
        }
        Ok(false)
    }

    /// Consumes a name where an operand is expected: a literal, a context or the start of a call.
    fn word(&mut self, extent: Extent) -> ParseResult<bool> {
        let word = &self.text[extent.start..extent.end];
        let literal = match word {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "NaN" => Some(Value::Number(f64::NAN)),
            "Infinity" => Some(Value::Number(f64::INFINITY)),
            _ => None,
        };
        if let Some(value) = literal {
            self.literal(value, extent)?;
            return Ok(false);
        }
        let name = Name { text: word.to_owned(), extent };
        if self.lexer.at_open() {
            return self.call(name);
        }
        if !self.vocabulary.knows_context(word) {
            return Err(self.error(ParseErrorKind::UnrecognizedNamedValue, Some(extent)));
        }
        self.push(ExprKind::Context(name), extent, 1, true)?;
        Ok(false)
    }

    fn call(&mut self, name: Name) -> ParseResult<bool> {
        let Some(function) = Function::named(&name.text).filter(|function| self.vocabulary.knows_function(*function))
        else {
            return Err(self.error(ParseErrorKind::UnrecognizedFunction, Some(name.extent)));
        };
        self.read(false); // the `(`
        let mut after = self.lexer.clone();
        if let Some(Token { kind: TokenKind::Close, extent }) = after.next(true) {
            self.lexer = after;
            self.last = Some(extent);
            self.end_call(function, name, Vec::new(), extent)?;
            return Ok(false);
        }
        self.pending.push(Pending::Call { function, name, arguments: Vec::new() });
        Ok(true)
    }

    /// Consumes a symbol after an operand. Returns whether another operand is expected.
    fn after_operand(&mut self, token: &Token) -> ParseResult<bool> {
        let operator = match token.kind {
            TokenKind::And => Operator::Logical(Logical::And),
            TokenKind::Or => Operator::Logical(Logical::Or),
            TokenKind::Compare(comparison) => Operator::Compare(comparison),
            _ => return self.punctuation(token),
        };
        self.reduce(operator.precedence())?;
        self.pending.push(Pending::Binary(operator));
        Ok(true)
    }

    fn punctuation(&mut self, token: &Token) -> ParseResult<bool> {
        let dereferences = self.operands.last().is_some_and(|operand| operand.dereferences);
        match token.kind {
            TokenKind::Dot if dereferences => self.property()?,
            TokenKind::OpenIndex if dereferences => return self.index(),
            TokenKind::Comma => {
                self.reduce(0)?;
                let Some(Pending::Call { arguments, .. }) = self.pending.last_mut() else {
                    return Err(self.unexpected(token));
                };
                arguments.extend(self.operands.pop());
                return Ok(true);
            }
            TokenKind::Close | TokenKind::CloseIndex => {
                self.reduce(0)?;
                self.close(token)?;
            }
            _ => return Err(self.unexpected(token)),
        }
        Ok(false)
    }

    /// Closes the innermost group, call or index.
    fn close(&mut self, token: &Token) -> ParseResult<()> {
        match (self.pending.pop(), &token.kind) {
            (Some(Pending::Group(open)), TokenKind::Close) => {
                let operand = self.operands.last_mut().expect("a group is closed after an operand");
                operand.outer = Extent { start: open.start, end: token.extent.end };
                operand.dereferences = true;
                Ok(())
            }
            (Some(Pending::Call { function, name, mut arguments }), TokenKind::Close) => {
                arguments.push(self.pop());
                self.end_call(function, name, arguments, token.extent)
            }
            (Some(Pending::Index), TokenKind::CloseIndex) => {
                let (index, object) = (self.pop(), self.pop());
                let extent = Extent { start: object.outer.start, end: token.extent.end };
                let depth = 1 + object.depth.max(index.depth);
                let kind = ExprKind::Index { object: Box::new(object.node), index: Box::new(index.node) };
                self.push(kind, extent, depth, true)
            }
            _ => Err(self.unexpected(token)),
        }
    }

    fn end_call(&mut self, function: Function, name: Name, arguments: Vec<Operand>, close: Extent) -> ParseResult<()> {
        let (fewest, most) = function.arity(self.vocabulary.jobs_named);
        let fault = if arguments.len() < fewest {
            Some(ParseErrorKind::TooFewParameters)
        } else if arguments.len() > most {
            Some(ParseErrorKind::TooManyParameters)
        } else if function == Function::Case && arguments.len().is_multiple_of(2) {
            Some(ParseErrorKind::EvenParameters)
        } else {
            None
        };
        if let Some(kind) = fault {
            return Err(self.error(kind, Some(name.extent)));
        }
        let extent = Extent { start: name.extent.start, end: close.end };
        let depth = 1 + arguments.iter().map(|argument| argument.depth).max().unwrap_or(0);
        let arguments = arguments.into_iter().map(|argument| argument.node).collect();
        self.push(ExprKind::Call { function, name, arguments }, extent, depth, true)
    }

    /// Parses the text after a `.`: the name of a property or `*`.
    fn property(&mut self) -> ParseResult<()> {
        let Some(token) = self.read(false) else {
            return Err(self.error(ParseErrorKind::UnexpectedEnd, self.last));
        };
        if !matches!(token.kind, TokenKind::Name | TokenKind::Star) {
            return Err(self.unexpected(&token));
        }
        if token.kind == TokenKind::Star {
            return self.filter(token.extent);
        }
        let object = self.pop();
        let extent = Extent { start: object.outer.start, end: token.extent.end };
        let name = Name { text: self.text[token.extent.start..token.extent.end].to_owned(), extent: token.extent };
        self.push(ExprKind::Property { object: Box::new(object.node), name }, extent, 1 + object.depth, true)
    }

    /// Applies `.*` or `[*]`, whose last symbol is `end`.
    fn filter(&mut self, end: Extent) -> ParseResult<()> {
        let object = self.pop();
        let extent = Extent { start: object.outer.start, end: end.end };
        self.push(ExprKind::Filter { object: Box::new(object.node) }, extent, 1 + object.depth, true)
    }

    /// Parses the text after a `[`: `*]` or an operand. Returns whether an operand is expected.
    fn index(&mut self) -> ParseResult<bool> {
        let mut after = self.lexer.clone();
        if !matches!(after.next(true), Some(Token { kind: TokenKind::Star, .. })) {
            self.pending.push(Pending::Index);
            return Ok(true);
        }
        self.read(true); // the `*`
        match self.read(false) {
            Some(Token { kind: TokenKind::CloseIndex, extent }) => {
                self.filter(extent)?;
                Ok(false)
            }
            Some(token) => Err(self.unexpected(&token)),
            None => Err(self.error(ParseErrorKind::UnexpectedEnd, self.last)),
        }
    }

    /// Applies the pending operators that bind at least as tightly as `precedence`.
    fn reduce(&mut self, precedence: u8) -> ParseResult<()> {
        loop {
            match self.pending.last() {
                Some(Pending::Not(at)) => {
                    let start = at.start;
                    let operand = self.pop();
                    let extent = Extent { start, end: operand.outer.end };
                    self.push(ExprKind::Not(Box::new(operand.node)), extent, 1 + operand.depth, false)?;
                }
                Some(Pending::Binary(operator)) if operator.precedence() >= precedence => {
                    let operator = *operator;
                    let (right, left) = (self.pop(), self.pop());
                    self.binary(operator, left, right)?;
                }
                _ => return Ok(()),
            }
            self.pending.pop();
        }
    }

    fn binary(&mut self, operator: Operator, left: Operand, right: Operand) -> ParseResult<()> {
        let extent = Extent { start: left.outer.start, end: right.outer.end };
        match operator {
            Operator::Compare(operator) => {
                let depth = 1 + left.depth.max(right.depth);
                let kind = ExprKind::Compare { operator, left: Box::new(left.node), right: Box::new(right.node) };
                self.push(kind, extent, depth, false)
            }
            Operator::Logical(operator) => {
                let (mut operands, left_depth) = chain(operator, left);
                let (more, right_depth) = chain(operator, right);
                operands.extend(more);
                self.push(ExprKind::Logical { operator, operands }, extent, left_depth.max(right_depth), false)
            }
        }
    }

    fn literal(&mut self, value: Value, extent: Extent) -> ParseResult<()> {
        self.push(ExprKind::Literal(value), extent, 1, false)
    }

    fn push(&mut self, kind: ExprKind, extent: Extent, depth: usize, dereferences: bool) -> ParseResult<()> {
        if depth > MAX_DEPTH {
            return Err(self.error(ParseErrorKind::TooDeep, None));
        }
        self.operands.push(Operand { node: ExprNode { extent, kind }, depth, outer: extent, dereferences });
        Ok(())
    }

    fn pop(&mut self) -> Operand {
        self.operands.pop().expect("an operator or a bracket is applied only after its operands")
    }

    fn read(&mut self, operand_due: bool) -> Option<Token> {
        let token = self.lexer.next(operand_due);
        if let Some(token) = &token {
            self.last = Some(token.extent);
        }
        token
    }

    fn unexpected(&self, token: &Token) -> ParseError {
        let kind = if token.kind == TokenKind::Invalid {
            ParseErrorKind::InvalidSymbol
        } else {
            ParseErrorKind::UnexpectedSymbol
        };
        self.error(kind, Some(token.extent))
    }

    fn error(&self, kind: ParseErrorKind, at: Option<Extent>) -> ParseError {
        ParseError { kind, at, expression: self.text.to_owned() }
    }
}

/// Returns the operands that `operand` adds to a chain of `operator`, and the depth of that chain. If `operand` is
/// itself a chain of the same operator, it is flattened.
fn chain(operator: Logical, operand: Operand) -> (Vec<ExprNode>, usize) {
    match operand.node.kind {
        ExprKind::Logical { operator: inner, operands } if inner == operator => (operands, operand.depth),
        kind => (vec![ExprNode { kind, ..operand.node }], operand.depth + 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::workflow::expr::Expr;

    /// Renders a tree with parentheses around every node that has operands.
    fn shape(node: &ExprNode) -> String {
        let list = |nodes: &[ExprNode]| nodes.iter().map(shape).collect::<Vec<_>>().join(" ");
        match &node.kind {
            ExprKind::Literal(value) => value.to_literal(),
            ExprKind::Context(name) => name.text.clone(),
            ExprKind::Property { object, name } => format!("({} . {})", shape(object), name.text),
            ExprKind::Index { object, index } => format!("({} [] {})", shape(object), shape(index)),
            ExprKind::Filter { object } => format!("({} *)", shape(object)),
            ExprKind::Call { function, arguments, .. } => format!("({} {})", function.name(), list(arguments)),
            ExprKind::Not(operand) => format!("(! {})", shape(operand)),
            ExprKind::Compare { operator, left, right } => {
                format!("({} {} {})", operator.symbol(), shape(left), shape(right))
            }
            ExprKind::Logical { operator: Logical::And, operands } => format!("(&& {})", list(operands)),
            ExprKind::Logical { operator: Logical::Or, operands } => format!("(|| {})", list(operands)),
        }
    }

    #[test]
    fn operators_have_precedence() {
        for (text, tree) in [
            ("a || b && c", "(|| a (&& b c))"),
            ("a && b || c && d", "(|| (&& a b) (&& c d))"),
            ("a && b && c", "(&& a b c)"),
            ("a && (b && c) && d", "(&& a b c d)"),
            ("a || (b && (c || d))", "(|| a (&& b (|| c d)))"),
            ("a == b != c", "(!= (== a b) c)"),
            ("a == b < c", "(== a (< b c))"),
            ("a < b <= c", "(<= (< a b) c)"),
            ("!a == b", "(== (! a) b)"),
            ("!!a.b", "(! (! (a . b)))"),
            ("!(a || b)", "(! (|| a b))"),
            ("a && !b || c", "(|| (&& a (! b)) c)"),
            ("a.b['c'][0].*.d[*]", "((((((a . b) [] 'c') [] 0) *) . d) *)"),
            ("a[b || c].d", "((a [] (|| b c)) . d)"),
            ("('x').y", "('x' . y)"),
            ("join(a, b.c == 'd')", "(join a (== (b . c) 'd'))"),
            ("success()", "(success )"),
            ("fromJSON (a)[0].b", "(((fromJSON a) [] 0) . b)"),
            ("a.true.null", "((a . true) . null)"),
            ("NaN == Infinity", "(== NaN Infinity)"),
        ] {
            let expr = Expr::parse(text, &Vocabulary::ANY).unwrap();
            assert_eq!(shape(expr.tree().unwrap()), tree, "{text}");
        }
    }

    #[test]
    fn extents_cover_the_operands() {
        let text = "(a || b) && !( c ).d == toJSON( 'x' )";
        let expr = Expr::parse(text, &Vocabulary::ANY).unwrap();
        let mut parts = Vec::new();
        expr.walk(&mut |node| parts.push(&text[node.extent.start..node.extent.end]));
        let all =
            [text, "a || b", "a", "b", "!( c ).d == toJSON( 'x' )", "!( c ).d", "( c ).d", "c", "toJSON( 'x' )", "'x'"];
        assert_eq!(parts, all);
    }

    #[test]
    fn errors_have_githubs_messages() {
        const KNOWN: Vocabulary<'_> =
            Vocabulary { contexts: Some(&["github", "needs"]), functions: &[], jobs_named: false };
        for (text, fault) in [
            ("1 <", "Unexpected end of expression: '<'. Located at position 3"),
            ("!(github", "Unexpected end of expression: 'github'. Located at position 3"),
            ("github.", "Unexpected end of expression: '.'. Located at position 7"),
            ("github[0", "Unexpected end of expression: '0'. Located at position 8"),
            ("github[*", "Unexpected end of expression: '*'. Located at position 8"),
            ("join('a',", "Unexpected end of expression: ','. Located at position 9"),
            ("1 < )", "Unexpected symbol: ')'. Located at position 5"),
            ("(1)2", "Unexpected symbol: '2'. Located at position 4"),
            ("1)", "Unexpected symbol: ')'. Located at position 2"),
            ("(1]", "Unexpected symbol: ']'. Located at position 3"),
            ("(1, 2)", "Unexpected symbol: ','. Located at position 3"),
            ("github.()", "Unexpected symbol: '('. Located at position 8"),
            ("github..ref", "Unexpected symbol: '.'. Located at position 8"),
            ("github.1", "Unexpected symbol: '1'. Located at position 8"),
            ("github[]", "Unexpected symbol: ']'. Located at position 8"),
            ("github[*.a]", "Unexpected symbol: '.'. Located at position 9"),
            ("'a'.b", "Unexpected symbol: '.'. Located at position 4"),
            ("1 == 2.x", "Unexpected symbol: '2.x'. Located at position 6"),
            ("'a'[0]", "Unexpected symbol: '['. Located at position 4"),
            ("*", "Unexpected symbol: '*'. Located at position 1"),
            ("join('a',)", "Unexpected symbol: ')'. Located at position 10"),
            ("'😊' 1", "Unexpected symbol: '1'. Located at position 6"),
            ("1 && nosuch.x", "Unrecognized named-value: 'nosuch'. Located at position 6"),
            ("True", "Unrecognized named-value: 'True'. Located at position 1"),
            ("toLower('a')", "Unrecognized function: 'toLower'. Located at position 1"),
            ("success()", "Unrecognized function: 'success'. Located at position 1"),
            ("join()", "Too few parameters supplied: 'join'. Located at position 1"),
            ("join(1,2,3)", "Too many parameters supplied: 'join'. Located at position 1"),
            (
                "case(true,1,true,2)",
                "Even number of parameters supplied, requires an odd number of parameters: 'case'. \
                 Located at position 1",
            ),
        ] {
            let message = format!("{fault} within expression: {text}");
            assert_eq!(parse(text, &KNOWN).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn status_functions_accept_job_names_only_in_a_job() {
        assert!(Expr::parse("success('build')", &Vocabulary::ANY).is_ok());
        let step = Vocabulary { jobs_named: false, ..Vocabulary::ANY };
        assert_eq!(Expr::parse("success('build')", &step).unwrap_err().kind, ParseErrorKind::TooManyParameters);
    }

    #[test]
    fn depth_is_limited_and_parentheses_do_not_count() {
        let chain = |operator: &str| vec!["a"; 3000].join(operator);
        for (text, fits) in [
            (format!("{}a", "!".repeat(MAX_DEPTH - 1)), true),
            (format!("{}a", "!".repeat(MAX_DEPTH)), false),
            (format!("a{}", ".b".repeat(MAX_DEPTH - 1)), true),
            (format!("a{}", "[0]".repeat(MAX_DEPTH)), false),
            (format!("a{}", "[*]".repeat(MAX_DEPTH)), false),
            (format!("{}1{}", "toJSON(".repeat(MAX_DEPTH - 1), ")".repeat(MAX_DEPTH - 1)), true),
            (format!("{}1{}", "toJSON(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH)), false),
            (format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)), true),
            ("!".repeat(20_000) + "a", false),
            (chain("&&"), true),
            (chain("||"), true),
            (chain("=="), false),
            ("a&&(".repeat(4000) + "a" + &")".repeat(4000), true),
        ] {
            match parse(&text, &Vocabulary::ANY) {
                Ok(_) => assert!(fits, "{text:.60}"),
                Err(error) => {
                    assert!(!fits, "{error:.60}");
                    assert_eq!(error.to_string(), "Exceeded max expression depth 50");
                }
            }
        }
    }

    #[test]
    fn length_is_limited() {
        let text = |length: usize| format!("'{}'", "é".repeat(length - 2));
        assert!(parse(&text(MAX_LENGTH), &Vocabulary::ANY).is_ok());
        let error = parse(&text(MAX_LENGTH + 1), &Vocabulary::ANY).unwrap_err();
        assert_eq!(error.to_string(), "Exceeded max expression length 21000");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in any_text()) {
            match Expr::parse(&text, &Vocabulary::ANY) {
                Ok(expr) => prop_assert_eq!(expr.text(), text),
                Err(error) => {
                    // Position and message can be computed for every error.
                    prop_assert_eq!(error.position().is_some(), error.at.is_some());
                    prop_assert!(error.to_string().starts_with(&error.kind.description()));
                }
            }
        }

        #[test]
        fn extents_are_unique_and_nested(text in any_text()) {
            if let Ok(expr) = Expr::parse(&text, &Vocabulary::ANY) {
                let mut extents = std::collections::HashSet::new();
                expr.walk(&mut |node| {
                    assert!(extents.insert(node.extent), "{text}");
                    for child in node.children() {
                        assert!(node.extent.start <= child.extent.start && child.extent.end <= node.extent.end);
                    }
                });
            }
        }

        #[test]
        fn the_text_of_a_part_is_an_expression_of_that_part(text in any_text()) {
            if let Ok(expr) = Expr::parse(&text, &Vocabulary::ANY) {
                expr.walk(&mut |node| {
                    let part = &text[node.extent.start..node.extent.end];
                    let again = Expr::parse(part, &Vocabulary::ANY).unwrap();
                    assert_eq!(shape(again.tree().unwrap()), shape(node), "{part} of {text}");
                });
            }
        }
    }

    /// Generates expressions, symbols in any order, and arbitrary text.
    fn any_text() -> impl Strategy<Value = String> {
        const SYMBOLS: &[&str] = &[
            "a",
            "b",
            "github",
            "true",
            "null",
            "NaN",
            "1",
            ".5",
            "-1",
            "'x'",
            "''",
            "'",
            "(",
            ")",
            "[",
            "]",
            ",",
            ".",
            ".c",
            "*",
            ".*",
            "[*]",
            "[0]",
            "['k']",
            "!",
            "!=",
            "==",
            "<",
            "<=",
            ">",
            ">=",
            "&&",
            "||",
            "&",
            "=",
            " ",
            "\n",
            "join(",
            "toJSON(",
            "case(",
            "success()",
            "nosuch(",
            "é",
            "😊",
            "#",
        ];
        let operand = prop::sample::select(vec!["a", "true", "1", "'x'", "success()"]).prop_map(str::to_owned);
        let expression = operand.prop_recursive(5, 40, 3, |inner| {
            let pair = (inner.clone(), prop::sample::select(vec!["==", "<", "&&", "||"]), inner.clone());
            prop_oneof![
                pair.prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
                inner.clone().prop_map(|inner| format!("({inner})")),
                inner.clone().prop_map(|inner| format!("!{inner}")),
                inner.clone().prop_map(|inner| format!("({inner}).b")),
                inner.clone().prop_map(|inner| format!("a[{inner}].*")),
                (inner.clone(), inner).prop_map(|(first, second)| format!("join({first}, {second})")),
            ]
        });
        prop_oneof![
            expression,
            prop::collection::vec(prop::sample::select(SYMBOLS), 0..16).prop_map(|symbols| symbols.concat()),
            any::<String>(),
        ]
    }
}
