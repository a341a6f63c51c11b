//! Panics of threads as errors that name the thread, the place and the message, so that a flow ends with a sentence instead of
//! a channel that is closed for no reason anybody tells.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// A thread has panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{thread} panicked: {message} (at {place}); this is a bug in Nearfield: please report it")]
pub struct Panicked {
    /// The stage, or the thread.
    pub thread: String,
    /// What the panic said.
    pub message: String,
    /// File and line.
    pub place: String,
}

thread_local! {
    /// How many [`catch`] this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Where its last panic was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics within [`catch`] noted and not printed: whoever gets the error prints it. With `RUST_BACKTRACE` set they are printed
/// as well, with their backtrace.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        let traced = std::env::var_os("RUST_BACKTRACE").is_some_and(|v| !v.is_empty() && v != "0");
        std::panic::set_hook(Box::new(move |info| {
            let caught = DEPTH.with(Cell::get) > 0;
            if caught {
                let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
                PLACE.with(|held| *held.borrow_mut() = place);
            }
            if traced || !caught {
                usual(info);
            }
        }));
    });
}

/// Runs `work`; a panic in it is an error that names `thread`. What `work` refers to may be left half changed by a panic: let go
/// of it, or make sure that it can be used.
///
/// # Errors
/// `work` panicked.
pub fn catch<T>(thread: &str, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    install_hook();
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let done = catch_unwind(AssertUnwindSafe(work));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    done.map_err(|panic| Panicked {
        thread: thread.to_owned(),
        message: message_of(&*panic),
        place: match PLACE.with(|held| std::mem::take(&mut *held.borrow_mut())) {
            // The panic came here from a thread that helped.
            place if place.is_empty() => "another thread".to_owned(),
            place => place,
        },
    })
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_thread_message_and_place_and_what_is_well_passes_through() {
        assert_eq!(catch("look", || 7), Ok(7));
        let none: [u8; 0] = [];
        let error = catch("look", || std::hint::black_box(&none)[std::hint::black_box(3)]).unwrap_err();
        assert!(error.message.contains("index is 3"), "{error}");
        assert!(error.place.contains("panics.rs:"), "{error}");
        assert!(error.to_string().starts_with("look panicked: index out of bounds"), "{error}");
    }
}
