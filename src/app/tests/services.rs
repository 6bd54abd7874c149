//! Services of the repository's Compose file.

use super::*;
use crate::model::{Service, ServiceState};

fn service(name: &str, state: ServiceState, ports: &[(&str, &str)], detail: Option<&str>) -> Service {
    Service {
        name: name.to_owned(),
        image: "image:1".to_owned(),
        state,
        ports: ports.iter().map(|(inside, outside)| ((*inside).to_owned(), (*outside).to_owned())).collect(),
        detail: detail.map(str::to_owned),
        restarts: 0,
    }
}

fn compose() -> Vec<Service> {
    vec![
        service("web", ServiceState::Healthy, &[("8080", "8080")], None),
        service("redis", ServiceState::Stopped, &[], None),
        service("mail", ServiceState::Unhealthy, &[], Some("its health check exits with 1: refused")),
    ]
}

#[test]
fn services_of_the_compose_file_follow_those_of_the_jobs() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut driver = Driver::showing(width, height, Glyphs::Unicode);
        driver.feed(Feed::Compose(compose())).press("5");
        insta::assert_snapshot!(format!("{width}x{height}"), driver.screen());
    }
    // The services of the Compose file are also shown without a run.
    let mut driver = Driver::new(120, 40, Theme::default());
    driver.feed(Feed::Compose(compose()));
    assert!(driver.shows("web") && driver.shows("healthy 8080"), "{}", driver.screen());
}

#[test]
fn without_an_engine_the_state_of_a_service_is_unknown() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut driver = Driver::new(width, height, Theme::default());
        let reason = "no container engine answers";
        driver.feed(Feed::Compose(vec![service("web", ServiceState::Unknown, &[], Some(reason))])).press("5");
        // The panel of a wide screen is narrower than that of a small one.
        let shown = if width == 80 { "unknown: no container engine answers" } else { "unknown: no container" };
        assert!(driver.shows("web") && driver.shows(shown), "{}", driver.screen());
        assert!(!driver.shows("stopped") && !driver.shows("1 down"), "{}", driver.screen());
    }
}

#[test]
fn keys_start_and_stop_services_of_the_compose_file_only() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Compose(compose())).press("5G").asked();
    driver.press("U");
    let order = |starts| vec![Effect::Request(Request::Compose { service: "mail".to_owned(), starts })];
    assert_eq!(driver.asked(), order(true));
    assert!(driver.shows("starting mail"));
    driver.press("K");
    assert_eq!(driver.asked(), order(false));
    driver.press("ggU");
    assert_eq!(driver.asked(), []);
    assert!(driver.shows("only services of the repository's Compose file"), "{}", driver.screen());
}
