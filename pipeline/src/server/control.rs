//! By what `nearfield ps`, `reload` and `stop` reach a running process: HTTP on a unix socket of its own, in a folder of Nearfield's data
//! folder that nobody but the process's user can enter.

use std::convert::Infallible;
use std::fs::{DirBuilder, DirEntry, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::Sender;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nearfield_base::memory;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

use super::http::{Reply, json as answer};
use super::supervisor::Order;
use super::{Current, Server, now};
use crate::signals;

/// The folder of the sockets, and the end of their names, which are the numbers of processes.
const FOLDER: &str = "run";
const ENDING: &str = "sock";
/// Where Linux tells of temperatures.
const THERMAL: &str = "/sys/class/thermal";
/// Callers at a time.
const CALLERS: usize = 8;
/// So long a caller may take to send a request.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// So long after its answer the process ends.
const BEFORE_THE_END: Duration = Duration::from_millis(50);
/// Pause after an accept that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The socket of this process; it is removed with it.
pub struct Socket {
    path: PathBuf,
    listener: StdListener,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Makes the socket in the data folder.
    ///
    /// # Errors
    /// The folder can't be written, or the path is longer than the system lets sockets have.
    pub fn open(data: &Path) -> anyhow::Result<Self> {
        let folder = data.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
        // It may be there from before, with other rights.
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700))
            .with_context(|| folder.display().to_string())?;
        let path = folder.join(format!("{}.{ENDING}", std::process::id()));
        // What is left of a process that had this number before.
        let _ = std::fs::remove_file(&path);
        let listener = StdListener::bind(&path).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).with_context(|| path.display().to_string())?;
        listener.set_nonblocking(true)?;
        Ok(Self { path, listener })
    }

    /// The listener, for tokio.
    ///
    /// # Errors
    /// The system is short of file descriptors.
    pub fn listener(&self) -> std::io::Result<StdListener> {
        self.listener.try_clone()
    }
}

/// The sockets of the processes that run with this data folder, each with its process's number, or did so once.
pub fn sockets(data: &Path) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(data.join(FOLDER)).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.path();
            let is_socket = path.extension().is_some_and(|end| end == ENDING);
            let pid = path.file_stem()?.to_str()?.parse().ok()?;
            is_socket.then_some((pid, path))
        })
        .collect();
    found.sort_unstable();
    found
}

/// What callers are told of, and by what they are served.
#[derive(Clone)]
pub struct About {
    /// The server that answers now.
    pub current: Current,
    /// To whom reloads are sent.
    pub orders: Sender<Order>,
    /// Where it listens.
    pub address: String,
    /// The same as clients write it.
    pub url: String,
    /// Its configuration.
    pub file: Option<PathBuf>,
    /// Since when.
    pub begun: Instant,
}

/// Serves callers until the task is dropped.
pub async fn serve(listener: UnixListener, about: About) {
    let places = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let about = about.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let about = about.clone();
                async move { Ok::<_, Infallible>(route(&about, &request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).keep_alive(false);
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("a caller on the unix socket left: {error}");
            }
            drop(place);
        });
    }
}

async fn route(about: &About, request: &Request<Incoming>) -> Response<Reply> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/ps") => answer(StatusCode::OK, &state(about)),
        (&Method::POST, "/reload") => reload(about).await,
        (&Method::POST, "/stop") => {
            tokio::spawn(async {
                sleep(BEFORE_THE_END).await;
                if let Err(error) = signals::end_in_order() {
                    tracing::error!("the process can't be ended: {error}");
                }
            });
            answer(StatusCode::OK, &json!({"stopping": true}))
        }
        _ => failed(StatusCode::NOT_FOUND, "there are GET /ps, POST /reload and POST /stop"),
    }
}

fn failed(status: StatusCode, reason: &str) -> Response<Reply> {
    answer(status, &json!({"error": reason}))
}

async fn reload(about: &About) -> Response<Reply> {
    let (told, done) = oneshot::channel();
    if about.orders.try_send(told).is_err() {
        return failed(StatusCode::SERVICE_UNAVAILABLE, "the configuration is being read again already");
    }
    match done.await {
        Ok(Ok(changes)) => answer(StatusCode::OK, &json!(changes)),
        Ok(Err(reason)) => failed(StatusCode::UNPROCESSABLE_ENTITY, &reason),
        Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "the process is at its end"),
    }
}

/// What `nearfield ps` shows.
fn state(about: &About) -> Value {
    let server = now(&about.current);
    let (answering, waiting) = server.load();
    let kept = server.engine.busy().len();
    json!({
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "address": about.address,
        "url": about.url,
        "config": about.file,
        "seconds": about.begun.elapsed().as_secs(),
        "resident_bytes": memory::of_process("VmRSS"),
        "available_bytes": memory::of_system("MemAvailable"),
        "celsius": hottest(Path::new(THERMAL)),
        "totals": server.metrics.totals(),
        "sessions": {"most": server.config.sessions, "kept": kept, "answering": answering, "waiting": waiting},
        "models": models(&server),
        "flows": server.flows(),
    })
}

/// The temperature of the hottest thermal zone, where the system tells of any.
fn hottest(zones: &Path) -> Option<f64> {
    let entries = std::fs::read_dir(zones).ok()?.flatten();
    let is_zone = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with("thermal_zone");
    let thousandths = entries.filter(is_zone).filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("temp")).ok()?;
        text.trim().parse::<i64>().ok()
    });
    // Sensors that are off tell of nonsense such as -274000.
    thousandths.filter(|it| (-60_000..=200_000).contains(it)).max().map(|it| it as f64 / 1000.0)
}

/// The models that are loaded, with the size of their files.
fn models(server: &Server) -> Vec<Value> {
    let size = |path: &Path| std::fs::metadata(path).map(|file| file.len()).ok();
    let loaded = server.shared.models.loaded();
    loaded.iter().map(|(role, path)| json!({"role": role, "file": path, "bytes": size(path)})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_zone_counts_and_sensors_that_are_off_do_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(hottest(folder.path()), None);
        for (name, text) in [
            ("thermal_zone0", "41500\n"),
            ("thermal_zone1", "67250\n"),
            ("thermal_zone2", "-274000\n"),
            ("thermal_zone3", "nothing"),
            ("cooling_device0", "99000"),
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("temp"), text).unwrap();
        }
        assert_eq!(hottest(folder.path()), Some(67.25));
    }
}
