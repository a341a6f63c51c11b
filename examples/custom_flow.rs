//! A flow with a source and a sink of one's own: sentences come in from standard input, and how they would be spoken, clause by
//! clause, goes out with the time that each took. `custom_flow < TEXT`.

use std::io::BufRead;
use std::ops::ControlFlow;

use nearfield_stages::flow::{Flow, FlowEvent, Output, Queue, StopSignal, Turns, is_stopped};
use nearfield_stages::messages::{Clause, Envelope, TextDelta};
use nearfield_stages::voice::phrase::Phrase;

/// The source: each line is a turn. It ends with the input, when it is told to, or when nobody receives any more.
fn read_lines(turns: &Turns, output: &Output<TextDelta>, stop: &StopSignal) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let (turn, line) = (turns.begin(), line?);
        for delta in [TextDelta::Text(line), TextDelta::End] {
            if is_stopped(stop) || output.send(Envelope::new(turn, delta)).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let flow = Flow::new();
    let (turns, ledger) = (flow.turns(), flow.ledger());
    // Dropping `keep` would end the flow within two seconds: give it to whoever handles Ctrl-C.
    let (_keep, stop) = crossbeam_channel::bounded(0);
    // Each queue stands behind what it is named with. This thread is the sink.
    flow.source(Queue::Wait(16), move |output, stop| read_lines(&turns, output, stop))
        .then(Phrase::default(), Queue::Wait(16))
        .run(&stop, |event| {
            match event {
                FlowEvent::Output(Envelope { turn, body: Clause::Text(clause), .. }) => println!("{turn}: {clause}"),
                FlowEvent::Output(Envelope { turn, body: Clause::End, .. }) => {
                    for times in ledger.take(turn) {
                        println!("{turn}: {} worked {:?} on {} messages", times.stage, times.worked, times.inputs);
                    }
                }
                FlowEvent::Failed(failure) => eprintln!("{}: {:#}", failure.stage, failure.error),
                // Nothing is begun on a guess here, and nothing comes late.
                FlowEvent::Output(Envelope { body: Clause::Ahead(_) | Clause::Filler(_), .. }) => {}
                FlowEvent::Ended { .. } => println!("that is all"),
            }
            Ok(ControlFlow::Continue(()))
        })
}
