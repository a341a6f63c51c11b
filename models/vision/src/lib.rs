//! Pictures, detectors, classifiers and encoders, and the gate that finds changes of scene.
//!
//! ```
//! use nearfield_vision::{Gate, GateOptions, Picture, VisionModel};
//! use std::time::Duration;
//!
//! let mut model = VisionModel::none(); // Compares pictures only. `VisionModel::open` takes an ONNX model.
//! let mut gate = Gate::new(GateOptions { confirm_pictures: 1, ..GateOptions::default() }, None);
//! for (second, file) in ["01-1.jpg", "01-2.jpg", "03-1.jpg"].iter().enumerate() {
//!     let picture = Picture::read(format!("../../assets/pictures/{file}").as_ref())?;
//!     let (seen, now) = (model.look(&picture)?, Duration::from_secs(second as u64));
//!     let (verdict, cosine) = gate.judge(&seen.embedding, &seen.words, now);
//!     println!("{file}: {verdict:?}, cosine {cosine:.2}");
//!     if verdict.wants_description() {
//!         gate.described(&seen.embedding, &seen.words, now, false);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Picture`] decodes within limits of bytes and pixels, [`VisionManifest`] describes a model's inputs and outputs, [`heads`] reads the
//! outputs, [`VisionResult`] is what was found, [`Gate`] and [`Presence`] compare it with what was there before, [`Motion`] tells whether
//! it is worth a look, [`Tracker`] follows objects, [`Zone`] and [`Line`] are places they come to. Models run with the feature `onnx`
//! (on by default). Absent on purpose: where pictures come from, and when.

mod annotate;
mod descriptor;
mod detect;
mod domain;
mod framing;
mod gate;
pub mod heads;
mod jpeg_stream;
mod labels;
mod manifest;
mod model;
mod motion;
mod onnx_model;
mod picture;
mod picture_kind;
mod presence;
mod recognize;
mod resample;
mod result;
mod track;
mod words;
mod zones;

pub use annotate::{annotate, encode_jpeg};
pub use framing::{Flip, Framing, FramingError};
pub use gate::{Gate, GateOptions, MOST_UNCLEAR, Verdict, cosine};
pub use jpeg_stream::{JpegSplitter, is_whole_jpeg};
pub use manifest::{
    Activation, ClassifierSpec, DetectorHead, DetectorSpec, DrawnOnly, EncoderSpec, Filter, Fit, InputSpec, Labels,
    Layout, PixelOrder, VisionManifest,
};
pub use model::{VisionError, VisionModel};
pub use motion::{Motion, MotionOptions};
pub use picture::{KEPT_PIXELS, MAX_PICTURE_BYTES, MAX_PIXELS, MAX_SIDE, Picture, PictureError, read_picture_file};
pub use picture_kind::animation;
pub use presence::{Movement, Presence, PresenceOptions};
pub use recognize::Beside;
pub use resample::Placement;
pub use result::{Label, Object, Rect, Slots, VisionResult};
pub use track::{Track, TrackOptions, Tracker};
pub use words::{
    PICTURE_WORDS, counted_objects, describe_in_text, describe_in_words, names_something_else, names_what_was_seen,
    place_of, plain_sentence,
};
pub use zones::{Line, Passage, Whereabouts, Zone};
