//! What is heard, and when a turn begins, ends and interrupts.

use super::*;
use nearfield_speech::vad::{EndpointOptions, VadError, VoiceActivity};
use std::ops::ControlFlow;

/// Takes every loud frame for speech.
struct Loudness;

impl VoiceActivity for Loudness {
    fn frame_samples(&self) -> usize {
        160
    }
    fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError> {
        Ok(if frame.iter().any(|s| s.abs() > 0.1) { 1.0 } else { 0.0 })
    }
    fn reset(&mut self) {}
    fn name(&self) -> &str {
        "loudness"
    }
}

fn listener(turns: &Turns, guesses: &Guesses, turn_taking: TurnTaking) -> Listen {
    let endpointer = Endpointer::new(Box::new(Loudness), EndpointOptions::default()).unwrap();
    Listen::new(endpointer, turns.clone(), guesses.clone(), turn_taking)
}

/// Feeds milliseconds of (loud?) sound in frames of 20 ms; answers what came out.
fn hear(listen: &mut Listen, parts: &[(bool, usize)]) -> Vec<Envelope<Utterance>> {
    let mut out = Vec::new();
    for &(loud, ms) in parts {
        for _ in 0..ms / 20 {
            let frame = Frame {
                samples: vec![if loud { 0.5 } else { 0.0 }; 320],
                captured: Instant::now(),
                last: false,
                order: None,
            };
            let emit = &mut |u| {
                out.push(u);
                ControlFlow::Continue(())
            };
            listen.step(Envelope::new(Turn(0), frame), emit).unwrap();
        }
    }
    out
}

#[test]
fn a_new_turn_silences_the_previous_reply() {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt);
    let first = hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).pop().unwrap().turn;
    assert!(turns.is_alive(first));
    hear(&mut listen, &[(true, 300)]);
    assert!(!turns.is_alive(first), "the reply goes on while somebody speaks");
}

#[test]
fn a_pause_gives_a_guess_that_going_on_withdraws() {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt);
    let guess = hear(&mut listen, &[(false, 400), (true, 600), (false, 300)]).pop().unwrap();
    let number = guess.body.guess.expect("only a pause so far");
    assert!(guesses.is_alive(number));
    let rest = hear(&mut listen, &[(true, 400), (false, 800)]);
    assert!(!guesses.is_alive(number), "the speaker went on");
    let (last, before) = (rest.last().unwrap(), &rest[rest.len() - 2]);
    assert_eq!((last.turn, last.body.guess), (guess.turn, None));
    assert!(before.body.guess.is_some_and(|g| guesses.is_alive(g)));
    assert_eq!(last.body.speech_samples, before.body.speech_samples, "the last guess was right");
}

#[test]
fn a_microphone_that_hears_the_loudspeaker_is_deaf_while_it_is_on() {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let speaking = Arc::new(AtomicBool::new(true));
    let mut listen = listener(&turns, &guesses, TurnTaking::DeafWhile(speaking.clone()));
    assert!(hear(&mut listen, &[(true, 600), (false, 800)]).is_empty());
    speaking.store(false, Ordering::Release);
    assert!(!hear(&mut listen, &[(false, 200), (true, 600), (false, 800)]).is_empty());
}

#[test]
fn a_question_whose_beginning_the_loudspeaker_covered_is_not_answered() {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let speaking = Arc::new(AtomicBool::new(true));
    let mut listen = listener(&turns, &guesses, TurnTaking::DeafWhile(speaking.clone()));
    assert!(hear(&mut listen, &[(false, 400), (true, 300)]).is_empty());
    speaking.store(false, Ordering::Release);
    let heard = hear(&mut listen, &[(true, 600), (false, 800)]);
    assert!(heard.iter().all(|u| u.body.guess.is_some_and(|guess| !guesses.is_alive(guess))), "{}", heard.len());
    // What is said next is whole; so is what follows the loudspeaker's echo after a pause.
    assert!(hear(&mut listen, &[(true, 600), (false, 800)]).last().is_some_and(|u| u.body.guess.is_none()));
    speaking.store(true, Ordering::Release);
    assert!(hear(&mut listen, &[(true, 300)]).is_empty());
    speaking.store(false, Ordering::Release);
    let echo_first = hear(&mut listen, &[(true, 200), (false, 300), (true, 600), (false, 800)]);
    assert!(echo_first.last().is_some_and(|u| u.body.guess.is_none()));
}

/// The word is a sample of 0.9.
struct Mark;

impl nearfield_speech::wake::WakeModel for Mark {
    fn words(&self) -> usize {
        1
    }
    fn hop_samples(&self) -> usize {
        320
    }
    fn context_hops(&self) -> usize {
        1
    }
    fn scores(&mut self, hop: &[f32]) -> Result<Vec<f32>, nearfield_speech::wake::WakeError> {
        Ok(vec![f32::from(u8::from(hop.contains(&0.9)))])
    }
    fn reset(&mut self) {}
}

fn attentive(turns: &Turns, turn_taking: TurnTaking) -> Listen {
    use crate::voice::wake::{AttentionOptions, WakeWord};
    let spotter = nearfield_speech::wake::WakeSpotter::new(Box::new(Mark), vec![0.5], None);
    let words = vec![WakeWord { name: "hey".to_owned(), stops: false }];
    let options = AttentionOptions { wait: Duration::from_secs(2), follow_up: Duration::ZERO };
    // Nothing is told by a channel whose other end is gone.
    let (_, over) = crossbeam_channel::bounded(1);
    listener(turns, &Guesses::default(), turn_taking).attending(Attention::new(spotter, words, options, over))
}

/// The word, said over 20 ms.
fn say_the_word(listen: &mut Listen) {
    let frame = Frame { samples: vec![0.9; 320], captured: Instant::now(), last: false, order: None };
    listen.step(Envelope::new(Turn(0), frame), &mut |_| ControlFlow::Continue(())).unwrap();
}

#[test]
fn speech_is_a_question_after_the_word_and_not_before_it() {
    let turns = Turns::default();
    let mut listen = attentive(&turns, TurnTaking::Interrupt);
    assert!(hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).is_empty());
    say_the_word(&mut listen);
    let heard = hear(&mut listen, &[(false, 300), (true, 600), (false, 800)]);
    assert!(heard.last().is_some_and(|utterance| utterance.body.guess.is_none()), "{}", heard.len());
    assert!(hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).is_empty(), "each question needs the word");
}

#[test]
fn the_word_interrupts_a_reply_and_speech_does_not_where_the_loudspeaker_is_heard() {
    let turns = Turns::default();
    let speaking = Arc::new(AtomicBool::new(true));
    let mut listen = attentive(&turns, TurnTaking::DeafWhile(speaking.clone()));
    let reply = turns.begin();
    assert!(hear(&mut listen, &[(true, 600), (false, 800)]).is_empty());
    assert!(turns.is_alive(reply));
    say_the_word(&mut listen);
    assert!(!turns.is_alive(reply), "the reply goes on");
    // It falls silent within a moment; what is said meanwhile counts.
    let mut heard = hear(&mut listen, &[(false, 100), (true, 200)]);
    speaking.store(false, Ordering::Release);
    heard.extend(hear(&mut listen, &[(true, 400), (false, 800)]));
    let last = heard.pop().expect("the question was heard");
    assert!(last.body.speech_samples >= 9_000, "its beginning is there: {}", last.body.speech_samples);
}

#[test]
fn speech_ended_when_its_last_sample_was_captured_not_when_the_silence_was_over() {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt);
    let utterance = hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).pop().unwrap();
    let waited = utterance.born.saturating_duration_since(utterance.body.speech_ended);
    assert!((480..560).contains(&waited.as_millis()), "{waited:?}");
}
/// A listener that weighs what is said, after a first question whose reply is under way.
fn weighing(turns: &Turns, hold: &Hold) -> (Listen, Sender<(Turn, String)>, Sender<Turn>, Turn) {
    let (tell, words) = crossbeam_channel::bounded(4);
    let (end, over) = crossbeam_channel::bounded(4);
    let turn_end = TurnEnd::new(Default::default(), None, Some(words));
    let taking = TurnTaking::Weigh(Resume::new(hold.clone(), over));
    let mut listen = listener(turns, &Guesses::default(), taking).ending(turn_end);
    let asked = hear(&mut listen, &[(false, 400), (true, 600), (false, 1_800)]).pop().unwrap().turn;
    assert!(!hold.is_held(), "there was nothing to hold");
    (listen, tell, end, asked)
}

/// Says something short whose words are `text`; answers what came out for the words and the silence behind them.
fn interject(listen: &mut Listen, tell: &Sender<(Turn, String)>, text: &str) -> Vec<Envelope<Utterance>> {
    let guess = hear(listen, &[(true, 300), (false, 120)]).pop().unwrap().body.guess.unwrap();
    tell.send((guess, text.to_owned())).unwrap();
    hear(listen, &[(false, 1_800)])
}

#[test]
fn a_cough_and_an_mhm_hold_the_reply_and_a_question_ends_it() {
    let (turns, hold) = (Turns::default(), Hold::default());
    let (mut listen, tell, _end, asked) = weighing(&turns, &hold);
    for text in ["", "Mm-hmm.", "Okay."] {
        hear(&mut listen, &[(true, 300)]);
        assert!(hold.is_held() && turns.is_alive(asked), "{text}: it is not known yet what is said");
        assert!(interject(&mut listen, &tell, text).is_empty(), "{text} is no question");
        assert!(!hold.is_held() && turns.is_alive(asked), "after {text} the reply goes on");
    }
    let question = interject(&mut listen, &tell, "Stop.").pop().unwrap();
    assert!(question.body.guess.is_none() && !turns.is_alive(asked) && turns.is_alive(question.turn));
    assert!(!hold.is_held());
}

#[test]
fn who_speaks_for_long_wants_something_whatever_the_words() {
    let (turns, hold) = (Turns::default(), Hold::default());
    let (mut listen, _tell, _end, asked) = weighing(&turns, &hold);
    hear(&mut listen, &[(true, 800)]);
    assert!(hold.is_held() && turns.is_alive(asked));
    hear(&mut listen, &[(true, 400)]);
    assert!(!hold.is_held() && !turns.is_alive(asked));
}

#[test]
fn a_reply_that_is_asked_to_wait_goes_on_when_it_is_asked_to_and_ends_after_a_while() {
    let (turns, hold) = (Turns::default(), Hold::default());
    let (mut listen, tell, _end, asked) = weighing(&turns, &hold);
    assert!(interject(&mut listen, &tell, "Wait.").is_empty());
    assert!(hold.is_held() && turns.is_alive(asked));
    assert!(interject(&mut listen, &tell, "").is_empty());
    assert!(hold.is_held(), "a cough is no request to go on");
    assert!(interject(&mut listen, &tell, "Go on.").is_empty());
    assert!(!hold.is_held() && turns.is_alive(asked));
    assert!(interject(&mut listen, &tell, "Hold on.").is_empty());
    hear(&mut listen, &[(false, 31_000)]);
    assert!(!hold.is_held() && !turns.is_alive(asked), "it waits for ever");
}

#[test]
fn when_the_reply_is_over_an_okay_is_a_turn_of_its_own() {
    let (turns, hold) = (Turns::default(), Hold::default());
    let (mut listen, tell, end, asked) = weighing(&turns, &hold);
    end.send(asked).unwrap();
    hear(&mut listen, &[(false, 100)]);
    let turn = interject(&mut listen, &tell, "Okay.").pop().unwrap();
    assert!(turn.body.guess.is_none() && turn.turn > asked && !hold.is_held());
}

#[test]
fn a_reply_is_not_held_when_the_sound_ends() {
    let (turns, hold) = (Turns::default(), Hold::default());
    let (mut listen, _tell, _end, _asked) = weighing(&turns, &hold);
    hear(&mut listen, &[(true, 300)]);
    assert!(hold.is_held());
    listen.finish(&mut |_| ControlFlow::Continue(())).unwrap();
    assert!(!hold.is_held());
}

/// How long the silence was after which a turn ended whose words were `text`.
fn silence_after(text: &str) -> u128 {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let (tell, words) = crossbeam_channel::bounded(4);
    let turn_end = TurnEnd::new(Default::default(), None, Some(words));
    let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt).ending(turn_end);
    let guess = hear(&mut listen, &[(false, 400), (true, 600), (false, 120)]).pop().unwrap().body.guess.unwrap();
    tell.send((guess, text.to_owned())).unwrap();
    let mut silence_ms = 120;
    let ended = loop {
        silence_ms += 20;
        if let Some(ended) = hear(&mut listen, &[(false, 20)]).pop() {
            break ended;
        }
    };
    assert!(ended.body.guess.is_none() && guesses.is_kept(guess), "the guess was right");
    silence_ms
}

#[test]
fn a_turn_ends_soon_after_a_whole_sentence_and_late_after_half_of_one() {
    assert!((120..=160).contains(&silence_after("What time is it?")));
    assert!((1_480..=1_540).contains(&silence_after("Turn on the lights and")));
    let unsure = silence_after("Turn it off.");
    assert!((600..1_400).contains(&unsure), "{unsure}");
}

#[test]
fn words_of_an_earlier_pause_do_not_end_a_later_one() {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let (tell, words) = crossbeam_channel::bounded(4);
    let turn_end = TurnEnd::new(Default::default(), None, Some(words));
    let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt).ending(turn_end);
    let guess = hear(&mut listen, &[(false, 400), (true, 600), (false, 120)]).pop().unwrap().body.guess.unwrap();
    hear(&mut listen, &[(true, 300)]);
    tell.send((guess, "What time is it?".to_owned())).unwrap();
    let out = hear(&mut listen, &[(false, 1_000)]);
    assert!(out.iter().all(|utterance| utterance.body.guess.is_some()), "it ended by words that were not its own");
    assert!(hear(&mut listen, &[(false, 600)]).pop().unwrap().body.guess.is_none(), "it never ended");
}
