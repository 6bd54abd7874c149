//! Releases of the environments of this machine: the lists to deploy one and to go back to one, and the page of an
//! environment.

use super::lanes::{HOUR, NOW, asked, commit, lane, lanes, on_its_way, release, showing};
use super::*;
use crate::model::deployment::Needed;
use crate::model::environment::{Protection, Release};
use crate::model::lane::{DeploymentPreview, DeploymentWay, Lane, LaneDeployment, LaneRequest, NoReport};
use crate::model::lane_details::{
    CommitResult, Deployable, DeployedCommits, Distance, EarlierRelease, LaneDetails, NextDeployment,
};
use crate::model::rollback::Changes;

/// Sizes of screens on which every dialog must be usable.
const SIZES: [(u16, u16); 4] = [(80, 24), (60, 16), (40, 10), (120, 40)];

fn deployable(tag: &str, subject: &str, hours: u64, distance: Distance) -> Deployable {
    Deployable {
        release: release(tag),
        subject: subject.to_owned(),
        committed: Timestamp(NOW - hours * HOUR),
        branches: Vec::new(),
        is_checked_out: false,
        result: None,
        distance,
        passed: Vec::new(),
        refused: Vec::new(),
    }
}

fn changes(count: u64) -> Changes {
    let commits = (0..count.min(12)).map(|number| commit(&format!("Change {number} of the cart")));
    Changes { count: Some(count), commits: commits.collect() }
}

/// Returns the details of production, in which v1.4.0 is live. Staging has v1.4.1, and v1.4.3 is checked out.
fn details() -> LaneDetails {
    let head = Deployable {
        branches: vec!["main".to_owned(), "fix/cart".to_owned()],
        is_checked_out: true,
        ..deployable("v1.4.3", "Fix the cart when it is empty", 2, Distance::New(20))
    };
    let failed = CommitResult {
        workflow: "ci.yml".to_owned(),
        has_passed: false,
        is_local: true,
        at: Timestamp(NOW - 20 * HOUR),
    };
    let passed = CommitResult { has_passed: true, at: Timestamp(NOW - 25 * HOUR), ..failed.clone() };
    let releases = vec![
        head,
        Deployable { result: Some(failed), ..deployable("v1.4.2", "Add a map", 21, Distance::New(16)) },
        Deployable { result: Some(passed), ..deployable("v1.4.1", "Show prices in euros", 26, Distance::New(12)) },
        deployable("v1.4.0", "Sort the list of orders by date", 60, Distance::Live),
        deployable("v1.3.9", "Open the shop", 100, Distance::Older),
    ];
    let next = NextDeployment {
        release: release("v1.4.1"),
        source: "staging".to_owned(),
        is_live: false,
        changes: changes(12),
        closed: vec!["needs an approval by one of ada".to_owned()],
    };
    let needed = |name: &str, is_secret, is_set| Needed { name: name.to_owned(), is_secret, is_set };
    let earlier = |tag: &str, subject: &str, undone| EarlierRelease {
        sha: release(tag).sha,
        subject: subject.to_owned(),
        undone: Some(undone),
    };
    LaneDetails {
        environment: "production".to_owned(),
        releases,
        next: Some(next),
        needed: vec![needed("REGISTRY_TOKEN", true, false), needed("SERVICE", false, true)],
        history: Vec::new(),
        live: Some(release("v1.4.0").sha),
        current: Some(release("v1.4.0").sha),
        earlier: vec![earlier("v1.3.9", "Open the shop", 14), earlier("v1.3.8", "Prepare the opening", 30)],
    }
}

/// Returns production as its page shows it, with the commits of its deployments.
fn production() -> (Lane, LaneDetails) {
    let mut production = lanes().remove(2);
    production.environment.deployments[0].local = Some(RunId::new("20261123-101010-aaaa"));
    production.offered = release("v1.4.1");
    production.environment.protection = Some(Protection {
        reviewers: vec!["ada".to_owned()],
        others: vec!["after staging".to_owned()],
        ..Protection::default()
    });
    let commits = production.environment.deployments.iter().zip([14, 16]).map(|(one, count)| DeployedCommits {
        run: one.local.clone().expect("a run"),
        sha: one.release.sha.clone(),
        subject: "Release".to_owned(),
        is_rollback: false,
        changes: changes(count),
    });
    let details = LaneDetails { history: commits.collect(), ..details() };
    (production, details)
}

#[test]
fn a_release_is_picked_from_the_history() {
    for (width, height) in SIZES {
        let mut driver = showing(width, height, Glyphs::Unicode, lanes());
        driver.press("Gd");
        let describe = Request::DescribeLane { environment: "production".to_owned() };
        assert!(driver.asked().contains(&Effect::Request(describe)), "{}", driver.screen());
        if width > 40 {
            assert!(driver.shows("reading the history of the repository"), "{}", driver.screen());
        }
        driver.feed(Feed::LaneDetails(Box::new(details())));
        insta::assert_snapshot!(format!("deploy-picker-{width}x{height}"), driver.screen());
    }
    let mut driver = showing(80, 24, Glyphs::Ascii, lanes());
    driver.press("Gd").feed(Feed::LaneDetails(Box::new(details())));
    assert!(driver.screen().is_ascii(), "{}", driver.screen());
}

#[test]
fn what_is_live_in_the_environment_before_is_offered_first() {
    let (production, details) = production();
    let plan = |release: &str| LaneRequest::Plan { environment: "production".to_owned(), release: release.to_owned() };
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![production]);
    driver.press("d").feed(Feed::LaneDetails(Box::new(details)));
    assert!(driver.shows("▌ v1.4.1") && driver.shows("12 commits are new"), "{}", driver.screen());
    driver.press("<enter>");
    assert_eq!(asked(&mut driver), [plan("v1.4.1")]);
    // The list shows again what it knows, and keeps the row that the user has moved to.
    driver.press("d<down>");
    assert!(driver.shows("▌ v1.4.0") && driver.shows("is live already"), "{}", driver.screen());
    driver.feed(Feed::LaneDetails(Box::new(self::details()))).press("<enter>");
    assert_eq!(asked(&mut driver), [plan("v1.4.0")]);
    // Words of subjects and marks filter the list.
    driver.press("dmap<enter>");
    assert_eq!(asked(&mut driver), [plan("v1.4.2")]);
    driver.press("dv1.2.0<enter>");
    assert_eq!(asked(&mut driver), [plan("v1.2.0")]);
}

#[test]
fn the_list_of_releases_to_deploy_goes_from_the_release_that_serves() {
    let (mut production, details) = production();
    production.serves = Some(release("v1.4.3"));
    let mut driver = showing(120, 24, Glyphs::Unicode, vec![production]);
    driver.press("d").feed(Feed::LaneDetails(Box::new(details)));
    assert!(driver.shows("Deploy to production, v1.4.3 ") && driver.shows("▌ v1.4.1"), "{}", driver.screen());
    // The numbers of commits are from the recorded release.
    assert!(driver.shows("from v1.4.3 ") && !driver.shows("commits are new"), "{}", driver.screen());
    assert_eq!(driver.screen().matches("(live here").count(), 1, "{}", driver.screen());
    driver.press("<up><up>");
    assert!(driver.shows("▌ v1.4.3") && driver.shows(" is live already"), "{}", driver.screen());
}

#[test]
fn what_opens_a_closed_environment_is_a_key_on_the_screen() {
    let (production, mut details) = production();
    let locked = "production is locked by ada@web; `cuelight unlock production` opens it";
    details.next.as_mut().expect("a release").closed = vec![locked.to_owned()];
    let mut driver = showing(120, 60, Glyphs::Unicode, vec![production]);
    driver.press("<enter>").feed(Feed::LaneDetails(Box::new(details)));
    assert!(driver.shows("production is locked by ada@web; `D u` opens it"), "{}", driver.screen());
    driver.feed(Feed::Notice(Notice::bad(locked)));
    assert!(!driver.shows("cuelight unlock"), "{}", driver.screen());
}

#[test]
fn a_release_says_which_environments_it_has_passed_and_which_rule_refuses_it() {
    let mut details = details();
    details.releases[0].branches = vec!["broken".to_owned()];
    details.releases[0].refused = vec!["it has not succeeded in staging".to_owned()];
    details.releases[1].passed = vec!["staging".to_owned()];
    let mut driver = showing(120, 40, Glyphs::Unicode, lanes());
    driver.press("Gd").feed(Feed::LaneDetails(Box::new(details)));
    for part in [
        "(refused, live in development, checked out, branch broken)",
        "(passed staging, ci.yml failed here",
        "refused: it has not succeeded in staging",
    ] {
        assert!(driver.shows(part), "{part}: {}", driver.screen());
    }
}

#[test]
fn a_release_that_was_replaced_is_marked_and_not_offered() {
    let mut back = lane("production", &[("v1.4.0", 1), ("v1.4.1", 2), ("v1.4.0", 50)]);
    back.offered = release("v1.4.1");
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![back]);
    driver.press("d").feed(Feed::LaneDetails(Box::new(details())));
    assert!(!driver.shows("▌ v") && driver.shows("(was live here"), "{}", driver.screen());
    // No other release takes its place.
    assert!(driver.shows("was live here and was replaced: select a release"), "{}", driver.screen());
    driver.press("<enter>");
    assert!(asked(&mut driver).is_empty() && driver.app.overlay.is_some(), "{}", driver.screen());
    driver.press("<down><enter>");
    let release = "v1.4.3".to_owned();
    assert_eq!(asked(&mut driver), [LaneRequest::Plan { environment: "production".to_owned(), release }]);
}

#[test]
fn the_page_says_why_no_release_is_offered_and_reads_again_after_a_deployment() {
    let back = lane("production", &[("v1.4.0", 1), ("v1.4.1", 2), ("v1.4.0", 50)]);
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![back]);
    driver.press("<enter>").feed(Feed::LaneDetails(Box::new(details())));
    assert!(driver.shows("it was live here and was replaced"), "{}", driver.screen());
    driver.feed(Feed::Lanes(vec![lane("production", &[("v1.4.3", 0), ("v1.4.0", 1)])]));
    assert!(driver.shows("reading the history") && !driver.shows("from staging"), "{}", driver.screen());
}

#[test]
fn distances_from_a_release_that_is_no_longer_live_are_not_shown() {
    let describe = Effect::Request(Request::DescribeLane { environment: "production".to_owned() });
    let mut before = lane("production", &[("v1.4.0", 50), ("v1.3.9", 90)]);
    before.offered = release("v1.4.3");
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![before]);
    driver.press("d").feed(Feed::LaneDetails(Box::new(details())));
    assert!(driver.shows("20 commits are new"), "{}", driver.screen());
    driver.asked();
    // A deployment of v1.4.1 ends while the list is open.
    let mut after = lane("production", &[("v1.4.1", 0), ("v1.4.0", 50), ("v1.3.9", 90)]);
    after.offered = release("v1.4.3");
    driver.feed(Feed::Lanes(vec![after.clone()]));
    assert!(driver.asked().contains(&describe), "{}", driver.screen());
    assert!(driver.shows("▌ v1.4.3") && !driver.shows("commits are new"), "{}", driver.screen());
    driver.press("<down><down>");
    assert!(driver.shows("▌ v1.4.1") && driver.shows("312e342 is live already"), "{}", driver.screen());
    driver.press("<down>");
    assert!(driver.shows("▌ v1.4.0") && !driver.shows("is live already"), "{}", driver.screen());
    let (live, current) = (Some(release("v1.4.1").sha), Some(release("v1.4.1").sha));
    driver.feed(Feed::LaneDetails(Box::new(LaneDetails { live, current, ..details() })));
    driver.asked();
    driver.feed(Feed::Lanes(vec![after]));
    assert!(!driver.asked().contains(&describe), "{}", driver.screen());
}

#[test]
fn a_list_without_history_says_why() {
    let reason = "git failed";
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    driver
        .press("Gd")
        .feed(Feed::LaneDetailsUnreadable { environment: "production".to_owned(), reason: reason.to_owned() });
    assert!(driver.shows("production: git failed"), "{}", driver.screen());
    // What is known without the history can still be deployed.
    driver.press("<enter>");
    let release = "v1.4.3".to_owned();
    assert_eq!(asked(&mut driver), [LaneRequest::Plan { environment: "production".to_owned(), release }]);
    let fresh = Lane { offered: Release::default(), ..lane("fresh", &[]) };
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![fresh]);
    let none = LaneDetails { environment: "fresh".to_owned(), releases: Vec::new(), next: None, ..details() };
    driver.press("d").feed(Feed::LaneDetails(Box::new(none)));
    assert!(driver.shows("the repository has no commits"), "{}", driver.screen());
}

#[test]
fn the_recorded_release_is_one_to_go_back_to_while_another_one_serves() {
    let mut production = lane("production", &[("v1.4.0", 50), ("v1.3.9", 90)]);
    production.serves = Some(release("v1.5.0"));
    let mut driver = showing(120, 24, Glyphs::Unicode, vec![production]);
    driver.press("B");
    assert!(driver.shows("Roll back production, v1.5.0") && driver.shows("▌ v1.4.0"), "{}", driver.screen());
    assert!(driver.shows("recorded as live for") && driver.shows("v1.3.9"), "{}", driver.screen());
    driver.press("<enter>");
    let (environment, to) = ("production".to_owned(), Some(release("v1.4.0").sha));
    assert_eq!(asked(&mut driver), [LaneRequest::PlanRollback { environment, to }]);
}

#[test]
fn a_release_is_instant_only_if_the_target_was_asked_since_the_list_was_opened() {
    let mut all = lanes();
    all[2].is_asked = true;
    // The last report is 5 minutes old.
    let mut driver = showing(120, 24, Glyphs::Unicode, all.clone());
    driver.press("GB");
    let asks = "asking what still runs; live 40h";
    assert!(driver.shows(asks) && !driver.shows("instant"), "{}", driver.screen());
    all[2].reported.as_mut().expect("a report").at = Timestamp(NOW);
    driver.feed(Feed::Lanes(all.clone()));
    assert!(driver.shows("still running, instant") && !driver.shows("asking what"), "{}", driver.screen());
    all[2].no_report = Some(NoReport::NoAnswer);
    driver.feed(Feed::Lanes(all.clone()));
    let unknown = "no answer, so what still runs is not known; live 40h";
    assert!(driver.shows(unknown) && !driver.shows("instant"), "{}", driver.screen());
    // The release that the target turns out to serve is in the title.
    all[2].no_report = None;
    all[2].serves = Some(release("v1.5.0"));
    driver.feed(Feed::Lanes(all));
    assert!(driver.shows("Roll back production, v1.5.0"), "{}", driver.screen());
}

#[test]
fn releases_to_go_back_to_have_their_commits() {
    for (width, height) in SIZES {
        let mut driver = showing(width, height, Glyphs::Unicode, lanes());
        driver.press("GB").feed(Feed::LaneDetails(Box::new(details())));
        insta::assert_snapshot!(format!("rollback-commits-{width}x{height}"), driver.screen());
    }
    // Counts from another release than the current one are not shown.
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    let old = LaneDetails { current: Some(release("v1.3.9").sha), ..details() };
    driver.press("GB").feed(Feed::LaneDetails(Box::new(old)));
    assert!(!driver.shows("undone"), "{}", driver.screen());
}

#[test]
fn an_environment_has_a_page() {
    for (width, height) in [(80, 24), (120, 60), (60, 16), (40, 10)] {
        let (production, details) = production();
        let mut driver = showing(width, height, Glyphs::Unicode, vec![production]);
        driver.press("<enter>");
        if height > 10 {
            assert!(driver.shows("reading the history"), "{}", driver.screen());
        }
        driver.feed(Feed::LaneDetails(Box::new(details)));
        insta::assert_snapshot!(format!("page-{width}x{height}"), driver.screen());
        driver.press("G");
        assert!(driver.shows("SERVICE") && driver.shows("set"), "{}", driver.screen());
        driver.press("<esc>");
        assert!(!driver.shows("Deploys › production"), "{}", driver.screen());
    }
    let (production, details) = production();
    let mut driver = showing(80, 24, Glyphs::Ascii, vec![production]);
    driver.press("<enter>").feed(Feed::LaneDetails(Box::new(details)));
    assert!(driver.screen().is_ascii(), "{}", driver.screen());
}

#[test]
fn the_keys_of_an_environment_work_on_its_page() {
    let (production, details) = production();
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![production]);
    driver.press("<enter>").feed(Feed::LaneDetails(Box::new(details)));
    assert!(driver.shows("enter:open run  esc:back"), "{}", driver.screen());
    driver.press("G");
    assert!(!driver.shows("open run") && driver.shows("esc:back"), "{}", driver.screen());
    driver.press("d");
    assert!(driver.shows("Deploy to production"), "{}", driver.screen());
    driver.press("<esc>B");
    assert!(driver.shows("Roll back production"), "{}", driver.screen());
    driver.press("<esc>p");
    assert!(driver.shows("promote: production: no deployment to it is in progress"), "{}", driver.screen());
    driver.press("/");
    assert!(driver.app.overlay.is_none() && driver.shows("nothing to filter"), "{}", driver.screen());
    driver.press("G<enter>");
    assert!(driver.shows("this line has no run"), "{}", driver.screen());
    // A deployment leads to its run; the pane shows the list while another one has the focus.
    driver.press("gg<enter>");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    assert!(!driver.shows("Deploys › production"), "{}", driver.screen());
}

#[test]
fn the_details_of_a_page_are_requested_again_when_a_deployment_has_changed_them() {
    let requests = |driver: &mut Driver| {
        let describe = Effect::Request(Request::DescribeLane { environment: "staging".to_owned() });
        driver.asked().iter().filter(|asked| **asked == describe).count()
    };
    let staging = lane("staging", &[("v1.4.1", 26), ("v1.4.0", 60)]);
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![staging.clone()]);
    assert_eq!(requests(&mut driver), 0);
    driver.press("<enter>");
    assert_eq!(requests(&mut driver), 1);
    driver.feed(Feed::Lanes(vec![staging.clone()]));
    assert_eq!(requests(&mut driver), 0);
    let changed = Lane { offered: release("v1.4.4"), ..staging.clone() };
    driver.feed(Feed::Lanes(vec![changed]));
    assert_eq!(requests(&mut driver), 1);
    let waiting = LaneDeployment { waits_for_review: true, ..on_its_way("v1.4.2") };
    for waits_for_review in [true, false] {
        let open = LaneDeployment { waits_for_review, ..waiting.clone() };
        driver.feed(Feed::Lanes(vec![Lane { open: Some(open), ..staging.clone() }]));
        assert_eq!(requests(&mut driver), 1, "{waits_for_review}");
    }
    // An environment that is gone has no page.
    driver.feed(Feed::Lanes(lanes().drain(..1).collect()));
    assert!(!driver.shows("Deploys ›") && driver.shows("development"), "{}", driver.screen());
}

#[test]
fn the_selected_line_of_a_page_stays_selected_when_lines_are_added_above_it() {
    for (width, height) in [(80, 24), (60, 16)] {
        let (production, details) = production();
        let mut driver = showing(width, height, Glyphs::Unicode, vec![production.clone()]);
        driver.press("<enter>").feed(Feed::LaneDetails(Box::new(details)));
        let is_at = |driver: &Driver| driver.shows("▌– v1.3.9");
        while !is_at(&driver) {
            let before = driver.screen();
            driver.press("j");
            assert_ne!(driver.screen(), before, "the line is not there");
        }
        let open = Some(on_its_way("v1.4.2"));
        driver.feed(Feed::Lanes(vec![Lane { open, lock: None, ..production.clone() }]));
        assert!(is_at(&driver), "{}", driver.screen());
        driver.feed(Feed::Lanes(vec![production]));
        assert!(is_at(&driver), "{}", driver.screen());
        driver.press("k");
        assert!(!is_at(&driver), "{}", driver.screen());
    }
}

#[test]
fn the_page_shows_a_deployment_on_its_way_first() {
    let staging = Lane { open: Some(on_its_way("v1.4.2")), ..lane("staging", &[("v1.4.1", 26)]) };
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![staging]);
    driver.press("<enter>");
    assert!(driver.shows("▌● on its way: v1.4.2 4/9 Wait until green is healthy"), "{}", driver.screen());
}

#[test]
fn a_long_plan_scrolls_on_a_small_screen() {
    let preview = DeploymentPreview {
        environment: "production".to_owned(),
        from: Some(release("v1.4.0")),
        to: Some(release("v1.4.3")),
        former_unknown: false,
        way: DeploymentWay::Deploy((1..=12).map(|number| format!("Step number {number}")).collect()),
        changes: changes(20),
        notes: vec!["needs an approval by one of ada".to_owned()],
    };
    for (width, height) in [(60, 16), (40, 10)] {
        let mut driver = showing(width, height, Glyphs::Unicode, lanes());
        driver.feed(Feed::DeploymentPlanned { question: 3, preview: Box::new(preview.clone()) });
        insta::assert_snapshot!(format!("plan-{width}x{height}"), driver.screen());
        assert!(driver.shows("type `production`") && driver.shows("Enter: do it  Esc: cancel"), "{}", driver.screen());
        assert!(driver.footer().starts_with(" enter:do it  esc:close"), "{}", driver.screen());
        assert!(driver.shows("name") && driver.shows("reason") && driver.shows("Esc: cancel"), "{}", driver.screen());
        driver.press(&"<pagedown>".repeat(20));
        assert!(driver.shows("note: needs an approval"), "{}", driver.screen());
        // The keys still edit the fields.
        driver.press("production<enter>");
        assert_eq!(asked(&mut driver), [LaneRequest::Start { question: 3, reason: String::new() }]);
    }
}

#[test]
fn a_typed_release_that_does_not_exist_keeps_the_list_open_with_the_reason() {
    let (production, details) = production();
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![production]);
    driver.press("d").feed(Feed::LaneDetails(Box::new(details))).press("v9.9<enter>");
    let reason = "`v9.9` is not a tag, branch or commit of this repository";
    let unknown = |environment: &str| {
        let (environment, reason) = (environment.to_owned(), reason.to_owned());
        Feed::UnknownRelease { environment, reason }
    };
    driver.feed(unknown("production"));
    assert!(driver.app.overlay.is_some() && driver.shows("> v9.9") && driver.shows(reason), "{}", driver.screen());
    driver.press("<backspace>");
    assert!(driver.shows("> v9.") && !driver.shows(reason), "{}", driver.screen());
    // Without the list, it is a notice.
    driver.press("<esc>").feed(unknown("production"));
    assert!(driver.app.overlay.is_none() && driver.shows(reason), "{}", driver.screen());
}
