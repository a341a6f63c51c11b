//! Makes a source for measurements of quantizers where no weights in higher precision are at hand: a quantized file is dequantized to
//! F16, and to each weight of its matrices noise is added, spread evenly over one quantization step of its group. What comes out is a
//! model of its own that lies on no format's grid. The same input gives the same file.
//!
//! `cargo run --release -p nearfield-quantize --example off_grid -- IN.gguf OUT.gguf`

use std::error::Error;
use std::path::Path;

use half::f16;
use nearfield_gguf::{Gguf, Layout, Metadata, TensorType, Writer};
use nearfield_kernels::{Format, Matrix};

/// Weights that share a scale: 16 in Q2_K, Q3_K and Q6_K, 32 in the other formats.
fn group(format: Format) -> usize {
    if matches!(format, Format::Q2K | Format::Q3K | Format::Q6K) { 16 } else { 32 }
}

/// Uniform numbers in -0.5..0.5 (a linear congruential generator of Knuth's).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 + 0.5) / (1u32 << 24) as f32 - 0.5
    }
}

/// The least distance between two different numbers: the step of the group's grid, where two neighbours are in use.
fn step(numbers: &[f32]) -> f32 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f32::total_cmp);
    // Rounding makes distances that are no step.
    let least = numbers.iter().fold(0.0f32, |most, x| most.max(x.abs())) * 1e-4;
    let distances = sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|distance| *distance > least);
    distances.fold(f32::INFINITY, f32::min)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else { return Err("usage: off_grid IN.gguf OUT.gguf".into()) };
    let source = Gguf::open(Path::new(from))?;
    let f16 = TensorType::named("F16").ok_or("F16")?;
    let mut layout = Layout::new();
    layout.copy_all(&source)?;
    layout.set("general.file_type", &Metadata::U32(1))?;
    for name in source.tensor_names() {
        let tensor = &source.tensors()[name];
        let quantized = Format::named(tensor.kind.name).is_some_and(Format::is_quantized);
        layout.tensor(name, if quantized { f16 } else { tensor.kind }, &tensor.dims)?;
    }
    let mut writer = Writer::create(Path::new(to), layout)?;
    let mut uniform = Uniform(1);
    for name in source.tensor_names() {
        let tensor = &source.tensors()[name];
        let bytes = &source.bytes()[tensor.range.clone()];
        let Some(format) = Format::named(tensor.kind.name).filter(|format| format.is_quantized()) else {
            writer.write(name, bytes)?;
            continue;
        };
        let (columns, rows) = (tensor.dims[0], tensor.dims[1..].iter().product());
        let matrix = Matrix::new(format, bytes, rows, columns)?;
        let mut row = vec![0.0; columns];
        for at in 0..rows {
            matrix.read_row(at, &mut row);
            for numbers in row.chunks_mut(group(format)) {
                let step = step(numbers);
                if step.is_finite() {
                    numbers.iter_mut().for_each(|x| *x += step * uniform.next());
                }
            }
            let out: Vec<u8> = row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
            writer.write(name, &out)?;
        }
    }
    Ok(writer.finish()?)
}
