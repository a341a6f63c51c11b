//! Targets that read homes, what is asked of them, and the sentence templates of their owners.

use std::cell::RefCell;

use nearfield_home::HomeFile;
use nearfield_home::sentences::{Matcher, Setting};
use nearfield_stages::voice::tools::Toolbox;

use crate::files::file;
use crate::{check, seeds};

/// A home in each of its two forms.
pub fn home(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(home) = check(HomeFile::parse(text)) {
        let _ = (home.rooms().render(), home.to_inventory());
    }
}

/// A request to a home, in any words.
pub fn request(bytes: &[u8]) {
    thread_local! {
        static TOOLS: RefCell<Toolbox> = RefCell::new(seeds::toolbox());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    TOOLS.with_borrow_mut(|tools| {
        if let Some(matched) = tools.matched(text) {
            assert!(!matched.reply.contains(char::is_control), "{:?}", matched.reply);
        }
    });
}

/// A file of sentence templates, and after a zero byte a request.
pub fn sentences(bytes: &[u8]) {
    thread_local! {
        static HOME: HomeFile = seeds::home();
    }
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let path = file("own.yaml", parts.next().unwrap_or_default());
    let english = Matcher::english().expect("our own templates can be read");
    let Some(mut matcher) = check(english.with_sentences(&path)) else { return };
    let request = String::from_utf8_lossy(parts.next().unwrap_or_default()).chars().take(100).collect::<String>();
    HOME.with(|home| {
        let now = jiff::civil::date(2026, 11, 20).at(18, 0, 0, 0);
        let setting = Setting { home: home.home(), area: None, now, last: &[], before: None, has_timers: true };
        let _ = matcher.understand(&request, &setting);
    });
}
