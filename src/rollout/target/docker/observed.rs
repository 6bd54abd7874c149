//! Determines what runs, from the containers and the report of the router. The functions are pure.

use std::collections::HashMap;

use super::replicas::Replica;
use super::state::Place;
use super::weights::share_of;
use crate::model::deployment::{Observed, Slot};

/// Replicas and their places at the router.
#[derive(Clone, Default, Debug)]
pub(super) struct Scene {
    /// Replicas, by slot and number.
    pub(super) replicas: Vec<Replica>,
    /// Places by name; empty if the router does not run.
    pub(super) places: HashMap<String, Place>,
}

impl Scene {
    /// Whether there are replicas, but no router that could send requests to them.
    pub(super) fn is_dark(&self) -> bool {
        self.places.is_empty() && !self.replicas.is_empty()
    }

    /// Returns the replicas of a slot.
    pub(super) fn of(&self, slot: Slot) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(move |replica| replica.slot == slot)
    }

    /// Returns the place of a replica. `None` if the router does not have it.
    pub(super) fn place(&self, replica: &Replica) -> Option<&Place> {
        self.places.get(&replica.place())
    }

    /// Whether a replica can take traffic.
    pub(super) fn is_open(&self, replica: &Replica) -> bool {
        replica.is_running() && self.place(replica).is_some_and(|place| !place.is_drained)
    }

    /// Whether the router sends requests to a replica that has a weight: its checks of this very container succeed.
    pub(super) fn is_used(&self, replica: &Replica) -> bool {
        self.place(replica).is_some_and(|place| place.is_up && place.address == replica.address)
    }

    /// Whether a replica is healthy according to Docker and to the router.
    pub(super) fn is_healthy(&self, replica: &Replica) -> bool {
        replica.is_well() && self.is_used(replica)
    }

    /// Returns the router's last check of a replica in words; empty if there is none.
    pub(super) fn check(&self, replica: &Replica) -> &str {
        self.place(replica).map(|place| place.check.as_str()).unwrap_or_default()
    }

    /// Returns the router's last check of a replica as the end of a sentence; empty if there is none.
    pub(super) fn why(&self, replica: &Replica) -> String {
        match self.check(replica) {
            "" => String::new(),
            check => format!(": {check}"),
        }
    }

    /// Returns the number of replicas of a slot that can take traffic.
    pub(super) fn open(&self, slot: Slot) -> u32 {
        count(self.of(slot).filter(|replica| self.is_open(replica)))
    }

    /// Returns the share of a slot in percent. It is 0 if neither slot has traffic.
    pub(super) fn share(&self, slot: Slot) -> u8 {
        let weight = |slot| -> u32 {
            let open = self.of(slot).filter(|replica| self.is_open(replica));
            open.filter_map(|replica| self.place(replica)).map(|place| place.weight).sum()
        };
        share_of(weight(slot), weight(slot.other()))
    }

    /// Returns the state of the environment.
    pub(super) fn observed(&self) -> Observed {
        let mut observed = Observed::default();
        for slot in Slot::ALL {
            let state = observed.slot_mut(slot);
            state.release = self.of(slot).next().map(|replica| replica.sha.clone());
            state.replicas = count(self.of(slot));
            state.healthy = count(self.of(slot).filter(|replica| self.is_healthy(replica)));
            state.open = self.open(slot);
            state.weight = self.share(slot);
        }
        observed
    }
}

pub(super) fn count<'r>(replicas: impl Iterator<Item = &'r Replica>) -> u32 {
    u32::try_from(replicas.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment::SlotState;

    fn replica(slot: Slot, number: u32, status: &str) -> Replica {
        Replica {
            id: format!("{slot}{number}"),
            name: format!("shop-production-{slot}-{number}"),
            slot,
            number,
            sha: format!("sha of {slot}"),
            deployment: String::new(),
            image: String::new(),
            address: Some(format!("10.0.0.{number}")),
            status: status.to_owned(),
        }
    }

    fn place(number: u32, weight: u32, is_drained: bool) -> Place {
        let address = Some(format!("10.0.0.{number}"));
        Place { address, is_up: true, is_drained, weight, ..Place::default() }
    }

    #[test]
    fn labels_and_the_router_tell_the_whole_state() {
        let (blue, green) = (Slot::Blue, Slot::Green);
        let replicas = vec![
            replica(blue, 1, "Up 3 minutes"),
            replica(blue, 2, "Up 3 minutes"),
            replica(blue, 3, "Created"),
            replica(green, 1, "Up 1 second (health: starting)"),
        ];
        let places = [("blue1", place(1, 90, false)), ("blue2", place(2, 90, true)), ("green1", place(1, 10, false))];
        let places = places.into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        let scene = Scene { replicas, places };
        let observed = scene.observed();
        let expected =
            SlotState { release: Some("sha of blue".to_owned()), replicas: 3, healthy: 2, open: 1, weight: 90 };
        assert_eq!(observed.slot(blue), &expected);
        let expected =
            SlotState { release: Some("sha of green".to_owned()), replicas: 1, healthy: 0, open: 1, weight: 10 };
        assert_eq!(observed.slot(green), &expected);
        // A check of a container that is gone does not count for the container that has its place now.
        let mut stale = scene.clone();
        stale.places.get_mut("blue1").expect("there").address = Some("10.0.0.9".to_owned());
        assert_eq!(stale.observed().slot(blue).healthy, 1);
        // Without the router nothing gets traffic.
        let dark = Scene { places: HashMap::new(), ..scene };
        assert_eq!((dark.observed().slot(blue).weight, dark.observed().slot(blue).open), (0, 0));
        assert!(dark.is_dark() && !stale.is_dark() && !Scene::default().is_dark());
    }
}
