//! Finds utterances in a stream of audio and transcribes each as soon as it has ended: `transcribe_stream [FILE [MODEL.bin]]`.

use std::ops::ControlFlow;

use nearfield_examples::argument_or_asset;
use nearfield_speech::audio::{ClipReader, Resampler, SampleRate};
use nearfield_speech::stt::{SpeechToText, SttOptions};
use nearfield_speech::vad::{Earshot, EndpointOptions, Endpointer, SpeechEvent};

fn main() -> anyhow::Result<()> {
    let mut reader = ClipReader::open(&argument_or_asset(1, "speech/2-light.wav"))?;
    let mut resampler = Resampler::new(reader.rate(), SampleRate::SPEECH)?;
    let mut endpointer = Endpointer::new(Box::new(Earshot::default()), EndpointOptions::default())?;
    let mut stt = SpeechToText::open(&argument_or_asset(2, "models/hear-nano.bin"), &SttOptions::default())?;

    let mut events = Vec::new();
    while let Some(block) = reader.next_block()? {
        let mut resampled = Vec::new();
        resampler.push(block, &mut |samples| resampled.extend_from_slice(samples));
        endpointer.push(&resampled, &mut |event| events.push(event))?;
        report(&mut stt, &mut events)?;
    }
    endpointer.finish(&mut |event| events.push(event));
    report(&mut stt, &mut events)
}

fn report(stt: &mut SpeechToText, events: &mut Vec<SpeechEvent>) -> anyhow::Result<()> {
    for event in events.drain(..) {
        if let SpeechEvent::Ended { samples, .. } = event {
            let heard = stt.transcribe(&samples, &mut || ControlFlow::Continue(()))?;
            println!("{}", heard.text.trim());
        }
    }
    Ok(())
}
