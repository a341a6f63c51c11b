//! Rotary positions (Su et al., 2021): how far each pair of a head turns from one token to the next, with the ways in which
//! models stretch them beyond the length that they were trained on: linear (Chen et al., 2023), one factor for each pair
//! (Llama 3 and LongRoPE: Ding et al., 2024) and YaRN (Peng et al., 2023).

use std::f64::consts::PI;

use super::LlmError;
use nearfield_gguf::{Gguf, quoted};

/// The angles of one kind of layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Positions {
    /// Radians by which each pair turns from one position to the next: `[rotated / 2]`.
    pub frequencies: Vec<f64>,
    /// What sines and cosines are multiplied by: longer contexts make attention flatter, and this sharpens it again.
    pub magnitude: f64,
}

/// The angles of a model, of which a session takes one set, by how much it is to hold.
#[derive(Debug, Clone)]
pub(crate) struct Rope {
    short: Positions,
    /// For sessions of more than that many tokens (LongRoPE).
    long: Option<(usize, Positions)>,
}

impl Rope {
    /// Reads what the file says about the positions of its full-attention layers.
    pub(crate) fn of(gguf: &Gguf, name: &str, head_dim: usize, context_length: usize) -> Result<Rope, LlmError> {
        let key = |suffix: &str| format!("{name}.{suffix}");
        let rotated = gguf.integer(&key("rope.dimension_count"), 2, head_dim as u64)?.unwrap_or(head_dim) / 2 * 2;
        let base = base(gguf, &key("rope.freq_base"))?.unwrap_or(10_000.0);
        let plain = plain(base, rotated);
        let number = |suffix: &str, least: f64, most: f64| -> Result<Option<f64>, LlmError> {
            let key = key(suffix);
            match gguf.float(&key)?.map(f64::from) {
                Some(number) if !(least..=most).contains(&number) => {
                    Err(LlmError::metadata(gguf, &key, format!("expected {least} to {most}, found {number}")))
                }
                number => Ok(number),
            }
        };
        let factor = match number("rope.scaling.factor", 0.0, 1e6)? {
            None => number("rope.scale_linear", 0.0, 1e6)?,
            factor => factor,
        };
        // Some files write 0 for "none".
        let factor = factor.filter(|factor| *factor != 0.0).unwrap_or(1.0);
        if factor < 1e-3 {
            return Err(LlmError::metadata(
                gguf,
                &key("rope.scaling.factor"),
                format!("expected a positive factor, found {factor}"),
            ));
        }
        let original = gguf.integer(&key("rope.scaling.original_context_length"), 1, 1 << 32)?;
        let magnitude = number("rope.scaling.attn_factor", 1e-3, 1e3)?;
        let (frequencies, own_magnitude) = match gguf.text(&key("rope.scaling.type"))? {
            Some("none" | "longrope" | "su") => (plain, 1.0),
            // A factor without a type is linear, as ggml reads it.
            None | Some("linear") => (plain.iter().map(|frequency| frequency / factor).collect(), 1.0),
            Some("yarn") => {
                let fast = number("rope.scaling.yarn_beta_fast", 0.0, 1e6)?.unwrap_or(32.0);
                let slow = number("rope.scaling.yarn_beta_slow", 0.0, 1e6)?.unwrap_or(1.0);
                let trained = original.unwrap_or(context_length) as f64;
                (
                    yarn(&plain, base, factor, trained, fast, slow),
                    if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 },
                )
            }
            Some(other) => {
                return Err(LlmError::metadata(
                    gguf,
                    &key("rope.scaling.type"),
                    format!("{} is not supported; supported are: none, linear, yarn, longrope", quoted(other)),
                ));
            }
        };
        let with = |factors: Option<Vec<f64>>| Positions {
            frequencies: match factors {
                None => frequencies.clone(),
                Some(factors) => {
                    frequencies.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect()
                }
            },
            magnitude: magnitude.unwrap_or(1.0) * own_magnitude,
        };
        // Llama 3 has one row of factors for all lengths, LongRoPE one up to the original length and one beyond.
        let short = match factors(gguf, "rope_freqs.weight", rotated / 2)? {
            None => factors(gguf, "rope_factors_short.weight", rotated / 2)?,
            both => both,
        };
        let long = factors(gguf, "rope_factors_long.weight", rotated / 2)?;
        Ok(Rope {
            short: with(short),
            long: long.map(|factors| (original.unwrap_or(context_length), with(Some(factors)))),
        })
    }

    /// Positions that nothing stretches, for layers with a sliding window: over a base of their own where the file gives one,
    /// else over `default`, or over the base of the others.
    pub(crate) fn local(gguf: &Gguf, name: &str, head_dim: usize, default: Option<f64>) -> Result<Rope, LlmError> {
        let own = gguf.integer(&format!("{name}.rope.dimension_count_swa"), 2, head_dim as u64)?;
        let rotated = match own {
            None => gguf.integer(&format!("{name}.rope.dimension_count"), 2, head_dim as u64)?.unwrap_or(head_dim),
            Some(rotated) => rotated,
        };
        let base = match (base(gguf, &format!("{name}.rope.freq_base_swa"))?, default) {
            (Some(base), _) | (None, Some(base)) => base,
            (None, None) => base(gguf, &format!("{name}.rope.freq_base"))?.unwrap_or(10_000.0),
        };
        Ok(Rope { short: Positions { frequencies: plain(base, rotated / 2 * 2), magnitude: 1.0 }, long: None })
    }

    /// Whether a session that holds up to `context_tokens` takes the angles for long ones.
    pub(crate) fn is_long(&self, context_tokens: usize) -> bool {
        self.long.as_ref().is_some_and(|(original, _)| context_tokens > *original)
    }

    /// The angles of a session that holds up to `context_tokens`.
    pub(crate) fn positions(&self, context_tokens: usize) -> &Positions {
        match &self.long {
            Some((original, long)) if context_tokens > *original => long,
            _ => &self.short,
        }
    }
}

impl Positions {
    /// Cosines and sines of position `at`, appended to `cos` and `sin`.
    pub(crate) fn angles(&self, at: f64, magnitude: f64, cos: &mut Vec<f32>, sin: &mut Vec<f32>) {
        for frequency in &self.frequencies {
            let (s, c) = (frequency * at).sin_cos();
            cos.push((c * magnitude) as f32);
            sin.push((s * magnitude) as f32);
        }
    }
}

/// Where a token stands: its time, row and column, which for text are the same number.
pub(crate) type Coordinates = [f64; 3];

impl Positions {
    /// As [`angles`](Self::angles), where so many pairs turn by time, then by row, then by column.
    pub(crate) fn angles_of(&self, at: Coordinates, sections: [usize; 3], cos: &mut Vec<f32>, sin: &mut Vec<f32>) {
        let turns = at.into_iter().zip(sections).flat_map(|(at, pairs)| std::iter::repeat_n(at, pairs));
        for (frequency, at) in self.frequencies.iter().zip(turns) {
            let (s, c) = (frequency * at).sin_cos();
            cos.push((c * self.magnitude) as f32);
            sin.push((s * self.magnitude) as f32);
        }
    }
}

fn base(gguf: &Gguf, key: &str) -> Result<Option<f64>, LlmError> {
    match gguf.float(key)?.map(f64::from) {
        Some(base) if base <= 1.0 => Err(LlmError::metadata(gguf, key, format!("expected more than 1, found {base}"))),
        base => Ok(base),
    }
}

/// `base^(-2i / rotated)`
fn plain(base: f64, rotated: usize) -> Vec<f64> {
    (0..rotated / 2).map(|i| base.powf(-2.0 * i as f64 / rotated as f64)).collect()
}

/// YaRN: pairs that turn often over the trained length keep their speed, pairs that turn less than once are slowed down by the
/// factor, and those between are blended (section 3.2 of the paper; the corners are rounded outwards as its code does).
fn yarn(plain: &[f64], base: f64, factor: f64, trained: f64, fast: f64, slow: f64) -> Vec<f64> {
    let rotated = 2.0 * plain.len() as f64;
    // The pair that turns `times` times over the trained length.
    let pair = |times: f64| rotated * (trained / (times.max(1e-9) * 2.0 * PI)).ln() / (2.0 * base.ln());
    let low = pair(fast).floor().max(0.0);
    let high = pair(slow).ceil().min(rotated - 1.0);
    plain
        .iter()
        .enumerate()
        .map(|(i, frequency)| {
            let slowed = ((i as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            frequency / factor * slowed + frequency * (1.0 - slowed)
        })
        .collect()
}

/// A row of positive factors, one for each pair.
fn factors(gguf: &Gguf, name: &str, pairs: usize) -> Result<Option<Vec<f64>>, LlmError> {
    let bad = |what: String| LlmError::Tensor { path: gguf.path().to_owned(), tensor: name.to_owned(), what };
    let Some(tensor) = gguf.tensor(name) else { return Ok(None) };
    if tensor.kind.name != "F32" || tensor.dims != [pairs] {
        return Err(bad(format!("expected {pairs} numbers of F32, found {:?} of {}", tensor.dims, tensor.kind.name)));
    }
    let numbers = gguf.bytes()[tensor.range.clone()].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let factors: Vec<f64> = numbers.map(f64::from).collect();
    if factors.iter().any(|factor| !factor.is_finite() || *factor < 1e-6) {
        return Err(bad("expected positive factors".to_owned()));
    }
    Ok(Some(factors))
}
