//! The page that a browser gets at `/`: talk, the home, cameras, reports and the state of the process. It is in the program, loads nothing
//! from elsewhere, and asks the same interfaces as other clients.

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use hyper::{Response, StatusCode};
use nearfield_home::HomeFile;
use serde_json::{Value, json};

use super::Server;
use super::failure::Failure;
use super::http::{Reply, whole};

/// What the page may load: nothing from elsewhere. Reports have their styles within them.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Its files: by path, with their kind.
const FILES: [(&str, &str, &str); 5] = [
    ("", "text/html; charset=utf-8", include_str!("index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("/talk.js", "text/javascript; charset=utf-8", include_str!("talk.js")),
    ("/microphone.js", "text/javascript; charset=utf-8", include_str!("microphone.js")),
];

/// Whether this path is one of the page's files, which tell nothing of anybody.
pub fn is_file(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    FILES.iter().any(|(known, ..)| *known == path)
}

/// A file of the page.
pub fn file(path: &str) -> Option<Response<Reply>> {
    let (_, kind, text) = FILES.iter().find(|(known, ..)| *known == path)?;
    let mut response = whole(StatusCode::OK, kind, *text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}

/// `/v1/home`: areas, and entities with their states, as the home's file has them now.
///
/// # Errors
/// There is no home, or its file can't be read.
pub fn home(server: &Server) -> Result<Value, Failure> {
    let file = &server.speech.config().home.file;
    if file.as_os_str().is_empty() {
        return Err(Failure::new(StatusCode::NOT_FOUND, "no home is configured: name its file in home.file"));
    }
    let loaded = HomeFile::load(file).map_err(Failure::broken)?;
    let home = loaded.home();
    let entity = |it: &nearfield_home::Entity| {
        let unit = it.attributes.get("unit_of_measurement").and_then(Value::as_str);
        json!({
            "id": it.id, "name": it.name, "area": it.area, "state": it.state, "unit": unit, "attributes": it.attributes,
        })
    };
    let areas: Vec<Value> = home.areas().iter().map(|area| json!({"id": area.id, "name": area.name})).collect();
    let entities: Vec<Value> = home.entities().iter().map(entity).collect();
    Ok(json!({"areas": areas, "entities": entities}))
}
