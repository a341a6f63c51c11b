//! A camera that sends JPEGs over HTTP, in parts (`multipart/x-mixed-replace`) or bare. Pictures are found by their own
//! markers, so that a wrong boundary or length does no harm; a stream that stalls is an error. Plain `http` only: what is
//! encrypted goes through ffmpeg.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nearfield_vision::JpegSplitter;

use super::{PictureSource, live_shot};
use crate::flow::{StopSignal, is_stopped};
use crate::messages::{Shot, ShotContent};

/// The longest answer before the first picture.
const MAX_HEAD: usize = 64 << 10;
/// How often a wait looks at the stop signal.
const TICK: Duration = Duration::from_millis(100);
const MOST_REDIRECTS: usize = 3;

/// A source that reads from a camera over HTTP.
pub struct MjpegStream {
    url: String,
    stall: Duration,
    stream: Option<Body>,
    splitter: JpegSplitter,
    ready: VecDeque<Vec<u8>>,
    begun: Option<Instant>,
    given: u64,
}

struct Body {
    stream: TcpStream,
    chunks: Option<Chunks>,
    /// Bytes of the body that came together with the head.
    early: Vec<u8>,
}

impl MjpegStream {
    /// `url` begins with `http://`. A stream that brings no whole picture for `stall` has died.
    pub fn new(url: &str, stall: Duration) -> Self {
        let (splitter, ready) = (JpegSplitter::default(), VecDeque::new());
        Self { url: url.to_owned(), stall, stream: None, splitter, ready, begun: None, given: 0 }
    }

    fn connect(&self, stop: &StopSignal) -> anyhow::Result<Body> {
        let mut url = self.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let rest = url.strip_prefix("http://").with_context(|| format!("{url}: only http:// is read here"))?;
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.is_empty() { "/" } else { path };
            ensure!(!authority.is_empty() && !url.contains(['\r', '\n', ' ']), "{url} is not a valid URL");
            let place = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
            let addresses = place.to_socket_addrs().with_context(|| format!("{authority} is not known"))?;
            let mut stream = Err(ErrorKind::AddrNotAvailable.into());
            for address in addresses {
                stream = TcpStream::connect_timeout(&address, self.stall.min(Duration::from_secs(10)));
                if stream.is_ok() {
                    break;
                }
            }
            let mut stream = stream.with_context(|| format!("{authority} can't be reached"))?;
            stream.set_read_timeout(Some(TICK))?;
            stream.set_write_timeout(Some(self.stall))?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: nearfield\r\nAccept: multipart/x-mixed-replace, \
                 image/jpeg\r\nConnection: close\r\n\r\n"
            )?;
            let (head, early) = self.read_head(&mut stream, stop)?;
            let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
            let field = |name: &str| {
                head.lines().skip(1).find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            match status {
                200 => {
                    let chunked = field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
                    return Ok(Body { stream, chunks: chunked.then(Chunks::default), early });
                }
                301 | 302 | 303 | 307 | 308 => {
                    url = field("location").context("it redirects without saying where")?;
                }
                _ => bail!("it answers {:?} instead of 200", head.lines().next().unwrap_or_default()),
            }
        }
        bail!("it redirects more than {MOST_REDIRECTS} times")
    }

    fn read_head(&self, stream: &mut TcpStream, stop: &StopSignal) -> anyhow::Result<(String, Vec<u8>)> {
        let (mut head, mut block, begun) = (Vec::new(), vec![0; 4096], Instant::now());
        loop {
            let n = match stream.read(&mut block) {
                Ok(0) => bail!("it closed the connection before it answered"),
                Ok(n) => n,
                Err(e) if is_tick(&e) => {
                    ensure!(!is_stopped(stop), "stopped");
                    ensure!(begun.elapsed() < self.stall, "it has not answered for {} s", self.stall.as_secs_f32());
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            head.extend_from_slice(&block[..n]);
            if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                let early = head.split_off(end + 4);
                let head = String::from_utf8_lossy(&head).into_owned();
                ensure!(head.starts_with("HTTP/1."), "it does not answer in HTTP");
                return Ok((head, early));
            }
            ensure!(head.len() <= MAX_HEAD, "its answer has no end within {MAX_HEAD} bytes");
        }
    }
}

fn is_tick(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl PictureSource for MjpegStream {
    fn name(&self) -> String {
        self.url.clone()
    }

    fn open(&mut self, stop: &StopSignal) -> anyhow::Result<()> {
        self.stream = None;
        self.splitter = JpegSplitter::default();
        self.ready.clear();
        match self.connect(stop) {
            Ok(body) => self.stream = Some(body),
            Err(_) if is_stopped(stop) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        let mut block = vec![0; 64 << 10];
        let waiting = Instant::now();
        while self.ready.is_empty() {
            let Some(body) = &mut self.stream else { return Ok(None) };
            let read = if body.early.is_empty() {
                match body.stream.read(&mut block) {
                    Ok(n) => block[..n].to_vec(),
                    Err(e) if is_tick(&e) => {
                        if is_stopped(stop) {
                            return Ok(None);
                        }
                        ensure!(waiting.elapsed() < self.stall, "no picture for {} s", self.stall.as_secs_f32());
                        continue;
                    }
                    Err(e) => return Err(e).context("the connection broke"),
                }
            } else {
                std::mem::take(&mut body.early)
            };
            if is_stopped(stop) {
                return Ok(None);
            }
            ensure!(!read.is_empty(), "the camera closed the stream after {} pictures", self.given);
            ensure!(waiting.elapsed() < self.stall, "no picture for {} s", self.stall.as_secs_f32());
            let (splitter, ready) = (&mut self.splitter, &mut self.ready);
            match &mut body.chunks {
                None => splitter.push(&read, &mut |jpeg| ready.push_back(jpeg)),
                Some(chunks) => {
                    chunks.push(&read, &mut |data| splitter.push(data, &mut |jpeg| ready.push_back(jpeg)))?;
                }
            }
        }
        self.given += 1;
        let name = format!("{} #{}", self.url, self.given);
        Ok(self.ready.pop_front().map(|jpeg| live_shot(name, &mut self.begun, ShotContent::File(jpeg))))
    }
}

/// Takes HTTP's chunks apart: a length in hexadecimal on its own line, so many bytes, a line's end.
#[derive(Debug, Default)]
struct Chunks {
    /// Bytes of the chunk under way still to come.
    left: u64,
    /// The line of a length as far as it has come.
    line: Vec<u8>,
}

impl Chunks {
    fn push(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                sink(&bytes[..n]);
                self.left -= n as u64;
                bytes = &bytes[n..];
                continue;
            }
            let byte = bytes[0];
            bytes = &bytes[1..];
            if byte != b'\n' {
                ensure!(self.line.len() < 256, "the stream's chunks have no lengths");
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim().to_owned();
            self.line.clear();
            if line.is_empty() {
                continue; // The line's end behind a chunk.
            }
            let length = line.split(';').next().unwrap_or_default().trim();
            self.left = u64::from_str_radix(length, 16)
                .with_context(|| format!("the stream's chunk has the length {length:?}, which is not a number"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nearfield_vision::{Picture, encode_jpeg};

    use super::*;

    fn jpeg(seed: u8) -> Vec<u8> {
        encode_jpeg(&Picture::from_rgb(32, 24, vec![seed; 32 * 24 * 3], "made").unwrap(), 80).unwrap()
    }

    /// Answers one request with these pieces, then holds the connection for `hold`.
    fn camera(pieces: Vec<Vec<u8>>, hold: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mjpeg", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of the request: what is left unread when a socket closes breaks the connection for the reader.
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.extend(byte);
            }
            for piece in pieces {
                let _ = stream.write_all(&piece);
                let _ = stream.flush();
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(hold);
        });
        url
    }

    /// The pictures of a stream, and how it ended.
    fn watch(url: &str) -> (usize, String) {
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let mut source = MjpegStream::new(url, Duration::from_millis(400));
        let mut n = 0;
        let end = source.open(&stop).and_then(|()| {
            loop {
                match source.next(&stop)? {
                    Some(_) => n += 1,
                    None => return Ok(()),
                }
            }
        });
        (n, end.map_or_else(|e| format!("{e:#}"), |()| "over".to_owned()))
    }

    #[test]
    fn pictures_come_in_parts_with_a_boundary_that_lies_bare_and_in_chunks() {
        let parts = |pictures: &[Vec<u8>]| {
            let mut body = Vec::new();
            for picture in pictures {
                body.extend_from_slice(b"--other\r\nContent-Type: image/jpeg\r\nContent-Length: 5\r\n\r\n");
                body.extend_from_slice(picture);
            }
            body
        };
        let pictures = [jpeg(1), jpeg(2), jpeg(3)];
        let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n\r\n").into_bytes();
        let multipart = head("Content-Type: multipart/x-mixed-replace; boundary=frame");
        let closed = "the camera closed the stream after 3 pictures";
        let url = camera(vec![multipart.clone(), parts(&pictures)], Duration::ZERO);
        assert_eq!(watch(&url), (3, closed.to_owned()));
        let url = camera(vec![head("Content-Type: image/jpeg"), pictures.concat()], Duration::ZERO);
        assert_eq!(watch(&url), (3, closed.to_owned()));
        let chunks = parts(&pictures)
            .chunks(300)
            .map(|c| [format!("{:x}\r\n", c.len()).as_bytes(), c, b"\r\n"].concat())
            .collect::<Vec<_>>();
        let url = camera(vec![head("Transfer-Encoding: chunked"), chunks.concat()], Duration::ZERO);
        assert_eq!(watch(&url), (3, closed.to_owned()));
    }

    #[test]
    fn a_stream_that_stalls_lies_or_is_no_stream_is_told_with_the_reason() {
        let ok = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        let half = jpeg(1)[..200].to_vec();
        let (n, end) = watch(&camera(vec![ok, jpeg(9), half], Duration::from_secs(2)));
        assert_eq!((n, end.as_str()), (1, "no picture for 0.4 s"));
        let (n, end) = watch(&camera(vec![], Duration::from_secs(2)));
        assert_eq!((n, end.as_str()), (0, "it has not answered for 0.4 s"));
        let (_, end) = watch(&camera(vec![b"HTTP/1.1 401 Unauthorized\r\n\r\n".to_vec()], Duration::ZERO));
        assert!(end.contains("401 Unauthorized"), "{end}");
        let (_, end) = watch(&camera(vec![b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()], Duration::ZERO));
        assert!(end.contains("does not answer in HTTP"), "{end}");
        let (_, end) = watch("http://127.0.0.1:1/mjpeg");
        assert!(end.contains("can't be reached"), "{end}");
    }
}
