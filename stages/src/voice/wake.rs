//! Attention: nobody is listened to before a wake word has been said.
//!
//! Asleep, sound goes to the spotter of words only. A word wakes: the reply under way falls silent, a chime sounds, a hook is told, and
//! what follows the word is listened to. Attention lasts while somebody speaks or is answered, and for a while afterwards, so that
//! a follow-up needs no word. A stop word ends the reply under way at any time, awake or asleep, and nothing else.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use nearfield_speech::audio::SampleRate;
use nearfield_speech::wake::{Detection, WakeSpotter};
use serde_json::{Value, json};

use crate::flow::{Turn, panics};
use crate::voice::speaker::Chime;
use crate::voice::tools::{CommandTool, run_command};

/// The word is noticed some 0.1 to 0.4 s after its end, in the midst of what follows where nobody pauses. What follows begins in the
/// quietest moment of the sound before the detection, this far back at most.
const SEARCHED: Duration = Duration::from_millis(480);
/// The length of a moment: 20 ms.
const MOMENT_SAMPLES: usize = 320;
/// A turn that is not answered after so long is not waited for.
const LONGEST_ANSWER: Duration = Duration::from_secs(180);

/// A word, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeWord {
    /// As people call it.
    pub name: String,
    /// Whether it ends the reply under way, rather than waking.
    pub stops: bool,
}

/// How long attention lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionOptions {
    /// After the word, until somebody speaks.
    pub wait: Duration,
    /// After a reply; zero: not even while it is spoken.
    pub follow_up: Duration,
}

/// What becomes of sound.
#[derive(Clone, Debug, PartialEq)]
pub enum Attending {
    /// Asleep: it is not listened to.
    Asleep,
    /// It is listened to.
    Awake,
    /// A word has been said: what is under way is over, and this is listened to, which followed the word.
    Woken(Vec<f32>),
    /// The stop word has been said: what is under way is over.
    Stopped,
}

/// Whether somebody is listened to.
pub struct Attention {
    spotter: WakeSpotter,
    words: Vec<WakeWord>,
    options: AttentionOptions,
    /// Turns whose replies are over.
    over: Receiver<Turn>,
    chime: Option<Chime>,
    hook: Option<WakeHook>,
    /// The last sound, for what follows a word.
    recent: VecDeque<f32>,
    position: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asleep,
    /// Until somebody speaks, or this position.
    Waiting(u64),
    /// Until the turn is over, or this position.
    Answering(Turn, u64),
}

impl Attention {
    /// Asleep. `words` are those of the spotter, in order; `over` tells which turns are over.
    pub fn new(spotter: WakeSpotter, words: Vec<WakeWord>, options: AttentionOptions, over: Receiver<Turn>) -> Self {
        Self {
            spotter,
            words,
            options,
            over,
            chime: None,
            hook: None,
            recent: VecDeque::new(),
            position: 0,
            state: State::Asleep,
        }
    }

    /// With a sound when a word wakes.
    #[must_use]
    pub fn ringing(self, chime: Chime) -> Self {
        Self { chime: Some(chime), ..self }
    }

    /// With a command that is told what happens.
    #[must_use]
    pub fn telling(self, hook: WakeHook) -> Self {
        Self { hook: Some(hook), ..self }
    }

    /// Takes the next sound; `in_speech`: somebody who is listened to is speaking.
    ///
    /// # Errors
    /// The model of the words fails.
    pub fn hear(&mut self, samples: &[f32], in_speech: bool) -> anyhow::Result<Attending> {
        self.recent.extend(samples);
        let kept = SampleRate::SPEECH.samples_in(SEARCHED) + samples.len();
        self.recent.drain(..self.recent.len().saturating_sub(kept));
        self.position += samples.len() as u64;
        let mut last = None;
        self.spotter.push(samples, &mut |_, _| {}, &mut |detection| last = Some(detection))?;
        if let Some(detection) = last {
            return Ok(self.detected(detection));
        }
        self.look_at_the_clock(in_speech);
        Ok(if self.state == State::Asleep { Attending::Asleep } else { Attending::Awake })
    }

    /// Somebody who was listened to has finished; `turn` answers.
    pub fn asked(&mut self, turn: Turn) {
        if self.options.follow_up.is_zero() {
            self.sleep();
        } else if self.state != State::Asleep {
            self.state = State::Answering(turn, self.after(LONGEST_ANSWER));
        }
    }

    /// A recording is at its end; the next one has nothing to do with it.
    pub fn end(&mut self) {
        self.spotter.reset();
        self.recent.clear();
    }

    fn after(&self, time: Duration) -> u64 {
        self.position + SampleRate::SPEECH.samples_in(time) as u64
    }

    fn detected(&mut self, Detection { word, score, .. }: Detection) -> Attending {
        let WakeWord { name, stops } = self.words[word].clone();
        tracing::info!(word = name, score, stops, "a wake word was said");
        if stops {
            self.tell("stopped", json!(name), Some(score));
            return Attending::Stopped;
        }
        if let Some(chime) = &self.chime {
            chime.ring();
        }
        self.tell("awake", json!(name), Some(score));
        self.state = State::Waiting(self.after(self.options.wait));
        Attending::Woken(self.what_follows())
    }

    /// The sound from the quietest of the last moments on.
    fn what_follows(&mut self) -> Vec<f32> {
        let recent = self.recent.make_contiguous();
        let energy = |moment: &[f32]| moment.iter().map(|s| s * s).sum::<f32>();
        let moments = recent.chunks_exact(MOMENT_SAMPLES).enumerate();
        // The last of equally quiet ones.
        let quietest = moments.min_by(|a, b| energy(a.1).total_cmp(&energy(b.1)).then(b.0.cmp(&a.0)));
        recent[quietest.map_or(0, |(i, _)| i * MOMENT_SAMPLES)..].to_vec()
    }

    fn look_at_the_clock(&mut self, in_speech: bool) {
        let over = self.over.try_iter().last();
        match self.state {
            State::Answering(turn, until) if over >= Some(turn) || self.position >= until => {
                self.state = State::Waiting(self.after(self.options.follow_up));
            }
            State::Waiting(until) if !in_speech && self.position >= until => self.sleep(),
            _ => {}
        }
    }

    fn sleep(&mut self) {
        if self.state != State::Asleep {
            self.state = State::Asleep;
            self.tell("asleep", Value::Null, None);
        }
    }

    fn tell(&self, event: &str, word: Value, score: Option<f32>) {
        if let Some(hook) = &self.hook {
            hook.tell(json!({"event": event, "word": word, "score": score}));
        }
    }
}

/// A command that is run for each event, one after the other on a thread of its own, with the event as JSON on its standard input.
pub struct WakeHook {
    events: Option<Sender<Value>>,
    runner: Option<JoinHandle<()>>,
}

impl WakeHook {
    /// So long a command may take.
    const TIME_LIMIT_MS: u64 = 10_000;
    /// Events that wait; further ones are dropped: a light that is switched late is of no use.
    const WAITING: usize = 8;
    /// At the end of the program, the last event is waited for so long.
    const LAST: Duration = Duration::from_secs(2);

    /// Runs `command` for each event.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn start(command: Vec<String>) -> std::io::Result<Self> {
        let (events, waiting) = bounded::<Value>(Self::WAITING);
        let tool = CommandTool {
            name: "wake.command".to_owned(),
            description: String::new(),
            command,
            parameters: json!({}),
            timeout_ms: Self::TIME_LIMIT_MS,
        };
        let runner = std::thread::Builder::new().name("wake-hook".to_owned()).spawn(move || {
            for event in waiting {
                let ran = panics::catch("wake-hook", || run_command(&tool, &event));
                if let Err(error) | Ok(Err(error)) = ran.map_err(|panicked| panicked.to_string()) {
                    tracing::warn!(%error, "the wake hook failed");
                }
            }
        })?;
        Ok(Self { events: Some(events), runner: Some(runner) })
    }

    fn tell(&self, event: Value) {
        let sent = self.events.as_ref().map(|events| events.try_send(event));
        if let Some(Err(TrySendError::Full(event))) = sent {
            tracing::warn!(%event, "the wake hook is too slow; an event is dropped");
        }
    }
}

impl Drop for WakeHook {
    fn drop(&mut self) {
        drop(self.events.take());
        let until = Instant::now() + Self::LAST;
        while self.runner.as_ref().is_some_and(|runner| !runner.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfield_speech::wake::{WakeError, WakeModel};

    /// Two words: a sample of 0.9 wakes, one of 0.8 stops.
    struct Marks;

    impl WakeModel for Marks {
        fn words(&self) -> usize {
            2
        }
        fn hop_samples(&self) -> usize {
            320
        }
        fn context_hops(&self) -> usize {
            1
        }
        fn scores(&mut self, hop: &[f32]) -> Result<Vec<f32>, WakeError> {
            let has = |mark: f32| f32::from(u8::from(hop.contains(&mark)));
            Ok(vec![has(0.9), has(0.8)])
        }
        fn reset(&mut self) {}
    }

    const WAIT_MS: u64 = 1_000;

    fn attention(follow_up_ms: u64) -> (Attention, Sender<Turn>) {
        let spotter = WakeSpotter::new(Box::new(Marks), vec![0.5, 0.5], None);
        let words = [("hey", false), ("stop", true)];
        let words = words.map(|(name, stops)| WakeWord { name: name.to_owned(), stops }).to_vec();
        let options =
            AttentionOptions { wait: Duration::from_millis(WAIT_MS), follow_up: Duration::from_millis(follow_up_ms) };
        let (tell, over) = bounded(4);
        (Attention::new(spotter, words, options, over), tell)
    }

    /// What becomes of the last of so many milliseconds of `level`.
    fn hear(attention: &mut Attention, level: f32, ms: u64, in_speech: bool) -> Attending {
        let mut last = Attending::Asleep;
        for _ in 0..ms / 20 {
            last = attention.hear(&[level; 320], in_speech).unwrap();
        }
        last
    }

    #[test]
    fn nothing_is_listened_to_before_the_word_and_nothing_once_nobody_spoke_after_it() {
        let (mut attention, _over) = attention(0);
        assert_eq!(hear(&mut attention, 0.1, 10_000, false), Attending::Asleep);
        assert!(matches!(hear(&mut attention, 0.9, 20, false), Attending::Woken(_)));
        assert_eq!(hear(&mut attention, 0.1, WAIT_MS - 20, false), Attending::Awake);
        assert_eq!(hear(&mut attention, 0.1, 20, false), Attending::Asleep);
    }

    #[test]
    fn what_follows_the_word_begins_in_the_quietest_moment_before_it_was_noticed() {
        let (mut attention, _over) = attention(0);
        hear(&mut attention, 0.5, 1_000, false);
        hear(&mut attention, 0.01, 20, false);
        hear(&mut attention, 0.4, 100, false);
        let Attending::Woken(follows) = hear(&mut attention, 0.9, 20, false) else { panic!("not woken") };
        assert_eq!((follows.len(), follows[0], follows[319], follows[320]), (320 * 7, 0.01, 0.01, 0.4));
    }

    #[test]
    fn attention_lasts_while_somebody_speaks_and_is_answered_and_for_the_follow_up() {
        let (mut attention, over) = attention(2_000);
        hear(&mut attention, 0.9, 20, false);
        assert_eq!(hear(&mut attention, 0.3, 5_000, true), Attending::Awake);
        attention.asked(Turn(3));
        assert_eq!(hear(&mut attention, 0.1, 60_000, false), Attending::Awake, "it is still being answered");
        over.send(Turn(2)).unwrap();
        assert_eq!(hear(&mut attention, 0.1, 4_000, false), Attending::Awake, "that was an earlier turn");
        over.send(Turn(3)).unwrap();
        assert_eq!(hear(&mut attention, 0.1, 2_000, false), Attending::Awake);
        assert_eq!(hear(&mut attention, 0.1, 40, false), Attending::Asleep);
    }

    #[test]
    fn without_a_follow_up_each_question_needs_the_word() {
        let (mut attention, _over) = attention(0);
        hear(&mut attention, 0.9, 20, false);
        attention.asked(Turn(1));
        assert_eq!(hear(&mut attention, 0.3, 20, false), Attending::Asleep);
    }

    #[test]
    fn a_turn_that_is_never_answered_does_not_keep_it_awake_for_ever() {
        let (mut attention, _over) = attention(500);
        hear(&mut attention, 0.9, 20, false);
        attention.asked(Turn(1));
        let longest = LONGEST_ANSWER.as_millis() as u64 + 600;
        assert_eq!(hear(&mut attention, 0.0, longest, false), Attending::Asleep);
    }

    #[test]
    fn the_stop_word_stops_and_wakes_nobody() {
        let (mut attention, _over) = attention(0);
        assert_eq!(hear(&mut attention, 0.8, 20, false), Attending::Stopped);
        assert_eq!(hear(&mut attention, 0.1, 20, false), Attending::Asleep);
    }

    #[test]
    fn the_hook_is_told_each_event_in_order_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("events");
        let script = format!("cat >> '{}'; echo >> '{}'", log.display(), log.display());
        let hook = WakeHook::start(["sh", "-c", &script].map(str::to_owned).to_vec()).unwrap();
        let (attention, _over) = attention(0);
        let mut attention = attention.telling(hook);
        hear(&mut attention, 0.9, 20, false);
        hear(&mut attention, 0.0, WAIT_MS + 100, false);
        hear(&mut attention, 0.8, 20, false);
        drop(attention);
        let lines = std::fs::read_to_string(&log).unwrap();
        let events: Vec<Value> =
            lines.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<_> = events.iter().map(|event| (&event["event"], &event["word"])).collect();
        assert_eq!(
            names,
            [(&json!("awake"), &json!("hey")), (&json!("asleep"), &Value::Null), (&json!("stopped"), &json!("stop"))]
        );

        let (attention, _over) = self::attention(0);
        let mut attention = attention.telling(WakeHook::start(vec!["/nowhere/hook".to_owned()]).unwrap());
        assert!(matches!(hear(&mut attention, 0.9, 20, false), Attending::Woken(_)));
    }
}
