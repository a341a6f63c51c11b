//! Deliveries over MQTT, announced to Home Assistant by its discovery protocol: a sensor whose state is the text and whose
//! attributes are the whole.

use serde_json::{Value, json};

use super::{Delivery, Failed, Outlet};
use crate::mqtt::{ConnectOptions, Connection, MqttError};

/// Home Assistant takes no longer state than 255 characters.
const STATE_CHARS: usize = 250;

/// A broker to which deliveries go.
pub struct HomeAssistant {
    connect: ConnectOptions,
    connection: Option<Connection>,
    /// What the sensor is called, there and in topics: `report`, `caption`.
    object: String,
    /// Where discovery messages go, usually `homeassistant`; empty: none are sent.
    discovery_prefix: String,
}

impl HomeAssistant {
    /// Deliveries of the kind `object` go to `nearfield/OBJECT/state` at the broker.
    pub fn new(connect: ConnectOptions, object: &str, discovery_prefix: &str) -> HomeAssistant {
        HomeAssistant {
            connect,
            connection: None,
            object: object.to_owned(),
            discovery_prefix: discovery_prefix.trim_matches('/').to_owned(),
        }
    }

    fn state_topic(&self) -> String {
        format!("nearfield/{}/state", self.object)
    }

    /// The message by which Home Assistant learns of the sensor.
    fn announcement(&self) -> (String, Value) {
        let object = &self.object;
        let topic = format!("{}/sensor/nearfield/{object}/config", self.discovery_prefix);
        let body = json!({
            "name": object,
            "unique_id": format!("nearfield_{object}"),
            "state_topic": self.state_topic(),
            "value_template": format!("{{{{ value_json.text[:{STATE_CHARS}] }}}}"),
            "json_attributes_topic": self.state_topic(),
            "icon": "mdi:text-box-outline",
            "device": {"identifiers": ["nearfield"], "name": "Nearfield"},
        });
        (topic, body)
    }

    fn publish(&mut self, delivery: &Delivery) -> Result<(), MqttError> {
        let state_topic = self.state_topic();
        if self.connection.is_none() {
            let mut connection = Connection::open(&self.connect)?;
            if !self.discovery_prefix.is_empty() {
                let (topic, body) = self.announcement();
                connection.publish(&topic, body.to_string().as_bytes(), true)?;
            }
            self.connection = Some(connection);
        }
        let connection = self.connection.as_mut().expect("it has just been made");
        let mut body = delivery.body.clone();
        if let Some(body) = body.as_object_mut() {
            // What the announcement calls the state.
            body.entry("text").or_insert_with(|| json!(delivery.text));
        }
        connection.publish(&state_topic, body.to_string().as_bytes(), true)
    }
}

impl Outlet for HomeAssistant {
    fn name(&self) -> String {
        format!("outlet {}", self.connect.url)
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Failed> {
        // Between two reports the broker may well have closed an idle connection: a second try gets a new one.
        let was_open = self.connection.is_some();
        let mut outcome = self.publish(delivery);
        if outcome.is_err() {
            self.connection = None;
            if was_open {
                outcome = self.publish(delivery);
            }
        }
        outcome.map_err(|error| {
            self.connection = None;
            Failed::ForNow(error.into())
        })
    }
}

impl Drop for HomeAssistant {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }
}
