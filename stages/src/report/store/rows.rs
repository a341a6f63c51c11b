//! The store's rows and the checksum that each of them carries, and a scan that finds whole rows in any bytes: in a damaged file, in
//! a journal, in a backup. The scan needs none of SQLite's pages to be right, only the row itself.
//!
//! A row's checksum is the CRC-32 of its content, exclusive-or the store's number, which is drawn at random when a store is made.
//! So the rows of one store agree on one number, and a row of another store is recognized as such.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use nearfield_telemetry::{Moment, Reading, SensorId};

/// SQLite's page: a row that the scan can find is not longer.
pub(super) const PAGE_BYTES: usize = 4096;
/// Read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Microseconds in a day of UTC, for which readings are counted.
const DAY_MICROS: i64 = 86_400_000_000;

/// The day of UTC that a moment lies in, counted from 1970.
pub(super) fn day_of(at: i64) -> i64 {
    at.div_euclid(DAY_MICROS)
}

/// A row of one of the four tables.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Row {
    /// `readings`, with the store's own number of the sensor.
    Reading(Reading),
    /// `sensors`: number, key, traits as JSON.
    Sensor(u32, String, String),
    /// `state`: key, value, and the commit that wrote it.
    State(String, i64, i64),
    /// `tallies`: day and sensor, how many readings of both there are, and the commit that wrote it.
    Tally(i64, u32, i64, i64),
}

impl Row {
    fn crc(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        match self {
            Row::Reading(r) => {
                crc.update(b"r");
                crc.update(&r.at.0.to_le_bytes());
                crc.update(&r.sensor.0.to_le_bytes());
                // SQLite keeps no sign of zero.
                crc.update(&(r.value + 0.0).to_bits().to_le_bytes());
            }
            Row::Sensor(id, key, traits) => {
                crc.update(b"s");
                crc.update(&id.to_le_bytes());
                crc.update(&(key.len() as u64).to_le_bytes());
                crc.update(key.as_bytes());
                crc.update(traits.as_bytes());
            }
            Row::State(key, value, commit) => {
                crc.update(b"v");
                crc.update(key.as_bytes());
                crc.update(&value.to_le_bytes());
                crc.update(&commit.to_le_bytes());
            }
            Row::Tally(day, sensor, count, commit) => {
                crc.update(b"t");
                crc.update(&day.to_le_bytes());
                crc.update(&sensor.to_le_bytes());
                crc.update(&count.to_le_bytes());
                crc.update(&commit.to_le_bytes());
            }
        }
        crc.finalize()
    }

    /// The checksum in the store of this number.
    pub(super) fn sum(&self, number: u32) -> i32 {
        (self.crc() ^ number) as i32
    }

    /// The number of the store that this row with this checksum belongs to, if the row is whole.
    fn number(&self, sum: i32) -> u32 {
        self.crc() ^ sum as u32
    }
}

/// A value in SQLite's record format.
enum Value<'a> {
    Int(i64),
    Real(f64),
    Text(&'a str),
}

/// SQLite's variable-length integer: value and length. Those that a row of ours has take at most three bytes.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(3).enumerate() {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

fn value(kind: u64, bytes: &[u8]) -> Option<(Value<'_>, usize)> {
    let length = match kind {
        1..=4 => kind as usize,
        5 => 6,
        6 | 7 => 8,
        8 | 9 => return Some((Value::Int(kind as i64 - 8), 0)),
        13.. if kind % 2 == 1 => (kind as usize - 13) / 2,
        _ => return None,
    };
    let content = bytes.get(..length)?;
    let value = match kind {
        7 => Value::Real(f64::from_be_bytes(content.try_into().ok()?)),
        13.. => Value::Text(std::str::from_utf8(content).ok()?),
        _ => {
            let sign = if content[0] & 0x80 == 0 { 0i64 } else { -1 };
            Value::Int(content.iter().fold(sign, |v, byte| v << 8 | i64::from(*byte)))
        }
    };
    Some((value, length))
}

/// The record that begins at the first of these bytes, if it has the form of a row, and the number of the store that it says.
fn record(bytes: &[u8]) -> Option<(Row, u32)> {
    // A header is its own length and the kinds of 4 or 5 values, of which two may take up to three bytes.
    let header = usize::from(*bytes.first()?);
    if !(5..=10).contains(&header) {
        return None;
    }
    let mut kinds = [0u64; 5];
    let (mut at, mut columns) = (1, 0);
    while at < header {
        let (kind, length) = varint(bytes.get(at..header)?)?;
        *kinds.get_mut(columns)? = kind;
        (at, columns) = (at + length, columns + 1);
    }
    let mut values = [const { Value::Int(0) }; 5];
    for (slot, kind) in values.iter_mut().zip(&kinds[..columns]) {
        let (value, length) = value(*kind, bytes.get(at..PAGE_BYTES.min(bytes.len()))?)?;
        *slot = value;
        at += length;
    }
    let int = |v: &Value<'_>| match v {
        Value::Int(i) => Some(*i),
        _ => None,
    };
    let (row, sum) = match (&values[..columns], columns) {
        ([Value::Int(at), Value::Int(sensor), v @ (Value::Real(_) | Value::Int(_)), Value::Int(sum)], 4) => {
            let value = match v {
                Value::Real(value) => *value,
                v => int(v)? as f64,
            };
            let reading = Reading { at: Moment(*at), sensor: SensorId(u32::try_from(*sensor).ok()?), value };
            (Row::Reading(reading), *sum)
        }
        ([Value::Int(id), Value::Text(key), Value::Text(traits), Value::Int(sum)], 4) => {
            (Row::Sensor(u32::try_from(*id).ok()?, (*key).to_owned(), (*traits).to_owned()), *sum)
        }
        ([Value::Text(key), Value::Int(value), Value::Int(commit), Value::Int(sum)], 4) => {
            (Row::State((*key).to_owned(), *value, *commit), *sum)
        }
        ([Value::Int(day), Value::Int(sensor), Value::Int(count), Value::Int(commit), Value::Int(sum)], 5) => {
            (Row::Tally(*day, u32::try_from(*sensor).ok()?, *count, *commit), *sum)
        }
        _ => return None,
    };
    let number = row.number(i32::try_from(sum).ok()?);
    Some((row, number))
}

/// Hands every sequence of bytes that has the form of a row to `take`, with the number of the store that it says and its place in the
/// file. What is no row says a number that no other says. `take` answers whether to go on.
///
/// # Errors
/// Those of opening the file. Places that can't be read are passed over.
pub(super) fn scan(path: &Path, from: u64, take: &mut dyn FnMut(Row, u32, u64) -> bool) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut chunk = vec![0; CHUNK_BYTES + PAGE_BYTES];
    let mut begin = from;
    while begin < length {
        let filled = fill(&mut file, begin, &mut chunk);
        let starts = if filled > CHUNK_BYTES { CHUNK_BYTES } else { filled };
        for at in 0..starts {
            if let Some((row, number)) = record(&chunk[at..filled])
                && !take(row, number, begin + at as u64)
            {
                return Ok(());
            }
        }
        begin += CHUNK_BYTES as u64;
    }
    Ok(())
}

/// Reads from `begin` on until the buffer or the file ends; sectors that can't be read are zeros.
fn fill(file: &mut File, begin: u64, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = file.seek(SeekFrom::Start(begin + filled as u64)).and_then(|_| file.read(&mut buffer[filled..]));
        match read {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => {
                // What follows may be readable again.
                let next = (filled + PAGE_BYTES).min(buffer.len());
                buffer[filled..next].fill(0);
                filled = next;
            }
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let reading = |at, sensor, value| Row::Reading(Reading { at: Moment(at), sensor: SensorId(sensor), value });
        vec![
            reading(1_795_132_800_000_000, 0, 21.5),
            reading(-7, 1, -3.0),
            reading(0, 70_000, 0.0),
            reading(1 << 40, 300, -0.0),
            reading(1 << 20, u32::MAX, 1e15),
            Row::Sensor(3, "home/hall".to_owned(), "{\"unit\":\"°C\"}".to_owned()),
            Row::Sensor(0, "k".repeat(1500), "t".repeat(2000)),
            Row::State("reported_until".to_owned(), i64::MIN, 5),
            Row::Tally(20_777, 3, 86_400, 1_234_567),
        ]
    }

    /// The rows as SQLite writes them.
    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let connection = super::super::schema::create(&path, 77).unwrap();
        for row in rows() {
            super::super::schema::insert(&connection, &row, 77).unwrap();
        }
        (folder, path)
    }

    #[test]
    fn every_row_that_sqlite_writes_is_found_by_the_scan() {
        let (_folder, path) = written();
        let mut found = Vec::new();
        scan(&path, 0, &mut |row, number, _| {
            if number == 77 && !matches!(&row, Row::State(key, ..) if key == "commit") {
                found.push(row);
            }
            true
        })
        .unwrap();
        for row in rows() {
            assert!(found.contains(&row), "{row:?}");
        }
        assert_eq!(found.len(), rows().len() + 2, "sensors stand twice");
    }

    #[test]
    fn a_row_with_any_other_byte_is_no_row_of_the_store() {
        let (_folder, path) = written();
        let mut places = Vec::new();
        scan(&path, 0, &mut |row, number, at| {
            if number == 77 && matches!(row, Row::Sensor(3, ..)) {
                places.push(at);
            }
            true
        })
        .unwrap();
        let mut whole = std::fs::read(&path).unwrap();
        // Without its copy.
        whole[places[1] as usize] = 0;
        let place = places[0];
        // The header of 5 bytes is followed by the number, the key and the traits.
        for at in place as usize + 5..place as usize + 5 + 1 + 9 + 13 {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&path, bytes).unwrap();
                scan(&path, 0, &mut |row, number, _| {
                    assert!(number != 77 || !matches!(row, Row::Sensor(id, ..) if id != 0), "{row:?}");
                    true
                })
                .unwrap();
            }
        }
    }
}
