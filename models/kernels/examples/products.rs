//! How fast the products are at each level, on one thread: `cargo run --release -p nearfield-kernels --example products`.
//!
//! One token is limited by memory and given as GB/s of weights; many are limited by arithmetic and given as G multiplications
//! a second. The fastest of many short runs counts, so that a busy machine disturbs little. Each result is held to the scalar
//! level's.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use nearfield_kernels::{
    Activations, Attention, Format, KvFormat, KvHeads, KvStore, Level, Matrix, Pool, Product, Together, attend,
    multiply, strip_bytes, to_strips,
};

fn main() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown").to_owned();
    println!("{}; levels: {:?}", cpu.trim_start_matches([' ', '\t', ':']), Level::present());
    let level = Level::detect().unwrap_or(Level::SCALAR); // NEARFIELD_SIMD lowers it
    println!("measured: {level}");
    let pool = Pool::new(NonZeroUsize::new(1));
    let formats = [
        Format::Q4_0,
        Format::Q4_1,
        Format::Q5_0,
        Format::Q5_1,
        Format::Q8_0,
        Format::Q2K,
        Format::Q3K,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
        Format::Iq4Nl,
        Format::Iq4Xs,
        Format::Mxfp4,
        Format::F16,
        Format::F32,
    ];
    let only: Vec<String> = std::env::args().skip(1).collect(); // names of formats; without any, everything is measured
    println!("{:8}{:>22}{:>16}{:>16}", "format", "1 token", "8 tokens", "64 tokens");
    for format in formats {
        if !only.is_empty() && !only.iter().any(|name| name == format.name()) {
            continue;
        }
        let (rows, columns) = (std::env::var("ROWS").map_or(1024, |r| r.parse().unwrap()), 2048);
        let mut seed = 1u32;
        let mut bytes: Vec<u8> = (0..rows * format.row_bytes(columns).unwrap_or(0))
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8 & 0x3b // keeps every f16 and f32 in the bytes finite
            })
            .collect();
        bytes.iter_mut().for_each(|byte| *byte &= 0x3b);
        let Ok(weights) = Matrix::new(format, &bytes, rows, columns) else { continue };
        let mut in_strips = vec![0; strip_bytes(format, rows, columns).unwrap_or(0)];
        let in_rows = std::env::var_os("ROW_BY_ROW").is_some();
        let before = Instant::now();
        let weights = if in_strips.is_empty() || in_rows || !level.prefers_strips(format) {
            weights
        } else {
            to_strips(&pool, &weights, &mut in_strips);
            println!("{format}: {:.2} GB/s into strips", bytes.len() as f64 / before.elapsed().as_secs_f64() / 1e9);
            Matrix::of_strips(format, &in_strips, rows, columns).expect("just laid out")
        };
        let mut line = format!("{:8}", format.name());
        for tokens in [1, 8, 64] {
            let x: Vec<f32> = (0..tokens * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            let mut scratch = Activations::new();
            let mut out = vec![0f32; tokens * rows];
            let mut twin = out.clone();
            multiply(
                Level::SCALAR,
                &pool,
                Together::Fastest,
                &x[..columns],
                &mut scratch,
                &mut [Product { weights, out: &mut twin[..rows] }],
            );
            let seconds = best(&mut || {
                let mut product = [Product { weights, out: &mut out }];
                multiply(level, &pool, Together::Fastest, black_box(&x), &mut scratch, &mut product);
            });
            for (value, twin) in out.iter().zip(&twin[..rows]) {
                assert!((value - twin).abs() <= 1e-3 * twin.abs().max(1.0), "{format}: {value} is not {twin}");
            }
            let multiplications = (tokens * rows * columns) as f64 / seconds / 1e9;
            line += &match tokens {
                1 => format!("{:6.1} G/s {:5.1} GB/s", multiplications, bytes.len() as f64 / seconds / 1e9),
                _ => format!("{multiplications:12.1} G/s"),
            };
        }
        println!("{line}");
    }
    if !only.is_empty() && !only.iter().any(|name| name == "attention") {
        return;
    }
    for (n_heads, kv_heads, head_dim) in [(9, 3, 64), (14, 2, 64), (16, 8, 128)] {
        for (held, format) in [512, 2048, 8192].into_iter().flat_map(|n| [(n, KvFormat::F16), (n, KvFormat::Q8_0)]) {
            let heads = KvHeads { count: kv_heads, head_dim };
            let Some(mut store) = KvStore::new(format, &[heads], held) else { return };
            let row: Vec<f32> = (0..kv_heads * head_dim).map(|i| (i as f32).sin()).collect();
            (0..held).for_each(|position| store.write(level, 0, position, &row, &row));
            let mut line = format!("attention {n_heads}/{kv_heads} x {head_dim}, {held:4} held, {format:?}:");
            for tokens in [1, 64] {
                let q: Vec<f32> = (0..tokens * n_heads * head_dim).map(|i| (i as f32).cos()).collect();
                let mut out = vec![0f32; q.len()];
                let attention = Attention::plain(n_heads, held - tokens, 0.1);
                let seconds = best(&mut || attend(level, &pool, &attention, black_box(&q), &store, 0, &mut out));
                // A query times a key, and a weight times a value.
                let multiplications = (2 * tokens * n_heads * head_dim * held) as f64 / seconds / 1e9;
                line += &format!("  {tokens:2} tokens {:6.0} us {multiplications:5.1} G/s", seconds * 1e6);
            }
            println!("{line}");
        }
    }
}

/// Seconds of the fastest of many runs.
fn best(run: &mut dyn FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), f64::MAX);
    while start.elapsed() < Duration::from_millis(400) {
        let before = Instant::now();
        run();
        best = best.min(before.elapsed().as_secs_f64());
    }
    best
}
