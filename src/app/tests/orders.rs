//! Commands for runs: the dialogs before them, and the pending state until a record confirms them.

use super::*;
use crate::model::feed::{BrokenWorkflow, WorkflowServer};
use crate::model::rights::{Denied, KnownRights, Rights};
use crate::model::{Phase, RemoteRun, ServerKind};

fn submitted(command: Command) -> Effect {
    Effect::Request(Request::Submit { run: run(), command })
}

#[test]
fn cancelling_asks_and_is_pending_until_a_record_confirms() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("s");
    assert!(driver.shows("Cancel the run?"));
    driver.press("n");
    assert_eq!(driver.asked(), []);
    driver.press("s<enter>");
    assert_eq!(driver.asked(), [submitted(Command::Cancel)]);
    assert!(driver.shows("cancel asked") && !driver.shows("stopping"));
    let seq = records().len() as u64 + 1;
    let event = Event::Ordered { command: Command::Cancel, reply: Reply::Accepted, by: None };
    let record = Record { seq, at: Timestamp(START + 193_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
    assert!(!driver.shows("cancel asked") && driver.shows("stopping"));
    driver.press("sy");
    assert_eq!(driver.asked(), [submitted(Command::ForceCancel)]);
}

#[test]
fn a_refusal_is_shown() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("sy");
    let reply = Reply::Rejected { reason: "the worker does not answer".to_owned() };
    driver.feed(Feed::Replied { run: run(), command: Command::Cancel, reply });
    assert!(driver.shows("cancel was refused: the worker does not answer") && !driver.shows("cancel asked"));
}

#[test]
fn an_unavailable_action_shows_why() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("r");
    assert!(driver.shows("rerun: the run has not ended"), "{}", driver.screen());
    driver.feed(Feed::Records { run: run(), records: rest() }).press("s");
    assert!(driver.shows("the run has ended"));
    assert_eq!(driver.asked(), []);
    driver.press("?cancel");
    assert!(driver.shows("(the run has ended)"), "{}", driver.screen());
}

#[test]
fn a_rerun_offers_what_is_available() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.feed(Feed::Records { run: run(), records: rest() }).press("r");
    driver.asked();
    assert!(driver.shows("failed jobs, and the jobs that they blocked: 2 jobs"));
    driver.press("f");
    assert_eq!(driver.asked(), [submitted(Command::Rerun { what: RerunScope::Failed, debug: false })]);
    driver.press("rG<esc>");
    assert_eq!(driver.asked(), []);
    driver.press("rt");
    assert_eq!(
        driver.asked(),
        [submitted(Command::Rerun { what: RerunScope::Job(JobId::new("test-2")), debug: false })]
    );
}

#[test]
fn the_words_of_a_rerun_are_not_cut() {
    for (width, height) in [(80, 24), (60, 16)] {
        let mut driver = Driver::showing(width, height, Glyphs::Unicode);
        driver.feed(Feed::Records { run: run(), records: rest() }).press("r");
        let screen = driver.screen();
        for words in ["failed jobs, and the jobs that they", "this job, and the jobs that need it", "files of the last"]
        {
            assert!(screen.contains(words), "{words}: {screen}");
        }
    }
}

#[test]
fn leaving_asks_only_while_something_runs() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("q");
    assert!(driver.shows("Leave?") && driver.shows("CI is still running."));
    driver.press("s");
    assert_eq!(driver.asked(), [Effect::Quit, submitted(Command::Cancel)], "popped from the end");
    driver.press("<ctrl-c><ctrl-c>");
    assert_eq!(driver.asked(), [Effect::Quit]);
    driver.feed(Feed::Records { run: run(), records: rest() }).press("q");
    assert_eq!(driver.asked(), [Effect::Quit]);
}

#[test]
fn a_started_run_is_shown_once_it_is_listed() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("Srel");
    assert!(driver.shows("release.yml  workflow_dispatch") && !driver.shows("ci.yml  push"));
    driver.press("<enter>");
    assert!(driver.shows("Start release.yml on workflow_dispatch") && driver.asked().is_empty());
    driver.press("<enter>");
    assert!(driver.shows("version is required") && driver.asked().is_empty(), "{}", driver.screen());
    driver.press("1.2x<backspace><down> <down> <down>3a<enter>");
    let given = [("version", "1.2"), ("dry", "true"), ("target", "prod"), ("copies", "3")];
    let start = Request::Start {
        workflow: ".github/workflows/release.yml".to_owned(),
        event: "workflow_dispatch".to_owned(),
        inputs: given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        secrets: Vec::new(),
        sandbox: None,
    };
    assert_eq!(driver.asked(), [Effect::Request(start)]);
    let id = RunId::new("20261124-030000-cccc");
    let listed =
        Summary { phase: Phase::Queued, finished: None, ..past(id.as_str(), "Release", Conclusion::Success, START) };
    driver.feed(Feed::Listed { runs: vec![listed], more: false, of: None }).feed(Feed::Started(id.clone()));
    assert_eq!(driver.asked(), [Effect::Request(Request::Follow(id.clone()))]);
    assert_eq!(driver.app.selection.run_id(), Some(&id));
}

#[test]
fn a_read_only_screen_sends_no_requests() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.app = driver.app.clone().refusing(Unavailable::ReadOnly);
    driver.asked();
    for key in ["s", "S", "r", "u"] {
        driver.press(key);
        assert!(driver.shows("the screen is read-only: open it without --read-only"), "{}", driver.screen());
        assert!(driver.app.overlay.is_none() && !driver.app.toast.as_ref().is_some_and(|toast| toast.bad));
    }
    assert!(driver.shows("READ-ONLY") && !driver.shows("replay"));
    driver.press("qq");
    assert!(driver.asked().contains(&Effect::Quit));
    driver.press(" ");
    assert!(driver.shows("play: this is not a replay"));
}

#[test]
fn a_completed_run_is_removed_after_a_yes() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("1d");
    assert!(driver.shows("delete: the run has not ended"));
    driver.press("j").asked();
    driver.press("d<enter>");
    assert_eq!(driver.asked(), [], "no is the first answer");
    driver.press("dy");
    let removed = RunId::new("20261123-101010-aaaa");
    assert_eq!(driver.asked(), [Effect::Request(Request::Delete(removed.clone()))]);
    driver.feed(Feed::Removed(removed));
    assert!(driver.shows("removed Release 20261123-101010-aaaa"));
    driver.send(Msg::Tick(Timestamp(START + 200_000))).press("k");
    assert!(!driver.shows("Release"));
}

#[test]
fn a_shell_opens_where_a_job_runs_or_failed() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("x");
    let shell = |job: &str| Effect::Shell { run: run(), job: JobId::new(job), service: None };
    assert_eq!(driver.asked(), [shell("security")]);
    driver.press("ex");
    assert_eq!(driver.asked(), [shell("test-2")]);
    driver.press("3ggx");
    assert!(driver.shows("shell: the job did not fail"));
    driver.press("5x");
    assert!(driver.shows("shell: services are removed at the end of their job"));
    assert_eq!(driver.asked(), []);
}

#[test]
fn watch_mode_is_requested_shown_and_left() {
    use crate::model::feed::{Waits, Watching};
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.asked();
    driver.press("W");
    assert!(driver.shows("Run when files change") && driver.shows("ci.yml  when a change matches its paths"));
    assert!(!driver.shows("release.yml  when"), "it does not run on a push");
    driver.press("<enter>");
    let workflow = Some(".github/workflows/ci.yml".to_owned());
    assert_eq!(driver.asked(), [Effect::Request(Request::WatchFiles { workflow })]);
    let waits = Waits::ForQuiet(std::time::Duration::from_millis(500));
    let watching = |changed: Option<(&str, usize)>, waits| Watching {
        workflow: Some("ci.yml".to_owned()),
        changed: changed.map(|(first, count)| (first.to_owned(), count)),
        waits,
    };
    driver.feed(Feed::Watching(Some(watching(None, waits))));
    assert!(driver.shows("watch ci.yml"), "{}", driver.screen());
    driver.feed(Feed::Watching(Some(watching(Some(("src/api.py", 2)), waits))));
    assert!(driver.shows("api.py +1 changed, starts 0.5s after the last change"), "{}", driver.screen());
    driver.feed(Feed::Watching(Some(watching(Some(("src/api.py", 1)), Waits::ForRun))));
    assert!(driver.shows("api.py changed, starts when the run has ended"), "{}", driver.screen());
    driver.press("W");
    assert_eq!(driver.asked(), [Effect::Request(Request::StopWatching)]);
    driver.feed(Feed::Watching(None));
    assert!(!driver.shows("watch ci.yml") && !driver.shows("changed"));
}

#[test]
fn several_repositories_are_listed_and_named_on_request() {
    let other = |id: &str| {
        let mut run = past(id, "CI", Conclusion::Success, START);
        "octo/other".clone_into(&mut run.info.repository);
        run
    };
    let mut driver = Driver::new(120, 40, Theme::default());
    driver.app = driver.app.clone().at_home(crate::model::RepositoryId::named("octo/app"));
    driver.feed(Feed::Listed {
        runs: vec![past("20261123-101010-aaaa", "Release", Conclusion::Success, START)],
        more: false,
        of: None,
    });
    assert!(!driver.shows("app · Release"), "{}", driver.screen());
    driver.feed(Feed::Listed { runs: vec![other("20261125-101010-cccc")], more: false, of: None });
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    assert!(driver.shows("Runs of app") && !driver.shows("other  main"), "{}", driver.screen());
    driver.press("R");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    assert!(driver.shows("Runs of all repositories"), "{}", driver.screen());
    assert!(driver.shows("app · Release") && driver.shows("other  main"), "{}", driver.screen());
    // A list without the selected run selects its newest one.
    driver.press("gn");
    assert!(driver.shows("other · CI"), "{}", driver.screen());
    driver.press("R");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    assert!(driver.shows("Runs of app") && !driver.shows("other"), "{}", driver.screen());
    driver.press("R");
    // The selection moves to the neighbour of the removed run in the list, never to a run that the filter hides.
    driver.press("1/other<enter>");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261125-101010-cccc")));
    driver.feed(Feed::Removed(RunId::new("20261125-101010-cccc")));
    assert_eq!(driver.app.selection.run_id(), None, "{}", driver.screen());
    driver.press("d");
    assert!(driver.shows("delete: no run is selected"), "{}", driver.screen());
}

#[test]
fn an_untrusted_repository_is_shown_before_anything_starts() {
    use crate::model::{Preview, PreviewLine, Shown};
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    let mut preview = Preview::default();
    for number in 1..=40 {
        let text = format!("echo \u{1b}[2Jstep {number}");
        preview.push(PreviewLine { text, depth: 0, is_dangerous: false, shown: Shown::Always });
    }
    let hidden = "curl evil".to_owned();
    preview.push(PreviewLine { text: hidden, depth: 0, is_dangerous: false, shown: Shown::InWhole });
    let untrusted = |question| Feed::Untrusted { question, preview: preview.clone() };
    driver.feed(untrusted(7));
    assert!(driver.shows("Not trusted to run on this machine yet") && driver.shows("step 1"), "{}", driver.screen());
    assert!(driver.shows("more below") && !driver.shows("step 40"), "{}", driver.screen());
    driver.press("<enter>");
    assert_eq!(driver.asked(), [], "enter is not an answer");
    driver.press("G");
    assert!(driver.shows("step 40") && !driver.shows("more below"), "{}", driver.screen());
    assert!(!driver.shows("curl evil"));
    driver.press("vG");
    assert!(driver.shows("curl evil") && driver.shows("only a summary"), "{}", driver.screen());
    assert_eq!(driver.asked(), [], "looking is not an answer");
    driver.press("v");
    assert!(!driver.shows("curl evil") && driver.shows("show everything"), "{}", driver.screen());
    for name in ["production", "staging", "today"] {
        driver.press(name);
        assert_eq!(driver.asked(), [], "the letters of a name are no answers: {name}");
        assert!(driver.shows("Not trusted") && driver.shows("typed text is no answer"), "{}", driver.screen());
        driver.press("<enter>");
        assert!(driver.shows("Not trusted") && !driver.shows("typed text is no answer"), "{}", driver.screen());
    }
    driver.press("n");
    assert_eq!(driver.asked(), []);
    assert!(!driver.shows("Not trusted") && driver.shows("nothing was started"), "{}", driver.screen());
    driver.feed(untrusted(8)).press("y");
    assert_eq!(driver.asked(), [Effect::Request(Request::Trust { question: 8 })]);
    // A question does not interrupt an open overlay.
    driver.press(":");
    driver.feed(untrusted(9));
    assert!(driver.shows("Do or go to") && driver.shows("not started:"), "{}", driver.screen());
}

#[test]
fn a_workflow_with_errors_is_listed_and_its_errors_follow_the_file() {
    let broken = |text: &str| {
        let workflow = ".github/workflows/broken.yml".to_owned();
        Feed::Broken(vec![BrokenWorkflow { workflow, errors: 2, text: text.to_owned() }])
    };
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(broken("error: one is wrong"));
    assert!(driver.shows("broken.yml 2 errors"), "{}", driver.screen());
    driver.press("Sbroken");
    assert!(driver.shows("broken.yml  2 errors"), "{}", driver.screen());
    driver.press("<enter>");
    assert!(driver.shows("error: one is wrong"), "{}", driver.screen());
    driver.feed(broken("error: another is wrong"));
    assert!(driver.shows("error: another is wrong") && !driver.shows("one is wrong"), "{}", driver.screen());
    driver.feed(Feed::Broken(Vec::new()));
    assert!(driver.shows("no errors: the workflow can be started with S"), "{}", driver.screen());
}

/// Returns a run of a server.
fn remote(id: &str, conclusion: Conclusion) -> Summary {
    let mut run = past(id, "CI", conclusion, START);
    let fork = Some("passerby/docs".to_owned());
    run.info.repository = "o/r".to_owned();
    run.info.remote = Some(RemoteRun {
        host: "github.com".to_owned(),
        id: 7,
        actor: "passerby".to_owned(),
        fork,
        ..RemoteRun::default()
    });
    run
}

#[test]
fn what_the_token_may_not_change_is_greyed_out_with_the_reason() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let run = remote("20261124-030000-cccc", Conclusion::Failure);
    driver.feed(Feed::Listed { runs: vec![run.clone()], more: false, of: None });
    driver.app = driver.app.clone().showing(run.info.id.clone());
    driver.send(Msg::Tick(Timestamp(START + 1_000))).press("r");
    assert!(driver.shows("all jobs, with debug lines"), "{}", driver.screen());
    driver.press("<esc>");
    let mut rights = KnownRights::default();
    rights.insert("github.com", "O/R", Rights { actions: Some(Denied::Scope("repo")), ..Rights::default() });
    driver.feed(Feed::Rights(rights)).press("r");
    assert!(driver.shows("rerun: the token lacks the scope `repo`"), "{}", driver.screen());
    driver.press("?delete");
    assert!(driver.shows("(the token lacks the scope `repo`)"), "{}", driver.screen());
    driver.press("<esc>");
    driver.asked();
    driver.feed(Feed::Startable(Vec::new())).feed(Feed::Broken(Vec::new())).press("S");
    assert!(driver.shows("start: the token lacks the scope `repo`"), "{}", driver.screen());
    assert_eq!(driver.asked(), [], "the server is not asked for its workflows");
}

#[test]
fn what_a_server_cannot_do_is_greyed_out_with_the_reason() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let mut run = Summary { phase: Phase::Running, ..remote("20261124-030000-cccc", Conclusion::Failure) };
    run.info.remote.as_mut().expect("on a server").kind = ServerKind::Gitea;
    driver.feed(Feed::Listed { runs: vec![run.clone()], more: false, of: None });
    driver.app = driver.app.clone().showing(run.info.id.clone());
    driver.send(Msg::Tick(Timestamp(START + 1_000)));
    driver.asked();
    driver.press("s");
    let reason = "Gitea's API cannot cancel runs: cancel the run on its page";
    assert!(driver.shows(&format!("stop: {reason}")) && driver.asked().is_empty(), "{}", driver.screen());
    driver.press("?cancel");
    assert!(driver.shows(&format!("({reason})")), "{}", driver.screen());
}

#[test]
fn the_run_of_a_fork_is_approved_after_a_question() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let run = remote("20261124-030000-cccc", Conclusion::ActionRequired);
    driver.feed(Feed::Listed { runs: vec![run.clone()], more: false, of: None });
    driver.app = driver.app.clone().showing(run.info.id.clone());
    driver.send(Msg::Tick(Timestamp(START + 1_000))).press("a");
    assert!(driver.shows("from passerby/docs, started by passerby"), "{}", driver.screen());
    driver.press("<enter>");
    driver.asked();
    driver.press("ay");
    let approve = Request::Submit { run: run.info.id, command: Command::ApproveFork };
    assert_eq!(driver.asked(), [Effect::Request(approve)]);
}

#[test]
fn commands_to_several_runs_show_how_far_they_are_and_what_was_refused() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let runs = ["20261124-030002-cccc", "20261124-030001-cccc"].map(|id| remote(id, Conclusion::Failure));
    driver.feed(Feed::Listed { runs: runs.to_vec(), more: false, of: None });
    driver.app = driver.app.clone().showing(runs[0].info.id.clone());
    driver.send(Msg::Tick(Timestamp(START + 1_000))).press("1mmd");
    assert!(
        driver.shows("Delete the marked runs?") && driver.shows("2 of them on their servers as well"),
        "{}",
        driver.screen()
    );
    driver.asked();
    driver.press("y");
    let delete =
        |run: &Summary| Effect::Request(Request::Submit { run: run.info.id.clone(), command: Command::Delete });
    let mut asked = driver.asked();
    asked.sort_by_key(|effect| format!("{effect:?}"));
    assert_eq!(asked, [delete(&runs[1]), delete(&runs[0])]);
    let mut replied = |run: &Summary, reply| {
        driver.feed(Feed::Replied { run: run.info.id.clone(), command: Command::Delete, reply });
        driver.screen()
    };
    assert!(replied(&runs[0], Reply::Accepted).contains("1 of 2 deleted"));
    let last = replied(&runs[1], Reply::Rejected { reason: "not allowed".to_owned() });
    assert!(last.contains("1 of 2 deleted; refused: CI: not allowed"), "{last}");
}

#[test]
fn workflows_of_servers_are_listed_below_those_here_and_dispatched_with_what_was_changed() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let run = remote("20261124-030000-cccc", Conclusion::Success);
    driver.feed(Feed::Listed { runs: vec![run.clone()], more: false, of: None });
    driver.app = driver.app.clone().showing(run.info.id.clone());
    driver.send(Msg::Tick(Timestamp(START + 1_000))).asked();
    driver.press("S");
    assert_eq!(driver.asked(), [Effect::Request(Request::ListDispatchable { run: Some(run.info.id) })]);
    let mut workflow = driver.app.state.startable[1].clone();
    workflow.server = Some(WorkflowServer { repository: "o/r".to_owned(), branch: "main".to_owned() });
    workflow.events = vec!["workflow_dispatch".to_owned()];
    driver.feed(Feed::Dispatchable(vec![workflow]));
    assert!(driver.shows("on o/r"), "{}", driver.screen());
    driver.press("on o/r<enter>");
    assert!(driver.shows("Dispatch release.yml on o/r"), "{}", driver.screen());
    driver.press("1.2<enter>");
    let dispatch = Request::Dispatch {
        repository: "o/r".to_owned(),
        workflow: ".github/workflows/release.yml".to_owned(),
        git_ref: "main".to_owned(),
        inputs: vec![("version".to_owned(), "1.2".to_owned())],
    };
    assert_eq!(driver.asked(), [Effect::Request(dispatch)]);
    driver.feed(Feed::Startable(Vec::new()));
    driver.feed(Feed::Dispatchable(Vec::new()));
    driver.press("S");
    assert!(driver.shows("asking servers for their workflows"), "{}", driver.screen());
    driver.feed(Feed::Dispatchable(Vec::new()));
    assert!(driver.shows("no workflow to start"), "{}", driver.screen());
}
