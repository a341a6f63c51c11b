//! A request's text as normalised words: lower case, contractions written out, digits apart from letters, punctuation reduced to
//! `,` and `.`; without fillers, greetings and politeness, none of which change what is asked for.

use super::contracted::{HAS_BEFORE, IS_BEFORE, NO_OWNERS, WHOLE};
use super::verbs::wish_of_gerund;

/// A request longer than this is not a request to a home; the rest is not read.
pub const LONGEST: usize = 600;

/// Said before a request and no part of it; longest first where one begins another.
const BEFORE: &[&str] = &[
    "would you mind",
    "do you mind",
    "how about",
    "would you be so kind as to",
    "would you be so kind and",
    "would you please be so kind as to",
    "be so kind and",
    "be so kind as to",
    "i would like you to",
    "i would love you to",
    "i want you to",
    "i need you to",
    "i would like to",
    "i would appreciate it if you could",
    "it would be great if you could",
    "it would be nice if you could",
    "can you help me",
    "could you",
    "can you",
    "would you",
    "will you",
    "you can",
    "you could",
    "can we",
    "could we",
    "can i",
    "could i",
    "let us",
    "we should",
    "i want to",
    "i need to",
    "i think you should",
    "you should",
    "go ahead and",
    "go on and",
    "do me a favor and",
    "do me a favour and",
    "be a dear and",
    "be a love and",
    "feel free to",
    "i was wondering if you could",
    "i wonder if you could",
    "i was wondering whether you could",
    "do you think you could",
    "would it be possible to",
    "is it possible to",
    "any chance you could",
    "i would be grateful if you could",
    "if you could",
    "if you would",
    "you may",
    "you might",
    "you might as well",
    "you had better",
    "you better",
    "we had better",
    "i had better",
    "it is time to",
    "time to",
    "we need to",
    "we want to",
    "we would like to",
    "we have to",
    "i have to",
    "we can",
    "help me to",
    "why do not you",
    "why not",
    "hey can you",
    "right then",
    "right so",
    "oi",
    "hiya",
    "howdy",
    "um so",
    "go and",
    "try to",
    "remember to",
    "do not forget to",
    "never forget to",
    "and do not forget to",
    "i think we should",
    "i think we can",
    "i think i should",
    "maybe we should",
    "maybe you could",
    "i guess we should",
    "make sure to",
    "be sure to",
    "please",
    "kindly",
    "hey there",
    "hey",
    "hi there",
    "hi",
    "hello",
    "good morning",
    "good evening",
    "good afternoon",
    "ok",
    "okay",
    "alright",
    "all right",
    "so",
    "well",
    "now",
    "and",
    "also",
    "then",
    "oh",
    "ah",
    "yes",
    "yeah",
    "yo",
    "just",
    "quickly",
    "simply",
    "actually",
    "nearfield",
    "thanks",
    "thank you",
    "sorry",
    "excuse me",
    "listen",
    "look",
    "maybe",
    "oh dear",
    "oh no",
    "could someone",
    "can someone",
    "would someone",
    "could somebody",
    "can somebody",
    "perhaps",
    "right",
    "good night",
    "goodnight",
    ",",
];

/// Said behind a request and no part of it.
const AFTER: &[&str] = &[
    "please",
    "for me",
    "for us",
    "thanks",
    "thank you",
    "thank you very much",
    "thanks a lot",
    "cheers",
    "for now",
    "love",
    "for the moment",
    "for a moment",
    "for a minute",
    "for a second",
    "for a sec",
    "for a bit",
    "for a while",
    "for a little while",
    "for the time being",
    "if you please",
    "and thank you",
    "please and thank you",
    "when you are ready",
    "thank you so much",
    "thanks very much",
    "ta",
    "my friend",
    "would be great",
    "would be nice",
    "would be lovely",
    "behind me",
    "behind us",
    "behind her",
    "behind him",
    "behind them",
    "after me",
    "after us",
    "before bed",
    "before i go",
    "before we go",
    "before i leave",
    "before we leave",
    "right now",
    "now",
    "right away",
    "immediately",
    "at once",
    "as soon as possible",
    "asap",
    "straight away",
    "will you",
    "would you",
    "could you",
    "can you",
    "if you can",
    "if you could",
    "if possible",
    "if you do not mind",
    "if you would",
    "when you can",
    "when you get a chance",
    "when you have a moment",
    "okay",
    "ok",
    "mate",
    "dear",
    "buddy",
    "then",
    "at the moment",
    "currently",
    "at present",
    "presently",
    "at this moment",
    "just now",
    "quickly",
    "again please",
    "too",
    "as well",
    "though",
    "nearfield",
    ",",
];

/// The same behind a wish; behind a question they say what is asked for.
const TIMES_AFTER: &[&str] =
    &["for today", "for tonight", "for the night", "for the weekend", "for the day", "for the evening"];

/// Of [`AFTER`], what says how long.
const WHILES: &[&str] =
    &["for a moment", "for a minute", "for a second", "for a sec", "for a bit", "for a while", "for a little while"];

/// Words of wishes that must not last longer than was said.
const OPENING: &[&str] = &["unlock", "unlocked", "unbolt", "open", "opened", "disarm", "let"];

/// Words with which a question begins.
const ASKING: &[&str] = &[
    "what", "when", "where", "who", "which", "how", "is", "are", "do", "does", "did", "have", "has", "will", "am",
    "any", "anything", "tell", "show", "read", "list", "should",
];

/// Sounds of hesitation, dropped wherever they stand.
const HESITATION: &[&str] = &["um", "umm", "uh", "uhh", "uhm", "er", "erm", "hmm", "hm", "mm", "eh"];

/// The request as words separated by single spaces.
///
/// ```
/// use nearfield_home::spoken::normalise;
/// assert_eq!(normalise("Could you, um, turn ON the light to 20%, please?"), "turn on the light to 20 percent");
/// ```
pub fn normalise(text: &str) -> String {
    let all = words(text);
    let mut tokens: Vec<&str> = all.iter().map(String::as_str).collect();
    tokens.retain(|t| !HESITATION.contains(t));
    // "turn, the light" after a dropped "um": a comma that follows a comma says nothing.
    tokens.dedup_by(|b, a| *a == "," && *b == ",");
    strip(&mut tokens);
    let mut out: Vec<String> = tokens.into_iter().map(str::to_owned).collect();
    // "Closing time" is a name; "would you mind closing …" is a wish.
    let is_wish = all.iter().any(|w| matches!(w.as_str(), "mind" | "about" | "try" | "appreciate"));
    if is_wish
        && let Some(first) = out.first_mut()
        && let Some(verb) = wish_of_gerund(first)
    {
        *first = verb.to_owned();
    }
    out.join(" ")
}

/// Drops what stands around the request, again and again until nothing more goes. A request of nothing else stays as it is.
fn strip(tokens: &mut Vec<&str>) {
    loop {
        let before = tokens.len();
        let asks = tokens.first().is_some_and(|first| ASKING.contains(first));
        // An alarm has a mode for the night.
        let is_alarm = tokens.iter().any(|token| matches!(*token, "arm" | "alarm"));
        let times = if asks || is_alarm { None } else { longest(TIMES_AFTER, |phrase| ends_with(tokens, phrase)) };
        // "Unlock the door for a minute" is not to unlock it for good.
        let opens = tokens.iter().any(|token| OPENING.contains(token));
        let after = longest(AFTER, |phrase| !(opens && WHILES.contains(&phrase)) && ends_with(tokens, phrase));
        if let Some(n) = after.or(times.filter(|_| !opens)) {
            if n >= tokens.len() {
                return;
            }
            tokens.truncate(tokens.len() - n);
        }
        if let Some(n) = longest(BEFORE, |phrase| starts_with(tokens, phrase)) {
            if n >= tokens.len() {
                return;
            }
            tokens.drain(..n);
        }
        while tokens.last() == Some(&".") {
            tokens.pop();
        }
        while tokens.first() == Some(&".") {
            tokens.remove(0);
        }
        if tokens.len() == before {
            return;
        }
    }
}

fn longest(phrases: &[&str], fits: impl Fn(&str) -> bool) -> Option<usize> {
    phrases.iter().filter(|p| fits(p)).map(|p| p.split(' ').count()).max()
}

fn starts_with(tokens: &[&str], phrase: &str) -> bool {
    let mut at = 0;
    phrase.split(' ').all(|word| {
        at += 1;
        tokens.get(at - 1) == Some(&word)
    })
}

fn ends_with(tokens: &[&str], phrase: &str) -> bool {
    let n = phrase.split(' ').count();
    tokens.len() >= n && starts_with(&tokens[tokens.len() - n..], phrase)
}

/// All words of a text, fillers included: names of a home are normalised by this, so that they meet the request's words.
pub fn words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let spaced = spaced(text);
    let mut all = spaced.split_whitespace().peekable();
    while let Some(raw) = all.next() {
        if raw.chars().all(|c| c == '.' || c == '?' || c == '!') {
            push_mark(&mut out, ".");
            continue;
        }
        if raw == "," || raw == ";" || raw == ":" {
            push_mark(&mut out, ",");
            continue;
        }
        if let Some((_, long)) = WHOLE.iter().find(|(short, _)| *short == raw) {
            out.extend(long.split(' ').map(str::to_owned));
            continue;
        }
        // "The radio's too loud", "Beth's downstairs": a shortened "is" and no possessive.
        if let Some(owner) = raw.strip_suffix("'s")
            && let Some(next) = all.peek()
        {
            let nobodys = NO_OWNERS.contains(&owner);
            let is_doing =
                next.len() > 5 && next.ends_with("ing") && !matches!(*next, "ceiling" | "heating" | "lighting");
            if nobodys
                || is_doing && !next.starts_with("living") && !next.starts_with("dining")
                || IS_BEFORE.contains(next)
            {
                let plain = owner.replace('\'', "");
                let same = WHOLE.iter().find(|(short, _)| *short == plain).map_or(plain.as_str(), |(_, long)| *long);
                out.push(same.to_owned());
                out.push(if nobodys && HAS_BEFORE.contains(next) { "has" } else { "is" }.to_owned());
                continue;
            }
        }
        // "Rosie's collar" is the collar of Rosie, and nothing of a "rosy"; "James's room" is that of James.
        let word = match raw.strip_suffix("'s").filter(|owner| owner.ends_with("ie") || owner.ends_with('s')) {
            Some(owner) => owner.replace('\'', ""),
            None => raw.replace('\'', ""),
        };
        match WHOLE.iter().find(|(short, _)| *short == word && raw.contains('\'')) {
            Some((_, long)) => out.extend(long.split(' ').map(str::to_owned)),
            None if word.is_empty() => {}
            None => out.push(word),
        }
    }
    while out.last().is_some_and(|w| w == "." || w == ",") {
        out.pop();
    }
    out
}

fn push_mark(out: &mut Vec<String>, mark: &str) {
    if !out.is_empty() {
        if out.last().is_some_and(|w| w == "," || w == ".") {
            out.pop();
        }
        out.push(mark.to_owned());
    }
}

/// Puts spaces where words end: around punctuation, between digits and letters, in place of hyphens.
fn spaced(text: &str) -> String {
    let chars: Vec<char> = text
        .chars()
        .take(LONGEST)
        .flat_map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{201b}' | '`' | '\u{b4}' => '\''.to_lowercase(),
            '\u{2212}' | '\u{2013}' | '\u{2014}' => '-'.to_lowercase(),
            c => c.to_lowercase(),
        })
        .collect();
    let mut out = String::with_capacity(chars.len() + 16);
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let letter = |i: usize| chars.get(i).is_some_and(|c| c.is_alphabetic());
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1);
        let after_digit = before.is_some_and(digit);
        match c {
            '.' if after_digit && digit(i + 1) => out.push('.'),
            // "p.m.", "t.v.": a letter, a stop, a letter.
            '.' if before.is_some_and(letter)
                && letter(i + 1)
                && !before.and_then(|b| b.checked_sub(1)).is_some_and(letter) =>
            {
                out.push('.');
            }
            '.' if abbreviation(&chars, i) => {}
            ',' if after_digit && digit(i + 1) => {
                // A thousands separator stands before exactly three digits; anything else is a decimal comma.
                let run = (i + 1..).take_while(|&k| digit(k)).count();
                if run != 3 {
                    out.push('.');
                }
            }
            ':' if after_digit && digit(i + 1) => out.push(':'),
            '\'' => out.push('\''),
            '/' if before.is_some_and(letter) && letter(i + 1) => out.push('/'),
            '%' => out.push_str(" percent "),
            '\u{b0}' | '\u{ba}' => {
                out.push_str(" degrees ");
            }
            '\u{bd}' => out.push_str(if after_digit { " and a half " } else { " half " }),
            '&' => out.push_str(" and "),
            '+' => out.push_str(" plus "),
            '-' if digit(i + 1) && before.is_none_or(|b| chars[b] == ' ') => out.push_str(" minus "),
            '.' | ',' | ';' | '?' | '!' => {
                out.push(' ');
                out.push(if matches!(c, ',' | ';') { ',' } else { '.' });
                out.push(' ');
            }
            c if c.is_alphanumeric() => {
                // "5min", "7am", "1h30m": apart; but "3rd", "h2o" and "b12" stay whole.
                let ordinal = after_digit && is_ordinal_ending(&chars[i..]);
                let change = before
                    .is_some_and(|b| chars[b].is_alphanumeric() && chars[b].is_ascii_digit() != c.is_ascii_digit());
                if change && !ordinal && starts_with_digit(&chars, i) {
                    out.push(' ');
                }
                out.push(c);
            }
            _ => out.push(' '),
        }
    }
    out.push(' ');
    out.replace(" degrees c ", " degrees celsius ").replace(" degrees f ", " degrees fahrenheit ")
}

/// Whether the word that `chars[i]` belongs to begins with a digit.
fn starts_with_digit(chars: &[char], i: usize) -> bool {
    let mut k = i;
    while k > 0 && (chars[k - 1].is_alphanumeric() || matches!(chars[k - 1], '.' | ':' | ',')) {
        k -= 1;
    }
    chars[k].is_ascii_digit()
}

fn is_ordinal_ending(rest: &[char]) -> bool {
    let ends = |a: char, b: char| {
        rest.first() == Some(&a) && rest.get(1) == Some(&b) && !rest.get(2).is_some_and(|c| c.is_alphanumeric())
    };
    ends('s', 't') || ends('n', 'd') || ends('r', 'd') || ends('t', 'h')
}

/// Whether the stop at `i` ends "a.m.", "p.m." or "t.v.".
fn abbreviation(chars: &[char], i: usize) -> bool {
    i >= 3
        && chars[i - 2] == '.'
        && chars[i - 1].is_alphabetic()
        && chars[i - 3].is_alphabetic()
        && (i == 3 || !chars[i - 4].is_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn politeness_fillers_and_case_say_nothing() {
        for text in [
            "Please turn on the kitchen light",
            "Hey, could you please turn on the kitchen light?",
            "um turn on uh the kitchen light thank you",
            "Would you mind turning on the kitchen light, please?",
            "OK so turn on the kitchen light right now!",
            "TURN ON THE KITCHEN LIGHT.",
        ] {
            assert_eq!(normalise(text), "turn on the kitchen light", "{text}");
        }
    }

    #[test]
    fn a_negation_stays() {
        assert_eq!(normalise("Please don't turn on the light"), "do not turn on the light");
        assert_eq!(normalise("Don\u{2019}t open it"), "do not open it");
    }

    #[test]
    fn digits_stand_apart_from_units_but_ordinals_stay_whole() {
        assert_eq!(normalise("dim to 20%"), "dim to 20 percent");
        assert_eq!(normalise("set a 5-minute timer"), "set a 5 minute timer");
        assert_eq!(normalise("wake me at 7am"), "wake me at 7 am");
        assert_eq!(normalise("wake me at 7:30 p.m."), "wake me at 7:30 pm");
        assert_eq!(normalise("set it to 21,5\u{b0}C"), "set it to 21.5 degrees celsius");
        assert_eq!(normalise("what is on the 3rd of May"), "what is on the 3rd of may");
        assert_eq!(normalise("set it to -5"), "set it to minus 5");
        assert_eq!(normalise("1,000 lumens"), "1000 lumens");
        assert_eq!(normalise("a 1h30m timer"), "a 1 h 30 m timer");
    }

    #[test]
    fn names_are_normalised_like_requests() {
        assert_eq!(words("Anna's Room"), ["annas", "room"]);
        assert_eq!(words("TV (big)"), ["tv", "big"]);
        assert_eq!(words("Trader Joe'S"), ["trader", "joes"]);
    }

    #[test]
    fn a_request_of_nothing_but_politeness_stays() {
        assert_eq!(normalise("thank you"), "thank you");
        assert_eq!(normalise(""), "");
    }
}
