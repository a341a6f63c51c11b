//! A home as areas, floors, devices and entities, as in Home Assistant; the services that change it; the sentences people say
//! about it; policy, and a ledger of actions with undo.
//!
//! ```
//! use nearfield_home::sentences::{Matcher, Outcome, Setting, Step};
//! use nearfield_home::inventory::Inventory;
//!
//! let mut home = Inventory::parse(
//!     "{areas: [{id: hall, name: Hall}], entities: [{id: light.hall, name: Hall Light, area: hall, state: 'off'}]}",
//! )?.home()?;
//! let now = jiff::civil::date(2026, 11, 20).at(18, 0, 0, 0);
//! let setting = Setting { home: &home, area: None, now, last: &[], before: None, has_timers: false };
//! let Outcome::Do(steps) = Matcher::english()?.understand("Turn on the hall light", &setting) else { panic!() };
//! let Step::Act(reading) = &steps[0] else { panic!() };
//! for call in &reading.calls {
//!     home.apply(call)?;
//! }
//! assert_eq!(home.entity("light.hall").map(|light| light.state.as_str()), Some("on"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Household`] adds the policy, the ledger and the file. Absent on purpose: threads, clocks, devices, network.

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
pub use household::{Asking, Household, Outcome, done, wanted};
pub use ledger::{Action, Ledger, MAX_ACTIONS, Undone};
pub use model::{Area, Device, Entity, EntityState, Floor, Home, MAX_THINGS, ModelError, slug};
pub use policy::{Confirm, Guard, Origin, Policy, Rule, Verdict};
pub use remembered::{MAX_NOTE_CHARS, MAX_NOTES, Remembered, RememberedError, RememberedNote};
pub use services::{Change, ServiceCall, ServiceError};
