//! Artifacts and job summaries of a run, and caches of its repository.

use super::*;
use crate::model::stored::{JobSummary, StoredFile, StoredKind};

fn file(kind: StoredKind, name: &str, size: u64, source: &str) -> StoredFile {
    let (id, created) = (format!("id of {name}"), Timestamp(START));
    StoredFile { kind, id, name: name.to_owned(), size, created, source: source.to_owned() }
}

fn files() -> Vec<StoredFile> {
    vec![
        file(StoredKind::Artifact, "coverage", 48_213, "test"),
        file(StoredKind::Artifact, "wheels-linux-x86_64", 12_300_000, "build"),
        file(StoredKind::Cache, "Linux-pip-3f1c9a40b1d2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4", 310_000_000, "main"),
    ]
}

/// Opens the list, and lets the backend answer.
fn listed(width: u16, height: u16, files: Vec<StoredFile>) -> Driver {
    let mut driver = Driver::showing(width, height, Glyphs::Unicode);
    driver.asked();
    driver.press("A");
    assert_eq!(driver.asked(), [Effect::Request(Request::ListStored(run()))]);
    assert!(driver.shows("looking for artifacts and caches"), "{}", driver.screen());
    driver.feed(Feed::Stored { run: run(), files });
    driver
}

#[test]
fn artifacts_and_caches_are_listed_with_their_sizes() {
    for (width, height) in [(80, 24), (120, 40)] {
        insta::assert_snapshot!(format!("{width}x{height}"), listed(width, height, files()).screen());
    }
    let driver = listed(80, 24, Vec::new());
    assert!(driver.shows("the run has no artifacts, and its repository no caches"), "{}", driver.screen());
    // A list for a run that is no longer selected is ignored.
    let mut driver = listed(80, 24, files());
    driver.feed(Feed::Stored { run: RunId::new("20261123-101010-aaaa"), files: Vec::new() });
    assert!(driver.shows("coverage"), "{}", driver.screen());
}

#[test]
fn a_list_that_cannot_be_read_does_not_stay_open() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("A").asked();
    let unreadable = |run| Feed::StoredUnreadable { run, reason: "the server does not answer".to_owned() };
    driver.feed(unreadable(RunId::new("20261123-101010-aaaa")));
    assert!(driver.shows("looking for artifacts and caches"), "{}", driver.screen());
    driver.feed(unreadable(run()));
    assert!(!driver.shows("looking for") && driver.shows("the server does not answer"), "{}", driver.screen());
}

#[test]
fn an_artifact_is_downloaded_or_deleted_and_a_cache_entry_deleted() {
    let mut driver = listed(80, 24, files());
    driver.press("wheels<enter>");
    assert!(driver.shows("12.3 MB from build") && driver.shows("d  download it"), "{}", driver.screen());
    driver.press("d");
    let download = Request::Download { run: run(), file: files()[1].clone() };
    assert_eq!(driver.asked(), [Effect::Request(download)]);

    let mut driver = listed(80, 24, files());
    driver.press("pip<enter>");
    assert!(driver.shows("Cache entry") && !driver.shows("download it"), "{}", driver.screen());
    driver.press("<enter>");
    assert_eq!(driver.asked(), [], "the first answer changes nothing");
    driver.press("A").asked();
    driver.feed(Feed::Stored { run: run(), files: files() });
    driver.press("pip<enter>x");
    assert_eq!(driver.asked(), [Effect::Request(Request::DeleteStored { run: run(), file: files()[2].clone() })]);

    let remote = vec![file(StoredKind::RemoteArtifact, "dist", 10, "build")];
    let mut driver = listed(80, 24, remote.clone());
    driver.press("<enter>");
    assert!(driver.shows("download it") && driver.shows("delete it on its server"), "{}", driver.screen());
    driver.press("x");
    let delete = Request::DeleteStored { run: run(), file: remote[0].clone() };
    assert_eq!(driver.asked(), [Effect::Request(delete)]);
}

#[test]
fn the_summaries_of_a_run_are_drawn() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("i");
    assert_eq!(driver.asked(), [Effect::Request(Request::ListSummaries(run()))]);
    assert!(driver.shows("loading the summaries"), "{}", driver.screen());
    let markdown = "## Tests\n\n| suite | passed |\n|:--|--:|\n| unit | 120 |\n\n".to_owned() + &"- item\n".repeat(40);
    let summaries = vec![JobSummary { job: "Test".to_owned(), markdown }];
    let other = RunId::new("20261123-101010-aaaa");
    driver.feed(Feed::Summaries { run: other, summaries: summaries.clone(), missing: None });
    assert!(driver.shows("loading the summaries"), "another run");
    driver.feed(Feed::Summaries { run: run(), summaries, missing: None });
    insta::assert_snapshot!("summary", driver.screen());
    driver.press("G");
    assert!(!driver.shows("suite"), "{}", driver.screen());
    driver.press("gg");
    assert!(driver.shows("suite  passed"), "{}", driver.screen());
    let missing = Some("GitHub's API has no job summaries".to_owned());
    driver.feed(Feed::Summaries { run: run(), summaries: Vec::new(), missing });
    assert!(driver.shows("GitHub's API has no job summaries"), "{}", driver.screen());
    driver.feed(Feed::Summaries { run: run(), summaries: Vec::new(), missing: None });
    assert!(driver.shows("no job of the run has written a summary"), "{}", driver.screen());
    driver.press("<esc>");
    assert!(!driver.shows("Job summaries"));
}
