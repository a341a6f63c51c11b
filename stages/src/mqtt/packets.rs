//! Packets as bytes: written as the broker wants them, read within bounds.

use super::{ConnectOptions, Message, Version, Will};

/// A packet from the broker is read up to this length; the payload of a longer message is passed over.
const MAX_PACKET: usize = 1 << 20;
/// The longest topic with its length, and a message's number.
const TOPIC_AND_NUMBER: usize = 2 + 65_535 + 2;
/// Messages that the broker may leave unacknowledged; MQTT 5 tells it so.
const RECEIVE_MAXIMUM: u16 = 10_000;

/// What the broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
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
pub(super) struct Properties {
    pub(super) maximum_packet: Option<u32>,
    pub(super) maximum_qos: Option<u8>,
    pub(super) retain_available: Option<u8>,
    pub(super) server_keep_alive: Option<u16>,
    pub(super) reason: Option<String>,
    pub(super) other_server: Option<String>,
}

/// The packet that says who we are.
pub(super) fn connect_packet(options: &ConnectOptions, will: Option<&Will>) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.push(if options.version == Version::V5 { 5 } else { 4 });
    let mut flags = if options.keep_session { 0 } else { 0x02 };
    if let Some((_, password)) = &options.login {
        flags |= 0x80 | if password.is_empty() { 0 } else { 0x40 };
    }
    if will.is_some() {
        flags |= 0x04 | 0x08 | 0x20; // A will, at QoS 1, retained.
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
    if let Some(will) = will {
        if options.version == Version::V5 {
            body.push(0); // No properties.
        }
        text(&mut body, &will.topic);
        let payload = &will.payload[..will.payload.len().min(usize::from(u16::MAX))];
        body.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        body.extend_from_slice(payload);
    }
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

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
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

pub(super) fn packet(out: &mut Vec<u8>, head: u8, body: &[u8]) {
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
pub(super) fn decode(bytes: &[u8], version: Version) -> Result<Option<(Packet, usize)>, &'static str> {
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
            let topic = std::str::from_utf8(topic).map_err(|_| "a topic that is not UTF-8")?.to_owned();
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reasons::in_words;
    use super::*;

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

    proptest! {
        #[test]
        fn no_bytes_whatever_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), five in any::<bool>()) {
            let _ = decode(&bytes, if five { Version::V5 } else { Version::V3 });
        }
    }
}
