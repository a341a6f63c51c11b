//! Outlets to other machines, for reports and captions alike. What is accepted for delivery is in a spool on disk first, and stays
//! there until the other side has it: a network that is away, an expired token, a restart or a kill delay a delivery and do not
//! lose it. Only a limit that was configured discards one, and that is logged.

#[cfg(feature = "mqtt")]
pub mod frigate;
#[cfg(feature = "mqtt")]
pub mod home_assistant;
mod spool;
pub mod webhook;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flow::fault::Fault;
use crate::flow::{Emit, Flow, Stage, StopSignal, Turn, is_stopped, retry};
use crate::messages::Envelope;
use crate::reconnect::{Attempts, ReconnectPolicy, Reminder, count};

pub use spool::{Discarded, Spool, SpoolError, SpoolLimits};

/// Between attempts, where the other side or the network may soon be back.
const RETRY: ReconnectPolicy = ReconnectPolicy {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(300),
    stable_after: Duration::from_secs(600),
};
/// Between attempts, where somebody has to change something first.
const FIRST_LONG_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_LONG_PAUSE: Duration = Duration::from_secs(3600);
/// The other side may ask for a longer pause, but not for more than this.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(86_400);
/// When the disk refuses.
const DISK_PAUSE: Duration = Duration::from_secs(10);
/// An outlet that took longer than this to fail is not tried once more when the program ends.
const QUICK: Duration = Duration::from_secs(1);
/// After a stop signal deliveries go on for so long, and only to an outlet that is quick enough to make use of it.
const LAST_DELIVERIES: Duration = Duration::from_millis(300);
/// Before a report that the disk refuses is written once more.
const ACCEPT_RETRY: Duration = Duration::from_secs(2);

/// Something that another machine is to get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Names it, so that whoever gets it twice can tell: flow and time.
    pub id: String,
    /// A line for people.
    pub text: String,
    /// The whole, as `--json` prints it.
    pub body: Value,
}

/// Why a delivery failed, and with it what happens next.
#[derive(Debug)]
pub enum DeliveryError {
    /// It is kept and tried again, after this pause.
    Retry(anyhow::Error, Pause),
    /// The other side will never take this one: it is set aside, and the next ones go on.
    Refused(anyhow::Error),
}

/// How long to wait for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pause {
    /// From a second up to minutes: it may be back soon.
    Short,
    /// From a minute up to an hour: somebody has to change something first.
    Long,
    /// As long as the other side asks for.
    Asked(Duration),
}

/// Another machine that takes deliveries.
pub trait Outlet: Send {
    /// For messages to the user.
    fn name(&self) -> String;

    /// Delivers, and returns when the other side has it.
    ///
    /// # Errors
    /// It has not; whether it is worth trying again.
    fn deliver(&mut self, delivery: &Delivery) -> Result<(), DeliveryError>;

    /// When it wants [`Outlet::wake`] to be called, if nothing is delivered until then.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// What it does between deliveries, such as keeping a connection open that says we are there.
    fn wake(&mut self) {}
}

/// The news that something new is in the spool.
#[derive(Clone, Copy, Debug)]
pub struct Arrived;

/// Where deliveries are handed in: they are on disk when [`Mailbox::accept`] returns.
pub struct Mailbox {
    name: String,
    spool: Arc<Mutex<Spool>>,
    arrived: Sender<Envelope<Arrived>>,
    full: Reminder,
    discarded: u64,
    lost: u64,
    failed: Attempts,
    fault: Fault,
}

impl Mailbox {
    /// Writes a delivery into the spool and returns when the disk has it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn accept(&mut self, delivery: &Delivery) -> Result<(), SpoolError> {
        let write = crate::flow::writes::begin();
        self.fault.step().map_err(SpoolError::refused)?;
        let discarded = locked(&self.spool).add(delivery)?;
        drop(write);
        if let Some(oldest) = discarded.first() {
            self.discarded += discarded.len() as u64;
            if self.full.due(Instant::now()) {
                tracing::warn!(
                    "{}: {} discarded so far because {}; the latest is {}",
                    self.name,
                    count(self.discarded, "undelivered message"),
                    oldest.why,
                    oldest.id
                );
            }
        }
        // A full queue has told already.
        let _ = self.arrived.try_send(Envelope::new(Turn(0), Arrived));
        Ok(())
    }

    /// As [`Mailbox::accept`]; while the disk refuses, it is tried again until `stop`.
    ///
    /// # Errors
    /// Stopped while the disk refused.
    pub fn accept_until(&mut self, delivery: &Delivery, stop: &StopSignal) -> Result<(), SpoolError> {
        let mut failed = std::mem::replace(&mut self.failed, Attempts::new(RETRY));
        let name = self.name.clone();
        let accepted = retry(
            stop,
            || self.accept(delivery),
            |error| {
                if let Some(message) = failed.failed_with(&format!("{name}: {error}"), ACCEPT_RETRY).message {
                    tracing::error!("{message}");
                }
                Some(ACCEPT_RETRY)
            },
        );
        if accepted.is_ok() {
            let _ = failed.succeeded();
        }
        self.failed = failed;
        accepted
    }

    /// How many deliveries the disk has refused for good.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// As [`Mailbox::accept`], where the flow can't wait: what the disk refuses is lost, and that is logged with a count.
    pub fn accept_or_log(&mut self, delivery: &Delivery) {
        match self.accept(delivery) {
            Ok(()) => _ = self.failed.succeeded(),
            Err(error) => {
                self.lost += 1;
                let reason = format!("{}: {error}; {} and those after it are not delivered", self.name, delivery.id);
                // The id changes each time, the reason does not.
                let next = self.failed.failed_with(&error.to_string(), Duration::ZERO);
                if next.message.is_some() {
                    tracing::error!("{reason} ({} so far)", self.failed.failures());
                }
            }
        }
    }
}

/// The stage: delivers what is in the spool, in order, and tries again.
pub struct Publish {
    outlet: Box<dyn Outlet>,
    spool: Arc<Mutex<Spool>>,
    attempts: Attempts,
    long_pause: Duration,
    next_try: Option<Instant>,
    /// The last attempt took long and failed, or the next one is far away.
    is_stuck: bool,
    /// How long the last attempt took.
    last_took: Duration,
    fault: Fault,
    stop: StopSignal,
}

impl Publish {
    /// For `outlet`, with its spool in `folder`. What an earlier run left there goes first.
    ///
    /// # Errors
    /// If the spool can't be opened, or another program has it open.
    pub fn new(outlet: Box<dyn Outlet>, folder: PathBuf, limits: SpoolLimits) -> Result<Publish, SpoolError> {
        let spool = Spool::open(folder, limits)?;
        let next_try = (!spool.is_empty()).then(Instant::now);
        let refused = spool.refused();
        if refused > 0 {
            tracing::warn!(
                "{}: {}, each with its reason, in {}; move one up a folder and restart to send it again",
                outlet.name(),
                count(refused as u64, "refused message"),
                spool.refused_folder().display()
            );
        }
        Ok(Publish {
            outlet,
            spool: Arc::new(Mutex::new(spool)),
            attempts: Attempts::new(RETRY),
            long_pause: FIRST_LONG_PAUSE,
            next_try,
            is_stuck: false,
            last_took: Duration::ZERO,
            fault: Fault::of("delivery"),
            stop: crossbeam_channel::never(),
        })
    }

    /// Makes it a branch of `flow`; answers where deliveries are handed in. After `stop`, what can't be delivered at once is left to
    /// the next start.
    pub fn branch_off<N>(mut self, flow: &mut Flow<N>, stop: &StopSignal) -> Mailbox {
        // Deliveries wait on disk; the queue only holds the news that there are some.
        let (arrived, receiver) = bounded(1);
        let mailbox = self.mailbox(arrived);
        self.stop = stop.clone();
        flow.branch(self, receiver);
        mailbox
    }

    fn mailbox(&self, arrived: Sender<Envelope<Arrived>>) -> Mailbox {
        Mailbox {
            name: self.outlet.name(),
            spool: self.spool.clone(),
            arrived,
            full: Reminder::default(),
            discarded: 0,
            lost: 0,
            fault: Fault::of("spool"),
            failed: Attempts::new(RETRY),
        }
    }

    /// Delivers the oldest message that waits; [`ControlFlow::Break`] when there is no going on to the next.
    fn deliver_first(&mut self) -> Result<ControlFlow<()>, SpoolError> {
        self.next_try = None;
        let (first, discarded) = locked(&self.spool).first()?;
        for Discarded { id, why } in discarded {
            tracing::warn!("{}: {id} is discarded because {why}", self.outlet.name());
        }
        let Some((file, delivery)) = first else { return Ok(ControlFlow::Break(())) };
        let begun = Instant::now();
        let outcome = match (self.fault.step(), self.fault.garbled()) {
            (Err(injected), _) => Err(DeliveryError::Retry(injected, Pause::Short)),
            (_, Some(garbage)) => Err(DeliveryError::Refused(anyhow::Error::msg(garbage))),
            _ => self.outlet.deliver(&delivery),
        };
        self.last_took = begun.elapsed();
        self.is_stuck = false;
        let name = self.outlet.name();
        match outcome {
            Ok(()) => {
                self.long_pause = FIRST_LONG_PAUSE;
                if let Some(after) = self.attempts.succeeded() {
                    tracing::warn!("{name}: delivering again {after}");
                }
                locked(&self.spool).remove(&file)?;
            }
            Err(DeliveryError::Refused(error)) => {
                let reason = format!("{error:#}");
                let (place, discarded) = locked(&self.spool).set_aside(&file, &delivery, &reason)?;
                tracing::error!("{name}: {} is set aside in {}: {reason}", delivery.id, place.display());
                for Discarded { id, why } in discarded {
                    tracing::warn!("{name}: the refused message {id} is discarded because {why}");
                }
                let _ = self.attempts.succeeded();
            }
            Err(DeliveryError::Retry(error, pause)) => {
                locked(&self.spool).release();
                let reason = format!("{name}: {error:#}");
                let next = match pause {
                    Pause::Short => self.attempts.failed(&reason),
                    Pause::Long => {
                        let pause = self.long_pause;
                        self.long_pause = (pause * 2).min(LONGEST_LONG_PAUSE);
                        self.attempts.failed_with(&reason, pause)
                    }
                    Pause::Asked(pause) => {
                        let pause = pause.clamp(Duration::from_secs(1), LONGEST_ASKED_PAUSE);
                        self.attempts.failed_with(&reason, pause)
                    }
                };
                if let Some(message) = next.message {
                    tracing::warn!("{message}");
                }
                self.is_stuck = pause != Pause::Short || begun.elapsed() > QUICK;
                self.next_try = Some(Instant::now() + next.retry_in);
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// One delivery, so that between two of them the flow may end.
    fn work(&mut self) -> anyhow::Result<()> {
        match self.deliver_first() {
            Ok(more) => {
                if more.is_continue() {
                    self.next_try = Some(Instant::now());
                }
                Ok(())
            }
            Err(error) => {
                locked(&self.spool).release();
                self.next_try = Some(Instant::now() + DISK_PAUSE);
                let reason = format!("{}: {error}", self.outlet.name());
                if let Some(message) = self.attempts.failed_with(&reason, DISK_PAUSE).message {
                    tracing::error!("{message}");
                }
                Ok(())
            }
        }
    }
}

impl Stage for Publish {
    type In = Arrived;
    type Out = ();

    fn name(&self) -> &'static str {
        "publish"
    }

    /// What is on disk is to be delivered, whatever became of its turn.
    fn takes_silenced(&self) -> bool {
        true
    }

    fn step(&mut self, _input: Envelope<Arrived>, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        if self.next_try.is_none_or(|at| at <= Instant::now()) { self.work() } else { Ok(()) }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.next_try.into_iter().chain(self.outlet.wake_at()).min()
    }

    fn wake(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.outlet.wake_at().is_some_and(|at| at <= now) {
            self.outlet.wake();
            if self.next_try.is_none_or(|at| at > now) {
                return Ok(());
            }
        }
        self.work()
    }

    fn finish(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let is_late = is_stopped(&self.stop) && begun.elapsed() + self.last_took > LAST_DELIVERIES;
            if self.is_stuck || is_late || self.deliver_first()?.is_break() {
                break;
            }
        }
        let spool = locked(&self.spool);
        if !spool.is_empty() {
            tracing::warn!(
                "{}: {} left in {}; the next start delivers what is there",
                self.outlet.name(),
                count(spool.len() as u64, "undelivered message"),
                spool.folder().display()
            );
        }
        Ok(())
    }
}

/// The spool stays whole whatever its holder does: each of its changes is one change of a file.
fn locked(spool: &Mutex<Spool>) -> MutexGuard<'_, Spool> {
    spool.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Fails the first few attempts.
    struct Stubborn {
        failures: usize,
        pause: Pause,
        got: Arc<Mutex<Vec<String>>>,
    }

    impl Outlet for Stubborn {
        fn name(&self) -> String {
            "stubborn".to_owned()
        }
        fn deliver(&mut self, delivery: &Delivery) -> Result<(), DeliveryError> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(DeliveryError::Retry(anyhow::anyhow!("not now"), self.pause));
            }
            if delivery.text == "unwanted" {
                return Err(DeliveryError::Refused(anyhow::anyhow!("never")));
            }
            self.got.lock().unwrap().push(delivery.id.clone());
            Ok(())
        }
    }

    fn delivery(id: &str) -> Delivery {
        Delivery { id: id.to_owned(), text: id.to_owned(), body: Value::Null }
    }

    const LIMITS: SpoolLimits = SpoolLimits { messages: 10, bytes: 1 << 20, age: None };

    /// The stage, its mailbox, what was delivered, and its spool.
    fn publish(folder: &std::path::Path, failures: usize, pause: Pause) -> (Publish, Mailbox, Arc<Mutex<Vec<String>>>) {
        let got = Arc::default();
        let outlet = Stubborn { failures, pause, got: Arc::clone(&got) };
        let publish = Publish::new(Box::new(outlet), folder.join("spool"), LIMITS).unwrap();
        let (arrived, _) = crossbeam_channel::bounded(1);
        let mailbox = publish.mailbox(arrived);
        (publish, mailbox, got)
    }

    fn wake(publish: &mut Publish) {
        publish.wake(&mut |_| ControlFlow::Continue(())).unwrap();
    }

    #[test]
    fn what_can_not_be_delivered_waits_on_disk_through_a_restart_and_arrives_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, mut mailbox, got) = publish(folder.path(), usize::MAX, Pause::Short);
        for id in ["a", "unwanted", "b"] {
            // On disk before anybody has looked at it.
            mailbox.accept(&delivery(id)).unwrap();
        }
        wake(&mut first);
        assert!(got.lock().unwrap().is_empty() && first.wake_at().is_some());
        drop((first, mailbox));
        let (mut second, mut mailbox, got) = publish(folder.path(), 1, Pause::Short);
        assert!(second.wake_at().is_some());
        wake(&mut second);
        assert!(got.lock().unwrap().is_empty());
        mailbox.accept(&delivery("c")).unwrap();
        while second.wake_at().is_some() {
            wake(&mut second);
        }
        assert_eq!(*got.lock().unwrap(), ["a", "b", "c"]);
        let refused = std::fs::read_to_string(folder.path().join("spool/refused/00000000000000000001.json")).unwrap();
        let refused: Value = serde_json::from_str(&refused).unwrap();
        assert_eq!((refused["id"].as_str(), refused["refused"]["reason"].as_str()), (Some("unwanted"), Some("never")));
    }

    #[test]
    fn pauses_are_as_long_as_the_failure_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let asked = Pause::Asked(Duration::from_secs(700));
        for (pause, least, most) in [(Pause::Short, 0.8, 1.2), (Pause::Long, 59.0, 60.0), (asked, 699.0, 700.0)] {
            let (mut stage, mut mailbox, _) = publish(folder.path(), usize::MAX, pause);
            mailbox.accept(&delivery("a")).unwrap();
            wake(&mut stage);
            let waits = stage.wake_at().unwrap().saturating_duration_since(Instant::now()).as_secs_f64();
            assert!((least - 0.1..=most).contains(&waits), "{pause:?}: {waits} s");
        }
    }
}
