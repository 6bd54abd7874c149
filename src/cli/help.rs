//! The help: the list of commands in groups by task, and the texts at the end.

use clap::Command;
use clap::builder::StyledStr;

use crate::report::{lists, style};

/// Maximum width of the list in columns, as of the other parts of the help.
const MAX_COLUMNS: usize = 100;

/// All commands that the help lists, under the headings of their groups.
const GROUPS: &[(&str, &[&str])] = &[
    ("Runs", &["run", "demo", "attach", "watch", "runs", "show", "logs", "cancel", "rerun", "resume", "delete"]),
    ("Look into a run", &["explain", "shell", "held", "replay", "screenshot"]),
    ("Workflows", &["plan", "lint", "eval", "dispatch", "workflow"]),
    ("Deployments", &["env", "deploy", "deploys", "promote", "pause", "abort", "rollback", "lock", "unlock", "audit"]),
    ("Reviews", &["approve", "reject"]),
    ("Files and languages", &["artifacts", "cache", "tools"]),
    ("Setup", &["trust", "auth", "doctor", "config", "keys", "clean", "completions", "man", "help"]),
];

/// Makes the help of the program list the commands in groups.
pub(super) fn grouped(command: Command) -> Command {
    let columns = style::columns().map_or(MAX_COLUMNS, |columns| columns.min(MAX_COLUMNS));
    let styles = command.get_styles();
    let (header, reset) = (styles.get_header().render(), styles.get_header().render_reset());
    let list = list(&command, columns);
    let template = format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{header}Arguments:{reset}\n\
         {{positionals}}\n\n{header}Options:{reset}\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

/// Joins the lines of each paragraph at the end of the help of all commands, which are as long as lines of code may be. The
/// parser breaks them at the width of the terminal.
pub(super) fn unwrapped(command: Command) -> Command {
    let (short, long) = (command.get_after_help().map(joined), command.get_after_long_help().map(joined));
    let command = short.into_iter().fold(command, Command::after_help);
    let command = long.into_iter().fold(command, Command::after_long_help);
    command.mut_subcommands(unwrapped)
}

/// Joins lines that belong to one paragraph. Indented lines, and the lines before them, stay as they are.
fn joined(text: &StyledStr) -> StyledStr {
    let text = text.ansi().to_string();
    let mut all = String::new();
    let mut goes_on = false;
    for line in text.lines() {
        let is_paragraph = !line.is_empty() && !line.starts_with(' ');
        all.push_str(match (all.is_empty(), goes_on && is_paragraph) {
            (true, _) => "",
            (false, true) => " ",
            (false, false) => "\n",
        });
        all.push_str(line);
        goes_on = is_paragraph;
    }
    StyledStr::from(all)
}

/// Returns the groups of commands with their descriptions in lines of at most this many columns, and an empty line after
/// each group.
fn list(command: &Command, columns: usize) -> String {
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let about = |name: &str| {
        // The parser adds `help` later.
        let about = command.find_subcommand(name).and_then(Command::get_about);
        about.map_or_else(|| "Print the help of a command".to_owned(), ToString::to_string)
    };
    let described = |names: &[&'static str]| names.iter().map(|name| (*name, about(name))).collect::<Vec<_>>();
    let groups: Vec<_> = GROUPS.iter().map(|(group, names)| (*group, described(names))).collect();
    let heading = |text: &str| format!("{}{text}{}", header.render(), header.render_reset());
    let name = |text: &str| format!("{}{text}{}", literal.render(), literal.render_reset());
    lists::commands(&groups, columns, heading, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;
    use crate::ui::text::width;

    /// Returns a text without control sequences.
    fn plain(text: &str) -> String {
        clap::builder::StyledStr::from(text.to_owned()).to_string()
    }

    #[test]
    fn every_command_is_in_one_group() {
        let command = command();
        let known = command.get_subcommands().filter(|known| !known.is_hide_set()).map(Command::get_name);
        let mut known: Vec<&str> = known.chain(["help"]).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        known.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, known);
    }

    #[test]
    fn the_text_at_the_end_is_broken_only_at_the_width_of_the_terminal() {
        let text = "Examples:\n  a b\n  c\n\nOne two,\nthree.\n\nFour\nfive.";
        let expected = "Examples:\n  a b\n  c\n\nOne two, three.\n\nFour five.";
        assert_eq!(joined(&StyledStr::from(text)).to_string(), expected);
        let mut deploy = command().find_subcommand("deploy").expect("a command").clone().term_width(60);
        let help = plain(&deploy.render_help().to_string());
        let end = help.split("Exit codes: ").nth(1).expect("the exit codes");
        let lines: Vec<&str> = end.trim_end().lines().collect();
        let (_, full) = lines.split_last().expect("lines");
        // No word of the next line fits into a line.
        assert!(full.len() > 3 && full.iter().all(|line| width(line) > 40), "{help}");
    }

    #[test]
    fn the_list_fits_every_width() {
        for columns in [30, 40, 60, 80, 100] {
            let list = plain(&list(&command(), columns));
            assert!(list.lines().all(|line| width(line) <= columns), "{columns}: {list}");
            assert!(list.contains("\nDeployments:\n  env") && !list.contains(['{', '}']), "{list}");
        }
        let wide = plain(&list(&command(), 100));
        assert!(wide.contains("\n  lint         Check workflow files and action manifests\n"), "{wide}");
        let narrow = plain(&list(&command(), 30));
        assert!(narrow.contains("\n  plan\n      Show what a workflow"), "{narrow}");
    }

    #[test]
    fn the_help_says_what_an_option_that_is_left_out_stands_for() {
        for (name, parts) in [
            ("rerun", &["or else the only one that failed"][..]),
            ("run", &["[default: end]", "[default: `max_parallel` of the configuration, "]),
            ("plan", &["cuelight plan ci --job test", "--input <NAME=VALUE>"]),
            ("screenshot", &["Keys that are pressed before the screen is drawn"]),
        ] {
            let mut found = command().find_subcommand(name).expect("a command").clone().term_width(0);
            let help = plain(&found.render_long_help().to_string());
            assert!(parts.iter().all(|part| help.contains(part)), "{name}: {help}");
        }
    }

    #[test]
    fn the_help_of_a_command_is_asked_for_in_two_ways() {
        let help = |words: &[&str]| {
            let error = command().try_get_matches_from(words).expect_err("help");
            assert!(!error.use_stderr(), "{words:?}");
            error.to_string()
        };
        assert_eq!(help(&["cuelight", "help"]), help(&["cuelight", "--help"]));
        for words in [["cuelight", "help", "logs"], ["cuelight", "logs", "--help"]] {
            assert!(help(&words).contains("Print the logs of a run"), "{words:?}");
        }
        assert!(help(&["cuelight", "--help"]).contains("\nSetup:\n  trust "));
        assert!(help(&["cuelight", "-h"]).contains("\nOptions:\n"));
    }
}
