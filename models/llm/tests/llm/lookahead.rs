//! Guesses from the prompt: they may change how fast a text is written, and nothing else.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use nearfield_llm::{
    CacheType, Constrained, Constraint, Finish, GenerateOptions, Generated, Llm, LlmOptions, Message, Role, Sampler,
    SamplerOptions, Session, SessionOptions, TokenId, generate,
};
use std::ops::ControlFlow;

use crate::synthetic::{Recipe, VOCAB, open};

fn session(llm: &Arc<Llm>, cache: CacheType) -> Session {
    Session::new(Arc::clone(llm), &SessionOptions { context_tokens: 700, cache }).unwrap()
}

#[test]
fn tokens_read_together_leave_the_logits_that_each_would_leave_alone_to_the_last_bit() {
    let types = [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::F16, GgmlDType::F32];
    let plain = types.map(Recipe::plain);
    let families = ["qwen3", "phi2", "gemma3"].map(Recipe::of_family);
    for recipe in plain.into_iter().chain(families) {
        let folder = tempfile::tempdir().unwrap();
        let (llm, _) = open(&recipe, folder.path());
        for cache in [CacheType::F16, CacheType::Q8_0] {
            let (mut alone, mut together) = (session(&llm, cache), session(&llm, cache));
            let tokens: Vec<TokenId> = (0..90u32).map(|i| TokenId((i * 37 + 5) % VOCAB as u32)).collect();
            for session in [&mut alone, &mut together] {
                session.prompt(&tokens[..50], &mut || ControlFlow::Continue(())).unwrap();
            }
            let mut at = 50;
            for n in (1..=Session::MOST_EACH).cycle().take(10) {
                together.append_each(&tokens[at..at + n]).unwrap();
                for _ in 0..n {
                    alone.step(tokens[at]).unwrap();
                    at += 1;
                    assert_eq!(
                        together.logits_after(at),
                        alone.logits(),
                        "{}, {cache:?}, {n}",
                        llm.info().quantization
                    );
                }
                assert!(together.logits_after(at - n).is_empty() && together.logits_after(at + 1).is_empty());
            }
            assert_eq!(together.tokens(), alone.tokens());
            // What is cut off takes its logits along, and only those.
            together.append_each(&tokens[80..84]).unwrap();
            let after = together.logits_after(at + 2).to_vec();
            together.truncate(at + 2);
            assert_eq!(together.logits(), after);
            together.truncate(at - 1);
            assert!(together.logits().is_empty());
        }
    }
}

/// A report that talk-nano writes, and what it comes from: most of it is copied.
const TABLE: &str = "Window: 20 November 2026, 00:00 to 24:00\n\
    kitchen temperature: mean 21.3 °C, lowest 19.8 at 05:10, highest 24.9 at 14:20, rose by 0.6\n\
    hall humidity: mean 45 %, lowest 38 at 03:00, highest 52 at 14:20, fell by 2\n\
    Anomalies:\nhall humidity: spike to 52 % at 14:20\nkitchen temperature: gap from 02:10 to 03:45";

fn talk() -> Arc<Llm> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/models/talk-nano.gguf"));
    Llm::open(path, &LlmOptions { threads: 1 }).unwrap()
}

fn report_prompt(llm: &Llm) -> Vec<TokenId> {
    let system = "You write short reports on sensor readings. Use only the numbers in the table.";
    let messages = [Message::new(Role::System, system), Message::new(Role::User, TABLE)];
    llm.tokenizer().unwrap().encode_prompt(&llm.template().unwrap().render(&messages, &[], true).unwrap())
}

/// What is written and heard, and the tokens that the session holds then.
fn write(
    llm: &Arc<Llm>,
    sampler: &SamplerOptions,
    options: &GenerateOptions,
    most_pieces: usize,
) -> (Generated, Vec<String>, Vec<TokenId>) {
    let mut session = session(llm, CacheType::F16);
    session.prompt(&report_prompt(llm), &mut || ControlFlow::Continue(())).unwrap();
    let mut heard = Vec::new();
    let mut sink = |piece: &str| {
        heard.push(piece.to_owned());
        if heard.len() == most_pieces { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let generated = generate(&mut session, &mut Sampler::new(sampler), options, &mut sink).unwrap();
    (generated, heard, session.tokens().to_vec())
}

#[test]
fn guesses_spare_passes_and_change_nothing_of_what_is_written() {
    let llm = talk();
    let chance = |seed| SamplerOptions { temperature: 0.8, repetition_penalty: 1.1, seed, ..SamplerOptions::default() };
    let held_to =
        |expression: &str| Some(Constrained { constraint: Constraint::Regex(expression.to_owned()), after: None });
    let whole = GenerateOptions::default();
    let kinds = [
        whole.clone(),
        GenerateOptions { max_tokens: 41, ..whole.clone() },
        GenerateOptions { stop: vec!["averaged".to_owned()], ..whole.clone() },
        GenerateOptions {
            constraint: held_to("The hall humidity spiked to [0-9]+ % at [0-9:]+\\. Nothing else\\."),
            ..whole
        },
    ];
    let mut drafted = 0;
    for sampler in [SamplerOptions::default(), chance(1), chance(2), chance(3)] {
        for options in &kinds {
            for most_pieces in [usize::MAX, 1, 7, 20] {
                let (plain, heard, held) =
                    write(&llm, &sampler, &GenerateOptions { lookahead: 0, ..options.clone() }, most_pieces);
                assert_eq!(plain.drafted, 0);
                for lookahead in [1, 2, Session::MOST_EACH - 1, 100] {
                    let (guessed, heard_too, held_too) =
                        write(&llm, &sampler, &GenerateOptions { lookahead, ..options.clone() }, most_pieces);
                    assert_eq!(guessed.text, plain.text);
                    assert_eq!((guessed.tokens, &guessed.finish), (plain.tokens, &plain.finish), "{}", plain.text);
                    assert_eq!((heard_too, held_too), (heard.clone(), held.clone()), "{}", plain.text);
                    drafted += guessed.drafted;
                }
            }
        }
    }
    assert!(drafted > 1000, "{drafted}");
    let (report, ..) = write(&llm, &SamplerOptions::default(), &GenerateOptions::default(), usize::MAX);
    eprintln!("{:?}", report);
    assert!(report.drafted * 4 > report.tokens, "{report:?}: a report copies much");
}

#[test]
fn a_context_that_fills_up_ends_the_text_where_it_would_have_ended_without_guesses() {
    let llm = talk();
    let prompt = report_prompt(&llm);
    let write = |room: usize, lookahead: usize| {
        let options = SessionOptions { context_tokens: prompt.len() + room, cache: CacheType::F16 };
        let mut session = Session::new(Arc::clone(&llm), &options).unwrap();
        session.prompt(&prompt, &mut || ControlFlow::Continue(())).unwrap();
        let options = GenerateOptions { lookahead, ..GenerateOptions::default() };
        let mut sampler = Sampler::new(&SamplerOptions::default());
        (generate(&mut session, &mut sampler, &options, &mut |_| ControlFlow::Continue(())).unwrap(), session.len())
    };
    for room in 1..40 {
        let ((plain, held), (guessed, held_too)) = (write(room, 0), write(room, 4));
        assert_eq!((&plain.text, &plain.finish, held), (&guessed.text, &guessed.finish, held_too), "room for {room}");
        assert_eq!((plain.finish, held), (Finish::ContextFull, prompt.len() + room));
    }
}
