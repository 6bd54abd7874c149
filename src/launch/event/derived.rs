//! The parts of an event's payload that git knows, under the names of GitHub's webhooks.
//!
//! The fields come from "Webhook events and payloads" in GitHub's documentation. A commit of a `push` has no lists of
//! files, because GitHub leaves them out of the payload that workflows see. A field that is not known here is left out,
//! so that [`super::unknown`] finds it.

use std::thread;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::repo::git::Repository;
use crate::repo::history;
use crate::repo::history::Commit;
use crate::workflow::syntax::{InputDefinition, InputKind, Trigger, Workflow};
use crate::workflow::template::Template;

/// Address of the pages of repositories.
const SERVER: &str = "https://github.com";

/// Address of the API.
const API: &str = "https://api.github.com";

/// Maximum number of commits in the payload of a push; the limit of GitHub's webhooks.
const MAX_COMMITS: usize = 2048;

/// The null id, which stands for the commit of a branch or tag that does not exist.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// Number of a pull request that does not exist yet. GitHub's numbers begin at 1, so it never equals the number of
/// another one.
const NO_NUMBER: u64 = 0;

/// The data that a payload is derived from.
pub(in crate::launch) struct Facts<'f> {
    pub(in crate::launch) repository: &'f Repository,
    /// `owner/name`.
    pub(in crate::launch) slug: &'f str,
    /// Name of the event.
    pub(in crate::launch) event: &'f str,
    pub(in crate::launch) workflow: &'f Workflow,
    /// Inputs as given, by name.
    pub(in crate::launch) inputs: &'f IndexMap<String, String>,
    /// The part of the payload given by the user.
    pub(in crate::launch) given: &'f Map<String, Value>,
}

impl Facts<'_> {
    /// Returns the payload: what is derived from these facts, overridden by the given part.
    pub(in crate::launch) fn payload(&self) -> Value {
        let root = &self.repository.root;
        // Each git call takes a few milliseconds and delays the start, so they run in parallel.
        let (default_branch, push) = thread::scope(|scope| {
            let default_branch = scope.spawn(|| history::default_branch(root));
            let push = (self.event == "push").then(|| self.push());
            (default_branch.join().expect("reading refs does not panic"), push)
        });
        let default_branch = default_branch.or_else(|| self.branch().map(str::to_owned));
        let common = json!({
            "repository": self.repository_object(default_branch.as_deref()),
            "sender": {"login": self.repository.actor, "type": "User"},
            "action": self.activity(),
        });
        let own = match self.event {
            "push" => json!({"base_ref": self.base_ref(default_branch.as_deref())}),
            "pull_request" | "pull_request_target" => self.pull_request(default_branch.as_deref()),
            "merge_group" => self.merge_group(default_branch.as_deref()),
            "workflow_dispatch" => json!({
                "ref": self.git_ref(),
                "inputs": self.dispatch_inputs(),
                "workflow": self.workflow.source.name,
            }),
            "workflow_call" => json!({"ref": self.git_ref(), "inputs": self.dispatch_inputs()}),
            "schedule" => json!({"schedule": self.cron(), "workflow": self.workflow.source.name}),
            "create" | "delete" => json!({
                "ref": short(self.git_ref()),
                "ref_type": if self.tag().is_some() { "tag" } else { "branch" },
                "master_branch": default_branch,
                "pusher_type": "user",
            }),
            "release" => self.release(),
            _ => json!({}),
        };
        let mut payload = Map::new();
        for part in [common, own, push.unwrap_or_default(), Value::Object(self.given.clone())] {
            if let Value::Object(part) = part {
                super::merge(&mut payload, part);
            }
        }
        if payload["action"].is_null() {
            payload.remove("action");
        }
        Value::Object(payload)
    }

    /// Returns the full ref: the given one, else the one that is checked out.
    fn git_ref(&self) -> &str {
        self.given.get("ref").and_then(Value::as_str).unwrap_or(&self.repository.git_ref)
    }

    fn branch(&self) -> Option<&str> {
        self.repository.git_ref.strip_prefix("refs/heads/")
    }

    fn tag(&self) -> Option<&str> {
        self.git_ref().strip_prefix("refs/tags/")
    }

    fn owner(&self) -> (&str, &str) {
        self.slug.split_once('/').unwrap_or(("local", self.slug))
    }

    /// Returns the commit, unless the repository has none.
    fn sha(&self) -> Option<&str> {
        Some(self.repository.sha.as_str()).filter(|sha| sha.bytes().any(|digit| digit != b'0'))
    }

    fn trigger(&self) -> Option<&Trigger> {
        self.workflow.triggers.iter().find(|trigger| trigger.event.value == self.event)
    }

    fn repository_object(&self, default_branch: Option<&str>) -> Value {
        let (owner, name) = self.owner();
        let page = format!("{SERVER}/{}", self.slug);
        json!({
            "name": name,
            "full_name": self.slug,
            "owner": {"login": owner, "name": owner},
            "default_branch": default_branch,
            "master_branch": default_branch,
            "html_url": page,
            "url": if self.event == "push" { page.clone() } else { format!("{API}/repos/{}", self.slug) },
            "clone_url": format!("{page}.git"),
            "git_url": format!("git://github.com/{}.git", self.slug),
            "ssh_url": format!("git@github.com:{}.git", self.slug),
        })
    }

    /// Returns the branch of a pushed tag, as a full ref. `None` if a branch was pushed, or no branch is known.
    fn base_ref(&self, default_branch: Option<&str>) -> Option<String> {
        self.tag()?;
        self.branch().or(default_branch).map(|name| format!("refs/heads/{name}"))
    }

    fn push(&self) -> Value {
        let root = &self.repository.root;
        let text = |key: &str| self.given.get(key).and_then(Value::as_str);
        let after = text("after").or(self.sha()).unwrap_or(NO_COMMIT);
        let is_tag = self.tag().is_some();
        let (upstream, newest) = thread::scope(|scope| {
            // A tag counts as new, so no earlier commit is needed.
            let needs_upstream = !is_tag && text("before").is_none() && after != NO_COMMIT;
            let upstream = needs_upstream.then(|| scope.spawn(|| history::upstream(root)));
            let newest = Some(after).filter(|after| *after != NO_COMMIT).and_then(|after| history::newest(root, after));
            (upstream.and_then(|upstream| upstream.join().expect("reading a ref does not panic")), newest)
        });
        let before = match (text("before"), &newest) {
            (Some(before), _) => Some(before.to_owned()).filter(|before| before != NO_COMMIT),
            (None, Some(newest)) if !is_tag => history::before(upstream, newest),
            (None, _) => None,
        };
        let only = newest.as_ref().filter(|newest| before.as_slice() == newest.parents);
        let forced = only.is_none() && before.as_ref().is_some_and(|before| !history::is_ancestor(root, before, after));
        let commits = match only {
            _ if is_tag || after == NO_COMMIT => Vec::new(),
            Some(only) => vec![only.clone()],
            None => history::commits(root, before.as_deref(), after, MAX_COMMITS).unwrap_or_default(),
        };
        let head = match (commits.last().or(newest.as_ref()), after) {
            (Some(newest), _) => self.commit(newest),
            (None, NO_COMMIT) => Value::Null,
            // A commit that is missing in this repository has an id and nothing else.
            (None, after) => json!({"id": after}),
        };
        let page = format!("{SERVER}/{}/compare", self.slug);
        let compare = match &before {
            Some(before) => format!("{page}/{}...{}", start(before), start(after)),
            None => format!("{page}/{}", short(self.git_ref())),
        };
        json!({
            "ref": self.git_ref(),
            "before": before.as_deref().unwrap_or(NO_COMMIT),
            "after": after,
            "created": before.is_none(),
            "deleted": after == NO_COMMIT,
            "forced": forced,
            "compare": compare,
            "commits": commits.iter().map(|commit| self.commit(commit)).collect::<Vec<_>>(),
            "head_commit": head,
            "pusher": {"name": self.repository.actor, "email": self.repository.email},
        })
    }

    /// Returns a commit as an element of `commits`.
    fn commit(&self, commit: &Commit) -> Value {
        let person = |person: &history::Person| json!({"name": person.name, "email": person.email});
        json!({
            "id": commit.id,
            "tree_id": commit.tree,
            "distinct": true,
            "message": commit.message,
            "timestamp": commit.time,
            "url": format!("{SERVER}/{}/commit/{}", self.slug, commit.id),
            "author": person(&commit.author),
            "committer": person(&commit.committer),
        })
    }

    fn pull_request(&self, default_branch: Option<&str>) -> Value {
        let root = &self.repository.root;
        let request = self.given.get("pull_request");
        let text = |side: &str| request?.get(side)?.get("ref")?.as_str();
        let number = [request.and_then(|request| request.get("number")), self.given.get("number")];
        let number = number.into_iter().flatten().find_map(Value::as_u64);
        let number = number.or_else(|| history::pull_request(root, self.branch()?)).unwrap_or(NO_NUMBER);
        let head = text("head").or(self.branch());
        let base = text("base").or(default_branch).unwrap_or_default();
        let base_sha = [format!("origin/{base}"), base.to_owned()];
        let base_sha = base_sha.iter().find_map(|name| history::newest(root, name)).map(|one| one.id);
        let (owner, _) = self.owner();
        let side = |name: Option<&str>, sha: Option<&str>| {
            json!({
                "label": name.map(|name| format!("{owner}:{name}")),
                "ref": name,
                "sha": sha,
                "user": {"login": owner},
                "repo": self.repository_object(default_branch),
            })
        };
        let count = base_sha
            .as_ref()
            .zip(self.sha())
            .and_then(|(base, sha)| Some(history::commits(root, Some(base), sha, MAX_COMMITS).ok()?.len()));
        let mut payload = json!({
            "number": number,
            "pull_request": {
                "number": number,
                "state": "open",
                "draft": false,
                "merged": false,
                "locked": false,
                "user": {"login": self.repository.actor, "type": "User"},
                "head": side(head, self.sha()),
                "base": side(Some(base), base_sha.as_deref()),
                "merge_commit_sha": self.sha(),
                "commits": count,
            },
        });
        if number != NO_NUMBER {
            let path = format!("{}/pull/{number}", self.slug);
            payload["pull_request"]["html_url"] = json!(format!("{SERVER}/{path}"));
            payload["pull_request"]["url"] = json!(format!("{API}/repos/{}/pulls/{number}", self.slug));
        }
        payload
    }

    fn merge_group(&self, default_branch: Option<&str>) -> Value {
        let root = &self.repository.root;
        let head = self.sha().and_then(|sha| history::newest(root, sha));
        json!({
            "merge_group": {
                "head_sha": self.sha(),
                "head_ref": self.git_ref(),
                "base_sha": head.as_ref().and_then(|head| history::before(history::upstream(root), head)),
                "base_ref": default_branch.map(|name| format!("refs/heads/{name}")),
                "head_commit": head.map(|commit| self.commit(&commit)),
            },
        })
    }

    /// Returns the release of the tag that is checked out, or that is given as `ref`. Empty without a tag.
    fn release(&self) -> Value {
        let Some(tag) = self.tag() else { return json!({}) };
        json!({
            "release": {
                "tag_name": tag,
                "target_commitish": self.sha(),
                "draft": false,
                "prerelease": self.activity() == Some("prereleased"),
                "html_url": format!("{SERVER}/{}/releases/tag/{tag}", self.slug),
                "author": {"login": self.repository.actor, "type": "User"},
                "assets": [],
            },
        })
    }

    /// Returns the first schedule of the workflow, because it is unknown which one is due. `None` if there is none.
    fn cron(&self) -> Option<&str> {
        self.trigger()?.schedules.first().map(|(cron, _)| cron.value.as_str())
    }

    /// Returns the activity type of the event: the given one, else the usual one or, if the workflow names only others,
    /// the first of these. `None` for an event without a usual activity type.
    fn activity(&self) -> Option<&str> {
        let usual = match self.event {
            "pull_request" | "pull_request_target" | "issues" => "opened",
            "issue_comment"
            | "pull_request_review_comment"
            | "discussion"
            | "discussion_comment"
            | "label"
            | "milestone"
            | "check_run"
            | "branch_protection_rule" => "created",
            "pull_request_review" => "submitted",
            "release" | "registry_package" => "published",
            "workflow_run" | "check_suite" => "completed",
            "merge_group" => "checks_requested",
            "watch" => "started",
            _ => return None,
        };
        let types = self.trigger().map(|trigger| trigger.types.as_slice()).unwrap_or_default();
        let is_usual = types.is_empty() || types.iter().any(|one| one.value == usual);
        let first = types.first().map(|one| one.value.as_str()).filter(|_| !is_usual);
        self.given.get("action").and_then(Value::as_str).or(first).or(Some(usual))
    }

    /// Returns the inputs that the workflow declares, each as text, which is the form that GitHub sends: the given
    /// value, else the default of the input, else the default of its type.
    fn dispatch_inputs(&self) -> Value {
        let declared = self.trigger().map(|trigger| trigger.inputs.as_slice()).unwrap_or_default();
        let value = |input: &InputDefinition| {
            let name = &input.name.value;
            let given = self.inputs.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
            let given = given.map(|(_, value)| value.as_str());
            let text = given.or_else(|| input.default.as_ref().and_then(Template::literal));
            text.map_or_else(|| default_text(&input.kind), str::to_owned)
        };
        Value::Object(declared.iter().map(|input| (input.name.value.clone(), json!(value(input)))).collect())
    }
}

/// Returns the text of an input that is not given and has no default: `false`, the first option, or empty text.
fn default_text(kind: &InputKind) -> String {
    match kind {
        InputKind::Boolean => "false".to_owned(),
        InputKind::Choice(options) => options.first().cloned().unwrap_or_default(),
        InputKind::String | InputKind::Number | InputKind::Environment => String::new(),
    }
}

/// Returns the short name of a ref.
fn short(full: &str) -> &str {
    crate::store::spec::ref_name(full)
}

/// Returns the first 12 digits of a commit's id, as in the addresses of GitHub's comparisons.
fn start(sha: &str) -> &str {
    sha.get(..12).unwrap_or(sha)
}
