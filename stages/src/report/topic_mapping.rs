//! Which messages of a broker hold which readings, as a configuration says it.

use serde::{Deserialize, Serialize};

/// Which topics hold what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TopicMapping {
    /// The topics, with MQTT's wildcards.
    #[schemars(example = &"zigbee2mqtt/+/climate")]
    pub topic: String,
    /// The sensor's key; `{1}` is what stands where the first wildcard is, `{topic}` the whole topic. Empty: the topic, with the
    /// key of the value where a message holds several.
    #[schemars(example = &"{1} temperature")]
    pub sensor: String,
    /// Where in a JSON message the value is, as in `temperature` or `values[0].t`; empty: the whole message, or every number in it.
    #[schemars(example = &"temperature")]
    pub value: String,
    /// Where in a JSON message the time is; empty: `timestamp`, `time` or `ts` if there is one, else when the message came.
    #[schemars(example = &"last_seen")]
    pub time: String,
    /// The unit.
    #[schemars(example = &"°C")]
    pub unit: String,
}

#[cfg(feature = "mqtt")]
impl TopicMapping {
    /// The sensor's key by the mapping.
    pub(crate) fn key(&self, topic: &str) -> String {
        if self.sensor.is_empty() {
            return topic.to_owned();
        }
        let mut key = self.sensor.replace("{topic}", topic);
        let wild = self.topic.split('/').zip(topic.split('/')).filter(|(f, _)| *f == "+" || *f == "#");
        for (n, (_, part)) in wild.enumerate() {
            key = key.replace(&format!("{{{}}}", n + 1), part);
        }
        key
    }
}
