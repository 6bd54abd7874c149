//! Determines what runs, from the containers and the report of the router. The functions are pure.

use std::collections::HashMap;

use super::replicas::Replica;
use super::state::Place;
use super::status;
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
        self.share_of(slot, |replica| self.is_open(replica))
    }

    /// Returns the share of a slot in percent, of the replicas that `counts` returns true for.
    fn share_of(&self, slot: Slot, counts: impl Fn(&Replica) -> bool) -> u8 {
        let weight = |slot| -> u32 {
            let open = self.of(slot).filter(|replica| counts(replica));
            open.filter_map(|replica| self.place(replica)).map(|place| place.weight).sum()
        };
        share_of(weight(slot), weight(slot.other()))
    }

    /// Returns the state of the environment. A replica that the engine starts again and again is not healthy and takes no
    /// traffic, whether or not it runs at this moment: else a plan would depend on the moment.
    pub(super) fn observed(&self) -> Observed {
        let mut observed = Observed::default();
        let is_open = |replica: &Replica| self.is_open(replica) && !replica.is_looping();
        for slot in Slot::ALL {
            let state = observed.slot_mut(slot);
            state.release = self.of(slot).next().map(|replica| replica.sha.clone());
            state.replicas = count(self.of(slot));
            state.healthy = count(self.of(slot).filter(|replica| self.is_healthy(replica) && !replica.is_looping()));
            state.open = count(self.of(slot).filter(|replica| is_open(replica)));
            state.weight = self.share_of(slot, is_open);
        }
        let looping = self.replicas.iter().filter(|replica| replica.is_looping());
        observed.note = status::looping_note(looping.map(|replica| (replica.name.as_str(), replica.restarts)));
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
            restarts: 0,
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

    #[test]
    fn a_replica_that_ends_again_and_again_is_the_same_at_every_moment() {
        let (blue, green) = (Slot::Blue, Slot::Green);
        let with = |status: &str, restarts| {
            let looping = Replica { restarts, ..replica(blue, 1, status) };
            let places = [("blue1", place(1, 256, false)), ("green1", place(1, 0, true))];
            let places = places.into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
            Scene { replicas: vec![looping, replica(green, 1, "Up 3 minutes")], places }.observed()
        };
        let down = with("Restarting (1) 3 seconds ago", 4);
        let state = SlotState { release: Some("sha of blue".to_owned()), replicas: 1, healthy: 0, open: 0, weight: 0 };
        assert_eq!(down.slot(blue), &state);
        assert_eq!(down.live(), None, "nothing serves reliably");
        let note = "started again and again: shop-production-blue-1 (4 restarts)";
        assert_eq!(down.note.as_deref(), Some(note));
        for status in ["Up Less than a second", "Up 2 seconds", "Up 40 seconds (healthy)"] {
            assert_eq!(with(status, 4), down, "{status}");
        }
        // It has ended once, or has run for long since.
        for (status, restarts) in [("Up 2 seconds", 1), ("Up 3 minutes", 0)] {
            let well = with(status, restarts);
            assert_eq!((well.live(), well.slot(blue).serving(), well.note), (Some(blue), 1, None), "{status}");
        }
    }
}
