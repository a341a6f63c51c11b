//! An open connection to a broker.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::packets::{Packet, Properties, connect_packet, decode, packet, text};
use super::reasons::{connect_failure, in_words, refusal, tls_failure};
use super::{ConnectOptions, Message, MqttError, Version, Will, code};

/// Bytes read at once.
const BLOCK: usize = 64 << 10;
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
        Self::open_with(options, None)
    }

    /// As [`Connection::open`], with what the broker is to tell when the connection breaks.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub fn open_with(options: &ConnectOptions, will: Option<&Will>) -> Result<Connection, MqttError> {
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
            outbox: connect_packet(options, will),
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
                             and whether it expects {}",
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
    pub fn set_read_timeout(&mut self, timeout: Duration) -> Result<(), MqttError> {
        self.socket.set_read_timeout(Some(timeout)).map_err(|e| self.broken(&e))
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
                                "it refuses the subscription to {}",
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
    /// The broker violates the protocol, or ends the connection.
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

    /// Waits for bytes, at most for the read timeout; keeps the connection alive. Answers whether any came.
    ///
    /// # Errors
    /// The line broke, or the broker has been silent for too long.
    pub fn receive(&mut self) -> Result<bool, MqttError> {
        if self.last_sent.elapsed() > self.keep_alive / 2 {
            packet(&mut self.outbox, 0xc0, &[]);
            self.flush()?;
        }
        if self.last_heard.elapsed() > self.keep_alive * 2 {
            let reason = "it has sent nothing for twice the keep-alive time".to_owned();
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
