//! Turns of phrase that say in other words what the templates say: tried where a request as it was said means nothing.

/// Phrases and what they come to; longest first where one holds another.
#[rustfmt::skip]
const IDIOMS: &[(&str, &str)] = &[
    // What only repeats the present, and what makes an amount vague.
    ("the little", "the"), ("flower beds", "beds"), ("flower bed", "bed"), ("behind me", ""), ("behind us", ""), ("after me", ""),
    ("as it is now", ""), ("as they are now", ""), ("as it is at the moment", ""), ("than it is now", ""), ("than they are now", ""),
    ("as now", ""), ("than now", ""), ("or so", ""), ("or thereabouts", ""), ("or something", ""), ("or something like that", ""),
    ("as it will go", "as it goes"), ("as they will go", "as they go"), ("as he will go", "as it goes"),
    ("as she will go", "as it goes"), ("to a whisper", ""), ("to a crawl", ""),
    // Wholes and parts.
    ("wide open", "all the way open"), ("the pair of them", ""), ("the lot of them", ""), ("the whole lot", "everything"),
    ("the both of them", ""), ("in the whole place", ""), ("in the place", ""), ("the only one", ""), ("somewhere", ""),
    ("standing open", "open"), ("standing wide open", "open"), ("wireless", "radio"), ("tune", "song"),
    ("the picture", "the film"), ("that breeze", "that fan"), ("the breeze", "the fan"), ("that draft", "that fan"),
    ("that draught", "that fan"), ("the draught", "the fan"), ("that wind", "that fan"), ("please", ""),
    ("we have got", ""), ("i have got", ""),
    ("throw on", "turn on"), ("whack on", "turn on"), ("chuck on", "turn on"), ("slap on", "turn on"),
    // Going on, and for how long.
    ("carry on with", "resume"), ("keep going with", "resume"), ("get on with", "resume"), ("press on with", "resume"),
    // Verbs of habit for switching and moving.
    ("pop", "put"), ("stick", "put"), ("chuck", "put"), ("bung", "put"), ("whack", "turn"), ("knock", "turn"), ("bump", "turn"),
    ("nudge", "turn"), ("kick", "turn"), ("ease", "turn"), ("dial", "turn"), ("ramp", "turn"), ("notch", "turn"), ("flick", "turn"),
    ("flip", "turn"), ("whip", "put"), ("fling", "put"), ("yank", "pull"), ("jack", "turn"), ("click", "turn"), ("snap", "turn"), ("quit", "stop"),
    ("knock off", "turn off"),
    // Amounts.
    ("right down", "down a lot"), ("way down", "down a lot"), ("right up", "up a lot"), ("way up", "up a lot"),
    ("a fair bit", "a lot"), ("a good bit", "a lot"), ("loads", "a lot"), ("a whole lot", "a lot"), ("tons", "a lot"),
    ("a hair", "a bit"), ("a shade", "a bit"), ("a smidgeon", "a bit"), ("a couple of notches", "a lot"), ("a few notches", "a lot"),
    ("the rest of the way", "all the way"), ("back to", "to"), ("back down", "down"), ("back up", "up"), ("just about", "about"),
    ("about", ""), ("around", ""), ("roughly", ""), ("exactly", ""), ("just", ""), ("some", ""),
    // Dark, hot, cold.
    ("pitch black", "dark"), ("pitch dark", "dark"), ("so dark", "dark"), ("very dark", "dark"), ("awfully", "too"),
    ("terribly", "too"), ("like an oven", "too hot"), ("like a sauna", "too hot"), ("like a furnace", "too hot"),
    ("roasting", "too hot"), ("sweltering", "too hot"), ("baking", "too hot"), ("burning up", "too hot"), ("melting", "too hot"),
    ("boiling hot", "too hot"), ("boiling", "too hot"), ("stifling", "too hot"), ("like a fridge", "too cold"),
    ("like a freezer", "too cold"), ("like an icebox", "too cold"), ("freezing cold", "too cold"), ("perishing", "too cold"),
    ("freezing", "too cold"), ("nippy", "too cold"), ("baltic", "too cold"), ("arctic", "too cold"), ("shivering", "too cold"),
    ("too too", "too"), ("a little too", "too"), ("a bit too", "too"), ("a touch too", "too"), ("rather too", "too"),
    ("a touch bright", "too bright"), ("a bit bright", "too bright"), ("rather bright", "too bright"), ("so bright", "too bright"),
    ("blinding", "too bright"), ("dazzling", "too bright"), ("a bit dim", "too dark"), ("a bit dark", "too dark"),
    ("a bit gloomy", "too dark"), ("gloomy", "too dark"), ("deafening", "too loud"), ("blaring", "too loud"), ("so loud", "too loud"),
    ("a bit loud", "too loud"), ("a bit quiet", "too quiet"), ("so quiet", "too quiet"), ("a bit warm", "too hot"),
    ("a bit hot", "too hot"), ("a bit cold", "too cold"), ("a bit chilly", "too cold"), ("a bit cool", "too cold"),
    ("so cold", "too cold"), ("so hot", "too hot"), ("way too", "too"), ("far too", "too"), ("much too", "too"), ("a tad too", "too"),
    ("way too too", "too"), ("too too", "too"), ("toasty", "warm"), ("could do with being", "should be"), ("wants to be", "should be"),
    // Opening, closing, silence.
    ("pull back", "open"), ("throw open", "open"), ("fling open", "open"), ("throw back", "open"), ("pull to", "close"),
    ("block out the sun in", "close the blinds in"), ("pipe down", "mute"), ("shut up", "mute"), ("hush", "mute"), ("shush", "mute"),
    ("max out", "set to maximum"), ("a notch", "a bit"), ("one notch", "a bit"), ("a peg", "a bit"), ("a smidge", "a bit"),
    // Questions.
    ("brolly", "umbrella"), ("at the minute", "now"), ("got going", "running"), ("up and running", "running"),
    ("by any chance", ""), ("by the way", ""), ("at all", ""), ("these days", ""),
    ("in there", ""), ("out there", "outside"), ("over there", ""), ("in total", ""), ("altogether", ""), ("so far", ""),
    ("in percent", ""), ("in degrees", ""),
    ("at this point", ""), ("as of now", ""), ("in the house", ""), ("around the house", ""), ("in the home", ""),
    ("anywhere", ""), ("did anyone lock up", "is everything locked"), ("did i lock up", "is everything locked"),
    ("did we lock up", "is everything locked"), ("have i locked up", "is everything locked"),
    ("have we locked up", "is everything locked"), ("did anybody lock up", "is everything locked"),
    ("is the house locked up", "is everything locked"), ("is the house locked", "is everything locked"),
    ("is the house secure", "is everything locked"), ("is the home secure", "is everything locked"),
    ("is the place secure", "is everything locked"),
    ("are we locked up", "is everything locked"),
    // Things.
    ("swap", "change"), ("full whack", "full"), ("full tilt", "full"), ("full pelt", "full"), ("full throttle", "full"),
    ("more minutes", "minutes"), ("more hours", "hours"), ("extra minutes", "minutes"), ("the heat", "the heating"), ("tunes", "music"), ("the box", "the tv"),
    ("hoovering", "vacuuming"), ("the hoover", "the vacuum"),
];

/// States and what they are not, in questions.
const NEGATED: &[(&str, &str)] = &[
    ("not locked", "unlocked"),
    ("not unlocked", "locked"),
    ("not closed", "open"),
    ("not shut", "open"),
    ("not open", "closed"),
    ("not on", "off"),
    ("not off", "on"),
    ("not running", "off"),
    ("not at home", "away"),
    ("not home", "away"),
];

/// How questions begin in other words.
#[rustfmt::skip]
const BEGINNINGS: &[(&str, &str)] = &[
    ("too hot", "it is too hot"),
    ("too warm", "it is too warm"),
    ("too cold", "it is too cold"),
    ("too dark", "it is too dark"),
    ("too bright", "it is too bright"),
    ("any idea if", "tell me if"), ("any idea whether", "tell me if"), ("wonder if", "tell me if"), ("i wonder if", "tell me if"),
    ("i am wondering if", "tell me if"), ("you know if", "tell me if"), ("do you happen to know if", "tell me if"),
    ("have you any idea if", "tell me if"), ("i am not sure if", "tell me if"), ("not sure if", "tell me if"),
    ("i do not remember if", "tell me if"), ("i cannot remember if", "tell me if"), ("remind me if", "tell me if"),
    ("remind me what is", "what is"), ("remind me when", "when"), ("remind me what", "what"), ("remind me where", "where"),
    ("see if i left", "did i leave"), ("check if i left", "did i leave"), ("tell me if i left", "did i leave"),
    ("see if i locked", "did i lock"), ("check if i locked", "did i lock"), ("tell me if i locked", "did i lock"),
    ("see if i closed", "did i close"), ("check if i closed", "did i close"), ("tell me if i closed", "did i close"),
    ("see if i turned off", "did i turn off"), ("check if i turned off", "did i turn off"), ("tell me if i turned off", "did i turn off"),
    ("got anything", "do i have anything"), ("have you got anything", "do i have anything"), ("anything doing", "do i have anything"),
    ("brr", ""), ("oh", ""), ("ah", ""), ("gosh", ""), ("blimey", ""), ("phew", ""), ("ugh", ""),
];

/// How a reason or a purpose begins that stands behind a wish.
const REASONS: &[&str] = &[
    " so i can ",
    " so we can ",
    " so that ",
    " because ",
    " while i ",
    " while we ",
    " while he ",
    " while she ",
    " while they ",
    " as i ",
    " as we ",
    " since i ",
    " since we ",
    " in case ",
    " before i forget",
];

/// Whether a word is of a time: "unlock the door for the weekend" is for a while, and for nobody.
pub(super) fn is_time_word(word: &str) -> bool {
    #[rustfmt::skip]
    const TIMES: &[&str] = &[
        "second", "minute", "hour", "day", "week", "weekend", "month", "year", "night", "morning", "afternoon", "evening", "noon",
        "midnight", "today", "tonight", "tomorrow", "now", "later", "ever", "good", "while", "bit", "moment", "sec", "min", "summer",
        "winter", "spring", "autumn", "till", "lunch", "breakfast", "dinner", "once", "always",
    ];
    TIMES.contains(&word) || word.strip_suffix('s').is_some_and(|one| TIMES.contains(&one))
}

/// The request without a reason or a purpose behind it: "… so I can read", "… for the milk lorry". A purpose is one only where no
/// word of it is known here.
pub(super) fn without_reason(text: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    let cut = REASONS.iter().filter_map(|reason| text.find(reason)).min();
    if let Some(at) = cut.filter(|at| *at > 0) {
        return Some(text[..at].trim_end_matches([' ', ',', '.']).to_owned());
    }
    let (wish, purpose) = text.rsplit_once(" for ")?;
    let words: Vec<&str> = purpose.split(' ').collect();
    let says = |w: &&str| !matches!(*w, "the" | "my" | "our" | "a" | "an" | "his" | "her" | "their" | "some");
    let plain = words.iter().filter(|w| says(w)).all(|w| {
        !is_known(w)
            && crate::spoken::number(&[w]).is_none()
            && !w.starts_with(|c: char| c.is_ascii_digit())
            && !matches!(
                *w,
                "minute" | "minutes" | "hour" | "hours" | "second" | "seconds" | "," | "." | "later" | "tomorrow"
            )
    });
    // What is opened for a time would stay open.
    let opens =
        wish.split(' ').any(|w| matches!(w, "unlock" | "unlocked" | "unbolt" | "open" | "opened" | "disarm" | "let"));
    let is_for_a_time = opens && words.iter().any(|w| is_time_word(w));
    (words.len() <= 5 && plain && !is_for_a_time && wish.contains(' ')).then(|| wish.to_owned())
}

/// Words between "a" and an amount that say how it feels.
#[rustfmt::skip]
const FEELS: &[&str] = &[
    "cosy", "cozy", "comfy", "comfortable", "nice", "pleasant", "gentle", "soft", "warm", "cool", "steady", "mere", "good", "modest",
    "toasty", "balmy", "relaxing", "bright", "low", "decent", "reasonable", "tolerable", "bearable", "mild", "quiet", "dim",
];

/// Amounts in plain words: "another 20 percent" is "by 20 percent", "a cosy 2700 kelvin" is "2700 kelvin", "from 80 down to 35" is
/// "down to 35".
fn amounts<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let is_number = |at: usize| {
        words
            .get(at..)
            .is_some_and(|rest| crate::spoken::number(rest).is_some() || crate::spoken::percent(rest, false).is_some())
    };
    let mut out: Vec<&str> = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        match words[at..] {
            ["another" | "further", ..] if is_number(at + 1) && out.last() != Some(&"by") => {
                out.push("by");
                at += 1;
            }
            ["a" | "an", "further" | "additional" | "extra", ..] if is_number(at + 2) => {
                if out.last() != Some(&"by") {
                    out.push("by");
                }
                at += 2;
            }
            ["a" | "an", feels, ..] if FEELS.contains(&feels) && is_number(at + 2) => at += 2,
            ["say" | "maybe" | "perhaps", ..] if at > 0 && is_number(at + 1) => at += 1,
            // A comma before an amount says nothing.
            _ => {
                out.push(words[at]);
                at += 1;
            }
        }
    }
    out
}

/// The request in other words; `None` where it has none of these turns.
pub(super) fn reworded(text: &str) -> Option<String> {
    let mut out = format!(" {text} ");
    let first = text.split(' ').next().unwrap_or_default();
    let asks = matches!(first, "which" | "what" | "are" | "is" | "any" | "how" | "who");
    let negated: &[(&str, &str)] = if asks { NEGATED } else { &[] };
    for (idiom, plain) in IDIOMS.iter().chain(negated) {
        let idiom = format!(" {idiom} ");
        if out.contains(&idiom) {
            let plain = if plain.is_empty() { " ".to_owned() } else { format!(" {plain} ") };
            out = out.replacen(&idiom, &plain, 1);
        }
    }
    // A question in the form of a doubt or a wish to be told.
    for (beginning, plain) in BEGINNINGS {
        if let Some(rest) = out.strip_prefix(&format!(" {beginning} ")) {
            out = format!(" {plain} {rest}");
            break;
        }
    }
    // "Switch off the lamp if it is on" is done whatever it is.
    for state in ["on", "off", "open", "closed", "shut", "locked", "unlocked", "running", "still on", "still open"] {
        for it in ["it is", "they are"] {
            if let Some(wish) = out.strip_suffix(&format!(" if {it} {state} ")) {
                out = format!("{wish} ");
            }
        }
    }
    // "Somebody forgot to lock the gate, do it": the second clause asks for what the first says.
    for tail in
        [", do it", ", do that", ", see to it", ", see to that", ", sort it out", ", fix that", ", can you do it"]
    {
        if let Some(wish) = out.strip_suffix(&format!(" {tail} ")) {
            out = format!("{wish} ");
        }
    }
    let out = out.trim().trim_matches([',', ' ']).to_owned();
    let out = amounts(&out.split_whitespace().collect::<Vec<_>>()).join(" ");
    (out != text && !out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_of_phrase_becomes_plain_words() {
        assert_eq!(reworded("knock the lamp back to 20").as_deref(), Some("turn the lamp to 20"));
        assert_eq!(reworded("it is pitch black in the hall").as_deref(), Some("it is dark in the hall"));
        assert_eq!(reworded("turn on the lamp"), None);
    }
}
