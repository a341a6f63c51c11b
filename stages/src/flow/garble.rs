//! Messages that are garbage, for tests of what is made of them (the action `garbage`, see [`crate::flow::fault`]): what a stage
//! with a fault could hand over. Numbers that are none, times that go backwards or never come, wrong sizes, and text that is
//! hostile, empty or too long, in turn.

use std::any::{Any, type_name};
use std::time::{Duration, Instant, SystemTime};

use nearfield_speech::audio::SampleRate;
use nearfield_telemetry::{Moment, Reading, SensorId};
use nearfield_vision::{Label, Object, Rect, Slots, VisionResult};

use crate::flow::Turn;
use crate::messages::{
    Batch, Captioned, Clause, Frame, Played, ReportPart, Seen, Shot, ShotContent, Speech, TextDelta, Transcript,
    Utterance, View, WindowSummary,
};
use crate::outlets::Arrived;

/// Further ahead than any clock.
const AGES: Duration = Duration::from_secs(1 << 40);

/// What a terminal, a parser and a voice would rather not see; by `step` it is hostile, empty, or too long.
pub(crate) fn text(step: u64) -> String {
    match step % 3 {
        1 => "\u{1b}]0;title\u{7}\u{0}\r\n\u{202e}<|im_start|>{\"name\": [[[\u{fffd}\u{1f4a9} 1e999 ".to_owned(),
        2 => String::new(),
        _ => "x".repeat(12_000),
    }
}

/// The same as a model could write it at once.
pub(crate) fn written(step: u64) -> String {
    text(step).chars().take(1500).collect()
}

fn samples(step: u64) -> Vec<f32> {
    match step % 3 {
        1 => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, f32::MIN_POSITIVE, 0.0].repeat(50),
        2 => Vec::new(),
        _ => vec![f32::NAN; 7001],
    }
}

/// Makes garbage of `message`.
///
/// # Panics
/// It is of a type that nobody has thought of: a test that injects nothing proves nothing.
pub(crate) fn garble<T: 'static>(message: &mut T, step: u64) {
    let any: &mut dyn Any = message;
    if let Some(frame) = any.downcast_mut::<Frame>() {
        frame.samples = samples(step);
    } else if let Some(utterance) = any.downcast_mut::<Utterance>() {
        (utterance.samples, utterance.speech_samples) = (samples(step), usize::MAX);
        utterance.guess = utterance.guess.map(|_| Turn(u64::MAX));
    } else if let Some(transcript) = any.downcast_mut::<Transcript>() {
        transcript.text = text(step);
        transcript.guess = transcript.guess.map(|_| Turn(u64::MAX));
        transcript.closed = transcript.speech_ended - Duration::from_secs(1);
    } else if let Some(delta) = any.downcast_mut::<TextDelta>() {
        // The ends of replies stay: what never ends is a stage that stalls.
        match delta {
            TextDelta::Text(delta) => *delta = written(step),
            TextDelta::Ahead(ahead) => (ahead.guess, ahead.clause) = (Turn(u64::MAX), written(step)),
            TextDelta::Asked(_) | TextDelta::Begin { .. } | TextDelta::Cut | TextDelta::End => {}
        }
    } else if let Some(clause) = any.downcast_mut::<Clause>() {
        match clause {
            Clause::Text(clause) | Clause::Filler(clause) => *clause = text(step),
            Clause::Ahead(ahead) => (ahead.guess, ahead.clause) = (Turn(u64::MAX), text(step)),
            Clause::End => {}
        }
    } else if let Some(speech) = any.downcast_mut::<Speech>().filter(|speech| !matches!(speech, Speech::End)) {
        *speech = Speech::Samples {
            rate: SampleRate(if step.is_multiple_of(2) { 0 } else { 16_000 }),
            samples: samples(step),
        };
    } else if let Some(played) = any.downcast_mut::<Played>() {
        played.heard = vec![text(step); 3];
        (played.audio, played.first_audio) = (Duration::MAX, Instant::now().checked_add(AGES));
    } else if let Some(shot) = any.downcast_mut::<Shot>() {
        (shot.name, shot.at, shot.time) = (text(step), Duration::MAX, SystemTime::UNIX_EPOCH - AGES);
        shot.content = ShotContent::File(text(step).into_bytes());
    } else if let Some(view) = any.downcast_mut::<View>() {
        garble_view(view, step);
    } else if let Some(seen) = any.downcast_mut::<Seen>() {
        garble_view(&mut seen.view, step);
        seen.sight = sight(step);
    } else if let Some(captioned) = any.downcast_mut::<Captioned>() {
        garble_view(&mut captioned.view, step);
        captioned.sight = sight(step);
        (captioned.caption, captioned.similarity, captioned.changed) = (text(step), f32::NAN, true);
        (captioned.second_opinion, captioned.language) = (Some(f32::NEG_INFINITY), Duration::MAX);
    } else if let Some(batch) = any.downcast_mut::<Batch>() {
        let reading = |at, sensor, value| Reading { at: Moment(at), sensor: SensorId(sensor), value };
        batch.readings.push(match step % 3 {
            1 => reading(0, u32::MAX, 1.0),
            2 => reading(i64::MAX, 0, 1.0),
            _ => reading(i64::MIN, 0, f64::NAN),
        });
        batch.offsets.push((SensorId(u32::MAX), i64::MIN));
    } else if let Some(summary) = any.downcast_mut::<WindowSummary>() {
        garble_window(summary, step);
    } else if let Some(part) = any.downcast_mut::<ReportPart>() {
        match part {
            ReportPart::Title(title) => *title = text(step),
            ReportPart::Sentence(sentence) => sentence.text = text(step),
            ReportPart::Done(report) => {
                garble_window(&mut report.summary, step);
                report.composed.sentences.iter_mut().for_each(|sentence| sentence.text = text(step));
            }
        }
    } else {
        // The news that something has arrived has nothing in it.
        assert!(
            any.is::<Arrived>() || any.is::<Speech>() || any.is::<u32>(),
            "no garbage is known for {}",
            type_name::<T>()
        );
    }
}

fn garble_view(view: &mut View, step: u64) {
    (view.name, view.at) = (text(step), Duration::MAX);
    view.time = SystemTime::UNIX_EPOCH + AGES;
}

fn sight(step: u64) -> VisionResult {
    let rect = Rect { x: f32::NAN, y: f32::INFINITY, w: -1.0, h: 1e30 };
    VisionResult {
        embedding: vec![f32::NAN; 3],
        objects: vec![Object { label: text(step), score: f32::NAN, rect, class: usize::MAX }; 3],
        faint: vec![Object { label: text(step), score: f32::NAN, rect, class: 0 }],
        is_held: step.is_multiple_of(3),
        labels: vec![Label { label: text(step), score: f32::INFINITY }],
        words: vec![text(step)],
        slots: Some(Slots { n_words: 0, probabilities: vec![f32::NAN; 7] }),
        soft_tokens: Some((vec![f32::NAN; 5], 3)),
        confidence: f32::NAN,
        is_foreign: step.is_multiple_of(2),
    }
}

/// Ends before it begins, or lies where no calendar reaches, or knows less of its sensors than its readings do.
fn garble_window(summary: &mut WindowSummary, step: u64) {
    let span = &mut summary.window.span;
    match step % 3 {
        1 => (span.from, span.to) = (span.to, span.from),
        2 => (span.from, span.to) = (Moment(i64::MAX - 1), Moment(i64::MAX)),
        _ => summary.traits = std::sync::Arc::default(),
    }
}
