//! The screen: a run is dispatched, followed with its growing log, repeated and deleted.

use crate::project::until;
use crate::screen::Terminal;

use super::Rig;

#[test]
fn a_run_is_dispatched_followed_repeated_and_deleted() {
    let Some(rig) = Rig::start() else { return };
    let mut screen = rig.screen("maria", 40, 120);
    screen.wait_for("✗ failure");
    screen.press("S");
    screen.wait_for("workflow_dispatch  (Long)  on 127.0.0.1/aura/platform");
    screen.press("Long\r");
    screen.wait_for("Dispatch long.yml on 127.0.0.1/aura/platform");
    // The default is replaced.
    screen.press("\x1512\r");
    screen.wait_for("Long #");
    screen.wait_for("· Next  needs Slow");
    screen.wait_for("FOLLOW");
    for tick in 1..=8 {
        screen.wait_for(&format!("tick {tick} of 12"));
    }
    screen.press("1");
    screen.press("s");
    screen.wait_for("Gitea's API cannot cancel runs: cancel the run on its page");
    screen.press("d");
    screen.wait_for("✗ delete: the run has not ended");
    screen.wait_for("✓ success");
    screen.press("r");
    screen.wait_for("all jobs");
    assert!(!screen.text().contains("debug lines"), "the server has no such re-run: {}", screen.text());
    screen.press("a");
    screen.wait_for("attempt 2");
    screen.wait_for("● Slow");
    screen.wait_for("· Next  needs Slow");
    screen.wait_for("tick 2 of 12");
    screen.wait_for("✓ success");
    screen.press("1d");
    screen.wait_for("Delete the run?");
    screen.press("y");
    screen.wait_for("removed Fix the answer");
    screen.press("q");
    screen.ends_restored();
}

/// Opens the form for a workflow.
fn form(screen: &mut Terminal, workflow: &str) {
    screen.press("S");
    screen.wait_for("on 127.0.0.1/aura/platform");
    screen.press(workflow);
    screen.press("\r");
    screen.wait_for(&format!("Dispatch {workflow} on"));
}

#[test]
fn runs_of_several_kinds_are_dispatched_and_drawn() {
    let Some(rig) = Rig::start() else { return };
    let mut screen = rig.screen("maria", 24, 80);
    screen.wait_for("✗ failure");
    form(&mut screen, "dispatch.yml");
    screen.press("\r");
    screen.wait_for("version");
    assert_eq!(rig.requests("/dispatches"), 0, "a required input is missing");
    screen.press("v9\r");
    until("the dispatch", || (rig.requests("/dispatches") == 1).then_some(()));
    screen.wait_for("Deploy v9 to staging");
    screen.wait_for("✓ success");
    form(&mut screen, "wide.yml");
    screen.press("\r");
    screen.wait_for("60 ok");
    form(&mut screen, "stuck.yml");
    screen.press("\r");
    screen.wait_for("waits for a runner with self-hosted, gpu");
    screen.press("q");
    screen.wait_for("Leave?");
    screen.press("k");
    screen.ends_restored();
}
