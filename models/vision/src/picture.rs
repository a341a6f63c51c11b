//! A picture in memory: eight bits of red, green and blue a pixel; read from JPEG, PNG, GIF (its first frame), BMP, WebP or
//! PNM within memory limits, and resampled into a model's input tensor.

use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::jpeg_stream::{is_whole_jpeg, with_huffman_tables};
use super::picture_kind::{other_kind, unread_kind};
use super::result::Rect;

/// The longest picture file.
pub const MAX_PICTURE_BYTES: usize = 64 << 20;

/// The most pixels of a picture; beyond what cameras make, and 150 MB when unpacked.
pub const MAX_PIXELS: u64 = 50_000_000;

/// The longest side of a picture; longer ones can't be written as JPEG either.
pub const MAX_SIDE: u32 = 65_535;

/// The most bytes of a decoded picture: [`MAX_PIXELS`] of red, green, blue and alpha, a byte each.
pub const MAX_UNPACKED_BYTES: u64 = MAX_PIXELS * 4;

/// Larger pictures are halved until they fit, because several wait between stages at once. 48 MB.
pub const KEPT_PIXELS: u64 = 16_000_000;

/// Why a picture can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file is missing or can't be read.
    #[error("{name} can't be read: {reason}")]
    Unreadable {
        /// The file.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// It has no bytes.
    #[error("{name} is empty")]
    Empty {
        /// The file, or what the source calls it.
        name: String,
    },
    /// It has too many pixels.
    #[error(
        "{name} has {width} x {height} pixels; pictures of up to {} million pixels are read, with sides of up to {MAX_SIDE}",
        MAX_PIXELS / 1_000_000
    )]
    TooLarge {
        /// The file, or what the source calls it.
        name: String,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A picture of a kind that is not read.
    #[error("{name} is in the format {format}, which is not read: {hint}")]
    NotRead {
        /// The file, or what the source calls it.
        name: String,
        /// The kind.
        format: &'static str,
        /// With which program.
        hint: &'static str,
    },
    /// Another kind of file.
    #[error("{name} is not a picture ({found}); expected JPEG, PNG, GIF, BMP, WebP or PNM")]
    NotAPicture {
        /// The file, or what the source calls it.
        name: String,
        /// What it seems to be.
        found: String,
    },
    /// An incomplete picture, or one that contradicts itself.
    #[error("{name} is not a complete picture: {reason}")]
    Damaged {
        /// The file, or what the source calls it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Rows of pixels from the top, each red, green, blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>, // [height, width, 3]
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

impl Picture {
    /// A picture of raw pixels. rgb: `[height, width, 3]`.
    ///
    /// # Errors
    /// The numbers do not fit together.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>, name: &str) -> Result<Self, PictureError> {
        check_size(width, height, name)?;
        let wanted = width as usize * height as usize * 3;
        if wanted == 0 || rgb.len() != wanted {
            let reason = format!("{width} x {height} pixels need {wanted} bytes, but there are {}", rgb.len());
            return Err(PictureError::Damaged { name: name.to_owned(), reason });
        }
        Ok(Self { width, height, rgb })
    }

    /// A camera's picture as YUYV (4:2:2, also called YUY2): two pixels in four bytes, brightness, blue, brightness, red. Rows are
    /// `row_bytes` apart; bytes beyond the last row are ignored. Colours are those of ITU-R BT.601 with a range from 16
    /// to 235, which is what cameras send unless they say otherwise.
    ///
    /// # Errors
    /// The numbers do not fit together.
    pub fn from_yuyv(
        width: u32,
        height: u32,
        row_bytes: usize,
        bytes: &[u8],
        name: &str,
    ) -> Result<Self, PictureError> {
        let damaged = |reason: String| PictureError::Damaged { name: name.to_owned(), reason };
        check_size(width, height, name)?;
        let (columns, rows) = (width as usize, height as usize);
        let row_used = columns.div_ceil(2) * 4;
        if columns == 0 || rows == 0 || row_bytes < row_used {
            return Err(damaged(format!(
                "{width} x {height} pixels of YUYV do not fit into rows of {row_bytes} bytes"
            )));
        }
        let wanted = row_bytes.checked_mul(rows - 1).and_then(|n| n.checked_add(row_used));
        if wanted.is_none_or(|n| bytes.len() < n) {
            let there = bytes.len();
            return Err(damaged(format!("{width} x {height} pixels of YUYV break off after {there} bytes")));
        }
        let mut rgb = Vec::with_capacity(columns * rows * 3);
        for row in bytes.chunks(row_bytes).take(rows) {
            for pair in row[..row_used].chunks_exact(4) {
                let [y0, u, y1, v] = [pair[0], pair[1], pair[2], pair[3]].map(i32::from);
                let (u, v) = (u - 128, v - 128);
                for y in [y0, y1] {
                    // 255 / 219 = 1.164 for brightness, 255 / 224 of 1.402, 0.344, 0.714, 1.772 for colour; in 256ths, rounded.
                    let y = (y - 16) * 298 + 128;
                    let channels = [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u];
                    rgb.extend(channels.map(|c| (c >> 8).clamp(0, 255) as u8));
                }
            }
            if columns % 2 == 1 {
                rgb.truncate(rgb.len() - 3);
            }
        }
        Self::from_rgb(width, height, rgb, name)
    }

    /// Reads a picture file.
    ///
    /// # Errors
    /// It can't be read, and as [`decode`](Self::decode).
    pub fn read(path: &Path) -> Result<Self, PictureError> {
        Self::decode(&read_picture_file(path)?, &path.display().to_string())
    }

    /// Decodes a picture file's bytes. `name` is what errors call it.
    ///
    /// # Errors
    /// It is empty, too large, no picture, or cut short.
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self, PictureError> {
        let damaged = |reason: String| PictureError::Damaged { name: name.to_owned(), reason };
        if bytes.is_empty() {
            return Err(PictureError::Empty { name: name.to_owned() });
        }
        if bytes.len() > MAX_PICTURE_BYTES {
            return Err(damaged(format!("it has more than {MAX_PICTURE_BYTES} bytes")));
        }
        if bytes.starts_with(&[0xFF, 0xD8]) && !is_whole_jpeg(bytes) {
            return Err(damaged("the JPEG breaks off before its end".to_owned()));
        }
        if let Some((format, hint)) = unread_kind(bytes) {
            return Err(PictureError::NotRead { name: name.to_owned(), format, hint });
        }
        if let Some(reason) = chunk_beyond_end(bytes) {
            return Err(damaged(reason));
        }
        let bytes = if bytes.starts_with(&[0xFF, 0xD8]) { with_huffman_tables(bytes) } else { bytes.into() };
        let mut reader =
            ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| damaged(e.to_string()))?;
        if reader.format().is_none() {
            return Err(PictureError::NotAPicture {
                name: name.to_owned(),
                found: other_kind(reader.into_inner().get_ref()),
            });
        }
        // The picture itself is bounded below; this is what a decoder may work with beside it.
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_UNPACKED_BYTES * 2);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|e| damaged(e.to_string()))?;
        let (width, height) = decoder.dimensions();
        check_size(width, height, name)?;
        if width == 0 || height == 0 {
            return Err(damaged("it has no pixels".to_owned()));
        }
        if decoder.total_bytes() > MAX_UNPACKED_BYTES {
            let (bits, bytes) = (decoder.color_type().bits_per_pixel(), decoder.total_bytes());
            return Err(damaged(format!(
                "its {width} x {height} pixels of {bits} bits need {bytes} bytes; up to {MAX_UNPACKED_BYTES} are unpacked"
            )));
        }
        let orientation = decoder.orientation().ok();
        let mut image = DynamicImage::from_decoder(decoder).map_err(|e| damaged(e.to_string()))?;
        if let Some(orientation) = orientation {
            image.apply_orientation(orientation);
        }
        let rgb = image.into_rgb8();
        let (width, height) = rgb.dimensions();
        Ok(Self { width, height, rgb: rgb.into_raw() }.within(KEPT_PIXELS, MAX_SIDE))
    }

    /// The picture, halved until it has at most `pixels` pixels and no side longer than `side`.
    #[must_use]
    pub fn within(self, pixels: u64, side: u32) -> Self {
        let mut picture = self;
        while u64::from(picture.width) * u64::from(picture.height) > pixels || picture.width.max(picture.height) > side
        {
            if picture.width.max(picture.height) == 1 {
                break;
            }
            picture = picture.halved();
        }
        picture
    }

    /// Half as wide and half as high, each pixel the mean of four; an odd last row or column is left out, a single one stays.
    fn halved(&self) -> Self {
        let (w, h) = (self.width as usize, self.height as usize);
        let (half_w, half_h) = ((w / 2).max(1), (h / 2).max(1));
        let mut rgb = Vec::with_capacity(half_w * half_h * 3);
        for y in 0..half_h {
            let rows = [y * 2, (y * 2 + 1).min(h - 1)].map(|row| &self.rgb[row * w * 3..][..w * 3]);
            for x in 0..half_w {
                let columns = [x * 2, (x * 2 + 1).min(w - 1)];
                for channel in 0..3 {
                    let sum: u16 = rows.iter().flat_map(|row| columns.map(|c| u16::from(row[c * 3 + channel]))).sum();
                    rgb.push(((sum + 2) / 4) as u8);
                }
            }
        }
        Self { width: half_w as u32, height: half_h as u32, rgb }
    }

    /// A part of the picture, made smaller until no side is longer than `most_px`.
    #[must_use]
    pub fn cropped(&self, part: &Rect, most_px: u32) -> Self {
        let part = part.clipped();
        let pixels = |from: f32, length: f32, n: u32| {
            let first = ((from * n as f32) as u32).min(n - 1);
            (first, ((length * n as f32).round() as u32).clamp(1, n - first))
        };
        let ((x, w), (y, h)) = (pixels(part.x, part.w, self.width), pixels(part.y, part.h, self.height));
        let mut rgb = Vec::with_capacity(w as usize * h as usize * 3);
        for row in y..y + h {
            let start = (row as usize * self.width as usize + x as usize) * 3;
            rgb.extend_from_slice(&self.rgb[start..start + w as usize * 3]);
        }
        let longest = w.max(h);
        if longest <= most_px {
            return Self { width: w, height: h, rgb };
        }
        let scaled = |side: u32| ((u64::from(side) * u64::from(most_px) / u64::from(longest)) as u32).max(1);
        let (width, height) = (scaled(w), scaled(h));
        let Some(image) = image::RgbImage::from_raw(w, h, rgb) else { return self.clone() };
        Self { width, height, rgb: image::imageops::thumbnail(&image, width, height).into_raw() }
    }

    /// Whether the whole picture is one colour except for noise, as with a covered lens or a broken camera. Samples a grid of pixels.
    pub fn is_flat(&self) -> bool {
        /// The noise of a cheap sensor in the dark, and a JPEG's.
        const NOISE: u8 = 12;
        const POINTS: usize = 4096;
        let pixels = self.rgb.len() / 3;
        // An odd step, so that the samples are not all in one column.
        let step = (pixels / POINTS).max(1) | 1;
        let (mut low, mut high) = ([u8::MAX; 3], [0u8; 3]);
        for pixel in self.rgb.chunks_exact(3).step_by(step) {
            for channel in 0..3 {
                low[channel] = low[channel].min(pixel[channel]);
                high[channel] = high[channel].max(pixel[channel]);
            }
        }
        (0..3).all(|channel| high[channel] - low[channel] <= NOISE)
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `[height, width, 3]`
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// For drawing.
    pub(crate) fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }
}

/// The bytes of a picture file, up to one more than [`MAX_PICTURE_BYTES`], whatever length the system says it has.
///
/// # Errors
/// [`PictureError::Unreadable`].
pub fn read_picture_file(path: &Path) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    nearfield_base::files::open(path)
        .and_then(|file| file.take(MAX_PICTURE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| PictureError::Unreadable { name: path.display().to_string(), reason: e.to_string() })?;
    Ok(bytes)
}

/// Checks the chunks of a WebP, because its decoder allocates the lengths that they claim.
fn chunk_beyond_end(bytes: &[u8]) -> Option<String> {
    if !bytes.starts_with(b"RIFF") || bytes.get(8..12) != Some(b"WEBP") {
        return None;
    }
    let mut rest = &bytes[12..];
    while let [a, b, c, d, l0, l1, l2, l3, body @ ..] = rest {
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        if length > body.len() {
            let name = String::from_utf8_lossy(&[*a, *b, *c, *d]).into_owned();
            return Some(format!("its chunk {name:?} says {length} bytes, but {} are left", body.len()));
        }
        // Chunks are padded to an even length.
        rest = body.get(length.next_multiple_of(2)..).unwrap_or_default();
    }
    None
}

fn check_size(width: u32, height: u32, name: &str) -> Result<(), PictureError> {
    if u64::from(width) * u64::from(height) > MAX_PIXELS || width.max(height) > MAX_SIDE {
        return Err(PictureError::TooLarge { name: name.to_owned(), width, height });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Red grows to the right, green downwards.
    pub(crate) fn gradient(width: u32, height: u32) -> Picture {
        let rgb = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(x * 255 / width) as u8, (y * 255 / height) as u8, 128]))
            .collect();
        Picture::from_rgb(width, height, rgb, "gradient").unwrap()
    }

    #[test]
    fn a_webp_whose_metadata_says_it_has_gigabytes_is_refused_before_anything_is_allocated() {
        let chunk = |name: &[u8; 4], length: u32, body: &[u8]| [&name[..], &length.to_le_bytes(), body].concat();
        let canvas = chunk(b"VP8X", 10, &[8, 0, 0, 0, 63, 0, 0, 63, 0, 0]);
        let webp = [b"RIFF\x40\0\0\0WEBP".to_vec(), canvas, chunk(b"EXIF", 0xffff_fff0, &[0; 64])].concat();
        let error = Picture::decode(&webp, "x.webp").unwrap_err().to_string();
        assert!(error.contains("\"EXIF\" says 4294967280 bytes, but 64 are left"), "{error}");
    }

    #[test]
    fn large_pictures_are_halved_and_single_rows_stay() {
        let picture = gradient(400, 300).within(40_000, MAX_SIDE);
        assert_eq!((picture.width, picture.height), (200, 150));
        assert!((i32::from(picture.rgb[100 * 3]) - 127).abs() < 3, "the middle column");
        let row = Picture::from_rgb(1000, 1, vec![7; 3000], "row").unwrap().within(u64::MAX, 300);
        assert_eq!((row.width, row.height, row.rgb.iter().all(|v| *v == 7)), (250, 1, true));
    }

    #[test]
    fn a_covered_lens_is_flat_and_a_gradient_is_not() {
        let dark = |noise: u32| {
            let rgb = (0..640 * 480 * 3u32).map(|i| 8 + (i * 7919 % (noise + 1)) as u8).collect();
            Picture::from_rgb(640, 480, rgb, "dark").unwrap().is_flat()
        };
        assert!(dark(0) && dark(10) && !dark(60) && !gradient(640, 480).is_flat());
    }

    #[test]
    fn what_is_no_picture_is_named_with_the_reason() {
        let error = |bytes: &[u8]| Picture::decode(bytes, "x.jpg").unwrap_err().to_string();
        assert_eq!(error(b""), "x.jpg is empty");
        assert!(error(b"hello").contains("is not a picture (it looks like text)"), "{}", error(b"hello"));
        assert!(error(&[0xFF, 0xD8, 0xFF, 0xE0, 0, 16]).contains("breaks off"));
    }

    #[test]
    fn yuyv_becomes_the_colours_that_bt_601_says() {
        // Brightness and colour of white, black, grey, red, green and blue, by the definition in f64.
        let yuv = |rgb: [f64; 3]| {
            let [r, g, b] = rgb;
            let y = 0.299 * r + 0.587 * g + 0.114 * b;
            let (u, v) = ((b - y) / 1.772, (r - y) / 1.402);
            [16.0 + 219.0 * y, 128.0 + 224.0 * u, 128.0 + 224.0 * v].map(|x: f64| x.round() as u8)
        };
        for rgb in [[1.0; 3], [0.0; 3], [0.5; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.8, 0.4, 0.1]] {
            let [y, u, v] = yuv(rgb);
            let dark = yuv([0.0; 3])[0];
            let picture = Picture::from_yuyv(2, 1, 4, &[y, u, dark, v], "x").unwrap();
            for (found, wanted) in picture.rgb().iter().zip(rgb) {
                assert!((f64::from(*found) - wanted * 255.0).abs() <= 3.0, "{rgb:?}: {:?}", picture.rgb());
            }
        }
    }

    #[test]
    fn yuyv_with_padded_rows_an_odd_width_or_missing_bytes_is_taken_or_refused() {
        // Three pixels in a row of 12 bytes, of which 8 count; the last row may lack its padding.
        let row = [235, 128, 16, 128, 126, 128, 99, 128];
        let bytes = [&row[..], &[7; 4], &row[..]].concat();
        let picture = Picture::from_yuyv(3, 2, 12, &bytes, "x").unwrap();
        let grey: Vec<u8> = picture.rgb().chunks(3).map(|p| p[0]).collect();
        assert_eq!(grey, [255, 0, 128, 255, 0, 128]);
        let error = |w, h, row, n: usize| Picture::from_yuyv(w, h, row, &bytes[..n], "x").unwrap_err().to_string();
        assert!(error(3, 2, 12, 19).contains("break off after 19 bytes"));
        assert!(error(3, 2, 6, 20).contains("rows of 6 bytes"));
        assert!(error(0, 2, 12, 20).contains("0 x 2"));
        assert!(error(u32::MAX, u32::MAX, usize::MAX, 20).contains("million pixels"));
        assert!(error(2, 3, usize::MAX, 20).contains("break off"));
    }
}
