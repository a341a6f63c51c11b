//! A camera of the system (`/dev/video0`), asked by this program itself: JPEGs (MJPG) or plain pixels (YUYV) as the camera gives
//! them. The device stands behind a trait; the real one (`v4l2.rs`) comes with the feature `camera`, and without it ffmpeg opens
//! cameras.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nearfield_vision::Picture;

use super::{PictureSource, live_shot};
use crate::flow::{StopSignal, is_stopped};
use crate::messages::{Shot, ShotContent};

/// How often a wait looks at the stop signal.
const TICK: Duration = Duration::from_millis(100);

/// How a camera encodes its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraPixels {
    /// One JPEG each, often without Huffman tables.
    Mjpg,
    /// 4:2:2, two pixels in four bytes.
    Yuyv {
        /// From one row to the next.
        row_bytes: usize,
    },
}

/// What a camera has agreed to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameraFormat {
    /// How it is encoded.
    pub pixels: CameraPixels,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A picture as it comes from the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraFrame {
    /// In the agreed format.
    pub bytes: Vec<u8>,
    /// The driver says that something was lost on the way.
    pub damaged: bool,
}

/// A device that takes pictures.
pub trait CameraDevice: Send {
    /// For messages: its path.
    fn name(&self) -> String;

    /// Opens it and lets it begin; whatever was open before is closed.
    ///
    /// # Errors
    /// Why it can't be used; a [`super::Unrecoverable`] in the chain where trying again is of no use.
    fn start(&mut self) -> anyhow::Result<CameraFormat>;

    /// The next picture; `None` when none came within `wait`.
    ///
    /// # Errors
    /// The device is gone.
    fn frame(&mut self, wait: Duration) -> anyhow::Result<Option<CameraFrame>>;
}

/// A source of a camera's pictures.
pub struct Camera {
    device: Box<dyn CameraDevice>,
    interval: Duration,
    stall: Duration,
    format: Option<CameraFormat>,
    begun: Option<Instant>,
    due: Option<Instant>,
    given: u64,
}

impl Camera {
    /// At most one picture an `interval`, whatever the camera sends; one that brings none for `stall` has died.
    pub fn new(device: Box<dyn CameraDevice>, interval: Duration, stall: Duration) -> Self {
        Self { device, interval, stall, format: None, begun: None, due: None, given: 0 }
    }

    /// Whether a picture that comes now is wanted. Cameras know few rates, and the nearest may be a multiple of ours.
    fn is_due(&mut self, now: Instant) -> bool {
        // A camera at our own rate may be a little early without losing every other picture.
        let early = self.interval / 8;
        match self.due {
            Some(due) if now + early < due => false,
            Some(due) => {
                self.due = Some((due + self.interval).max(now));
                true
            }
            None => {
                self.due = Some(now + self.interval);
                true
            }
        }
    }
}

impl PictureSource for Camera {
    fn name(&self) -> String {
        self.device.name()
    }

    fn open(&mut self, _stop: &StopSignal) -> anyhow::Result<()> {
        self.format = None;
        let format = self.device.start()?;
        tracing::info!(camera = self.device.name(), ?format, "the camera has started");
        self.format = Some(format);
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        let format = self.format.context("it was not opened")?;
        let waiting = Instant::now();
        loop {
            if is_stopped(stop) {
                return Ok(None);
            }
            let Some(frame) = self.device.frame(TICK.min(self.stall))? else {
                ensure!(waiting.elapsed() < self.stall, "no picture for {} s", self.stall.as_secs_f32());
                continue;
            };
            if !self.is_due(Instant::now()) {
                continue;
            }
            self.given += 1;
            let name = format!("{} #{}", self.device.name(), self.given);
            let content = if frame.damaged {
                ShotContent::Unreadable("the driver reports a damaged picture".to_owned())
            } else {
                match format.pixels {
                    CameraPixels::Mjpg => ShotContent::File(frame.bytes),
                    CameraPixels::Yuyv { row_bytes } => {
                        match Picture::from_yuyv(format.width, format.height, row_bytes, &frame.bytes, "the picture") {
                            Ok(picture) => ShotContent::Picture(Arc::new(picture)),
                            Err(error) => ShotContent::Unreadable(error.to_string()),
                        }
                    }
                }
            };
            return Ok(Some(live_shot(name, &mut self.begun, content)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::{ReconnectPauses, SourceEvent, Unrecoverable, run};
    use super::*;
    use crate::flow::{Output, Turns};

    const YUYV: CameraFormat = CameraFormat { pixels: CameraPixels::Yuyv { row_bytes: 8 }, width: 2, height: 2 };
    const MJPG: CameraFormat = CameraFormat { pixels: CameraPixels::Mjpg, width: 2, height: 2 };

    /// What a scripted camera does next.
    enum Act {
        Starts(CameraFormat),
        IsNotThere,
        IsForbidden,
        Sends(Vec<u8>),
        SendsDamaged,
        IsUnplugged,
        Stalls,
    }

    struct Scripted {
        acts: VecDeque<Act>,
        pause: Duration,
    }

    impl CameraDevice for Scripted {
        fn name(&self) -> String {
            "/dev/video9".to_owned()
        }

        fn start(&mut self) -> anyhow::Result<CameraFormat> {
            match self.acts.pop_front() {
                Some(Act::Starts(format)) => Ok(format),
                Some(Act::IsNotThere) => anyhow::bail!("no such device"),
                Some(Act::IsForbidden) => Err(Unrecoverable("not in the group video".to_owned()).into()),
                _ => panic!("the script does not start here"),
            }
        }

        fn frame(&mut self, wait: Duration) -> anyhow::Result<Option<CameraFrame>> {
            std::thread::sleep(self.pause);
            match self.acts.pop_front() {
                Some(Act::Sends(bytes)) => Ok(Some(CameraFrame { bytes, damaged: false })),
                Some(Act::SendsDamaged) => Ok(Some(CameraFrame { bytes: vec![0; 16], damaged: true })),
                Some(Act::IsUnplugged) => anyhow::bail!("No such device (os error 19)"),
                Some(Act::Stalls) => {
                    self.acts.push_front(Act::Stalls);
                    std::thread::sleep(wait);
                    if self.acts.len() > 1 {
                        self.acts.pop_front();
                    }
                    Ok(None)
                }
                _ => panic!("the script sends nothing here"),
            }
        }
    }

    /// Runs a script to `most` pictures; answers what came, what was told of the source, and how it ended.
    fn watch(acts: Vec<Act>, most: u64) -> (Vec<String>, Vec<String>, String) {
        let device = Scripted { acts: acts.into(), pause: Duration::ZERO };
        let mut camera = Camera::new(Box::new(device), Duration::ZERO, Duration::from_millis(40));
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let (sender, receiver) = crossbeam_channel::bounded(100);
        let wait = Duration::from_millis(1);
        let pauses = ReconnectPauses { again: true, first: wait, longest: wait };
        let mut news = Vec::new();
        let mut tell = |n| {
            news.push(match n {
                SourceEvent::Disconnected { reason, .. } => reason,
                SourceEvent::Reconnected => "back".to_owned(),
            });
        };
        let end = run(&mut camera, &Output::Wait(sender), &Turns::default(), Some(most), pauses, &stop, &mut tell);
        let told = |shot: Shot| match shot.content {
            ShotContent::File(bytes) => format!("{} bytes", bytes.len()),
            ShotContent::Picture(picture) => format!("{:?}", picture.rgb().first()),
            ShotContent::Unreadable(reason) => reason,
        };
        let shots = receiver.try_iter().map(|e| told(e.body)).collect();
        (shots, news, end.map_or_else(|e| format!("{e:#}"), |()| "over".to_owned()))
    }

    #[test]
    fn a_camera_that_is_unplugged_or_stalls_is_told_and_reconnected_in_whatever_format_it_then_has() {
        let grey = || Act::Sends([126, 128, 126, 128, 0, 0, 0, 0].repeat(2));
        let acts = vec![
            Act::Starts(YUYV),
            grey(),
            Act::IsUnplugged,
            Act::IsNotThere,
            Act::Starts(MJPG),
            Act::Sends(vec![0xFF; 5]),
            Act::Stalls,
            Act::Starts(YUYV),
            grey(),
        ];
        let (shots, news, end) = watch(acts, 3);
        assert_eq!(shots, ["Some(128)", "5 bytes", "Some(128)"]);
        let told = [
            "/dev/video9: No such device (os error 19)",
            "/dev/video9: no such device",
            "back",
            "/dev/video9: no picture for 0.04 s",
            "back",
        ];
        assert_eq!((news, end.as_str()), (told.map(str::to_owned).to_vec(), "over"));
    }

    #[test]
    fn a_damaged_or_short_picture_costs_only_itself_and_a_camera_that_is_forbidden_is_given_up() {
        let acts = vec![
            Act::Starts(YUYV),
            Act::SendsDamaged,
            Act::Sends(vec![1, 2, 3]),
            Act::Sends([235, 128, 235, 128, 0, 0, 0, 0].repeat(2)),
        ];
        let (shots, news, _) = watch(acts, 3);
        assert!(shots[0].contains("damaged") && shots[1].contains("break off after 3 bytes"), "{shots:?}");
        assert_eq!((shots[2].as_str(), news.len()), ("Some(255)", 0));
        let (_, news, end) = watch(vec![Act::IsForbidden], 3);
        assert_eq!((news.len(), end.as_str()), (0, "/dev/video9: not in the group video"));
    }

    #[test]
    fn a_camera_that_is_faster_than_wanted_gives_only_so_many_pictures() {
        let mut acts = vec![Act::Starts(MJPG)];
        acts.extend((0..40).map(|i| Act::Sends(vec![i])));
        let device = Scripted { acts: acts.into(), pause: Duration::from_millis(5) };
        let mut camera = Camera::new(Box::new(device), Duration::from_millis(20), Duration::from_secs(1));
        let (keep, stop) = crossbeam_channel::bounded(0);
        camera.open(&stop).unwrap();
        let begun = Instant::now();
        for _ in 0..5 {
            camera.next(&stop).unwrap().unwrap();
        }
        assert!(begun.elapsed() >= Duration::from_millis(4 * 20 - 10), "{:?}", begun.elapsed());
        drop(keep);
        assert!(camera.next(&stop).unwrap().is_none(), "it ends with the stop signal");
    }
}
