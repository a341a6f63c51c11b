//! Sounds without speech for `hear-nano` to hear nothing in, of the kinds that its recipe trains on (`models/recipes/hear`,
//! `noise_wave`), made anew here from SplitMix64: the same on every machine, though not the recipe's sample for sample.

use std::f64::consts::TAU;

/// Samples a second.
const RATE: f64 = 16_000.0;
/// RMS of a sound before its gain.
const LEVEL: f64 = 0.1;

/// Random numbers of the generator SplitMix64.
struct Random {
    seed: u64,
    next: u64,
}

impl Random {
    /// Uniform in [low, high).
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.next += 1;
        low + (high - low) * (splitmix(self.seed, self.next - 1) + 1.0) / 2.0
    }

    /// A whole number in `low..high`.
    fn whole(&mut self, low: usize, high: usize) -> usize {
        (self.uniform(low as f64, high as f64) as usize).min(high - 1)
    }

    /// About normal, of deviation 1: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform(-0.5, 0.5)).sum()
    }

    fn white(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.normal()).collect()
    }
}

/// The number `i` of the generator SplitMix64 from `seed`, uniform in [-1, 1): as in the recipe.
pub(super) fn splitmix(seed: u64, i: u64) -> f64 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// So many seconds of a kind of sound, 16 kHz, `gain_db` above an RMS of 0.1; `None` of an unknown kind.
pub(super) fn noise(kind: &str, seconds: f64, gain_db: f64, seed: u64) -> Option<Vec<f32>> {
    let n = (seconds * RATE) as usize;
    let r = &mut Random { seed, next: 0 };
    let time = |i: usize| i as f64 / RATE;
    let sound: Vec<f64> = match kind {
        "silence" => return Some(vec![0.0; n]),
        "dither" => return Some((0..n as u64).map(|i| (splitmix(seed, i) / 32768.0) as f32).collect()),
        "white" => r.white(n),
        "pink" => pink(r, n),
        "brown" => brown(r, n),
        "fan" => {
            let (centre, wobble) = (r.uniform(200.0, 3000.0), r.uniform(1.0, 30.0));
            let band = band_pass(&r.white(n), centre);
            let rumble = pink(r, n);
            (0..n).map(|i| band[i] * (1.0 + 0.3 * (TAU * wobble * time(i)).sin()) + 0.2 * rumble[i]).collect()
        }
        "hum" => {
            let f = [50.0, 60.0][r.whole(0, 2)] * r.uniform(0.99, 1.01);
            let tones: Vec<[f64; 3]> = (1..r.whole(2, 20))
                .map(|k| [f * k as f64, r.uniform(0.0, 1.0) / k as f64, r.uniform(0.0, 6.0)])
                .collect();
            let hiss = [0.0, 0.01, 0.1][r.whole(0, 3)];
            let tone = |i: usize| tones.iter().map(|[f, a, p]| a * (TAU * f * time(i) + p).sin()).sum::<f64>();
            (0..n).map(|i| tone(i) + hiss * r.normal()).collect()
        }
        "music" => music(r, n),
        "clicks" => {
            let mut sound: Vec<f64> = (0..n).map(|_| 0.01 * r.normal()).collect();
            for _ in 0..(seconds * r.uniform(1.0, 9.0)) as usize {
                let (at, length, loud) = (r.whole(0, n.max(1)), r.whole(30, 1500), r.uniform(0.3, 3.0));
                for (i, sample) in sound.iter_mut().skip(at).take(length).enumerate() {
                    *sample += loud * r.normal() * (-6.0 * i as f64 / length as f64).exp();
                }
            }
            sound
        }
        "knocks" => {
            let mut sound: Vec<f64> = pink(r, n).iter().map(|s| 0.01 * s).collect();
            for _ in 0..(seconds * r.uniform(0.3, 4.0)) as usize + 1 {
                let at = r.whole(0, n.max(1));
                let (fade, f, loud) = (r.uniform(10.0, 60.0), r.uniform(60.0, 900.0), r.uniform(0.5, 2.0));
                for (i, sample) in sound.iter_mut().skip(at).take(8000).enumerate() {
                    *sample += loud * (-time(i) * fade).exp() * (TAU * f * time(i)).sin();
                }
            }
            sound
        }
        "beeps" => {
            let (f, period, duty) = (r.uniform(300.0, 4000.0), r.uniform(0.2, 2.0), r.uniform(0.1, 0.9));
            let (depth, sway) = ([0.0, 200.0][r.whole(0, 2)], r.uniform(0.5, 6.0));
            let tone = |t: f64| (TAU * (f * t + depth * (TAU * sway * t).sin())).sin();
            let on = |t: f64| if (t / period).fract() < duty { 1.0 } else { 0.0 };
            (0..n).map(|i| 0.005 * r.normal() + on(time(i)) * tone(time(i))).collect()
        }
        "rain" => {
            let mut sound: Vec<f64> = (0..n).map(|_| 0.3 * r.normal()).collect();
            for _ in 0..(seconds * r.uniform(20.0, 200.0)) as usize {
                let (at, loud) = (r.whole(0, n.max(1)), r.uniform(0.3, 2.0));
                for (i, sample) in sound.iter_mut().skip(at).take(400).enumerate() {
                    *sample += loud * r.normal() * (-(i as f64) / 60.0).exp();
                }
            }
            sound
        }
        _ => return None,
    };
    let level = (sound.iter().map(|s| s * s).sum::<f64>() / n.max(1) as f64).sqrt().max(1e-6);
    let gain = LEVEL / level * 10f64.powf(gain_db / 20.0);
    Some(sound.iter().map(|s| (s * gain).clamp(-1.0, 1.0) as f32).collect())
}

/// Noise whose power falls by 3 dB an octave: Paul Kellet's three poles.
fn pink(r: &mut Random, n: usize) -> Vec<f64> {
    let mut poles = [0.0; 3];
    let filter = [(0.99765, 0.0990460), (0.96300, 0.2965164), (0.57000, 1.0526913)];
    let next = |white: f64| {
        for (pole, (keep, take)) in poles.iter_mut().zip(filter) {
            *pole = keep * *pole + take * white;
        }
        poles.iter().sum::<f64>() + 0.1848 * white
    };
    r.white(n).into_iter().map(next).collect()
}

/// Noise whose power falls by 6 dB an octave, above 10 Hz or so.
fn brown(r: &mut Random, n: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let next = |white: f64| {
        sum = 0.996 * sum + white;
        sum
    };
    r.white(n).into_iter().map(next).collect()
}

/// A band around a frequency: a resonator of two poles.
fn band_pass(sound: &[f64], centre: f64) -> Vec<f64> {
    let (radius, (mut one, mut two)) = (0.95, (0.0, 0.0));
    let turn = 2.0 * radius * (TAU * centre / RATE).cos();
    let next = |sample: &f64| {
        let out = sample + turn * one - radius * radius * two;
        (two, one) = (one, out);
        out
    };
    sound.iter().map(next).collect()
}

/// Plucked chords of a scale.
fn music(r: &mut Random, n: usize) -> Vec<f64> {
    let mut sound: Vec<f64> = (0..n).map(|_| 0.01 * r.normal()).collect();
    let base = r.uniform(80.0, 300.0);
    let scale = [0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 19, 24].map(|step| base * 2f64.powf(f64::from(step) / 12.0));
    let (mut at, beat) = (0.0, r.uniform(0.12, 0.7));
    while at * RATE < n as f64 {
        for _ in 0..r.whole(1, 4) {
            let (f, length, fade) = (scale[r.whole(0, scale.len())], r.uniform(0.1, 1.5), r.uniform(1.0, 8.0));
            let loud: Vec<f64> = (1..6).map(|k| r.uniform(0.0, 1.0) / f64::from(k)).collect();
            let tones = sound.iter_mut().skip((at * RATE) as usize).take((length * RATE) as usize);
            for (i, sample) in tones.enumerate() {
                let t = i as f64 / RATE;
                let tone = |(k, loud): (usize, &f64)| loud * (TAU * f * (k + 1) as f64 * t).sin();
                *sample += (-t * fade).exp() * loud.iter().enumerate().map(tone).sum::<f64>();
            }
        }
        at += beat * [0.5, 1.0, 1.0, 2.0][r.whole(0, 4)];
    }
    sound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_recipe_has_its_level_and_repeats() {
        for kind in ["white", "pink", "brown", "fan", "hum", "music", "clicks", "knocks", "beeps", "rain"] {
            let made = noise(kind, 2.0, -20.0, 7).unwrap();
            assert_eq!(made.len(), 32_000, "{kind}");
            let level = (made.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 32_000.0).sqrt();
            assert!((0.009..0.0101).contains(&level), "{kind}: {level}");
            assert_eq!(made, noise(kind, 2.0, -20.0, 7).unwrap(), "{kind}");
            assert_ne!(made, noise(kind, 2.0, -20.0, 8).unwrap(), "{kind}");
        }
        assert_eq!(noise("speech", 1.0, 0.0, 1), None);
        assert!(noise("silence", 1.0, 0.0, 1).unwrap().iter().all(|s| *s == 0.0));
    }

    #[test]
    fn the_generator_is_the_one_of_the_recipe() {
        // data.splitmix(1, 3) of the recipe
        for (i, due) in [0.1331231503445618, 0.49156351452540226, 0.9420055071735924].into_iter().enumerate() {
            assert!((splitmix(1, i as u64) - due).abs() < 1e-15);
        }
    }
}
