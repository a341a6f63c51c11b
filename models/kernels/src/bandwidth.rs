//! How fast this machine reads memory: what products with one token are limited by.

use crate::pool::Pool;

/// The bandwidth at which memory can be read with that many threads, in units of 10^9 bytes a second: the best of fifty
/// sums over a buffer, which should be several times the caches and lie as the weights lie. `now` is a clock that never goes back.
pub fn read_bandwidth(threads: usize, buffer: &[u8], now: &dyn Fn() -> std::time::Duration) -> f64 {
    let pool = Pool::new(std::num::NonZeroUsize::new(threads));
    let buffer = buffer.as_chunks::<8>().0;
    let each = 1 << 13;
    let mut best = 0f64;
    for _ in 0..50 {
        let total = std::sync::atomic::AtomicU64::new(0);
        let start = now();
        pool.run(buffer.len().div_ceil(each), &|task| {
            let mut lanes = [0u64; 16];
            for chunk in buffer[task * each..buffer.len().min((task + 1) * each)].chunks_exact(16) {
                for (lane, number) in lanes.iter_mut().zip(chunk) {
                    *lane ^= u64::from_ne_bytes(*number);
                }
            }
            total.fetch_xor(lanes.iter().fold(0, |a, b| a ^ b), std::sync::atomic::Ordering::Relaxed);
        });
        let seconds = (now() - start).as_secs_f64().max(1e-9);
        std::hint::black_box(total.into_inner());
        best = best.max(buffer.len() as f64 * 8.0 / seconds / 1e9);
    }
    best
}
