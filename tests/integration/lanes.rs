//! The environments of this machine on the screen: production is rolled back from a cold start.

use crate::deployments::Shop;
use crate::screen::Terminal;

#[test]
fn production_is_rolled_back_from_a_cold_start() {
    let shop = Shop::new();
    for tag in ["v1", "v2"] {
        shop.call(&["deploy", "staging", tag]).expect(0, &["is live"]);
        shop.call(&["deploy", "production", tag, "--yes=production"]).expect(0, &["is live"]);
    }
    assert_eq!(shop.running("production"), ["v2"]);
    // Even on a small terminal, the first screen names the key.
    let mut screen = Terminal::start(shop.in_terminal(&[]), 24, 60);
    screen.wait_for("B:roll back");
    screen.press("B");
    screen.wait_for("Roll back production, v2");
    screen.press("\r");
    screen.wait_for("production: from v2");
    screen.press("production\r");
    screen.wait_for("v1 is live in production");
    screen.wait_for("✓ success");
    assert_eq!(shop.running("production"), ["v1"]);
    screen.press("6");
    screen.wait_for("✓ production  v1");
    screen.press("q");
    screen.ends_restored();
    shop.call(&["env", "production"]).expect(0, &["v1"]);
}

#[test]
fn settings_that_break_while_the_screen_is_open_are_said_and_what_was_read_stays() {
    let shop = Shop::new();
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["is live"]);
    let mut screen = Terminal::start(shop.in_terminal(&[]), 30, 120);
    screen.wait_for("3 Jobs");
    screen.press("6");
    screen.wait_for("staging     v1");
    shop.project.write(".cuelight.toml", "[environments.staging]\nstrategi = 'rolling'\n");
    screen.wait_for("as before an error in the settings: ");
    assert!(screen.text().contains("staging     v1"), "{}", screen.text());
    shop.configure("[environments.fresh]\ntarget = { start = 'true', stop = 'true', healthy = 'true' }\n");
    screen.wait_for("fresh  unknown");
    assert!(!screen.text().contains("as before an error"), "{}", screen.text());
    screen.press("q");
    screen.ends_restored();
}

#[test]
fn a_target_that_hangs_delays_no_other() {
    let shop = Shop::new();
    let status = |name: &str, status: &str| {
        format!(
            "[environments.{name}]\n[environments.{name}.target]\nstart = 'true'\nstop = 'true'\nhealthy = 'true'\n\
             status = '{status}'\n"
        )
    };
    shop.configure(&(status("answers", "echo blue v1 3 3 100") + &status("hangs", "sleep 600")));
    let mut screen = Terminal::start(shop.in_terminal(&[]), 24, 100);
    screen.wait_for("3 Jobs");
    screen.press("6");
    screen.wait_for("3/3 healthy");
    assert!(!screen.text().contains("does not answer"), "the other target has more time");
    screen.wait_for("its target does not answer");
    assert!(screen.text().contains("3/3 healthy"), "the report stays");
    screen.press("q");
    screen.ends_restored();
}
