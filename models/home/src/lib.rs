//! A home as areas, floors, devices and entities, as in Home Assistant; the services that change it; the sentences people say
//! about it; policy, and a ledger of actions with undo. No threads, clocks, devices or network.

mod domain;
mod error;
mod file;
mod household;
pub mod inventory;
mod ledger;
mod model;
mod policy;
pub mod prompt;
mod remembered;
pub mod rooms;
pub mod sentences;
pub mod services;
pub mod spoken;
pub mod tools;
pub mod yaml;

pub use domain::Domain;
pub use error::{FormatError, HomeError, MAX_HOME_BYTES};
pub use file::HomeFile;
pub use household::{Asking, Household, Outcome, done};
pub use ledger::{Action, Ledger, MAX_ACTIONS, Undone};
pub use model::{Area, Device, Entity, EntityState, Floor, Home, MAX_THINGS, ModelError, slug};
pub use policy::{Confirm, Guard, Origin, Policy, Rule, Verdict};
pub use remembered::{MAX_NOTE_CHARS, MAX_NOTES, Remembered, RememberedError, RememberedNote};
pub use services::{Change, ServiceCall, ServiceError};
