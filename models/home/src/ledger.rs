//! What was done: the last actions with what they changed, so that they can be told and undone.

use std::collections::VecDeque;

use crate::model::Home;
use crate::services::{Change, ServiceCall};

/// The most actions that are kept.
pub const MAX_ACTIONS: usize = 100;

/// One request that changed something.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// When, as it is told: "14:05".
    pub when: String,
    /// What was asked.
    pub request: String,
    /// The calls.
    pub calls: Vec<ServiceCall>,
    /// What they changed.
    pub changes: Vec<Change>,
}

/// The last actions, the newest last.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    actions: VecDeque<Action>,
}

/// What undoing came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Undone {
    /// The actions taken back, the newest first.
    pub actions: Vec<Action>,
    /// The names of what was put back.
    pub restored: Vec<String>,
    /// The names of what was not, since somebody else has changed it after.
    pub changed_since: Vec<String>,
}

impl Ledger {
    /// Adds an action. One that changed nothing is not kept: there is nothing to undo.
    pub fn record(&mut self, action: Action) {
        if action.changes.iter().all(|change| change.now.is_empty()) {
            return;
        }
        if self.actions.len() >= MAX_ACTIONS {
            self.actions.pop_front();
        }
        self.actions.push_back(action);
    }

    /// The last actions, the newest first.
    pub fn last(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().rev()
    }

    /// The ids of what the last actions changed, the newest first.
    pub fn recent_entities(&self) -> impl Iterator<Item = &str> {
        self.last().flat_map(|action| action.changes.iter().map(Change::entity_id))
    }

    /// Takes back the last actions, as many as are there. What somebody else changed since stays as it is.
    pub fn undo(&mut self, home: &mut Home, count: usize) -> Undone {
        let mut undone = Undone::default();
        for _ in 0..count {
            let Some(action) = self.actions.pop_back() else { break };
            for change in action.changes.iter().rev().filter(|change| !change.now.is_empty()) {
                let Some(entity) = home.entity(change.entity_id()) else { continue };
                let name = entity.name.clone();
                let is_ours =
                    change.now.state.as_ref().is_none_or(|state| *state == entity.state)
                        && change.now.attributes.iter().all(|(key, value)| {
                            entity.attributes.get(key).unwrap_or(&serde_json::Value::Null) == value
                        });
                let names = if is_ours { &mut undone.restored } else { &mut undone.changed_since };
                if !names.contains(&name) {
                    names.push(name);
                }
                if is_ours {
                    home.restore(std::slice::from_ref(change));
                }
            }
            undone.actions.push(action);
        }
        undone
    }
}
