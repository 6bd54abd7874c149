//! `dependencies`: the commits that the actions of a workflow are locked to.
//!
//! `gh actions pin` writes the section: an entry is `[host/]owner/name[/path]@ref:sha1-COMMIT`.

use super::diagnostic::Diagnostic;
use super::elaborate::SYNTAX;
use super::parse::{entries, get};
use super::source::Spanned;
use super::template::{Template, TemplateKind};

/// An action and the commit that it is locked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedAction {
    /// `owner/name[/path]@ref`, as in `uses`.
    pub action: String,
    /// Full hash of the commit, in lower case.
    pub commit: String,
}

impl LockedAction {
    /// Whether this entry locks the action that `uses` names. Case is ignored.
    #[must_use]
    pub fn locks(&self, uses: &str) -> bool {
        self.action.eq_ignore_ascii_case(uses)
    }
}

/// Parses an entry; `None` if it is malformed.
fn entry(text: &str) -> Option<LockedAction> {
    let (action, digest) = text.rsplit_once(':')?;
    let commit = digest.strip_prefix("sha1-").filter(|commit| is_commit(commit))?;
    let action = match action.split_once('/') {
        Some((host, rest)) if host.contains('.') => rest,
        _ => action,
    };
    let (name, version) = action.split_once('@')?;
    let is_name = name.split('/').filter(|part| !part.is_empty()).count() >= 2;
    (is_name && !version.is_empty())
        .then(|| LockedAction { action: action.to_owned(), commit: commit.to_ascii_lowercase() })
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the valid entries of a workflow. Malformed ones are left out.
pub(super) fn read(root: &Template) -> Vec<LockedAction> {
    written(root).filter_map(|text| entry(text.value)).collect()
}

fn written(root: &Template) -> impl Iterator<Item = Spanned<&str>> {
    let items = match get(root, "dependencies").map(|list| &list.kind) {
        Some(TemplateKind::Sequence(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|item| Some(Spanned::new(item.literal()?, item.span)))
}

/// Reports malformed entries, actions that are locked to two commits, and steps whose `uses` has a commit other than
/// the locked one.
pub(super) fn check(root: &Template, found: &mut Vec<Diagnostic>) {
    let mut known: Vec<LockedAction> = Vec::new();
    for text in written(root).filter(|text| !text.value.is_empty()) {
        let Some(locked) = entry(text.value) else {
            let message = format!("`{}` is not a locked action", text.value);
            let hint = "write `owner/name@ref:sha1-COMMIT`, with all 40 digits of the commit";
            found.push(Diagnostic::error(SYNTAX, text.span, message).hint(hint));
            continue;
        };
        match known.iter().find(|other| other.locks(&locked.action)) {
            Some(other) if other.commit != locked.commit => {
                let message =
                    format!("`{}` is locked to two commits: {} and {}", locked.action, other.commit, locked.commit);
                found.push(Diagnostic::error(SYNTAX, text.span, message).hint("remove one of the two"));
            }
            _ => known.push(locked),
        }
    }
    for (_, job) in get(root, "jobs").into_iter().flat_map(entries) {
        let Some(TemplateKind::Sequence(steps)) = get(job, "steps").map(|steps| &steps.kind) else { continue };
        for uses in steps.iter().filter_map(|step| get(step, "uses")) {
            let Some((text, (_, version))) = uses.literal().and_then(|text| Some((text, text.split_once('@')?))) else {
                continue;
            };
            let other = known.iter().find(|locked| locked.locks(text) && !locked.commit.eq_ignore_ascii_case(version));
            if let Some(locked) = other.filter(|_| is_commit(version)) {
                let message = format!("`{text}` is locked to another commit, {}", locked.commit);
                found.push(Diagnostic::error(SYNTAX, uses.span, message).hint("run `gh actions pin` again"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse;
    use crate::workflow::source::Source;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn an_entry_is_an_action_and_a_commit() {
        let locked = |action: &str| Some(LockedAction { action: action.to_owned(), commit: ONE.to_owned() });
        for (text, expected) in [
            (format!("a/b@v1:sha1-{ONE}"), locked("a/b@v1")),
            (format!("github.com/a/b/c@v1:sha1-{ONE}"), locked("a/b/c@v1")),
            (format!("a/b@{TWO}:sha1-{ONE}"), locked(&format!("a/b@{TWO}"))),
            (format!("a/b:sha1-{ONE}"), None),
            (format!("a@v1:sha1-{ONE}"), None),
            (format!("a/b@v1:sha256-{ONE}"), None),
            ("a/b@v1:sha1-1234".to_owned(), None),
            ("a/b@v1".to_owned(), None),
        ] {
            assert_eq!(entry(&text), expected, "{text}");
        }
    }

    #[test]
    fn commits_that_disagree_are_errors() {
        let found = |uses: &str, dependencies: &str| {
            let text = format!(
                "on: push\ndependencies: [{dependencies}]\njobs: {{a: {{runs-on: x, steps: [{{uses: {uses}}}]}}}}\n"
            );
            let parsed = parse(&Source::new("a.yml", text));
            let lines: Vec<_> = parsed.diagnostics.iter().map(|found| found.span.line).collect();
            (lines, parsed.value.map(|workflow| workflow.dependencies.len()))
        };
        assert_eq!(found("a/b@v1", &format!("a/b@v1:sha1-{ONE}, github.com/c/d@v2:sha1-{TWO}")), (vec![], Some(2)));
        assert_eq!(found(&format!("a/b@{ONE}"), &format!("a/b@{ONE}:sha1-{ONE}")), (vec![], Some(1)));
        assert_eq!(found(&format!("a/b@{ONE}"), &format!("a/b@{ONE}:sha1-{TWO}")), (vec![3], None));
        assert_eq!(found("a/b@v1", &format!("a/b@v1:sha1-{ONE}, A/B@v1:sha1-{TWO}")), (vec![2], None));
        assert_eq!(found("a/b@v1", "a/b@v1"), (vec![2], None));
    }
}
