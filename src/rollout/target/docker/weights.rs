//! Calculates the weights of replicas at the router. The functions are pure.

/// Largest weight of a replica.
const MOST: u32 = 256;

/// Returns the weight of each replica of a slot, and the weight of each replica of the other slot, so that the slot
/// gets `percent` of the traffic. `None` if no weights give it that share, rounded to a percent.
pub(super) fn weights(percent: u8, here: u32, there: u32) -> Option<(u32, u32)> {
    match percent {
        0 => return (there > 0).then_some((0, MOST)),
        100 => return (here > 0).then_some((MOST, 0)),
        _ if here == 0 || there == 0 => return None,
        _ => {}
    }
    // Each replica gets the share of its slot, times the number of replicas of the other slot.
    let (share, rest) = (u32::from(percent), 100 - u32::from(percent));
    let (mine, theirs) = (share * there, rest * here);
    let largest = mine.max(theirs);
    let scaled = |weight: u32, most: u32| ((weight * most + largest / 2) / largest).max(1);
    let error = |(mine, theirs): (u32, u32)| {
        let (mine, all) = (mine * here, mine * here + theirs * there);
        // In millionths.
        (u64::from(mine) * 1_000_000 / u64::from(all)).abs_diff(u64::from(share) * 10_000)
    };
    let best =
        (1..=MOST).rev().map(|most| (scaled(mine, most), scaled(theirs, most))).min_by_key(|pair| error(*pair))?;
    (share_of(best.0 * here, best.1 * there) == percent).then_some(best)
}

/// Returns a share in percent, rounded. It is 0 if both weights are 0.
pub(super) fn share_of(mine: u32, theirs: u32) -> u8 {
    let all = u64::from(mine) + u64::from(theirs);
    let percent = (u64::from(mine) * 100 + all / 2).checked_div(all).unwrap_or_default();
    u8::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_exact_to_a_percent_or_refused() {
        assert_eq!((weights(100, 2, 0), weights(100, 2, 3)), (Some((256, 0)), Some((256, 0))));
        assert_eq!(
            (weights(0, 0, 1), weights(0, 0, 0), weights(10, 1, 0), weights(10, 0, 1)),
            (Some((0, 256)), None, None, None)
        );
        assert_eq!(weights(50, 1, 1), Some((256, 256)));
        let mut refused = 0;
        for percent in 1..100 {
            for here in 1..=64 {
                for there in 1..=64 {
                    let Some((mine, theirs)) = weights(percent, here, there) else {
                        refused += 1;
                        continue;
                    };
                    assert!((1..=MOST).contains(&mine) && (1..=MOST).contains(&theirs), "{percent} {here} {there}");
                    assert_eq!(share_of(mine * here, theirs * there), percent, "{percent} {here} {there}");
                }
            }
        }
        // 64 replicas with the smallest weight, 1, get more than 1 % beside one with the largest, 256.
        assert!(weights(1, 64, 1).is_none(), "64 replicas cannot have 1 % beside a single one");
        assert!(refused < 99 * 64 * 64 / 100, "{refused} shares are refused");
    }
}
