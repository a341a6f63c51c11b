//! Language models that people pull, alone in a home: what they are asked happens, what they are asked about is answered, and no
//! markup is spoken. Run with `--ignored --nocapture` for the table; `NEARFIELD_ASK` names one of the models.

use std::ops::ControlFlow;
use std::path::Path;

use crossbeam_channel::{Receiver, bounded, never};
use nearfield_home::HomeFile;
use nearfield_llm::{CacheType, ChatOptions, Llm, LlmOptions, SamplerOptions, SessionOptions};
use nearfield_stages::flow::{Stage, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Clause, Envelope, Transcript};
use nearfield_stages::voice::converse::{Converse, ConverseOptions};
use nearfield_stages::voice::notes::{AnsweredBy, Note, Replied};
use nearfield_stages::voice::phrase::Phrase;
use nearfield_stages::voice::tools::{HomeLayout, HomeTools, Toolbox};

const SYSTEM: &str = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.";

/// The home before each request.
const HOME: &str = r#"{
  "rooms": {
    "kitchen": {"temperature_c": 20.5, "humidity_pct": 44, "light": "off"},
    "study": {"temperature_c": 22, "humidity_pct": 37, "light": "on"},
    "nursery": {"temperature_c": 23.5, "humidity_pct": 41, "light": "off"},
    "bathroom": {"temperature_c": 24, "humidity_pct": 63, "light": "on"},
    "garage": {"temperature_c": 9, "light": "off"}
  },
  "doors": {"front door": "locked", "patio door": "closed", "garden gate": "open"},
  "devices": {"dishwasher": "off", "fan": "on", "radio": "off"},
  "outside": {"temperature_c": 7, "weather": "fog"}
}"#;

/// What a request is to come to.
enum Due {
    /// These values of the home change, and no others.
    Changes(&'static [(&'static str, &'static str, &'static str)]),
    /// This tool is called, with these words in its result.
    Tool(&'static str, &'static str),
    /// The answer holds one of these, and nothing changes.
    Says(&'static [&'static str]),
    /// Something is said, and nothing changes.
    Talk,
}
use Due::{Changes, Says, Talk, Tool};

#[rustfmt::skip]
const REQUESTS: [(&str, Due); 44] = [
    ("Turn on the light in the kitchen.", Changes(&[("rooms", "kitchen", "on")])),
    ("Switch the study light off, please.", Changes(&[("rooms", "study", "off")])),
    ("Could you turn the nursery light on?", Changes(&[("rooms", "nursery", "on")])),
    ("Lights off in the bathroom.", Changes(&[("rooms", "bathroom", "off")])),
    ("I need some light in the garage.", Changes(&[("rooms", "garage", "on")])),
    ("Turn off all the lights.", Changes(&[("rooms", "study", "off"), ("rooms", "bathroom", "off")])),
    ("Unlock the front door.", Changes(&[("doors", "front door", "unlocked")])),
    ("Please lock the patio door.", Changes(&[("doors", "patio door", "locked")])),
    ("Close the garden gate.", Changes(&[("doors", "garden gate", "closed")])),
    ("Open the patio door.", Changes(&[("doors", "patio door", "open")])),
    ("Start the dishwasher.", Changes(&[("devices", "dishwasher", "on")])),
    ("Turn the fan off.", Changes(&[("devices", "fan", "off")])),
    ("Put the radio on.", Changes(&[("devices", "radio", "on")])),
    ("Switch on the dishwasher please.", Changes(&[("devices", "dishwasher", "on")])),
    ("Make it dark in the study.", Changes(&[("rooms", "study", "off")])),
    ("Lock the garden gate.", Changes(&[("doors", "garden gate", "locked")])),
    ("Set a timer for 7 minutes.", Tool("timer", "7 minutes")),
    ("Wake me in 2 hours.", Tool("timer", "2 hours")),
    ("Start a 45 second timer.", Tool("timer", "45 seconds")),
    ("Kitchen light on!", Changes(&[("rooms", "kitchen", "on")])),
    ("What is the temperature in the study?", Says(&["22"])),
    ("How warm is it in the garage?", Says(&["9"])),
    ("Is the kitchen light on?", Says(&["no", "off"])),
    ("Is the bathroom light on?", Says(&["yes", "is on"])),
    ("Is the front door locked?", Says(&["yes", "is locked"])),
    ("Is the garden gate open?", Says(&["yes", "is open"])),
    ("What's the humidity in the bathroom?", Says(&["63"])),
    ("What is the weather like outside?", Says(&["fog"])),
    ("How cold is it outside?", Says(&["7"])),
    ("Is the fan running?", Says(&["yes", "is on", "is running"])),
    ("Is the radio on?", Says(&["no", "off"])),
    ("Which room is the warmest?", Says(&["bathroom"])),
    ("Which room is the coldest?", Says(&["garage"])),
    ("Is the patio door closed?", Says(&["yes", "is closed"])),
    ("How humid is it in the kitchen?", Says(&["44"])),
    ("Is the light in the nursery off?", Says(&["yes", "is off"])),
    ("What time is it?", Tool("clock", "time")),
    ("What's the temperature in the nursery?", Says(&["23.5"])),
    ("Hello, how are you?", Talk),
    ("Tell me a joke.", Talk),
    ("Thanks a lot.", Talk),
    ("Who are you?", Talk),
    ("Good night.", Talk),
    ("What is the capital of France?", Says(&["paris"])),
];

struct Asked {
    converse: Converse,
    turns: Turns,
    notebook: Receiver<Note>,
    folder: tempfile::TempDir,
}

impl Asked {
    fn new(model: &Path, chat: ChatOptions, is_alone: bool) -> Asked {
        let (llm, _ends_with_its_last_handle) = LlmThread::start(Llm::open(model, &LlmOptions { threads: 2 }).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home.json");
        std::fs::write(&home, HOME).unwrap();
        let options = ConverseOptions {
            system: SYSTEM.to_owned(),
            chat,
            home: HomeLayout::default(),
            session: SessionOptions { context_tokens: 4096, cache: CacheType::F16 },
            sampler: SamplerOptions::default(),
            max_reply_tokens: 160,
            words_at_once: 0,
            summary: true,
            remote: None,
        };
        let (turns, (notes, notebook)) = (Turns::default(), bounded(64));
        let toolbox = Toolbox::new(Some(HomeTools::of_rooms(HomeFile::load(&home).unwrap())), Vec::new()).unwrap();
        let toolbox = if is_alone { toolbox.without_matcher() } else { toolbox };
        let converse = Converse::new(llm, options, toolbox, turns.clone(), never(), notes).unwrap();
        Asked { converse, turns, notebook, folder }
    }

    fn ask(&mut self, question: &str) -> (Replied, Vec<String>) {
        let now = std::time::Instant::now();
        let transcript = Transcript::typed(question, now);
        let mut phrase = Phrase::default();
        let mut spoken = Vec::new();
        let turn = self.turns.begin();
        self.converse
            .take(Envelope::new(turn, transcript), &mut |delta| {
                phrase
                    .take(delta, &mut |clause| {
                        if let Clause::Text(text) = clause.body {
                            spoken.push(text);
                        }
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                ControlFlow::Continue(())
            })
            .unwrap();
        let replied = self.notebook.try_iter().find_map(|note| match note {
            Note::Replied { replied, .. } => Some(replied),
            _ => None,
        });
        (replied.unwrap(), spoken)
    }

    /// A request to a fresh home; whether it came to what it should, and what was said.
    fn judge(&mut self, request: &str, due: &Due) -> (bool, Replied, Vec<String>) {
        let home = self.folder.path().join("home.json");
        std::fs::write(&home, HOME).unwrap();
        self.converse.forget_history();
        let (replied, spoken) = self.ask(request);
        let before: serde_json::Value = serde_json::from_str(HOME).unwrap();
        let after: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&home).unwrap()).unwrap();
        let mut expected = before.clone();
        let mut right = true;
        let said = spoken.join(" ").to_lowercase();
        match due {
            Changes(changes) => {
                for (part, name, state) in *changes {
                    match *part {
                        "rooms" => expected[part][name]["light"] = (*state).into(),
                        _ => expected[part][name] = (*state).into(),
                    }
                }
                right = !said.is_empty();
            }
            // The matcher reads the clock itself.
            Tool("clock", _) if replied.answered_by == AnsweredBy::Matcher => right = said.contains(':'),
            Tool(name, words) => {
                right = replied
                    .tools
                    .iter()
                    .any(|tool| tool.name == *name && tool.ok && tool.result.to_string().contains(words));
            }
            Says(words) => right = words.iter().any(|word| said.contains(word)),
            Talk => right = right && !said.is_empty() && replied.tools.is_empty(),
        }
        (right && after == expected, replied, spoken)
    }
}

/// Commands, questions, others that are right, and replies in which markup was spoken.
fn table(model: &str, is_alone: bool) -> Option<[usize; 4]> {
    if std::env::var("NEARFIELD_ASK").is_ok_and(|wanted| !model.contains(&wanted)) {
        return None;
    }
    let path = nearfield_testdata::test_model(model)?;
    let mut asked = Asked::new(&path, ChatOptions::default(), is_alone);
    let mut table = [0; 4];
    for (index, (request, due)) in REQUESTS.iter().enumerate() {
        let (right, replied, spoken) = asked.judge(request, due);
        let markup =
            spoken.iter().any(|clause| clause.contains(['{', '}', '[', '<', '`', '|', '_']) || clause.contains("\":"));
        table[if index < 20 {
            0
        } else if index < 38 {
            1
        } else {
            2
        }] += usize::from(right);
        table[3] += usize::from(markup);
        let tools: Vec<String> = replied
            .tools
            .iter()
            .map(|tool| format!("{}{} {}", tool.name, tool.arguments, if tool.ok { "ok" } else { "failed" }))
            .collect();
        eprintln!("{} {request} {tools:?} {:?}", if right { "+" } else { "-" }, spoken.join(" "));
    }
    eprintln!(
        "{model}, {}: commands {}/20, questions {}/18, others {}/6, markup spoken in {}",
        if is_alone { "alone" } else { "behind the matcher" },
        table[0],
        table[1],
        table[2],
        table[3]
    );
    Some(table)
}

const QWEN: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
const SMOLLM: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

#[test]
#[ignore = "minutes with real models"]
fn behind_the_matcher_what_is_wished_in_a_home_happens_and_no_markup_is_spoken() {
    for model in [QWEN, SMOLLM] {
        if let Some([commands, questions, _, markup]) = table(model, false) {
            assert!(commands >= 19 && questions >= 17 && markup == 0, "{model}: {commands} {questions} {markup}");
        }
    }
}

#[test]
#[ignore = "minutes with real models"]
fn alone_a_small_model_does_what_is_wished_and_answers_most_questions_and_speaks_no_markup() {
    for (model, least) in [(QWEN, 38), (SMOLLM, 34)] {
        if let Some([commands, questions, others, markup]) = table(model, true) {
            assert!(commands >= 18 && markup == 0, "{model}: {commands} {markup}");
            assert!(commands + questions + others >= least, "{model}: {commands} {questions} {others}");
        }
    }
}

/// Wishes for what this home does not have.
const IN_VAIN: [&str; 12] = [
    "Turn on the sauna.",
    "Open the cellar hatch.",
    "Start the washing machine.",
    "Dim the attic lamp to 20 percent.",
    "Play some jazz.",
    "Lock the car.",
    "Water the roses.",
    "Vacuum the hallway.",
    "Arm the alarm.",
    "Close the blinds in the conservatory.",
    "Set the heating to 22 degrees.",
    "Add milk to the shopping list.",
];

/// Whether a reply refuses, or asks back: all else sounds as if something had been done.
fn refuses(reply: &str) -> bool {
    let lower = reply.to_lowercase();
    let refusals = ["not", "n't", "no ", "nothing", "unable", "sorry", "which one"];
    refusals.iter().any(|word| lower.contains(word)) || lower.trim_end().ends_with('?')
}

#[test]
#[ignore = "minutes with real models"]
fn no_model_says_that_it_did_what_it_did_not() {
    for model in [QWEN, SMOLLM] {
        if std::env::var("NEARFIELD_ASK").is_ok_and(|wanted| !model.contains(&wanted)) {
            continue;
        }
        let Some(path) = nearfield_testdata::test_model(model) else { continue };
        let mut asked = Asked::new(&path, ChatOptions::default(), true);
        for request in IN_VAIN {
            let (unchanged, replied, spoken) = asked.judge(request, &Due::Talk);
            let said = spoken.join(" ");
            eprintln!("{request} {said:?}");
            let did_something = replied.tools.iter().any(|tool| tool.ok);
            assert!(unchanged && !did_something && refuses(&said), "{model}: {request}: {said}");
        }
    }
}
