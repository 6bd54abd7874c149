//! Processes the output of a step on its way to the log: splits it into lines, executes workflow commands, and applies
//! problem matchers.
//!
//! Most output is plain: lines that are neither commands nor matched go to the log unchanged, as many at once as there
//! are. Only lines of up to [`MAX_LINE`] bytes are examined. A longer line is streamed as text, so that a line of
//! 100 MB needs no more memory than a short one.
//!
//! Matchers may be slow, so output is examined in short turns, between which the caller can check whether the step must
//! end.

use std::string::FromUtf8Error;
use std::time::{Duration, Instant};

use crate::engine::blocking::in_place;
use crate::engine::outlet::StepLog;
use crate::engine::workspace::checkout;
use crate::files::FileError;
use crate::model::{Annotation, Event, Level};

use super::command_files::Left;
use super::context::StepContext;
use super::matcher;
use super::matcher::{MatcherError, Matchers};
use super::workflow_command;
use super::workflow_command::{WorkflowCommand, candidates};

/// Maximum length in bytes of a line that is examined for commands and matches.
const MAX_LINE: usize = 1024 * 1024;

/// How long lines are examined before other tasks run. A single line may exceed it.
const TURN: Duration = Duration::from_millis(20);

/// Maximum size of a file with problem matchers, in bytes.
const MAX_MATCHER_FILE: u64 = 1024 * 1024;

/// Maximum number of annotations recorded per level and step, as on GitHub.
const MAX_ANNOTATIONS: usize = 10;

/// Minimum length in bytes of a `stop-commands` token that is masked.
const MIN_MASKED_TOKEN: usize = 7;

/// Processes the output of one step's process.
pub(super) struct Output<'a> {
    context: &'a StepContext<'a>,
    matchers: &'a mut Matchers,
    log: &'a mut dyn StepLog,
    /// The start of an incomplete line.
    line: Vec<u8>,
    /// Number of bytes of `line` that are already in the log.
    shown: usize,
    /// Whether the current line exceeds [`MAX_LINE`], so that the rest of it is treated as text.
    overlong: bool,
    /// The token that resumes workflow commands; `None` unless `stop-commands` has stopped them.
    stopped: Option<String>,
    unsecure: bool,
    /// Output that waits for a later turn.
    backlog: Vec<u8>,
    /// Whether problem matchers are applied.
    matching: bool,
    /// Number of annotations so far, by level, including those that were not recorded.
    annotations: [usize; 3],
    left: Left,
}

impl<'a> Output<'a> {
    /// Returns an [`Output`] for a new process, and drops the matchers' sequences that earlier output began. `unsecure`
    /// allows the commands `set-env` and `add-path`.
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
            shown: 0,
            overlong: false,
            stopped: None,
            unsecure,
            backlog: Vec::new(),
            matching: true,
            annotations: [0; 3],
            left: Left::default(),
        }
    }

    /// Adds a portion of output, split anywhere, and examines it for one turn unless earlier output still waits.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let examined = if self.is_behind() { 0 } else { self.examine(bytes) };
        self.backlog.extend_from_slice(&bytes[examined..]);
    }

    /// Whether some output has not been examined yet.
    pub(super) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Examines the remaining output for one turn.
    pub(super) fn catch_up(&mut self) {
        let mut backlog = std::mem::take(&mut self.backlog);
        let examined = self.examine(&backlog);
        backlog.drain(..examined);
        self.backlog = backlog;
    }

    /// Stops matching, so that output does not delay the end of the step. The remaining output is treated as text.
    pub(super) fn stop_matching(&mut self) {
        self.matching = false;
        while self.is_behind() {
            self.catch_up();
        }
    }

    /// Examines a portion for one turn, and returns the number of bytes that were processed.
    fn examine(&mut self, bytes: &[u8]) -> usize {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            self.hold(bytes);
            return bytes.len();
        };
        let (whole, rest) = bytes.split_at(last + 1);
        let mut done = 0;
        if !self.line.is_empty() || self.overlong {
            done = memchr::memchr(b'\n', whole).map_or(whole.len(), |at| at + 1);
            let end = &whole[..done];
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
        }
        done += self.lines(&whole[done..]);
        if done < whole.len() {
            return done;
        }
        self.hold(rest);
        bytes.len()
    }

    /// Writes the part of an incomplete line that cannot belong to a command, and notifies readers of the output
    /// written so far.
    pub(super) fn flush(&mut self) {
        let end = certain_text(&self.line);
        if end > self.shown {
            self.log.write(&self.line[self.shown..end]);
            self.shown = end;
        }
        self.log.flush();
    }

    /// Writes a warning of the runner to the log, on a separate line.
    pub(super) fn warn(&mut self, text: &str) {
        if self.shown > 0 {
            self.log.write(b"\n");
        }
        self.log.write(format!("##[warning]{text}\n").as_bytes());
    }

    /// Ends the output and returns the values that its commands set for later steps. A last line without a newline
    /// counts as a line.
    pub(super) fn finish(mut self) -> Left {
        if self.is_behind() {
            self.stop_matching();
        }
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
            self.log.write(&self.line[std::mem::take(&mut self.shown)..]);
            self.line = Vec::new();
        }
    }

    /// Handles complete lines for one turn, and returns the number of bytes that were processed.
    fn lines(&mut self, bytes: &[u8]) -> usize {
        let mut commands = candidates(bytes).peekable();
        if !self.is_matching() && commands.peek().is_none() {
            self.write_rest(bytes);
            return bytes.len();
        }
        in_place(|| {
            let began = Instant::now();
            let (mut written, mut done) = (0, 0);
            while done < bytes.len() && (done == 0 || began.elapsed() <= TURN) {
                if let Some(line) = commands.next_if(|line| line.start == done) {
                    self.write_rest(&bytes[written..done]);
                    (written, done) = (line.end, line.end);
                    self.one(&bytes[line]);
                } else if self.is_matching() {
                    let line = memchr::memchr(b'\n', &bytes[done..]).map_or(bytes.len(), |newline| done + newline + 1);
                    let annotation = self.matched(&bytes[done..line]);
                    done = line;
                    if let Some(annotation) = annotation {
                        self.write_rest(&bytes[written..done]);
                        written = done;
                        self.annotate(annotation);
                    }
                } else {
                    done = commands.peek().map_or(bytes.len(), |line| line.start);
                }
            }
            self.write_rest(&bytes[written..done]);
            done
        })
    }

    fn is_matching(&self) -> bool {
        self.matching && self.stopped.is_none() && !self.matchers.is_empty()
    }

    /// Writes complete lines, except for the bytes that are already in the log.
    fn write_rest(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.log.write(&bytes[std::mem::take(&mut self.shown)..]);
        }
    }

    /// Handles a line that may be a command.
    fn one(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let line = text.trim_end_matches(['\n', '\r']);
        if let Some(token) = &self.stopped {
            if workflow_command::resumes(line, token) {
                self.stopped = None;
            }
            return self.write_rest(bytes);
        }
        match workflow_command::parse(line) {
            Some(Ok(command)) => return self.obey(command, bytes),
            Some(Err(error)) => {
                self.write_rest(bytes);
                return self.fail(&error.to_string());
            }
            None => {}
        }
        self.write_rest(bytes);
        if self.is_matching()
            && let Some(annotation) = self.matched(bytes)
        {
            self.annotate(annotation);
        }
    }

    /// Returns the annotation that a line completes, by the matchers.
    fn matched(&mut self, bytes: &[u8]) -> Option<Annotation> {
        let text = String::from_utf8_lossy(bytes);
        let context = self.context;
        let exists = |file: &str| {
            let here = context.outside(file);
            checkout::inside(context.workspace, &here.to_string_lossy()).is_some_and(|file| file.is_file())
        };
        self.matchers.scan(text.trim_end_matches(['\n', '\r']), &exists)
    }

    fn obey(&mut self, command: WorkflowCommand, bytes: &[u8]) {
        // In the older form, the command may follow text that is already in the log.
        if std::mem::take(&mut self.shown) > 0 {
            self.log.write(b"\n");
        }
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
                self.warn("`add-mask` without a value");
            }
            WorkflowCommand::AddMask(secret) => {
                let bytes = workflow_command::mask_of_bytes(bytes);
                self.left.masked |= bytes.is_some() || !self.context.outlet.holds_secret(&secret);
                self.context.outlet.add_mask(bytes.as_deref().unwrap_or(secret.as_bytes()));
            }
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
            // Commands are never echoed, so this has no effect.
            WorkflowCommand::Echo(_) => {}
            WorkflowCommand::Stop(token) => {
                // The token is masked in the log, so that text copied from the log cannot resume commands.
                if token.len() >= MIN_MASKED_TOKEN {
                    self.context.outlet.add_mask(token.as_bytes());
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
        if !self.matching {
            return;
        }
        let added = self.matcher_file(file).and_then(|text| Ok(self.matchers.add(&text)?));
        if let Err(error) = added {
            self.fail(&error.of(file));
        }
    }

    fn matcher_file(&self, file: &str) -> Result<String, MatcherFileError> {
        let sandbox = self.context.sandbox;
        let path = sandbox.inside(self.context.workspace).join(file);
        Ok(String::from_utf8(sandbox.read(&path, MAX_MATCHER_FILE)?)?)
    }

    fn remove_matchers(&mut self, file: &str) {
        match self.matcher_file(file).and_then(|text| Ok(matcher::owners(&text)?)) {
            Ok(owners) => owners.iter().for_each(|owner| self.matchers.remove(owner)),
            Err(error) => self.fail(&error.of(file)),
        }
    }
}

/// Why a file with problem matchers is not used.
#[derive(Debug, thiserror::Error)]
enum MatcherFileError {
    #[error(transparent)]
    Read(#[from] FileError),
    #[error(transparent)]
    Text(#[from] FromUtf8Error),
    #[error(transparent)]
    Matchers(#[from] MatcherError),
}

impl MatcherFileError {
    /// Returns the message, including the name of the file.
    fn of(&self, file: &str) -> String {
        match self {
            Self::Read(_) | Self::Text(_) => format!("cannot read {file}: {self}"),
            Self::Matchers(_) => format!("{file}: {self}"),
        }
    }
}

/// Returns how many bytes at the start of an incomplete line cannot belong to a command, whatever follows.
fn certain_text(line: &[u8]) -> usize {
    let start = line.utf8_chunks().next().map_or("", |chunk| chunk.valid().trim_start());
    // The white space before a command is not in the log either.
    let may_be_a_command = start.starts_with(':') || start.bytes().all(|byte| byte == b'#');
    if may_be_a_command || memchr::memmem::find(line, b"##[").is_some() {
        return 0;
    }
    // The line may have been cut inside `##[`.
    line.len() - line.iter().rev().take_while(|byte| **byte == b'#').count()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, LazyLock};

    use super::*;
    use crate::engine::cancel::Grace;
    use crate::engine::testing::MemoryOutlet;
    use crate::engine::testing::sandbox::{ProcessScript, ScriptedSandbox};
    use crate::model::{JobId, StepNumber};

    /// A log that remembers its length at the last flush.
    #[derive(Default)]
    struct Log {
        text: Vec<u8>,
        paused: usize,
    }

    impl StepLog for Log {
        fn write(&mut self, bytes: &[u8]) {
            self.text.extend_from_slice(bytes);
        }

        fn flush(&mut self) {
            self.paused = self.text.len();
        }

        fn finish(&mut self) {}
    }

    /// A file of matchers that finds messages such as `a.c:1: text`.
    const MATCHER: &str = r#"{"problemMatcher": [{"owner": "cc", "pattern": [{"regexp": "^(\\S+):(\\d+): (.*)$", "file": 1, "line": 2, "message": 3}]}]}"#;

    /// Results of processing some output.
    struct Seen {
        log: String,
        /// The log as it was at the last flush.
        paused: String,
        left: Left,
        outlet: Arc<MemoryOutlet>,
    }

    impl Seen {
        fn annotations(&self) -> Vec<Annotation> {
            let annotations = self.outlet.events().into_iter().filter_map(|event| match event {
                Event::Annotated { annotation, .. } => Some(annotation),
                _ => None,
            });
            annotations.collect()
        }
    }

    fn context<'c>(
        outlet: &'c MemoryOutlet,
        sandbox: &'c ScriptedSandbox,
        workspace: &'c Path,
        debug: bool,
    ) -> StepContext<'c> {
        static JOB: LazyLock<JobId> = LazyLock::new(|| JobId::new("a"));
        StepContext {
            job: &JOB,
            number: StepNumber(1),
            outlet,
            sandbox,
            workspace,
            temp: workspace,
            in_container: false,
            debug,
            grace: Grace::default(),
        }
    }

    fn read_in(workspace: &Path, portions: &[&[u8]], (unsecure, debug): (bool, bool)) -> Seen {
        let outlet = Arc::<MemoryOutlet>::default();
        let sandbox = ScriptedSandbox::always(ProcessScript::exits(0));
        let context = context(&outlet, &sandbox, workspace, debug);
        let (mut matchers, mut log) = (Matchers::default(), Log::default());
        let mut output = Output::new(&context, &mut matchers, &mut log, unsecure);
        for portion in portions {
            output.push(portion);
            while output.is_behind() {
                output.catch_up();
            }
            // An empty portion stands for a pause in the output, which flushes the log.
            if portion.is_empty() {
                output.flush();
            }
        }
        let left = output.finish();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Seen { log: text(&log.text), paused: text(&log.text[..log.paused]), left, outlet }
    }

    fn read(text: &str) -> Seen {
        read_in(Path::new("/w"), &[text.as_bytes()], (false, false))
    }

    #[test]
    fn commands_take_effect_and_are_not_part_of_the_log() {
        let seen = read(
            "::set-output name=o::1\n::save-state name=s::2\ntext\n::add-mask::hidden\n::group::G\n::endgroup::\n::echo::on\n",
        );
        assert_eq!(seen.log, "text\n##[group]G\n##[endgroup]\n");
        assert_eq!((seen.left.outputs["o"].as_str(), seen.left.state["s"].as_str()), ("1", "2"));
        assert_eq!(seen.outlet.masks(), ["hidden"]);
        assert_eq!(seen.left.error, None);
    }

    #[test]
    fn a_mask_that_is_not_utf_8_keeps_its_bytes() {
        let seen = read_in(Path::new("/w"), &[b"::add-mask::p\xe4ss%0Aw0rd\r\nx\n"], (false, false));
        assert_eq!((seen.outlet.masks(), seen.log.as_str()), (vec![r"p\xe4ss\nw0rd".to_owned()], "x\n"));
        assert!(seen.left.masked);
    }

    #[test]
    fn a_mask_without_text_is_a_warning() {
        let seen = read("::add-mask:: \n");
        assert_eq!((seen.log.as_str(), seen.outlet.masks().len()), ("##[warning]`add-mask` without a value\n", 0));
    }

    #[test]
    fn set_env_and_add_path_fail_the_step_unless_they_are_allowed() {
        let text = "::set-env name=A::1\n::add-path::/p\n::set-env name=node_options::x\n";
        let refused = read(text);
        assert!(refused.left.env.is_empty() && refused.left.path.is_empty());
        assert!(refused.left.error.expect("an error").contains("are disabled"));
        let allowed = read_in(Path::new("/w"), &[text.as_bytes()], (true, false));
        assert_eq!((allowed.left.env.len(), allowed.left.env["A"].as_str()), (1, "1"));
        assert_eq!((allowed.left.path, allowed.left.error), (vec!["/p".to_owned()], None));
        assert_eq!(allowed.log, "##[error]NODE_OPTIONS may not be set for later steps\n");
    }

    #[test]
    fn an_invalid_command_fails_the_step_and_stays_in_the_log() {
        let seen = read("::set-output::x\n");
        let reason = "the command `set-output` needs `name`";
        assert_eq!(seen.left.error.as_deref(), Some(reason));
        assert_eq!(seen.log, format!("::set-output::x\n##[error]{reason}\n"));
    }

    #[test]
    fn debug_lines_are_kept_only_on_demand() {
        let debug = |debug| read_in(Path::new("/w"), &[b"::debug::detail\n"], (false, debug)).log;
        assert_eq!((debug(false).as_str(), debug(true).as_str()), ("", "##[debug]detail\n"));
    }

    #[test]
    fn stopped_commands_are_text_until_the_token_comes() {
        let seen = read("::stop-commands::my-token\n::set-output name=a::1\n::my-token::\n::set-output name=b::2\n");
        assert_eq!(seen.log, "::stop-commands::my-token\n::set-output name=a::1\n::my-token::\n");
        assert_eq!(seen.left.outputs.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(seen.outlet.masks(), ["my-token"], "text that repeats it must not resume");
        assert!(read("::stop-commands::short\n").outlet.masks().is_empty());
    }

    #[test]
    fn annotations_are_recorded_up_to_a_number_with_paths_of_the_workspace() {
        let seen = read("::warning file=/w/src/a.c,line=3::careful\n::error::bad\n");
        assert_eq!(seen.log, "##[warning]careful\n##[error]bad\n");
        let annotations = seen.annotations();
        assert_eq!((annotations[0].file.as_deref(), annotations[0].line), (Some("src/a.c"), Some(3)));
        assert_eq!((annotations[1].level, annotations[1].message.as_str()), (Level::Error, "bad"));
        assert_eq!(seen.left.error, None, "an error that is said does not fail the step");
        let many = read(&"::notice::n\n".repeat(MAX_ANNOTATIONS + 5));
        assert_eq!(many.annotations().len(), MAX_ANNOTATIONS);
        assert_eq!(many.log.lines().count(), MAX_ANNOTATIONS + 5);
    }

    #[test]
    fn matchers_of_a_file_make_annotations_of_lines_until_they_are_removed() {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("m.json"), MATCHER).expect("written");
        std::fs::write(home.path().join("a.c"), "").expect("written");
        for remove in ["::remove-matcher owner=cc::", "::remove-matcher::m.json"] {
            let text =
                format!("a.c:1: before\n::add-matcher::m.json\na.c:2: one\nb.c:3: two\n{remove}\na.c:4: after\n");
            let seen = read_in(home.path(), &[text.as_bytes()], (false, false));
            assert_eq!(seen.left.error, None);
            let found: Vec<_> =
                seen.annotations().into_iter().map(|found| (found.message, found.file, found.line)).collect();
            // A file that does not exist is left out together with its line number.
            let one = ("one".to_owned(), Some("a.c".to_owned()), Some(2));
            assert_eq!(found, [one, ("two".to_owned(), None, None)]);
            assert_eq!(seen.log.lines().count(), 4, "{}", seen.log);
        }
        let missing = read_in(home.path(), &[b"::add-matcher::none.json\n"], (false, false));
        assert!(missing.left.error.expect("an error").starts_with("cannot read "));
    }

    #[test]
    fn output_is_examined_in_turns_and_matching_ends_on_demand() {
        let home = tempfile::tempdir().expect("a folder");
        // Each line takes about a turn.
        let pattern = serde_json::json!({ "regexp": "^(a|b|ab)*(?!x)(c|d|cd)*y$", "message": 0 });
        let matchers: Vec<_> =
            (0..90).map(|n| serde_json::json!({ "owner": n.to_string(), "pattern": [pattern] })).collect();
        let text = serde_json::json!({ "problemMatcher": matchers }).to_string();
        std::fs::write(home.path().join("m.json"), text).expect("written");
        let outlet = Arc::<MemoryOutlet>::default();
        let sandbox = ScriptedSandbox::always(ProcessScript::exits(0));
        let context = context(&outlet, &sandbox, home.path(), false);
        let (mut matchers, mut log) = (Matchers::default(), Log::default());
        let mut output = Output::new(&context, &mut matchers, &mut log, false);
        let lines = format!("{}\n", "ab".repeat(8000)).repeat(16);
        output.push(format!("::add-matcher::m.json\n{lines}::set-output name=a::1\nrest").as_bytes());
        assert!(output.is_behind());
        output.push(b" of it");
        output.stop_matching();
        assert!(!output.is_behind());
        output.push(b"\n");
        let left = output.finish();
        assert_eq!((left.error, left.outputs["a"].as_str()), (None, "1"));
        assert_eq!(String::from_utf8_lossy(&log.text), format!("{lines}rest of it\n"));
    }

    #[test]
    fn an_overlong_line_is_text_and_the_next_line_is_examined() {
        let long = format!("::set-output name=a::{}\n::set-output name=b::2\n", "x".repeat(MAX_LINE));
        let (first, rest) = long.as_bytes().split_at(MAX_LINE + 1);
        let seen = read_in(Path::new("/w"), &[first, rest], (false, false));
        assert_eq!(seen.left.outputs.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(seen.log.len(), long.len() - "::set-output name=b::2\n".len());
    }

    #[test]
    fn a_last_line_without_a_newline_is_a_line() {
        assert_eq!(read("text\n::set-output name=a::1").left.outputs["a"], "1");
        assert_eq!(read("text").log, "text");
    }

    #[test]
    fn the_start_of_a_line_is_in_the_log_after_a_pause_unless_it_may_be_a_command() {
        let log = |portions: &[&str]| {
            let portions: Vec<_> = portions.iter().map(|portion| portion.as_bytes()).collect();
            let seen = read_in(Path::new("/w"), &portions, (false, false));
            (seen.paused, seen.log)
        };
        assert_eq!(log(&["a\n..", "", ".", ""]), ("a\n...".to_owned(), "a\n...".to_owned()));
        assert_eq!(log(&["..", "", ".\nb\n"]), ("..".to_owned(), "...\nb\n".to_owned()));
        assert_eq!(log(&["10 %\r", "", "20 %\r", "", "done\n"]).1, "10 %\r20 %\rdone\n");
        for start in ["", "  ", " :", "::debug", "##", "\t ##", " #", "##[debug]"] {
            assert_eq!(log(&[start, ""]).0, "", "{start}");
        }
        assert_eq!(log(&["::de", "", "bug::text\n"]).1, "");
        assert_eq!(log(&["at #", "", "#[group]G\n"]), ("at ".to_owned(), "at \n##[group]G\n".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn however_output_is_cut_the_result_is_the_same(
            lines in proptest::collection::vec(
                "[ \t]{0,2}(::(warning|group|set-output name=a|stop-commands|tok)::|::(add-matcher::m.json|remove-matcher owner=cc::)|##\\[(group|set-output name=b)\\]|a.c:[0-9]: )?[a-z:# ]{0,8}\r?",
                0..12,
            ),
            cuts in proptest::collection::vec(0.0..1.0f64, 0..6),
            matched in proptest::bool::ANY,
        ) {
            let home = tempfile::tempdir().expect("a folder");
            std::fs::write(home.path().join("m.json"), MATCHER).expect("written");
            let text = format!("{}{}", if matched { "::add-matcher::m.json\n" } else { "" }, lines.join("\n"));
            let whole = read_in(home.path(), &[text.as_bytes()], (false, false));
            let mut cuts: Vec<_> = cuts.iter().map(|cut| (cut * text.len() as f64) as usize).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let portions: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let one_by_one: Vec<_> = text.as_bytes().split_inclusive(|byte| *byte == b'\n').collect();
            for portions in [portions, one_by_one] {
                let cut = read_in(home.path(), &portions, (false, false));
                proptest::prop_assert_eq!(&whole.log, &cut.log);
                proptest::prop_assert_eq!(&whole.left.outputs, &cut.left.outputs);
                proptest::prop_assert_eq!(&whole.left.error, &cut.left.error);
                proptest::prop_assert_eq!(whole.annotations(), cut.annotations());
            }
        }
    }
}
