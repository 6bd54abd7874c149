//! The repository of the run, as the REST API describes it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use serde_json::{Value, json};

use crate::repo::git::{Access, git, git_capped};
use crate::repo::history;
use crate::repo::history::{Commit, Person};

use super::super::answer::Answer;
use super::super::error::ServiceError;
use super::super::router::parameter;
use super::{Context, json, page, plain};

/// Maximum number of commits in a comparison or a list. GitHub's limit for a comparison.
const MAX_COMMITS: usize = 250;

/// Maximum size of a file in bytes. GitHub's limit for files in JSON.
const MAX_FILE: u64 = 1024 * 1024;

/// Answers a request about the repository. `None` if only GitHub can answer it.
pub(super) fn answer(context: &Context<'_>, rest: &[&str], uri: &Uri) -> Result<Option<Answer>, ServiceError> {
    let folder = context.service.repository.as_path();
    let Context { base, name, .. } = context;
    let url = format!("{base}/repos/{name}");
    let missing = |what| ServiceError::NotFound(what);
    let answer = match rest {
        [] => json(&described(context)),
        ["tags"] => {
            let tag = |(name, commit): (String, String)| json!({"name": name, "commit": {"sha": commit, "url": format!("{url}/commits/{commit}")}});
            let tags: Vec<_> = refs(folder, "refs/tags").into_iter().map(tag).collect();
            page(&tags, uri, base, plain)
        }
        ["branches"] => {
            let branch =
                |(name, commit): (String, String)| json!({"name": name, "commit": {"sha": commit}, "protected": false});
            let branches: Vec<_> = refs(folder, "refs/heads").into_iter().map(branch).collect();
            page(&branches, uri, base, plain)
        }
        ["git", "ref" | "refs", kind @ ("heads" | "tags"), name @ ..] => {
            let full = format!("refs/{kind}/{}", name.join("/"));
            let sha = of_ref(folder, &full).ok_or(missing("ref"))?;
            let kind = git(folder, ["cat-file", "-t", &sha]).unwrap_or_default();
            json(&json!({"ref": full, "object": {"sha": sha, "type": kind.trim()}}))
        }
        ["commits"] => {
            let from = parameter(uri, "sha")
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| context.service.facts.sha.clone());
            let from = commit(folder, &from).ok_or(missing("commit"))?;
            let mut all = commits(folder, None, &from, &url);
            all.reverse();
            page(&all, uri, base, plain)
        }
        ["commits", _, "pulls"] | ["pulls"] => page(&[], uri, base, plain),
        ["commits", name @ ..] => {
            let found = commit(folder, &name.join("/")).and_then(|sha| history::newest(folder, &sha));
            json(&described_commit(&found.ok_or(missing("commit"))?, &url))
        }
        ["compare", names @ ..] => {
            let names = names.join("/");
            let (first, last) = names.split_once("...").ok_or(missing("comparison"))?;
            let (first, last) = (commit(folder, first), commit(folder, last));
            json(&compared(folder, &first.ok_or(missing("commit"))?, &last.ok_or(missing("commit"))?, &url))
        }
        ["contents", path @ ..] => {
            let at = parameter(uri, "ref").unwrap_or_else(|| context.service.facts.sha.clone());
            let at = commit(folder, &at).ok_or(missing("commit"))?;
            json(&file(folder, &at, &path.join("/"))?)
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn described(context: &Context<'_>) -> Value {
    let Context { service, base, name, .. } = context;
    let event = service.facts.event.get("repository");
    let known = event.and_then(|repository| repository.get("default_branch")).and_then(Value::as_str);
    let (owner, short) = name.split_once('/').unwrap_or((name, name));
    json!({
        "id": 1,
        "name": short,
        "full_name": name,
        "private": service.facts.visibility() != "public",
        "owner": {"login": owner, "id": 1, "type": "User"},
        "html_url": format!("https://github.com/{name}"),
        "url": format!("{base}/repos/{name}"),
        "clone_url": format!("https://github.com/{name}.git"),
        "description": null,
        "fork": false,
        "license": null,
        "topics": [],
        "visibility": service.facts.visibility(),
        "default_branch": known.unwrap_or("main"),
    })
}

/// Returns the short names of the refs below `below` and the commits that they lead to, the highest version first.
/// Empty if git fails.
fn refs(folder: &Path, below: &str) -> Vec<(String, String)> {
    let format = "--format=%(refname:lstrip=2)%09%(objectname)%09%(*objectname)";
    let Ok(listed) = git(folder, ["for-each-ref", "--sort=-version:refname", format, below]) else { return Vec::new() };
    let entry = |line: &str| {
        let mut parts = line.split('\t');
        let (name, own, peeled) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
        Some((name.to_owned(), if peeled.is_empty() { own } else { peeled }.to_owned()))
    };
    listed.lines().filter_map(entry).collect()
}

/// Returns the id of an object by its name. `None` if the object does not exist.
fn object(folder: &Path, name: &str) -> Option<String> {
    let found = git(folder, ["rev-parse", "--verify", "--quiet", "--end-of-options", name]).ok()?;
    Some(found.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Returns the id of the object that a full ref leads to. `None` if there is no such ref.
fn of_ref(folder: &Path, full: &str) -> Option<String> {
    let found = git(folder, ["show-ref", "--verify", "--hash", "--", full]).ok()?;
    Some(found.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Returns the id of the commit that a branch, a tag or a full id names. `None` if there is no such commit. Git's other
/// names of commits are unknown, as on GitHub: they lead to what was never pushed, such as `stash@{0}`.
fn commit(folder: &Path, name: &str) -> Option<String> {
    let is_id = matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if is_id {
        name.to_owned()
    } else {
        let kinds = ["tags", "heads"];
        let short = name.strip_prefix("refs/").unwrap_or(name);
        let is_full = kinds.iter().any(|kind| short.strip_prefix(*kind).is_some_and(|rest| rest.starts_with('/')));
        let known = is_full.then(|| of_ref(folder, &format!("refs/{short}"))).flatten();
        known.or_else(|| kinds.iter().find_map(|kind| of_ref(folder, &format!("refs/{kind}/{name}"))))?
    };
    object(folder, &format!("{id}^{{commit}}"))
}

/// Describes the newest [`MAX_COMMITS`] commits that are reachable from `until` but not from `since`, oldest first.
fn commits(folder: &Path, since: Option<&str>, until: &str, url: &str) -> Vec<Value> {
    let found = history::commits(folder, since, until, MAX_COMMITS).unwrap_or_default();
    found.iter().map(|commit| described_commit(commit, url)).collect()
}

fn described_commit(commit: &Commit, url: &str) -> Value {
    let Commit { id, tree, time, parents, authored, author, committer, message } = commit;
    let person = |person: &Person, date: &str| json!({"name": person.name, "email": person.email, "date": date});
    json!({
        "sha": id,
        "url": format!("{url}/commits/{id}"),
        "html_url": format!("{url}/commits/{id}"),
        "commit": {
            "author": person(author, authored),
            "committer": person(committer, time),
            "message": message.trim_end(),
            "tree": {"sha": tree},
        },
        "author": {"login": author.name},
        "committer": {"login": committer.name},
        "parents": parents.iter().map(|id| json!({"sha": id})).collect::<Vec<_>>(),
    })
}

fn compared(folder: &Path, first: &str, last: &str, url: &str) -> Value {
    let count =
        |range: &str| git(folder, ["rev-list", "--count", range]).ok().and_then(|count| count.trim().parse().ok());
    let ahead: u64 = count(&format!("{first}..{last}")).unwrap_or_default();
    let behind: u64 = count(&format!("{last}..{first}")).unwrap_or_default();
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let names = git(folder, ["diff", "--name-only", "-z", &format!("{first}...{last}")]).unwrap_or_default();
    let files: Vec<_> =
        names.split('\0').filter(|name| !name.is_empty()).map(|name| json!({"filename": name})).collect();
    json!({
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": commits(folder, Some(first), last, url),
        "files": files,
    })
}

/// Describes a file, with its content in base64. Returns an error if the file is larger than [`MAX_FILE`].
fn file(folder: &Path, commit: &str, path: &str) -> Result<Value, ServiceError> {
    let is_file = |sha: &String| git(folder, ["cat-file", "-t", sha]).is_ok_and(|kind| kind.trim() == "blob");
    let sha = object(folder, &format!("{commit}:{path}")).filter(is_file).ok_or(ServiceError::NotFound("file"))?;
    let size: u64 =
        git(folder, ["cat-file", "-s", &sha]).ok().and_then(|size| size.trim().parse().ok()).unwrap_or(u64::MAX);
    if size > MAX_FILE {
        return Err(ServiceError::TooLarge(MAX_FILE));
    }
    let content = git_capped(None, folder, Access::Guarded, ["cat-file", "blob", &sha], size as usize)
        .map_err(|error| ServiceError::Invalid(error.to_string()))?;
    Ok(json!({
        "type": "file",
        "name": path.rsplit('/').next(),
        "path": path,
        "sha": sha,
        "size": size,
        "encoding": "base64",
        "content": STANDARD.encode(content),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing;

    #[test]
    fn the_content_of_a_file_is_whole_whatever_its_bytes() {
        let root = tempfile::tempdir().expect("a folder");
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        std::fs::write(root.path().join("image.png"), &bytes).expect("written");
        for args in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "x"]] {
            testing::git(root.path(), args);
        }
        let sha = object(root.path(), "HEAD").expect("a commit");
        let found = file(root.path(), &sha, "image.png").expect("there");
        let content = STANDARD.decode(found["content"].as_str().expect("text")).expect("base64");
        assert_eq!((content, found["size"].as_u64()), (bytes, Some(10_000)));
        let described = commits(root.path(), None, &sha, "u");
        assert_eq!((described.len(), &described[0]["commit"]["author"]["name"]), (1, &json!("Ada")));
        assert!(described[0]["commit"]["author"]["date"].as_str().is_some_and(|date| date.len() == 25));
    }

    #[test]
    fn only_branches_tags_and_full_ids_name_a_commit() {
        let root = tempfile::tempdir().expect("a folder");
        let run = |args: &[&str]| testing::git(root.path(), args);
        run(&["init", "-q", "-b", "main"]);
        std::fs::write(root.path().join("f"), "1").expect("written");
        run(&["add", "."]);
        run(&["commit", "-qm", "one"]);
        let first = run(&["rev-parse", "HEAD"]);
        run(&["tag", "-am", "first", "v1"]);
        run(&["branch", "topic/a"]);
        std::fs::write(root.path().join("f"), "2").expect("written");
        run(&["stash"]);
        run(&["commit", "-q", "--allow-empty", "-m", "two"]);
        let second = run(&["rev-parse", "HEAD"]);
        for (name, expected) in [
            ("main", Some(&second)),
            ("heads/main", Some(&second)),
            ("refs/heads/main", Some(&second)),
            ("v1", Some(&first)),
            ("refs/tags/v1", Some(&first)),
            ("topic/a", Some(&first)),
            (first.as_str(), Some(&first)),
            (&first[..12], None),
            ("stash", None),
            ("refs/stash", None),
            ("stash@{0}", None),
            ("HEAD@{1}", None),
            ("main@{1}", None),
            ("main~1", None),
            (":/one", None),
            ("../HEAD", None),
            ("--all", None),
            ("", None),
        ] {
            assert_eq!(commit(root.path(), name).as_ref(), expected, "{name}");
        }
    }
}
