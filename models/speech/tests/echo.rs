//! Echo cancellation in made-up rooms: replies that must not interrupt themselves, and people who interrupt them.

use nearfield_speech::audio::{SampleRate, read_clip};
use nearfield_speech::echo::EchoCanceller;
use nearfield_speech::vad::{Earshot, EndpointOptions, Endpointer, SpeechEvent};
use nearfield_testdata::asset;

const BLOCK: usize = EchoCanceller::BLOCK_SAMPLES;
/// Between two replies.
const GAP: usize = 16_000;

/// Numbers from -1 to 1, the same in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f32 / (1u64 << 30) as f32 - 1.0
    }
}

/// A room: the way from the loudspeaker to the microphone, as delays in samples and gains.
struct Room(Vec<(usize, f32)>);

impl Room {
    /// The direct way after `delay_ms`, and 80 reflections that have fallen by 60 dB after `decay_ms`; all together at `level`.
    fn new(delay_ms: usize, decay_ms: usize, level: f32, noise: &mut Noise) -> Self {
        let (delay, decay) = (delay_ms * 16, decay_ms * 16);
        let mut ways = vec![(delay, 1.0)];
        for _ in 0..80 {
            let after = ((noise.next() + 1.0) / 2.0 * decay as f32) as usize;
            let gain = 0.35 * noise.next() * 10f32.powf(-3.0 * after as f32 / decay as f32);
            ways.push((delay + 16 + after, gain));
        }
        let power = ways.iter().map(|(_, gain)| gain * gain).sum::<f32>().sqrt();
        Self(ways.into_iter().map(|(delay, gain)| (delay, gain * level / power)).collect())
    }

    fn echo(&self, played: &[f32]) -> Vec<f32> {
        let mut echo = vec![0.0; played.len()];
        for &(delay, gain) in &self.0 {
            for (to, from) in echo[delay.min(played.len())..].iter_mut().zip(played) {
                *to += gain * from;
            }
        }
        echo
    }
}

fn clips() -> Vec<Vec<f32>> {
    let names = ["1-temperature.wav", "2-light.wav", "3-warmer.wav", "4-football.wav", "5-door.wav"];
    let present = names.iter().map(|name| asset("speech").join(name)).filter(|path| path.is_file());
    let clips: Vec<Vec<f32>> = present.map(|path| read_clip(&path).unwrap().samples).collect();
    assert!(clips.len() >= 3, "the bundled recordings are there");
    clips
}

fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / samples.len().max(1) as f64
}

/// Where a recording becomes loud: a tenth of its loudest 4 ms.
fn onset(clip: &[f32]) -> usize {
    let loudest = clip.chunks(BLOCK).map(power).fold(0.0, f64::max);
    clip.chunks(BLOCK).position(|block| power(block) > loudest / 100.0).unwrap() * BLOCK
}

/// A conversation: what is played, and what somebody says, from which samples on.
struct Conversation {
    played: Vec<f32>,
    said: Vec<f32>,
    onsets: Vec<usize>,
}

/// `replies` replies of two sentences; somebody interrupts each but the first 0.7 to 1.3 s after its beginning, where they do.
fn conversation(replies: usize, interrupted: bool, noise: &mut Noise) -> Conversation {
    let clips = clips();
    let (mut played, mut said, mut onsets) = (Vec::new(), Vec::new(), Vec::new());
    for reply in 0..replies {
        let begins = played.len();
        for sentence in [reply, reply + 2] {
            let loud = 0.7 + 0.3 * noise.next();
            played.extend(clips[sentence % clips.len()].iter().map(|s| s * loud));
        }
        if interrupted && reply > 0 {
            let clip = &clips[(reply + 1) % clips.len()];
            let at = begins + 16_000 + (noise.next() * 0.3 * 16_000.0) as usize;
            said.resize(at, 0.0);
            said.extend(clip);
            onsets.push(at + onset(clip));
        }
        let ends = played.len().max(said.len()) + GAP;
        played.resize(ends, 0.0);
        said.resize(ends, 0.0);
    }
    Conversation { played, said, onsets }
}

/// What is left of a conversation in a room, and where somebody was heard to begin. Also how much of the echo is gone, in decibels.
fn listen(conversation: &Conversation, room: &Room, noise: &mut Noise) -> (Vec<u64>, f64) {
    let echo = room.echo(&conversation.played);
    let mut canceller = EchoCanceller::new();
    let mut endpointer = Endpointer::new(Box::<Earshot>::default(), EndpointOptions::default()).unwrap();
    let (mut began, mut before, mut after) = (Vec::new(), 0.0, 0.0);
    for (i, block) in conversation.played.chunks_exact(BLOCK).enumerate() {
        let at = i * BLOCK;
        let quiet = 10f32.powf(-65.0 / 20.0);
        let mut heard: Vec<f32> =
            (at..at + BLOCK).map(|at| echo[at] + conversation.said[at] + quiet * noise.next()).collect();
        let with_echo = power(&heard);
        canceller.played(block);
        canceller.clean(&mut heard);
        let is_echo_alone = conversation.said[at..at + BLOCK].iter().all(|s| *s == 0.0);
        // From the second reply on, where there is echo at all.
        if is_echo_alone && with_echo > 1e-5 && at > 5 * 16_000 {
            before += with_echo;
            after += power(&heard);
        }
        let mut now = Vec::new();
        endpointer.push(&heard, &mut |event| now.push(event)).unwrap();
        let is_start = |event: &SpeechEvent| matches!(event, SpeechEvent::Started { .. });
        began.extend(now.iter().filter(|event| is_start(event)).map(|_| (at + BLOCK) as u64));
    }
    (began, 10.0 * (before / after.max(1e-12)).log10())
}

const ROOMS: [(usize, usize, f32); 3] = [(20, 150, 0.3), (90, 250, 0.5), (220, 350, 0.8)];

#[test]
fn fifty_replies_in_rooms_interrupt_themselves_not_once() {
    let mut noise = Noise(7);
    for (delay_ms, decay_ms, level) in ROOMS {
        let talk = conversation(17, false, &mut noise);
        let room = Room::new(delay_ms, decay_ms, level, &mut noise);
        let (began, gone_db) = listen(&talk, &room, &mut noise);
        eprintln!(
            "{delay_ms} ms, {decay_ms} ms, echo at {level}: ERLE {gone_db:.1} dB, {} self-interruptions in 17",
            began.len()
        );
        assert!(
            began.is_empty(),
            "{delay_ms} ms: {:?} s",
            began.iter().map(|at| *at as f32 / 16e3).collect::<Vec<_>>()
        );
        assert!(gone_db > 20.0, "{delay_ms} ms: {gone_db} dB");
        // Without cancellation the same room interrupts: the test can fail.
        let silent =
            Conversation { played: vec![0.0; talk.played.len()], said: room.echo(&talk.played), onsets: Vec::new() };
        assert!(!listen(&silent, &Room(Vec::new()), &mut noise).0.is_empty());
    }
}

#[test]
fn who_interrupts_a_reply_is_heard_mostly_within_300_ms_and_nearly_always_within_a_second() {
    let mut noise = Noise(11);
    let (mut taken, mut all, mut took) = (0, 0, Vec::new());
    for (delay_ms, decay_ms, level) in ROOMS {
        let talk = conversation(18, true, &mut noise);
        let room = Room::new(delay_ms, decay_ms, level, &mut noise);
        let (began, gone_db) = listen(&talk, &room, &mut noise);
        let within = SampleRate::SPEECH.samples_in(std::time::Duration::from_millis(300)) as u64;
        for onset in &talk.onsets {
            let onset = *onset as u64;
            let after = began.iter().find(|at| **at >= onset.saturating_sub(320)).map(|at| at.saturating_sub(onset));
            took.push(after.unwrap_or(u64::MAX) / 16);
            all += 1;
            taken += usize::from(after.is_some_and(|after| after <= within));
        }
        eprintln!("{delay_ms} ms, {decay_ms} ms, echo at {level}: ERLE {gone_db:.1} dB");
    }
    took.sort_unstable();
    eprintln!(
        "{taken} of {all} interruptions within 300 ms; median {} ms, slowest {:?} ms",
        took[all / 2],
        &took[all - 5..]
    );
    assert!(taken * 20 >= all * 17, "{taken} of {all}: {took:?}");
    let within_a_second = took.iter().filter(|ms| **ms <= 1_000).count();
    assert!(within_a_second * 50 >= all * 48, "{within_a_second} of {all}: {took:?}");
}

#[test]
fn sound_that_is_no_number_leaves_the_canceller_working() {
    let mut noise = Noise(3);
    let mut canceller = EchoCanceller::new();
    canceller.played(&[f32::NAN; BLOCK]);
    canceller.clean(&mut [f32::INFINITY; BLOCK]);
    let talk = conversation(1, false, &mut noise);
    for block in talk.played.chunks_exact(BLOCK) {
        canceller.played(block);
        let mut heard: Vec<f32> = block.iter().map(|s| 0.5 * s).collect();
        canceller.clean(&mut heard);
        assert!(heard.iter().all(|s| s.is_finite()));
    }
}
