//! The summary: what stands in the prompt for turns that have left it. It has what the speaker stated of themselves and the world, word
//! for word as rules find it (`statements`), and sentences that the model writes, each held to the words of one turn (`check`). It is
//! bounded in tokens, and written and read ahead while nobody speaks (`condensing`).

mod actors;
mod check;
mod condensing;
mod statements;

use nearfield_llm::{Message, Role, Tokenizer};
use serde::{Deserialize, Serialize};

pub(super) use condensing::{Condensed, Condensing, Work};
pub(super) use statements::{Statement, statements};

/// What the model is taken to have answered to the summary: small models find again what they have said themselves.
const ANSWER: &str = "You told me:";
/// So often each line stands in the prompt.
const COPIES: usize = 2;
/// Where the model has written something, so much of the summary is its sentences at the most.
const WRITTEN_SHARE: usize = 3;

/// What is left of turns that have left the prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Summary {
    /// What the speaker stated, the oldest first.
    stated: Vec<Statement>,
    /// What the model wrote.
    written: Vec<String>,
}

impl Summary {
    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.stated.is_empty() && self.written.is_empty()
    }

    /// Its lines.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.stated.iter().map(|statement| statement.text.as_str()).chain(self.written.iter().map(String::as_str))
    }

    /// How it stands in the prompt: as if the speaker had said all of it at once, and the model had repeated it.
    pub(super) fn messages(&self) -> Vec<Message> {
        if self.is_empty() {
            return Vec::new();
        }
        let told: Vec<String> = self.lines().map(whole).collect();
        let told = told.join(" ");
        let answer = format!("{ANSWER} {told}");
        vec![Message::new(Role::User, told), Message::new(Role::Assistant, answer)]
    }

    /// The same with more statements and more sentences by the model, in at most `most_tokens` tokens. What is said twice stands once;
    /// where not everything has room, what matters least goes first, and of that the oldest.
    pub(super) fn with(
        &self,
        stated: &[Statement],
        written: Vec<String>,
        most_tokens: usize,
        tokenizer: &Tokenizer,
    ) -> Self {
        let mut all: Vec<Statement> = Vec::new();
        for statement in self.stated.iter().chain(stated) {
            all.retain(|earlier| !earlier.is_same(statement));
            all.push(statement.clone());
        }
        let mut lines = self.written.clone();
        for line in written {
            lines.retain(|earlier| !check::says_as_much(&line, earlier));
            lines.push(line);
        }
        let cost = |line: &str| COPIES * tokenizer.encode(&format!(" {}", whole(line)), false).len();
        let mut room = most_tokens.saturating_sub(tokenizer.encode(ANSWER, false).len());
        let mut left_for_written = room / WRITTEN_SHARE;
        let mut written: Vec<String> = lines
            .into_iter()
            .rev()
            .filter(|line| !all.iter().any(|statement| check::says_as_much(&statement.text, line)))
            .take_while(|line| {
                let cost = cost(line);
                let fits = cost <= left_for_written;
                left_for_written = left_for_written.saturating_sub(cost);
                fits
            })
            .collect();
        written.reverse();
        room -= written.iter().map(|line| cost(line)).sum::<usize>().min(room);
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse((all[*at].weight, *at)));
        let mut kept: Vec<usize> = Vec::new();
        for at in order {
            let cost = cost(&all[at].text);
            if cost <= room {
                room -= cost;
                kept.push(at);
            }
        }
        // Lines in a row may have a token more than each by itself.
        loop {
            let mut in_order = kept.clone();
            in_order.sort_unstable();
            let stated = in_order.into_iter().map(|at| all[at].clone()).collect();
            let summary = Self { stated, written: written.clone() };
            if summary.tokens(tokenizer) <= most_tokens {
                return summary;
            }
            if kept.pop().is_none() {
                written.remove(0);
            }
        }
    }

    /// How many tokens its messages have.
    fn tokens(&self, tokenizer: &Tokenizer) -> usize {
        self.messages().iter().map(|message| tokenizer.encode(&message.content, false).len()).sum()
    }

    /// Takes out what was stated, and what the model wrote that may come of it.
    pub(super) fn remove(&mut self, stated: &[Statement], said: &str) {
        self.stated.retain(|kept| !stated.iter().any(|gone| gone.is_same(kept)));
        self.written.retain(|line| !check::may_come_of(line, said));
    }
}

/// A line with a mark at its end.
fn whole(line: &str) -> String {
    if line.ends_with(char::is_alphanumeric) { format!("{line}.") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use nearfield_llm::{Llm, LlmOptions};

    use super::*;

    fn llm() -> Arc<Llm> {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
        Llm::open(&model, &LlmOptions { threads: 1 }).unwrap()
    }

    #[test]
    fn a_summary_never_has_more_tokens_than_it_may_and_loses_what_matters_least_first() {
        let llm = llm();
        let tokenizer = llm.tokenizer().unwrap();
        let statement = |text: &str, weight| Statement { text: text.to_owned(), weight };
        let stated: Vec<Statement> = (0..40)
            .map(|n| statement(&format!("I have {n} chairs in the garden."), 3))
            .chain([statement("My name is Olga.", 9)])
            .chain((0..40).map(|n| statement(&format!("I like street {n}."), 3)))
            .collect();
        let written: Vec<String> = (0..40).map(|n| format!("Somebody wants {n} boats.")).collect();
        let mut earlier = 0;
        for most in [0, 10, 24, 60, 120, 240, 480] {
            let summary = Summary::default().with(&stated, written.clone(), most, tokenizer);
            let messages = summary.messages();
            let tokens: usize = messages.iter().map(|it| tokenizer.encode(&it.content, false).len()).sum();
            let text: String = messages.iter().map(|message| message.content.clone() + "\n").collect();
            assert!(tokens <= most, "{tokens} of {most}: {text}");
            assert!(summary.lines().count() >= earlier, "{text}");
            earlier = summary.lines().count();
            if most >= 240 {
                assert!(
                    text.contains("Olga") && text.contains("I like street 39.") && text.contains("boats"),
                    "{text}"
                );
            }
            // What is added again changes nothing.
            assert_eq!(summary.with(&[], Vec::new(), most, tokenizer), summary);
        }
        assert!(earlier > 10, "{earlier}");
    }

    #[test]
    fn what_the_model_wrote_stays_through_later_summaries_while_there_is_room() {
        let llm = llm();
        let tokenizer = llm.tokenizer().unwrap();
        let line = |text: &str| vec![text.to_owned()];
        let mut summary = Summary::default().with(&[], line("Seven lamps are due in Graz."), 400, tokenizer);
        summary = summary.with(&[], line("There is a party on Sunday."), 400, tokenizer);
        summary = summary.with(&[], Vec::new(), 400, tokenizer);
        summary = summary.with(&[], line("On Sunday there is a party."), 400, tokenizer);
        assert_eq!(summary.written, ["Seven lamps are due in Graz.", "On Sunday there is a party."]);
        for n in 0..40 {
            summary = summary.with(&[], line(&format!("Somebody wants {n} boats in harbour {n}{n}.")), 400, tokenizer);
        }
        assert!(summary.tokens(tokenizer) <= 400 && summary.written.len() > 1, "{summary:?}");
        assert_eq!(summary.written.last().unwrap(), "Somebody wants 39 boats in harbour 3939.");
    }

    #[test]
    fn what_is_taken_out_is_gone_with_what_the_model_wrote_of_it() {
        let llm = llm();
        let tokenizer = llm.tokenizer().unwrap();
        let said = "My sister Clara arrives on Thursday at 6:40.";
        let stated = [statements(said), statements("We have two cats.")].concat();
        let written = vec!["Clara comes.".to_owned(), "There is a party on Sunday.".to_owned()];
        let mut summary = Summary { stated, written: Vec::new() }.with(&[], written, 400, tokenizer);
        summary.written.push("Clara arrives on Thursday.".to_owned());
        summary.remove(&statements(said), said);
        assert_eq!(summary.lines().collect::<Vec<_>>(), ["We have two cats.", "There is a party on Sunday."]);
    }

    #[test]
    fn what_is_stated_again_stands_once_and_what_the_model_repeats_of_it_not_at_all() {
        let llm = llm();
        let tokenizer = llm.tokenizer().unwrap();
        let say = |text: &str| statements(text);
        let first = Summary::default().with(&say("My sister Clara comes on Friday."), Vec::new(), 200, tokenizer);
        let more = [say("my sister clara comes on friday."), say("We have two cats.")].concat();
        let written = vec!["Clara, the sister, comes on Friday.".to_owned(), "There is a party on Sunday.".to_owned()];
        let second = first.with(&more, written, 200, tokenizer);
        let lines: Vec<&str> = second.lines().collect();
        assert_eq!(lines, ["my sister clara comes on friday.", "We have two cats.", "There is a party on Sunday."]);
    }
}
