//! What keeps a flow from its work for now, while it goes on: a source that is away, a store that can't be written. Whoever watches the
//! flow asks for it; what works again is gone from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What fails in a flow at present.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Health {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of the flow fails, and is tried again.
    pub fn fails(&self, part: &'static str, reason: impl Into<String>) {
        self.lock().insert(part, reason.into());
    }

    /// It works, or works again.
    pub fn works(&self, part: &'static str) {
        self.lock().remove(part);
    }

    /// Nothing is known to fail: the flow is started anew.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// What fails, in one text; `None` where all works.
    pub fn error(&self) -> Option<String> {
        let all = self.lock();
        let said: Vec<&str> = all.values().map(String::as_str).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_told_until_it_works_again() {
        let health = Health::default();
        assert_eq!(health.error(), None);
        health.fails("source", "no route to host");
        health.fails("store", "the disk is full");
        health.fails("source", "connection refused");
        assert_eq!(health.error().as_deref(), Some("connection refused; the disk is full"));
        health.works("source");
        assert_eq!(health.error().as_deref(), Some("the disk is full"));
        health.clear();
        assert_eq!(health.error(), None);
    }
}
