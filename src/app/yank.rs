//! Output to other programs: text for the clipboard, files for an editor, a shell.

use crate::model::{Annotation, Level};
use crate::store::first_error::place_in;
use crate::ui::layout::Panel;
use crate::ui::log::Line;
use crate::ui::text;

use super::App;
use super::availability::capabilities;
use super::chrome::toast_columns;
use super::msg::Effect;
use super::overlay::Overlay;
use super::overlay::question::{Choice, Question};
use crate::model::feed::Notice;
use crate::store::logs::query::LogPage;

/// Number of lines copied on each side of an error line.
const AROUND: u64 = 5;

/// Number of lines below the cursor that are searched for a file name, because compilers print it below the message.
const LINES_BELOW: usize = 4;

impl App {
    /// Returns the menu of texts to copy; `None` if no run is selected.
    pub(super) fn yank_menu(&self) -> Option<Overlay> {
        let run = self.selection.run_id()?;
        let mut choices = Vec::new();
        let mut offer = |key, label: &str, effect| {
            choices.push(Choice::new(key, label, vec![effect]));
        };
        if self.view.focus == Panel::Log {
            if let Some((request, more)) = self.panes.log.selection() {
                let label = match more {
                    0 => "the selected lines".to_owned(),
                    more => {
                        format!("the selected lines except the last {}, which exceed the limit", text::count(more))
                    }
                };
                offer('v', &label, Effect::CopyLines(request));
            }
            if let Some(line) = self.panes.log.texts().next() {
                offer('l', "the line", Effect::Copy(line));
            }
        }
        if let Some(request) = self.panes.log.excerpt(AROUND) {
            offer('e', "the lines around the error", Effect::CopyLines(request));
        }
        let job = self.selection.job(&self.state);
        if let Some(url) = job.and_then(|job| job.environment_url.clone()) {
            offer('u', "the URL of the deployment", Effect::Copy(url));
        }
        if let Some(page) = job.and_then(|job| job.deployment_page.clone()) {
            offer('p', "the page of the deployment on its server", Effect::Copy(page));
        }
        let command = match (self.view.focus, self.panes.log.key()) {
            (Panel::Jobs | Panel::Graph | Panel::Log, Some(key)) => {
                format!("cuelight logs {run} --job {} --step {}", key.job, key.step)
            }
            _ => format!("cuelight show {run}"),
        };
        offer('c', &format!("the command: {command}"), Effect::Copy(command.clone()));
        offer('r', "the id of the run", Effect::Copy(run.to_string()));
        Some(Overlay::Question(Question::new("Copy", Vec::new(), choices)))
    }

    /// Returns the effect that copies the requested lines. Shows the error if they cannot be read.
    pub(super) fn copied(&mut self, page: LogPage) -> Vec<Effect> {
        match page.lines {
            Ok(lines) => {
                let lines: Vec<String> = lines.iter().map(|line| Line::parse(&line.bytes, self.theme).text()).collect();
                vec![Effect::Copy(lines.join("\n"))]
            }
            Err(error) => {
                self.notify(Notice::bad(error.to_string()));
                Vec::new()
            }
        }
    }

    /// Shows a notice about the copied text in one row, which may show only the beginning of a line.
    pub(super) fn show_copied(&mut self, copied: &str) {
        const SENT: &str = "sent to the terminal's clipboard: ";
        let what = match copied.lines().count() {
            0 | 1 => {
                let room = toast_columns(self.area).saturating_sub(SENT.len());
                text::clip(copied.trim_end(), room, self.theme.ellipsis()).into_owned()
            }
            lines => text::counted(lines as u64, "line"),
        };
        self.toast = Some(Notice::news(format!("{SENT}{what}")));
    }

    /// Opens the file named in the line at the cursor, else the file of an annotation of the step or job. Shows a
    /// notice if no file is named.
    pub(super) fn edit(&mut self) -> Vec<Effect> {
        let (Some(run), Some((file, line))) = (self.selection.run_id().cloned(), self.named_place()) else {
            self.toast = Some(Notice::bad("edit: no line or annotation here names a file"));
            return Vec::new();
        };
        vec![Effect::Edit { run: Some(run), file, line }]
    }

    /// Opens a shell in the environment of the selected job, or in the selected service. Shows the reason if that is
    /// not possible.
    pub(super) fn shell(&mut self) -> Vec<Effect> {
        let service = self.panes.services.selected.clone().filter(|_| self.view.focus == Panel::Services);
        let (job, service) = match service {
            Some((Some(job), service)) => (Some(job), Some(service)),
            _ => (self.selection.job_id().cloned(), None),
        };
        let job = job.and_then(|job| self.run()?.jobs.get(&job));
        let capabilities = capabilities(&self.state, self.summary());
        if let Err(reason) = capabilities.check_shell(job.map(|job| &job.phase), service.is_some()) {
            self.toast = Some(Notice::bad(format!("shell: {reason}")));
            return Vec::new();
        }
        let (run, job) = (self.selection.run_id().cloned(), job.map(|job| job.id.clone()));
        run.zip(job).map(|(run, job)| Effect::Shell { run, job, service }).into_iter().collect()
    }

    /// Whether there is a file to [edit](Self::edit).
    pub(super) fn names_file(&self) -> bool {
        self.named_place().is_some()
    }

    /// Returns the file, and the line if known, named by the line at the cursor or one of those below it; else the file
    /// of an annotation, preferably of an error.
    fn named_place(&self) -> Option<(String, Option<u32>)> {
        if self.view.focus == Panel::Log && !self.panes.log.follows() {
            let named = self.panes.log.texts().take(LINES_BELOW + 1).find_map(|line| place_in(&line));
            if named.is_some() {
                return named;
            }
        }
        let job = self.selection.job(&self.state)?;
        let notes: Vec<&Annotation> = match self.selection.step(&self.state) {
            Some((_, step)) if !step.annotations.is_empty() => step.annotations.iter().collect(),
            _ => job.steps.iter().flat_map(|step| &step.annotations).collect(),
        };
        let with_file = || notes.iter().filter(|note| note.file.is_some());
        let note = with_file().find(|note| note.level == Level::Error).or_else(|| with_file().next())?;
        Some((note.file.clone()?, note.line))
    }
}
