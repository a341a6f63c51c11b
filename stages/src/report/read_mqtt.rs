//! Readings from an MQTT broker: subscribes, turns payloads into readings, and acknowledges a message only when the store has its
//! readings. Comes back by itself when the broker goes away; what was not acknowledged is then sent again.
//!
//! A source is no stage: it runs on a thread of its own until it is told to stop or nobody listens any more.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use jiff::tz::TimeZone;
use nearfield_telemetry::clock::{ClockFindings, Clocks, Stamp};
use nearfield_telemetry::read::{Cause, Found, Rejected, json_number, json_stamp, lookup, mqtt};
use nearfield_telemetry::{Moment, Reading};
use serde_json::Value;

use crate::flow::{Health, Output, StopSignal, Turn, is_stopped};
use crate::messages::{Batch, Envelope, Pace, Receipt};
use crate::mqtt::{CloseStreak, ConnectOptions, Connection, Message, MqttError, matches};
use crate::reconnect::{Attempts, ReconnectPolicy};
use crate::report::sensors::SensorRegistry;
use crate::report::topic_mapping::TopicMapping;
use crate::report::windower::now;

/// Messages sent on together, at most: one commit of the store.
const BATCH: usize = 4096;
/// A batch is sent on when nothing more comes for so long.
const BATCH_TIMEOUT: Duration = Duration::from_millis(5);
/// Receipts on their way back; one for each batch under way.
const RECEIPTS: usize = 64;
/// Between two attempts to connect. Two clients that take each other's session see each connection held for as long as the
/// other's pause: that is never stable.
const RECONNECT: ReconnectPolicy = ReconnectPolicy {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(60),
    stable_after: Duration::from_secs(120),
};
/// Readings come before any turn.
const NO_TURN: Turn = Turn(0);

/// By what name the source is told of in [`Health`].
const SOURCE: &str = "source";

/// The source.
pub struct MqttSource {
    /// How to connect.
    pub connect: ConnectOptions,
    /// What to subscribe to.
    pub filters: Vec<String>,
    /// What messages mean; the first mapping that fits counts.
    pub mappings: Vec<TopicMapping>,
    /// The zone of times without an offset.
    pub zone: TimeZone,
    /// Where it is told while the broker is away.
    pub health: Health,
}

/// Why a connection was left.
enum Left {
    /// Nobody listens, or a stop was asked.
    Done,
    /// It broke.
    Broken(MqttError),
}

impl MqttSource {
    /// Sends batches until a stop.
    ///
    /// # Errors
    /// The very first connection is refused: a wrong password does not get better by waiting.
    pub fn run(
        &self,
        mut sensor_registry: SensorRegistry,
        mut clocks: Clocks,
        batches: &Output<Batch>,
        stop: &StopSignal,
    ) -> anyhow::Result<()> {
        let mut attempts = Attempts::new(RECONNECT);
        let mut streak = CloseStreak::default();
        let mut ever = false;
        loop {
            let mut since = None;
            let left = self.connected(&mut sensor_registry, &mut clocks, batches, stop, &mut since);
            ever |= since.is_some();
            let error = match left {
                Left::Done => return Ok(()),
                Left::Broken(error @ (MqttError::Refused { permanent: true, .. } | MqttError::Tls(_))) if !ever => {
                    return Err(error.into());
                }
                Left::Broken(error) => error,
            };
            let held = since.map(|since: Instant| since.elapsed());
            let reason = streak.explain(&error, held, &self.connect.client_id);
            self.health.fails(SOURCE, reason.clone());
            let next = attempts.lost(held.unwrap_or_default(), &reason);
            if let Some(message) = next.message {
                tracing::warn!("{message}");
            }
            if stop.recv_timeout(next.retry_in) != Err(RecvTimeoutError::Timeout) {
                return Ok(());
            }
        }
    }

    fn connected(
        &self,
        sensor_registry: &mut SensorRegistry,
        clocks: &mut Clocks,
        batches: &Output<Batch>,
        stop: &StopSignal,
        since: &mut Option<Instant>,
    ) -> Left {
        // Receipts of an earlier connection have no meaning in this one: each has its own channel.
        let (receipts, returned) = bounded(RECEIPTS);
        let mut gathered = Gathered::default();
        let outcome = (|| -> Result<(), MqttError> {
            let mut connection = Connection::open(&self.connect)?;
            // What the broker has kept for us comes first.
            clocks.begin(now());
            connection
                .subscribe(&self.filters, &mut |message| self.take(message, sensor_registry, clocks, &mut gathered))?;
            connection.set_read_timeout(BATCH_TIMEOUT)?;
            *since = Some(Instant::now());
            self.health.works(SOURCE);
            tracing::info!(broker = %self.connect.url, "connected");
            loop {
                let came = connection.receive()?;
                while gathered.messages < BATCH
                    && let Some(message) = connection.message()?
                {
                    self.take(message, sensor_registry, clocks, &mut gathered);
                }
                acknowledge(&mut connection, &returned)?;
                if gathered.messages >= BATCH || (!came && gathered.messages > 0) || gathered.is_due() {
                    let batch = gathered.batch(sensor_registry, clocks, &receipts);
                    if send(&mut connection, batches, batch, &returned, stop)?.is_break() {
                        break;
                    }
                }
                if is_stopped(stop) {
                    break;
                }
            }
            // What is under way may still become safe; then the broker should know.
            let deadline = Instant::now() + Duration::from_millis(500);
            while let Ok(numbers) = returned.recv_deadline(deadline) {
                connection.acknowledge(&numbers);
                connection.flush()?;
            }
            connection.close();
            Ok(())
        })();
        match outcome {
            Ok(()) => Left::Done,
            Err(error) => Left::Broken(error),
        }
    }

    /// Turns a message into readings.
    fn take(
        &self,
        message: Message,
        sensor_registry: &mut SensorRegistry,
        clocks: &mut Clocks,
        gathered: &mut Gathered,
    ) {
        gathered.messages += 1;
        gathered.since.get_or_insert_with(Instant::now);
        if let Some(number) = message.number {
            gathered.numbers.push(number);
        }
        if !message.whole {
            gathered.rejected.too_long += 1;
            return;
        }
        let arrived = now();
        let fallback = TopicMapping::default();
        let mapping = self.mappings.iter().find(|m| matches(&m.topic, &message.topic)).unwrap_or(&fallback);
        let key = mapping.key(&message.topic);
        let Ok(text) = std::str::from_utf8(&message.payload) else {
            gathered.rejected.not_utf8 += 1;
            return;
        };
        let mut add = |found: Found<'_>, stamp: Stamp, gathered: &mut Gathered| match sensor_registry.id(&found) {
            Some((sensor, value)) => {
                let judged = clocks.judge(sensor, stamp, value, arrived);
                gathered.pace.current |= judged.current;
                gathered.pace.held_up |= judged.held_up;
                judged.note.into_iter().for_each(|note| gathered.clocks.add(note));
                gathered.readings.push(Reading { at: judged.at, sensor, value });
            }
            None if sensor_registry.is_unwanted(found.key) => {}
            None => gathered.rejected.sensors_beyond += 1,
        };
        if mapping.value.is_empty() {
            // Every reading that the message holds, named by device and path; a mapping names its sensor.
            let mut rejected = std::mem::take(&mut gathered.rejected);
            let is_named = !mapping.sensor.is_empty();
            mqtt::message(&message.topic, text, &mapping.time, &self.zone, &mut rejected, &mut |found, stamp| {
                let unit = if mapping.unit.is_empty() { found.unit } else { &mapping.unit };
                let renamed = found.key.strip_prefix(message.topic.as_str()).filter(|_| is_named);
                let key = renamed.map(|rest| format!("{key}{rest}"));
                match &key {
                    Some(key) => add(Found { key, name: "", unit, ..found }, stamp, gathered),
                    None => add(Found { unit, ..found }, stamp, gathered),
                }
            });
            gathered.rejected = rejected.plus(std::mem::take(&mut gathered.rejected));
            return;
        }
        let Ok(json) = serde_json::from_str::<Value>(text) else {
            gathered.rejected.malformed += 1;
            return;
        };
        let time = match mapping.time.as_str() {
            "" => ["timestamp", "time", "ts", "last_seen", "Time"].iter().find_map(|k| json.get(k)),
            path => lookup(&json, path),
        };
        let stamp = match time {
            None if !mapping.time.is_empty() => {
                gathered.rejected.without_time += 1;
                return;
            }
            None => Stamp::None,
            Some(time) => match json_stamp(time, &self.zone) {
                Some(stamp) => stamp,
                None => {
                    gathered.rejected.without_time += 1;
                    return;
                }
            },
        };
        let value = lookup(&json, &mapping.value);
        match value.and_then(json_number) {
            Some(value) => {
                add(Found { unit: &mapping.unit, ..Found::number(&key, Moment(0), value) }, stamp, gathered);
            }
            None => {
                let told = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
                gathered.rejected.cell(Cause::NotANumber, &key, 0, &told);
            }
        }
    }
}

/// What has come and was not sent on yet.
#[derive(Default)]
struct Gathered {
    readings: Vec<Reading>,
    numbers: Vec<u16>,
    rejected: Rejected,
    pace: Pace,
    clocks: ClockFindings,
    messages: usize,
    since: Option<Instant>,
}

impl Gathered {
    /// A steady trickle does not hold a batch open for ever.
    fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > BATCH_TIMEOUT * 10)
    }

    fn batch(
        &mut self,
        sensor_registry: &mut SensorRegistry,
        clocks: &mut Clocks,
        receipts: &Sender<Vec<u16>>,
    ) -> Batch {
        let taken = std::mem::take(self);
        let receipt = (!taken.numbers.is_empty()).then(|| Receipt { to: receipts.clone(), numbers: taken.numbers });
        Batch {
            introduced: sensor_registry.take_introduced(),
            readings: taken.readings,
            rejected: taken.rejected,
            receipt,
            pace: taken.pace,
            clocks: taken.clocks,
            offsets: clocks.take_changed(),
            repeated: 0,
            conflicting: 0,
            goes_live: false,
        }
    }
}

fn acknowledge(connection: &mut Connection, returned: &Receiver<Vec<u16>>) -> Result<(), MqttError> {
    for numbers in returned.try_iter() {
        connection.acknowledge(&numbers);
    }
    connection.flush()
}

/// Hands a batch on; while the flow is busy the connection is kept alive and receipts are passed back. [`ControlFlow::Break`]: nobody
/// listens any more, or a stop is asked.
fn send(
    connection: &mut Connection,
    batches: &Output<Batch>,
    batch: Batch,
    returned: &Receiver<Vec<u16>>,
    stop: &StopSignal,
) -> Result<ControlFlow<()>, MqttError> {
    let mut pending = Envelope::new(NO_TURN, batch);
    loop {
        match batches.send_timeout(pending, Duration::from_millis(20)) {
            Ok(()) => return Ok(ControlFlow::Continue(())),
            Err(SendTimeoutError::Disconnected(_)) => return Ok(ControlFlow::Break(())),
            Err(SendTimeoutError::Timeout(back)) => pending = back,
        }
        acknowledge(connection, returned)?;
        if is_stopped(stop) {
            return Ok(ControlFlow::Break(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nearfield_telemetry::clock::ClockOptions;
    use nearfield_telemetry::window::WindowPlan;

    use super::*;
    use crate::mqtt::Version;

    fn source(mappings: Vec<TopicMapping>) -> MqttSource {
        MqttSource {
            connect: ConnectOptions {
                url: "mqtt://localhost".parse().unwrap(),
                version: Version::V3,
                client_id: "t".to_owned(),
                login: None,
                ca_file: None,
                keep_session: true,
                keep_alive: Duration::from_secs(30),
            },
            filters: vec!["#".to_owned()],
            mappings,
            zone: TimeZone::UTC,
            health: Health::default(),
        }
    }

    fn taken(source: &MqttSource, topic: &str, payload: &[u8]) -> (Vec<(String, f64)>, Rejected) {
        let mut sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 10);
        let mut gathered = Gathered::default();
        let day = "1d".parse().unwrap();
        let plan = WindowPlan::new(day, day, TimeZone::UTC).unwrap();
        let mut clocks = Clocks::new(ClockOptions { ahead_seconds: 30.0, lateness_seconds: 30.0, plan });
        let message = Message { topic: topic.to_owned(), payload: payload.to_vec(), number: Some(1), whole: true };
        source.take(message, &mut sensor_registry, &mut clocks, &mut gathered);
        assert!(gathered.readings.iter().all(|r| r.at.is_plausible()), "an arrival is a time");
        assert_eq!(gathered.numbers, [1], "whatever a message says, it is acknowledged");
        let keys = sensor_registry.take_introduced();
        let found = gathered.readings.iter().map(|r| (keys[r.sensor.0 as usize].0.clone(), r.value)).collect();
        (found, gathered.rejected)
    }

    #[test]
    fn payloads_are_read_by_their_mapping_and_broken_ones_set_aside() {
        let mapping = |topic: &str, sensor: &str, value: &str| TopicMapping {
            topic: topic.to_owned(),
            sensor: sensor.to_owned(),
            value: value.to_owned(),
            ..TopicMapping::default()
        };
        let s = source(vec![mapping("z2m/+/+", "{1} {2}", "data.t"), mapping("home/#", "", "")]);
        let one = |key: &str, value: f64| (vec![(key.to_owned(), value)], Rejected::default());
        assert_eq!(taken(&s, "home/hall", b"21.5"), one("home/hall", 21.5));
        assert_eq!(taken(&s, "z2m/hall/temp", br#"{"data":{"t":"21,5"}}"#), one("hall temp", 21.5));
        assert_eq!(taken(&s, "home/hall", br#"{"value":5,"ts":1795172400}"#), one("home/hall", 5.0));
        assert_eq!(taken(&s, "home/hall", br#"{"t":5,"h":6}"#).0.len(), 2);
        assert_eq!(taken(&s, "home/hall", b"{\"t\":").1.malformed, 1);
        assert_eq!(taken(&s, "home/hall", b"\xff\xfe").1.not_utf8, 1);
        assert_eq!(taken(&s, "home/hall", b"NaN").1.not_finite, 1);
        assert_eq!(taken(&s, "home/hall", b"1e308").1.out_of_range, 1);
        assert_eq!(taken(&s, "home/hall", br#"{"value":1,"ts":"noon"}"#).1.without_time, 1);
        // A device that has not been told the time counts from 1970: then it is the time of arrival.
        assert_eq!(taken(&s, "home/hall", br#"{"value":1,"ts":5}"#), one("home/hall", 1.0));
        assert_eq!(taken(&s, "home/hall", br#"{"value":1,"ts":"1970-01-01T00:00:05Z"}"#), one("home/hall", 1.0));
    }
}
