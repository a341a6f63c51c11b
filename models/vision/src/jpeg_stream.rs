//! Splits a stream of bytes into JPEGs by the markers of the format itself, so that a wrong MIME boundary or length of a camera does
//! no harm. Bytes between two pictures are skipped. Also inserts the standard Huffman tables where a camera leaves them out.

use std::borrow::Cow;

/// The longest JPEG; a longer one is given up.
const MAX_JPEG: usize = 32 << 20;

/// Cuts a stream of bytes into JPEGs.
#[derive(Debug, Default)]
pub struct JpegSplitter {
    held: Vec<u8>,
    /// How far `held` has been walked; only meaningful inside a picture.
    walk: Walk,
    /// Bytes skipped since the last picture: headers of parts, or garbage.
    passed: u64,
    /// Pictures that were never complete.
    broken: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Walk {
    at: usize,
    /// Within entropy-coded data, where the next marker is searched for.
    in_scan: bool,
}

enum Step {
    /// The picture ends before this byte.
    End(usize),
    /// More bytes are needed.
    More,
    /// This is no JPEG (any more); a new one may begin at this byte.
    Broken(usize),
}

impl JpegSplitter {
    /// Takes the next bytes of the stream and passes each complete JPEG to `sink`.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Vec<u8>)) {
        self.held.extend_from_slice(bytes);
        loop {
            if self.walk.at == 0 {
                let start = find(&self.held, &[0xFF, 0xD8, 0xFF]);
                let keep = start.unwrap_or_else(|| self.held.len().saturating_sub(2));
                self.passed += keep as u64;
                self.held.drain(..keep);
                if start.is_none() {
                    return;
                }
                self.walk = Walk { at: 2, in_scan: false };
            }
            match walk(&self.held, &mut self.walk) {
                Step::More if self.held.len() <= MAX_JPEG => return,
                Step::More => {
                    self.broken += 1;
                    self.held.clear();
                    self.walk = Walk::default();
                }
                Step::End(end) => {
                    let rest = self.held.split_off(end);
                    let picture = std::mem::replace(&mut self.held, rest);
                    self.walk = Walk::default();
                    self.passed = 0;
                    sink(picture);
                }
                Step::Broken(next) => {
                    self.broken += 1;
                    self.held.drain(..next.max(1));
                    self.walk = Walk::default();
                }
            }
        }
    }

    /// Incomplete pictures that were skipped.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// Bytes since the last picture that belong to none.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Whether a picture has begun and not ended.
    pub fn is_within_picture(&self) -> bool {
        self.walk.at > 0
    }
}

/// Whether `bytes` begin with a complete JPEG.
pub fn is_whole_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xD8]) && matches!(walk(bytes, &mut Walk { at: 2, in_scan: false }), Step::End(_))
}

/// The same JPEG with the Huffman tables that its decoder needs: where none stands before the first scan, those of the standard
/// are put in. Cameras that send Motion JPEG often leave them out (the AVI specification tells them to).
pub fn with_huffman_tables(jpeg: &[u8]) -> Cow<'_, [u8]> {
    let mut at = 2;
    while let Some(&[0xFF, kind, high, low]) = jpeg.get(at..at + 4) {
        match kind {
            0xFF => at += 1,
            // Its own tables, or another way of coding altogether (progressive, arithmetic): left as it is.
            0xC2..=0xCF => break,
            0xDA => return Cow::Owned([&jpeg[..at], &standard_huffman_tables(), &jpeg[at..]].concat()),
            0x01 | 0xD0..=0xD9 => break,
            _ => at += 2 + (usize::from(high) << 8 | usize::from(low)),
        }
    }
    Cow::Borrowed(jpeg)
}

/// The segment that defines the tables of ITU-T T.81, K.3.
fn standard_huffman_tables() -> Vec<u8> {
    // Table K.3 and K.4: how many codes there are of each length from 1 to 16; their values count up from 0.
    const DC_LUMINANCE: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
    const DC_CHROMINANCE: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
    let dc: Vec<u8> = (0..12).collect();
    // Tables K.5 and K.6.
    const AC_LUMINANCE: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D];
    const AC_CHROMINANCE: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77];
    const AC_LUMINANCE_VALUES: [u8; 162] = [
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
        0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72,
        0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
        0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
        0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83,
        0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
        0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
        0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
        0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
    ];
    const AC_CHROMINANCE_VALUES: [u8; 162] = [
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
        0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1,
        0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36,
        0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
        0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A,
        0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
        0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA,
        0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
        0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
    ];
    let tables: [(u8, &[u8; 16], &[u8]); 4] = [
        (0x00, &DC_LUMINANCE, &dc),
        (0x10, &AC_LUMINANCE, &AC_LUMINANCE_VALUES),
        (0x01, &DC_CHROMINANCE, &dc),
        (0x11, &AC_CHROMINANCE, &AC_CHROMINANCE_VALUES),
    ];
    let mut segment = vec![0xFF, 0xC4, 0x01, 0xA2]; // 2 + 2 * (17 + 12) + 2 * (17 + 162) = 418 bytes
    for (class_and_number, lengths, values) in tables {
        segment.push(class_and_number);
        segment.extend(lengths);
        segment.extend(values);
    }
    segment
}

/// Walks from marker to marker. Segments are as long as they say; in entropy-coded data a marker is any FF that is followed
/// by neither 00 (a stuffed byte) nor a restart marker.
fn walk(bytes: &[u8], walk: &mut Walk) -> Step {
    loop {
        if walk.in_scan {
            let Some(found) = bytes[walk.at.min(bytes.len())..]
                .windows(2)
                .position(|w| w[0] == 0xFF && !(w[1] == 0x00 || (0xD0..=0xD7).contains(&w[1]) || w[1] == 0xFF))
            else {
                walk.at = bytes.len().saturating_sub(1).max(walk.at);
                return Step::More;
            };
            walk.at += found;
            walk.in_scan = false;
        }
        let Some(&[mark, kind]) = bytes.get(walk.at..walk.at + 2) else { return Step::More };
        match (mark, kind) {
            (0xFF, 0xFF) => walk.at += 1, // A filling byte.
            (0xFF, 0xD9) => return Step::End(walk.at + 2),
            (0xFF, 0xD8) => return Step::Broken(walk.at), // The next picture begins within this one.
            (0xFF, 0x01 | 0xD0..=0xD7) => walk.at += 2,
            (0xFF, 0xC0..=0xFE) => {
                let Some(&[high, low]) = bytes.get(walk.at + 2..walk.at + 4) else { return Step::More };
                let length = usize::from(high) << 8 | usize::from(low);
                if length < 2 {
                    return Step::Broken(walk.at + 2);
                }
                if bytes.len() < walk.at + 2 + length {
                    return Step::More;
                }
                walk.in_scan = kind == 0xDA;
                walk.at += 2 + length;
            }
            _ => return Step::Broken(walk.at + 1),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Picture, encode_jpeg};
    use super::*;

    fn jpeg(seed: u8) -> Vec<u8> {
        let rgb = (0..48 * 32 * 3).map(|i| (i as u8).wrapping_mul(seed)).collect();
        encode_jpeg(&Picture::from_rgb(48, 32, rgb, "made").unwrap(), 80).unwrap()
    }

    fn split(stream: &[u8], sizes: &[usize]) -> (Vec<Vec<u8>>, JpegSplitter) {
        let (mut splitter, mut found, mut rest, mut turn) = (JpegSplitter::default(), Vec::new(), stream, 0);
        while !rest.is_empty() {
            let n = sizes[turn % sizes.len()].clamp(1, rest.len());
            splitter.push(&rest[..n], &mut |picture| found.push(picture));
            (rest, turn) = (&rest[n..], turn + 1);
        }
        (found, splitter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pictures_are_found_however_the_stream_is_cut(sizes in prop::collection::vec(1usize..400, 1..8)) {
            let pictures: Vec<_> = (1..5).map(jpeg).collect();
            let mut stream = Vec::new();
            for picture in &pictures {
                stream.extend_from_slice(b"--boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\n\r\n");
                stream.extend_from_slice(picture);
                stream.extend_from_slice(b"\r\n");
            }
            let (found, splitter) = split(&stream, &sizes);
            prop_assert!(found == pictures);
            prop_assert_eq!(splitter.broken(), 0);
        }
    }

    #[test]
    fn a_picture_that_breaks_off_costs_only_itself() {
        let (a, b) = (jpeg(3), jpeg(7));
        let stream = [&a[..a.len() / 2], &b[..], &a[..]].concat();
        let (found, splitter) = split(&stream, &[100]);
        assert!(found == [b, a]);
        assert_eq!(splitter.broken(), 1);
    }

    #[test]
    fn a_stream_without_pictures_holds_nothing_back() {
        let (found, splitter) = split(&vec![0x55; 1 << 20], &[4096]);
        assert!(found.is_empty() && splitter.held.len() < 4);
        assert_eq!(splitter.passed(), (1 << 20) - 2);
    }

    #[test]
    fn a_jpeg_is_whole_only_with_its_end() {
        let whole = jpeg(5);
        assert!(is_whole_jpeg(&whole));
        assert!((0..whole.len()).all(|n| !is_whole_jpeg(&whole[..n])));
    }

    /// A JPEG without the segments of one kind.
    fn without(jpeg: &[u8], kind: u8) -> Vec<u8> {
        let (mut out, mut at) = (jpeg[..2].to_vec(), 2);
        while jpeg[at + 1] != 0xDA {
            let length = 2 + (usize::from(jpeg[at + 2]) << 8 | usize::from(jpeg[at + 3]));
            if jpeg[at + 1] != kind {
                out.extend_from_slice(&jpeg[at..at + length]);
            }
            at += length;
        }
        out.extend_from_slice(&jpeg[at..]);
        out
    }

    #[test]
    fn a_camera_s_jpeg_without_huffman_tables_is_the_same_picture() {
        let whole = jpeg(5);
        let bare = without(&whole, 0xC4);
        assert!(bare.len() + 400 < whole.len() && is_whole_jpeg(&bare));
        assert_eq!(Picture::decode(&bare, "x").unwrap(), Picture::decode(&whole, "x").unwrap());
        assert!(matches!(with_huffman_tables(&whole), Cow::Borrowed(_)), "one that has its tables stays as it is");
        // The same in a stream.
        let (found, _) = split(&[&bare[..], &whole[..], &bare[..]].concat(), &[77]);
        assert!(found == [bare.clone(), whole, bare]);
    }

    proptest! {
        #[test]
        fn rubbish_gets_no_tables_and_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..900) {
            let _ = with_huffman_tables(&bytes);
            let bare = without(&jpeg(9), 0xC4);
            let _ = with_huffman_tables(&bare[..cut.min(bare.len())]);
        }
    }
}
