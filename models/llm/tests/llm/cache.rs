//! What the cache spares: shared prefixes, moved runs, sessions on disk.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use candle_core::quantized::GgmlDType;
use nearfield_llm::{CacheType, InputSquares, Llm, LlmError, LlmOptions, Prefill, Session, SessionOptions, TokenId};
use proptest::prelude::*;
use std::ops::ControlFlow;

use crate::synthetic::{Recipe, VOCAB, agreement, open};

fn session(llm: &Arc<Llm>, context_tokens: usize, cache: CacheType) -> Session {
    Session::new(Arc::clone(llm), &SessionOptions { context_tokens, cache }).unwrap()
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn numbers(range: std::ops::Range<u32>, step: u32) -> Vec<TokenId> {
    range.map(|i| TokenId((i * step + step) % VOCAB as u32)).collect()
}

#[test]
fn a_prompt_that_shares_500_of_520_tokens_costs_its_last_20() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, _) = open(&Recipe { layers: 6, ..Recipe::plain(GgmlDType::Q8_0) }, folder.path());
    let first = numbers(0..520, 37);
    let second = [&first[..500], &numbers(0..20, 41)].concat();
    let (mut warm, mut cold) = (session(&llm, 600, CacheType::F16), session(&llm, 600, CacheType::F16));
    warm.prompt(&first, &mut go_on).unwrap();
    assert_eq!(warm.prompt(&second, &mut go_on).unwrap(), Prefill { reused: 500, prefilled: 20, ..Prefill::default() });
    cold.prompt(&second, &mut go_on).unwrap();
    let (correlation, difference) = agreement(warm.logits(), cold.logits());
    assert!(difference < 0.05 && correlation > 0.999, "{difference} {correlation}");
    // The claim is of the work, not of what the session says of it: each matrix of the blocks is multiplied with 20 rows.
    let squares = Arc::new(InputSquares::new(true));
    warm.observe_inputs(Some(squares.clone()));
    warm.truncate(500);
    warm.prompt(&second, &mut go_on).unwrap();
    let sums = squares.sums();
    let blocks = sums.iter().filter(|(tensor, _)| tensor.starts_with("blk."));
    assert_eq!(blocks.clone().count(), 6 * 7, "q, k, v, output, gate, up and down of each block");
    for (tensor, squares) in blocks {
        assert_eq!(squares.rows, [20], "{tensor}");
    }
}

#[test]
fn what_follows_a_dropped_middle_is_moved_and_what_follows_a_changed_one_is_computed() {
    for architecture in ["llama", "qwen3", "phi2", "gemma3"] {
        for cache in [CacheType::F16, CacheType::Q8_0] {
            let folder = tempfile::tempdir().unwrap();
            let (llm, _) = open(&Recipe::of_family(architecture), folder.path());
            let (system, home, history) = (numbers(0..40, 37), numbers(0..20, 41), numbers(0..150, 43));
            let mut session = session(&llm, 300, cache);
            session.prompt(&[&system[..], &home, &history].concat(), &mut go_on).unwrap();
            for other in [&numbers(0..31, 47)[..], &numbers(0..9, 53), &[]] {
                let wanted = [&system[..], other, &history].concat();
                let prefill = session.prompt_moving(&wanted, 24, &mut go_on).unwrap();
                // The last token is computed for its logits.
                let expected = match other.is_empty() {
                    true => Prefill { reused: 189, moved: 149, prefilled: 1, stopped: false },
                    false => Prefill { reused: 40, moved: 0, prefilled: other.len() + 150, stopped: false },
                };
                assert_eq!(prefill, expected, "{architecture}");
                assert_eq!(session.tokens(), wanted);
            }
            // Moving there and back gives what stood there, but for rounding; nothing else has changed for these tokens.
            let again = [&system[..], &home, &history].concat();
            session.prompt_moving(&again, 24, &mut go_on).unwrap();
            let mut cold = self::session(&llm, 300, cache);
            cold.prompt(&again, &mut go_on).unwrap();
            let (correlation, difference) = agreement(session.logits(), cold.logits());
            eprintln!("{architecture} {cache:?}: there and back: correlation {correlation}, difference {difference}");
            let most = if cache == CacheType::F16 { 0.05 } else { 0.3 };
            assert!(difference < most && correlation > 1.0 - most / 5.0, "{architecture} {cache:?}: {difference}");
        }
    }
}

#[test]
fn in_a_single_layer_moving_is_exact() {
    // Keys and values of the first layer hang on a token and its place alone.
    for architecture in ["llama", "qwen3", "phi2", "gemma3"] {
        let folder = tempfile::tempdir().unwrap();
        let (llm, _) = open(&Recipe { layers: 1, ..Recipe::of_family(architecture) }, folder.path());
        let (system, history) = (numbers(0..40, 37), numbers(0..150, 43));
        let (mut moved, mut cold) = (session(&llm, 300, CacheType::F16), session(&llm, 300, CacheType::F16));
        moved.prompt(&[&system[..], &numbers(0..20, 41), &history].concat(), &mut go_on).unwrap();
        for other in [&numbers(0..31, 47)[..], &numbers(0..9, 53), &[]] {
            let wanted = [&system[..], other, &history].concat();
            let most = if other.is_empty() { 149 } else { 0 };
            assert_eq!(moved.prompt_moving(&wanted, 24, &mut go_on).unwrap().moved, most);
            cold.truncate(0);
            cold.prompt(&wanted, &mut go_on).unwrap();
            let (_, difference) = agreement(moved.logits(), cold.logits());
            assert!(difference < 5e-3, "{architecture}, {} tokens: {difference}", other.len());
        }
    }
}

#[test]
fn a_dropped_beginning_moves_all_that_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, _) = open(&Recipe::plain(GgmlDType::F32), folder.path());
    let (system, old, new) = (numbers(0..30, 37), numbers(0..50, 41), numbers(0..80, 43));
    let mut moved = session(&llm, 200, CacheType::F16);
    moved.prompt(&[&system[..], &old, &new].concat(), &mut go_on).unwrap();
    let mut removed = moved.fork().unwrap();
    let prefill = moved.prompt_moving(&[&system[..], &new].concat(), 24, &mut go_on).unwrap();
    assert_eq!(prefill, Prefill { reused: 109, moved: 79, prefilled: 1, stopped: false });
    removed.remove(30..80);
    removed.prompt(&[&system[..], &new].concat(), &mut go_on).unwrap();
    assert!(agreement(moved.logits(), removed.logits()).1 < 1e-3);
    // Too short a run is not worth it.
    let prefill = moved.prompt_moving(&[&system[..], &new[..20], &new].concat(), 200, &mut go_on).unwrap();
    assert_eq!((prefill.moved, prefill.reused), (0, 50));
    // A stop in the middle leaves a prefix that can be gone on from.
    let mut asked = 0;
    let stop = &mut || {
        asked += 1;
        if asked > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let wanted = [&numbers(0..100, 47)[..], &new].concat();
    assert!(moved.prompt_moving(&wanted, 24, stop).unwrap().stopped);
    assert_eq!(moved.tokens(), &wanted[..64]);
    assert_eq!(moved.prompt(&wanted, &mut go_on).unwrap().reused, 64);
    let mut cold = session(&llm, 200, CacheType::F16);
    cold.prompt(&wanted, &mut go_on).unwrap();
    assert!(agreement(moved.logits(), cold.logits()).1 < 5e-3);
}

#[test]
fn a_session_goes_on_from_a_file_as_if_nothing_had_happened() {
    for (cache, context_tokens) in [(CacheType::F16, 200), (CacheType::Q8_0, 130)] {
        let folder = tempfile::tempdir().unwrap();
        let (llm, _) = open(&Recipe::of_family("qwen3"), folder.path());
        let (path, tokens) = (folder.path().join("talk.session"), numbers(0..101, 37));
        let mut before = session(&llm, 200, cache);
        before.prompt(&tokens, &mut go_on).unwrap();
        before.save(&path, b"a note").unwrap();
        let mut after = session(&llm, context_tokens, cache);
        assert_eq!(after.restore(&path).unwrap(), b"a note");
        assert_eq!((after.tokens(), after.logits().len()), (before.tokens(), 0));
        let longer = [&tokens[..], &[TokenId(7)]].concat();
        assert_eq!(after.prompt(&longer, &mut go_on).unwrap().prefilled, 1);
        before.prompt(&longer, &mut go_on).unwrap();
        assert_eq!(after.logits(), before.logits());
        // Written whole, and nothing is left beside it.
        after.save(&path, b"").unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        // An empty one is a session too.
        after.truncate(0);
        after.save(&path, b"nothing yet").unwrap();
        assert_eq!((before.restore(&path).unwrap(), before.len()), (b"nothing yet".to_vec(), 0));
    }
}

#[test]
fn a_session_file_that_is_damaged_or_does_not_fit_is_a_clear_error_and_a_cold_start() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, _) = open(&Recipe::of_family("qwen3"), folder.path());
    let path = folder.path().join("talk.session");
    let mut session = self::session(&llm, 200, CacheType::F16);
    session.prompt(&numbers(0..50, 37), &mut go_on).unwrap();
    session.save(&path, b"note").unwrap();
    let good = std::fs::read(&path).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let huge = |at: usize| [&good[..at], &[0xff; 4], &good[at + 4..]].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "fewer than any session"),
        (good[..90].to_vec(), "fewer than any session"),
        (good[..good.len() - 1].to_vec(), "it is damaged: it has"),
        ([&good[..], b"x"].concat(), "it is damaged: it has"),
        (changed(7, 9), "its version is 9"),
        (changed(20, good[20] ^ 1), "another model"),
        (changed(40, 1), "of another kind"),
        (huge(56), "tokens and 200 fit"),
        (huge(60), "its note has"),
        (changed(good.len() / 2, good[good.len() / 2] ^ 1), "its sum does not match"),
        (changed(good.len() - 1, good[good.len() - 1] ^ 1), "its sum does not match"),
        (changed(0, b'x'), "is not a saved session"),
        (b"My diary. ".repeat(100), "is not a saved session"),
        (b"diary".to_vec(), "is not a saved session"),
        (b"NFSE".to_vec(), "fewer than any session"),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&path, &bytes).unwrap();
        let error = session.restore(&path).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("talk.session") && !text.contains('\n'), "{text}");
        assert_eq!(matches!(error, LlmError::NotSession { .. }), expected.contains("is no"), "{text}");
        assert!(session.is_empty());
        let prefill = session.prompt(&numbers(0..50, 37), &mut go_on).unwrap();
        assert_eq!((prefill.reused, prefill.prefilled), (0, 50), "{expected}");
    }
    // Another cache, a smaller context, another model of the same shape.
    std::fs::write(&path, &good).unwrap();
    assert!(self::session(&llm, 200, CacheType::Q8_0).restore(&path).unwrap_err().to_string().contains("another kind"));
    let error = self::session(&llm, 40, CacheType::F16).restore(&path).unwrap_err().to_string();
    assert!(error.contains("50 tokens and 40 fit"), "{error}");
    let other = PathBuf::from(folder.path()).join("other.gguf");
    let mut bytes = std::fs::read(folder.path().join("model.gguf")).unwrap();
    let at = bytes.len() - 256 * 4; // the last tensor is a vector of floats
    bytes[at] ^= 1;
    std::fs::write(&other, &bytes).unwrap();
    let other = Llm::open(&other, &LlmOptions { threads: 1 }).unwrap();
    let error = self::session(&other, 200, CacheType::F16).restore(&path).unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");
    assert!(session.restore(folder.path()).is_err() && session.restore(&folder.path().join("none")).is_err());
    assert!(
        session.save(&folder.path().join("no/such/folder"), b"").unwrap_err().to_string().contains("cannot be written")
    );
}

/// What a prompt is made of the one before it.
#[derive(Clone, Debug)]
enum Change {
    Same,
    Shorter(usize),
    Longer(Vec<u8>),
    Edited(usize, u8),
    WithoutMiddle(usize, usize),
    WithMore(usize, Vec<u8>),
    Another(Vec<u8>),
    /// An appended token, as a model that writes appends it.
    Step(u8),
    /// A few tokens with logits after each, as guessed ones are appended, of which the last are taken back.
    Guesses(Vec<u8>, usize),
}

fn changes() -> impl Strategy<Value = Vec<(Change, Option<usize>, usize)>> {
    // Few different tokens, so that runs are found everywhere.
    let tokens = |most| prop::collection::vec(0..6u8, 1..most);
    let at = || 0..160usize;
    let change = prop_oneof![
        3 => Just(Change::Same),
        2 => at().prop_map(Change::Shorter),
        2 => tokens(80).prop_map(Change::Longer),
        1 => (at(), 0..6u8).prop_map(|(at, token)| Change::Edited(at, token)),
        2 => (at(), at()).prop_map(|(from, len)| Change::WithoutMiddle(from, len)),
        1 => (at(), tokens(40)).prop_map(|(at, more)| Change::WithMore(at, more)),
        1 => tokens(190).prop_map(Change::Another),
        1 => (0..6u8).prop_map(Change::Step),
        1 => (tokens(6), 0..6usize).prop_map(|(guesses, kept)| Change::Guesses(guesses, kept)),
    ];
    let least = prop_oneof![Just(None), Just(Some(1)), Just(Some(3)), Just(Some(24))];
    // After how many blocks somebody stops it; most are not stopped.
    let stop = prop_oneof![4 => Just(usize::MAX), 1 => 0..4usize];
    prop::collection::vec((change, least, stop), 1..14)
}

fn changed(prompt: &[TokenId], change: &Change) -> Vec<TokenId> {
    let tokens = |bytes: &[u8]| bytes.iter().map(|b| TokenId(u32::from(*b) * 5 + 1)).collect::<Vec<_>>();
    let place = |at: usize| at % (prompt.len() + 1);
    match change {
        Change::Same => prompt.to_vec(),
        Change::Shorter(n) => prompt[..place(*n)].to_vec(),
        Change::Longer(more) => [prompt, &tokens(more)].concat(),
        Change::Edited(at, token) => {
            let mut prompt = prompt.to_vec();
            let at = place(*at);
            prompt.splice(at..(at + 1).min(prompt.len()), tokens(&[*token]));
            prompt
        }
        Change::WithoutMiddle(from, len) => {
            let from = place(*from);
            [&prompt[..from], &prompt[(from + len).min(prompt.len())..]].concat()
        }
        Change::WithMore(at, more) => [&prompt[..place(*at)], &tokens(more), &prompt[place(*at)..]].concat(),
        Change::Another(other) => tokens(other),
        Change::Step(token) => [prompt, &tokens(&[*token])].concat(),
        Change::Guesses(guesses, kept) => [prompt, &tokens(&guesses[..(*kept).min(guesses.len())])].concat(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_prompt_follows_whatever_other_the_session_holds_it_and_its_logits_are_a_fresh_session_s(
        changes in changes()
    ) {
        static MODELS: LazyLock<[(tempfile::TempDir, Arc<Llm>); 2]> = LazyLock::new(|| {
            [1, 3].map(|layers| {
                let folder = tempfile::tempdir().unwrap();
                let (llm, _) = open(&Recipe { layers, ..Recipe::plain(GgmlDType::F32) }, folder.path());
                (folder, llm)
            })
        });
        // Keys and values of a single layer hang on a token and its place alone, so that moving is exact there.
        follow(&MODELS[0].1, &changes, true)?;
        follow(&MODELS[1].1, &changes, false)?;
    }
}

fn follow(llm: &Arc<Llm>, changes: &[(Change, Option<usize>, usize)], moving: bool) -> Result<(), TestCaseError> {
    const CAPACITY: usize = 200;
    let mut used = session(llm, CAPACITY, CacheType::F16);
    let mut prompt = numbers(0..70, 37);
    for (change, least, stop) in changes {
        let least = least.filter(|_| moving);
        let before = used.tokens().to_vec();
        prompt = changed(&prompt, change);
        let mut blocks = 0;
        let mut go_on = || {
            blocks += 1;
            if blocks > *stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let follows = prompt.starts_with(&before);
        let outcome = match change {
            Change::Step(_) if follows && before.len() + 1 == prompt.len() => {
                used.append(&prompt[before.len()..]).map(|()| Prefill::default())
            }
            Change::Guesses(guesses, _)
                if follows && prompt.len() <= CAPACITY && before.len() + guesses.len() <= CAPACITY =>
            {
                let guesses = changed(&[], &Change::Another(guesses.clone()));
                used.append_each(&guesses[..guesses.len().min(Session::MOST_EACH)]).unwrap();
                used.truncate(prompt.len().min(used.len()));
                used.prompt(&prompt, &mut self::go_on)
            }
            _ => match least {
                None => used.prompt(&prompt, &mut go_on),
                Some(least) => used.prompt_moving(&prompt, least, &mut go_on),
            },
        };
        let fits = !prompt.is_empty() && prompt.len() <= CAPACITY;
        prop_assert_eq!(outcome.is_ok(), fits, "{:?}: {:?}", change, &outcome);
        let Ok(prefill) = outcome else {
            prop_assert_eq!(used.tokens(), &before[..], "a refused prompt leaves the session as it was");
            prompt = numbers(0..70, 37);
            continue;
        };
        prop_assert!(prompt.starts_with(used.tokens()));
        prop_assert_eq!(prefill.stopped, used.len() < prompt.len());
        prop_assert!(prefill.stopped || !used.logits().is_empty(), "{:?}", change);
        if !used.logits().is_empty() {
            let mut fresh = session(llm, CAPACITY, CacheType::F16);
            fresh.prompt(used.tokens(), &mut self::go_on).unwrap();
            let (_, difference) = agreement(used.logits(), fresh.logits());
            prop_assert!(difference < 5e-3, "{:?} {:?}: {}", change, least, difference);
        }
    }
    Ok(())
}
