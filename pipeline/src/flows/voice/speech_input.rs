//! The stages before the words are known, set up as the configuration wants them: echo cancellation, wake words, who may speak over a
//! reply, what ends a turn.

use crossbeam_channel::{Receiver, Sender, bounded};
use nearfield_speech::vad::Endpointer;
use nearfield_stages::flow::{Guesses, Turn, Turns};
use nearfield_stages::voice::capture::Source;
use nearfield_stages::voice::echo::EchoPath;
use nearfield_stages::voice::listen::{Listen, Resume, TurnTaking};
use nearfield_stages::voice::notes::Note;
use nearfield_stages::voice::pace::Pace;
use nearfield_stages::voice::play::{Outlet, Play};
use nearfield_stages::voice::tools::Toolbox;
use nearfield_stages::voice::transcribe::Transcribe;
use nearfield_stages::voice::turn_end::TurnEnd;
use nearfield_stages::voice::wake::{Attention, WakeHook};

use crate::config::{Decide, VoiceConfig};
use crate::load::voice::SpeechInputModels;

/// Guesses of a turn's words that wait for the listener: as many as may wait at the recognizer.
const GUESSES: usize = 4;

/// The stages before the words are known.
pub(super) struct SpeechInput {
    /// What takes the loudspeaker out of the microphone's sound.
    pub echo: Option<EchoPath>,
    pub listen: Listen,
    pub transcribe: Transcribe,
}

/// What they share with the rest of the flow.
pub(super) struct Around<'a> {
    pub pace: Pace,
    pub turns: Turns,
    pub guesses: Guesses,
    /// What knows a whole command.
    pub toolbox: &'a Toolbox,
    pub play: &'a Play,
    pub outlet: &'a Outlet,
    pub notes: &'a Sender<Note>,
    /// Turns that have been answered.
    pub answers: Receiver<Turn>,
    /// The same, for the wake words.
    pub attention_ends: Receiver<Turn>,
}

impl SpeechInput {
    /// Sets them up for `source`.
    ///
    /// # Errors
    /// An option is out of range, or the command for wake words can't be run.
    pub fn open(
        models: SpeechInputModels,
        config: &VoiceConfig,
        source: &Source,
        around: Around<'_>,
    ) -> anyhow::Result<Self> {
        let Around { pace, turns, guesses, toolbox, play, outlet, notes, answers, attention_ends } = around;
        let SpeechInputModels { stt, vad, wake, turn } = models;
        // A recording that is read faster than life has no time to save, and ends its turns by silence alone.
        let is_live = source.is_live();
        let decides = is_live && config.turn.decide == Decide::Content;
        let turn_taking = match source {
            _ if !is_live => TurnTaking::Wait(answers),
            // The loudspeaker of a connection's client cannot be held from here.
            Source::Client(_) => TurnTaking::Interrupt,
            _ if config.listen.interrupt && config.listen.resume && decides => {
                TurnTaking::Weigh(Resume::new(play.hold(), answers))
            }
            _ if config.listen.interrupt => TurnTaking::Interrupt,
            // Nobody loses a question that a file asks.
            Source::Files(..) => TurnTaking::Wait(answers),
            _ => TurnTaking::DeafWhile(play.speaking()),
        };
        let endpointer = Endpointer::new(vad, config.listen.endpoint.clone())?;
        let mut listen = Listen::new(endpointer, turns.clone(), guesses.clone(), turn_taking);
        if matches!(source, Source::Client(_)) {
            listen = listen.telling(notes.clone());
        }
        if let Some((spotter, words)) = wake {
            let config = &config.wake;
            let mut attention = Attention::new(spotter, words, config.options(), attention_ends);
            if config.chime {
                attention = attention.ringing(play.chime());
            }
            if !config.command.is_empty() {
                attention = attention.telling(WakeHook::start(config.command.clone())?);
            }
            listen = listen.attending(attention);
        }
        let mut transcribe = Transcribe::new(stt, turns, guesses).keeping(pace);
        if decides {
            let (tell, words) = bounded(GUESSES);
            transcribe = transcribe.telling(tell);
            let mut turn_end = TurnEnd::new(config.turn.options(), turn, Some(words));
            if let Some(whole_commands) = toolbox.whole_commands() {
                turn_end = turn_end.knowing(whole_commands);
            }
            listen = listen.ending(turn_end);
        }
        if is_live && config.turn.ahead {
            transcribe = transcribe.passing_guesses();
        }
        let echo = match (source, outlet) {
            (Source::Microphone(microphone), Outlet::Speaker(_)) => {
                config.listen.echo.cancels(microphone.as_deref()).then(|| EchoPath::new(play.reference()))
            }
            _ => None,
        };
        Ok(Self { echo, listen, transcribe })
    }
}
