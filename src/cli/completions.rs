//! `completions`: scripts that make a shell ask this program for completions. `man`: manual pages.

use std::path::PathBuf;

use clap::Command;
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
    clap_mangen::generate_to(command, folder).map_err(StoreError::io("write the manual pages into", folder))?;
    style::line(&text!("{}", folder.join("cuelight.1").display()))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_for_bash_asks_the_program() {
        assert!(BASH.contains(&format!(" {}=bash ", complete::VARIABLE)));
    }
}
