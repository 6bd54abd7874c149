//! Names of several jobs in one text: the legs of a matrix are named once, `test ×3 (1, 2, 3)`.

use indexmap::IndexMap;

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
    let more = match values.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!("{between}and {more} more"),
    };
    let values: Vec<_> = values.iter().take(MAX_NAMED).copied().collect();
    (format!("{title} ×{}", names.len()), values.join(between) + &more)
}

/// Returns jobs in groups, each at the place of its first job: legs of one matrix that ended alike and for the same reason,
/// but not well, share a group, and every other job has one for itself.
#[must_use]
pub fn alike<'r>(jobs: impl IntoIterator<Item = &'r Job>) -> Vec<Vec<&'r Job>> {
    let mut groups: IndexMap<_, Vec<&Job>> = IndexMap::new();
    for job in jobs {
        let end = job.phase.conclusion();
        let alone = (end == Some(Conclusion::Success) || job.reason.is_none()).then_some(&job.id);
        groups.entry((&job.key, alone, end, &job.reason, job.allowed_failure)).or_default().push(job);
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
