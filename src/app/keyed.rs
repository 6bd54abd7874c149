//! Keys in place of commands: sentences about an environment name the command to act, and the screen has a key for it.

use super::action::Action;
use super::keymap::Keymap;

/// Commands about an environment, each with the action that does the same for the selected environment.
const COMMANDS: &[(&str, Action)] = &[
    ("approve", Action::ReviewDeployment),
    ("promote", Action::Promote),
    ("abort", Action::Abort),
    ("unlock", Action::Unlock),
    ("rollback", Action::RollBack),
];

/// Returns a text with keys in place of the commands about the selected environment: `` `D u` opens it`` for
/// `` `cuelight unlock production` opens it``. Commands about other environments stay, because keys act on the selected
/// one.
pub(super) fn keyed(text: &str, environment: &str, keymap: &Keymap) -> String {
    let mut text = text.to_owned();
    for (command, action) in COMMANDS {
        let start = format!("`cuelight {command} {environment}");
        let Some(key) = keymap.keys(*action).first() else { continue };
        let Some((before, rest)) = text.split_once(&start) else { continue };
        let Some((arguments, after)) = rest.split_once('`') else { continue };
        if arguments.is_empty() || arguments.starts_with(' ') {
            text = format!("{before}`{key}`{after}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_about_the_selected_environment_become_keys() {
        let of = |text: &str| keyed(text, "production", &Keymap::default());
        assert_eq!(of("`cuelight unlock production` opens it"), "`D u` opens it");
        assert_eq!(of("waits: `cuelight approve production --run r1`, today"), "waits: `D r`, today");
        assert_eq!(of("`cuelight promote production` or `cuelight abort production`"), "`D p` or `D a`");
        for other in ["`cuelight unlock production2` opens it", "`cuelight deploy staging v1`", "`cuelight unlock pro"]
        {
            assert_eq!(of(other), other);
        }
    }
}
