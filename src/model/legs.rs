//! Names of several jobs in one text: the legs of a matrix are named together, `test ×3 (1, 2, 3)`. Likewise, reasons
//! that differ only in the names between their backquotes, such as "no runner for `macos-14`" and "no runner for
//! `windows-2022`", become one text.

use indexmap::{IndexMap, IndexSet};

use super::{Conclusion, Job};

/// Maximum number of legs of one matrix that a text names; the others are counted.
const MAX_NAMED: usize = 12;

/// Returns a text with the names of jobs, given as key and name. Jobs with the same key are legs of one matrix.
#[must_use]
pub fn legs<'j>(jobs: impl IntoIterator<Item = (&'j str, &'j str)>) -> String {
    let mut matrices: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for (key, name) in jobs {
        matrices.entry(key).or_default().push(name);
    }
    let named = matrices.into_iter().map(|(key, names)| match names.as_slice() {
        [only] => (*only).to_owned(),
        several => {
            let (title, values) = matrix(key, several);
            format!("{title} ({values})")
        }
    });
    named.collect::<Vec<_>>().join(", ")
}

/// Returns the title of several legs of one matrix, `test ×3`, and what distinguishes them: `1, 2, 3`.
#[must_use]
pub fn matrix(key: &str, names: &[&str]) -> (String, String) {
    let split: Option<Vec<_>> = names.iter().map(|name| name.strip_suffix(')')?.split_once(" (")).collect();
    let base = split.as_ref().and_then(|split| split.first()).map(|(base, _)| *base);
    let (title, values) = match (base, split) {
        (Some(base), Some(split)) if split.iter().all(|(other, _)| *other == base) => {
            (base, split.into_iter().map(|(_, values)| values).collect())
        }
        _ => (key, names.to_vec()),
    };
    let between = if values.iter().any(|value| value.contains(',')) { "; " } else { ", " };
    (format!("{title} ×{}", names.len()), first_few(&values, between))
}

fn first_few(values: &[&str], between: &str) -> String {
    let more = match values.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!("{between}and {more} more"),
    };
    let values: Vec<_> = values.iter().take(MAX_NAMED).copied().collect();
    values.join(between) + &more
}

/// Returns the parts of a reason that are not names between backquotes.
fn kind(reason: &str) -> Vec<&str> {
    reason.split('`').step_by(2).collect()
}

/// Merges reasons of one kind into one text with the names of all of them, shortened after the first few.
fn one_text(reasons: &[&str]) -> String {
    let names = |part: usize| -> Vec<&str> {
        let names: IndexSet<_> = reasons.iter().filter_map(|reason| reason.split('`').nth(part)).collect();
        names.into_iter().collect()
    };
    let parts = reasons.first().map_or(0, |reason| reason.split('`').count());
    let mut text = String::new();
    for part in 0..parts {
        let quote = |is_quoted| if is_quoted { "`" } else { "" };
        let (is_name, is_closed) = (part % 2 == 1, part + 1 < parts);
        let quoted = |name: &&str| format!("{}{name}{}", quote(is_name), quote(is_name && is_closed));
        let quoted: Vec<_> = names(part).iter().map(quoted).collect();
        text += &first_few(&quoted.iter().map(String::as_str).collect::<Vec<_>>(), ", ");
    }
    text
}

/// Groups items whose reasons are of one kind, and merges the reasons of each group into one text. The groups are in
/// the order of their first items.
#[must_use]
pub fn by_reason<'r, T>(items: impl IntoIterator<Item = (&'r str, T)>) -> Vec<(String, Vec<T>)> {
    let mut kinds: IndexMap<_, (Vec<&str>, Vec<T>)> = IndexMap::new();
    for (reason, item) in items {
        let (reasons, items) = kinds.entry(kind(reason)).or_default();
        reasons.push(reason);
        items.push(item);
    }
    kinds.into_values().map(|(reasons, items)| (one_text(&reasons), items)).collect()
}

/// Returns the reason of a group of [`alike`] legs; `None` if they have none.
#[must_use]
pub fn reason(jobs: &[&Job]) -> Option<String> {
    let reasons: Vec<_> = jobs.iter().filter_map(|job| job.reason.as_deref()).collect();
    (!reasons.is_empty()).then(|| one_text(&reasons))
}

/// Groups the legs of a matrix that did not succeed, have the same conclusion, and have reasons of one kind. Every
/// other job is alone in its group. The groups are in the order of their first jobs.
#[must_use]
pub fn alike<'r>(jobs: impl IntoIterator<Item = &'r Job>) -> Vec<Vec<&'r Job>> {
    let mut groups: IndexMap<_, Vec<&Job>> = IndexMap::new();
    for job in jobs {
        let end = job.phase.conclusion();
        let alone = (end == Some(Conclusion::Success) || job.reason.is_none()).then_some(&job.id);
        let why = job.reason.as_deref().map(kind);
        groups.entry((&job.key, alone, end, why, job.allowed_failure)).or_default().push(job);
    }
    groups.into_values().collect()
}

/// Returns the title of a group of [`alike`] legs, `test ×3`, and what distinguishes them; `None` for one job.
#[must_use]
pub fn titled(jobs: &[&Job]) -> Option<(String, String)> {
    let names: Vec<_> = jobs.iter().map(|job| job.name.as_str()).collect();
    (jobs.len() > 1).then(|| matrix(&jobs[0].key, &names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_names_are_one_text() {
        let of = |reasons: &[&str]| {
            let groups = by_reason(reasons.iter().enumerate().map(|(at, reason)| (*reason, at)));
            groups.into_iter().map(|(text, items)| format!("{items:?} {text}")).collect::<Vec<_>>()
        };
        let runner = |label: &str| format!("no runner for `{label}`; `[runs-on]` does not map it");
        let (mac, windows) = (runner("macos-14"), runner("windows-2022"));
        assert_eq!(
            of(&[&mac, "`needs` failed", &windows, &mac]),
            ["[0, 2, 3] no runner for `macos-14`, `windows-2022`; `[runs-on]` does not map it", "[1] `needs` failed"]
        );
        assert_eq!(of(&["", "a", "b`", "b`c"]), ["[0] ", "[1] a", "[2, 3] b`, `c"]);
        let many: Vec<_> = (1..=14).map(|at| runner(&format!("l{at}"))).collect();
        let many = of(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(many[0].ends_with("`l11`, `l12`, and 2 more; `[runs-on]` does not map it"), "{many:?}");
    }

    #[test]
    fn legs_of_one_matrix_are_named_once() {
        let of = |jobs: &[(&str, &str)]| legs(jobs.iter().copied());
        assert_eq!(of(&[("a", "Lint")]), "Lint");
        assert_eq!(of(&[("t", "test (1)"), ("a", "Lint"), ("t", "test (2)")]), "test ×2 (1, 2), Lint");
        assert_eq!(of(&[("t", "test (1, a)"), ("t", "test (2, a)")]), "test ×2 (1, a; 2, a)");
        assert_eq!(of(&[("t", "On mac"), ("t", "On linux")]), "t ×2 (On mac, On linux)");
        let names: Vec<_> = (1..=14).map(|leg| format!("t ({leg})")).collect();
        let many = of(&names.iter().map(|name| ("t", name.as_str())).collect::<Vec<_>>());
        assert_eq!(many, "t ×14 (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, and 2 more)");
    }
}
