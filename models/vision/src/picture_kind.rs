//! What a picture's file is, as far as decoders don't say: kinds that are not read, and animations, of which only the first picture is.

/// With what HEIC and AVIF are converted.
const LIBHEIF: &str = "make a JPEG of it, as with `heif-convert IN OUT.jpg` (the package libheif-examples)";
/// With what most others are.
const MAGICK: &str = "make a JPEG of it, as with `convert IN OUT.jpg` (ImageMagick)";

/// The kind of a file that is not read, and with what it is converted.
pub(crate) fn unread_kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(match bytes.get(8..12)? {
            b"avif" | b"avis" => ("AVIF", LIBHEIF),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => ("HEIC", LIBHEIF),
            b"crx " => ("raw (CR3)", MAGICK),
            _ => ("MP4 (a video)", "let its name end in .mp4 or .mov"),
        });
    }
    match () {
        () if begins(b"II*\0") || begins(b"MM\0*") => Some(("TIFF", MAGICK)),
        () if begins(&[0xFF, 0x0A]) || begins(b"\0\0\0\x0CJXL ") => {
            Some(("JPEG XL", "make a PNG of it, as with `djxl IN OUT.png`"))
        }
        () if begins(b"\0\0\0\x0CjP  ") || begins(&[0xFF, 0x4F, 0xFF, 0x51]) => Some(("JPEG 2000", MAGICK)),
        () if begins(b"8BPS") => Some(("Photoshop", MAGICK)),
        () if begins(b"%PDF") => Some(("PDF", "make JPEGs of it, as with `pdftoppm -jpeg IN OUT`")),
        () if begins(b"<svg") || (begins(b"<?xml") && holds(&bytes[..bytes.len().min(1024)], b"<svg")) => {
            Some(("SVG", MAGICK))
        }
        () if begins(&[0x1A, 0x45, 0xDF, 0xA3]) => Some(("Matroska (a video)", "let its name end in .mkv or .webm")),
        () => None,
    }
}

/// What a file that is no picture seems to be.
pub(crate) fn other_kind(bytes: &[u8]) -> String {
    let begins = |with: &[u8]| bytes.starts_with(with);
    let form = bytes.get(8..12).unwrap_or_default();
    let known = match () {
        () if begins(b"RIFF") && form == b"WAVE" => "it is a WAV file, which is sound",
        () if begins(b"RIFF") && form == b"AVI " => "it is an AVI video: let its name end in .avi",
        () if begins(b"FORM") => "it is an AIFF file, which is sound",
        () if begins(b"fLaC") => "it is a FLAC file, which is sound",
        () if begins(b"OggS") => "it is an Ogg file, which is sound",
        () if begins(b"ID3") || begins(&[0xFF, 0xFB]) || begins(&[0xFF, 0xF3]) => "it is an MP3 file, which is sound",
        () if begins(b"GGUF") => "it is a GGUF model",
        () if begins(b"PK\x03\x04") => "it is a ZIP archive",
        () if begins(b"\x7fELF") => "it is a program",
        () => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let head = &bytes[..bytes.len().min(64)];
    if std::str::from_utf8(head).is_ok_and(|text| text.chars().all(|c| !c.is_control() || c.is_whitespace())) {
        return "it looks like text".to_owned();
    }
    let first: Vec<String> = head.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("it begins with the bytes {}", first.join(" "))
}

/// What the file is an animation of, if it is one: `GIF`, `PNG` or `WebP`. Of an animation only the first picture is decoded.
pub fn animation(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"GIF8") {
        return (gif_pictures(bytes) > 1).then_some("GIF");
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return png_is_animated(bytes).then_some("PNG");
    }
    let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..16) == Some(b"WEBPVP8X");
    // The second bit of its flags.
    (is_webp && bytes.get(20).is_some_and(|flags| flags & 2 != 0)).then_some("WebP")
}

/// Whether a chunk `acTL` of more than one picture stands before the picture's data.
fn png_is_animated(bytes: &[u8]) -> bool {
    let mut rest = &bytes[8..];
    while let [l0, l1, l2, l3, id @ ..] = rest {
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
        match id.get(..4) {
            Some(b"acTL") => return id.get(4..8).is_some_and(|n| n > [0, 0, 0, 1].as_slice()),
            Some(b"IDAT") | None => return false,
            Some(_) => {}
        }
        // Length, name, data, checksum.
        rest = length.checked_add(8).and_then(|end| id.get(end..)).unwrap_or_default();
    }
    false
}

/// How many pictures a GIF has, counted up to two.
fn gif_pictures(bytes: &[u8]) -> u32 {
    let table = |flags: u8| if flags & 0x80 != 0 { 3usize << ((flags & 7) + 1) } else { 0 };
    let Some(flags) = bytes.get(10) else { return 0 };
    let (mut at, mut pictures) = (13 + table(*flags), 0);
    while pictures < 2 {
        at = match bytes.get(at) {
            Some(0x21) => behind_blocks(bytes, at + 2),
            Some(0x2C) => {
                pictures += 1;
                let flags = bytes.get(at + 9).copied().unwrap_or(0);
                behind_blocks(bytes, at + 10 + table(flags) + 1)
            }
            _ => return pictures,
        };
    }
    pictures
}

/// Behind the blocks from `at` on, each with its length before it; the last has none.
fn behind_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(length) = bytes.get(at) {
        at += 1 + usize::from(*length);
        if *length == 0 {
            break;
        }
    }
    at
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|w| w == part)
}

#[cfg(test)]
mod tests {
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, RgbaImage};

    use super::super::picture::Picture;
    use super::*;

    #[test]
    fn kinds_that_are_not_read_are_named_with_what_converts_them() {
        for (bytes, kind, with) in [
            (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "HEIC", "heif-convert"),
            (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF", "heif-convert"),
            (b"\0\0\0\x1cftypisom\0\0\0\0isommp42", "MP4 (a video)", ".mp4"),
            (b"II*\0\x08\0\0\0", "TIFF", "ImageMagick"),
            (b"MM\0*\0\0\0\x08", "TIFF", "ImageMagick"),
            (b"<?xml version=\"1.0\"?><svg/>", "SVG", "ImageMagick"),
        ] {
            let error = Picture::decode(bytes, "x.jpg").unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("x.jpg is in the format {kind}, which is not read: "))
                    && error.contains(with),
                "{error}"
            );
        }
    }

    fn gif(pictures: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for n in 0..pictures {
            let image = RgbaImage::from_pixel(40, 30, image::Rgba([n as u8 * 90, 7, 7, 255]));
            encoder.encode_frame(Frame::from_parts(image, 0, 0, Delay::from_numer_denom_ms(100, 1))).unwrap();
        }
        drop(encoder);
        bytes
    }

    #[test]
    fn animations_are_told_from_pictures() {
        assert_eq!((animation(&gif(1)), animation(&gif(3))), (None, Some("GIF")));
        let chunk =
            |name: &[u8; 4], body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], name, body, &[0; 4]].concat();
        let png =
            |more: &[u8]| [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &[0; 13])[..], more, &chunk(b"IDAT", &[1])].concat();
        let counted = |n: u8| png(&chunk(b"acTL", &[0, 0, 0, n, 0, 0, 0, 0]));
        assert_eq!((animation(&png(&[])), animation(&counted(1)), animation(&counted(2))), (None, None, Some("PNG")));
        let webp = |flags: u8| [&b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0"[..], &[flags, 0, 0, 0]].concat();
        assert_eq!((animation(&webp(0x10)), animation(&webp(0x12))), (None, Some("WebP")));
    }

    #[test]
    fn a_file_that_breaks_off_or_lies_ends_the_count() {
        let whole = gif(3);
        for end in 0..whole.len() {
            let _ = animation(&whole[..end]);
        }
        assert_eq!(animation(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR"), None);
    }
}
