//! `completions`: scripts that make a shell ask this program for completions. `man`: manual pages.

use std::path::PathBuf;

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::report::style;
use crate::store::StoreError;
use crate::ui::terminal_text::{TerminalText, text};

use super::{Exit, Outcome, complete};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  source <(cuelight completions bash)                                       in ~/.bashrc
  source <(cuelight completions zsh)                                        in ~/.zshrc, after compinit
  cuelight completions fish > ~/.config/fish/completions/cuelight.fish

The shell then asks the program for runs, workflows, events, inputs, jobs, steps and environments, as they are when
Tab is pressed.")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  cuelight man ~/.local/share/man/man1 && man cuelight-run")]
pub(super) struct ManArgs {
    /// The folder, which is made if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// The script for bash. That of the library takes the parts into which bash splits `--input target=dev` for words.
const BASH: &str = include_str!("completions.bash");

pub(super) fn run(args: &Args) -> Outcome {
    let name = args.shell.to_string();
    let mut script = Vec::new();
    if args.shell == Shell::Bash {
        script.extend_from_slice(BASH.as_bytes());
    } else {
        let shells = Shells::builtins();
        let shell = shells.completer(&name).expect("every shell that can be named has completions");
        shell.write_registration(complete::VARIABLE, "cuelight", "cuelight", "cuelight", &mut script)?;
    }
    style::print(&TerminalText::lines(String::from_utf8_lossy(&script).trim_start()))?;
    Ok(Exit::Success)
}

/// Writes the manual pages.
pub(super) fn man(args: &ManArgs, command: Command) -> Outcome {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
    clap_mangen::generate_to(with_synopsis(command), folder)
        .map_err(StoreError::io("write the manual pages into", folder))?;
    style::line(&text!("{}", folder.join("cuelight.1").display()))?;
    Ok(Exit::Success)
}

/// Gives a command and those within it a synopsis in which options have their values: that of the library has only
/// their names.
fn with_synopsis(command: Command) -> Command {
    let mut command = command.disable_help_subcommand(true);
    // Only a built command has its full name, and the global options.
    command.build();
    with_usage(command)
}

fn with_usage(command: Command) -> Command {
    let mut words = vec![command.get_bin_name().unwrap_or(command.get_name()).to_owned()];
    let shown = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    words.extend(shown().filter(|arg| !arg.is_positional()).map(|arg| optional(option(arg), arg)));
    words.extend(shown().filter(|arg| arg.is_positional()).map(|arg| optional(arg.to_string(), arg)));
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        words.push("[COMMAND]".to_owned());
    }
    command.override_usage(words.join(" ")).mut_subcommands(with_usage)
}

/// Returns an option with both names and its value, such as `-e|--event <EVENT>`.
fn option(arg: &Arg) -> String {
    match (arg.get_short(), arg.get_long()) {
        // The text of an argument is its long name and its value.
        (Some(short), Some(_)) => format!("-{short}|{arg}"),
        _ => arg.to_string(),
    }
}

/// Returns an argument in brackets if it may be left out.
fn optional(text: String, arg: &Arg) -> String {
    if arg.is_required_set() || text.starts_with('[') { text } else { format!("[{text}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_for_bash_asks_the_program() {
        assert!(BASH.contains(&format!(" {}=bash ", complete::VARIABLE)));
    }

    #[test]
    fn the_synopsis_has_the_values_of_options() {
        let built = with_synopsis(crate::cli::command());
        let usage = |name: &str| {
            let command = built.find_subcommand(name).expect("a command");
            command.get_overridden_usage().expect("a usage").to_string()
        };
        let run = usage("run");
        assert!(run.starts_with("cuelight run [-e|--event <EVENT>] [--event-path <FILE>]"), "{run}");
        assert!(run.contains(" [--max-parallel <N>]") && run.contains(" [--in-place] "), "{run}");
        assert!(run.contains(" [WORKFLOW]") && !run.contains("[["), "{run}");
        let lock = usage("lock");
        assert!(lock.contains(" --reason <TEXT>") && lock.contains(" <ENV>"), "{lock}");
    }
}
