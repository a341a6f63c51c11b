//! Prompt lookup (Saxena, 2023): guesses at what a model will write next, from what followed the same tokens earlier in the session.
//! Much of what is written for us stands in the prompt already (a reading, a sensor's name, a tool call's form), and several guesses
//! cost little more than one token where memory is the limit. A guess that is wrong costs its time and changes nothing.

use super::TokenId;

/// Fewest tokens that must have occurred before; a single one says too little.
const LEAST: usize = 2;
/// The same while most guesses are wrong.
const LEAST_IN_DOUBT: usize = 4;
/// Below this share of right guesses there is doubt.
const DOUBT: f32 = 0.35;
/// What the latest guesses count for in that share.
const LATEST: f32 = 0.25;

/// Guesses for one text.
#[derive(Debug)]
pub(super) struct Lookup {
    most: usize,
    /// The share of guesses that were right, lately.
    right: f32,
}

impl Lookup {
    /// At most `most` guesses at a time; none for 0.
    pub(super) fn new(most: usize) -> Lookup {
        Lookup { most, right: 1.0 }
    }

    /// What may follow `tokens`, at most `room` tokens: as many as agree with what stood there before.
    pub(super) fn guess(&self, tokens: &[TokenId], room: usize) -> Vec<TokenId> {
        let least = if self.right < DOUBT { LEAST_IN_DOUBT } else { LEAST };
        let most = self.most.min(room);
        let Some((agreeing, next)) = (most > 0).then(|| latest_match(tokens, most.max(least))).flatten() else {
            return Vec::new();
        };
        if agreeing < least {
            return Vec::new();
        }
        let follow = tokens[next..].iter().take(agreeing.min(most));
        follow.copied().take_while(|token| *token != TokenId::EMBEDDING).collect()
    }

    /// So many of so many guesses were right.
    pub(super) fn learn(&mut self, right: usize, guessed: usize) {
        if guessed > 0 {
            self.right += LATEST * (right as f32 / guessed as f32 - self.right);
        }
    }
}

/// The latest earlier place where the end of `tokens` has occurred, with as many tokens agreeing as anywhere, but `enough` at the most:
/// (how many agree, where they go on).
fn latest_match(tokens: &[TokenId], enough: usize) -> Option<(usize, usize)> {
    let mut best = None;
    for next in (1..tokens.len()).rev() {
        let agreeing =
            tokens[..next].iter().rev().zip(tokens.iter().rev()).take(enough).take_while(|(a, b)| a == b).count();
        if agreeing > best.map_or(0, |(most, _)| most) {
            best = Some((agreeing, next));
            if agreeing == enough {
                break;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(numbers: &[u32]) -> Vec<TokenId> {
        numbers.iter().map(|n| TokenId(*n)).collect()
    }

    #[test]
    fn what_followed_the_same_tokens_is_guessed_the_longest_and_latest_first() {
        let lookup = Lookup::new(4);
        let guess = |numbers: &[u32], room| lookup.guess(&tokens(numbers), room);
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 1, 2], 9), tokens(&[3, 4]), "as many as agree");
        assert_eq!(guess(&[1, 2, 3, 4, 5, 6, 9, 1, 2, 3], 9), tokens(&[4, 5, 6]));
        assert_eq!(
            guess(&[7, 1, 2, 3, 5, 1, 2, 4, 4, 7, 1, 2], 9),
            tokens(&[3, 5, 1]),
            "three agree in the first place"
        );
        assert_eq!(guess(&[1, 2, 3, 5, 1, 2, 4, 0, 0, 1, 2], 9), tokens(&[4, 0]), "of equals the latest");
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 1, 2], 1), tokens(&[3]), "no more than there is room for");
        assert_eq!(guess(&[5, 5, 5, 5], 9), tokens(&[5]), "what follows may reach into the end itself");
        for nothing in [&[][..], &[1], &[1, 2, 3], &[2, 3, 9, 2]] {
            assert_eq!(guess(nothing, 9), [], "{nothing:?}");
        }
        assert_eq!(Lookup::new(0).guess(&tokens(&[1, 2, 3, 1, 2]), 9), []);
        let soft = [tokens(&[1, 2]), vec![TokenId::EMBEDDING], tokens(&[1, 2])].concat();
        assert_eq!(lookup.guess(&soft, 9), [], "soft tokens can't be guessed");
    }

    #[test]
    fn in_doubt_more_must_agree_until_guesses_are_right_again() {
        let (short, long) = (tokens(&[1, 2, 3, 9, 1, 2]), tokens(&[1, 2, 3, 4, 5, 9, 1, 2, 3, 4]));
        let mut lookup = Lookup::new(4);
        (0..6).for_each(|_| lookup.learn(0, 4));
        assert_eq!(lookup.guess(&short, 9), []);
        assert_eq!(lookup.guess(&long, 9), tokens(&[5, 9, 1, 2]));
        (0..3).for_each(|_| lookup.learn(4, 4));
        assert_eq!(lookup.guess(&short, 9), tokens(&[3, 9]));
    }
}
