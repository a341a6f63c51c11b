//! What an open store needs from time to time: its content is checked once a day, and copied to a backup.

use std::time::{Duration, Instant};

use super::schema::DatabaseError;
use super::{CHECK_EVERY, Store, StoreError};

/// Between two days of readings within such a check, so that commits need not wait for all of it.
const CHECK_PAUSE: Duration = Duration::from_millis(200);
/// A backup that failed is tried again after this.
const BACKUP_RETRY: Duration = Duration::from_secs(3600);
impl Store {
    /// When [`Store::maintain`] has something to do.
    pub fn maintenance_due_at(&self) -> Instant {
        self.backup_at.map_or(self.check_at, |backup| backup.max(self.settled_at).min(self.check_at))
    }

    /// Whether a backup is due.
    pub fn is_backup_due(&self) -> bool {
        self.backup_at.is_some_and(|due| due <= Instant::now())
    }

    /// Does a part of what is due: checks the readings of one more day, or makes a backup. Damage is repaired.
    ///
    /// # Errors
    /// A backup can't be made, or the store can't be written; both are tried again.
    pub fn maintain(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if now >= self.check_at {
            self.check_a_day()?;
        }
        let Some((plan, _)) = self.backups.clone().zip(self.backup_at.filter(|due| now >= *due)) else {
            return Ok(());
        };
        self.backup_at = Some(now + BACKUP_RETRY.min(plan.every));
        let path = self.path.clone();
        let open = self.open_mut()?;
        match plan.make(&path, &open.connection) {
            Ok(made) => {
                tracing::info!("the store was copied to {}", made.display());
                self.backup_at = Some(now + plan.every);
                Ok(())
            }
            Err(DatabaseError::Damaged(_)) => self.reopen(),
            Err(DatabaseError::Io(reason)) => {
                let folder = plan.folder.display();
                let reason = format!("no backup can be made in {folder} ({reason}); it is tried again in an hour");
                Err(StoreError::Io { path, reason })
            }
            Err(error) => Err(self.error(error)),
        }
    }

    fn check_a_day(&mut self) -> Result<(), StoreError> {
        self.check_at = Instant::now() + CHECK_PAUSE;
        let from = self.check_day.unwrap_or(i64::MIN);
        let open = self.open_mut()?;
        // What is in memory is not what is on the disk.
        let forgotten = open.connection.execute_batch("PRAGMA shrink_memory");
        let day = open.content.tallies.range((from, 0)..).next().map(|((day, _), _)| *day);
        let Some(day) = day else {
            self.check_day = None;
            self.check_at = Instant::now() + CHECK_EVERY;
            return Ok(());
        };
        forgotten.map_err(|error| self.error(error.into()))?;
        self.check_day = Some(day + 1);
        match self.open_mut()?.check_day(day) {
            Ok(()) => Ok(()),
            Err(DatabaseError::Damaged(_)) => self.reopen(),
            Err(error) => Err(self.error(error)),
        }
    }
}
