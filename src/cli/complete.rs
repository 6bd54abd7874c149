//! Completes the command line for a shell, with values that the program looks up: runs, workflows, events, inputs, jobs,
//! steps, environments, services and words. The scripts of `completions` call the program with [`VARIABLE`].

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{EnvCompleter, Shells};

use crate::launch::candidates;
use crate::launch::candidates::Candidate;
use crate::model::capabilities::Operation;
use crate::ui::terminal_text::clean;

/// Variable with the name of the shell, in whose form the program prints completions instead of carrying out a command.
pub(super) const VARIABLE: &str = "CUELIGHT_COMPLETE";

/// Maximum length of a description in characters.
const MAX_ABOUT: usize = 60;

/// Prints completions if a shell asks for them, and returns the exit code. Errors print nothing, because the user is
/// typing a command.
pub(super) fn answered(command: fn() -> Command) -> Option<ExitCode> {
    // As for clap, an empty value and `0` ask for nothing.
    std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty() && shell != "0")?;
    let words = words();
    let is_empty = words.last().is_some_and(|word| word.is_empty());
    let factory = || {
        let mut command = command();
        // Only a built command has `--help`.
        command.build();
        completed(command, is_empty)
    };
    let shells: Vec<_> = Shells::builtins().0.iter().map(|shell| VisibleOptions(*shell)).collect();
    let shells: Vec<_> = shells.iter().map(|shell| shell as &dyn EnvCompleter).collect();
    let complete = CompleteEnv::with_factory(factory).shells(Shells(&shells));
    let complete = complete.var(VARIABLE).bin("cuelight").completer("cuelight");
    let done = complete.try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref());
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the words of the command line up to the one that is being completed.
fn words() -> Vec<OsString> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    up_to(words, std::env::var("_CLAP_COMPLETE_INDEX").ok().as_deref())
}

/// Returns the words up to the one with this index. Bash and zsh name the index; fish ends the line with the word.
fn up_to(mut words: Vec<OsString>, index: Option<&str>) -> Vec<OsString> {
    let index = index.and_then(|index| index.parse::<usize>().ok());
    words.truncate(index.map_or(words.len(), |index| index.saturating_add(1)));
    words
}

/// A shell to which options that the help hides are not offered at an empty word. Without a value that fits, the library
/// offers every hidden option there, also those that [`completed`] hides.
struct VisibleOptions<'s>(&'s dyn EnvCompleter);

impl EnvCompleter for VisibleOptions<'_> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn is(&self, name: &str) -> bool {
        self.0.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.0.write_registration(var, name, bin, completer, out)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let given = self::words();
        let is_empty = given.last().is_some_and(|word| word.is_empty());
        let hidden = if is_empty { hidden_options(&given) } else { Vec::new() };
        let mut offered = Vec::new();
        self.0.write_complete(command, words, folder, &mut offered)?;
        // The scripts for the shells name what is between two candidates; the library writes lines otherwise.
        let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let offered = String::from_utf8_lossy(&offered);
        let visible = offered.split(&separator).filter(|line| !is_of_option(line, &hidden));
        out.write_all(visible.collect::<Vec<_>>().join(&separator).as_bytes())
    }
}

/// Returns the options that the help of the command of these words hides.
fn hidden_options(words: &[OsString]) -> Vec<String> {
    let program = super::command();
    let mut command = &program;
    for word in words.iter().skip(1).filter(|word| !word.is_empty()) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let hidden = command.get_arguments().filter(|arg| arg.is_hide_set());
    hidden.filter_map(Arg::get_long).map(|long| format!("--{long}")).collect()
}

/// Whether a line for a shell offers one of these options. A description may follow the option.
fn is_of_option(line: &str, options: &[String]) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
    options.iter().any(|option| line.strip_prefix(option.as_str()).is_some_and(is_end))
}

/// Adds values to the arguments of all subcommands. Where the word is empty, options are offered only if there is no
/// value.
fn completed(command: Command, is_empty: bool) -> Command {
    let with_values = |arg: Arg| {
        let arg = if is_empty && !arg.is_positional() { arg.hide(true) } else { arg };
        match values(&arg) {
            Some(Values::Files) => arg.add(ArgValueCompleter::new(files)),
            Some(Values::Breakpoints) => arg.add(ArgValueCompleter::new(breakpoints)),
            Some(values) => arg.add(ArgValueCandidates::new(move || offered(values))),
            None => arg,
        }
    };
    command.mut_subcommands(|command| completed(command.mut_args(with_values), is_empty))
}

/// A kind of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Values {
    Runs,
    /// Runs by their ids alone.
    Ids,
    Branches,
    Sandboxes,
    Breakpoints,
    Workflows,
    Files,
    Events,
    Inputs,
    Jobs,
    Steps,
    Environments,
    Services,
    Statuses,
    Rules,
}

/// Returns the kind of values that an argument takes; `None` for any other argument.
fn values(arg: &Arg) -> Option<Values> {
    let names = arg.get_value_names().unwrap_or_default();
    Some(match arg.get_id().as_str() {
        "run" | "runs" => Values::Runs,
        "before" => Values::Ids,
        "branch" | "git_ref" => Values::Branches,
        "sandbox" => Values::Sandboxes,
        "breakpoints" => Values::Breakpoints,
        "workflow" => Values::Workflows,
        "files" => Values::Files,
        "event" => Values::Events,
        "inputs" => Values::Inputs,
        "job" | "jobs" | "of_job" => Values::Jobs,
        "step" | "from_step" | "of_step" => Values::Steps,
        "from" if names == ["STEP"] => Values::Steps,
        "environment" | "environments" => Values::Environments,
        "yes" if names == ["ENV"] => Values::Environments,
        "service" => Values::Services,
        "status" => Values::Statuses,
        "explain" => Values::Rules,
        _ => return None,
    })
}

/// Returns the values that fit the words before the current one.
fn offered(values: Values) -> Vec<CompletionCandidate> {
    offered_for(values, "")
}

/// Returns the values that fit the words before the current one, and what is begun of it.
fn offered_for(values: Values, begun: &str) -> Vec<CompletionCandidate> {
    let Ok(here) = std::env::current_dir() else { return Vec::new() };
    let mut words = words();
    words.pop();
    let known = Known::of(words);
    let (run, job, workflow) = (known.run.as_deref(), known.job.as_deref(), known.workflow.as_deref());
    let found = match values {
        Values::Runs => candidates::runs_and_latest(&here, known.operations),
        Values::Ids => candidates::runs(&here, known.operations),
        Values::Branches => candidates::branches(&here),
        Values::Sandboxes => candidates::sandboxes(),
        Values::Breakpoints => candidates::breakpoints(&here, workflow, begun),
        Values::Workflows | Values::Files => candidates::workflows(&here),
        Values::Events => candidates::events(&here, workflow),
        Values::Inputs => candidates::inputs(&here, workflow),
        Values::Jobs if known.is_start => candidates::jobs_of_workflow(&here, workflow),
        Values::Jobs => candidates::jobs_of_run(&here, run),
        Values::Steps => candidates::steps(&here, run, job),
        Values::Environments => candidates::environments(&here),
        Values::Services => candidates::services(&here, run),
        Values::Statuses => candidates::statuses(),
        Values::Rules => candidates::rules(),
    };
    (0..).zip(found).filter_map(|(at, one)| candidate(at, one)).collect()
}

/// Returns the jobs, or the steps of a job, that begin with a word.
fn breakpoints(word: &OsStr) -> Vec<CompletionCandidate> {
    let begun = word.to_string_lossy();
    let found = offered_for(Values::Breakpoints, &begun).into_iter();
    found.filter(|one| one.get_value().to_string_lossy().starts_with(&*begun)).collect()
}

/// Returns the workflows whose names begin with a word, or else the files whose paths do.
fn files(word: &OsStr) -> Vec<CompletionCandidate> {
    let begins = |one: &CompletionCandidate| one.get_value().as_encoded_bytes().starts_with(word.as_encoded_bytes());
    let workflows: Vec<_> = offered(Values::Files).into_iter().filter(begins).collect();
    if !workflows.is_empty() {
        return workflows;
    }
    let paths = PathCompleter::file().complete(word).into_iter();
    paths.filter(|path| path.get_value().to_str().is_some_and(is_plain)).collect()
}

/// Whether a shell reads a value as it is written.
fn is_plain(value: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/+@=,%:".contains(c);
    !value.is_empty() && !value.starts_with('-') && value.chars().all(is_plain)
}

/// Returns a candidate for the shell, in the order of the list. `None` for a value that the shell would have to quote:
/// names in a repository are not ours.
fn candidate(at: usize, Candidate { value, about }: Candidate) -> Option<CompletionCandidate> {
    if !is_plain(&value) {
        return None;
    }
    let about: String = clean(&about).chars().take(MAX_ABOUT).collect();
    let help = (!about.is_empty()).then(|| about.into());
    Some(CompletionCandidate::new(value).help(help).display_order(Some(at)))
}

/// What the words before the current one say.
#[derive(Default)]
struct Known {
    /// Whether the command starts a workflow.
    is_start: bool,
    /// What the command does with a run, where not every run allows it.
    operations: &'static [Operation],
    run: Option<String>,
    workflow: Option<String>,
    job: Option<String>,
}

impl Known {
    fn of(words: Vec<OsString>) -> Self {
        let Ok(matches) = super::command().ignore_errors(true).try_get_matches_from(words) else {
            return Self::default();
        };
        let mut last = &matches;
        let (mut parent, mut command) = ("", "");
        while let Some((name, inner)) = last.subcommand() {
            (parent, command, last) = (command, name, inner);
        }
        Self {
            is_start: matches!(command, "run" | "plan"),
            operations: operations(parent, command, last),
            run: text(last, "run").or_else(|| text(last, "runs")),
            workflow: text(last, "workflow"),
            job: text(last, "job").or_else(|| text(last, "of_job")),
        }
    }
}

/// Returns what a command does with a run: one of these must be possible. Empty for a command about any run.
fn operations(parent: &str, command: &str, given: &ArgMatches) -> &'static [Operation] {
    let has = |flag: &str| given.try_get_one::<bool>(flag).ok().flatten().is_some_and(|given| *given);
    match (parent, command) {
        ("", "cancel") if has("force") => &[Operation::ForceCancel],
        ("", "cancel") => &[Operation::Cancel],
        ("", "delete") if has("logs") => &[Operation::DeleteLogs],
        ("", "delete") => &[Operation::Delete],
        ("", "rerun") if has("debugger") => &[Operation::RerunWithDebugger],
        ("", "rerun") if has("failed") => &[Operation::RerunFailed],
        ("", "rerun") if text(given, "from_step").is_some() => &[Operation::RerunStep],
        ("", "rerun") => &[Operation::Rerun],
        ("", "resume") => &[Operation::Resume],
        ("", "approve") => &[Operation::Review, Operation::ApproveFork],
        ("", "reject") => &[Operation::Review],
        ("", "shell") => &[Operation::Shell],
        ("held", "on" | "off") => &[Operation::Hold],
        ("held", _) => &[Operation::Held],
        _ => &[],
    }
}

/// Returns the value of an argument of this name, if the command has one.
fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.try_get_one::<String>(name).ok().flatten().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every kind of values that an argument of a command has.
    fn kinds(command: &Command, found: &mut Vec<Values>) {
        found.extend(command.get_arguments().filter_map(values));
        command.get_subcommands().for_each(|command| kinds(command, found));
    }

    #[test]
    fn every_kind_of_values_has_an_argument() {
        let mut found = Vec::new();
        kinds(&crate::cli::command(), &mut found);
        for kind in [
            Values::Runs,
            Values::Ids,
            Values::Branches,
            Values::Sandboxes,
            Values::Breakpoints,
            Values::Workflows,
            Values::Files,
            Values::Events,
            Values::Inputs,
            Values::Jobs,
            Values::Steps,
            Values::Environments,
            Values::Services,
            Values::Statuses,
            Values::Rules,
        ] {
            assert!(found.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn options_that_the_help_hides_are_told_from_others() {
        let hidden = |line: &str| hidden_options(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(hidden("cuelight plan ci --job x "), ["--refs"]);
        assert_eq!(hidden("cuelight run "), ["--format", "--runner", "--repository"]);
        assert!(hidden("cuelight cache list ").is_empty());
        let refs = hidden("cuelight plan ");
        for (line, is_hidden) in [
            ("--refs", true),
            ("--refs\tFolder", true),
            ("--refs:Folder", true),
            ("--refs-of", false),
            ("--ref", false),
            ("", false),
        ] {
            assert_eq!(is_of_option(line, &refs), is_hidden, "{line}");
        }
    }

    #[test]
    fn a_command_is_about_runs_that_allow_it() {
        for (line, operations) in [
            ("cancel", &[Operation::Cancel][..]),
            ("cancel --force", &[Operation::ForceCancel]),
            ("delete", &[Operation::Delete]),
            ("delete --logs x", &[Operation::DeleteLogs]),
            ("rerun", &[Operation::Rerun]),
            ("rerun --failed", &[Operation::RerunFailed]),
            ("rerun --from-step 2", &[Operation::RerunStep]),
            ("approve --run", &[Operation::Review, Operation::ApproveFork]),
            ("held sync", &[Operation::Held]),
            ("held off", &[Operation::Hold]),
            ("show", &[]),
            ("logs --follow", &[]),
        ] {
            let words = std::iter::once("cuelight").chain(line.split(' ')).map(OsString::from).collect();
            assert_eq!(Known::of(words).operations, operations, "{line}");
        }
    }

    #[test]
    fn the_words_end_with_the_one_that_the_shell_names() {
        let largest = usize::MAX.to_string();
        for (index, count) in [
            (None, 3),
            (Some("0"), 1),
            (Some("1"), 2),
            (Some("2"), 3),
            (Some("9"), 3),
            (Some(largest.as_str()), 3),
            (Some("18446744073709551616"), 3),
            (Some("-1"), 3),
            (Some(""), 3),
        ] {
            let words = ["cuelight", "show", "x"].map(OsString::from).into();
            assert_eq!(up_to(words, index).len(), count, "{index:?}");
        }
    }

    #[test]
    fn a_value_that_a_shell_would_read_differently_is_not_offered() {
        let one = |value: &str, about: &str| candidate(0, Candidate { value: value.into(), about: about.into() });
        for value in ["", "a b", "$(rm)", "--force", "a\u{1b}[2J", "a;b", "`x`", "a'b"] {
            assert!(one(value, "").is_none(), "{value:?}");
        }
        let plain = one("test-1", "Test\u{1b}[2J\nx").expect("offered");
        assert_eq!(plain.get_help().map(ToString::to_string).as_deref(), Some("Test[2J x"));
    }
}
