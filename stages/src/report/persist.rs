//! Readings are put into the store before anybody else sees them, and only then is their source told that they are safe. When
//! the disk refuses, the stage waits and tries again; behind it the source waits too, and nothing is lost: no window is closed by
//! the clock while its readings wait.

use std::time::{Duration, Instant};

use nearfield_telemetry::{Moment, SensorId};

use crate::flow::{Emit, Health, Stage, StopSignal, retry, writes};
use crate::messages::{Batch, Envelope, Pace};
use crate::report::store::{Store, StoreError};

/// Between two tries at a disk that refuses. Shorter than the windows wait for what is held up.
const RETRY: Duration = Duration::from_secs(1);

/// How long a disk may refuse the note of a report on a file, and how often it is tried.
const NOTE_TIMEOUT: Duration = Duration::from_secs(2);
const NOTE_RETRY: Duration = Duration::from_millis(100);

/// The stage.
pub struct Persist {
    store: std::sync::Arc<std::sync::Mutex<Store>>,
    sensors: u32,
    dropped: u64,
    stop: StopSignal,
    health: Health,
}

/// By what name the store is told of in [`Health`].
const STORE: &str = "store";

impl Persist {
    /// Into `store`, which holds `sensors` sensors already.
    pub fn new(store: std::sync::Arc<std::sync::Mutex<Store>>, sensors: u32, stop: StopSignal) -> Persist {
        Persist { store, sensors, dropped: 0, stop, health: Health::default() }
    }

    /// The same, which tells there while the store refuses.
    #[must_use]
    pub fn telling(self, health: Health) -> Persist {
        Persist { health, ..self }
    }
}

impl Stage for Persist {
    type In = Batch;
    type Out = Batch;

    fn name(&self) -> &'static str {
        "persist"
    }

    fn step(&mut self, input: Envelope<Batch>, emit: &mut Emit<'_, Batch>) -> anyhow::Result<()> {
        let Envelope { turn, body: mut batch, .. } = input;
        let possible = batch.leave_out_impossible(self.sensors as usize + batch.introduced.len());
        let first = self.sensors;
        let sensors: Vec<_> =
            (first..).zip(&batch.introduced).map(|(id, (key, traits))| (SensorId(id), key.as_str(), traits)).collect();
        let (mut told, mut damaged) = (false, false);
        let attempt = || {
            let mut store = self.store.lock().expect("nobody panics while holding the store");
            if std::mem::take(&mut damaged)
                && let Err(error) = store.reopen()
            {
                tracing::error!("{error}");
            }
            let write = writes::begin();
            let committed = store.commit(&sensors, &batch.readings);
            if committed.is_ok()
                && !batch.offsets.is_empty()
                && let Err(error) = store.set_clocks(&batch.offsets)
            {
                tracing::warn!("{error}; the sensors' clocks are compared anew after a restart");
            }
            drop(write);
            damaged = matches!(committed, Err(StoreError::Damaged { .. }));
            committed
        };
        // A batch that is not stored is never acknowledged, so it will come again.
        let committed = retry(&self.stop, attempt, |error| {
            if !std::mem::replace(&mut told, true) {
                tracing::error!("{error}; nothing is lost, it is tried again until it succeeds");
            }
            self.health.fails(STORE, error.to_string());
            let held_up = Batch { pace: Pace { held_up: true, current: false }, ..Batch::default() };
            let _ = emit(Envelope::new(turn, held_up));
            Some(RETRY)
        })?;
        self.health.works(STORE);
        // What the store had already is no news, from wherever it comes again.
        // (After a failed try nobody can tell whether the store has them by that very try: then all go on.)
        if !told && !committed.known.is_empty() {
            let mut places = committed.known.iter();
            let mut next = places.next();
            let mut place = 0;
            batch.readings.retain(|_| {
                let is_known = next.is_some_and(|n| *n == place);
                if is_known {
                    next = places.next();
                }
                place += 1;
                !is_known
            });
            batch.repeated += committed.known.len() as u64;
            batch.conflicting += committed.conflicting;
        }
        self.sensors += batch.introduced.len() as u32;
        let dropped = committed.dropped_by_age + committed.dropped_by_size;
        if committed.dropped_by_size > 0 && self.dropped == 0 {
            tracing::warn!(
                readings = committed.dropped_by_size,
                "the store is full: its oldest readings are dropped from now on; raise store.max_bytes to keep more"
            );
        }
        if dropped > 0 {
            self.dropped += dropped;
            tracing::info!(
                by_age = committed.dropped_by_age,
                by_size = committed.dropped_by_size,
                in_all = self.dropped,
                "readings dropped from the store"
            );
        }
        if let Some(receipt) = batch.receipt.take() {
            receipt.give();
        }
        let _ = emit(Envelope::new(turn, batch));
        possible
    }

    fn wake_at(&self) -> Option<Instant> {
        Some(self.store.lock().expect("nobody panics while holding the store").maintenance_due_at())
    }

    fn wake(&mut self, _emit: &mut Emit<'_, Batch>) -> anyhow::Result<()> {
        // A failed check or backup is no reason to end; both are tried again.
        if let Err(error) = self.store.lock().expect("nobody panics while holding the store").maintain() {
            tracing::error!("{error}");
        }
        Ok(())
    }

    fn finish(&mut self, _emit: &mut Emit<'_, Batch>) -> anyhow::Result<()> {
        let mut store = self.store.lock().expect("nobody panics while holding the store");
        if store.is_backup_due()
            && let Err(error) = store.maintain()
        {
            tracing::error!("{error}");
        }
        Ok(())
    }
}

/// Notes in the store that everything up to `end` has been reported. No later window may be reported before this is noted: the next
/// start would report both again. While the disk refuses, it is tried again; where readings come live (`live`) until `stop`.
///
/// # Errors
/// The disk refused for `NOTE_TIMEOUT`, or until the stop. This window, the last one reported, may then be reported again.
pub fn note_reported(
    store: &std::sync::Mutex<Store>,
    end: Moment,
    live: bool,
    stop: &StopSignal,
    health: &Health,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    let mut is_told = false;
    let attempt = || {
        // Whoever panicked while holding the store has ended the flow; its next start finds the store as it was last committed.
        let Ok(mut store) = store.lock() else { return Ok(()) };
        let _write = writes::begin();
        store.set_reported(end)
    };
    retry(stop, attempt, |error| {
        if !live && begun.elapsed() > NOTE_TIMEOUT {
            return None;
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::error!("{error}; reports wait for it");
        }
        health.fails(STORE, error.to_string());
        Some(if live { RETRY } else { NOTE_RETRY })
    })?;
    health.works(STORE);
    Ok(())
}
