//! A camera over HTTP: a stream of JPEGs, in parts (`multipart/x-mixed-replace`) or bare, or a still picture, which is asked for again
//! and again. Pictures of a stream are found by their own markers, so that a wrong boundary or length does no harm; a stream that
//! stalls is an error.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use nearfield_base::redact::Address;
use nearfield_vision::{JpegSplitter, MAX_PICTURE_BYTES};

use super::http_client::{Body, HttpClient, Piece};
use super::{PictureSource, Unrecoverable, live_shot, sleep_until};
use crate::flow::{StopSignal, is_stopped};
use crate::messages::{Shot, ShotContent};

/// A source that reads from a camera over HTTP.
pub struct HttpCamera {
    address: Address,
    client: Result<HttpClient, String>,
    stall: Duration,
    poll: Duration,
    body: Option<Body>,
    /// The address gives one picture at a time; asked for the last one then.
    still: bool,
    asked: Instant,
    splitter: JpegSplitter,
    ready: VecDeque<Vec<u8>>,
    begun: Option<Instant>,
    /// Pictures altogether, and since it was opened.
    given: u64,
    given_now: u64,
}

impl HttpCamera {
    /// `address` begins with `http://`. A stream that brings no whole picture for `stall` has died; an address of a still picture is asked
    /// for one each `poll`.
    pub fn new(address: &str, stall: Duration, poll: Duration) -> Self {
        Self {
            address: Address::new(address),
            client: HttpClient::new(address, stall).map_err(|e| e.to_string()),
            stall,
            poll,
            body: None,
            still: false,
            asked: Instant::now(),
            splitter: JpegSplitter::default(),
            ready: VecDeque::new(),
            begun: None,
            given: 0,
            given_now: 0,
        }
    }

    /// Asks; `None` where `stop` came first.
    fn ask(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Body>> {
        let client = self.client.as_mut().map_err(|e| Unrecoverable(e.clone()))?;
        self.asked = Instant::now();
        match client.get(stop) {
            Ok(body) => {
                check_type(&body.content_type)?;
                Ok(Some(body))
            }
            Err(_) if is_stopped(stop) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn shot(&mut self, file: Vec<u8>) -> Shot {
        (self.given, self.given_now) = (self.given + 1, self.given_now + 1);
        let name = format!("{} #{}", self.address.shown(), self.given);
        live_shot(name, &mut self.begun, ShotContent::File(file))
    }

    /// The next picture of a stream; `None` where it was a still picture's address after all, or `stop` says so.
    fn next_of_stream(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        let waiting = Instant::now();
        while self.ready.is_empty() {
            let Some(body) = &mut self.body else { return Ok(None) };
            if is_stopped(stop) {
                return Ok(None);
            }
            let said = body.content_type.clone();
            match body.read()? {
                Piece::Bytes(bytes) => self.splitter.push(&bytes, &mut |jpeg| self.ready.push_back(jpeg)),
                Piece::Nothing => {}
                // One whole picture, and no stream announced: there will be one each time.
                Piece::End { whole: true } if self.given_now == 1 && !said.starts_with("multipart/") => {
                    (self.still, self.body) = (true, None);
                    return Ok(None);
                }
                Piece::End { .. } if self.given_now == 0 => {
                    let said = if said.is_empty() { "without a Content-Type".to_owned() } else { format!("as {said}") };
                    bail!("the camera closed the stream without a JPEG in it (it was sent {said})")
                }
                Piece::End { .. } => bail!("the camera closed the stream after {} pictures", self.given_now),
            }
            ensure!(waiting.elapsed() < self.stall, "no picture for {} s", self.stall.as_secs_f32());
        }
        Ok(self.ready.pop_front().map(|jpeg| self.shot(jpeg)))
    }

    /// The next still picture; `None` where `stop` says so.
    fn next_still(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        if self.body.is_none() {
            if sleep_until(self.asked + self.poll, stop).is_break() {
                return Ok(None);
            }
            self.body = self.ask(stop)?;
        }
        let Some(mut body) = self.body.take() else { return Ok(None) };
        let (mut file, waiting) = (Vec::new(), Instant::now());
        loop {
            if is_stopped(stop) {
                return Ok(None);
            }
            match body.read()? {
                Piece::Bytes(bytes) => file.extend_from_slice(&bytes),
                Piece::Nothing => {}
                Piece::End { whole } => {
                    ensure!(!file.is_empty(), "it answered without a picture");
                    ensure!(whole, "the connection broke within a picture, after {} bytes", file.len());
                    return Ok(Some(self.shot(file)));
                }
            }
            ensure!(file.len() <= MAX_PICTURE_BYTES, "its picture has more than {MAX_PICTURE_BYTES} bytes");
            ensure!(waiting.elapsed() < self.stall, "no picture for {} s", self.stall.as_secs_f32());
        }
    }
}

/// A page, or a list of keys: the address is not a picture's.
fn check_type(content_type: &str) -> anyhow::Result<()> {
    let is_text = content_type.starts_with("text/") && content_type != "text/plain";
    let is_data = ["application/json", "application/xml", "application/xhtml+xml"].contains(&content_type);
    ensure!(
        !is_text && !is_data,
        "it sends a page ({content_type}), not pictures: name the address of the camera's MJPEG stream or still picture"
    );
    Ok(())
}

impl PictureSource for HttpCamera {
    fn name(&self) -> String {
        self.address.shown().to_owned()
    }

    fn open(&mut self, stop: &StopSignal) -> anyhow::Result<()> {
        self.splitter = JpegSplitter::default();
        self.ready.clear();
        self.given_now = 0;
        self.body = None;
        if let Some(body) = self.ask(stop)? {
            self.still =
                body.content_type.starts_with("image/") && (body.has_length() || body.content_type != "image/jpeg");
            self.body = Some(body);
        }
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        if !self.still {
            match self.next_of_stream(stop)? {
                None if self.still => {}
                other => return Ok(other),
            }
        }
        self.next_still(stop)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use nearfield_vision::{Picture, encode_jpeg};

    use super::*;

    fn jpeg(seed: u8) -> Vec<u8> {
        encode_jpeg(&Picture::from_rgb(32, 24, vec![seed; 32 * 24 * 3], "made").unwrap(), 80).unwrap()
    }

    /// Answers each request by what `answer` makes of it and its number, in pieces, then holds the connection for `hold`; gives the
    /// address and the requests.
    fn server(
        host: &str,
        answer: impl Fn(usize, &str) -> Vec<Vec<u8>> + Send + 'static,
        hold: Duration,
    ) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for n in 0.. {
                let Ok((mut stream, _)) = listener.accept() else { return };
                // All of the request: what is left unread when a socket closes breaks the connection for the reader.
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    request.extend(byte);
                }
                let request = String::from_utf8(request).unwrap();
                seen.lock().unwrap().push(request.clone());
                for piece in answer(n, &request) {
                    let _ = stream.write_all(&piece);
                    let _ = stream.flush();
                    std::thread::sleep(Duration::from_millis(2));
                }
                std::thread::sleep(hold);
            }
        });
        (place, requests)
    }

    /// Answers requests with these pieces.
    fn camera(pieces: Vec<Vec<u8>>, hold: Duration) -> String {
        let (place, _) = server("127.0.0.1", move |_, _| pieces.clone(), hold);
        format!("http://{place}/mjpeg")
    }

    /// The pictures of a stream, and how it ended.
    fn watch(url: &str) -> (usize, String) {
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let mut source = HttpCamera::new(url, Duration::from_millis(400), Duration::from_millis(50));
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

    /// A stream of two pictures, which then ends.
    fn two() -> Vec<Vec<u8>> {
        vec![
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n".to_vec(),
            jpeg(1),
            jpeg(2),
        ]
    }

    const ENDED: &str = "the camera closed the stream after 2 pictures";

    #[test]
    fn a_camera_with_a_login_gets_it_as_it_asks_and_no_message_repeats_it() {
        let basic = "Basic realm=\"cam\"";
        let digest = "Digest realm=\"cam\", nonce=\"f00\", qop=\"auth\", algorithm=MD5";
        let old_digest = "Digest realm=\"cam\", nonce=\"f00\"";
        for (asked, wanted) in
            [(basic, "Basic YWRtaW46SHVudGVyQDJzZWNyZXQ="), (digest, "Digest "), (old_digest, "Digest ")]
        {
            let (place, requests) = server(
                "127.0.0.1",
                move |_, request| match request.contains("Authorization: ") {
                    true => two(),
                    false => vec![format!("HTTP/1.1 401 No\r\nWWW-Authenticate: {asked}\r\n\r\n").into_bytes()],
                },
                Duration::ZERO,
            );
            let url = format!("http://admin:Hunter%402secret@{place}/video?x=1");
            assert_eq!(watch(&url), (2, ENDED.to_owned()), "{asked}");
            let requests = requests.lock().unwrap();
            let header = requests[1].lines().find_map(|line| line.strip_prefix("Authorization: ")).unwrap();
            assert!(requests[0].starts_with("GET /video?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{}", requests[0]);
            assert!(header.starts_with(wanted) && !requests[0].contains("Authorization"), "{header}");
            if asked != basic {
                let value = |name: &str| {
                    let at = header.find(&format!("{name}=")).unwrap_or_else(|| panic!("{name} in {header}"));
                    header[at + name.len() + 1..].split([',', ' ']).next().unwrap().trim_matches('"').to_owned()
                };
                let asked_for = http_auth::parse_challenges(asked).unwrap();
                let mut known = http_auth::DigestClient::try_from(&asked_for[0]).unwrap();
                let params = http_auth::PasswordParams {
                    username: "admin",
                    password: "Hunter@2secret",
                    uri: "/video?x=1",
                    method: "GET",
                    body: Some(&[]),
                };
                let cnonce = if asked == digest { value("cnonce") } else { String::new() };
                let right = known.respond_with_testing_cnonce(&params, &cnonce).unwrap();
                assert!(right.contains(&value("response")), "{header}\n{right}");
            }
            let name = HttpCamera::new(&url, Duration::ZERO, Duration::ZERO).name();
            assert_eq!(name, format!("http://***@{place}/video?x=1"));
        }
        // Refused, once: a camera locks whoever tries again and again.
        let (place, requests) = server(
            "127.0.0.1",
            move |_, _| vec![format!("HTTP/1.1 401 No\r\nWWW-Authenticate: {basic}\r\n\r\n").into_bytes()],
            Duration::ZERO,
        );
        let (_, end) = watch(&format!("http://admin:Hunter2secret@{place}/"));
        assert!(end.contains("check user and password") && !end.contains("Hunter2"), "{end}");
        assert_eq!(requests.lock().unwrap().len(), 2);
        let (_, end) = watch(&format!("http://{place}/"));
        assert!(end.contains("it wants a login, as in http://USER:PASSWORD@127.0.0.1:"), "{end}");
    }

    #[test]
    fn redirects_lead_on_from_any_form_and_the_login_goes_to_no_other_host() {
        let to = |location: &str| vec![format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").into_bytes()];
        for (location, wanted) in [("stream.mjpg", "/cam/stream.mjpg"), ("/x?a=1", "/x?a=1"), ("?b", "/cam/a?b")] {
            let (place, requests) =
                server("127.0.0.1", move |n, _| if n == 0 { to(location) } else { two() }, Duration::ZERO);
            assert_eq!(watch(&format!("http://{place}/cam/a")), (2, ENDED.to_owned()), "{location}");
            assert!(requests.lock().unwrap()[1].starts_with(&format!("GET {wanted} ")), "{location}");
        }
        let ask = || vec![b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n".to_vec()];
        let (there, theirs) = server("127.0.0.1", move |_, _| ask(), Duration::ZERO);
        let location = format!("http://{there}/");
        let (place, _) = server("127.0.0.1", move |n, _| if n == 0 { ask() } else { to(&location) }, Duration::ZERO);
        let (_, end) = watch(&format!("http://u:geheim@{place}/"));
        assert!(end.contains("redirects to another host"), "{end}");
        assert!(theirs.lock().unwrap().iter().all(|request| !request.contains("Authorization")));
        let (place, _) = server("127.0.0.1", move |_, _| to("https://cam/x?token=abc"), Duration::ZERO);
        let (_, end) = watch(&format!("http://{place}/"));
        assert_eq!(end, "it redirects to https://cam/x?token=***: set source.input to that");
    }

    #[test]
    fn an_ipv6_address_works_and_a_page_or_another_kind_of_stream_is_named() {
        let (place, requests) = server("::1", |_, _| two(), Duration::ZERO);
        assert_eq!(watch(&format!("http://{place}/x")), (2, ENDED.to_owned()));
        assert!(requests.lock().unwrap()[0].contains(&format!("Host: {place}\r\n")));
        let (_, end) = watch("http://[::1]/x");
        assert!(end.contains("[::1] can't be reached"), "{end}");
        let answer = |kind: &str| {
            camera(vec![format!("HTTP/1.0 200 OK\nContent-Type: {kind}\n\n<p>").into_bytes()], Duration::ZERO)
        };
        let (_, end) = watch(&answer("text/html; charset=utf-8"));
        assert!(end.contains("it sends a page (text/html), not pictures"), "{end}");
        let (_, end) = watch(&answer("video/mp4"));
        assert_eq!(end, "the camera closed the stream without a JPEG in it (it was sent as video/mp4)");
    }

    #[test]
    fn a_still_picture_is_asked_for_at_its_rate_and_is_no_lost_camera() {
        let sized = |kind: &str, file: Vec<u8>| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", file.len());
            vec![head.into_bytes(), file]
        };
        let bare = || vec![b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n".to_vec(), jpeg(3)];
        let unnamed = || vec![b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), jpeg(4)];
        let answers: [fn() -> Vec<Vec<u8>>; 2] = [bare, unnamed];
        let mut places: Vec<_> =
            answers.map(|answer| server("127.0.0.1", move |_, _| answer(), Duration::ZERO)).into_iter().collect();
        // The connection stays open behind a picture whose length was said.
        let png = b"\x89PNG, as it were".to_vec();
        let file = png.clone();
        places.push(server("127.0.0.1", move |_, _| sized("image/png", file.clone()), Duration::from_millis(1)));
        for (place, requests) in places {
            let (keep, stop) = crossbeam_channel::bounded(0);
            let wait = Duration::from_millis(100);
            let mut source = HttpCamera::new(&format!("http://{place}/snapshot"), Duration::from_secs(5), wait);
            source.open(&stop).unwrap();
            let begun = Instant::now();
            let shots: Vec<Shot> = (0..4).map(|_| source.next(&stop).unwrap().unwrap()).collect();
            assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
            assert!(shots.iter().all(|shot| matches!(&shot.content, ShotContent::File(file) if !file.is_empty())));
            assert!(requests.lock().unwrap().len() <= 5);
            drop(keep);
            assert!(source.next(&stop).unwrap().is_none());
        }
    }

    #[test]
    fn a_picture_that_breaks_off_is_a_lost_camera_and_one_that_never_ends_is_bounded() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 5000\r\n\r\n".to_vec();
        let (n, end) = watch(&camera(vec![head, vec![7; 100]], Duration::ZERO));
        assert_eq!((n, end.as_str()), (0, "the connection broke within a picture, after 100 bytes"));
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 0\r\n\r\n".to_vec();
        assert_eq!(watch(&camera(vec![head], Duration::ZERO)), (0, "it answered without a picture".to_owned()));
    }

    #[test]
    fn a_stop_is_heard_while_a_host_does_not_answer() {
        // 203.0.113.0/24 is nobody's (RFC 5737): whether it is silent or refused at once, the stop is not late.
        let (keep, stop) = crossbeam_channel::bounded(0);
        let thread = std::thread::spawn(move || {
            let mut source = HttpCamera::new("http://203.0.113.1/x", Duration::from_secs(10), Duration::ZERO);
            let _ = source.open(&stop);
        });
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        drop(keep);
        thread.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}
