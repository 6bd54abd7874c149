//! Messages about mistyped commands and options, and about those that other tools have.

use std::error::Error;
use std::process::ExitCode;

use clap::Arg;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::report::{arguments, other_tools, style};
use crate::ui::terminal_text::{TerminalText, reveal, text};

use super::{Exit, Failure, command, deploy};

/// Returns what follows `cuelight` in the command that a word means or resembles; `None` if there is none, and for a word
/// that names a run.
fn meant(word: &str) -> Option<String> {
    let command = command();
    let names = command.get_subcommands().filter(|known| !known.is_hide_set()).map(clap::Command::get_name);
    other_tools::meant(word, names).map(str::to_owned)
}

/// Returns the error for an unknown run. A word that cannot name one may be a command; if it means or resembles a known
/// one, the error suggests it, and is one of the command line.
pub(super) fn no_run(wanted: &str, mut failure: Failure) -> Failure {
    if failure.exit == Exit::NotFound && !other_tools::is_of_run(wanted) {
        let meant = meant(wanted);
        failure.exit = if meant.is_some() { Exit::Usage } else { Exit::NotFound };
        failure.message = other_tools::unknown_word(wanted, meant.as_deref());
    }
    failure
}

/// Returns the texts that an error of the parser has of this kind. Their unsafe characters are made visible, because they
/// may be names of files of a repository (`cuelight lint *`).
fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![reveal(text)],
        Some(ContextValue::Strings(texts)) => texts.iter().map(|text| reveal(text)).collect(),
        Some(ContextValue::StyledStr(text)) => vec![reveal(text.to_string().lines().next().unwrap_or_default())],
        _ => Vec::new(),
    }
}

/// Returns the message about wrong arguments; `None` for an error that the parser describes best. `words` are the
/// arguments of the program.
fn message(error: &clap::Error, words: &[String]) -> Option<String> {
    let one = |kind| texts(error, kind).into_iter().next().unwrap_or_default();
    let (argument, value, usage) =
        (one(ContextKind::InvalidArg), one(ContextKind::InvalidValue), one(ContextKind::Usage));
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {
            let is_word = error.kind() == ErrorKind::UnknownArgument && !argument.starts_with('-');
            mistyped(error, words).or_else(|| is_word.then(|| arguments::surplus(&argument, usage)))
        }
        ErrorKind::InvalidValue => {
            Some(arguments::unknown_value(&value, &argument, &texts(error, ContextKind::ValidValue)))
        }
        ErrorKind::ValueValidation => Some(arguments::invalid_value(&value, &argument, error.source())),
        ErrorKind::TooManyValues => Some(arguments::needless_value(&value, &argument)),
        ErrorKind::ArgumentConflict if argument.is_empty() => {
            mistyped(error, words).or_else(|| Some(arguments::surplus(&one(ContextKind::InvalidSubcommand), usage)))
        }
        ErrorKind::ArgumentConflict => Some(arguments::conflict(&argument, &texts(error, ContextKind::PriorArg))),
        ErrorKind::MissingRequiredArgument => Some(arguments::missing(&texts(error, ContextKind::InvalidArg), usage)),
        ErrorKind::InvalidUtf8 => {
            let replaced = words.iter().find(|word| word.contains(char::REPLACEMENT_CHARACTER));
            replaced.map(|word| arguments::not_utf8(&reveal(word)))
        }
        _ => None,
    }
}

/// Returns the message about a mistyped command with arguments, which the parser takes for the name of a run, or about an
/// unknown option of a command. `words` are the arguments of the program. `None` for any other error.
fn mistyped(error: &clap::Error, words: &[String]) -> Option<String> {
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(invalid)) => invalid.as_str(),
        _ => "",
    };
    let mut known = command();
    known.build();
    let (program, words) = match after_flags(&known, words) {
        [help, rest @ ..] if help == "help" && !rest.is_empty() => ("cuelight help", rest),
        words => ("cuelight", words),
    };
    let Some(first) = words.first().filter(|first| !first.starts_with('-')) else {
        return invalid.starts_with('-').then(|| unknown_option(&known, "", invalid));
    };
    let Some(mut subcommand) = known.find_subcommand(first) else {
        return match meant(first) {
            Some(near) => Some(other_tools::unknown_command(first, program, Some(&near))),
            // The first word may be the run to open, and the option be wrong.
            None if invalid.starts_with('-') => Some(unknown_option(&known, "", invalid)),
            None if other_tools::is_of_run(first) => None,
            None => Some(other_tools::unknown_command(first, program, None)),
        };
    };
    let mut name = first.clone();
    let rest = after_flags(subcommand, &words[1..]);
    if let Some(word) = rest.first() {
        if let Some(inner) = subcommand.find_subcommand(word) {
            let flags = &words[1..words.len() - rest.len()];
            if !flags.is_empty() && !invalid.starts_with('-') && subcommand.is_args_conflicts_with_subcommands_set() {
                return Some(arguments::late_command(program, &name, inner.get_name(), flags));
            }
            name = format!("{name} {}", inner.get_name());
            subcommand = inner;
        } else if subcommand.has_subcommands() && !invalid.starts_with('-') && !word.starts_with('-') {
            let names = subcommand.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "help");
            let near = arguments::command_meant(word, &names.collect::<Vec<_>>());
            // The word may also be the run that the command takes.
            if near.is_some() || subcommand.get_positionals().next().is_none() {
                return Some(arguments::no_command(program, &name, &reveal(word), near));
            }
        }
    }
    invalid.starts_with('-').then(|| unknown_option(subcommand, &name, invalid))
}

/// Returns the arguments of a command after its leading options without a value, which may stand before the name of a
/// subcommand. The definition of the command must be built, so that it has the global options.
fn after_flags<'w>(command: &clap::Command, words: &'w [String]) -> &'w [String] {
    let is_flag = |word: &String| {
        let flags = || command.get_arguments().filter(|known| !known.get_action().takes_values());
        match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => flags().any(|flag| flag.get_long() == Some(long)),
            (_, Some(short)) => flags().any(|flag| flag.get_short().is_some_and(|known| short == known.to_string())),
            _ => false,
        }
    };
    let first = words.iter().position(|word| !is_flag(word)).unwrap_or(words.len());
    &words[first..]
}

/// Returns the message about an option that a command does not have. `name` is the name of the command, or empty for the
/// program.
fn unknown_option(command: &clap::Command, name: &str, option: &str) -> String {
    let longs = command.get_arguments().filter(|known| !known.is_hide_set()).filter_map(Arg::get_long);
    other_tools::unknown_option(name, option, &longs.collect::<Vec<_>>())
}

/// Returns the environments of this repository, for the error about a command without the environment that it needs;
/// `None` for any other error, and without environments here.
fn environments_to_name(error: &clap::Error) -> Option<TerminalText> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::MissingRequiredArgument || !missing.iter().any(|one| one == "<ENV>") {
        return None;
    }
    let deployments = deploy::local_if_any().ok().flatten()?;
    let names: Vec<&str> = deployments.all_settings().ok()?.keys().map(String::as_str).collect();
    (!names.is_empty()).then(|| text!("The environments of this repository: {}", names.join(", ")))
}

/// Prints the error in the arguments, and returns the exit code. Requested help is printed, too, but then the process
/// exits.
pub(super) fn misread(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // The groups of commands are in no other output, so the arguments were parsed without them.
        command().try_get_matches().err().unwrap_or(error).exit();
    }
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(message) = message(&error, &words) {
        style::complain(&TerminalText::paragraph(&message));
        if let Some(environments) = environments_to_name(&error) {
            style::notice(&environments);
        }
        return Exit::Usage.into();
    }
    // The message quotes arguments, which may be names of files of a repository (`cuelight lint *`), so their unsafe
    // characters are made visible.
    let revealed = std::env::args_os().map(|argument| reveal(&argument.to_string_lossy()));
    let error = command().try_get_matches_from(revealed).err().filter(clap::Error::use_stderr).unwrap_or(error);
    let rendered = error.render();
    style::notice(&if style::colour_of_errors() {
        TerminalText::coloured(rendered.ansi().to_string().trim_end())
    } else {
        TerminalText::lines(rendered.to_string().trim_end())
    });
    Exit::Usage.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the message about these arguments of the program.
    fn said(line: &str) -> Option<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let all = std::iter::once("cuelight".to_owned()).chain(words.clone());
        message(&command().try_get_matches_from(all).err()?, &words)
    }

    #[test]
    fn an_unknown_option_leads_to_the_one_that_is_meant() {
        for (line, meant) in [
            ("logs --jb lint", "--job"),
            ("runs -o json", "--json"),
            ("plan --output json", "--format"),
            ("runs --repo a/b", "--repository"),
            ("runs -l 3", "--limit"),
            ("dispatch ci -f a=b", "--input"),
            ("rerun -v", "--debug"),
            ("held retry --forse", "--force"),
            ("--linear runs --jsn", "--json"),
            ("--linear held retry --forse", "--force"),
        ] {
            let said = said(line).expect(line);
            assert!(said.ends_with(&format!("; did you mean `{meant}`?")), "{line}: {said}");
        }
        for (line, expected) in [
            ("run -l", "unknown option `-l`: `cuelight plan` shows what would run"),
            ("run -W ci.yml", "unknown option `-W`: name the workflow alone: `cuelight run ci`"),
            ("show --watch", "unknown option `--watch`: `cuelight attach` follows a run"),
            ("shell -it", "unknown option `-i`: at a terminal the shell is interactive anyway"),
            ("--xyz", "unknown option `--xyz`: `cuelight --help` lists the options"),
            ("latest --linaer", "unknown option `--linaer`; did you mean `--linear`?"),
            ("held list -x", "unknown option `-x`: `cuelight held list --help` lists the options"),
            ("--linear --xyz runs", "unknown option `--xyz`: `cuelight --help` lists the options"),
            ("--linear shwo x", "there is no command `shwo`; did you mean `cuelight show`?"),
            (
                "cancel -fa",
                "unknown option `-a`: name the runs; `--all` only lets `latest` be the newest run of all repositories",
            ),
            ("delete --all", "unknown option `--all`: name the runs, or remove old ones with `cuelight clean`"),
        ] {
            assert_eq!(said(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn wrong_arguments_lead_to_what_to_write() {
        for (line, expected) in [
            ("cache ls", "there is no command `cache ls`; did you mean `cuelight cache list`?"),
            ("workflow lst", "there is no command `workflow lst`; did you mean `cuelight workflow list`?"),
            ("help cache lst", "there is no command `cache lst`; did you mean `cuelight help cache list`?"),
            ("cache xyzzy", "there is no command `cache xyzzy`: `cuelight cache --help` lists the commands"),
            (
                "artifacts uplod latest a b",
                "there is no command `artifacts uplod`; did you mean `cuelight artifacts upload`?",
            ),
            ("plan --format jsn", "unknown value `jsn` of `--format`; did you mean `json`?"),
            ("plan --format qqq", "unknown value `qqq` of `--format`: write text, svg, json, template, mermaid or dot"),
            ("run --job", "`--job` needs a value: write `--job <JOB>`"),
            ("runs --limit x", "invalid value `x` of `--limit`: write a whole number, without a sign"),
            (
                "runs --limit 99999999999999999999999",
                "invalid value `99999999999999999999999` of `--limit`: write a smaller number",
            ),
            ("run --hold-minutes 0", "invalid value `0` of `--hold-minutes`: write a number from 1 to 1440"),
            ("run --sandbox bad", "invalid value `bad` of `--sandbox`: write `host`, `docker` or `docker:IMAGE`"),
            ("runs --json=x", "`--json` takes no value, but has `x`: write `--json` alone"),
            ("runs --json --json", "`--json` is given more than once: write it once"),
            ("run ci --detach --json", "`--detach` cannot be used with `--json`: leave one out"),
            ("runs --limit -1", "invalid value `-1` of `--limit`: write a whole number, without a sign"),
            ("deploys --limit -1", "invalid value `-1` of `--limit`: write a whole number, without a sign"),
            ("run --hold-minutes -1", "invalid value `-1` of `--hold-minutes`: write a whole number, without a sign"),
            ("env live -n -1", "invalid value `-1` of `--limit`: write a number from 1 to 255"),
            ("artifacts latest x", "unexpected argument `x`: write `cuelight artifacts [OPTIONS] [RUN]`"),
            ("run --remote", "missing `<WORKFLOW>`: write `cuelight run --remote <WORKFLOW>`"),
            ("lock", "missing `--reason <TEXT>` and `<ENV>`: write `cuelight lock --reason <TEXT> <ENV>`"),
            ("held --linear retry", "`retry` must stand before the options: write `cuelight held retry --linear`"),
            (
                "workflow --json enable ci",
                "`enable` must stand before the options: write `cuelight workflow enable --json`",
            ),
            (
                "artifacts --json upload latest a b",
                "`upload` must stand before the options: write `cuelight artifacts upload --json`",
            ),
        ] {
            assert_eq!(said(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn an_argument_that_is_not_utf8_is_named() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        let arguments = [OsString::from("cuelight"), "show".into(), OsString::from_vec(vec![b'a', 0xff])];
        let words: Vec<String> = arguments[1..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let error = command().try_get_matches_from(arguments).expect_err("not UTF-8");
        let said = message(&error, &words);
        assert_eq!(said.as_deref(), Some("the argument `a\u{fffd}` is not UTF-8: write it in UTF-8"));
    }

    #[test]
    fn common_short_options_are_understood() {
        for line in [
            "logs -f",
            "logs --follow",
            "logs -j a -s 2",
            "run ci -w",
            "run ci -j a -e push",
            "runs -a",
            "runs -L 5",
            "runs -n 5",
            "runs -w ci",
            "show -a",
            "held -a",
            "cancel -f",
            "clean -n",
            "explain -j a",
            "shell -j a",
            "rerun -j a",
        ] {
            let words = std::iter::once("cuelight").chain(line.split(' '));
            assert!(command().try_get_matches_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_mistyped_command_gets_a_suggestion_in_help_as_well() {
        assert_eq!(
            said("help lgos").as_deref(),
            Some("there is no command `lgos`; did you mean `cuelight help logs`?")
        );
        assert_eq!(said("shwo x").as_deref(), Some("there is no command `shwo`; did you mean `cuelight show`?"));
        assert_eq!(said("show x y").as_deref(), Some("unexpected argument `y`: write `cuelight show [OPTIONS] [RUN]`"));
    }

    #[test]
    fn options_of_other_tools_lead_to_options_that_exist() {
        let mut built = command();
        built.build();
        let has = |option: &str| {
            let has = |command: &clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some(option));
            built.get_subcommands().any(has)
        };
        assert!(other_tools::OPTIONS.iter().flat_map(|(_, same)| *same).copied().all(has));
        assert!(other_tools::ADVICE.iter().all(|(name, ..)| built.find_subcommand(name).is_some()));
    }

    #[test]
    fn names_of_other_tools_lead_to_commands() {
        for (others, meant) in other_tools::NAMES {
            for name in *others {
                assert!(command().find_subcommand(name).is_none(), "{name} is a command itself");
            }
            // `NAME` stands for what the user fills in.
            let commands = meant.split(' ').take_while(|part| !part.is_empty() && *part != "NAME");
            let mut named = commands.filter(|part| !part.starts_with('-'));
            let named = named.try_fold(command(), |known, part| known.find_subcommand(part).cloned());
            assert!(named.is_some(), "{meant} does not exist");
        }
    }

    #[test]
    fn words_of_other_tools_lead_to_what_they_mean_there() {
        for (words, expected) in [
            ("test build start up", Some("run")),
            ("trigger", Some("dispatch")),
            ("prune gc", Some("clean")),
            ("jobs pods open view describe get info inspect", Some("show")),
            ("exec sh ssh", Some("shell")),
            ("top ui tui dashboard", Some("")),
            ("dag graph", Some("plan")),
            ("lst list lsit", Some("runs")),
            ("check chekc", Some("lint")),
            ("latests lastest", Some("latest")),
            ("version", Some("--version")),
            ("undo", Some("rollback")),
            ("secret secrets", Some("env NAME --check")),
            ("allow lgtm", Some("approve")),
            ("down", Some("cancel")),
            ("shwo", Some("show")),
            ("artefact", Some("artifacts")),
            ("init install upgrade update undeploy patch push pull trsut trus aproved rejct unlok", None),
        ] {
            for word in words.split(' ') {
                assert_eq!(meant(word).as_deref(), expected, "{word}");
            }
        }
    }

    #[test]
    fn a_word_that_is_neither_a_command_nor_a_run_says_so() {
        let said = |word: &str| {
            let failure = no_run(word, Failure::new(Exit::NotFound, "there is no such run"));
            (failure.exit, failure.message)
        };
        for (word, exit, message) in [
            ("exec", Exit::Usage, "`exec` is neither a command nor a run; did you mean `cuelight shell`?"),
            ("top", Exit::Usage, "`top` is neither a command nor a run; did you mean `cuelight`?"),
            ("xyzzy", Exit::NotFound, "`xyzzy` is neither a command nor a run: `cuelight --help` lists the commands"),
            ("4f3a", Exit::NotFound, "there is no such run"),
        ] {
            assert!(said(word) == (exit, message.to_owned()), "{word}: {:?}", said(word).1);
        }
    }

    #[test]
    fn words_that_name_a_run_are_not_taken_for_commands() {
        for (word, expected) in [
            ("latest", None),
            ("20261123-101010-aaaa", None),
            ("4f3a", None),
            ("7", None),
            ("https://github.com/octo/app/actions/runs/7", None),
            ("octo/app/7", None),
            ("shwo", Some("show")),
            ("status", Some("runs")),
        ] {
            assert_eq!(meant(word).as_deref(), expected, "{word}");
        }
    }
}
