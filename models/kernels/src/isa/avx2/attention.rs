//! Attention with AVX2: scores of some positions at a time for several queries of a head, then their values, in one pass with a
//! running maximum. And the rounding of what goes into a cache of half floats.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::float::exp;
use crate::kv_cache::{Head, LANES, Numbers, Query, SCALED, Scoring};

/// Positions in a tile of scores.
const TILE: usize = 64;

/// How numbers are kept: half floats, bytes with scales, or floats.
#[derive(Clone, Copy)]
enum Kind {
    Halves,
    Bytes,
    Floats,
}

const HALVES: u8 = Kind::Halves as u8;
const BYTES: u8 = Kind::Bytes as u8;
const FLOATS: u8 = Kind::Floats as u8;

/// Where the keys or values of one head lie, with scales where they are bytes.
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

/// Keys and values of one head from position `first` on.
#[derive(Clone, Copy)]
struct Places {
    kind: Kind,
    first: usize,
    keys: Place,
    values: Place,
}

impl Places {
    fn of(head: Head<'_>) -> Places {
        let kind = match head.keys {
            Numbers::F16(_) => Kind::Halves,
            Numbers::Q8 { .. } => Kind::Bytes,
        };
        Places { kind, first: 0, keys: Place::of(head.keys), values: Place::of(head.values) }
    }
}

/// A tile whose bytes many queries share, as floats.
#[derive(Default)]
struct Unpacked {
    keys: Vec<f32>,   // [TILE / 8, head_dim, 8]
    values: Vec<f32>, // [TILE, head_dim]
}

impl Unpacked {
    /// Unpacks the tile that begins at `start`.
    ///
    /// # Safety
    /// AVX2, FMA and F16C; the head keeps bytes, and has these positions in whole panels.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn fill(&mut self, head: Head<'_>, start: usize, count: usize) -> Places {
        let width = head.head_dim;
        self.keys.resize(TILE * width, 0.0);
        self.values.resize(TILE * width, 0.0);
        let (keys, values) = (Place::of(head.keys), Place::of(head.values));
        // SAFETY: the caller's promise; both buffers have room for a tile.
        unsafe {
            for panel in 0..count.div_ceil(LANES) {
                let first = start + panel * LANES;
                for d in 0..width {
                    let at = first * (width / SCALED) + d / SCALED * LANES;
                    let scale = _mm256_cvtph_ps(_mm_loadu_si128(keys.scales.add(at).cast()));
                    let eight = eight_numbers::<BYTES>(keys, first * width + d * LANES);
                    let to = self.keys.as_mut_ptr().add((panel * width + d) * LANES);
                    _mm256_storeu_ps(to, _mm256_mul_ps(eight, scale));
                }
            }
            for position in 0..count {
                for block in 0..width / SCALED {
                    let at = (start + position) * width + block * SCALED;
                    let scale = scale_of(values, at);
                    let to = self.values.as_mut_ptr().add(position * width + block * SCALED);
                    for d in (0..SCALED).step_by(LANES) {
                        _mm256_storeu_ps(to.add(d), _mm256_mul_ps(eight_numbers::<BYTES>(values, at + d), scale));
                    }
                }
            }
        }
        let place = |floats: &[f32]| Place { numbers: floats.as_ptr().cast(), scales: std::ptr::null() };
        Places { kind: Kind::Floats, first: start, keys: place(&self.keys), values: place(&self.values) }
    }
}

/// The scale of the value that number `index` belongs to, eight times.
///
/// # Safety
/// AVX2 and F16C; the place has scales, and this one.
#[inline(always)]
unsafe fn scale_of(values: Place, index: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let scale = values.scales.add(index / SCALED).read_unaligned();
        _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale))))
    }
}

/// Eight numbers from number `index`, before their scale.
///
/// # Safety
/// AVX2 and F16C; the place has them.
#[inline(always)]
unsafe fn eight_numbers<const KIND: u8>(place: Place, index: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        match KIND {
            BYTES => _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(place.numbers.add(index).cast()))),
            FLOATS => _mm256_loadu_ps(place.numbers.cast::<f32>().add(index)),
            _ => _mm256_cvtph_ps(_mm_loadu_si128(place.numbers.add(2 * index).cast())),
        }
    }
}

/// Attention of some queries to one head. The positions of a tile stay in the first cache while all queries meet them, four at a
/// time.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. The positions of each query are in the head's cache, at least one of them.
pub(crate) unsafe fn attend(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>]) {
    if !head.head_dim.is_multiple_of(8) {
        return crate::isa::scalar::attend(scoring, head, queries);
    }
    queries.iter_mut().for_each(|query| query.out.fill(0.0));
    // Tiles lie in the same places whatever is asked for together, so that the sums are the same to the last bit.
    let first = queries.iter().map(|query| query.first).min().unwrap_or(0) / TILE * TILE;
    let end = queries.iter().map(|query| query.end).max().unwrap_or(0);
    let mut unpacked = Unpacked::default();
    for start in (first..end).step_by(TILE) {
        let count = (end - start).min(TILE);
        // SAFETY: the caller's promise.
        let places = unsafe {
            match (head.keys, scoring.many) {
                (Numbers::Q8 { .. }, true) => unpacked.fill(head, start, count),
                _ => Places::of(head),
            }
        };
        for queries in queries.chunks_mut(4) {
            let seen = queries.iter().any(|query| query.first < start + count && start < query.end);
            if !seen {
                continue;
            }
            let tile = Tile { start, count, width: head.head_dim, places };
            // SAFETY: the caller's promise; the places have the tile's positions.
            unsafe {
                match places.kind {
                    Kind::Halves => attend_some::<HALVES>(scoring, tile, queries),
                    Kind::Bytes => attend_some::<BYTES>(scoring, tile, queries),
                    Kind::Floats => attend_some::<FLOATS>(scoring, tile, queries),
                }
            }
        }
    }
}

/// # Safety
/// As for [`attend_tile`].
unsafe fn attend_some<const KIND: u8>(scoring: Scoring, tile: Tile, queries: &mut [Query<'_>]) {
    // SAFETY: the caller's promise.
    unsafe {
        match queries {
            [a] => attend_tile::<1, KIND>(scoring, tile, std::array::from_mut(a)),
            [_, _] => attend_tile::<2, KIND>(scoring, tile, queries.try_into().expect("two")),
            [_, _, _] => attend_tile::<3, KIND>(scoring, tile, queries.try_into().expect("three")),
            [_, _, _, _] => attend_tile::<4, KIND>(scoring, tile, queries.try_into().expect("four")),
            _ => unreachable!("one to four queries at a time"),
        }
    }
}

/// Some positions of one head.
#[derive(Clone, Copy)]
struct Tile {
    /// The first position, a multiple of [`TILE`].
    start: usize,
    count: usize,
    width: usize,
    places: Places,
}

/// # Safety
/// The processor has AVX2, FMA and F16C; `KIND` says how the tile is kept, whose positions are in its places; its width is a
/// multiple of 8.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn attend_tile<const R: usize, const KIND: u8>(scoring: Scoring, tile: Tile, queries: &mut [Query<'_>; R]) {
    let Tile { start, count, width, places } = tile;
    let plain = scoring.cap == 0.0 && queries.iter().all(|query| query.slope == 0.0);
    let mut scores = [[0f32; TILE]; R];
    // SAFETY: the panels from `start` to the one of `start + count - 1` are in the cache, whole, as its capacity is a
    // multiple of LANES; a tile is a whole number of panels.
    unsafe {
        let panels = count.div_ceil(LANES);
        let mut panel = 0;
        while panel + 2 <= panels {
            score_panels::<R, 2, KIND>(queries, places.keys, width, start - places.first, panel, &mut scores);
            panel += 2;
        }
        if panel < panels {
            score_panels::<R, 1, KIND>(queries, places.keys, width, start - places.first, panel, &mut scores);
        }
    }
    for (query, scores) in queries.iter_mut().zip(&mut scores) {
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
            query.out.iter_mut().for_each(|sum| *sum *= shrink);
        }
    }
    // SAFETY: the values from `start` to `start + count` are in their place; `width` is a multiple of 8.
    unsafe {
        let positions = start - places.first..start - places.first + count;
        let mut d = 0;
        while d + 16 <= width {
            weigh_values::<R, 2, KIND>(&scores, places.values, width, positions.clone(), d, queries);
            d += 16;
        }
        if d < width {
            weigh_values::<R, 1, KIND>(&scores, places.values, width, positions, d, queries);
        }
    }
}

/// Scores of `R` queries with `P` panels of eight keys, the first of which is panel `panel` of the tile that begins at position
/// `start` of the place.
///
/// # Safety
/// AVX2, FMA and F16C; the keys of these positions are in their place, each query has `width` numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn score_panels<const R: usize, const P: usize, const KIND: u8>(
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
                eight[p] = eight_numbers::<KIND>(keys, (first + p * LANES) * width + d * LANES);
            }
            for r in 0..R {
                let q = _mm256_broadcast_ss(queries[r].q.get_unchecked(d));
                for p in 0..P {
                    sums[r][p] = _mm256_fmadd_ps(q, eight[p], sums[r][p]);
                }
            }
            if KIND == BYTES && d % SCALED == SCALED - 1 {
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
                let sums = if KIND == BYTES { scaled[r][p] } else { sums[r][p] };
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
unsafe fn weigh_values<const R: usize, const N: usize, const KIND: u8>(
    weights: &[[f32; TILE]; R],
    values: Place,
    width: usize,
    positions: Range<usize>,
    d: usize,
    queries: &mut [Query<'_>; R],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut totals = [[_mm256_setzero_ps(); N]; R];
        for r in 0..R {
            for n in 0..N {
                totals[r][n] = _mm256_loadu_ps(queries[r].out[d + 8 * n..][..8].as_ptr());
            }
        }
        for (index, position) in positions.enumerate() {
            let mut eight = [_mm256_setzero_ps(); N];
            for n in 0..N {
                eight[n] = eight_numbers::<KIND>(values, position * width + d + 8 * n);
            }
            if KIND == BYTES {
                let scale = scale_of(values, position * width + d);
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
                _mm256_storeu_ps(queries[r].out[d + 8 * n..][..8].as_mut_ptr(), totals[r][n]);
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
