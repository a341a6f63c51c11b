//! SQLite's write-ahead journal, read before SQLite does: SQLite takes the first frame that is not whole for the end of the journal and
//! says nothing of what stands behind it. So what a damaged journal loses would be lost in silence.
//!
//! The format is that of <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// 0x377f0682 where checksums are of little-endian words, one more for big-endian ones.
const MAGIC: u32 = 0x377f_0682;

/// What a journal is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Journal {
    /// There is none, or nothing in it.
    Empty,
    /// It is whole up to its last commit, or to this byte; what follows is older, or was being written when its process ended.
    Whole(u64),
    /// What was committed can't be read.
    Damaged,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn checksum(big_endian: bool, sum: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let word = |b: &[u8]| {
        let b = [b[0], b[1], b[2], b[3]];
        if big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    };
    bytes.chunks_exact(8).fold(sum, |(a, b), pair| {
        let a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
        (a, b.wrapping_add(word(&pair[4..])).wrapping_add(a))
    })
}

/// Reads a journal for pages of `page` bytes.
///
/// # Errors
/// If it can't be read, other than for not being there.
pub(super) fn examine(path: &Path, page: usize) -> std::io::Result<Journal> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Journal::Empty),
        Err(error) => return Err(error),
    };
    let mut file = BufReader::with_capacity(1 << 18, file);
    let mut header = [0; HEADER_BYTES];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Journal::Empty),
        Err(_) => return Ok(Journal::Damaged),
    }
    let magic = word(&header, 0);
    let big_endian = magic & 1 == 1;
    let mut sum = checksum(big_endian, (0, 0), &header[..24]);
    if magic & !1 != MAGIC || word(&header, 8) as usize != page || sum != (word(&header, 24), word(&header, 28)) {
        return Ok(Journal::Damaged);
    }
    let salts = (word(&header, 16), word(&header, 20));
    let mut frame = vec![0; FRAME_HEADER_BYTES + page];
    let (mut is_whole, mut place, mut committed) = (true, HEADER_BYTES as u64, HEADER_BYTES as u64);
    // Whether the last frame was that of a commit, and is not whole. SQLite writes a frame's header before its page: a process that ends in
    // between leaves the commit's header over a page of long ago.
    let mut is_unfinished = false;
    loop {
        match file.read_exact(&mut frame) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Journal::Whole(committed)),
            Err(_) => return Ok(Journal::Damaged),
        }
        place += frame.len() as u64;
        let is_current = (word(&frame, 8), word(&frame, 12)) == salts;
        let is_commit = word(&frame, 4) != 0;
        if is_unfinished && is_current {
            return Ok(Journal::Damaged);
        }
        if is_whole {
            sum = checksum(big_endian, checksum(big_endian, sum, &frame[..8]), &frame[FRAME_HEADER_BYTES..]);
            is_whole = is_current && sum == (word(&frame, 16), word(&frame, 20));
            if is_whole && is_commit {
                committed = place;
            }
            is_unfinished = !is_whole && is_current && is_commit;
        } else if is_current && is_commit {
            return Ok(Journal::Damaged);
        }
    }
}
