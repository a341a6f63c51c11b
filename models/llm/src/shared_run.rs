//! The longest run of tokens that two texts share, wherever it stands in them: what a cache can move to another place.

use std::collections::HashMap;

use super::TokenId;

/// A run of equal tokens: where it begins in what is held and in what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub held: usize,
    pub wanted: usize,
    pub len: usize,
}

/// The longest run of at least `least` tokens that `held` and `wanted` share; of equal ones the first in `wanted`.
pub(super) fn longest_run(held: &[TokenId], wanted: &[TokenId], least: usize) -> Option<Run> {
    if held.len() < least || wanted.len() < least {
        return None;
    }
    // Where each sequence of `least` tokens stands first.
    let mut places: HashMap<&[TokenId], usize> = HashMap::with_capacity(held.len());
    for (at, window) in held.windows(least).enumerate() {
        places.entry(window).or_insert(at);
    }
    let mut best: Option<Run> = None;
    let mut at = 0;
    while at + least <= wanted.len() {
        let Some(place) = places.get(&wanted[at..at + least]).copied() else {
            at += 1;
            continue;
        };
        let len = held[place..].iter().zip(&wanted[at..]).take_while(|(held, wanted)| held == wanted).count();
        if best.is_none_or(|best| best.len < len) {
            best = Some(Run { held: place, wanted: at, len });
        }
        at += len;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_shared_run_is_found_wherever_it_stands() {
        let tokens = |numbers: &[u32]| numbers.iter().map(|n| TokenId(*n)).collect::<Vec<_>>();
        let held = tokens(&[1, 2, 3, 9, 9, 4, 5, 6, 7, 8]);
        let find = |wanted: &[u32], least| longest_run(&held, &tokens(wanted), least);
        assert_eq!(find(&[0, 4, 5, 6, 7, 0], 2), Some(Run { held: 5, wanted: 1, len: 4 }));
        assert_eq!(find(&[1, 2, 0, 4, 5, 6], 2), Some(Run { held: 5, wanted: 3, len: 3 }));
        assert_eq!(find(&[1, 2, 0, 4, 5], 2), Some(Run { held: 0, wanted: 0, len: 2 }));
        assert_eq!((find(&[4, 5, 6], 4), find(&[], 1), find(&[3, 4], 2)), (None, None, None));
    }
}
