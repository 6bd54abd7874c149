//! What a step's process writes, on its way to the log: cut into lines, searched for commands and matches.
//!
//! Most output is plain: a portion that can hold no command, while no matcher is registered, goes to the log as it is.
//! A line is looked at only up to [`MAX_LINE`]; a longer one is text, and passes in portions, so that a line of 100 MB
//! costs no memory.

use crate::engine::outlet::StepLog;
use crate::engine::workspace::checkout;
use crate::model::{Annotation, Event, Level};

use super::command_files::Left;
use super::context::StepContext;
use super::matcher;
use super::matcher::Matchers;
use super::workflow_command;
use super::workflow_command::{WorkflowCommand, may_hold_command};

/// Length in bytes past which a line holds no command and matches no pattern.
const MAX_LINE: usize = 1024 * 1024;

/// Annotations that are recorded per level and step, as on GitHub.
const MAX_ANNOTATIONS: usize = 10;

/// Shortest token of `stop-commands`, in bytes, that is masked.
const MIN_MASKED_TOKEN: usize = 7;

/// Reads the output of one step's process.
pub(super) struct Output<'a> {
    context: &'a StepContext<'a>,
    matchers: &'a mut Matchers,
    log: &'a mut dyn StepLog,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Whether the line became too long to be looked at: its rest is text.
    overlong: bool,
    /// Token of `stop-commands`, while commands are stopped.
    stopped: Option<String>,
    unsecure: bool,
    /// Number of annotations so far, by level.
    annotations: [usize; 3],
    left: Left,
}

impl<'a> Output<'a> {
    /// A reader of a new process. `unsecure` allows the commands `set-env` and `add-path`.
    pub(super) fn new(
        context: &'a StepContext<'a>,
        matchers: &'a mut Matchers,
        log: &'a mut dyn StepLog,
        unsecure: bool,
    ) -> Self {
        matchers.start_over();
        Self {
            context,
            matchers,
            log,
            line: Vec::new(),
            overlong: false,
            stopped: None,
            unsecure,
            annotations: [0; 3],
            left: Left::default(),
        }
    }

    /// Takes bytes, cut anywhere.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Some(last) = memchr::memrchr(b'\n', bytes) else { return self.hold(bytes) };
        let (whole, rest) = bytes.split_at(last + 1);
        if self.line.is_empty() && !self.overlong {
            self.lines(whole);
        } else {
            let first = memchr::memchr(b'\n', whole).map_or(whole.len(), |at| at + 1);
            let (end, whole) = whole.split_at(first);
            if self.overlong {
                self.overlong = false;
                self.log.write(end);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(end);
                self.lines(&line);
                line.clear();
                self.line = line;
            }
            self.lines(whole);
        }
        self.hold(rest);
    }

    /// Makes readers learn of what was written so far.
    pub(super) fn flush(&mut self) {
        self.log.flush();
    }

    /// Writes a warning of the runner.
    pub(super) fn warn(&mut self, text: &str) {
        self.log.write(format!("##[warning]{text}\n").as_bytes());
    }

    /// Ends the output and returns what its commands left. A last line without its newline is a line too.
    pub(super) fn finish(mut self) -> Left {
        let line = std::mem::take(&mut self.line);
        self.lines(&line);
        self.left
    }

    fn hold(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.overlong {
            return self.log.write(bytes);
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > MAX_LINE {
            self.overlong = true;
            self.log.write(&self.line);
            self.line = Vec::new();
        }
    }

    /// Whole lines.
    fn lines(&mut self, bytes: &[u8]) {
        if self.matchers.is_empty() && !may_hold_command(bytes) {
            if !bytes.is_empty() {
                self.log.write(bytes);
            }
            return;
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.one(line);
        }
    }

    fn one(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let line = text.trim_end_matches(['\n', '\r']);
        if let Some(token) = &self.stopped {
            if workflow_command::resumes(line, token) {
                self.stopped = None;
            }
            return self.log.write(bytes);
        }
        if may_hold_command(bytes) {
            match workflow_command::parse(line) {
                Some(Ok(command)) => return self.obey(command, bytes),
                Some(Err(reason)) => {
                    self.log.write(bytes);
                    return self.fail(&reason);
                }
                None => {}
            }
        }
        self.log.write(bytes);
        if !self.matchers.is_empty() {
            let context = self.context;
            let exists = |file: &str| {
                let here = context.outside(file);
                checkout::inside(context.workspace, &here.to_string_lossy()).is_some_and(|file| file.is_file())
            };
            if let Some(annotation) = self.matchers.scan(line, &exists) {
                self.annotate(annotation);
            }
        }
    }

    fn obey(&mut self, command: WorkflowCommand, bytes: &[u8]) {
        match command {
            WorkflowCommand::SetEnv { .. } | WorkflowCommand::AddPath(_) if !self.unsecure => self.fail(
                "the commands `set-env` and `add-path` are disabled: write to $GITHUB_ENV or $GITHUB_PATH instead",
            ),
            WorkflowCommand::SetEnv { name, .. } if name.eq_ignore_ascii_case("NODE_OPTIONS") => {
                self.log.write(b"##[error]NODE_OPTIONS may not be set for later steps\n");
            }
            WorkflowCommand::SetEnv { name, value } => drop(self.left.env.insert(name, value)),
            WorkflowCommand::AddPath(folder) => self.left.path.push(folder),
            WorkflowCommand::SetOutput { name, value } => drop(self.left.outputs.insert(name, value)),
            WorkflowCommand::SaveState { name, value } => drop(self.left.state.insert(name, value)),
            WorkflowCommand::AddMask(secret) if secret.trim().is_empty() => {
                self.warn("`add-mask` without a text to mask");
            }
            WorkflowCommand::AddMask(secret) => self.context.outlet.add_mask(&secret),
            WorkflowCommand::AddMatcher(file) => self.add_matcher(&file),
            WorkflowCommand::RemoveMatcherOwner(owner) => self.matchers.remove(&owner),
            WorkflowCommand::RemoveMatcherFile(file) => self.remove_matchers(&file),
            WorkflowCommand::Debug(text) => {
                if self.context.debug {
                    self.log.write(format!("##[debug]{text}\n").as_bytes());
                }
            }
            WorkflowCommand::Annotate(annotation) => {
                let tag = match annotation.level {
                    Level::Notice => "notice",
                    Level::Warning => "warning",
                    Level::Error => "error",
                };
                self.log.write(format!("##[{tag}]{}\n", annotation.message).as_bytes());
                self.annotate(annotation);
            }
            WorkflowCommand::Group(title) => self.log.write(format!("##[group]{title}\n").as_bytes()),
            WorkflowCommand::EndGroup => self.log.write(b"##[endgroup]\n"),
            // Commands are never echoed here, so the switch has nothing to change.
            WorkflowCommand::Echo(_) => {}
            WorkflowCommand::Stop(token) => {
                // Text in the output that repeats the token would switch commands on again.
                if token.len() >= MIN_MASKED_TOKEN {
                    self.context.outlet.add_mask(&token);
                }
                self.stopped = Some(token);
                self.log.write(bytes);
            }
        }
    }

    fn fail(&mut self, reason: &str) {
        self.log.write(format!("##[error]{reason}\n").as_bytes());
        self.left.error.get_or_insert_with(|| reason.to_owned());
    }

    fn annotate(&mut self, mut annotation: Annotation) {
        let count = &mut self.annotations[annotation.level as usize];
        *count += 1;
        if *count > MAX_ANNOTATIONS {
            return;
        }
        let workspace = format!("{}/", self.context.sandbox.inside(self.context.workspace).display());
        annotation.file = annotation.file.map(|file| file.strip_prefix(&workspace).map_or(file.clone(), str::to_owned));
        let (job, step) = (self.context.job.clone(), self.context.number);
        self.context.outlet.record(Event::Annotated { job, step, annotation });
    }

    fn add_matcher(&mut self, file: &str) {
        let path = self.context.outside(file);
        let added = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
            .and_then(|text| self.matchers.add(&text).map_err(|error| format!("{}: {error}", path.display())));
        if let Err(reason) = added {
            self.fail(&reason);
        }
    }

    fn remove_matchers(&mut self, file: &str) {
        let path = self.context.outside(file);
        let owners = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
            .and_then(|text| matcher::owners(&text).map_err(|error| format!("{}: {error}", path.display())));
        match owners {
            Ok(owners) => owners.iter().for_each(|owner| self.matchers.remove(owner)),
            Err(reason) => self.fail(&reason),
        }
    }
}
