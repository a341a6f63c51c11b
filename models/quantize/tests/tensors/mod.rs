//! Made-up tensors that weights can look like, from integers and exact arithmetic, so that every machine makes the same ones. The writer
//! of the goldens (`tests/peers/llama/src/bin/quantize-goldens.rs`) includes this file.

/// Columns of every tensor: two blocks of 256.
pub const COLUMNS: usize = 512;
/// Rows of every tensor.
pub const ROWS: usize = 6;

/// Uniform 16-bit numbers (a linear congruential generator of Knuth's).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 48) as u32
    }

    /// Nearly normal, about 0.02 wide: the sum of twelve.
    fn normal(&mut self) -> f32 {
        let sum: i64 = (0..12).map(|_| i64::from(self.next())).sum();
        (sum - 6 * 65_535) as f32 * (0.02 / 65_536.0)
    }
}

/// All tensors by name, `[ROWS, COLUMNS]`, row-major.
pub fn tensors() -> Vec<(&'static str, Vec<f32>)> {
    let make = |seed: u64, number: &dyn Fn(&mut Uniform, usize) -> f32| -> Vec<f32> {
        let mut uniform = Uniform(seed);
        (0..ROWS * COLUMNS).map(|i| number(&mut uniform, i)).collect()
    };
    vec![
        ("normal", make(1, &|u, _| u.normal())),
        (
            "heavy-tailed",
            make(2, &|u, _| {
                let x = u.normal() * 50.0;
                x * x * x * 0.02
            }),
        ),
        ("outliers", make(3, &|u, i| if i % 97 == 13 { u.normal() * 64.0 } else { u.normal() })),
        ("zeros", make(4, &|_, _| 0.0)),
        ("constant", make(5, &|_, i| [0.5, -0.5, 1.0, -0.001, 65504.0, 1e-8][i / COLUMNS])),
        ("positive", make(6, &|u, _| u.normal().abs() + 1.0)),
        ("tiny", make(7, &|u, i| u.normal() * [1e-3, 1e-5, 1e-7, 1e-12, 1e-20, 1e-37][i / COLUMNS])),
        ("sparse", make(8, &|u, i| if u.next().is_multiple_of(8) || i % 256 == 0 { u.normal() } else { 0.0 })),
        ("halves", make(9, &|u, _| if u.next().is_multiple_of(2) { 0.25 } else { -0.75 })),
    ]
}

/// A number for each column: how much errors there count. One stretch of columns does not count at all.
pub fn importance() -> Vec<f32> {
    let mut uniform = Uniform(10);
    (0..COLUMNS)
        .map(|column| {
            let x = uniform.next() as f32 / 8192.0;
            if (300..340).contains(&column) { 0.0 } else { x * x * x + 0.001 }
        })
        .collect()
}
