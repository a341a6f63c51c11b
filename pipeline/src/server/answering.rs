//! Answers on their way from the model's thread to a client. A client that leaves drops its end, and the model writes no further.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nearfield_llm::{Likelihood, ToolCall};
use nearfield_stages::flow::{Turns, panics};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::Server;
use super::engine::{Piece, Reason, Request};
use super::failure::Failure;

/// Pieces that wait for a client; then the model waits with them.
const PIECES: usize = 64;
/// So long.
const SLOW: Duration = Duration::from_secs(30);
/// So long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(120);

/// A piece of the answer with a number, or why there is none.
pub type Numbered = (usize, Result<Piece, Failure>);

/// The client's end of one or several answers.
pub struct Answering {
    pieces: Receiver<Numbered>,
    /// Read already, to see whether the request is any good.
    first: Option<Numbered>,
    turns: Vec<Turns>,
    is_over: bool,
    due: usize,
    begun: Instant,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.turns.iter().for_each(Turns::silence_all);
    }
}

/// What an answer comes to.
#[derive(Debug, Default)]
pub struct Whole {
    /// Its text.
    pub text: String,
    /// How likely its tokens were, where that was wanted.
    pub likelihoods: Vec<Likelihood>,
    /// What is to be called.
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    pub reason: Reason,
    /// The stop string that ended it.
    pub stopped_by: Option<String>,
    /// What it cost.
    pub usage: Usage,
}

impl Whole {
    /// Adds a piece.
    pub fn push(&mut self, piece: Piece) {
        match piece {
            Piece::Begun { prompt, cached } => (self.usage.prompt, self.usage.cached) = (prompt, cached),
            Piece::Text(text) => self.text.push_str(&text),
            Piece::Likelihoods(likelihoods) => self.likelihoods.extend(likelihoods),
            Piece::Calls(calls) => self.calls = calls,
            Piece::Ended { reason, stopped_by, generated } => {
                (self.reason, self.stopped_by, self.usage.generated) = (reason, stopped_by, generated);
            }
        }
    }
}

/// Tokens of an answer, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the prompt.
    pub prompt: usize,
    /// Of the prompt, those that the cache held.
    pub cached: usize,
    /// Of the answer.
    pub generated: usize,
    /// Until the prompt was read, and until the end.
    pub reading: Duration,
    /// From then to the end.
    pub writing: Duration,
}

/// Counts while pieces pass.
pub struct Meter {
    begun: Instant,
    read: Option<Instant>,
    usage: Usage,
}

impl Meter {
    /// Counts from `begun` on.
    pub fn since(begun: Instant) -> Self {
        Self { begun, read: None, usage: Usage::default() }
    }

    /// Looks at a piece.
    pub fn see(&mut self, piece: &Piece) {
        match piece {
            Piece::Begun { prompt, cached } => {
                // The prompt of several answers is one.
                if self.read.replace(Instant::now()).is_none() {
                    (self.usage.prompt, self.usage.cached) = (*prompt, *cached);
                }
            }
            Piece::Ended { generated, .. } => self.usage.generated += generated,
            Piece::Text(_) | Piece::Likelihoods(_) | Piece::Calls(_) => {}
        }
    }

    /// What it has come to.
    pub fn usage(&self) -> Usage {
        let read = self.read.unwrap_or_else(Instant::now);
        Usage { reading: read - self.begun, writing: read.elapsed(), ..self.usage }
    }
}

impl Server {
    /// Has these requests answered, one after the other, as soon as there is room. It returns when the first prompt has been read.
    ///
    /// # Errors
    /// There is too much to do, or the first request is wrong.
    pub async fn ask(self: &Arc<Self>, requests: Vec<Request>) -> Result<Answering, Failure> {
        let begun = Instant::now();
        let busy = || Failure::busy("too many requests at a time (server.sessions, server.waiting)");
        let waiting = self.waiting.clone().try_acquire_owned().map_err(|_| busy())?;
        let running = timeout(WAIT, self.running.clone().acquire_owned()).await;
        let running = running.map_err(|_| busy())?.map_err(|_| busy())?;
        let (sender, pieces) = channel(PIECES);
        let turns: Vec<Turns> = requests.iter().map(|_| Turns::default()).collect();
        for turns in &turns {
            turns.begin();
        }
        let (server, silenced, due) = (self.clone(), turns.clone(), requests.len());
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _places = (waiting, running);
            for (index, request) in requests.into_iter().enumerate() {
                let done =
                    panics::catch("an answer", || answer(&server, index, request, &silenced[index], &sender, &runtime));
                if let Err(failure) = done.map_err(Failure::broken).and_then(|done| done) {
                    let _ = runtime.block_on(timeout(SLOW, sender.send((index, Err(failure)))));
                    return;
                }
            }
        });
        let mut answering = Answering { pieces, first: None, turns, is_over: false, due, begun };
        match std::future::poll_fn(|cx| answering.poll_next(cx)).await {
            Some((_, Err(failure))) => Err(failure),
            first => {
                answering.first = first;
                Ok(answering)
            }
        }
    }
}

/// Answers one request; [`Ok`] when it is over, or nobody listens.
fn answer(
    server: &Server,
    index: usize,
    request: Request,
    turns: &Turns,
    sender: &Sender<Numbered>,
    runtime: &Handle,
) -> Result<(), Failure> {
    let mut meter = Meter::since(Instant::now());
    let mut first = true;
    server.engine.answer(request, turns, &mut |piece| {
        meter.see(&piece);
        match &piece {
            Piece::Text(_) | Piece::Calls(_) if std::mem::take(&mut first) => {
                server.metrics.first_token(meter.begun.elapsed());
            }
            Piece::Ended { .. } => server.metrics.answered(&meter.usage()),
            _ => {}
        }
        match runtime.block_on(timeout(SLOW, sender.send((index, Ok(piece))))) {
            Ok(Ok(())) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    })
}

impl Answering {
    /// The next piece; `None` behind the last.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Numbered>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = match self.pieces.poll_recv(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => return Poll::Pending,
        };
        if let Some((index, piece)) = &next {
            let is_last = index + 1 == self.due && matches!(piece, Ok(Piece::Ended { .. }));
            self.is_over = is_last || piece.is_err();
            return Poll::Ready(next);
        }
        self.is_over = true;
        Poll::Ready(Some((0, Err(Failure::broken("the answer took too long, or broke off")))))
    }

    /// What counts this answer's tokens and times.
    pub fn meter(&self) -> Meter {
        Meter::since(self.begun)
    }

    /// All answers, whole, and what they cost together.
    ///
    /// # Errors
    /// The model failed.
    pub async fn whole(mut self) -> Result<(Vec<Whole>, Usage), Failure> {
        let mut meter = self.meter();
        let mut all: Vec<Whole> = (0..self.due).map(|_| Whole::default()).collect();
        while let Some((index, piece)) = std::future::poll_fn(|cx| self.poll_next(cx)).await {
            let piece = piece?;
            meter.see(&piece);
            all[index].push(piece);
        }
        Ok((all, meter.usage()))
    }
}
