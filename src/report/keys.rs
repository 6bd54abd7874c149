//! The keys of the screen.

use crate::app::action::{ACTIONS, Context, Entry};
use crate::app::keymap::Keymap;
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::width;

use super::style::Style;

/// Returns the panel in which an action has keys, the first if there are several; `None` if it has keys in every panel.
pub fn panel(entry: &Entry) -> Option<Context> {
    entry.contexts.iter().copied().find(|context| matches!(context, Context::Panel(_)))
}

/// Returns the keys of an action.
pub fn keys(keymap: &Keymap, entry: &Entry) -> Vec<String> {
    keymap.keys(entry.action).iter().map(ToString::to_string).collect()
}

/// Returns a sentence per action, for a screen reader. Keys that are punctuation could not be told from the sentence, so
/// keys are in backticks, as commands are.
fn sentences(keymap: &Keymap) -> TerminalText {
    let sentence = |entry: &Entry| {
        let place = panel(entry).map_or_else(|| "in every panel".to_owned(), |panel| format!("in {}", panel.name()));
        let keys: Vec<_> = keys(keymap, entry).iter().map(|key| format!("`{key}`")).collect();
        let keys = if keys.is_empty() { "no key".to_owned() } else { keys.join(" or ") };
        text!("{}: {}, {}: {}\n", entry.name, keys, place, entry.doc)
    };
    ACTIONS.iter().map(sentence).collect()
}

/// Lists the actions by context; for a screen reader, in a sentence each.
pub fn table(keymap: &Keymap, style: Style) -> TerminalText {
    if style.is_linear() {
        return sentences(keymap);
    }
    let rows = || ACTIONS.iter().map(|entry| (panel(entry), keys(keymap, entry).join(", "), entry));
    let columns = rows().map(|(_, keys, _)| width(&keys)).max().unwrap_or_default();
    let names = ACTIONS.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let mut panels: Vec<Option<Context>> = Vec::new();
    for (panel, ..) in rows() {
        if !panels.contains(&panel) {
            panels.push(panel);
        }
    }
    let mut table = TerminalText::default();
    for shown in panels {
        let heading = shown.map_or("In every panel", Context::name);
        if !table.is_empty() {
            table.push_line(&text!(""));
        }
        table.push_line(&style.bold(heading));
        for (_, keys, entry) in rows().filter(|(panel, ..)| *panel == shown) {
            table.push_line(&text!("  {:<columns$}  {:<names$}  {}", keys, entry.name, entry.doc));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Glyphs;

    #[test]
    fn each_action_is_a_sentence_for_a_screen_reader() {
        let keymap = Keymap::new([("wrap", vec!["ctrl-w".to_owned()])]).expect("no conflict");
        let sentences = table(&keymap, Style::linear());
        assert_eq!(sentences.as_str().lines().count(), ACTIONS.len(), "{}", sentences.as_str());
        assert!(!sentences.as_str().contains("  "), "{}", sentences.as_str());
        let wrap = sentences.as_str().lines().find(|line| line.starts_with("wrap: ")).expect("a sentence");
        assert!(wrap.starts_with("wrap: `ctrl-w`") && wrap.contains(", in Log: "), "{wrap}");
    }

    #[test]
    fn every_action_is_listed_with_the_keys_that_it_has() {
        let keymap = Keymap::new([("wrap", vec!["ctrl-w".to_owned()])]).expect("no conflict");
        let table = table(&keymap, Style::new(Glyphs::Unicode, false));
        for entry in ACTIONS.iter() {
            assert!(table.as_str().contains(&format!("  {}  ", entry.name)), "{}", entry.name);
        }
        let wrap = table.as_str().lines().find(|line| line.contains(" wrap ")).expect("a row");
        assert!(wrap.trim_start().starts_with("ctrl-w "), "{wrap}");
        assert!(table.as_str().starts_with("In every panel\n") && table.as_str().contains("\nLog\n"));
    }
}
