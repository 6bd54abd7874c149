//! Tokens and users that may not do everything: on the command line, and on the screen.

use super::{REPOSITORY, Rig, name};

/// A run of the fixture that has ended.
fn ended(rig: &Rig) -> String {
    name(&rig.newest())
}

/// Returns the number of requests that could have changed something.
fn changes(rig: &Rig) -> usize {
    let methods =
        ["completed POST", "completed PUT", "completed DELETE"].map(|method| format!("{method} /api/v1/repos"));
    methods.iter().map(|method| rig.requests(method)).sum::<usize>() - rig.requests("/file-contents")
}

#[test]
fn what_a_token_may_not_change_is_refused_before_it_is_sent() {
    let Some(rig) = Rig::start() else { return };
    let run = ended(&rig);
    let before = changes(&rig);
    let scope = "the token lacks the scope `write:repository`";
    let role = "you may only read the repository";
    let blind = "required=[read:repository]";
    for (user, code, list, change) in [
        ("maria_read", 0, "Fix the answer", scope),
        ("ines", 0, "Fix the answer", role),
        ("maria_noscope", 4, blind, "read:repository"),
    ] {
        // The runs that were listed with another token are still known.
        let listed = rig.said(user, &["runs", "-R", REPOSITORY]);
        assert_eq!(listed.code, Some(0), "{user}: {}", listed.error);
        assert!(listed.out.contains(list) || listed.error.contains(list), "{user}: {}{}", listed.out, listed.error);
        let shown = rig.said(user, &["show", &run]);
        assert_eq!(shown.code, Some(code), "{user}: {}", shown.error);
        for args in [
            &["rerun", &run, "--detach"][..],
            &["delete", &run],
            &["dispatch", "quick.yml", "-R", REPOSITORY, "--detach"],
            &["workflow", "disable", "quick.yml", "-R", REPOSITORY],
        ] {
            let refused = rig.said(user, args);
            assert_eq!(refused.code, Some(4), "{user} {args:?}: {}", refused.error);
            assert!(refused.error.contains(change), "{user} {args:?}: {}", refused.error);
        }
    }
    assert_eq!(changes(&rig), before, "nothing was sent");
    for user in ["olu", "maria"] {
        let said = rig.said(user, &["rerun", &run]);
        assert!(matches!(said.code, Some(0 | 1)), "{user}: {}{}", said.out, said.error);
        assert!(said.out.contains(" in ") && !said.error.contains("error"), "{user}: {}{}", said.out, said.error);
    }
}

#[test]
fn what_a_token_may_not_change_is_not_offered_on_the_screen() {
    let Some(rig) = Rig::start() else { return };
    let before = changes(&rig);
    let mut screen = rig.screen("maria_noscope", 24, 80);
    screen.wait_for("the runs of 127.0.0.1/aura/platform are not listed: not allowed (403)");
    screen.press("q");
    screen.ends_restored();
    // From now on the runs are known.
    rig.newest();
    for (user, reason) in [
        ("maria_read", "lacks the scope `write:repository`"),
        ("ines", "may only read the repository"),
        ("maria_noscope", "lacks the scope `read:repository`"),
    ] {
        // The hint for the key is only there on a wide screen.
        let mut screen = rig.screen(user, 24, 120);
        screen.wait_for("✗ failure");
        // The rights are determined when a run is opened.
        screen.wait_without("re-run");
        for (key, verb) in [("r", "rerun"), ("d", "delete"), (",d", "disable-workflow")] {
            screen.press("1");
            screen.press(key);
            screen.wait_for(&format!("✗ {verb}: "));
            screen.wait_for(reason);
        }
        screen.press("S");
        screen.wait_for("Start a workflow");
        screen.wait_for(reason);
        screen.press("\x1b");
        screen.wait_without("Start a workflow");
        screen.press("q");
        screen.ends_restored();
    }
    assert_eq!(changes(&rig), before, "nothing was sent");
}
