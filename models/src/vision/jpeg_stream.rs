//! JPEGs in a row of bytes, found by their own markers: a camera's stream needs no boundary, and one that lies about its
//! boundary or its lengths does no harm. What stands between two pictures is passed over.

/// The longest JPEG that is waited for; a stream without an end is given up there.
const MAX_JPEG: usize = 32 << 20;

/// Cuts a stream of bytes into JPEGs.
#[derive(Debug, Default)]
pub struct JpegSplitter {
    held: Vec<u8>,
    /// How far `held` has been walked; only meaningful inside a picture.
    walk: Walk,
    /// Bytes that were passed over since the last picture: headers of parts, or rubbish.
    passed: u64,
    /// Pictures that never came to their end.
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
    /// Takes the next bytes of the stream and hands each whole JPEG to `sink`.
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

    /// Pictures that broke off and were passed over.
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

/// Whether `bytes` begin with a JPEG that comes to its end.
pub fn is_whole_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xD8]) && matches!(walk(bytes, &mut Walk { at: 2, in_scan: false }), Step::End(_))
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
}
