//! The conversations in the model's cache. Clients send a whole conversation each time; the one whose beginning is there already
//! goes on where it ended. One that only begins like another (the same instructions and tools) starts with a copy of that, which is
//! the business of the model's thread.

use std::sync::{Mutex, PoisonError};

use nearfield_llm::{LlmError, SessionOptions, TokenId};
use nearfield_stages::llm_thread::{LlmThread, SessionId, Urgency};

/// The sessions of all clients.
pub struct Sessions {
    llm: LlmThread,
    options: SessionOptions,
    slots: Mutex<Slots>,
}

/// What is known of the sessions, and which is to be used next.
#[derive(Default)]
struct Slots {
    most: usize,
    clock: u64,
    slots: Vec<Slot>,
}

struct Slot {
    /// `None` until it is opened.
    id: Option<SessionId>,
    /// What its cache holds for certain.
    tokens: Vec<TokenId>,
    used: u64,
    is_busy: bool,
}

/// Where a prompt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Into this session.
    In(usize),
    /// Into a new one.
    New,
}

/// A session that one request uses. Dropping it gives it back.
pub struct Lease<'a> {
    sessions: &'a Sessions,
    slot: usize,
    id: SessionId,
}

fn shared(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Slots {
    /// The place for a prompt; `None` when all sessions are in use.
    fn place(&self, prompt: &[TokenId]) -> Option<Place> {
        let free = || self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_busy);
        let longest = free().map(|(at, slot)| (shared(&slot.tokens, prompt), slot.used, at)).max();
        // What goes on with a conversation, or drops little of one.
        let is_good = |shared: usize, at: usize| (self.slots[at].tokens.len() - shared) * 4 <= shared;
        if let Some((.., at)) = longest.filter(|(shared, _, at)| is_good(*shared, *at)) {
            return Some(Place::In(at));
        }
        if self.slots.len() < self.most {
            return Some(Place::New);
        }
        free().min_by_key(|(_, slot)| slot.used).map(|(at, _)| Place::In(at))
    }

    fn take(&mut self, at: usize) -> (usize, Option<SessionId>) {
        self.clock += 1;
        let slot = &mut self.slots[at];
        (slot.is_busy, slot.used) = (true, self.clock);
        slot.tokens.clear();
        (at, slot.id)
    }
}

impl Sessions {
    /// At most `most` sessions.
    pub fn new(llm: LlmThread, options: SessionOptions, most: usize) -> Self {
        Self { llm, options, slots: Mutex::new(Slots { most, ..Slots::default() }) }
    }

    /// How many tokens a session holds.
    pub fn context_tokens(&self) -> usize {
        self.options.context_tokens
    }

    /// Which sessions are in use; those that were never opened are not.
    pub fn busy(&self) -> Vec<bool> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busy: Vec<bool> = slots.slots.iter().map(|slot| slot.is_busy).collect();
        busy.resize(slots.most, false);
        busy
    }

    /// The session for a prompt. The caller sees to it that no more are asked for than there are.
    ///
    /// # Errors
    /// If its cache can't be had, or all are in use.
    pub fn take(&self, prompt: &[TokenId]) -> Result<Lease<'_>, LlmError> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let place =
            slots.place(prompt).ok_or_else(|| LlmError::Input("all conversations are in use: ask again".to_owned()))?;
        let at = match place {
            Place::In(at) => at,
            Place::New => {
                slots.slots.push(Slot { id: None, tokens: Vec::new(), used: 0, is_busy: true });
                slots.slots.len() - 1
            }
        };
        let (slot, id) = slots.take(at);
        let opened = id.map_or_else(|| self.llm.open(Urgency::Request, self.options), Ok);
        match opened {
            Ok(id) => {
                slots.slots[slot].id = Some(id);
                Ok(Lease { sessions: self, slot, id })
            }
            Err(error) => {
                // The next one that comes opens it.
                slots.slots[slot].is_busy = false;
                Err(error)
            }
        }
    }
}

impl Lease<'_> {
    /// The session.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Says what the session holds for certain.
    pub fn holds(&self, tokens: Vec<TokenId>) {
        let mut slots = self.sessions.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.slots[self.slot].tokens = tokens;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut slots = self.sessions.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.slots.get_mut(self.slot) {
            slot.is_busy = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(numbers: std::ops::Range<u32>) -> Vec<TokenId> {
        numbers.map(TokenId).collect()
    }

    fn slots(held: &[(Vec<TokenId>, bool)]) -> Slots {
        let slot = |(at, (tokens, is_busy)): (usize, &(Vec<TokenId>, bool))| Slot {
            id: None,
            tokens: tokens.clone(),
            used: at as u64,
            is_busy: *is_busy,
        };
        Slots { most: 2, clock: 9, slots: held.iter().enumerate().map(slot).collect() }
    }

    #[test]
    fn a_conversation_goes_on_in_its_own_session() {
        let both = slots(&[(tokens(0..100), false), (tokens(500..600), false)]);
        assert_eq!(both.place(&tokens(0..130)), Some(Place::In(0)));
        assert_eq!(both.place(&tokens(500..590)), Some(Place::In(1)));
    }

    #[test]
    fn one_without_a_past_gets_a_new_session_or_the_one_used_longest_ago() {
        let one = slots(&[(tokens(0..100), false)]);
        assert_eq!(one.place(&tokens(700..730)), Some(Place::New));
        let both = slots(&[(tokens(0..100), false), (tokens(500..600), false)]);
        assert_eq!(both.place(&tokens(700..730)), Some(Place::In(0)));
        let busy = slots(&[(tokens(0..100), true), (tokens(500..600), false)]);
        assert_eq!(busy.place(&tokens(0..130)), Some(Place::In(1)));
        assert_eq!(slots(&[(tokens(0..9), true), (tokens(5..9), true)]).place(&tokens(0..3)), None);
    }
}
