//! Reports by real models: how many sentences stand as written. `NEARFIELD_TEST_MODELS` names the folder of the models; with
//! `NEARFIELD_REPORT_WINDOWS=40` and `--nocapture`, so many windows are printed with what was written without a grammar beside it.

use std::io::Write;
use std::path::PathBuf;

use nearfield_telemetry::examples::examples;

use super::tests::{Dice, random_table};
use super::*;

/// A model that may write anything at the first try.
struct Unheld(ModelWriter);

impl Writer for Unheld {
    fn write(
        &mut self,
        turn: Turn,
        table: &str,
        task: Task<'_>,
        most_tokens: usize,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> anyhow::Result<Tokens> {
        match task {
            Task::Report(_) => self.0.generate(turn, table, None, most_tokens, sink),
            Task::Sentence(_) => self.0.write(turn, table, task, most_tokens, sink),
        }
    }
}

fn writer(file: &str, with_examples: bool) -> Option<ModelWriter> {
    let path = PathBuf::from(std::env::var_os("NEARFIELD_TEST_MODELS")?).join(file);
    if !path.exists() {
        return None;
    }
    let llm = nearfield_llm::Llm::open(&path, &nearfield_llm::LlmOptions { threads: 2 }).unwrap();
    let (thread, _ends_with_its_last_handle) = LlmThread::start(llm);
    let examples = if with_examples { examples() } else { Vec::new() };
    let options = ComposeOptions {
        system: nearfield_telemetry::table::SYSTEM.to_owned(),
        examples: examples.into_iter().map(|(table, report)| (table.to_string(), report.to_owned())).collect(),
        session: SessionOptions { context_tokens: 2560, ..SessionOptions::default() },
        sampler: SamplerOptions::default(),
        max_tokens: 400,
        lookahead: GenerateOptions::default().lookahead,
    };
    Some(ModelWriter::new(thread, options, Turns::default()).unwrap())
}

/// Writes about the same windows; the reports, and how many sentences are as written, regenerated and computed.
fn reports(writer: Box<dyn Writer>, windows: usize) -> (Vec<Composed>, [usize; 3]) {
    let mut composer = Compose::new(Some(writer), 400);
    let (mut dice, mut all, mut origins) = (Dice(2026), Vec::new(), [0; 3]);
    for turn in 0..windows as u64 {
        let table = random_table(&mut dice);
        let composed = composer.compose(Turn(turn), &table, Instant::now(), &mut |_| {});
        assert!(composed.failure.is_none(), "{composed:?}");
        for sentence in &composed.sentences {
            assert!(check::check(&table, &sentence.text).is_ok(), "{sentence:?}\n{table}");
            origins[sentence.origin as usize] += 1;
        }
        all.push(composed);
    }
    (all, origins)
}

fn text(composed: &Composed) -> String {
    composed.sentences.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn six_sentences_of_ten_stand_as_real_models_write_them() {
    let set = std::env::var("NEARFIELD_REPORT_WINDOWS").ok().and_then(|n| n.parse().ok());
    let windows: usize = set.unwrap_or(3);
    let mut out = std::io::stderr();
    for file in
        ["qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"]
    {
        let Some(held) = writer(file, true) else {
            writeln!(out, "{file}: skipped, NEARFIELD_TEST_MODELS has no such model").unwrap();
            continue;
        };
        let (with, origins) = reports(Box::new(held), windows);
        let share = origins[0] as f64 / origins.iter().sum::<usize>() as f64;
        writeln!(out, "{file}: {origins:?} sentences as written, regenerated, computed").unwrap();
        if set.is_some() {
            let milliseconds = with.iter().map(|c| c.checked.as_millis()).sum::<u128>() / windows as u128;
            writeln!(out, "{milliseconds} ms a report").unwrap();
            let (without, origins) = reports(Box::new(Unheld(writer(file, false).unwrap())), windows);
            writeln!(out, "without grammar and examples: {origins:?}").unwrap();
            let mut dice = Dice(2026);
            for (n, (with, without)) in with.iter().zip(&without).enumerate() {
                let table = random_table(&mut dice);
                let plain: Vec<String> = topics(&table).into_iter().map(|t| compute(&table, t)).collect();
                writeln!(
                    out,
                    "\n### {file}, window {}\n\n```\n{table}\n```\n\n- model: {}\n- forms: {}\n- before (as it was told after its check): {}\n- refused before: {:?}",
                    n + 1,
                    text(with),
                    plain.join(" "),
                    text(without),
                    without.refused.iter().map(|r| r.0.as_str()).collect::<Vec<_>>()
                )
                .unwrap();
            }
        }
        assert!(share >= 0.6, "{file}: {share:.2}");
    }
}
