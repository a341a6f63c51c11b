//! `nearfield models quantize` as a user runs it: the file that llama.cpp writes, clear refusals, and never half a file.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nearfield_tests::{Ran, arg, assets, nearfield, root, run, wait_for};
use sha2::{Digest, Sha256};

fn quantize(source: &Path, to: &Path, more: &[&str]) -> Ran {
    run(&[&["models", "quantize", arg(source), arg(to)], more].concat())
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_file_is_the_one_that_llama_cpp_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (source, to) = (assets().join("models/talk-nano.gguf"), folder.path().join("q4.gguf"));
    let ran = quantize(&source, &to, &["--type", "q4_k_m"]);
    ran.assert_done();
    assert!(ran.stdout.contains("q4.gguf: 4.91 MB") && ran.stderr.contains("is quantized already"), "{ran:?}");
    let hash: String = Sha256::digest(fs::read(&to).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "4e9c30c84768ae3495fd7c6829278e05d7a37ce23c7fbbb448031a6cdfc763e5");
    quantize(&source, &to, &["--type", "Q8_0"]).assert_fails(1, &["q4.gguf exists", "--overwrite"]);
    let ran =
        quantize(&source, &to, &["--type", "auto", "--budget", "4.5MB", "--method", "fine", "--overwrite", "--json"]);
    let line = &ran.assert_done().json()[0];
    let bytes = fs::metadata(&to).unwrap().len();
    assert!(bytes <= 4_500_000 && line["bytes"] == bytes, "{line}");
    assert_eq!(names(folder.path()), ["q4.gguf"]);
    // It runs.
    run(&["chat", "--model", arg(&to), "--prompt", "Hello."]);
}

#[test]
fn a_dry_run_says_what_each_tensor_becomes_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (source, to) = (assets().join("models/talk-nano.gguf"), folder.path().join("q4.gguf"));
    let ran = quantize(&source, &to, &["--type", "Q4_K_M", "--dry-run", "--json"]);
    let plan = &ran.assert_done().json()[0];
    assert_eq!(plan["bytes"], 4_913_472);
    assert!(plan["tensors"].as_array().unwrap().iter().any(|tensor| tensor["to"] == "Q6_K"), "{plan}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (source, to) = (assets().join("models/talk-nano.gguf"), folder.path().join("to.gguf"));
    quantize(&source, &to, &["--type", "Q4_K_XL"]).assert_fails(2, &["Q4_K_XL", "Q4_K_M", "Q8_0"]);
    quantize(&source, &to, &["--type", "auto"]).assert_fails(2, &["--budget 300MB"]);
    quantize(&source, &to, &["--type", "auto", "--budget", "3 apples"]).assert_fails(2, &["apples", "MB"]);
    quantize(&source, &to, &["--type", "Q8_0", "--budget", "3MB"]).assert_fails(2, &["only --type auto"]);
    quantize(&source, &to, &["--type", "Q8_0", "--method", "imatrix"]).assert_fails(2, &["--imatrix FILE"]);
    quantize(&source, &to, &["--type", "Q4_0", "--method", "gptq"]).assert_fails(2, &["--calibrate text.txt"]);
    quantize(&source, &to, &["--type", "Q4_0", "--calibrate", "home"])
        .assert_fails(2, &["only --method gptq", "imatrix"]);
    let auto = ["--type", "auto", "--budget", "4MB", "--method", "gptq", "--calibrate", "home"];
    quantize(&source, &to, &auto).assert_fails(2, &["nearfield models imatrix", "--imatrix"]);
    let gptq = ["--type", "Q4_0", "--method", "gptq", "--calibrate"];
    quantize(&source, &to, &[&gptq[..], &["nowhere.txt"]].concat()).assert_fails(1, &["nowhere.txt"]);
    quantize(&source, &to, &[&gptq[..], &["reports", "--context", "9000"]].concat())
        .assert_fails(1, &["--context 9000"]);
    quantize(&source, &to, &["--type", "auto", "--budget", "1MB"]).assert_fails(1, &["the budget is 1000000"]);
    quantize(&source, &source, &["--type", "Q8_0", "--overwrite"]).assert_fails(2, &["is the source"]);
    let none = folder.path().join("none.gguf");
    quantize(&none, &to, &["--type", "Q8_0"]).assert_fails(1, &["none.gguf", "cannot be read"]);
    let short = folder.path().join("short.gguf");
    fs::write(&short, &fs::read(&source).unwrap()[..1_000_000]).unwrap();
    quantize(&short, &to, &["--type", "Q8_0"]).assert_fails(1, &["short.gguf", "broken GGUF file"]);
    quantize(&source, &to, &["--type", "Q4_0", "--imatrix", arg(&short)]).assert_fails(1, &["short.gguf"]);
    assert!(!to.exists());
}

#[test]
fn a_kill_at_any_moment_leaves_no_half_file_and_the_next_run_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let (source, to) = (assets().join("models/talk-nano.gguf"), folder.path().join("to.gguf"));
    let args = ["models", "quantize", arg(&source), arg(&to), "--type", "IQ4_XS"];
    let mut cut = 0;
    for after_ms in (0..200).step_by(10) {
        let mut child = nearfield(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let left = names(folder.path());
        if left.iter().any(|name| name == "to.gguf") {
            assert_eq!(fs::metadata(&to).unwrap().len(), 4_427_328);
            fs::remove_file(&to).unwrap();
        } else {
            cut += usize::from(!left.is_empty());
        }
    }
    assert!(cut > 0, "no run was killed while it wrote");
    run(&args).assert_done();
    assert_eq!(names(folder.path()), ["to.gguf"]);
}

#[test]
fn control_c_ends_it_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (source, to) = (assets().join("models/talk-nano.gguf"), folder.path().join("to.gguf"));
    let args = ["models", "quantize", arg(&source), arg(&to), "--type", "IQ4_XS", "--method", "fine", "--threads", "1"];
    let mut child = nearfield(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = wait_for(Duration::from_secs(20), || names(folder.path()).iter().any(|name| name.ends_with(".tmp")));
    assert!(began, "it has not begun to write");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert!(!status.success(), "{status}");
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}

/// Ascii of the documentation: the first part to calibrate on, the second to measure with.
fn texts(folder: &Path) -> (String, String) {
    let guide = fs::read_to_string(root().join("docs/voice.md")).unwrap();
    let ascii: String = guide.chars().filter(char::is_ascii).collect();
    let (calibrate, measure) = ascii.split_at(ascii.len() / 2);
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        arg(&folder.join(name)).to_owned()
    };
    (write("calibrate.txt", calibrate), write("measure.txt", measure))
}

#[test]
fn gptq_is_nearer_to_the_original_than_rounding_at_the_same_size() {
    let folder = tempfile::tempdir().unwrap();
    let (calibrate, measure) = texts(folder.path());
    let source = assets().join("models/talk-nano.gguf");
    let kld = |name: &str, more: &[&str]| {
        let to = folder.path().join(name);
        quantize(&source, &to, &[&["--type", "Q3_K_S"], more].concat()).assert_done();
        let ran = run(&[
            "eval",
            "kld",
            "--model",
            arg(&to),
            "--reference",
            arg(&source),
            "--text",
            &measure,
            "--context",
            "128",
            "--chunks",
            "12",
            "--json",
        ]);
        (fs::metadata(&to).unwrap().len(), ran.assert_done().json()[0]["kld_mean"].as_f64().unwrap())
    };
    let rtn = kld("rtn.gguf", &[]);
    // So little memory that the text is read several times.
    let gptq = ["--method", "gptq", "--calibrate", &calibrate, "--context", "128", "--chunks", "40", "--memory", "6MB"];
    let gptq = kld("gptq.gguf", &gptq);
    assert_eq!(gptq.0, rtn.0);
    assert!(gptq.1 < 0.6 * rtn.1, "{gptq:?} after {rtn:?}");
    assert_eq!(names(folder.path()).iter().filter(|name| name.contains("partial")).count(), 0);
}

#[test]
fn gptq_that_is_killed_goes_on_and_makes_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (calibrate, _) = texts(folder.path());
    let (source, to) = (assets().join("models/talk-nano.gguf"), folder.path().join("to.gguf"));
    let gptq = ["--type", "Q4_0", "--method", "gptq", "--calibrate", &calibrate, "--context", "64", "--chunks", "16"];
    // So little memory that a layer is two lots: there is much to do behind the first tensor that is kept.
    let gptq = [&gptq[..], &["--memory", "2MB", "--threads", "1", "-v"]].concat();
    quantize(&source, &to, &gptq).assert_done();
    let whole = fs::read(&to).unwrap();
    fs::remove_file(&to).unwrap();
    let partial = folder.path().join("to.gguf.partial");
    let begin = |signal: &str| {
        let args = [&["models", "quantize", arg(&source), arg(&to)], &gptq[..]].concat();
        let before = fs::metadata(&partial).map_or(0, |data| data.len());
        let child = nearfield(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let more = wait_for(Duration::from_secs(60), || {
            fs::metadata(&partial).is_ok_and(|data| data.len() > before.max(10_000))
        });
        assert!(more, "nothing is kept");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        assert!(!ended.status.success() && !to.exists());
        String::from_utf8(ended.stderr).unwrap()
    };
    begin("-KILL");
    let said = begin("-INT");
    assert!(said.contains("goes on from there"), "{said}");
    let ran = quantize(&source, &to, &gptq);
    ran.assert_done();
    assert!(ran.stderr.contains("matrices were rounded before"), "{ran:?}");
    assert!(fs::read(&to).unwrap() == whole, "another file than without a kill");
    assert!(!partial.exists());
}
