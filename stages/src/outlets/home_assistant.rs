//! Deliveries over MQTT, announced to Home Assistant by its discovery protocol: a sensor whose state is the text and whose
//! attributes are the whole.
//!
//! A broker may refuse a single message (its size, an access list). With MQTT 5 it says so; with 3.1.1 it either closes the
//! connection, or acknowledges the message and drops it. The first is recognised by its repetition with this one message, the
//! second by subscribing to our own topic: a message that does not come back has not arrived.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::{Value, json};

use super::{Delivery, DeliveryError, Outlet, Pause};
use crate::mqtt::{CloseStreak, ConnectOptions, Connection, Message, MqttError, Version, Will, code};

/// Home Assistant takes no longer state than 255 characters.
const STATE_CHARS: usize = 250;
/// A message is set aside after so many refusals that don't say that they are final,
const STRIKES: u32 = 3;
/// so long apart,
const STRIKE_PAUSE: Duration = Duration::from_millis(300);
/// or so many where the broker may only be full at the moment.
const QUOTA_STRIKES: u32 = 8;
/// With 3.1.1 a message that was acknowledged comes back within this time.
const ECHO: Duration = Duration::from_secs(2);

/// Between attempts to open a live sensor's connection while nothing is delivered.
const REOPEN: Duration = Duration::from_secs(15);

/// How long the broker may take with the last word of a connection.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How deliveries are published.
pub struct HomeAssistantOptions {
    /// The broker.
    pub connect: ConnectOptions,
    /// What the sensor is called, there and in topics: `report`, `caption`.
    pub object: String,
    /// What this installation is called there: letters, digits, `_` and `-`.
    pub installation: String,
    /// What Home Assistant shows as the device's name.
    pub device: String,
    /// Where discovery messages go, usually `homeassistant`; empty: none are sent.
    pub discovery_prefix: String,
    /// Whether, with MQTT 3.1.1, a message must come back to count as delivered.
    pub confirm: bool,
    /// Whether the sensor says what is so now, as a camera's caption does: then it is unavailable while nobody is there to change it.
    /// A report stays as it was delivered.
    pub is_live: bool,
}

/// A broker to which deliveries go.
pub struct HomeAssistant {
    options: HomeAssistantOptions,
    connection: Option<Connection>,
    opened: Instant,
    last_used: Instant,
    streak: CloseStreak,
    /// The message that exceeded a quota, and how often.
    over_quota: Option<(String, u32)>,
    announcement_refused: bool,
    /// When a live sensor's connection is opened next, if there is none.
    next_open: Instant,
}

/// How one attempt failed.
enum Failed {
    /// The connection, or the broker as a whole.
    Connection(MqttError),
    /// The message had been sent when this happened.
    Sent(MqttError),
    /// It was acknowledged, and did not come back.
    Unconfirmed,
}

impl HomeAssistant {
    /// Deliveries go to `nearfield/INSTALLATION/OBJECT/state` at the broker.
    pub fn new(mut options: HomeAssistantOptions) -> HomeAssistant {
        options.discovery_prefix = options.discovery_prefix.trim_matches('/').to_owned();
        let now = Instant::now();
        HomeAssistant {
            options,
            connection: None,
            opened: now,
            last_used: now,
            streak: CloseStreak::default(),
            over_quota: None,
            announcement_refused: false,
            next_open: now,
        }
    }

    fn state_topic(&self) -> String {
        format!("nearfield/{}/{}/state", self.options.installation, self.options.object)
    }

    /// Where a live sensor says whether somebody is there: `online`, `offline`.
    fn availability_topic(&self) -> String {
        format!("nearfield/{}/{}/available", self.options.installation, self.options.object)
    }

    /// The message by which Home Assistant learns of the sensor.
    fn announcement(&self) -> (String, Value) {
        let HomeAssistantOptions { object, installation, device, discovery_prefix, .. } = &self.options;
        let topic = format!("{discovery_prefix}/sensor/nearfield_{installation}/{object}/config");
        let mut body = json!({
            "name": object,
            "unique_id": format!("nearfield_{installation}_{object}"),
            "state_topic": self.state_topic(),
            "value_template": format!("{{{{ value_json.text[:{STATE_CHARS}] }}}}"),
            "json_attributes_topic": self.state_topic(),
            "icon": "mdi:text-box-outline",
            "device": {"identifiers": [format!("nearfield_{installation}")], "name": device},
        });
        if self.options.is_live {
            body["availability_topic"] = json!(self.availability_topic());
        }
        (topic, body)
    }

    fn is_confirmed_by_echo(&self) -> bool {
        self.options.confirm && self.options.connect.version == Version::V3
    }

    fn open(&mut self, announce: bool) -> Result<Connection, MqttError> {
        let will = Will { topic: self.availability_topic(), payload: b"offline".to_vec() };
        let will = self.options.is_live.then_some(&will);
        let mut connection = Connection::open_with(&self.options.connect, will)?;
        self.opened = Instant::now();
        if self.is_confirmed_by_echo() {
            match connection.subscribe_at(&[self.state_topic()], 0, &mut |_| {}) {
                Err(MqttError::Refused { .. }) => {
                    self.options.confirm = false;
                    tracing::warn!(
                        "{}: MQTT 3.1.1 does not tell whether a message was dropped, and this user may not read {} to find \
                         out: allow it, or set mqtt.version = \"5\"",
                        self.name(),
                        self.state_topic()
                    );
                }
                done => done?,
            }
        }
        if announce && !self.options.discovery_prefix.is_empty() && !self.announcement_refused {
            let (topic, body) = self.announcement();
            match connection.publish(&topic, body.to_string().as_bytes(), true, &mut |_| {}) {
                Err(error @ MqttError::MessageRefused { .. }) => {
                    // The deliveries themselves may be allowed. On another connection, since some brokers close one on which
                    // they have refused a message (mosquitto 2.0.11 without a limit of its queues).
                    self.announcement_refused = true;
                    let hint = "allow this user to write the topic, or set outlets.discovery_prefix = \"\"";
                    tracing::warn!("{}: {error}; Home Assistant is not told at {topic}: {hint}", self.name());
                    connection.close();
                    return self.open(false);
                }
                done => done?,
            }
        }
        self.say_online(&mut connection)?;
        Ok(connection)
    }

    /// Of a live sensor: somebody is there. A broker that does not take that keeps the sensor unavailable, and may take deliveries.
    fn say_online(&self, connection: &mut Connection) -> Result<(), MqttError> {
        if !self.options.is_live {
            return Ok(());
        }
        match connection.publish(&self.availability_topic(), b"online", true, &mut |_| {}) {
            Err(error @ MqttError::MessageRefused { .. }) => {
                let topic = self.availability_topic();
                tracing::warn!("{}: {error}: allow this user to write {topic}", self.name());
                Ok(())
            }
            done => done,
        }
    }

    fn publish(&mut self, topic: &str, payload: &[u8], announce: bool) -> Result<(), Failed> {
        if self.connection.is_none() {
            self.connection = Some(self.open(announce).map_err(Failed::Connection)?);
        }
        let by_echo = self.is_confirmed_by_echo();
        let connection = self.connection.as_mut().expect("it has just been made");
        let mut came_back = false;
        let mut take = |message: Message| {
            came_back |= message.topic == topic && (!message.whole || message.payload == payload);
        };
        connection.publish(topic, payload, true, &mut take).map_err(Failed::Sent)?;
        if by_echo {
            connection.set_read_timeout(Duration::from_millis(100)).map_err(Failed::Sent)?;
            let begun = Instant::now();
            while !came_back {
                match connection.message().map_err(Failed::Sent)? {
                    Some(message) => {
                        came_back |= message.topic == topic && (!message.whole || message.payload == payload)
                    }
                    None if begun.elapsed() > ECHO => return Err(Failed::Unconfirmed),
                    None => _ = connection.receive().map_err(Failed::Sent)?,
                }
            }
            connection.set_read_timeout(Duration::from_secs(10)).map_err(Failed::Sent)?;
        }
        self.last_used = Instant::now();
        Ok(())
    }

    /// What a failure means, after `tries` attempts at this delivery.
    fn judge(&mut self, delivery: &Delivery, failed: Failed, tries: u32) -> DeliveryError {
        let held = match &failed {
            Failed::Connection(_) => None,
            _ => Some(self.opened.elapsed()),
        };
        match failed {
            Failed::Connection(error) => {
                let permanent = matches!(error, MqttError::Refused { permanent: true, .. } | MqttError::Tls(_));
                let reason = self.streak.explain(&error, held, &self.options.connect.client_id);
                DeliveryError::Retry(anyhow!(reason), if permanent { Pause::Long } else { Pause::Short })
            }
            Failed::Unconfirmed => DeliveryError::Refused(anyhow!(
                "the broker acknowledged the message and did not pass it on to its own topic, {}, {tries} times: its size or an \
                 access list forbids it; mqtt.version = \"5\" tells which (if this user may write but not read that topic, set \
                 outlets.mqtt_confirm = false)",
                self.state_topic()
            )),
            Failed::Sent(error @ MqttError::MessageRefused { code: code::QUOTA_EXCEEDED, .. }) => {
                let so_far = self.over_quota.take().filter(|(id, _)| *id == delivery.id).map_or(0, |(_, n)| n) + 1;
                if so_far >= QUOTA_STRIKES {
                    return DeliveryError::Refused(anyhow!("{error}, {so_far} times"));
                }
                self.over_quota = Some((delivery.id.clone(), so_far));
                DeliveryError::Retry(error.into(), Pause::Short)
            }
            Failed::Sent(error) => {
                let strikes = strikes(&error);
                // It is this message only if the broker leaves a connection alone on which we don't send it.
                if tries >= strikes && (strikes == 1 || self.is_at_ease()) {
                    let times = if tries > 1 {
                        format!(", {tries} times, each time it gets this message")
                    } else {
                        String::new()
                    };
                    return DeliveryError::Refused(anyhow!("{error}{times}"));
                }
                let reason = self.streak.explain(&error, held, &self.options.connect.client_id);
                DeliveryError::Retry(anyhow!(reason), Pause::Short)
            }
        }
    }

    /// Whether a connection without the message is left alone.
    fn is_at_ease(&mut self) -> bool {
        let Ok(mut connection) = self.open(false) else { return false };
        let calm = connection.ping().is_ok() && {
            std::thread::sleep(Duration::from_millis(500));
            connection.ping().is_ok()
        };
        if calm {
            self.last_used = Instant::now();
            self.connection = Some(connection);
        }
        calm
    }
}

impl Outlet for HomeAssistant {
    fn name(&self) -> String {
        format!("outlet {}", self.options.connect.url)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.options.is_live.then(|| match self.connection {
            Some(_) => self.last_used + self.options.connect.keep_alive / 2,
            None => self.next_open,
        })
    }

    /// Keeps a live sensor's connection open, with which the broker knows that we are there.
    fn wake(&mut self) {
        let said = match self.connection.take() {
            Some(mut connection) => self.say_online(&mut connection).map(|()| connection),
            None => self.open(true),
        };
        match said {
            Ok(connection) => (self.connection, self.last_used) = (Some(connection), Instant::now()),
            Err(error) => {
                // The next delivery tells it, if it is still so then.
                tracing::debug!("{}: {error}", self.name());
                self.next_open = Instant::now() + REOPEN;
            }
        }
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), DeliveryError> {
        let topic = self.state_topic();
        let mut body = delivery.body.clone();
        if let Some(body) = body.as_object_mut() {
            // What the announcement calls the state.
            body.entry("text").or_insert_with(|| json!(delivery.text));
        }
        let payload = body.to_string().into_bytes();
        if self.last_used.elapsed() > self.options.connect.keep_alive {
            // Nobody has kept it alive since the last delivery.
            if let Some(connection) = self.connection.take() {
                connection.close();
            }
        }
        let was_open = self.connection.is_some();
        let mut outcome = self.publish(&topic, &payload, true);
        if was_open && matches!(outcome, Err(Failed::Sent(MqttError::Closed { .. } | MqttError::Unreachable { .. }))) {
            // The broker may have closed an idle connection: that tells nothing of the message.
            self.connection = None;
            outcome = self.publish(&topic, &payload, true);
        }
        let mut tries = 1;
        loop {
            let failed = match outcome {
                Ok(()) => {
                    self.over_quota = None;
                    return Ok(());
                }
                Err(failed) => failed,
            };
            // Also after a message that is refused by itself: see `open`.
            self.connection = None;
            let strikes = match &failed {
                Failed::Sent(error) => strikes(error),
                Failed::Unconfirmed => STRIKES,
                Failed::Connection(_) => u32::MAX,
            };
            if tries >= strikes || strikes == u32::MAX {
                return Err(self.judge(delivery, failed, tries));
            }
            std::thread::sleep(STRIKE_PAUSE);
            tries += 1;
            // With 3.1.1 it may have been the announcement that the broker did not like.
            outcome = self.publish(&topic, &payload, false);
        }
    }
}

/// After how many attempts at one message this refusal means the message itself; never: `u32::MAX`.
fn strikes(error: &MqttError) -> u32 {
    match error {
        MqttError::MessageRefused { code: code::QUOTA_EXCEEDED, .. } => u32::MAX,
        MqttError::MessageRefused { code: code::UNSPECIFIED | code::IMPLEMENTATION, .. } | MqttError::Closed { .. } => {
            STRIKES
        }
        MqttError::MessageRefused { .. } | MqttError::Ended { code: code::PACKET_TOO_LARGE, .. } => 1,
        // Malformed packet up to implementation specific, not authorized, topic, payload, no retained messages, no such quality
        // of service. The others are about a broker that ends or is busy, or about another client.
        MqttError::Ended {
            code: 0x80..=0x83 | code::NOT_AUTHORIZED | code::TOPIC_INVALID | code::PAYLOAD_FORMAT | 0x9a | 0x9b,
            ..
        } => STRIKES,
        _ => u32::MAX,
    }
}

impl Drop for HomeAssistant {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            // A broker that does not answer tells it itself, when it finds the connection gone.
            if self.options.is_live && connection.set_read_timeout(LAST_WORDS).is_ok() {
                let _ = connection.publish(&self.availability_topic(), b"offline", true, &mut |_| {});
            }
            connection.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet(is_live: bool) -> HomeAssistant {
        HomeAssistant::new(HomeAssistantOptions {
            connect: ConnectOptions::to_nobody(),
            object: "caption".to_owned(),
            installation: "house".to_owned(),
            device: "Nearfield (house)".to_owned(),
            discovery_prefix: "homeassistant".to_owned(),
            confirm: true,
            is_live,
        })
    }

    #[test]
    fn a_live_sensor_has_an_availability_and_asks_to_keep_its_connection_and_a_report_has_none() {
        let mut live = outlet(true);
        assert_eq!(live.announcement().1["availability_topic"], json!("nearfield/house/caption/available"));
        assert!(live.wake_at().is_some_and(|at| at <= Instant::now()), "it connects at once");
        // Nobody listens there: it is tried again, later.
        live.wake();
        assert!(live.connection.is_none() && live.wake_at().is_some_and(|at| at > Instant::now() + REOPEN / 2));
        let report = outlet(false);
        assert!(report.announcement().1.get("availability_topic").is_none() && report.wake_at().is_none());
    }
}
