//! Records which image a release is, notices a name that has moved to another image, and removes images of old releases.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::timeout;

use crate::model::StepNumber;
use crate::model::deployment::{
    Action, Cause, DeploymentPlan, DeploymentRecord, EnvironmentState, Ledger, Outcome, Plan, ReleaseImage, Versioned,
    written,
};
use crate::model::environment::Release;
use crate::rollout::outlet::Progress;
use crate::store::StoreError;

use super::{Driver, Trouble};

/// How long a target may take to report which image runs.
const IMAGE_TIMEOUT: Duration = Duration::from_secs(10);

impl Driver {
    /// Adds to a plan the images with which the former release and, for a rollback, the new release succeeded earlier.
    pub(super) fn note_former_images(&mut self, plan: &mut DeploymentPlan) -> Result<(), StoreError> {
        let is_rollback = self.subject.cause == Cause::Rollback;
        let state = self.latest.state()?;
        let image = |versioned: &Versioned, host: Option<&str>| {
            let record = state.with_image(&versioned.release.sha, has_succeeded)?;
            Some((versioned.slot, record.image.as_ref()?.on_host(host).id))
        };
        for plan in plan.plans_mut() {
            let (new, host) = (is_rollback.then_some(&plan.new), plan.host.as_deref());
            plan.images = plan.old.iter().chain(new).filter_map(|versioned| image(versioned, host)).collect();
        }
        Ok(())
    }

    /// Fetches the image of the new release, on each host that starts it, and records it, unless that is done or the
    /// release still runs. This is done before the first step, which may already stop replicas. Says so if its name has
    /// moved since the release was deployed before, or stands for another image on another host. The image of a rollback
    /// is known.
    pub(super) async fn note_image(&mut self, plan: &DeploymentPlan, progress: &Progress) -> Result<(), Trouble> {
        let run = self.run_id().clone();
        if self.latest.state()?.deployment(&run).is_some_and(|record| record.image.is_some()) {
            return Ok(());
        }
        let needs = |plan: &Plan| {
            plan.steps.iter().any(|step| plan.starts_new(step)) && !plan.images.contains_key(&plan.new.slot)
        };
        let targets = Arc::clone(&self.tools.targets);
        let fetched = plan.plans().enumerate().filter(|(_, plan)| needs(plan)).map(|(host, plan)| {
            let image = targets.image(host, &plan.new.release, progress);
            async move { Ok::<_, Trouble>(image.await?.map(|image| (plan, image))) }
        });
        let fetched = self.controlled(try_join_all(fetched)).await.map_err(Trouble::Interrupted)??;
        let mut fetched = fetched.into_iter().flatten();
        let Some((first, mut image)) = fetched.next() else { return Ok(()) };
        for (plan, other) in fetched {
            if other.id == image.id {
                continue;
            }
            let name = |plan: &Plan| plan.host.clone().unwrap_or_default();
            let (here, there) = (name(first), name(plan));
            progress.say(&format!("{} is {} on {there}, and {} on {here}", other.name, other.id, image.id));
            // A rollback on that host starts its own image, which may have been loaded or built there.
            image.elsewhere.insert(there, other.id);
        }
        let release = &plan.first().new.release;
        let text = described(self.latest.state()?, release, &image);
        progress.say(&text);
        if release.is_image() {
            // This image was not deployed from here, so it is not one of the old images that are removed.
            return Ok(());
        }
        Ok(self.append(Action::Image(image), text)?)
    }

    /// Records which image the replicas run, if the target fetches images out of sight: after a success, when they run and the
    /// ledger has the end. Says so if its name has moved since the release was deployed before. A target that does not report
    /// the image does not change how the deployment ends.
    pub(super) async fn note_running_image(&mut self, plan: &DeploymentPlan) {
        let run = self.run_id().clone();
        let progress = Progress::new(&self.tools.outlet, &self.job, StepNumber(self.announced.len() as u32));
        let (targets, plan) = (Arc::clone(&self.tools.targets), plan.first());
        let asked = targets.of(0).running_image(plan.new.slot, plan, &progress);
        let unknown = |why: &str| progress.say(&format!("it is not known which image runs: {why}"));
        let image = match self.controls.refusing(timeout(IMAGE_TIMEOUT, asked)).await {
            Ok(Ok(Some(image))) => image,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return unknown(&error.to_string()),
            Err(_) => return unknown(&format!("the target did not answer within {}", written(IMAGE_TIMEOUT))),
        };
        let noted = self.latest.state().map(|state| {
            let is_known = state.deployment(&run).is_some_and(|record| record.image.is_some());
            (!is_known).then(|| described(state, &plan.new.release, &image))
        });
        let noted = noted.and_then(|text| match text {
            Some(text) => {
                progress.say(&text);
                self.append(Action::Image(image), text)
            }
            None => Ok(()),
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "the ledger lacks the image of the deployment");
        }
    }

    /// Removes the images of earlier releases beyond the number in the settings. Errors do not change how the deployment
    /// ends.
    pub(super) async fn remove_old_images(&self) {
        let Some(keep) = self.subject.settings.target.keep_images() else { return };
        let removed = async {
            let ledger = self.tools.ledger.read()?;
            let old = old_images(&ledger, &self.subject.settings.name, keep as usize);
            let removed = self.tools.targets.remove_images(&old).await?;
            if !removed.is_empty() {
                self.append(Action::RemovedImages, removed.join(", "))?;
            }
            Ok::<_, Trouble>(())
        };
        if let Err(error) = removed.await {
            tracing::warn!(%error, "images of earlier releases are not removed");
        }
    }
}

/// Describes the image of a release, and that its name has moved if an earlier deployment of the release had another image.
fn described(state: &EnvironmentState, release: &Release, image: &ReleaseImage) -> String {
    let is_named = |record: &DeploymentRecord| record.image.as_ref().is_some_and(|known| known.name == image.name);
    let before = state.with_image(&release.sha, is_named);
    let moved = before.and_then(|record| Some((record.image.as_ref()?, record.created)));
    match moved.filter(|(before, _)| before.id != image.id) {
        Some((before, at)) => format!(
            "{} has moved: it was {} when {} was deployed on {}, and is {} now",
            image.name,
            before.id,
            release.title(),
            at.clock(),
            image.id
        ),
        None => format!("{} is {}", image.name, image.id),
    }
}

/// Whether a deployment has succeeded, so that a rollback may start its image.
fn has_succeeded(record: &DeploymentRecord) -> bool {
    record.outcome == Some(Outcome::Succeeded)
}

/// Returns the images of an environment that are not needed any more: neither for its newest `keep` releases that
/// succeeded, nor for as many of another environment, nor for a deployment in progress.
fn old_images(ledger: &Ledger, environment: &str, keep: usize) -> Vec<ReleaseImage> {
    let names: BTreeSet<&str> = ledger.entries().iter().map(|entry| entry.environment.as_str()).collect();
    let mut needed = BTreeSet::new();
    for name in names {
        let state = ledger.of(name);
        let mut kept = BTreeSet::new();
        for record in state.deployments() {
            // A rollback starts the image with which the release succeeded earlier.
            let former = || state.with_image(&record.release.sha, has_succeeded)?.image.as_ref();
            let Some(image) = record.image.as_ref().or_else(former) else { continue };
            if record.outcome.is_none() {
                needed.extend(image.ids().cloned());
            } else if has_succeeded(record) && kept.len() < keep {
                kept.insert(&image.id);
                needed.extend(image.ids().cloned());
            }
        }
    }
    let mut old: Vec<ReleaseImage> = Vec::new();
    for image in ledger.of(environment).deployments().filter_map(|record| record.image.as_ref()) {
        if image.ids().all(|id| !needed.contains(id)) && !old.contains(image) {
            old.push(image.clone());
        }
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment::{Actor, Entry};
    use crate::model::{RunId, Timestamp};
    use crate::rollout::testing::release;

    /// Adds a deployment to the ledger. `image` is the id of its image, which a rollback does not record.
    fn add(entries: &mut Vec<Entry>, environment: &str, tag: &str, outcome: Option<Outcome>, image: Option<&str>) {
        let run = RunId::new(entries.len().to_string());
        let cause = if image.is_none() { Cause::Rollback } else { Cause::Manual };
        let requested = Action::Requested { release: release(tag), from: None, cause };
        let image = image.map(|id| Action::Image(ReleaseImage::new(format!("shop:{tag}"), id.to_owned())));
        let end = outcome.map(|outcome| Action::Ended { outcome });
        for action in [Some(requested), Some(Action::Began), image, end].into_iter().flatten() {
            let by = Actor::default();
            let (environment, deployment) = (environment.to_owned(), Some(run.clone()));
            let (at, reason) = (Timestamp(1), String::new());
            entries.push(Entry { at, by, environment, deployment, job: None, action, reason });
        }
    }

    const GOOD: Option<Outcome> = Some(Outcome::Succeeded);

    #[test]
    fn a_name_that_stands_for_another_image_than_before_has_moved() {
        let mut entries = Vec::new();
        add(&mut entries, "live", "v1", GOOD, Some("web@sha256:1"));
        add(&mut entries, "live", "v2", GOOD, Some("web@sha256:2"));
        let state = Ledger::new(entries).of("live");
        let of = |id: &str| described(&state, &release("v1"), &ReleaseImage::new("shop:v1".to_owned(), id.to_owned()));
        assert_eq!(of("web@sha256:1"), "shop:v1 is web@sha256:1");
        let moved = format!("shop:v1 has moved: it was web@sha256:1 when {} was deployed on ", release("v1").title());
        let text = of("web@sha256:3");
        assert!(text.starts_with(&moved) && text.ends_with(", and is web@sha256:3 now"), "{text}");
    }

    #[test]
    fn images_are_old_once_no_environment_needs_them() {
        let mut entries = Vec::new();
        for tag in ["v1", "v2", "v3", "v4"] {
            add(&mut entries, "live", tag, GOOD, Some(tag));
        }
        add(&mut entries, "live", "bad", Some(Outcome::RolledBack), Some("bad"));
        add(&mut entries, "staging", "v3", GOOD, Some("v3"));
        add(&mut entries, "live", "v2", GOOD, None);
        add(&mut entries, "live", "v5", None, Some("v5"));
        let old = old_images(&Ledger::new(entries), "live", 2);
        let names: Vec<&str> = old.iter().map(|image| image.name.as_str()).collect();
        // v2 is live, v4 was before it, v3 is live in staging, and v5 is on its way.
        assert_eq!(names, ["shop:bad", "shop:v1"]);
    }

    #[test]
    fn each_host_has_its_own_image_and_none_that_is_needed_anywhere_is_old() {
        let mut entries = Vec::new();
        for (tag, there) in [("v1", "b1"), ("v2", "b2"), ("v3", "b1")] {
            add(&mut entries, "live", tag, GOOD, Some(tag));
            let image = entries.iter_mut().rev().find_map(|entry| match &mut entry.action {
                Action::Image(image) => Some(image),
                _ => None,
            });
            image.expect("an image").elsewhere.insert("web2".to_owned(), there.to_owned());
        }
        let ledger = Ledger::new(entries);
        let on = |host| ledger.of("live").last_success()?.image.as_ref().map(|image| image.on_host(host).id);
        assert_eq!([on(None), on(Some("web1")), on(Some("web2"))], ["v3", "v3", "b1"].map(|id| Some(id.to_owned())));
        // On web2, v1 is the image of v3.
        assert_eq!(old_images(&ledger, "live", 1).iter().map(|image| &*image.name).collect::<Vec<_>>(), ["shop:v2"]);
        // It is read again as it was written.
        let image = ledger.of("live").last_success().and_then(|record| record.image.clone()).expect("an image");
        let text = serde_json::to_string(&image).expect("JSON");
        assert_eq!(serde_json::from_str::<ReleaseImage>(&text).expect("read"), image);
    }

    #[test]
    fn the_image_that_a_rollback_starts_is_needed_and_not_a_later_one_that_failed() {
        let mut entries = Vec::new();
        add(&mut entries, "live", "v1", GOOD, Some("first"));
        add(&mut entries, "live", "v1", Some(Outcome::RolledBack), Some("moved"));
        add(&mut entries, "live", "v2", GOOD, Some("v2"));
        add(&mut entries, "live", "v3", GOOD, Some("v3"));
        add(&mut entries, "live", "v1", None, None);
        let old = old_images(&Ledger::new(entries), "live", 2);
        let ids: Vec<&str> = old.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(ids, ["moved"]);
    }
}
