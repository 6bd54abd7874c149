//! Finds Compose on this machine.

use std::process::Command;

/// Returns the words that start Compose; `None` if it is not installed.
pub(crate) fn compose() -> Option<Vec<&'static str>> {
    let words = [vec!["docker", "compose"], vec!["docker-compose"]];
    words.into_iter().find(|words| {
        let ended = Command::new(words[0]).args(&words[1..]).arg("version").output();
        ended.is_ok_and(|ended| ended.status.success())
    })
}
