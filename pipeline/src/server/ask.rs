//! Questions and commands to the home, as if they had been spoken: one thread has the home and its conversations. It also does what was
//! to be done later, and rings the timers that no voice rings: what it would say stands in `/events`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nearfield_stages::flow::{Turns, panics};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::voice::converse::History;
use nearfield_stages::voice::notes::Replied;
use nearfield_stages::voice::tools::Rings;
use serde_json::json;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::hosted::Shared;
use crate::config::VoiceConfig;
use crate::flows::chat::Chat;
use crate::load::voice::{converse_options, load_toolbox};

/// Questions that wait.
const QUEUE: usize = 16;
/// Conversations that are remembered.
const CONVERSATIONS: usize = 16;
/// The longest question, and the longest name of a conversation, in bytes.
const MOST_BYTES: usize = 16 << 10;
const MOST_NAME: usize = 200;
/// So often timers are looked at: conversations by voice start some too, and leave them behind.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest pause between two looks.
const SHORTEST_LOOK: Duration = Duration::from_millis(20);

/// A question to the home.
struct Job {
    text: String,
    conversation: String,
    /// Disconnected when nobody waits for the answer any more.
    stop: Receiver<Infallible>,
    under_way: UnderWay,
    answer: oneshot::Sender<Result<Replied, Failure>>,
}

/// Whether a question is being answered, by the turns of the conversation that is to end where its client leaves. A long prompt is not
/// read on then, and the questions of others are not touched.
#[derive(Clone, Default)]
struct UnderWay(Arc<Mutex<Option<Turns>>>);

impl UnderWay {
    fn set(&self, turns: Option<Turns>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = turns;
    }
}

/// Held while a client waits.
struct Waiting(UnderWay);

impl Drop for Waiting {
    fn drop(&mut self) {
        // Locked meanwhile, so that the next question can't have begun.
        if let Some(turns) = &*self.0.0.lock().unwrap_or_else(PoisonError::into_inner) {
            turns.silence_all();
        }
    }
}

/// The home and its conversations.
pub struct Home {
    jobs: Sender<Job>,
}

impl Home {
    /// Loads the home and starts its thread.
    ///
    /// # Errors
    /// The home or its timers can't be read, or the model was not trained to answer.
    pub fn start(config: &VoiceConfig, shared: &Arc<Shared>, llm: LlmThread) -> anyhow::Result<Self> {
        let toolbox = load_toolbox(config)?.with_timers(shared.timers(&config.home.timers)?, Rings::Others);
        let options = converse_options(config, &shared.registry, llm.llm())?;
        let chat = Chat::begin(llm, options, toolbox)?;
        let (jobs, inbox) = bounded(QUEUE);
        let shared = shared.clone();
        std::thread::Builder::new().name("home".to_owned()).spawn(move || answer_all(chat, &inbox, &shared))?;
        Ok(Self { jobs })
    }

    /// Asks; the same name goes on with the same conversation.
    ///
    /// # Errors
    /// The question is too long, there are too many, or the model failed.
    pub async fn ask(&self, text: &str, conversation: &str) -> Result<Replied, Failure> {
        if text.trim().is_empty() || text.len() > MOST_BYTES {
            return Err(Failure::of("text", format!("must have 1 to {MOST_BYTES} bytes")));
        }
        if conversation.len() > MOST_NAME {
            return Err(Failure::of("conversation_id", format!("must have at most {MOST_NAME} bytes")));
        }
        let (_kept_while_waiting, stop) = bounded(0);
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting(UnderWay::default());
        let (text, conversation, under_way) = (text.to_owned(), conversation.to_owned(), waiting.0.clone());
        let job = Job { text, conversation, stop, under_way, answer };
        self.jobs.try_send(job).map_err(|_| Failure::busy("too many questions at a time"))?;
        answered.await.map_err(|_| Failure::broken("the home does not answer any more"))?
    }
}

/// Does what is due, and tells of it.
fn ring_due(chat: &mut Chat, shared: &Shared) {
    match panics::catch("a timer", || chat.ring_due()) {
        Ok(rung) => {
            for replied in rung {
                tracing::info!("{}", replied.reply);
                shared.events.tell_actions("ask", None, &replied.tools);
                shared.events.tell("ask", "timer", json!({"text": replied.reply}));
            }
        }
        Err(panicked) => tracing::error!("{panicked}"),
    }
}

fn answer_all(mut chat: Chat, inbox: &Receiver<Job>, shared: &Shared) {
    // The newest last.
    let mut conversations: VecDeque<(String, History)> = VecDeque::new();
    loop {
        ring_due(&mut chat, shared);
        let until_due = chat.next_timer().map_or(LOOK, |at| at.saturating_duration_since(Instant::now()));
        let job = match inbox.recv_timeout(until_due.clamp(SHORTEST_LOOK, LOOK)) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if job.answer.is_closed() {
            continue;
        }
        let known = conversations.iter().position(|(name, _)| *name == job.conversation);
        let mut history = known.and_then(|at| conversations.remove(at)).map(|(_, history)| history).unwrap_or_default();
        chat.switch(&mut history);
        job.under_way.set(Some(chat.turns().clone()));
        let asked = panics::catch("the home", || chat.ask(&job.text, &job.stop, &mut |_| {}));
        job.under_way.set(None);
        chat.switch(&mut history);
        let answer = match asked {
            Ok(Ok(replied)) => Ok(replied),
            Ok(Err(error)) if error.is::<nearfield_stages::voice::converse::PromptTooLong>() => {
                Err(Failure::of("text", error).code("context_length_exceeded"))
            }
            Ok(Err(error)) => Err(Failure::broken(format!("{error:#}"))),
            Err(panicked) => Err(Failure::broken(panicked)),
        };
        if !job.conversation.is_empty() {
            if conversations.len() == CONVERSATIONS {
                conversations.pop_front();
            }
            conversations.push_back((job.conversation, history));
        }
        let _ = job.answer.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_leaves_ends_its_own_question_and_no_other() {
        let turns = Turns::default();
        let (first, second) = (Waiting(UnderWay::default()), Waiting(UnderWay::default()));
        let turn = turns.begin();
        first.0.set(Some(turns.clone()));
        drop(second);
        assert!(turns.is_alive(turn));
        let under_way = first.0.clone();
        drop(first);
        assert!(!turns.is_alive(turn));
        // One that is answered already.
        under_way.set(None);
        let next = turns.begin();
        drop(Waiting(under_way));
        assert!(turns.is_alive(next));
    }
}
