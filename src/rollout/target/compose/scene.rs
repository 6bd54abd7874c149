//! Determines what runs from the labels of the containers. The functions are pure.

use super::super::docker::names::{DEPLOYMENT, ENVIRONMENT, SHA, SLOT};
use super::super::docker::status;
use crate::engine::sandbox::docker::compose::ComposeContainer;
use crate::model::deployment::{Observed, Slot};

/// A container of the service.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) container: ComposeContainer,
    /// The slot.
    pub(super) slot: Slot,
    /// The commit or, for a container that cuelight did not start, the id of its image.
    pub(super) release: String,
    /// How often the engine has started the container again after an end; 0 if it has run for a minute since.
    pub(super) restarts: u32,
}

impl Replica {
    /// Whether the container runs, or is started again and again.
    pub(super) fn is_started(&self) -> bool {
        status::is_running(&self.container.status) || self.container.status.starts_with("Restarting")
    }

    /// Whether the container runs, and its health check succeeds if it has one.
    pub(super) fn is_well(&self) -> bool {
        status::is_well(&self.container.status)
    }

    /// Whether the engine starts the container again and again, so that it serves only between two ends.
    pub(super) fn is_looping(&self) -> bool {
        status::is_looping(&self.container.status, self.restarts)
    }

    /// Returns the container, for evidence of a failure.
    pub(super) fn suspect(&self) -> status::Suspect<'_> {
        status::Suspect { id: &self.container.id, name: &self.container.name, status: &self.container.status }
    }
}

/// The containers of the service.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// The containers, running or not, by number.
    pub(super) all: Vec<Replica>,
}

impl Scene {
    /// Sorts containers into slots, by the labels of the environment. Containers without them, which Compose has
    /// started, are in the slot that has no others, and in blue if both or neither have.
    pub(super) fn new(containers: Vec<ComposeContainer>, environment: &str) -> Self {
        let slot_of = |container: &ComposeContainer| {
            let label = |name: &str| container.labels.get(name).map(String::as_str);
            let slot = label(SLOT).and_then(Slot::named)?;
            (label(ENVIRONMENT) == Some(environment)).then(|| Some((slot, label(SHA)?.to_owned())))?
        };
        let known: Vec<_> = containers.iter().map(slot_of).collect();
        let has = |wanted| known.iter().flatten().any(|(slot, _)| *slot == wanted);
        let rest = if has(Slot::Blue) && !has(Slot::Green) { Slot::Green } else { Slot::Blue };
        let replica = |(container, known): (ComposeContainer, Option<(Slot, String)>)| {
            let (slot, release) = known.unwrap_or_else(|| (rest, container.image.clone()));
            Replica { container, slot, release, restarts: 0 }
        };
        Self { all: containers.into_iter().zip(known).map(replica).collect() }
    }

    /// Returns the containers of a slot that run.
    pub(super) fn started(&self, slot: Slot) -> impl Iterator<Item = &Replica> {
        self.all.iter().filter(move |replica| replica.slot == slot && replica.is_started())
    }

    /// Returns the containers of a slot that a deployment has made, running or not.
    pub(super) fn own(&self, slot: Slot, deployment: &str) -> Vec<&Replica> {
        let is_own = |replica: &&Replica| replica.container.labels.get(DEPLOYMENT).is_some_and(|id| id == deployment);
        self.all.iter().filter(|replica| replica.slot == slot).filter(is_own).collect()
    }

    /// Returns the number of the containers of a slot that run.
    pub(super) fn count(&self, slot: Slot) -> u32 {
        u32::try_from(self.started(slot).count()).unwrap_or(u32::MAX)
    }

    /// Returns the containers that are to be stopped so that `keep` of a slot are left: first those that are not well,
    /// then the oldest ones.
    pub(super) fn beyond(&self, slot: Slot, keep: u32) -> Vec<&Replica> {
        let mut all: Vec<&Replica> = self.started(slot).collect();
        let is_ill = |replica: &Replica| !replica.is_well() || replica.is_looping();
        all.sort_by_key(|replica| (is_ill(replica), std::cmp::Reverse(replica.container.number)));
        all.split_off(all.len().min(keep as usize))
    }

    /// Returns the state of the environment. Docker distributes requests evenly over all containers that run. A container that
    /// the engine starts again and again is not healthy, whether or not it runs at this moment.
    pub(super) fn observed(&self) -> Observed {
        let mut observed = Observed::default();
        let all = self.count(Slot::Blue) + self.count(Slot::Green);
        let blue = (100 * self.count(Slot::Blue)).checked_div(all).unwrap_or_default() as u8;
        for slot in Slot::ALL {
            let state = observed.slot_mut(slot);
            state.release = self.started(slot).next().map(|replica| replica.release.clone());
            state.replicas = self.count(slot);
            state.open = state.replicas;
            state.weight = match slot {
                Slot::Blue => blue,
                Slot::Green if all > 0 => 100 - blue,
                Slot::Green => 0,
            };
            let healthy = self.started(slot).filter(|replica| replica.is_well() && !replica.is_looping());
            state.healthy = u32::try_from(healthy.count()).unwrap_or(0);
        }
        let looping = self.all.iter().filter(|replica| replica.is_looping());
        observed.note = status::looping_note(looping.map(|one| (one.container.name.as_str(), one.restarts)));
        observed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment::SlotState;

    fn container(number: u32, status: &str, labels: &[(&str, &str)]) -> ComposeContainer {
        ComposeContainer {
            id: format!("id{number}"),
            name: format!("shop-web-{number}"),
            project: "shop".to_owned(),
            folder: "/srv/shop".to_owned(),
            number,
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            image: format!("sha256:{number}"),
            status: status.to_owned(),
        }
    }

    fn ours<'l>(slot: &'l str, sha: &'l str) -> [(&'l str, &'l str); 3] {
        [(ENVIRONMENT, "live"), (SLOT, slot), (SHA, sha)]
    }

    #[test]
    fn labels_tell_what_runs_and_other_containers_are_the_release_of_their_image() {
        let scene = Scene::new(
            vec![
                container(1, "Up 2 hours", &[]),
                container(2, "Up 2 minutes (healthy)", &ours("green", "abc")),
                container(3, "Up 1 second (health: starting)", &ours("green", "abc")),
                container(4, "Exited (1) 2 hours ago", &ours("green", "old")),
            ],
            "live",
        );
        let state = |release: &str, replicas, healthy, weight| SlotState {
            release: Some(release.to_owned()),
            replicas,
            healthy,
            open: replicas,
            weight,
        };
        assert_eq!(scene.observed().slot(Slot::Blue), &state("sha256:1", 1, 1, 33));
        assert_eq!(scene.observed().slot(Slot::Green), &state("abc", 2, 1, 67));
        let named = |keep| -> Vec<u32> {
            scene.beyond(Slot::Green, keep).iter().map(|replica| replica.container.number).collect()
        };
        assert_eq!((named(0), named(1), named(2)), (vec![2, 3], vec![3], vec![]));
        // A container that was started by hand beside blue is in green; one of another environment is not ours.
        let other = [(ENVIRONMENT, "staging"), (SLOT, "blue"), (SHA, "abc")];
        let scene = Scene::new(vec![container(1, "Up", &ours("blue", "abc")), container(2, "Up", &other)], "live");
        assert_eq!(scene.observed().slot(Slot::Green), &state("sha256:2", 1, 1, 50));
        let restarting = Scene::new(vec![container(1, "Restarting (1) 2 seconds ago", &ours("blue", "abc"))], "live");
        assert_eq!(restarting.observed().slot(Slot::Blue), &state("abc", 1, 0, 100));
        let paused = Scene::new(vec![container(1, "Up 2 hours (Paused)", &ours("blue", "abc"))], "live");
        assert_eq!(paused.observed().slot(Slot::Blue), &state("abc", 1, 0, 100), "it answers nothing");
    }

    #[test]
    fn a_container_that_ends_again_and_again_is_the_same_at_every_moment() {
        let at = |status: &str| {
            let mut scene = Scene::new(
                vec![container(1, status, &ours("blue", "abc")), container(2, "Up 2 hours", &ours("blue", "abc"))],
                "live",
            );
            scene.all[0].restarts = 3;
            let first = scene.beyond(Slot::Blue, 1).first().map(|replica| replica.container.number);
            (scene.observed(), first)
        };
        let (observed, first) = at("Restarting (1) 3 seconds ago");
        assert_eq!((observed.slot(Slot::Blue).healthy, first), (1, Some(1)));
        assert_eq!(observed.note.as_deref(), Some("started again and again: shop-web-1 (3 restarts)"));
        for status in ["Up Less than a second", "Up 5 seconds (healthy)"] {
            assert_eq!(at(status), (observed.clone(), first), "{status}");
        }
    }
}
