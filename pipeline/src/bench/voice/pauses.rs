//! When turns end, by rule: sentences with pauses within go through the same detector, recognizer and model of turns as in a
//! conversation, and it is counted how often each rule takes a pause for the end, and how long it waits at the real end.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use nearfield_llm::median;
use nearfield_speech::audio::SampleRate;
use nearfield_speech::turn::{Evidence, TurnEndOptions, WHOLE, completeness};
use nearfield_speech::vad::{EndpointOptions, Endpointer, SpeechEvent};
use nearfield_stages::flow::StopSignal;
use serde_json::{Value, json};

use super::spoken::Spoken;
use crate::config::{Decide, VoiceConfig};
use crate::hub::registry::Registry;
use crate::load::voice::{load_smart_turn, load_stt, load_toolbox, load_vad};
use crate::output::turn_report::ms;

/// How a turn can be ended: a name, and the silence to wait for.
type Rule = (&'static str, fn(&TurnEndOptions, Evidence) -> u32);

const RULES: [Rule; 7] = [
    ("fixed 300 ms", |_, _| 300),
    ("fixed 500 ms", |_, _| 500),
    ("fixed 800 ms", |_, _| 800),
    ("fixed 1000 ms", |_, _| 1000),
    ("Smart Turn", |options, it| options.silence_ms(Evidence { words: None, ..it })),
    ("words", |options, it| options.silence_ms(Evidence { sound: None, ..it })),
    ("Smart Turn and words", |options, it| options.silence_ms(it)),
];

/// A pause that was found, and what followed.
struct Pause {
    evidence: Evidence,
    /// Silence until speech went on; `None` at the end.
    until: Option<Duration>,
    /// Whether the end of speech was found late (positive) or early, in milliseconds.
    off_ms: f64,
}

/// What one rule came to.
struct Outcome {
    premature: usize,
    waits_ms: Vec<f64>,
}

/// Runs all rules over `sentences`; answers the table's rows and the premature ends of the configured rule.
///
/// # Errors
/// A model is missing or fails.
pub fn compare(
    sentences: &[Spoken],
    config: &VoiceConfig,
    registry: &Registry,
    stop: &StopSignal,
) -> anyhow::Result<(Vec<Value>, usize)> {
    let mut stt = load_stt(config, registry)?;
    let mut model = load_smart_turn(config, registry)?;
    let mut is_whole = load_toolbox(config)?.whole_commands();
    // Nothing ends here: each rule is asked what it would have done.
    let options = EndpointOptions { end_silence_ms: 10_000, ..config.listen.endpoint.clone() };
    let mut endpointer = Endpointer::new(load_vad(config, registry)?, options)?;
    let (mut found, mut costs) = (Vec::new(), (Vec::new(), Vec::new()));
    for sentence in sentences {
        anyhow::ensure!(!crate::signals::is_stopped(stop), "stopped");
        let mut events = Vec::new();
        let lead = vec![0.0; SampleRate::SPEECH.samples_in(Duration::from_millis(500))];
        endpointer.push(&lead, &mut |e| events.push((0, e)))?;
        let mut at = lead.len();
        for block in sentence.samples.chunks(160) {
            at += block.len();
            endpointer.push(block, &mut |e| events.push((at, e)))?;
        }
        endpointer.reset();
        let mut pauses: Vec<(usize, Pause)> = Vec::new();
        for (at, event) in events {
            match event {
                SpeechEvent::Paused { samples, last_speech_sample, .. } => {
                    let begun = Instant::now();
                    let heard = stt.transcribe(&samples, &mut || ControlFlow::Continue(()))?;
                    costs.0.push(ms(begun.elapsed()));
                    let begun = Instant::now();
                    let sound = model.as_mut().map(|model| model.probability(&samples)).transpose()?;
                    costs.1.push(ms(begun.elapsed()));
                    let is_whole = is_whole.as_mut().is_some_and(|is_whole| is_whole(&heard.text));
                    let words = if is_whole { WHOLE } else { completeness(&heard.text) };
                    let evidence = Evidence { sound, words: Some(words) };
                    let last = last_speech_sample.0 as usize;
                    let off = last as f64 - (lead.len() + sentence.speech_end) as f64;
                    tracing::debug!(text = heard.text, sound, words = evidence.words, sentence.text, "pause");
                    pauses.push((last, Pause { evidence, until: None, off_ms: off / 16.0 }));
                }
                SpeechEvent::Resumed => {
                    if let Some((last, pause)) = pauses.last_mut() {
                        pause.until = Some(SampleRate::SPEECH.duration_of(at.saturating_sub(*last)));
                    }
                }
                _ => {}
            }
        }
        for (_, pause) in &pauses {
            let Pause { evidence: Evidence { sound, words }, until, off_ms } = pause;
            let until = until.map(ms);
            tracing::debug!(sentence.text, sentence.is_for_tuning, sound, words, until, off_ms, "judged");
        }
        found.push((sentence, pauses.into_iter().map(|(_, pause)| pause).collect::<Vec<_>>()));
    }
    let limits = config.turn.options();
    let (stt_ms, model_ms) = (median(costs.0).unwrap_or_default(), median(costs.1).unwrap_or_default());
    let ends = found.iter().filter_map(|(_, pauses)| pauses.last().filter(|pause| pause.until.is_none()));
    let late_ms = median(ends.map(|pause| pause.off_ms).collect());
    let mut rows = Vec::new();
    let mut configured = 0;
    let own = match (config.turn.decide, model.is_some()) {
        (Decide::Silence, _) => "fixed 500 ms",
        (Decide::Content, true) => "Smart Turn and words",
        (Decide::Content, false) => "words",
    };
    for (name, silence_ms) in RULES {
        if model.is_none() && name.starts_with("Smart Turn") {
            continue;
        }
        let silence_ms: &dyn Fn(Evidence) -> u32 = match (config.turn.decide, name) {
            (Decide::Silence, "fixed 500 ms") => &|_| config.listen.endpoint.end_silence_ms,
            _ => &|evidence| silence_ms(&limits, evidence),
        };
        let all = outcome(&found, silence_ms, |_| true);
        let held_out = outcome(&found, silence_ms, |sentence| !sentence.is_for_tuning);
        if name == own {
            configured = all.premature;
        }
        let mut waits = all.waits_ms;
        waits.sort_by(f64::total_cmp);
        let quantile = |q: f64| waits.get(((waits.len() as f64 - 1.0) * q).round() as usize).copied();
        rows.push(json!({
            "rule": name, "sentences": found.len(), "premature_ends": all.premature,
            "premature_ends_held_out": held_out.premature,
            "silence_p50_ms": quantile(0.5), "silence_p95_ms": quantile(0.95),
            "stt_ms": stt_ms, "smart_turn_ms": model_ms, "speech_end_late_ms": late_ms,
        }));
    }
    Ok((rows, configured))
}

/// What a rule makes of the sentences that `counts`.
fn outcome(
    found: &[(&Spoken, Vec<Pause>)],
    silence_ms: &dyn Fn(Evidence) -> u32,
    counts: impl Fn(&Spoken) -> bool,
) -> Outcome {
    let mut outcome = Outcome { premature: 0, waits_ms: Vec::new() };
    for (_, pauses) in found.iter().filter(|(sentence, _)| counts(sentence)) {
        let ends_within = pauses.iter().any(|pause| {
            pause.until.is_some_and(|until| Duration::from_millis(silence_ms(pause.evidence).into()) < until)
        });
        outcome.premature += usize::from(ends_within);
        if let Some(last) = pauses.last().filter(|pause| pause.until.is_none()) {
            outcome.waits_ms.push(f64::from(silence_ms(last.evidence)) + last.off_ms);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(is_for_tuning: bool) -> Spoken {
        Spoken { text: String::new(), voice: String::new(), samples: Vec::new().into(), speech_end: 0, is_for_tuning }
    }

    #[test]
    fn a_sentence_is_cut_once_however_many_of_its_pauses_are_taken_for_the_end() {
        let pause = |words: f32, until_ms: Option<u64>| Pause {
            evidence: Evidence { sound: None, words: Some(words) },
            until: until_ms.map(Duration::from_millis),
            off_ms: 10.0,
        };
        let (a, b) = (spoken(true), spoken(false));
        let found = [
            (&a, vec![pause(0.0, Some(700)), pause(0.0, Some(900)), pause(1.0, None)]),
            (&b, vec![pause(0.0, Some(400)), pause(1.0, None)]),
        ];
        let fixed = outcome(&found, &|_| 500, |_| true);
        assert_eq!((fixed.premature, fixed.waits_ms), (1, vec![510.0, 510.0]));
        let by_words = outcome(&found, &|it| TurnEndOptions::default().silence_ms(it), |_| true);
        assert_eq!((by_words.premature, by_words.waits_ms), (0, vec![130.0, 130.0]));
        assert_eq!(outcome(&found, &|_| 500, |sentence| !sentence.is_for_tuning).premature, 0);
    }
}
