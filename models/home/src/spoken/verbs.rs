//! The forms of English verbs: "turn", "turned", "turning", "sent" and "sending" of "send"; and the verbs with which things of a home
//! are acted on, for those who look for wishes and for those who look for claims that one was carried out.

use std::collections::HashSet;
use std::sync::OnceLock;

/// Verbs whose past is not made with "-ed": the verb, its past, its participle.
#[rustfmt::skip]
const IRREGULAR: &[(&str, &str, &str)] = &[
    ("be", "was", "been"), ("begin", "began", "begun"), ("bring", "brought", "brought"), ("build", "built", "built"),
    ("buy", "bought", "bought"), ("catch", "caught", "caught"), ("choose", "chose", "chosen"), ("come", "came", "come"),
    ("cut", "cut", "cut"), ("dig", "dug", "dug"), ("do", "did", "done"), ("draw", "drew", "drawn"),
    ("drink", "drank", "drunk"), ("drive", "drove", "driven"), ("eat", "ate", "eaten"), ("feed", "fed", "fed"),
    ("find", "found", "found"), ("fly", "flew", "flown"), ("forget", "forgot", "forgotten"), ("get", "got", "got"),
    ("give", "gave", "given"), ("go", "went", "gone"), ("hang", "hung", "hung"), ("have", "had", "had"),
    ("hold", "held", "held"), ("keep", "kept", "kept"), ("leave", "left", "left"), ("lend", "lent", "lent"),
    ("let", "let", "let"), ("light", "lit", "lit"), ("lose", "lost", "lost"), ("make", "made", "made"),
    ("meet", "met", "met"), ("mow", "mowed", "mown"), ("pay", "paid", "paid"), ("put", "put", "put"),
    ("read", "read", "read"), ("reset", "reset", "reset"), ("ring", "rang", "rung"), ("rise", "rose", "risen"),
    ("run", "ran", "run"), ("see", "saw", "seen"), ("sell", "sold", "sold"), ("send", "sent", "sent"),
    ("set", "set", "set"), ("sew", "sewed", "sewn"), ("shut", "shut", "shut"), ("sing", "sang", "sung"),
    ("sow", "sowed", "sown"), ("speak", "spoke", "spoken"), ("spend", "spent", "spent"), ("spin", "spun", "spun"),
    ("sweep", "swept", "swept"), ("swim", "swam", "swum"), ("take", "took", "taken"), ("teach", "taught", "taught"),
    ("tell", "told", "told"), ("think", "thought", "thought"), ("throw", "threw", "thrown"), ("wake", "woke", "woken"),
    ("wear", "wore", "worn"), ("wind", "wound", "wound"), ("write", "wrote", "written"), ("undo", "undid", "undone"),
];

/// The ways in which a request acts on a home and a reply claims that it was done. Particles stand apart: "turn off".
#[rustfmt::skip]
pub const ACTING: &[&str] = &[
    "turn", "switch", "set", "open", "close", "shut", "lock", "unlock", "start", "stop", "dim", "brighten", "adjust",
    "change", "activate", "deactivate", "enable", "disable", "add", "remove", "pause", "resume", "mute", "unmute",
    "arm", "disarm", "increase", "decrease", "reduce", "lower", "raise", "put", "make", "power", "schedule", "cancel",
    "create", "send", "update", "complete", "delete", "reset", "play", "move", "transfer", "rename", "restart", "extend",
    "shorten", "replace", "snooze", "postpone",
];

/// Further verbs with which a wish begins.
#[rustfmt::skip]
const WISHING: &[&str] = &[
    "run", "continue", "skip", "darken", "illuminate", "kill", "cut", "bring", "mark", "tick", "trigger", "press", "begin", "end",
    "launch", "vacuum", "clean", "sweep", "mow", "dock", "wake", "remind", "alert", "notify", "time", "count", "heat", "warm", "cool",
    "roll", "pull", "draw", "flip", "toggle", "keep", "leave", "secure", "bolt", "crank", "get", "give", "shade", "silence", "boost",
    "extinguish", "fire", "light", "select", "choose", "use", "pump", "drop", "go", "return", "take", "let", "forget", "remember",
    "ignore", "do", "tell", "check", "water", "shuffle", "tilt", "undo",
];

/// The forms of the verbs of [`ACTING`].
struct Forms {
    past: HashSet<String>,
    gerunds: HashSet<String>,
}

fn forms() -> &'static Forms {
    static FORMS: OnceLock<Forms> = OnceLock::new();
    FORMS.get_or_init(|| {
        let mut forms = Forms { past: HashSet::new(), gerunds: HashSet::new() };
        for verb in ACTING {
            match IRREGULAR.iter().find(|(base, ..)| base == verb) {
                Some((_, past, participle)) => forms.past.extend([(*past).to_owned(), (*participle).to_owned()]),
                None => forms.past.extend(regular(verb, "ed")),
            }
            forms.gerunds.extend(regular(verb, "ing"));
        }
        forms
    })
}

/// Whether a verb, in its base form, acts on a home.
pub fn is_acting(word: &str) -> bool {
    ACTING.contains(&word)
}

/// Whether a verb, in its base form, begins a wish.
pub fn is_wishing(word: &str) -> bool {
    ACTING.contains(&word) || WISHING.contains(&word)
}

/// Whether a word says of such a deed that it was done: "turned", "sent".
pub fn is_deed_done(word: &str) -> bool {
    forms().past.contains(word)
}

/// Whether a word says of such a deed that it is under way: "turning".
pub fn is_deed_under_way(word: &str) -> bool {
    forms().gerunds.contains(word)
}

/// The verb of which a word is the "-ing" form, of those with which a wish begins: "turn" for "turning".
pub fn wish_of_gerund(word: &str) -> Option<&'static str> {
    ACTING.iter().chain(WISHING).copied().find(|verb| is_gerund_of(word, verb))
}

/// Whether `word` is the past or the participle of `verb`.
pub fn is_past_of(word: &str, verb: &str) -> bool {
    match IRREGULAR.iter().find(|(base, ..)| *base == verb) {
        Some((_, past, participle)) => word == *past || word == *participle,
        None => regular(verb, "ed").any(|form| form == word),
    }
}

/// Whether `word` is the "-ing" form of `verb`.
pub fn is_gerund_of(word: &str, verb: &str) -> bool {
    word.ends_with("ing") && regular(verb, "ing").any(|form| form == word)
}

/// The verb of which one is the form, given both as they stand: "serviced" and "service", "flying" and "fly", "swam" and "swim".
pub fn same_verb(a: &str, b: &str) -> bool {
    let is_form = |word: &str, verb: &str| {
        word == verb || word.strip_suffix('s') == Some(verb) || is_past_of(word, verb) || is_gerund_of(word, verb)
    };
    is_form(a, b) || is_form(b, a)
}

/// A verb with a regular ending, in the ways in which it may be spelt: "dimmed", "cancelled" and "canceled", "tried", "serviced".
fn regular<'a>(verb: &'a str, ending: &'a str) -> impl Iterator<Item = String> + 'a {
    let plain = format!("{verb}{ending}");
    let without_e = verb.strip_suffix('e').map(|stem| format!("{stem}{ending}"));
    let with_i = verb.strip_suffix('y').filter(|_| ending == "ed").map(|stem| format!("{stem}i{ending}"));
    let last = verb.chars().last().filter(|c| !"aeiouwxy".contains(*c));
    let doubled = last.map(|c| format!("{verb}{c}{ending}"));
    // "closeed" is no word.
    let plain = (!verb.ends_with('e')).then_some(plain);
    plain.into_iter().chain(without_e).chain(with_i).chain(doubled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_verb_belong_to_it() {
        for (word, verb) in [
            ("turned", "turn"),
            ("dimmed", "dim"),
            ("closed", "close"),
            ("cancelled", "cancel"),
            ("canceled", "cancel"),
            ("tried", "try"),
            ("sent", "send"),
            ("taken", "take"),
        ] {
            assert!(is_past_of(word, verb), "{word} {verb}");
        }
        for (word, verb) in [("turn", "turn"), ("sended", "send"), ("open", "close")] {
            assert!(!is_past_of(word, verb), "{word} {verb}");
        }
        assert!(
            is_deed_done("turned") && is_deed_done("shut") && !is_deed_done("turn") && is_deed_under_way("sending")
        );
        assert_eq!(wish_of_gerund("cranking"), Some("crank"));
        for (word, verb) in [("closing", "close"), ("dimming", "dim"), ("flying", "fly"), ("opening", "open")] {
            assert!(is_gerund_of(word, verb), "{word} {verb}");
        }
        assert!(same_verb("serviced", "service") && same_verb("swimming", "swim") && !same_verb("sing", "sign"));
    }
}
