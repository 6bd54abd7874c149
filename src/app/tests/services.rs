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
fn enter_opens_the_log_of_a_service() {
    let mut script = script();
    let event = |state| Event::ServiceChanged { job: JobId::new("build"), service: service("db", state, &[], None) };
    script.start([outline("build", "Build", &[])].into());
    script.at(1).job("build", "Build", &["Set up job", "Test", "Stop containers"]);
    script.event(event(ServiceState::Healthy));
    script.at(2).step("build", 2, "Test", 1);
    let mut driver = Driver::new(120, 40, Theme::default());
    let log = ["##[group]Log of service `db`", "ready to accept connections", "##[endgroup]", "Removed the container"];
    driver.log("build", 3, log.map(str::to_owned).into());
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records.clone() });
    driver.app = driver.app.clone().showing(run());
    // A running service is followed.
    driver.press("5").asked();
    driver.press("<enter>");
    let of = Some((run(), JobId::new("build")));
    assert_eq!(driver.asked(), [Effect::FollowService { of, service: "db".to_owned() }]);
    // The log of a removed one is in the step that removed it.
    let known = script.records.len();
    script.at(3).step_end("build", 2, Conclusion::Success).step("build", 3, "Stop containers", 4);
    script.event(event(ServiceState::Stopped));
    script.at(4).step_end("build", 3, Conclusion::Success);
    driver.feed(Feed::Records { run: run(), records: script.records[known..].to_vec() });
    driver.press("5<enter>");
    assert!(driver.shows("Log of service `db`") && driver.shows("3 Stop containers"), "{}", driver.screen());
    // A service of the Compose file is followed, too.
    driver.feed(Feed::Compose(compose())).press("5G").asked();
    driver.press("<enter>");
    assert_eq!(driver.asked(), [Effect::FollowService { of: None, service: "mail".to_owned() }]);
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
