//! MQTT 3.1.1 and 5 over TCP or TLS, as much of it as a source and an outlet need: connect, subscribe, receive at QoS 0 and 1
//! with acknowledgements sent when we say so, publish at QoS 1, keep alive. One blocking connection, no threads of its own.
//!
//! Written here because the crates bring an async runtime, or are codecs without the connection. Packets from the broker are
//! bounded in length before anything is allocated. Sources: OASIS MQTT 3.1.1 and MQTT 5.0.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A packet from the broker is read up to this length; the payload of a longer message is passed over.
const MAX_PACKET: usize = 1 << 20;
/// The longest topic with its length, and a message's number.
const TOPIC_AND_NUMBER: usize = 2 + 65_535 + 2;
/// Bytes read at once.
const BLOCK: usize = 64 << 10;
/// Messages that the broker may leave unacknowledged; MQTT 5 tells it so.
const RECEIVE_MAXIMUM: u16 = 10_000;

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub enum Version {
    /// 3.1.1.
    #[serde(rename = "3.1.1")]
    V3,
    /// 5.0.
    #[serde(rename = "5")]
    V5,
}

impl<'de> Deserialize<'de> for Version {
    /// "3.1.1", "5", or the number 5, as people write it.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Number(5)) => Ok(Version::V5),
            Ok(Written::Text(text)) if text == "5" => Ok(Version::V5),
            Ok(Written::Text(text)) if text == "3.1.1" => Ok(Version::V3),
            _ => Err(serde::de::Error::custom("the version of MQTT must be \"3.1.1\" or \"5\"")),
        }
    }
}

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
        let wrong = |what: &str| format!("{text:?} is no broker: {what}; write it as mqtt://host:1883/home/#");
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(wrong("it begins with neither mqtt:// nor mqtts://")),
        };
        let (authority, topic) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(wrong("user and password belong into mqtt.user and mqtt.password_file"));
        }
        let port_of = |p: &str| p.parse::<u16>().map_err(|_| wrong("the port is no number"));
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

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Where.
    pub url: MqttUrl,
    /// Which protocol.
    pub version: Version,
    /// Who we are; the broker keeps what it has for us under this name.
    pub client_id: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Authorities to trust instead of the well-known ones, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Whether the broker shall keep messages for us while we are away.
    pub keep_session: bool,
    /// How often we say that we are still there.
    pub keep_alive: Duration,
}

/// What went wrong between us and a broker.
#[derive(Debug, Error)]
pub enum MqttError {
    /// Nobody there, or the line broke.
    #[error("the broker {broker} can't be reached: {reason}")]
    Unreachable {
        /// The broker.
        broker: String,
        /// The system's word.
        reason: String,
    },
    /// The broker does not want us.
    #[error("the broker {broker} refuses the connection: {reason}")]
    Refused {
        /// The broker.
        broker: String,
        /// Its reason.
        reason: String,
        /// Whether it will be the same until somebody changes the configuration.
        permanent: bool,
    },
    /// The broker has ended the connection, and said why (MQTT 5).
    #[error("the broker {broker} ended the connection: {reason}")]
    Ended {
        /// The broker.
        broker: String,
        /// Its reason code.
        code: u8,
        /// The code in words.
        reason: String,
    },
    /// The connection has ended without a word.
    #[error("the broker {broker} closed the connection without a reason")]
    Closed {
        /// The broker.
        broker: String,
    },
    /// The broker does not take this one message.
    #[error("the broker {broker} refuses the message: {reason}")]
    MessageRefused {
        /// The broker.
        broker: String,
        /// Its reason code.
        code: u8,
        /// The code in words.
        reason: String,
    },
    /// What it says is no MQTT.
    #[error("the broker {broker} says what is no MQTT: {reason}")]
    Protocol {
        /// The broker.
        broker: String,
        /// What is wrong.
        reason: String,
    },
    /// Our side of TLS can't be set up.
    #[error("TLS can't be used: {0}")]
    Tls(String),
}

/// A message from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Its number, to be acknowledged; `None` at QoS 0.
    pub number: Option<u16>,
    /// Whether its payload was read; one of more than a mebibyte was not.
    pub whole: bool,
}

/// What the broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Packet {
    Publish(Message),
    /// (number, reason code, what the broker adds)
    Puback(u16, u8, Properties),
    Suback(Vec<u8>),
    Connack(u8, Properties),
    Pingresp,
    Disconnect(u8, Properties),
    Other,
}

/// What a broker says of itself and its reasons in MQTT 5's properties; everything is empty with 3.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Properties {
    maximum_packet: Option<u32>,
    maximum_qos: Option<u8>,
    retain_available: Option<u8>,
    server_keep_alive: Option<u16>,
    reason: Option<String>,
    other_server: Option<String>,
}

/// Reason codes of MQTT 5 that decide what is done.
pub mod code {
    /// Unspecified error.
    pub const UNSPECIFIED: u8 = 0x80;
    /// Implementation specific error.
    pub const IMPLEMENTATION: u8 = 0x83;
    /// Not authorized.
    pub const NOT_AUTHORIZED: u8 = 0x87;
    /// Session taken over.
    pub const TAKEN_OVER: u8 = 0x8e;
    /// Topic name invalid.
    pub const TOPIC_INVALID: u8 = 0x90;
    /// Packet too large.
    pub const PACKET_TOO_LARGE: u8 = 0x95;
    /// Quota exceeded.
    pub const QUOTA_EXCEEDED: u8 = 0x97;
    /// Payload format invalid.
    pub const PAYLOAD_FORMAT: u8 = 0x99;
}

trait Line: Read + Write + Send {}
impl<T: Read + Write + Send> Line for T {}

/// An open connection.
pub struct Connection {
    line: Box<dyn Line>,
    socket: TcpStream,
    broker: String,
    client_id: String,
    version: Version,
    keep_alive: Duration,
    /// What the broker takes.
    limits: Properties,
    inbox: Vec<u8>,
    taken: usize,
    /// Bytes of a message that is too long, still to come.
    skip: usize,
    outbox: Vec<u8>,
    last_sent: Instant,
    last_heard: Instant,
    next_number: u16,
}

impl Connection {
    /// Connects and says who we are.
    ///
    /// # Errors
    /// The broker can't be reached, refuses, or is none.
    pub fn open(options: &ConnectOptions) -> Result<Connection, MqttError> {
        let broker = options.url.to_string();
        let unreachable = |reason: String| MqttError::Unreachable { broker: broker.clone(), reason };
        let addresses = (options.url.host.as_str(), options.url.port).to_socket_addrs();
        let mut last = "its name has no address".to_owned();
        let mut socket = None;
        let no_address = |e: std::io::Error| {
            let host = &options.url.host;
            unreachable(format!(
                "no address is known for the host {host:?} ({e}): check the name and this machine's DNS"
            ))
        };
        for address in addresses.map_err(no_address)? {
            match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
                Ok(connected) => {
                    socket = Some(connected);
                    break;
                }
                Err(error) => last = connect_failure(&error, options.url.port),
            }
        }
        let socket = socket.ok_or_else(|| unreachable(last))?;
        let prepare = |socket: &TcpStream| -> std::io::Result<TcpStream> {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            socket.set_write_timeout(Some(Duration::from_secs(30)))?;
            socket.try_clone()
        };
        let handle = prepare(&socket).map_err(|e| unreachable(e.to_string()))?;
        let line: Box<dyn Line> = if options.url.tls { Box::new(tls(options, socket)?) } else { Box::new(socket) };
        let now = Instant::now();
        let mut connection = Connection {
            line,
            socket: handle,
            broker: broker.clone(),
            client_id: options.client_id.clone(),
            version: options.version,
            keep_alive: options.keep_alive,
            limits: Properties::default(),
            inbox: Vec::new(),
            taken: 0,
            skip: 0,
            outbox: connect_packet(options),
            last_sent: now,
            last_heard: now,
            next_number: 0,
        };
        connection.flush()?;
        let begun = Instant::now();
        loop {
            match connection.packet()? {
                Some(Packet::Connack(0, limits)) => {
                    if limits.maximum_qos == Some(0) {
                        let reason = "it takes messages at QoS 0 only, which are never acknowledged".to_owned();
                        return Err(MqttError::Refused { broker, reason, permanent: true });
                    }
                    if let Some(seconds) = limits.server_keep_alive {
                        connection.keep_alive = Duration::from_secs(u64::from(seconds.max(1)));
                    }
                    connection.limits = limits;
                    return Ok(connection);
                }
                Some(Packet::Connack(code, said)) => {
                    let (reason, permanent) = refusal(options.version, code, &said);
                    return Err(MqttError::Refused { broker, reason, permanent });
                }
                Some(Packet::Disconnect(code, said)) => return Err(connection.ended(code, &said)),
                Some(_) => return Err(connection.protocol("it answers with something else than CONNACK")),
                None if begun.elapsed() > Duration::from_secs(10) => {
                    return Err(unreachable("it does not answer".to_owned()));
                }
                None => {
                    connection.receive().map_err(|error| match error {
                        MqttError::Closed { .. } => unreachable(format!(
                            "it closed the connection instead of answering: check that a broker listens on port {}, \
                             and whether it wants {}",
                            options.url.port,
                            if options.url.tls { "mqtt://, without TLS" } else { "mqtts://, with TLS" }
                        )),
                        error => error,
                    })?;
                }
            }
        }
    }

    /// How long [`Connection::receive`] waits for the broker to say something.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_patience(&mut self, patience: Duration) -> Result<(), MqttError> {
        self.socket.set_read_timeout(Some(patience)).map_err(|e| self.broken(&e))
    }

    /// Subscribes at QoS 1 and waits until the broker agrees.
    ///
    /// # Errors
    /// The broker refuses a filter, or the line breaks. Messages that come in between are handed to `take`.
    pub fn subscribe(&mut self, filters: &[String], take: &mut dyn FnMut(Message)) -> Result<(), MqttError> {
        self.subscribe_at(filters, 1, take)
    }

    /// As [`Connection::subscribe`], at this quality of service.
    ///
    /// # Errors
    /// As [`Connection::subscribe`].
    pub fn subscribe_at(
        &mut self,
        filters: &[String],
        qos: u8,
        take: &mut dyn FnMut(Message),
    ) -> Result<(), MqttError> {
        let number = self.number();
        let mut body = number.to_be_bytes().to_vec();
        if self.version == Version::V5 {
            body.push(0);
        }
        for filter in filters {
            text(&mut body, filter);
            body.push(qos);
        }
        packet(&mut self.outbox, 0x82, &body);
        self.flush()?;
        let begun = Instant::now();
        loop {
            match self.packet()? {
                Some(Packet::Suback(codes)) => {
                    return match codes.iter().position(|c| *c >= 0x80) {
                        Some(i) => Err(MqttError::Refused {
                            broker: self.broker.clone(),
                            reason: format!(
                                "it does not let us read {}",
                                filters.get(i).map_or("that", String::as_str)
                            ),
                            permanent: true,
                        }),
                        None => Ok(()),
                    };
                }
                Some(Packet::Publish(message)) => take(message),
                Some(Packet::Disconnect(code, said)) => return Err(self.ended(code, &said)),
                Some(_) => {}
                None if begun.elapsed() > Duration::from_secs(10) => {
                    return Err(self.protocol("it does not answer a subscription"));
                }
                None => {
                    self.receive()?;
                }
            }
        }
    }

    /// The next message that has arrived, if one has; without waiting.
    ///
    /// # Errors
    /// The broker says what is no MQTT, or ends the connection.
    pub fn message(&mut self) -> Result<Option<Message>, MqttError> {
        loop {
            match self.packet()? {
                None => return Ok(None),
                Some(Packet::Publish(message)) => return Ok(Some(message)),
                Some(Packet::Disconnect(code, said)) => return Err(self.ended(code, &said)),
                Some(_) => {}
            }
        }
    }

    /// Acknowledges messages; they leave with the next flush.
    pub fn acknowledge(&mut self, numbers: &[u16]) {
        for number in numbers {
            packet(&mut self.outbox, 0x40, &number.to_be_bytes());
        }
    }

    /// Publishes at QoS 1 and waits until the broker has it. Messages that come in between are handed to `take`.
    ///
    /// # Errors
    /// It does not take it, or the line breaks.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        retain: bool,
        take: &mut dyn FnMut(Message),
    ) -> Result<(), MqttError> {
        // The body's length takes at most four bytes, topic and number and properties five more.
        let packet_bytes = payload.len() + topic.len() + 1 + 4 + 5;
        if let Some(most) = self.limits.maximum_packet.filter(|most| packet_bytes > *most as usize) {
            let reason = format!("{} bytes are more than the {most} that it takes in one packet", payload.len());
            return Err(MqttError::MessageRefused {
                broker: self.broker.clone(),
                code: code::PACKET_TOO_LARGE,
                reason,
            });
        }
        let retain = retain && self.limits.retain_available != Some(0);
        let number = self.publish_ahead(topic, payload, retain);
        if let Err(error) = self.flush() {
            // Its reason may have arrived before the line broke.
            let _ = self.receive();
            return Err(match self.packet() {
                Ok(Some(Packet::Disconnect(code, said))) => self.ended(code, &said),
                _ => error,
            });
        }
        let begun = Instant::now();
        loop {
            match self.packet()? {
                Some(Packet::Puback(n, code, said)) if n == number => {
                    if code < 0x80 {
                        return Ok(());
                    }
                    let reason = in_words(code, &said);
                    return Err(MqttError::MessageRefused { broker: self.broker.clone(), code, reason });
                }
                Some(Packet::Publish(message)) => take(message),
                Some(Packet::Disconnect(code, said)) => return Err(self.ended(code, &said)),
                Some(_) => {}
                None if begun.elapsed() > Duration::from_secs(10) => {
                    return Err(self.protocol("it does not acknowledge our message"));
                }
                None => {
                    self.receive()?;
                }
            }
        }
    }

    /// Writes a message at QoS 1 without waiting; answers its number (see [`Connection::acknowledged`]).
    pub fn publish_ahead(&mut self, topic: &str, payload: &[u8], retain: bool) -> u16 {
        let number = self.number();
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 8);
        text(&mut body, topic);
        body.extend_from_slice(&number.to_be_bytes());
        if self.version == Version::V5 {
            body.push(0);
        }
        body.extend_from_slice(payload);
        packet(&mut self.outbox, 0x32 | u8::from(retain), &body);
        number
    }

    /// The number of our next message that the broker has acknowledged, if one has arrived.
    ///
    /// # Errors
    /// As [`Connection::message`].
    pub fn acknowledged(&mut self) -> Result<Option<u16>, MqttError> {
        loop {
            match self.packet()? {
                None => return Ok(None),
                Some(Packet::Puback(number, ..0x80, _)) => return Ok(Some(number)),
                Some(Packet::Disconnect(code, said)) => return Err(self.ended(code, &said)),
                Some(_) => {}
            }
        }
    }

    /// Waits for bytes, as long as the patience lasts; keeps the connection alive. Answers whether any came.
    ///
    /// # Errors
    /// The line broke, or the broker has been silent for too long.
    pub fn receive(&mut self) -> Result<bool, MqttError> {
        if self.last_sent.elapsed() > self.keep_alive / 2 {
            packet(&mut self.outbox, 0xc0, &[]);
            self.flush()?;
        }
        if self.last_heard.elapsed() > self.keep_alive * 2 {
            let reason = "it has fallen silent".to_owned();
            return Err(MqttError::Unreachable { broker: self.broker.clone(), reason });
        }
        if self.taken > 0 {
            self.inbox.drain(..self.taken);
            self.taken = 0;
        }
        let held = self.inbox.len();
        self.inbox.resize(held + BLOCK, 0);
        let read = self.line.read(&mut self.inbox[held..]);
        self.inbox.truncate(held + read.as_ref().map_or(0, |n| *n));
        match read {
            Ok(0) => Err(MqttError::Closed { broker: self.broker.clone() }),
            Ok(read) => {
                let skipped = self.skip.min(read);
                self.inbox.drain(held..held + skipped);
                self.skip -= skipped;
                self.last_heard = Instant::now();
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Sends what was written.
    ///
    /// # Errors
    /// The line broke.
    pub fn flush(&mut self) -> Result<(), MqttError> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let outbox = std::mem::take(&mut self.outbox);
        let sent = self.line.write_all(&outbox).and_then(|()| self.line.flush());
        self.last_sent = Instant::now();
        sent.map_err(|e| self.broken(&e))
    }

    /// Takes leave.
    pub fn close(mut self) {
        packet(&mut self.outbox, 0xe0, &[]);
        let _ = self.flush();
    }

    fn number(&mut self) -> u16 {
        self.next_number = self.next_number.checked_add(1).unwrap_or(1);
        self.next_number
    }

    /// Asks whether the broker is still there, and waits for its answer.
    ///
    /// # Errors
    /// It is not, or ends the connection meanwhile.
    pub fn ping(&mut self) -> Result<(), MqttError> {
        packet(&mut self.outbox, 0xc0, &[]);
        self.flush()?;
        let begun = Instant::now();
        loop {
            match self.packet()? {
                Some(Packet::Pingresp) => return Ok(()),
                Some(Packet::Disconnect(code, said)) => return Err(self.ended(code, &said)),
                Some(_) => {}
                None if begun.elapsed() > Duration::from_secs(10) => {
                    return Err(self.protocol("it does not answer a ping"));
                }
                None => {
                    self.receive()?;
                }
            }
        }
    }

    fn broken(&self, error: &std::io::Error) -> MqttError {
        let broker = self.broker.clone();
        match error.kind() {
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => MqttError::Closed { broker },
            _ => MqttError::Unreachable { broker, reason: tls_failure(error).unwrap_or_else(|| error.to_string()) },
        }
    }

    fn protocol(&self, reason: &str) -> MqttError {
        MqttError::Protocol { broker: self.broker.clone(), reason: reason.to_owned() }
    }

    fn ended(&self, code: u8, said: &Properties) -> MqttError {
        let reason = match code {
            code::TAKEN_OVER => format!(
                "session taken over: another client uses the client id {:?}; set a different mqtt.client_id in each program",
                self.client_id
            ),
            code => in_words(code, said),
        };
        MqttError::Ended { broker: self.broker.clone(), code, reason }
    }

    /// The next whole packet, if one has arrived.
    fn packet(&mut self) -> Result<Option<Packet>, MqttError> {
        match decode(&self.inbox[self.taken..], self.version) {
            Ok(None) => Ok(None),
            Ok(Some((packet, length))) => {
                let here = length.min(self.inbox.len() - self.taken);
                self.taken += here;
                self.skip = length - here;
                Ok(Some(packet))
            }
            Err(reason) => Err(self.protocol(reason)),
        }
    }
}

fn tls(options: &ConnectOptions, socket: TcpStream) -> Result<StreamOwned<ClientConnection, TcpStream>, MqttError> {
    let wrong = |what: String| MqttError::Tls(what);
    let mut roots = RootCertStore::empty();
    match &options.ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unreadable =
                |e: &dyn fmt::Display| wrong(format!("the authorities in {} can't be read: {e}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| unreadable(&e))? {
                roots.add(certificate.map_err(|e| unreadable(&e))?).map_err(|e| unreadable(&e))?;
            }
            if roots.is_empty() {
                return Err(unreadable(&"there are none"));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(options.url.host.clone()).map_err(|e| wrong(e.to_string()))?;
    let client = ClientConnection::new(Arc::new(config), name).map_err(|e| wrong(e.to_string()))?;
    Ok(StreamOwned::new(client, socket))
}

fn connect_packet(options: &ConnectOptions) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.push(if options.version == Version::V5 { 5 } else { 4 });
    let mut flags = if options.keep_session { 0 } else { 0x02 };
    if let Some((_, password)) = &options.login {
        flags |= 0x80 | if password.is_empty() { 0 } else { 0x40 };
    }
    body.push(flags);
    body.extend_from_slice(&(options.keep_alive.as_secs().clamp(1, 65_535) as u16).to_be_bytes());
    if options.version == Version::V5 {
        let mut properties = vec![0x21];
        properties.extend_from_slice(&RECEIVE_MAXIMUM.to_be_bytes());
        properties.push(0x27);
        properties.extend_from_slice(&(MAX_PACKET as u32).to_be_bytes());
        if options.keep_session {
            properties.push(0x11); // Session expiry: a week.
            properties.extend_from_slice(&604_800u32.to_be_bytes());
        }
        length(&mut body, properties.len());
        body.extend(properties);
    }
    text(&mut body, &options.client_id);
    if let Some((user, password)) = &options.login {
        text(&mut body, user);
        if !password.is_empty() {
            text(&mut body, password);
        }
    }
    let mut out = Vec::new();
    packet(&mut out, 0x10, &body);
    out
}

/// Why a broker refuses to connect, and whether that stays so until the configuration changes.
fn refusal(version: Version, code: u8, said: &Properties) -> (String, bool) {
    let reason = match (version, code) {
        (Version::V3, 1) | (Version::V5, 0x84) => "it does not speak this version of MQTT: set mqtt.version",
        (Version::V3, 2) | (Version::V5, 0x85) => "it does not like our name: set mqtt.client_id",
        (Version::V3, 3) | (Version::V5, 0x88 | 0x89) => return ("it is not available".to_owned(), false),
        (Version::V3, 4) | (Version::V5, 0x86) => "wrong user or password: set mqtt.user and mqtt.password_file",
        (Version::V3, 5) | (Version::V5, 0x87) => "not authorized: set mqtt.user and mqtt.password_file",
        (Version::V5, 0x8a) => "this client is banned",
        (Version::V5, 0x8c) => "it wants a method of authentication that Nearfield does not have",
        (Version::V3, _) => return (format!("code {code:#04x}"), false),
        (Version::V5, _) => return (in_words(code, said), false),
    };
    (reason.to_owned(), true)
}

/// A reason code of MQTT 5 (section 2.4) in words, with what the broker adds.
fn in_words(code: u8, said: &Properties) -> String {
    let words = match code {
        0x00 => "it says goodbye",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "an error of its implementation",
        0x87 => "not authorized: its access list must allow this user and topic",
        0x88 => "it is not available",
        0x89 => "it is busy",
        0x8b => "it is shutting down",
        0x8d => "it has not heard from us within the keep-alive time",
        0x8e => "session taken over",
        0x8f => "invalid topic filter",
        0x90 => "invalid topic",
        0x93 => "more messages at once than it takes",
        0x95 => "the packet is too large: raise its message_size_limit or max_packet_size",
        0x96 => "too many messages in a short time",
        0x97 => "quota exceeded",
        0x98 => "an administrator ended it",
        0x99 => "the payload's format is invalid",
        0x9a => "it does not retain messages",
        0x9b => "it does not support this quality of service",
        0x9c | 0x9d => "use another server",
        0x9f => "too many connections in a short time",
        0xa0 => "the connection has lasted as long as it allows",
        _ => "an unknown reason",
    };
    let mut text = format!("{words} (code {code:#04x})");
    for said in [&said.reason, &said.other_server].into_iter().flatten() {
        text.push_str(&format!(", {said:?}"));
    }
    text
}

/// What the system says to a connection that could not be made, and what to do.
fn connect_failure(error: &std::io::Error, port: u16) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            format!("nothing listens on port {port}: check that the broker runs, and the port in its address")
        }
        ErrorKind::TimedOut => "no answer within 10 s: check the network and firewalls between".to_owned(),
        _ => error.to_string(),
    }
}

/// What is wrong with the broker's side of TLS, and what to do.
fn tls_failure(error: &std::io::Error) -> Option<String> {
    use rustls::CertificateError as Certificate;
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let hint = match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "its certificate is not signed by a known authority: set mqtt.ca_file"
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: check this machine's clock"
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired: renew it, or check this machine's clock"
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another name: use a name that the certificate holds",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS on this port: use mqtt:// or another port",
        _ => return Some(format!("TLS failed: {error}")),
    };
    Some(hint.to_owned())
}

/// Connections that a broker closed without a reason, soon after it had accepted them: with 3.1.1 the one sign of two clients
/// with the same client id.
#[derive(Debug, Default)]
pub struct CloseStreak {
    closed: u32,
}

impl CloseStreak {
    /// Closed within this time, it counts.
    const SOON: Duration = Duration::from_secs(10);
    /// So many in a row are no coincidence.
    const MANY: u32 = 3;

    /// `error` ended a connection that had held for `held` (`None`: it was never accepted); the text for people.
    pub fn explain(&mut self, error: &MqttError, held: Option<Duration>, client_id: &str) -> String {
        match (error, held) {
            (MqttError::Closed { .. }, Some(held)) if held < Self::SOON => self.closed += 1,
            // While the other client is let in we may not even get an answer.
            (_, None) => {}
            _ => self.closed = 0,
        }
        match self.closed >= Self::MANY && matches!(error, MqttError::Closed { .. }) {
            true => format!(
                "{error}, soon after accepting it and several times in a row: probably another client uses the client id \
                 {client_id:?}; set a different mqtt.client_id in each program"
            ),
            false => error.to_string(),
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn length(out: &mut Vec<u8>, mut n: usize) {
    loop {
        let byte = (n % 128) as u8;
        n /= 128;
        out.push(if n > 0 { byte | 0x80 } else { byte });
        if n == 0 {
            return;
        }
    }
}

fn packet(out: &mut Vec<u8>, head: u8, body: &[u8]) {
    out.push(head);
    length(out, body.len());
    out.extend_from_slice(body);
}

/// A variable byte integer: its value and its length; `None` where it is not all there.
fn read_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, &'static str> {
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() >= 4 { Err("a length of more than four bytes") } else { Ok(None) }
}

fn read_u16(bytes: &[u8], at: usize) -> Result<u16, &'static str> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err("a packet that is shorter than it should be"),
    }
}

/// The properties that matter to us at the beginning of `bytes`, their length first (MQTT 5, section 2.2.2). Whatever follows
/// something unknown or cut off is passed over: what they hold is advice.
fn read_properties(bytes: &[u8]) -> Properties {
    let mut found = Properties::default();
    let Ok(Some((length, n))) = read_length(bytes) else { return found };
    let mut rest = &bytes[n..bytes.len().min(n + length)];
    while let Some((&id, value)) = rest.split_first() {
        let of_text = |at: usize| value.get(at..at + 2).map(|b| 2 + usize::from(u16::from_be_bytes([b[0], b[1]])));
        let length = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Some(1),
            0x13 | 0x21 | 0x22 | 0x23 => Some(2),
            0x02 | 0x11 | 0x18 | 0x27 => Some(4),
            0x0b => read_length(value).ok().flatten().map(|(_, n)| n),
            0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => of_text(0),
            0x26 => of_text(0).and_then(|key| Some(key + of_text(key)?)),
            _ => None,
        };
        let Some(value) = length.and_then(|length| value.get(..length)) else { return found };
        match id {
            0x27 => found.maximum_packet = value.try_into().ok().map(u32::from_be_bytes),
            0x13 => found.server_keep_alive = value.try_into().ok().map(u16::from_be_bytes),
            0x24 => found.maximum_qos = value.first().copied(),
            0x25 => found.retain_available = value.first().copied(),
            0x1f => found.reason = Some(readable(&value[2..])),
            0x1c => found.other_server = Some(readable(&value[2..])),
            _ => {}
        }
        rest = &rest[1 + value.len()..];
    }
    found
}

/// A broker's text for messages: bounded, and without control characters.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A packet at the beginning of `bytes` and its length; `None` where it is not all there. Of a message that is too long only the
/// beginning has to be there.
fn decode(bytes: &[u8], version: Version) -> Result<Option<(Packet, usize)>, &'static str> {
    let Some(&head) = bytes.first() else { return Ok(None) };
    let Some((body_length, length_bytes)) = read_length(&bytes[1..])? else { return Ok(None) };
    let start = 1 + length_bytes;
    let whole = body_length <= MAX_PACKET;
    let body = match whole {
        true => bytes.get(start..start + body_length),
        // A broker may send what it likes; answered with an error, it would send the same again after the next connect.
        false if head >> 4 == 3 => bytes.get(start..).filter(|begun| begun.len() > TOPIC_AND_NUMBER),
        false => return Err("a packet of more than a mebibyte"),
    };
    let Some(body) = body else { return Ok(None) };
    let v5 = version == Version::V5;
    let code_at = |at: usize| body.get(at).copied().unwrap_or(0);
    let said_at = |at: usize| if v5 { read_properties(body.get(at..).unwrap_or(&[])) } else { Properties::default() };
    let packet = match head >> 4 {
        2 => Packet::Connack(body.get(1).copied().ok_or("a CONNACK without a code")?, said_at(2)),
        3 => {
            let topic_length = usize::from(read_u16(body, 0)?);
            let topic = body.get(2..2 + topic_length).ok_or("a topic that is longer than its packet")?;
            let topic = std::str::from_utf8(topic).map_err(|_| "a topic that is no UTF-8")?.to_owned();
            let mut at = 2 + topic_length;
            let number = match (head >> 1) & 3 {
                0 => None,
                1 | 2 => {
                    at += 2;
                    Some(read_u16(body, at - 2)?)
                }
                _ => return Err("a quality of service of 3"),
            };
            if !whole {
                let message = Message { topic, payload: Vec::new(), number, whole };
                return Ok(Some((Packet::Publish(message), start + body_length)));
            }
            if v5 {
                let rest = body.get(at..).ok_or("a packet that is shorter than it should be")?;
                let (properties, n) = read_length(rest)?.ok_or("properties without a length")?;
                at += n + properties;
            }
            let payload = body.get(at..).ok_or("properties that are longer than their packet")?.to_vec();
            Packet::Publish(Message { topic, payload, number, whole })
        }
        4 => Packet::Puback(read_u16(body, 0)?, if v5 { code_at(2) } else { 0 }, said_at(3)),
        9 => {
            let mut at = 2;
            if v5 {
                let (properties, n) =
                    read_length(body.get(2..).unwrap_or(&[]))?.ok_or("properties without a length")?;
                at += n + properties;
            }
            Packet::Suback(body.get(at..).unwrap_or(&[]).to_vec())
        }
        13 => Packet::Pingresp,
        14 => Packet::Disconnect(code_at(0), said_at(1)),
        _ => Packet::Other,
    };
    Ok(Some((packet, start + body_length)))
}

/// Whether `topic` is one that `filter` asks for.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(f), Some(t)) if f == t => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn filters_match_as_the_standard_says() {
        for (filter, topic, fits) in [
            ("home/#", "home/a/b", true),
            ("home/#", "home", true),
            ("#", "a/b", true),
            ("home/+/t", "home/a/t", true),
            ("home/+", "home/a/t", false),
            ("home/a", "home/b", false),
            ("+", "a", true),
        ] {
            assert_eq!(matches(filter, topic), fits, "{filter} {topic}");
        }
    }

    #[test]
    fn what_we_write_is_what_we_would_read() {
        for version in [Version::V3, Version::V5] {
            let mut body = Vec::new();
            text(&mut body, "home/a");
            body.extend_from_slice(&7u16.to_be_bytes());
            if version == Version::V5 {
                body.push(0);
            }
            body.extend_from_slice(&[b'x'; 300]);
            let mut bytes = Vec::new();
            packet(&mut bytes, 0x32, &body);
            bytes.push(0xd0);
            let (found, n) = decode(&bytes, version).unwrap().unwrap();
            let message =
                Message { topic: "home/a".to_owned(), payload: vec![b'x'; 300], number: Some(7), whole: true };
            assert_eq!((found, n), (Packet::Publish(message), bytes.len() - 1));
            assert!((0..n).all(|cut| decode(&bytes[..cut], version).unwrap().is_none()));
        }
        assert!(decode(&[0x20, 0xff, 0xff, 0xff, 0x7f], Version::V3).is_err());
        assert!(decode(&[0x30, 0xff, 0xff, 0xff, 0xff, 0x01], Version::V3).is_err());
    }

    #[test]
    fn a_message_that_is_too_long_is_told_by_its_beginning_and_its_length() {
        let mut bytes = vec![0x32, 0xff, 0xff, 0xff, 0x7f];
        text(&mut bytes, "home/a");
        bytes.extend_from_slice(&7u16.to_be_bytes());
        assert_eq!(decode(&bytes, Version::V5).unwrap(), None);
        bytes.resize(100_000, b'x');
        let message = Message { topic: "home/a".to_owned(), payload: Vec::new(), number: Some(7), whole: false };
        assert_eq!(decode(&bytes, Version::V5).unwrap(), Some((Packet::Publish(message), 5 + 268_435_455)));
    }

    #[test]
    fn a_broker_s_limits_and_reasons_are_read_from_its_properties() {
        // CONNACK: maximum packet 10,000, keep-alive 20 s, no retained messages, a user property between.
        let mut properties = vec![0x27, 0, 0, 0x27, 0x10, 0x26, 0, 1, b'k', 0, 1, b'v', 0x13, 0, 20, 0x25, 0];
        let mut body = vec![0, 0, properties.len() as u8];
        body.append(&mut properties);
        let mut bytes = Vec::new();
        packet(&mut bytes, 0x20, &body);
        let Some((Packet::Connack(0, limits), _)) = decode(&bytes, Version::V5).unwrap() else { panic!("{bytes:?}") };
        assert_eq!((limits.maximum_packet, limits.server_keep_alive), (Some(10_000), Some(20)));
        assert_eq!((limits.retain_available, limits.maximum_qos), (Some(0), None));
        // PUBACK: refused with a reason that would ring the terminal's bell.
        let mut bytes = Vec::new();
        packet(&mut bytes, 0x40, &[0, 7, 0x87, 7, 0x1f, 0, 4, b'n', b'o', 7, b'!']);
        let Some((Packet::Puback(7, 0x87, said), _)) = decode(&bytes, Version::V5).unwrap() else {
            panic!("{bytes:?}")
        };
        let words = in_words(0x87, &said);
        assert!(words.contains("not authorized") && words.ends_with(", \"no!\""), "{words}");
        // 3.1.1 knows no reasons.
        assert!(matches!(decode(&bytes, Version::V3), Ok(Some((Packet::Puback(7, 0, _), _)))));
        // Cut off or nonsense: what was read until there holds.
        assert_eq!(read_properties(&[100, 0x27, 0, 0, 1, 0, 0x7f, 1]).maximum_packet, Some(256));
        assert_eq!(read_properties(&[5, 0x1f, 0xff, 0xff, b'x', b'y']), Properties::default());
    }

    #[test]
    fn connections_closed_again_and_again_soon_after_they_were_accepted_are_explained() {
        let closed = MqttError::Closed { broker: "mqtt://b:1883".to_owned() };
        let mut streak = CloseStreak::default();
        let soon = Some(Duration::from_millis(200));
        assert!(!streak.explain(&closed, soon, "me").contains("client id"));
        assert!(!streak.explain(&closed, soon, "me").contains("client id"));
        let text = streak.explain(&closed, soon, "me");
        assert!(text.contains("another client uses the client id \"me\""), "{text}");
        assert!(!streak.explain(&closed, Some(Duration::from_secs(600)), "me").contains("client id"));
    }

    proptest! {
        #[test]
        fn no_bytes_whatever_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), five in any::<bool>()) {
            let _ = decode(&bytes, if five { Version::V5 } else { Version::V3 });
        }
    }
}
