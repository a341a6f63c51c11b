//! The conversation with the bundled model: what its turns cost, and how it goes on after a restart.

use std::path::Path;

use crossbeam_channel::{Receiver, bounded, never};
use nearfield_home::HomeFile;
use nearfield_llm::{CacheType, Llm, LlmOptions, SamplerOptions, SessionOptions};
use nearfield_stages::flow::{Stage, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Envelope, Transcript};
use nearfield_stages::voice::converse::{Converse, ConverseOptions};
use nearfield_stages::voice::notes::{Note, Replied};
use nearfield_stages::voice::tools::{CommandTool, HomeLayout, HomeTools, Toolbox};
use std::ops::ControlFlow;

const SYSTEM: &str = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.";

struct Conversation {
    converse: Converse,
    turns: Turns,
    notebook: Receiver<Note>,
}

fn conversation(context_tokens: usize, home: Option<&Path>, commands: Vec<CommandTool>) -> Conversation {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
    let (llm, _ends_with_its_last_handle) = LlmThread::start(Llm::open(&model, &LlmOptions { threads: 1 }).unwrap());
    let options = ConverseOptions {
        system: SYSTEM.to_owned(),
        chat: nearfield_llm::ChatOptions::default(),
        session: SessionOptions { context_tokens, cache: CacheType::F16 },
        sampler: SamplerOptions::default(),
        home: HomeLayout::Grouped,
        max_reply_tokens: 60,
        remote: None,
    };
    let home = home.map(|path| HomeTools::of_rooms(HomeFile::load(path).unwrap()));
    let (turns, (notes, notebook)) = (Turns::default(), bounded(64));
    let toolbox = Toolbox::new(home, commands).unwrap();
    let converse = Converse::new(llm, options, toolbox, turns.clone(), never(), notes).unwrap();
    Conversation { converse, turns, notebook }
}

impl Conversation {
    fn ask(&mut self, question: &str) -> Replied {
        let now = std::time::Instant::now();
        let transcript = Transcript { text: question.to_owned(), suppressed: None, speech_ended: now, closed: now };
        self.converse.take(Envelope::new(self.turns.begin(), transcript), &mut |_| ControlFlow::Continue(())).unwrap();
        let replied = self.notebook.try_iter().find_map(|note| match note {
            Note::Replied { replied, .. } => Some(replied),
            _ => None,
        });
        replied.unwrap()
    }
}

const HOME: &str = r#"{"rooms": {"kitchen": {"temperature_c": 21.5, "light": "off"}, "hall": {"temperature_c": 19, "light": "on"}},
  "doors": {"front door": "locked"}, "devices": {"coffee machine": "off"}}"#;

#[test]
fn what_follows_a_home_that_a_tool_has_changed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home.json");
    std::fs::write(&home, HOME).unwrap();
    let mut talk = conversation(1024, Some(&home), Vec::new());
    for question in ["How warm is it in the kitchen?", "Is the front door locked?", "Is the hall light on?"] {
        assert!(!talk.ask(question).reply.is_empty());
    }
    let replied = talk.ask("Turn on the kitchen light.");
    eprintln!("{:?} {:?}", replied.reply, replied.tokens);
    assert_eq!(replied.tools.len(), 1, "{:?}", replied.reply);
    assert!(std::fs::read_to_string(&home).unwrap().contains("on"));
    // Two rounds: the question, then the changed home, with all that follows it, and the tool's result. Nothing that was read
    // beside the old home is moved: it would remember it.
    assert_eq!(replied.tokens.moved, 0, "{:?}", replied.tokens);
    assert!((60..250).contains(&replied.tokens.prefilled), "{:?}", replied.tokens);
}

#[test]
fn dropped_turns_cost_no_more_than_the_turns_that_stay() {
    let mut talk = conversation(420, None, Vec::new());
    let (mut forgotten, mut prefilled, mut moved) = (0, 0, 0);
    for turn in 0..24 {
        let replied = talk.ask(["Hello.", "What can you do?", "How are you today?", "Good night."][turn % 4]);
        // The keeping warm is part of the price, and is seen as what the next turn reuses.
        forgotten += replied.forgotten;
        prefilled += replied.tokens.prefilled;
        moved += replied.tokens.moved;
        assert!(replied.tokens.prefilled < 60, "turn {turn}: {:?}", replied.tokens);
    }
    eprintln!("{forgotten} turns dropped, {prefilled} tokens computed in all, {moved} moved while somebody waited");
    assert!(forgotten > 3, "{forgotten}");
}

#[test]
fn a_conversation_goes_on_from_its_file_and_a_damaged_one_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (home, file) = (folder.path().join("home.json"), folder.path().join("talk.session"));
    std::fs::write(&home, HOME).unwrap();
    let mut talk = conversation(1024, Some(&home), Vec::new());
    talk.ask("How warm is it in the kitchen?");
    talk.ask("Is the front door locked?");
    talk.converse.save(&file).unwrap();
    let wanted = talk.ask("Is the hall light on?");
    let mut again = conversation(1024, Some(&home), Vec::new());
    again.converse.restore(&file).unwrap();
    let replied = again.ask("Is the hall light on?");
    assert_eq!(replied.reply, wanted.reply);
    assert!(replied.tokens.reused > 100 && replied.tokens.prefilled < 40, "{:?}", replied.tokens);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 7]).unwrap();
    let mut anew = conversation(1024, Some(&home), Vec::new());
    let error = anew.converse.restore(&file).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("talk.session"), "{error}");
    assert_eq!(anew.ask("How warm is it in the kitchen?").reply, talk_first(&home));
}

fn talk_first(home: &Path) -> String {
    conversation(1024, Some(home), Vec::new()).ask("How warm is it in the kitchen?").reply
}
