//! Inside GitHub Actions: annotations and groups in GitHub's own form, so that a run inside a run is read by the page.
//!
//! Groups cannot nest there and jobs print at the same time, so a step is printed whole once it has ended: in a group
//! when it succeeded, open when it did not. What it printed is kept from being taken for commands.

use std::io::{self, Write};

use crate::cli::style::Style;
use crate::model::{Annotation, Conclusion, Event, JobId, Level, LineRange, Record, Run, StepNumber};

use super::text::shown;
use super::{Lines, Logs, Printer};

/// Prints a group per step and annotations as commands.
pub(in crate::cli) struct GitHub {
    lines: Lines,
    style: Style,
}

impl GitHub {
    pub(in crate::cli) fn new(style: Style) -> Self {
        Self { lines: Lines::new(style), style }
    }

    fn step(
        &self,
        run: &Run,
        (job, number): (&JobId, StepNumber),
        outcome: Conclusion,
        logs: &dyn Logs,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Some(found) = run.jobs.get(job) else { return Ok(()) };
        let Some(step) = found.steps.iter().find(|step| step.number == number) else { return Ok(()) };
        if step.lines == 0 {
            return Ok(());
        }
        let fold = outcome != Conclusion::Failure;
        let title = format!("{} › {}", found.name, step.name);
        writeln!(out, "{}{}", if fold { "::group::" } else { "" }, escaped(&title))?;
        // Nobody who printed these lines knows the word that makes commands count again.
        let token = format!("{:016x}", getrandom::u64().map_err(io::Error::other)?);
        writeln!(out, "::stop-commands::{token}")?;
        logs.lines(run, job, number, LineRange { first: 0, count: step.lines }, &mut |line| {
            let text = shown(line, self.style.colour);
            match (text.strip_prefix("##[group]"), text.starts_with("##[endgroup]")) {
                (Some(title), _) => writeln!(out, "▸ {title}"),
                (None, true) => Ok(()),
                (None, false) => writeln!(out, "{text}"),
            }
        })?;
        writeln!(out, "::{token}::")?;
        if fold { writeln!(out, "::endgroup::") } else { Ok(()) }
    }
}

impl Printer for GitHub {
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut dyn Write) -> io::Result<()> {
        match &record.event {
            Event::Annotated { annotation, .. } => writeln!(out, "{}", command(annotation)),
            Event::Output { .. } => Ok(()),
            Event::StepFinished { job, step, outcome, .. } => {
                self.step(run, (job, *step), *outcome, logs, out)?;
                self.lines.record(run, record, logs, out)
            }
            _ => self.lines.record(run, record, logs, out),
        }
    }

    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut dyn Write) -> io::Result<()> {
        self.lines.end(run, logs, out)
    }
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
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
    let given = properties.into_iter().filter_map(|(key, value)| {
        let value = escaped(&value?).replace(':', "%3A").replace(',', "%2C");
        Some(format!("{key}={value}"))
    });
    let given = given.collect::<Vec<_>>().join(",");
    let space = if given.is_empty() { "" } else { " " };
    format!("::{name}{space}{given}::{}", escaped(&annotation.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::testing::{Story, annotation};

    #[test]
    fn annotations_are_commands_again() {
        let annotation = annotation("a,b.c", 3, "100%\nbad");
        assert_eq!(command(&annotation), "::error file=a%2Cb.c,line=3::100%25%0Abad");
    }

    #[test]
    fn steps_are_groups_and_what_they_print_is_no_command() {
        let mut story = Story::new(&["a"]);
        story.step("a", 2, "Fine", &["##[group]Inner", "::error::not mine", "##[endgroup]"], 0);
        story.annotate("a", 2, annotation("a.c", 3, "bad"));
        story.step("a", 3, "Bad", &["broken"], 1);
        story.finish("a", Conclusion::Failure);
        story.end(Conclusion::Failure);
        let text = story.print(&mut GitHub::new(Style { colour: false, ascii: false }));
        let token = text.split("::stop-commands::").nth(1).and_then(|rest| rest.lines().next()).expect("a token");
        let first = format!(
            "::group::a › Fine\n::stop-commands::{token}\n▸ Inner\n::error::not mine\n::{token}::\n::endgroup::\n"
        );
        assert!(text.contains(&first), "{text}");
        assert!(text.contains("::error file=a.c,line=3::bad\n"), "{text}");
        assert!(text.contains("\na › Bad\n::stop-commands::") && text.matches("::group::").count() == 1, "{text}");
        assert_eq!(text.matches("::stop-commands::").count(), 2);
    }
}
