//! A month of questions to one assistant, spoken, on a clock that the test moves; and timers that ring when they should.

use std::io::Write;
use std::path::Path;
use std::process::ChildStdin;
use std::sync::Arc;
use std::time::Duration;

use nearfield_tests::clock::SimulatedClock;
use nearfield_tests::{arg, assets, home, nearfield, speech};

use crate::is_whole;
use crate::program::{Program, assert_flat};

const A_MONTH: Duration = Duration::from_secs(30 * 86_400);

/// What is said to the program, through a pipe that never ends.
pub struct Mouth(ChildStdin);

impl Mouth {
    pub fn new(mut stdin: ChildStdin) -> Self {
        let mut header = Vec::new();
        header.extend(b"RIFF\xff\xff\xff\xffWAVEfmt ");
        header.extend(16u32.to_le_bytes());
        header.extend([1u16, 1].map(u16::to_le_bytes).concat());
        header.extend([16_000u32, 32_000].map(u32::to_le_bytes).concat());
        header.extend([2u16, 16].map(u16::to_le_bytes).concat());
        header.extend(b"data\xff\xff\xff\xff");
        stdin.write_all(&header).unwrap();
        Self(stdin)
    }

    /// Says it, and then is silent long enough for everybody to know that it is over.
    pub fn say(&mut self, samples: &[f32]) {
        let silence = vec![0.0; 24_000];
        let bytes: Vec<u8> =
            samples.iter().chain(&silence).flat_map(|s| ((s * 32_767.0) as i16).to_le_bytes()).collect();
        self.0.write_all(&bytes).unwrap();
    }
}

pub fn recorded(path: &Path) -> Vec<f32> {
    let mut reader = nearfield_speech::audio::ClipReader::open(path).unwrap();
    let (rate, mut samples) = (reader.rate(), Vec::new());
    while let Some(block) = reader.next_block().unwrap() {
        samples.extend_from_slice(block);
    }
    let clip = nearfield_speech::audio::Clip::new(rate, samples);
    nearfield_speech::audio::resample(&clip, nearfield_speech::audio::SampleRate::SPEECH).unwrap().samples
}

fn listen(folder: &Path, begin: &str) -> Option<(Arc<SimulatedClock>, Program, Mouth)> {
    let home = home(folder);
    let clock = Arc::new(SimulatedClock::new(folder, begin)?);
    let mut command = nearfield(&["voice", "--input", "-", "--output", "null", "--json", "--home", arg(&home)]);
    clock.govern(&mut command, folder);
    let mut program = Program::start(command, clock.clone(), folder);
    let mouth = Mouth::new(program.stdin());
    Some((clock, program, mouth))
}

#[test]
fn a_month_of_spoken_questions_leaves_memory_threads_handles_the_log_and_the_answers_as_they_were() {
    let turns = if is_whole() { 3000 } else { 20 };
    let folder = tempfile::tempdir().unwrap();
    let Some((clock, program, mut mouth)) = listen(folder.path(), "2026-10-19T22:00:00Z") else { return };
    let mut recordings: Vec<_> =
        std::fs::read_dir(assets().join("speech")).unwrap().map(|e| e.unwrap().path()).collect();
    recordings.retain(|path| path.extension().is_some_and(|e| e == "wav"));
    recordings.sort();
    let recordings: Vec<Vec<f32>> = recordings.iter().map(|path| recorded(path)).collect();
    let mut held = Vec::new();
    for turn in 0..turns {
        mouth.say(&recordings[turn % recordings.len()]);
        program.wait_for_lines(turn + 1);
        clock.pass(A_MONTH / turns as u32);
        if turn % (turns / 20) == 0 {
            held.push(program.held());
        }
    }
    let (lines, log) = (program.lines(), program.log());
    assert!(lines.iter().all(|(_, turn)| turn["heard"] != "" && turn["reply"] != ""), "{lines:#?}");
    assert_flat(&format!("{turns} turns"), &held[2..], &log);
    program.stop();
}

#[test]
fn timers_ring_when_they_should_whatever_the_wall_clock_does_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let Some(question) = speech("set a timer for ten minutes") else { return };
    let Some((clock, program, mut mouth)) = listen(folder.path(), "1970-01-01T00:00:12Z") else { return };
    let day = Duration::from_secs(86_400);
    let mut lines = 0;
    // What NTP does after the timer was set, in seconds.
    for set in [0, 1_780_000_000, -90, 7200, -7200, 0] {
        mouth.say(&question);
        program.wait_for_lines(lines + 1);
        lines += 1;
        let turn = program.lines()[lines - 1].1.clone();
        assert_eq!(turn["tools"][0]["ok"], true, "{turn:#}");
        clock.set(clock.now() + jiff::SignedDuration::from_secs(set));
        for _ in 0..9 {
            clock.pass(Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(20));
        }
        clock.pass(Duration::from_secs(50));
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(program.count(), lines, "it rings too early: {:#?}", program.lines());
        clock.pass(Duration::from_secs(10));
        program.wait_for_lines(lines + 1);
        lines += 1;
        let ring = program.lines()[lines - 1].1.clone();
        assert!(ring["reply"].as_str().is_some_and(|text| text.contains("10 minutes is over")), "{ring:#}");
        clock.pass(5 * day);
    }
    program.stop();
}
