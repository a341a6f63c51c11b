//! Faults on request, for tests of what a flow does when a part of it fails: in a build with the feature `fault-injection`, the
//! environment variable `NEARFIELD_FAULT` names a stage, one of its steps and what happens there. In every other build nothing
//! of this exists: [`Fault`] is empty.
//!
//! ```text
//! NEARFIELD_FAULT=stage=transcribe,step=2,action=panic
//! ```
//!
//! `stage` is the name of a stage or of another part; steps are counted from 1. A stage's are its messages; `llm`'s are prefills and
//! tokens; `reporter`'s are what comes out of the last stage. A `source` has one, its beginning; `capture` those of its blocks of
//! sound. `store`: writes of readings; `store-note`: notes of what was reported; `spool`: messages that are accepted; `delivery`:
//! attempts; `device`: blocks that are played. Within a voice's stages: `turn-end`: pauses that are judged; `draft`: guesses whose replies
//! are begun; `ahead`: clauses that are spoken ahead. Outside of flows: `chat` (questions), `transcribe-file`, `eval` (its beginning).
//!
//! Actions: `panic`; `stall` (never returns); `error` (the step does its work, then fails); `garbage` (what came from the stage
//! before is garbage, see `garble.rs`; what `llm` writes is). Several faults are separated by semicolons. A fault happens once.

#[cfg(feature = "fault-injection")]
pub use on_request::Fault;

#[cfg(not(feature = "fault-injection"))]
pub use none::Fault;

#[cfg(not(feature = "fault-injection"))]
mod none {
    /// No fault.
    #[derive(Debug)]
    pub struct Fault;

    impl Fault {
        /// None for any stage.
        pub fn of(_stage: &str) -> Self {
            Self
        }

        /// Nothing happens.
        pub fn step(&mut self) -> anyhow::Result<()> {
            Ok(())
        }

        /// Nothing is garbage.
        pub(crate) fn garble<T: 'static>(&self, _message: &mut T) {}

        /// Nor what is written.
        pub(crate) fn garbled(&self) -> Option<String> {
            None
        }
    }
}

#[cfg(feature = "fault-injection")]
mod on_request {
    use std::time::Duration;

    use crate::flow::garble::{garble, written};

    /// The variable that asks for faults.
    const VARIABLE: &str = "NEARFIELD_FAULT";

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Panic,
        Stall,
        Error,
        Garbage,
    }

    /// The faults of one thread.
    #[derive(Debug)]
    pub struct Fault {
        stage: String,
        planned: Vec<(u64, Action)>,
        steps: u64,
    }

    impl Fault {
        /// Those that the environment asks for.
        ///
        /// # Panics
        /// The variable can't be read: a test that injects nothing proves nothing.
        pub fn of(stage: &str) -> Self {
            let text = std::env::var(VARIABLE).unwrap_or_default();
            let planned = parse(&text).unwrap_or_else(|e| panic!("{VARIABLE}: {e}"));
            let planned = planned.into_iter().filter(|(name, ..)| name == stage).map(|(_, n, action)| (n, action));
            Self { stage: stage.to_owned(), planned: planned.collect(), steps: 0 }
        }

        /// Another step begins.
        ///
        /// # Errors
        /// The step is to fail when its work is done.
        ///
        /// # Panics
        /// On request.
        pub fn step(&mut self) -> anyhow::Result<()> {
            self.steps += 1;
            let Self { stage, steps, .. } = &*self;
            let planned = self.planned.iter().find(|(n, _)| n == steps);
            if let Some((_, action)) = planned {
                // Tests take the time from here.
                eprintln!("fault: {action:?} in step {steps} of {stage}");
            }
            match planned {
                None | Some((_, Action::Garbage)) => Ok(()),
                Some((_, Action::Error)) => anyhow::bail!("an error was injected into step {steps} of {stage}"),
                Some((_, Action::Panic)) => panic!("a panic was injected into step {steps} of {stage}"),
                Some((_, Action::Stall)) => loop {
                    std::thread::sleep(Duration::from_secs(3600));
                },
            }
        }

        /// Makes garbage of what this step takes, if that is asked for.
        pub(crate) fn garble<T: 'static>(&self, message: &mut T) {
            if self.garbles() {
                garble(message, self.steps);
            }
        }

        /// What this step makes instead, if that is asked for.
        pub(crate) fn garbled(&self) -> Option<String> {
            self.garbles().then(|| written(self.steps))
        }

        fn garbles(&self) -> bool {
            self.planned.contains(&(self.steps, Action::Garbage))
        }
    }

    fn parse(text: &str) -> Result<Vec<(String, u64, Action)>, String> {
        text.split(';').map(str::trim).filter(|fault| !fault.is_empty()).map(parse_one).collect()
    }

    fn parse_one(text: &str) -> Result<(String, u64, Action), String> {
        let (mut stage, mut step, mut action) = (None, 1, None);
        for field in text.split(',') {
            match field.trim().split_once('=') {
                Some(("stage", name)) => stage = Some(name.to_owned()),
                Some(("step", n)) => step = n.parse().map_err(|_| format!("step={n} is not a number"))?,
                Some(("action", "panic")) => action = Some(Action::Panic),
                Some(("action", "stall")) => action = Some(Action::Stall),
                Some(("action", "error")) => action = Some(Action::Error),
                Some(("action", "garbage")) => action = Some(Action::Garbage),
                _ => return Err(format!("{field:?} is none of stage=, step=, action=panic|stall|error|garbage")),
            }
        }
        Ok((stage.ok_or("stage= is missing")?, step, action.ok_or("action= is missing")?))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_fault_is_read_and_happens_once_at_its_step() {
            let faults = parse("stage=look,step=2,action=error; stage=llm,action=panic").unwrap();
            assert_eq!(faults, [("look".to_owned(), 2, Action::Error), ("llm".to_owned(), 1, Action::Panic)]);
            for wrong in
                ["stage=look", "action=panic", "stage=look,step=x,action=panic", "stage=look,action=sing", "look"]
            {
                assert!(parse(wrong).is_err(), "{wrong}");
            }
            let mut fault = Fault { stage: "look".to_owned(), planned: vec![(2, Action::Error)], steps: 0 };
            let happened: Vec<bool> = (0..4).map(|_| fault.step().is_err()).collect();
            assert_eq!(happened, [false, true, false, false]);
            let mut fault = Fault { stage: "look".to_owned(), planned: vec![(2, Action::Garbage)], steps: 0 };
            let happened: Vec<bool> = (0..4).map(|_| fault.step().is_ok() && fault.garbled().is_some()).collect();
            assert_eq!(happened, [false, true, false, false]);
        }
    }
}
