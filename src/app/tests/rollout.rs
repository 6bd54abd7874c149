//! Deployments in progress: the steps of the plan, and the traffic of both slots.

use std::time::Duration;

use super::lanes::{asked, lane, on_its_way};
use super::*;
use crate::model::deployment::{Counters, DEPLOYMENT_EVENT, Pause, Plan, PlanStep, Slot, SlotState, SlotTraffic};
use crate::model::deployment::{Observed, Versioned};
use crate::model::environment::{DeploymentState, Release};
use crate::model::lane::LaneRequest;
use crate::model::testing::deployment_of;
use crate::model::{DeploymentOrder, Expected, RunInfo, StepKind, StepNumber, StepOutline};

fn release(tag: &str) -> Release {
    deployment_of(tag, DeploymentState::Success, Timestamp(0)).release
}

/// Returns a canary plan that shifts the traffic from blue to green in this many shares.
fn plan(shares: u8) -> Plan {
    let (slot, replicas) = (Slot::Green, 2);
    let shift = |percent| [PlanStep::Weight { slot, percent }, PlanStep::Pause(Pause::For(Duration::from_mins(5)))];
    let mut steps = vec![PlanStep::Start { slot, replicas }, PlanStep::Healthy { slot }];
    steps.extend((1..=shares).flat_map(|share| shift(share * (100 / (shares + 1)))));
    steps.extend([
        PlanStep::Weight { slot, percent: 100 },
        PlanStep::Drain { slot: Slot::Blue, keep: 0 },
        PlanStep::Stop { slot: Slot::Blue, keep: 0, after: Duration::ZERO },
    ]);
    let versioned = |slot, tag| Versioned { slot, release: release(tag), replicas };
    Plan {
        host: None,
        address: None,
        new: versioned(Slot::Green, "v1.4.2"),
        old: Some(versioned(Slot::Blue, "v1.4.1")),
        steps,
        found: Observed::default(),
        images: std::collections::BTreeMap::new(),
    }
}

/// Returns a plan with this many steps.
fn plan_of(steps: usize) -> Plan {
    let step = PlanStep::Drain { slot: Slot::Blue, keep: 1000 };
    Plan { steps: vec![step; steps], ..plan(1) }
}

fn outlines(plan: &Plan, steps: &[PlanStep], first: u32, kind: StepKind) -> Vec<StepOutline> {
    let outline = |(number, step): (u32, &PlanStep)| StepOutline {
        number: StepNumber(number),
        name: plan.describe(step),
        kind,
        background: false,
        label: Some(step.label()),
    };
    (first..).zip(steps).map(outline).collect()
}

fn slot(slot: Slot, tag: &str, healthy: u32, weight: u8, (requests, errors): (u64, u64)) -> SlotTraffic {
    SlotTraffic {
        host: None,
        slot,
        title: release(tag).title(),
        state: SlotState { release: None, replicas: 2, healthy, open: 2, weight },
        counters: Some(Counters { requests, errors, answers: requests, time: Duration::from_millis(12 * requests) }),
    }
}

/// Returns a screen with a deployment that has carried out this many steps of its plan.
fn deploying(width: u16, height: u16, theme: Theme, plan: &Plan, done: u32) -> Driver {
    let job = JobId::new("production");
    let mut script = script();
    let name = "production: deploy v1.4.2";
    script.start([outline("production", name, &[])].into());
    script.at(1).job("production", name, &[]);
    let steps = outlines(plan, &plan.steps, 1, StepKind::Main);
    script.event(Event::StepsPlanned { job: job.clone(), steps: steps.clone() });
    for step in &steps[..done as usize] {
        script.step("production", step.number.0, &step.name, 1);
        script.step_end("production", step.number.0, Conclusion::Success);
    }
    if let Some(step) = steps.get(done as usize) {
        script.step("production", step.number.0, &step.name, 1);
    }
    for second in 0..30_u64 {
        let (blue, green) = (120 * second, (second % 7) * 4 + 12 * second);
        let errors = second.saturating_sub(20);
        let slots =
            vec![slot(Slot::Blue, "v1.4.1", 2, 90, (blue, 0)), slot(Slot::Green, "v1.4.2", 1, 10, (green, errors))];
        script.at(2 + second).event(Event::TrafficObserved { job: job.clone(), slots, note: None });
    }
    let mut driver = Driver::new(width, height, Theme { motion: false, ..theme });
    driver.feed(Feed::Opened(RunInfo { event: DEPLOYMENT_EVENT.to_owned(), ..header(run()) }));
    driver.feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 62_000)));
    driver
}

#[test]
fn no_end_is_estimated_while_a_deployment_waits_for_its_promotion() {
    let mut staging = lane("staging", &[("v1.4.1", 26)]);
    staging.open = Some(on_its_way("v1.4.2"));
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let expected = Expected { run: Some(Duration::from_hours(1)), ..Expected::default() };
    driver.feed(Feed::Lanes(vec![staging.clone()])).feed(Feed::Expected { run: run(), expected });
    assert!(driver.shows(" left") && !driver.shows("waits for a person"), "{}", driver.screen());
    let step = staging.open.as_mut().and_then(|open| open.step.as_mut()).expect("a step");
    step.waits_for_person = true;
    driver.feed(Feed::Lanes(vec![staging]));
    assert!(!driver.shows(" left"), "{}", driver.screen());
    let screen = driver.screen();
    let header = screen.lines().next().unwrap_or_default();
    assert!(header.contains("waits for a person") && !header.contains("running"), "{header}");
}

#[test]
fn a_deployment_is_shown_as_its_steps_and_the_traffic_of_its_slots() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let driver = deploying(width, height, Theme::default(), &plan(2), 3);
        insta::assert_snapshot!(format!("rollout-{width}x{height}"), driver.screen());
    }
    let ascii = Theme { glyphs: Glyphs::Ascii, ..Theme::default() };
    let driver = deploying(80, 24, ascii, &plan(2), 3);
    assert!(driver.screen().is_ascii(), "{}", driver.screen());
}

#[test]
fn a_deployment_is_cancelled_only_by_an_abort_with_the_name_of_production_and_a_reason() {
    let mut driver = deploying(80, 24, Theme::default(), &plan(2), 3);
    driver.asked();
    driver.press("s");
    assert!(driver.shows("Abort the deployment to"), "{}", driver.screen());
    driver.press("slow<enter>");
    let order = DeploymentOrder::Abort { reason: "slow".to_owned() };
    let command = Command::Deployment { order, by: None };
    assert!(driver.asked().contains(&Effect::Request(Request::Submit { run: run(), command })));
    // Leaving does not offer to cancel it, and neither does the question about marked runs.
    driver.press("q");
    assert!(driver.shows("Leave?") && !driver.shows("cancel the deployment"), "{}", driver.screen());
    driver.press("<esc>1ms");
    assert!(driver.shows("a deployment is aborted by itself"), "{}", driver.screen());
    driver.press("<esc>");
    // The screen knows its environment.
    let mut production = lane("production", &[("v1.4.1", 26)]);
    production.open = Some(on_its_way("v1.4.2"));
    driver.feed(Feed::Lanes(vec![production])).press("s<enter>");
    assert!(asked(&mut driver).is_empty() && driver.shows("type `production` to confirm"), "{}", driver.screen());
    driver.press("production<down>errors<enter>");
    let (environment, reason) = ("production".to_owned(), "errors".to_owned());
    assert_eq!(asked(&mut driver), [LaneRequest::Abort { environment, run: run(), reason }]);
}

#[test]
fn failed_requests_are_shown_at_every_width() {
    for (width, height) in [(60, 16), (60, 24), (80, 24), (120, 40), (200, 60)] {
        let mut driver = deploying(width, height, Theme::default(), &plan(2), 3);
        driver.press("2");
        assert!(driver.shows("9/352 failed") && driver.shows("of the last minute"), "{}", driver.screen());
    }
}

#[test]
fn no_share_of_the_traffic_is_cut_on_a_small_screen() {
    for (width, height) in [(40, 10), (60, 16), (80, 24)] {
        let mut driver = deploying(width, height, Theme::default(), &plan(2), 3);
        driver.press("2");
        assert!(driver.shows(" 90 %") && driver.shows(" 10 %"), "{}", driver.screen());
    }
}

#[test]
fn a_long_plan_is_cut_around_its_current_step() {
    for (done, expected) in [(0, ["│ ●○", "○…"]), (50, ["│ …✓", "○…"]), (105, ["│ …✓", "✓✓  │"])]
    {
        let mut driver = deploying(80, 24, Theme::default(), &plan(50), done);
        driver.press("2");
        let screen = driver.screen();
        assert!(expected.iter().all(|part| screen.contains(part)), "{done}: {screen}");
    }
}

#[test]
fn a_plan_of_any_length_is_drawn() {
    let driver = deploying(120, 40, Theme::default(), &plan_of(20_000), 1);
    assert!(driver.shows("step 2 of 20000"), "{}", driver.screen());
}

#[test]
fn the_steps_of_a_rollback_follow_the_step_that_failed() {
    let plan = plan(1);
    let mut driver = deploying(120, 40, Theme::default(), &plan, 3);
    let (job, seq) = (JobId::new("production"), driver.app.run().expect("shown").seq);
    let back = [PlanStep::Weight { slot: Slot::Blue, percent: 100 }, PlanStep::Drain { slot: Slot::Green, keep: 0 }];
    let mut steps = outlines(&plan, &plan.steps, 1, StepKind::Main);
    steps.extend(outlines(&plan, &back, steps.len() as u32 + 1, StepKind::Post));
    let number = StepNumber(plan.steps.len() as u32 + 1);
    let events = [
        crate::model::testing::step_finished("production", 4, Conclusion::Failure, 1, Some("too many errors")),
        Event::StepsPlanned { job: job.clone(), steps },
        Event::StepStarted { job, step: number, name: plan.describe(&back[0]) },
    ];
    let records = (seq + 1..).zip(events).map(|(seq, event)| Record { seq, at: Timestamp(START + 62_000), event });
    driver.feed(Feed::Records { run: run(), records: records.collect() });
    assert!(driver.shows("┄ back ┄"), "{}", driver.screen());
    assert!(driver.shows("● blue 100 %"), "{}", driver.screen());
    assert!(driver.shows("step 8 of 9: Send 100 % of the traffic to blue"), "{}", driver.screen());
}

#[test]
fn what_the_controller_of_the_target_says_stands_above_the_slots() {
    let mut driver = deploying(120, 40, Theme::default(), &plan(1), 3);
    let (job, seq) = (JobId::new("production"), driver.app.run().expect("shown").seq);
    let note = Some("Rollout Paused, CanaryPauseStep, step 2 of 4: pause".to_owned());
    let slots = vec![slot(Slot::Blue, "v1.4.1", 2, 80, (0, 0)), slot(Slot::Green, "v1.4.2", 1, 20, (0, 0))];
    let event = Event::TrafficObserved { job, slots, note };
    driver.feed(Feed::Records { run: run(), records: vec![Record { seq: seq + 1, at: Timestamp(START), event }] });
    assert!(
        driver.shows("observed 1m ago  Rollout Paused, CanaryPauseStep, step 2 of 4: pause"),
        "{}",
        driver.screen()
    );
}

#[test]
fn the_slots_of_several_hosts_have_their_names_and_those_without_room_are_counted() {
    let names = |count: usize| (1..=count).map(|number| format!("web{number}")).collect::<Vec<_>>();
    for (count, width, height) in [(2, 80, 24), (2, 60, 16), (20, 80, 24), (20, 120, 40)] {
        let mut driver = deploying(width, height, Theme::default(), &plan(1), 2);
        let of_host = |host: String| {
            [slot(Slot::Blue, "v1.4.1", 2, 90, (0, 0)), slot(Slot::Green, "v1.4.2", 2, 10, (0, 0))]
                .map(|slot| SlotTraffic { host: Some(host.clone()), ..slot })
        };
        let slots = names(count).into_iter().flat_map(of_host).collect();
        let (job, seq) = (JobId::new("production"), driver.app.run().expect("shown").seq);
        let event = Event::TrafficObserved { job, slots, note: None };
        driver.feed(Feed::Records { run: run(), records: vec![Record { seq: seq + 1, at: Timestamp(START), event }] });
        driver.press("2");
        let screen = driver.screen();
        assert!(screen.contains("web1 blue ") && screen.contains("web1 green "), "{screen}");
        let is_slot = |line: &&str| line.contains(" web") && line.contains(" v1.4.") && line.contains(" %");
        let hidden = 2 * count - screen.lines().filter(is_slot).count();
        assert_eq!(hidden > 0, screen.contains("more slot"), "{screen}");
        assert!(hidden == 0 || screen.contains(&format!("and {hidden} more slots")), "{screen}");
    }
}
