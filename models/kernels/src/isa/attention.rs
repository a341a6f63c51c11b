//! Attention on vectors of eight floats or of twice eight, for every instruction set that has them ([`Vector`]): the scores of a tile of positions
//! for several queries of a head at a time, then their values, in one pass with a running maximum.
//!
//! Everything is inlined into the entry of an instruction set, which is compiled with its instructions. Loops run over indices: a
//! closure is compiled without these instructions unless it happens to be inlined.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use crate::float::exp;
use crate::kv_cache::{Head, LANES, Numbers, Query, SCALED, Scoring};

/// Positions in a tile of scores.
const TILE: usize = 64;

/// Queries that meet a tile together: as many as the registers have room for, of numbers that are converted on the way, and of
/// floats.
const CONVERTED: usize = 4;
const PLAIN: usize = 6;

/// Eight floats, or twice eight: the second eight lie `apart` numbers behind the first.
///
/// # Safety
/// Of all its functions: the processor has the instructions, and pointers lead to as many numbers as are read or written.
pub(super) trait Vector: Copy {
    /// How many eights it holds.
    const EIGHTS: usize;
    /// One that holds eight.
    type Narrow: Vector;
    unsafe fn zero() -> Self;
    /// One float in each place.
    unsafe fn splat(from: *const f32) -> Self;
    unsafe fn load(from: *const f32, apart: usize) -> Self;
    unsafe fn of_halves(from: *const u16, apart: usize) -> Self;
    unsafe fn of_bytes(from: *const i8, apart: usize) -> Self;
    unsafe fn store(self, to: *mut f32, apart: usize);
    unsafe fn times(self, other: Self) -> Self;
    /// `self + a * b`, fused.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// How numbers are kept: half floats, bytes with scales, or floats.
const HALVES: u8 = 0;
const BYTES: u8 = 1;
const FLOATS: u8 = 2;

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

/// Some positions of one head.
#[derive(Clone, Copy)]
struct Tile {
    /// The first position, a multiple of [`TILE`].
    start: usize,
    count: usize,
    width: usize,
    /// The position that is the first in both places.
    origin: usize,
    keys: Place,
    values: Place,
}

/// A tile that many queries share, as floats.
#[derive(Default)]
struct Unpacked {
    keys: Vec<f32>,   // [TILE / 8, head_dim, 8]
    values: Vec<f32>, // [TILE, head_dim]
}

impl Unpacked {
    /// Unpacks a tile.
    ///
    /// # Safety
    /// As of [`Vector`]; `KIND` says how the tile is kept, and it has these positions in whole panels.
    #[inline(always)]
    unsafe fn fill<V: Vector, const KIND: u8>(&mut self, tile: Tile) -> Tile {
        let Tile { start, count, width, .. } = tile;
        self.keys.resize(TILE * width, 0.0);
        self.values.resize(TILE * width, 0.0);
        let (to_keys, to_values) = (self.keys.as_mut_ptr(), self.values.as_mut_ptr());
        // SAFETY: the caller's promise; both buffers have room for a tile.
        unsafe {
            for panel in 0..count.div_ceil(LANES) {
                let first = start + panel * LANES;
                for d in 0..width {
                    let mut eight = numbers::<V::Narrow, KIND>(tile.keys, first * width + d * LANES, LANES);
                    if KIND == BYTES {
                        let at = first * (width / SCALED) + d / SCALED * LANES;
                        eight = eight.times(V::Narrow::of_halves(tile.keys.scales.add(at), LANES));
                    }
                    eight.store(to_keys.add((panel * width + d) * LANES), LANES);
                }
            }
            for position in 0..count {
                for d in (0..width).step_by(LANES) {
                    let at = (start + position) * width + d;
                    let mut eight = numbers::<V::Narrow, KIND>(tile.values, at, LANES);
                    if KIND == BYTES {
                        eight = eight.times(scale::<V::Narrow>(tile.values, at));
                    }
                    eight.store(to_values.add(position * width + d), LANES);
                }
            }
        }
        let place = |floats: &[f32]| Place { numbers: floats.as_ptr().cast(), scales: std::ptr::null() };
        Tile { origin: start, keys: place(&self.keys), values: place(&self.values), ..tile }
    }
}

/// The scale of the value that number `index` belongs to, in each place.
///
/// # Safety
/// As of [`Vector`]; the place has scales, and this one.
#[inline(always)]
unsafe fn scale<V: Vector>(values: Place, index: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe { V::of_halves([values.scales.add(index / SCALED).read(); LANES].as_ptr(), 0) }
}

/// Eight numbers from number `index`, and where the vector is a wide one eight more, `apart` numbers later; before their scale.
///
/// # Safety
/// As of [`Vector`]; the place has them.
#[inline(always)]
unsafe fn numbers<V: Vector, const KIND: u8>(place: Place, index: usize, apart: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        match KIND {
            BYTES => V::of_bytes(place.numbers.add(index).cast(), apart),
            FLOATS => V::load(place.numbers.cast::<f32>().add(index), apart),
            _ => V::of_halves(place.numbers.cast::<u16>().add(index), apart),
        }
    }
}

/// Attention of some queries to one head. The positions of a tile stay in the first cache while all queries meet them.
///
/// # Safety
/// As of [`Vector`]. The positions of each query are in the head's cache, at least one of them.
#[inline(always)]
pub(super) unsafe fn attend<V: Vector>(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>]) {
    if !head.head_dim.is_multiple_of(LANES) {
        return super::scalar::attend(scoring, head, queries);
    }
    for query in queries.iter_mut() {
        query.out.fill(0.0);
    }
    // Tiles lie in the same places whatever is asked for together, so that the sums are the same to the last bit.
    let (mut first, mut end) = (usize::MAX, 0);
    for query in queries.iter() {
        (first, end) = (first.min(query.first), end.max(query.end));
    }
    let mut unpacked = Unpacked::default();
    let mut start = first / TILE * TILE;
    while start < end {
        let tile = Tile {
            start,
            count: (end - start).min(TILE),
            width: head.head_dim,
            origin: 0,
            keys: Place::of(head.keys),
            values: Place::of(head.values),
        };
        // SAFETY: the caller's promise; the places have the tile's positions.
        unsafe {
            match (head.keys, scoring.many) {
                (Numbers::F16(_), true) => {
                    let tile = unpacked.fill::<V, HALVES>(tile);
                    attend_all::<V, FLOATS, PLAIN>(scoring, tile, queries);
                }
                (Numbers::Q8 { .. }, true) => {
                    let tile = unpacked.fill::<V, BYTES>(tile);
                    attend_all::<V, FLOATS, PLAIN>(scoring, tile, queries);
                }
                (Numbers::F16(_), false) => attend_all::<V, HALVES, CONVERTED>(scoring, tile, queries),
                (Numbers::Q8 { .. }, false) => attend_all::<V, BYTES, CONVERTED>(scoring, tile, queries),
            }
        }
        start += TILE;
    }
}

/// # Safety
/// As for [`attend_tile`].
#[inline(always)]
unsafe fn attend_all<V: Vector, const KIND: u8, const EACH: usize>(
    scoring: Scoring,
    tile: Tile,
    queries: &mut [Query<'_>],
) {
    for queries in queries.chunks_mut(EACH) {
        let mut seen = false;
        for query in queries.iter() {
            seen |= query.first < tile.start + tile.count && tile.start < query.end;
        }
        if !seen {
            continue;
        }
        // SAFETY: the caller's promise.
        unsafe {
            match queries {
                [a] => attend_tile::<V, KIND, 1>(scoring, tile, std::array::from_mut(a)),
                [_, _] => attend_tile::<V, KIND, 2>(scoring, tile, queries.try_into().expect("two")),
                [_, _, _] => attend_tile::<V, KIND, 3>(scoring, tile, queries.try_into().expect("three")),
                [_, _, _, _] => attend_tile::<V, KIND, 4>(scoring, tile, queries.try_into().expect("four")),
                [_, _, _, _, _] if EACH == PLAIN => {
                    attend_tile::<V, KIND, 5>(scoring, tile, queries.try_into().expect("five"));
                }
                _ if EACH == PLAIN => attend_tile::<V, KIND, 6>(scoring, tile, queries.try_into().expect("six")),
                _ => unreachable!("as many queries as are taken at a time"),
            }
        }
    }
}

/// # Safety
/// As of [`Vector`]; `KIND` says how the tile is kept, whose positions are in its places; its width is a multiple of 8.
#[inline(always)]
unsafe fn attend_tile<V: Vector, const KIND: u8, const R: usize>(
    scoring: Scoring,
    tile: Tile,
    queries: &mut [Query<'_>; R],
) {
    let Tile { start, count, width, .. } = tile;
    let mut scores = [[0f32; TILE]; R];
    // SAFETY: the panels from `start` to the one of `start + count - 1` are in the cache, whole, as its capacity is a
    // multiple of LANES; a tile is a whole number of panels.
    unsafe {
        let panels = count.div_ceil(LANES);
        let mut panel = 0;
        while panel + 2 * V::EIGHTS <= panels {
            score_panels::<V, KIND, R, 2>(queries, tile, panel, &mut scores);
            panel += 2 * V::EIGHTS;
        }
        if panel + V::EIGHTS <= panels {
            score_panels::<V, KIND, R, 1>(queries, tile, panel, &mut scores);
            panel += V::EIGHTS;
        }
        if panel < panels {
            score_panels::<V::Narrow, KIND, R, 1>(queries, tile, panel, &mut scores);
        }
    }
    for r in 0..R {
        weigh_scores(scoring, start, &mut queries[r], &mut scores[r]);
    }
    // SAFETY: the values from `start` to `start + count` are in their place; `width` is a multiple of 8.
    unsafe {
        let (mut d, each) = (0, V::EIGHTS * LANES);
        while d + 2 * each <= width {
            weigh_values::<V, KIND, R, 2>(&scores, tile, 0..count, d, queries);
            d += 2 * each;
        }
        if d + each <= width {
            weigh_values::<V, KIND, R, 1>(&scores, tile, 0..count, d, queries);
            d += each;
        }
        if d < width {
            weigh_values::<V::Narrow, KIND, R, 1>(&scores, tile, 0..count, d, queries);
        }
    }
}

/// Turns a query's products with a tile of keys into the weights of their values, and what the query has summed up so far into
/// what it is beside the new maximum.
#[inline(always)]
fn weigh_scores(scoring: Scoring, start: usize, query: &mut Query<'_>, scores: &mut [f32; TILE]) {
    let (chunks, _) = scores.as_chunks_mut::<LANES>();
    if scoring.cap == 0.0 && query.slope == 0.0 {
        for lanes in chunks.iter_mut() {
            for score in lanes {
                *score *= scoring.scale;
            }
        }
    } else {
        for (chunk, lanes) in chunks.iter_mut().enumerate() {
            for (lane, score) in lanes.iter_mut().enumerate() {
                let position = start + chunk * LANES + lane;
                *score = scoring.score::<true>(*score, query.slope, query.position as f32 - position as f32);
            }
        }
    }
    let all_visible = query.first <= start && start + TILE <= query.end;
    if !all_visible {
        for (chunk, lanes) in chunks.iter_mut().enumerate() {
            for (lane, score) in lanes.iter_mut().enumerate() {
                let position = start + chunk * LANES + lane;
                if position < query.first || position >= query.end {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
    }
    let mut best = [f32::NEG_INFINITY; LANES];
    for lanes in chunks.iter() {
        for lane in 0..LANES {
            best[lane] = if lanes[lane] > best[lane] { lanes[lane] } else { best[lane] };
        }
    }
    let mut largest = query.largest;
    for lane in best {
        largest = if lane > largest { lane } else { largest };
    }
    if largest == f32::NEG_INFINITY {
        scores.fill(0.0); // nothing visible in this tile
        return;
    }
    let shrink = exp::<true>(query.largest - largest);
    query.largest = largest;
    let mut sums = [0f32; LANES];
    for lanes in chunks.iter_mut() {
        for lane in 0..LANES {
            // The exponential of minus infinity is only nearly zero: what is not visible must have no weight at all.
            let weight = exp::<true>(lanes[lane] - largest);
            lanes[lane] = if lanes[lane] == f32::NEG_INFINITY { 0.0 } else { weight };
            sums[lane] += lanes[lane];
        }
    }
    let mut sum = 0.0;
    for lane in sums {
        sum += lane;
    }
    query.total = query.total * shrink + sum;
    if shrink != 1.0 {
        for sum in query.out.iter_mut() {
            *sum *= shrink;
        }
    }
}

/// Products of `R` queries with `P` vectors of panels of eight keys, from panel `panel` of the tile on.
///
/// # Safety
/// As of [`Vector`]; the keys of these positions are in their place, each query has as many numbers as they.
#[inline(always)]
unsafe fn score_panels<V: Vector, const KIND: u8, const R: usize, const P: usize>(
    queries: &[Query<'_>; R],
    tile: Tile,
    panel: usize,
    scores: &mut [[f32; TILE]; R],
) {
    let (keys, width) = (tile.keys, tile.width);
    // SAFETY: the caller's promise.
    unsafe {
        let first = tile.start - tile.origin + panel * LANES;
        let each = V::EIGHTS * LANES;
        let mut q = [std::ptr::null(); R];
        for r in 0..R {
            q[r] = queries[r].q.as_ptr();
        }
        let mut sums = [[V::zero(); P]; R];
        let mut scaled = [[V::zero(); P]; R]; // of whole blocks, where there are scales
        for d in 0..width {
            let mut eight = [V::zero(); P];
            for p in 0..P {
                eight[p] = numbers::<V, KIND>(keys, (first + p * each) * width + d * LANES, LANES * width);
            }
            for r in 0..R {
                let q = V::splat(q[r].add(d));
                for p in 0..P {
                    sums[r][p] = sums[r][p].add_product(q, eight[p]);
                }
            }
            if KIND == BYTES && d % SCALED == SCALED - 1 {
                for p in 0..P {
                    let at = (first + p * each) * (width / SCALED) + d / SCALED * LANES;
                    let scale = V::of_halves(keys.scales.add(at), LANES * (width / SCALED));
                    for r in 0..R {
                        scaled[r][p] = scaled[r][p].add_product(sums[r][p], scale);
                        sums[r][p] = V::zero();
                    }
                }
            }
        }
        for r in 0..R {
            for p in 0..P {
                let sums = if KIND == BYTES { scaled[r][p] } else { sums[r][p] };
                sums.store(scores[r][panel * LANES + p * each..][..each].as_mut_ptr(), LANES);
            }
        }
    }
}

/// Adds the values of some positions of the tile, weighted, to `N` vectors of components from `d`.
///
/// # Safety
/// As of [`Vector`]; the values of these positions are in their place, these components are within their width, and with bytes
/// they share a scale.
#[inline(always)]
unsafe fn weigh_values<V: Vector, const KIND: u8, const R: usize, const N: usize>(
    weights: &[[f32; TILE]; R],
    tile: Tile,
    positions: Range<usize>,
    d: usize,
    queries: &mut [Query<'_>; R],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let each = V::EIGHTS * LANES;
        let mut totals = [[V::zero(); N]; R];
        for r in 0..R {
            for n in 0..N {
                totals[r][n] = V::load(queries[r].out[d + each * n..][..each].as_ptr(), LANES);
            }
        }
        let first = tile.start - tile.origin;
        for index in positions {
            let at = (first + index) * tile.width + d;
            let mut eight = [V::zero(); N];
            for n in 0..N {
                eight[n] = numbers::<V, KIND>(tile.values, at + each * n, LANES);
            }
            if KIND == BYTES {
                let scale = scale::<V>(tile.values, at);
                for n in 0..N {
                    eight[n] = eight[n].times(scale);
                }
            }
            for r in 0..R {
                let weight = V::splat(weights[r].as_ptr().add(index));
                for n in 0..N {
                    totals[r][n] = totals[r][n].add_product(weight, eight[n]);
                }
            }
        }
        for r in 0..R {
            for n in 0..N {
                totals[r][n].store(queries[r].out[d + each * n..][..each].as_mut_ptr(), LANES);
            }
        }
    }
}
