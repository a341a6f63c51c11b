//! Seeing: a picture becomes numbers and names. Decoding with bounds ([`Picture`]), what a model needs to be told about
//! itself ([`VisionManifest`]), its heads ([`heads`]), what was seen ([`Sight`]), and the arithmetic of "is this still the
//! same scene" ([`Gate`], [`Presence`]). Where pictures come from, and when, is not known here.

mod annotate;
mod gate;
pub mod heads;
mod jpeg_stream;
mod manifest;
mod model;
mod picture;
mod presence;
mod sight;
mod words;

pub use annotate::{annotate, encode_jpeg};
pub use gate::{Gate, GateOptions, MOST_UNCLEAR, Verdict, cosine};
pub use jpeg_stream::{JpegSplitter, is_whole_jpeg};
pub use manifest::{
    ClassifierSpec, DetectorHead, DetectorSpec, EncoderSpec, Fit, InputSpec, Layout, PixelOrder, VisionManifest,
};
pub use model::{VisionError, VisionModel};
pub use picture::{
    KEPT_PIXELS, MAX_PICTURE_BYTES, MAX_PIXELS, MAX_SIDE, Picture, PictureError, Placement, read_picture_file,
};
pub use presence::{Movement, Presence, PresenceOptions};
pub use sight::{Label, Object, Rect, Sight, Slots};
pub use words::{PICTURE_WORDS, describe_in_text, describe_in_words, names_what_was_seen, place_of, plain_sentence};
