//! A home as areas, floors, devices and entities, as in Home Assistant; the services that change it; the sentences people say
//! about it; policy, and a ledger of actions with undo. No threads, clocks, devices or network.

mod domain;
mod error;
mod file;
pub mod inventory;
mod model;
pub mod rooms;
pub mod services;

pub use domain::Domain;
pub use error::{FormatError, HomeError, MAX_HOME_BYTES};
pub use file::HomeFile;
pub use model::{Area, Device, Entity, EntityState, Floor, Home, MAX_THINGS, ModelError, slug};
pub use services::{Change, ServiceCall, ServiceError};
