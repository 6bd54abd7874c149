//! Names in messages: the first of a long list, and what was probably meant by one that does not exist.

use super::nearest;

/// Maximum number of names that a message about an unknown one lists.
const MAX_KNOWN: usize = 10;

/// Returns the first `most` names of a list, and a mark if there are more.
#[must_use]
pub fn first_names<'n>(names: impl ExactSizeIterator<Item = &'n str>, most: usize) -> String {
    let more = if names.len() > most { ", …" } else { "" };
    names.take(most).collect::<Vec<_>>().join(", ") + more
}

/// Whether two names are equal but for the case of their letters.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// Returns the end of a message about an unknown name: the most similar of `meant`, else, after the word `has`, the
/// names of `known`. Empty if there are none.
#[must_use]
pub fn suggestion<'n>(
    wanted: &str,
    meant: impl IntoIterator<Item = &'n str>,
    has: &str,
    known: impl ExactSizeIterator<Item = &'n str>,
) -> String {
    match nearest(wanted, meant) {
        Some(name) => format!("; did you mean `{name}`?"),
        None if known.len() == 0 => String::new(),
        None => format!("; {has} {}", first_names(known, MAX_KNOWN)),
    }
}
