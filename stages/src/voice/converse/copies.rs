//! Replies that repeat an earlier one word for word though something else was asked, which small models fall into and do not leave
//! again. It is seen while the reply is written, so that the model can be asked once more without what was said before.

use nearfield_llm::Role;

use super::Exchange;

/// A reply that shares so many words with the beginning of an earlier one repeats it.
const ENOUGH_WORDS: usize = 6;
/// A whole reply of fewer words may well be right twice: "Yes, it is."
const FEWEST_WORDS: usize = 4;

/// Compares the beginning of a reply with those of earlier ones.
pub(super) struct Copies {
    /// The words of the replies that it may yet repeat.
    earlier: Vec<Vec<String>>,
    text: String,
    repeats: Option<bool>,
}

impl Copies {
    /// Of replies to other questions than this one.
    pub(super) fn of(history: &[Exchange], question: &str) -> Self {
        let question = words(question);
        let said = |exchange: &Exchange, role| {
            exchange.messages.iter().rfind(|m| m.role == role).map(|m| words(&m.content)).unwrap_or_default()
        };
        let others = history.iter().filter(|exchange| said(exchange, Role::User) != question);
        let earlier: Vec<_> = others.map(|exchange| said(exchange, Role::Assistant)).collect();
        let earlier: Vec<_> = earlier.into_iter().filter(|words| words.len() >= FEWEST_WORDS).collect();
        let repeats = earlier.is_empty().then_some(false);
        Self { earlier, text: String::new(), repeats }
    }

    /// Of none: nothing is compared.
    pub(super) fn none() -> Self {
        Self { earlier: Vec::new(), text: String::new(), repeats: Some(false) }
    }

    /// Takes more of the reply; answers whether it repeats another one, `None` while that is open.
    pub(super) fn push(&mut self, text: &str) -> Option<bool> {
        if self.repeats.is_none() {
            self.text.push_str(text);
            let mut words = words(&self.text);
            // The last one may go on.
            words.pop();
            self.earlier.retain(|earlier| earlier.starts_with(&words));
            self.repeats = match self.earlier.is_empty() {
                true => Some(false),
                false => (words.len() >= ENOUGH_WORDS).then_some(true),
            };
        }
        self.repeats
    }

    /// The reply is complete; answers whether it repeats another one.
    pub(super) fn finish(&mut self) -> bool {
        let words = words(&self.text);
        *self.repeats.get_or_insert_with(|| self.earlier.contains(&words))
    }
}

/// The words of a text, in lower case.
pub(in crate::voice) fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use nearfield_llm::Message;

    use super::*;
    use crate::flow::Turn;

    #[test]
    fn a_reply_repeats_an_earlier_one_by_its_first_words_or_as_a_whole_and_not_to_the_same_question() {
        let exchange = |question: &str, reply: &str| Exchange {
            turn: Turn(1),
            is_remote: false,
            has_acted: false,
            messages: vec![Message::new(Role::User, question), Message::new(Role::Assistant, reply)],
        };
        let history = [
            exchange("Why is the sky blue?", "The person is a fictional character in a movie."),
            exchange("Who are you?", "I am your assistant."),
            exchange("Is it warm?", "Yes, it is."),
        ];
        let repeats = |question: &str, reply: &str| {
            let mut copies = Copies::of(&history, question);
            let chars: Vec<char> = reply.chars().collect();
            let told = chars.chunks(3).find_map(|piece| copies.push(&piece.iter().collect::<String>()));
            told.unwrap_or_else(|| copies.finish())
        };
        for (question, reply, expected) in [
            ("How far is the sun?", "The person is a fictional character of a book.", true),
            ("How far is the sun?", "The person is far from it.", false),
            ("why is the sky blue", "The person is a fictional character in a movie.", false),
            ("What are you?", "I am your assistant!", true),
            ("What are you?", "I am your assistant, and glad to help.", false),
            ("Is it cold?", "Yes, it is.", false),
            ("Is it cold?", "", false),
        ] {
            assert_eq!(repeats(question, reply), expected, "{question} {reply}");
        }
    }
}
