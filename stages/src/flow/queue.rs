//! The queue behind a source or a stage: what waits there, and what happens when it is full.

use std::ops::ControlFlow;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};

use crate::flow::{Dropped, NewestSender, newest};
use crate::messages::Envelope;

/// What happens to a message for which there is no room.
#[derive(Clone, Debug)]
pub enum Queue {
    /// So many messages wait at most; whoever has another one waits too. Nothing is lost.
    Wait(usize),
    /// One message waits, and a newer one takes its place; what is dropped is counted.
    Newest(Dropped),
}

impl Queue {
    /// Both ends of such a queue.
    pub fn open<T>(self) -> (Output<T>, Receiver<Envelope<T>>) {
        match self {
            Self::Wait(capacity) => {
                let (sender, receiver) = bounded(capacity);
                (Output::Wait(sender), receiver)
            }
            Self::Newest(dropped) => {
                let (sender, receiver) = newest(dropped);
                (Output::Newest(sender), receiver)
            }
        }
    }
}

/// Where a source or a stage sends what it makes.
pub enum Output<T> {
    /// As [`Queue::Wait`].
    Wait(Sender<Envelope<T>>),
    /// As [`Queue::Newest`].
    Newest(NewestSender<Envelope<T>>),
}

impl<T> Output<T> {
    /// Sends, and waits for room where the queue is one that waits. [`ControlFlow::Break`]: nobody receives any more.
    pub fn send(&self, message: Envelope<T>) -> ControlFlow<()> {
        match self {
            Self::Wait(sender) => match sender.send(message) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
            Self::Newest(sender) => {
                sender.send(message);
                ControlFlow::Continue(())
            }
        }
    }

    /// As [`send`](Self::send), but waits no longer than this for room, and then gives the message back.
    ///
    /// # Errors
    /// There was no room in time, or nobody receives any more.
    pub fn send_timeout(&self, message: Envelope<T>, longest: Duration) -> Result<(), SendTimeoutError<Envelope<T>>> {
        match self {
            Self::Wait(sender) => sender.send_timeout(message, longest),
            Self::Newest(sender) => {
                sender.send(message);
                Ok(())
            }
        }
    }
}
