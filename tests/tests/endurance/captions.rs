//! A month of pictures from one camera, on a clock that the test moves.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use nearfield_tests::clock::SimulatedClock;
use nearfield_tests::{arg, assets, nearfield};

use crate::is_whole;
use crate::program::{Program, assert_flat};

/// Pictures that are sent together, before time passes.
const BURST: usize = 10;
/// So many pictures show one scene.
const SCENE: usize = 100;
const A_MONTH: Duration = Duration::from_secs(30 * 86_400);

#[test]
fn a_month_of_pictures_leaves_memory_threads_handles_and_the_log_flat() {
    let pictures = if is_whole() { 50_000 } else { 600 };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().canonicalize().unwrap().join("data");
    fs::create_dir(&data).unwrap();
    let Some(clock) = SimulatedClock::new(folder.path(), "2026-10-19T22:00:00Z") else { return };
    let clock = Arc::new(clock);
    let (events, snapshots) = (data.join("events.jsonl"), data.join("snapshots"));
    let args = ["caption", "--input", "-", "--json", "--events", arg(&events), "--snapshots", arg(&snapshots)];
    let mut command = nearfield(&[&args[..], &["--set", "output.all=true"]].concat());
    clock.govern(&mut command, &data);
    let mut program = Program::start(command, clock.clone(), folder.path());
    let mut stdin = program.stdin();
    let mut scenes: Vec<_> = fs::read_dir(assets().join("pictures")).unwrap().map(|e| e.unwrap().path()).collect();
    scenes.retain(|path| path.extension().is_some_and(|e| e == "jpg"));
    scenes.sort();
    let scenes: Vec<Vec<u8>> = scenes.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut held = Vec::new();
    for burst in 0..pictures / BURST {
        for i in burst * BURST..(burst + 1) * BURST {
            // Now and then a broken one, as cameras send them.
            let scene = &scenes[i / SCENE % scenes.len()];
            stdin.write_all(if i % 997 == 996 { &scene[..scene.len() / 2] } else { scene }).unwrap();
        }
        let broken = ((burst + 1) * BURST) / 997;
        program.wait_for_lines((burst + 1) * BURST - 2 * broken - 1);
        clock.pass(A_MONTH / (pictures / BURST) as u32);
        if burst % (pictures / BURST / 20) == 0 {
            held.push(program.held());
        }
    }
    drop(stdin);
    program.end();
    let (lines, log) = (program.lines(), program.log());
    assert!(lines.len() + 2 * pictures.div_ceil(997) >= pictures, "{} of {pictures} pictures: {log}", lines.len());
    // Whatever is named by time is named by the time that the program was told.
    let names: Vec<String> =
        fs::read_dir(&snapshots).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    let of = |month: &str| names.iter().filter(|name| name.contains(month)).count();
    assert!(of("202610") > 0 && of("202611") > 0 && of("202610") + of("202611") == names.len(), "{names:?}");
    assert_flat(&format!("{pictures} pictures, {} snapshots", names.len()), &held[1..], &log);
}
