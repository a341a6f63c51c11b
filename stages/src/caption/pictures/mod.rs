//! Where pictures come from: files, a stream of JPEGs, a camera on the network, anything that ffmpeg opens. All behind one
//! trait; [`run`] drives a source on the thread that it is called on, numbers its pictures, and reconnects when it disconnects.

mod camera;
mod ffmpeg;
mod files;
mod http;
mod http_client;
mod jpegs;
mod paced;
#[cfg(feature = "camera")]
mod v4l2;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context;
use nearfield_base::redact::redacted;
use rustix::fs::Access;
use rustix::io::Errno;

pub use camera::{Camera, CameraDevice, CameraFormat, CameraFrame, CameraPixels};
pub use ffmpeg::{Ffmpeg, FfmpegOptions};
pub use files::{PictureFiles, is_video, natural_key};
pub use http::HttpCamera;
pub use jpegs::JpegStream;
pub use paced::Clock;
#[cfg(feature = "camera")]
pub use v4l2::V4l2Camera;

use crate::flow::{Output, StopSignal, Turns};
use crate::messages::{Envelope, Shot};

/// The schemes of addresses that cameras and streams have.
const SCHEMES: [&str; 24] = [
    "rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtmpt", "rtmpe", "rtmpts", "rtmpte", "rtp", "srtp", "udp",
    "udplite", "tcp", "tls", "srt", "rist", "mms", "mmsh", "mmst", "sctp", "unix", "sftp",
];

/// Whether the scheme of an address, as `--input` has it, is one that a camera or a stream can have. What is no address passes.
///
/// # Errors
/// One sentence that names the scheme and those that there are.
pub fn check_scheme(input: &str) -> Result<(), String> {
    let Some((scheme, _)) = input.split_once("://") else { return Ok(()) };
    if SCHEMES.contains(&scheme) {
        return Ok(());
    }
    let hint = match scheme {
        _ if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => "write the scheme in small letters".to_owned(),
        "file" => "name the file by its path".to_owned(),
        _ => format!("pictures come from files, /dev/video0 and {}://", SCHEMES.join("://, ")),
    };
    Err(format!("{scheme}:// is no address of a camera or a stream; {hint}"))
}

/// Anything that gives pictures one after the other. Waiting ends soon after the stop signal.
pub trait PictureSource: Send {
    /// For messages, deliveries and the pictures' names: an address without its login and secrets.
    fn name(&self) -> String;

    /// Connects, starts or lists. Called before the first picture, and again after each failure.
    ///
    /// # Errors
    /// Why there are no pictures; a [`Unrecoverable`] in the chain says that trying again is of no use.
    fn open(&mut self, stop: &StopSignal) -> anyhow::Result<()>;

    /// The next picture; `None` at the source's end, and when `stop` says so.
    ///
    /// # Errors
    /// The source has disconnected or failed.
    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>>;
}

/// Why trying again is of no use: a file that is not there, a program that is not installed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unrecoverable(pub String);

/// What happens when a source disconnects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReconnectPauses {
    /// Whether it is reconnected; else the flow ends.
    pub again: bool,
    /// The first wait before that; it doubles each time,
    pub first: Duration,
    /// up to this, and begins anew after a picture.
    pub longest: Duration,
}

/// A change of a source's state.
#[derive(Clone, Debug)]
pub enum SourceEvent {
    /// It has disconnected; the next attempt comes after so long.
    Disconnected {
        /// Why.
        reason: String,
        /// Until the next attempt.
        retry_in: Duration,
        /// How many have failed since the last picture.
        attempts: u32,
    },
    /// It delivers pictures again.
    Reconnected,
}

/// Drives a source until it ends, `stop` says so, or `max_frames` pictures were given.
///
/// # Errors
/// It disconnects and is not to be reconnected, or reconnecting would be of no use.
pub fn run(
    source: &mut dyn PictureSource,
    output: &Output<Shot>,
    turns: &Turns,
    max_frames: Option<u64>,
    pauses: ReconnectPauses,
    stop: &StopSignal,
    on_event: &mut dyn FnMut(SourceEvent),
) -> anyhow::Result<()> {
    let (mut given, mut wait, mut disconnected, mut attempts) = (0u64, pauses.first, false, 0);
    loop {
        let mut play = || -> anyhow::Result<()> {
            source.open(stop)?;
            while max_frames.is_none_or(|most| given < most) {
                let Some(shot) = source.next(stop)? else { return Ok(()) };
                if std::mem::take(&mut disconnected) {
                    on_event(SourceEvent::Reconnected);
                }
                (given, wait, attempts) = (given + 1, pauses.first, 0);
                if output.send(Envelope::new(turns.begin(), shot)).is_break() {
                    break;
                }
            }
            Ok(())
        };
        match play() {
            Ok(()) => return Ok(()),
            Err(error) if !pauses.again || error.chain().any(|e| e.is::<Unrecoverable>()) => {
                return Err(error).with_context(|| source.name());
            }
            Err(error) => {
                (disconnected, attempts) = (true, attempts + 1);
                on_event(SourceEvent::Disconnected {
                    // Whatever an error quotes: it goes to brokers and pages.
                    reason: redacted(&format!("{}: {error:#}", source.name())),
                    retry_in: wait,
                    attempts,
                });
                // Nothing is ever sent on `stop`: it either times out or is disconnected.
                if stop.recv_timeout(wait).is_err_and(|e| e.is_disconnected()) {
                    return Ok(());
                }
                wait = (wait * 2).min(pauses.longest);
            }
        }
    }
}

/// Whether the camera at `path` can be opened. `was_there` is kept between attempts: one that never was there is a mistake, one that
/// was may come back.
///
/// # Errors
/// Why not; a [`Unrecoverable`] where trying again is of no use.
fn check_camera(path: &str, was_there: &mut bool) -> anyhow::Result<()> {
    match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => {
            *was_there = true;
            Ok(())
        }
        Err(Errno::NOENT) if !*was_there => {
            Err(Unrecoverable(format!("there is no such camera; {}", cameras())).into())
        }
        Err(Errno::NOENT) => anyhow::bail!("it is no longer there (unplugged?)"),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => {
            let error = std::io::Error::from(error);
            Err(Unrecoverable(format!("{error}: add this user to the group that owns it (`ls -l {path}`)")).into())
        }
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}

/// What could have been meant.
fn cameras() -> String {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .map(|e| e.path().display().to_string())
        .filter(|path| path.strip_prefix("/dev/video").is_some_and(|n| n.parse::<u32>().is_ok()))
        .collect();
    found.sort_by_cached_key(|path| natural_key(path));
    match found.as_slice() {
        [] => "this machine has none (no /dev/video*): is it plugged in?".to_owned(),
        [one] => format!("there is {one}"),
        _ => format!("there are {}", found.join(", ")),
    }
}

/// A picture from a live source, taken now; a source's time begins with its first one, `begun`.
fn live_shot(name: String, begun: &mut Option<Instant>, content: crate::messages::ShotContent) -> Shot {
    let taken = Instant::now();
    let at = taken - *begun.get_or_insert(taken);
    Shot { name, at, taken, time: std::time::SystemTime::now(), content }
}

/// Waits until `at`; [`ControlFlow::Break`] when `stop` came first.
fn sleep_until(at: Instant, stop: &StopSignal) -> ControlFlow<()> {
    // Nothing is ever sent on `stop`: it either times out or is disconnected.
    match stop.recv_deadline(at) {
        Err(e) if e.is_disconnected() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_unknown_schemes_are_refused_with_those_that_there_are() {
        for fine in [
            "rtsp://cam/1",
            "https://cam/x.jpg",
            "udp://@239.0.0.1:1234",
            "rtmpts://x/live",
            "video.mp4",
            "/dev/video0",
            "-",
            "",
        ] {
            assert_eq!(check_scheme(fine), Ok(()), "{fine}");
        }
        let said = |input: &str| check_scheme(input).unwrap_err();
        assert!(
            said("ftp://x/y").starts_with("ftp:// is no address") && said("ftp://x/y").contains("rtsp://, rtsps://")
        );
        assert!(said("RTSP://cam").contains("small letters") && said("file:///a.mp4").contains("by its path"));
    }
}
