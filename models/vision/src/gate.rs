//! Detects changes of scene: the cosine of two embeddings against two thresholds (hysteresis), a shortest and a longest time
//! between descriptions, and a nominal picture. The time is passed in with each picture; the gate reads no clock.
//!
//! Where the encoder also outputs words, they confirm a change. Weather moves an embedding as far as a small change of scene does,
//! but it does not produce the same other words twice in a row. So the cosine threshold is stricter, and a change counts only when
//! the words differ too, and are the same in consecutive pictures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use nearfield_base::range::in_range;

/// When a scene counts as changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GateOptions {
    /// Cosine with the described picture below which a scene has changed.
    pub change_below: f32,
    /// And from which it is calm again. Between the two it stays what it was (hysteresis).
    pub calm_above: f32,
    /// So many pictures in a row must differ; of still pictures from files one is enough, and without any wait.
    pub confirm_pictures: u32,
    /// Encoders that read words (see-nano): a change also needs other words, read alike as often. The cosines that count are then
    /// stricter: `calm_above` for a change, and half-way from there to 1 for calm. Not for still pictures from files.
    pub words: bool,
    /// Not sooner after the last caption than this; the change then waits.
    pub min_interval_ms: u64,
    /// Described again after this, also without a change; 0: never.
    pub max_interval_ms: u64,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            change_below: 0.90,
            calm_above: 0.95,
            confirm_pictures: 2,
            words: true,
            min_interval_ms: 500,
            max_interval_ms: 0,
        }
    }
}

/// This many pictures in a row with other words are a change, even if the words of each differ. Of 3, 4, 5 and 6 it is the smallest
/// that did not bring back false changes caused by weather.
pub const MOST_UNCLEAR: u32 = 5;

/// A year.
const MOST_MS: u64 = 366 * 86_400_000;

impl GateOptions {
    /// Checks ranges and combinations.
    ///
    /// # Errors
    /// One sentence that names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        in_range("change_below", self.change_below, -1.0..=1.0)?;
        in_range("calm_above", self.calm_above, -1.0..=1.0)?;
        if self.calm_above < self.change_below {
            return Err(format!(
                "calm_above is {} but must be at least change_below ({})",
                self.calm_above, self.change_below
            ));
        }
        in_range("confirm_pictures", self.confirm_pictures, 1..=1000)?;
        in_range("min_interval_ms", self.min_interval_ms, 0..=MOST_MS)?;
        in_range("max_interval_ms", self.max_interval_ms, 0..=MOST_MS)
    }
}

/// The gate's decision about a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was described yet.
    First,
    /// It differs from what was described.
    Changed,
    /// It matches the nominal picture, and the one before did not.
    Nominal,
    /// It is the same, but was described long ago.
    Due,
    /// It is the same.
    Same,
    /// It seems to differ, but is not confirmed, or comes too soon.
    Waiting,
}

impl Verdict {
    /// Whether a description is wanted.
    pub fn wants_description(self) -> bool {
        matches!(self, Self::First | Self::Changed | Self::Due)
    }
}

/// The gate of one camera.
#[derive(Clone, Debug)]
pub struct Gate {
    options: GateOptions,
    nominal: Option<Vec<f32>>,
    /// The scene that was last described, and when.
    described: Option<Described>,
    /// Whether the description in force is "nothing going on".
    is_nominal: bool,
    restless: bool,
    /// How many pictures in a row differ.
    differing: u32,
    /// How many of them, the last ones, have the same words.
    alike: u32,
    /// Those words.
    read: Vec<String>,
}

#[derive(Clone, Debug)]
struct Described {
    embedding: Vec<f32>,
    words: Vec<String>,
    at: Duration,
}

impl Gate {
    /// A gate; `nominal` is the embedding of the nominal picture (nothing going on).
    pub fn new(options: GateOptions, nominal: Option<Vec<f32>>) -> Self {
        let (described, read) = (None, Vec::new());
        Self { options, nominal, described, is_nominal: false, restless: true, differing: 0, alike: 0, read }
    }

    /// How many pictures in a row must differ.
    pub fn confirm_pictures(&self) -> u32 {
        self.options.confirm_pictures
    }

    /// Nothing was described yet: the next picture is a first look.
    pub fn forget(&mut self) {
        *self = Self::new(self.options.clone(), self.nominal.take());
    }

    /// Judges a picture by its embedding and its words (empty where there are none), at time `now` of its source. Also returns the cosine
    /// with the last described picture; 0 when there is none. Call [`Gate::described`] when a description is made.
    pub fn judge(&mut self, embedding: &[f32], words: &[String], now: Duration) -> (Verdict, f32) {
        let nominal = self.nominal.as_ref().map(|n| cosine(n, embedding));
        // A nominal scene stays nominal above the lower threshold, as any other scene stays stable.
        let bar = if self.is_nominal { self.options.change_below } else { self.options.calm_above };
        let looks_nominal = nominal.is_some_and(|c| c >= bar);
        let Some(described) = &self.described else {
            let verdict = if looks_nominal { Verdict::Nominal } else { Verdict::First };
            return (verdict, nominal.unwrap_or(0.0));
        };
        let similarity = if self.is_nominal { nominal.unwrap_or(0.0) } else { cosine(&described.embedding, embedding) };
        let since = now.saturating_sub(described.at);
        let by_words = self.options.words && !words.is_empty() && !self.is_nominal;
        let (change_below, calm_above) = match by_words {
            true => (self.options.calm_above, (self.options.calm_above + 1.0) / 2.0),
            false => (self.options.change_below, self.options.calm_above),
        };
        if self.restless && similarity >= calm_above {
            self.restless = false;
        } else if !self.restless && similarity < change_below {
            self.restless = true;
        }
        let differs = match by_words {
            true => self.restless && words != described.words,
            false if self.is_nominal => !looks_nominal,
            false => self.restless,
        };
        if !differs {
            (self.differing, self.alike) = (0, 0);
            let longest = Duration::from_millis(self.options.max_interval_ms);
            let due = !longest.is_zero() && since >= longest && !self.is_nominal;
            return (if due { Verdict::Due } else { Verdict::Same }, similarity);
        }
        self.differing = self.differing.saturating_add(1);
        if by_words && (self.alike == 0 || words != self.read) {
            self.alike = 1;
            self.read = words.to_vec();
        } else {
            self.alike = self.alike.saturating_add(1);
        }
        let confirm = self.options.confirm_pictures;
        let confirmed = self.alike >= confirm || self.differing >= confirm.max(MOST_UNCLEAR);
        let soon = since < Duration::from_millis(self.options.min_interval_ms);
        let verdict = match () {
            () if !confirmed || soon => Verdict::Waiting,
            () if looks_nominal => Verdict::Nominal,
            () => Verdict::Changed,
        };
        (verdict, similarity)
    }

    /// The scene with this embedding and these words was described (or confirmed, or is the nominal one) at `now`.
    pub fn described(&mut self, embedding: &[f32], words: &[String], now: Duration, nominal: bool) {
        self.described = Some(Described { embedding: embedding.to_vec(), words: words.to_vec(), at: now });
        self.is_nominal = nominal;
        self.restless = false;
        (self.differing, self.alike) = (0, 0);
    }
}

/// The cosine of the angle between two embeddings; 0 where one of them is zero or their lengths differ.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let (mut dot, mut aa, mut bb) = (0.0f64, 0.0f64, 0.0f64);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), f64::from(y));
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    let length = (aa * bb).sqrt();
    if length > 0.0 { (dot / length) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// An embedding at an angle whose cosine with `direction(1.0)` is `c`.
    fn direction(c: f32) -> Vec<f32> {
        vec![c, (1.0 - c * c).sqrt()]
    }

    fn options() -> GateOptions {
        GateOptions { confirm_pictures: 1, min_interval_ms: 0, ..GateOptions::default() }
    }

    #[test]
    fn a_cosine_is_what_its_definition_says() {
        assert!((cosine(&[3.0, 4.0], &[4.0, 3.0]) - 0.96).abs() < 1e-6);
        assert_eq!((cosine(&[0.0, 0.0], &[1.0, 0.0]), cosine(&[1.0], &[1.0, 0.0])), (0.0, 0.0));
    }

    #[test]
    fn between_the_thresholds_calm_stays_calm_and_restless_stays_restless() {
        let mut gate = Gate::new(options(), None);
        assert_eq!(gate.judge(&direction(1.0), &[], at(0)).0, Verdict::First);
        gate.described(&direction(1.0), &[], at(0), false);
        assert_eq!(gate.judge(&direction(0.92), &[], at(1)).0, Verdict::Same, "calm, between the thresholds");
        assert_eq!(gate.judge(&direction(0.89), &[], at(2)).0, Verdict::Changed);
        // Not described yet: still restless in between, calm again above the upper threshold.
        assert_eq!(gate.judge(&direction(0.92), &[], at(3)).0, Verdict::Changed);
        assert_eq!(gate.judge(&direction(0.96), &[], at(4)).0, Verdict::Same);
        assert_eq!(gate.judge(&direction(0.92), &[], at(5)).0, Verdict::Same);
    }

    #[test]
    fn a_single_odd_picture_is_no_change_and_a_lasting_one_is() {
        let mut gate = Gate::new(GateOptions { confirm_pictures: 3, ..options() }, None);
        gate.described(&direction(1.0), &[], at(0), false);
        let verdicts: Vec<_> =
            [0.5, 1.0, 0.5, 0.5, 0.5].iter().map(|&c| gate.judge(&direction(c), &[], at(1)).0).collect();
        use Verdict::{Changed, Same, Waiting};
        assert_eq!(verdicts, [Waiting, Same, Waiting, Waiting, Changed]);
    }

    #[test]
    fn a_change_waits_for_the_shortest_interval_and_sameness_ends_with_the_longest() {
        let options = GateOptions { min_interval_ms: 100, max_interval_ms: 1000, ..options() };
        let mut gate = Gate::new(options, None);
        gate.described(&direction(1.0), &[], at(0), false);
        assert_eq!(gate.judge(&direction(0.0), &[], at(50)).0, Verdict::Waiting);
        assert_eq!(gate.judge(&direction(0.0), &[], at(100)).0, Verdict::Changed);
        gate.described(&direction(0.0), &[], at(100), false);
        assert_eq!(gate.judge(&direction(0.0), &[], at(1099)).0, Verdict::Same);
        assert_eq!(gate.judge(&direction(0.0), &[], at(1100)).0, Verdict::Due);
    }

    #[test]
    fn the_nominal_picture_is_known_from_the_start_and_found_again() {
        let mut gate = Gate::new(options(), Some(direction(1.0)));
        assert_eq!(gate.judge(&direction(0.99), &[], at(0)).0, Verdict::Nominal);
        gate.described(&direction(0.99), &[], at(0), true);
        assert_eq!(gate.judge(&direction(1.0), &[], at(1)).0, Verdict::Same);
        assert_eq!(gate.judge(&direction(0.2), &[], at(2)).0, Verdict::Changed);
        gate.described(&direction(0.2), &[], at(2), false);
        assert_eq!(gate.judge(&direction(0.2), &[], at(3)).0, Verdict::Same);
        assert_eq!(gate.judge(&direction(0.97), &[], at(4)).0, Verdict::Nominal);
    }

    #[test]
    fn other_words_must_be_read_alike_and_the_same_words_are_no_change() {
        let mut gate = Gate::new(GateOptions { confirm_pictures: 2, ..options() }, None);
        let words = |text: &str| vec![text.to_owned()];
        gate.described(&direction(1.0), &words("cat"), at(0), false);
        let mut judge = |c: f32, text: &str| gate.judge(&direction(c), &words(text), at(1)).0;
        use Verdict::{Changed, Same, Waiting};
        // Weather: far in the embedding, but the same words, or other ones only now and then.
        assert_eq!([judge(0.5, "cat"), judge(0.5, "dog"), judge(0.5, "cat")], [Same, Waiting, Same]);
        // Other words in a picture that looks the same are a slip of the reader's.
        assert_eq!([judge(0.98, "dog"), judge(0.98, "dog")], [Same, Same]);
        // A cosine that would be calm without words, and the same other words twice.
        assert_eq!([judge(0.94, "dog"), judge(0.94, "bird"), judge(0.94, "bird")], [Waiting, Waiting, Changed]);
    }

    #[test]
    fn words_that_never_settle_are_a_change_in_the_end() {
        let mut gate = Gate::new(GateOptions { confirm_pictures: 2, ..options() }, None);
        gate.described(&direction(1.0), &["cat".to_owned()], at(0), false);
        let verdicts: Vec<_> =
            (0..MOST_UNCLEAR).map(|i| gate.judge(&direction(0.5), &[format!("{i}")], at(1)).0).collect();
        assert_eq!(verdicts.iter().filter(|v| **v == Verdict::Waiting).count(), MOST_UNCLEAR as usize - 1);
        assert_eq!(verdicts.last(), Some(&Verdict::Changed));
        let mut plain = Gate::new(GateOptions { words: false, ..options() }, None);
        plain.described(&direction(1.0), &["cat".to_owned()], at(0), false);
        assert_eq!(plain.judge(&direction(0.5), &["cat".to_owned()], at(1)).0, Verdict::Changed);
    }
}
