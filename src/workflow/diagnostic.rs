//! Diagnostics: messages about a file, each with a position and an optional hint.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::model::in_one_line;

use super::source::{NotUtf8, Source, Span};

/// Severity of a diagnostic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Advice; the file works as it is.
    Info,
    /// GitHub accepts the file, but it is most likely a mistake.
    Warning,
    /// GitHub rejects the file.
    Error,
}

impl Severity {
    /// Returns the severity as lower-case text.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A message about a file, for its author.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Severity.
    pub severity: Severity,
    /// Name of the rule, an entry of [`RULES`](super::lint::RULES).
    pub rule: &'static str,
    /// Position in the file.
    pub span: Span,
    /// The problem, in one line.
    pub message: String,
    /// How to fix the problem, in one line; `None` if there is nothing to add to the message.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Creates an error without a hint.
    pub fn error(rule: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, rule, span, message: message.into(), hint: None }
    }

    /// Creates a warning without a hint.
    pub fn warning(rule: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(rule, span, message) }
    }

    /// Creates the error of a file that is not UTF-8. `source` has its text with replacement characters.
    #[must_use]
    pub fn not_utf8(wrong: NotUtf8, source: &Source) -> Self {
        let message = format!("the byte 0x{:02X} is not UTF-8", wrong.byte);
        Self::error("syntax-check", source.span(wrong.at, 0), message).hint("save the file as UTF-8")
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Returns the diagnostic as one sentence for a screen reader: severity, position, message, rule and hint.
    #[must_use]
    pub fn sentence(&self, source: &Source) -> String {
        let Span { line, column, .. } = self.span;
        let hint = self.hint.as_ref().map(|hint| format!("; help: {hint}")).unwrap_or_default();
        let (word, name) = (self.severity.word(), &source.name);
        in_one_line(&format!(
            "{word}: {name}, line {line}, column {column}: {}, rule {}{hint}",
            self.message, self.rule
        ))
    }

    /// Renders the diagnostic for a terminal: message, `file:line:column`, the source line with a marker, and the hint.
    #[must_use]
    pub fn render(&self, source: &Source, colour: bool) -> String {
        let level = match self.severity {
            Severity::Info => Level::INFO,
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        // The marker ends with the first line, because underlining a whole job would not help.
        let length = source.text.len();
        let start = (self.span.start as usize).min(length);
        let line_end = source.text[start..].find('\n').map_or(length, |at| start + at);
        let end = (self.span.end as usize).clamp(start, line_end.max(start));
        let mark = AnnotationKind::Primary.span(start..end);
        // The renderer does not replace control characters in the path, nor line breaks in any text. A file name can
        // contain both.
        let snippet = Snippet::source(&source.text).path(in_one_line(&source.name)).annotation(mark);
        let title = format!("{} [{}]", self.message, self.rule);
        let mut group = level.primary_title(in_one_line(&title)).element(snippet);
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(in_one_line(hint)));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}
