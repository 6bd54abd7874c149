//! Inside GitHub Actions: annotations and groups in GitHub's own form, so that a run inside a run is read by the page.

use std::io::{self, Write};

use crate::model::{Annotation, Event, Level, Record, Run};

use super::{Lines, Logs, Printer};

/// Prints a group per job and annotations as commands.
pub(in crate::cli) struct GitHub {
    lines: Lines,
}

impl GitHub {
    pub(in crate::cli) fn new(lines: Lines) -> Self {
        Self { lines }
    }
}

impl Printer for GitHub {
    fn record(&mut self, run: &Run, record: &Record, logs: &Logs) -> io::Result<()> {
        match &record.event {
            Event::Annotated { annotation, .. } => writeln!(io::stdout().lock(), "{}", command(annotation)),
            _ => self.lines.record(run, record, logs),
        }
    }

    fn end(&mut self, run: &Run, logs: &Logs) -> io::Result<()> {
        self.lines.end(run, logs)
    }
}

/// An annotation as a workflow command.
fn command(annotation: &Annotation) -> String {
    let name = match annotation.level {
        Level::Notice => "notice",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let properties = [
        ("file", annotation.file.clone()),
        ("line", number(annotation.line)),
        ("endLine", number(annotation.end_line)),
        ("col", number(annotation.column)),
        ("endColumn", number(annotation.end_column)),
        ("title", annotation.title.clone()),
    ];
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let given = properties.into_iter().filter_map(|(key, value)| {
        let value = escape(&value?).replace(':', "%3A").replace(',', "%2C");
        Some(format!("{key}={value}"))
    });
    let given = given.collect::<Vec<_>>().join(",");
    let space = if given.is_empty() { "" } else { " " };
    format!("::{name}{space}{given}::{}", escape(&annotation.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_commands_again() {
        let annotation = Annotation {
            level: Level::Error,
            message: "100%\nbad".to_owned(),
            title: None,
            file: Some("a,b.c".to_owned()),
            line: Some(3),
            end_line: None,
            column: None,
            end_column: None,
        };
        assert_eq!(command(&annotation), "::error file=a%2Cb.c,line=3::100%25%0Abad");
    }
}
