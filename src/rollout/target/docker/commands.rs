//! Commands for the router that open replicas and give them weights. The functions are pure.

use crate::model::deployment::Slot;

use super::config;
use super::error::DockerFault;
use super::observed::{self, Scene};
use super::replicas::Replica;
use super::weights::weights;

/// Returns the commands that open the replicas 1 to `count` of a slot if they are new (`started`) or drained. They get
/// no traffic until their weights are set.
///
/// A new replica takes no traffic before the router has checked it. A drained one was checked all the time: if it had to
/// wait for its next check, too, a switch to it would leave the router without replicas until then.
pub(super) fn open(scene: &Scene, slot: Slot, count: u32, started: &[u32]) -> Vec<String> {
    let mut commands = Vec::new();
    for number in 1..=count {
        let place = config::place(slot, number);
        let is_drained = scene.places.get(&place).is_none_or(|place| place.is_drained);
        let is_new = started.contains(&number);
        let server = config::server(&place);
        if is_drained || is_new {
            commands.push(format!("set weight {server} 0"));
            commands.push(format!("set server {server} state ready"));
        }
        if is_new {
            commands.push(format!("set server {server} health down"));
        }
    }
    commands
}

/// Returns the share that a slot gets of the wanted one: all the traffic if no replica of the other slot can take any,
/// because they have ended since the plan was made. The router would send it there in any case.
pub(super) fn possible_share(scene: &Scene, slot: Slot, percent: u8) -> u8 {
    let is_alone = scene.open(slot) > 0 && scene.open(slot.other()) == 0;
    if percent > 0 && is_alone { 100 } else { percent }
}

/// Returns the commands that give a slot its share. `is_open` returns whether a replica can take traffic once the
/// commands are carried out.
pub(super) fn shares(
    scene: &Scene,
    slot: Slot,
    percent: u8,
    is_open: impl Fn(&Replica) -> bool,
) -> Result<Vec<String>, DockerFault> {
    let number = |slot| observed::count(scene.of(slot).filter(|one| is_open(one)));
    let (here, there) = (number(slot), number(slot.other()));
    let refused = || DockerFault::Share { slot, percent, here, there };
    let (mine, theirs) = weights(percent, here, there).ok_or_else(refused)?;
    let weight = |replica: &Replica| match replica.slot {
        _ if !is_open(replica) => 0,
        of if of == slot => mine,
        _ => theirs,
    };
    let with_place = scene.replicas.iter().filter(|replica| scene.place(replica).is_some());
    let mut weights: Vec<_> = with_place.map(|replica| (weight(replica), replica.place())).collect();
    // The router carries out the commands one after another. If it had lost its last weight before it got the new one, it
    // would answer requests in between with 503.
    weights.sort_by_key(|(weight, _)| *weight == 0);
    Ok(weights.iter().map(|(weight, place)| format!("set weight {} {weight}", config::server(place))).collect())
}

#[cfg(test)]
mod tests {
    use crate::rollout::target::docker::state::Place;

    use super::*;

    fn replica(slot: Slot, number: u32, status: &str) -> Replica {
        Replica {
            id: format!("{slot}{number}"),
            name: format!("shop-{slot}-{number}"),
            slot,
            number,
            sha: slot.name().to_owned(),
            deployment: String::new(),
            image: String::new(),
            address: None,
            status: status.to_owned(),
            restarts: 0,
        }
    }

    /// Returns the state with these replicas, each in its place.
    fn scene(replicas: Vec<Replica>) -> Scene {
        let places = replicas.iter().map(|one| (one.place(), Place::default())).collect();
        Scene { replicas, places }
    }

    #[test]
    fn a_slot_loses_its_weight_only_after_the_other_has_one() {
        let all = [(Slot::Blue, 1), (Slot::Blue, 2), (Slot::Green, 1), (Slot::Green, 2)];
        let scene = scene(all.map(|(slot, number)| replica(slot, number, "Up 3 minutes")).into());
        for slot in Slot::ALL {
            let commands = shares(&scene, slot, 100, |_| true).expect("two replicas");
            let weights: Vec<bool> = commands.iter().map(|command| !command.ends_with(" 0")).collect();
            assert_eq!(weights, [true, true, false, false], "{commands:?}");
            assert!(commands[0].contains(slot.name()), "{commands:?}");
        }
    }

    #[test]
    fn a_slot_gets_all_the_traffic_if_the_replicas_of_the_other_one_have_ended() {
        let share_of_green = |blue: &str, green: &str| {
            let replicas = vec![replica(Slot::Blue, 1, blue), replica(Slot::Green, 1, green)];
            possible_share(&scene(replicas), Slot::Green, 10)
        };
        assert_eq!(share_of_green("Up 3 minutes", "Up 1 second"), 10);
        assert_eq!(share_of_green("Restarting (7) 1 second ago", "Up 1 second"), 100);
        assert_eq!(share_of_green("Exited (7) 1 second ago", "Exited (7) 1 second ago"), 10, "which is refused");
    }

    #[test]
    fn only_a_new_replica_waits_for_a_check_of_the_router() {
        let place = |is_drained| Place { is_up: true, is_drained, weight: 7, ..Place::default() };
        let places = [("blue1", place(true)), ("blue2", place(false)), ("blue3", place(false)), ("blue4", place(true))];
        let places = places.into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        let scene = Scene { replicas: Vec::new(), places };
        let commands = open(&scene, Slot::Blue, 4, &[3, 4]);
        let of = |name: &str| -> Vec<&str> {
            let server = format!("app/{name}");
            let of_name = commands.iter().filter(|command| command.contains(&server));
            of_name.map(|command| command.rsplit(' ').next().unwrap_or_default()).collect()
        };
        assert_eq!(of("blue1"), ["0", "ready"], "drained, and still checked by the router");
        assert_eq!(of("blue2"), [""; 0], "it has traffic, and keeps it");
        assert_eq!(of("blue3"), ["0", "ready", "down"]);
        assert_eq!(of("blue4"), ["0", "ready", "down"]);
    }
}
