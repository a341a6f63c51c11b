//! Phrasing: the reply's text in, as it is written; clauses out, each as soon as it can be spoken. Markup never gets through; where
//! nothing else was written, one sentence says so.

use std::time::Instant;

use crate::flow::{Emit, Guesses, Stage, Turn};
use crate::messages::{Ahead, Clause, Envelope, TextDelta};
use crate::voice::clauses::{ClauseSplitter, Haste};
use crate::voice::pace::Pace;
use crate::voice::spoken::SpokenFilter;

/// What is said of a reply in which nothing can be spoken.
const UNSPEAKABLE: &str = "I have no answer that can be said aloud.";

/// Cuts the reply into clauses.
#[derive(Default)]
pub struct Phrase {
    filter: SpokenFilter,
    splitter: ClauseSplitter,
    /// How early first clauses leave of what nobody has said more of.
    haste: Haste,
    turn: Option<Turn>,
    /// The clause that is being spoken ahead of this reply.
    ahead: Option<Ahead>,
    /// Whether a clause of this reply has left.
    has_spoken: bool,
    is_over: bool,
    /// Whether it is a text to be read aloud, and no reply: what has no words is silence.
    is_reading: bool,
    guesses: Guesses,
    filler: Option<Filler>,
    /// When the filler is due, while nothing has been said.
    due: Option<Instant>,
}

/// What is said where the reply is late.
#[derive(Clone, Debug)]
pub struct Filler {
    /// The words.
    pub text: String,
    /// What tells when it is due.
    pub pace: Pace,
}

impl Phrase {
    /// Cuts replies that somebody waits for, and that may be begun for guesses.
    pub fn guessing(guesses: Guesses) -> Self {
        Self { guesses, splitter: ClauseSplitter::hasting(Haste::Phrase), haste: Haste::Phrase, ..Self::default() }
    }

    /// Cuts a text that is read aloud as it stands: where it has no words, nothing is said.
    pub fn reading() -> Self {
        Self { is_reading: true, ..Self::default() }
    }

    /// The same, which says something where the reply is late.
    #[must_use]
    pub fn filling(self, filler: Option<Filler>) -> Self {
        Self { filler, ..self }
    }

    /// Forgets the reply under way.
    fn reset(&mut self) {
        self.splitter.clear();
        let Self { mut splitter, haste, guesses, filler, is_reading, .. } = std::mem::take(self);
        splitter.haste(haste);
        *self = Self { splitter, haste, guesses, filler, is_reading, ..Self::default() };
    }
}

/// Finds the clause with which a reply begins, while it is being written.
pub struct FirstClause {
    filter: SpokenFilter,
    splitter: ClauseSplitter,
}

impl FirstClause {
    /// In such haste.
    pub fn hasting(haste: Haste) -> Self {
        Self { filter: SpokenFilter::default(), splitter: ClauseSplitter::hasting(haste) }
    }

    /// Takes the next piece of the reply; answers the clause once it is complete.
    pub fn push(&mut self, text: &str) -> Option<String> {
        let mut first = None;
        self.splitter.push(&self.filter.push(text), &mut |clause| {
            first.get_or_insert(clause);
        });
        first
    }

    /// The reply is complete.
    pub fn finish(&mut self) -> Option<String> {
        let mut first = None;
        let mut take = |clause| {
            first.get_or_insert(clause);
        };
        self.splitter.push(&self.filter.finish(), &mut take);
        self.splitter.finish(&mut take);
        first
    }
}

impl Stage for Phrase {
    type In = TextDelta;
    type Out = Clause;

    fn name(&self) -> &'static str {
        "phrase"
    }

    fn step(&mut self, input: Envelope<TextDelta>, emit: &mut Emit<'_, Clause>) -> anyhow::Result<()> {
        let turn = input.turn;
        if self.turn != Some(turn) {
            // What an interrupted reply left behind is not part of this one.
            self.reset();
            self.turn = Some(turn);
        }
        let (has_spoken, ahead, guesses, due) = (&mut self.has_spoken, &mut self.ahead, &self.guesses, &mut self.due);
        let mut send = |clause| {
            // The voice may be at this clause already, and need not wait for this message to be heard.
            if let Some(ahead) = ahead.take()
                && !*has_spoken
                && ahead.clause == clause
            {
                guesses.begin_aloud(ahead.guess);
            }
            *has_spoken = true;
            *due = None;
            let _ = emit(Envelope::new(turn, Clause::Text(clause)));
        };
        match input.body {
            TextDelta::Asked(speech_ended) => {
                *due = self.filler.as_ref().and_then(|filler| filler.pace.filler_due(speech_ended));
            }
            TextDelta::Begin { haste, is_late } => {
                self.splitter.haste(haste);
                if let (true, Some(due)) = (is_late, due) {
                    *due = Instant::now();
                }
            }
            TextDelta::Text(text) => self.splitter.push(&self.filter.push(&text), &mut send),
            TextDelta::Ahead(ahead) => {
                self.ahead = Some(ahead.clone());
                let _ = emit(Envelope::new(turn, Clause::Ahead(ahead)));
            }
            TextDelta::Cut => {
                self.splitter.clear();
                self.filter = SpokenFilter::default();
            }
            TextDelta::End => {
                self.splitter.push(&self.filter.finish(), &mut send);
                self.splitter.finish(&mut send);
                if self.filter.has_heard() && !*has_spoken && !self.is_reading {
                    let _ = emit(Envelope::new(turn, Clause::Text(UNSPEAKABLE.to_owned())));
                }
                self.reset();
                self.is_over = true;
            }
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        self.due
    }

    fn wake(&mut self, emit: &mut Emit<'_, Clause>) -> anyhow::Result<()> {
        let is_due = self.due.take_if(|due| *due <= Instant::now()).is_some();
        if let (true, Some(turn), Some(filler)) = (is_due, self.turn, &self.filler) {
            filler.pace.filled(turn);
            let _ = emit(Envelope::new(turn, Clause::Filler(filler.text.clone())));
        }
        Ok(())
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, Clause>) {
        if std::mem::take(&mut self.is_over) {
            let _ = emit(Envelope::new(turn, Clause::End));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use nearfield_speech::audio::SampleRate;
    use nearfield_speech::tts::{TtsError, Voice};

    use crate::voice::pace::{Measure, Part};
    use crate::voice::speak::Speak;

    fn phrase(stage: &mut Phrase, turn: u64, delta: TextDelta) -> Vec<Clause> {
        let mut out = Vec::new();
        let emit = &mut |c: Envelope<Clause>| {
            out.push(c.body);
            ControlFlow::Continue(())
        };
        stage.take(Envelope::new(Turn(turn), delta), emit).unwrap();
        out
    }

    #[test]
    fn the_first_clause_leaves_before_the_reply_is_complete() {
        let mut stage = Phrase::default();
        let text = "It is 21.5 degrees in the kitchen. The hall";
        assert_eq!(
            phrase(&mut stage, 1, TextDelta::Text(text.to_owned())),
            [Clause::Text("It is 21.5 degrees in the kitchen.".to_owned())]
        );
        assert_eq!(phrase(&mut stage, 1, TextDelta::End), [Clause::Text("The hall".to_owned()), Clause::End]);
    }

    #[test]
    fn a_late_reply_is_filled_in_for_once_and_one_in_time_is_not() {
        let pace = Pace::within(Duration::from_millis(150)); // of which a voice takes 100
        let filler = Filler { text: "One moment.".to_owned(), pace };
        let mut stage = Phrase::default().filling(Some(filler));
        let wake = |stage: &mut Phrase| {
            let mut out = Vec::new();
            let emit = &mut |c: Envelope<Clause>| {
                out.push((c.turn, c.body));
                ControlFlow::Continue(())
            };
            stage.wake(emit).unwrap();
            out
        };
        assert!(phrase(&mut stage, 1, TextDelta::Asked(Instant::now())).is_empty());
        assert!(wake(&mut stage).is_empty(), "it is not late yet");
        let due = stage.wake_at().expect("it may become late");
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        assert_eq!(wake(&mut stage), [(Turn(1), Clause::Filler("One moment.".to_owned()))]);
        assert!(stage.wake_at().is_none() && wake(&mut stage).is_empty(), "said twice");
        assert_eq!(
            phrase(&mut stage, 1, TextDelta::Text("It is on. So".to_owned())),
            [Clause::Text("It is on.".to_owned())]
        );
        assert!(phrase(&mut stage, 2, TextDelta::Asked(Instant::now())).is_empty());
        phrase(&mut stage, 2, TextDelta::Text("It is off. So".to_owned()));
        assert!(stage.wake_at().is_none(), "the reply has begun");
        phrase(&mut stage, 2, TextDelta::End);
        assert!(phrase(&mut stage, 3, TextDelta::Asked(Instant::now())).is_empty());
        phrase(&mut stage, 3, TextDelta::End);
        assert!(stage.wake_at().is_none(), "there is no reply");
    }

    /// Takes so many milliseconds to its only sound.
    struct Slow(Arc<AtomicU64>);

    impl Voice for Slow {
        fn name(&self) -> &str {
            "slow"
        }
        fn sample_rate(&self) -> SampleRate {
            SampleRate(16_000)
        }
        fn speak(&mut self, _: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError> {
            std::thread::sleep(Duration::from_millis(self.0.load(Ordering::Relaxed)));
            let _ = sink(&[0.1; 10]);
            Ok(())
        }
    }

    #[test]
    fn a_voice_that_has_become_slow_has_the_filler_said_at_once_and_a_quick_one_in_time() {
        let (pace, takes) = (Pace::within(Duration::from_millis(250)), Arc::new(AtomicU64::new(0)));
        pace.took(Part::Read, Duration::from_millis(10));
        pace.took(Part::Token, Duration::from_millis(1));
        let mut speak = Speak::new(Box::new(Slow(takes.clone()))).keeping(pace.clone());
        let filler = Filler { text: "One moment.".to_owned(), pace: pace.clone() };
        let mut stage = Phrase::default().filling(Some(filler));
        for (turn, ms, expected) in [(1, 5, false), (2, 400, true), (3, 5, false)] {
            takes.store(ms, Ordering::Relaxed);
            for said in 0..5 {
                let clause = Clause::Text("It is on.".to_owned());
                speak.take(Envelope::new(Turn(10 * turn + said), clause), &mut |_| ControlFlow::Continue(())).unwrap();
            }
            let asked = Instant::now();
            phrase(&mut stage, turn, TextDelta::Asked(asked));
            let is_late = pace.is_late(Turn(turn), asked, Haste::Short, false);
            phrase(&mut stage, turn, TextDelta::Begin { haste: Haste::Short, is_late });
            let is_due = stage.wake_at().is_some_and(|due| due <= Instant::now());
            assert_eq!((is_late, is_due), (expected, expected), "{ms} ms: {:?}", pace.foreseen(Turn(turn)));
            let mut said = Vec::new();
            let emit = &mut |c: Envelope<Clause>| {
                said.push(c.body);
                ControlFlow::Continue(())
            };
            stage.wake(emit).unwrap();
            let is_filled = pace.foreseen(Turn(turn)).measures.contains(&Measure::Filler);
            assert_eq!((said == [Clause::Filler("One moment.".to_owned())], is_filled), (expected, expected));
            let told =
                phrase(&mut stage, turn, TextDelta::Text("The best way to cook them is in water. So".to_owned()));
            assert_eq!(told[0], Clause::Text("The best way,".to_owned()));
            phrase(&mut stage, turn, TextDelta::End);
        }
    }

    #[test]
    fn a_clause_that_is_spoken_ahead_may_be_heard_once_the_reply_begins_with_it() {
        let guesses = Guesses::default();
        let mut stage = Phrase::guessing(guesses.clone());
        for (turn, reply, is_aloud) in [(1, "It is on. So", true), (2, "No. It is on. So", false)] {
            let guess = guesses.begin();
            let ahead = Ahead { guess, clause: "It is on.".to_owned() };
            assert_eq!(phrase(&mut stage, turn, TextDelta::Ahead(ahead.clone())), [Clause::Ahead(ahead)]);
            assert!(!guesses.is_aloud(guess));
            phrase(&mut stage, turn, TextDelta::Text(reply.to_owned()));
            phrase(&mut stage, turn, TextDelta::End);
            assert_eq!(guesses.is_aloud(guess), is_aloud, "{reply}");
        }
    }

    #[test]
    fn a_reply_of_nothing_but_markup_is_one_honest_sentence_and_silence_stays_silence() {
        let mut stage = Phrase::default();
        let json = r#"{"name": "set_light", "arguments": {"room": "kitchen"}}"#;
        assert!(phrase(&mut stage, 1, TextDelta::Text(json.to_owned())).is_empty());
        assert_eq!(phrase(&mut stage, 1, TextDelta::End), [Clause::Text(UNSPEAKABLE.to_owned()), Clause::End]);
        assert!(phrase(&mut stage, 2, TextDelta::Text(format!("{json} It is on. "))).is_empty());
        assert_eq!(phrase(&mut stage, 2, TextDelta::End), [Clause::Text("It is on.".to_owned()), Clause::End]);
        assert_eq!(phrase(&mut stage, 3, TextDelta::End), [Clause::End]);
    }

    #[test]
    fn a_text_that_is_read_aloud_and_has_no_words_is_silence() {
        for text in ["...", "-", "!!!", "\u{1f389}", "***"] {
            let mut stage = Phrase::reading();
            assert!(phrase(&mut stage, 1, TextDelta::Text(text.to_owned())).is_empty(), "{text}");
            assert_eq!(phrase(&mut stage, 1, TextDelta::End), [Clause::End], "{text}");
            phrase(&mut stage, 2, TextDelta::Text("It is on.".to_owned()));
            assert_eq!(phrase(&mut stage, 3, TextDelta::Text(text.to_owned())), []);
            assert_eq!(phrase(&mut stage, 3, TextDelta::End), [Clause::End], "the next text, too: {text}");
        }
    }

    #[test]
    fn a_clause_that_is_taken_back_is_not_spoken() {
        let mut stage = Phrase::default();
        let text = "It is warm. The state of the home can is is".to_owned();
        assert_eq!(phrase(&mut stage, 1, TextDelta::Text(text)), [Clause::Text("It is warm.".to_owned())]);
        assert!(phrase(&mut stage, 1, TextDelta::Cut).is_empty());
        assert!(phrase(&mut stage, 1, TextDelta::Text(" So much.".to_owned())).is_empty());
        assert_eq!(phrase(&mut stage, 1, TextDelta::End), [Clause::Text("So much.".to_owned()), Clause::End]);
    }

    #[test]
    fn what_an_interrupted_reply_left_behind_is_not_spoken_with_the_next() {
        let mut stage = Phrase::default();
        assert!(phrase(&mut stage, 1, TextDelta::Text("The light in".to_owned())).is_empty());
        assert!(phrase(&mut stage, 2, TextDelta::Text("Yes.".to_owned())).is_empty());
        assert_eq!(phrase(&mut stage, 2, TextDelta::End), [Clause::Text("Yes.".to_owned()), Clause::End]);
    }
}
