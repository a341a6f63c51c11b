//! How flows run, fail and end.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::flow::{Dropped, Emit, Turn};

/// What a stage does at the number 2.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AtTwo {
    Nothing,
    Panic,
    Fail,
    Stall,
}

/// Lets numbers through.
struct Pass(&'static str, AtTwo, Option<u32>);

impl Stage for Pass {
    type In = u32;
    type Out = u32;
    fn name(&self) -> &'static str {
        self.0
    }
    fn step(&mut self, input: Envelope<u32>, _emit: &mut Emit<'_, u32>) -> anyhow::Result<()> {
        self.2 = Some(input.body);
        match self.1 {
            AtTwo::Panic if input.body == 2 => panic!("bad luck"),
            AtTwo::Fail if input.body == 2 => anyhow::bail!("two"),
            AtTwo::Stall if input.body == 2 => std::thread::sleep(Duration::from_secs(3600)),
            _ => {}
        }
        Ok(())
    }
    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, u32>) {
        let _ = emit(Envelope::new(turn, self.2.take().unwrap()));
    }
}

const NAMES: [&str; 3] = ["first", "second", "third"];

/// What a flow of three stages tells, and how it ends; `which` of them, of the source or of a branch does something at 2.
fn run(which: &str, what: AtTwo, stop: &StopSignal) -> (Vec<String>, anyhow::Result<()>) {
    let does = |name| if name == which { what } else { AtTwo::Nothing };
    let mut flow = Flow::new();
    let (to_branch, branch_input) = bounded(4);
    flow.branch(Pass("branch", does("branch"), None), branch_input);
    let (turns, ledger, fails) = (flow.turns(), flow.ledger(), does("source") == AtTwo::Panic);
    let mut chain = flow.source(Queue::Wait(1), move |out, stop| {
        for n in 1..=4 {
            assert!(n != 2 || !fails, "bad luck");
            if crate::flow::is_stopped(stop) || out.send(Envelope::new(turns.begin(), n)).is_break() {
                break;
            }
        }
        Ok(())
    });
    for name in NAMES {
        chain = chain.then(Pass(name, does(name), None), Queue::Wait(1));
    }
    let (mut told, mut to_branch) = (Vec::new(), Some(to_branch));
    let ended = chain.run(stop, |event| {
        match event {
            FlowEvent::Output(message) => {
                let stages: Vec<&str> = ledger.take(message.turn).iter().map(|times| times.stage).collect();
                assert_eq!(stages, NAMES, "what leaves last finds the whole turn in the ledger");
                told.push(message.body.to_string());
                if let Some(to_branch) = &to_branch {
                    let _ = to_branch.send(message);
                }
            }
            FlowEvent::Failed(failure) => told.push(format!("{} fails: {}", failure.stage, failure.is_fatal)),
            FlowEvent::Ended { panicked } => {
                to_branch = None;
                told.push(format!("panicked: {panicked}"));
            }
        }
        Ok(ControlFlow::Continue(()))
    });
    (told, ended)
}

#[test]
fn a_panic_anywhere_ends_the_flow_with_an_error_that_names_the_stage_and_what_was_complete_is_told() {
    for name in ["source", "first", "second", "third"] {
        let begun = Instant::now();
        let (told, ended) = run(name, AtTwo::Panic, &never());
        let error = ended.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name} panicked: bad luck (at ")), "{error}");
        assert!(told.contains(&format!("{name} fails: true")), "{told:?}");
        assert_eq!(told.iter().filter(|told| told.len() == 1).collect::<Vec<_>>(), ["1"], "{name}");
        assert_eq!(told.last().unwrap(), "panicked: true", "{name}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{name}");
    }
    // A branch that has panicked holds up nobody.
    let (told, ended) = run("branch", AtTwo::Panic, &never());
    assert!(ended.unwrap_err().to_string().starts_with("branch panicked: bad luck (at "));
    assert!(told.contains(&"branch fails: true".to_owned()) && told.contains(&"2".to_owned()), "{told:?}");
}

#[test]
fn a_step_that_fails_is_told_before_its_turn_is_over_and_the_next_turns_go_on() {
    for name in NAMES {
        let (told, ended) = run(name, AtTwo::Fail, &never());
        ended.unwrap();
        let failed = format!("{name} fails: false");
        let place = |what: &str| told.iter().position(|told| told == what).unwrap();
        assert!(place(&failed) < place("2"), "{told:?}");
        assert_eq!(told.iter().filter(|told| told.len() == 1).count(), 4, "{told:?}");
        assert_eq!(told.last().unwrap(), "panicked: false");
    }
}

#[test]
fn a_stage_that_stalls_is_not_waited_for_longer_than_two_seconds_after_a_stop() {
    let (keep, stop) = bounded(0);
    let ender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(keep);
    });
    let begun = Instant::now();
    let (told, ended) = run("second", AtTwo::Stall, &stop);
    ended.unwrap();
    assert_eq!(told, ["1", "panicked: false"]);
    assert!((1600..2500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    ender.join().unwrap();
}

#[test]
fn whoever_has_heard_enough_ends_the_source_and_whose_hearing_fails_ends_the_flow_with_that_error() {
    let endless = || {
        let flow = Flow::new();
        let turns = flow.turns();
        flow.source(Queue::Wait(1), move |out, stop| {
            while !crate::flow::is_stopped(stop) && out.send(Envelope::new(turns.begin(), 1)).is_continue() {}
            Ok(())
        })
        .then(Pass("first", AtTwo::Nothing, None), Queue::Wait(1))
    };
    endless().run(&never(), |_| Ok(ControlFlow::Break(()))).unwrap();
    let error = endless().run(&never(), |_| anyhow::bail!("the disk is full")).unwrap_err();
    assert_eq!(error.to_string(), "the disk is full");
}

#[test]
fn a_panic_of_the_reporter_ends_the_flow_with_an_error_that_names_it_and_asks_it_nothing_more() {
    for at in ["Output", "Failed", "Ended"] {
        let begun = Instant::now();
        let flow = Flow::new();
        let turns = flow.turns();
        let mut told = Vec::new();
        let ended = flow
            .source(Queue::Wait(1), move |out, stop| {
                while !crate::flow::is_stopped(stop) && out.send(Envelope::new(turns.begin(), 2)).is_continue() {}
                Ok(())
            })
            .then(Pass("first", if at == "Failed" { AtTwo::Fail } else { AtTwo::Nothing }, None), Queue::Wait(1))
            .run(&never(), |event| {
                let event = format!("{event:?}");
                told.push(event.split([' ', '(']).next().unwrap().to_owned());
                assert!(!event.starts_with(at), "bad luck");
                Ok(if at == "Ended" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            });
        let error = ended.unwrap_err().to_string();
        assert!(error.starts_with("reporter panicked: bad luck (at "), "{error}");
        assert_eq!(told.iter().filter(|told| *told == at).count(), 1, "{told:?}");
        assert_eq!(told.last().unwrap(), at, "{told:?}");
        assert!(begun.elapsed() < Duration::from_millis(500), "{at}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_flow_whose_output_fails_waits_less_than_half_a_second_for_a_stage_that_stalls() {
    let mut flow = Flow::new();
    let (to_branch, branch_input) = bounded(4);
    flow.branch(Pass("branch", AtTwo::Stall, None), branch_input);
    let mut failed = None;
    let ended = flow
        .source(Queue::Wait(1), |out, _| {
            let _ = out.send(Envelope::new(Turn(1), 2));
            Ok(())
        })
        .then(Pass("first", AtTwo::Nothing, None), Queue::Wait(1))
        .run(&never(), |event| {
            let FlowEvent::Output(message) = event else { return Ok(ControlFlow::Continue(())) };
            let _ = to_branch.send(message);
            std::thread::sleep(Duration::from_millis(50));
            failed = Some(Instant::now());
            anyhow::bail!("the disk is full")
        });
    assert_eq!(ended.unwrap_err().to_string(), "the disk is full");
    let after = failed.unwrap().elapsed();
    assert!((300..500).contains(&after.as_millis()), "{after:?}");
}

#[test]
fn notes_are_told_before_the_output_that_left_after_them_and_a_failed_source_after_all_that_it_has_sent() {
    let (notes, notebook) = bounded(4);
    let flow = Flow::new().notes(notebook);
    let told = Mutex::new(Vec::new());
    let ended = flow
        .source(Queue::Newest(Dropped::default()), move |out, _| {
            notes.send("a note")?;
            let _ = out.send(Envelope::new(Turn(1), 1));
            anyhow::bail!("unplugged")
        })
        .then(Pass("first", AtTwo::Nothing, None), Queue::Wait(1))
        .run(&never(), |event| {
            told.lock().unwrap().push(format!("{event:.12?}"));
            Ok(ControlFlow::Continue(()))
        });
    assert_eq!(ended.unwrap_err().to_string(), "unplugged");
    let told = told.into_inner().unwrap();
    assert!(told[0].starts_with("Note") && told[1].starts_with("Output") && told.len() == 3, "{told:?}");
}

#[test]
fn work_that_is_to_be_completed_is_hurried_by_its_own_counter_and_no_turn_is_silenced() {
    let (keep, stop) = bounded(0);
    let hurried = Turns::default();
    let flow = Flow::new().at_stop(AtStop::Complete(hurried.clone()));
    let (turns, alive) = (flow.turns(), flow.turns());
    let mut heard = 0;
    let begun = Instant::now();
    flow.source(Queue::Wait(1), move |out, stop| {
        let cancel = hurried.cancel_of(turns.begin());
        drop(keep);
        let _ = stop.recv();
        while !cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = out.send(Envelope::new(Turn(1), 1));
        Ok(())
    })
    .then(Pass("first", AtTwo::Nothing, None), Queue::Wait(1))
    .run(&stop, |event| {
        heard += usize::from(matches!(event, FlowEvent::Output(_)));
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert!(heard == 1 && alive.is_alive(Turn(1)));
    assert!((850..1500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}
