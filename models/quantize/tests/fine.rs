//! The wider search makes smaller errors than llama.cpp's, in every format and on every kind of tensor, under the weights that it is given.

mod tensors;

use nearfield_kernels::{Format, Matrix};
use nearfield_quantize::{Method, quantize_row_by};
use proptest::prelude::*;
use tensors::COLUMNS;

/// The weighted squared error that both searches are to make small.
fn error(method: Method, format: Format, row: &[f32], importance: &[f32]) -> f64 {
    let mut out = vec![0; format.row_bytes(row.len()).unwrap()];
    quantize_row_by(method, format, row, Some(importance), &mut out);
    let mut read = vec![0.0; row.len()];
    Matrix::new(format, &out, 1, row.len()).unwrap().read_row(0, &mut read);
    let sigma2: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / row.len() as f64;
    let counts = |c: usize| f64::from(importance[c]) * (sigma2 + f64::from(row[c]).powi(2)).sqrt();
    row.iter().zip(&read).enumerate().map(|(c, (x, y))| counts(c) * f64::from(x - y).powi(2)).sum()
}

#[test]
fn the_wider_search_makes_smaller_errors_in_every_format() {
    let importance = tensors::importance();
    for (tensor, weights) in
        tensors::tensors().into_iter().filter(|(name, _)| ["normal", "heavy-tailed", "outliers"].contains(name))
    {
        for format in Format::ALL {
            if matches!(format, Format::F32 | Format::F16 | Format::Bf16 | Format::Q8_0 | Format::Mxfp4) {
                continue;
            }
            let sum =
                |method| -> f64 { weights.chunks(COLUMNS).map(|row| error(method, format, row, &importance)).sum() };
            let (plain, fine) = (sum(Method::Plain), sum(Method::Fine));
            assert!(fine < plain, "{tensor} {format}: {fine} is not below {plain}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_row_is_quantized_without_a_panic_and_read_back_finite(
        row in prop::collection::vec(prop::num::f32::NORMAL.prop_map(|x| x % 1000.0), 512),
        scale in -30i32..2,
    ) {
        let row: Vec<f32> = row.iter().map(|x| x * 10f32.powi(scale)).collect();
        let importance = vec![1.0; 512];
        for format in Format::ALL {
            for method in [Method::Plain, Method::Fine] {
                let error = error(method, format, &row, &importance);
                prop_assert!(error.is_finite(), "{format} {method:?}");
            }
        }
    }
}
