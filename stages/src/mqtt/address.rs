//! A broker's address.

use std::fmt;
use std::str::FromStr;

use nearfield_base::redact::redacted;

/// A broker's address: `mqtt://host:1883/topic/filter` or `mqtts://host:8883/topic/filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttUrl {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What stands behind the host; empty: `#`.
    pub topic: String,
}

impl FromStr for MqttUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = redacted(text);
        let wrong =
            |what: &str| format!("{shown:?} is not a broker's address: {what}; write it as mqtt://host:1883/home/#");
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(wrong("it begins with neither mqtt:// nor mqtts://")),
        };
        let (authority, topic) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(wrong("user and password belong into mqtt.user and mqtt.password_file"));
        }
        let port_of = |p: &str| p.parse::<u16>().map_err(|_| wrong("the port is not a number"));
        let default = if tls { 8883 } else { 1883 };
        let (host, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').map_or(Ok(default), port_of)?),
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, port_of(port)?),
                None => (authority, default),
            },
        };
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        Ok(MqttUrl { tls, host: host.to_owned(), port, topic: topic.to_owned() })
    }
}

impl fmt::Display for MqttUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_refused_with_the_reason() {
        let url: MqttUrl = "mqtts://hub.local/home/+/temperature".parse().unwrap();
        assert_eq!((url.tls, url.port, url.topic.as_str()), (true, 8883, "home/+/temperature"));
        let url: MqttUrl = "mqtt://[::1]:2883".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.topic.as_str()), ("::1", 2883, ""));
        for wrong in ["http://x", "mqtt://", "mqtt://host:many", "mqtt://user:pw@host/x"] {
            assert!(wrong.parse::<MqttUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_in_a_brokers_address_is_refused_without_repeating_it() {
        let error = "mqtt://user:geheim@hub/x".parse::<MqttUrl>().unwrap_err();
        assert!(error.contains("mqtt.password_file") && !error.contains("geheim"), "{error}");
    }
}
