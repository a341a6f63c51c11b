//! What digits mean: quantities, ranges, fractions, sums, versions, labels; and how a bare integer is read.

use super::numbers::{Number, digits};
use super::{Said, View, is_capitalized};

impl View<'_> {
    /// A word with digits in it, and what belongs to it.
    pub(super) fn numeric(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let is_fraction_sign = |c: char| self.pack.fractions.signs.contains_key(&c);
        if !core.contains(|c: char| c.is_ascii_digit() || is_fraction_sign(c)) {
            return self.money(at);
        }
        self.ordinal_or_decade(at)
            .or_else(|| self.time(at))
            .or_else(|| self.phone(at))
            .or_else(|| self.dotted(at))
            .or_else(|| self.fraction(at))
            .or_else(|| self.money(at))
            .or_else(|| self.integer(at))
            .or_else(|| self.quantity(at))
            .or_else(|| self.range(at))
            .or_else(|| self.sum(at))
            .or_else(|| self.prefixed(at))
            .or_else(|| self.address(at))
            .or_else(|| self.compound(at))
            .or_else(|| self.label(at))
    }

    /// 1st, 23rd; 1990s, '90s, "in his 20s".
    fn ordinal_or_decade(&self, at: usize) -> Option<Said> {
        let token = &self.tokens[at];
        let number = Number::parse(token.core).filter(|(number, _)| number.fraction.is_none() && number.sign.is_none());
        let (number, rest) = number?;
        match rest {
            "st" | "nd" | "rd" | "th" => Said::one(self.speller.ordinal(&number.whole)),
            "s" | "'s" | "’s" if number.is_plain() => {
                let is_year = number.whole.len() == 4 && number.whole.ends_with('0');
                let quoted = token.lead.ends_with(['\'', '’', '‘']);
                const PERSONS: [&str; 10] = ["the", "his", "her", "their", "my", "our", "your", "early", "late", "mid"];
                let is_decade = number.whole.len() == 2
                    && number.whole.ends_with('0')
                    && (quoted || PERSONS.contains(&self.previous(at).to_lowercase().as_str()));
                if !(is_year || is_decade) {
                    return None;
                }
                let spoken =
                    if is_year { self.speller.year(&number.whole) } else { self.speller.cardinal(&number.whole) };
                Said::one(self.speller.plural(&spoken))
            }
            _ => None,
        }
    }

    /// 192.168.1.1 and 2.0.1.
    fn dotted(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let (body, port) = core.split_once(':').map_or((core, None), |(body, port)| (body, Some(port)));
        let groups: Vec<&str> = body.split('.').collect();
        let is_group = |g: &&str| (1..=5).contains(&g.len()) && g.bytes().all(|b| b.is_ascii_digit());
        if groups.len() < 3 || !groups.iter().all(is_group) {
            return None;
        }
        let is_address = groups.len() == 4 && groups.iter().all(|g| g.parse::<u8>().is_ok());
        let joint = if is_address { &self.pack.address.dot } else { &self.pack.numbers.point };
        let mut spoken: Vec<String> = Vec::new();
        for group in groups {
            spoken.push(self.speller.cardinal(group));
        }
        let mut words = spoken.join(&format!(" {joint} "));
        match port {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                words += &format!(", {}", self.speller.label(port))
            }
            Some(_) => return None,
            None => {}
        }
        Said::one(words)
    }

    /// 1/2, 1 1/2, 2½, 120/80, "8/10".
    fn fraction(&self, at: usize) -> Option<Said> {
        let words = &self.pack.fractions;
        let core = self.tokens[at].core;
        // A whole number in front, in the same word (2½) or in the one before it (1 1/2).
        if let Some(sign) = core.chars().last().and_then(|c| words.signs.get(&c)) {
            let whole = &core[..core.len() - core.chars().last()?.len_utf8()];
            let part = self.part_of_one(&sign[0], &sign[1], !whole.is_empty());
            return match Number::all_of(whole) {
                Some(number) => {
                    self.with_unit(at, 1, &format!("{} {} {part}", self.speller.number(&number), words.and), true)
                }
                None if whole.is_empty() => self.with_unit(at, 1, &part, false),
                None => None,
            };
        }
        if let Some(part) = Number::all_of(core).filter(Number::is_plain).and_then(|_| fraction_parts(self.next(at))) {
            let (n, d) = (part.0.parse::<u32>().ok()?, part.1.parse::<u32>().ok()?);
            if n < d && d <= 16 {
                let part = self.part_of_one(part.0, part.1, true);
                return self.with_unit(at, 2, &format!("{} {} {part}", self.speller.cardinal(core), words.and), true);
            }
        }
        let (top, bottom) = fraction_parts(core)?;
        let (n, d) = (top.parse::<u32>().ok()?, bottom.parse::<u32>().ok()?);
        let spoken = |joint: &str| format!("{} {joint} {}", self.speller.cardinal(top), self.speller.cardinal(bottom));
        match d {
            10 | 100 => Said::one(spoken(&words.out_of)),
            2..=20 | 32 | 64 if n < d && n > 0 => self.with_unit(at, 1, &self.part_of_one(top, bottom, false), false),
            _ => Said::one(spoken(&words.over)),
        }
    }

    /// "one half", "three quarters"; behind a whole number "a half".
    fn part_of_one(&self, top: &str, bottom: &str, is_behind_whole: bool) -> String {
        let words = &self.pack.fractions;
        let is_one = top == "1";
        let named = match (bottom, is_one) {
            ("2", true) => words.half.clone(),
            ("2", false) => words.halves.clone(),
            ("4", true) => words.quarter.clone(),
            ("4", false) => words.quarters.clone(),
            (_, true) => self.speller.ordinal(bottom),
            (_, false) => self.speller.plural(&self.speller.ordinal(bottom)),
        };
        let count = match is_one {
            true if is_behind_whole && matches!(bottom, "2" | "4") => words.a.clone(),
            true => words.one.clone(),
            false => self.speller.cardinal(top),
        };
        format!("{count} {named}")
    }

    /// An integer alone: a quantity, a year, or digits one by one.
    fn integer(&self, at: usize) -> Option<Said> {
        let token = &self.tokens[at];
        let number = Number::all_of(token.core).filter(Number::is_plain)?;
        let whole = number.whole.as_str();
        // A unit behind it decides.
        if self.unit_behind(at, 1).is_some() || self.operates(self.next(at)) {
            return None;
        }
        let previous = self.previous(at);
        let one_by_one = || Said::one(self.speller.digits(whole));
        if whole.len() > 1 && whole.starts_with('0') {
            return one_by_one();
        }
        let before = previous.trim_matches(|c: char| !c.is_alphanumeric());
        if whole.len() >= 3 && self.pack.context.digits.contains(before) {
            return one_by_one();
        }
        let ends_clause = self.tokens.get(at + 1).is_none() || !token.trail.is_empty();
        if self.is_emergency(at, ends_clause) {
            return one_by_one();
        }
        match whole.len() {
            10.. if !whole.ends_with("000") => one_by_one(),
            5 if self.is_postcode(at, ends_clause) => one_by_one(),
            4 if self.is_year(at, ends_clause) => Said::one(self.speller.year(whole)),
            _ => None,
        }
    }

    fn is_postcode(&self, at: usize, ends_clause: bool) -> bool {
        let previous = self.previous(at);
        let is_state = previous.len() == 2 && previous.chars().all(|c| c.is_ascii_uppercase()) && !self.is_shouted;
        let is_alone = self.tokens.len() == 1;
        let behind_place = is_capitalized(previous) && !self.tokens[at - 1].is_first && self.depth == 0;
        let behind_word = self.pack.context.place.contains(previous);
        is_state || (ends_clause && (is_alone || behind_place || behind_word))
    }

    fn is_year(&self, at: usize, ends_clause: bool) -> bool {
        let token = &self.tokens[at];
        let Ok(value) = token.core.parse::<u32>() else { return false };
        let context = &self.pack.context;
        let previous = self.previous(at);
        let behind_word = context.year.contains(&previous.to_lowercase())
            || self.pack.month_named(previous).is_some()
            || token.lead.ends_with('(');
        if behind_word && (1100..2100).contains(&value) {
            return true;
        }
        // "of about 1455,"
        if ends_clause && self.pack.context.about.contains(previous) && (1100..2100).contains(&value) {
            return true;
        }
        let next = self.next(at);
        (1900..2100).contains(&value) && (ends_clause || context.after_year.contains(next))
    }

    /// A number, with its unit, attached or in the next word.
    fn quantity(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        if let Some(said) = self.duration(at).or_else(|| self.feet(at)) {
            return Some(said);
        }
        let (number, rest) = Number::parse(core)?;
        let spoken = self.speller.number(&number);
        if rest.is_empty() {
            return self.with_unit(at, 1, &spoken, !number.is_one());
        }
        if let Some(said) = self.lettered(at, &number, rest) {
            return Some(said);
        }
        if let Some(unit) = self.unit(rest, true) {
            let unit = if rest == "m" && self.is_beside_time(at) { self.unit("min", true)? } else { unit };
            // "a 27-inch screen"
            let is_adjective = matches!(rest, "\"" | "″") && !self.next(at).is_empty();
            return Said::one(format!("{spoken} {}", if number.is_one() || is_adjective { unit.0 } else { unit.1 }));
        }
        if let Some(magnitude) = self.pack.magnitudes.get(rest) {
            return self.with_unit(at, 1, &format!("{spoken} {magnitude}"), true);
        }
        match rest {
            "+" => Said::one(format!("{spoken} {}", self.pack.numbers.plus)),
            "x" | "×" => Said::one(format!("{spoken} {}", self.pack.operators.get(&'*')?)),
            "²" => Said::one(format!("{spoken} {}", self.pack.unit_rules.squared)),
            "³" => Said::one(format!("{spoken} {}", self.pack.unit_rules.cubed)),
            _ => None,
        }
    }

    /// 221B, 12B, 3M, 5K: houses, flats and lines have a letter behind their number, and so it is read where nothing speaks for a
    /// quantity: a sum of money, a decimal, or what is counted ("5M people", "2700K").
    fn lettered(&self, at: usize, number: &Number, rest: &str) -> Option<Said> {
        const SMALLEST_TEMPERATURE: usize = 3; // digits: "300K"
        if !matches!(rest, "B" | "M" | "K") || !number.is_plain() || number.whole.len() > 4 {
            return None;
        }
        let context = &self.pack.context;
        let previous = self.previous(at);
        let next = self.next(at);
        let is_counted = next.len() >= 3 && next.starts_with(char::is_lowercase) && !context.not_counted.contains(next);
        let is_place = context.lettered.contains(&previous.to_lowercase());
        let is_temperature = rest == "K" && number.whole.len() >= SMALLEST_TEMPERATURE && !is_capitalized(next);
        if !is_place && (is_counted || is_temperature) {
            return None;
        }
        Said::one(format!("{} {}", self.speller.label(&number.whole), self.letter(rest)))
    }

    /// 911, 112, 999: said digit by digit where they are called, and the first, which is hardly ever a quantity, also alone.
    fn is_emergency(&self, at: usize, ends_clause: bool) -> bool {
        const AROUND: usize = 5;
        let context = &self.pack.context;
        let number = self.tokens[at].core;
        if !context.emergency.contains(number) {
            return false;
        }
        let next = self.next(at);
        let is_counted = !ends_clause && !context.not_counted.contains(next);
        let near = &self.tokens[at.saturating_sub(AROUND)..(at + AROUND).min(self.tokens.len())];
        let is_call = near.iter().any(|token| context.calls.contains(&token.core.to_lowercase()));
        is_call || (number == "911" && !is_counted && !is_capitalized(self.previous(at)))
    }

    /// 5-7, 10–12 °C, 1990-95, "9-10 pm".
    fn range(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let dash = core.char_indices().skip(1).find(|(_, c)| matches!(c, '-' | '–' | '—' | '−'))?;
        let (left, right) = (&core[..dash.0], &core[dash.0 + dash.1.len_utf8()..]);
        if !right.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '−' | '.'))
            || right.contains(['-', '–']) && !right.starts_with('-')
        {
            return None;
        }
        let (number, unit) = Number::parse(left)?;
        if number.exponent.is_some() || !(unit.is_empty() || self.unit(unit, true).is_some()) {
            return None;
        }
        let is_year = |text: &str| text.len() == 4 && text.parse::<u32>().is_ok_and(|y| (1100..2100).contains(&y));
        let are_years =
            is_year(left) && (is_year(right) || (right.len() == 2 && right.bytes().all(|b| b.is_ascii_digit())));
        if are_years {
            let until = if right.len() == 4 { self.speller.year(right) } else { self.speller.label(right) };
            return Said::one(format!("{} {} {until}", self.speller.year(left), self.pack.numbers.to));
        }
        let from = if unit.is_empty() { self.speller.number(&number) } else { self.part(left) };
        let mut until = self.with_core(at, right)?;
        until.words = format!("{from} {} {}", self.pack.numbers.to, until.words);
        Some(until)
    }

    /// 2+2=4, 3x4, 2^10.
    fn sum(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let has_equals = core.contains('=');
        let operator = |c: char| match c {
            'x' | 'X' => self.pack.signs.get(&'×'),
            '-' | '−' if !has_equals => None,
            c => self.pack.operators.get(&c),
        };
        let mut words: Vec<String> = Vec::new();
        let mut rest = core;
        loop {
            let (number, after) = Number::parse(rest)?;
            // "3-2=1": the sign belongs between.
            if number.sign.is_some() && !words.is_empty() {
                return None;
            }
            words.push(self.speller.number(&number));
            let Some(next) = after.chars().next() else { break };
            words.push(operator(next)?.clone());
            rest = &after[next.len_utf8()..];
        }
        if words.len() > 1 { Said::one(words.join(" ")) } else { None }
    }

    /// #7, ±5, ~10, ≥3.
    fn prefixed(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let sign = core.chars().next()?;
        let word = self.pack.prefixes.get(&sign)?;
        let rest = core[sign.len_utf8()..].trim_start_matches('/');
        if !rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '$' | '€' | '£')) {
            return None;
        }
        let mut said = self.with_core(at, rest)?;
        said.words = format!("{word} {}", said.words);
        Some(said)
    }

    /// 10-minute, 5-year-old, COVID-19, F-16: each part by itself.
    fn compound(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        if !core.contains(['-', '–', '/']) || core.starts_with(['-', '/']) || core.contains("//") {
            return None;
        }
        let parts: Vec<String> =
            core.split(['-', '–', '/']).filter(|part| !part.is_empty()).map(|part| self.part(part)).collect();
        Said::one(parts.join(" "))
    }

    /// Letters and digits in one name: H2O, MP3, B12, 1080p, v2.1.
    fn label(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let mut words: Vec<String> = Vec::new();
        let mut rest = core;
        while let Some(first) = rest.chars().next() {
            let class = class_of(first);
            let end = rest.find(|c: char| class_of(c) != class).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            match class {
                Class::Digits => words.push(self.speller.label(run)),
                Class::Letters => words.push(self.letters_beside_digits(run)),
                Class::Signs if run == "." && after.starts_with(|c: char| c.is_ascii_digit()) && !words.is_empty() => {
                    words.push(self.pack.numbers.point.clone());
                }
                Class::Signs if matches!(run, "," | ";") && !words.is_empty() => words.last_mut()?.push(','),
                Class::Signs => {
                    let said = run.chars().filter_map(|c| self.pack.signs.get(&c)).filter(|word| !word.is_empty());
                    words.extend(said.cloned());
                }
            }
            rest = after;
        }
        Said::one(words.join(" "))
    }

    fn letters_beside_digits(&self, run: &str) -> String {
        let n = run.chars().count();
        let are_capitals = run.chars().all(char::is_uppercase);
        match n {
            1 => self.letter(&run.to_uppercase()),
            _ if are_capitals && n <= 3 => self.spelled(run),
            _ if !run.chars().any(|c| "aeiouyAEIOUY".contains(c)) => self.spelled(&run.to_uppercase()),
            _ => run.to_string(),
        }
    }

    /// Whether a word alone is a sign between numbers.
    fn operates(&self, word: &str) -> bool {
        let mut chars = word.chars();
        matches!((chars.next(), chars.next()), (Some('*' | '×' | '÷' | '+' | '='), None))
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Class {
    Digits,
    Letters,
    Signs,
}

fn class_of(c: char) -> Class {
    match c {
        '0'..='9' => Class::Digits,
        c if c.is_alphabetic() || c == '\'' || c == '’' => Class::Letters,
        _ => Class::Signs,
    }
}

/// The two integers of `3/4`.
pub(super) fn fraction_parts(word: &str) -> Option<(&str, &str)> {
    let (top, rest) = digits(word);
    let (bottom, rest) = digits(rest.strip_prefix(['/', '⁄'])?);
    let is_short = |n: &str| (1..=3).contains(&n.len()) && !n.starts_with('0');
    (rest.is_empty() && is_short(top) && is_short(bottom)).then_some((top, bottom))
}
