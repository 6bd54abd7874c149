//! Payloads of events, from a repository with commits.

use super::*;

/// A repository with two commits, and a workflow whose payloads are derived from it.
struct Events {
    place: Place,
}

impl Events {
    fn new() -> Self {
        let place = Place::new(CI);
        let events = Self { place };
        events.git(&["config", "user.name", "Ada L"]);
        events.git(&["config", "user.email", "ada@example.org"]);
        events.git(&["remote", "add", "origin", "https://github.com/aura/platform"]);
        events.commit("one");
        events.commit("two [skip me]\n\nbody");
        events
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.place.root(), args).expect("git works").trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    fn plan(&self, on: &str, event: &str, values: &[&str]) -> Planned {
        self.place.write("ci.yml", &CI.replace("[push, workflow_dispatch]", on));
        let values = values.iter().map(|text| text.parse().expect("an assignment")).collect();
        let payload = Payload { values, ..Payload::default() };
        self.place.plan(&LaunchRequest { payload, event: Some(event.to_owned()), ..self.place.request() })
    }
}

#[test]
fn a_push_has_its_commits_as_git_knows_them() {
    let events = Events::new();
    let planned = events.plan("push", "push", &[]);
    let payload = &planned.spec().payload;
    let (old, new) = (events.git(&["rev-parse", "HEAD^"]), events.git(&["rev-parse", "HEAD"]));
    assert_eq!((payload["before"].as_str(), payload["after"].as_str()), (Some(old.as_str()), Some(new.as_str())));
    let head = &payload["head_commit"];
    assert_eq!((head["id"].as_str(), &head["message"]), (Some(new.as_str()), &"two [skip me]\n\nbody".into()));
    assert_eq!((&head["author"]["name"], &head["distinct"]), (&"Ada L".into(), &true.into()));
    assert_eq!((payload["commits"].as_array().map(Vec::len), &payload["commits"][0]), (Some(1), head));
    assert_eq!(payload["pusher"], serde_json::json!({"name": "Ada L", "email": "ada@example.org"}));
    assert_eq!(payload["repository"]["default_branch"], "main");
    let compare = format!("https://github.com/aura/platform/compare/{}...{}", &old[..12], &new[..12]);
    assert_eq!(payload["compare"], compare.as_str());
    assert_eq!(
        (&payload["forced"], &payload["created"], &payload["ref"]),
        (&false.into(), &false.into(), &"refs/heads/main".into())
    );
    assert_eq!(planned.unknown(), None);
    // The branch is amended after it was pushed.
    events.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    events.git(&["branch", "-q", "--set-upstream-to=origin/main"]);
    events.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "three"]);
    let payload = events.plan("push", "push", &[]).spec().payload.clone();
    assert_eq!((payload["before"].as_str(), &payload["forced"]), (Some(new.as_str()), &true.into()));
    assert_eq!(payload["head_commit"]["message"], "three");
}

#[test]
fn a_first_push_and_a_tag_have_nothing_before() {
    let place = Place::new(CI);
    let empty = place.plan(&place.request()).spec().payload.clone();
    let zeros = "0".repeat(40);
    assert_eq!((empty["after"].as_str(), empty["head_commit"].is_null()), (Some(zeros.as_str()), true));
    let events = Events::new();
    events.git(&["checkout", "-q", "--detach"]);
    events.git(&["tag", "v1"]);
    let payload = events.plan("push", "push", &[]).spec().payload.clone();
    assert_eq!((&payload["ref"], payload["before"].as_str()), (&"refs/tags/v1".into(), Some(zeros.as_str())));
    assert_eq!((&payload["created"], payload["commits"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    assert_eq!(payload["head_commit"]["message"], "two [skip me]\n\nbody");
}

#[test]
fn a_pull_request_has_its_two_sides_and_a_number_where_one_is_known() {
    let events = Events::new();
    events.git(&["checkout", "-qb", "side"]);
    events.commit("three");
    let planned = events.plan("pull_request", "pull_request", &[]);
    let request = &planned.spec().payload["pull_request"];
    assert_eq!((&request["base"]["ref"], &request["head"]["ref"]), (&"main".into(), &"side".into()));
    assert_eq!(request["base"]["sha"].as_str(), Some(events.git(&["rev-parse", "main"]).as_str()));
    assert_eq!(request["head"]["sha"].as_str(), Some(events.git(&["rev-parse", "side"]).as_str()));
    assert_eq!((&planned.spec().payload["action"], &request["commits"]), (&"opened".into(), &1.into()));
    assert_eq!((planned.spec().git_ref.as_str(), &request["number"]), ("refs/pull/0/merge", &0.into()));
    let set = events.plan("pull_request", "pull_request", &["number=7", "pull_request.title=fix it"]);
    assert_eq!(
        (set.spec().git_ref.as_str(), &set.spec().payload["pull_request"]["number"]),
        ("refs/pull/7/merge", &7.into())
    );
    assert_eq!(set.unknown(), None);
    let title = |values| {
        let read = CI.replace("github.ref", "github.event.pull_request.title");
        events.place.write("ci.yml", &read.replace("[push, workflow_dispatch]", "pull_request"));
        let request = LaunchRequest { payload: Payload { values, ..Payload::default() }, ..events.place.request() };
        events.place.plan(&LaunchRequest { event: Some("pull_request".to_owned()), ..request }).unknown()
    };
    let note = title(Vec::new()).expect("the title is not known");
    assert!(note.starts_with("github.event.pull_request.title is empty") && note.contains("title=VALUE"), "{note}");
    assert_eq!(title(vec!["pull_request.title=x".parse().expect("an assignment")]), None);
    events.git(&["config", "branch.side.merge", "refs/pull/12/head"]);
    let fetched = events.plan("{pull_request: {types: [labeled]}}", "pull_request", &[]);
    assert_eq!(
        (fetched.spec().git_ref.as_str(), &fetched.spec().payload["action"]),
        ("refs/pull/12/merge", &"labeled".into())
    );
}

#[test]
fn a_dispatch_has_every_input_as_text_and_a_schedule_its_table() {
    let events = Events::new();
    let inputs = "{workflow_dispatch: {inputs: {foo: {type: boolean, default: false}, bar: {default: x}, n: {type: number}, \
                  wet: {type: boolean}, pick: {type: choice, options: [a, b]}}}}";
    let planned = events.plan(inputs, "workflow_dispatch", &["inputs.n=3"]);
    let expected = serde_json::json!({"foo": "false", "bar": "x", "n": 3, "wet": "false", "pick": "a"});
    assert_eq!(planned.spec().payload["inputs"], expected);
    assert_eq!(
        (planned.spec().inputs.len(), planned.spec().inputs["n"].as_str()),
        (1, "3"),
        "defaults are typed later"
    );
    let values = ["inputs.bar=payload", "inputs.foo=true"].map(|text| text.parse().expect("an assignment")).into();
    let given = [("FOO".to_owned(), "false".to_owned())].into();
    let request =
        LaunchRequest { inputs: given, payload: Payload { values, ..Payload::default() }, ..events.place.request() };
    let planned = events.place.plan(&LaunchRequest { event: Some("workflow_dispatch".to_owned()), ..request });
    let inputs = &planned.spec().payload["inputs"];
    assert_eq!((&inputs["foo"], &inputs["bar"]), (&"false".into(), &"payload".into()), "--input counts more");
    assert_eq!(planned.spec().inputs.values().collect::<Vec<_>>(), ["false", "payload"]);
    let planned = events.plan("{schedule: [{cron: '0 1 * * *'}, {cron: '5 1 * * *'}]}", "schedule", &[]);
    assert_eq!(planned.spec().payload["schedule"], "0 1 * * *");
    let planned = events.plan("{release: {types: [created]}}", "release", &["ref=refs/tags/v2"]);
    assert_eq!(planned.spec().payload["release"]["tag_name"], "v2");
    assert_eq!(
        (&planned.spec().payload["action"], planned.spec().git_ref.as_str()),
        (&"created".into(), "refs/tags/v2")
    );
    for (event, values, expected) in [
        ("release", &["release.tag_name=v3"][..], "refs/tags/v3"),
        ("release", &[], "refs/heads/main"),
        ("create", &["ref=v4", "ref_type=tag"], "refs/tags/v4"),
        ("create", &["ref=refs/tags/v4"], "refs/tags/v4"),
        ("create", &[], "refs/heads/main"),
        ("delete", &["ref=gone"], "refs/heads/main"),
    ] {
        let planned = events.plan(event, event, values);
        assert_eq!(planned.spec().git_ref, expected, "{event} {values:?}");
    }
}
