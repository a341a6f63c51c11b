//! Sums of money: the sign before or behind, cents, millions, ranges.

use super::numbers::Number;
use super::{Said, View};

impl View<'_> {
    /// $1,234.50, €3.99, 20 €, "USD 20", $1.5 million, $5-10.
    pub(super) fn money(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        self.sign_before(at, core).or_else(|| self.sign_behind(at))
    }

    /// The currency that `text` begins with.
    fn currency<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str)> {
        // The longest sign is three letters.
        (1..=4).rev().filter(|&n| text.is_char_boundary(n)).filter_map(|n| text.split_at_checked(n)).find(
            |(sign, rest)| {
                let is_code = sign.len() == 3 && sign.chars().all(|c| c.is_ascii_uppercase());
                self.pack.currencies.contains_key(*sign) && !(is_code && rest.starts_with(char::is_alphabetic))
            },
        )
    }

    fn sign_before(&self, at: usize, core: &str) -> Option<Said> {
        let (minus, unsigned) = match core.strip_prefix(['-', '−', '–']) {
            Some(rest) => (format!("{} ", self.pack.numbers.minus), rest),
            None => (String::new(), core),
        };
        let (sign, rest) = self.currency(unsigned)?;
        // "USD 20": the amount is the next word.
        let (amount, n_tokens) = if rest.is_empty() { (self.next(at), 2) } else { (rest, 1) };
        let (number, rest) = Number::parse(amount)?;
        let money = |words: String| Said { n_tokens, words: format!("{minus}{words}"), trail: None, drops_lead: false };
        let many = || self.pack.currencies[sign][1].clone();
        if let Some(until) = rest.strip_prefix(['-', '–']) {
            let until = until.strip_prefix(sign).unwrap_or(until);
            let until = Number::all_of(until)?;
            let spoken = |n: &Number| self.speller.number(n);
            return Some(money(format!("{} {} {} {}", spoken(&number), self.pack.numbers.to, spoken(&until), many())));
        }
        if let Some(magnitude) = self.pack.magnitudes.get(rest).or_else(|| self.money_magnitude(rest)) {
            return Some(money(format!("{} {magnitude} {}", self.speller.number(&number), many())));
        }
        if let Some(per) = rest.strip_prefix('/') {
            let per = self.unit(per, false).map_or_else(|| self.part(per), |(one, _)| one);
            return Some(money(format!("{} {} {per}", self.amount(&number, sign), self.pack.unit_rules.per)));
        }
        if !rest.is_empty() {
            return None;
        }
        let next = self.next(at + n_tokens - 1);
        let is_scale = self.pack.numbers.scales.iter().any(|scale| scale == next && !next.is_empty());
        if let Some(scale) = is_scale
            .then_some(next)
            .or_else(|| self.pack.magnitudes.get(next).filter(|_| next.len() > 1).map(String::as_str))
        {
            let words = format!("{minus}{} {scale} {}", self.speller.number(&number), many());
            return Some(Said { n_tokens: n_tokens + 1, words, trail: None, drops_lead: false });
        }
        Some(money(self.amount(&number, sign)))
    }

    /// Small letters mean millions only beside money: $5m.
    fn money_magnitude(&self, rest: &str) -> Option<&String> {
        match rest {
            "m" => self.pack.magnitudes.get("M"),
            "b" => self.pack.magnitudes.get("B"),
            _ => None,
        }
    }

    fn sign_behind(&self, at: usize) -> Option<Said> {
        let (number, rest) = Number::parse(self.tokens[at].core)?;
        let (sign, n_tokens) = if rest.is_empty() { (self.next(at), 2) } else { (rest, 1) };
        if !self.pack.currencies.contains_key(sign) {
            return None;
        }
        // "20 $5 notes": the sign belongs to what follows it.
        Some(Said { n_tokens, words: self.amount(&number, sign), trail: None, drops_lead: false })
    }

    /// "one thousand two hundred thirty-four dollars and fifty cents".
    fn amount(&self, number: &Number, sign: &str) -> String {
        let [one, many, cent, cents] = &self.pack.currencies[sign];
        let name = |is_one: bool| if is_one { one } else { many };
        match &number.fraction {
            Some(fraction) if fraction.len() == 2 && number.exponent.is_none() => {
                let whole = Number { fraction: None, ..number.clone() };
                let fraction = fraction.trim_start_matches('0');
                let minor = format!(
                    "{} {}",
                    self.speller.cardinal(if fraction.is_empty() { "0" } else { fraction }),
                    if fraction == "1" { cent } else { cents }
                );
                let is_nothing = number.whole.chars().all(|c| c == '0');
                match (is_nothing, fraction.is_empty()) {
                    (true, false) => minor,
                    (_, true) => format!("{} {}", self.speller.number(&whole), name(whole.is_one())),
                    _ => {
                        let words = format!("{} {}", self.speller.number(&whole), name(whole.is_one()));
                        format!("{words} {} {minor}", self.pack.numbers.and)
                    }
                }
            }
            _ => format!("{} {}", self.speller.number(number), name(number.is_one())),
        }
    }
}
