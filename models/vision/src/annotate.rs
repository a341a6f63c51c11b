//! Draws a caption and boxes onto a picture with a bitmap font of the picture's size, and encodes it as JPEG: for snapshots.

use image::codecs::jpeg::JpegEncoder;

use spleen_font::{FONT_6X12, FONT_8X16, FONT_12X24, FONT_16X32, FONT_32X64, PSF2Font};

use super::picture::{KEPT_PIXELS, MAX_SIDE, Picture, PictureError};
use super::result::Object;

/// The fonts: up to which width of the picture, the width and height of a letter, and the letters.
const FONTS: [(usize, usize, usize, &[u8]); 5] = [
    (400, 6, 12, FONT_6X12),
    (1000, 8, 16, FONT_8X16),
    (1600, 12, 24, FONT_12X24),
    (3200, 16, 32, FONT_16X32),
    (usize::MAX, 32, 64, FONT_32X64),
];
/// Eight lines of the largest letters, and a margin: what a caption needs at most.
const CAPTION_ROOM: u32 = 1024;
const BOX_COLOUR: [u8; 3] = [255, 210, 0];

/// The picture with boxes around the objects, their labels, and the caption below.
///
/// A picture that leaves no room for the caption within the largest side of a JPEG is drawn at half its size.
pub fn annotate(picture: &Picture, objects: &[Object], caption: &str) -> Picture {
    let smaller;
    let picture = if picture.width().max(picture.height()) > MAX_SIDE - CAPTION_ROOM {
        smaller = picture.clone().within(KEPT_PIXELS, MAX_SIDE - CAPTION_ROOM);
        &smaller
    } else {
        picture
    };
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    let (_, glyph, height, data) = FONTS[FONTS.iter().position(|font| w <= font.0).unwrap_or(FONTS.len() - 1)];
    let line = height + height / 4;
    let margin = height / 2;
    let lines = wrap(caption, (w.saturating_sub(margin) / glyph).max(1));
    let strip = lines.len() * line + if lines.is_empty() { 0 } else { margin };
    let mut rgb = picture.rgb().to_vec();
    rgb.resize((h + strip) * w * 3, 16);
    let mut canvas = Canvas { w, h: h + strip, rgb: &mut rgb, font: PSF2Font::new(data).ok(), glyph };
    for object in objects {
        let r = object.rect.clipped();
        let (x0, y0) = ((r.x * w as f32) as usize, (r.y * h as f32) as usize);
        let (x1, y1) = (((r.x + r.w) * w as f32) as usize, ((r.y + r.h) * h as f32) as usize);
        for k in 0..(height / 8).max(1) {
            canvas.frame(x0 + k, y0 + k, x1.saturating_sub(k), y1.saturating_sub(k).min(h - 1));
        }
    }
    // Labels above all boxes; each within the picture, above its box where there is room.
    for object in objects {
        let r = object.rect.clipped();
        let label = format!("{} {:.0}%", object.label, object.score * 100.0);
        let (x, y) = ((r.x * w as f32) as usize, (r.y * h as f32) as usize);
        let x = x.min(w.saturating_sub(label.chars().count() * glyph));
        let y = if y >= height { y - height } else { y.min(h.saturating_sub(height)) };
        canvas.text(x, y, &label, BOX_COLOUR);
    }
    for (i, text) in lines.iter().enumerate() {
        canvas.text(margin / 2, h + margin / 2 + i * line, text, [255; 3]);
    }
    let mut drawn = picture.clone();
    if strip > 0 {
        // The sides fit by construction; only a picture of the largest size could grow beyond the bound.
        if let Ok(taller) = Picture::from_rgb(w as u32, (h + strip) as u32, rgb, "the snapshot") {
            return taller;
        }
        return drawn;
    }
    drawn.rgb_mut().copy_from_slice(&rgb);
    drawn
}

/// A JPEG of the picture; quality from 1 to 100.
///
/// # Errors
/// A side is longer than the format allows (65535).
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, PictureError> {
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, quality.clamp(1, 100))
        .encode(picture.rgb(), picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .map_err(|e| PictureError::Damaged { name: "the snapshot".to_owned(), reason: e.to_string() })?;
    Ok(out)
}

/// Lines of at most `width` characters, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|l| l.chars().count() + 1 + word.chars().count() <= width);
        match lines.last_mut() {
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.truncate(8);
    lines
}

struct Canvas<'a> {
    w: usize,
    h: usize,
    rgb: &'a mut [u8],
    /// `None` never: the fonts are part of the program.
    font: Option<PSF2Font<'a>>,
    /// Columns of a letter.
    glyph: usize,
}

impl Canvas<'_> {
    fn dot(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.w && y < self.h {
            self.rgb[(y * self.w + x) * 3..][..3].copy_from_slice(&colour);
        }
    }

    fn frame(&mut self, x0: usize, y0: usize, x1: usize, y1: usize) {
        for x in x0..=x1.min(self.w) {
            self.dot(x, y0, BOX_COLOUR);
            self.dot(x, y1, BOX_COLOUR);
        }
        for y in y0..=y1.min(self.h) {
            self.dot(x0, y, BOX_COLOUR);
            self.dot(x1, y, BOX_COLOUR);
        }
    }

    /// Characters of the font on a dark ground; what it lacks becomes a question mark.
    fn text(&mut self, x: usize, y: usize, text: &str, colour: [u8; 3]) {
        let Some(mut font) = self.font.take() else { return };
        for (i, c) in text.chars().enumerate() {
            let mut bytes = [0; 4];
            let found = font.glyph_for_utf8(c.encode_utf8(&mut bytes).as_bytes()).is_some();
            let wanted: &[u8] = if found { c.encode_utf8(&mut bytes).as_bytes() } else { b"?" };
            let Some(letter) = font.glyph_for_utf8(wanted) else { continue };
            for (row, bits) in letter.enumerate() {
                for (column, is_on) in bits.enumerate().take(self.glyph) {
                    self.dot(x + i * self.glyph + column, y + row, if is_on { colour } else { [16; 3] });
                }
            }
        }
        self.font = Some(font);
    }
}

#[cfg(test)]
mod tests {
    use super::super::result::Rect;
    use super::*;

    #[test]
    fn the_caption_stands_below_and_the_box_around() {
        let grey = Picture::from_rgb(320, 240, vec![100; 320 * 240 * 3], "grey").unwrap();
        let object =
            Object { label: "dog".to_owned(), score: 0.9, rect: Rect { x: 0.25, y: 0.5, w: 0.5, h: 0.25 }, class: 0 };
        let drawn = annotate(&grey, &[object], "A dog in the middle, and a second line of text that is longer.");
        assert!(drawn.height() > 250 && drawn.width() == 320);
        let at = |x: usize, y: usize| drawn.rgb()[(y * 320 + x) * 3..][..3].to_vec();
        assert_eq!((at(80, 150), at(240, 150)), (BOX_COLOUR.to_vec(), BOX_COLOUR.to_vec()), "the box's sides");
        assert_eq!(at(160, 150), vec![100; 3], "inside it, the picture");
        assert!((240..drawn.height() as usize).any(|y| (0..320).any(|x| at(x, y) == [255; 3])), "letters");
        let jpeg = encode_jpeg(&drawn, 85).unwrap();
        assert_eq!(Picture::decode(&jpeg, "back").unwrap().height(), drawn.height());
    }

    #[test]
    fn a_picture_as_long_as_a_jpeg_can_be_still_gets_its_caption() {
        for (w, h) in [(1, MAX_SIDE), (MAX_SIDE, 1)] {
            let long = Picture::from_rgb(w, h, vec![50; (w * h * 3) as usize], "long").unwrap();
            let drawn = annotate(&long, &[], "A long thing.");
            assert!(drawn.height() > h / 2 + 1, "there is room for the caption");
            assert!(Picture::decode(&encode_jpeg(&drawn, 80).unwrap(), "back").is_ok());
        }
    }

    #[test]
    fn objects_at_and_beyond_the_edges_of_the_smallest_picture_are_drawn_without_harm() {
        let dot = Picture::from_rgb(1, 1, vec![0; 3], "dot").unwrap();
        let object = |x, y, w, h| Object { label: "x".to_owned(), score: 1.0, rect: Rect { x, y, w, h }, class: 0 };
        annotate(&dot, &[object(-3.0, -3.0, 9.0, 9.0), object(2.0, 2.0, 1.0, 1.0), object(0.9, 0.9, 0.1, 0.1)], "é ☃");
    }

    #[test]
    fn a_label_at_any_border_is_whole_and_within_the_picture() {
        let (w, h) = (320usize, 240usize);
        let grey = Picture::from_rgb(w as u32, h as u32, vec![100; w * h * 3], "grey").unwrap();
        let letters = |x: f32, y: f32| {
            let rect = Rect { x, y, w: 0.05, h: 0.05 };
            let object = Object { label: "potted plant".to_owned(), score: 0.97, rect, class: 0 };
            let drawn = annotate(&grey, &[object], "");
            drawn.rgb().chunks_exact(3).filter(|p| *p == [16; 3]).count()
        };
        // The dark ground behind sixteen letters, wherever the box lies.
        let inside = letters(0.3, 0.5);
        assert!(inside > 16 * 6 * 12 / 2, "{inside}");
        for (x, y) in [(0.0, 0.0), (0.95, 0.0), (0.95, 0.95), (0.0, 0.95), (0.95, 0.5)] {
            let found = letters(x, y);
            // Its box lies under it where there is no room above.
            assert!(found + 60 > inside, "{x},{y}: {found} of {inside}");
        }
    }
}
