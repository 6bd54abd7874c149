//! The server is stopped and started.

use std::time::{Duration, Instant};

use crate::project::until;
use crate::servers::Said;

use super::{REPOSITORY, Rig, name, part};

#[test]
fn commands_show_what_is_known_while_the_server_is_away() {
    let Some(rig) = Rig::start() else { return };
    let ended = name(&rig.newest());
    part(&rig.expect(0, &["logs", &ended]), "Current runner version");
    let stuck = rig.dispatch("stuck.yml", &[]);
    rig.stop();
    for (args, code, known) in [
        (["show", &ended], 0, "✗ bad"),
        (["logs", &ended], 0, "Current runner version"),
        (["attach", &ended], 1, "✗ failure in"),
        (["explain", &ended], 0, "No job waits."),
    ] {
        let began = Instant::now();
        let away = rig.expect(code, &args);
        part(&away, known);
        assert!(away.contains("cannot reach 127.0.0.1") && away.contains("showing the last known state"), "{away}");
        // A second attempt to reach it would be sent after 2 s, and a third after 6 s.
        assert!(began.elapsed() < Duration::from_secs(6), "{args:?}: {:?}", began.elapsed());
    }
    part(&rig.expect(0, &["show", &stuck]), "showing the last known state");
    part(&rig.expect(0, &["runs", "-R", REPOSITORY]), "showing the runs that were fetched earlier");
    for args in [&["delete", &ended][..], &["rerun", &ended], &["dispatch", "quick.yml", "-R", REPOSITORY]] {
        part(&rig.expect(5, args), "cannot reach 127.0.0.1");
    }
    rig.up(false);
    until("the server answers", || (rig.said("maria", &["delete", &ended]).code == Some(0)).then_some(()));
    part(&rig.expect(3, &["show", &ended]), "404");
    assert!(!rig.expect(0, &["show", &stuck]).contains("showing the last known state"));
}

#[test]
fn a_run_is_followed_over_a_restart_of_the_server() {
    let Some(rig) = Rig::start() else { return };
    let run = rig.dispatch("long.yml", &["seconds=30"]);
    // The screen comes first, so that it polls the run every second or two, and notices the absence.
    let mut screen = rig.screen("maria", 40, 120);
    screen.wait_for("tick 1 of 30");
    let following = rig.follow(&run);
    rig.restart(|| screen.wait_for("stale"));
    screen.wait_for("tick 20 of 30");
    screen.wait_for("✓ success");
    assert!(!screen.text().contains("stale"), "{}", screen.text());
    screen.press("q");
    screen.ends_restored();
    let followed = Said::from(following.wait_with_output().expect("ends"));
    assert_eq!(followed.code, Some(0), "{}{}", followed.out, followed.error);
    for tick in 1..=30 {
        let line = format!("tick {tick} of 30\n");
        assert_eq!(followed.out.matches(&line).count(), 1, "{line}: {}", followed.out);
    }
}
