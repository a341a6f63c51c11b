//! The conversation with the bundled model: what its turns cost, and how it goes on after a restart.

use std::path::Path;

use crossbeam_channel::{Receiver, bounded, never};
use nearfield_home::HomeFile;
use nearfield_llm::{CacheType, Llm, LlmOptions, SamplerOptions, SessionOptions};
use nearfield_stages::flow::{Guesses, Stage, Turn, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Envelope, TextDelta, Transcript};
use nearfield_stages::voice::converse::{Converse, ConverseOptions};
use nearfield_stages::voice::notes::{Note, Replied};
use nearfield_stages::voice::tools::{CommandTool, HomeLayout, HomeTools, Toolbox};
use std::ops::ControlFlow;

const SYSTEM: &str = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.";

struct Conversation {
    converse: Converse,
    turns: Turns,
    guesses: Guesses,
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
        words_at_once: 0,
        summary: true,
        remote: None,
    };
    let home = home.map(|path| HomeTools::of_rooms(HomeFile::load(path).unwrap()));
    let (turns, guesses, (notes, notebook)) = (Turns::default(), Guesses::default(), bounded(64));
    let toolbox = Toolbox::new(home, commands).unwrap();
    let converse = Converse::new(llm, options, toolbox, turns.clone(), never(), notes).unwrap();
    Conversation { converse: converse.guessing(guesses.clone()), turns, guesses, notebook }
}

impl Conversation {
    fn ask(&mut self, question: &str) -> Replied {
        let turn = self.turns.begin();
        self.ask_in(turn, question)
    }

    fn ask_in(&mut self, turn: Turn, question: &str) -> Replied {
        let transcript = Transcript::typed(question, std::time::Instant::now());
        self.converse.take(Envelope::new(turn, transcript), &mut |_| ControlFlow::Continue(())).unwrap();
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

impl Conversation {
    /// The speaker pauses after `words`: what is prepared to be spoken.
    fn guess(&mut self, turn: Turn, words: &str) -> (Turn, Vec<String>) {
        let guess = self.guesses.begin();
        let transcript = Transcript { guess: Some(guess), ..Transcript::typed(words, std::time::Instant::now()) };
        let mut ahead = Vec::new();
        let emit = &mut |delta: Envelope<TextDelta>| {
            match delta.body {
                TextDelta::Ahead(it) => ahead.push(it.clause),
                other => panic!("somebody would hear {other:?}"),
            }
            ControlFlow::Continue(())
        };
        self.converse.take(Envelope::new(turn, transcript), emit).unwrap();
        assert!(self.notebook.try_recv().is_err(), "a guess was reported");
        (guess, ahead)
    }
}

#[test]
fn a_reply_begun_on_a_guess_is_the_reply_without_one_whether_the_guess_was_right_or_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (home, other) = (folder.path().join("home.json"), folder.path().join("other.json"));
    for file in [&home, &other] {
        std::fs::write(file, HOME).unwrap();
    }
    let mut plain = conversation(1024, Some(&home), Vec::new());
    let mut guessing = conversation(1024, Some(&other), Vec::new());
    let mut kept = 0;
    for (begins, question) in [
        ("How warm is it", "How warm is it in the kitchen?"),
        ("Turn on", "Turn on the kitchen light."),
        ("Is the kitchen light on?", "Is the kitchen light on?"),
        ("Is the front door", "Is the front door locked?"),
        ("Hello.", "Hello."),
    ] {
        let expected = plain.ask(question);
        let turn = guessing.turns.begin();
        let before = std::fs::read_to_string(&other).unwrap();
        // A guess that is wrong unless it is the whole question, then one that is right.
        let (first, _) = guessing.guess(turn, begins);
        guessing.guesses.withdraw_all();
        assert!(!guessing.guesses.is_alive(first));
        let (guess, ahead) = guessing.guess(turn, question);
        assert_eq!(std::fs::read_to_string(&other).unwrap(), before, "a tool was called on a guess: {question}");
        guessing.guesses.keep(guess);
        let replied = guessing.ask_in(turn, question);
        assert_eq!((&replied.reply, replied.tools.len()), (&expected.reply, expected.tools.len()), "{question}");
        assert_eq!(replied.tokens.generated, expected.tokens.generated, "{question}");
        for clause in &ahead {
            // A clause that ends early is spoken with a comma.
            assert!(
                replied.reply.starts_with(clause.trim_end_matches(',')),
                "{clause:?} was prepared, {:?} replied",
                replied.reply
            );
        }
        kept += usize::from(replied.ahead.kept && !ahead.is_empty());
    }
    assert!(kept >= 3, "only {kept} replies were prepared");
    assert_eq!(std::fs::read_to_string(&home).unwrap(), std::fs::read_to_string(&other).unwrap());
}

#[test]
fn a_guess_that_is_withdrawn_costs_tokens_that_are_counted_and_leaves_no_trace() {
    let mut talk = conversation(1024, None, Vec::new());
    let turn = talk.turns.begin();
    talk.guess(turn, "Hello.");
    talk.guesses.withdraw_all();
    let replied = talk.ask_in(turn, "Good night.");
    assert!(!replied.ahead.kept && replied.ahead.wasted_tokens > 0, "{:?}", replied.ahead);
    assert_eq!(replied.reply, conversation(1024, None, Vec::new()).ask("Good night.").reply);
    assert_eq!(talk.ask("What can you do?").ahead, Default::default());
}
