//! Wording with writers of every kind: one that is right, one that lies, one that babbles, one that fails, one that says nothing;
//! and with the bundled model.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use jiff::tz::TimeZone;
use nearfield_telemetry::anomaly::AnomalyOptions;
use nearfield_telemetry::window::WindowPlan;
use nearfield_telemetry::windows::{ClosedWindow, Windows, WindowsOptions};
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};

use nearfield_telemetry::table::SYSTEM;

use super::*;

/// xorshift64*: the same numbers each time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

const NAMES: [(&str, &str); 6] = [
    ("kitchen temperature", "°C"),
    ("hall humidity", "%"),
    ("boiler flow", "l/min"),
    ("pump 3 pressure", "hPa"),
    ("zorvik", ""),
    ("attic light", "lx"),
];

/// A day of random values: noise, and with luck a spike, a gap, a drift.
pub(super) fn random_table(dice: &mut Dice) -> Table {
    let plan = WindowPlan::new("1d".parse().unwrap(), "1d".parse().unwrap(), TimeZone::UTC).unwrap();
    let mut windows = Windows::new(WindowsOptions {
        plan,
        lateness_seconds: None,
        waiting: 100_000,
        clock_jump_seconds: 1e9,
        latest: None,
        distinct: false,
        rereads: false,
        anomalies: AnomalyOptions::default(),
    });
    let sensors = 1 + dice.roll(6) as usize;
    let traits: Vec<SensorTraits> = NAMES[..sensors]
        .iter()
        .map(|(name, unit)| SensorTraits { name: (*name).into(), unit: (*unit).into(), ..SensorTraits::default() })
        .collect();
    for t in &traits {
        windows.add_sensor(t.clone());
    }
    let mut closed: Vec<ClosedWindow> = Vec::new();
    let shapes: Vec<[f64; 4]> = (0..sensors)
        .map(|_| {
            let level = [0.0, -20.0, 21.0, 400.0, 1013.0][dice.roll(5) as usize];
            [level, 0.1 + dice.roll(50) as f64 / 10.0, dice.roll(288) as f64, dice.roll(5) as f64]
        })
        .collect();
    for day in 0..1 + dice.roll(2) as i64 {
        for slot in 0..288i64 {
            for (i, [level, noise, when, what]) in shapes.iter().enumerate() {
                let at = Moment((20_000 + day) * 86_400_000_000 + slot * 300_000_000);
                let since = slot as f64 - when;
                let extra = match *what as u32 {
                    0 if since == 0.0 => noise * 60.0,
                    1 if (0.0..20.0).contains(&since) => continue,
                    2 if since > 0.0 => noise * since / 10.0,
                    _ => 0.0,
                };
                let value = level + noise * (dice.roll(2001) as f64 / 1000.0 - 1.0) + extra;
                windows.push(Reading { at, sensor: SensorId(i as u32), value }, &mut |w| closed.push(w));
            }
        }
    }
    windows.finish(&mut |w| closed.push(w));
    let last = closed.last().unwrap();
    Table::new(last, &|s| traits[s.sensor.0 as usize].clone(), &TimeZone::UTC)
}

/// Everything that a report of the table may tell.
fn all_topics(table: &Table) -> Vec<Topic> {
    let all = (0..table.notes().len()).map(Topic::Note).chain((0..table.rows().len()).map(Topic::Row));
    all.chain(table.notes().is_empty().then_some(Topic::NothingUnusual)).collect()
}

/// A writer in one closure, which is called with the prompt's text and what it is held to at the second try.
struct Says<F>(F);

impl<F: FnMut(&str, Option<&Forms>) -> anyhow::Result<String> + Send> Writer for Says<F> {
    fn write(
        &mut self,
        _turn: Turn,
        table: &str,
        task: Task<'_>,
        _most: usize,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> anyhow::Result<Tokens> {
        let held_to = if let Task::Sentence(forms) = task { Some(forms) } else { None };
        let text = (self.0)(table, held_to)?;
        for piece in text.split_inclusive(' ') {
            if sink(piece).is_break() {
                break;
            }
        }
        Ok(Tokens { generated: text.len() / 4, ..Tokens::default() })
    }
}

fn composed(
    writer: impl FnMut(&str, Option<&Forms>) -> anyhow::Result<String> + Send + 'static,
    table: &Table,
) -> (Composed, Vec<Sentence>) {
    let mut said = Vec::new();
    let mut composer = Compose::new(Some(Box::new(Says(writer))), 200);
    let composed = composer.compose(Turn(1), table, Instant::now(), &mut |s| said.push(s.clone()));
    (composed, said)
}

/// A sentence with one digit changed.
fn lie(sentence: &str, dice: &mut Dice) -> String {
    let mut lie = sentence.to_owned();
    let digits: Vec<usize> = lie.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(i, _)| i).collect();
    if !digits.is_empty() {
        let at = digits[dice.roll(digits.len() as u64) as usize];
        let new = (lie.as_bytes()[at] - b'0' + 1 + dice.roll(9) as u8) % 10;
        lie.replace_range(at..=at, &new.to_string());
    }
    lie
}

/// What comes of a wish under a mask: letter by letter what is wished where that is allowed, and anything that is where not.
fn masked(held_to: &Forms, wish: &str, dice: &mut Dice) -> String {
    let wish: Vec<char> = wish.chars().collect();
    let mut open: Vec<Vec<char>> = held_to.all().iter().map(|s| s.chars().collect()).collect();
    let mut text = String::new();
    for at in 0.. {
        let wished = wish.get(at).filter(|w| open.iter().any(|o| o.get(at) == Some(w)));
        let Some(next) = wished.or(open[dice.roll(open.len() as u64) as usize].get(at)).copied() else { break };
        text.push(next);
        open.retain(|o| o.get(at) == Some(&next));
    }
    text
}

#[test]
fn a_right_writer_is_left_alone_and_heard_at_once() {
    let mut dice = Dice(5);
    for _ in 0..40 {
        let table = random_table(&mut dice);
        let text = topics(&table).into_iter().map(|t| compute(&table, t)).collect::<Vec<_>>().join(" ");
        let expected = text.clone();
        let (composed, said) = composed(move |_, _| Ok(text.clone()), &table);
        assert_eq!(composed.sentences, said);
        let joined: Vec<&str> = said.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(joined.join(" "), expected);
        assert!(said.iter().all(|s| s.origin == Origin::Written), "{said:?}");
    }
}

/// A thousand windows by a model that changes a digit in two sentences of three, at the second try too; `obeys`: its sampler is
/// held to the forms. How many sentences came out by whom.
fn thousand_windows_of_lies(obeys: bool) -> [usize; 3] {
    let mut dice = Dice(77);
    let mut origins: HashMap<Origin, usize> = HashMap::new();
    for round in 0..1000 {
        let table = random_table(&mut dice);
        let topics_of = |sentence: &str| {
            let names = |t: &Topic| match t {
                Topic::NothingUnusual => true,
                Topic::Note(n) => sentence.contains(&table.rows()[table.notes()[*n].row].name),
                Topic::Row(r) => sentence.contains(&table.rows()[*r].name),
            };
            let tells = |t: &Topic| names(t) && forms(&table, *t).all().iter().any(|form| form == sentence);
            all_topics(&table).into_iter().filter(tells).collect::<Vec<_>>()
        };
        let script: Vec<String> = topics(&table).into_iter().map(|t| compute(&table, t)).collect();
        let mut dice = Dice(1000 + round);
        let (composed, said) = composed(
            move |_, held_to| {
                let mut perhaps = |sentence: &str| match dice.roll(3) {
                    0 => sentence.to_owned(),
                    _ => lie(sentence, &mut dice),
                };
                Ok(match held_to {
                    None => script.iter().map(|s| perhaps(s)).collect::<Vec<_>>().join(" "),
                    Some(forms) => {
                        let forms_of = forms.all();
                        let wish = perhaps(script.iter().find(|s| forms_of.contains(s)).unwrap_or(&forms_of[0]));
                        if obeys { masked(forms, &wish, &mut dice) } else { wish }
                    }
                })
            },
            &table,
        );
        assert_eq!(composed.sentences, said);
        assert!((2..=5).contains(&said.len()), "{said:?}\n{table}");
        let mut told = HashSet::new();
        for sentence in &said {
            *origins.entry(sentence.origin).or_default() += 1;
            // Letter for letter one of the forms of a fact, so that the check is not its own judge.
            let of = topics_of(&sentence.text);
            assert!(!of.is_empty(), "{sentence:?} is not true of\n{table}");
            told.extend(of);
        }
        for n in 0..table.notes().len().min(3) {
            assert!(told.contains(&Topic::Note(n)), "{} is missing: {said:?}", compute(&table, Topic::Note(n)));
        }
    }
    let counts = [Origin::Written, Origin::Regenerated, Origin::Computed];
    let counts = counts.map(|origin| origins.get(&origin).copied().unwrap_or_default());
    writeln!(
        std::io::stderr(),
        "1000 windows, a model that lies, {}: {} sentences as written, {} regenerated, {} computed",
        if obeys { "held at the second try" } else { "not held" },
        counts[0],
        counts[1],
        counts[2]
    )
    .unwrap();
    counts
}

#[test]
fn of_a_thousand_random_windows_nothing_wrong_comes_out_of_a_lying_model() {
    let [written, regenerated, computed] = thousand_windows_of_lies(true);
    // Whatever is written for the second time is true: nothing is left to compute.
    assert!(written > 300 && regenerated > 1000 && computed == 0, "{written} {regenerated} {computed}");
}

#[test]
fn a_model_that_nothing_holds_is_still_held_by_the_check() {
    let [written, regenerated, computed] = thousand_windows_of_lies(false);
    assert!(written > 300 && regenerated > 100 && computed > 100, "{written} {regenerated} {computed}");
}

use std::io::Write;

#[test]
fn a_writer_that_babbles_fails_or_is_silent_costs_the_words_and_not_the_report() {
    let mut dice = Dice(9);
    let table = random_table(&mut dice);
    let plain: Vec<String> = topics(&table).into_iter().map(|t| compute(&table, t)).collect();
    let babble = "It is 21.5 degrees in the kitchen. The lights are on. ".repeat(20);
    let endless = "kitchen ".repeat(4000);
    for text in [babble.as_str(), endless.as_str(), "", ".", "\n\n\n", "¿½⅓"] {
        let text = text.to_owned();
        let (composed, said) = composed(move |_, _| Ok(text.clone()), &table);
        assert!((2..=5).contains(&said.len()));
        assert!(said.iter().all(|s| s.origin == Origin::Computed && plain.contains(&s.text)), "{said:?}");
        assert!(composed.refused.len() <= MAX_REFUSED && composed.failure.is_none());
    }
    let (composed, said) = composed(|_, _| anyhow::bail!("no memory"), &table);
    assert!(said.len() >= 2 && composed.failure.is_some_and(|f| f.contains("no memory")));
}

#[test]
fn a_report_in_another_language_is_computed_whatever_the_model_says() {
    let table = rich_table().in_language(Language::German);
    let text = topics(&table).into_iter().map(|t| compute(&table, t)).collect::<Vec<_>>().join(" ");
    let (composed, said) = composed(|_, _| panic!("the model is not called"), &table);
    assert!(said.iter().all(|s| s.origin == Origin::Computed), "{said:?}");
    let told: Vec<&str> = composed.sentences.iter().map(|s| s.text.as_str()).collect();
    assert!(text.starts_with(&told.join(" ")), "{told:?}");
    assert!(text.contains("im Mittel ") && !text.contains("The "), "{text}");
}

/// A table with several sensors and anomalies.
fn rich_table() -> Table {
    let mut dice = Dice(3);
    loop {
        let table = random_table(&mut dice);
        if table.rows().len() > 3 && table.notes().len() > 1 {
            return table;
        }
    }
}

#[test]
fn the_second_try_goes_on_from_the_same_prompt_and_is_held_to_one_fact() {
    let table = rich_table();
    type Asked = Vec<(String, Option<Forms>)>;
    let asked: Arc<Mutex<Asked>> = Arc::default();
    let seen = asked.clone();
    let (composed, said) = composed(
        move |prompt, held_to| {
            seen.lock().unwrap().push((prompt.to_owned(), held_to.cloned()));
            Ok("Something else.".to_owned())
        },
        &table,
    );
    let asked = asked.lock().unwrap();
    assert!(asked.len() > 1 && asked.iter().all(|(prompt, _)| *prompt == table.to_string()));
    assert!(asked[0].1.is_none(), "the first try is the whole report");
    let held: Vec<&Forms> = asked[1..].iter().map(|(_, forms)| forms.as_ref().unwrap()).collect();
    // Each is asked for once, and in the order of the report.
    let [first, second, ..] = held.as_slice() else { panic!("{held:?}") };
    assert_eq!((*first, *second), (&forms(&table, Topic::Note(0)), &forms(&table, Topic::Note(1))));
    assert_eq!(held.len(), said.len());
    // A writer that does not keep to it is refused once more, and the reason is kept.
    assert!(said.iter().all(|s| s.origin == Origin::Computed));
    assert!(composed.refused.len() > 1 && composed.failure.is_none());
}

#[test]
fn forms_that_can_not_be_written_cost_their_own_sentence_only() {
    let table = rich_table();
    let impossible = forms(&table, Topic::Note(0));
    let (composed, said) = composed(
        move |_, held_to| match held_to {
            None => Ok("Nothing is true. Nothing at all.".to_owned()),
            Some(forms) if *forms == impossible => {
                let what = "no token of the model's vocabulary may follow".to_owned();
                Err(LlmError::Constraint { kind: "regular expression", what }).context("the language model stopped")
            }
            Some(forms) => Ok(forms.all().pop().unwrap()),
        },
        &table,
    );
    assert_eq!(said[0], Sentence { text: compute(&table, Topic::Note(0)), origin: Origin::Computed });
    assert!(said.len() > 1 && said[1..].iter().all(|s| s.origin == Origin::Regenerated), "{said:?}");
    assert!(composed.failure.is_none() && composed.refused.iter().any(|(_, reason)| reason.contains("vocabulary")));
}

/// The bundled model as a writer.
fn bundled(sampler: SamplerOptions, max_tokens: usize) -> ModelWriter {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
    let llm = nearfield_llm::Llm::open(&path, &nearfield_llm::LlmOptions { threads: 1 }).unwrap();
    let (thread, _ends_with_its_last_handle) = LlmThread::start(llm);
    let session = SessionOptions { context_tokens: 1024, ..SessionOptions::default() };
    let lookahead = GenerateOptions::default().lookahead;
    ModelWriter::new(
        thread,
        ComposeOptions { system: SYSTEM.to_owned(), examples: Vec::new(), session, sampler, max_tokens, lookahead },
        Turns::default(),
    )
    .unwrap()
}

#[test]
fn a_real_model_that_babbles_says_only_true_sentences_at_the_first_try() {
    // So hot that any token is about as likely as any other.
    let hot = SamplerOptions { temperature: 30.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..SamplerOptions::default() };
    let mut composer = Compose::new(Some(Box::new(bundled(hot, 400))), 400);
    let mut dice = Dice(41);
    let mut chosen = HashSet::new();
    let mut sentences = 0;
    for turn in 0..12 {
        let table = random_table(&mut dice);
        let composed = composer.compose(Turn(turn), &table, Instant::now(), &mut |_| {});
        assert!(composed.failure.is_none() && composed.refused.is_empty(), "{composed:?}");
        assert!(composed.sentences.iter().all(|s| s.origin == Origin::Written), "{composed:?}");
        let text: Vec<&str> = composed.sentences.iter().map(|s| s.text.as_str()).collect();
        assert!(report_forms(&table).allows(&text.join(" ")), "{text:?} is no report of\n{table}");
        let plain: Vec<String> = all_topics(&table).into_iter().map(|t| compute(&table, t)).collect();
        sentences += text.len();
        chosen.extend(text.into_iter().filter(|t| !plain.iter().any(|p| p == t)).map(str::to_owned));
    }
    // It is the model that chooses the form: not always the plain one.
    assert!(sentences >= 24 && chosen.len() > sentences / 2, "{} of {sentences}", chosen.len());
}

#[test]
fn a_second_try_reads_no_token_of_the_prompt_again() {
    let mut writer = bundled(SamplerOptions::default(), 200);
    let table = rich_table();
    let (whole, one) = (report_forms(&table), forms(&table, Topic::Note(0)));
    let mut write =
        |task| writer.write(Turn(1), &table.to_string(), task, 200, &mut |_| ControlFlow::Continue(())).unwrap();
    let first = write(Task::Report(&whole));
    let second = write(Task::Sentence(&one));
    assert!(first.generated > second.generated, "{first:?} {second:?}");
    assert!(second.reused + 1 >= first.prefilled + first.reused && second.prefilled <= 1, "{first:?} {second:?}");
}

#[test]
fn examples_are_left_out_where_the_context_has_no_room_for_them() {
    let examples = vec![("Window: today\nhall: no readings".repeat(8), "The hall had no readings.".to_owned())];
    for (n, kept) in [(1, true), (200, false)] {
        let mut writer = bundled(SamplerOptions::default(), 200);
        writer.options.examples = std::iter::repeat_n(examples.clone(), n).flatten().collect();
        let table = rich_table();
        let forms = report_forms(&table);
        let tokens =
            writer.write(Turn(1), &table.to_string(), Task::Report(&forms), 200, &mut |_| ControlFlow::Continue(()));
        assert!(tokens.unwrap().generated > 0);
        assert_eq!(!writer.options.examples.is_empty(), kept, "{n}");
    }
}

#[test]
fn forms_that_no_token_can_begin_are_an_error_of_their_own_kind() {
    let mut writer = bundled(SamplerOptions::default(), 20);
    // Neither has a text: the one is no expression, the other allows nothing.
    for impossible in ["(", "[^\\x00-\u{10ffff}]"] {
        let constraint = Some(Constrained { constraint: Constraint::Regex(impossible.to_owned()), after: None });
        let error =
            writer.generate(Turn(1), "Kitchen", constraint, 20, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(LlmError::Constraint { .. })), "{impossible}: {error:#}");
    }
    assert!(writer.generate(Turn(1), "Kitchen", None, 20, &mut |_| ControlFlow::Continue(())).unwrap().generated > 0);
}

#[test]
fn the_bundled_model_s_session_is_cut_back_and_reuses_the_shared_prefix() {
    let mut writer = bundled(SamplerOptions::default(), 40);
    let prefix = writer.tokens(None).unwrap().len();
    let mut dice = Dice(21);
    let day = jiff::civil::date(2026, 11, 20);
    for round in 0..3 {
        let table = random_table(&mut dice).to_string();
        let tokens = writer.generate(Turn(1), &table, None, 40, &mut |_| ControlFlow::Continue(())).unwrap();
        // The first may come before there was time to keep the prefix warm.
        let warm = round == 0 || tokens.reused >= prefix.saturating_sub(1);
        assert!(tokens.generated > 0 && warm, "{round}: {tokens:?} {prefix}");
        writer.rest(day);
    }
    // The day is over: the cache is emptied, and then holds the prefix again, computed anew.
    writer.rest(jiff::civil::date(2026, 11, 21));
    assert_eq!(writer.flushes, 1);
    let tokens = writer
        .generate(Turn(2), &random_table(&mut dice).to_string(), None, 4, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert!(tokens.reused + 1 >= prefix || tokens.reused == 0, "{tokens:?}");
}
