//! The list of commands in `--help`: in groups, by task.

use clap::Command;

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
