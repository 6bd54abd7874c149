//! The offer of the demo.

use super::*;

#[test]
fn a_green_demo_offers_to_break_a_test() {
    for (width, height) in [(80, 24), (40, 10)] {
        let mut driver = Driver::showing(width, height, Glyphs::Unicode);
        driver.feed(Feed::DemoSucceeded);
        assert!(driver.shows("b  break a test") && driver.shows("n  not now"), "{}", driver.screen());
        driver.asked();
        driver.press("b");
        assert_eq!(driver.asked(), [Effect::Request(Request::BreakDemo)]);
        driver.feed(Feed::DemoSucceeded).press("n");
        assert_eq!(driver.asked(), []);
        assert!(!driver.shows("break a test"));
    }
}

#[test]
fn the_offer_does_not_cover_what_the_user_does() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press(":st").feed(Feed::DemoSucceeded);
    assert!(driver.shows("the demo is green; `cuelight demo --break`"), "{}", driver.screen());
    assert!(!driver.shows("b  break a test"), "{}", driver.screen());
}
