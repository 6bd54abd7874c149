//! Suggestions for mistyped names, used for commands, settings, actions, workflow keys and options.

/// Maximum number of names that are compared with a mistyped name, to bound the cost of a suggestion.
const MAX_COMPARED: usize = 200;

/// Returns the known name most similar to a mistyped one; `None` if all are too different.
#[must_use]
pub fn nearest<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    nearest_within(written, names, usize::MAX)
}

/// Returns the known name most similar to a mistyped one; `None` if all are too different, or differ in more than this
/// number of single edits.
#[must_use]
pub fn nearest_within<'n>(
    written: &str,
    names: impl IntoIterator<Item = &'n str>,
    max_edits: usize,
) -> Option<&'n str> {
    let written = written.to_ascii_lowercase();
    let length = written.chars().count();
    let enough = |name: &str| max_edits.min(1 + length.min(name.len()) / 4);
    names
        .into_iter()
        .take(MAX_COMPARED)
        .filter(|name| name.len().abs_diff(length) <= 1 + length.min(name.len()))
        .map(|name| (distance(&written, &name.to_ascii_lowercase()), name))
        // Names without any letter in common are not similar, however short they are.
        .filter(|(distance, name)| *distance <= enough(name) && *distance < length.max(name.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns the number of single edits (insert, remove, replace, swap of neighbours) between the first 64 characters of
/// two texts.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().take(64).collect());
    let mut before = vec![0; to.len() + 1];
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let same = from[i - 1] == to[j - 1];
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_intended_one() {
        let names = ["runs-on", "steps", "strategy", "needs"];
        for (written, meant) in [("run-on", "runs-on"), ("setps", "steps"), ("STRATEGY", "strategy"), ("need", "needs")]
        {
            assert_eq!(nearest(written, names), Some(meant));
        }
        assert_eq!(nearest("container", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("c", ["a", "b"]), None);
    }
}
