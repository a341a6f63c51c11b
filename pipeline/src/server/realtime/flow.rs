//! The voice flow of one connection, on a thread of its own: what the client sends goes in through a bounded queue, and what the flow tells
//! comes out in one order.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, TrySendError, bounded};
use nearfield_stages::flow::{Turn, panics};
use nearfield_stages::messages::Tokens;
use nearfield_stages::voice::capture::Source;
use nearfield_stages::voice::connection::{Client, ClientInput, ClientOutput, Refused};
use nearfield_stages::voice::notes::Note;
use nearfield_stages::voice::play::Outlet;
use nearfield_stages::voice::tools::{ClientTool, Rings, ToolRunner};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::Server;
use super::super::failure::Failure;
use super::super::openai::id;
use super::RATE;
use super::settings::Settings;
use crate::flows::voice::{self, Questions, VoiceEvent};
use crate::load::voice::Assistant;
use crate::output::terminal::chain;

/// Messages of the client's that wait for the flow; each may hold much sound, so few.
const INPUTS: usize = 32;
/// What waits to be sent: some seconds of sound.
const OUTPUTS: usize = 256;
/// How often a full queue is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// So long the flow may have no room before the client is told that it is behind.
const BEHIND: Duration = Duration::from_secs(20);
/// So long a client may take to answer a call.
const CALL_TIME: Duration = Duration::from_secs(60);

/// What a flow tells.
pub enum FlowOutput {
    /// What is to be played.
    Output(ClientOutput),
    /// Somebody has begun to speak.
    Speaking(Turn),
    /// The speaker has ended.
    Spoken(Turn),
    /// What was understood.
    Heard(Turn, String),
    /// The reply is complete as text.
    Replied(Turn, Tokens, String),
    /// The client is to run a tool.
    Call {
        /// What the call is known by.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments, as JSON.
        arguments: String,
    },
    /// A turn is over.
    Over {
        /// Which.
        turn: Turn,
        /// What failed in it.
        errors: Vec<String>,
        /// Where its time went, and what it came to.
        figures: Value,
    },
    /// The flow has ended: why, if not by itself.
    Ended(Option<String>),
}

/// A running flow; it ends when this is dropped.
pub struct Flow {
    inputs: Sender<ClientInput>,
    outputs: mpsc::Receiver<FlowOutput>,
    tools: Arc<Calls>,
    _running: Sender<Infallible>,
}

impl Flow {
    /// Starts it; the models are loaded on its thread.
    ///
    /// # Errors
    /// The system can't start a thread.
    pub fn start(server: &Arc<Server>, settings: &Settings) -> Result<Self, Failure> {
        let (inputs, from) = bounded(INPUTS);
        let (tell, outputs) = mpsc::channel(OUTPUTS);
        let (running, stop) = bounded(0);
        let tools = Arc::new(Calls { told: tell.clone(), waiting: Mutex::default() });
        let runner: Arc<dyn ToolRunner> = tools.clone();
        let (shared, config, declared) = (server.shared.clone(), settings.voice_config(), settings.tools());
        let work = move || -> anyhow::Result<()> {
            let mut assistant = Assistant::load_with(&config, &shared.registry, true, Some(&shared.models))?;
            let tool = |it: super::settings::Declared| ClientTool {
                name: it.name,
                description: it.description,
                parameters: it.parameters,
                runner: runner.clone(),
            };
            assistant.toolbox = assistant.toolbox.with_client_tools(declared.into_iter().map(tool).collect())?;
            // What is still running when the connection ends is rung by the home.
            let rings = Rings::Own(id("realtime-"));
            assistant.toolbox = assistant.toolbox.with_timers(shared.timers(&config.home.timers)?, rings);
            let outlet = Outlet::Client(Arc::new(Player(tell.clone())), RATE);
            let questions = Questions::Spoken(Source::Client(from));
            voice::run_telling(assistant, &config, questions, &outlet, &stop, &mut |event| {
                let told = match event {
                    VoiceEvent::Note(Note::Speaking { turn }) => FlowOutput::Speaking(*turn),
                    VoiceEvent::Note(Note::Spoken { turn }) => FlowOutput::Spoken(*turn),
                    VoiceEvent::Note(Note::Heard { turn, text, .. }) => FlowOutput::Heard(*turn, text.clone()),
                    VoiceEvent::Note(Note::Replied { turn, replied }) => {
                        FlowOutput::Replied(*turn, replied.tokens, replied.reply.clone())
                    }
                    VoiceEvent::Turn(turn) => {
                        shared.events.tell_actions("realtime", Some(turn.turn), &turn.replied.tools);
                        FlowOutput::Over { turn: turn.turn, figures: turn.json(), errors: turn.errors }
                    }
                };
                Ok(match tell.blocking_send(told) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                })
            })
        };
        let over = tools.told.clone();
        let run = move || {
            let _flow = tracing::error_span!("realtime").entered();
            let ended = panics::catch("the conversation", work).map_err(anyhow::Error::from).flatten();
            let _ = over.blocking_send(FlowOutput::Ended(ended.err().map(|error| chain(&error))));
        };
        std::thread::Builder::new().name("realtime".to_owned()).spawn(run).map_err(Failure::broken)?;
        Ok(Self { inputs, outputs, tools, _running: running })
    }

    /// Hands something to it; waits while it has no room.
    ///
    /// # Errors
    /// It has ended, or has had no room for long.
    pub async fn send(&self, mut input: ClientInput) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            match self.inputs.try_send(input) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) if begun.elapsed() > BEHIND => {
                    return Err(Failure::busy("the conversation is too far behind: this was left out"));
                }
                Err(TrySendError::Full(back)) => input = back,
                Err(TrySendError::Disconnected(_)) => return Err(Failure::busy("the conversation has ended")),
            }
            sleep(LOOK).await;
        }
    }

    /// What it tells next.
    pub async fn next(&mut self) -> FlowOutput {
        self.outputs.recv().await.unwrap_or(FlowOutput::Ended(None))
    }

    /// The client's tools.
    pub fn tools(&self) -> &Calls {
        &self.tools
    }
}

/// Where the flow's sound goes.
#[derive(Debug)]
struct Player(mpsc::Sender<FlowOutput>);

impl Client for Player {
    fn offer(&self, output: ClientOutput) -> Result<(), Refused> {
        self.0.try_send(FlowOutput::Output(output)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(FlowOutput::Output(back)) => Refused::Full(back),
            _ => Refused::Gone,
        })
    }
}

/// Calls that the client has yet to answer.
#[derive(Debug)]
pub struct Calls {
    told: mpsc::Sender<FlowOutput>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    calls: HashMap<String, Sender<String>>,
    /// Whether the last thing that came was an answer, whose reply goes on by itself.
    was_answered: bool,
}

impl Calls {
    /// Takes the client's answer to a call; whether one waits for it.
    pub fn answer(&self, id: &str, output: &str) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = waiting.calls.remove(id).is_some_and(|call| call.try_send(output.to_owned()).is_ok());
        waiting.was_answered |= answered;
        answered
    }

    /// Whether a call was answered since this was last looked at.
    pub fn was_just_answered(&self) -> bool {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner).was_answered)
    }
}

impl ToolRunner for Calls {
    fn run(&self, name: &str, arguments: &Value, stop: &dyn Fn() -> bool) -> Result<Value, String> {
        let (id, (answer, answered)) = (id("call_"), bounded(1));
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).calls.insert(id.clone(), answer);
        let call = FlowOutput::Call { id: id.clone(), name: name.to_owned(), arguments: arguments.to_string() };
        let begun = Instant::now();
        let mut outcome =
            self.told.blocking_send(call).map_err(|_| "whoever runs it has gone".to_owned()).map(|()| None);
        while matches!(outcome, Ok(None)) {
            outcome = match answered.recv_timeout(LOOK) {
                Ok(output) => Ok(Some(output)),
                Err(RecvTimeoutError::Disconnected) => Err("whoever runs it has gone".to_owned()),
                Err(RecvTimeoutError::Timeout) if stop() => Err("it is not wanted any more".to_owned()),
                Err(RecvTimeoutError::Timeout) if begun.elapsed() >= CALL_TIME => {
                    Err(format!("it did not answer within {} s", CALL_TIME.as_secs()))
                }
                Err(RecvTimeoutError::Timeout) => Ok(None),
            };
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).calls.remove(&id);
        let output = outcome?.unwrap_or_default();
        Ok(serde_json::from_str(&output).unwrap_or_else(|_| json!({"ok": true, "output": output})))
    }
}
