//! The mixtures of experts: which networks a token uses, and what they give. Only the weights of experts that some token uses are
//! read.

use nearfield_kernels::Activations;

use super::architecture::Experts;
use super::family::Gating;
use super::forward::{Compute, Hidden};
use super::weights::Mixture;

/// The buffers of a layer of experts.
#[derive(Debug, Default)]
pub(crate) struct Routed {
    scores: Vec<f32>, // [n, experts]
    /// Expert, token and share, sorted by expert.
    chosen: Vec<(usize, usize, f32)>,
    x: Vec<f32>,     // [tokens of an expert, d_model]
    out: Vec<f32>,   // [tokens of an expert, d_model]
    spare: Vec<f32>, // as the network asks for it
}

impl Routed {
    /// The experts' answer to rows `x`. out: `[n, d_model]`
    pub(super) fn compute(
        &mut self,
        compute: &Compute<'_>,
        mixture: &Mixture,
        x: &[f32],
        quantized: &mut Activations,
        hidden: &mut Hidden,
        out: &mut Vec<f32>,
    ) {
        let shape = &compute.llm.shape;
        let Some(experts) = shape.experts else { return };
        let d = shape.d_model;
        self.scores.resize(x.len() / d * experts.n, 0.0);
        compute.project(x, quantized, [(&mixture.router, &mut self.scores)]);
        self.choose(&experts, shape.family.gating);
        out.resize(x.len(), 0.0);
        match &mixture.shared {
            None => out.fill(0.0),
            Some((network, gate)) => {
                compute.network(network, x, quantized, hidden, &mut self.spare, out);
                for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)).filter(|_| gate.is_some()) {
                    let gate = gate.iter().flatten().zip(x).map(|(w, x)| w * x).sum::<f32>();
                    let share = 1.0 / (1.0 + (-gate).exp());
                    out.iter_mut().for_each(|out| *out *= share);
                }
            }
        }
        for tokens in self.chosen.chunk_by(|a, b| a.0 == b.0) {
            self.x.clear();
            tokens.iter().for_each(|(_, token, _)| self.x.extend_from_slice(&x[token * d..][..d]));
            let network = &mixture.experts[tokens[0].0];
            compute.network(network, &self.x, quantized, hidden, &mut self.spare, &mut self.out);
            for ((_, token, share), answer) in tokens.iter().zip(self.out.chunks_exact(d)) {
                out[token * d..][..d].iter_mut().zip(answer).for_each(|(out, x)| *out += share * x);
            }
        }
    }

    /// Chooses the experts of each token from their scores.
    fn choose(&mut self, experts: &Experts, gating: Gating) {
        self.chosen.clear();
        let mut order: Vec<usize> = Vec::with_capacity(experts.n);
        for (token, scores) in self.scores.chunks_exact_mut(experts.n).enumerate() {
            if gating != Gating::OfChosen {
                softmax(scores);
            }
            order.clear();
            order.extend(0..experts.n);
            // Of equal scores the first: the same choice whatever a sort does with them.
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
            order.truncate(experts.used);
            let mut shares: Vec<f32> = order.iter().map(|expert| scores[*expert]).collect();
            match gating {
                Gating::Softmax => {}
                Gating::OfChosen => softmax(&mut shares),
                Gating::Normalised => {
                    let sum = shares.iter().sum::<f32>().max(6.103_515_6e-5); // the smallest normal f16, as llama.cpp has it
                    shares.iter_mut().for_each(|share| *share /= sum);
                }
            }
            let shares = shares.into_iter().map(|share| share * experts.scale);
            self.chosen.extend(order.iter().zip(shares).map(|(expert, share)| (*expert, token, share)));
        }
        self.chosen.sort_by_key(|(expert, token, _)| (*expert, *token));
    }
}

fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let total: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= total);
}
