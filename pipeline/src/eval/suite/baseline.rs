//! Whether a run holds against an earlier one.

use anyhow::bail;

use super::Outcome;

/// Compares a run with an earlier one. `tolerance` is how many points of a hundred the score may fall.
///
/// # Errors
/// The score fell by more, or the runs are of different suites.
pub(super) fn compare(outcome: &Outcome, baseline: &Outcome, tolerance: f64) -> anyhow::Result<()> {
    if outcome.prompts != baseline.prompts {
        bail!(
            "the baseline has {} prompts and this run {}: they can't be compared; make the baseline anew with --output",
            baseline.prompts,
            outcome.prompts
        );
    }
    let fall = 100.0 * (baseline.score - outcome.score);
    if fall > tolerance + 1e-9 {
        let was_right = |id: &str| baseline.replies.iter().any(|reply| reply.id == id && reply.fault.is_none());
        let lost = outcome.replies.iter().filter(|reply| reply.fault.is_some() && was_right(&reply.id));
        let lost: Vec<String> = lost.map(|reply| reply.id.clone()).collect();
        bail!(
            "the score fell by {fall:.1} points, from {:.1} % to {:.1} %; --tolerance is {tolerance}; no longer right: {}",
            100.0 * baseline.score,
            100.0 * outcome.score,
            nearfield_base::lists::joined(&lost)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Reply;
    use super::*;

    fn outcome(right: usize, prompts: usize) -> Outcome {
        let reply = |index: usize| Reply {
            id: format!("p-{index}"),
            kind: "k".to_owned(),
            ask: String::new(),
            golden: String::new(),
            reply: String::new(),
            fault: (index >= right).then(|| "wrong".to_owned()),
        };
        Outcome {
            eval: "suite".to_owned(),
            model: "m".to_owned(),
            model_bytes: 1,
            quantization: "Q4_0".to_owned(),
            parameters: 1,
            prompts,
            right,
            score: right as f64 / prompts as f64,
            golden_rouge_l: 0.0,
            kinds: Default::default(),
            load_seconds: 0.0,
            prefill_tokens_per_second: 0.0,
            decode_tokens_per_second: 0.0,
            resident_bytes: 0,
            threads: 1,
            level: "scalar".to_owned(),
            seconds: 0.0,
            replies: (0..prompts).map(reply).collect(),
        }
    }

    #[test]
    fn a_fall_beyond_the_tolerance_is_an_error_that_names_what_was_lost() {
        assert!(compare(&outcome(48, 50), &outcome(49, 50), 2.0).is_ok());
        assert!(compare(&outcome(50, 50), &outcome(10, 50), 0.0).is_ok());
        let error = compare(&outcome(47, 50), &outcome(49, 50), 2.0).unwrap_err().to_string();
        assert!(error.contains("4.0 points") && error.contains("p-47 and p-48"), "{error}");
        assert!(compare(&outcome(5, 5), &outcome(5, 50), 100.0).is_err());
    }
}
