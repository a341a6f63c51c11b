//! Connections: what comes in is bounded in bytes and time, and so is what goes out to somebody who does not read it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Sleep, sleep, timeout};

use super::answering::Answering;
use super::engine::Piece;
use super::failure::{Failure, Form};
use super::tls::Tls;
use super::{Current, Server, now, request_json};

/// So long a client may take to send the head of a request, also of the next one on the same connection.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// So long for the rest of it.
pub const BODY_TIME: Duration = Duration::from_secs(60);
/// So long a client may leave what it is sent unread.
const STALL: Duration = Duration::from_secs(30);
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 32 << 10;
/// The first byte of a client that wants TLS.
const TLS_HANDSHAKE: u8 = 0x16;
/// So long a connection is kept on which all has been said.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The most connections at a time that are waited for after they were told that there are too many.
const REFUSED: usize = 64;
/// Pause after an accept that failed, such as for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What answers have for a body.
pub enum Reply {
    /// All of it.
    Whole(Full<Bytes>),
    /// What a writer makes of an answer's pieces, as they come.
    Stream(Box<Stream>),
    /// Blocks as they come; one that failed ends them.
    Blocks {
        /// Read already, to see whether there is anything.
        first: Option<Bytes>,
        /// The others.
        blocks: Receiver<Result<Bytes, Failure>>,
    },
}

/// An answer on its way out.
pub struct Stream {
    answering: Answering,
    writer: Box<dyn Writer>,
    is_over: bool,
}

/// Writes the pieces of answers in a client's form.
pub trait Writer: Send {
    /// A piece of the answer with this number.
    fn piece(&mut self, index: usize, piece: Piece) -> String;
    /// The end of all.
    fn end(&mut self) -> String;
    /// An end before that.
    fn failed(&mut self, failure: &Failure) -> String;
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Reply::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Reply::Blocks { first, blocks } => match first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => blocks.poll_recv(cx).map(|block| block.and_then(Result::ok).map(|it| Ok(Frame::data(it)))),
            },
            Reply::Stream(stream) => loop {
                if stream.is_over {
                    return Poll::Ready(None);
                }
                let text = match ready!(stream.answering.poll_next(cx)) {
                    Some((index, Ok(piece))) => stream.writer.piece(index, piece),
                    Some((_, Err(failure))) => {
                        stream.is_over = true;
                        stream.writer.failed(&failure)
                    }
                    None => {
                        stream.is_over = true;
                        stream.writer.end()
                    }
                };
                if !text.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(text.into()))));
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Whole(whole) if whole.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(whole) => whole.size_hint(),
            Reply::Stream(_) | Reply::Blocks { .. } => SizeHint::default(),
        }
    }
}

/// A JSON answer.
pub fn json(status: StatusCode, body: &Value) -> Response<Reply> {
    whole(status, "application/json", body.to_string())
}

/// An answer that is all there.
pub fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Reply> {
    respond(status, kind, Reply::Whole(Full::new(body.into())))
}

/// An answer in pieces.
pub fn stream(kind: &'static str, answering: Answering, writer: impl Writer + 'static) -> Response<Reply> {
    let stream = Stream { answering, writer: Box::new(writer), is_over: false };
    respond(StatusCode::OK, kind, Reply::Stream(Box::new(stream)))
}

/// An answer.
pub fn respond(status: StatusCode, kind: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// The body of a request.
///
/// # Errors
/// It is too large, comes too slowly, or breaks off.
pub async fn read(body: Incoming, most: usize) -> Result<Bytes, Failure> {
    let large = || {
        let message = format!("the request has more than {most} bytes (server.most_kib)");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    if body.size_hint().lower() > most as u64 {
        return Err(large());
    }
    match timeout(BODY_TIME, Limited::new(body, most).collect()).await {
        Ok(Ok(all)) => Ok(all.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(large()),
        Ok(Err(error)) => Err(Failure::wrong(format!("the request broke off: {error}"))),
        Err(_) => {
            let message = format!("the request did not come within {} s", BODY_TIME.as_secs());
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}

/// A request's body as JSON.
///
/// # Errors
/// As [`read`], and where it is not what is expected.
pub async fn read_json<T: DeserializeOwned>(body: Incoming, most: usize) -> Result<T, Failure> {
    request_json::parse(&read(body, most).await?, &[])
}

/// The same of a request for an answer of the language model.
///
/// # Errors
/// As [`read_json`], and where it has a field that is not supported.
pub async fn read_prompt<T: DeserializeOwned>(body: Incoming, most: usize) -> Result<T, Failure> {
    request_json::parse(&read(body, most).await?, request_json::UNSUPPORTED)
}

/// The same, with fields of its own that are refused.
///
/// # Errors
/// As [`read_prompt`].
pub async fn read_refusing<T: DeserializeOwned>(
    body: Incoming,
    most: usize,
    refused: &[request_json::Unsupported],
) -> Result<T, Failure> {
    request_json::parse(&read(body, most).await?, refused)
}

/// Serves connections until the task is dropped; with `tls`, encrypted ones.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, current: Current) {
    let places = Arc::new(Semaphore::new(now(&current).config.connections));
    let (refused, tls) = (Arc::new(Semaphore::new(REFUSED)), tls.map(Arc::new));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection can't be accepted: {error}");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let (current, tls) = (current.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => connection(Stalling { stream, stall: None }, current).await,
                        Some(tls) => encrypted(stream, tls, current).await,
                    }
                    drop(place);
                });
            }
            // An answer without encryption would break the key exchange: the connection is closed.
            Err(_) if tls.is_some() => {}
            Err(_) => {
                let place = refused.clone().try_acquire_owned().ok();
                tokio::spawn(async move {
                    let failure = Failure::busy("too many connections (server.connections)");
                    let status = "503 Service Unavailable\r\nretry-after: 1";
                    let told = close_with(stream, status, &failure).await;
                    if let (Some(stream), Some(_place)) = (told, place) {
                        read_out(stream).await;
                    }
                });
            }
        }
    }
}

/// Answers without having read the request, and ends what is said; `None` where nobody takes it.
async fn close_with(mut stream: TcpStream, status: &str, failure: &Failure) -> Option<TcpStream> {
    let body = failure.body(Form::OpenAi).to_string();
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json");
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let written = timeout(LAST_WORDS, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    });
    matches!(written.await, Ok(Ok(()))).then_some(stream)
}

/// Reads a request that was answered already: a connection that is closed before is reset, and the answer may be lost with it.
async fn read_out(mut stream: TcpStream) {
    let read = async {
        let mut rest = [0; 4096];
        while matches!(stream.read(&mut rest).await, Ok(1..)) {}
    };
    let _ = timeout(LAST_WORDS, read).await;
}

/// Agrees on a key first. Who speaks without encryption is told in words.
async fn encrypted(stream: TcpStream, tls: Arc<Tls>, current: Current) {
    let mut first = [0];
    let Ok(Ok(1)) = timeout(HEAD_TIME, stream.peek(&mut first)).await else { return };
    if first[0] != TLS_HANDSHAKE {
        let failure = Failure::wrong("this server speaks HTTPS only: write https:// in the address");
        if let Some(stream) = close_with(stream, "400 Bad Request", &failure).await {
            read_out(stream).await;
        }
        return;
    }
    // The files may have to be read.
    let Ok(acceptor) = tokio::task::spawn_blocking(move || tls.acceptor()).await else { return };
    match timeout(HEAD_TIME, acceptor.accept(Stalling { stream, stall: None })).await {
        Ok(Ok(stream)) => connection(stream, current).await,
        Ok(Err(error)) => tracing::debug!("a client and the server could not agree on TLS: {error}"),
        Err(_) => tracing::debug!("a client began TLS and did not go on"),
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, current: Current) {
    let service = service_fn(move |request| answer(now(&current), request));
    let io = TokioIo::new(stream);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    if let Err(error) = http.serve_connection(io, service).with_upgrades().await {
        tracing::debug!("a connection ended: {error}");
    }
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Reply>, Infallible> {
    let begun = Instant::now();
    let request = server.access.with_token_of_path(request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let form = Form::of(&path);
    let is_open = super::routes::is_open(&path);
    let checked = server.access.check(request.headers(), request.uri(), is_open);
    let answered = match checked {
        Ok(()) => super::routes::route(&server, request).await,
        Err(failure) => Err(failure),
    };
    let response = answered.unwrap_or_else(|failure| {
        let mut response = json(failure.status, &failure.body(form));
        if failure.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    });
    let status = response.status().as_u16();
    server.metrics.request(status, begun.elapsed());
    let ms = begun.elapsed().as_millis();
    tracing::info!(%method, path = path.chars().take(200).collect::<String>(), status, ms, "request");
    Ok(response)
}

/// A connection that ends when what it is sent stays unread.
struct Stalling {
    stream: TcpStream,
    stall: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Stalling {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
