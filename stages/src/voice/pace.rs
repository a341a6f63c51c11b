//! The budget of the first audio (`latency.first_audio_ms`), and what is done to keep to it. The stages tell how long their parts
//! take on this machine; from that it is foreseen when a reply will be heard, and decided how early its first clause leaves, whether
//! speech is transcribed in a shorter context, and whether a filler is said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::flow::Turn;
use crate::voice::clauses::Haste;

/// How much of what is usual the last time counts.
const SHARE: f64 = 0.3;
/// So many tokens the model writes until a first clause is known, by its haste: medians over some hundred replies of small models.
const CLAUSE_TOKENS: [(Haste, f64); 3] = [(Haste::None, 16.0), (Haste::Phrase, 10.0), (Haste::Short, 6.0)];
/// So many tokens has a reply that is looked over before any of it is said, or a call of a tool.
const CHECKED_TOKENS: f64 = 24.0;
/// A short first clause sounds for about as long. What follows it has to be there by then, or the voice breaks off.
const SHORT_CLAUSE: Duration = Duration::from_millis(700);
/// The share of the time of transcription that a shorter context saves.
const SHORTER_CONTEXT_SAVES: f64 = 0.25;
/// Turns that are remembered until they are reported.
const MOST_TURNS: usize = 64;
/// About so long a voice takes to its first sound, until that is known.
const VOICE_BEGINS: Duration = Duration::from_millis(100);

/// A part of the work between the end of speech and the first audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From the end of speech until transcription begins: a pause has to be noticed.
    Notice,
    /// Transcription of a guess.
    Transcribe,
    /// Until the model has read the question.
    Read,
    /// A token of the reply.
    Token,
    /// From a clause to its first sound.
    Voice,
}

const PARTS: usize = 5;

/// What is done so that a reply is heard in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The first clause leaves before the first phrase.
    PhraseFirst,
    /// The first clause has three words.
    ShortFirst,
    /// Speech is transcribed in a shorter context.
    ShorterContext,
    /// Something is said meanwhile.
    Filler,
}

/// What was foreseen of a turn and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// From the end of speech to the first audio; `None` before the machine is known.
    pub first_audio: Option<Duration>,
    /// What was done.
    pub measures: Vec<Measure>,
}

/// What the parts take on this machine, and the budget; shared by the stages of a flow.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    budget: Option<Duration>,
    /// In seconds, by part.
    usual: [Option<f64>; PARTS],
    /// Of the last turns.
    foreseen: BTreeMap<Turn, Foreseen>,
}

impl State {
    fn usual(&self, part: Part) -> Option<f64> {
        self.usual[part as usize]
    }

    /// From the end of speech to the first audio, with so much behind already, and so many tokens to write.
    fn first_audio(&self, behind: f64, tokens: f64) -> Option<f64> {
        Some(behind + self.usual(Part::Read)? + tokens * self.usual(Part::Token)? + self.usual(Part::Voice)?)
    }

    fn is_late(&self, first_audio: Option<f64>) -> bool {
        self.budget.zip(first_audio).is_some_and(|(budget, first)| first > budget.as_secs_f64())
    }

    fn of(&mut self, turn: Turn) -> &mut Foreseen {
        if self.foreseen.len() >= MOST_TURNS && !self.foreseen.contains_key(&turn) {
            self.foreseen.pop_first();
        }
        self.foreseen.entry(turn).or_default()
    }

    fn takes(&mut self, turn: Turn, measure: Measure) {
        let measures = &mut self.of(turn).measures;
        if !measures.contains(&measure) {
            measures.push(measure);
        }
    }
}

fn tokens_of(haste: Haste) -> f64 {
    CLAUSE_TOKENS.iter().find(|(of, _)| *of == haste).map_or(CHECKED_TOKENS, |(_, tokens)| *tokens)
}

impl Pace {
    /// With a budget.
    pub fn within(budget: Duration) -> Self {
        Self(Arc::new(Mutex::new(State { budget: Some(budget), ..State::default() })))
    }

    fn change<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The time that the first audio may take; `None` without a budget.
    pub fn budget(&self) -> Option<Duration> {
        self.change(|state| state.budget)
    }

    /// A part took so long.
    pub fn took(&self, part: Part, time: Duration) {
        let seconds = time.as_secs_f64();
        self.change(|state| {
            let usual = state.usual[part as usize].get_or_insert(seconds);
            // One odd time says little; a lasting one has its way within a few turns.
            *usual += (seconds.min(*usual * 4.0 + 0.1) - *usual) * SHARE;
        });
    }

    /// Transcription took so long; `shortened`: in a shorter context.
    pub fn transcribed(&self, time: Duration, shortened: bool) {
        let share = if shortened { 1.0 - SHORTER_CONTEXT_SAVES } else { 1.0 };
        self.took(Part::Transcribe, time.div_f64(share));
    }

    /// What a part usually takes; `None` before the first time.
    pub fn usual(&self, part: Part) -> Option<Duration> {
        self.change(|state| state.usual(part)).map(Duration::from_secs_f64)
    }

    /// How early the first clause of a reply leaves that the model is about to write. The shortest one is for machines on which the rest of
    /// the sentence comes before it has sounded, and where the budget would not hold otherwise.
    pub fn haste(&self, turn: Turn, speech_ended: Instant) -> Haste {
        let behind = speech_ended.elapsed().as_secs_f64();
        self.change(|state| {
            let rest = state.usual(Part::Token).zip(state.usual(Part::Voice));
            let breaks_off =
                rest.is_some_and(|(token, voice)| tokens_of(Haste::None) * token + voice > SHORT_CLAUSE.as_secs_f64());
            let haste = match breaks_off && !state.is_late(state.first_audio(behind, tokens_of(Haste::Phrase))) {
                true => Haste::Phrase,
                false => Haste::Short,
            };
            let first = state.first_audio(behind, tokens_of(haste));
            state.of(turn).first_audio = first.map(Duration::from_secs_f64);
            state.takes(turn, if haste == Haste::Short { Measure::ShortFirst } else { Measure::PhraseFirst });
            haste
        })
    }

    /// Whether a reply that the model is about to write will be heard too late. `is_checked`: all of it has to be written before any is said.
    pub fn is_late(&self, turn: Turn, speech_ended: Instant, haste: Haste, is_checked: bool) -> bool {
        let behind = speech_ended.elapsed().as_secs_f64();
        self.change(|state| {
            let first = state.first_audio(behind, if is_checked { CHECKED_TOKENS } else { tokens_of(haste) });
            state.of(turn).first_audio = first.map(Duration::from_secs_f64);
            state.is_late(first)
        })
    }

    /// When a filler has to be begun of a reply that has not been, so that it is heard in time.
    pub fn filler_due(&self, speech_ended: Instant) -> Option<Instant> {
        let voice = self.usual(Part::Voice).unwrap_or(VOICE_BEGINS);
        self.budget().map(|budget| speech_ended + budget.saturating_sub(voice))
    }

    /// A filler is said.
    pub fn filled(&self, turn: Turn) {
        self.change(|state| state.takes(turn, Measure::Filler));
    }

    /// Whether speech is to be transcribed in a shorter context, which costs errors: where the budget will not hold with the usual one, and will
    /// with it.
    pub fn shortens_context(&self, turn: Turn) -> bool {
        self.change(|state| {
            let (notice, transcribe) = (state.usual(Part::Notice), state.usual(Part::Transcribe));
            let Some((notice, transcribe)) = notice.zip(transcribe) else { return false };
            let tokens = tokens_of(Haste::Short);
            let first = |transcribe: f64| state.first_audio(notice + transcribe, tokens);
            let shorter = transcribe * (1.0 - SHORTER_CONTEXT_SAVES);
            let shortens = state.is_late(first(transcribe)) && !state.is_late(first(shorter));
            if shortens {
                state.takes(turn, Measure::ShorterContext);
            }
            shortens
        })
    }

    /// What was foreseen of a turn.
    pub fn foreseen(&self, turn: Turn) -> Foreseen {
        self.change(|state| state.foreseen.get(&turn).cloned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// One on whose machine the parts take so many milliseconds.
    fn pace(budget: u64, transcribe: u64, read: u64, token: u64, voice: u64) -> Pace {
        let pace = Pace::within(MS(budget));
        let parts = [(Part::Notice, 40), (Part::Read, read), (Part::Token, token), (Part::Voice, voice)];
        parts.into_iter().for_each(|(part, ms)| pace.took(part, MS(ms)));
        pace.transcribed(MS(transcribe), false);
        pace
    }

    #[test]
    fn a_first_clause_is_short_where_the_rest_comes_in_time_or_the_budget_needs_it() {
        let now = Instant::now();
        for (of, haste) in [
            (Pace::within(MS(1_500)), Haste::Short),
            (pace(1_500, 100, 30, 7, 60), Haste::Short),
            // The voice would break off behind three words, and there is time for more.
            (pace(1_500, 100, 100, 60, 200), Haste::Phrase),
            // There is none.
            (pace(800, 100, 100, 60, 200), Haste::Short),
        ] {
            assert_eq!(of.haste(Turn(1), now), haste, "{of:?}");
        }
    }

    #[test]
    fn a_stage_that_becomes_slow_makes_what_is_foreseen_late_and_one_that_is_quick_again_does_not() {
        let pace = pace(1_000, 100, 30, 7, 60);
        let late = || pace.is_late(Turn(1), Instant::now(), Haste::Short, false);
        assert!(!late());
        let foreseen = pace.foreseen(Turn(1)).first_audio.unwrap();
        assert!((MS(125)..MS(200)).contains(&foreseen), "30 + 6 * 7 + 60: {foreseen:?}");
        (0..6).for_each(|_| pace.took(Part::Voice, MS(2_000)));
        assert!(late());
        (0..12).for_each(|_| pace.took(Part::Voice, MS(60)));
        assert!(!late());
        // What is looked over first has to be written as a whole.
        (0..12).for_each(|_| pace.took(Part::Token, MS(50)));
        assert!(!late() && pace.is_late(Turn(1), Instant::now(), Haste::Short, true));
    }

    #[test]
    fn the_context_is_shortened_where_that_makes_the_difference_and_as_long_as_it_does() {
        // Notice 40, read 30, 6 tokens of 7, voice 60: 172 ms besides transcription.
        for (transcribe, shortens) in [(300, false), (400, true), (2_000, false)] {
            let pace = pace(500, transcribe, 30, 7, 60);
            for turn in 1..=5 {
                assert_eq!(pace.shortens_context(Turn(turn)), shortens, "{transcribe} ms, turn {turn}");
                let measures = pace.foreseen(Turn(turn)).measures;
                assert_eq!(measures.contains(&Measure::ShorterContext), shortens);
                pace.transcribed(if shortens { MS(transcribe * 3 / 4) } else { MS(transcribe) }, shortens);
            }
        }
    }

    #[test]
    fn a_filler_is_due_so_early_that_the_voice_begins_within_the_budget() {
        let (now, pace) = (Instant::now(), Pace::within(MS(1_000)));
        assert_eq!(pace.filler_due(now), Some(now + MS(900)));
        pace.took(Part::Voice, MS(400));
        assert_eq!(pace.filler_due(now), Some(now + MS(600)));
        assert_eq!(Pace::default().filler_due(now), None);
    }

    #[test]
    fn turns_that_nobody_reports_are_forgotten() {
        let pace = Pace::within(MS(1_000));
        (0..1_000).for_each(|turn| pace.filled(Turn(turn)));
        assert_eq!(pace.change(|state| state.foreseen.len()), MOST_TURNS);
        assert_eq!(pace.foreseen(Turn(999)).measures, [Measure::Filler]);
    }
}
