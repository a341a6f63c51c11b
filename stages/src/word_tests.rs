//! Wording with writers of every kind: one that is right, one that lies, one that babbles, one that fails, one that says nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use nearfield_models::telemetry::anomaly::AnomalyOptions;
use nearfield_models::telemetry::window::WindowPlan;
use nearfield_models::telemetry::windows::{ClosedWindow, Windows, WindowsOptions};
use nearfield_models::telemetry::{Moment, Reading, SensorId, SensorTraits};

use super::*;

/// xorshift64*: the same numbers each time.
struct Dice(u64);

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
fn random_table(dice: &mut Dice) -> Table {
    let plan = WindowPlan::new("1d".parse().unwrap(), "1d".parse().unwrap(), TimeZone::UTC).unwrap();
    let mut windows = Windows::new(WindowsOptions {
        plan,
        lateness_seconds: None,
        waiting: 100_000,
        clock_jump_seconds: 1e9,
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

/// Every plain sentence that is true of the table.
fn truths(table: &Table) -> Vec<String> {
    let all = (0..table.notes().len()).map(Topic::Note).chain((0..table.rows().len()).map(Topic::Row));
    let mut truths: Vec<String> = all.map(|t| compute(table, t)).collect();
    if table.notes().is_empty() {
        truths.push(compute(table, Topic::NothingUnusual));
    }
    truths
}

/// What a writer says about a prompt; it is called with the prompt's text.
struct Says<F>(F);

impl<F: FnMut(&str) -> anyhow::Result<String> + Send> Writer for Says<F> {
    fn write(
        &mut self,
        _turn: Turn,
        table: &str,
        _most: usize,
        sink: &mut dyn FnMut(&str) -> Flow,
    ) -> anyhow::Result<Tokens> {
        let text = (self.0)(table)?;
        for piece in text.split_inclusive(' ') {
            if sink(piece).is_stop() {
                break;
            }
        }
        Ok(Tokens { generated: text.len() / 4, ..Tokens::default() })
    }
}

fn worded(
    writer: impl FnMut(&str) -> anyhow::Result<String> + Send + 'static,
    table: &Table,
) -> (Worded, Vec<Sentence>) {
    let mut said = Vec::new();
    let mut word = Word::new(Some(Box::new(Says(writer))), 200);
    let worded = word.word(Turn(1), table, Instant::now(), &mut |s| said.push(s.clone()));
    (worded, said)
}

#[test]
fn a_right_writer_is_left_alone_and_heard_at_once() {
    let mut dice = Dice(5);
    for _ in 0..40 {
        let table = random_table(&mut dice);
        let text = topics(&table).into_iter().map(|t| compute(&table, t)).collect::<Vec<_>>().join(" ");
        let expected = text.clone();
        let (worded, said) = worded(move |_| Ok(text.clone()), &table);
        assert_eq!(worded.sentences, said);
        let joined: Vec<&str> = said.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(joined.join(" "), expected);
        assert!(said.iter().all(|s| s.origin == Origin::Written), "{said:?}");
    }
}

#[test]
fn of_a_thousand_random_windows_nothing_wrong_comes_out_of_a_lying_model() {
    let mut dice = Dice(77);
    let mut origins: HashMap<Origin, usize> = HashMap::new();
    let mut told_anomalies = 0;
    for round in 0..1000 {
        let table = random_table(&mut dice);
        let truth: HashSet<String> = truths(&table).into_iter().collect();
        let script: Vec<String> = topics(&table).into_iter().map(|t| compute(&table, t)).collect();
        let mut lies = Dice(1000 + round);
        // Changes a digit in two sentences of three, at the second try too.
        let (worded, said) = worded(
            move |prompt| {
                let facts: Vec<&String> = script
                    .iter()
                    .filter(|s| {
                        prompt
                            .lines()
                            .skip(1)
                            .any(|l| l.split(':').next().is_some_and(|n| !n.is_empty() && s.contains(n)))
                    })
                    .collect();
                let mut text = Vec::new();
                for sentence in facts {
                    let mut sentence = sentence.clone();
                    let digits: Vec<usize> =
                        sentence.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(i, _)| i).collect();
                    if lies.roll(3) > 0 && !digits.is_empty() {
                        let at = digits[lies.roll(digits.len() as u64) as usize];
                        let old = sentence.as_bytes()[at] - b'0';
                        let new = (old + 1 + lies.roll(9) as u8) % 10;
                        sentence.replace_range(at..=at, &new.to_string());
                    }
                    text.push(sentence);
                }
                Ok(text.join(" "))
            },
            &table,
        );
        assert_eq!(worded.sentences, said);
        assert!((2..=5).contains(&said.len()), "{said:?}\n{table}");
        for sentence in &said {
            *origins.entry(sentence.origin).or_default() += 1;
            // Letter for letter, so that the check is not its own judge.
            assert!(truth.contains(&sentence.text), "{sentence:?} is not true of\n{table}");
        }
        for n in 0..table.notes().len().min(3) {
            told_anomalies += 1;
            let sentence = compute(&table, Topic::Note(n));
            assert!(said.iter().any(|s| s.text == sentence), "{sentence} is missing: {said:?}\n{table}");
        }
    }
    let count = |origin| origins.get(&origin).copied().unwrap_or_default();
    writeln!(
        std::io::stderr(),
        "1000 windows, a lying model: {} sentences as written, {} regenerated, {} computed; {told_anomalies} anomalies told",
        count(Origin::Written),
        count(Origin::Regenerated),
        count(Origin::Computed)
    )
    .unwrap();
    assert!(count(Origin::Written) > 300 && count(Origin::Regenerated) > 100 && count(Origin::Computed) > 100);
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
        let (worded, said) = worded(move |_| Ok(text.clone()), &table);
        assert!((2..=5).contains(&said.len()));
        assert!(said.iter().all(|s| s.origin == Origin::Computed && plain.contains(&s.text)), "{said:?}");
        assert!(worded.refused.len() <= MAX_REFUSED && worded.failure.is_none());
    }
    let (worded, said) = worded(|_| anyhow::bail!("no memory"), &table);
    assert!(said.len() >= 2 && worded.failure.is_some_and(|f| f.contains("no memory")));
}

#[test]
fn the_second_try_sees_nothing_but_the_facts_of_its_sentence() {
    let mut dice = Dice(3);
    let table = loop {
        let table = random_table(&mut dice);
        if table.rows().len() > 3 && table.notes().len() > 1 {
            break table;
        }
    };
    let prompts: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = prompts.clone();
    let (_, said) = worded(
        move |prompt| {
            seen.lock().unwrap().push(prompt.to_owned());
            Ok("Something else.".to_owned())
        },
        &table,
    );
    let prompts = prompts.lock().unwrap();
    assert_eq!(prompts[0], table.to_string());
    assert!(prompts.len() > 1 && prompts[1..].iter().all(|p| p.lines().count() <= 4), "{prompts:#?}");
    assert!(said.iter().all(|s| s.origin == Origin::Computed));
}

#[test]
fn the_bundled_model_s_session_is_cut_back_and_reuses_the_shared_prefix() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
    let llm = nearfield_models::llm::Llm::open(&path, &nearfield_models::llm::LlmOptions { threads: 1 }).unwrap();
    let (thread, _ends) = LlmThread::start(llm);
    let options = WordOptions {
        session: SessionOptions { context_tokens: 1024, ..SessionOptions::default() },
        sampler: SamplerOptions::default(),
        max_tokens: 40,
    };
    let mut writer = ModelWriter::new(thread, options, Turns::default()).unwrap();
    let prefix = writer.tokens(None).unwrap().len();
    let mut dice = Dice(21);
    let day = jiff::civil::date(2026, 11, 20);
    for round in 0..3 {
        let table = random_table(&mut dice).to_string();
        let tokens = writer.write(Turn(1), &table, 40, &mut |_| Flow::Continue).unwrap();
        assert!(tokens.generated > 0 && tokens.reused >= prefix.saturating_sub(1), "{round}: {tokens:?} {prefix}");
        writer.rest(day);
    }
    // The day is over: the cache is emptied, and then holds the prefix again, computed anew.
    writer.rest(jiff::civil::date(2026, 11, 21));
    assert_eq!(writer.flushes, 1);
    let tokens = writer.write(Turn(2), &random_table(&mut dice).to_string(), 4, &mut |_| Flow::Continue).unwrap();
    assert!(tokens.reused + 1 >= prefix || tokens.reused == 0, "{tokens:?}");
}
