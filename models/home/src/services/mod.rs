//! Services: what can be done to entities, domain by domain, with Home Assistant's names, parameters and effects. A call is
//! checked whole (service, entities, parameters, what each entity can do) before anything changes. Leaves out who may call.

mod access;
mod catalogue;
mod comfort;
mod features;
mod field;
mod inputs;
mod light;
mod media;
mod openings;
mod todo;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use catalogue::{SERVICES, Service, service};
pub use field::{Field, FieldKind};
pub use light::colour_named;
pub use todo::{CalendarEvent, MAX_ITEMS};

use crate::domain::Domain;
use crate::model::{Entity, EntityState, Home, difference};

/// One call of a service, as the sentence matcher or a language model makes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceCall {
    /// `light.turn_on`. With `homeassistant.turn_on`, `turn_off` and `toggle` each entity's own domain says what that means.
    pub service: String,
    /// The ids of the entities.
    #[serde(rename = "entity_id")]
    pub entities: Vec<String>,
    /// The parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

impl ServiceCall {
    /// A call of one service for some entities.
    pub fn new<I: Into<String>>(service: impl Into<String>, entities: impl IntoIterator<Item = I>) -> Self {
        Self { service: service.into(), entities: entities.into_iter().map(Into::into).collect(), data: Map::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.data.insert(key.into(), value.into());
        self
    }
}

/// What a call did to one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The entity as it was; [`Home::restore`] takes it back.
    pub before: Entity,
    /// What of its state became another, as it is now. Empty where it was so already.
    pub now: EntityState,
}

impl Change {
    /// The entity's id.
    pub fn entity_id(&self) -> &str {
        &self.before.id
    }
}

/// Why a call was not made. Worded so that it can be spoken; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// There is no such service.
    #[error("there is no service {0}")]
    UnknownService(String),
    /// There is no such entity.
    #[error("there is no {0} in this home")]
    UnknownEntity(String),
    /// No entity was named.
    #[error("it was not said what {0} is for")]
    NoEntity(String),
    /// The service belongs to another domain.
    #[error("the {name} is a {is}, and {service} is not for it")]
    WrongDomain {
        /// The entity's name.
        name: String,
        /// Its domain's noun.
        is: &'static str,
        /// The service.
        service: String,
    },
    /// A parameter is missing, unknown or out of range.
    #[error("{0}")]
    Parameter(String),
    /// The entity can't do it.
    #[error("{0}")]
    Unsupported(String),
}

impl Home {
    /// Calls a service. All entities change, or none does.
    ///
    /// # Errors
    /// [`ServiceError`]
    pub fn apply(&mut self, call: &ServiceCall) -> Result<Vec<Change>, ServiceError> {
        if call.entities.is_empty() {
            return Err(ServiceError::NoEntity(call.service.clone()));
        }
        let mut done: Vec<Entity> = Vec::with_capacity(call.entities.len());
        for id in &call.entities {
            let entity = self.entity(id).ok_or_else(|| ServiceError::UnknownEntity(id.clone()))?;
            if done.iter().any(|other| other.id == *id) {
                continue;
            }
            let mut after = entity.clone();
            run(&mut after, &call.service, &call.data)?;
            done.push(after);
        }
        // A scene and a script change others.
        let mut more: Vec<ServiceCall> =
            done.iter().flat_map(|entity| self.consequences(entity, &call.service)).collect();
        more.truncate(64);
        let saved = (!more.is_empty()).then(|| self.entities.clone());
        let mut changes = Vec::new();
        for after in done {
            changes.extend(self.replace(after));
        }
        for call in more {
            match self.apply(&call) {
                Ok(more) => changes.extend(more),
                Err(error) => {
                    self.entities = saved.unwrap_or_default();
                    return Err(error);
                }
            }
        }
        Ok(changes)
    }

    /// Sets an entity's state and attributes as a reader or another system tells them. Answers whether anything is another now.
    pub fn set_state(&mut self, id: &str, state: Option<&str>, attributes: &Map<String, Value>) -> bool {
        let Some(entity) = self.entity(id) else { return false };
        let mut after = entity.clone();
        if let Some(state) = state {
            state.clone_into(&mut after.state);
        }
        for (key, value) in attributes {
            after.attributes.insert(key.clone(), value.clone());
        }
        settle(&mut after);
        self.replace(after).is_some_and(|change| !change.now.is_empty())
    }

    /// Puts entities back as they were.
    pub fn restore(&mut self, before: &[Change]) {
        for change in before.iter().rev() {
            self.replace(change.before.clone());
        }
    }

    fn replace(&mut self, after: Entity) -> Option<Change> {
        let slot = self.entity_mut(&after.id)?;
        let now = difference(slot, &after);
        let before = std::mem::replace(slot, after);
        Some(Change { before, now })
    }

    /// What turning a scene or a script on calls besides.
    fn consequences(&self, entity: &Entity, service: &str) -> Vec<ServiceCall> {
        let starts = service.ends_with("turn_on") || service.ends_with(".toggle") || service.ends_with("script.run");
        if !starts {
            return Vec::new();
        }
        match entity.domain {
            Domain::Scene => inputs::of_scene(self, entity),
            Domain::Script => inputs::of_script(entity),
            _ => Vec::new(),
        }
    }
}

/// What of a service's name is meant for an entity's own domain: `homeassistant.turn_on` opens a cover.
fn own_name<'a>(entity: &Entity, service: &'a str) -> Result<&'a str, ServiceError> {
    let (domain, name) = service.split_once('.').ok_or_else(|| ServiceError::UnknownService(service.to_owned()))?;
    if domain == entity.domain.as_str() {
        return Ok(name);
    }
    if domain != "homeassistant" {
        return match Domain::from_name(domain) {
            Domain::Other => Err(ServiceError::UnknownService(service.to_owned())),
            _ => Err(ServiceError::WrongDomain {
                name: entity.name.clone(),
                is: entity.domain.noun(),
                service: service.to_owned(),
            }),
        };
    }
    Ok(match (entity.domain, name) {
        (Domain::Cover, "turn_on") => "open_cover",
        (Domain::Cover, "turn_off") => "close_cover",
        (Domain::Valve, "turn_on") => "open_valve",
        (Domain::Valve, "turn_off") => "close_valve",
        (Domain::Lock, "turn_on") => "lock",
        (Domain::Lock, "turn_off") => "unlock",
        (Domain::Vacuum, "turn_on") => "start",
        (Domain::Vacuum, "turn_off") => "return_to_base",
        (Domain::LawnMower, "turn_on") => "start_mowing",
        (Domain::LawnMower, "turn_off") => "dock",
        (Domain::Button | Domain::InputButton, "turn_on") => "press",
        (_, name @ ("turn_on" | "turn_off" | "toggle")) => name,
        _ => return Err(ServiceError::UnknownService(service.to_owned())),
    })
}

fn run(entity: &mut Entity, service: &str, data: &Map<String, Value>) -> Result<(), ServiceError> {
    let name = own_name(entity, service)?;
    let Some(known) = catalogue::service(entity.domain, name) else {
        return Err(match entity.domain.is_read_only() {
            true => {
                ServiceError::Unsupported(format!("the {} only tells its state and cannot be changed", entity.name))
            }
            false => ServiceError::UnknownService(format!("{}.{name}", entity.domain)),
        });
    };
    if entity.state == "unavailable" {
        return Err(ServiceError::Unsupported(format!("the {} cannot be reached", entity.name)));
    }
    let data = Data { fields: known.checked(data, entity)?, name };
    for feature in known.needs {
        if !entity.supports(feature) {
            return Err(ServiceError::Unsupported(format!("the {} cannot {}", entity.name, known.verb)));
        }
    }
    match entity.domain {
        Domain::Light => light::run(entity, &data),
        Domain::Cover | Domain::Valve => openings::run(entity, &data),
        Domain::Lock | Domain::AlarmControlPanel | Domain::Siren => access::run(entity, &data),
        Domain::Climate | Domain::Fan | Domain::Humidifier | Domain::WaterHeater => comfort::run(entity, &data),
        Domain::MediaPlayer => media::run(entity, &data),
        Domain::Todo | Domain::Calendar => todo::run(entity, &data),
        _ => inputs::run(entity, &data),
    }?;
    settle(entity);
    Ok(())
}

/// The checked parameters of one call.
struct Data<'a> {
    fields: Map<String, Value>,
    /// The service's name without its domain.
    name: &'a str,
}

impl Data<'_> {
    fn number(&self, key: &str) -> Option<f64> {
        self.fields.get(key).and_then(Value::as_f64)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key).and_then(Value::as_str)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.fields.get(key).and_then(Value::as_bool)
    }
}

/// Brings what a file or a service set into the form in which Home Assistant shows it: which attributes there are follows from
/// the state.
pub(crate) fn settle(entity: &mut Entity) {
    read_features(entity);
    if let Some(class) = entity.attributes.get("device_class").and_then(Value::as_str)
        && class.contains('.')
    {
        let short = class.rsplit('.').next().unwrap_or_default().to_lowercase();
        entity.attributes.insert("device_class".to_owned(), short.into());
    }
    if let Some(class) = entity.attributes.get("state_class").and_then(Value::as_str)
        && class.contains('.')
    {
        let short = class.rsplit('.').next().unwrap_or_default().to_lowercase();
        entity.attributes.insert("state_class".to_owned(), short.into());
    }
    match entity.domain {
        Domain::Light => light::settle(entity),
        Domain::Cover | Domain::Valve => openings::settle(entity),
        Domain::Lock | Domain::AlarmControlPanel | Domain::Siren => access::settle(entity),
        Domain::Climate | Domain::Fan | Domain::Humidifier | Domain::WaterHeater => comfort::settle(entity),
        Domain::MediaPlayer => media::settle(entity),
        Domain::Todo | Domain::Calendar => todo::settle(entity),
        _ => inputs::settle(entity),
    }
}

/// Features are kept apart from the attributes: `light.LightEntityFeature.EFFECT` is `EFFECT`, a number is its bits.
fn read_features(entity: &mut Entity) {
    let Some(found) = entity.attributes.get("supported_features") else { return };
    let features = match found {
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|text| text.rsplit('.').next().unwrap_or_default().to_uppercase())
            .collect(),
        Value::Number(bits) => {
            let bits = bits.as_u64().unwrap_or(0);
            features::feature_bits(entity.domain)
                .iter()
                .filter(|(bit, _)| bits & bit != 0)
                .map(|(_, name)| (*name).to_owned())
                .collect()
        }
        _ => return,
    };
    entity.features = Some(features);
}

/// The words `on` and `off` for what files write for them.
fn on_off(state: &str) -> Option<&'static str> {
    match state.to_lowercase().as_str() {
        "on" | "true" | "yes" => Some("on"),
        "off" | "false" | "no" => Some("off"),
        _ => None,
    }
}

/// Where a service of the forms `turn_on`, `turn_off` and `toggle` leads.
fn switched(entity: &Entity, name: &str) -> Option<bool> {
    match name {
        "turn_on" => Some(true),
        "turn_off" => Some(false),
        "toggle" => Some(!entity.is_active()),
        _ => None,
    }
}

fn unsupported(entity: &Entity, what: &str) -> ServiceError {
    ServiceError::Unsupported(format!("the {} cannot {what}", entity.name))
}

/// A number without the noise of its last binary digits.
fn tidy(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// As JSON: whole numbers as integers.
fn number(value: f64) -> Value {
    let value = tidy(value);
    if value.fract() == 0.0 && value.abs() < 9e15 { Value::from(value as i64) } else { Value::from(value) }
}
