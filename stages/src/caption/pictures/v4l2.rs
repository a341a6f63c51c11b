//! A camera through Video for Linux: the device behind [`super::Camera`]. Its buffers are mapped and its calls made by the crate
//! `linuxvideo`, so that nothing here is `unsafe`. Only single-planar capture of MJPG and YUYV, which is what USB cameras have; cameras behind a
//! system-on-chip's own pipeline (`unicam`, `rkisp`) need that pipeline's program, whose output ffmpeg or standard input takes.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, bail};
use linuxvideo::format::{PixFormat, PixelFormat};
use linuxvideo::stream::ReadStream;
use linuxvideo::{BufType, CapabilityFlags, Device, Fract};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::camera::{CameraDevice, CameraFormat, CameraFrame, CameraPixels};
use super::{Unrecoverable, cameras};

/// Up to this width plain pixels are taken where there are any: they cost less than a JPEG, and USB still carries enough of them.
const WIDEST_YUYV: u32 = 640;
/// Asked for where the configuration does not limit the width.
const WIDTH: u32 = 1280;

/// A camera.
pub struct V4l2Camera {
    path: String,
    fps: f64,
    max_width: u32,
    stream: Option<ReadStream>,
    was_there: bool,
}

impl V4l2Camera {
    /// The device at `path`, asked for `fps` pictures a second and pictures at most `max_width` wide (0: 1280); it takes what it has
    /// that is nearest.
    pub fn new(path: &str, fps: f64, max_width: u32) -> Self {
        Self { path: path.to_owned(), fps, max_width, stream: None, was_there: false }
    }

    fn open(&self) -> anyhow::Result<Device> {
        let device = match Device::open(&self.path) {
            Ok(device) => device,
            Err(error) => {
                let reason = match error.kind() {
                    ErrorKind::PermissionDenied => {
                        format!("{error}: add yourself to the group that owns it (`ls -l {}`)", self.path)
                    }
                    ErrorKind::NotFound if !self.was_there => format!("there is no such camera; {}", cameras()),
                    _ if error.raw_os_error() == Some(rustix::io::Errno::NOTTY.raw_os_error()) => {
                        format!("it is not a video device; {}", cameras())
                    }
                    // It was there, and may come back.
                    _ => return Err(error.into()),
                };
                return Err(Unrecoverable(reason).into());
            }
        };
        let able = device.capabilities().context("it does not tell what it can do")?.device_capabilities();
        if !able.contains(CapabilityFlags::VIDEO_CAPTURE | CapabilityFlags::STREAMING) {
            return Err(Unrecoverable(format!("it takes no pictures itself; {}", cameras())).into());
        }
        Ok(device)
    }
}

impl CameraDevice for V4l2Camera {
    fn name(&self) -> String {
        self.path.clone()
    }

    fn start(&mut self) -> anyhow::Result<CameraFormat> {
        self.stream = None;
        let device = self.open()?;
        self.was_there = true;
        let formats: Vec<PixelFormat> =
            device.formats(BufType::VIDEO_CAPTURE).filter_map(|f| Some(f.ok()?.pixel_format())).collect();
        let width = if self.max_width > 0 { self.max_width } else { WIDTH };
        let plain_first = width <= WIDEST_YUYV;
        let order = [PixelFormat::YUYV, PixelFormat::MJPG, PixelFormat::JPEG];
        let order = if plain_first { order } else { [order[1], order[2], order[0]] };
        let Some(wanted) = order.into_iter().find(|f| formats.contains(f)) else {
            let has: Vec<_> = formats.iter().map(|f| String::from_utf8_lossy(&f.as_fourcc()).into_owned()).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(Unrecoverable(format!("it has none of the formats MJPG and YUYV (it has: {has})")).into());
        };
        let capture = device
            .video_capture(PixFormat::new(width, width * 3 / 4, wanted))
            .context("it does not agree to any format")?;
        // Not all drivers let their rate be set; there is a limit behind this anyway.
        let interval = Fract::new(1000, (self.fps * 1000.0).clamp(1.0, 1e6) as u32);
        if let Err(error) = capture.set_frame_interval(interval) {
            tracing::debug!(camera = self.path, %error, "the camera keeps its rate");
        }
        let agreed = capture.format();
        let (width, height) = (agreed.width(), agreed.height());
        let pixels = match agreed.pixel_format() {
            PixelFormat::YUYV => {
                let row_bytes = match agreed.bytes_per_line() as usize {
                    0 => width as usize * 2,
                    n => n,
                };
                CameraPixels::Yuyv { row_bytes }
            }
            PixelFormat::MJPG | PixelFormat::JPEG => CameraPixels::Mjpg,
            other => bail!("it insists on the format {}", String::from_utf8_lossy(&other.as_fourcc())),
        };
        self.stream = Some(capture.into_stream().context("it does not begin (is another program using it?)")?);
        Ok(CameraFormat { pixels, width, height })
    }

    fn frame(&mut self, wait: Duration) -> anyhow::Result<Option<CameraFrame>> {
        let stream = self.stream.as_mut().context("the camera was not started")?;
        let mut ready = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)];
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        match poll(&mut ready, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error).context("the camera can't be waited for"),
        }
        // A camera that was pulled out is "ready" as well, and says so here.
        let frame = stream.dequeue(|view| Ok(CameraFrame { bytes: view.to_vec(), damaged: view.is_error() }));
        match frame {
            Ok(frame) => Ok(Some(frame)),
            Err(error) if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) => {
                self.stream = None;
                Err(error).context("the camera is gone")
            }
        }
    }
}
