//! Hostile texts, and checks of what the program prints for them. Used by the property tests of everything that prints.

use proptest::prelude::*;

use crate::visible::is_unsafe;

/// Returns a strategy for texts that an attacker could write.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let pieces = [
        "\u{1b}[31m",
        "\u{1b}[2J",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]52;c;aGk=\u{7}",
        "\u{1b}",
        "\u{9b}31m",
        "\u{90}",
        "\u{7f}",
        "\u{0}",
        "\n",
        "\r",
        "\r\n",
        "\t",
        " ",
        "\n::error::forged",
        "::set-env name=A::b",
        "##[error]forged",
        "##[add-path]/x",
        "::stop-commands::x",
        "%0A::error::x",
        "\u{202e}",
        "\u{2066}",
        "\u{61c}",
        "\u{200b}",
        "\u{200d}",
        "\u{feff}",
        "\u{e0041}",
        "\u{e007f}",
        "\u{2028}",
        "\u{fe0f}",
        "\u{1f3ff}",
        "\u{3164}",
        "\u{ad}",
        "name",
        "日本",
        "é",
        "\"",
        "\\",
        "<script>",
        "];",
        "-->",
    ];
    let piece = prop_oneof![4 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// Checks that the output contains only text, line ends, tabs and our own colours.
pub(crate) fn check(printed: &str) -> Result<(), TestCaseError> {
    let sequence = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern");
    let rest = sequence.replace_all(printed, "");
    let bad = rest.chars().find(|c| is_unsafe(*c) && !matches!(c, '\n' | '\t'));
    prop_assert_eq!(bad, None, "in {:?}", printed);
    Ok(())
}

/// Returns the names of the commands that GitHub's runner would find in these lines.
pub(crate) fn commands(printed: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut stopped: Option<String> = None;
    for line in printed.lines() {
        let modern = line.trim_start().strip_prefix("::").and_then(|rest| rest.split_once("::"));
        let old = line.split_once("##[").and_then(|(_, rest)| rest.split_once(']'));
        let Some((head, data)) = modern.or(old) else { continue };
        let name = head.split(' ').next().unwrap_or_default().to_owned();
        match &stopped {
            Some(token) if *token == name => stopped = None,
            Some(_) => {}
            None if name == "stop-commands" => stopped = Some(data.to_owned()),
            None => found.push(name),
        }
    }
    found
}
