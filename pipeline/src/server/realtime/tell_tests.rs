//! Tests of what clients are told.

use super::*;

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn tell_all(teller: &mut Teller, outputs: Vec<FlowOutput>) -> Vec<Value> {
    outputs.into_iter().flat_map(|output| teller.tell(output)).collect()
}

#[test]
fn what_is_played_before_the_words_are_known_follows_them() {
    let (mut teller, turn) = (Teller::new(false, false, "stt".to_owned()), Turn(1));
    let events = tell_all(
        &mut teller,
        vec![
            FlowOutput::Speaking(turn),
            FlowOutput::Output(ClientOutput::Begin(turn)),
            FlowOutput::Output(ClientOutput::Clause("It is late.".to_owned())),
            FlowOutput::Output(ClientOutput::Samples(vec![0.0; 4])),
            FlowOutput::Spoken(turn),
            FlowOutput::Heard(turn, "What time is it?".to_owned()),
            FlowOutput::Output(ClientOutput::End),
            FlowOutput::Replied(turn, Tokens::default(), "It is late.".to_owned()),
        ],
    );
    let order = [
        "input_audio_buffer.speech_stopped",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_audio.delta",
        "response.done",
    ];
    let kinds = kinds(&events);
    let places: Vec<usize> = order.iter().map(|kind| kinds.iter().position(|it| it == kind).unwrap()).collect();
    assert!(places.is_sorted(), "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "response.created").count(), 1, "{kinds:?}");
    assert_eq!(events.last().unwrap()["response"]["status"], "completed");
}

#[test]
fn what_a_client_asks_about_must_be_there() {
    let (mut teller, turn) = (Teller::new(false, false, "stt".to_owned()), Turn(1));
    assert!(!teller.has_sound() && !teller.is_responding());
    teller.took(8_000);
    assert!(teller.has_sound());
    teller.cleared();
    assert!(!teller.has_sound());
    // What is committed is committed once.
    teller.took(8_000);
    teller.committed();
    assert!(!teller.has_sound());
    teller.took(8_000);
    assert!(teller.has_sound());
    teller.asked();
    assert!(teller.is_responding());
    let events = tell_all(
        &mut teller,
        vec![
            FlowOutput::Output(ClientOutput::Begin(turn)),
            FlowOutput::Output(ClientOutput::Clause("It is late.".to_owned())),
        ],
    );
    assert!(teller.is_responding());
    let item = events.iter().find_map(|event| event["item"]["id"].as_str()).unwrap().to_owned();
    let truncate = |item: &str| json!({"type": "conversation.item.truncate", "item_id": item, "audio_end_ms": 100});
    assert_eq!(kinds(&teller.about_item(&truncate(&item)).unwrap()), ["conversation.item.truncated"]);
    assert!(teller.about_item(&truncate("item_x")).unwrap_err().message.contains("item_x"));
    let over = vec![
        FlowOutput::Output(ClientOutput::End),
        FlowOutput::Replied(turn, Tokens::default(), "It is late.".to_owned()),
    ];
    tell_all(&mut teller, over);
    assert!(!teller.is_responding());
}

#[test]
fn an_answer_that_was_asked_for_can_be_cancelled_until_its_turn_is_over() {
    let mut teller = Teller::new(false, false, "stt".to_owned());
    let over = |turn| FlowOutput::Over { turn, errors: Vec::new(), figures: Value::Null };
    teller.asked();
    tell_all(
        &mut teller,
        vec![
            FlowOutput::Output(ClientOutput::Begin(Turn(1))),
            FlowOutput::Output(ClientOutput::Clause("Hello.".to_owned())),
            FlowOutput::Output(ClientOutput::End),
            FlowOutput::Replied(Turn(1), Tokens::default(), "Hello.".to_owned()),
        ],
    );
    // The next one is asked for before the figures of the first are known.
    teller.asked();
    tell_all(&mut teller, vec![over(Turn(1))]);
    assert!(teller.is_responding());
    // Nothing was said in it.
    tell_all(&mut teller, vec![over(Turn(2))]);
    assert!(!teller.is_responding());
}

#[test]
fn a_transcript_tells_how_long_its_sound_is() {
    let mut teller = Teller::new(false, false, "stt".to_owned());
    let seconds = |events: &[Value]| {
        let done = "conversation.item.input_audio_transcription.completed";
        events.iter().find(|event| event["type"] == done).unwrap()["usage"]["seconds"].as_f64().unwrap()
    };
    // All at once, and then as it is spoken.
    teller.took(48_000);
    let said = |turn: Turn| vec![FlowOutput::Spoken(turn), FlowOutput::Heard(turn, "Hello.".to_owned())];
    tell_all(&mut teller, vec![FlowOutput::Speaking(Turn(1))]);
    assert_eq!(seconds(&tell_all(&mut teller, said(Turn(1)))), 3.0);
    teller.took(16_000);
    tell_all(&mut teller, vec![FlowOutput::Speaking(Turn(2))]);
    teller.took(24_000);
    assert_eq!(seconds(&tell_all(&mut teller, said(Turn(2)))), 1.5);
}

#[test]
fn a_typed_question_that_is_replied_to_before_it_is_heard_of_has_one_response() {
    let (mut teller, turn) = (Teller::new(false, false, "stt".to_owned()), Turn(3));
    let events = tell_all(
        &mut teller,
        vec![
            FlowOutput::Output(ClientOutput::Begin(turn)),
            FlowOutput::Output(ClientOutput::Clause("Hello.".to_owned())),
            FlowOutput::Heard(turn, "Hello.".to_owned()),
            FlowOutput::Output(ClientOutput::End),
            FlowOutput::Replied(turn, Tokens::default(), "Hello.".to_owned()),
        ],
    );
    let of = |kind: &str| kinds(&events).iter().filter(|it| **it == kind).count();
    assert_eq!((of("response.created"), of("response.done")), (1, 1), "{:?}", kinds(&events));
}
