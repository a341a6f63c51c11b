//! The thread with the bundled model.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crossbeam_channel::never;
use nearfield_llm::{CacheType, Constrained, Constraint, LlmOptions, Session};

use super::soft_prompt::read_soft_prompt;
use super::*;
use crate::flow::{FlowEvent, Output, Queue, StopSignal, Turns};
use crate::messages::Tokens;

fn bundled() -> (LlmThread, JoinHandle<()>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
    LlmThread::start(Llm::open(&path, &LlmOptions { threads: 1 }).unwrap())
}

fn job(llm: &LlmThread, session: SessionId, text: &str, max_tokens: usize) -> Job {
    let prompt = llm.llm().tokenizer().unwrap().encode(text, true);
    let options = GenerateOptions { max_tokens, ..GenerateOptions::default() };
    Job { session, prompt, sampler: SamplerOptions::default(), options, cancel: Cancel::never() }
}

fn open(llm: &LlmThread, urgency: Urgency) -> SessionId {
    llm.open(urgency, SessionOptions { context_tokens: 1024, cache: CacheType::F16 }).unwrap()
}

/// The text of a job and when it was over.
fn outcome(events: Reply) -> (String, usize, Instant) {
    let mut text = String::new();
    for event in events {
        match event {
            Event::Text(piece) => text.push_str(&piece),
            Event::Done { generated, .. } => return (text, generated, Instant::now()),
            Event::Failed(error) => panic!("{error}"),
            Event::Prefilled(_) | Event::Logits(_) | Event::Likelihoods(_) => {}
        }
    }
    panic!("the events ended without an end");
}

#[test]
fn a_caption_under_way_lets_a_voice_pass_and_is_what_it_would_have_been() {
    let (llm, thread) = bundled();
    let (caption, voice) = (open(&llm, Urgency::Caption), open(&llm, Urgency::Voice));
    // No end token comes soon after this; the caption is long.
    let (slow, quick) = ("<|user|>Hello<|end|><|assistant|>The", "<|user|>Hello.<|end|><|assistant|>");
    let alone = outcome(llm.run(job(&llm, caption, slow, 400)));
    let long = llm.run(Job { session: open(&llm, Urgency::Caption), ..job(&llm, caption, slow, 400) });
    let reply = outcome(llm.run(job(&llm, voice, quick, 8)));
    let disturbed = outcome(long);
    assert_eq!((disturbed.0, disturbed.1), (alone.0, alone.1));
    assert!(reply.1 <= 8);
    drop(llm);
    thread.join().unwrap();
}

#[test]
fn after_a_panic_on_the_thread_the_flow_ends_with_it_and_every_caller_gets_an_error_now_and_later() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
    let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
    let mut flow = Flow::new();
    let llm = LlmThread::start_in(&mut flow, llm, None);
    let source = move |_out: &Output<()>, _stop: &StopSignal| {
        let session = open(&llm, Urgency::Voice);
        let failed = |reply: Reply| {
            let error = reply.read(&mut Tokens::default(), &mut |_| ControlFlow::Continue(())).unwrap_err();
            assert!(is_crash(&error), "{error:#}");
            format!("{error:#}")
        };
        let under_way = llm.run(job(&llm, session, "<|user|>Hello<|end|><|assistant|>The", 400));
        // A session that nobody has opened: a bug.
        failed(llm.run(job(&llm, SessionId(99), "Hello.", 4)));
        let error = failed(under_way);
        assert!(error.contains("llm panicked: "), "{error}");
        failed(llm.run(job(&llm, session, "Hello.", 4)));
        llm.warm(session, vec![TokenId(1)]);
        llm.forget(session);
        let options = SessionOptions { context_tokens: 64, cache: CacheType::F16 };
        assert!(matches!(llm.open(Urgency::Voice, options), Err(LlmError::Crashed { .. })));
        assert!(matches!(llm.save(session, Path::new("/nowhere/x"), vec![]), Err(LlmError::Crashed { .. })));
        assert!(matches!(llm.restore(session, Path::new("/nowhere/x")), Err(LlmError::Crashed { .. })));
        Ok(())
    };
    let mut told = Vec::new();
    let ran = flow.source(Queue::Wait(1), source).run(&never(), |event| {
        if let FlowEvent::Failed(failure) = event {
            told.push((failure.stage, failure.is_fatal));
        }
        Ok(ControlFlow::Continue(()))
    });
    let error = ran.unwrap_err().to_string();
    assert!(error.starts_with("llm panicked: "), "{error}");
    assert_eq!(told, [("llm", true)]);
}

#[test]
fn a_second_prompt_pays_only_for_what_is_new() {
    let (llm, _thread) = bundled();
    let session = open(&llm, Urgency::Voice);
    let prefilled = |text: &str| match llm.run(job(&llm, session, text, 1)).next().unwrap() {
        Event::Prefilled(prefill) => prefill,
        other => panic!("{other:?}"),
    };
    let first = prefilled("<|system|>You are Nearfield.<|end|><|user|>Hello.");
    assert_eq!(first.reused, 0);
    let second = prefilled("<|system|>You are Nearfield.<|end|><|user|>Hello. Is the door open?");
    assert!(second.reused + 2 >= first.prefilled, "{first:?} {second:?}");
}

/// A picture between two texts: `<|user|>` + `n` soft tokens, each the mean of two words, + a question.
#[test]
fn each_session_keeps_the_prompt_that_it_wants_warm() {
    let (llm, _thread) = bundled();
    let text = |n: usize| format!("<|system|>You are number {n}, and you answer in one word.<|end|><|user|>");
    let sessions: Vec<SessionId> = (0..3).map(|_| open(&llm, Urgency::Voice)).collect();
    for (n, id) in sessions.iter().enumerate() {
        llm.warm(*id, llm.llm().tokenizer().unwrap().encode(&text(n), true));
    }
    llm.close(sessions[0]);
    // Nothing tells that a prompt has been read; these two take some ten milliseconds.
    std::thread::sleep(Duration::from_secs(3));
    for (n, id) in sessions.iter().enumerate().skip(1) {
        let next = llm.run(job(&llm, *id, &format!("{}Hello.", text(n)), 1)).next().unwrap();
        let Event::Prefilled(prefill) = next else { panic!("{next:?}") };
        // Sessions that begin alike share their beginning: what is kept is the whole.
        assert!(prefill.prefilled < 8, "session {n}: {prefill:?}");
    }
}

fn with_picture(llm: &LlmThread, seed: u32) -> (Vec<TokenId>, Vec<f32>) {
    let tokenizer = llm.llm().tokenizer().unwrap();
    let mut tokens = tokenizer.encode("<|system|>You describe pictures.<|end|><|user|>", true);
    tokens.extend([TokenId::EMBEDDING; 5]);
    tokens.extend(tokenizer.encode("What do you see?<|end|><|assistant|>", true));
    let word = |id: u32| llm.llm().embedding(TokenId(id)).unwrap();
    let mean = |i: u32| word(300 + i).iter().zip(word(400 + i * seed)).map(|(a, b)| (a + b) / 2.0).collect::<Vec<_>>();
    (tokens, (0..5).flat_map(mean).collect())
}

#[test]
fn another_picture_replaces_only_its_span_and_the_same_one_costs_nothing() {
    let (llm, _thread) = bundled();
    let session = open(&llm, Urgency::Caption);
    let ask = |session: SessionId, seed: u32| {
        let (prompt, rows) = with_picture(&llm, seed);
        let extras = Extras { rows, spans: Vec::new(), choices: vec![TokenId(300), TokenId(301), TokenId(302)] };
        let job = Job { prompt, ..job(&llm, session, "", 1) };
        let mut events = llm.run_with(job, extras);
        match (events.next(), events.next()) {
            (Some(Event::Prefilled(prefill)), Some(Event::Logits(logits))) => (prefill, logits),
            other => panic!("{other:?}"),
        }
    };
    let total = with_picture(&llm, 1).0.len();
    let before_picture = with_picture(&llm, 1).0.iter().position(|t| *t == TokenId::EMBEDDING).unwrap();
    let (first, logits) = ask(session, 1);
    assert_eq!((first.reused, first.prefilled), (0, total));
    let (again, same_logits) = ask(session, 1);
    assert_eq!((again.reused, again.prefilled, &same_logits), (total, 0, &logits));
    let (second, other_logits) = ask(session, 2);
    // Row 0 mixes the same two words with either seed.
    assert_eq!((second.reused, second.prefilled), (before_picture + 1, total - before_picture - 1));
    assert_ne!(other_logits, logits);
    // What a session without a past says, the warm one says too.
    let (cold, cold_logits) = ask(open(&llm, Urgency::Caption), 2);
    assert_eq!(cold.reused, 0);
    for (warm, cold) in other_logits.iter().zip(&cold_logits) {
        assert!((warm - cold).abs() < 1e-2 * (1.0 + cold.abs()), "{warm} {cold}");
    }
}

#[test]
fn a_caption_of_a_picture_that_a_voice_passed_is_what_it_would_have_been() {
    let (llm, thread) = bundled();
    let describe = |session: SessionId| {
        let (prompt, rows) = with_picture(&llm, 3);
        llm.run_with(
            Job { prompt, ..job(&llm, session, "", 60) },
            Extras { rows, spans: Vec::new(), choices: Vec::new() },
        )
    };
    let alone = outcome(describe(open(&llm, Urgency::Caption)));
    let under_way = describe(open(&llm, Urgency::Caption));
    let voice = open(&llm, Urgency::Voice);
    for _ in 0..3 {
        outcome(llm.run(job(&llm, voice, "<|user|>Hello.<|end|><|assistant|>", 2)));
    }
    let disturbed = outcome(under_way);
    assert_eq!((disturbed.0, disturbed.1), (alone.0, alone.1));
    drop(llm);
    thread.join().unwrap();
}

#[test]
fn a_large_picture_is_read_in_blocks_that_can_be_broken_off_and_gone_on_with() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
    let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
    let new =
        || Session::new(llm.clone(), &SessionOptions { context_tokens: 1024, ..SessionOptions::default() }).unwrap();
    let (n, after) = (300, TokenId(7));
    let rows: Vec<f32> = (0..n).flat_map(|i| llm.embedding(TokenId(300 + i)).unwrap()).collect();
    let tokens = [vec![TokenId::EMBEDDING; n as usize], vec![after]].concat();
    // Whether each embedding sees the ones after it, and how often somebody else could have had the model.
    for (is_whole, looks) in [(false, 6), (true, 2)] {
        let spans = [PictureSpan { len: n as usize, columns: Some(20), is_whole }];
        let read = |session: &mut Session, held: &mut Vec<f32>, most: usize| {
            let mut looked = 0;
            let mut go_on = || {
                looked += 1;
                if looked > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let prefill = read_soft_prompt(session, held, &tokens, &rows, &spans, &mut go_on).unwrap();
            (prefill, looked)
        };
        let (mut whole, mut parts) = ((new(), Vec::new()), (new(), Vec::new()));
        let (prefill, looked) = read(&mut whole.0, &mut whole.1, usize::MAX);
        assert_eq!((prefill.stopped, prefill.prefilled, looked), (false, tokens.len(), looks));
        let (prefill, _) = read(&mut parts.0, &mut parts.1, 1);
        assert_eq!((prefill.stopped, prefill.prefilled), (true, if is_whole { 300 } else { 64 }));
        let (prefill, _) = read(&mut parts.0, &mut parts.1, usize::MAX);
        assert_eq!((prefill.reused, prefill.stopped), (if is_whole { 300 } else { 64 }, false));
        assert_eq!(parts.0.pictures(), whole.0.pictures());
        assert_eq!(parts.0.logits(), whole.0.logits());
    }
}

#[test]
fn soft_tokens_that_do_not_fit_their_places_are_refused() {
    let (llm, _thread) = bundled();
    let (prompt, mut rows) = with_picture(&llm, 1);
    rows.pop();
    let job = Job { prompt, ..job(&llm, open(&llm, Urgency::Caption), "", 1) };
    let mut events = llm.run_with(job, Extras { rows, spans: Vec::new(), choices: Vec::new() });
    assert!(matches!(events.next().unwrap(), Event::Failed(error) if error.to_string().contains("5 soft tokens")));
}

#[test]
fn an_unwanted_job_ends_at_the_next_token() {
    let (llm, _thread) = bundled();
    let session = open(&llm, Urgency::Voice);
    let turns = Turns::default();
    let cancel = turns.cancel_of(turns.begin());
    turns.silence_all();
    let unwanted = Job { cancel, ..job(&llm, session, "<|user|>Hello.<|end|><|assistant|>", 400) };
    let begun = Instant::now();
    let (text, generated, at) = outcome(llm.run(unwanted));
    assert_eq!((text.as_str(), generated), ("", 0));
    assert!(at - begun < Duration::from_secs(5));
}

/// A long text that begins requests.
fn preface() -> String {
    format!("<|system|>{}<|end|><|user|>", "The hall light is on and the kitchen is warm. ".repeat(20))
}

#[test]
fn requests_that_come_at_once_and_begin_alike_compute_the_beginning_once() {
    let (llm, _thread) = bundled();
    let texts: Vec<String> = (0..4).map(|i| format!("{}Hello {i}.<|end|><|assistant|>", preface())).collect();
    let alone: Vec<_> =
        texts.iter().map(|text| outcome(llm.run(job(&llm, open(&llm, Urgency::Voice), text, 24)))).collect();
    let sessions: Vec<SessionId> = (0..4).map(|_| open(&llm, Urgency::Request)).collect();
    let replies: Vec<Reply> = sessions.iter().zip(&texts).map(|(id, text)| llm.run(job(&llm, *id, text, 24))).collect();
    let (mut read, mut length) = (Vec::new(), 0);
    for (mut reply, (text, alone)) in replies.into_iter().zip(texts.iter().zip(&alone)) {
        let Some(Event::Prefilled(prefill)) = reply.next() else { panic!("a prefill") };
        length = llm.llm().tokenizer().unwrap().encode(text, true).len();
        assert_eq!(prefill.reused + prefill.prefilled, length);
        read.push(prefill.prefilled);
        assert_eq!(outcome(reply).1, alone.1);
    }
    read.sort_unstable();
    // The others compute at most what follows the beginning, and the part of a stretch that is too short to be waited for.
    assert!(read[3] == length && read[..3].iter().all(|n| *n < 128), "{read:?} of {length}");
}

#[test]
fn texts_that_are_written_together_are_what_they_are_alone_and_end_about_when_one_would() {
    let (llm, _thread) = bundled();
    let texts = ["Hello", "Is it cold?", "Tell me a story.", "What time is it?", "Good morning!"];
    let text = |i: usize| format!("<|user|>{}<|end|><|assistant|>The", texts[i]);
    let run = |i: usize, urgency| {
        let sampler = SamplerOptions { temperature: 0.9, seed: i as u64, ..SamplerOptions::default() };
        llm.run(Job { sampler, ..job(&llm, open(&llm, urgency), &text(i), 150) })
    };
    let alone: Vec<_> = (0..5).map(|i| outcome(run(i, Urgency::Request))).collect();
    let urgencies = [Urgency::Request, Urgency::Caption, Urgency::Request, Urgency::Report, Urgency::Request];
    let together: Vec<Reply> = urgencies.iter().enumerate().map(|(i, urgency)| run(i, *urgency)).collect();
    for (i, (reply, alone)) in together.into_iter().zip(&alone).enumerate() {
        let reply = outcome(reply);
        assert_eq!((&reply.0, reply.1), (&alone.0, alone.1), "text {i}");
    }
}

#[test]
fn a_text_goes_on_while_a_long_prompt_is_read_and_a_short_prompt_passes_the_long_one() {
    let (llm, _thread) = bundled();
    let options = SessionOptions { context_tokens: 4096, cache: CacheType::F16 };
    let [stream, long, short] = [0; 3].map(|_| llm.open(Urgency::Request, options).unwrap());
    let mut endless_text = job(&llm, stream, "<|user|>Hello<|end|><|assistant|>The", 400);
    let constraint = Constraint::Regex("[a-z ]{3000}".to_owned());
    // What repeats itself is held back: nothing likely, so no loops.
    endless_text.sampler =
        SamplerOptions { temperature: 4.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 3, ..SamplerOptions::default() };
    endless_text.options.constraint = Some(Constrained { constraint, after: None });
    let mut written = llm.run(endless_text);
    while !matches!(written.next().unwrap(), Event::Text(_)) {}
    let stream = std::thread::spawn(move || {
        let (mut pieces, mut end) = (Vec::new(), None);
        for event in written {
            match event {
                Event::Text(_) => pieces.push(Instant::now()),
                other => end = Some(other),
            }
        }
        (pieces, end)
    });
    let endless = "The hall light is on and the kitchen is warm. ".repeat(250);
    let read = llm.run(job(&llm, long, &endless, 1));
    let quick = outcome(llm.run(job(&llm, short, "<|user|>Good morning!<|end|><|assistant|>", 4)));
    let read = outcome(read);
    let (pieces, end) = stream.join().unwrap();
    let meanwhile = pieces.iter().filter(|at| **at < read.2).count();
    assert!(meanwhile * 64 > 1000, "{meanwhile} of {} pieces while the long prompt was read; {end:?}", pieces.len());
    assert!(quick.2 < read.2, "the short prompt waited for the long one");
}

#[test]
fn a_job_in_a_session_that_is_in_use_waits_for_the_earlier_one() {
    let (llm, _thread) = bundled();
    for urgency in [Urgency::Request, Urgency::Report] {
        let text = |word: &str| format!("<|user|>{word}<|end|><|assistant|>The");
        let alone =
            ["Hello", "Good morning!"].map(|word| outcome(llm.run(job(&llm, open(&llm, urgency), &text(word), 40))));
        let session = open(&llm, urgency);
        let both = ["Hello", "Good morning!"].map(|word| llm.run(job(&llm, session, &text(word), 40)));
        let both = both.map(outcome);
        assert_eq!((&both[0].0, &both[1].0), (&alone[0].0, &alone[1].0));
    }
}

#[test]
fn requests_take_turns_and_a_voice_goes_first() {
    let (llm, _thread) = bundled();
    let [long, short] = [open(&llm, Urgency::Request), open(&llm, Urgency::Request)];
    let voice = open(&llm, Urgency::Voice);
    let text = "<|user|>Hello<|end|><|assistant|>The";
    let slow = llm.run(job(&llm, long, text, 400));
    let quick = llm.run(job(&llm, short, text, 4));
    let spoken = outcome(llm.run(job(&llm, voice, text, 4)));
    let (quick, slow) = (outcome(quick), outcome(slow));
    assert!(spoken.2 <= slow.2 && quick.2 < slow.2, "the short request waited for the long one");
    assert!(slow.1 > quick.1, "{} and {} tokens", slow.1, quick.1);
}

#[test]
fn what_nobody_waits_for_rests_while_anybody_waits_and_is_what_it_would_have_been() {
    let (llm, thread) = bundled();
    let text = "<|user|>Hello<|end|><|assistant|>The";
    let alone = outcome(llm.run(job(&llm, open(&llm, Urgency::Idle), text, 400)));
    let idle = llm.run(job(&llm, open(&llm, Urgency::Idle), text, 400));
    let over: Vec<Instant> = [Urgency::Request, Urgency::Report, Urgency::Voice]
        .into_iter()
        .map(|urgency| outcome(llm.run(job(&llm, open(&llm, urgency), text, 100))).2)
        .collect();
    let rested = outcome(idle);
    assert_eq!((&rested.0, rested.1), (&alone.0, alone.1));
    assert!(over.iter().all(|other| *other < rested.2), "somebody waited for what nobody waits for");
    drop(llm);
    thread.join().unwrap();
}

#[test]
fn idle_work_begins_with_what_a_voice_has_read_and_leaves_it_as_it_is() {
    let (llm, _thread) = bundled();
    let options = SessionOptions { context_tokens: 1024, cache: CacheType::F16 };
    let voice = llm.open_moving(Urgency::Voice, options, 24).unwrap();
    let prefilled = |session: SessionId, text: &str| match llm.run(job(&llm, session, text, 1)).next().unwrap() {
        Event::Prefilled(prefill) => prefill,
        other => panic!("{other:?}"),
    };
    let long =
        "<|system|>You are Nearfield.<|end|>".to_owned() + &"<|user|>Hello.<|end|><|assistant|>Hi.<|end|>".repeat(20);
    prefilled(voice, &long);
    let idle = open(&llm, Urgency::Idle);
    let copied = prefilled(idle, &(long.clone() + "<|user|>Good night."));
    assert!(copied.reused > 100 && copied.prefilled < 20, "{copied:?}");
    // Another prompt of the same beginning; then the two take each other's place.
    let other = "<|system|>You are Nearfield.<|end|><|user|>What time is it?";
    prefilled(idle, other);
    assert!(prefilled(voice, &(long.clone() + "<|user|>Good night.")).prefilled < 20);
    llm.exchange(voice, idle);
    assert!(prefilled(voice, other).prefilled <= 1);
    llm.close(idle);
    // Whoever is told of a session that is gone loses nothing.
    llm.exchange(voice, idle);
    assert!(prefilled(voice, other).prefilled <= 1);
}

#[test]
fn what_nobody_waits_for_and_nobody_wants_any_more_ends_though_somebody_else_is_served() {
    let (llm, _thread) = bundled();
    let mut long = job(&llm, open(&llm, Urgency::Request), "<|user|>Hello<|end|><|assistant|>The", 900);
    let constraint = Constraint::Regex("[a-z ]{3000}".to_owned());
    long.sampler =
        SamplerOptions { temperature: 4.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 3, ..SamplerOptions::default() };
    long.options.constraint = Some(Constrained { constraint, after: None });
    let mut long = llm.run(long);
    while !matches!(long.next().unwrap(), Event::Text(_)) {}
    let long = std::thread::spawn(move || outcome(long).2);
    let turns = Turns::default();
    let idle: Vec<SessionId> = (0..10).map(|_| open(&llm, Urgency::Idle)).collect();
    let cancel = turns.cancel_of(turns.begin());
    let idle: Vec<Reply> = idle
        .into_iter()
        .map(|session| llm.run(Job { cancel: cancel.clone(), ..job(&llm, session, "<|user|>Hello", 100) }))
        .collect();
    turns.silence_all();
    let ended: Vec<Instant> = idle.into_iter().map(|reply| outcome(reply).2).collect();
    let long = long.join().unwrap();
    assert!(ended.iter().all(|at| *at < long), "they waited for the one that is served");
}

#[test]
fn what_is_forgotten_of_a_cache_is_read_again_and_its_beginning_is_not() {
    let (llm, _thread) = bundled();
    let session = open(&llm, Urgency::Voice);
    let kept = "<|system|>You are Nearfield.<|end|><|user|>Hello.<|end|>";
    let whole = format!("{kept}<|user|>My code is 4471.<|end|><|assistant|>");
    outcome(llm.run(job(&llm, session, &whole, 1)));
    let tokens = llm.llm().tokenizer().unwrap().encode(kept, true);
    llm.keep_only(session, tokens.clone());
    let Some(Event::Prefilled(prefill)) = llm.run(job(&llm, session, &whole, 1)).next() else { panic!("a prefill") };
    assert_eq!(prefill.reused, tokens.len());
}
