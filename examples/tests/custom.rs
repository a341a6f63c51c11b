//! Runs the examples of flows of one's own, as `cargo run --example` would.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// An example as cargo built it, beside the folder of this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let file = test.ancestors().nth(2).expect("target/release/deps/custom").join("examples").join(name);
    assert!(file.is_file(), "{} is not built: run `cargo test --release -p nearfield-examples`", file.display());
    file
}

/// What an example prints when `input` is all that it reads.
fn run(name: &str, input: &str) -> String {
    let mut command = Command::new(example(name));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the example starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{name}: {}\n{printed}", output.status);
    printed
}

#[test]
fn a_stage_of_ones_own_translates_what_was_heard() {
    let printed = run("custom_stage", "");
    assert!(printed.contains("1: wie ist die Temperatur in die kitchen"), "{printed}");
}

#[test]
fn a_flow_of_ones_own_prints_each_clause_and_the_times_of_its_stage() {
    let printed = run("custom_flow", "It is 21.5 degrees in the kitchen. The hall\nYes.\n");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..2], ["1: It is 21.5 degrees in the kitchen.", "1: The hall"], "{printed}");
    assert!(lines[2].starts_with("1: phrase worked ") && lines[2].ends_with(" on 2 messages"), "{printed}");
    assert_eq!((lines[3], lines.last()), ("2: Yes.", Some(&"that is all")), "{printed}");
}
