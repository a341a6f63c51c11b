//! What is said of a tool's result without the model: of every call that failed, and of output that is not in the expected
//! form. A small model that reads such a result makes up an answer; a computed sentence says what happened and no more.

use serde_json::{Map, Value};

use nearfield_base::lists::joined;

use super::ToolResult;

/// The longest text of a tool's own that is spoken, in characters: half a minute of speech.
const MOST_SPOKEN: usize = 300;
/// The most values of a result that are named.
const MOST_VALUES: usize = 8;

/// One sentence or more that say what became of a call.
pub fn answer(result: &ToolResult) -> String {
    if let Some(failure) = &result.failure {
        return sentence(failure);
    }
    let fields = result.result.as_object();
    let text = |key: &str| fields.and_then(|fields| fields.get(key)).and_then(Value::as_str).map(speakable);
    match (result.name.as_str(), fields) {
        ("clock", Some(_)) => {
            format!("It is {} on {}.", text("time").unwrap_or_default(), text("date").unwrap_or_default())
        }
        (name, Some(fields)) if nearfield_home::tools::is_tool(name) && fields.contains_key("done") => {
            text("done").unwrap_or_default()
        }
        ("timer", Some(_)) => format!("The timer of {} is running.", text("timer").unwrap_or_default()),
        ("set_light" | "set_door" | "set_device", Some(fields)) => {
            let changed = fields.iter().find_map(|(what, state)| Some((what, state.as_str()?)));
            changed.map_or_else(
                || "It is done.".to_owned(),
                |(what, state)| {
                    let verb = if matches!(what.as_str(), "lights" | "doors" | "devices") { "are" } else { "is" };
                    format!("The {} {verb} {state}.", speakable(what))
                },
            )
        }
        (name, _) => of_command(name, &result.result),
    }
}

/// What a command of the user's has answered, in its own words.
fn of_command(name: &str, result: &Value) -> String {
    let own_words = match result {
        Value::Object(fields) => match fields.get("output") {
            Some(Value::String(output)) if fields.len() <= 2 => speakable(output),
            _ => values(fields),
        },
        Value::String(text) => speakable(text),
        Value::Array(items) => joined(&items.iter().take(MOST_VALUES).filter_map(scalar).collect::<Vec<_>>()),
        other => scalar(other).unwrap_or_default(),
    };
    if own_words.is_empty() {
        return format!("The tool {} has run, and said nothing.", spoken_name(name));
    }
    sentence(&format!("the tool {} says: {own_words}", spoken_name(name)))
}

fn values(fields: &Map<String, Value>) -> String {
    let named: Vec<String> = fields
        .iter()
        .filter(|(key, _)| *key != "ok")
        .filter_map(|(key, value)| Some(format!("{} {}", spoken_name(key), scalar(value)?)))
        .take(MOST_VALUES)
        .collect();
    joined(&named)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(speakable(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether what the model says of the results of commands keeps to them: its numbers are theirs or the question's, and it
/// names one of their values, or what they are about.
pub fn keeps_to(reply: &str, results: &[ToolResult], question: &str) -> bool {
    let mut known: Vec<f64> = numbers(question).map(|(number, _)| number).collect();
    let (mut values, mut topics) = (Vec::new(), Vec::new());
    for result in results {
        known.extend(numbers(&result.result.to_string()).map(|(number, _)| number));
        known.extend(numbers(&result.arguments.to_string()).map(|(number, _)| number));
        scalars(&result.result, &mut values);
        scalars(&result.arguments, &mut topics);
        topics.push(spoken_name(&result.name));
    }
    // As the model may round it.
    let is = |known: f64, said: f64, decimals: i32| {
        let unit = 10_f64.powi(decimals);
        (known * unit).round() == (said * unit).round()
    };
    let said: Vec<(f64, i32)> = numbers(reply).collect();
    if !said.iter().all(|(number, decimals)| known.iter().any(|known| is(*known, *number, *decimals))) {
        return false;
    }
    let lower = reply.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let named = |text: &String| match text.parse::<f64>() {
        Ok(value) => said.iter().any(|(number, decimals)| is(value, *number, *decimals)),
        Err(_) => {
            let text = text.to_lowercase();
            text.split(|c: char| !c.is_alphanumeric()).any(|word| word.chars().count() > 2 && words.contains(&word))
                || !text.is_empty() && words.contains(&text.as_str())
        }
    };
    if values.is_empty() { topics.iter().any(named) } else { values.iter().any(named) }
}

/// The texts and numbers within a value.
fn scalars(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => into.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| scalars(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| scalars(field, into)),
        Value::Bool(_) | Value::Null => {}
    }
}

/// The numbers in a text, without their signs, and their decimals.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = (f64, i32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|piece| {
        let piece = piece.trim_matches('.');
        let decimals = piece.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        Some((piece.parse().ok()?, i32::try_from(decimals).ok()?))
    })
}

/// `living_room_radio` as it is spoken.
fn spoken_name(name: &str) -> String {
    speakable(&name.replace(['_', '-'], " "))
}

/// One line of a bounded length without what a terminal, a voice or a chat template would take for something else.
pub(super) fn speakable(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_control() || matches!(c, '<' | '>' | '|') { ' ' } else { c }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_SPOKEN) {
        None => line,
        Some((end, _)) => {
            let cut = line[..end].rfind(' ').unwrap_or(end);
            format!("{}…", &line[..cut])
        }
    }
}

/// With a capital and a mark at its end.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn result(name: &str, arguments: Value, result: Value) -> ToolResult {
        ToolResult {
            name: name.to_owned(),
            arguments,
            ok: true,
            result,
            elapsed: Duration::ZERO,
            failure: None,
            mistake: false,
            own_words: false,
        }
    }

    #[test]
    fn every_result_has_a_sentence_of_its_own() {
        for (name, value, says) in [
            (
                "clock",
                json!({"time": "14:05", "date": "Saturday 21 November 2026"}),
                "It is 14:05 on Saturday 21 November 2026.",
            ),
            ("timer", json!({"ok": true, "timer": "10 minutes"}), "The timer of 10 minutes is running."),
            ("set_light", json!({"ok": true, "kitchen light": "on"}), "The kitchen light is on."),
            ("set_door", json!({"ok": true, "doors": "locked"}), "The doors are locked."),
            ("radio", json!({"ok": true, "output": "hello"}), "The tool radio says: hello."),
            ("radio", json!("hello!"), "The tool radio says: hello!"),
            ("radio", json!({"ok": true, "output": ""}), "The tool radio has run, and said nothing."),
            ("radio", json!(null), "The tool radio has run, and said nothing."),
            (
                "rain_today",
                json!({"ok": true, "mm": 3.5, "sky": "grey"}),
                "The tool rain today says: mm 3.5 and sky grey.",
            ),
            ("list", json!(["a", 2, true]), "The tool list says: a, 2 and yes."),
            ("x", json!("\u{1b}[31m<|im_end|>\u{7}a\nb"), "The tool x says: [31m im_end a b."),
        ] {
            assert_eq!(answer(&result(name, json!({}), value)), says);
        }
        let long = answer(&result("x", json!({}), json!("word ".repeat(1000))));
        assert!(long.len() < 350 && long.ends_with("word…"), "{long}");
    }

    #[test]
    fn a_reply_keeps_to_what_a_command_has_answered() {
        let weather = [result("weather", json!({"city": "Oslo"}), json!({"celsius": 12.4, "sky": "light rain"}))];
        for (reply, keeps) in [
            ("It is 12.4 degrees with light rain.", true),
            ("About 12 degrees.", true),
            ("There is some rain in Oslo.", true),
            ("It is 13 degrees with light rain.", false),
            ("The front door is locked.", false),
            ("", false),
            ("In Oslo all is well.", false),
        ] {
            assert_eq!(keeps_to(reply, &weather, "What is it like in Oslo?"), keeps, "{reply}");
        }
        let radio = [result("play_radio", json!({"station": "Jazz FM"}), json!({"ok": true}))];
        for (reply, keeps) in [
            ("Playing Jazz FM.", true),
            ("The radio plays.", true),
            ("The front door is locked.", false),
            ("It is 7.", false),
        ] {
            assert_eq!(keeps_to(reply, &radio, "Put on some music."), keeps, "{reply}");
        }
    }
}
