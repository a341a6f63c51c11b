//! Loops in what a model writes: the same run of tokens again and again, as small models fall into and do not leave.
//!
//! A loop is an exact one: each token is what stood one period before it. So a counting list, a table of different rows or a
//! refrain is none, and of what is none nothing is lost: text that may be the beginning of a loop is held back, and comes
//! when the loop ends. A token costs one comparison for each period, and the memory is fixed.

use super::TokenId;

/// The longest period, in tokens: a paragraph.
const MOST_PERIOD: usize = 256;
/// Tokens beyond the first copy from which a loop is one. A row of 30 equal numbers, or of 60 dashes, is none.
const LOOP_TOKENS: usize = 64;
/// The same for text under a constraint, where equal rows are data.
const CONSTRAINED_LOOP_TOKENS: usize = 256;
/// The same within a call, whose text may be the same word fifty times.
const CALL_LOOP_TOKENS: usize = 1024;
/// Copies beyond the first from which a loop is one.
const LOOP_COPIES: usize = 2;
/// Tokens beyond the first copy that make a loop of a text that was cut off at a limit.
const CUT_LOOP_TOKENS: usize = 16;
/// Tokens beyond the first copy from which text is held back: as many as the period has, within these limits.
const HELD_TOKENS: (usize, usize) = (4, 8);

/// Watches the tokens of one text.
#[derive(Debug)]
pub(super) struct Repetition {
    /// The latest tokens, and where each begins in the text: a ring.
    recent: Vec<(TokenId, usize)>,
    seen: usize,
    /// For each period, less one: how many tokens in a row were what stood one period before.
    agreeing: Vec<u32>,
    least: usize,
}

/// What the tokens so far look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is repeated.
    New,
    /// It may be a loop.
    Suspicious,
    /// It is a loop, and its second copy begins at this byte of the text.
    Loop(usize),
}

impl Repetition {
    pub(super) fn new(constrained: bool) -> Repetition {
        Repetition {
            recent: Vec::new(),
            seen: 0,
            agreeing: vec![0; MOST_PERIOD],
            least: if constrained { CONSTRAINED_LOOP_TOKENS } else { LOOP_TOKENS },
        }
    }

    /// Adds a token that begins at a byte of the text.
    pub(super) fn push(&mut self, token: TokenId, begins: usize) -> Verdict {
        for period in 1..=MOST_PERIOD.min(self.seen) {
            let agreeing = &mut self.agreeing[period - 1];
            let before = self.recent[(self.seen - period) % RING].0;
            *agreeing = if before == token { *agreeing + 1 } else { 0 };
        }
        if self.recent.len() < RING {
            self.recent.push((token, begins));
        } else {
            self.recent[self.seen % RING] = (token, begins);
        }
        self.seen += 1;
        let (least, most) = HELD_TOKENS;
        let suspicious = (1..).zip(&self.agreeing).any(|(period, n)| *n as usize >= period.clamp(least, most));
        match self.found(self.least) {
            Some(begins) => Verdict::Loop(begins),
            None if suspicious => Verdict::Suspicious,
            None => Verdict::New,
        }
    }

    /// Where the second copy of a loop begins that a limit has cut off.
    pub(super) fn cut_off(&self) -> Option<usize> {
        self.found(CUT_LOOP_TOKENS)
    }

    /// Where the second copy of a loop begins that is one even within a call.
    pub(super) fn of_call(&self) -> Option<usize> {
        self.found(CALL_LOOP_TOKENS)
    }

    fn found(&self, least: usize) -> Option<usize> {
        let agreeing = (1..).zip(&self.agreeing).find(|(period, n)| **n as usize >= least.max(LOOP_COPIES * period))?;
        // Of a loop that is longer than the ring the beginning is gone; the oldest token is the next best.
        let at = self.seen - (*agreeing.1 as usize).min(self.recent.len());
        Some(self.recent[at % RING].1)
    }
}

/// Tokens that are kept: the longest loop until it is found.
const RING: usize = (1 + LOOP_COPIES) * MOST_PERIOD;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a text of one-letter tokens: the verdicts, and after which token it was certain.
    fn watched(text: &[u32], constrained: bool) -> (Vec<Verdict>, Option<(usize, usize)>) {
        let mut repetition = Repetition::new(constrained);
        let mut verdicts = Vec::new();
        for (at, token) in text.iter().enumerate() {
            let verdict = repetition.push(TokenId(*token), at);
            verdicts.push(verdict);
            if let Verdict::Loop(begins) = verdict {
                return (verdicts, Some((at + 1, begins)));
            }
        }
        (verdicts, None)
    }

    fn after(head: &[u32], period: &[u32], copies: usize) -> Vec<u32> {
        head.iter().chain(period.iter().cycle().take(period.len() * copies)).copied().collect()
    }

    #[test]
    fn a_loop_of_any_period_is_found_and_where_its_second_copy_begins() {
        let head: Vec<u32> = (1000..1010).collect();
        for length in [1, 2, 3, 7, 31, 32, 33, 100, 255, 256] {
            let period: Vec<u32> = (0..length).collect();
            let (_, found) = watched(&after(&head, &period, 400), false);
            let (after, begins) = found.unwrap();
            assert_eq!(begins, 10 + length as usize, "period {length}");
            assert_eq!(after, begins + 64.max(2 * length as usize), "period {length}");
        }
        let too_long: Vec<u32> = (0..257).collect();
        assert_eq!(watched(&after(&head, &too_long, 20), false).1, None);
    }

    #[test]
    fn a_loop_within_a_loop_is_found_as_the_shorter_one() {
        let text = after(&[9], &[1, 1, 1, 1, 1, 1, 1, 1], 40);
        assert_eq!(watched(&text, false).1, Some((66, 2)));
    }

    #[test]
    fn what_people_repeat_is_no_loop() {
        let laughing = after(&[5, 6], &[1], 12);
        let zeros = after(&[5, 6], &[1, 2], 30);
        let rows = after(&[5, 6], &[1, 2, 3, 4, 5, 6, 7, 8, 9], 7);
        let counting: Vec<u32> = (0..200).flat_map(|n| [n + 100, 1, 2, 3]).collect();
        let refrain = after(&(0..40).collect::<Vec<u32>>(), &(40..100).collect::<Vec<u32>>(), 2);
        for text in [laughing, zeros, rows, counting, refrain] {
            assert_eq!(watched(&text, false).1, None, "{text:?}");
        }
        let data = after(&[5, 6], &[1, 2], 120);
        assert_eq!((watched(&data, true).1, watched(&data, false).1.is_some()), (None, true));
        assert!(watched(&after(&[5], &[1, 2], 200), true).1.is_some(), "but under a constraint a loop ends too");
    }

    #[test]
    fn within_a_call_a_loop_is_one_much_later() {
        let mut repetition = Repetition::new(false);
        let found: Vec<bool> = after(&[5, 6], &[1, 2], 600)
            .into_iter()
            .map(|token| {
                repetition.push(TokenId(token), 0);
                repetition.of_call().is_some()
            })
            .collect();
        assert_eq!(found.iter().position(|found| *found), Some(2 + 2 + 1024 - 1));
    }

    #[test]
    fn little_of_a_loop_is_let_through_before_it_is_suspicious() {
        for (period, let_through) in
            [(&[1][..], 3), (&[1, 2], 3), (&[1, 2, 3, 4, 5], 4), (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 7)]
        {
            let (verdicts, _) = watched(&after(&[9, 8], period, 9), false);
            let new = verdicts.iter().take_while(|verdict| **verdict == Verdict::New).count();
            assert_eq!(new, 2 + period.len() + let_through, "{period:?}");
        }
        let (verdicts, _) = watched(&[1, 1, 1, 1, 1, 1, 2, 3], false);
        assert_eq!(verdicts[4..], [Verdict::Suspicious, Verdict::Suspicious, Verdict::New, Verdict::New]);
    }

    /// Models by path, tokenized texts by name: the repository's own, transcripts, licences.
    #[test]
    fn ordinary_texts_have_no_loops_in_the_tokens_of_any_model() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folders = ["", "models/recipes/hear", "models/recipes/talk", "assets/models"];
        let mut files: Vec<_> = folders
            .iter()
            .map(|folder| root.join(folder))
            .chain(nearfield_testdata::test_data("speech/librispeech"))
            .chain(["/usr/share/common-licenses".into()])
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.is_file() && path.extension().is_none_or(|e| e == "md" || e == "txt" || e == "jsonl"))
            .collect();
        files.sort();
        let mut models = vec![root.join("assets/models/talk-nano.gguf")];
        let real = std::env::var_os("NEARFIELD_TEST_MODELS").map(std::path::PathBuf::from);
        models.extend(
            real.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten().map(|e| e.path()),
        );
        let (mut tokens, mut held, mut texts) = (0, 0, 0);
        for model in models.iter().filter(|path| path.extension().is_some_and(|e| e == "gguf")) {
            let llm = crate::Llm::open(model, &crate::LlmOptions { threads: 1 }).unwrap();
            for file in &files {
                let Ok(text) = std::fs::read_to_string(file) else { continue };
                let text = &text[..text.floor_char_boundary(200_000)];
                let mut repetition = Repetition::new(false);
                // Rows of data and of tables repeat much, and nothing waits for them; prose must not be held back.
                let is_table = text.lines().filter(|line| line.starts_with('|')).count() * 2 > text.lines().count();
                let is_prose = !is_table && file.extension().is_none_or(|e| e != "jsonl");
                texts += 1;
                for (at, token) in llm.tokenizer().unwrap().encode(text, false).into_iter().enumerate() {
                    let verdict = repetition.push(token, at);
                    assert!(
                        !matches!(verdict, Verdict::Loop(_)),
                        "{} by {}: token {at}",
                        file.display(),
                        model.display()
                    );
                    tokens += usize::from(is_prose);
                    held += usize::from(is_prose && verdict == Verdict::Suspicious);
                }
            }
        }
        println!("{texts} texts, {tokens} tokens, {held} held back for a while");
        assert!(tokens > 20_000 && held * 20 < tokens, "{held} of {tokens}");
    }

    #[test]
    fn a_limit_makes_a_loop_of_less() {
        let mut repetition = Repetition::new(false);
        for at in 0..17 {
            assert_eq!(repetition.cut_off(), None);
            repetition.push(TokenId(3), at);
        }
        assert_eq!(repetition.cut_off(), Some(1));
    }
}
