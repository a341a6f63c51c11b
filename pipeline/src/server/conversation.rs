//! What a client's messages tell of the conversation: what may be dropped of it, and whether the model goes round in circles.

use nearfield_llm::{Message, Role};

/// Whether the model has made the same call twice since the last question, results and all: small models do so until they are stopped.
pub(super) fn repeats_a_call(messages: &[Message]) -> bool {
    let from = messages.iter().rposition(|message| message.role == Role::User).unwrap_or(0);
    let round = &messages[from..];
    let calls = round.windows(2).filter(|pair| pair[0].role == Role::Assistant && pair[1].role == Role::Tool);
    let calls: Vec<&str> = calls.map(|pair| pair[0].content.as_str()).collect();
    calls.split_last().is_some_and(|(last, before)| before.contains(last))
}

/// Drops the oldest question with all that followed it; false where there is only the last.
pub(super) fn forget_oldest(messages: &mut Vec<Message>) -> bool {
    let questions = messages.iter().enumerate().filter(|(_, message)| message.role == Role::User).map(|(at, _)| at);
    let mut questions = questions.take(2);
    match (questions.next(), questions.next()) {
        (Some(first), Some(second)) => {
            messages.drain(first..second);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(messages: &[(Role, &str)]) -> Vec<Message> {
        messages.iter().map(|(role, text)| Message::new(*role, (*text).to_owned())).collect()
    }

    #[test]
    fn a_call_that_is_made_again_is_noticed_and_one_of_an_earlier_question_is_not() {
        let (call, other) = ((Role::Assistant, "turn_on(bed)"), (Role::Assistant, "turn_on(hall)"));
        let (ask, result) = ((Role::User, "Turn it on."), (Role::Tool, "done"));
        assert!(!repeats_a_call(&conversation(&[ask, call, result])));
        assert!(!repeats_a_call(&conversation(&[ask, call, result, other, result])));
        assert!(repeats_a_call(&conversation(&[ask, call, result, call, result])));
        assert!(repeats_a_call(&conversation(&[ask, call, result, other, result, call, result])));
        assert!(!repeats_a_call(&conversation(&[ask, call, result, ask, call, result])));
        assert!(!repeats_a_call(&conversation(&[ask, call])));
        assert!(!repeats_a_call(&[]));
    }

    #[test]
    fn the_oldest_question_goes_with_its_answer_and_the_last_one_stays() {
        let all = [(Role::System, "s"), (Role::User, "a"), (Role::Assistant, "b"), (Role::User, "c")];
        let mut messages = conversation(&all);
        assert!(forget_oldest(&mut messages));
        assert_eq!(messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(), ["s", "c"]);
        assert!(!forget_oldest(&mut messages));
    }
}
