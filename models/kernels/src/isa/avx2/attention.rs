//! Attention with AVX2: scores of some positions at a time for several queries of a head, then their values, in one pass with a
//! running maximum. And the rounding of what goes into a cache of half floats.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::float::exp;
use crate::kv_cache::{Head, KvStore, LANES, Numbers, Query, SCALED, Scoring};

/// Positions in a tile of scores.
const TILE: usize = 64;

/// Where the keys or values of one head lie: half floats without scales, or bytes with them.
#[derive(Clone, Copy)]
struct Place {
    numbers: *const u8,
    scales: *const u16,
}

impl Place {
    fn of(numbers: Numbers<'_>) -> Place {
        match numbers {
            Numbers::F16(halves) => Place { numbers: halves.as_ptr().cast(), scales: std::ptr::null() },
            Numbers::Q8 { bytes, scales } => Place { numbers: bytes.as_ptr().cast(), scales: scales.as_ptr() },
        }
    }
}

/// Eight numbers from number `index`, before their scale.
///
/// # Safety
/// AVX2 and F16C; the place has them.
#[inline(always)]
unsafe fn eight_numbers<const BYTES: bool>(place: Place, index: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        if BYTES {
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(place.numbers.add(index).cast())))
        } else {
            _mm256_cvtph_ps(_mm_loadu_si128(place.numbers.add(2 * index).cast()))
        }
    }
}

/// Attention of one to four queries to one head.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. The positions of each query are in the head's cache, at least one of them.
pub(crate) unsafe fn attend(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>]) {
    if !head.head_dim.is_multiple_of(8) {
        return crate::isa::scalar::attend(scoring, head, queries);
    }
    // SAFETY: the caller's promise.
    unsafe {
        match queries {
            [a] => attend_rows(scoring, head, std::array::from_mut(a)),
            [_, _] => attend_rows(scoring, head, <&mut [_; 2]>::try_from(queries).expect("two")),
            [_, _, _] => attend_rows(scoring, head, <&mut [_; 3]>::try_from(queries).expect("three")),
            [_, _, _, _] => attend_rows(scoring, head, <&mut [_; 4]>::try_from(queries).expect("four")),
            _ => unreachable!("one to four queries at a time"),
        }
    }
}

/// # Safety
/// As for [`attend`], and `head_dim` is a multiple of 8, at most [`KvStore::MOST_HEAD_DIM`].
#[inline]
unsafe fn attend_rows<const R: usize>(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>; R]) {
    // SAFETY: the caller's promise.
    unsafe {
        match head.keys {
            Numbers::F16(_) => attend_tiles::<R, false>(scoring, head, queries),
            Numbers::Q8 { .. } => attend_tiles::<R, true>(scoring, head, queries),
        }
    }
}

/// # Safety
/// As for [`attend_rows`]; `BYTES` says how the head is kept.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn attend_tiles<const R: usize, const BYTES: bool>(
    scoring: Scoring,
    head: Head<'_>,
    queries: &mut [Query<'_>; R],
) {
    let width = head.head_dim;
    let mut weighted = [[0f32; KvStore::MOST_HEAD_DIM]; R];
    let plain = scoring.cap == 0.0 && queries.iter().all(|query| query.slope == 0.0);
    // Tiles lie in the same places whatever is asked for together, so that the sums are the same to the last bit.
    let first = queries.iter().map(|query| query.first).min().unwrap_or(0) / TILE * TILE;
    let end = queries.iter().map(|query| query.end).max().unwrap_or(0);
    let mut start = first;
    while start < end {
        let count = (end - start).min(TILE);
        let mut scores = [[0f32; TILE]; R];
        // SAFETY: the panels from `start` to the one of `start + count - 1` are in the cache, whole, as its capacity is a
        // multiple of LANES; a tile is a whole number of panels.
        unsafe {
            let panels = count.div_ceil(LANES);
            let keys = Place::of(head.keys);
            let mut panel = 0;
            while panel + 2 <= panels {
                score_panels::<R, 2, BYTES>(queries, keys, width, start, panel, &mut scores);
                panel += 2;
            }
            if panel < panels {
                score_panels::<R, 1, BYTES>(queries, keys, width, start, panel, &mut scores);
            }
        }
        for (r, query) in queries.iter_mut().enumerate() {
            let scores = &mut scores[r];
            let all_visible = query.first <= start && start + TILE <= query.end;
            let mut best = [f32::NEG_INFINITY; LANES];
            for (chunk, lanes) in scores.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                for (lane, (score, best)) in lanes.iter_mut().zip(&mut best).enumerate() {
                    let position = start + chunk * LANES + lane;
                    *score = if plain {
                        *score * scoring.scale
                    } else {
                        scoring.score::<true>(*score, query.slope, query.position as f32 - position as f32)
                    };
                    if !all_visible && (position < query.first || position >= query.end) {
                        *score = f32::NEG_INFINITY;
                    }
                    *best = if *score > *best { *score } else { *best };
                }
            }
            let best = best.iter().fold(query.largest, |a, b| if *b > a { *b } else { a });
            if best == f32::NEG_INFINITY {
                scores.fill(0.0); // nothing visible in this tile
                continue;
            }
            let shrink = exp::<true>(query.largest - best);
            query.largest = best;
            let mut sums = [0f32; LANES];
            for lanes in scores.as_chunks_mut::<LANES>().0 {
                for (score, sum) in lanes.iter_mut().zip(&mut sums) {
                    // The exponential of minus infinity is only nearly zero: what is not visible must have no weight at all.
                    *score = if *score == f32::NEG_INFINITY { 0.0 } else { exp::<true>(*score - best) };
                    *sum += *score;
                }
            }
            query.total = query.total * shrink + sums.iter().sum::<f32>();
            if shrink != 1.0 {
                weighted[r][..width].iter_mut().for_each(|sum| *sum *= shrink);
            }
        }
        // SAFETY: the values from `start` to `start + count` are in the cache; `width` is a multiple of 8.
        unsafe {
            let values = Place::of(head.values);
            let mut d = 0;
            while d + 16 <= width {
                weigh_values::<R, 2, BYTES>(&scores, values, width, start..start + count, d, &mut weighted);
                d += 16;
            }
            if d < width {
                weigh_values::<R, 1, BYTES>(&scores, values, width, start..start + count, d, &mut weighted);
            }
        }
        start += count;
    }
    for (query, weighted) in queries.iter_mut().zip(&weighted) {
        query.out.copy_from_slice(&weighted[..width]);
    }
}

/// Scores of `R` queries with `P` panels of eight keys, the first of which is panel `panel` of the tile that begins at position
/// `start`.
///
/// # Safety
/// AVX2, FMA and F16C; the keys of these positions are in their place, each query has `width` numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn score_panels<const R: usize, const P: usize, const BYTES: bool>(
    queries: &[Query<'_>; R],
    keys: Place,
    width: usize,
    start: usize,
    panel: usize,
    scores: &mut [[f32; TILE]; R],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let first = start + panel * LANES;
        let mut sums = [[_mm256_setzero_ps(); P]; R];
        let mut scaled = [[_mm256_setzero_ps(); P]; R]; // of whole blocks, where there are scales
        for d in 0..width {
            let mut eight = [_mm256_setzero_ps(); P];
            for p in 0..P {
                eight[p] = eight_numbers::<BYTES>(keys, (first + p * LANES) * width + d * LANES);
            }
            for r in 0..R {
                let q = _mm256_broadcast_ss(queries[r].q.get_unchecked(d));
                for p in 0..P {
                    sums[r][p] = _mm256_fmadd_ps(q, eight[p], sums[r][p]);
                }
            }
            if BYTES && d % SCALED == SCALED - 1 {
                for p in 0..P {
                    let at = (first + p * LANES) * (width / SCALED) + d / SCALED * LANES;
                    let scale = _mm256_cvtph_ps(_mm_loadu_si128(keys.scales.add(at).cast()));
                    for r in 0..R {
                        scaled[r][p] = _mm256_fmadd_ps(sums[r][p], scale, scaled[r][p]);
                        sums[r][p] = _mm256_setzero_ps();
                    }
                }
            }
        }
        for r in 0..R {
            for p in 0..P {
                let sums = if BYTES { scaled[r][p] } else { sums[r][p] };
                _mm256_storeu_ps(scores[r][(panel + p) * LANES..][..LANES].as_mut_ptr(), sums);
            }
        }
    }
}

/// Adds the values of `positions`, weighted, to `N * 8` components from `d`.
///
/// # Safety
/// AVX2, FMA and F16C; the values of these positions are in their place, `d + 8 N <= width`, and with bytes these components
/// share a scale.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn weigh_values<const R: usize, const N: usize, const BYTES: bool>(
    weights: &[[f32; TILE]; R],
    values: Place,
    width: usize,
    positions: Range<usize>,
    d: usize,
    sums: &mut [[f32; KvStore::MOST_HEAD_DIM]; R],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut totals = [[_mm256_setzero_ps(); N]; R];
        for r in 0..R {
            for n in 0..N {
                totals[r][n] = _mm256_loadu_ps(sums[r][d + 8 * n..][..8].as_ptr());
            }
        }
        for (index, position) in positions.enumerate() {
            let mut eight = [_mm256_setzero_ps(); N];
            for n in 0..N {
                eight[n] = eight_numbers::<BYTES>(values, position * width + d + 8 * n);
            }
            if BYTES {
                let scale = values.scales.add(position * (width / SCALED) + d / SCALED).read_unaligned();
                let scale = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale))));
                for n in 0..N {
                    eight[n] = _mm256_mul_ps(eight[n], scale);
                }
            }
            for r in 0..R {
                let weight = _mm256_broadcast_ss(weights[r].get_unchecked(index));
                for n in 0..N {
                    totals[r][n] = _mm256_fmadd_ps(weight, eight[n], totals[r][n]);
                }
            }
        }
        for r in 0..R {
            for n in 0..N {
                _mm256_storeu_ps(sums[r][d + 8 * n..][..8].as_mut_ptr(), totals[r][n]);
            }
        }
    }
}

/// Rounds floats to f16, to the nearest even.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn to_halves(from: &[f32], to: &mut [u16]) {
    let to = &mut to[..from.len()];
    let (chunks, rest) = from.as_chunks::<8>();
    let (to_chunks, to_rest) = to.as_chunks_mut::<8>();
    for (from, to) in chunks.iter().zip(to_chunks) {
        // SAFETY: both have room for eight numbers.
        unsafe {
            let halves = _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(_mm256_loadu_ps(from.as_ptr()));
            _mm_storeu_si128(to.as_mut_ptr().cast(), halves);
        }
    }
    for (from, to) in rest.iter().zip(to_rest) {
        *to = half::f16::from_f32(*from).to_bits();
    }
}
