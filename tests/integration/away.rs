//! Polls of a server while the user is not at the screen.

use std::time::{Duration, Instant};

use cuelight::backend::github::address::Repository;
use cuelight::backend::github::poller::Poller;
use cuelight::config::GithubConfig;
use cuelight::model::Phase;
use cuelight::store::clock::now;
use cuelight::store::folder::{RunFolder, RunsDir};
use cuelight::store::{history, lock};

use crate::fake_github::Fake;
use crate::servers::REPOSITORY;

/// Waits until a condition holds, for up to a minute.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether no process mirrors a run. Opening the mirror would tell, too, but then the poller could find it taken.
fn is_free(folder: &RunFolder) -> bool {
    !lock::is_held(&folder.lock())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_polled_for_a_user_who_is_away_but_runs_in_progress() {
    let Some(fake) = Fake::start_now("deploy-approval") else { return };
    // The first jobs run by then.
    fake.advance(20);
    let home = tempfile::tempdir().expect("a folder");
    let runs = RunsDir::at(home.path());
    let config = GithubConfig { api_url: Some(format!("http://{}", fake.counted())), ..GithubConfig::default() };
    let variable = |name: &str| (name == "GH_TOKEN").then(|| "ghp_full".to_owned());
    let poller = Poller::new(runs.clone(), config, variable);
    let repository = Repository::parse(REPOSITORY, None).expect("a repository");
    poller.watch(std::slice::from_ref(&repository)).await.expect("watched");
    poller.list(std::slice::from_ref(&repository)).await.expect("listed");
    let newest = fake.value(&format!("/repos/{REPOSITORY}/actions/runs"))["workflow_runs"][0]["id"].as_u64();
    let folder = poller.find(&repository, newest.expect("a run")).await.expect("found");
    poller.open(&folder).await.expect("opened");
    let links = poller.links();
    let next = || links.borrow().get("github.com").and_then(|server| server.next);
    let requests = || fake.value("/_fake/stats")["requests"].as_u64();

    // A run in progress is still polled, as its failure alerts the user. Lists are not.
    assert!(!history::read(&folder).expect("a run").phase.is_done(), "the run is in progress");
    poller.attend(Some(now())).await;
    eventually("the run in progress is polled", || next().is_some()).await;
    assert!(!is_free(&folder), "the run in progress is mirrored");
    poller.attend(None).await;

    // A run that waits for a review is not.
    fake.advance(600);
    poller.list(&[repository]).await.expect("listed");
    poller.open(&folder).await.expect("opened");
    let waits = || matches!(history::read(&folder).expect("a run").phase, Phase::Waiting(_));
    eventually("the run waits", waits).await;
    eventually("the wait is polled", || next().is_some()).await;
    poller.attend(Some(now())).await;
    eventually("nothing is polled", || next().is_none()).await;
    eventually("another process may mirror the run", || is_free(&folder)).await;

    // Everything is polled at once when the user is back.
    let before = requests();
    poller.attend(None).await;
    eventually("the run is mirrored again", || !is_free(&folder)).await;
    eventually("the server is asked", || requests() > before).await;
    eventually("the next poll is scheduled", || next().is_some()).await;
    poller.close().await;
}
