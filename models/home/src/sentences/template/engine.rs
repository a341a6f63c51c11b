//! Matches a template against a whole request and finds every way it fits, within a bound on the steps taken.

use std::rc::Rc;

use serde_json::Value;

use super::expression::Expr;
use super::set::{List, TemplateSet};

/// Steps after which a template is given up; one that people write takes some hundreds.
const MOST_STEPS: u32 = 60_000;
/// Parts that may be matched behind one another at one time; each takes a place on the stack.
const MOST_PARTS: u32 = 1_000;
/// Nesting of rules beyond this is a rule that contains itself.
const DEEPEST: u32 = 160;
/// Ways in which one template may fit.
const MOST_MATCHES: usize = 24;

/// A value that stands in the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// The slot it fills.
    pub slot: String,
    /// What it stands for.
    pub value: Value,
    /// The words that said it.
    pub text: String,
    /// What a list's value brings along: its context.
    pub context: serde_json::Map<String, Value>,
}

/// One way in which a template fits a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The values, in the order said.
    pub captures: Vec<Capture>,
    /// How many bytes of the request the template's own words matched.
    pub literal: usize,
}

/// Lists whose values depend on the home or are computed: names, areas, numbers, durations.
pub trait Slots {
    /// Every value of `list` that begins at byte `at` of the request: where it ends and what it stands for. `None` where the list
    /// is not known.
    fn values(&self, list: &str, at: usize) -> Option<Rc<[(usize, Value)]>>;
}

/// What is left to do behind the present sequence.
enum Next<'a, 'n> {
    End,
    Then(&'a [Expr], &'n Next<'a, 'n>),
    /// The parts of a permutation whose bits in `used` are not set.
    Rest {
        parts: &'a [Vec<Expr>],
        used: u32,
        next: &'n Next<'a, 'n>,
    },
    /// A list's value ends here.
    Close {
        slot: &'a str,
        value: &'a Value,
        context: Option<&'a serde_json::Map<String, Value>>,
        from: usize,
        next: &'n Next<'a, 'n>,
    },
}

struct Run<'a> {
    text: &'a str,
    set: &'a TemplateSet,
    rules: &'a [(String, Vec<Expr>)],
    slots: &'a dyn Slots,
    steps: u32,
    /// How many parts are being matched.
    parts: u32,
    captures: Vec<Capture>,
    literal: usize,
    out: Vec<Match>,
}

/// All ways in which `template` fits the whole of `text`. `rules` are the template's own expansion rules, before the set's. The steps
/// taken are taken off `budget`, and not more than are left there.
pub(super) fn matches(
    template: &[Expr],
    text: &str,
    set: &TemplateSet,
    rules: &[(String, Vec<Expr>)],
    slots: &dyn Slots,
    budget: &mut u32,
) -> Vec<Match> {
    let before = MOST_STEPS.saturating_sub(*budget);
    let mut run =
        Run { text, set, rules, slots, steps: before, parts: 0, captures: Vec::new(), literal: 0, out: Vec::new() };
    run.sequence(template, 0, &Next::End, 0);
    *budget = budget.saturating_sub(run.steps - before);
    run.out
}

impl<'a> Run<'a> {
    fn sequence(&mut self, exprs: &'a [Expr], at: usize, next: &Next<'a, '_>, depth: u32) {
        self.steps += 1;
        let too_many = self.steps > MOST_STEPS || self.parts >= MOST_PARTS;
        if too_many || depth > DEEPEST || self.out.len() >= MOST_MATCHES {
            return;
        }
        self.parts += 1;
        self.first(exprs, at, next, depth);
        self.parts -= 1;
    }

    fn first(&mut self, exprs: &'a [Expr], at: usize, next: &Next<'a, '_>, depth: u32) {
        let Some((first, rest)) = exprs.split_first() else {
            return self.proceed(at, next, depth);
        };
        match first {
            Expr::Text(words) => {
                if let Some(end) = self.text_at(words, at) {
                    let before = self.literal;
                    self.literal += end - at;
                    self.sequence(rest, end, next, depth);
                    self.literal = before;
                }
            }
            Expr::Alternatives(options) => {
                let then = Next::Then(rest, next);
                for option in options {
                    self.sequence(option, at, &then, depth + 1);
                }
            }
            Expr::Permutation(parts) => {
                let then = Next::Then(rest, next);
                self.permutation(parts, 0, at, &then, depth);
            }
            Expr::Rule(name) => {
                let own = self.rules.iter().find(|(rule, _)| rule == name).map(|(_, body)| body);
                if let Some(body) = own.or_else(|| self.set.rule(name)) {
                    let then = Next::Then(rest, next);
                    self.sequence(body, at, &then, depth + 1);
                }
            }
            Expr::List { list, slot } => self.list(list, slot, at, rest, next, depth),
        }
    }

    /// Goes on behind a finished sequence.
    fn proceed(&mut self, at: usize, next: &Next<'a, '_>, depth: u32) {
        match next {
            Next::End => {
                if self.text[at..].trim_start().is_empty() {
                    self.out.push(Match { captures: self.captures.clone(), literal: self.literal });
                }
            }
            Next::Then(exprs, next) => self.sequence(exprs, at, next, depth.saturating_sub(1)),
            Next::Rest { parts, used, next } => self.permutation(parts, *used, at, next, depth),
            Next::Close { slot, value, context, from, next } => {
                if at <= *from {
                    return;
                }
                self.captures.push(Capture {
                    slot: (*slot).to_owned(),
                    value: (*value).clone(),
                    text: self.text[*from..at].trim().to_owned(),
                    context: context.cloned().unwrap_or_default(),
                });
                self.proceed(at, next, depth);
                self.captures.pop();
            }
        }
    }

    fn permutation(&mut self, parts: &'a [Vec<Expr>], used: u32, at: usize, next: &Next<'a, '_>, depth: u32) {
        if used.count_ones() as usize == parts.len() {
            return self.proceed(at, next, depth);
        }
        for (i, part) in parts.iter().enumerate().take(32) {
            if used & (1 << i) == 0 {
                let rest = Next::Rest { parts, used: used | (1 << i), next };
                self.sequence(part, at, &rest, depth + 1);
            }
        }
    }

    fn list(&mut self, list: &'a str, slot: &'a str, at: usize, rest: &'a [Expr], next: &Next<'a, '_>, depth: u32) {
        // A value begins behind the space that an optional part before it left.
        let from = at + usize::from(self.text[at..].starts_with(' ') && !self.text[..at].ends_with(' ') && at == 0);
        let set: &'a TemplateSet = self.set;
        match set.list(list) {
            Some(List::Values(values)) => {
                for value in values {
                    let then = Next::Then(rest, next);
                    let close =
                        Next::Close { slot, value: &value.out, context: Some(&value.context), from, next: &then };
                    self.sequence(&value.said, from, &close, depth + 1);
                }
            }
            Some(List::Range { from: least, to, step, multiplier }) => {
                for (end, value) in self.numbers(from, *step) {
                    if (*least..=*to).contains(&value) {
                        self.captured(slot, number(value * multiplier), from, end, rest, next, depth);
                    }
                }
            }
            Some(List::Wildcard) => {
                for end in self.word_ends(from) {
                    let said = self.text[from..end].trim().to_owned();
                    self.captured(slot, Value::String(said), from, end, rest, next, depth);
                }
            }
            None => {
                let Some(values) = self.slots.values(list, from) else { return };
                for (end, value) in values.iter() {
                    self.captured(slot, value.clone(), from, *end, rest, next, depth);
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn captured(
        &mut self,
        slot: &str,
        value: Value,
        from: usize,
        end: usize,
        rest: &'a [Expr],
        next: &Next<'a, '_>,
        depth: u32,
    ) {
        self.captures.push(Capture {
            slot: slot.to_owned(),
            value,
            text: self.text[from..end].trim().to_owned(),
            context: serde_json::Map::new(),
        });
        self.sequence(rest, end, next, depth);
        self.captures.pop();
    }

    /// Ends of one, two, three… words from `from` on.
    fn word_ends(&self, from: usize) -> Vec<usize> {
        let text = self.text;
        if from >= text.len() || (from > 0 && !text[..from].ends_with(' ')) {
            return Vec::new();
        }
        (from + 1..=text.len())
            .filter(|&end| text.is_char_boundary(end) && (end == text.len() || text[end..].starts_with(' ')))
            .filter(|&end| !text[..end].ends_with(' '))
            .collect()
    }

    /// Numbers at `from`, in digits or words; with digits, letters may follow at once.
    fn numbers(&self, from: usize, step: f64) -> Vec<(usize, f64)> {
        let rest = &self.text[from..];
        let mut out = Vec::new();
        let sign = usize::from(rest.starts_with('-'));
        let digits = rest[sign..].bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let digits = rest[sign..sign + digits].trim_end_matches('.').len();
        if digits > 0 && digits < 12 {
            if let Ok(value) = rest[..sign + digits].parse::<f64>()
                && (value.fract() == 0.0 || step < 1.0)
            {
                out.push((from + sign + digits, value));
            }
        } else {
            let words: Vec<&str> = rest.split([' ', '-']).take(8).collect();
            if let Some((value, n)) = crate::spoken::number(&words)
                && (value.fract() == 0.0 || step < 1.0)
            {
                let bytes: usize = words[..n].iter().map(|w| w.len()).sum::<usize>() + n - 1;
                out.push((from + bytes, value));
            }
        }
        out
    }

    /// Where the template's own words end if they stand at `at`.
    fn text_at(&self, words: &str, at: usize) -> Option<usize> {
        let text = self.text.as_bytes();
        let mut at = at;
        for c in words.bytes() {
            if c == b' ' {
                if text.get(at) == Some(&b' ') {
                    at += 1;
                } else if at != 0 && at != text.len() && text[at - 1] != b' ' {
                    return None;
                }
            } else if text.get(at) == Some(&c) {
                at += 1;
            } else {
                return None;
            }
        }
        Some(at)
    }
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 { Value::from(value as i64) } else { Value::from(value) }
}
