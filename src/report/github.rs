//! Output inside GitHub Actions: annotations and groups as workflow commands, so that GitHub's page shows them.
//!
//! Groups cannot nest on that page, and jobs print at the same time. So a step is printed as a whole once it has ended:
//! without a group if it failed, otherwise in a group. Commands in the step's output are not executed again.

use std::io;

use crate::model::{Annotation, Conclusion, Event, Gate, JobId, LineRange, Record, Run, StepNumber};
use crate::report::style::{Out, Style};
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;

use super::lines::is_kept;
use super::{Lines, Logs, Printer};

/// Prints a run inside GitHub Actions: a group per step, and annotations as commands.
pub struct GitHub {
    lines: Lines,
    style: Style,
}

impl GitHub {
    /// Returns a printer with this style.
    pub fn new(style: Style) -> Self {
        Self { lines: Lines::new(style), style }
    }

    /// Prints lines of a step if it has ended. `None` as the range means all lines.
    fn step(
        &self,
        run: &Run,
        (job, number): (&JobId, StepNumber),
        range: Option<LineRange>,
        logs: &dyn Logs,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let Some(step) = run.step(job, number) else { return Ok(()) };
        let range = range.unwrap_or(LineRange { first: 0, count: step.lines });
        if range.count == 0 || !step.phase.is_done() {
            return Ok(());
        }
        let fold = step.outcome != Some(Conclusion::Failure);
        let title = text!("{} › {}", run.job_name(job), step.name);
        if fold {
            out.command(&text!("::group::{}", escaped(title.as_str())))?;
        } else {
            out.line(title)?;
        }
        // The token that enables commands again is random, so the step that printed these lines could not know it.
        let token = format!("{:016x}", getrandom::u64().map_err(io::Error::other)?);
        out.command(&text!("::stop-commands::{}", token))?;
        logs.lines(run, job, number, range, &mut |line| {
            if line.starts_with(b"##[endgroup]") {
                return Ok(());
            }
            let title = line.strip_prefix(b"##[group]");
            let text = TerminalText::log_line(title.unwrap_or(line), self.style.colours());
            out.command(&text!("{}{}", if title.is_some() { "▸ " } else { "" }, text))
        })?;
        out.command(&text!("::{}::", token))?;
        if fold { out.command(&text!("::endgroup::")) } else { Ok(()) }
    }
}

impl Printer for GitHub {
    fn record(&mut self, run: &Run, record: &Record, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        match &record.event {
            Event::Annotated { annotation, .. } => out.command(&command(annotation)),
            // A step is printed once it has ended. The log of a job on a server arrives after that, as `Output`
            // records.
            Event::StepStarted { .. } => Ok(()),
            Event::Output { job, step, .. } if is_kept(run, job, *step) => Ok(()),
            Event::Output { job, step, output } => self.step(run, (job, *step), Some(*output), logs, out),
            Event::StepFinished { job, step, .. } => {
                self.step(run, (job, *step), None, logs, out)?;
                self.lines.record(run, record, logs, out)
            }
            _ => self.lines.record(run, record, logs, out),
        }
    }

    fn waiting(&mut self, run: &Run, jobs: &[&JobId], gate: &Gate, out: &mut Out<'_>) -> io::Result<()> {
        self.lines.waiting(run, jobs, gate, out)
    }

    fn end(&mut self, run: &Run, logs: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        self.lines.end(run, logs, out)
    }
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns an annotation as a workflow command.
pub fn command(annotation: &Annotation) -> TerminalText {
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
    text!("::{}{}{}::{}", annotation.level.word(), space, given, escaped(&annotation.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::annotation;
    use crate::report::testing::Story;
    use crate::ui::theme::Glyphs;

    #[test]
    fn annotations_are_commands_again() {
        let annotation = annotation("a,b.c", 3, "100%\nbad");
        assert_eq!(command(&annotation).as_str(), "::error file=a%2Cb.c,line=3::100%25%0Abad");
    }

    #[test]
    fn a_log_that_comes_after_the_end_of_its_job_is_a_group_of_each_step() {
        let mut story = Story::new(&["a"]);
        story.step("a", 2, "Build", &[], 0);
        story.finish("a", Conclusion::Success);
        story.late("a", 2, &["one", "two"]);
        story.end(Conclusion::Success);
        let text = story.print(&mut GitHub::new(Style::new(Glyphs::Unicode, false)));
        assert_eq!(
            (text.matches("::group::a › Build").count(), text.matches("::endgroup::").count()),
            (1, 1),
            "{text}"
        );
        assert!(text.contains("one\ntwo\n"), "{text}");
    }

    #[test]
    fn steps_are_groups_and_what_they_print_is_no_command() {
        let mut story = Story::new(&["a"]);
        story.step("a", 2, "Fine", &["##[group]Inner", "::error::not mine", "##[endgroup]"], 0);
        story.annotate("a", 2, annotation("a.c", 3, "bad"));
        story.step("a", 3, "Bad", &["broken"], 1);
        story.finish("a", Conclusion::Failure);
        story.end(Conclusion::Failure);
        let text = story.print(&mut GitHub::new(Style::new(Glyphs::Unicode, false)));
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
