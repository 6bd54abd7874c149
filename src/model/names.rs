//! Long lists of names in one line.

/// Returns the first `most` names of a list, and a mark if there are more.
#[must_use]
pub fn first_names<'n>(names: impl ExactSizeIterator<Item = &'n str>, most: usize) -> String {
    let more = if names.len() > most { ", …" } else { "" };
    names.take(most).collect::<Vec<_>>().join(", ") + more
}
