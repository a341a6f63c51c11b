//! The stages of a voice one after the other: what their overlap is measured against.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{bounded, never};
use nearfield_speech::vad::Endpointer;
use nearfield_stages::flow::{Guesses, Ledger, Stage, Turn, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Envelope, Frame};
use nearfield_stages::voice::converse::Converse;
use nearfield_stages::voice::listen::{Listen, TurnTaking};
use nearfield_stages::voice::pace::Pace;
use nearfield_stages::voice::phrase::Phrase;
use nearfield_stages::voice::play::{Outlet, Play};
use nearfield_stages::voice::speak::Speak;
use nearfield_stages::voice::transcribe::Transcribe;

use super::spoken::Spoken;
use crate::config::VoiceConfig;
use crate::load::shared::FlowLlm;
use crate::load::voice::Assistant;
use crate::output::turn_report::{Collector, TurnReport};

/// Runs the same stages over the same questions strictly one after the other, each to its end before the next begins:
/// what the overlap is measured against. Answers one report for each turn. `heard` is what was understood in real time: the recognizer works
/// here as well, but the reply is to the same words, for small differences in what it is given may change them.
///
/// # Errors
/// If a recording can't be read or a stage fails.
pub fn run_one_after_the_other(
    assistant: Assistant,
    config: &VoiceConfig,
    questions: &[Spoken],
    heard: &[&str],
) -> anyhow::Result<Vec<TurnReport>> {
    let (turns, guesses) = (Turns::default(), Guesses::default());
    let (notes, notebook) = bounded(256);
    let FlowLlm::Own(llm, way) = assistant.llm else { bail!("the language model is shared with other flows") };
    let (llm, llm_thread) = LlmThread::start_beside_others(llm, way);
    let models = assistant.speech_input.context("the assistant was loaded without the models of speech input")?;
    let endpointer = Endpointer::new(models.vad, config.listen.endpoint.clone())?;
    let mut listen = Listen::new(endpointer, turns.clone(), guesses.clone(), TurnTaking::Interrupt);
    let mut transcribe = Transcribe::new(models.stt, turns.clone(), guesses);
    let mut converse = Converse::new(llm, assistant.converse, assistant.toolbox, turns.clone(), never(), notes)?;
    let mut phrase = Phrase::default();
    let mut speak = Speak::new(assistant.voice);
    let mut play = Play::open(&Outlet::Null, turns)?;
    let mut collector =
        Collector::new(Ledger::default(), Pace::within(Duration::from_millis(config.latency.first_audio_ms)));
    let mut reports = Vec::new();
    for (question, words) in questions.iter().zip(heard) {
        let frame = Frame { samples: question.samples.to_vec(), captured: Instant::now(), last: true, order: None };
        let heard = step_all(&mut listen, vec![Envelope::new(Turn(0), frame)])?;
        let heard = heard.into_iter().filter(|u| u.body.guess.is_none()).collect();
        let mut transcripts = step_all(&mut transcribe, heard)?;
        for transcript in &mut transcripts {
            (*words).clone_into(&mut transcript.body.text);
        }
        let deltas = step_all(&mut converse, transcripts)?;
        let clauses = step_all(&mut phrase, deltas)?;
        let speech = step_all(&mut speak, clauses)?;
        let mut of_question = Vec::new();
        for note in notebook.try_iter() {
            of_question.extend(collector.note(note));
        }
        for played in step_all(&mut play, speech)? {
            of_question.extend(collector.finish(played.turn, played.body));
        }
        let report = of_question.pop();
        reports.push(report.with_context(|| format!("the question {:?} was not heard", question.text))?);
    }
    drop(converse);
    let _ = llm_thread.join();
    Ok(reports)
}

/// Everything that `stage` makes of `inputs`, before anybody sees any of it.
fn step_all<S: Stage>(stage: &mut S, inputs: Vec<Envelope<S::In>>) -> anyhow::Result<Vec<Envelope<S::Out>>> {
    let mut outputs = Vec::new();
    for input in inputs {
        stage.take(input, &mut |output| {
            outputs.push(output);
            ControlFlow::Continue(())
        })?;
    }
    Ok(outputs)
}
