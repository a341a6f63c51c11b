//! The public stories260K model (f32, SentencePiece) from the shared data: real weights that really tell a story. Where the
//! folder is absent each test says that it is skipped.

use std::path::PathBuf;
use std::sync::Arc;

use nearfield_llm::{
    Detokenizer, Finish, GenerateOptions, Llm, LlmOptions, MeasureOptions, Prefill, Sampler, SamplerOptions, Session,
    SessionOptions, TokenId, generate, measure,
};
use std::ops::ControlFlow;

use crate::oracle::Oracle;
use nearfield_testdata::test_data as shared_data;

fn stories() -> Option<(PathBuf, Arc<Llm>)> {
    let path = shared_data("llm/stories260Ktok512.gguf")?;
    let llm = Llm::open(&path, &LlmOptions { threads: 2 }).unwrap();
    Some((path, llm))
}

fn session(llm: &Arc<Llm>) -> Session {
    Session::new(Arc::clone(llm), &SessionOptions { context_tokens: 256, ..SessionOptions::default() }).unwrap()
}

fn prompt(session: &mut Session, tokens: &[TokenId]) -> Prefill {
    session.prompt(tokens, &mut || ControlFlow::Continue(())).unwrap()
}

/// The largest difference of two rows of logits.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

const ONCE: &str = "Once upon a time, there was a little girl named Lily. She loved";

#[test]
fn with_shared_data_the_logits_equal_plain_arithmetic() {
    let Some((path, llm)) = stories() else { return };
    let oracle = Oracle::open(&path);
    let tokens = llm.tokenizer().unwrap().encode_prompt(ONCE);
    let numbers: Vec<u32> = tokens.iter().map(|t| t.0).collect();
    for n in [1, 2, 7, tokens.len()] {
        let mut session = session(&llm);
        prompt(&mut session, &tokens[..n]);
        let expected = oracle.logits(&numbers[..n]);
        // The cache rounds keys and values to half floats; everything else is f32.
        let difference = difference(session.logits(), &expected);
        assert!(difference < 2e-2, "{n} tokens: logits differ by {difference}");
    }
}

#[test]
fn with_shared_data_a_greedy_story_is_coherent() {
    let Some((_, llm)) = stories() else { return };
    let mut session = session(&llm);
    prompt(&mut session, &llm.tokenizer().unwrap().encode_prompt(ONCE));
    let mut heard = String::new();
    let options = GenerateOptions { max_tokens: 60, ..GenerateOptions::default() };
    let sink = &mut |piece: &str| {
        heard.push_str(piece);
        ControlFlow::Continue(())
    };
    let generated = generate(&mut session, &mut Sampler::new(&SamplerOptions::default()), &options, sink).unwrap();
    eprintln!("{}", generated.text);
    assert_eq!((generated.finish, generated.tokens), (Finish::MaxTokens, 60));
    assert_eq!(generated.text, heard);
    assert!(heard.starts_with(" to play"), "{heard}");
    // Every word of so small a model is an English word of its stories.
    for word in ["the", "She", "was"] {
        assert!(heard.contains(word), "{heard}");
    }
}

#[test]
fn with_shared_data_step_by_step_equals_in_blocks() {
    let Some((_, llm)) = stories() else { return };
    let tokens: Vec<TokenId> = (0..200).map(|i| TokenId(3 + i * 7 % 500)).collect();
    let (mut whole, mut steps) = (session(&llm), session(&llm));
    assert_eq!(prompt(&mut whole, &tokens), Prefill { reused: 0, prefilled: 200, ..Prefill::default() });
    for token in &tokens {
        steps.step(*token).unwrap();
    }
    assert!(difference(whole.logits(), steps.logits()) < 1e-3);
    assert_eq!(whole.tokens(), steps.tokens());
}

#[test]
fn with_shared_data_a_reused_prefix_gives_what_a_cold_run_gives() {
    let Some((_, llm)) = stories() else { return };
    let tokens: Vec<TokenId> = (0..180).map(|i| TokenId(3 + i * 11 % 500)).collect();
    let mut other = tokens.clone();
    other[150] = TokenId(77);
    let mut warm = session(&llm);
    prompt(&mut warm, &tokens);
    let first = warm.logits().to_vec();
    assert_eq!(prompt(&mut warm, &tokens), Prefill { reused: 180, prefilled: 0, ..Prefill::default() });
    assert_eq!(warm.logits(), first, "an equal prompt costs nothing");
    assert_eq!(prompt(&mut warm, &other), Prefill { reused: 150, prefilled: 30, ..Prefill::default() });
    let mut cold = session(&llm);
    prompt(&mut cold, &other);
    assert!(difference(warm.logits(), cold.logits()) < 1e-3);
    // A prefix of what is held needs its last token again, for the logits.
    assert_eq!(prompt(&mut warm, &other[..100]), Prefill { reused: 99, prefilled: 1, ..Prefill::default() });
    assert_eq!(warm.len(), 100);
    let mut short = session(&llm);
    prompt(&mut short, &other[..100]);
    assert!(difference(warm.logits(), short.logits()) < 1e-3);
}

#[test]
fn with_shared_data_a_fork_goes_its_own_way() {
    let Some((_, llm)) = stories() else { return };
    let mut trunk = session(&llm);
    prompt(&mut trunk, &llm.tokenizer().unwrap().encode_prompt(ONCE));
    let before = trunk.logits().to_vec();
    let mut branch = trunk.fork().unwrap();
    assert_eq!(branch.logits(), before);
    branch.append(&[TokenId(300), TokenId(301)]).unwrap();
    let mut same = trunk.fork().unwrap();
    same.append(&[TokenId(300)]).unwrap();
    same.append(&[TokenId(301)]).unwrap();
    assert!(difference(branch.logits(), same.logits()) < 1e-3);
    assert_eq!((trunk.logits(), trunk.len()), (before.as_slice(), branch.len() - 2), "the trunk is as it was");
    branch.truncate(trunk.len());
    assert!(branch.logits().is_empty(), "what was cut has no logits");
}

#[test]
fn with_shared_data_embeddings_are_read_like_the_tokens_they_come_from() {
    let Some((path, llm)) = stories() else { return };
    let tokens = [TokenId(1), TokenId(300), TokenId(17), TokenId(400)];
    let rows: Vec<f32> = tokens[1..3].iter().flat_map(|t| llm.embedding(*t).unwrap()).collect();
    let (mut soft, mut hard) = (session(&llm), session(&llm));
    prompt(&mut hard, &tokens);
    prompt(&mut soft, &tokens[..1]);
    soft.append_embeddings(&rows).unwrap();
    assert_eq!(soft.tokens()[1..], [TokenId::EMBEDDING; 2]);
    soft.append(&tokens[3..]).unwrap();
    assert!(difference(soft.logits(), hard.logits()) < 1e-3);
    assert!(difference(soft.logits(), &Oracle::open(&path).logits(&[1, 300, 17, 400])) < 2e-2);
    assert_eq!(prompt(&mut soft, &tokens).reused, 1, "no prompt matches an embedding");
    assert!(soft.append_embeddings(&rows[1..]).unwrap_err().to_string().contains("rows of 64"));
}

#[test]
fn with_shared_data_removing_the_middle_moves_the_rest_to_its_new_place() {
    let Some((_, llm)) = stories() else { return };
    // With a single layer's keys nothing but the position matters, so removing what the rest never attended to would be exact;
    // with several it is an approximation, which must still agree on what comes next.
    let text = |s: &str| llm.tokenizer().unwrap().encode(s, false);
    let (mut first, second) = (vec![TokenId(1)], text(ONCE));
    first.extend(text("Tom had a big red ball."));
    let mut session = session(&llm);
    prompt(&mut session, &[first.clone(), second.clone()].concat());
    session.remove(1..first.len());
    assert_eq!(session.len(), 1 + second.len());
    let wanted: Vec<TokenId> = [vec![TokenId(1)], second].concat();
    assert_eq!(session.tokens(), wanted);
    assert_eq!(prompt(&mut session, &wanted).prefilled, 1);
    let best = |logits: &[f32]| logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    let mut cold = self::session(&llm);
    prompt(&mut cold, &wanted);
    assert_eq!(best(session.logits()), best(cold.logits()));
    assert!(difference(session.logits(), cold.logits()) < 3.0, "{}", difference(session.logits(), cold.logits()));
}

#[test]
fn with_shared_data_a_stop_is_obeyed_and_leaves_a_usable_session() {
    let Some((_, llm)) = stories() else { return };
    let tokens: Vec<TokenId> = (0..200).map(|i| TokenId(3 + i * 7 % 500)).collect();
    let mut stopped = session(&llm);
    let mut asked = 0;
    let go_on = &mut || {
        asked += 1;
        if asked > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let prefill = stopped.prompt(&tokens, go_on).unwrap();
    assert!(prefill.stopped && prefill.prefilled == stopped.len() && stopped.len() < 200 && !stopped.is_empty());
    assert!(stopped.logits().is_empty());
    let (mut cold, held) = (session(&llm), stopped.len());
    assert_eq!(prompt(&mut stopped, &tokens).reused, held);
    prompt(&mut cold, &tokens);
    assert!(difference(stopped.logits(), cold.logits()) < 1e-3);
    // The sink of a text that is being written is obeyed as well.
    let mut pieces = 0;
    let sink = &mut |_: &str| {
        pieces += 1;
        if pieces == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let o = GenerateOptions::default();
    let generated = generate(&mut stopped, &mut Sampler::new(&SamplerOptions::default()), &o, sink).unwrap();
    assert_eq!((generated.finish, pieces), (Finish::Stopped, 3));
}

#[test]
fn with_shared_data_a_stop_string_ends_the_text_and_never_shows() {
    let Some((_, llm)) = stories() else { return };
    let write = |stop: Vec<String>| {
        let mut session = session(&llm);
        prompt(&mut session, &llm.tokenizer().unwrap().encode_prompt(ONCE));
        let mut heard = String::new();
        let sink = &mut |piece: &str| {
            heard.push_str(piece);
            ControlFlow::Continue(())
        };
        let generated = generate(
            &mut session,
            &mut Sampler::new(&SamplerOptions::default()),
            &GenerateOptions { max_tokens: 60, stop, ..GenerateOptions::default() },
            sink,
        )
        .unwrap();
        assert_eq!(heard, generated.text);
        generated
    };
    let free = write(Vec::new()).text;
    // A string from the middle of the text that begins and ends inside words.
    let (at, _) = free.char_indices().nth(25).unwrap();
    let stop = free[at..].chars().take(9).collect::<String>();
    let cut = write(vec!["never to be seen".to_owned(), stop.clone()]);
    assert_eq!(cut.finish, Finish::StopString(stop.clone()));
    assert_eq!(cut.text, free[..free.find(&stop).unwrap()]);
}

#[test]
fn with_shared_data_the_same_seed_writes_the_same_text() {
    let Some((_, llm)) = stories() else { return };
    let write = |seed| {
        let mut session = session(&llm);
        prompt(&mut session, &llm.tokenizer().unwrap().encode_prompt(ONCE));
        let options = SamplerOptions { temperature: 1.0, seed, repetition_penalty: 1.1, ..SamplerOptions::default() };
        let o = GenerateOptions { max_tokens: 40, ..GenerateOptions::default() };
        generate(&mut session, &mut Sampler::new(&options), &o, &mut |_| ControlFlow::Continue(())).unwrap().text
    };
    assert_eq!(write(5), write(5));
    assert_ne!(write(5), write(6));
}

#[test]
fn with_shared_data_a_full_context_is_an_end_and_too_long_a_prompt_an_error() {
    let Some((_, llm)) = stories() else { return };
    let mut session =
        Session::new(Arc::clone(&llm), &SessionOptions { context_tokens: 30, ..SessionOptions::default() }).unwrap();
    let tokens = llm.tokenizer().unwrap().encode_prompt(ONCE);
    prompt(&mut session, &tokens);
    let o = GenerateOptions::default();
    let generated =
        generate(&mut session, &mut Sampler::new(&SamplerOptions::default()), &o, &mut |_| ControlFlow::Continue(()))
            .unwrap();
    assert_eq!(generated.finish, Finish::ContextFull);
    assert_eq!((session.len(), tokens.len() + generated.tokens), (30, 31), "the last token is written but not read");
    let long = vec![TokenId(5); 31];
    let held = session.tokens().to_vec();
    let error = session.prompt(&long, &mut || ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("31 tokens are needed and 30 fit"), "{error}");
    assert_eq!(session.tokens(), held);
    assert!(
        session.append(&[TokenId(512)]).is_err() && session.prompt(&[], &mut || ControlFlow::Continue(())).is_err()
    );
}

#[test]
fn with_shared_data_text_survives_tokens_and_back() {
    let Some((_, llm)) = stories() else { return };
    let tokenizer = llm.tokenizer().unwrap();
    assert!(tokenizer.is_end(TokenId(2)) && !tokenizer.is_end(TokenId(1)));
    for text in [
        "Once upon a time",
        "",
        " two  spaces ",
        "naïve 日本 👋🏽\n\ttab",
        "\u{0}nul",
        "مرحبا",
        &"a".repeat(3000),
        "<s> is text</s>",
    ] {
        let tokens = tokenizer.encode(text, false);
        assert_eq!(tokenizer.decode(&tokens), text);
        let mut detokenizer = Detokenizer::new();
        let streamed: String = tokens.iter().map(|t| detokenizer.push(tokenizer, *t)).collect();
        assert_eq!(
            streamed.strip_prefix(' ').unwrap_or(&streamed),
            text,
            "streaming keeps the space that encoding puts first"
        );
    }
    assert_eq!(tokenizer.encode("<s>", true), [TokenId(1)]);
    assert!(tokenizer.encode("<s>", false).len() > 1);
    assert_eq!(tokenizer.encode_prompt("<s>a")[0], TokenId(1));
    assert_ne!(tokenizer.encode_prompt("<s>a")[1], TokenId(1));
    // From the file's scores: "▁Once" is not a piece, "▁upon" may be; what is certain is that merging is greedy by score.
    assert_eq!(tokenizer.encode_prompt("the")[1..], tokenizer.encode("the", false));
}

#[test]
fn with_shared_data_a_model_can_be_measured() {
    let Some((_, llm)) = stories() else { return };
    // A clock that goes on by a second each time that it is looked at.
    let ticks = std::cell::Cell::new(0);
    let now = || {
        ticks.set(ticks.get() + 1);
        std::time::Duration::from_secs(ticks.get())
    };
    let session = SessionOptions { context_tokens: 128, ..SessionOptions::default() };
    let options = MeasureOptions { prompt: 64, generate: 16, repeats: 3, session };
    let measured = measure(&llm, &options, &now, &mut |_| {}).unwrap();
    assert_eq!((measured.prefill_tok_s, measured.decode_tok_s), (64.0, 16.0));
    assert_eq!((measured.first_token_cold_ms, measured.first_token_warm_ms), (1e3, 1e3));
    assert_eq!(measured.bytes_per_token, llm.info().bytes_per_token);
    assert!((measured.read_gb_s - 16.0 * measured.bytes_per_token as f64 / 1e9).abs() < 1e-12);
    // 5 layers of 2 x 4 heads x 8 numbers x 128 positions x 2 bytes
    assert_eq!(measured.cache_bytes, 5 * 2 * 4 * 8 * 128 * 2);
}

#[test]
fn models_and_sessions_may_cross_threads() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    shared::<Llm>();
    sent::<Session>();
    sent::<Sampler>();
}
