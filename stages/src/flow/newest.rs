//! A queue of one in which only the newest waits: a message that comes while another waits takes its place, and the other is
//! counted. For pictures, of which a late one is worth less than none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// How many messages were dropped; shared by all who count together.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// So many until now.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The sending end. Never waits. Since it must be able to take out what waits, it does not notice when nobody receives any
/// more: who ends a flow from behind also has to end its source.
pub struct NewestSender<T> {
    sender: Sender<T>,
    waiting: Receiver<T>,
    dropped: Dropped,
}

/// A queue of one. `dropped` counts what others took the place of.
pub fn newest<T>(dropped: Dropped) -> (NewestSender<T>, Receiver<T>) {
    let (sender, receiver) = bounded(1);
    (NewestSender { sender, waiting: receiver.clone(), dropped }, receiver)
}

impl<T> NewestSender<T> {
    /// Puts a message into the queue, in the place of the one that waits there.
    pub fn send(&self, message: T) {
        let mut message = message;
        loop {
            match self.sender.try_send(message) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => {
                    if self.waiting.try_recv().is_ok() {
                        self.dropped.0.fetch_add(1, Ordering::Relaxed);
                    }
                    message = back;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_waits_and_the_others_are_counted() {
        let dropped = Dropped::default();
        let (sender, receiver) = newest(dropped.clone());
        (1..=5).for_each(|n| sender.send(n));
        assert_eq!((receiver.try_recv(), dropped.count()), (Ok(5), 4));
        sender.send(6);
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [6], "what waits outlives the sender");
    }
}
