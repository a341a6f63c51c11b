//! Sessions that are computed together: each must be what it is alone, to the last bit, whoever else is in the pass.

use std::ops::ControlFlow::{self, Continue};
use std::path::Path;
use std::sync::Arc;

use nearfield_llm::{
    Batch, CacheType, Constrained, Constraint, Finish, GenerateOptions, Generation, Llm, LlmError, LlmOptions, Sampler,
    SamplerOptions, Session, SessionOptions, TokenId, Unread, generate,
};

use crate::architectures::{MODELS, VOCAB, write};

fn tokens(seed: u32, n: usize) -> Vec<TokenId> {
    (0..n as u32).map(|i| TokenId((i * 37 + seed * 101 + i * i * seed) % VOCAB as u32)).collect()
}

fn session(llm: &Arc<Llm>, cache: CacheType) -> Session {
    Session::new(Arc::clone(llm), &SessionOptions { context_tokens: 160, cache }).unwrap()
}

#[test]
fn sessions_of_every_architecture_leave_in_one_pass_the_logits_that_each_leaves_alone_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, kind) in MODELS {
        let path = folder.path().join("model.gguf");
        write(architecture, kind, &path);
        let llm = Llm::open(&path, &LlmOptions { threads: 2 }).unwrap();
        let mut batch = Batch::new();
        for cache in [CacheType::F16, CacheType::Q8_0] {
            let mut together: Vec<Session> = (0..5).map(|_| session(&llm, cache)).collect();
            for (at, session) in together.iter_mut().enumerate() {
                session.prompt(&tokens(at as u32, [3, 40, 1, 90, 65][at]), &mut || Continue(())).unwrap();
            }
            let mut alone: Vec<Session> = together.iter().map(|session| session.fork().unwrap()).collect();
            for round in 0..6 {
                // From none to five tokens of each, at most sixteen together.
                let next: Vec<Vec<TokenId>> = (0..5)
                    .map(|at| tokens((7 * round + at) as u32, [1, 5, 0, 2, 1, 3, 4, 1][(round + at) % 8]))
                    .collect();
                let mut texts: Vec<_> = together.iter_mut().zip(next.iter().map(|tokens| &tokens[..])).collect();
                batch.append(&mut texts).unwrap();
                for (at, ((together, alone), next)) in together.iter_mut().zip(&mut alone).zip(&next).enumerate() {
                    let case = format!("{architecture} {kind} {cache:?}, session {at}, round {round}");
                    alone.append_each(next).unwrap();
                    assert_eq!(together.tokens(), alone.tokens(), "{case}");
                    for n in alone.len() - next.len()..=alone.len() {
                        assert!(together.logits_after(n) == alone.logits_after(n), "{case}: after {n} tokens");
                    }
                    // Guesses that were wrong are taken back.
                    if next.len() > 2 {
                        let held = alone.len() - 2;
                        [together, alone].into_iter().for_each(|session| session.truncate(held));
                    }
                }
            }
        }
    }
}

#[test]
fn a_session_without_room_is_refused_and_nobody_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write("llama", "", &path);
    let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
    let (mut first, mut full) = (session(&llm, CacheType::F16), session(&llm, CacheType::F16));
    first.prompt(&tokens(1, 9), &mut || Continue(())).unwrap();
    full.prompt(&tokens(2, 159), &mut || Continue(())).unwrap();
    let (next, unknown) = (tokens(3, 2), [TokenId(VOCAB as u32)]);
    let before = first.logits().to_vec();
    let mut batch = Batch::new();
    let error = batch.append(&mut [(&mut first, &next), (&mut full, &next)]).unwrap_err();
    assert!(matches!(error, LlmError::ContextFull { needed: 161, capacity: 160 }), "{error}");
    assert!(batch.append(&mut [(&mut first, &next), (&mut full, &unknown)]).is_err());
    assert_eq!((first.len(), full.len()), (9, 159));
    assert_eq!(first.logits(), before);
    batch.append(&mut []).unwrap();
    batch.append(&mut [(&mut first, &[]), (&mut full, &[])]).unwrap();
    assert_eq!(first.logits(), before);
}

/// A text to be written.
struct Text {
    prompt: &'static str,
    sampler: SamplerOptions,
    options: GenerateOptions,
}

fn texts() -> Vec<Text> {
    let chance = |seed| SamplerOptions { temperature: 0.9, repetition_penalty: 1.1, seed, ..SamplerOptions::default() };
    let options = |max_tokens, lookahead| GenerateOptions { max_tokens, lookahead, ..GenerateOptions::default() };
    let regex =
        |expression: &str| Some(Constrained { constraint: Constraint::Regex(expression.to_owned()), after: None });
    let copied = "<|user|>kitchen 21.3, hall 19.8, porch 4.2. Say it again.<|end|><|assistant|>kitchen 21.3,";
    let greedy = SamplerOptions::default();
    vec![
        Text { prompt: "<|user|>Hello.<|end|><|assistant|>The", sampler: greedy, options: options(80, 4) },
        Text { prompt: copied, sampler: greedy, options: options(60, 4) },
        Text { prompt: copied, sampler: chance(3), options: options(60, 0) },
        Text {
            prompt: "<|user|>Which light?<|end|><|assistant|>",
            sampler: chance(5),
            options: GenerateOptions {
                constraint: regex("The (hall|kitchen) light is (on|off)\\. That is all there is\\."),
                ..options(60, 4)
            },
        },
        Text {
            prompt: "<|user|>Hello.<|end|><|assistant|>The",
            sampler: greedy,
            options: GenerateOptions { stop: vec![".".to_owned(), "  ".to_owned()], ..options(60, 2) },
        },
        Text { prompt: "<|user|>Tell me a story.<|end|><|assistant|>", sampler: chance(13), options: options(150, 4) },
    ]
}

fn begun(llm: &Arc<Llm>, text: &Text, cache: CacheType) -> (Session, Sampler) {
    let mut session = Session::new(Arc::clone(llm), &SessionOptions { context_tokens: 300, cache }).unwrap();
    let prompt = llm.tokenizer().unwrap().encode_prompt(text.prompt);
    session.prompt(&prompt, &mut || Continue(())).unwrap();
    (session, Sampler::new(&text.sampler))
}

#[test]
fn texts_that_are_written_together_are_what_they_are_alone_and_one_that_is_given_up_changes_no_other() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/models/talk-nano.gguf"));
    let llm = Llm::open(path, &LlmOptions { threads: 2 }).unwrap();
    for cache in [CacheType::F16, CacheType::Q8_0] {
        let texts = texts();
        let alone = texts.iter().map(|text| {
            let (mut session, mut sampler) = begun(&llm, text, cache);
            let written = generate(&mut session, &mut sampler, &text.options, &mut |_| Continue(())).unwrap();
            (written.text, written.tokens, Some(written.finish), session.tokens().to_vec())
        });
        let alone: Vec<_> = alone.collect();
        assert!(matches!(alone[4].2, Some(Finish::StopString(_))), "{:?}", alone[4]);
        for given_up in [None, Some((0, 9)), Some((5, 3)), Some((1, 0))] {
            for most in [1, 2, Session::MOST_EACH] {
                let mut batch = Batch::new();
                let mut writing: Vec<_> = texts
                    .iter()
                    .map(|text| (begun(&llm, text, cache), Generation::new(&llm, &text.options).unwrap(), None))
                    .collect();
                let is_given_up =
                    |index: usize, round: usize| given_up.is_some_and(|(which, when)| which == index && when <= round);
                let mut sink = |_: &str| ControlFlow::Continue(());
                for round in 0.. {
                    let mut passes: Vec<(usize, Vec<TokenId>)> = Vec::new();
                    for (index, ((session, _), generation, finish)) in writing.iter_mut().enumerate() {
                        if finish.is_none() && !is_given_up(index, round) {
                            match generation.unread(session, most, &mut sink).unwrap() {
                                Unread::Tokens(tokens) => passes.push((index, tokens)),
                                Unread::End(end) => *finish = Some(end),
                            }
                        }
                    }
                    if passes.is_empty() {
                        break;
                    }
                    let mut pass: Vec<(&mut Session, &[TokenId])> = writing
                        .iter_mut()
                        .enumerate()
                        .filter_map(|(index, ((session, _), ..))| {
                            passes.iter().find(|(at, _)| *at == index).map(|(_, tokens)| (session, &tokens[..]))
                        })
                        .collect();
                    batch.append(&mut pass).unwrap();
                    for (index, _) in &passes {
                        let ((session, sampler), generation, finish) = &mut writing[*index];
                        *finish = generation.choose(session, sampler, &mut sink).unwrap();
                    }
                }
                for (index, (((session, _), generation, finish), alone)) in writing.into_iter().zip(&alone).enumerate()
                {
                    if is_given_up(index, usize::MAX) {
                        assert!(alone.0.starts_with(generation.text()), "{:?}: {:?}", alone.0, generation.text());
                        continue;
                    }
                    let written =
                        (generation.text().to_owned(), generation.tokens(), finish, session.tokens().to_vec());
                    assert_eq!(&written, alone, "text {index}, {cache:?}, at most {most} tokens");
                }
            }
        }
    }
}

#[test]
fn a_session_that_has_the_beginning_of_another_goes_on_as_that_one_does() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, kind) in [("llama", ""), ("gemma3", ""), ("lfm2", ""), ("qwen35", ""), ("gemma3n", "")] {
        let path = folder.path().join("model.gguf");
        write(architecture, kind, &path);
        let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
        for cache in [CacheType::F16, CacheType::Q8_0] {
            let (mut first, mut second) = (session(&llm, cache), session(&llm, cache));
            first.prompt(&tokens(1, 100), &mut || Continue(())).unwrap();
            second.prompt(&tokens(2, 120), &mut || Continue(())).unwrap();
            let mut twin = first.fork().unwrap();
            twin.truncate(64);
            assert!(second.is_like(&first));
            second.copy_from(&first, 64);
            assert_eq!((second.tokens(), second.logits().len()), (twin.tokens(), 0));
            let next = [twin.tokens(), &tokens(9, 20)].concat();
            let prefills = [&mut twin, &mut second].map(|session| session.prompt(&next, &mut || Continue(())).unwrap());
            assert_eq!(prefills[0], prefills[1], "{architecture}");
            assert_eq!(second.logits(), twin.logits(), "{architecture} {cache:?}");
        }
        let q8 = session(&llm, CacheType::Q8_0);
        assert!(!q8.is_like(&session(&llm, CacheType::F16)));
    }
}
