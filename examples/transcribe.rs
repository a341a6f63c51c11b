//! Turns a recording into text: `transcribe [FILE.wav|flac|ogg|mp3 [MODEL.bin]]`.

use std::ops::ControlFlow;

use nearfield_examples::argument_or_asset;
use nearfield_speech::audio::{SampleRate, read_clip, resample};
use nearfield_speech::stt::{SpeechToText, SttOptions};

fn main() -> anyhow::Result<()> {
    let clip = read_clip(&argument_or_asset(1, "speech/1-temperature.wav"))?;
    let speech = resample(&clip, SampleRate::SPEECH)?;
    let mut stt = SpeechToText::open(&argument_or_asset(2, "models/hear-nano.bin"), &SttOptions::default())?;
    let heard = stt.transcribe(&speech.samples, &mut || ControlFlow::Continue(()))?;
    for segment in &heard.segments {
        println!("{:6.2}-{:.2} s  {}", segment.start.as_secs_f32(), segment.end.as_secs_f32(), segment.text.trim());
    }
    Ok(())
}
