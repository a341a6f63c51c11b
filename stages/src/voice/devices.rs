//! Microphones and loudspeakers: listing them, and finding the one that was asked for.
//!
//! Linux has more than one sound system; PulseAudio (or PipeWire in its place) is preferred where it runs, since it
//! shares the hardware, and ALSA serves where there is none.

use cpal::traits::{DeviceTrait, HostTrait};
use serde::Serialize;

use crate::voice::stderr::silence_stderr;

/// Which end of a device is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A microphone.
    Input,
    /// A loudspeaker.
    Output,
}

/// One device as the system lists it.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceInfo {
    /// What to write into the configuration.
    pub id: String,
    /// The system's name for people.
    pub name: String,
    /// Microphone or loudspeaker.
    pub direction: Direction,
    /// Whether the system uses it when none is named.
    pub default: bool,
    /// The rate it runs at by default.
    pub sample_rate_hz: u32,
    /// Its channels by default.
    pub channels: u16,
}

/// Why a device can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// None is there.
    #[error(
        "no {what} was found: connect one, or use a file instead ({instead}); `nearfield devices` lists what there is"
    )]
    None {
        /// "microphone" or "loudspeaker".
        what: &'static str,
        /// The flag that does without.
        instead: &'static str,
    },
    /// None has the name that was asked for.
    #[error("there is no {what} called {name:?}; `nearfield devices` lists what there is")]
    Unknown {
        /// "microphone" or "loudspeaker".
        what: &'static str,
        /// The name that was asked for.
        name: String,
    },
    /// It is there but can't be opened.
    #[error("the {what} {name:?} can't be used: {reason}; connect one, or use a file instead ({instead})")]
    Unusable {
        /// "microphone" or "loudspeaker".
        what: &'static str,
        /// Its name.
        name: String,
        /// The system's word.
        reason: String,
        /// The flag that does without.
        instead: &'static str,
    },
}

impl Direction {
    /// The unusable device `name`; the system's word without its full stop.
    pub(crate) fn unusable(self, name: &str, reason: &dyn std::fmt::Display) -> DeviceError {
        let reason = reason.to_string().trim_end_matches('.').to_owned();
        DeviceError::Unusable { what: self.what(), name: name.to_owned(), reason, instead: self.instead() }
    }

    fn instead(self) -> &'static str {
        match self {
            Self::Input => "--input FILE.wav",
            Self::Output => "--output FILE.wav",
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Input => "microphone",
            Self::Output => "loudspeaker",
        }
    }
}

/// Whether a stream is of no use any more after such an error. A gap in the sound, or another route to it, is none.
pub(crate) fn ends_stream(kind: cpal::ErrorKind) -> bool {
    !matches!(kind, cpal::ErrorKind::Xrun | cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied)
}

/// Every device that can be used now, microphones first.
pub fn list() -> Vec<DeviceInfo> {
    silence_stderr(list_all)
}

fn list_all() -> Vec<DeviceInfo> {
    let host = cpal::default_host();
    let mut devices = Vec::new();
    for direction in [Direction::Input, Direction::Output] {
        let default = default_device(&host, direction).and_then(|d| d.id().ok());
        for device in all(&host, direction) {
            let config = match direction {
                Direction::Input => device.default_input_config(),
                Direction::Output => device.default_output_config(),
            };
            let (Ok(id), Ok(config)) = (device.id(), config) else { continue };
            devices.push(DeviceInfo {
                name: name(&device),
                direction,
                default: default.as_ref() == Some(&id),
                sample_rate_hz: config.sample_rate(),
                channels: config.channels(),
                id: id.to_string(),
            });
        }
    }
    devices
}

/// The device with this id or name (a part of the name is enough), or the default one for `None`.
///
/// # Errors
/// If there is none.
pub fn find(direction: Direction, wanted: Option<&str>) -> Result<cpal::Device, DeviceError> {
    silence_stderr(|| find_among_all(direction, wanted))
}

fn find_among_all(direction: Direction, wanted: Option<&str>) -> Result<cpal::Device, DeviceError> {
    let host = cpal::default_host();
    let Some(wanted) = wanted else {
        return default_device(&host, direction)
            .ok_or(DeviceError::None { what: direction.what(), instead: direction.instead() });
    };
    let wanted_lower = wanted.to_lowercase();
    let devices = all(&host, direction);
    let position = devices
        .iter()
        .position(|d| d.id().is_ok_and(|id| id.to_string() == wanted))
        .or_else(|| devices.iter().position(|d| name(d).to_lowercase().contains(&wanted_lower)));
    match position {
        Some(i) => Ok(devices.into_iter().nth(i).expect("the position was found in this list")),
        None => Err(DeviceError::Unknown { what: direction.what(), name: wanted.to_owned() }),
    }
}

/// The device's name for people.
pub(crate) fn name(device: &cpal::Device) -> String {
    device.description().map(|d| d.name().to_owned()).unwrap_or_else(|_| "unnamed".to_owned())
}

fn default_device(host: &cpal::Host, direction: Direction) -> Option<cpal::Device> {
    match direction {
        Direction::Input => host.default_input_device(),
        Direction::Output => host.default_output_device(),
    }
}

fn all(host: &cpal::Host, direction: Direction) -> Vec<cpal::Device> {
    match direction {
        Direction::Input => host.input_devices().map(Iterator::collect).unwrap_or_default(),
        Direction::Output => host.output_devices().map(Iterator::collect).unwrap_or_default(),
    }
}
