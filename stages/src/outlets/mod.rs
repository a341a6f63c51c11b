//! Outlets to other machines, for reports and captions alike: what is to be delivered lies in a bounded spool on disk until the
//! other side has it. A network that is away delays a delivery; a restart does not lose it.

pub mod home_assistant;
mod spool;
pub mod webhook;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drive::{Emit, Stage};
use crate::messages::Envelope;

pub use spool::{Spool, SpoolError};

/// Waits between tries.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Who took longer than this to fail is not waited for once more when the program ends.
const QUICK: Duration = Duration::from_secs(1);

/// Something that the outside shall have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Names it, so that whoever gets it twice can tell: flow and time.
    pub id: String,
    /// A line for people.
    pub text: String,
    /// The whole, as `--json` prints it.
    pub body: Value,
}

/// How a delivery failed.
#[derive(Debug)]
pub enum Failed {
    /// It may succeed later.
    ForNow(anyhow::Error),
    /// It will never succeed: the other side does not want it.
    ForGood(anyhow::Error),
}

/// Somebody who takes deliveries.
pub trait Outlet: Send {
    /// For messages to the user.
    fn name(&self) -> String;

    /// Delivers, and returns when the other side has it.
    ///
    /// # Errors
    /// It has not; whether it is worth trying again.
    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Failed>;
}

/// The stage: spools what comes, delivers in order, tries again.
pub struct Publish {
    outlet: Box<dyn Outlet>,
    spool: Spool,
    wait: Duration,
    next_try: Option<Instant>,
    /// The last try took long and came to nothing.
    is_stuck: bool,
}

impl Publish {
    /// For `outlet`, with its spool in `folder`, of at most `most` deliveries. What an earlier run left there goes first.
    ///
    /// # Errors
    /// If the spool can't be opened.
    pub fn new(outlet: Box<dyn Outlet>, folder: PathBuf, most: usize) -> Result<Publish, SpoolError> {
        let spool = Spool::open(folder, most)?;
        let next_try = (!spool.is_empty()).then(Instant::now);
        Ok(Publish { outlet, spool, wait: FIRST_WAIT, next_try, is_stuck: false })
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        self.next_try = None;
        while let Some((file, delivery)) = self.spool.first()? {
            let begun = Instant::now();
            let outcome = self.outlet.deliver(&delivery);
            self.is_stuck = outcome.is_err() && begun.elapsed() > QUICK;
            match outcome {
                Ok(()) => self.wait = FIRST_WAIT,
                Err(Failed::ForGood(error)) => {
                    tracing::error!("{}: {error:#}; {} is given up", self.outlet.name(), delivery.id);
                }
                Err(Failed::ForNow(error)) => {
                    tracing::warn!("{}: {error:#}; tried again in {:?}", self.outlet.name(), self.wait);
                    self.next_try = Some(Instant::now() + self.wait);
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                    return Ok(());
                }
            }
            self.spool.remove(&file)?;
        }
        Ok(())
    }
}

impl Stage for Publish {
    type In = Delivery;
    type Out = ();

    fn name(&self) -> &'static str {
        "publish"
    }

    /// What was handed over is delivered, whatever became of its turn since.
    fn takes_silenced(&self) -> bool {
        true
    }

    fn step(&mut self, input: Envelope<Delivery>, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let write = crate::writes::begin();
        let dropped = self.spool.add(&input.body)?;
        drop(write);
        if dropped > 0 {
            tracing::warn!("{}: the spool is full; {dropped} undelivered messages are dropped", self.outlet.name());
        }
        if self.next_try.is_none() { self.drain() } else { Ok(()) }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.next_try
    }

    fn wake(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        self.drain()
    }

    fn finish(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        if !self.is_stuck {
            self.drain()?;
        }
        let left = self.spool.len();
        if left > 0 {
            tracing::warn!("{}: {left} messages are undelivered; the next start tries again", self.outlet.name());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::turn::Turn;

    /// Refuses the first few tries.
    struct Stubborn {
        refusals: usize,
        got: Arc<Mutex<Vec<String>>>,
    }

    impl Outlet for Stubborn {
        fn name(&self) -> String {
            "stubborn".to_owned()
        }
        fn deliver(&mut self, delivery: &Delivery) -> Result<(), Failed> {
            if self.refusals > 0 {
                self.refusals -= 1;
                return Err(Failed::ForNow(anyhow::anyhow!("not now")));
            }
            if delivery.text == "unwanted" {
                return Err(Failed::ForGood(anyhow::anyhow!("never")));
            }
            self.got.lock().unwrap().push(delivery.id.clone());
            Ok(())
        }
    }

    fn delivery(id: &str) -> Envelope<Delivery> {
        Envelope::new(Turn(1), Delivery { id: id.to_owned(), text: id.to_owned(), body: Value::Null })
    }

    #[test]
    fn what_can_not_be_delivered_waits_on_disk_through_a_restart_and_arrives_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let got = Arc::default();
        let publish = |refusals| {
            let outlet = Stubborn { refusals, got: Arc::clone(&got) };
            Publish::new(Box::new(outlet), folder.path().join("spool"), 10).unwrap()
        };
        let nobody = &mut |_| nearfield_models::Flow::Continue;
        let mut first = publish(usize::MAX);
        for id in ["a", "unwanted", "b"] {
            first.step(delivery(id), nobody).unwrap();
        }
        assert!(got.lock().unwrap().is_empty() && first.wake_at().is_some());
        drop(first);
        let mut second = publish(1);
        assert!(second.wake_at().is_some());
        second.wake(nobody).unwrap();
        assert!(got.lock().unwrap().is_empty());
        second.step(delivery("c"), nobody).unwrap();
        second.wake(nobody).unwrap();
        assert_eq!(*got.lock().unwrap(), ["a", "b", "c"]);
        assert_eq!(second.wake_at(), None);
    }
}
