//! Reviews that hold back jobs.

use super::*;

fn waiting(id: u64, job: &str) -> PendingReview {
    PendingReview { jobs: vec![JobId::new(job)], ..testing::pending_review(id, "prod", &["maria"]) }
}

fn reviewed(id: u64, reply: Reply) -> Event {
    let command = Command::Review { environments: vec![id], approve: true, comment: "ship it".to_owned() };
    Event::Ordered { command, reply, by: None }
}

#[test]
fn jobs_wait_for_their_reviews_until_these_are_answered() {
    let pending = |environments| Event::ReviewsPending { environments };
    let begun = [started(1), planned(vec![outline("a", &[]), outline("b", &[])])];
    let after = |events: &[Event]| folded(&[&begun[..], events].concat());
    let ids = |run: &Run| run.reviews.iter().map(|review| (review.id, review.since)).collect::<Vec<_>>();

    let run = after(&[pending(vec![waiting(1, "a"), waiting(2, "b")])]);
    assert_eq!(ids(&run), [(1, Some(Timestamp(30))), (2, Some(Timestamp(30)))]);
    assert_eq!((run.jobs[0].phase.word(), &run.progress()), ("waiting", &run.jobs[0].phase));
    assert_eq!(run.review_of(&run.jobs[1]).map(|review| review.id), Some(2));
    assert_eq!((Summary::from(&run).phase, Summary::from(&run).reviews.len()), (run.progress(), 2));

    let earlier = PendingReview { since: Some(Timestamp(5)), ..waiting(3, "b") };
    let run = after(&[pending(vec![waiting(1, "a")]), pending(vec![waiting(1, "a"), earlier])]);
    assert_eq!(ids(&run), [(1, Some(Timestamp(30))), (3, Some(Timestamp(5)))], "the list is replaced, ages stay");

    let begin = Event::JobStarted {
        job: JobId::new("b"),
        name: "b".to_owned(),
        sandbox: "ubuntu-latest".to_owned(),
        environment: None,
    };
    let run = after(&[pending(vec![waiting(1, "a")]), begin]);
    assert_eq!((run.progress(), run.jobs[0].phase.word()), (Phase::Running, "waiting"), "another job runs");

    let both = pending(vec![waiting(1, "a"), waiting(2, "b")]);
    let refused = Reply::Rejected { reason: "no".to_owned() };
    let run = after(&[both.clone(), reviewed(1, refused), reviewed(2, Reply::Accepted)]);
    assert_eq!(ids(&run), [(1, Some(Timestamp(30)))]);

    for end in [started(2), Event::RunFinished { conclusion: Conclusion::Failure, reason: None }] {
        let given = Event::Reviewed {
            environments: vec!["prod".to_owned()],
            approved: false,
            by: "olu".to_owned(),
            comment: "too late".to_owned(),
        };
        let run = after(&[both.clone(), given, end]);
        assert_eq!(ids(&run), [], "they belong to the attempt");
        assert_eq!(run.reviewed[0].text(), "olu rejected prod: too late");
    }
}

#[test]
fn an_approved_deployment_that_waits_for_another_one_no_longer_waits_for_a_review() {
    let pending = |environments| Event::ReviewsPending { environments };
    let gate = Gate::Concurrency { group: "deploy prod".to_owned(), holder: "20261130-200142-2490".to_owned() };
    let waits = Event::RunWaiting { gate: gate.clone(), attempt: 1, name: "n".to_owned() };
    let run = folded(&[
        started(1),
        planned(vec![outline("a", &[]), outline("b", &["a"])]),
        pending(vec![waiting(1, "a")]),
        pending(vec![]),
        waits,
    ]);
    assert_eq!((run.progress(), &run.jobs[0].phase), (Phase::Waiting(gate.clone()), &Phase::Waiting(gate)));
    assert_eq!(run.jobs[1].phase, Phase::Waiting(Gate::Needs));
    let causes: Vec<_> = run.waits().into_iter().map(|wait| wait.cause).collect();
    assert!(matches!(causes[0], crate::model::WaitCause::Group { .. }), "{causes:?}");
}
