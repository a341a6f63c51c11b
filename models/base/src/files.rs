//! Opens and reads files without ever blocking and within a size limit. A plain open of a pipe (FIFO) would wait for its writer,
//! perhaps for ever; here a pipe or a socket is an error.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};

/// The reason when a path names a pipe where a file is wanted.
const PIPE: &str = "it is a pipe (FIFO), not a file";

/// Opens a file to be read.
///
/// # Errors
/// It can't be opened, or is a pipe or a socket.
pub fn open(path: &Path) -> io::Result<File> {
    let (file, is_pipe) = open_at_once(path)?;
    if is_pipe { Err(io::Error::new(ErrorKind::InvalidInput, PIPE)) } else { Ok(file) }
}

/// Opens a file, a device or a pipe; the second value says whether it is a pipe, whose reads fail with [`ErrorKind::WouldBlock`]
/// instead of waiting.
///
/// # Errors
/// It can't be opened, or is a socket.
pub fn open_at_once(path: &Path) -> io::Result<(File, bool)> {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    let is_pipe = file.metadata()?.file_type().is_fifo();
    if !is_pipe {
        fcntl_setfl(&file, OFlags::empty())?;
    }
    Ok((file, is_pipe))
}

/// Whether a path names a pipe.
pub fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// As [`std::fs::read_to_string`], of at most so many bytes.
///
/// # Errors
/// It can't be opened or read, is a pipe or a socket, is longer, or is no UTF-8.
pub fn read_text(path: &Path, most_bytes: u64) -> io::Result<String> {
    String::from_utf8(read_up_to(open(path)?, most_bytes)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// As [`std::fs::read`], of at most so many bytes.
///
/// # Errors
/// It can't be opened or read, is a pipe or a socket, or is longer.
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    read_up_to(open(path)?, most_bytes)
}

/// Reads `from` to its end, at most `most_bytes`.
///
/// # Errors
/// It can't be read, or is longer.
pub fn read_up_to(from: impl Read, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most_bytes {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it is longer than {most_bytes} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_devices_are_opened_and_pipes_and_sockets_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        assert_eq!(read_text(&path("file"), 4).unwrap(), "text");
        assert!(read_text(&path("file"), 3).unwrap_err().to_string().contains("longer than 3"));
        assert_eq!(read(Path::new("/dev/null"), 9).unwrap(), b"");
        assert!(read(Path::new("/dev/zero"), 9).is_err());
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success() && is_pipe(&path("pipe")) && !is_pipe(&path("file")));
        assert!(open(&path("pipe")).unwrap_err().to_string().contains("pipe"));
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        assert!(open(&path("socket")).is_err());
        assert_eq!(open(&path("nothing")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
