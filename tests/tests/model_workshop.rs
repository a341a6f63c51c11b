//! Models evaluated and made: `eval perplexity|kld|choice|rouge|suite`, `models imatrix`, `models convert`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nearfield_tests::{arg, finish, nearfield, root, run, wait_for};
use serde_json::{Value, json};

/// A text that the bundled model has some thousand tokens for.
fn text(folder: &Path) -> String {
    let path = folder.join("text.txt");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    fs::write(&path, readme.chars().filter(|c| c.is_ascii()).take(6000).collect::<String>()).unwrap();
    arg(&path).to_owned()
}

fn one(args: &[&str]) -> Value {
    let ran = run(args);
    ran.assert_done();
    ran.json().pop().expect("a line")
}

#[test]
fn a_model_is_at_no_distance_from_itself_and_chunks_are_scored_as_said() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path());
    let common = ["--text", &text, "--context", "64", "--chunks", "5", "--json"];
    let alone = one(&[&["eval", "perplexity", "--model", "talk-nano"], &common[..]].concat());
    let model = ["eval", "kld", "--model", "talk-nano", "--reference", "talk-nano"];
    let both = one(&[&model[..], &common].concat());
    assert_eq!((&alone["chunks"], &alone["tokens"], &alone["scored"]), (&json!(5), &json!(320), &json!(5 * 31)));
    assert_eq!(alone["partial"], json!(false));
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}: {line}"));
    assert!(number(&alone, "perplexity") > 1.0 && number(&alone, "perplexity_error") > 0.0);
    assert_eq!(number(&both, "perplexity"), number(&alone, "perplexity"));
    assert_eq!(number(&both, "reference_perplexity"), number(&alone, "perplexity"));
    for key in ["kld_mean", "kld_median", "kld_p99"] {
        assert!(number(&both, key).abs() < 1e-5, "{both}");
    }
    assert_eq!(number(&both, "top1_agreement"), 1.0);
    assert_eq!(number(&both, "model_bytes"), number(&both, "reference_bytes"));
}

#[test]
fn what_cannot_be_evaluated_is_named_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path());
    let perplexity = |more: &[&str]| run(&[&["eval", "perplexity", "--model", "talk-nano"], more].concat());
    perplexity(&["--text", &text, "--context", "2000"]).assert_fails(1, &["too short", "at least 4000"]);
    perplexity(&["--text", &text, "--context", "5000"]).assert_fails(1, &["--context 5000", "2048"]);
    perplexity(&["--text", "nowhere.txt"]).assert_fails(1, &["nowhere.txt"]);
    run(&["eval", "kld", "--model", "talk-nano", "--text", &text]).assert_fails(2, &["--reference FILE"]);
    if let Some(other) = nearfield_testdata::test_model("SmolLM2-135M-Instruct.Q4_1.gguf") {
        let ran = run(&["eval", "kld", "--model", "talk-nano", "--reference", arg(&other), "--text", &text]);
        ran.assert_fails(1, &["talk-nano", "SmolLM2", "vocabularies have"]);
    }
    let broken = folder.path().join("questions.jsonl");
    fs::write(&broken, "{\"question\": \"Q\", \"choices\": [\"a\"], \"answer\": 0}\n").unwrap();
    run(&["eval", "choice", arg(&broken), "--model", "talk-nano"]).assert_fails(1, &["row 1", "1 choices"]);
    run(&["eval", "rouge", arg(&broken)]).assert_fails(1, &["questions.jsonl, line 1", "reference"]);
    run(&["models", "convert", arg(&broken), "--to", "x.gguf"]).assert_fails(2, &["questions.jsonl", "config.json"]);
}

#[test]
fn questions_and_summaries_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let questions = folder.path().join("questions.jsonl");
    fs::write(
        &questions,
        "{\"ctx\": \"Which lights are\", \"endings\": [\"on?\", \"zebra xylophone\"], \"label\": 0}\n\
         {\"question\": \"Is it on?\", \"choices\": {\"text\": [\"Yes\", \"No\"], \"label\": [\"A\", \"B\"]}, \"answerKey\": \"B\"}\n",
    )
    .unwrap();
    let line = one(&["eval", "choice", arg(&questions), "--model", "talk-nano", "--json"]);
    assert_eq!((&line["eval"], &line["questions"]), (&json!("choice"), &json!(2)));
    let first = &run(&["eval", "choice", arg(&questions), "--model", "talk-nano", "--json"]).json()[0];
    assert_eq!(first["chosen"], json!(0), "{first}");
    let summaries = folder.path().join("summaries.jsonl");
    fs::write(&summaries, "{\"summary\": \"the cat sat\", \"reference\": [\"dogs\", \"the cat sat down\"]}\n").unwrap();
    let line = one(&["eval", "rouge", arg(&summaries), "--json"]);
    let f1 = line["rouge1"]["f1"].as_f64().unwrap();
    assert!((f1 - 6.0 / 7.0).abs() < 1e-9, "{line}");
}

#[test]
fn a_suite_that_falls_below_its_baseline_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let suite = |judge: &str| {
        let rows = [r#"{"any": ["light", "on", "off", "yes", "no", "I"]}"#, judge];
        let row = |(index, judge): (usize, &&str)| {
            format!(
                "{{\"id\": \"p{index}\", \"kind\": \"k\", \"ask\": \"Which lights are on?\", \"golden\": \"none\", \"judge\": {judge}}}\n"
            )
        };
        fs::write(path("suite.jsonl"), rows.iter().enumerate().map(row).collect::<String>()).unwrap();
    };
    suite(r#"{"words": [0, 500]}"#);
    let (rows, output, page) = (path("suite.jsonl"), path("base.json"), path("page.html"));
    let common = ["eval", "suite", "--model", "talk-nano", "--suite", arg(&rows)];
    run(&[&common[..], &["--output", arg(&output)]].concat()).assert_done();
    let base: Value = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    assert!(base["right"].as_u64().unwrap() >= 1 && base["decode_tokens_per_second"].as_f64().unwrap() > 0.0);
    run(&[&common[..], &["--output", arg(&output)]].concat()).assert_fails(2, &["--output"]);
    run(&[&common[..], &["--baseline", arg(&output), "--page", arg(&page)]].concat()).assert_done();
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("baseline: talk-nano") && !html.contains("http"), "{html}");
    suite(r#"{"exact": ["something that no model says"]}"#);
    run(&[&common[..], &["--baseline", arg(&output)]].concat())
        .assert_fails(1, &["the score fell by 50.0 points", "p1"]);
}

#[test]
fn an_importance_matrix_goes_on_after_an_interrupt_and_is_the_one_of_a_run_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Long enough that the run is not over when it is interrupted.
    let text = text(folder.path());
    fs::write(&text, fs::read_to_string(&text).unwrap().repeat(25)).unwrap();
    let collect = |out: &Path| {
        // Chunks of four blocks: most interrupts fall into one.
        let args = ["models", "imatrix", "talk-nano", "--calibrate", &text, "--context", "256", "-o", arg(out)];
        args.map(str::to_owned).to_vec()
    };
    let (whole, resumed) = (path("whole.gguf"), path("resumed.gguf"));
    let args = collect(&whole);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(&args).assert_done();
    run(&args).assert_fails(2, &["--output"]);
    // Interrupted: what has been read stays beside the file to be.
    let args = collect(&resumed);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut child = nearfield(&args).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(600));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(wait_for(Duration::from_secs(20), || child.try_wait().unwrap().is_some()));
    assert!(path("resumed.gguf.partial").exists() && !resumed.exists(), "the run was over before it was interrupted");
    let ran = finish(nearfield(&[&args[..], &["-v"]].concat()), &[], Duration::from_secs(120));
    ran.assert_done();
    assert!(ran.stderr.contains("chunks were read before"), "{ran:#?}");
    assert!(!path("resumed.gguf.partial").exists());
    let sums = |file: &Path| {
        let gguf = nearfield_gguf::Gguf::open(file).unwrap();
        let mut all = std::collections::BTreeMap::new();
        for (name, tensor) in gguf.tensors() {
            let bytes = &gguf.bytes()[tensor.range.clone()];
            all.insert(
                name.clone(),
                bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<f32>>(),
            );
        }
        all
    };
    let (a, b) = (sums(&whole), sums(&resumed));
    assert!(a.len() > 10 && a.keys().eq(b.keys()));
    for (name, a) in &a {
        for (a, b) in a.iter().zip(&b[name]) {
            assert!((a - b).abs() <= 1e-5 * a.abs(), "{name}: {a} {b}");
        }
    }
    run(&["models", "imatrix", "talk-nano", "--calibrate", &text, "--context", "64", "-o", &text, "--overwrite"])
        .assert_fails(2, &["are the same file"]);
}

#[test]
fn own_texts_for_importance_matrices_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["home", "reports", "captions"] {
        let files = ["a", "b"].map(|which| folder.path().join(format!("{name}-{which}.gguf")));
        for file in &files {
            let args = [
                "models",
                "imatrix",
                "talk-nano",
                "--calibrate",
                name,
                "--context",
                "64",
                "--chunks",
                "4",
                "-o",
                arg(file),
            ];
            run(&args).assert_done();
        }
        assert!(fs::read(&files[0]).unwrap() == fs::read(&files[1]).unwrap(), "{name}");
    }
}
