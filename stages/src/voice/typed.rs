//! Questions that somebody has typed, in place of speech: a source like [`crate::voice::capture`].

use std::time::Instant;

use crossbeam_channel::{Receiver, select};

use crate::flow::{Output, StopSignal, Turn, Turns};
use crate::messages::{Envelope, Transcript};

/// Sends one question after the other, each when the answer to the one before it is over: `answers` tells the turns that are.
pub fn type_in(
    texts: &[String],
    turns: &Turns,
    answers: &Receiver<Turn>,
    transcripts: &Output<Transcript>,
    stop: &StopSignal,
) {
    for text in texts {
        let turn = turns.begin();
        let now = Instant::now();
        let transcript = Transcript::typed(text.trim(), now);
        if transcripts.send(Envelope::new(turn, transcript)).is_break() {
            return;
        }
        loop {
            select! {
                recv(answers) -> answered => match answered {
                    Ok(done) if done >= turn => break,
                    Ok(_) => {}
                    Err(_) => return,
                },
                recv(stop) -> _ => return,
            }
        }
    }
}
