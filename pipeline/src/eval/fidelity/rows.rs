//! What logits say of the token that followed, and how far those of one model are from those of another.

use std::num::NonZeroUsize;

/// One scored token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    /// Minus the logarithm of the token's probability, in nats.
    pub nll: f64,
    /// Against the reference, where there is one.
    pub compared: Option<Compared>,
}

/// One token, against the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Compared {
    /// As [`Scored::nll`], of the reference.
    pub reference_nll: f64,
    /// The Kullback-Leibler divergence of the reference's distribution from the model's, in nats.
    pub kld: f64,
    /// How much more probable the model finds the token than the reference does.
    pub delta_p: f64,
    /// Whether both find the same token the most probable.
    pub same_top: bool,
}

/// Scores one token. logits: `[n_vocab]`
pub(super) fn score(logits: &[f32], token: usize) -> Scored {
    let (_, max) = largest(logits);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - max).exp())).sum();
    Scored { nll: sum.ln() + f64::from(max) - f64::from(logits[token]), compared: None }
}

/// Scores one token, and compares the logits with those of the reference. Both: `[n_vocab]`
pub(super) fn compare(logits: &[f32], reference: &[f32], token: usize) -> Scored {
    let ((top, max), (reference_top, reference_max)) = (largest(logits), largest(reference));
    // With p = exp(r) / S the divergence is the sum of p (r - l), plus what the normalisations differ by.
    let (mut sum, mut reference_sum, mut weighted) = (0.0, 0.0, 0.0);
    for (logit, of_reference) in logits.iter().zip(reference) {
        let (l, r) = (logit - max, of_reference - reference_max);
        sum += f64::from(l.exp());
        let e = f64::from(r.exp());
        reference_sum += e;
        weighted += e * f64::from(r - l);
    }
    let nll = sum.ln() + f64::from(max) - f64::from(logits[token]);
    let reference_nll = reference_sum.ln() + f64::from(reference_max) - f64::from(reference[token]);
    let kld = weighted / reference_sum + sum.ln() - reference_sum.ln();
    let delta_p = (-nll).exp() - (-reference_nll).exp();
    Scored { nll, compared: Some(Compared { reference_nll, kld, delta_p, same_top: top == reference_top }) }
}

/// The first of the largest numbers, and where it stands.
fn largest(row: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, x) in row.iter().enumerate() {
        if *x > best.1 {
            best = (index, *x);
        }
    }
    best
}

/// Computes `n` results on several threads, in order.
pub(super) fn on_threads<T: Send>(threads: usize, n: usize, compute: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    let threads = NonZeroUsize::new(threads.min(n)).map_or(1, NonZeroUsize::get);
    let each = n.div_ceil(threads);
    let part = |thread: usize| (thread * each..n.min((thread + 1) * each)).map(compute).collect::<Vec<T>>();
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || part(thread))).collect();
        let mut all = part(0);
        for other in others {
            match other.join() {
                Ok(results) => all.extend(results),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits that differ from position to position.
    fn logits(seed: u32, n: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        (0..n).map(|_| 30.0 * next() - 5.0).collect()
    }

    fn log_probabilities(row: &[f32]) -> Vec<f64> {
        let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        row.iter().map(|x| f64::from(*x) - sum.ln()).collect()
    }

    #[test]
    fn scores_are_those_of_the_plain_definition() {
        for n in [1, 2, 31, 1000] {
            let (model, reference) = (logits(1, n), logits(2, n));
            let (p, q) = (log_probabilities(&reference), log_probabilities(&model));
            let kld: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
            let scored = compare(&model, &reference, n / 2);
            let compared = scored.compared.unwrap();
            assert!((scored.nll + q[n / 2]).abs() < 1e-5, "{n}: {} {}", scored.nll, q[n / 2]);
            assert!((score(&model, n / 2).nll - scored.nll).abs() < 1e-12);
            assert!((compared.reference_nll + p[n / 2]).abs() < 1e-5);
            assert!((compared.kld - kld).abs() < 1e-5 * (1.0 + kld), "{n}: {} {kld}", compared.kld);
            assert!((compared.delta_p - (q[n / 2].exp() - p[n / 2].exp())).abs() < 1e-6);
        }
    }

    #[test]
    fn a_distribution_is_at_no_distance_from_itself_however_its_logits_are_shifted() {
        let row = logits(3, 500);
        let shifted: Vec<f32> = row.iter().map(|x| x + 8.0).collect();
        let compared = compare(&row, &shifted, 7).compared.unwrap();
        assert!(compared.kld.abs() < 1e-5 && compared.delta_p.abs() < 1e-6 && compared.same_top, "{compared:?}");
    }

    #[test]
    fn results_of_threads_are_in_order() {
        for (threads, n) in [(1, 5), (2, 5), (3, 7), (8, 3), (4, 0)] {
            assert_eq!(on_threads(threads, n, &|index| index), (0..n).collect::<Vec<_>>());
        }
    }
}
