//! Stopping whisper.cpp from outside, through its raw abort callback.
//!
//! whisper-rs has a safe setter for this (`set_abort_callback_safe`), but in 0.16 the closure behind it is never reached.

use std::ffi::c_void;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use whisper_rs::{FullParams, WhisperError, WhisperState};

/// How a run ended.
pub(super) enum Outcome {
    Done,
    Stopped,
    Failed(WhisperError),
}

/// The callback's view of the caller.
struct Question<'a> {
    go_on: &'a mut dyn FnMut() -> ControlFlow<()>,
    stopped: bool,
}

/// Runs whisper.cpp over `samples` and calls `go_on` after the encoder and after each token.
#[allow(unsafe_code)] // whisper-rs offers no working safe way to stop; see the module's own words.
pub(super) fn full(
    state: &mut WhisperState,
    mut params: FullParams<'_, '_>,
    samples: &[f32],
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Outcome {
    let mut question = Question { go_on, stopped: false };
    let user_data: *mut c_void = (&raw mut question).cast();
    // SAFETY: `ask` is called only within `state.full` below, with this very pointer; `question` outlives that call
    // and is not touched by anything else during it.
    unsafe {
        params.set_abort_callback(Some(ask));
        params.set_abort_callback_user_data(user_data);
    }
    let result = state.full(params, samples);
    match result {
        _ if question.stopped => Outcome::Stopped,
        Ok(()) => Outcome::Done,
        Err(e) => Outcome::Failed(e),
    }
}

/// `true` stops whisper.cpp.
#[allow(unsafe_code)] // Called from C.
unsafe extern "C" fn ask(user_data: *mut c_void) -> bool {
    // SAFETY: `full` passes a pointer to a live `Question` that only this callback uses while whisper.cpp runs, and
    // whisper.cpp calls it from the thread that called it, never twice at once.
    let question = unsafe { &mut *user_data.cast::<Question<'_>>() };
    if !question.stopped {
        // A panic must not unwind into C; it stops the run instead.
        let answer = catch_unwind(AssertUnwindSafe(|| (question.go_on)())).unwrap_or(ControlFlow::Break(()));
        question.stopped = answer.is_break();
    }
    question.stopped
}
