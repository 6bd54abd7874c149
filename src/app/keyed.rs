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
        let (mut keyed, mut done) = (String::new(), 0);
        for (at, _) in text.match_indices(&start) {
            let rest = &text[at + start.len()..];
            let Some((arguments, after)) = rest.split_once('`') else { break };
            // The sign that ends one command may begin the next one.
            if at >= done && (arguments.is_empty() || arguments.starts_with(' ')) {
                keyed.push_str(&text[done..at]);
                keyed.push_str(&format!("`{key}`"));
                done = text.len() - after.len();
            }
        }
        keyed.push_str(&text[done..]);
        text = keyed;
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
        let both = "`cuelight unlock production2` opens that one, and `cuelight unlock production` this one";
        assert_eq!(of(both), "`cuelight unlock production2` opens that one, and `D u` this one");
        assert_eq!(of("`cuelight unlock production`, `cuelight unlock production -y`"), "`D u`, `D u`");
        assert_eq!(of("`cuelight unlock production`cuelight unlock production`"), "`D u`cuelight unlock production`");
        for other in ["`cuelight unlock production2` opens it", "`cuelight deploy staging v1`", "`cuelight unlock pro"]
        {
            assert_eq!(of(other), other);
        }
    }
}
