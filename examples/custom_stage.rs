//! A stage of one's own between two others, here an interpreter: what is heard is translated, and cut into clauses that a voice could
//! speak. `custom_stage [FILE.wav [MODEL.bin]]`.

use std::ops::ControlFlow;

use nearfield_examples::argument_or_asset;
use nearfield_speech::stt::{SpeechToText, SttOptions};
use nearfield_speech::vad::{Earshot, EndpointOptions, Endpointer};
use nearfield_stages::flow::{Emit, Flow, FlowEvent, Guesses, Queue, Stage};
use nearfield_stages::messages::{Clause, Envelope, TextDelta, Transcript};
use nearfield_stages::voice::capture::{Pace, Source};
use nearfield_stages::voice::listen::{Listen, TurnTaking};
use nearfield_stages::voice::phrase::Phrase;
use nearfield_stages::voice::transcribe::Transcribe;

/// The stage: it owns its state, and knows neither neighbour.
struct Translate(Vec<(&'static str, &'static str)>);

impl Stage for Translate {
    type In = Transcript;
    type Out = TextDelta;

    fn name(&self) -> &'static str {
        "translate"
    }

    fn step(&mut self, input: Envelope<Transcript>, emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
        // An error would cost this turn and be told; the next one goes on.
        anyhow::ensure!(!input.body.text.is_empty(), "nothing was understood");
        let translated = |word| self.0.iter().find(|(from, _)| word == *from).map_or(word, |(_, to)| *to);
        let text = input.body.text.to_lowercase().split(' ').map(translated).collect::<Vec<_>>().join(" ");
        let _ = emit(Envelope::new(input.turn, TextDelta::Text(text)));
        let _ = emit(Envelope::new(input.turn, TextDelta::End));
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let source = Source::Files(vec![argument_or_asset(1, "speech/1-temperature.wav")], Pace::Fast);
    let stt = SpeechToText::open(&argument_or_asset(2, "models/hear-nano.bin"), &SttOptions::default())?;
    let endpointer = Endpointer::new(Box::new(Earshot::default()), EndpointOptions::default())?;
    let flow = Flow::new();
    let (turns, guesses) = (flow.turns(), Guesses::default());
    let listen = Listen::new(endpointer, turns.clone(), guesses.clone(), TurnTaking::Interrupt);
    let translate = Translate(vec![("what", "wie"), ("is", "ist"), ("the", "die"), ("temperature", "Temperatur")]);
    flow.source(Queue::Wait(64), move |frames, stop| source.run(None, frames, stop))
        .then(listen, Queue::Wait(4))
        .then(Transcribe::new(stt, turns, guesses), Queue::Wait(4))
        .then(translate, Queue::Wait(16))
        .then(Phrase::default(), Queue::Wait(4))
        .run(&crossbeam_channel::never(), |event| {
            match event {
                FlowEvent::Output(Envelope { turn, body: Clause::Text(clause), .. }) => println!("{turn}: {clause}"),
                FlowEvent::Failed(failure) => eprintln!("{}: {:#}", failure.stage, failure.error),
                FlowEvent::Output(_) | FlowEvent::Ended { .. } => {}
            }
            Ok(ControlFlow::Continue(()))
        })
}
